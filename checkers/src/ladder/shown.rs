//! The four session guarantees on lists, where a read shows all that it saw.
//!
//! ```text
//!   read your writes      a list shows all that its session had appended
//!   monotonic reads       a list shows all that an earlier list of its session showed
//!   monotonic writes      what shows an append shows what its session had appended before, and before it
//!   writes follow reads   what shows an append shows what its session had read before, and before it
//!                         (in both: a session that has seen an append, on any key, is shown that too)
//! ```
//!
//! The definitions of `sessions`, with nothing left to be guessed: each line is looked up. Sources as there; that a list shows
//! exactly the visible appends is return value consistency in Viotti and Vukolić, "Consistency in non-transactional distributed
//! storage systems" (ACM Computing Surveys 2016), section 3.

use rustc_hash::{FxHashMap, FxHashSet};

use super::causal::{Writes, count_before};
use super::graph::{Step, Why};
use super::input::{Input, NONE, Op, Reads};
use super::sessions::Guarantee;
use super::{Level, Limits};

/// Judges one guarantee on lists.
pub(super) fn judge(level: Level, input: &Input<'_>, writes: &Writes, limits: &Limits) -> Guarantee {
    let learned = if level == Level::WritesFollowReads { learned(input, writes) } else { FxHashMap::default() };
    let mut done = 0;
    let mut seen = vec![Seen { place: 0, by: NONE, first: NONE }; writes.slot_count];
    for session in &input.sessions {
        seen.fill(Seen { place: 0, by: NONE, first: NONE });
        let mut before: FxHashMap<u32, (u32, u32)> = FxHashMap::default();
        for &number in session {
            done += 1;
            if let Err(why) = limits.check_often(done) {
                return Guarantee::Unknown(why);
            }
            let op = input.op(number);
            let Reads::List(list) = op.reads else { continue };
            let shown = Shown::new(&input.lists[list as usize]);
            let case = Case { input, writes, number, op, shown: &shown, seen: &seen };
            let broken = match level {
                Level::ReadYourWrites => case.read_your_writes(),
                Level::MonotonicReads => case.monotonic_reads(before.insert(op.key, (list, number))),
                Level::MonotonicWrites => case.monotonic_writes(),
                _ => case.writes_follow_reads(&learned),
            };
            if let Some(steps) = broken {
                return Guarantee::Fails(steps);
            }
            for &append in &input.lists[list as usize] {
                let by = input.op(append);
                let known = &mut seen[writes.slot(by) as usize];
                if known.by == NONE || known.place < by.place {
                    *known = Seen { place: by.place, by: append, first: number };
                }
            }
        }
    }
    Guarantee::Holds
}

/// What a session has seen of another: the latest append, and by which read.
#[derive(Clone, Copy)]
struct Seen {
    place: u32,
    by: u32,
    first: u32,
}

/// A list with the places of its elements.
struct Shown<'a> {
    list: &'a [u32],
    places: FxHashMap<u32, usize>,
}

impl<'a> Shown<'a> {
    fn new(list: &'a [u32]) -> Self {
        Self { list, places: list.iter().copied().zip(0..).collect() }
    }

    fn lacks(&self, append: u32) -> bool {
        !self.places.contains_key(&append)
    }
}

/// By key and slot: what the session learned by its reads, each append once: the place of the read, the read, the append.
type Learned = FxHashMap<u32, FxHashMap<u32, Vec<(u32, u32, u32)>>>;

fn learned(input: &Input<'_>, writes: &Writes) -> Learned {
    let mut learned = Learned::default();
    let mut known: FxHashSet<u32> = FxHashSet::default();
    for (session, ops) in input.sessions.iter().enumerate().filter(|(session, _)| writes.slots[*session] != NONE) {
        known.clear();
        for &number in ops {
            let op = input.op(number);
            for &append in input.sources(op).iter().filter(|append| known.insert(**append)) {
                let of_key = learned.entry(op.key).or_default();
                of_key.entry(writes.slots[session]).or_default().push((op.place, number, append));
            }
        }
    }
    learned
}

/// One read.
struct Case<'a, 'h> {
    input: &'a Input<'h>,
    writes: &'a Writes,
    number: u32,
    op: &'a Op,
    shown: &'a Shown<'a>,
    seen: &'a [Seen],
}

impl Case<'_, '_> {
    fn read_your_writes(&self) -> Option<Vec<Step>> {
        let slot = self.writes.slot(self.op);
        let (_, own) = self.writes.by_key[self.op.key as usize].iter().find(|(other, _)| *other == slot)?;
        let own = &own[..count_before(self.input, own, self.op.place)];
        let &lacking = own.iter().find(|append| self.shown.lacks(**append))?;
        Some(vec![(lacking, Why::Session, self.number), self.misses(lacking)])
    }

    fn monotonic_reads(&self, before: Option<(u32, u32)>) -> Option<Vec<Step>> {
        let (list, first) = before?;
        let &lacking = self.input.lists[list as usize].iter().find(|append| self.shown.lacks(**append))?;
        Some(vec![(lacking, Why::ReadsFrom, first), (first, Why::Session, self.number), self.misses(lacking)])
    }

    fn monotonic_writes(&self) -> Option<Vec<Step>> {
        let mut latest: FxHashMap<u32, u32> = FxHashMap::default();
        for &append in self.shown.list {
            let slot = self.writes.slot(self.input.op(append));
            if let Some(before) = latest.insert(slot, append)
                && self.input.op(before).place > self.input.op(append).place
            {
                return Some(vec![(append, Why::Session, before), self.listed(before, append)]);
            }
        }
        for (slot, of_session) in &self.writes.by_key[self.op.key as usize] {
            for (append, way) in self.witnesses(*slot, latest.get(slot).copied()) {
                let count = count_before(self.input, of_session, self.input.op(append).place);
                if let Some(&lacking) = of_session[..count].iter().find(|append| self.shown.lacks(**append)) {
                    let mut steps = vec![(lacking, Why::Session, append)];
                    steps.extend(way);
                    steps.push(self.misses(lacking));
                    return Some(steps);
                }
            }
        }
        None
    }

    fn writes_follow_reads(&self, learned: &Learned) -> Option<Vec<Step>> {
        let learned = learned.get(&self.op.key)?;
        let mut latest: FxHashMap<u32, u32> = FxHashMap::default();
        for &append in self.shown.list {
            let by = self.input.op(append);
            let slot = self.writes.slot(by);
            let known = learned.get(&slot).map_or(&[][..], Vec::as_slice);
            let known = &known[..known.partition_point(|(place, ..)| *place < by.place)];
            let wrong = |other: u32| self.shown.places.get(&other).is_some_and(|at| *at >= self.shown.places[&append]);
            if let Some(&(_, read, other)) = known.iter().find(|(.., other)| wrong(*other)) {
                let step = self.listed(append, other);
                return Some(vec![(other, Why::ReadsFrom, read), (read, Why::Session, append), step]);
            }
            let latest = latest.entry(slot).or_insert(append);
            if self.input.op(*latest).place < by.place {
                *latest = append;
            }
        }
        for (&slot, known) in learned {
            for (append, way) in self.witnesses(slot, latest.get(&slot).copied()) {
                let place = self.input.op(append).place;
                let known = &known[..known.partition_point(|(at, ..)| *at < place)];
                if let Some(&(_, read, lacking)) = known.iter().find(|(.., other)| self.shown.lacks(*other)) {
                    let mut steps = vec![(lacking, Why::ReadsFrom, read), (read, Why::Session, append)];
                    steps.extend(way);
                    steps.push(self.misses(lacking));
                    return Some(steps);
                }
            }
        }
        None
    }

    /// The latest appends of a session that this read, or an earlier one of its session, shows; with the way to this read.
    fn witnesses(&self, slot: u32, latest: Option<u32>) -> Vec<(u32, Vec<Step>)> {
        let mut witnesses = Vec::new();
        if let Some(append) = latest {
            witnesses.push((append, vec![(append, Why::ReadsFrom, self.number)]));
        }
        let Seen { by, first, .. } = self.seen[slot as usize];
        if by != NONE {
            let way = vec![(by, Why::ReadsFrom, first), (first, Why::Session, self.number)];
            witnesses.push((by, way));
        }
        witnesses
    }

    fn misses(&self, append: u32) -> Step {
        (self.number, Why::Misses, append)
    }

    fn listed(&self, before: u32, after: u32) -> Step {
        (before, Why::Listed { read: self.number }, after)
    }
}
