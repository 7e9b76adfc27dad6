//! The desk, step by step.
