//! The operations of a violation on a time axis, one lane a client, as lines of text.
//!
//! ```text
//!   seconds    11.004          11.020          12.290        12.310
//!   client 2   ├── write 23 ───┤
//!   client 4                                   ├── read 17 ──┤  <- stale: 23 was there since 11.020
//! ```
//!
//! Columns keep the order of moments, not their distance. Intervals are closed: what ends in the column where another
//! begins is concurrent with it. An unknown outcome has no end.

use super::scene::{Deed, Scene};
use crate::describe;

/// No line is wider.
const WIDTH_MAX: usize = 96;

/// No more lanes are drawn.
const LANES_MAX: usize = 12;

/// A value in a lane is cut to so many characters; to fewer when that makes the picture fit.
const VALUE_CHARS: [usize; 4] = [24, 14, 8, 5];

/// Columns from one moment to the next at least, where moments are not given as much as their texts need.
const STEP_MIN: usize = 3;

/// Between the names of lanes and the axis.
const GAP: usize = 2;

/// One operation as drawn.
struct Bar {
    deed: Deed,
    label: String,
    begin: usize,
    /// `None` for unknown outcomes.
    end: Option<usize>,
    /// Which of the axis's moments it begins and ends at.
    moments: (usize, Option<usize>),
}

/// The picture of the scene's operations, with a remark at one of them. Lines end without spaces; no control characters.
pub(super) fn draw(scene: &Scene<'_>, mark: Option<&(Deed, String)>) -> String {
    let (shown, left_out) = choose(scene, mark);
    // Every moment named at best; values cut rather than moments left out, but not down to nothing.
    let [long, middle, short, least] = VALUE_CHARS;
    let looks = [(long, true), (middle, true), (long, false), (middle, false), (short, false), (least, false)];
    let mut drawings = looks.iter().map(|&(chars, named)| Drawing::new(scene, &shown, chars, named));
    let fitting = drawings.find(|drawing| drawing.width() <= WIDTH_MAX);
    let drawing = fitting.unwrap_or_else(|| Drawing::new(scene, &shown, least, false));
    let mut text = drawing.text(scene, mark);
    if left_out > 0 {
        text += &format!("{} left out\n", describe::count(left_out, "operation"));
    }
    text
}

/// The operations on the first lanes, the remarked one's lane surely, and how many were left out.
fn choose(scene: &Scene<'_>, mark: Option<&(Deed, String)>) -> (Vec<Deed>, usize) {
    let mut clients: Vec<_> = mark.iter().map(|(deed, _)| deed.op.process).collect();
    for deed in &scene.found {
        if !clients.contains(&deed.op.process) && clients.len() < LANES_MAX {
            clients.push(deed.op.process);
        }
    }
    let mut shown: Vec<Deed> = scene.found.iter().filter(|deed| clients.contains(&deed.op.process)).copied().collect();
    // So many columns are there at most: each operation needs a few.
    if shown.len() > LANES_MAX {
        let kept = mark
            .map(|(deed, _)| *deed)
            .filter(|deed| !shown[..LANES_MAX].iter().any(|other| other.index == deed.index));
        shown.truncate(LANES_MAX - usize::from(kept.is_some()));
        shown.extend(kept);
    }
    let left_out = scene.found.len() - shown.len();
    (shown, left_out)
}

struct Drawing {
    /// The lanes' names and bars, top down. A client whose operations touch has several lanes.
    lanes: Vec<(String, Vec<Bar>)>,
    /// Each moment's text and column.
    moments: Vec<(String, usize)>,
    name_width: usize,
    /// The column after the last.
    end: usize,
}

impl Drawing {
    fn new(scene: &Scene<'_>, shown: &[Deed], value_chars: usize, all_named: bool) -> Self {
        let mut times: Vec<u64> = shown.iter().flat_map(|deed| [deed.op.invoke, deed.op.ret]).collect();
        times.retain(|&time| time != u64::MAX);
        times.sort_unstable();
        times.dedup();
        let place = |time: u64| times.binary_search(&time).expect("every time of what is shown is there");
        let mut bars: Vec<Bar> = shown
            .iter()
            .map(|deed| {
                let label = describe::label(&scene.key.history.resolve(&deed.op), value_chars);
                let failed = matches!(deed.op.completion, crate::history::Completion::Fail);
                let label = if failed { format!("{label} FAILED") } else { label };
                let end = (!deed.op.is_unknown()).then(|| place(deed.op.ret));
                Bar { deed: *deed, label, begin: 0, end: None, moments: (place(deed.op.invoke), end) }
            })
            .collect();
        let texts: Vec<String> = times.iter().map(|&time| scene.clock().mark(time)).collect();
        let steps: Vec<usize> = texts.iter().map(|text| if all_named { text.len() + 2 } else { STEP_MIN }).collect();
        let columns = columns(&steps, &bars);
        let mut end = 0;
        for bar in &mut bars {
            bar.begin = columns[bar.moments.0].0;
            bar.end = bar.moments.1.map(|moment| columns[moment].1);
            end = end.max(bar.end.map_or(bar.begin + bar.room(), |column| column + 1));
        }
        let moments: Vec<(String, usize)> =
            texts.into_iter().zip(&columns).map(|(text, &(column, _))| (text, column)).collect();
        // Unknown outcomes reach beyond the last moment.
        let end = end.max(columns.last().map_or(0, |&(_, column)| column + 4));
        let lanes = lanes(bars);
        let name_width = lanes.iter().map(|(name, _)| name.len()).max().unwrap_or(0).max("seconds".len());
        Self { lanes, moments, name_width, end }
    }

    fn width(&self) -> usize {
        self.name_width + GAP + self.end
    }

    fn text(&self, scene: &Scene<'_>, mark: Option<&(Deed, String)>) -> String {
        let unit = match scene.clock() {
            describe::Clock::Seconds { .. } => "seconds",
            describe::Clock::Events => "event",
        };
        let mut text = self.line(unit, &self.axis());
        for (name, bars) in &self.lanes {
            let mut lane = vec![' '; self.end];
            for bar in bars {
                bar.draw(&mut lane);
            }
            let remark = mark.filter(|(deed, _)| bars.iter().any(|bar| bar.deed.index == deed.index));
            let drawn: String = lane.iter().collect();
            let Some((deed, words)) = remark else {
                text += &self.line(name, &drawn);
                continue;
            };
            let beside = format!("{}  <- {words}", drawn.trim_end());
            let is_last = bars.last().is_some_and(|bar| bar.deed.index == deed.index);
            if is_last && self.name_width + GAP + beside.chars().count() <= WIDTH_MAX {
                text += &self.line(name, &beside);
            } else {
                let begin = bars.iter().find(|bar| bar.deed.index == deed.index).map_or(0, |bar| bar.begin);
                let (length, left) = (words.chars().count(), self.name_width + GAP);
                let below = if left + begin + 2 + length <= WIDTH_MAX {
                    format!("{}^ {words}", " ".repeat(begin))
                } else {
                    format!("{}{words} ^", " ".repeat(begin.saturating_sub(length + 1)))
                };
                text += &self.line(name, &drawn);
                text += &self.line("", &below);
            }
        }
        text
    }

    fn line(&self, name: &str, rest: &str) -> String {
        let line = format!("{name:width$}{rest}", width = self.name_width + GAP);
        // Only where not even short values fit.
        let cut: String = line.trim_end().chars().take(WIDTH_MAX).collect();
        cut + "\n"
    }

    /// The moments' texts at their columns; those that would run into the one before are left out.
    fn axis(&self) -> String {
        let mut axis = String::new();
        for (text, column) in &self.moments {
            let used = axis.len();
            if used == 0 || used < *column {
                axis += &" ".repeat(column - used);
                axis += text;
            }
        }
        axis
    }
}

/// A first and a last column for each moment: the same, but where something begins and ends at the same moment. `steps` says how
/// far after a moment's the next one's column is at least.
fn columns(steps: &[usize], bars: &[Bar]) -> Vec<(usize, usize)> {
    let mut columns: Vec<(usize, usize)> = Vec::with_capacity(steps.len());
    for moment in 0..steps.len() {
        let after_last = columns.last().map_or(0, |&(first, last)| (first + steps[moment - 1]).max(last + STEP_MIN));
        let fits = |bar: &Bar| match bar.moments {
            (begin, Some(end)) if end == moment && begin < moment => columns[begin].0 + bar.room() - 1,
            _ => 0,
        };
        let first = bars.iter().map(fits).max().unwrap_or(0).max(after_last);
        let at_once = bars.iter().filter(|bar| bar.moments == (moment, Some(moment)));
        let last = first + at_once.map(|bar| bar.room() - 1).max().unwrap_or(0);
        columns.push((first, last));
    }
    columns
}

/// One lane a client in order of first appearance; a bar that touches the one before on its lane goes to a further one.
fn lanes(bars: Vec<Bar>) -> Vec<(String, Vec<Bar>)> {
    let mut lanes: Vec<(u64, Vec<Bar>)> = Vec::new();
    for bar in bars {
        let client = bar.deed.op.process.0;
        let is_free = |others: &[Bar]| {
            others.iter().all(|other| {
                other.end.is_some_and(|end| end < bar.begin) || bar.end.is_some_and(|end| end < other.begin)
            })
        };
        match lanes.iter_mut().find(|(other, bars)| *other == client && is_free(bars)) {
            Some((_, lane)) => lane.push(bar),
            None => {
                let after =
                    lanes.iter().rposition(|(other, _)| *other == client).map_or(lanes.len(), |place| place + 1);
                lanes.insert(after, (client, vec![bar]));
            }
        }
    }
    let mut last = None;
    let name = |client: u64, again: bool| if again { String::new() } else { format!("client {client}") };
    lanes.into_iter().map(|(client, bars)| (name(client, last.replace(client) == Some(client)), bars)).collect()
}

impl Bar {
    /// Columns that it needs: `├─ label ─┤`, or `├─ label ─ ?` without an end.
    fn room(&self) -> usize {
        self.label.chars().count() + 6
    }

    fn draw(&self, lane: &mut [char]) {
        let last = self.end.unwrap_or(lane.len() - 1);
        lane[self.begin..=last].fill('─');
        lane[self.begin] = '├';
        match self.end {
            Some(end) => lane[end] = '┤',
            // Open: it may take effect at any time from its beginning, or never.
            None => lane[last - 2..=last].fill('┄'),
        }
        let from = self.begin + 2;
        let label = std::iter::once(' ').chain(self.label.chars()).chain([' ']);
        for (place, letter) in label.enumerate() {
            lane[from + place] = letter;
        }
    }
}
