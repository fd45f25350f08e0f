//! How stale reads were: in writes, and in time.
//!
//! ```text
//!   write w ──┤ f   write w' ├──┤     write w'' ├──┤        read of w ├──┤
//!                            ret'                        invoke
//!   stale by 2 writes, and by invoke - ret'
//! ```
//!
//! A write w' is *newer for sure* than what a read r of w saw, when w' was invoked after somebody knew of w (f: the earliest return of w
//! or of a read of it; before everything for an initial value) and returned before r was invoked. Real time puts all of these
//! between w and r, so
//! - in writes: how many there are. A read stale by n needs k > n in k-atomicity (Golab, Hurwitz and Li, "On the k-atomicity-
//!   verification problem", ICDCS 2013, arXiv 1309.5522); a read of a 1-atomic history is never stale;
//! - in time: from the earliest return of one of them to r's invocation: the least by which r's interval would have to reach back, as
//!   in Golab, Li and Shah, "Analyzing consistency properties for fun and profit", PODC 2011.
//!
//! A list that lacks acknowledged appends is stale by those that had returned before the read was invoked. Both are lower bounds: a
//! read that is not called stale may still be out of order. Reads without a clear source are not counted. O(n log n).

use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};

use super::input::{Input, Reads};
use crate::history::{History, TimeUnit};

/// What the times of [`Staleness`] count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StaleUnit {
    /// Nanoseconds.
    Nanoseconds,
    /// Events of the history, which had no clock.
    Events,
}

/// The distribution of one measure over the stale reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distribution {
    /// The median: half of the stale reads are no staler.
    pub p50: u64,
    /// The stalest.
    pub max: u64,
}

/// How stale the reads of a history were, over all keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staleness {
    /// Reads whose source is clear, of registers also successful compare-and-sets and refused ones that said what they saw.
    pub reads: u64,
    /// How many of them were stale.
    pub stale: u64,
    /// By how many writes; none when no read was stale.
    pub writes: Option<Distribution>,
    /// By how much time.
    pub time: Option<Distribution>,
    /// What times count.
    pub unit: StaleUnit,
    /// The read stalest in time, by its place in the history.
    pub worst: Option<u32>,
}

/// Measures every read.
pub(super) fn measure(input: &Input<'_>, history: &History) -> Staleness {
    let mut measured = Measured { input, history, reads: 0, stale: Vec::new() };
    let mut by_key: Vec<(Vec<u32>, Vec<u32>)> = vec![Default::default(); input.keys.len()];
    for (number, op) in (0u32..).zip(&input.ops) {
        let (reads, writes) = &mut by_key[op.key as usize];
        if op.reads != Reads::Nothing {
            reads.push(number);
        }
        if op.writes && !history.operations()[op.index.0 as usize].is_unknown() {
            writes.push(number);
        }
    }
    for (reads, writes) in &by_key {
        measured.reads += reads.len() as u64;
        if input.is_list { measured.lists(reads, writes) } else { measured.registers(reads, writes) }
    }
    let worst = measured.stale.iter().max_by_key(|stale| stale.time).map(|stale| input.op(stale.read).index.0);
    let unit = match history.time_unit() {
        TimeUnit::Nanoseconds => StaleUnit::Nanoseconds,
        TimeUnit::Order => StaleUnit::Events,
    };
    Staleness {
        reads: measured.reads,
        stale: measured.stale.len() as u64,
        writes: distribution(measured.stale.iter().map(|stale| stale.writes).collect()),
        time: distribution(measured.stale.iter().map(|stale| stale.time).collect()),
        unit,
        worst,
    }
}

fn distribution(mut sizes: Vec<u64>) -> Option<Distribution> {
    sizes.sort_unstable();
    let max = *sizes.last()?;
    Some(Distribution { p50: sizes[(sizes.len() - 1) / 2], max })
}

struct Stale {
    read: u32,
    writes: u64,
    time: u64,
}

struct Measured<'a, 'h> {
    input: &'a Input<'h>,
    history: &'h History,
    reads: u64,
    stale: Vec<Stale>,
}

impl Measured<'_, '_> {
    /// Invocation and return.
    fn times(&self, number: u32) -> (u64, u64) {
        let operation = &self.history.operations()[self.input.op(number).index.0 as usize];
        (operation.invoke, operation.ret)
    }

    fn registers(&mut self, reads: &[u32], writes: &[u32]) {
        // Operations are numbered by invocation, so these ascend.
        let invokes: Vec<u64> = writes.iter().map(|write| self.times(*write).0).collect();
        // By place the earliest return from there on.
        let mut earliest = vec![u64::MAX; writes.len() + 1];
        for (place, write) in writes.iter().enumerate().rev() {
            earliest[place] = earliest[place + 1].min(self.times(*write).1);
        }
        let mut returns: Vec<(u64, usize)> =
            writes.iter().zip(0..).map(|(write, at)| (self.times(*write).1, at)).collect();
        returns.sort_unstable();
        let mut known = rustc_hash::FxHashMap::default();
        for &read in reads {
            if let Reads::One(source) = self.input.op(read).reads
                && !self.input.is_initial(source)
            {
                let first = known.entry(source).or_insert(self.times(source).1);
                *first = (*first).min(self.times(read).1);
            }
        }
        let mut returned = Counter::new(writes.len());
        let mut next = 0;
        for &read in reads {
            let (invoke, _) = self.times(read);
            while let Some(&(_, place)) = returns.get(next).filter(|(ret, _)| *ret < invoke) {
                returned.add(place);
                next += 1;
            }
            let Reads::One(source) = self.input.op(read).reads else { continue };
            // The first write that was invoked after the source was known.
            let from = known.get(&source).map_or(0, |first| invokes.partition_point(|at| at <= first));
            if earliest[from] < invoke {
                let writes = (next - returned.below(from)) as u64;
                self.stale.push(Stale { read, writes, time: invoke - earliest[from] });
            }
        }
    }

    fn lists(&mut self, reads: &[u32], appends: &[u32]) {
        let mut returns: Vec<(u64, u32)> = appends.iter().map(|append| (self.times(*append).1, *append)).collect();
        returns.sort_unstable();
        for &read in reads {
            let (invoke, _) = self.times(read);
            let due = &returns[..returns.partition_point(|(ret, _)| *ret < invoke)];
            let shown: FxHashSet<u32> = self.input.sources(self.input.op(read)).iter().copied().collect();
            let mut lacking = due.iter().filter(|(_, append)| !shown.contains(append));
            if let Some((first, _)) = lacking.next() {
                self.stale.push(Stale { read, writes: 1 + lacking.count() as u64, time: invoke - first });
            }
        }
    }
}

/// Counts by place, with sums in logarithmic time (Fenwick, "A new data structure for cumulative frequency tables", 1994).
struct Counter {
    sums: Vec<usize>,
}

impl Counter {
    fn new(places: usize) -> Self {
        Self { sums: vec![0; places + 1] }
    }

    fn add(&mut self, place: usize) {
        let mut at = place + 1;
        while at < self.sums.len() {
            self.sums[at] += 1;
            at += at & at.wrapping_neg();
        }
    }

    /// How many were added at places below this one.
    fn below(&self, place: usize) -> usize {
        let mut at = place;
        let mut sum = 0;
        while at > 0 {
            sum += self.sums[at];
            at &= at - 1;
        }
        sum
    }
}
