//! How a command fails: with which exit code, and what it tells.

use results::exit::ExitCode;

/// A command that did not come to a verdict.
#[derive(Debug)]
pub struct Failure {
    /// [`ExitCode::Usage`] for what the user can mend in the command line or the file it names, else [`ExitCode::HarnessError`].
    pub code: ExitCode,
    /// What was attempted, on what, why it failed, and what to do.
    pub error: anyhow::Error,
}

impl Failure {
    /// The command line, or what it names, is wrong.
    pub fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self { code: ExitCode::Usage, error: error.into() }
    }

    /// The harness failed.
    pub fn harness(error: impl Into<anyhow::Error>) -> Self {
        Self { code: ExitCode::HarnessError, error: error.into() }
    }
}
