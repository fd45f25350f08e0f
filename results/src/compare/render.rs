//! A comparison on the terminal.

use std::fmt::Write;

use super::{Comparison, Conclusion, Row, Side, SingleRow, Values, gate::GateResult};
use crate::{
    metrics::{Better, Metric, Unit},
    summary::{one_line, render::grouped},
};

/// The comparison as text.
#[must_use]
pub fn render(comparison: &Comparison) -> String {
    let mut text = String::new();
    side(&mut text, "A", &comparison.a);
    side(&mut text, "B", &comparison.b);
    for difference in &comparison.forced {
        line(&mut text, &format!("FORCED: not one thing apart, {}", one_line(difference)));
    }
    if !comparison.forced.is_empty() {
        line(
            &mut text,
            "        the figures below say nothing about what you meant to compare, unless these do not matter",
        );
    }
    for note in &comparison.notes {
        line(&mut text, &format!("note: {}", one_line(note)));
    }
    line(&mut text, "");
    if comparison.single.is_empty() {
        rows(&mut text, comparison);
    } else {
        single(&mut text, &comparison.single);
    }
    gate(&mut text, comparison);
    text
}

fn line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

fn side(text: &mut String, letter: &str, side: &Side) {
    let count = side.runs.len();
    let runs = if count == 1 { "run" } else { "runs" };
    line(text, &format!("{letter}  {count} {runs}: {}", one_line(&side.name)));
}

fn rows(text: &mut String, comparison: &Comparison) {
    if comparison.rows.is_empty() {
        line(text, "the two sides have no figure in common that was asked for");
        return;
    }
    let heads = ["", "A: median (range)", "B", "B against A, 95 %", "p"].map(str::to_owned);
    let cells = |row: &Row| {
        let (a, b) = (ranged(&row.a, row.metric.unit), ranged(&row.b, row.metric.unit));
        let p = row.p_adjusted.map_or_else(|| "-".to_owned(), probability);
        [one_line(&row.metric.name).to_string(), a, b, against(row), p]
    };
    let table: Vec<[String; 5]> = std::iter::once(heads).chain(comparison.rows.iter().map(cells)).collect();
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 5] = std::array::from_fn(width);
    let words = std::iter::once("so".to_owned()).chain(comparison.rows.iter().map(words));
    for (cells, words) in table.iter().zip(words) {
        let mut told = format!("{:1$}", cells[0], widths[0]);
        for (cell, width) in cells.iter().zip(widths).skip(1) {
            _ = write!(told, "  {cell:>width$}");
        }
        line(text, &format!("{told}  {words}"));
    }
    let asked = comparison.rows.iter().filter(|row| row.p.is_some()).count();
    if asked > 0 {
        let level = 100.0 * comparison.level;
        line(
            text,
            &format!(
                "\nmedians over runs; the shift is that of Hodges and Lehmann with bounds of 95 %; p by ranks, for all {asked} figures \
                 together: of comparisons of equals at most {level} % find anything"
            ),
        );
    }
}

/// A median with the least and the greatest, as a person reads it.
#[must_use]
pub fn ranged(values: &Values, unit: Unit) -> String {
    let Values { median, least, greatest, .. } = *values;
    format!("{} ({}–{})", shown(median, unit), bare(least, unit), bare(greatest, unit))
}

/// By how much B lies above A, in percent, or, where A is zero, in the unit.
fn against(row: &Row) -> String {
    match (row.shift_percent, row.a.runs.min(row.b.runs)) {
        (Some(shift), 2..) => format!("{:+.1} % ({:+.1} to {:+.1})", shift.value, shift.low, shift.high),
        (Some(shift), _) => format!("{:+.1} %", shift.value),
        (None, _) => format!("{} more", shown(row.shift.value, row.metric.unit)),
    }
}

/// The conclusion in plain words.
fn words(row: &Row) -> String {
    let by = row.shift_percent.map(|shift| format!(" by {}", percent(shift.value.abs()))).unwrap_or_default();
    match row.conclusion {
        Conclusion::Better => format!("{}{by}", direction(&row.metric, true)),
        Conclusion::Worse => format!("{}{by}", direction(&row.metric, false)),
        Conclusion::NoDifference => match row.detectable_percent {
            _ if row.p.is_none() => "the same in all runs".to_owned(),
            Some(least) => format!("no difference found; {} would have been", percent(least)),
            None => "no difference found".to_owned(),
        },
        Conclusion::TooFew => format!("too few runs to tell ({} and {})", row.a.runs, row.b.runs),
    }
}

/// Of times one says faster and slower; else in which direction it went, and whether that is good.
fn direction(metric: &Metric, is_better: bool) -> &'static str {
    match (metric.unit.is_time(), metric.better, is_better) {
        (true, _, true) => "faster",
        (true, _, false) => "SLOWER",
        (false, Better::Higher, true) => "more",
        (false, Better::Higher, false) => "WORSE: less",
        (false, Better::Lower, true) => "less",
        (false, Better::Lower, false) => "WORSE: more",
    }
}

fn single(text: &mut String, rows: &[SingleRow]) {
    line(text, &format!("{:8}{:8}{:>12}{:>12}{:>12}", "", "", "A", "B", "B against A"));
    for row in rows {
        #[expect(clippy::cast_precision_loss, reason = "for a person to read")]
        let (a, b) = (row.a_ns as f64, row.b_ns as f64);
        let change = if a > 0.0 { format!("{:+.0} %", 100.0 * (b - a) / a) } else { "-".to_owned() };
        let (a, b) = (shown(a, Unit::Nanoseconds), shown(b, Unit::Nanoseconds));
        line(text, &format!("{:8}{:8}{a:>12}{b:>12}{change:>12}", one_line(&row.operation).to_string(), row.what));
    }
    line(
        text,
        "\none run a side: this is how these two went, not how A and B differ. How much one run differs from the next by chance is not \
         known from one; four or more a side tell (`trueline bench`)",
    );
}

fn gate(text: &mut String, comparison: &Comparison) {
    let Some(gate) = &comparison.gate else { return };
    let word = |result| match result {
        GateResult::Open => "ok",
        GateResult::CannotTell => "CANNOT TELL",
        GateResult::Closed => "REGRESSION",
    };
    let width =
        gate.findings.iter().map(|finding| one_line(&finding.metric).to_string().chars().count()).max().unwrap_or(0);
    line(text, &format!("\ngate: {}", word(gate.result)));
    for finding in &gate.findings {
        let name = one_line(&finding.metric).to_string();
        line(text, &format!("  {name:width$}  {:11}  {}", word(finding.result), one_line(&finding.reason)));
    }
}

fn probability(p: f64) -> String {
    if p < 0.001 { "<0.001".to_owned() } else { format!("{p:.3}") }
}

/// A share in percent as a person reads it.
#[must_use]
pub fn percent(share: f64) -> String {
    if share.abs() < 9.95 { format!("{share:.1} %") } else { format!("{share:.0} %") }
}

/// A figure with its unit, as a person reads it.
#[must_use]
pub fn shown(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Nanoseconds => nanoseconds(value),
        Unit::Times => bare(value, unit),
        unit => format!("{} {}", bare(value, unit), unit.name()),
    }
}

/// A figure without its unit; nanoseconds have theirs always, for they come in all sizes.
fn bare(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Nanoseconds => nanoseconds(value),
        _ => digits(value),
    }
}

fn nanoseconds(value: f64) -> String {
    let scales = [(1e9, "s"), (1e6, "ms"), (1e3, "µs")];
    match scales.into_iter().find(|(scale, _)| value.abs() >= *scale) {
        Some((scale, name)) => format!("{} {name}", digits(value / scale)),
        None => format!("{} ns", digits(value)),
    }
}

/// Three digits that count, and no fewer than there are before the point.
fn digits(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 9.995 => format!("{value:.2}"),
        size if size < 99.95 => format!("{value:.1}"),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative, and below what is shown in full"
        )]
        size if size < 1e15 => {
            let mut text = String::new();
            if value < 0.0 {
                text.push('-');
            }
            _ = write!(text, "{}", grouped(size.round() as u64));
            text
        }
        _ => format!("{value:.3e}"),
    }
}
