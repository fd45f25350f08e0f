//! Chains of clusters: registers with unique values, with and without compare-and-set.
//!
//! ```text
//!   chain    W0 ─ reads of v0 ─ cas v0→v1 ─ reads of v1 ─ cas v1→v2 ─ reads of v2
//!            └── cluster v0 ──────┴────── cluster v1 ───────┴──── cluster v2 ──┘   no blind write can come in between
//! ```
//!
//! A compare-and-set that won from a to b is a read of a and the write of b in one, so b's cluster follows a's directly. With
//! unique values the order inside a chain is given; it is checked against real time in one sweep. The chains, without
//! compare-and-set one cluster each, are then blocks for the pair test of [`crate::zones`].

use super::register::{Calls, Cluster};
use super::zones::{Block, Moment, NONE, conflicting_pair};
use crate::check::Outcome;
use crate::history::{OpIndex, ProcessId};
use crate::key::KeyHistory;
use crate::model::register::{Call, INITIAL, ValueNumber};
use crate::search::NEVER;
use crate::verdict::Anomaly;

/// Judges a register whose values are written at most once each.
pub(crate) fn judge(key: KeyHistory<'_>, calls: &Calls<'_>, clusters: &[Cluster]) -> Outcome {
    let judge = Judge { key, calls, clusters };
    let mut blocks = Vec::new();
    let mut visited = 0;
    for (head, cluster) in (0u32..).zip(clusters) {
        let is_blind = cluster.writer != NONE && matches!(judge.call(cluster.writer), Call::Write(_));
        if head != INITIAL && !is_blind {
            continue;
        }
        match judge.chain(head) {
            Ok((block, length)) => {
                blocks.push(block);
                visited += length;
            }
            Err(violation) => return violation,
        }
    }
    let existing = clusters.iter().filter(|cluster| cluster.writer != NONE).count() + 1;
    if visited < existing {
        return judge.cycle();
    }
    conflicting_pair(&blocks).map_or(Outcome::Valid(None), |(a, b)| judge.conflict(&blocks[a], &blocks[b]))
}

struct Judge<'a, 'h> {
    key: KeyHistory<'h>,
    calls: &'a Calls<'h>,
    clusters: &'a [Cluster],
}

impl Judge<'_, '_> {
    fn call(&self, entry: u32) -> Call {
        self.calls.entries[entry as usize].call
    }

    fn invoke(&self, entry: u32) -> u64 {
        self.calls.entries[entry as usize].invoke
    }

    fn ret(&self, entry: u32) -> u64 {
        self.calls.entries[entry as usize].ret
    }

    fn index(&self, entry: u32) -> OpIndex {
        self.calls.entries[entry as usize].index
    }

    fn process(&self, entry: u32) -> ProcessId {
        self.key.compact(self.index(entry)).process
    }

    /// Walks the chain from its first value: its block and its number of values, or what in it cannot be.
    fn chain(&self, head: ValueNumber) -> Result<(Block, usize), Outcome> {
        let mut block = Block {
            first_return: if head == INITIAL { Moment::START } else { Moment::END },
            last_invoke: Moment::START,
        };
        let mut length = 0;
        let mut at = head;
        loop {
            let cluster = self.clusters[at as usize];
            length += 1;
            self.append(&mut block, cluster.writer, cluster.writer)?;
            self.append(&mut block, cluster.first_read, cluster.last_read)?;
            if cluster.winner == NONE {
                return Ok((block, length));
            }
            let Call::Cas { new, .. } = self.call(cluster.winner) else { unreachable!("only a compare-and-set wins") };
            at = new;
        }
    }

    /// Adds the next group of a chain: one writer, or the reads of a value, given by which returned first and was invoked last.
    fn append(&self, block: &mut Block, first: u32, last: u32) -> Result<(), Outcome> {
        if first == NONE {
            return Ok(());
        }
        let first_return = Moment::at(self.ret(first), first);
        if first_return.time < block.last_invoke.time {
            return Err(self.out_of_order(block.last_invoke.entry, first));
        }
        block.first_return = block.first_return.min(first_return);
        block.last_invoke = block.last_invoke.max(Moment::at(self.invoke(last), last));
        Ok(())
    }

    /// `later` returned before `earlier` was invoked, though the values say that `earlier` took effect first.
    fn out_of_order(&self, earlier: u32, later: u32) -> Outcome {
        let mut operations = vec![self.index(earlier), self.index(later)];
        if let Call::Read(seen) = self.call(earlier) {
            let newer = self.seen_after(later);
            operations.extend(self.writer_index(seen));
            operations.extend(self.writer_index(newer));
            return Outcome::invalid(Anomaly::StaleRead, operations);
        }
        let needed = self.seen_before(later);
        operations.extend(self.writer_index(needed));
        Outcome::invalid(Anomaly::ReadFromFuture, operations)
    }

    /// The value that the register held just after this operation.
    fn seen_after(&self, entry: u32) -> ValueNumber {
        match self.call(entry) {
            Call::Read(value) | Call::Write(value) | Call::Cas { new: value, .. } | Call::NotEqual(value) => value,
        }
    }

    /// The value that this operation observed; for a write, which observes none, the one it wrote.
    fn seen_before(&self, entry: u32) -> ValueNumber {
        match self.call(entry) {
            Call::Read(value) | Call::Write(value) | Call::Cas { old: value, .. } | Call::NotEqual(value) => value,
        }
    }

    fn writer_index(&self, value: ValueNumber) -> Option<OpIndex> {
        let writer = self.clusters[value as usize].writer;
        (writer != NONE).then(|| self.index(writer))
    }

    /// Compare-and-sets that made each other's values, with nothing that made the first.
    fn cycle(&self) -> Outcome {
        let mut reached = vec![false; self.clusters.len()];
        let heads = (0u32..).zip(self.clusters).filter(|(head, cluster)| {
            *head == INITIAL || (cluster.writer != NONE && matches!(self.call(cluster.writer), Call::Write(_)))
        });
        for (head, _) in heads {
            let mut at = Some(head);
            while let Some(value) = at {
                reached[value as usize] = true;
                at = self.next(value);
            }
        }
        let start =
            (0u32..).zip(self.clusters).find(|(value, cluster)| !reached[*value as usize] && cluster.writer != NONE);
        let start = start.expect("fewer values were reached than were made").0;
        let mut operations = Vec::new();
        let mut at = start;
        loop {
            operations.extend(self.writer_index(at));
            match self.next(at) {
                Some(next) if next != start => at = next,
                _ => break,
            }
        }
        Outcome::invalid(Anomaly::ReadFromFuture, operations)
    }

    fn next(&self, value: ValueNumber) -> Option<ValueNumber> {
        match self.clusters[value as usize].winner {
            NONE => None,
            winner => Some(self.seen_after(winner)),
        }
    }

    /// Two chains that must each come before the other.
    fn conflict(&self, a: &Block, b: &Block) -> Outcome {
        // The older chain is the one that something still observed too late.
        let (older, newer) = if self.is_older(a, b) { (a, b) } else { (b, a) };
        let late = older.last_invoke.entry;
        let witness = newer.first_return.entry;
        let mut operations = vec![self.index(late), self.index(witness)];
        operations.extend(self.writer_index(self.seen_before(late)));
        operations.extend(self.writer_index(self.seen_after(witness)));
        if older.first_return.entry != NONE {
            operations.push(self.index(older.first_return.entry));
            operations.push(self.index(newer.last_invoke.entry));
        }
        Outcome::invalid(self.name_conflict(older, newer), operations)
    }

    /// True when `a` is rather the older of two conflicting chains: its late operation is an observation, and its beginning is earlier.
    fn is_older(&self, a: &Block, b: &Block) -> bool {
        let observes = |block: &Block| !matches!(self.call(block.last_invoke.entry), Call::Write(_));
        match (observes(a), observes(b)) {
            (true, false) => true,
            (false, true) => false,
            _ => a.first_return.time <= b.first_return.time,
        }
    }

    /// A lost write rather than a stale read: nobody ever observed the acknowledged newer value, and at least two processes
    /// read the older one after it and before any other write was invoked.
    fn name_conflict(&self, older: &Block, newer: &Block) -> Anomaly {
        let writer = newer.first_return.entry;
        let Call::Write(new) = self.call(writer) else { return Anomaly::StaleRead };
        let cluster = self.clusters[new as usize];
        if cluster.first_read != NONE || cluster.winner != NONE || self.ret(writer) == NEVER {
            return Anomaly::StaleRead;
        }
        let old = self.seen_before(older.last_invoke.entry);
        let mut processes = Vec::new();
        for (number, entry) in (0u32..).zip(&self.calls.entries).filter(|(_, entry)| entry.invoke > self.ret(writer)) {
            match entry.call {
                Call::Read(seen) if seen == old => processes.push(self.process(number)),
                Call::Read(_) | Call::NotEqual(_) => return Anomaly::StaleRead,
                Call::Write(_) | Call::Cas { .. } => break,
            }
        }
        processes.sort_unstable();
        processes.dedup();
        if processes.len() >= 2 { Anomaly::LostWrite } else { Anomaly::StaleRead }
    }
}

/// Two compare-and-sets won out of a value that was only there once.
pub(crate) fn lost_update(calls: &Calls<'_>, first: u32, second: u32) -> Outcome {
    let index = |entry: u32| calls.entries[entry as usize].index;
    Outcome::invalid(Anomaly::LostUpdate, vec![index(first), index(second)])
}
