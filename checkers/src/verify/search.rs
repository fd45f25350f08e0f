//! The exhaustive search: is there any order of these few operations?
//!
//! ```text
//!   by invocation   a b c d e f g     done: a b . d . . .     next may be what was invoked before the first return
//!                   └done┘ ↑ └─open   first open: c           of what must be and is not done: c, perhaps e
//! ```
//!
//! Depth-first, with a memory of what was tried (Wing and Gong, "Testing and verifying concurrent objects" (1993); Lowe, "Testing for
//! linearizability" (2017), section 3). Three things are not tried, because they cannot be the only way:
//! - a point where the state and what is done of the *required* operations were there before, with no more done of the *optional* ones
//!   (those of unknown outcome): whatever is still possible here was possible there;
//! - anything else where an operation that never changes anything can be done: in an order that has it later it can be moved here;
//! - the later of two equal optional operations before the earlier: they can be exchanged.

use std::collections::HashMap;
use std::time::Instant;

use super::deletions::changes_nothing;
use super::object::Object;
use super::{Bounds, happened};
use crate::history::{Operation, Value};

/// Points between two looks at the clock.
const POINTS_PER_LOOK: u64 = 256;

/// What the search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// No order is possible.
    None,
    /// This one is, by places among the operations.
    Order(Vec<usize>),
    /// The bounds were reached first.
    GaveUp,
}

/// An operation with its place among those that were given.
struct Candidate<'v> {
    operation: Operation<&'v Value>,
    place: usize,
}

/// The optional operations that are done, a bit each.
type Bits = Box<[u64]>;

/// Which of the required operations are done: all before `first_open`, and beyond it those in `ahead`, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Done {
    first_open: usize,
    ahead: Vec<usize>,
}

impl Done {
    fn contains(&self, number: usize) -> bool {
        number < self.first_open || self.ahead.binary_search(&number).is_ok()
    }

    fn with(&self, number: usize) -> Self {
        let mut ahead = self.ahead.clone();
        if let Err(at) = ahead.binary_search(&number) {
            ahead.insert(at, number);
        }
        let run = (self.first_open..).zip(&ahead).take_while(|(open, ahead)| open == *ahead).count();
        ahead.drain(..run);
        Self { first_open: self.first_open + run, ahead }
    }
}

/// A point of the search.
struct Point<'v> {
    done: Done,
    optional: Bits,
    object: Object<'v>,
    /// How many operations led here, and the last of them.
    depth: usize,
    last: usize,
}

struct Search<'v> {
    /// By invocation.
    required: Vec<Candidate<'v>>,
    optional: Vec<Candidate<'v>>,
    /// For each optional operation the equal one before it.
    twins: Vec<Option<usize>>,
}

/// Looks for an order of the operations, which come in order of invocation and have not failed.
pub(super) fn order<'v>(
    object: Object<'v>,
    operations: &[Operation<&'v Value>],
    bounds: Bounds,
    end: Option<Instant>,
) -> Found {
    let (mut required, mut optional) = (Vec::new(), Vec::new());
    for (place, &operation) in operations.iter().enumerate() {
        if happened(&operation) {
            required.push(Candidate { operation, place });
        } else if !changes_nothing(&operation) {
            optional.push(Candidate { operation, place });
        }
    }
    let twin =
        |at: usize| optional[..at].iter().rposition(|other| other.operation.action == optional[at].operation.action);
    let twins = (0..optional.len()).map(twin).collect();
    Search { required, optional, twins }.run(object, bounds, end)
}

impl<'v> Search<'v> {
    fn run(&self, object: Object<'v>, bounds: Bounds, end: Option<Instant>) -> Found {
        let optional = vec![0; self.optional.len().div_ceil(64)].into();
        let mut open = vec![Point { done: Done::default(), optional, object, depth: 0, last: 0 }];
        let mut tried: HashMap<(Done, Object<'v>), Vec<Bits>> = HashMap::new();
        let (mut steps, mut bytes, mut points) = (0, 0, 0u64);
        let mut path = Vec::new();
        while let Some(point) = open.pop() {
            path.truncate(point.depth.saturating_sub(1));
            if point.depth > 0 {
                path.push(point.last);
            }
            if point.done.first_open == self.required.len() {
                return Found::Order(path);
            }
            bytes += 200 + 8 * (point.done.ahead.len() + point.optional.len()) + point.object.heap_bytes();
            let known = tried.entry((point.done.clone(), point.object.clone())).or_default();
            if known.iter().any(|known| is_within(known, &point.optional)) {
                continue;
            }
            known.push(point.optional.clone());
            let before = open.len();
            self.next(&point, &mut open);
            steps += 1 + (open.len() - before) as u64;
            points += 1;
            let is_late = points.is_multiple_of(POINTS_PER_LOOK) && end.is_some_and(|end| Instant::now() >= end);
            if is_late || steps > bounds.steps || bytes > bounds.memory_bytes {
                return Found::GaveUp;
            }
        }
        Found::None
    }

    /// Adds the points that one more operation leads to; the one to be tried first comes last.
    fn next(&self, point: &Point<'v>, open: &mut Vec<Point<'v>>) {
        let mut first_return = u64::MAX;
        let mut candidates = Vec::new();
        for (number, candidate) in self.required.iter().enumerate().skip(point.done.first_open) {
            if candidate.operation.invoke > first_return {
                break;
            }
            if !point.done.contains(number) {
                first_return = first_return.min(candidate.operation.ret);
                candidates.push(number);
            }
        }
        let from = open.len();
        for (number, candidate) in self.optional.iter().enumerate() {
            let waits_for_twin = self.twins[number].is_some_and(|twin| !is_set(&point.optional, twin));
            if candidate.operation.invoke > first_return || is_set(&point.optional, number) || waits_for_twin {
                continue;
            }
            let mut object = point.object.clone();
            if object.apply(&candidate.operation) && object != point.object {
                let mut optional = point.optional.clone();
                optional[number / 64] |= 1 << (number % 64);
                let (done, last) = (point.done.clone(), candidate.place);
                open.push(Point { done, optional, object, depth: point.depth + 1, last });
            }
        }
        // What returns first is tried first.
        candidates.retain(|&number| self.required[number].operation.invoke <= first_return);
        candidates.sort_by_key(|&number| std::cmp::Reverse(self.required[number].operation.ret));
        for number in candidates {
            let candidate = &self.required[number];
            let mut object = point.object.clone();
            if !object.apply(&candidate.operation) {
                continue;
            }
            if changes_nothing(&candidate.operation) {
                open.truncate(from);
            }
            let (done, optional, last) = (point.done.with(number), point.optional.clone(), candidate.place);
            open.push(Point { done, optional, object, depth: point.depth + 1, last });
            if changes_nothing(&candidate.operation) {
                return;
            }
        }
    }
}

fn is_set(bits: &Bits, number: usize) -> bool {
    bits[number / 64] >> (number % 64) & 1 == 1
}

fn is_within(some: &Bits, others: &Bits) -> bool {
    some.iter().zip(others).all(|(some, others)| some & !others == 0)
}
