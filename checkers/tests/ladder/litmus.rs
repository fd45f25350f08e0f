//! Hand-made histories that separate each level from the next. What each rejects is what its level is for.
//!
//! Sessions one below the other; `w x 1` writes, `r x 1` read 1, `r x -` read the initial value, `a x 1` appends.

use super::*;
use Level::{Causal, Convergence, MonotonicReads, MonotonicWrites, ReadYourWrites, Sequential, WritesFollowReads};

const REGISTER: ModelSpec = ModelSpec { model: ModelKind::CasRegister, initial: Value::Nil };
const LIST: ModelSpec = ModelSpec { model: ModelKind::ListAppend, initial: Value::Nil };

/// Each session's operations one after the other, all sessions at once.
fn sessions(script: &[&str]) -> Vec<Operation> {
    let session = |(number, line): (usize, &&str)| {
        let steps = line.split(", ").filter(|step| !step.is_empty());
        let operations = steps.enumerate().map(move |(at, step)| operation(number as u64, at as u64 * 10, step));
        operations.collect::<Vec<_>>()
    };
    script.iter().enumerate().flat_map(session).collect()
}

fn operation(process: u64, time: u64, step: &str) -> Operation {
    let words: Vec<&str> = step.split(' ').collect();
    let number = |word: &str| Value::Int(word.parse().expect("a number"));
    let list = |word: &str| Value::List(word.split('+').filter(|word| *word != "-").map(number).collect());
    let invoked = |action| Operation::invoked(process, action, time).on(words[1]);
    match words[0] {
        "w" => invoked(Action::Write(number(words[2]))).done(time + 5),
        "w?" => invoked(Action::Write(number(words[2]))),
        "a" => invoked(Action::Append(number(words[2]))).done(time + 5),
        "cas" => invoked(Action::Cas { old: number(words[2]), new: number(words[3]) }).done(time + 5),
        "l" => invoked(Action::Read).returned(time + 5, list(words[2])),
        "r" if words[2] == "-" => invoked(Action::Read).returned(time + 5, Value::Nil),
        "r" => invoked(Action::Read).returned(time + 5, number(words[2])),
        other => unreachable!("no such step: {other}"),
    }
}

/// The levels below linearizability that fail; all others but convergence must hold.
fn fails(spec: &ModelSpec, script: &[&str], failing: &[Level]) -> Ladder {
    let operations = sessions(script);
    let found = climb(&operations, spec);
    for level in JUDGED {
        match found.answer(level) {
            Answer::Holds => assert!(!failing.contains(&level), "{} holds:\n{found}", level.name()),
            Answer::Fails(why) => {
                assert!(failing.contains(&level), "{} fails:\n{found}", level.name());
                assert!(!why.operations.is_empty() && !why.description.is_empty(), "{found}");
            }
            Answer::Unknown(why) => panic!("{}: {why}", level.name()),
        }
        let truth = brute_force::holds(level, &operations, spec);
        assert_eq!(truth, !failing.contains(&level), "the definition of {} says otherwise", level.name());
    }
    found
}

#[test]
fn a_stale_read_of_another_session_is_sequential() {
    let mut operations = sessions(&["w x 1, w x 2"]);
    operations.push(operation(1, 100, "r x 1"));
    let found = climb(&operations, &REGISTER);
    JUDGED.iter().for_each(|level| assert_eq!(*found.answer(*level), Answer::Holds, "{found}"));
    let staleness = found.staleness.expect("clear");
    assert_eq!((staleness.reads, staleness.stale, staleness.worst), (1, 1, Some(2)));
    let history = History::from_operations(operations).expect("well formed");
    let judgement = check(&history, &REGISTER, &CheckOptions::default()).expect("it fits");
    assert_eq!(judgement.verdict, Verdict::Invalid);
    let found = ladder(&history, &REGISTER, Some(&judgement), &Budget::default());
    assert!(matches!(found.answer(Level::Linearizable), Answer::Fails(_)), "{found}");
}

/// Store buffering: each misses what the other wrote.
#[test]
fn store_buffering_is_causal_and_not_sequential() {
    let found = fails(&REGISTER, &["w x 1, r y -", "w y 1, r x -"], &[Sequential]);
    let Answer::Fails(why) = found.answer(Sequential) else { unreachable!("just seen") };
    assert_eq!(why.operations, [0, 1, 2, 3], "{found}");
}

/// Independent reads of independent writes, seen in two orders.
#[test]
fn independent_writes_seen_in_two_orders() {
    fails(&REGISTER, &["w x 1", "w y 1", "r x 1, r y -", "r y 1, r x -"], &[Sequential]);
}

#[test]
fn two_compare_and_sets_from_one_value_are_not_sequential() {
    fails(&REGISTER, &["w x 1", "cas x 1 2", "cas x 1 3"], &[Sequential]);
}

/// Two sessions see two writes in opposite orders: each alone breaks nothing, together one of them goes back.
#[test]
fn opposite_orders_of_one_key() {
    fails(&REGISTER, &["w x 1", "w x 2", "r x 1, r x 2", "r x 2, r x 1"], &[Sequential, Causal, MonotonicReads]);
}

/// Read your writes and monotonic reads hold one by one, with different orders; together they do not.
#[test]
fn causal_is_more_than_the_four_guarantees() {
    fails(&REGISTER, &["w x 1, r x 2", "w x 2", "r x 2, r x 1"], &[Sequential, Causal]);
}

/// A message that is known through a third session.
#[test]
fn causality_through_several_sessions() {
    let script = ["w x 1", "r x 1, w y 1", "r y 1, w z 1", "r z 1, r x -"];
    fails(&REGISTER, &script, &[Sequential, Causal]);
}

#[test]
fn a_session_that_misses_its_own_write() {
    fails(&REGISTER, &["w x 1, r x -"], &[Sequential, Causal, ReadYourWrites]);
    fails(&REGISTER, &["w x 1, w x 2, r x 1"], &[Sequential, Causal, ReadYourWrites]);
    fails(&LIST, &["a x 1, l x -"], &[Sequential, Causal, ReadYourWrites]);
}

#[test]
fn a_session_whose_reads_go_back() {
    fails(&REGISTER, &["w x 1", "r x 1, r x -"], &[Sequential, Causal, MonotonicReads]);
    fails(&REGISTER, &["w x 1, w x 2", "r x 2, r x 1"], &[Sequential, Causal, MonotonicReads]);
    fails(&REGISTER, &["w x 1", "r x 1, w x 2", "r x 2, r x 1"], &[Sequential, Causal, MonotonicReads]);
    fails(&LIST, &["a x 1", "l x 1, l x -"], &[Sequential, Causal, MonotonicReads]);
}

#[test]
fn writes_of_one_session_seen_out_of_order() {
    fails(&REGISTER, &["w x 1, w y 1", "r y 1, r x -"], &[Sequential, Causal, MonotonicWrites]);
    fails(&LIST, &["a x 1, a x 2", "l x 2+1"], &[Sequential, Causal, MonotonicWrites]);
    fails(&LIST, &["a x 1, a x 2", "l x 2"], &[Sequential, Causal, MonotonicWrites]);
    fails(&LIST, &["a x 1, a y 2", "l y 2, l x -"], &[Sequential, Causal, MonotonicWrites]);
}

#[test]
fn a_reply_seen_without_what_it_replies_to() {
    fails(&REGISTER, &["w x 1", "r x 1, w y 1", "r y 1, r x -"], &[Sequential, Causal, WritesFollowReads]);
    fails(&LIST, &["a x 1", "l x 1, a x 2", "l x 2"], &[Sequential, Causal, WritesFollowReads]);
    fails(&LIST, &["a x 1", "l x 1, a x 2", "l x 2+1"], &[Sequential, Causal, WritesFollowReads]);
    fails(&LIST, &["a x 1", "l x 1, a y 2", "l y 2, l x -"], &[Sequential, Causal, WritesFollowReads]);
}

/// Load buffering: each read what the other was still to write.
#[test]
fn values_out_of_thin_air() {
    fails(&REGISTER, &["r x 1, w y 1", "r y 1, w x 1"], &[Sequential, Causal]);
    fails(&REGISTER, &["r x 1, w x 1"], &[Sequential, Causal, WritesFollowReads]);
}

#[test]
fn lists_that_no_order_of_all_appends_shows() {
    fails(&LIST, &["a x 1", "a x 2", "l x 1", "l x 2"], &[Sequential]);
    fails(&LIST, &["a x 1", "a x 2", "l x 1+2", "l x 2+1"], &[Sequential, Causal]);
}

#[test]
fn what_nobody_wrote_breaks_every_level_but_convergence() {
    let found = fails(&REGISTER, &["w x 1", "r x 2"], &JUDGED);
    assert!(!matches!(found.answer(Convergence), Answer::Fails(_)), "{found}");
    let mut operations = sessions(&["w x 1", "r x 1"]);
    operations[0] = operations[0].clone().failed(5);
    let found = climb(&operations, &REGISTER);
    JUDGED.iter().for_each(|level| assert!(matches!(found.answer(*level), Answer::Fails(_)), "{found}"));
    assert!(found.to_string().contains("and that failed"), "{found}");
}

/// A write of unknown outcome that somebody saw took effect after what its session had done before; nobody need see it.
#[test]
fn unknown_outcomes() {
    fails(&REGISTER, &["w x 1, w? y 1", "r y 1, r x -"], &[Sequential, Causal, MonotonicWrites]);
    fails(&REGISTER, &["w x 1, w? x 2", "r x 1, r x 1"], &[]);
    // The client goes on as another process: a session that knows nothing of the one before.
    fails(&REGISTER, &["w x 1, w? y 1", "r y 1", "r x -"], &[]);
}

#[test]
fn a_single_session_goes_through_a_long_history() {
    // Enough for everything that must not recurse.
    let mut operations: Vec<Operation> = (0..50_000).map(|n| operation(n % 5, n * 10, &format!("w x {n}"))).collect();
    operations.extend((0..50_000).map(|n| operation(5, 600_000 + n * 10, &format!("r x {n}"))));
    let found = climb(&operations, &REGISTER);
    assert_eq!(*found.answer(Sequential), Answer::Holds, "{found}");
    operations.push(operation(5, 2_000_000, "r x 0"));
    let found = climb(&operations, &REGISTER);
    assert!(matches!(found.answer(Sequential), Answer::Fails(_)), "{found}");
    assert!(matches!(found.answer(MonotonicReads), Answer::Fails(_)), "{found}");
}
