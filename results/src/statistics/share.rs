//! Shares of runs, and medians.
//!
//! A share of `k` in `n` runs is an estimate, and with five runs a rough one: 5 of 5 still allows a true share of 57 %. The interval says
//! so. It is the score interval of E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the
//! American Statistical Association 22 (1927), 209-212: unlike the usual one it stays within 0 and 1, and has a width at 0 and at `n`.

use serde::{Deserialize, Serialize};

/// The normal quantile of a two-sided level of 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// Bounds of a share, both from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower bound.
    pub low: f64,
    /// The upper bound.
    pub high: f64,
}

/// Wilson's interval at 95 % for `successes` in `trials`; everything from 0 to 1 where there was no trial.
///
/// # Panics
/// When there are more successes than trials.
#[must_use]
pub fn wilson(successes: u32, trials: u32) -> Interval {
    assert!(successes <= trials, "{successes} successes in {trials} trials");
    if trials == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let n = f64::from(trials);
    let share = f64::from(successes) / n;
    let shrink = 1.0 + Z * Z / n;
    let centre = (share + Z * Z / (2.0 * n)) / shrink;
    let half = Z / shrink * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    // Rounding must not lead out of what is possible.
    Interval { low: (centre - half).max(0.0), high: (centre + half).min(1.0) }
}

/// The median of durations of which some are longer than anyone waited: those are counted, not known. None where the median is one of
/// them, or there is nothing at all. Of an even number it is the mean of the two in the middle.
#[must_use]
pub fn median(mut known: Vec<u64>, longer: usize) -> Option<u64> {
    known.sort_unstable();
    let all = known.len() + longer;
    let upper = *known.get(all / 2)?;
    let lower = if all.is_multiple_of(2) { *known.get(all / 2 - 1)? } else { upper };
    Some(lower.midpoint(upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of R 4: `prop.test(k, n, correct = FALSE)$conf.int`.
    #[test]
    fn wilson_agrees_with_others() {
        for (successes, trials, low, high) in [
            (5, 5, 0.565_518, 1.0),
            (0, 5, 0.0, 0.434_482),
            (2, 3, 0.207_660, 0.938_508),
            (50, 100, 0.403_832, 0.596_168),
        ] {
            let interval = wilson(successes, trials);
            assert!((interval.low - low).abs() < 1e-5, "{successes} of {trials}: {interval:?}");
            assert!((interval.high - high).abs() < 1e-5, "{successes} of {trials}: {interval:?}");
        }
        assert_eq!(wilson(0, 0), Interval { low: 0.0, high: 1.0 });
    }

    #[test]
    fn more_runs_say_more() {
        let mut last = 0.0;
        for trials in 1..200 {
            let interval = wilson(trials, trials);
            assert!(interval.low > last && interval.high <= 1.0);
            last = interval.low;
        }
    }

    #[test]
    fn a_median_counts_what_took_longer() {
        assert_eq!(median(vec![], 0), None);
        assert_eq!(median(vec![3, 1, 2], 0), Some(2));
        assert_eq!(median(vec![4, 1, 2, 3], 0), Some(2));
        assert_eq!(median(vec![1, 2], 1), Some(2));
        assert_eq!(median(vec![1, 2], 2), None);
        assert_eq!(median(vec![1], 2), None);
    }
}
