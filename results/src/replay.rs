//! A stored run carried out again, several times: how often it comes out the same.
//!
//! ```text
//!   Summary of the run ──> Original ─┐
//!   Summary of each replay ──────────┴─> Replayed ──> ReplayReport ──> replay.json, --json, the terminal, ExitCode
//! ```
//!
//! | a replay | of a run in which a check failed | of any other run |
//! |---|---|---|
//! | *reproduced* | the same check failed | the same verdict |
//! | *otherwise* | it did not, and something was tested | another verdict, and something was tested |
//! | *unclear* | no answer was known when a budget ended, or nothing was tested | the same, unless that is the verdict of the run |
//! | *failed* | the harness failed: nothing is known | the same |
//! | *not run* | the replay was interrupted before | the same |
//!
//! The rate is of those that were reproduced or came out otherwise, and of no others.

use std::fmt::Write;

use checkers::verdict::{Anomaly, Verdict};
use serde::{Deserialize, Serialize};

use crate::{
    check::{CheckName, verdict_name},
    exit::ExitCode,
    hunt::seconds,
    statistics::{Interval, wilson},
    summary::{Summary, one_line},
};

/// Version of `replay.json`.
pub const REPLAY_FORMAT: u32 = 1;

/// What is to come out again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Original {
    /// The run's name.
    pub run: String,
    /// Its verdict.
    pub verdict: Verdict,
    /// The check that is to fail again: the first that failed of consistency, crash, liveness.
    pub check: Option<CheckName>,
    /// What the judge found.
    pub anomaly: Option<Anomaly>,
}

impl Original {
    /// Of a run with this summary.
    #[must_use]
    pub fn of(run: String, summary: &Summary) -> Self {
        let failed = |name: &CheckName| fails(summary, *name);
        let check = [CheckName::Consistency, CheckName::Crash, CheckName::Liveness].into_iter().find(failed);
        let anomaly = summary.violation.as_ref().map(|violation| violation.anomaly);
        Self { run, verdict: summary.verdict, check, anomaly }
    }

    /// What a replay with this summary is.
    #[must_use]
    pub fn compare(&self, summary: &Summary) -> Outcome {
        let same = match self.check {
            Some(check) => fails(summary, check),
            None => summary.verdict == self.verdict,
        };
        match summary.verdict {
            // Whatever the harness met with beside it, a failed check is one.
            _ if same && (self.check.is_some() || summary.harness_error.is_none()) => Outcome::Reproduced,
            Verdict::Unknown if summary.harness_error.is_some() => Outcome::Failed,
            // What was not tested cannot come out otherwise.
            Verdict::Unknown | Verdict::Vacuous => Outcome::Unclear,
            Verdict::Valid | Verdict::Invalid => Outcome::Otherwise,
        }
    }
}

fn fails(summary: &Summary, name: CheckName) -> bool {
    summary.checks.iter().any(|check| check.name == name && check.result == Verdict::Invalid)
}

/// What became of one replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It came out the same.
    Reproduced,
    /// It came out otherwise.
    Otherwise,
    /// A budget ended before an answer was known, or nothing was tested.
    Unclear,
    /// The harness failed.
    Failed,
    /// It was not begun, or ended by an interruption.
    NotRun,
}

/// One replay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replayed {
    /// Which one, from 1.
    pub number: u32,
    /// What became of it.
    pub outcome: Outcome,
    /// Its verdict, if it came to one.
    pub verdict: Option<Verdict>,
    /// What the judge found.
    pub anomaly: Option<Anomaly>,
    /// One sentence: why.
    pub reason: String,
    /// How long the load lasted.
    pub load_ms: u64,
    /// What its process returned, or stands for.
    pub exit: u8,
    /// Where it is, if it was kept.
    pub kept: Option<String>,
}

impl Replayed {
    /// One that came to this summary.
    #[must_use]
    pub fn of(number: u32, original: &Original, summary: &Summary) -> Self {
        Self {
            number,
            outcome: original.compare(summary),
            verdict: Some(summary.verdict),
            anomaly: summary.violation.as_ref().map(|violation| violation.anomaly),
            reason: summary.reason.clone(),
            load_ms: summary.duration_ms,
            exit: summary.exit,
            kept: None,
        }
    }

    /// One that came to none.
    #[must_use]
    pub fn without_summary(number: u32, outcome: Outcome, reason: String) -> Self {
        let exit = if outcome == Outcome::NotRun { ExitCode::Unknown } else { ExitCode::HarnessError }.code();
        Self { number, outcome, verdict: None, anomaly: None, reason, load_ms: 0, exit, kept: None }
    }
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplayReport {
    /// [`REPLAY_FORMAT`] of the program that wrote it.
    pub format: u32,
    /// What was to come out again.
    #[serde(flatten)]
    pub original: Original,
    /// Where the faults came from: `recorded` or `planned`.
    pub faults: String,
    /// How often it was to be carried out.
    pub times: u32,
    /// How often it came out the same.
    pub reproduced: u32,
    /// How often with the same anomaly; 0 where the run had none.
    pub same_anomaly: u32,
    /// How often it came out otherwise.
    pub otherwise: u32,
    /// How often a budget ended before an answer was known, or nothing was tested.
    pub unclear: u32,
    /// How often the harness failed.
    pub failed: u32,
    /// How often it was not carried out, because of an interruption.
    pub not_run: u32,
    /// The share of those reproduced among those reproduced or otherwise; none where there is neither.
    pub rate: Option<f64>,
    /// Wilson's interval at 95 % for it: the lower bound.
    pub low: f64,
    /// The upper bound.
    pub high: f64,
    /// What the process returns.
    pub exit: u8,
    /// What else is to be known: another version, another program.
    pub notes: Vec<String>,
    /// Where the replays are that were kept.
    pub runs: Vec<String>,
    /// Each one.
    pub replays: Vec<Replayed>,
}

impl ReplayReport {
    /// The report of these replays.
    #[must_use]
    pub fn new(original: Original, faults: impl Into<String>, notes: Vec<String>, replays: Vec<Replayed>) -> Self {
        let count = |wanted: &dyn Fn(&&Replayed) -> bool| {
            u32::try_from(replays.iter().filter(wanted).count()).expect("as many as were asked for")
        };
        let of = |outcome: Outcome| count(&|replay| replay.outcome == outcome);
        let (reproduced, otherwise) = (of(Outcome::Reproduced), of(Outcome::Otherwise));
        let is_same = |replay: &&Replayed| {
            replay.outcome == Outcome::Reproduced && replay.anomaly.is_some() && replay.anomaly == original.anomaly
        };
        let judged = reproduced + otherwise;
        let Interval { low, high } = wilson(reproduced, judged);
        Self {
            format: REPLAY_FORMAT,
            faults: faults.into(),
            times: count(&|_| true),
            reproduced,
            same_anomaly: count(&is_same),
            otherwise,
            unclear: of(Outcome::Unclear),
            failed: of(Outcome::Failed),
            not_run: of(Outcome::NotRun),
            rate: (judged > 0).then(|| f64::from(reproduced) / f64::from(judged)),
            low,
            high,
            exit: exit(&replays).code(),
            notes,
            runs: replays.iter().filter_map(|replay| replay.kept.clone()).collect(),
            original,
            replays,
        }
    }

    /// How the process is to end: with the worst that came out.
    #[must_use]
    pub fn exit(&self) -> ExitCode {
        exit(&self.replays)
    }
}

/// The worst of what came out; a code that no program of this kind returns is a failure of the harness.
fn exit(replays: &[Replayed]) -> ExitCode {
    let code = |code: u8| ExitCode::ALL.into_iter().find(|exit| exit.code() == code).unwrap_or(ExitCode::HarnessError);
    ExitCode::worst(replays.iter().map(|replay| code(replay.exit))).unwrap_or(ExitCode::HarnessError)
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// What a run, or a replay of it, came to, in a few words.
fn came_to(verdict: Verdict, check: Option<CheckName>, anomaly: Option<Anomaly>) -> String {
    let name = |anomaly: Anomaly| serde_json::to_value(anomaly).ok().and_then(|name| Some(name.as_str()?.to_owned()));
    let check = check.map(|check| check.name().to_owned());
    let what: Vec<String> = [check, anomaly.and_then(name)].into_iter().flatten().collect();
    match &what[..] {
        [] => verdict_name(verdict).to_owned(),
        what => format!("{} ({})", verdict_name(verdict), what.join(", ")),
    }
}

/// One replay in a line.
#[must_use]
pub fn line(replay: &Replayed, original: &Original) -> String {
    let outcome = match replay.outcome {
        Outcome::Reproduced if original.verdict == Verdict::Invalid => "reproduced",
        Outcome::Reproduced => "the same",
        Outcome::Otherwise => "otherwise",
        Outcome::Unclear => "unclear",
        Outcome::Failed => "failed",
        Outcome::NotRun => "not run",
    };
    let came_to = match replay.verdict {
        Some(verdict) => came_to(verdict, None, replay.anomaly),
        None => one_line(&replay.reason).to_string(),
    };
    let kept = replay.kept.as_ref().map_or_else(String::new, |path| format!("  {}", one_line(path)));
    let time = seconds(replay.load_ms);
    format!("  {:>3}  {outcome:10}  {time:>8}  {came_to}{kept}", replay.number)
}

/// The report as text.
#[must_use]
pub fn render(report: &ReplayReport) -> String {
    let Original { run, verdict, check, anomaly } = &report.original;
    let mut text = format!(
        "run {} is {}; carried out again with its {} faults:\n",
        one_line(run),
        came_to(*verdict, *check, *anomaly),
        report.faults
    );
    for replay in &report.replays {
        let _ = writeln!(text, "{}", line(replay, &report.original));
    }
    for note in &report.notes {
        let _ = writeln!(text, "  note: {}", one_line(note));
    }
    let _ = writeln!(text, "{}", sentence(report));
    text
}

/// The rate, and what is not in it.
fn sentence(report: &ReplayReport) -> String {
    let judged = report.reproduced + report.otherwise;
    let mut text = match report.rate {
        Some(rate) => format!(
            "reproduced {} of {judged}: {} (95 % interval {} to {})",
            report.reproduced,
            percent(rate),
            percent(report.low),
            percent(report.high)
        ),
        None => "not one replay came to an answer; nothing is known about the rate".to_owned(),
    };
    if report.original.anomaly.is_some() && report.reproduced > 0 {
        let _ = write!(text, "; the same anomaly {} times", report.same_anomaly);
    }
    for (count, what) in [(report.unclear, "unclear"), (report.failed, "failed"), (report.not_run, "not run")] {
        if count > 0 {
            let _ = write!(text, "; {count} {what}, not counted");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{check::Check, summary::ViolationSummary};

    fn summary(failed: &[CheckName], anomaly: Option<Anomaly>) -> Summary {
        let mut summary = Summary::new("raft", "register", 1);
        let names = [CheckName::Consistency, CheckName::Liveness, CheckName::Crash, CheckName::Vacuity];
        let result = |name| if failed.contains(&name) { Verdict::Invalid } else { Verdict::Valid };
        summary.checks = names.into_iter().map(|name| Check::new(name, result(name), "r")).collect();
        summary.violation = anomaly.map(|anomaly| ViolationSummary {
            anomaly,
            key: checkers::history::Value::Nil,
            sentences: Vec::new(),
            diagram: Vec::new(),
            operations: Vec::new(),
        });
        summary.conclude();
        summary
    }

    fn with(result: Verdict) -> Summary {
        let mut summary = summary(&[], None);
        summary.checks[0].result = result;
        summary.conclude();
        summary
    }

    fn broken() -> Summary {
        let mut summary = with(Verdict::Valid);
        summary.harness_error = Some("no space".to_owned());
        summary.conclude();
        summary
    }

    #[test]
    fn the_check_that_failed_must_fail_again() {
        let stale = summary(&[CheckName::Consistency], Some(Anomaly::StaleRead));
        let lost = summary(&[CheckName::Consistency, CheckName::Liveness], Some(Anomaly::LostWrite));
        let (crashed, valid) = (summary(&[CheckName::Crash], None), summary(&[], None));
        let original = Original::of("r".into(), &stale);
        assert_eq!((original.check, original.anomaly), (Some(CheckName::Consistency), Some(Anomaly::StaleRead)));
        assert_eq!(original.compare(&lost), Outcome::Reproduced);
        assert_eq!(original.compare(&crashed), Outcome::Otherwise, "it is invalid, but for another reason");
        assert_eq!(original.compare(&valid), Outcome::Otherwise);
        assert_eq!(original.compare(&with(Verdict::Vacuous)), Outcome::Unclear, "nothing was tested");
        assert_eq!(original.compare(&with(Verdict::Unknown)), Outcome::Unclear);
        assert_eq!(original.compare(&broken()), Outcome::Failed);
        let both = Original::of("r".into(), &summary(&[CheckName::Liveness, CheckName::Crash], None));
        assert_eq!(both.check, Some(CheckName::Crash));
        let found_before_the_end = Summary { harness_error: Some("no space".into()), ..stale };
        assert_eq!(original.compare(&found_before_the_end), Outcome::Reproduced);
    }

    #[test]
    fn any_verdict_can_come_out_again() {
        for verdict in [Verdict::Valid, Verdict::Vacuous, Verdict::Unknown] {
            let original = Original::of("r".into(), &with(verdict));
            assert_eq!((original.check, original.compare(&with(verdict))), (None, Outcome::Reproduced));
            assert_eq!(original.compare(&with(Verdict::Invalid)), Outcome::Otherwise);
            assert_eq!(original.compare(&broken()), Outcome::Failed);
        }
        let valid = Original::of("r".into(), &with(Verdict::Valid));
        assert_eq!(valid.compare(&with(Verdict::Vacuous)), Outcome::Unclear);
        let vacuous = Original::of("r".into(), &with(Verdict::Vacuous));
        assert_eq!(vacuous.compare(&with(Verdict::Valid)), Outcome::Otherwise);
    }

    fn report(replays: Vec<Replayed>) -> ReplayReport {
        let stale = summary(&[CheckName::Consistency], Some(Anomaly::StaleRead));
        let original = Original::of("20261121-184150-336e".into(), &stale);
        ReplayReport::new(original, "recorded", vec!["another\nversion".into()], replays)
    }

    fn five() -> ReplayReport {
        let original = report(Vec::new()).original;
        let of = |number, summary: &Summary| Replayed::of(number, &original, summary);
        let stale = summary(&[CheckName::Consistency], Some(Anomaly::StaleRead));
        let lost = summary(&[CheckName::Consistency], Some(Anomaly::LostWrite));
        let kept = Replayed { kept: Some("x/1".into()), load_ms: 1_200, ..of(1, &stale) };
        let failed = Replayed::without_summary(5, Outcome::Failed, "it \u{1b}[31mhung".into());
        let not_run = Replayed::without_summary(6, Outcome::NotRun, "interrupted".into());
        let replays =
            vec![kept, of(2, &lost), of(3, &summary(&[], None)), of(4, &with(Verdict::Unknown)), failed, not_run];
        report(replays)
    }

    #[test]
    fn what_came_to_no_answer_is_not_in_the_rate() {
        let report = five();
        assert_eq!((report.times, report.reproduced, report.same_anomaly, report.otherwise), (6, 2, 1, 1));
        assert_eq!((report.unclear, report.failed, report.not_run), (1, 1, 1));
        assert_eq!(report.rate, Some(2.0 / 3.0));
        let Interval { low, high } = wilson(2, 3);
        assert_eq!((report.low, report.high, &report.runs), (low, high, &vec!["x/1".to_owned()]));
        assert_eq!(report.exit(), ExitCode::Invalid);
    }

    #[test]
    fn replays_that_tested_nothing_are_not_in_the_rate() {
        let original = report(Vec::new()).original;
        let stale = Replayed::of(1, &original, &summary(&[CheckName::Consistency], Some(Anomaly::StaleRead)));
        let report = report(vec![stale, Replayed::of(2, &original, &with(Verdict::Vacuous))]);
        assert_eq!((report.reproduced, report.otherwise, report.unclear, report.rate), (1, 0, 1, Some(1.0)));
    }

    #[test]
    fn nothing_is_no_pass() {
        let failed = report(vec![Replayed::without_summary(1, Outcome::Failed, "it hung".into())]);
        assert_eq!((failed.rate, failed.low, failed.high), (None, 0.0, 1.0));
        assert_eq!(failed.exit(), ExitCode::HarnessError);
        assert!(render(&failed).contains("nothing is known"));
        assert_eq!(report(Vec::new()).exit(), ExitCode::HarnessError);
        let valid = Replayed::of(1, &failed.original, &summary(&[], None));
        assert_eq!(report(vec![valid]).exit(), ExitCode::Valid);
    }

    #[test]
    fn the_contract_of_the_file() {
        let json = serde_json::to_value(five()).unwrap();
        for (name, value) in [
            ("format", serde_json::json!(1)),
            ("run", serde_json::json!("20261121-184150-336e")),
            ("verdict", serde_json::json!("invalid")),
            ("times", serde_json::json!(6)),
            ("reproduced", serde_json::json!(2)),
            ("same_anomaly", serde_json::json!(1)),
            ("failed", serde_json::json!(1)),
            ("faults", serde_json::json!("recorded")),
            ("runs", serde_json::json!(["x/1"])),
        ] {
            assert_eq!(json[name], value, "{name}");
        }
        assert!(json["rate"].is_f64() && json["low"].is_f64() && json["high"].is_f64());
        assert_eq!(serde_json::from_value::<ReplayReport>(json).unwrap(), five());
    }

    #[test]
    fn the_text() {
        insta::assert_snapshot!(render(&five()));
    }
}
