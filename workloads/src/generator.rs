//! Which operations clients issue: pure functions of the seed.

use checkers::history::Action;

/// An operation to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The object.
    pub key: String,
    /// What to do.
    pub action: Action,
}
