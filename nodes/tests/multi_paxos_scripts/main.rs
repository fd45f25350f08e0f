//! Multi-Paxos by script: one node at a time, told everything by hand, and what it says to that.
//!
//! ```text
//!   disk (records) ──> restore ──> node 1 ── receive, tick, request ──> what it says at once, what it says when durable
//!                         ^                                                 │
//!                         └───────── sync, restart, power lost ─────────────┘
//! ```
//!
//! "PMS", "PMMC", "PML" and "PQR" are the papers named in `nodes::protocol::multi_paxos::rules`.

mod acceptor;
mod garbled;
mod mutants;
mod proposer;
mod reads;
mod solo;
mod standing;
