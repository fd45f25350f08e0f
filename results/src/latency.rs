//! How long operations took, and how many there were in each second.
//!
//! ```text
//!   intended start ──── sent ────────────── completed
//!        │                └──── service ───────┤      what the server made the client wait
//!        └──────────── response ───────────────┘      what a user would have waited: also for the client to be free
//! ```
//!
//! Response times count from the intended start, or a stall of the server would be measured once instead of for everyone who
//! waited ("coordinated omission", G. Tene). Whole histograms are kept: percentiles of parts cannot be put together.

use std::{collections::BTreeMap, io, time::SystemTime};

use checkers::history::Function;
use hdrhistogram::{
    Histogram,
    serialization::{
        V2Serializer,
        interval_log::{IntervalLogWriterBuilder, Tag},
    },
};
use serde::{Deserialize, Serialize};

/// Three significant digits: a value is off by at most a thousandth.
const SIGNIFICANT_DIGITS: u8 = 3;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// From the intended start.
    Response,
    /// From the moment of sending.
    Service,
}

impl Measure {
    fn name(self) -> &'static str {
        match self {
            Self::Response => "response",
            Self::Service => "service",
        }
    }
}

/// Whether a server's answer ended the operation. The times of those without one are kept apart: they say how patient the
/// client was, not how fast the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// Ok, or a compare-and-set answered "not equal".
    Answered,
    /// Failed or unknown.
    Unanswered,
}

impl Ending {
    fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Unanswered => "unanswered",
        }
    }
}

/// The histograms of a run or of one client.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    histograms: BTreeMap<(&'static str, Ending, Measure), Histogram<u64>>,
}

/// One line of the readable table. Times are in nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencyRow {
    /// The kind of operation.
    pub operation: String,
    /// Whether an answer ended them.
    pub ending: Ending,
    /// From where on.
    pub measure: Measure,
    /// How many.
    pub count: u64,
    /// The shortest.
    pub min_ns: u64,
    /// The mean.
    pub mean_ns: f64,
    /// Half took no longer.
    pub p50_ns: u64,
    /// 90 % took no longer.
    pub p90_ns: u64,
    /// 99 % took no longer.
    pub p99_ns: u64,
    /// 99.9 % took no longer.
    pub p999_ns: u64,
    /// The longest.
    pub max_ns: u64,
}

impl Latencies {
    /// Adds one operation. `intended`, `sent` and `completed` are nanoseconds on one clock, in this order.
    pub fn record(&mut self, function: Function, ending: Ending, intended: u64, sent: u64, completed: u64) {
        debug_assert!(intended <= sent && sent <= completed, "{intended} {sent} {completed}");
        for (measure, start) in [(Measure::Response, intended), (Measure::Service, sent)] {
            let histogram = self.histograms.entry((function.word(), ending, measure)).or_insert_with(empty);
            // 0 would be the one value that the logarithmic buckets cannot tell from nothing.
            histogram.record(completed.saturating_sub(start).max(1)).expect("the histogram grows as needed");
        }
    }

    /// Adds another client's.
    pub fn merge(&mut self, other: &Self) {
        for (&key, theirs) in &other.histograms {
            self.histograms.entry(key).or_insert_with(empty).add(theirs).expect("the histogram grows as needed");
        }
    }

    /// The histogram of one kind, if there was any such operation.
    #[must_use]
    pub fn histogram(&self, function: Function, ending: Ending, measure: Measure) -> Option<&Histogram<u64>> {
        self.histograms.get(&(function.word(), ending, measure))
    }

    /// The readable table.
    #[must_use]
    pub fn table(&self) -> Vec<LatencyRow> {
        let row =
            |(&(operation, ending, measure), histogram): (&(&str, Ending, Measure), &Histogram<u64>)| LatencyRow {
                operation: operation.to_owned(),
                ending,
                measure,
                count: histogram.len(),
                min_ns: histogram.min(),
                mean_ns: histogram.mean(),
                p50_ns: histogram.value_at_quantile(0.5),
                p90_ns: histogram.value_at_quantile(0.9),
                p99_ns: histogram.value_at_quantile(0.99),
                p999_ns: histogram.value_at_quantile(0.999),
                max_ns: histogram.max(),
            };
        self.histograms.iter().map(row).collect()
    }

    /// Writes all histograms as an HdrHistogram log, tagged `read.answered.response` and so on, which the usual tools read.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_log(&self, out: &mut impl io::Write, duration: std::time::Duration) -> io::Result<()> {
        let tagged = self.histograms.iter().map(|((operation, ending, measure), histogram)| {
            (format!("{operation}.{}.{}", ending.name(), measure.name()), histogram)
        });
        write_histograms(out, duration, tagged)
    }
}

/// Writes histograms as an HdrHistogram log, each with its tag, which must have no commas, spaces or line breaks.
///
/// # Errors
/// Those of the writer.
pub(crate) fn write_histograms<'a>(
    out: &mut impl io::Write,
    duration: std::time::Duration,
    tagged: impl Iterator<Item = (String, &'a Histogram<u64>)>,
) -> io::Result<()> {
    let mut serializer = V2Serializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment("times in nanoseconds")
        .with_start_time(SystemTime::UNIX_EPOCH)
        .begin_log_with(out, &mut serializer)?;
    for (name, histogram) in tagged {
        let tag = Tag::new(&name).expect("no comma, space or line break in a tag");
        log.write_histogram(histogram, std::time::Duration::ZERO, duration, Some(tag)).map_err(io::Error::other)?;
    }
    Ok(())
}

/// A histogram of times in nanoseconds.
pub(crate) fn empty() -> Histogram<u64> {
    Histogram::new(SIGNIFICANT_DIGITS).expect("three digits are allowed")
}

/// Runs are not counted beyond a day; later operations are added to the last second.
const SECONDS_MAX: usize = 86_400;

/// Successful operations in each second of the run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throughput {
    /// Second by second.
    pub ok_per_second: Vec<u64>,
}

impl Throughput {
    /// Counts one success, completed at this many nanoseconds from the start.
    pub fn record(&mut self, completed: u64) {
        let second = usize::try_from(completed / 1_000_000_000).map_or(SECONDS_MAX, |second| second.min(SECONDS_MAX));
        if self.ok_per_second.len() <= second {
            self.ok_per_second.resize(second + 1, 0);
        }
        self.ok_per_second[second] += 1;
    }

    /// Adds another client's.
    pub fn merge(&mut self, other: &Self) {
        if self.ok_per_second.len() < other.ok_per_second.len() {
            self.ok_per_second.resize(other.ok_per_second.len(), 0);
        }
        for (ours, theirs) in self.ok_per_second.iter_mut().zip(&other.ok_per_second) {
            *ours += theirs;
        }
    }

    /// Mean over a load of this length; lowest and highest over its whole seconds, those without a success included.
    #[must_use]
    pub fn summary(&self, length: std::time::Duration) -> ThroughputSummary {
        let total: u64 = self.ok_per_second.iter().sum();
        let whole_seconds = usize::try_from(length.as_secs()).unwrap_or(SECONDS_MAX).min(SECONDS_MAX);
        let whole = || (0..whole_seconds).map(|second| self.ok_per_second.get(second).copied().unwrap_or(0));
        ThroughputSummary {
            mean: if length.is_zero() { 0.0 } else { total as f64 / length.as_secs_f64() },
            lowest: whole().min().unwrap_or(0),
            highest: whole().max().unwrap_or(0),
        }
    }
}

/// Successful operations in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ThroughputSummary {
    /// Over the whole run.
    pub mean: f64,
    /// In the worst second.
    pub lowest: u64,
    /// In the best second.
    pub highest: u64,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hdrhistogram::serialization::{
        Deserializer,
        interval_log::{IntervalLogIterator, LogEntry},
    };

    use super::*;

    fn some() -> Latencies {
        let mut latencies = Latencies::default();
        for n in 1..=1_000 {
            latencies.record(Function::Read, Ending::Answered, 0, 1_000_000, 1_000_000 + n * 1_000);
        }
        latencies.record(Function::Write, Ending::Unanswered, 5, 5, 5);
        latencies
    }

    fn near(value: u64, wanted: u64) -> bool {
        value.abs_diff(wanted) <= wanted / 500
    }

    #[test]
    fn waiting_for_the_client_counts_in_the_response_only() {
        let latencies = some();
        let p50 = |measure| {
            latencies.histogram(Function::Read, Ending::Answered, measure).expect("reads").value_at_quantile(0.5)
        };
        assert!(near(p50(Measure::Service), 500_000), "{}", p50(Measure::Service));
        assert!(near(p50(Measure::Response), 1_500_000), "{}", p50(Measure::Response));
    }

    #[test]
    fn the_table_has_a_row_for_each_histogram() {
        let table = some().table();
        assert_eq!(table.len(), 4);
        let row = &table[1];
        assert_eq!((row.operation.as_str(), row.measure, row.count), ("read", Measure::Service, 1_000));
        assert!(near(row.p99_ns, 990_000) && near(row.max_ns, 1_000_000) && near(row.p90_ns, 900_000), "{row:?}");
    }

    #[test]
    fn merging_is_adding() {
        let mut sum = some();
        sum.merge(&some());
        let count = |latencies: &Latencies| latencies.table().iter().map(|row| row.count).sum::<u64>();
        assert_eq!(count(&sum), 2 * count(&some()));
    }

    #[test]
    fn the_log_reads_back_whole() {
        let latencies = some();
        let mut log = Vec::new();
        latencies.write_log(&mut log, Duration::from_secs(30)).expect("written");
        let mut tags = Vec::new();
        for entry in IntervalLogIterator::new(&log) {
            if let LogEntry::Interval(interval) = entry.expect("a line of a log") {
                let bytes = base64_decode(interval.encoded_histogram());
                let histogram: Histogram<u64> =
                    Deserializer::new().deserialize(&mut bytes.as_slice()).expect("a histogram");
                tags.push((interval.tag().expect("a tag").as_str().to_owned(), histogram.len()));
            }
        }
        let read = |measure: &str| (format!("read.answered.{measure}"), 1_000);
        let write = |measure: &str| (format!("write.unanswered.{measure}"), 1);
        assert_eq!(tags, [read("response"), read("service"), write("response"), write("service")]);
    }

    /// Just enough of base64 to read the log back.
    fn base64_decode(text: &str) -> Vec<u8> {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let sextets = text.bytes().filter_map(|byte| alphabet.iter().position(|&letter| letter == byte));
        let mut bytes = Vec::new();
        let (mut bits, mut count) = (0_usize, 0);
        for sextet in sextets {
            (bits, count) = ((bits << 6 | sextet) & 0xFFFF, count + 6);
            if count >= 8 {
                count -= 8;
                bytes.push((bits >> count & 0xFF) as u8);
            }
        }
        bytes
    }

    #[test]
    fn throughput_by_second() {
        let mut throughput = Throughput::default();
        for completed in [0, 999_999_999, 1_000_000_000, 3_500_000_000, u64::MAX] {
            throughput.record(completed);
        }
        assert_eq!(throughput.ok_per_second.len(), SECONDS_MAX + 1);
        assert_eq!(&throughput.ok_per_second[..5], [2, 1, 0, 1, 0]);
        let mut other = Throughput { ok_per_second: vec![4, 1, 0, 9] };
        // Half of the fourth second is not a whole one; seconds at the end in which nothing succeeded count.
        let load = Duration::from_millis;
        assert_eq!(other.summary(load(3_500)), ThroughputSummary { mean: 4.0, lowest: 0, highest: 4 });
        assert_eq!(other.summary(load(7_000)), ThroughputSummary { mean: 2.0, lowest: 0, highest: 9 });
        other.merge(&Throughput { ok_per_second: vec![1, 0, 0, 0, 1] });
        assert_eq!(other.ok_per_second, [5, 1, 0, 9, 1]);
        assert_eq!(Throughput::default().summary(load(0)), ThroughputSummary::default());
    }
}
