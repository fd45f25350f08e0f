//! An operation as the two events that go into the history. Pure: whoever records puts the time on.
//!
//! | outcome | event |
//! |---|---|
//! | read, ok | `ok` with the value read |
//! | read, ok without a value | `fail`: it observed nothing, so it constrains nothing |
//! | write, append, cas, ok | `ok` with the argument |
//! | definitely not done | `fail` with `reason` |
//! | cas answered "not equal" | `fail` with `reason: mismatch`, and `observed` where the server said it |
//! | unknown | `info` with `reason` |

use checkers::history::{Action, Completion, Event, EventKind, Function, Process, ProcessId, Value};

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
        (Completion::Ok(Some(value)), Action::Read) => event.value = value.clone(),
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
    let (function, value) = match &invocation.action {
        Action::Read => (Function::Read, Value::Nil),
        Action::Write(value) => (Function::Write, value.clone()),
        Action::Cas { old, new } => (Function::Cas, Value::List(vec![old.clone(), new.clone()])),
        Action::Append(value) => (Function::Append, value.clone()),
    };
    Event {
        index: None,
        time: None,
        process: Process::Client(process),
        kind,
        function: Some(function),
        key: Value::Text(invocation.key.clone()),
        value,
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
