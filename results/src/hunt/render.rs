//! A hunt on the terminal: a table with one line a target, then what must be looked at, then the sums.

use std::fmt::Write;

use super::{Figures, HuntReport, Quarry, RunOutcome, TargetReport};
use crate::{
    exit::ExitCode,
    summary::{one_line, render::grouped},
};

/// Runs that must be looked at and are listed; the file has them all.
const LISTED_MAX: usize = 20;

/// The report as text.
#[must_use]
pub fn render(report: &HuntReport) -> String {
    let mut text = String::new();
    table(&mut text, report);
    let mut listed = 0;
    for target in &report.targets {
        listed += list(&mut text, target, LISTED_MAX.saturating_sub(listed));
    }
    if listed > LISTED_MAX {
        line(&mut text, &format!("  and {} more, in the report's file", listed - LISTED_MAX));
    }
    sums(&mut text, report);
    text
}

fn line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

fn table(text: &mut String, report: &HuntReport) {
    let width = report.targets.iter().map(|target| target.name.len()).max().unwrap_or(0).max(6);
    let heads = ["rating", "detected", "median", "worst", "fired"];
    let [rating, detected, median, worst, fired] = heads;
    line(text, &format!("{:width$}  {rating:8}{detected:20}{median:>9}{worst:>10}{fired:>13}  seen", "target"));
    for target in &report.targets {
        let Figures { detected, of, median_ms, worst_ms, fired, .. } = target.figures;
        let beyond = format!("> {}", seconds(target.budget_ms));
        let time = |ms: Option<u64>| match ms {
            Some(ms) => seconds(ms),
            None if of == 0 || !target.quarry.is_mutant() => "-".to_owned(),
            None => beyond.clone(),
        };
        let share = match target.quarry.is_mutant() {
            true => format!("{detected} of {of} ({})", interval(&target.figures)),
            false => format!("alarms {detected} of {of}"),
        };
        let fired = match fired {
            // Where it was found at once, nobody may have asked the nodes since.
            0 if target.quarry.is_mutant() && detected == 0 => "never".to_owned(),
            count => grouped(count),
        };
        let (median, worst, rating) = (time(median_ms), time(worst_ms), target.quarry.name());
        let seen = seen(&target.figures);
        line(text, &format!("{:width$}  {rating:8}{share:20}{median:>9}{worst:>10}{fired:>13}  {seen}", target.name));
    }
}

fn seen(figures: &Figures) -> String {
    let mut seen: Vec<String> = figures.anomalies.iter().map(|(name, count)| format!("{name} {count}")).collect();
    for (count, what) in [(figures.crashed, "crashed"), (figures.stuck, "stuck")] {
        if count > 0 {
            seen.push(format!("{what} {count}"));
        }
    }
    seen.join(", ")
}

/// The runs of a target that make the hunt fail, up to so many; says how many there are.
fn list(text: &mut String, target: &TargetReport, max: usize) -> usize {
    let bad = target.runs.iter().filter(|run| super::exit_of(target.quarry, &run.outcome) != ExitCode::Valid);
    let mut count = 0;
    for run in bad {
        count += 1;
        if count > max {
            continue;
        }
        let what = match (&run.outcome, target.quarry) {
            (RunOutcome::Detected { .. }, _) => "FALSE ALARM",
            (RunOutcome::Passed, _) => "escaped",
            (RunOutcome::Crashed, Quarry::Easy | Quarry::Medium) => "escaped, crashed",
            (RunOutcome::Crashed, _) => "CRASHED",
            (RunOutcome::Stuck, Quarry::Easy | Quarry::Medium) => "escaped, stuck",
            (RunOutcome::Stuck, _) => "STUCK",
            (RunOutcome::Unclear, _) => "unclear",
            (RunOutcome::Failed, _) => "harness error",
            (RunOutcome::NotRun, _) => "not run",
        };
        if count == 1 {
            text.push('\n');
        }
        line(text, &format!("{what}: {} seed {}: {}", target.name, run.seed, one_line(&run.reason)));
        line(text, &format!("    {}", one_line(&run.replay)));
    }
    count
}

fn sums(text: &mut String, report: &HuntReport) {
    let of = |wanted: fn(&TargetReport) -> bool| report.targets.iter().filter(move |target| wanted(target));
    let runs: u32 = report.targets.iter().map(|target| target.figures.of).sum();
    text.push('\n');
    let mutants = of(|target| target.quarry.is_mutant()).count();
    if mutants > 0 {
        let all = of(|target| target.quarry.is_mutant() && target.figures.detected == target.runs.len() as u32).count();
        line(text, &format!("{all} of {mutants} mutants detected in every run"));
    }
    let quiet_ms: u64 = of(|target| !target.quarry.is_mutant()).map(|target| target.figures.load_ms).sum();
    if quiet_ms > 0 {
        let alarms: u32 = of(|target| !target.quarry.is_mutant()).map(|target| target.figures.detected).sum();
        line(text, &format!("correct builds and decoys: {} of load, false alarms: {alarms}", long(quiet_ms)));
    }
    let ended = if report.interrupted { ", interrupted" } else { "" };
    let took = long(report.duration_ms);
    line(text, &format!("{runs} runs in {took}, {} at a time{ended}; exit code {}", report.jobs, report.exit));
}

/// A share with what it may be in truth, in percent.
#[must_use]
pub fn interval(figures: &Figures) -> String {
    format!("{:.0}-{:.0} %", figures.interval.low * 100.0, figures.interval.high * 100.0)
}

/// Milliseconds in seconds.
#[must_use]
pub fn seconds(ms: u64) -> String {
    format!("{:.1} s", ms as f64 / 1e3)
}

/// Milliseconds in hours, minutes and seconds.
#[must_use]
pub fn long(ms: u64) -> String {
    let seconds = ms / 1_000;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let mut text = String::new();
    if hours > 0 {
        _ = write!(text, "{hours} h ");
    }
    if hours > 0 || minutes > 0 {
        _ = write!(text, "{minutes} min ");
    }
    text + &format!("{seconds} s")
}
