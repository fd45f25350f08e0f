//! Append lists with unique elements, one event at a time: the streaming form of the sweep over groups.
//!
//! ```text
//!   order      [7, 3, 9]          the longest read so far
//!   groups     reads of [] ─ append 7 ─ reads of [7] ─ append 3 ─ … ─ reads of all │ rest: acknowledged, in no read
//!   returns    (3, t1) (9, t2)    for each length: when a longer list was there at the latest; t1 < t2
//! ```
//!
//! An operation must not have returned before one of an earlier group was invoked. What was invoked latest in the
//! ordered groups is one number, because everything new comes after all of them; only a read shorter than the longest
//! must be compared with the returns of later groups, and of those only the ones that are earlier than all after them.
//! Elements that are read are the list itself, which is alive; what is forgotten are returns that are before the
//! horizon, but for the last.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::horizon::Observers;
use super::{Call, Stop};
use crate::describe;
use crate::history::{Action, Completion, Value};
use crate::verdict::Anomaly;

/// A key with more returns than this waits no longer for reads that were given up.
const RETURNS_CROWDED: usize = 64;

/// What is known of one list.
#[derive(Clone, Debug)]
pub(super) struct List {
    observers: Observers,
    /// The longest list read so far.
    order: Vec<Value>,
    /// How many elements it started with.
    initial: usize,
    elements: FxHashMap<Value, Element>,
    /// Acknowledged and in no read so far, by time of return; some may be in the order by now.
    rest: VecDeque<(u64, Value)>,
    /// Of the later groups: length, and earliest return of that group and all after it.
    returns: VecDeque<(usize, u64)>,
    /// The latest invocation of all ordered groups.
    last_invoke: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum Element {
    /// There from the start.
    Initial,
    /// Nobody has read it.
    Unread {
        invoke: u64,
        ret: Option<u64>,
    },
    Read,
}

impl List {
    pub(super) fn new(initial: &Value) -> Self {
        let order = elements(initial).to_vec();
        Self {
            observers: Observers::default(),
            initial: order.len(),
            elements: order.iter().map(|element| (element.clone(), Element::Initial)).collect(),
            order,
            rest: VecDeque::new(),
            returns: VecDeque::new(),
            last_invoke: None,
        }
    }

    /// Takes an invocation.
    pub(super) fn invoked(&mut self, call: &Call) -> Result<(), Stop> {
        match &call.action {
            Action::Read => self.observers.invoked(call.invoke, call.number),
            Action::Append(new) => {
                let element = Element::Unread { invoke: call.invoke, ret: None };
                if self.elements.insert(new.clone(), element).is_some() {
                    return Err(Stop::Unsuited("an element was appended twice"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes notice that an operation may never answer.
    pub(super) fn given_up(&mut self, call: &Call) {
        self.observers.given_up(call.invoke, call.number);
    }

    /// Takes an answer. For a read linear in the length of its list.
    pub(super) fn completed(&mut self, call: &Call, completion: &Completion, ret: u64) -> Result<(), Stop> {
        let answer = match (&call.action, completion) {
            (Action::Append(new), Completion::Ok(_)) => {
                self.acknowledged(new, ret);
                Ok(())
            }
            (Action::Append(new), Completion::Fail) => self.undone(new),
            (Action::Read, Completion::Ok(Some(seen))) => self.read(seen, call.invoke, ret),
            _ => Ok(()),
        };
        self.observers.completed(call.invoke, call.number);
        answer?;
        self.advance(ret);
        Ok(())
    }

    /// How much is kept, by number.
    pub(super) fn kept(&self) -> usize {
        self.observers.len() + self.order.len() + self.elements.len() + self.rest.len() + self.returns.len()
    }

    fn acknowledged(&mut self, new: &Value, now: u64) {
        if let Some(Element::Unread { ret, .. }) = self.elements.get_mut(new) {
            *ret = Some(now);
            self.rest.push_back((now, new.clone()));
        }
    }

    fn undone(&mut self, new: &Value) -> Result<(), Stop> {
        match self.elements.remove(new) {
            Some(Element::Unread { .. }) => Ok(()),
            _ => violation(Anomaly::Phantom, "it definitely failed, yet its element was read".into()),
        }
    }

    fn read(&mut self, seen: &Value, invoke: u64, now: u64) -> Result<(), Stop> {
        if !matches!(seen, Value::Nil | Value::List(_)) {
            return violation(Anomaly::ReadOfUnwritten, "that is not a list, and nothing else was ever there".into());
        }
        if self.observers.is_beyond(invoke) {
            return Err(Stop::TooLate);
        }
        let seen = elements(seen);
        let common = seen.len().min(self.order.len());
        if let Some(place) = (0..common).find(|&place| seen[place] != self.order[place]) {
            let (here, there) = (describe::value(&seen[place]), describe::value(&self.order[place]));
            let what =
                format!("it disagrees with an earlier read: at place {place} it holds {here}, the other {there}");
            return violation(Anomaly::ReorderedAppend, what);
        }
        if seen.len() < self.initial {
            return violation(Anomaly::LostWrite, "elements that were there from the start are missing".into());
        }
        if seen.len() < self.order.len() {
            self.shorter(seen.len(), invoke)?;
        } else {
            seen[common..].iter().try_for_each(|element| self.extend(element))?;
            self.note_return(seen.len(), now);
        }
        self.last_invoke = self.last_invoke.max(Some(invoke));
        self.miss_nothing()
    }

    /// A read of a list that is not the longest.
    fn shorter(&self, length: usize, invoke: u64) -> Result<(), Stop> {
        let later = self.returns.partition_point(|&(other, _)| other <= length);
        if self.returns.get(later).is_some_and(|&(_, earliest)| earliest < invoke) {
            return violation(Anomaly::StaleRead, "a longer list had been there before it was invoked".into());
        }
        Ok(())
    }

    /// The next element of the longest list.
    fn extend(&mut self, new: &Value) -> Result<(), Stop> {
        let (invoke, ret) = match self.elements.get_mut(new) {
            Some(element) => match std::mem::replace(element, Element::Read) {
                Element::Unread { invoke, ret } => (invoke, ret),
                Element::Read | Element::Initial => {
                    let what = format!("it holds {} twice, which was appended once", describe::value(new));
                    return violation(Anomaly::DuplicatedAppend, what);
                }
            },
            None => {
                let what = format!("it holds {}, which nobody had appended by then", describe::value(new));
                return violation(Anomaly::ReadOfUnwritten, what);
            }
        };
        self.order.push(new.clone());
        if let Some(ret) = ret {
            if Some(ret) < self.last_invoke {
                let what = format!(
                    "it holds {} after elements or reads that were invoked after the append of that had returned",
                    describe::value(new)
                );
                return violation(Anomaly::ReorderedAppend, what);
            }
            self.note_return(self.order.len(), ret);
        }
        self.last_invoke = self.last_invoke.max(Some(invoke));
        Ok(())
    }

    /// The group of this length, which is the last one, has an operation that returned then.
    fn note_return(&mut self, length: usize, ret: u64) {
        while self.returns.pop_back_if(|(_, earlier)| *earlier >= ret).is_some() {}
        if self.returns.back().is_none_or(|&(last, _)| last < length) {
            self.returns.push_back((length, ret));
        }
    }

    /// No acknowledged append may be missing from what was read or ordered by operations invoked after its return.
    fn miss_nothing(&mut self) -> Result<(), Stop> {
        let elements = &self.elements;
        let is_read = |(_, element): &mut (u64, Value)| !matches!(elements.get(element), Some(Element::Unread { .. }));
        while self.rest.pop_front_if(is_read).is_some() {}
        match self.rest.front() {
            Some((ret, missing)) if Some(*ret) < self.last_invoke => {
                let what = format!("the acknowledged {} is missing", describe::value(missing));
                violation(Anomaly::LostWrite, what)
            }
            _ => Ok(()),
        }
    }

    fn advance(&mut self, now: u64) {
        let horizon = self.observers.advance(now, self.returns.len() > RETURNS_CROWDED);
        while self.returns.get(1).is_some_and(|(_, earliest)| *earliest < horizon) {
            self.returns.pop_front();
        }
    }
}

fn violation(anomaly: Anomaly, what: String) -> Result<(), Stop> {
    Err(Stop::Violation { anomaly, what })
}

/// A list as the history has it: absent is empty.
fn elements(value: &Value) -> &[Value] {
    match value {
        Value::List(elements) => elements,
        _ => &[],
    }
}
