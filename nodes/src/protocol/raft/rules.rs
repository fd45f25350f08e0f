//! The safety rules, each one a small pure function with its place in the literature.
//!
//! ```text
//!   elections      who may vote for whom, and which votes count
//!   replication    what a follower takes, what a leader counts, what is committed and applied
//!   reads          when a leader may answer without the log
//!   durability     what must be on the disk before something is said, and what comes back from it
//!   membership     who counts, and when that may change
//!   snapshots      what a snapshot covers, and what it replaces
//! ```
//!
//! "The paper" is Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (extended version); "the
//! dissertation" is Ongaro, "Consensus: Bridging Theory and Practice". A mutant replaces exactly one of these by the wrong rule
//! next to it; who asks a rule goes through `Rules`, whose switch counts how often the wrong one decided otherwise.

use crate::mutants::{Mutant, Switch};

mod durability;
mod elections;
mod membership;
mod reads;
mod replication;
mod snapshots;

pub use durability::*;
pub use elections::*;
pub use membership::*;
pub use reads::*;
pub use replication::*;
pub use snapshots::*;

/// The rules as this process follows them.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    switch: Switch,
}

impl Rules {
    pub fn new(mutant: Option<Mutant>) -> Self {
        Self { switch: Switch::new(mutant) }
    }

    /// See [`Switch::fired`].
    pub fn fired(&self) -> u64 {
        self.switch.fired()
    }

    /// See [`Switch::is_mutated`].
    pub fn is_mutated(&self) -> bool {
        self.switch.is_mutated()
    }
}
