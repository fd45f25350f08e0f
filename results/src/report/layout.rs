//! Where the operations of a counterexample stand in its drawing.
//!
//! ```text
//!   times         10        11   13             90000
//!   moments       x0        x1   x2             x3        as far apart as the words need, a little further for a long time
//!
//!   client 0      ├── write 10 ──┤  ╲                      lanes in order of their first operation
//!   client 5                        ╲─> ├── read nil ──┤   an arrow where one returned before the other was invoked
//! ```
//!
//! The axis is in the order of time and not to its scale: in a counterexample microseconds decide between seconds in which nothing happens.

use checkers::history::Operation;

/// Width of a letter in a label, and the smallest distance between two moments.
const LETTER: f64 = 8.2;
const MOMENT_MIN: f64 = 26.0;
/// What a time a thousand times longer adds.
const DECADE: f64 = 6.0;
/// Drawings that are narrower are stretched, but not endlessly.
const WIDTH_MIN: f64 = 560.0;
const STRETCH_MAX: f64 = 4.0;
/// Between the end of a label and the next operation of its lane.
const LABEL_GAP: f64 = 20.0;

/// One operation as it is to be drawn.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Its place in the history.
    pub number: u32,
    /// The operation.
    pub operation: Operation,
    /// What is written above it.
    pub label: String,
    /// The lane, by [`Layout::lanes`].
    pub lane: usize,
    /// From where to where; without an end the outcome is unknown.
    pub from: f64,
    /// See `from`.
    pub to: Option<f64>,
    /// Whether no order is left once this one has returned.
    pub is_last_answer: bool,
}

/// A whole drawing.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// By time of invocation.
    pub items: Vec<Item>,
    /// The processes.
    pub lanes: Vec<u64>,
    /// Every moment with its place: nanoseconds, and from the left.
    pub moments: Vec<(u64, f64)>,
    /// From which item to which an arrow leads.
    pub arrows: Vec<(usize, usize)>,
    /// How wide it all is, the left edge being 0.
    pub width: f64,
}

impl Layout {
    /// Of these operations with their labels, by number; the last answer of all must be among them, since the last among them is marked.
    /// Quadratic in their number.
    pub fn of(mut operations: Vec<(u32, Operation, String)>) -> Self {
        operations.sort_by_key(|(number, operation, _)| (operation.invoke, *number));
        let mut lanes: Vec<u64> = Vec::new();
        let mut items: Vec<Item> = Vec::new();
        for (number, operation, label) in operations {
            let process = operation.process.0;
            let lane = lanes.iter().position(|&known| known == process).unwrap_or_else(|| {
                lanes.push(process);
                lanes.len() - 1
            });
            items.push(Item { number, operation, label, lane, from: 0.0, to: None, is_last_answer: false });
        }
        let answered = items.iter().enumerate().filter(|(_, item)| !item.operation.is_unknown());
        if let Some((place, _)) = answered.max_by_key(|(_, item)| item.operation.ret) {
            items[place].is_last_answer = true;
        }
        let mut layout = Self { arrows: arrows(&items), items, lanes, moments: Vec::new(), width: 0.0 };
        layout.place();
        layout
    }

    /// Puts every moment as far to the left as the labels before it allow.
    fn place(&mut self) {
        let ends = |item: &Item| (!item.operation.is_unknown()).then_some(item.operation.ret);
        let mut times: Vec<u64> =
            self.items.iter().flat_map(|item| [Some(item.operation.invoke), ends(item)]).flatten().collect();
        times.sort_unstable();
        times.dedup();
        let mut lane_free = vec![0.0_f64; self.lanes.len()];
        let mut x = 0.0;
        let mut before: Option<u64> = None;
        for &time in &times {
            if let Some(before) = before {
                x += MOMENT_MIN + DECADE * (((time - before) as f64).log10() / 3.0).max(0.0);
            }
            for item in self.items.iter().filter(|item| item.operation.invoke == time) {
                x = x.max(lane_free[item.lane]);
            }
            for item in self.items.iter_mut().filter(|item| item.operation.invoke == time) {
                item.from = x;
                lane_free[item.lane] = x + item.label.chars().count() as f64 * LETTER + LABEL_GAP;
            }
            for item in self.items.iter_mut().filter(|item| ends(item) == Some(time)) {
                item.to = Some(x);
                lane_free[item.lane] = lane_free[item.lane].max(x + LABEL_GAP);
            }
            self.moments.push((time, x));
            before = Some(time);
        }
        self.width = lane_free.into_iter().fold(x + MOMENT_MIN, f64::max);
        self.stretch();
    }

    /// A few operations are drawn as large as there is room everywhere.
    fn stretch(&mut self) {
        let factor = (WIDTH_MIN / self.width).clamp(1.0, STRETCH_MAX);
        for item in &mut self.items {
            item.from *= factor;
            item.to = item.to.map(|to| to * factor);
        }
        for (_, x) in &mut self.moments {
            *x *= factor;
        }
        self.width *= factor;
    }
}

/// Which came wholly before which, on another lane, without a third between them.
fn arrows(items: &[Item]) -> Vec<(usize, usize)> {
    let before = |a: &Item, b: &Item| !a.operation.is_unknown() && a.operation.ret < b.operation.invoke;
    let mut arrows = Vec::new();
    for (from, a) in items.iter().enumerate() {
        for (to, b) in items.iter().enumerate() {
            let direct = before(a, b) && !items.iter().any(|c| before(a, c) && before(c, b));
            if direct && a.lane != b.lane {
                arrows.push((from, to));
            }
        }
    }
    arrows
}

#[cfg(test)]
mod tests {
    use checkers::history::Action;

    use super::*;

    fn layout() -> Layout {
        let write = Operation::invoked(0, Action::Write(10.into()), 1_000).done(2_000);
        let read = Operation::invoked(5, Action::Read, 2_001).returned(90_000_000, 9);
        let open = Operation::invoked(5, Action::Write(3.into()), 90_000_001);
        let operations = [(26, read, "read → 9"), (7, write, "write 10"), (30, open, "write 3 → unknown")];
        Layout::of(operations.map(|(number, operation, label)| (number, operation, label.to_owned())).to_vec())
    }

    #[test]
    fn operations_stand_in_the_order_of_time_and_no_label_covers_another() {
        let layout = layout();
        assert_eq!(layout.lanes, [0, 5]);
        assert_eq!(layout.items.iter().map(|item| item.number).collect::<Vec<_>>(), [7, 26, 30]);
        assert!(layout.moments.windows(2).all(|pair| pair[0].1 + MOMENT_MIN <= pair[1].1), "{:?}", layout.moments);
        let [_, read, open] = &layout.items[..] else { panic!("three") };
        assert!(open.from >= read.from + 8.0 * LETTER && open.to.is_none());
        assert!(layout.width >= open.from + 17.0 * LETTER);
    }

    #[test]
    fn the_last_answer_is_marked_and_real_time_has_arrows() {
        let layout = layout();
        assert_eq!(layout.arrows, [(0, 1)]);
        let marked: Vec<u32> = layout.items.iter().filter(|item| item.is_last_answer).map(|item| item.number).collect();
        assert_eq!(marked, [26]);
    }
}
