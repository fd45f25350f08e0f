//! Where a series of measurements steps, and how surely.
//!
//! E-divisive: D. S. Matteson and N. A. James, "A nonparametric approach for multiple change point analysis of multivariate data", Journal
//! of the American Statistical Association 109 (2014), 334-345; for benchmarks first used by D. Daly and others, "The use of change point
//! detection to identify software performance regressions in a continuous integration system" (ICPE 2020).
//!
//! ```text
//!   series ──> the split whose sides lie farthest apart ──> more than in shuffled series? ──yes──> a change point, and both sides again
//!                  energy distance, O(n²)                      permutation test                        └──no──> done
//! ```
//!
//! It assumes nothing of the distribution but that the measurements between two changes are exchangeable.

use rand::{SeedableRng, seq::SliceRandom};
use rand_pcg::Pcg64;

use super::{rank_sum::real, shift::median_of};

/// How often a series is shuffled: the least p that can come out is one in a thousand.
const SHUFFLES: usize = 999;

/// How sure a change must be.
pub const LEVEL: f64 = 0.01;

/// On both sides of a change there are at least so many measurements: with fewer, any outlier would be one.
pub const LEAST_PART: usize = 4;

/// The longest series that is looked at; of a longer one, the end.
pub const LONGEST: usize = 500;

/// A step of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChangePoint {
    /// The place of the first measurement after it.
    pub at: usize,
    /// How likely shuffled measurements look like a step as large.
    pub p: f64,
    /// The median of the part before, back to the last change.
    pub before: f64,
    /// The median of the part after, up to the next change.
    pub after: f64,
}

/// The steps of a series in its order. Of the order of n² for each change and shuffle; the seed decides the shuffles.
///
/// # Panics
/// When a value is not a number.
#[must_use]
pub fn change_points(series: &[f64], seed: u64) -> Vec<ChangePoint> {
    assert!(series.iter().all(|x| !x.is_nan()), "the series holds something that is not a number");
    let skipped = series.len().saturating_sub(LONGEST);
    let series = &series[skipped..];
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut found: Vec<(usize, f64)> = Vec::new();
    let mut open = vec![(0, series.len())];
    while let Some((start, end)) = open.pop() {
        let Some((split, p)) = significant_split(&series[start..end], &mut rng) else { continue };
        let at = start + split;
        found.push((at, p));
        open.extend([(start, at), (at, end)]);
    }
    found.sort_by_key(|(at, _)| *at);
    let mut bounds: Vec<usize> = found.iter().map(|(at, _)| *at).collect();
    bounds.insert(0, 0);
    bounds.push(series.len());
    let median = |from: usize, to: usize| median_of(&mut series[from..to].to_vec());
    found
        .iter()
        .zip(bounds.windows(3))
        .map(|(&(at, p), around)| ChangePoint {
            at: at + skipped,
            p,
            before: median(around[0], at),
            after: median(at, around[2]),
        })
        .collect()
}

/// The best split of a part, where few shuffled parts have a better one.
fn significant_split(part: &[f64], rng: &mut Pcg64) -> Option<(usize, f64)> {
    let (at, distance) = best_split(part)?;
    let mut shuffled = part.to_vec();
    let mut as_good = 0;
    // More than this many, and it cannot be significant any more.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and not negative")]
    let too_many = (LEVEL * real(SHUFFLES + 1)) as usize;
    for _ in 0..SHUFFLES {
        shuffled.shuffle(rng);
        if best_split(&shuffled).is_some_and(|(_, other)| other >= distance) {
            as_good += 1;
            if as_good >= too_many {
                return None;
            }
        }
    }
    Some((at, real(as_good + 1) / real(SHUFFLES + 1)))
}

/// Where the values to the left, back to the start, and those to the right, as far as it suits best, are farthest apart, and how far: the
/// energy distance, scaled by the sizes (paper, equations 5 and 6 with α = 1). The right side may end early, or a step up and one down
/// again would hide each other.
fn best_split(part: &[f64]) -> Option<(usize, f64)> {
    let sums = Sums::of(part);
    let mut best = None;
    for at in LEAST_PART..=part.len().saturating_sub(LEAST_PART) {
        for end in at + LEAST_PART..=part.len() {
            let distance = sums.distance(at, end);
            if best.is_none_or(|(_, other)| distance > other) {
                best = Some((at, distance));
            }
        }
    }
    best
}

/// Sums of the distances between values, for every rectangle from the start.
struct Sums {
    /// For each pair of ends: of all pairs with one value before the first and one before the second end.
    upto: Vec<f64>,
    width: usize,
}

impl Sums {
    fn of(values: &[f64]) -> Self {
        let width = values.len() + 1;
        let mut upto = vec![0.0; width * width];
        for (i, x) in values.iter().enumerate() {
            let mut row = 0.0;
            for (j, y) in values.iter().enumerate() {
                row += (x - y).abs();
                upto[(i + 1) * width + j + 1] = upto[i * width + j + 1] + row;
            }
        }
        Self { upto, width }
    }

    fn upto(&self, i: usize, j: usize) -> f64 {
        self.upto[i * self.width + j]
    }

    /// Between what is before `at` and what is from there to `end`.
    fn distance(&self, at: usize, end: usize) -> f64 {
        let (l, r) = (real(at), real(end - at));
        let left = self.upto(at, at);
        let between = self.upto(at, end) - left;
        let right = self.upto(end, end) - 2.0 * between - left;
        l * r / (l + r) * (2.0 * between / (l * r) - left / (l * (l - 1.0)) - right / (r * (r - 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    fn noise(rng: &mut Pcg64) -> f64 {
        (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
    }

    fn series(steps: &[(usize, f64)], rng: &mut Pcg64) -> Vec<f64> {
        steps
            .iter()
            .flat_map(|&(length, level)| std::iter::repeat_n(level, length))
            .map(|level| level + noise(rng))
            .collect()
    }

    /// A place off by one counts as right: the last value before a step may by chance lie above it.
    #[test]
    fn steps_of_three_deviations_are_found_and_nothing_else() {
        let mut rng = Pcg64::seed_from_u64(5);
        let (mut right, mut wrong, mut missed) = (0, 0, 0);
        for seed in 0..40 {
            let found = change_points(&series(&[(25, 10.0), (20, 13.0), (30, 10.0)], &mut rng), seed);
            let near = |place: usize| found.iter().filter(|change| change.at.abs_diff(place) <= 1).count();
            let hits = near(25).min(1) + near(45).min(1);
            right += hits;
            wrong += found.len() - hits;
            missed += 2 - hits;
        }
        assert!(right * 10 >= (right + wrong) * 9, "precision: {right} right, {wrong} wrong");
        assert!(right * 10 >= (right + missed) * 9, "recall: {right} right, {missed} missed");
    }

    #[test]
    fn noise_has_no_steps() {
        let mut rng = Pcg64::seed_from_u64(6);
        let quiet = (0..100).filter(|&seed| change_points(&series(&[(60, 5.0)], &mut rng), seed).is_empty()).count();
        assert!(quiet >= 95, "{quiet} of 100");
    }

    #[test]
    fn a_step_is_told_with_its_levels() {
        let mut values = vec![1.0, 1.1, 0.9, 1.0, 1.05, 0.95, 1.0, 1.02];
        values.extend([2.0, 2.1, 1.9, 2.0, 2.05, 1.95, 2.0, 2.02]);
        let found = change_points(&values, 1);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].at, found[0].before, found[0].after), (8, 1.0, 2.0));
        assert!(found[0].p <= LEVEL);
    }

    #[test]
    fn short_and_even_series_have_none() {
        assert!(change_points(&[], 1).is_empty());
        assert!(change_points(&[1.0, 9.0, 1.0], 1).is_empty());
        assert!(change_points(&[4.0; 50], 1).is_empty());
    }

    #[test]
    fn of_a_long_series_the_end_counts() {
        let values: Vec<f64> = (0..600).map(|i| if i < 480 { 1.0 } else { 2.0 } + f64::from(i % 3) / 10.0).collect();
        let found = change_points(&values, 1);
        assert_eq!(found.iter().map(|change| change.at).collect::<Vec<_>>(), [480]);
    }

    /// The distance by its definition, from all pairs.
    #[test]
    fn sums_give_the_distance() {
        let mut rng = Pcg64::seed_from_u64(7);
        let values = series(&[(9, 0.0), (8, 1.0)], &mut rng);
        let apart = |a: &[f64], b: &[f64]| a.iter().flat_map(|x| b.iter().map(move |y| (x - y).abs())).sum::<f64>();
        let sums = Sums::of(&values);
        for (at, end) in [(4, 8), (9, 17), (9, 13), (5, 17)] {
            let (l, r) = (&values[..at], &values[at..end]);
            let (n, m) = (real(l.len()), real(r.len()));
            let within = apart(l, l) / (n * (n - 1.0)) + apart(r, r) / (m * (m - 1.0));
            let distance = n * m / (n + m) * (2.0 * apart(l, r) / (n * m) - within);
            assert!((sums.distance(at, end) - distance).abs() < 1e-9, "{at} {end}");
        }
    }
}
