//! A trend on the terminal.
//!
//! ```text
//!   11,000 ┤ •    •  ┊
//!          ┤───•─────┊          • points, ── medians between steps, ┊ a step
//!    9,000 ┤         ┊──•──•─
//!           2026-11-01      2026-11-21
//! ```

use std::fmt::Write;

use super::{Change, Trend};
use crate::{compare::shown, statistics::shift::median_of, store::Labels, summary::one_line};

/// The narrowest and the widest chart.
const WIDTH: std::ops::RangeInclusive<usize> = 30..=300;

/// Lines of the chart.
const HEIGHT: usize = 12;

/// Digits of a revision that are shown.
const REVISION_SHOWN: usize = 10;

/// Steps that are listed.
const LISTED_MAX: usize = 40;

/// The trend as text, no wider than this many characters, where that is possible.
#[must_use]
pub fn render(trend: &Trend, width: usize) -> String {
    let mut text = String::new();
    let unit = trend.metric.unit;
    let count = trend.points.len();
    let points = if count == 1 { "point" } else { "points" };
    line(&mut text, &format!("{}, {}: {count} {points}", one_line(&trend.metric.name), unit.name()));
    if count > 0 {
        chart(&mut text, trend, width.clamp(*WIDTH.start(), *WIDTH.end()));
    }
    if trend.changes.is_empty() && count > 0 {
        line(&mut text, "no step found");
    }
    for change in trend.changes.iter().take(LISTED_MAX) {
        line(&mut text, &told(trend, change));
    }
    if trend.changes.len() > LISTED_MAX {
        line(&mut text, &format!("and {} more steps", trend.changes.len() - LISTED_MAX));
    }
    for note in &trend.notes {
        line(&mut text, &format!("note: {}", one_line(note)));
    }
    text
}

fn line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

/// A step in words.
#[must_use]
pub fn told(trend: &Trend, change: &Change) -> String {
    let unit = trend.metric.unit;
    let by = change.shift_percent.map_or_else(
        || format!("{} more", shown(change.shift.value, unit)),
        |shift| format!("{:+.1} % ({:+.1} to {:+.1})", shift.value, shift.low, shift.high),
    );
    let way = if change.is_worse { "WORSE" } else { "better" };
    let revision = |revision: &Option<String>| {
        revision
            .as_ref()
            .map_or_else(|| "no revision".to_owned(), |r| r.chars().take(REVISION_SHOWN).collect::<String>())
    };
    format!(
        "{}  {way} {by}: {} to {}, p {:.3}, at {} after {}{}",
        one_line(&change.time),
        shown(change.before, unit),
        shown(change.after, unit),
        change.p,
        one_line(&revision(&change.revision)),
        one_line(&revision(&change.revision_before)),
        one_line(&labels(&change.labels)),
    )
}

/// Labels behind a step, with a comma before them.
fn labels(labels: &Labels) -> String {
    labels.iter().map(|(name, value)| format!(", {name}={value}")).collect()
}

/// What stands in each place of the chart. Later kinds cover earlier ones.
fn chart(text: &mut String, trend: &Trend, width: usize) {
    let values: Vec<f64> = trend.points.iter().map(|point| point.value).collect();
    let (low, high) = bounds(&values);
    let unit = trend.metric.unit;
    let axis = |value: f64| shown(value, unit);
    let margin = [low, high].map(|value| axis(value).chars().count()).into_iter().max().unwrap_or(0);
    let columns = width.saturating_sub(margin + 3).max(10).min(values.len().max(10));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a line of the chart"
    )]
    let row = |value: f64| {
        let share = (value - low) / (high - low);
        HEIGHT - 1 - ((share * (HEIGHT - 1) as f64).round() as usize).min(HEIGHT - 1)
    };
    // Fewer points than columns have one each; more share columns evenly.
    let column = |place: usize| if values.len() <= columns { place } else { place * columns / values.len() };
    let used = column(values.len() - 1) + 1;
    let mut canvas = vec![vec![' '; used]; HEIGHT];
    let mut start = 0;
    let ends: Vec<usize> = trend.changes.iter().map(|change| change.at).chain([values.len()]).collect();
    for end in ends {
        let middle = median_of(&mut values[start..end].to_vec());
        for place in column(start)..=column(end - 1) {
            canvas[row(middle)][place] = '─';
        }
        start = end;
    }
    for change in &trend.changes {
        for line in &mut canvas {
            line[column(change.at)] = '┊';
        }
    }
    for place in 0..used {
        let mut here: Vec<f64> =
            values.iter().enumerate().filter(|(at, _)| column(*at) == place).map(|(_, value)| *value).collect();
        if !here.is_empty() {
            canvas[row(median_of(&mut here))][place] = '•';
        }
    }
    for (at, cells) in canvas.iter().enumerate() {
        let label = match at {
            0 => axis(high),
            at if at == HEIGHT - 1 => axis(low),
            _ => String::new(),
        };
        line(text, &format!("{label:>margin$} ┤{}", cells.iter().collect::<String>()));
    }
    let day = |place: usize| one_line(&trend.points[place].time).to_string().chars().take(10).collect::<String>();
    let mut dates = String::new();
    _ = write!(dates, "{:margin$}  {}", "", day(0));
    let last = day(values.len() - 1);
    let gap = (margin + 2 + used).saturating_sub(dates.chars().count() + last.chars().count());
    match gap {
        // No room for both dates.
        0 => {}
        gap => _ = write!(dates, "{}{last}", " ".repeat(gap)),
    }
    line(text, &dates);
}

/// The least and the greatest, a little apart even where all are the same.
pub(super) fn bounds(values: &[f64]) -> (f64, f64) {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if high > low { (low, high) } else { (low - low.abs().max(1.0) / 10.0, high + high.abs().max(1.0) / 10.0) }
}
