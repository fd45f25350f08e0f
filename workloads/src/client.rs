//! Carrying an operation to a server.

use std::time::Duration;

use checkers::history::Completion;

use crate::generator::Invocation;

/// How an operation ended, and why if it did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Ok, fail, mismatch or info.
    pub completion: Completion,
    /// A stable code such as `timeout`, `no-leader`, `connection-refused`; none when ok.
    pub reason: Option<String>,
}

/// One client's connection to the one server it is pinned to. No redirects, no retries.
pub trait Client: Send {
    /// Does one operation, and takes no longer than `timeout`.
    ///
    /// A write whose answer did not come is `Info`, never `Fail`; a read whose answer did not come is `Fail`.
    fn invoke(&mut self, invocation: &Invocation, timeout: Duration) -> impl Future<Output = Outcome> + Send;
}
