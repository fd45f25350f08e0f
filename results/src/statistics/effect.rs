//! Which shift would have been seen at all: without it "no difference found" says nothing.
//!
//! ```text
//!   both samples, each around its median ──> drawn anew ──> by how much must the one be shifted until the test finds it?
//!                                            many times  ──> four times in five this is enough
//! ```
//!
//! Nothing is assumed of the distribution: what the measurements are spread like is taken from the measurements. Of the pairs of a resample
//! the rank test lets a known number be the other way round ([`critical`]), so the shift that it needs is one of their differences.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use super::{
    rank_sum::{critical, real},
    shift::{MOST_PAIRS, median_of, thinned},
};

/// The chance with which a shift of the minimum detectable size is found.
pub const POWER: f64 = 0.8;

/// The least shift that the test of Mann and Whitney at this level finds with a chance of [`POWER`], for samples spread as these are
/// around their medians; none where samples of these sizes cannot reach the level at all. The seed decides the resamples; of the order of
/// the pairs for each of them.
///
/// # Panics
/// When a value is not a number, or there are no resamples.
#[must_use]
pub fn minimum_detectable(a: &[f64], b: &[f64], level: f64, seed: u64, resamples: usize) -> Option<f64> {
    assert!(resamples > 0, "without a resample nothing is known");
    // Thinned samples see less than the whole ones: what is said is on the safe side.
    let (a, b) = (thinned(a), thinned(b));
    debug_assert!(a.len() * b.len() <= MOST_PAIRS);
    let allowed = critical(a.len(), b.len(), level)?;
    let around = deviations(&a, &b);
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut draw = |size: usize| (0..size).map(|_| around[rng.random_range(0..around.len())]).collect::<Vec<f64>>();
    let mut needed = Vec::with_capacity(2 * resamples);
    for _ in 0..resamples {
        let (x, y) = (draw(a.len()), draw(b.len()));
        let mut differences: Vec<f64> = y.iter().flat_map(|y| x.iter().map(move |x| y - x)).collect();
        // Upwards and downwards: distributions may be skewed.
        let last = differences.len() - 1 - allowed;
        needed.push(*differences.select_nth_unstable_by(last, f64::total_cmp).1);
        needed.push(-*differences.select_nth_unstable_by(allowed, f64::total_cmp).1);
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place among them")]
    let place = (POWER * real(needed.len() - 1)).round() as usize;
    Some(needed.select_nth_unstable_by(place, f64::total_cmp).1.max(0.0))
}

/// How far each value lies from the median of its own sample. Of few values these are too small: each sample has lost a degree of freedom
/// to its median.
fn deviations(a: &[f64], b: &[f64]) -> Vec<f64> {
    let all = real(a.len() + b.len());
    let scale = (all / (all - 2.0).max(1.0)).sqrt();
    let around = |sample: &[f64]| {
        let middle = median_of(&mut sample.to_vec());
        sample.iter().map(|x| scale * (x - middle)).collect::<Vec<f64>>()
    };
    [around(a), around(b)].concat()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    use super::{super::rank_sum::rank_sum, *};

    /// A normal value, by the sum of twelve uniform ones.
    fn normal(rng: &mut Pcg64) -> f64 {
        (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
    }

    fn detectable(a: &[f64], b: &[f64], level: f64) -> Option<f64> {
        minimum_detectable(a, b, level, 1, 200)
    }

    /// Of comparisons with a shift of this size, so many find it, for normal and for skewed values. The size is the mean of what samples of
    /// that kind say.
    #[test]
    fn a_shift_of_this_size_is_found_as_often_as_documented() {
        let mut rng = Pcg64::seed_from_u64(4);
        let skewed = |x: f64| (x / 2.0).exp();
        for (size, shape) in [(5, None), (8, None), (10, None), (20, None), (8, Some(skewed)), (20, Some(skewed))] {
            let mut sample = |shift: f64| {
                let value = |_| normal(&mut rng);
                (0..size).map(value).map(|x| shape.map_or(x, |shape| shape(x)) + shift).collect::<Vec<_>>()
            };
            let least = (0..300).filter_map(|_| detectable(&sample(0.0), &sample(0.0), 0.05)).sum::<f64>() / 300.0;
            let found = (0..4_000).filter(|_| rank_sum(&sample(0.0), &sample(least)).unwrap().p <= 0.05).count();
            assert!((2_880..3_600).contains(&found), "{found} of 4,000 at a shift of {least} with {size} values");
        }
    }

    #[test]
    fn more_values_see_more_and_few_see_nothing() {
        let few = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let many: Vec<f64> = few.iter().cycle().take(60).copied().collect();
        assert!(detectable(&many, &many, 0.05) < detectable(&few, &few, 0.05));
        assert!(detectable(&few, &few, 0.01) > detectable(&few, &few, 0.05));
        assert_eq!(detectable(&[1.0], &few, 0.05), None);
        assert_eq!(detectable(&few[..3], &few[..3], 0.05), None, "three and three never reach 5 %");
    }

    /// A spread of nothing would let "no difference found" claim that any would have been seen.
    #[test]
    fn mostly_equal_values_still_have_a_spread() {
        let flat = [5.0, 5.0, 5.0, 5.0, 9.0, 1.0];
        assert!(detectable(&flat, &flat, 0.05).unwrap() > 0.5);
        assert_eq!(detectable(&[5.0; 6], &[5.0; 6], 0.05), Some(0.0));
    }
}
