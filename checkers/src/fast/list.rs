//! Append lists: the longest read gives the order, and one sweep checks it against real time.
//!
//! ```text
//!   longest read   [7, 3, 9]
//!   groups         reads of [] ─ append 7 ─ reads of [7] ─ append 3 ─ reads of [7, 3] ─ append 9 ─ reads of all ─ the rest
//!   reject         an operation that returned before one of an earlier group was invoked
//! ```
//!
//! With every element appended at most once, each read must be a prefix of the longest. *The rest* are acknowledged appends
//! that the longest read does not hold: they come after everything observed, in any order among themselves; a lost append shows
//! there. An append of unknown outcome that no read holds is dropped. The groups one after the other are the order that proves a valid
//! verdict. Where an element is appended twice, the searches decide.

use rustc_hash::FxHashMap;

use super::Decision;
use crate::history::{Action, Completion, OpIndex, Operation, Value, ValueId};
use crate::key::KeyHistory;
use crate::model::elements;
use crate::search::Limits;
use crate::verdict::Anomaly;

/// Bytes for each operation at most: places by length and by element, and the order.
const BYTES_PER_OPERATION: usize = 96;

/// Elements compared between two looks at the limits.
const COMPARED_PER_LOOK: usize = 1 << 16;

/// One list's appends and reads.
pub(crate) struct Lists<'h> {
    key: KeyHistory<'h>,
    initial: &'h [Value],
    /// The appends that happened or may have.
    appends: Vec<(OpIndex, &'h Operation<ValueId>, &'h Value)>,
    reads: Vec<(OpIndex, &'h Operation<ValueId>, &'h [Value])>,
}

impl<'h> Lists<'h> {
    pub(crate) fn of(key: KeyHistory<'h>, initial: &'h Value) -> Self {
        let initial = elements(initial);
        let (mut appends, mut reads) = (Vec::new(), Vec::new());
        for (index, operation) in key.operations() {
            match (operation.action, operation.completion) {
                (Action::Append(new), Completion::Ok(_) | Completion::Info) => {
                    appends.push((index, operation, key.value(new)));
                }
                (Action::Read, Completion::Ok(Some(seen))) => reads.push((index, operation, elements(key.value(seen)))),
                _ => {}
            }
        }
        Self { key, initial, appends, reads }
    }

    /// Each element's append by its place in `appends`; `None` when an element is appended twice or there from the start.
    fn unique_appends(&self) -> Option<FxHashMap<&'h Value, usize>> {
        let mut unique = FxHashMap::with_capacity_and_hasher(self.appends.len(), rustc_hash::FxBuildHasher);
        for (place, (_, _, element)) in self.appends.iter().enumerate() {
            if unique.insert(*element, place).is_some() {
                return None;
            }
        }
        (!self.initial.iter().any(|element| unique.contains_key(element))).then_some(unique)
    }

    /// The fast test, where each element is appended at most once.
    pub(crate) fn judge(&self, limits: &Limits<'_>) -> Decision {
        if let Err(ended) = limits.reserve((self.appends.len() + self.reads.len()) * BYTES_PER_OPERATION) {
            return ended;
        }
        match self.unique_appends() {
            Some(appends) => self.order_of_all(&appends, limits).map_or_else(|early| early, Decision::Valid),
            None => Decision::NotMine,
        }
    }

    fn order_of_all(
        &self,
        appends: &FxHashMap<&'h Value, usize>,
        limits: &Limits<'_>,
    ) -> Result<Vec<OpIndex>, Decision> {
        let longest = self.reads.iter().max_by_key(|(_, _, list)| list.len()).copied();
        let order = match longest {
            Some((index, _, list)) => self.order(appends, index, list)?,
            None => Vec::new(),
        };
        let mut by_length: Vec<Vec<usize>> = vec![Vec::new(); order.len() + 1];
        let mut compared = 0;
        for (place, &(index, _, list)) in self.reads.iter().enumerate() {
            // A read costs as much as its list is long.
            compared += list.len();
            if compared > COMPARED_PER_LOOK {
                compared = 0;
                limits.look("comparing the lists that were read", place, self.reads.len())?;
            }
            let (longest, longest_list) = longest.map_or((index, list), |(index, _, list)| (index, list));
            if !longest_list.starts_with(list) || list.len() < self.initial.len() {
                return Err(self.not_a_prefix(appends, (index, list), (longest, longest_list)));
            }
            by_length[list.len() - self.initial.len()].push(place);
        }
        self.sweep(&order, &by_length)
    }

    /// The appends that made the longest read, in its order.
    fn order(
        &self,
        appends: &FxHashMap<&'h Value, usize>,
        index: OpIndex,
        list: &'h [Value],
    ) -> Result<Vec<usize>, Decision> {
        let Some(appended) = list.strip_prefix(self.initial) else {
            return Err(Decision::invalid(Anomaly::LostWrite, vec![index]));
        };
        let mut seen = vec![false; self.appends.len()];
        let mut order = Vec::with_capacity(appended.len());
        for element in appended {
            if self.initial.contains(element) {
                return Err(self.duplicated(index, element));
            }
            let Some(&place) = appends.get(element) else { return Err(self.unappended(index, element)) };
            if std::mem::replace(&mut seen[place], true) {
                return Err(self.duplicated(index, element));
            }
            order.push(place);
        }
        Ok(order)
    }

    fn sweep(&self, order: &[usize], by_length: &[Vec<usize>]) -> Result<Vec<OpIndex>, Decision> {
        let mut all = Vec::with_capacity(self.appends.len() + self.reads.len());
        let mut latest: Option<OpIndex> = None;
        let mut observed = vec![false; self.appends.len()];
        for (length, reads) in by_length.iter().enumerate() {
            if let Some(&append) = length.checked_sub(1).and_then(|place| order.get(place)) {
                observed[append] = true;
                self.next_group(&mut all, &mut latest, std::iter::once(self.appends[append].0))?;
            }
            self.next_group(&mut all, &mut latest, reads.iter().map(|&read| self.reads[read].0))?;
        }
        let rest = self
            .appends
            .iter()
            .zip(&observed)
            .filter(|((_, operation, _), observed)| !**observed && !operation.is_unknown());
        self.next_group(&mut all, &mut latest, rest.map(|((index, _, _), _)| *index))?;
        Ok(all)
    }

    /// Checks a group against the latest invocation of all earlier groups, then adds it. Groups come in order of invocation.
    fn next_group(
        &self,
        all: &mut Vec<OpIndex>,
        latest: &mut Option<OpIndex>,
        group: impl Iterator<Item = OpIndex> + Clone,
    ) -> Result<(), Decision> {
        if let Some(earlier) = *latest {
            let invoke = self.key.compact(earlier).invoke;
            let ends_before = |index: &OpIndex| {
                let later = self.key.compact(*index);
                !later.is_unknown() && later.ret < invoke
            };
            if let Some(later) = group.clone().find(ends_before) {
                return Err(self.out_of_order(earlier, later));
            }
        }
        all.extend(group.clone());
        // Indexes are in order of invocation.
        *latest = group.chain(*latest).max();
        Ok(())
    }

    fn append_of(&self, element: &Value) -> Option<OpIndex> {
        self.appends.iter().find(|(_, _, other)| *other == element).map(|(index, _, _)| *index)
    }

    fn duplicated(&self, index: OpIndex, element: &Value) -> Decision {
        let operations = std::iter::once(index).chain(self.append_of(element)).collect();
        Decision::invalid(Anomaly::DuplicatedAppend, operations)
    }

    fn unappended(&self, index: OpIndex, element: &Value) -> Decision {
        let failed = self
            .key
            .operations()
            .find(|(_, operation)| matches!(operation.action, Action::Append(new) if self.key.value(new) == element));
        match failed {
            Some((failed, _)) => Decision::invalid(Anomaly::Phantom, vec![index, failed]),
            None => Decision::invalid(Anomaly::ReadOfUnwritten, vec![index]),
        }
    }

    /// Why a read that is not a prefix of the longest is wrong: by itself if it is, else by the first place where the two differ.
    fn not_a_prefix(
        &self,
        appends: &FxHashMap<&'h Value, usize>,
        (index, list): (OpIndex, &'h [Value]),
        (longest, longest_list): (OpIndex, &'h [Value]),
    ) -> Decision {
        if let Err(by_itself) = self.order(appends, index, list) {
            return by_itself;
        }
        let place = list.iter().zip(longest_list).take_while(|(a, b)| a == b).count();
        let mut operations = vec![index, longest];
        operations
            .extend([&list[place], &longest_list[place]].into_iter().filter_map(|element| self.append_of(element)));
        let reordered = longest_list.contains(&list[place]);
        Decision::invalid(if reordered { Anomaly::ReorderedAppend } else { Anomaly::LostWrite }, operations)
    }

    /// `later` returned before `earlier` was invoked, though the lists say that `earlier` took effect first.
    fn out_of_order(&self, earlier: OpIndex, later: OpIndex) -> Decision {
        let (early, late) = (self.key.compact(earlier), self.key.compact(later));
        let is_observed =
            |element: ValueId| self.reads.iter().any(|(_, _, list)| list.contains(self.key.value(element)));
        let anomaly = match (early.action, late.action) {
            (_, Action::Append(new)) if !is_observed(new) => Anomaly::LostWrite,
            (Action::Read, _) => Anomaly::StaleRead,
            (_, Action::Append(_)) => Anomaly::ReorderedAppend,
            _ => Anomaly::ReadFromFuture,
        };
        Decision::invalid(anomaly, vec![earlier, later])
    }
}
