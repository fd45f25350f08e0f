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

    /// What is told, with its causes; a cause that the text before it has told already is left out.
    #[must_use]
    pub fn message(&self) -> String {
        self.error.chain().map(ToString::to_string).fold(String::new(), |mut told, cause| {
            if !told.contains(&cause) {
                if !told.is_empty() {
                    told += ": ";
                }
                told += &cause;
            }
            told
        })
    }

    /// The harness failed.
    pub fn harness(error: impl Into<anyhow::Error>) -> Self {
        Self { code: ExitCode::HarnessError, error: error.into() }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let error = anyhow!("disk full").context("cannot write x: disk full; make room").context("the run failed");
        assert_eq!(Failure::harness(error).message(), "the run failed: cannot write x: disk full; make room");
    }
}
