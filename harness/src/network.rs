//! The network between nodes and clients.
pub mod enter;
pub mod fabric;
pub mod kernel;
pub mod links;
