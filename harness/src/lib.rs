//! The controller of Trueline and its command line: clusters, network, nemeses, phases of a run.
//!
//! ```text
//!   cli ──> config ──> run ──┬── cluster ── process, network   nodes and what is between them
//!                            ├── nemesis ── plan, lanes        what is broken, when
//!                            ├── load                          clients
//!                            ├── monitor                       who leads
//!                            ├── watchdog                      ends it at the first violation
//!                            └── judge ──> results             verdict, summary, files
//!   cli ──> hunt ───┬──> child: many runs, each a process     which mutants are found, how fast
//!   cli ──> gate ───┤                                          do all scenarios come out as expected?
//!   cli ──> replay ─┤                                          how often a stored run comes out the same again
//!   cli ──> bench ──┘                                          how fast it is, and whether faster than another
//! ```

pub mod bench;
pub mod child;
pub mod cli;
pub mod cluster;
pub mod conduct;
pub mod config;
pub mod failure;
pub mod gate;
pub mod hunt;
pub mod journal;
pub mod judge;
pub mod ladder;
pub mod listing;
pub mod load;
pub mod monitor;
pub mod nemesis;
pub mod network;
pub mod process;
pub mod program;
pub mod progress;
pub mod replay;
pub mod run;
pub mod serve;
pub mod settings;
pub mod stop;
pub mod system;
pub mod watchdog;
