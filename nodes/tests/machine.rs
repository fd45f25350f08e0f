//! The replicated state machine, as the protocols use it.

use nodes::machine::{
    Answer, Command, Machine, MachineError, Operation, SESSIONS_MAX, Stamp, TxnStep, VALUE_DEPTH_MAX, Value,
    ValueError, WEIGHT_MAX,
};
use proptest::prelude::*;
use serde_json::json;

fn key(key: &str) -> String {
    key.to_owned()
}

fn int(n: i64) -> Value {
    Value::Int(n)
}

fn list(elements: &[i64]) -> Value {
    Value::List(elements.iter().copied().map(Value::Int).collect())
}

fn write(k: &str, value: Value) -> Operation {
    Operation::Write { key: key(k), value }
}

fn append(k: &str, n: i64) -> Operation {
    Operation::Append { key: key(k), value: int(n) }
}

fn cas(k: &str, old: Value, new: Value) -> Operation {
    Operation::Cas { key: key(k), old, new }
}

fn plain(operation: Operation) -> Command {
    Command::Do { stamp: None, operation }
}

fn stamped(session: u64, seq: u64, operation: Operation) -> Command {
    Command::Do { stamp: Some(Stamp { session, seq }), operation }
}

fn rejected(code: &str) -> Answer {
    Answer::Rejected(code.to_owned())
}

/// A machine with a log: commands get the next index.
#[derive(Default)]
struct Log {
    machine: Machine,
    index: u64,
}

impl Log {
    fn apply(&mut self, command: &Command) -> Answer {
        self.index += 1;
        self.machine.apply(self.index, command)
    }

    fn perform(&mut self, operation: Operation) -> Answer {
        self.apply(&plain(operation))
    }
}

#[test]
fn a_key_reads_what_was_written_last_and_absent_before() {
    let mut log = Log::default();
    assert_eq!(log.machine.read("x"), Value::Nil);
    assert_eq!(log.perform(write("x", int(1))), Answer::Done);
    assert_eq!(log.perform(write("x", Value::Text(key("two")))), Answer::Done);
    assert_eq!(log.machine.read("x"), Value::Text(key("two")));
    assert_eq!(log.machine.read("y"), Value::Nil);
}

#[test]
fn writing_nil_makes_a_key_absent_again() {
    let mut log = Log::default();
    log.perform(write("x", int(1)));
    log.perform(write("x", Value::Nil));
    assert_eq!(log.machine, Machine::new());
    assert_eq!(log.machine.digest(), Machine::new().digest());
}

#[test]
fn cas_is_decided_against_the_state_it_is_applied_to() {
    let mut log = Log::default();
    assert_eq!(log.perform(cas("x", Value::Nil, int(1))), Answer::Done);
    assert_eq!(log.perform(cas("x", Value::Nil, int(2))), Answer::NotEqual { observed: int(1) });
    assert_eq!(log.machine.read("x"), int(1));
    assert_eq!(log.perform(cas("x", int(1), int(2))), Answer::Done);
    assert_eq!(log.machine.read("x"), int(2));
}

#[test]
fn append_takes_an_absent_key_for_an_empty_list_and_refuses_other_types() {
    let mut log = Log::default();
    assert_eq!(log.perform(append("l", 1)), Answer::Done);
    assert_eq!(log.perform(append("l", 2)), Answer::Done);
    assert_eq!(log.machine.read("l"), list(&[1, 2]));

    log.perform(write("x", int(7)));
    let before = log.machine.clone();
    assert_eq!(log.perform(append("x", 1)), rejected(Answer::WRONG_TYPE));
    assert_eq!(log.machine, before);
}

fn add(k: &str, delta: i64) -> Operation {
    Operation::Add { key: key(k), delta }
}

fn pop(k: &str) -> Operation {
    Operation::Pop { key: key(k) }
}

#[test]
fn add_takes_an_absent_key_for_zero_and_refuses_other_types_and_overflow() {
    let mut log = Log::default();
    assert_eq!(log.perform(add("n", 5)), Answer::Done);
    assert_eq!(log.perform(add("n", -7)), Answer::Done);
    assert_eq!(log.machine.read("n"), int(-2));
    // A number that is 0 is one, and not absent.
    log.perform(add("n", 2));
    assert_eq!(log.machine.read("n"), int(0));

    log.perform(write("max", int(i64::MAX)));
    log.perform(append("l", 1));
    let before = log.machine.clone();
    assert_eq!(log.perform(add("max", 1)), rejected(Answer::TOO_LARGE));
    assert_eq!(log.perform(add("l", 1)), rejected(Answer::WRONG_TYPE));
    assert_eq!(log.machine, before);
}

#[test]
fn pop_takes_the_first_element_until_nothing_is_left() {
    let mut log = Log::default();
    assert_eq!(log.perform(pop("q")), Answer::Taken(Value::Nil));
    for n in [1, 2, 3] {
        log.perform(append("q", n));
    }
    assert_eq!(log.perform(pop("q")), Answer::Taken(int(1)));
    assert_eq!(log.machine.read("q"), list(&[2, 3]));
    let mut other = Log::default();
    other.perform(write("q", list(&[2, 3])));
    assert_eq!(log.machine, other.machine, "how a list came to be is no part of the state");
    assert_eq!(log.machine.digest(), other.machine.digest());
    assert_eq!(log.perform(pop("q")), Answer::Taken(int(2)));
    assert_eq!(log.perform(pop("q")), Answer::Taken(int(3)));
    assert_eq!(log.machine, Machine::new());
    assert_eq!(log.machine.digest(), Machine::new().digest());

    log.perform(write("x", int(7)));
    let before = log.machine.clone();
    assert_eq!(log.perform(pop("x")), rejected(Answer::WRONG_TYPE));
    assert_eq!(log.machine, before);
}

#[test]
fn a_retried_pop_takes_one_element() {
    let mut log = Log::default();
    let Answer::Session(session) = log.apply(&Command::OpenSession) else { panic!("a session") };
    log.perform(append("q", 1));
    log.perform(append("q", 2));
    for _ in 0..3 {
        assert_eq!(log.apply(&stamped(session, 1, pop("q"))), Answer::Taken(int(1)));
    }
    assert_eq!(log.machine.read("q"), list(&[2]));
}

#[test]
fn a_transaction_sees_its_own_earlier_steps() {
    let mut log = Log::default();
    log.perform(append("l", 1));
    let steps = vec![
        TxnStep::Append { key: key("l"), value: int(2) },
        TxnStep::Read { key: key("l") },
        TxnStep::Write { key: key("x"), value: int(9) },
        TxnStep::Read { key: key("x") },
    ];
    assert_eq!(log.perform(Operation::Txn { steps }), Answer::Txn(vec![Value::Nil, list(&[1, 2]), Value::Nil, int(9)]));
}

#[test]
fn a_transaction_with_one_wrong_step_does_nothing() {
    let mut log = Log::default();
    log.perform(write("x", int(7)));
    let before = log.machine.clone();
    let good = TxnStep::Append { key: key("l"), value: int(1) };
    for bad in [
        vec![good.clone(), TxnStep::Append { key: key("x"), value: int(1) }],
        vec![good, TxnStep::Write { key: key("y"), value: int(1) }, TxnStep::Append { key: key("y"), value: int(1) }],
    ] {
        assert_eq!(log.perform(Operation::Txn { steps: bad }), rejected(Answer::WRONG_TYPE));
        assert_eq!(log.machine, before);
        assert_eq!(log.machine.digest(), before.digest());
    }
    // What an earlier step makes a list may be appended to.
    let steps =
        vec![TxnStep::Write { key: key("x"), value: Value::Nil }, TxnStep::Append { key: key("x"), value: int(1) }];
    assert_eq!(log.perform(Operation::Txn { steps }), Answer::Txn(vec![Value::Nil, Value::Nil]));
    assert_eq!(log.machine.read("x"), list(&[1]));
}

fn heavy(bytes: u64) -> Value {
    Value::Text("x".repeat(usize::try_from(bytes).unwrap()))
}

fn read(k: &str) -> TxnStep {
    TxnStep::Read { key: key(k) }
}

#[test]
fn a_transaction_that_would_read_too_much_does_nothing() {
    let mut log = Log::default();
    log.perform(write("x", heavy(WEIGHT_MAX / 8)));
    assert!(matches!(log.perform(Operation::Txn { steps: vec![read("x"); 7] }), Answer::Txn(_)));
    let before = log.machine.clone();
    let set = |k: &str, value| TxnStep::Write { key: key(k), value };
    let append = |k: &str, value| TxnStep::Append { key: key(k), value };
    let mut written = vec![append("l", int(1)), set("y", heavy(WEIGHT_MAX / 8))];
    written.extend(vec![read("y"); 8]);
    let mut appended = vec![append("l", heavy(WEIGHT_MAX / 8))];
    appended.extend(vec![read("l"); 8]);
    for steps in [vec![read("x"); 8], written, appended] {
        assert_eq!(log.perform(Operation::Txn { steps }), rejected(Answer::TOO_LARGE));
        assert_eq!(log.machine, before);
    }
    // What an earlier step makes light is light.
    let mut lighter = vec![set("x", int(1))];
    lighter.extend(vec![read("x"); 100]);
    assert!(matches!(log.perform(Operation::Txn { steps: lighter }), Answer::Txn(_)));
}

#[test]
fn a_list_grows_only_so_heavy() {
    let mut log = Log::default();
    let append = |value| Operation::Append { key: key("l"), value };
    for _ in 0..7 {
        assert_eq!(log.perform(append(heavy(WEIGHT_MAX / 8))), Answer::Done);
    }
    let before = log.machine.clone();
    assert_eq!(log.perform(append(heavy(WEIGHT_MAX / 8))), rejected(Answer::TOO_LARGE));
    let thrice = vec![TxnStep::Append { key: key("l"), value: heavy(WEIGHT_MAX / 20) }; 3];
    assert_eq!(log.perform(Operation::Txn { steps: thrice }), rejected(Answer::TOO_LARGE));
    assert_eq!(log.machine, before);
    // The weight is kept up with each append, and computed anew from a snapshot.
    log.machine = Machine::restore(&log.machine.snapshot()).expect("a snapshot");
    assert_eq!(log.machine, before);
    assert_eq!(log.perform(append(heavy(WEIGHT_MAX / 8))), rejected(Answer::TOO_LARGE));
    assert_eq!(log.perform(append(int(1))), Answer::Done);
}

/// Reference: Ongaro's dissertation, section 6.3.
#[test]
fn a_repeated_stamp_gets_the_first_answer_and_has_no_second_effect() {
    let mut log = Log::default();
    assert_eq!(log.apply(&Command::OpenSession), Answer::Session(1));
    assert_eq!(log.apply(&stamped(1, 1, append("l", 5))), Answer::Done);
    assert_eq!(log.apply(&stamped(1, 1, append("l", 5))), Answer::Done);
    assert_eq!(log.machine.read("l"), list(&[5]));

    assert_eq!(log.apply(&stamped(1, 2, cas("x", Value::Nil, int(1)))), Answer::Done);
    log.perform(write("x", int(3)));
    assert_eq!(log.apply(&stamped(1, 2, cas("x", Value::Nil, int(1)))), Answer::Done, "the answer of the first time");
    assert_eq!(log.machine.read("x"), int(3));
}

#[test]
fn a_refusal_is_remembered_like_any_answer() {
    let mut log = Log::default();
    log.apply(&Command::OpenSession);
    log.perform(write("x", int(3)));
    assert_eq!(log.apply(&stamped(1, 1, append("x", 1))), rejected(Answer::WRONG_TYPE));
    log.perform(write("x", Value::Nil));
    assert_eq!(log.apply(&stamped(1, 1, append("x", 1))), rejected(Answer::WRONG_TYPE));
    assert_eq!(log.machine.read("x"), Value::Nil);
}

#[test]
fn stale_and_unknown_stamps_are_refused_without_effect() {
    let mut log = Log::default();
    log.apply(&Command::OpenSession);
    log.apply(&stamped(1, 4, append("l", 1)));
    assert_eq!(log.apply(&stamped(1, 3, append("l", 2))), rejected(Answer::STALE_SEQUENCE));
    assert_eq!(log.apply(&stamped(1, 0, append("l", 2))), rejected(Answer::STALE_SEQUENCE));
    assert_eq!(log.apply(&stamped(99, 1, append("l", 2))), rejected(Answer::UNKNOWN_SESSION));
    assert_eq!(log.machine.read("l"), list(&[1]));
}

#[test]
fn sequence_number_zero_is_stale_in_a_new_session() {
    let mut log = Log::default();
    log.apply(&Command::OpenSession);
    assert_eq!(log.apply(&stamped(1, 0, append("l", 2))), rejected(Answer::STALE_SEQUENCE));
}

#[test]
fn the_session_least_recently_used_in_the_log_is_evicted() {
    let mut log = Log::default();
    for _ in 0..SESSIONS_MAX {
        log.apply(&Command::OpenSession);
    }
    log.apply(&stamped(1, 1, append("l", 1)));
    log.apply(&Command::OpenSession);
    assert_eq!(log.apply(&stamped(2, 1, append("l", 2))), rejected(Answer::UNKNOWN_SESSION), "evicted in place of 1");
    assert_eq!(log.apply(&stamped(1, 1, append("l", 1))), Answer::Done);
    assert_eq!(log.machine.read("l"), list(&[1]));
    let restored = Machine::restore(&log.machine.snapshot()).expect("a snapshot");
    assert_eq!(restored, log.machine);
}

#[test]
fn bytes_that_are_no_snapshot_are_refused() {
    let mut log = Log::default();
    log.perform(append("l", 1));
    let good = log.machine.snapshot();
    assert!(Machine::restore(&good).is_ok());

    assert!(matches!(Machine::restore(&[]), Err(MachineError::Inconsistent(_))));
    assert!(matches!(Machine::restore(&good[..good.len() - 1]), Err(MachineError::Decode(_))));
    let longer = [good.as_slice(), &[0]].concat();
    assert!(matches!(Machine::restore(&longer), Err(MachineError::Inconsistent(_))));
    let mut newer = good;
    newer[0] += 1;
    assert!(matches!(Machine::restore(&newer), Err(MachineError::Version { found: 2 })));
}

#[test]
fn the_digest_is_the_same_in_every_process() {
    let mut log = Log::default();
    log.apply(&Command::OpenSession);
    log.apply(&stamped(1, 1, append("l", 1)));
    log.perform(write("x", Value::Text(key("text"))));
    assert_eq!(log.machine.digest(), DIGEST_KNOWN, "a changed digest must be meant");
}

const DIGEST_KNOWN: u64 = 2_184_218_827_267_892_490;

#[test]
fn json_maps_to_values_and_back() {
    let document = json!([null, 17, -3, "text", [], [[1]], i64::MIN]);
    let value = Value::from_json(document.clone()).expect("a value");
    assert_eq!(value.to_json(), document);
}

#[test]
fn json_that_is_no_value_is_refused() {
    assert!(matches!(Value::from_json(json!(1.0)), Err(ValueError::Number(_))));
    assert!(matches!(Value::from_json(json!(u64::MAX)), Err(ValueError::Number(_))));
    assert!(matches!(Value::from_json(json!([true])), Err(ValueError::Type(_))));
    assert!(matches!(Value::from_json(json!({"a": 1})), Err(ValueError::Type(_))));
    let nested = |depth| (0..depth).fold(json!(1), |inner, _| json!([inner]));
    assert!(Value::from_json(nested(VALUE_DEPTH_MAX)).is_ok());
    assert_eq!(Value::from_json(nested(VALUE_DEPTH_MAX + 1)), Err(ValueError::TooDeep));
}

fn any_key() -> impl Strategy<Value = String> {
    prop_oneof![Just(key("a")), Just(key("b")), Just(key("c"))]
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Nil), (0..3i64).prop_map(Value::Int), "[xy]{0,2}".prop_map(Value::Text)];
    leaf.prop_recursive(2, 6, 3, |inner| prop::collection::vec(inner, 0..3).prop_map(Value::List))
}

fn any_step() -> impl Strategy<Value = TxnStep> {
    prop_oneof![
        any_key().prop_map(|key| TxnStep::Read { key }),
        (any_key(), any_value()).prop_map(|(key, value)| TxnStep::Write { key, value }),
        (any_key(), any_value()).prop_map(|(key, value)| TxnStep::Append { key, value }),
    ]
}

fn any_operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        (any_key(), any_value()).prop_map(|(key, value)| Operation::Write { key, value }),
        (any_key(), any_value(), any_value()).prop_map(|(key, old, new)| Operation::Cas { key, old, new }),
        (any_key(), any_value()).prop_map(|(key, value)| Operation::Append { key, value }),
        prop::collection::vec(any_step(), 0..5).prop_map(|steps| Operation::Txn { steps }),
        (any_key(), prop_oneof![-2..3i64, Just(i64::MAX)]).prop_map(|(key, delta)| Operation::Add { key, delta }),
        any_key().prop_map(|key| Operation::Pop { key }),
    ]
}

fn any_command() -> impl Strategy<Value = Command> {
    let stamp = prop::option::of((1..6u64, 0..4u64).prop_map(|(session, seq)| Stamp { session, seq }));
    prop_oneof![
        1 => Just(Command::OpenSession),
        6 => (stamp, any_operation()).prop_map(|(stamp, operation)| Command::Do { stamp, operation }),
    ]
}

fn any_log() -> impl Strategy<Value = Vec<Command>> {
    prop::collection::vec(any_command(), 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn replaying_the_same_log_gives_the_same_answers_and_digest(commands in any_log()) {
        let (mut one, mut two) = (Log::default(), Log::default());
        for command in &commands {
            prop_assert_eq!(one.apply(command), two.apply(command));
            prop_assert_eq!(one.machine.digest(), two.machine.digest());
        }
        prop_assert_eq!(one.machine, two.machine);
    }

    /// A snapshot in the middle changes nothing, whatever follows. A restored digest is computed from the state, and the other was
    /// kept up change by change: two ways that must agree.
    #[test]
    fn a_snapshot_carries_the_whole_state(commands in any_log(), cut in 0..60usize) {
        let mut straight = Log::default();
        let mut resumed = Log::default();
        for (at, command) in commands.iter().enumerate() {
            if at == cut {
                resumed.machine = Machine::restore(&resumed.machine.snapshot()).expect("a snapshot");
            }
            prop_assert_eq!(straight.apply(command), resumed.apply(command));
        }
        let restored = Machine::restore(&straight.machine.snapshot()).expect("a snapshot");
        prop_assert_eq!(restored.digest(), straight.machine.digest());
        prop_assert_eq!(&restored, &straight.machine);
        prop_assert_eq!(&resumed.machine, &straight.machine);
        prop_assert_eq!(resumed.machine.snapshot(), straight.machine.snapshot());
    }

    #[test]
    fn different_states_have_different_digests(one in any_log(), two in any_log()) {
        let (mut a, mut b) = (Log::default(), Log::default());
        one.iter().for_each(|command| { a.apply(command); });
        two.iter().for_each(|command| { b.apply(command); });
        prop_assert_eq!(a.machine == b.machine, a.machine.digest() == b.machine.digest());
    }

    #[test]
    fn a_transaction_is_its_steps_in_order_or_nothing(before in any_log(), steps in prop::collection::vec(any_step(), 0..6)) {
        let mut whole = Log::default();
        before.iter().for_each(|command| { whole.apply(command); });
        let start = whole.machine.clone();
        let mut by_step = Log { machine: whole.machine.clone(), index: whole.index };
        let mut all_done = true;
        let mut reads = Vec::new();
        for step in &steps {
            let (answer, read) = match step.clone() {
                TxnStep::Read { key } => (Answer::Done, by_step.machine.read(&key)),
                TxnStep::Write { key, value } => (by_step.perform(Operation::Write { key, value }), Value::Nil),
                TxnStep::Append { key, value } => (by_step.perform(Operation::Append { key, value }), Value::Nil),
            };
            all_done &= answer == Answer::Done;
            reads.push(read);
        }
        let answer = whole.perform(Operation::Txn { steps });
        if all_done {
            prop_assert_eq!(answer, Answer::Txn(reads));
            prop_assert_eq!(whole.machine, by_step.machine);
        } else {
            prop_assert_eq!(answer, rejected(Answer::WRONG_TYPE));
            prop_assert_eq!(whole.machine, start);
        }
    }
}
