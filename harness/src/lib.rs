//! The controller of Trueline: clusters of real processes, the network between them, and what breaks both.

pub mod network;
pub mod process;
