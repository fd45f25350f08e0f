//! Could two samples be of one distribution?
//!
//! The test of Mann and Whitney ("On a test of whether one of two random variables is stochastically larger than the other", Annals of
//! Mathematical Statistics 18 (1947), 50-60): of all pairs of one value from each sample, in how many is the one from A the greater?
//! With up to [`EXACT`] pairs the distribution of that count is exact: without ties by their recurrence, with ties by counting the ways to
//! deal the ranks out (B. Streitberg and J. Röhmel, "Exact distributions for permutation and rank tests", Statistical Software Newsletter
//! 12 (1986), 10-17). Beyond, it is taken for normal, with the variance mended for ties and half a step of continuity.

use statrs::distribution::{ContinuousCDF, Normal};

/// Up to so many pairs the distribution is counted out.
pub const EXACT: usize = 400;

/// What the test says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankSum {
    /// In how many pairs the value from the first sample is the greater; a tie counts half.
    pub u: f64,
    /// How likely a count as far from the middle, or farther, is for two samples of one distribution.
    pub p: f64,
}

/// The two-sided test; none where a sample is empty. Time and space are of the order of the pairs times the smaller sample for exact
/// values, and of sorting beyond that.
///
/// # Panics
/// When a value is not a number.
#[must_use]
pub fn rank_sum(a: &[f64], b: &[f64]) -> Option<RankSum> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let mut all: Vec<(f64, bool)> = a.iter().map(|&x| (x, true)).chain(b.iter().map(|&x| (x, false))).collect();
    assert!(all.iter().all(|(x, _)| !x.is_nan()), "a sample holds something that is not a number");
    all.sort_by(|x, y| x.0.total_cmp(&y.0));
    let (mut rank_sum, mut ties, mut before) = (0.0, 0.0, 0.0);
    let mut doubled_ranks = Vec::with_capacity(all.len());
    for tied in all.chunk_by(|x, y| x.0 == y.0) {
        let count = real(tied.len());
        let from_a = real(tied.iter().filter(|(_, is_a)| *is_a).count());
        // The mean of the ranks before + 1 … before + count.
        rank_sum += from_a * (before + (count + 1.0) / 2.0);
        ties += count * count * count - count;
        doubled_ranks.extend(std::iter::repeat_n(2 * doubled_ranks.len() + tied.len() + 1, tied.len()));
        before += count;
    }
    let (n, m) = (real(a.len()), real(b.len()));
    let u = rank_sum - n * (n + 1.0) / 2.0;
    let p = match (a.len() * b.len() <= EXACT, ties == 0.0) {
        (true, true) => exact(a.len(), b.len(), u),
        (true, false) => exact_with_ties(&doubled_ranks, a.len(), u),
        (false, _) => normal(n, m, ties, u),
    };
    Some(RankSum { u, p })
}

/// Twice the chance of a count of at most the smaller of `u` and its mirror image.
fn exact(n: usize, m: usize, u: f64) -> f64 {
    let pairs = n * m;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "without ties a count of pairs")]
    let u = u.round() as usize;
    let least = u.min(pairs - u);
    let chances = chances(n, m);
    (2.0 * chances[..=least].iter().sum::<f64>()).min(1.0)
}

/// The chance of a count as far from the middle, or farther, among all ways to deal these ranks, doubled so that they are whole, out to a
/// sample of `n` and the rest.
fn exact_with_ties(doubled_ranks: &[usize], n: usize, u: f64) -> f64 {
    let sum: usize = doubled_ranks.iter().sum();
    // ways[k][s]: to choose k of the ranks so far with the sum s.
    let mut ways = vec![vec![0.0; sum + 1]; n + 1];
    ways[0][0] = 1.0;
    for (seen, &rank) in doubled_ranks.iter().enumerate() {
        for chosen in (1..=n.min(seen + 1)).rev() {
            let (fewer, more) = ways.split_at_mut(chosen);
            for (with, without) in more[0][rank..].iter_mut().zip(&fewer[chosen - 1]) {
                *with += without;
            }
        }
    }
    let least = real(n) * real(n + 1) / 2.0;
    let middle = real(n) * real(doubled_ranks.len() - n) / 2.0;
    let count = |sum: usize| real(sum) / 2.0 - least;
    let far = (u - middle).abs();
    let as_far: f64 = ways[n]
        .iter()
        .enumerate()
        .filter(|(sum, _)| (count(*sum) - middle).abs() >= far - 1e-9)
        .map(|(_, ways)| ways)
        .sum();
    let all: f64 = ways[n].iter().sum();
    (as_far / all).min(1.0)
}

/// The greatest count `u` that is, for samples of these sizes without ties, as unlikely as this level says: so many pairs at most may be
/// the other way round. None where even no such pair at all is not that unlikely, as with three values on each side and a level of 5 %.
#[must_use]
pub fn critical(n: usize, m: usize, level: f64) -> Option<usize> {
    if n == 0 || m == 0 {
        return None;
    }
    if n * m > EXACT {
        let (n, m) = (real(n), real(m));
        let counts = (0..).take_while(|&u| normal(n, m, 0.0, real(u)) <= level && real(u) < n * m / 2.0);
        return counts.last();
    }
    let tails = chances(n, m).into_iter().scan(0.0, |tail, chance| {
        *tail += 2.0 * chance;
        Some(*tail)
    });
    tails.take_while(|tail| *tail <= level).count().checked_sub(1)
}

/// The chance of each count from 0 to `n * m`.
///
/// The greatest of all values is from the first sample with chance n / (n + m), and then is greater than all `m` of the other, or from
/// the second, and then adds nothing: the recurrence of the paper, in chances rather than numbers, which would not fit.
fn chances(n: usize, m: usize) -> Vec<f64> {
    // rows[j]: for i of the first and j of the second sample, i growing.
    let mut rows: Vec<Vec<f64>> = vec![vec![1.0]; m + 1];
    for i in 1..=n {
        for j in 0..=m {
            let mut row = vec![0.0; i * j + 1];
            let from_first = real(i) / real(i + j);
            // rows[j] is still that of i - 1.
            for (count, chance) in rows[j].iter().enumerate() {
                row[count + j] += from_first * chance;
            }
            if j > 0 {
                for (count, chance) in rows[j - 1].iter().enumerate() {
                    row[count] += (1.0 - from_first) * chance;
                }
            }
            rows[j] = row;
        }
    }
    rows.swap_remove(m)
}

fn normal(n: f64, m: f64, ties: f64, u: f64) -> f64 {
    let all = n + m;
    let variance = n * m / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)));
    if variance <= 0.0 {
        // All values are the same.
        return 1.0;
    }
    let far = ((u - n * m / 2.0).abs() - 0.5).max(0.0);
    let standard = Normal::standard();
    (2.0 * standard.sf(far / variance.sqrt())).min(1.0)
}

#[expect(clippy::cast_precision_loss, reason = "sizes of samples")]
pub(super) fn real(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng, seq::SliceRandom};
    use rand_pcg::Pcg64;

    use super::*;

    fn p(a: &[f64], b: &[f64]) -> f64 {
        rank_sum(a, b).unwrap().p
    }

    /// Values of SciPy 1: `mannwhitneyu(a, b, method="exact")`, and with ties, for the normal values, `method="asymptotic"`.
    #[test]
    fn agrees_with_others() {
        assert!((p(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]) - 0.1).abs() < 1e-12);
        assert!((p(&[1.1, 2.2, 3.3, 4.4, 5.5], &[6.0, 7.0, 8.0, 9.0, 10.0]) - 0.007_936_507_936).abs() < 1e-12);
        let (a, b) = ([0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46], [1.15, 0.88, 0.90, 0.74, 1.21]);
        let found = rank_sum(&a, &b).unwrap();
        assert_eq!(found.u, 35.0);
        assert!((found.p - 0.254_412_254_4).abs() < 1e-9, "{found:?}");
        // Ties of two at 1, 2, 3 and 4: 4 × (2³ - 2); u = 2.5.
        let found = rank_sum(&[1.0, 1.0, 2.0, 3.0], &[2.0, 3.0, 4.0, 4.0]).unwrap();
        assert_eq!(found.u, 2.0);
        assert!((normal(4.0, 4.0, 24.0, found.u) - 0.103_753_677_5).abs() < 1e-9);
    }

    /// With ties, against every way to deal the values out; without, against the recurrence.
    #[test]
    fn ties_are_counted_out() {
        let mut rng = Pcg64::seed_from_u64(9);
        for _ in 0..40 {
            let (n, m) = (rng.random_range(1..6), rng.random_range(1..6));
            let mut sample = |size: usize| (0..size).map(|_| f64::from(rng.random_range(0..4_u8))).collect::<Vec<_>>();
            let (a, b) = (sample(n), sample(m));
            let all: Vec<f64> = a.iter().chain(&b).copied().collect();
            let count = |mask: u32| {
                let side = |is_a: bool| {
                    all.iter().enumerate().filter(move |(i, _)| (mask >> i & 1 == 1) == is_a).map(|(_, x)| *x)
                };
                let pair = |x: f64, y: f64| {
                    if x > y {
                        1.0
                    } else if x == y {
                        0.5
                    } else {
                        0.0
                    }
                };
                side(true).map(|x| side(false).map(|y| pair(x, y)).sum::<f64>()).sum::<f64>()
            };
            let middle = real(n * m) / 2.0;
            let far = |mask: u32| (count(mask) - middle).abs();
            let deals: Vec<u32> = (0_u32..1 << (n + m)).filter(|mask| mask.count_ones() as usize == n).collect();
            let observed = far((1 << n) - 1);
            let as_far = deals.iter().filter(|deal| far(**deal) >= observed - 1e-9).count();
            assert!((p(&a, &b) - real(as_far) / real(deals.len())).abs() < 1e-12, "{a:?} {b:?}");
        }
        let ranks: Vec<usize> = (1..=11).map(|rank| 2 * rank).collect();
        for u in 0..=30 {
            let u = f64::from(u);
            assert!((exact_with_ties(&ranks, 5, u) - exact(5, 6, u)).abs() < 1e-12, "{u}");
        }
    }

    #[test]
    fn what_can_come_out_is_known_before() {
        // Three and three: 2 of 20 ways are the farthest apart. From the usual tables: 2 for five and five, 13 for eight and eight.
        assert_eq!([critical(3, 3, 0.05), critical(3, 3, 0.1), critical(4, 4, 0.05)], [None, Some(0), Some(0)]);
        assert_eq!([critical(5, 5, 0.05), critical(8, 8, 0.05), critical(0, 5, 0.5)], [Some(2), Some(13), None]);
        let large = critical(21, 21, 0.05).unwrap();
        assert!(normal(21.0, 21.0, 0.0, real(large)) <= 0.05 && normal(21.0, 21.0, 0.0, real(large + 1)) > 0.05);
    }

    /// Every way to deal the ranks out, counted.
    #[test]
    fn the_recurrence_counts_what_there_is() {
        for (n, m) in [(1, 1), (2, 3), (4, 4), (5, 3), (1, 7)] {
            let mut counted = vec![0.0; n * m + 1];
            let mut ways = 0.0;
            for mask in (0_u32..1 << (n + m)).filter(|mask| mask.count_ones() as usize == n) {
                let is_a = |place: usize| mask >> place & 1 == 1;
                let below = |place: usize| (0..place).filter(|&other| !is_a(other)).count();
                counted[(0..n + m).filter(|&place| is_a(place)).map(below).sum::<usize>()] += 1.0;
                ways += 1.0;
            }
            for (ours, count) in chances(n, m).iter().zip(&counted) {
                assert!((ours - count / ways).abs() < 1e-12, "{n} {m}");
            }
        }
    }

    #[test]
    fn the_normal_values_meet_the_exact_ones() {
        let mut rng = Pcg64::seed_from_u64(1);
        for _ in 0..50 {
            let mut values: Vec<f64> = (0..60).map(f64::from).collect();
            values.shuffle(&mut rng);
            let (a, b) = values.split_at(30);
            let u = rank_sum(a, b).unwrap().u;
            assert!((exact(30, 30, u) - normal(30.0, 30.0, 0.0, u)).abs() < 0.01);
        }
    }

    #[test]
    fn false_alarms_come_at_the_nominal_rate() {
        let mut rng = Pcg64::seed_from_u64(2);
        for size in [8, 20] {
            let mut sample = || (0..size).map(|_| rng.random::<f64>()).collect::<Vec<_>>();
            let alarms = (0..10_000).filter(|_| p(&sample(), &sample()) < 0.05).count();
            // The exact test of few values cannot have just this level, but one below.
            assert!((380..=560).contains(&alarms), "{alarms} of 10,000 with {size} values each");
        }
    }

    #[test]
    fn the_same_everywhere_says_nothing() {
        assert_eq!(p(&[1.0; 5], &[1.0; 5]), 1.0);
        assert_eq!(rank_sum(&[], &[1.0]), None);
    }
}
