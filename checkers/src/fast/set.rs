//! Sets: the reads form a chain by inclusion, which gives groups, and one sweep checks those against real time.
//!
//! ```text
//!   reads      {}      {3, 7}      {3, 7, 9}
//!   groups     reads of {} ─ add 3, add 7 ─ reads of {3, 7} ─ add 9 ─ reads of {3, 7, 9} ─ the rest
//!   reject     an operation that returned before one of an earlier group was invoked
//! ```
//!
//! With every element added at most once, any two reads must be one inside the other: sets only grow. An addition comes after the
//! largest read that does not hold its element and before the smallest that does, so the groups' order is forced; inside a group
//! there is none but that of real time. Judging each element alone is not enough: reads {1} and {2} after additions of 1 and 2 at the same
//! time pass that. *The rest* are acknowledged additions that no read holds. An addition of unknown outcome that no read holds
//! is dropped: in any order that has it, it comes after all reads. The groups one after the other are the order that proves a valid verdict.
//! After the test for sets of Abdulla, Grahn, Jonsson, Krishna and Mishra, "Efficient linearizability monitoring"
//! (arXiv 2509.17795), which knows single elements; the chain is that of whole reads. Where an element is added twice the searches
//! decide.

use rustc_hash::FxHashMap;

use super::Decision;
use crate::history::{Action, Completion, OpIndex, Operation, Value, ValueId};
use crate::key::KeyHistory;
use crate::model::elements;
use crate::search::{Limits, NEVER};
use crate::verdict::Anomaly;

/// Bytes for each operation at most: lists of additions and reads, places by element, groups, and the order.
const BYTES_PER_OPERATION: usize = 128;

/// The group of what no read holds.
const UNREAD: u32 = u32::MAX;

/// One set's additions and reads.
pub(crate) struct Sets<'h> {
    key: KeyHistory<'h>,
    initial: &'h [Value],
    /// The additions that happened or may have, with their elements.
    adds: Vec<(OpIndex, &'h Value)>,
    reads: Vec<(OpIndex, &'h [Value])>,
}

impl<'h> Sets<'h> {
    /// The operations of this key.
    pub(crate) fn of(key: KeyHistory<'h>, initial: &'h Value) -> Self {
        let (mut adds, mut reads) = (Vec::new(), Vec::new());
        for (index, operation) in key.operations() {
            match (operation.action, operation.completion) {
                (Action::Add(new), Completion::Ok(_) | Completion::Info) => adds.push((index, key.value(new))),
                (Action::Read, Completion::Ok(Some(seen))) => reads.push((index, elements(key.value(seen)))),
                _ => {}
            }
        }
        Self { key, initial: elements(initial), adds, reads }
    }

    /// The fast test, where each element is added at most once. O(total size of the reads + n log n).
    pub(crate) fn judge(&self, limits: &Limits<'_>) -> Decision {
        if let Err(ended) = limits.reserve((self.adds.len() + self.reads.len()) * BYTES_PER_OPERATION) {
            return ended;
        }
        match self.numbers() {
            Some(numbers) => self.order_of_all(&numbers, limits).map_or_else(|early| early, Decision::Valid),
            None => Decision::NotMine,
        }
    }

    /// Each element's number: its place among the additions, and after those the initial ones. `None` when one is added twice or is
    /// there from the start.
    fn numbers(&self) -> Option<FxHashMap<&'h Value, u32>> {
        let elements = self.adds.iter().map(|(_, element)| *element).chain(self.initial);
        let mut numbers = FxHashMap::default();
        numbers.reserve(self.adds.len() + self.initial.len());
        (0u32..).zip(elements).all(|(number, element)| numbers.insert(element, number).is_none()).then_some(numbers)
    }

    fn order_of_all(&self, numbers: &FxHashMap<&'h Value, u32>, limits: &Limits<'_>) -> Result<Vec<OpIndex>, Decision> {
        let mut by_size: Vec<usize> = (0..self.reads.len()).collect();
        // Stable: reads of one size stay in order of invocation.
        by_size.sort_by_key(|&read| self.reads[read].1.len());
        // The first read of the chain, by place in it, that holds an element. The initial ones are held by one before all.
        let mut group_of = vec![UNREAD; self.adds.len() + self.initial.len()];
        group_of[self.adds.len()..].fill(0);
        let mut held = self.initial.len();
        for (place, &read) in (0u32..).zip(&by_size) {
            let (_, set) = self.reads[read];
            let mut held_here = 0;
            for (done, element) in set.iter().enumerate() {
                limits.step("comparing reads", done + 1, set.len())?;
                let Some(&number) = numbers.get(element) else { return Err(self.unadded(read, element)) };
                let group = &mut group_of[number as usize];
                if *group == UNREAD {
                    *group = place + 1;
                } else if *group <= place {
                    held_here += 1;
                }
            }
            if held_here != held {
                return Err(self.not_a_chain(&by_size[..place as usize], read, numbers));
            }
            held = set.len();
        }
        self.sweep(&by_size, &group_of, numbers, limits)
    }

    /// Checks the groups one after the other.
    fn sweep(
        &self,
        by_size: &[usize],
        group_of: &[u32],
        numbers: &FxHashMap<&'h Value, u32>,
        limits: &Limits<'_>,
    ) -> Result<Vec<OpIndex>, Decision> {
        // Additions in order of the read that first holds them, each group in order of invocation; unread ones last.
        let mut adds: Vec<usize> = (0..self.adds.len())
            .filter(|&add| group_of[add] != UNREAD || self.ret(self.adds[add].0) != NEVER)
            .collect();
        adds.sort_by_key(|&add| group_of[add]);
        let mut adds = adds.into_iter().peekable();
        let mut sweep = Sweep { sets: self, numbers, all: Vec::with_capacity(self.key.places.len()), latest: None };
        for (place, &read) in (0u32..).zip(by_size) {
            limits.step("checking real time", place as usize + 1, by_size.len())?;
            while let Some(add) = adds.next_if(|&add| group_of[add] == place + 1) {
                sweep.next(self.adds[add].0)?;
            }
            sweep.next(self.reads[read].0)?;
        }
        // Reads of the same set are a group each here, and so are additions of one group. They come in order of invocation, so
        // none can have returned before one that comes before it was invoked.
        for add in adds {
            sweep.next(self.adds[add].0)?;
        }
        Ok(sweep.all)
    }

    fn operation(&self, index: OpIndex) -> &'h Operation<ValueId> {
        self.key.compact(index)
    }

    fn ret(&self, index: OpIndex) -> u64 {
        self.operation(index).ret
    }

    fn add_of(&self, numbers: &FxHashMap<&'h Value, u32>, element: &Value) -> Option<OpIndex> {
        numbers.get(element).and_then(|&number| self.adds.get(number as usize)).map(|(index, _)| *index)
    }

    /// An element that nobody can have added.
    fn unadded(&self, read: usize, element: &Value) -> Decision {
        let read = self.reads[read].0;
        let failed = self
            .key
            .operations()
            .find(|(_, operation)| matches!(operation.action, Action::Add(new) if self.key.value(new) == element));
        match failed {
            Some((failed, _)) => Decision::invalid(Anomaly::Phantom, vec![read, failed]),
            None => Decision::invalid(Anomaly::ReadOfUnwritten, vec![read]),
        }
    }

    /// A read that lacks an element which a read of fewer or as many held: the two cannot both be.
    fn not_a_chain(&self, smaller: &[usize], read: usize, numbers: &FxHashMap<&'h Value, u32>) -> Decision {
        let (index, set) = self.reads[read];
        let lacks = |set: &'h [Value], elements: &'h [Value]| {
            let set: rustc_hash::FxHashSet<&Value> = set.iter().collect();
            elements.iter().find(|element| !set.contains(element))
        };
        if lacks(set, self.initial).is_some() {
            return Decision::invalid(Anomaly::LostWrite, vec![index]);
        }
        // Those before form a chain, so that the last holds what any does.
        let (other, other_set) = self.reads[*smaller.last().expect("what the read lacks was held by one before")];
        let here = lacks(other_set, set).and_then(|element| self.add_of(numbers, element));
        let there = lacks(set, other_set).and_then(|element| self.add_of(numbers, element));
        let (one, two) = (self.operation(index), self.operation(other));
        let in_time = one.ret < two.invoke || two.ret < one.invoke;
        let anomaly = if in_time { Anomaly::LostWrite } else { Anomaly::ReorderedAppend };
        Decision::invalid(anomaly, [Some(index), Some(other), here, there].into_iter().flatten().collect())
    }
}

/// What was checked so far.
struct Sweep<'a, 'h> {
    sets: &'a Sets<'h>,
    numbers: &'a FxHashMap<&'h Value, u32>,
    all: Vec<OpIndex>,
    /// The one invoked last: operations are numbered in order of invocation.
    latest: Option<OpIndex>,
}

impl Sweep<'_, '_> {
    /// The next operation must not have returned before one before it was invoked.
    fn next(&mut self, index: OpIndex) -> Result<(), Decision> {
        if let Some(earlier) = self.latest
            && self.sets.ret(index) < self.sets.operation(earlier).invoke
        {
            return Err(self.out_of_order(earlier, index));
        }
        self.all.push(index);
        self.latest = self.latest.max(Some(index));
        Ok(())
    }

    /// `later` returned before `earlier` was invoked, though the reads say that `earlier` took effect first.
    fn out_of_order(&self, earlier: OpIndex, later: OpIndex) -> Decision {
        let sets = self.sets;
        let set_of = |index: OpIndex| sets.reads.iter().find(|(read, _)| *read == index).map(|(_, set)| *set);
        let element_of = |index: OpIndex| sets.adds.iter().find(|(add, _)| *add == index).map(|(_, element)| *element);
        let mut operations = vec![earlier, later];
        let anomaly = match (set_of(earlier), set_of(later)) {
            (Some(small), Some(large)) => {
                // What one holds and the other does not.
                let between = large.iter().find(|element| !small.contains(element));
                operations.extend(between.and_then(|element| sets.add_of(self.numbers, element)));
                Anomaly::StaleRead
            }
            (None, Some(_)) => Anomaly::ReadFromFuture,
            (Some(_), None) => self.stale_or_lost(later),
            (None, None) => {
                // Two additions in the wrong order, as a read says that holds the one and not the other.
                let (early, late) = (element_of(earlier), element_of(later));
                let holds =
                    |set: &[Value], element: Option<&Value>| element.is_some_and(|element| set.contains(element));
                let witness = sets.reads.iter().find(|(_, set)| holds(set, early) && !holds(set, late));
                operations.extend(witness.map(|(read, _)| *read));
                match self.stale_or_lost(later) {
                    Anomaly::LostWrite => Anomaly::LostWrite,
                    _ => Anomaly::ReorderedAppend,
                }
            }
        };
        Decision::invalid(anomaly, operations)
    }

    /// An acknowledged addition that a later read lacks is lost when no read ever held it.
    fn stale_or_lost(&self, add: OpIndex) -> Anomaly {
        let element = self.sets.adds.iter().find(|(index, _)| *index == add).map(|(_, element)| *element);
        let is_read = element.is_some_and(|element| self.sets.reads.iter().any(|(_, set)| set.contains(element)));
        if is_read { Anomaly::StaleRead } else { Anomaly::LostWrite }
    }
}
