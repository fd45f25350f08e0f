//! By how much one sample lies higher than the other.
//!
//! The estimate of Hodges and Lehmann ("Estimates of location based on rank tests", Annals of Mathematical Statistics 34 (1963),
//! 598-611): the median of all differences of one value from each sample. Its interval is the percentile bootstrap's (B. Efron, "Bootstrap
//! methods: another look at the jackknife", Annals of Statistics 7 (1979), 1-26): both samples drawn anew, with replacement, many times.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use super::share::Interval;

/// How often both samples are drawn anew, as a rule.
pub const RESAMPLES: usize = 2_000;

/// Of how many differences at most the median is taken; beyond, each sample is thinned out evenly.
pub(super) const MOST_PAIRS: usize = 40_000;

/// A shift of `b` against `a`, with its interval of 95 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    /// The median difference.
    pub estimate: f64,
    /// Bounds of it.
    pub interval: Interval,
}

/// How much higher `b` lies than `a`; none where one is empty. The seed decides the resamples. Of the order of the pairs for each of
/// [`RESAMPLES`].
///
/// # Panics
/// When a value is not a number.
#[must_use]
pub fn shift(a: &[f64], b: &[f64], seed: u64) -> Option<Shift> {
    shift_by(a, b, seed, RESAMPLES)
}

/// As [`shift`], with so many resamples, at least 40.
///
/// # Panics
/// When a value is not a number, or there are fewer resamples.
#[must_use]
pub fn shift_by(a: &[f64], b: &[f64], seed: u64, resamples: usize) -> Option<Shift> {
    assert!(resamples >= 40, "{resamples} resamples have no bounds of 95 %");
    assert!(a.iter().chain(b).all(|x| !x.is_nan()), "a sample holds something that is not a number");
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let (a, b) = (thinned(a), thinned(b));
    let mut differences = Vec::with_capacity(a.len() * b.len());
    let estimate = hodges_lehmann(&a, &b, &mut differences);
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut draw = |from: &[f64], into: &mut Vec<f64>| {
        into.clear();
        into.extend((0..from.len()).map(|_| from[rng.random_range(0..from.len())]));
    };
    let (mut again_a, mut again_b) = (Vec::new(), Vec::new());
    let mut estimates: Vec<f64> = (0..resamples)
        .map(|_| {
            draw(&a, &mut again_a);
            draw(&b, &mut again_b);
            hodges_lehmann(&again_a, &again_b, &mut differences)
        })
        .collect();
    estimates.sort_by(f64::total_cmp);
    let interval = Interval { low: estimates[resamples / 40], high: estimates[resamples - 1 - resamples / 40] };
    Some(Shift { estimate, interval })
}

fn hodges_lehmann(a: &[f64], b: &[f64], differences: &mut Vec<f64>) -> f64 {
    differences.clear();
    differences.extend(b.iter().flat_map(|y| a.iter().map(move |x| y - x)));
    median_of(differences)
}

/// The median; of an even number the mean of the two in the middle. It leaves the values in another order.
///
/// # Panics
/// When there is no value.
pub fn median_of(values: &mut [f64]) -> f64 {
    let middle = values.len() / 2;
    let even = values.len().is_multiple_of(2);
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    if even { f64::midpoint(below.iter().copied().fold(f64::MIN, f64::max), upper) } else { upper }
}

/// Every so many-th of the sorted values, so that no more than the root of [`MOST_PAIRS`] are left.
pub(super) fn thinned(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let step = values.len().div_ceil(MOST_PAIRS.isqrt());
    sorted.into_iter().step_by(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NumPy's median of all differences.
    #[test]
    fn the_estimate_is_the_median_of_the_differences() {
        let (a, b) = ([0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46], [1.15, 0.88, 0.90, 0.74, 1.21]);
        let found = shift(&a, &b, 1).unwrap();
        assert!((found.estimate + 0.305).abs() < 1e-9, "{found:?}");
        assert!(found.interval.low < found.estimate && found.estimate < found.interval.high);
        assert_eq!(shift(&a, &b, 1), shift(&a, &b, 1));
        assert_eq!(shift(&[], &b, 1), None);
    }

    #[test]
    fn an_outlier_moves_it_little() {
        let a = [1.0, 1.1, 0.9, 1.0, 1.05];
        let b = [2.0, 2.1, 1.9, 2.0, 900.0];
        assert!((shift(&a, &b, 1).unwrap().estimate - 1.0).abs() < 0.1);
    }

    #[test]
    fn intervals_hold_the_truth_as_often_as_they_say() {
        let mut rng = Pcg64::seed_from_u64(3);
        let mut sample = |shift: f64| (0..20).map(|_| rng.random::<f64>() + shift).collect::<Vec<_>>();
        let holds = |seed: u64| {
            let found = shift(&sample(0.0), &sample(0.2), seed).expect("neither is empty");
            found.interval.low <= 0.2 && 0.2 <= found.interval.high
        };
        let held = (0..200).map(holds).filter(|holds| *holds).count();
        // Percentile intervals of twenty values are a little short: 91 to 95 %.
        assert!(held >= 176, "{held} of 200");
    }

    #[test]
    fn medians_of_even_and_odd_numbers() {
        assert_eq!(median_of(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median_of(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median_of(&mut [7.0]), 7.0);
        assert_eq!(thinned(&(0..1_000).map(f64::from).collect::<Vec<_>>()).len(), 200);
    }
}
