//! What a snapshot covers, and what it replaces.

use super::{
    super::{
        mutants,
        types::{LogIndex, Term},
    },
    Rules,
};
use crate::machine::Machine;

/// What becomes of a snapshot that arrived, and of the log here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Install {
    /// The snapshot is no news.
    Ignore,
    /// It replaces the machine and the entries that it covers; those behind it stay.
    KeepSuffix,
    /// It replaces the machine and the whole log.
    ReplaceLog,
}

/// What is known here about the place where an arriving snapshot ends.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The last index that the snapshot covers, and the term there.
    pub covers: (LogIndex, Term),
    /// The commit index here.
    pub commit: LogIndex,
    /// The term of the entry here at that index, if there is one.
    pub term_here: Option<Term>,
}

/// What becomes of an arriving snapshot. Paper, section 7 and Figure 13, rules 6 and 7: what follows an entry that the snapshot
/// holds too is kept, every other log is discarded; and one that holds no more than is committed here is no news.
pub fn install(arrival: &Arrival) -> Install {
    let Arrival { covers: (index, term), commit, term_here } = *arrival;
    if index <= commit {
        Install::Ignore
    } else if term_here == Some(term) {
        Install::KeepSuffix
    } else {
        Install::ReplaceLog
    }
}

/// How many entries a machine may be ahead of its snapshot's index, where the two are not taken together.
const AHEAD: u64 = 8;

/// What a snapshot says it covers: what its machine has applied. Paper, section 7: "the last included index … (the last entry the state
/// machine had applied)".
pub fn covered_index(applied: LogIndex) -> LogIndex {
    applied
}

impl Rules {
    /// See [`install`].
    pub fn install(&mut self, arrival: &Arrival) -> Install {
        let right = install(arrival);
        let right = self.switch.decide(mutants::SNAPSHOT_INSTALL_REGRESS, right, || Install::ReplaceLog);
        self.switch.decide(mutants::SNAPSHOT_KEEP_CONFLICT, right, || match (right, arrival.term_here) {
            (Install::ReplaceLog, Some(_)) => Install::KeepSuffix,
            _ => right,
        })
    }

    /// Up to where a server that has installed a snapshot has the leader's log: where the snapshot ends. Where the log of another leader
    /// stays behind it, the server takes that for the leader's, too, for it takes its log to end with the snapshot. If it did not, the
    /// rule that a message's entries cut what differs would make up for the wrong one: nothing that the kept entries take the place
    /// of would count as being here.
    pub fn held_after_install(&self, arrival: &Arrival, last: LogIndex) -> LogIndex {
        let (index, term) = arrival.covers;
        let is_foreign = arrival.term_here.is_some_and(|here| here != term);
        if is_foreign && self.switch.is_on(mutants::SNAPSHOT_KEEP_CONFLICT) { last } else { index }
    }

    /// See [`covered_index`]. The log goes from behind `known`, the newest place that was covered before or is gone, to `last`.
    pub fn covered_index(&mut self, applied: LogIndex, known: LogIndex, last: LogIndex) -> LogIndex {
        let right = self.switch.decide(mutants::SNAPSHOT_CLAIMS_LASTLOG, covered_index(applied), || last);
        let earlier = || LogIndex(applied.0.saturating_sub(AHEAD)).max(known.next()).min(applied);
        self.switch.decide(mutants::APPLIED_INDEX_NONATOMIC, right, earlier)
    }

    /// The machine as a snapshot holds it: with its sessions. Dissertation, section 6.3.
    pub fn machine_image(&mut self, machine: &Machine) -> Vec<u8> {
        let wrong = || machine.snapshot_without_sessions();
        self.switch.decide(mutants::SNAPSHOT_DROPS_SESSIONS, machine.snapshot(), wrong)
    }
}
