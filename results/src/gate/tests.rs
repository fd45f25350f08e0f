use super::{annotations::annotations, *};

const VERDICTS: [Verdict; 4] = [Verdict::Valid, Verdict::Invalid, Verdict::Unknown, Verdict::Vacuous];

fn expected(verdicts: &[Verdict]) -> Expectation {
    Expectation { verdicts: verdicts.to_vec(), ..Expectation::default() }
}

fn ended(verdict: Verdict) -> Outcome {
    let invalid = verdict == Verdict::Invalid;
    let failed = if invalid { vec![CheckName::Consistency] } else { Vec::new() };
    Outcome::Ended(Finding { verdict, failed, anomaly: invalid.then_some(Anomaly::StaleRead), fired: None })
}

fn outcomes() -> Vec<Outcome> {
    let others = [Outcome::Infrastructure, Outcome::NotRun, Outcome::Waiting, Outcome::Running];
    VERDICTS.into_iter().map(ended).chain(others).collect()
}

fn job(seed: u64, outcome: Outcome) -> JobReport {
    JobReport {
        outcome,
        reason: "for a reason".to_owned(),
        duration_ms: 1_500,
        run: Some("20261121-011502-ab3f".to_owned()),
        ..JobReport::waiting(seed.try_into().expect("a small number"), seed, format!("trueline run --seed {seed}"))
    }
}

fn scenario(name: &str, expected: Expectation, outcomes: impl IntoIterator<Item = Outcome>) -> ScenarioReport {
    let jobs = (1..).zip(outcomes).map(|(seed, outcome)| job(seed, outcome)).collect();
    ScenarioReport { name: name.to_owned(), command: "trueline run".to_owned(), expected, jobs }
}

fn report(scenarios: Vec<ScenarioReport>) -> GateReport {
    let planned = scenarios.iter().map(|scenario| scenario.jobs.len()).sum::<usize>();
    GateReport {
        format: GATE_FORMAT,
        trueline: "0.0.0".to_owned(),
        started: "2026-01-01T00:00:00Z".to_owned(),
        machine: Machine::here(),
        command: Vec::new(),
        profile: "default".to_owned(),
        partition: None,
        fresh_seeds: false,
        planned: planned.try_into().expect("a small number"),
        jobs_at_once: 1,
        time_budget_ms: None,
        duration_ms: 63_000,
        interrupted: false,
        exit: None,
        scenarios,
    }
}

fn replayed(reproduced: u32, judged: u32, times: u32) -> Replayed {
    Replayed::Done { times, judged, reproduced, interval: wilson(reproduced, judged) }
}

/// The table of the module, row by row: every expected verdict, everything that can come out.
const TABLE: [(Verdict, [u8; 8]); 4] = [
    // came out: valid, invalid, unknown, vacuous, infrastructure, not run, waiting, running
    (Verdict::Valid, [0, 1, 2, 3, 255, 2, 2, 2]),
    (Verdict::Invalid, [1, 0, 2, 3, 255, 2, 2, 2]),
    (Verdict::Unknown, [1, 1, 0, 3, 255, 2, 2, 2]),
    (Verdict::Vacuous, [1, 1, 2, 0, 255, 2, 2, 2]),
];

/// Failed attempts before the last one change nothing about how a job ends, and are told whenever there is a verdict.
#[test]
fn exit_codes_of_one_job_in_every_combination() {
    for (wanted, row) in TABLE {
        for (outcome, code) in outcomes().into_iter().zip(row) {
            for failures in 0..3 {
                let mut one = scenario("one", expected(&[wanted]), [outcome.clone()]);
                one.jobs[0].failures = vec!["no namespace".to_owned(); failures];
                let mut report = report(vec![one]);
                assert_eq!(report.conclude().code(), code, "{wanted:?} {outcome:?} after {failures}");
                assert_eq!(report.exit, Some(code));
                let complaint = complaint(&expected(&[wanted]), &outcome);
                assert_eq!(complaint.is_none(), code == 0, "{wanted:?} {outcome:?}");
                let has_verdict = matches!(outcome, Outcome::Ended(_));
                assert_eq!(report.scenarios[0].jobs[0].is_flaky(), has_verdict && failures > 0);
                assert_eq!(render(&report).contains("flaky"), has_verdict && failures > 0 && code == 0);
            }
        }
    }
}

/// The documented order, written down once more rather than taken from the code.
fn worse(a: u8, b: u8) -> u8 {
    [1, 255, 2, 3, 0].into_iter().find(|code| *code == a || *code == b).expect("a code of a gate")
}

#[test]
fn exit_codes_of_two_jobs_in_every_combination() {
    for (wanted, row) in TABLE {
        for (other_wanted, other_row) in TABLE {
            for (outcome, code) in outcomes().into_iter().zip(row) {
                for (other, other_code) in outcomes().into_iter().zip(other_row) {
                    let first = scenario("a", expected(&[wanted]), [outcome.clone()]);
                    let second = scenario("b", expected(&[other_wanted]), [other.clone()]);
                    let exit = report(vec![first, second]).conclude().code();
                    assert_eq!(exit, worse(code, other_code), "{wanted:?} {outcome:?}, {other_wanted:?} {other:?}");
                }
            }
        }
    }
}

#[test]
fn several_verdicts_may_be_expected() {
    for mask in 1_u8..16 {
        let verdicts: Vec<Verdict> =
            (0..4).filter(|bit| mask >> bit & 1 == 1).map(|bit: usize| VERDICTS[bit]).collect();
        for (place, verdict) in VERDICTS.into_iter().enumerate() {
            let alone = TABLE[(place + 1) % 4].1[place];
            let wanted = if verdicts.contains(&verdict) { 0 } else { alone };
            assert_eq!(exit_of(&expected(&verdicts), &ended(verdict)).code(), wanted, "{verdicts:?} {verdict:?}");
        }
    }
}

#[test]
fn another_violation_than_the_expected_one_is_no_match() {
    let stale = ended(Verdict::Invalid);
    let failed = |check| Finding { verdict: Verdict::Invalid, failed: vec![check], anomaly: None, fired: None };
    let (crash, slow) = (Outcome::Ended(failed(CheckName::Crash)), Outcome::Ended(failed(CheckName::Liveness)));
    let bare = expected(&[Verdict::Invalid]);
    let of_checks = |checks: &[CheckName]| Expectation { checks: checks.to_vec(), ..bare.clone() };
    let consistency = of_checks(&[CheckName::Consistency]);
    let any = of_checks(&[CheckName::Consistency, CheckName::Crash, CheckName::Liveness]);
    let found = Expectation { anomalies: vec![Anomaly::LostWrite, Anomaly::StaleRead], ..bare.clone() };
    let other = Expectation { anomalies: vec![Anomaly::LostWrite], ..bare.clone() };
    for (expected, outcome, code) in [
        // Who just says invalid means consistency.
        (&bare, &stale, 0),
        (&bare, &crash, 1),
        (&bare, &slow, 1),
        (&any, &stale, 0),
        (&any, &crash, 0),
        (&any, &slow, 0),
        (&consistency, &stale, 0),
        (&consistency, &crash, 1),
        (&found, &stale, 0),
        (&found, &crash, 1),
        (&other, &stale, 1),
    ] {
        assert_eq!(exit_of(expected, outcome).code(), code, "{expected:?} {outcome:?}");
    }
    assert_eq!(complaint(&other, &stale), Some("another violation than expected"));
    assert_eq!(found.words(), "invalid (lost-write, stale-read)");
    // What kind of violation is expected says nothing of runs that have none.
    let either = Expectation { verdicts: vec![Verdict::Valid, Verdict::Invalid], ..other };
    assert_eq!(exit_of(&either, &ended(Verdict::Valid)).code(), 0);
}

/// A canary that is found for another reason than its bug is no canary.
#[test]
fn a_bug_that_never_acted_is_not_what_was_found() {
    let mut summary = Summary::new("raft", "register", 1);
    summary.checks = vec![crate::check::Check::new(CheckName::Consistency, Verdict::Invalid, "x was read")];
    summary.conclude();
    for (fired, code) in [(None, 0), (Some(0), 1), (Some(1), 0)] {
        summary.mutant = fired.map(|fired| crate::summary::MutantSummary { name: "m".to_owned(), fired });
        let outcome = Outcome::Ended(Finding::of(&summary));
        let invalid = expected(&[Verdict::Invalid]);
        assert_eq!(exit_of(&invalid, &outcome).code(), code, "{fired:?}");
        let never = (code == 1).then_some("the bug that was switched on never acted");
        assert_eq!(complaint(&invalid, &outcome), never, "{fired:?}");
        assert_eq!(complaint(&Expectation::default(), &outcome), Some("violation"), "{fired:?}");
    }
    // A run that came out valid need not have met its bug.
    let idle = Finding { verdict: Verdict::Valid, failed: Vec::new(), anomaly: None, fired: Some(0) };
    assert!(expected(&[Verdict::Valid]).is_met_by(&idle));
    let text = serde_json::to_string(&idle).expect("JSON");
    assert_eq!(serde_json::from_str::<Finding>(&text).expect("a finding"), idle);
}

#[test]
fn no_job_is_a_pass_only_where_others_have_the_jobs() {
    let mut nothing = report(Vec::new());
    assert_eq!(nothing.conclude(), ExitCode::Vacuous);
    assert!(render(&nothing).contains("nothing was tested"));
    let mut part = GateReport { partition: Some("3/10".to_owned()), planned: 2, ..report(Vec::new()) };
    assert_eq!(part.conclude(), ExitCode::Valid);
    let words = ["partition 3/10 is empty", "2 jobs"];
    for text in [render(&part), markdown(&part), annotations(&part)] {
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    }
    part.interrupted = true;
    assert_eq!(part.conclude(), ExitCode::Unknown);
}

#[test]
fn an_interrupted_gate_is_no_pass() {
    let mut report = report(vec![scenario("a", Expectation::default(), [ended(Verdict::Valid)])]);
    assert_eq!(report.conclude(), ExitCode::Valid);
    report.interrupted = true;
    assert_eq!(report.conclude(), ExitCode::Unknown);
}

/// What a hostile server, or a hostile file, might write.
const HOSTILE: &str = "]]></system-out><x a=\"1\"> | a\\| \r\n::error::x\n##[error]y ##vso[z] \u{1b}[31mred\u{0}\u{202e} `````` <script>alert(1)</script> & *b* [l](http://e) $x$ @you";

fn hostile() -> GateReport {
    let mut one = scenario("bad", Expectation::default(), outcomes());
    for job in &mut one.jobs {
        HOSTILE.clone_into(&mut job.reason);
        HOSTILE.clone_into(&mut job.again);
        job.failures = vec![HOSTILE.to_owned(), "::warning::w".to_owned()];
        job.sentences = vec![HOSTILE.to_uppercase(), "::error::sentence".to_owned()];
        job.diagram = vec![HOSTILE.to_owned(), "``````".to_owned()];
        (job.page, job.replay) = (Some(HOSTILE.to_owned()), Some(HOSTILE.to_owned()));
        job.replayed = Some(Replayed::Failed { why: HOSTILE.to_owned() });
    }
    let mut report = report(vec![one]);
    HOSTILE.clone_into(&mut report.profile);
    report
}

#[test]
fn hostile_text_stays_text_on_the_terminal() {
    let text = render(&hostile());
    for line in text.lines() {
        assert!(!line.trim_start().starts_with("::") && !line.contains("##"), "{line}");
        assert!(line.chars().all(|letter| !letter.is_control() && letter != '\u{202e}'), "{line:?}");
    }
    assert_eq!(unannotated("::error::x\n  ::y\na ##[z]\nb"), "|::error::x\n|  ::y\na # #[z]\nb");
}

#[test]
fn hostile_text_stays_text_in_markdown() {
    let page = markdown(&hostile());
    let mut fence: Option<String> = None;
    for line in page.lines() {
        let ticks: String = line.chars().take_while(|letter| *letter == '`').collect();
        match &fence {
            Some(open) if ticks == *open && line == ticks => fence = None,
            Some(open) => assert!(ticks.len() < open.len(), "a block ends early: {line}"),
            None if ticks.len() >= 3 => fence = Some(ticks),
            None => {
                assert!(!line.contains(['<', '>', '`', '\\', '@', '$', '[']), "{line}");
                if line.starts_with('|') {
                    assert_eq!(line.matches('|').count(), 6, "{line}");
                }
            }
        }
        assert!(!line.contains(['\u{1b}', '\u{0}', '\u{202e}', '\r']), "{line:?}");
    }
    assert_eq!(fence, None, "every block ends");
    assert!(page.contains("&#60;script&#62;"));
}

#[test]
fn hostile_text_stays_text_in_annotations() {
    let text = annotations(&hostile());
    let lines: Vec<&str> = text.lines().collect();
    // One of eight jobs is as expected, and flaky.
    assert_eq!(lines.len(), 8, "{text}");
    for line in &lines {
        let rest = line.strip_prefix("::error title=").or(line.strip_prefix("::warning title=")).expect("a command");
        let (title, message) = rest.split_once("::").expect("a message");
        assert!(!title.contains([':', ',']) && title.starts_with("trueline%3A bad seed"), "{title}");
        assert!(message.contains("%0D%0A") && !message.contains('\r'), "{message}");
    }
    assert_eq!(lines.iter().filter(|line| line.starts_with("::warning")).count(), 1);
}

#[test]
fn annotations_are_as_many_as_are_shown() {
    let many = std::iter::repeat_n(ended(Verdict::Vacuous), 14);
    let text = annotations(&report(vec![scenario("a", Expectation::default(), many)]));
    assert_eq!(text.lines().count(), 10);
    assert!(text.lines().last().is_some_and(|line| line.contains("and 5 more")), "{text}");
    assert_eq!(annotations(&report(vec![scenario("a", Expectation::default(), [ended(Verdict::Valid)])])), "");
}

#[test]
fn percent_signs_cannot_smuggle_newlines() {
    let mut report = report(vec![scenario("a", Expectation::default(), [ended(Verdict::Invalid)])]);
    "100%0A::error::x".clone_into(&mut report.scenarios[0].jobs[0].reason);
    assert!(annotations(&report).contains("100%250A::error::x"));
}

#[test]
fn long_violations_are_cut() {
    let mut summary = Summary::new("raft", "register", 1);
    summary.verdict = Verdict::Invalid;
    summary.reason = "ä".repeat(5_000);
    summary.violation = Some(crate::summary::ViolationSummary {
        anomaly: Anomaly::StaleRead,
        key: checkers::history::Value::Nil,
        sentences: vec!["s".repeat(5_000); 100],
        diagram: vec!["d".repeat(5_000); 1_000],
        operations: Vec::new(),
    });
    let mut job = job(1, Outcome::Running);
    job.take(&summary);
    assert_eq!(job.reason.chars().count(), LETTERS_MAX + 1);
    assert_eq!((job.sentences.len(), job.diagram.len()), (SENTENCES_MAX, DIAGRAM_LINES_MAX));
    let Outcome::Ended(finding) = &job.outcome else { panic!("{job:?}") };
    assert_eq!((finding.verdict, finding.anomaly), (Verdict::Invalid, Some(Anomaly::StaleRead)));
}

#[test]
fn failures_are_cut_and_name_their_run() {
    let mut job = job(1, Outcome::Running);
    job.take_failure(&"ä".repeat(5_000), Some("20261121-011502-ab3f"));
    job.take_failure("no disk space", None);
    let [long, short] = &job.failures[..] else { panic!("{job:?}") };
    assert!(long.ends_with("… (run 20261121-011502-ab3f)") && long.chars().count() < LETTERS_MAX + 40, "{long}");
    assert_eq!((short.as_str(), &job.reason), ("no disk space", short));
}

/// GitHub takes a mebibyte, and shows nothing at all of a page that is larger.
#[test]
fn the_page_stays_within_what_a_step_may_have() {
    let mut wrong = scenario("bad", Expectation::default(), std::iter::repeat_n(ended(Verdict::Invalid), 30));
    for job in &mut wrong.jobs {
        job.reason = "|".repeat(LETTERS_MAX);
        job.sentences = vec!["*".repeat(LETTERS_MAX); SENTENCES_MAX];
        job.diagram = vec!["─".repeat(LETTERS_MAX); DIAGRAM_LINES_MAX];
    }
    let mut flaky = scenario("flaky", Expectation::default(), std::iter::repeat_n(ended(Verdict::Valid), 30));
    for job in &mut flaky.jobs {
        job.take_failure(&"*".repeat(5_000), job.run.clone().as_deref());
    }
    let page = markdown(&report(vec![wrong.clone(), flaky]));
    assert!((800 << 10..1 << 20).contains(&page.len()), "{} bytes", page.len());
    let told = page.matches("\n### bad").count();
    assert!((1..20).contains(&told), "{told}");
    assert!(page.contains(&format!("And {} more, in `junit.xml`", 30 - told)), "{told}");
    // One job alone that is too long for the page, and more scenarios than it has room for.
    wrong.jobs.truncate(1);
    wrong.jobs[0].again = "a".repeat(2 << 20);
    let page = markdown(&report(vec![wrong]));
    assert!(page.len() < 10_000 && page.contains("And 1 more, in `junit.xml`"), "{} bytes", page.len());
    let name = "_".repeat(80);
    let many = (0..5_000).map(|_| scenario(&name, Expectation::default(), [ended(Verdict::Valid)])).collect();
    let page = markdown(&report(many));
    assert!(page.len() < 1 << 20 && page.contains("more scenarios, in `junit.xml`"), "{} bytes", page.len());
}

#[test]
fn what_is_told_of_a_violation() {
    let mut one = scenario("raft-basic", Expectation::default(), [ended(Verdict::Valid), ended(Verdict::Invalid)]);
    let job = &mut one.jobs[1];
    job.sentences = vec!["Client 2 read 17 after 18.".to_owned()];
    job.replayed = Some(replayed(4, 5, 5));
    let report = report(vec![one]);
    let xml = junit(&report).expect("JUnit");
    for text in [render(&report), markdown(&report), xml] {
        for word in
            ["raft-basic", "Client 2 read 17 after 18.", "found again 4 of 5 times", "38-96 %", "trueline run --seed 2"]
        {
            assert!(text.contains(word), "{word} is not in {text}");
        }
    }
    assert!(render(&report).contains("1 of 2 jobs as expected"));
}

#[test]
fn a_report_is_read_back_as_it_was_written() {
    let mut report = hostile();
    report.conclude();
    let text = serde_json::to_string(&report).expect("JSON");
    assert_eq!(serde_json::from_str::<GateReport>(&text).expect("a report"), report);
    assert!(text.contains(
        r#""outcome":{"state":"ended","verdict":"invalid","failed":["consistency"],"anomaly":"stale-read"}"#
    ));
}

#[test]
fn what_a_replay_says() {
    use crate::replay::{Original, Outcome as Ending, Replayed as Replay};
    let original = Original { run: "x".to_owned(), verdict: Verdict::Invalid, check: None, anomaly: None };
    let of = |endings: &[Ending]| {
        let one = |(number, ending): (u32, &Ending)| Replay::without_summary(number, *ending, "why".to_owned());
        ReplayReport::new(original.clone(), "recorded", Vec::new(), (1..).zip(endings).map(one).collect())
    };
    let five = [Ending::Reproduced, Ending::Reproduced, Ending::Otherwise, Ending::Failed, Ending::Unclear];
    let report = of(&five);
    assert_eq!(Replayed::of(&report, "x"), Ok(replayed(2, 3, 5)));
    assert!(Replayed::of(&report, "y").is_err_and(|why| why.contains('x') && why.contains('y')));
    assert!(
        replayed(2, 3, 5).words().ends_with("found again 2 of 3 times (true rate 21-94 %); 2 more came to no answer")
    );
    assert!(Replayed::of(&of(&five[3..]), "x").expect("a report").words().contains("none of 2"));
    assert!(Replayed::of(&ReplayReport { reproduced: 9, ..report }, "x").is_err());
}

/// What comes of validation with this project's schema: none where there is no validator, and none is demanded.
fn validated(xml: &str) -> Option<Result<(), String>> {
    use std::process::Command;
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), xml).expect("written");
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/junit.xsd");
    let output = match Command::new("xmllint").args(["--noout", "--schema", schema]).arg(file.path()).output() {
        Ok(output) => output,
        Err(error) => {
            assert!(std::env::var_os("TRUELINE_REQUIRE_XMLLINT").is_none(), "xmllint is required: {error}");
            eprintln!("skipped: there is no xmllint ({error})");
            return None;
        }
    };
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    Some(if output.status.success() { Ok(()) } else { Err(words) })
}

#[test]
fn junit_validates_against_its_schema() {
    let every = TABLE.map(|(wanted, _)| scenario(verdict_name(wanted), expected(&[wanted]), outcomes()));
    let empty = GateReport { partition: Some("2/2".to_owned()), planned: 1, ..report(Vec::new()) };
    for report in [report(every.to_vec()), hostile(), empty] {
        let xml = junit(&report).expect("JUnit");
        assert!(!xml.contains("disabled="), "{xml}");
        if let Some(validated) = validated(&xml) {
            validated.unwrap_or_else(|error| panic!("{error}\n{xml}"));
        }
    }
}

#[test]
fn the_schema_refuses_what_is_wrong() {
    let xml = junit(&report(vec![scenario("a", Expectation::default(), [ended(Verdict::Valid), Outcome::NotRun])]));
    let xml = xml.expect("JUnit");
    for (from, to, what) in [
        ("seed 2", "seed 1", "two cases by one name"),
        ("<skipped ", "<omitted ", "an element that nobody knows"),
        ("tests=\"2\"", "tests=\"two\"", "a count that is no number"),
        (" classname=\"trueline.a\"", "", "a case without a class"),
        ("</testsuites>", "", "no end"),
        (" skipped=\"1\"", " skipped=\"1\" disabled=\"0\"", "an attribute that validators refuse"),
        ("<testsuite ", "<testsuite/><testsuite ", "a suite of nothing"),
    ] {
        let wrong = xml.replacen(from, to, 10);
        assert_ne!(wrong, xml, "{what}");
        if let Some(validated) = validated(&wrong) {
            assert!(validated.is_err(), "{what} went through: {wrong}");
        }
    }
}

#[test]
fn junit_says_failure_error_and_skipped() {
    let xml = junit(&report(vec![scenario("a", Expectation::default(), outcomes())])).expect("JUnit");
    // Invalid and vacuous; unknown, infrastructure, waiting and running.
    assert!(xml.contains(r#"name="a" tests="8" errors="4" failures="2" time="12.000" skipped="1">"#), "{xml}");
    for (element, count) in [("<failure ", 2), ("<error ", 4), ("<skipped ", 1), ("<testcase ", 8)] {
        assert_eq!(xml.matches(element).count(), count, "{element}: {xml}");
    }
}
