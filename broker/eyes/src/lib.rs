//! What the kernel's tables say about Gateway's port, read without a packet.
