//! A gate as a page of Markdown, for the summary of a CI step: the sentence, a table of scenarios, then each job that must be looked at.
//!
//! Whatever a server wrote is escaped so that it stays text in a table of GitHub's Markdown: neither markup, nor HTML, nor the end of a cell.

use std::fmt::Write;

use super::{GateReport, JobReport, ScenarioReport, complaint};
use crate::{
    exit::ExitCode,
    hunt::{long, seconds},
    summary::one_line,
};

/// Jobs that are told in full.
const TOLD_MAX: usize = 20;

/// Nothing that would make the page larger is told in full any more, bytes: the page of a step may have a mebibyte, or it is not shown at
/// all. What then still follows is a line for each of [`TOLD_MAX`] jobs.
const PAGE_BYTES_MAX: usize = 900 << 10;

/// Nor are scenarios told in the table beyond this, bytes: jobs that went wrong must have room.
const TABLE_BYTES_MAX: usize = PAGE_BYTES_MAX / 2;

/// The report as Markdown.
#[must_use]
pub fn markdown(report: &GateReport) -> String {
    let exit = report.verdict();
    let word = if exit == ExitCode::Valid { "passed" } else { "failed" };
    let mut page = format!("## Trueline gate {word}\n\n");
    let partition = report.partition.as_ref().map_or_else(String::new, |part| format!(", partition {}", escaped(part)));
    let (sentence, profile, took) = (escaped(&report.sentence()), escaped(&report.profile), long(report.duration_ms));
    _ = writeln!(page, "{sentence}. Profile {profile}{partition}, {took}, exit code {}.\n", exit.code());
    if report.jobs().next().is_none() {
        return page;
    }
    table(&mut page, report);
    let wrong = |(scenario, job): &(&ScenarioReport, &JobReport)| complaint(&scenario.expected, &job.outcome).is_some();
    let wrong: Vec<_> = report.jobs().filter(wrong).collect();
    let mut told = 0;
    for (scenario, job) in wrong.iter().take(TOLD_MAX) {
        let mut section = String::new();
        tell(&mut section, scenario, job);
        if page.len() + section.len() > PAGE_BYTES_MAX {
            break;
        }
        page += &section;
        told += 1;
    }
    if wrong.len() > told {
        _ = writeln!(page, "\nAnd {} more, in `junit.xml` and `gate.json`.", wrong.len() - told);
    }
    flaky(&mut page, report);
    page
}

fn table(page: &mut String, report: &GateReport) {
    *page += "| scenario | expected | as expected | came out | time |\n|---|---|---|---|---|\n";
    let scenarios: Vec<_> = report.scenarios.iter().filter(|scenario| !scenario.jobs.is_empty()).collect();
    for (told, scenario) in scenarios.iter().enumerate() {
        if page.len() > TABLE_BYTES_MAX {
            _ = writeln!(page, "\nAnd {} more scenarios, in `junit.xml` and `gate.json`.", scenarios.len() - told);
            return;
        }
        row(page, scenario);
    }
}

fn row(page: &mut String, scenario: &ScenarioReport) {
    let met = scenario.jobs.iter().filter(|job| complaint(&scenario.expected, &job.outcome).is_none()).count();
    let mut words: Vec<String> = Vec::new();
    for job in &scenario.jobs {
        let word = match complaint(&scenario.expected, &job.outcome) {
            Some(complaint) => format!("**{complaint}**"),
            None => job.came_out().to_owned(),
        };
        if !words.contains(&word) {
            words.push(word);
        }
    }
    let time: u64 = scenario.jobs.iter().map(|job| job.duration_ms).sum();
    let (name, expected, all) = (escaped(&scenario.name), escaped(&scenario.expected.words()), scenario.jobs.len());
    _ = writeln!(page, "| {name} | {expected} | {met} of {all} | {} | {} |", words.join(", "), seconds(time));
}

fn tell(page: &mut String, scenario: &ScenarioReport, job: &JobReport) {
    let what = complaint(&scenario.expected, &job.outcome).unwrap_or_default();
    _ = writeln!(page, "\n### {}, seed {}: {what}\n\n{}", escaped(&scenario.name), job.seed, escaped(&job.reason));
    for sentence in job.sentences.iter().filter(|sentence| !job.reason.contains(*sentence)) {
        _ = writeln!(page, "\n{}", escaped(sentence));
    }
    if let Some(replayed) = &job.replayed {
        _ = writeln!(page, "\n{}", escaped(&replayed.words()));
    }
    for (number, failure) in (1..).zip(job.failures_before()) {
        _ = writeln!(page, "\nattempt {number} failed: {}", escaped(failure));
    }
    if let Some(page_of_run) = &job.page {
        _ = writeln!(page, "\nreport: {}", escaped(page_of_run));
    }
    if !job.diagram.is_empty() {
        block(page, "text", &job.diagram.join("\n"));
    }
    block(page, "sh", &commands(job));
}

/// The commands that do it again, one a line.
fn commands(job: &JobReport) -> String {
    let commands = [job.replay.as_deref(), Some(&job.again)];
    commands.into_iter().flatten().map(|command| one_line(command).to_string()).collect::<Vec<_>>().join("\n")
}

fn flaky(page: &mut String, report: &GateReport) {
    let flaky: Vec<_> = report.jobs().filter(|(_, job)| job.is_flaky()).collect();
    if flaky.is_empty() {
        return;
    }
    page.push_str(
        "\n### Flaky infrastructure\n\nThese jobs came to their verdict only after attempts without one.\n\n",
    );
    for (scenario, job) in flaky.iter().take(TOLD_MAX) {
        let why = job.failures.last().map_or("", String::as_str);
        _ = writeln!(page, "- {}, seed {}: {}", escaped(&scenario.name), job.seed, escaped(why));
    }
}

/// A block of code, fenced by more backticks than there are in a row in it.
fn block(page: &mut String, language: &str, text: &str) {
    let longest = text.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let lines: Vec<String> = text.lines().map(|line| one_line(line).to_string()).collect();
    _ = writeln!(page, "\n{fence}{language}\n{}\n{fence}", lines.join("\n"));
}

/// Text as text: every letter that means something to Markdown or HTML is written as its number, and control characters as spaces.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in one_line(text).to_string().chars() {
        match letter {
            '&' | '<' | '>' | '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '~' | '#' | '!' | '$' | '@' | '{' | '}' => {
                _ = write!(safe, "&#{};", u32::from(letter));
            }
            // An address would become a link.
            ':' if safe.ends_with("http") || safe.ends_with("https") || safe.ends_with("ftp") => safe.push_str("&#58;"),
            _ => safe.push(letter),
        }
    }
    safe
}
