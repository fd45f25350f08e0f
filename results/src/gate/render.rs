//! A gate on the terminal: a table with one line a job, then what must be looked at, then the sums.

use super::{GateReport, JobReport, ScenarioReport, complaint};
use crate::{
    hunt::{long, seconds},
    summary::one_line,
};

/// Jobs that must be looked at and are told in full; the files have them all.
const TOLD_MAX: usize = 20;

/// The report as text.
#[must_use]
pub fn render(report: &GateReport) -> String {
    let mut text = String::new();
    if report.jobs().next().is_some() {
        table(&mut text, report);
        text.push('\n');
    }
    let wrong: Vec<_> = report.jobs().filter(|(scenario, job)| is_worth_telling(scenario, job)).collect();
    for (scenario, job) in wrong.iter().take(TOLD_MAX) {
        tell(&mut text, scenario, job);
    }
    if wrong.len() > TOLD_MAX {
        line(&mut text, &format!("and {} more, in gate.json", wrong.len() - TOLD_MAX));
        text.push('\n');
    }
    let partition = report.partition.as_ref().map_or_else(String::new, |part| format!(", partition {part}"));
    let exit = report.verdict().code();
    let took = long(report.duration_ms);
    line(&mut text, &format!("{}; profile {}{partition}; {took}; exit code {exit}", report.sentence(), report.profile));
    unannotated(&text)
}

/// Text in which no line is a command to a CI system, whoever wrote what is in it: GitHub takes `::error …` at the beginning of a line and
/// `##[…]` anywhere, others `##vso[…]` and `##teamcity[…]`.
#[must_use]
pub fn unannotated(text: &str) -> String {
    let apart = text.replace("##", "# #");
    let mut safe = String::with_capacity(apart.len());
    for line in apart.split_inclusive('\n') {
        if line.trim_start().starts_with("::") {
            safe.push('|');
        }
        safe.push_str(line);
    }
    safe
}

fn is_worth_telling(scenario: &ScenarioReport, job: &JobReport) -> bool {
    complaint(&scenario.expected, &job.outcome).is_some() || job.is_flaky()
}

fn line(text: &mut String, line: &str) {
    text.push_str(one_line(line).to_string().trim_end());
    text.push('\n');
}

fn table(text: &mut String, report: &GateReport) {
    let name_width = report.scenarios.iter().map(|scenario| scenario.name.chars().count()).max().unwrap_or(0).max(8);
    let words = report.scenarios.iter().map(|scenario| scenario.expected.words().chars().count());
    let wanted_width = words.max().unwrap_or(0).max(8);
    let wanted = "expected";
    line(text, &format!("{:name_width$}  {:>8}  {wanted:wanted_width$}  came out      time  run", "scenario", "seed"));
    for (scenario, job) in report.jobs() {
        let run = job.short.as_deref().or(job.run.as_deref()).unwrap_or("-");
        let remark = match complaint(&scenario.expected, &job.outcome) {
            Some(complaint) => format!("  <- {complaint}"),
            None if job.is_flaky() => "  (flaky infrastructure)".to_owned(),
            None => String::new(),
        };
        let (name, seed, wanted) = (&scenario.name, job.seed, scenario.expected.words());
        let (came_out, time) = (job.came_out(), seconds(job.duration_ms));
        line(
            text,
            &format!("{name:name_width$}  {seed:>8}  {wanted:wanted_width$}  {came_out:10}{time:>8}  {run}{remark}"),
        );
    }
}

fn tell(text: &mut String, scenario: &ScenarioReport, job: &JobReport) {
    let what = complaint(&scenario.expected, &job.outcome).unwrap_or("flaky infrastructure");
    line(text, &format!("{} seed {}: {what}: {}", scenario.name, job.seed, job.reason));
    for sentence in job.sentences.iter().filter(|sentence| !job.reason.contains(*sentence)) {
        line(text, &format!("    {sentence}"));
    }
    for (number, failure) in (1..).zip(job.failures_before()) {
        line(text, &format!("    attempt {number} failed: {}", failure));
    }
    for drawn in &job.diagram {
        line(text, &format!("    {drawn}"));
    }
    if let Some(replayed) = &job.replayed {
        line(text, &format!("    {}", replayed.words()));
    }
    if let Some(page) = &job.page {
        line(text, &format!("    report: {page}"));
    }
    for command in job.replay.iter().chain([&job.again]) {
        line(text, &format!("    {command}"));
    }
    text.push('\n');
}
