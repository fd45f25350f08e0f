//! What happened: the run store, the history's way to disk, latencies, the summary of a run, and what is made of stored runs.
//!
//! ```text
//!   clients, nemesis ──> Recorder ──> HistorySink ──> history.jsonl ┐
//!                        stamps       one thread                    │
//!   clients ──> Latencies, Throughput, OperationTable               ├── RunDir in the Store
//!                   └──────────┬─────────────────────> latencies.*  │
//!   checks ────────────────> Summary ────────────────> verdict.json ┘
//!                              └──> render: the terminal;  ExitCode
//!
//!   RunDir ──> Timeline ──┬──> phases: what each fault did         Summary of many ──┬──> metrics ──> compare, trend (statistics)
//!                         └──> report: the page                                      └──> hunt, gate, replay: reports and exit codes
//! ```

pub mod check;
pub mod compare;
pub mod exit;
pub mod gate;
pub mod hunt;
pub mod latency;
pub mod life;
pub mod metrics;
pub mod phases;
pub mod replay;
pub mod report;
pub mod sink;
pub mod statistics;
pub mod store;
pub mod summary;
pub mod tally;
pub mod timeline;
pub mod trend;
