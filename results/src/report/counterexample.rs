//! The smallest counterexample, drawn large as SVG, and once more as a table for whoever cannot see it.
//!
//! ```text
//!               0.457147 s        0.459323 s  0.459488 s     0.459661 s
//!   client 0    ├─ write 10 ──────────┤╲
//!   on node 1   #7 · 2.18 ms            ╲
//!   client 5                             └──> ├─ read → nil ──────┤ ✗
//!   on node 3                                 #26 · 173 µs
//! ```

use checkers::history::{Action, Completion, History, OpIndex, Operation, Value};
use maud::{Markup, html};

use super::{
    lanes::Lanes,
    layout::{Item, Layout},
    values::{self, shown},
};
use crate::{
    summary::{ViolationSummary, one_line},
    timeline::Timeline,
};

/// Operations that are drawn; of more, the first ones and the last answer. Checks leave a handful.
const DRAWN_MAX: usize = 40;

/// Characters of a value in the drawing.
const VALUE_CHARS: usize = 28;

const GUTTER: f64 = 108.0;
const RIGHT: f64 = 140.0;
const TOP: f64 = 40.0;
const LANE: f64 = 72.0;
const BAR: f64 = 24.0;

/// Drawings up to this width are shown larger where the window is wide.
const SMALL: f64 = 860.0;

/// The section of the page; nothing where there is no operation to draw.
pub(super) fn section(found: &ViolationSummary, timeline: &Timeline, lanes: &Lanes) -> Markup {
    let history = &timeline.history;
    let known: Vec<u32> =
        found.operations.iter().copied().filter(|&number| (number as usize) < history.len()).collect();
    let operations = drawn(&known, history).into_iter().map(|number| {
        let operation = history.operation(OpIndex(number));
        let label = label(&operation, &found.key);
        (number, operation, label)
    });
    let layout = Layout::of(operations.collect());
    html! {
        section #counterexample aria-labelledby="counterexample-title" {
            h2 #counterexample-title { "The smallest counterexample" }
            div.told {
                @for sentence in &found.sentences { p.finding { (one_line(&values::shortened(sentence, 4_000))) } }
            }
            @if !layout.items.is_empty() {
                div.drawing tabindex="0" role="group" aria-label="The operations as a drawing; the same is in the table below" {
                    (drawing(&layout, lanes))
                }
                p.hint {
                    "In the order of time, not to its scale. A bar is the time from an operation's invocation to its return, within which it took effect; "
                    "an open bar has an unknown outcome and may take effect at any time, or never. Arrows lead from an operation to those that began after it had returned."
                }
            }
            @if known.len() > DRAWN_MAX { p.missing { (DRAWN_MAX) " of " (known.len()) " operations are drawn: the first ones, and the last answer." } }
            @let during = faults_during(&layout, timeline);
            @if !during.is_empty() { p { "Faults at that time: " (during) "." } }
            (table(&layout, lanes, history))
            @if !found.diagram.is_empty() {
                details {
                    summary { "As text" }
                    pre { @for line in found.diagram.iter().take(200) { (one_line(&values::shortened(line, 1_000))) "\n" } }
                }
            }
        }
    }
}

/// Which of these operations are drawn: the first ones, and in any case the last that was answered, which leaves no order. Were it missing,
/// the layout would mark an innocent one.
fn drawn(known: &[u32], history: &History) -> Vec<u32> {
    let mut drawn: Vec<u32> = known.iter().copied().take(DRAWN_MAX).collect();
    let answered = known.iter().map(|&number| (number, history.operation(OpIndex(number))));
    let last = answered
        .filter(|(_, operation)| !operation.is_unknown())
        .max_by_key(|(number, operation)| (operation.ret, operation.invoke, *number));
    if let Some((last, _)) = last
        && !drawn.contains(&last)
    {
        drawn.pop();
        drawn.push(last);
    }
    drawn
}

/// What an operation asked for and got, shortly; the key only where it is another than the violation's.
fn label(operation: &Operation, key: &Value) -> String {
    let value = |value: &Value| match value {
        Value::Nil => "nil".to_owned(),
        value => shown(value, VALUE_CHARS),
    };
    let argument = match &operation.action {
        Action::Cas { old, new } => format!(" {} → {}", value(old), value(new)),
        Action::Read | Action::Dequeue | Action::Delete => String::new(),
        action => format!(" {}", value(&action.argument())),
    };
    let answer = match &operation.completion {
        Completion::Ok(Some(answer)) => format!(" → {}", value(answer)),
        Completion::Ok(None) => String::new(),
        Completion::Mismatch { observed: Some(observed) } => format!(" ✗ was {}", value(observed)),
        Completion::Mismatch { observed: None } => " ✗ not equal".to_owned(),
        Completion::Fail => " ✗ failed".to_owned(),
        Completion::Info => " … unknown".to_owned(),
    };
    let on = if operation.key == *key || operation.key.is_nil() {
        String::new()
    } else {
        format!(" {}", value(&operation.key))
    };
    one_line(&format!("{}{on}{argument}{answer}", operation.action.function())).to_string()
}

fn outcome(completion: &Completion) -> &'static str {
    match completion {
        Completion::Ok(_) => "ok",
        Completion::Mismatch { .. } => "mismatch",
        Completion::Fail => "fail",
        Completion::Info => "info",
    }
}

fn drawing(layout: &Layout, lanes: &Lanes) -> Markup {
    let width = GUTTER + layout.width + RIGHT;
    let height = TOP + LANE * layout.lanes.len() as f64 + 6.0;
    let lane_y = |lane: usize| TOP + LANE * lane as f64;
    html! {
        svg.small[width <= SMALL] xmlns="http://www.w3.org/2000/svg" width=(px(width)) height=(px(height)) viewBox={ "0 0 " (px(width)) " " (px(height)) } role="img" aria-label="Operations of the counterexample on their clients' lanes" {
            defs {
                marker #arrow viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse" {
                    path.arrowhead d="M0 0.5 L8 4 L0 7.5 z" {}
                }
            }
            @for (lane, &process) in layout.lanes.iter().enumerate() {
                @let y = lane_y(lane);
                rect.band x="0" y=(px(y)) width=(px(width)) height=(px(LANE - 6.0)) rx="6" {}
                @let named = lanes.lane(process);
                text.lane-name x="10" y=(px(y + 27.0)) { "client " (process) }
                @if let Some(node) = named.and_then(|lane| lane.node) { text.lane-node x="10" y=(px(y + 44.0)) { "on node " (node) } }
            }
            @for (place, &(time, x)) in layout.moments.iter().enumerate() {
                @let x = GUTTER + x;
                line.moment x1=(px(x)) x2=(px(x)) y1=(px(TOP - 8.0)) y2=(px(height - 6.0)) {}
                // Two rows, or neighbours would cover each other.
                @if has_room(layout, place) { text.time x=(px(x)) y=(px(if place % 2 == 0 { 12.0 } else { 26.0 })) { (seconds(time)) } }
            }
            @for &(from, to) in &layout.arrows { (arrow(&layout.items[from], &layout.items[to])) }
            @for item in &layout.items { (bar(item, lane_y(item.lane), layout.width)) }
        }
    }
}

/// Whether a moment's time can be written without covering that of the one two before, which stands in the same row.
fn has_room(layout: &Layout, place: usize) -> bool {
    let x = layout.moments[place].1;
    place < 2 || x - layout.moments[place - 2].1 >= 50.0 && layout.moments.len() <= 60
}

fn bar(item: &Item, y: f64, drawn: f64) -> Markup {
    let from = GUTTER + item.from;
    let open = item.to.is_none();
    let to = GUTTER + item.to.unwrap_or(drawn + RIGHT - 16.0);
    let top = y + 24.0;
    let class =
        format!("op {}{}", outcome(&item.operation.completion), if item.is_last_answer { " impossible" } else { "" });
    let took = if open { "no answer".to_owned() } else { duration(item.operation.ret - item.operation.invoke) };
    html! {
        a.(class) href={ "#op=" (item.number) } {
            title { "operation " (item.number) ": " (item.label) }
            text.label x=(px(from)) y=(px(y + 18.0)) { (item.label) }
            @if open {
                path.bar d={ "M" (px(to)) " " (px(top)) " H" (px(from)) " V" (px(top + BAR)) " H" (px(to)) } {}
            } @else {
                rect.bar x=(px(from)) y=(px(top)) width=(px((to - from).max(3.0))) height=(px(BAR)) rx="3" {}
            }
            text.under x=(px(from)) y=(px(top + BAR + 16.0)) { "#" (item.number) " · " (took) }
            @if item.is_last_answer {
                g.cross {
                    path d=(cross(to + 14.0, top + BAR / 2.0)) {}
                    text x=(px(to + 27.0)) y=(px(top + BAR / 2.0 + 4.5)) { "no order is left" }
                }
            }
        }
    }
}

fn cross(x: f64, y: f64) -> String {
    let [left, right, up, down] = [x - 5.5, x + 5.5, y - 5.5, y + 5.5].map(px);
    format!("M{left} {up} L{right} {down} M{left} {down} L{right} {up}")
}

/// From the end of one operation to the beginning of a later one.
fn arrow(a: &Item, b: &Item) -> Markup {
    let middle = |item: &Item| TOP + LANE * item.lane as f64 + 24.0 + BAR / 2.0;
    let (x1, y1) = (GUTTER + a.to.unwrap_or(a.from), middle(a));
    let (x2, y2) = (GUTTER + b.from, middle(b));
    let bend = ((x2 - x1) / 2.0).clamp(10.0, 60.0);
    let d = format!(
        "M{} {} C{} {}, {} {}, {} {}",
        px(x1),
        px(y1),
        px(x1 + bend),
        px(y1),
        px(x2 - bend),
        px(y2),
        px(x2 - 1.0),
        px(y2)
    );
    html! { path.before d=(d) marker-end="url(#arrow)" {} }
}

/// The same as a table.
fn table(layout: &Layout, lanes: &Lanes, history: &History) -> Markup {
    let wide = |value: &Value| match value {
        Value::Nil => "nil".to_owned(),
        value => one_line(&shown(value, values::WIDE)).to_string(),
    };
    html! {
        @if !layout.items.is_empty() {
            details.wide-table open[layout.items.len() <= 8] {
                summary { "As a table" }
                div.scroll tabindex="0" role="group" aria-label="The operations as a table" {
                    table {
                        thead { tr { th scope="col" { "#" } th scope="col" { "Client" } th scope="col" { "Operation" } th scope="col" { "Key" }
                            th scope="col" { "Asked" } th scope="col" { "Answer" } th.number scope="col" { "Invoked" } th.number scope="col" { "Returned" } } }
                        tbody {
                            @for item in &layout.items {
                                @let operation = history.operation(OpIndex(item.number));
                                tr.impossible[item.is_last_answer] {
                                    td { a href={ "#op=" (item.number) } { (item.number) } }
                                    td { (operation.process) @if let Some(node) = lanes.lane(operation.process.0).and_then(|lane| lane.node) { ", node " (node) } }
                                    td { (operation.action.function()) }
                                    td.value { (wide(&operation.key)) }
                                    td.value { @if matches!(operation.action, Action::Read | Action::Dequeue | Action::Delete) { "" } @else { (wide(&operation.action.argument())) } }
                                    td.value { (answer(&operation, &wide)) @if item.is_last_answer { strong { " ✗ no order is left" } } }
                                    td.number { (seconds(operation.invoke)) }
                                    td.number { @if operation.is_unknown() { "never known" } @else { (seconds(operation.ret)) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn answer(operation: &Operation, wide: &impl Fn(&Value) -> String) -> String {
    match &operation.completion {
        Completion::Ok(Some(value)) => wide(value),
        Completion::Ok(None) => "ok".to_owned(),
        Completion::Mismatch { observed: Some(value) } => format!("not equal: {}", wide(value)),
        Completion::Mismatch { observed: None } => "not equal".to_owned(),
        Completion::Fail => "failed, not done".to_owned(),
        Completion::Info => "unknown".to_owned(),
    }
}

/// The faults that stood while these operations went on.
fn faults_during(layout: &Layout, timeline: &Timeline) -> String {
    let (Some(first), Some(last)) = (layout.moments.first(), layout.moments.last()) else { return String::new() };
    let stood = timeline.faults.iter().filter(|fault| fault.start_ns <= last.0 && fault.end_ns >= first.0);
    let mut names: Vec<String> = stood.map(|fault| one_line(&fault.name).to_string()).collect();
    names.dedup();
    let more = names.len().saturating_sub(6);
    names.truncate(6);
    let names = names.join(", ");
    if more > 0 { format!("{names} and {more} more") } else { names }
}

/// A length in the drawing, without digits that nobody sees.
fn px(length: f64) -> String {
    let text = format!("{length:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// A moment, as the sentences have it: digits are cut off and not rounded.
fn seconds(ns: u64) -> String {
    format!("{}.{:06} s", ns / 1_000_000_000, ns % 1_000_000_000 / 1_000)
}

/// A duration with the unit that suits it.
pub(super) fn duration(ns: u64) -> String {
    let ns = ns as f64;
    match ns {
        _ if ns < 1e3 => format!("{ns:.0} ns"),
        _ if ns < 1e6 => format!("{:.0} µs", ns / 1e3),
        _ if ns < 1e7 => format!("{:.2} ms", ns / 1e6),
        _ if ns < 1e9 => format!("{:.0} ms", ns / 1e6),
        _ => format!("{:.2} s", ns / 1e9),
    }
}
