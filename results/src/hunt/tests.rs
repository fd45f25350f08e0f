use super::*;
use crate::{
    check::Check,
    summary::{MutantSummary, ViolationSummary},
};
use checkers::{history::Value, verdict::Anomaly};

const QUARRIES: [Quarry; 5] = [Quarry::Easy, Quarry::Medium, Quarry::Hard, Quarry::Decoy, Quarry::Correct];

fn run(seed: u64, outcome: RunOutcome) -> RunReport {
    RunReport {
        load_ms: 5_000,
        fired: 1_234,
        ..RunReport::without_summary(seed, outcome, "for a reason".to_owned(), format!("trueline run --seed {seed}"))
    }
}

fn detected(after_ms: u64) -> RunOutcome {
    RunOutcome::Detected { anomaly: "stale-read".to_owned(), after_ms }
}

fn outcomes() -> [RunOutcome; 7] {
    use RunOutcome::{Crashed, Failed, NotRun, Passed, Stuck, Unclear};
    [detected(100), Passed, Crashed, Stuck, Unclear, Failed, NotRun]
}

fn target(name: &str, quarry: Quarry, outcomes: impl IntoIterator<Item = RunOutcome>) -> TargetReport {
    let runs: Vec<RunReport> = (1..).zip(outcomes).map(|(seed, outcome)| run(seed, outcome)).collect();
    TargetReport {
        name: name.to_owned(),
        quarry,
        system: "raft".to_owned(),
        scenario: "trueline run".to_owned(),
        budget_ms: 20_000,
        figures: Figures::of(&runs),
        runs,
    }
}

fn report(targets: Vec<TargetReport>) -> HuntReport {
    HuntReport {
        format: HUNT_FORMAT,
        trueline: "0.0.0".to_owned(),
        started: "2026-01-01T00:00:00Z".to_owned(),
        machine: Machine::here(),
        command: Vec::new(),
        generic: false,
        jobs: 4,
        duration_ms: 3_723_000,
        interrupted: false,
        exit: 255,
        targets,
    }
}

/// Every outcome of every quarry, as the table of the module has it.
#[test]
fn exit_codes() {
    let wanted = [
        // detected, passed, crashed, stuck, unclear, failed, not run
        [0, 1, 1, 1, 1, 255, 2],
        [0, 1, 1, 1, 1, 255, 2],
        [0, 0, 0, 0, 0, 255, 2],
        [1, 0, 1, 0, 2, 255, 2],
        [1, 0, 1, 1, 2, 255, 2],
    ];
    for (quarry, codes) in QUARRIES.into_iter().zip(wanted) {
        for (outcome, code) in outcomes().into_iter().zip(codes) {
            let mut report = report(vec![target("t", quarry, [outcome.clone()])]);
            assert_eq!(report.conclude().code(), code, "{quarry:?} {outcome:?}");
            assert_eq!(report.exit, code);
        }
    }
}

#[test]
fn the_worst_run_of_all_targets_decides() {
    let code = |targets: Vec<TargetReport>| report(targets).conclude().code();
    let good = || target("good", Quarry::Easy, [detected(1), detected(2)]);
    assert_eq!(code(vec![good(), target("d", Quarry::Decoy, [RunOutcome::Passed])]), 0);
    assert_eq!(code(vec![good(), target("m", Quarry::Medium, [detected(1), RunOutcome::Passed])]), 1);
    assert_eq!(code(vec![good(), target("h", Quarry::Hard, [detected(1), RunOutcome::Failed])]), 255);
    let escaped = target("e", Quarry::Easy, [RunOutcome::Passed, RunOutcome::Failed, RunOutcome::NotRun]);
    assert_eq!(code(vec![good(), escaped]), 1);
    assert_eq!(code(vec![]), 2, "nothing was hunted");
    assert_eq!(code(vec![target("none", Quarry::Hard, [])]), 2, "nothing was run");
    let mut interrupted = report(vec![good()]);
    interrupted.interrupted = true;
    assert_eq!(interrupted.conclude().code(), 2);
}

#[test]
fn figures_count_what_ended() {
    let figures = Figures::of(&target("t", Quarry::Hard, outcomes()).runs);
    assert_eq!((figures.detected, figures.of, figures.stuck), (1, 5, 1));
    assert_eq!((figures.worst_ms, figures.median_ms), (None, None), "four of five took longer than anyone waited");
    assert_eq!(figures.load_ms, 25_000);
    let figures = Figures::of(&target("t", Quarry::Easy, [300, 100, 200].map(detected)).runs);
    assert_eq!((figures.median_ms, figures.worst_ms), (Some(200), Some(300)));
    assert_eq!(figures.anomalies, [("stale-read".to_owned(), 3)].into());
}

fn summary(results: [Verdict; 3]) -> Summary {
    let mut summary = Summary::new("raft", "register", 7);
    let names = [CheckName::Consistency, CheckName::Liveness, CheckName::Crash];
    summary.checks =
        names.into_iter().zip(results).map(|(name, result)| Check::new(name, result, name.name())).collect();
    summary.duration_ms = 3_500;
    summary.mutant = Some(MutantSummary { name: "m".to_owned(), fired: 5 });
    if results[0] == Verdict::Invalid {
        summary.violation = Some(ViolationSummary {
            anomaly: Anomaly::LostWrite,
            key: Value::Nil,
            sentences: Vec::new(),
            diagram: Vec::new(),
            operations: Vec::new(),
        });
    }
    summary.conclude();
    summary
}

#[test]
fn only_what_clients_saw_is_a_detection() {
    use Verdict::{Invalid, Unknown, Valid};
    let of = |results| RunReport::of(&summary(results), 1_000, String::new());
    let found = of([Invalid, Unknown, Invalid]);
    assert_eq!(found.outcome, RunOutcome::Detected { anomaly: "lost-write".to_owned(), after_ms: 2_500 });
    assert!(found.crashed, "told beside the detection");
    assert_eq!((found.seed, found.fired, found.load_ms), (7, 5, 3_500));
    assert_eq!(of([Valid, Valid, Invalid]).outcome, RunOutcome::Crashed);
    assert_eq!(of([Unknown, Invalid, Invalid]).outcome, RunOutcome::Crashed);
    assert_eq!(of([Valid, Invalid, Valid]).outcome, RunOutcome::Stuck);
    assert_eq!(of([Valid; 3]).outcome, RunOutcome::Passed);
    assert_eq!(of([Unknown, Valid, Valid]).outcome, RunOutcome::Unclear);
    let mut failed = summary([Unknown, Valid, Valid]);
    failed.harness_error = Some("no disk".to_owned());
    assert_eq!(RunReport::of(&failed, 0, String::new()).outcome, RunOutcome::Failed);
    // Found before the faults began.
    let early = RunReport::of(&summary([Invalid, Valid, Valid]), 9_000, String::new());
    assert!(matches!(early.outcome, RunOutcome::Detected { after_ms: 0, .. }));
}

#[test]
fn the_table() {
    let mut report = report(vec![
        target("raft-read-any-node", Quarry::Easy, [700, 1_400, 900].map(detected)),
        target("raft-unlucky", Quarry::Medium, [detected(4_200), RunOutcome::Passed, RunOutcome::Crashed]),
        target("raft-deep", Quarry::Hard, [RunOutcome::Passed]),
        target("raft-no-prevote", Quarry::Decoy, [RunOutcome::Passed, RunOutcome::Stuck]),
        target("raft-correct-1", Quarry::Correct, [RunOutcome::Passed, detected(9), RunOutcome::NotRun]),
    ]);
    report.targets[2].figures.fired = 0;
    report.conclude();
    insta::assert_snapshot!(render(&report));
}

#[test]
fn a_report_is_read_back() {
    let mut report = report(vec![target("t", Quarry::Hard, outcomes())]);
    report.conclude();
    let text = serde_json::to_string(&report).expect("plain data");
    assert_eq!(serde_json::from_str::<HuntReport>(&text).expect("what was written"), report);
    assert!(text.starts_with(r#"{"format":1,"#), "{text}");
}
