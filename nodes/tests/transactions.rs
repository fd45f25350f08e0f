//! What Zab orders: transactions that do to a replica what the command did where it was prepared.

use nodes::machine::{Answer, Command, Machine, Operation, Stamp, Transaction, TxnStep, Value};
use proptest::prelude::*;

fn value() -> impl Strategy<Value = Value> {
    let flat = prop_oneof![Just(Value::Nil), (0..4_i64).prop_map(Value::Int), "[ab]".prop_map(Value::Text)];
    prop_oneof![4 => flat.clone(), 1 => prop::collection::vec(flat, 0..3).prop_map(Value::List)]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![Just("k".to_owned()), Just("l".to_owned()), Just("m".to_owned())]
}

fn step() -> impl Strategy<Value = TxnStep> {
    prop_oneof![
        key().prop_map(|key| TxnStep::Read { key }),
        (key(), value()).prop_map(|(key, value)| TxnStep::Write { key, value }),
        (key(), value()).prop_map(|(key, value)| TxnStep::Append { key, value }),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        2 => (key(), value()).prop_map(|(key, value)| Operation::Write { key, value }),
        2 => (key(), value(), value()).prop_map(|(key, old, new)| Operation::Cas { key, old, new }),
        4 => (key(), value()).prop_map(|(key, value)| Operation::Append { key, value }),
        1 => (key(), -3..3_i64).prop_map(|(key, delta)| Operation::Add { key, delta }),
        1 => key().prop_map(|key| Operation::Pop { key }),
        3 => prop::collection::vec(step(), 0..5).prop_map(|steps| Operation::Txn { steps }),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    let stamp = prop::option::of((1..5_u64, 1..4_u64).prop_map(|(session, seq)| Stamp { session, seq }));
    prop_oneof![
        1 => Just(Command::OpenSession),
        6 => (stamp, operation()).prop_map(|(stamp, operation)| Command::Do { stamp, operation }),
    ]
}

proptest! {
    /// Prepared here and applied there is applied; twice is once; and what goes through its encoding is the same.
    #[test]
    fn a_transaction_does_what_the_command_does(commands in prop::collection::vec(command(), 1..40)) {
        let (mut by_command, mut prepared, mut replica) = (Machine::new(), Machine::new(), Machine::new());
        for (index, command) in (1..).zip(&commands) {
            let expected = by_command.apply(index, command);
            let (answer, transaction) = prepared.prepare(index, command);
            prop_assert_eq!(&answer, &expected);
            let bytes = postcard::to_stdvec(&transaction).expect("plain data");
            let transaction: Transaction = postcard::from_bytes(&bytes).expect("as written");
            for _ in 0..2 {
                prop_assert!(replica.apply_transaction(&transaction));
                prop_assert_eq!(&replica, &by_command);
                prop_assert_eq!(replica.digest(), by_command.digest());
            }
            prop_assert_eq!(&prepared, &by_command);
        }
    }
}

#[test]
fn a_transaction_for_another_state_is_seen_not_to_fit() {
    let append =
        |n| Command::Do { stamp: None, operation: Operation::Append { key: "l".to_owned(), value: Value::Int(n) } };
    let mut leader = Machine::new();
    let first = leader.prepare(1, &append(1)).1;
    let mut other = leader.clone();
    let second = leader.prepare(2, &append(2)).1;
    let third = other.prepare(2, &append(3)).1;
    let mut replica = Machine::new();
    assert!(!replica.apply_transaction(&second), "a list is missing");
    assert!(replica.apply_transaction(&first));
    assert!(replica.apply_transaction(&second));
    assert!(!replica.apply_transaction(&third), "another element is there");
    assert_eq!(replica, leader);
}

#[test]
fn a_failed_condition_is_an_empty_transaction() {
    let operation = Operation::Cas { key: "k".to_owned(), old: Value::Int(1), new: Value::Int(2) };
    let (answer, transaction) = Machine::new().prepare(1, &Command::Do { stamp: None, operation });
    assert_eq!(answer, Answer::NotEqual { observed: Value::Nil });
    assert_eq!(transaction, Transaction::default());
}
