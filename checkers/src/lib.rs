//! The judge: histories, sequential models, and verdicts on linearizability.
//!
//! ```text
//!   file / run ──> history::{jsonl, edn, …} ──> History ──> check() ──> Judgement
//!                     readers                  validated     │ split by key, bounded pool
//!                                                            ├─ fast: register zones, cas chains, append
//!                                                            └─ search: just-in-time frontier | depth-first
//! ```
//!
//! Pure: no clock but the budget's, no network, no async runtime. It shares no code with the systems it judges.

mod append;
mod chains;
mod check;
mod describe;
pub mod history;
pub mod model;
mod register;
mod search;
pub mod verdict;
mod zones;

pub use check::{Algorithm, Budget, CheckError, CheckOptions, check, check_with};
