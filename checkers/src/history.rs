//! What clients did and saw: events as recorded, and the validated [`History`] of operations made from them.
//!
//! ```text
//!   Event (invoke) ─┐
//!                   ├─ pairing by process ──> Operation { invoke, return, action, completion }
//!   Event (ok/…)  ──┘
//! ```

mod event;
mod operation;
mod value;

pub use event::{Event, EventKind, Function, Process, ProcessId};
pub use operation::{Action, Completion, History, OpIndex, Operation};
pub use value::Value;
