//! An operation as the two events that go into the history. Pure: whoever records puts the time on.
//!
//! | outcome | event |
//! |---|---|
//! | read, ok | `ok` with the value read |
//! | read, ok without a value | `fail`: it observed nothing, so it constrains nothing |
//! | dequeue, ok | `ok` with the value taken, nil when there was none |
//! | anything else, ok | `ok` with the argument |
//! | definitely not done | `fail` with `reason` |
//! | cas answered "not equal" | `fail` with `reason: mismatch`, and `observed` where the server said it |
//! | unknown | `info` with `reason` |

use checkers::history::{Action, Completion, Event, EventKind, Process, ProcessId, Value};

use crate::{client::Outcome, generator::Invocation};

/// The reason of a compare-and-set that was answered "not equal". The readers of histories know it.
pub const MISMATCH: &str = "mismatch";

/// The event of sending.
#[must_use]
pub fn invoke(process: ProcessId, invocation: &Invocation) -> Event {
    event(process, invocation, EventKind::Invoke)
}

/// The event of completion.
#[must_use]
pub fn complete(process: ProcessId, invocation: &Invocation, outcome: &Outcome) -> Event {
    let mut event = event(process, invocation, EventKind::Ok);
    event.reason.clone_from(&outcome.reason);
    match (&outcome.completion, &invocation.action) {
        (Completion::Ok(Some(value)), Action::Read | Action::Dequeue) => event.value = value.clone(),
        (Completion::Ok(None), Action::Read) => {
            event.kind = EventKind::Fail;
            event.reason.get_or_insert_with(|| "no-value".to_owned());
        }
        (Completion::Ok(_), _) => {}
        (Completion::Fail, _) => event.kind = EventKind::Fail,
        (Completion::Mismatch { observed }, _) => {
            event.kind = EventKind::Fail;
            event.reason = Some(MISMATCH.to_owned());
            event.observed.clone_from(observed);
        }
        (Completion::Info, _) => event.kind = EventKind::Info,
    }
    event
}

fn event(process: ProcessId, invocation: &Invocation, kind: EventKind) -> Event {
    Event {
        index: None,
        time: None,
        process: Process::Client(process),
        kind,
        function: Some(invocation.action.function()),
        key: Value::Text(invocation.key.clone()),
        value: invocation.action.argument(),
        observed: None,
        reason: None,
        note: None,
    }
}

/// After these outcomes the client goes on as a new process: the old one's operation stays open for ever.
#[must_use]
pub fn ends_process(outcome: &Outcome) -> bool {
    outcome.completion == Completion::Info
}

#[cfg(test)]
mod tests {
    use checkers::history::{HistoryBuilder, Operation};

    use super::*;

    /// Both events, as the history's own reader understands them.
    fn understood(action: &Action, outcome: &Outcome) -> Operation {
        let invocation = Invocation { key: "k3".to_owned(), action: action.clone() };
        let process = ProcessId(8);
        let mut builder = HistoryBuilder::new();
        for (time, event) in (1..).zip([invoke(process, &invocation), complete(process, &invocation, outcome)]) {
            builder.push(Event { time: Some(time), ..event }).expect("a history takes what clients record");
        }
        let history = builder.finish();
        let [operation] = &history.clone().into_operations()[..] else { panic!("one operation, not {history:?}") };
        operation.clone()
    }

    fn changes() -> [Action; 8] {
        let (one, two) = (Value::Int(1), Value::Int(2));
        [
            Action::Write(one.clone()),
            Action::Append(two.clone()),
            Action::Cas { old: one.clone(), new: two.clone() },
            Action::Add(one.clone()),
            Action::Enqueue(two),
            Action::Dequeue,
            Action::Acquire(one.clone()),
            Action::Release(one),
        ]
    }

    #[test]
    fn what_is_recorded_is_what_happened() {
        for action in changes().into_iter().chain([Action::Read]) {
            let mut outcomes = vec![Outcome::fail("no-leader"), Outcome::info("timeout")];
            match &action {
                Action::Read => {
                    let list = Value::List(vec![Value::Int(1), Value::Int(2)]);
                    outcomes.extend([Value::Nil, Value::Int(1), list].map(|value| Outcome::ok(Some(value))));
                }
                Action::Dequeue => {
                    outcomes.extend([Value::Nil, Value::Int(1)].map(|value| Outcome::ok(Some(value))));
                }
                Action::Cas { .. } => {
                    let observed = [None, Some(Value::Nil), Some(Value::Int(3))];
                    outcomes.extend(observed.map(Outcome::mismatch));
                    outcomes.push(Outcome::ok(None));
                }
                _ => outcomes.push(Outcome::ok(None)),
            }
            for outcome in outcomes {
                let operation = understood(&action, &outcome);
                assert_eq!(operation.process, ProcessId(8));
                assert_eq!(operation.key, Value::Text("k3".to_owned()));
                assert_eq!(operation.action, action);
                assert_eq!(operation.completion, outcome.completion, "{action:?}");
                assert_eq!(operation.ret, if ends_process(&outcome) { u64::MAX } else { 2 });
            }
        }
    }

    #[test]
    fn a_read_of_nothing_constrains_nothing() {
        assert_eq!(understood(&Action::Read, &Outcome::ok(None)).completion, Completion::Fail);
    }

    #[test]
    fn reasons_are_kept() {
        let invocation = Invocation { key: "k".to_owned(), action: Action::Write(Value::Int(1)) };
        let reason = |outcome| complete(ProcessId(0), &invocation, &outcome).reason;
        assert_eq!(reason(Outcome::info("timeout")).as_deref(), Some("timeout"));
        assert_eq!(reason(Outcome::fail("no-leader")).as_deref(), Some("no-leader"));
        assert_eq!(reason(Outcome::ok(None)), None);
    }
}
