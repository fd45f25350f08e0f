//! The judge: histories, sequential models, and verdicts on linearizability.
//!
//! ```text
//!   file / run ──> history::{jsonl, edn, …} ──> History ──> check() ──> Judgement
//!                     readers                  validated     │ split by key, bounded pool
//!                                                            ├─ fast: register zones, cas chains, append
//!                                                            └─ search: just-in-time frontier | depth-first
//!                                                 ladder() ──> what still holds where that is not linearizable
//! ```
//!
//! Pure: no clock but the budget's, no network, no async runtime. It shares no code with the systems it judges.

pub mod certificate;
mod check;
mod describe;
mod explain;
mod fast;
mod fit;
pub mod history;
mod key;
pub mod ladder;
mod lint;
pub mod model;
mod search;
mod shrink;
pub mod stream;
pub mod verdict;
pub mod verify;

pub use check::{Algorithm, Budget, CheckError, CheckOptions, check, check_with};
pub use lint::{Lint, LintKind, lint};
pub use search::calls::{Answer, CallError, Impasse, Timed, check_calls};
pub use search::{HowFar, Why};
