//! Which shift would have been seen at all: without it "no difference found" says nothing.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::{
    rank_sum::{attainable, real},
    shift::median_of,
};

/// The chance with which a shift of the minimum detectable size is found.
pub const POWER: f64 = 0.8;

/// The rank test needs so much more than the one for normal distributions: 3 / π is its efficiency where they are normal.
const EFFICIENCY: f64 = 3.0 / std::f64::consts::PI;

/// The least shift that the test of Mann and Whitney at this level finds with a chance of [`POWER`], for samples spread as these are
/// around their medians; none where samples of these sizes cannot reach the level at all, or have fewer than two values.
///
/// Of few values only some p can come out, so that the test is really one of a stricter level: it is that one which counts here.
///
/// E. L. Lehmann, "Nonparametrics" (1975), section 2.3: the power of the rank test under shifts, by its asymptotic efficiency. The spread
/// is the median absolute deviation, so that a few outliers do not blur it.
#[must_use]
pub fn minimum_detectable(a: &[f64], b: &[f64], level: f64) -> Option<f64> {
    if a.len() < 2 || b.len() < 2 {
        return None;
    }
    let level = attainable(a.len(), b.len(), level)?;
    let (n, m) = (real(a.len()), real(b.len()));
    // With few values the spread itself is uncertain.
    let student = StudentsT::new(0.0, 1.0, n + m - 2.0).ok()?;
    let quantiles = student.inverse_cdf(1.0 - level / 2.0) + student.inverse_cdf(POWER);
    let spread = spread(a, b);
    Some(quantiles * spread * ((1.0 / n + 1.0 / m) / EFFICIENCY).sqrt())
}

/// The standard deviation of a normal distribution with this median absolute deviation.
const PER_DEVIATION: f64 = 1.482_602_218_505_602;

/// The standard deviation of a normal distribution with this mean absolute deviation.
const PER_MEAN_DEVIATION: f64 = 1.253_314_137_315_500_3;

/// How far values lie from the median of their own sample. Of few values the raw figure is too small: each sample has lost a degree of
/// freedom to its median. Where more than half of the values are the median itself, the mean deviation is taken: the others count.
fn spread(a: &[f64], b: &[f64]) -> f64 {
    let mut deviations = Vec::with_capacity(a.len() + b.len());
    for sample in [a, b] {
        let middle = median_of(&mut sample.to_vec());
        deviations.extend(sample.iter().map(|x| (x - middle).abs()));
    }
    let all = real(deviations.len());
    let typical = PER_DEVIATION * median_of(&mut deviations);
    let typical = if typical > 0.0 { typical } else { PER_MEAN_DEVIATION * deviations.iter().sum::<f64>() / all };
    typical * (all / (all - 2.0).max(1.0)).sqrt()
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

    /// Of 10,000 comparisons with a shift of this size, so many find it. The size is the mean of what samples of that kind say.
    #[test]
    fn a_shift_of_this_size_is_found_as_often_as_documented() {
        let mut rng = Pcg64::seed_from_u64(4);
        for size in [5, 8, 10, 20] {
            let mut sample = |shift: f64| (0..size).map(|_| normal(&mut rng) + shift).collect::<Vec<_>>();
            let least =
                (0..500).filter_map(|_| minimum_detectable(&sample(0.0), &sample(0.0), 0.05)).sum::<f64>() / 500.0;
            let found = (0..10_000).filter(|_| rank_sum(&sample(0.0), &sample(least)).unwrap().p < 0.05).count();
            assert!((7_200..8_800).contains(&found), "{found} of 10,000 at a shift of {least} with {size} values");
        }
    }

    #[test]
    fn more_values_see_more_and_one_sees_nothing() {
        let few = [1.0, 2.0, 3.0, 4.0];
        let many: Vec<f64> = few.iter().cycle().take(40).copied().collect();
        assert!(minimum_detectable(&many, &many, 0.05) < minimum_detectable(&few, &few, 0.05));
        assert!(minimum_detectable(&few, &few, 0.01) > minimum_detectable(&few, &few, 0.05));
        assert_eq!(minimum_detectable(&[1.0], &few, 0.05), None);
        assert_eq!(minimum_detectable(&few[..3], &few[..3], 0.05), None, "three and three never reach 5 %");
    }

    /// A spread of nothing would let "no difference found" claim that any would have been seen.
    #[test]
    fn mostly_equal_values_still_have_a_spread() {
        let flat = [5.0, 5.0, 5.0, 5.0, 5.0, 9.0];
        assert!(minimum_detectable(&flat, &flat, 0.05).unwrap() > 0.5);
        assert_eq!(minimum_detectable(&[5.0; 6], &[5.0; 6], 0.05), Some(0.0));
    }
}
