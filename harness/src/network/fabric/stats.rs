//! What the switch reports about itself, beside the counters of each link.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Lateness is sorted by powers of two of a microsecond; the last bucket takes all beyond half an hour.
const BUCKETS: usize = 32;

/// Counters that the switch writes and anybody reads.
#[derive(Debug, Default)]
pub struct SwitchStats {
    unroutable: AtomicU64,
    overflow: AtomicU64,
    refused: AtomicU64,
    lateness_max_ns: AtomicU64,
    lateness: [AtomicU64; BUCKETS],
}

/// How late delayed packets were sent, beyond what was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lateness {
    /// Delayed packets sent.
    pub packets: u64,
    /// 99 of 100 were at most this late (rounded up to a power of two of a microsecond).
    pub p99: Duration,
    /// The latest.
    pub max: Duration,
}

impl SwitchStats {
    /// Packets for no endpoint, IPv6 among them: interfaces send some by themselves.
    pub fn unroutable(&self) -> u64 {
        self.unroutable.load(Ordering::Relaxed)
    }

    /// Packets dropped because too many were waiting already: the fault was harsher than asked for.
    pub fn overflow(&self) -> u64 {
        self.overflow.load(Ordering::Relaxed)
    }

    /// Packets that the receiver's interface did not take.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// How late delayed packets were sent.
    pub fn lateness(&self) -> Lateness {
        let counts: Vec<u64> = self.lateness.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let packets: u64 = counts.iter().sum();
        let max = Duration::from_nanos(self.lateness_max_ns.load(Ordering::Relaxed));
        let mut seen = 0;
        let bucket = counts.iter().position(|count| {
            seen += count;
            seen * 100 >= packets * 99
        });
        let p99 = bucket.map_or(max, |bucket| Duration::from_micros(1 << bucket)).min(max);
        Lateness { packets, p99, max }
    }

    pub(super) fn count_unroutable(&self) {
        self.unroutable.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_overflow(&self) {
        self.overflow.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn record_lateness(&self, lateness: Duration) {
        let nanos = u64::try_from(lateness.as_nanos()).unwrap_or(u64::MAX);
        self.lateness_max_ns.fetch_max(nanos, Ordering::Relaxed);
        // Bucket b holds what is at most 2^b microseconds.
        let bucket = nanos.div_ceil(1_000).max(1).next_power_of_two().trailing_zeros() as usize;
        self.lateness[bucket.min(BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_outlier_in_two_hundred_shows_in_the_maximum_only() {
        let stats = SwitchStats::default();
        assert_eq!(stats.lateness(), Lateness::default());
        for _ in 0..199 {
            stats.record_lateness(Duration::from_micros(50));
        }
        stats.record_lateness(Duration::from_millis(30));
        let lateness = stats.lateness();
        assert_eq!(lateness.packets, 200);
        assert_eq!(lateness.p99, Duration::from_micros(64));
        assert_eq!(lateness.max, Duration::from_millis(30));
    }
}
