//! What is wrong with chains: its name, and the few operations that show it.

use super::Chains;
use crate::fast::Decision;
use crate::fast::register::NONE;
use crate::fast::zones::Block;
use crate::history::{OpIndex, ProcessId};
use crate::model::register::ValueNumber;
use crate::search::NEVER;
use crate::verdict::Anomaly;

/// A block with the entries that bound it.
struct Bounds {
    /// When it first returned.
    first_time: u64,
    /// What returned first; [`NONE`] for the initial value, which was there before everything.
    first: u32,
    /// What was invoked last.
    last: u32,
}

impl Chains<'_, '_> {
    fn index(&self, entry: u32) -> OpIndex {
        self.calls.index(entry)
    }

    fn process(&self, entry: u32) -> ProcessId {
        self.calls.key.compact(self.index(entry)).process
    }

    fn writer_index(&self, value: ValueNumber) -> Option<OpIndex> {
        let writer = self.clusters[value as usize].writer;
        (writer != NONE).then(|| self.index(writer))
    }

    /// The value that the register held just after this operation.
    pub(in crate::fast) fn seen_after(&self, entry: u32) -> ValueNumber {
        let entry = self.entry(entry);
        if entry.made == NONE { entry.seen } else { entry.made }
    }

    /// The value that this operation observed; for a write, which observes none, the one it wrote.
    fn seen_before(&self, entry: u32) -> ValueNumber {
        let entry = self.entry(entry);
        if entry.seen == NONE { entry.made } else { entry.seen }
    }

    /// `later` returned before `earlier` was invoked, though the values say that `earlier` took effect first.
    pub(super) fn out_of_order(&self, earlier: u32, later: u32) -> Decision {
        let mut operations = vec![self.index(earlier), self.index(later)];
        let entry = self.entry(earlier);
        if entry.made == NONE {
            operations.extend(self.writer_index(entry.seen));
            operations.extend(self.writer_index(self.seen_after(later)));
            return Decision::invalid(Anomaly::StaleRead, operations);
        }
        operations.extend(self.writer_index(self.seen_before(later)));
        Decision::invalid(Anomaly::ReadFromFuture, operations)
    }

    /// Compare-and-sets that made each other's values, with nothing that made the first.
    pub(super) fn cycle(&self) -> Decision {
        let mut reached = vec![false; self.clusters.len()];
        for value in self.heads().flat_map(|head| self.values(head)) {
            reached[value as usize] = true;
        }
        let start = (0u32..)
            .zip(self.clusters)
            .find(|(value, cluster)| !reached[*value as usize] && cluster.writer != NONE)
            .expect("fewer values were reached than were made")
            .0;
        let mut operations: Vec<OpIndex> = self.writer_index(start).into_iter().collect();
        let others = self.values(start).skip(1).take_while(|value| *value != start);
        operations.extend(others.filter_map(|value| self.writer_index(value)));
        Decision::invalid(Anomaly::ReadFromFuture, operations)
    }

    /// Two chains that must each come before the other.
    pub(super) fn conflict(&self, a: Block, b: Block) -> Decision {
        let (a, b) = match (self.bounds(a), self.bounds(b)) {
            (Ok(a), Ok(b)) => (a, b),
            (Err(violation), _) | (_, Err(violation)) => return violation,
        };
        // The older chain is the one that something still observed too late.
        let (older, newer) = if self.is_older(&a, &b) { (a, b) } else { (b, a) };
        let mut operations = vec![self.index(older.last), self.index(newer.first)];
        operations.extend(self.writer_index(self.seen_before(older.last)));
        operations.extend(self.writer_index(self.seen_after(newer.first)));
        if older.first != NONE {
            operations.push(self.index(older.first));
            operations.push(self.index(newer.last));
        }
        Decision::invalid(self.name_conflict(&older, &newer), operations)
    }

    fn bounds(&self, block: Block) -> Result<Bounds, Decision> {
        let extent = self.extent(block.head, &mut 0)?;
        let (first_time, first) = extent.first_return;
        Ok(Bounds { first_time, first, last: extent.last_invoke.1 })
    }

    /// True when `a` is rather the older of two conflicting chains: its late operation is an observation, and its beginning is earlier.
    fn is_older(&self, a: &Bounds, b: &Bounds) -> bool {
        let observes = |bounds: &Bounds| self.entry(bounds.last).seen != NONE;
        match (observes(a), observes(b)) {
            (true, false) => true,
            (false, true) => false,
            _ => a.first_time <= b.first_time,
        }
    }

    /// A lost write rather than a stale read: nobody ever observed the acknowledged newer value, and at least two processes
    /// read the older one after it and before any other write was invoked.
    fn name_conflict(&self, older: &Bounds, newer: &Bounds) -> Anomaly {
        let writer = self.entry(newer.first);
        if writer.seen != NONE {
            return Anomaly::StaleRead;
        }
        let cluster = self.clusters[writer.made as usize];
        if cluster.reads > 0 || cluster.winner != NONE || writer.ret == NEVER {
            return Anomaly::StaleRead;
        }
        let old = self.seen_before(older.last);
        let mut processes = Vec::new();
        for (number, entry) in (0u32..).zip(&self.calls.entries).filter(|(_, entry)| entry.invoke > writer.ret) {
            if entry.made != NONE {
                break;
            }
            match entry.seen {
                NONE => {}
                seen if seen == old => processes.push(self.process(number)),
                _ => return Anomaly::StaleRead,
            }
        }
        processes.sort_unstable();
        processes.dedup();
        if processes.len() >= 2 { Anomaly::LostWrite } else { Anomaly::StaleRead }
    }
}
