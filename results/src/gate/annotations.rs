//! What GitHub shows beside a change: one workflow command for each job that must be looked at.
//!
//! ```text
//!   ::error title=TITLE::MESSAGE
//! ```
//!
//! Escapes as GitHub's own toolkit writes them: `%`, carriage return and newline in messages, and in titles the colon and the comma as well.
//! So text that a server wrote can neither end a command nor begin another one.

use super::{GateReport, Outcome, complaint};
use crate::exit::ExitCode;

/// GitHub shows no more errors, and no more warnings, of one step.
const SHOWN_MAX: usize = 10;

/// The workflow commands, one a line; empty where there is nothing to say.
#[must_use]
pub fn annotations(report: &GateReport) -> String {
    let mut errors = Vec::new();
    let mut warnings = Vec::new();
    for (scenario, job) in report.jobs() {
        let title = |what: &str| format!("trueline: {} seed {}: {what}", scenario.name, job.seed);
        if let Some(what) = complaint(&scenario.expected, &job.outcome) {
            let replayed = job.replayed.as_ref().map_or_else(String::new, |replayed| format!("\n{}", replayed.words()));
            errors.push((title(what), format!("{}{replayed}\n{}", job.reason, job.again)));
        } else if job.is_flaky() {
            warnings.push((title("flaky infrastructure"), job.failures.join("\n")));
        }
    }
    match report.verdict() {
        ExitCode::Valid if report.jobs().next().is_none() => warnings.push(("trueline".to_owned(), report.sentence())),
        ExitCode::Vacuous if report.jobs().all(|(_, job)| matches!(job.outcome, Outcome::NotRun)) => {
            errors.push(("trueline".to_owned(), report.sentence()));
        }
        _ => {}
    }
    shown("error", errors) + &shown("warning", warnings)
}

fn shown(command: &str, mut notes: Vec<(String, String)>) -> String {
    if notes.len() > SHOWN_MAX {
        let more = notes.len() - (SHOWN_MAX - 1);
        notes.truncate(SHOWN_MAX - 1);
        notes.push(("trueline".to_owned(), format!("and {more} more, in the step's summary and in junit.xml")));
    }
    let line =
        |(title, message): (String, String)| format!("::{command} title={}::{}\n", property(&title), data(&message));
    notes.into_iter().map(line).collect()
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
