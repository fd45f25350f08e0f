//! How the program ends, as other programs see it.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | valid |
//! | 1 | invalid |
//! | 2 | unknown |
//! | 3 | vacuous |
//! | 254 | wrong usage |
//! | 255 | the harness itself failed |

use checkers::verdict::Verdict;

/// How the program ends. The order is from best to worst: over several runs the worst wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExitCode {
    /// Linearizable, and all other checks passed.
    Valid,
    /// Nothing was tested.
    Vacuous,
    /// A budget ended before an answer was known.
    Unknown,
    /// The command line made no sense, so nothing was done.
    Usage,
    /// The harness failed: no disk space, no network namespace, a bug of its own.
    HarnessError,
    /// A check failed. Worse than a harness error: a violation stays one, whatever else went wrong.
    Invalid,
}

impl ExitCode {
    /// Every code.
    pub const ALL: [Self; 6] =
        [Self::Valid, Self::Vacuous, Self::Unknown, Self::Usage, Self::HarnessError, Self::Invalid];

    /// The number that the process returns.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Valid => 0,
            Self::Invalid => 1,
            Self::Unknown => 2,
            Self::Vacuous => 3,
            Self::Usage => 254,
            Self::HarnessError => 255,
        }
    }

    /// The worst of several: 1, 255, 2, 3, 0. None of none: no run is not a pass.
    pub fn worst(codes: impl IntoIterator<Item = Self>) -> Option<Self> {
        codes.into_iter().max()
    }
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Valid => Self::Valid,
            Verdict::Invalid => Self::Invalid,
            Verdict::Unknown => Self::Unknown,
            Verdict::Vacuous => Self::Vacuous,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_is_in_the_documented_order() {
        let mut codes = ExitCode::ALL.to_vec();
        let mut order = Vec::new();
        while let Some(worst) = ExitCode::worst(codes.iter().copied()) {
            order.push(worst.code());
            codes.retain(|&code| code != worst);
        }
        assert_eq!(order, [1, 255, 254, 2, 3, 0]);
    }

    #[test]
    fn no_run_is_not_a_pass() {
        assert_eq!(ExitCode::worst([]), None);
    }

    #[test]
    fn verdicts_have_their_codes() {
        let codes =
            [Verdict::Valid, Verdict::Invalid, Verdict::Unknown, Verdict::Vacuous].map(|v| ExitCode::from(v).code());
        assert_eq!(codes, [0, 1, 2, 3]);
    }
}
