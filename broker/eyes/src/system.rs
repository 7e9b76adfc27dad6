//! The system's own tables and files: the only part of this crate that reads anything.
//!
//! - `linux`: tables and addresses.
//! - `linux/processes`: what a process is, and its figures.
//! - `linux/owners`: which process holds a socket.
//!
//! Elsewhere the same questions are answered with "unknown".

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::System;
#[cfg(target_os = "linux")]
pub(crate) use linux::System;
