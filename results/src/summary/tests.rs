use std::time::Duration;

use checkers::{
    Budget,
    history::{Action, Completion, Function, History, OpIndex, Operation, Value},
    model::{ModelKind, ModelSpec},
    verdict::Violation,
};
use insta::assert_snapshot;

use super::*;
use crate::{
    check::{CheckName, Vacuity},
    latency::{Ending, Latencies},
};

fn judgement(verdict: Verdict, reason: &str) -> Judgement {
    Judgement {
        verdict,
        reason: reason.to_owned(),
        violation: None,
        certificate: None,
        decided_by: "register-zones",
        operations: 12_345,
        keys: 15,
        elapsed: Duration::from_millis(40),
    }
}

fn operations() -> OperationTable {
    let mut table = OperationTable::default();
    for _ in 0..1_234 {
        table.add(Function::Read, &Completion::Ok(None), None);
        table.add(Function::Write, &Completion::Ok(None), None);
    }
    table.add(Function::Cas, &Completion::Ok(None), None);
    table.add(Function::Cas, &Completion::Mismatch { observed: None }, Some("mismatch"));
    for (reason, count) in [("timeout", 7), ("no-leader", 3), ("a", 1), ("b", 1), ("c", 1), ("d", 1)] {
        for _ in 0..count {
            table.add(Function::Write, &Completion::Info, Some(reason));
        }
    }
    table
}

fn base(verdict: Verdict, reason: &str) -> Summary {
    let mut latencies = Latencies::default();
    for n in 1..=100 {
        latencies.record(Function::Read, Ending::Answered, 0, 500, n * 1_000_000);
        latencies.record(Function::Read, Ending::Unanswered, 0, 0, 1_000_000_000);
    }
    let mut summary = Summary {
        run: Some("20261121-011502-ab3f".to_owned()),
        nodes: 5,
        clients: 10,
        duration_ms: 30_200,
        operations: operations(),
        faults: BTreeMap::from([
            ("kill".to_owned(), FaultCounts { started: 3, landed: 3 }),
            ("partition".to_owned(), FaultCounts { started: 6, landed: 5 }),
        ]),
        unavailability: Some(Unavailability {
            count: 7,
            total_ms: 3_456.0,
            longest_ms: 903.0,
            longest_at_ms: 12_340.0,
            longest_under: ["kill", "loss", "partition", "pause"].map(str::to_owned).into(),
        }),
        leader_changes: 4,
        throughput: ThroughputSummary { mean: 812.4, lowest: 0, highest: 1_204 },
        latencies: latencies.table(),
        recovery_ms: Some(820),
        files: BTreeMap::from([("run".to_owned(), "results/runs/20261121-011502-ab3f".to_owned())]),
        replay: Some("trueline replay 20261121-011502-ab3f".to_owned()),
        ..Summary::new("raft", "register", 42)
    };
    summary.judge(&judgement(verdict, reason));
    summary.checks.push(Check::new(CheckName::Consistency, verdict, reason));
    summary.checks.push(Check::new(
        CheckName::Liveness,
        Verdict::Valid,
        "all nodes answered 0.8 s after the last heal",
    ));
    summary.checks.push(Check::new(CheckName::Crash, Verdict::Valid, "no node ended by itself"));
    summary.checks.push(Check::new(CheckName::Vacuity, Verdict::Valid, "2,484 operations, 8 faults landed"));
    summary
}

#[test]
fn a_valid_run() {
    let mut summary = base(Verdict::Valid, "every key has a linearization");
    assert_eq!(summary.conclude(), ExitCode::Valid);
    assert_snapshot!(render(&summary, false), @r"
    VALID  raft, 5 nodes, register by 10 clients, 30.2 s, seed 42

      consistency  valid    every key has a linearization
      liveness     valid    all nodes answered 0.8 s after the last heal
      crash        valid    no node ended by itself
      vacuity      valid    2,484 operations, 8 faults landed

      operations            ok       fail   mismatch       info
        cas                  1          0          1          0
        read             1,234          0          0          0
        write            1,234          0          0         14
        because    timeout 7, no-leader 3, a 1, b 1, 2 more

      latency              p50        p99        max
        read             50 ms      99 ms     100 ms

      throughput   812 ok a second (lowest 0, highest 1,204)
      faults       kill 3, partition 5 of 6
      no answers   for up to 0.90 s (at 12.3 s, under kill, loss, partition, 1 more); 3.5 s in all, 7 times
      leaders      changed 4 times
      recovery     0.8 s after the last heal
      judged       12,345 operations on 15 keys, recovery and final reads included, in 0.0 s by register-zones
      run          results/runs/20261121-011502-ab3f
      again        trueline replay 20261121-011502-ab3f
    ");
}

/// The ladder of a read of what had been overwritten.
fn stale_read() -> Ladder {
    let write = |invoke, new: i64| Operation::invoked(0, Action::Write(new.into()), invoke).done(invoke + 1);
    let read = Operation::invoked(1, Action::Read, 5).returned(6, 1);
    let history = History::from_operations(vec![write(0, 1), write(2, 2), read]).expect("the history is well formed");
    let spec = ModelSpec { model: ModelKind::Register, initial: Value::Nil };
    checkers::ladder::ladder(&history, &spec, None, &Budget::default())
}

#[test]
fn an_invalid_run() {
    let reason = "Client 7 read k3=17 at 3.200 s, but client 2's write of k3=18 had been acknowledged at 3.100 s.";
    let mut summary = base(Verdict::Invalid, reason);
    summary.notes = vec!["All times are whole milliseconds.".to_owned()];
    summary.judge(&Judgement {
        violation: Some(Violation {
            anomaly: Anomaly::StaleRead,
            key: Value::Text("k3".to_owned()),
            operations: vec![OpIndex(5), OpIndex(9)],
            sentences: vec![
                "Client 7 read k3=17 at 3.200 s, but client 2's write of k3=18 had been acknowledged at 3.100 s."
                    .to_owned(),
                "That 18 came after 17 shows in something else.".to_owned(),
            ],
            diagram: "seconds   3.000  3.100\nclient 2  ├─ write 18 ─┤\n".to_owned(),
        }),
        ..judgement(Verdict::Invalid, reason)
    });
    summary.mutant = Some(MutantSummary { name: "raft-read-local-leader".to_owned(), fired: 31 });
    summary.ladder = Some(stale_read());
    assert_eq!(summary.conclude(), ExitCode::Invalid);
    assert_snapshot!(render(&summary, false), @r"
    INVALID  raft, 5 nodes, register by 10 clients, 30.2 s, seed 42

      consistency  invalid  Client 7 read k3=17 at 3.200 s, but client 2's write of k3=18 had been acknowledged at 3.100 s.
      liveness     valid    all nodes answered 0.8 s after the last heal
      crash        valid    no node ended by itself
      vacuity      valid    2,484 operations, 8 faults landed

      That 18 came after 17 shows in something else.

      seconds   3.000  3.100
      client 2  ├─ write 18 ─┤

      note         All times are whole milliseconds.

      what still holds
        sequential           holds
        causal               holds
        read your writes     holds
        monotonic reads      holds
        monotonic writes     holds
        writes follow reads  holds
        convergence          unknown  no key was read by two processes after the last acknowledged write
        stale reads          1 of 1 (100.0 %); by writes: p50 1, max 1; by time: p50 2 events, max 2 events

      operations            ok       fail   mismatch       info
        cas                  1          0          1          0
        read             1,234          0          0          0
        write            1,234          0          0         14
        because    timeout 7, no-leader 3, a 1, b 1, 2 more

      latency              p50        p99        max
        read             50 ms      99 ms     100 ms

      throughput   812 ok a second (lowest 0, highest 1,204)
      faults       kill 3, partition 5 of 6
      no answers   for up to 0.90 s (at 12.3 s, under kill, loss, partition, 1 more); 3.5 s in all, 7 times
      leaders      changed 4 times
      recovery     0.8 s after the last heal
      mutant       raft-read-local-leader, decided wrongly 31 times
      judged       12,345 operations on 15 keys, recovery and final reads included, in 0.0 s by register-zones
      run          results/runs/20261121-011502-ab3f
      again        trueline replay 20261121-011502-ab3f
    ");
}

#[test]
fn an_unknown_run() {
    let mut summary = base(Verdict::Unknown, "the time budget of 60 s ended on key k7");
    assert_eq!(summary.conclude(), ExitCode::Unknown);
    assert_snapshot!(render(&summary, false), @r"
    UNKNOWN  raft, 5 nodes, register by 10 clients, 30.2 s, seed 42

      consistency  unknown  the time budget of 60 s ended on key k7
      liveness     valid    all nodes answered 0.8 s after the last heal
      crash        valid    no node ended by itself
      vacuity      valid    2,484 operations, 8 faults landed

      operations            ok       fail   mismatch       info
        cas                  1          0          1          0
        read             1,234          0          0          0
        write            1,234          0          0         14
        because    timeout 7, no-leader 3, a 1, b 1, 2 more

      latency              p50        p99        max
        read             50 ms      99 ms     100 ms

      throughput   812 ok a second (lowest 0, highest 1,204)
      faults       kill 3, partition 5 of 6
      no answers   for up to 0.90 s (at 12.3 s, under kill, loss, partition, 1 more); 3.5 s in all, 7 times
      leaders      changed 4 times
      recovery     0.8 s after the last heal
      judged       12,345 operations on 15 keys, recovery and final reads included, in 0.0 s by register-zones
      run          results/runs/20261121-011502-ab3f
      again        trueline replay 20261121-011502-ab3f
    ");
}

#[test]
fn a_vacuous_run() {
    let mut summary = Summary { nodes: 5, clients: 1, ..Summary::new("raft", "register", 42) };
    summary.judge(&judgement(Verdict::Valid, "every key has a linearization"));
    summary.checks.push(Check::new(CheckName::Consistency, Verdict::Valid, "every key has a linearization"));
    let vacuity = Vacuity {
        faults_wanted: true,
        faults_landed: 0,
        operations: &operations(),
        functions_wanted: &["read", "append"],
        open_max: 1,
    };
    summary.checks.push(vacuity.check());
    assert_eq!(summary.conclude(), ExitCode::Vacuous);
    assert_snapshot!(render(&summary, false), @r"
    VACUOUS  raft, 5 nodes, register by 1 client, 0.0 s, seed 42

      consistency  valid    every key has a linearization
      vacuity      vacuous  faults were asked for and none landed; no append ever succeeded; no two operations were open at the same time

      faults       none
      leaders      changed 0 times
      judged       12,345 operations on 15 keys, recovery and final reads included, in 0.0 s by register-zones
    ");
}

#[test]
fn a_failed_liveness_is_named() {
    let mut summary = base(Verdict::Valid, "every key has a linearization");
    summary.checks[1] =
        Check::new(CheckName::Liveness, Verdict::Invalid, "node 3 did not answer within 10 s of the last heal");
    assert_eq!(summary.conclude(), ExitCode::Invalid);
    assert_eq!(summary.reason, "liveness: node 3 did not answer within 10 s of the last heal");
}

#[test]
fn a_harness_error_is_no_pass_and_hides_no_violation() {
    for (verdict, code) in
        [(Verdict::Valid, 255), (Verdict::Unknown, 255), (Verdict::Vacuous, 255), (Verdict::Invalid, 1)]
    {
        let mut summary = base(verdict, "because");
        summary.harness_error = Some("the disk is full".to_owned());
        assert_eq!(summary.conclude().code(), code);
        assert_eq!(summary.exit, code);
        assert_ne!(summary.verdict, Verdict::Valid);
        assert!(render(&summary, false).contains("the disk is full"));
    }
}

#[test]
fn nothing_is_valid_before_it_is_concluded() {
    let mut summary = Summary::new("raft", "register", 1);
    assert_eq!((summary.verdict, summary.exit), (Verdict::Unknown, 255));
    assert_eq!(summary.conclude(), ExitCode::Unknown);
}

#[test]
fn colours_only_colour() {
    let mut summary = base(Verdict::Valid, "every key has a linearization");
    summary.conclude();
    let (plain, coloured) = (render(&summary, false), render(&summary, true));
    assert!(!plain.contains('\x1b') && coloured.contains("\x1b[1;32mVALID\x1b[0m"));
    assert_eq!(coloured.replace("\x1b[1;32m", "").replace("\x1b[0m", ""), plain);
}

/// A server's words must not move the cursor or paint over the verdict.
#[test]
fn what_servers_say_is_made_harmless() {
    let mut summary = base(Verdict::Valid, "fine\x1b[2J\nVALID");
    summary.operations.add(Function::Read, &Completion::Fail, Some("\x1b]0;title\x07"));
    summary.replay = Some("a\r\nb".to_owned());
    summary.conclude();
    let text = render(&summary, false);
    assert!(!text.contains(['\x1b', '\x07', '\r']), "{text:?}");
    assert!(text.lines().filter(|line| line.starts_with("VALID")).count() == 1);
}

#[test]
fn stored_and_read_it_is_the_same() {
    let mut summary = base(Verdict::Invalid, "not linearizable");
    summary.mutant = Some(MutantSummary { name: "m".to_owned(), fired: 1 });
    summary.conclude();
    let json = serde_json::to_string(&summary).expect("written");
    assert_eq!(serde_json::from_str::<Summary>(&json).expect("read"), summary);
    assert!(json.contains(r#""verdict":"invalid""#) && json.contains(r#""exit":1"#));
}
