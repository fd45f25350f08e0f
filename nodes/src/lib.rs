//! The systems in the box: replicated key-value stores as real processes.
//!
//! ```text
//!   HTTP client API ──> server (tokio) ──> protocol core (pure step) ──> Outputs
//!        api                │                   │ owns the machine          │
//!   peers (frames) <────────┤                   └ machine: registers,       ├─ records ──> storage (wal, group commit)
//!                           └──────────────────── lists, sessions           ├─ messages ─> peers, at once | once durable
//!                                                                           └─ replies ──> clients
//! ```
//!
//! This crate knows nothing of the harness that tests it, and the harness judges it only by what clients see.

pub mod api;
pub mod machine;
pub mod mutants;
pub mod protocol;
pub mod server;
pub mod storage;
