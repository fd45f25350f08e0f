//! A register over interned values, with compare-and-set.

use super::Model;

/// A value of one key, interned: equal numbers are equal values. The initial value is number 0.
pub(crate) type ValueNumber = u32;

/// The initial value of every register.
pub(crate) const INITIAL: ValueNumber = 0;

/// A register's state is the value it holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Register;

/// What was asked of a register, and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    /// A read that returned this value. A compare-and-set that failed and said what it saw is one too.
    Read(ValueNumber),
    /// An overwrite.
    Write(ValueNumber),
    /// A compare-and-set that won; `old != new`.
    Cas {
        /// What the register held.
        old: ValueNumber,
        /// What it holds from then on.
        new: ValueNumber,
    },
    /// A compare-and-set that was answered "not equal" and no more: the register did not hold this value.
    NotEqual(ValueNumber),
}

impl Model for Register {
    type State = ValueNumber;
    type Call = Call;

    fn initial(&self) -> ValueNumber {
        INITIAL
    }

    fn step(&self, state: &ValueNumber, call: &Call) -> Option<ValueNumber> {
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

    fn heap_bytes(&self, _: &ValueNumber) -> usize {
        0
    }
}
