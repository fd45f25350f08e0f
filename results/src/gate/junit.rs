//! A gate as JUnit XML: a test suite for each scenario, a test case for each seed.
//!
//! | what came out | in the file |
//! |---|---|
//! | as expected | a test case without more |
//! | an unexpected verdict, vacuous included | `failure` |
//! | no verdict: unknown, infrastructure failed, not finished | `error` |
//! | not run | `skipped`; the gate's exit code is not 0 all the same |
//!
//! Nothing in it goes beyond what both Jenkins (also with its strict xUnit plugin) and GitLab take: no properties of test cases, no elements for
//! reruns, no attribute `disabled`. Attempts that failed are in `system-err`. `results/tests/junit.xsd` says what may be where.

use std::time::Duration;

use checkers::verdict::Verdict;
use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use super::{GateReport, JobReport, Outcome, ScenarioReport, complaint};

/// The file could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the gate as JUnit XML: {0}")]
pub struct JunitError(#[from] quick_junit::SerializeError);

/// The report as JUnit XML.
///
/// # Errors
/// When the writer of XML refuses; it has no reason to.
pub fn junit(report: &GateReport) -> Result<String, JunitError> {
    let mut file = Report::new("trueline gate");
    file.set_time(Duration::from_millis(report.duration_ms));
    for scenario in report.scenarios.iter().filter(|scenario| !scenario.jobs.is_empty()) {
        file.add_test_suite(suite(report, scenario));
    }
    Ok(without_disabled(&file.to_string()?))
}

/// Takes away the attribute that the writer adds to each suite, and that validators refuse. All quotes in text are written as entities, so
/// this one is found in tags only.
fn without_disabled(xml: &str) -> String {
    let mut parts = xml.split(" disabled=\"");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        kept.push_str(part.split_once('"').map_or(part, |(_, rest)| rest));
    }
    kept
}

fn suite(report: &GateReport, scenario: &ScenarioReport) -> TestSuite {
    let mut suite = TestSuite::new(scenario.name.clone());
    let time: u64 = scenario.jobs.iter().map(|job| job.duration_ms).sum();
    suite.set_time(Duration::from_millis(time));
    let (expected, profile) = (scenario.expected.words(), report.profile.clone());
    for (name, value) in [("command", scenario.command.clone()), ("expected", expected), ("profile", profile)] {
        suite.add_property(Property::new(name, value));
    }
    let skipped = scenario.jobs.iter().filter(|job| job.outcome == Outcome::NotRun).count();
    suite.extra.insert("skipped".into(), skipped.to_string().into());
    for job in &scenario.jobs {
        suite.add_test_case(case(scenario, job));
    }
    suite
}

fn case(scenario: &ScenarioReport, job: &JobReport) -> TestCase {
    let mut case = TestCase::new(format!("seed {}", job.seed), status(scenario, job));
    case.set_classname(format!("trueline.{}", scenario.name));
    case.set_time(Duration::from_millis(job.duration_ms));
    case.set_system_out(story(job));
    if !job.failures.is_empty() {
        let attempts =
            (1..).zip(&job.failures).map(|(number, failure)| format!("attempt {number} failed: {failure}\n"));
        case.set_system_err(attempts.collect::<String>());
    }
    case
}

fn status(scenario: &ScenarioReport, job: &JobReport) -> TestCaseStatus {
    let Some(complaint) = complaint(&scenario.expected, &job.outcome) else { return TestCaseStatus::success() };
    let message = format!("{complaint}: {}", job.reason);
    let kind = match &job.outcome {
        Outcome::NotRun => {
            let mut skipped = TestCaseStatus::skipped();
            skipped.set_message(message);
            return skipped;
        }
        Outcome::Ended(finding) if finding.verdict != Verdict::Unknown => NonSuccessKind::Failure,
        _ => NonSuccessKind::Error,
    };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(message).set_type(complaint).set_description(story(job));
    status
}

/// What a person reads who opens the test case.
fn story(job: &JobReport) -> String {
    let mut lines = vec![format!("{}: {}", job.came_out(), job.reason)];
    lines.extend(job.sentences.iter().filter(|sentence| !job.reason.contains(*sentence)).cloned());
    lines.extend(job.diagram.iter().cloned());
    lines.extend(job.replayed.as_ref().map(super::Replayed::words));
    lines.extend(job.run.as_ref().map(|run| format!("run: {run}")));
    lines.extend(job.page.as_ref().map(|page| format!("report: {page}")));
    lines.extend(job.replay.as_ref().map(|replay| format!("replay: {replay}")));
    lines.push(format!("again: {}", job.again));
    lines.join("\n") + "\n"
}
