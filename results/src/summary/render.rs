//! The summary on the terminal: to be read in seconds. The verdict and its reason come first, then the checks, then numbers.

use std::fmt::{self, Display, Write};

use checkers::verdict::Verdict;

use super::Summary;
use crate::{
    check::verdict_name,
    latency::{Ending, LatencyRow, Measure},
};

/// The width of the names at the left.
const LABEL: usize = 13;

/// Faults that are named where there were no answers.
const FAULTS_SHOWN: usize = 3;

/// Reasons of failures that are shown; the file has them all.
const REASONS_SHOWN: usize = 4;

/// The summary as text, with colours for a terminal if asked for.
#[must_use]
pub fn render(summary: &Summary, colour: bool) -> String {
    let mut page = Page { text: String::new(), colour };
    page.headline(summary);
    page.checks(summary);
    page.violation(summary);
    page.ladder(summary);
    page.operations(summary);
    page.latencies(summary);
    page.facts(summary);
    page.text
}

struct Page {
    text: String,
    colour: bool,
}

impl Page {
    fn line(&mut self, line: impl Display) {
        let line = line.to_string();
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn fact(&mut self, name: &str, value: impl Display) {
        self.line(format_args!("  {name:LABEL$}{value}"));
    }

    fn blank(&mut self) {
        self.text.push('\n');
    }

    fn headline(&mut self, summary: &Summary) {
        let verdict = self.painted(summary.verdict, &verdict_name(summary.verdict).to_uppercase());
        let Summary { system, nodes, workload, clients, seed, .. } = summary;
        let duration = seconds(summary.duration_ms);
        self.line(format_args!(
            "{verdict}  {system}, {nodes} node{}, {workload} by {clients} client{}, {duration}, seed {seed}",
            plural(*nodes),
            plural(*clients),
        ));
        // The checks below say why, each for itself.
        if summary.checks.is_empty() {
            self.line(format_args!("  {}", one_line(&summary.reason)));
        }
        if let Some(error) = &summary.harness_error {
            self.line(format_args!("  harness error: {}", one_line(error)));
        }
        self.blank();
    }

    fn checks(&mut self, summary: &Summary) {
        for check in &summary.checks {
            let result = self.painted(check.result, &format!("{:9}", verdict_name(check.result)));
            self.fact(check.name.name(), format_args!("{result}{}", one_line(&check.reason)));
        }
        if !summary.checks.is_empty() {
            self.blank();
        }
    }

    /// What shows the violation. Its first sentence is the reason above.
    fn violation(&mut self, summary: &Summary) {
        if let Some(violation) = &summary.violation {
            let told = |sentence: &&String| summary.checks.iter().any(|check| check.reason.starts_with(*sentence));
            let sentences: Vec<&String> = violation.sentences.iter().filter(|sentence| !told(sentence)).collect();
            for sentence in &sentences {
                self.line(format_args!("  {}", one_line(sentence)));
            }
            if !sentences.is_empty() {
                self.blank();
            }
            for line in &violation.diagram {
                self.line(format_args!("  {}", one_line(line)));
            }
            if !violation.diagram.is_empty() {
                self.blank();
            }
        }
        for note in &summary.notes {
            self.fact("note", one_line(note));
        }
        if !summary.notes.is_empty() {
            self.blank();
        }
    }

    /// When there were no answers, and under which faults for longest.
    fn unavailability(&mut self, summary: &Summary) {
        let Some(none) = &summary.unavailability else { return };
        let mut under: Vec<String> =
            none.longest_under.iter().take(FAULTS_SHOWN).map(|name| one_line(name).to_string()).collect();
        if none.longest_under.len() > FAULTS_SHOWN {
            under.push(format!("{} more", none.longest_under.len() - FAULTS_SHOWN));
        }
        let under = if under.is_empty() { String::new() } else { format!(", under {}", under.join(", ")) };
        let (longest, at, total) = (none.longest_ms / 1e3, none.longest_at_ms / 1e3, none.total_ms / 1e3);
        self.fact(
            "no answers",
            format_args!(
                "for up to {longest:.2} s (at {at:.1} s{under}); {total:.1} s in all, {}",
                times(none.count as u64)
            ),
        );
    }

    fn ladder(&mut self, summary: &Summary) {
        let Some(ladder) = &summary.ladder else { return };
        self.line("  what still holds");
        for line in ladder.lines() {
            self.line(format_args!("    {}", one_line(&line)));
        }
        self.blank();
    }

    fn operations(&mut self, summary: &Summary) {
        if summary.operations.by_function.is_empty() {
            return;
        }
        self.fact("operations", format_args!("{:>11}{:>11}{:>11}{:>11}", "ok", "fail", "mismatch", "info"));
        for (function, counts) in &summary.operations.by_function {
            let [ok, fail, mismatch, info] = [counts.ok, counts.fail, counts.mismatch, counts.info].map(grouped);
            self.fact(&format!("  {function}"), format_args!("{ok:>11}{fail:>11}{mismatch:>11}{info:>11}"));
        }
        let mut reasons: Vec<(&String, &u64)> = summary.operations.reasons.iter().collect();
        reasons.sort_by_key(|&(name, &count)| (std::cmp::Reverse(count), name));
        let more = reasons.len().saturating_sub(REASONS_SHOWN);
        let mut text: Vec<String> = reasons
            .iter()
            .take(REASONS_SHOWN)
            .map(|(name, count)| format!("{} {}", one_line(name), grouped(**count)))
            .collect();
        if more > 0 {
            text.push(format!("{more} more"));
        }
        if !text.is_empty() {
            self.fact("  because", text.join(", "));
        }
        self.blank();
    }

    fn latencies(&mut self, summary: &Summary) {
        let shown = |row: &&LatencyRow| row.ending == Ending::Answered && row.measure == Measure::Response;
        let rows: Vec<&LatencyRow> = summary.latencies.iter().filter(shown).collect();
        if rows.is_empty() {
            return;
        }
        self.fact("latency", format_args!("{:>11}{:>11}{:>11}", "p50", "p99", "max"));
        for row in rows {
            let [p50, p99, max] = [row.p50_ns, row.p99_ns, row.max_ns].map(milliseconds);
            self.fact(&format!("  {}", row.operation), format_args!("{p50:>11}{p99:>11}{max:>11}"));
        }
        self.blank();
    }

    fn facts(&mut self, summary: &Summary) {
        let throughput = &summary.throughput;
        if throughput.highest > 0 {
            let mean = grouped(throughput.mean.round() as u64);
            let (lowest, highest) = (grouped(throughput.lowest), grouped(throughput.highest));
            self.fact("throughput", format_args!("{mean} ok a second (lowest {lowest}, highest {highest})"));
        }
        let faults: Vec<String> = summary
            .faults
            .iter()
            .map(|(kind, counts)| match counts.landed == counts.started {
                true => format!("{kind} {}", counts.landed),
                false => format!("{kind} {} of {}", counts.landed, counts.started),
            })
            .collect();
        self.fact("faults", if faults.is_empty() { "none".to_owned() } else { faults.join(", ") });
        self.unavailability(summary);
        self.fact("leaders", format_args!("changed {}", times(summary.leader_changes)));
        if let Some(recovery) = summary.recovery_ms {
            self.fact("recovery", format_args!("{} after the last heal", seconds(recovery)));
        }
        if let Some(mutant) = &summary.mutant {
            self.fact("mutant", format_args!("{}, decided wrongly {}", mutant.name, times(mutant.fired)));
        }
        if let Some(fail_fast) = &summary.fail_fast {
            self.fact("fail-fast", one_line(fail_fast));
        }
        if let Some(judged) = &summary.judged {
            let (operations, keys) = (grouped(judged.operations), grouped(judged.keys));
            let elapsed = seconds(judged.elapsed_ms);
            self.fact(
                "judged",
                format_args!(
                    "{operations} operations on {keys} key{}, recovery and final reads included, in {elapsed} by {}",
                    if judged.keys == 1 { "" } else { "s" },
                    judged.decided_by
                ),
            );
        }
        for (name, path) in &summary.files {
            self.fact(name, one_line(path));
        }
        if let Some(replay) = &summary.replay {
            self.fact("again", one_line(replay));
        }
    }

    fn painted(&self, verdict: Verdict, text: &str) -> String {
        let colour = match verdict {
            Verdict::Valid => 32,
            Verdict::Invalid => 31,
            Verdict::Unknown | Verdict::Vacuous => 33,
        };
        if self.colour { format!("\x1b[1;{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Text as it may stand in one line of a terminal, whoever wrote it: without control characters, and without those that turn the
/// direction of writing.
#[must_use]
pub fn one_line(text: &str) -> OneLine<'_> {
    OneLine(text)
}

/// What [`one_line`] gives.
#[derive(Clone, Copy, Debug)]
pub struct OneLine<'a>(&'a str);

/// Unicode's embeddings, overrides and isolates.
fn turns_direction(letter: char) -> bool {
    matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let harmless = |letter: char| if letter.is_control() || turns_direction(letter) { ' ' } else { letter };
        self.0.chars().try_for_each(|letter| f.write_char(harmless(letter)))
    }
}

/// 1234567 as 1,234,567.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn plural(count: u32) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{} times", grouped(count)) }
}

fn milliseconds(ns: u64) -> String {
    let ms = ns as f64 / 1e6;
    if ms < 10.0 { format!("{ms:.2} ms") } else { format!("{ms:.0} ms") }
}

fn seconds(ms: u64) -> String {
    format!("{:.1} s", ms as f64 / 1e3)
}
