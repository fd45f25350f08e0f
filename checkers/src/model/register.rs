//! A register over interned values, with compare-and-set.

use super::Model;

/// A value of one key, interned: equal numbers are equal values. The initial value is number 0.
pub(crate) type ValueId = u32;

/// The initial value of every register.
pub(crate) const INITIAL: ValueId = 0;

/// A register's state is the value it holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Register;

/// What was asked of a register, and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    /// A read that returned this value. A compare-and-set that failed and said what it saw is one too.
    Read(ValueId),
    /// An overwrite.
    Write(ValueId),
    /// A compare-and-set that won; `old != new`.
    Cas {
        /// What the register held.
        old: ValueId,
        /// What it holds from then on.
        new: ValueId,
    },
    /// A compare-and-set that was answered "not equal" and no more: the register did not hold this value.
    NotEqual(ValueId),
}

impl Model for Register {
    type State = ValueId;
    type Call = Call;

    fn initial(&self) -> ValueId {
        INITIAL
    }

    fn step(&self, state: &ValueId, call: &Call) -> Option<ValueId> {
        match *call {
            Call::Read(value) => (*state == value).then_some(*state),
            Call::Write(value) => Some(value),
            Call::Cas { old, new } => (*state == old).then_some(new),
            Call::NotEqual(value) => (*state != value).then_some(*state),
        }
    }

    fn is_read(&self, call: &Call) -> bool {
        matches!(call, Call::Read(_) | Call::NotEqual(_))
    }

    fn is_blind(&self, call: &Call) -> bool {
        matches!(call, Call::Write(_))
    }

    fn heap_bytes(&self, _: &ValueId) -> usize {
        0
    }
}
