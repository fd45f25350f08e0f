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

/// How often a series is shuffled: the least p that can come out is one in five hundred.
const SHUFFLES: usize = 499;

/// And a series of more than [`LONG`] measurements, where each time costs more: one in two hundred.
const SHUFFLES_LONG: usize = 199;

/// From here on a series counts as long.
const LONG: usize = 500;

/// How sure a change must be.
pub const LEVEL: f64 = 0.01;

/// On both sides of a change there are at least so many measurements: with fewer, any outlier would be one.
pub const LEAST_PART: usize = 4;

/// The longest series that is looked at; of a longer one, the end.
pub const LONGEST: usize = 2_000;

/// Distances that differ by this share are equal.
const ROUNDING: f64 = 1e-9;

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
    among_the_last(LONGEST, series, seed)
}

fn among_the_last(longest: usize, series: &[f64], seed: u64) -> Vec<ChangePoint> {
    assert!(series.iter().all(|x| !x.is_nan()), "the series holds something that is not a number");
    let skipped = series.len().saturating_sub(longest);
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
    let shuffles = if part.len() > LONG { SHUFFLES_LONG } else { SHUFFLES };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and not negative")]
    let too_many = (LEVEL * real(shuffles + 1)) as usize;
    for _ in 0..shuffles {
        shuffled.shuffle(rng);
        if best_split(&shuffled).is_some_and(|(_, other)| is_as_far(other, distance)) {
            as_good += 1;
            if as_good >= too_many {
                return None;
            }
        }
    }
    Some((at, real(as_good + 1) / real(shuffles + 1)))
}

/// Whether a distance is no less than another, but for what rounding does: the same values in another order are summed up differently.
fn is_as_far(one: f64, other: f64) -> bool {
    one >= other - ROUNDING * other.abs()
}

/// Where the values to the left, back to the start, and those to the right, as far as it suits best, are farthest apart, and how far: the
/// energy distance, scaled by the sizes (paper, equations 5 and 6 with α = 1). The right side may end early, or a step up and one down
/// again would hide each other.
///
/// Sums over rectangles of the table of distances, row by row: time n², space n.
fn best_split(part: &[f64]) -> Option<(usize, f64)> {
    let within = within(part);
    let shares = Shares::up_to(part.len());
    // Of a pair of one value before `at` and one before each end.
    let mut upto = vec![0.0; part.len() + 1];
    let mut best = None;
    for at in 1..=part.len().saturating_sub(LEAST_PART) {
        let newest = part[at - 1];
        let mut row = 0.0;
        for (other, upto) in part.iter().zip(&mut upto[1..]) {
            row += (newest - other).abs();
            *upto += row;
        }
        if at < LEAST_PART {
            continue;
        }
        for end in at + LEAST_PART..=part.len() {
            let distance = shares.distance(at, end, within[at], upto[end], within[end]);
            if best.is_none_or(|(_, other)| distance > other) {
                best = Some((at, distance));
            }
        }
    }
    best
}

/// For each end: the distances between all values before it, every pair twice.
fn within(part: &[f64]) -> Vec<f64> {
    let mut sums = Vec::with_capacity(part.len() + 1);
    let mut sum = 0.0;
    sums.push(sum);
    for (place, x) in part.iter().enumerate() {
        sum += 2.0 * part[..place].iter().map(|y| (x - y).abs()).sum::<f64>();
        sums.push(sum);
    }
    sums
}

/// What sums are divided by, worked out once: divisions would be most of the work.
struct Shares {
    /// One in so many values.
    of_values: Vec<f64>,
    /// One in so many pairs of different values.
    of_pairs: Vec<f64>,
}

impl Shares {
    fn up_to(count: usize) -> Self {
        let of_values = (0..=count).map(|n| 1.0 / real(n)).collect();
        let of_pairs = (0..=count).map(|n| 1.0 / (real(n) * real(n.saturating_sub(1)))).collect();
        Self { of_values, of_pairs }
    }

    /// Between what is before `at` and what is from there to `end`, from sums of distances: within what is before `at`; of pairs of one
    /// value before `at` and one before `end`; within what is before `end`.
    fn distance(&self, at: usize, end: usize, left: f64, upto: f64, all: f64) -> f64 {
        let size = end - at;
        let between = upto - left;
        let right = all - 2.0 * between - left;
        let pairs = 2.0 * between * self.of_values[at] * self.of_values[size];
        let scale = real(at) * real(size) * self.of_values[end];
        scale * (pairs - left * self.of_pairs[at] - right * self.of_pairs[size])
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

    /// Series of several steps, up and down, of three deviations each, in parts of 15 to 40 measurements. A place off by up to two counts as
    /// right: the last value before a step may by chance lie above it.
    #[test]
    fn steps_of_three_deviations_are_found_and_nothing_else() {
        let mut rng = Pcg64::seed_from_u64(5);
        let (mut right, mut wrong, mut missed) = (0, 0, 0);
        for seed in 0..200 {
            let mut level = 10.0;
            let parts: Vec<(usize, f64)> = (0..rng.random_range(2..5))
                .map(|_| {
                    level += if rng.random() { 3.0 } else { -3.0 };
                    (rng.random_range(15..=40), level)
                })
                .collect();
            let mut places = parts
                .iter()
                .scan(0, |end, part| {
                    *end += part.0;
                    Some(*end)
                })
                .collect::<Vec<usize>>();
            places.pop();
            let found = change_points(&series(&parts, &mut rng), seed);
            let is_near = |place: usize| found.iter().any(|change| change.at.abs_diff(place) <= 2);
            let hits = places.iter().filter(|place| is_near(**place)).count();
            right += hits;
            wrong += found.len() - hits;
            missed += places.len() - hits;
        }
        assert!(right > 300, "{right} right are too few to say anything");
        assert!(right * 10 >= (right + wrong) * 9, "precision: {right} right, {wrong} wrong");
        assert!(right * 10 >= (right + missed) * 9, "recall: {right} right, {missed} missed");
    }

    /// Noise like that of measurements: normal, and skewed with outliers.
    #[test]
    fn noise_has_no_steps() {
        let mut rng = Pcg64::seed_from_u64(6);
        let mut quiet = [0, 0];
        for seed in 0..200 {
            let normal = series(&[(60, 5.0)], &mut rng);
            let skewed: Vec<f64> =
                normal.iter().map(|x| (x - 5.0).exp() + if rng.random_bool(0.03) { 30.0 } else { 0.0 }).collect();
            quiet[0] += usize::from(change_points(&normal, seed).is_empty());
            quiet[1] += usize::from(change_points(&skewed, seed).is_empty());
        }
        assert!(quiet.iter().all(|quiet| *quiet >= 190), "{quiet:?} of 200");
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
        let values: Vec<f64> = (0..150).map(|i| if i < 130 { 1.0 } else { 2.0 } + f64::from(i % 3) / 10.0).collect();
        let places =
            |longest: usize| among_the_last(longest, &values, 1).iter().map(|change| change.at).collect::<Vec<_>>();
        assert_eq!(places(100), [130]);
        assert_eq!(places(20), [0; 0], "the step lies before them");
    }

    /// Of eight values there is one split, and within its sides their order does not matter.
    #[test]
    fn the_same_values_in_another_order_are_as_far_apart() {
        let (low, high) = ([0.1, 0.7, 0.3, 0.2], [1e6 + 0.1, 1e6 + 0.3, 1e6 + 0.7, 1e6 + 0.9]);
        let distance = |low: &[f64], high: &[f64]| best_split(&[low, high].concat()).expect("long enough").1;
        let wanted = distance(&low, &high);
        for by in 0..4 {
            let (mut turned, mut other) = (low, high);
            turned.rotate_left(by);
            other.reverse();
            other.rotate_left(by);
            assert!(
                is_as_far(distance(&turned, &other), wanted) && is_as_far(distance(&other, &turned), wanted),
                "{by}"
            );
        }
        let mixed = distance(&[0.1, 0.7, 0.3, high[0]], &[0.2, high[1], high[2], high[3]]);
        assert!(!is_as_far(mixed, wanted) && is_as_far(wanted, mixed), "{mixed} {wanted}");
        assert!(is_as_far(-1.0, -1.0) && !is_as_far(-1.1, -1.0) && is_as_far(0.0, 0.0));
    }

    /// The distance by its definition, from all pairs.
    #[test]
    fn sums_give_the_distance() {
        let mut rng = Pcg64::seed_from_u64(7);
        let values = series(&[(9, 0.0), (8, 1.0)], &mut rng);
        let apart = |a: &[f64], b: &[f64]| a.iter().flat_map(|x| b.iter().map(move |y| (x - y).abs())).sum::<f64>();
        let (within_all, shares) = (within(&values), Shares::up_to(values.len()));
        for (at, end) in [(4, 8), (9, 17), (9, 13), (5, 17)] {
            let (l, r) = (&values[..at], &values[at..end]);
            let (n, m) = (real(l.len()), real(r.len()));
            let inside = apart(l, l) / (n * (n - 1.0)) + apart(r, r) / (m * (m - 1.0));
            let wanted = n * m / (n + m) * (2.0 * apart(l, r) / (n * m) - inside);
            let ours = shares.distance(at, end, within_all[at], apart(l, &values[..end]), within_all[end]);
            assert!((ours - wanted).abs() < 1e-9, "{at} {end}");
        }
        let all_pairs = (LEAST_PART..=values.len() - LEAST_PART)
            .flat_map(|at| (at + LEAST_PART..=values.len()).map(move |end| (at, end)))
            .map(|(at, end)| {
                let between = apart(&values[..at], &values[..end]);
                (at, shares.distance(at, end, within_all[at], between, within_all[end]))
            })
            .max_by(|x, y| x.1.total_cmp(&y.1))
            .expect("there are splits");
        let best = best_split(&values).expect("long enough");
        assert!(best.0 == all_pairs.0 && (best.1 - all_pairs.1).abs() < 1e-9, "{best:?} {all_pairs:?}");
    }
}
