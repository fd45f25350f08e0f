//! What each fault did to the service, in numbers: how long answers took before, during and after it, how long there were none.
//!
//! ```text
//!        before            during                     after
//!   ├─────2 s─────┤ fault begins ├───────────┤ undone ├─────2 s─────┤
//!                 ×   ×  × ·········gap········ × × × ×
//!                        failover ├──────>│        └> recovery
//! ```
//!
//! | figure | meaning |
//! |---|---|
//! | failover | from the beginning of the fault until a change that was invoked after it was answered: for a killed leader, how long it took to have another |
//! | recovery | from its end until a change that was invoked after that was answered |
//! | longest gap | the longest time without any answer between the beginning and the recovery; without one, the end of *after* |
//! | unavailable | all such gaps together, those left out that are no longer than ten usual ones or 100 ms |
//!
//! An operation belongs to the phase in which it was meant to start, and its time counts from there (`crate::latency` says why). Faults
//! of several lanes overlap, so that one's *before* may be another's *during*; *quiet* operations met no fault at all.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    time::Duration,
};

use checkers::history::{Completion, Function, OpIndex};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::{
    latency::{empty, write_histograms},
    statistics::shift::median_of,
    timeline::{FaultSpan, Timeline},
};

/// Version of `phases.json`.
pub const PHASES_FORMAT: u32 = 1;

/// How long *before* and *after* are, nanoseconds.
const WINDOW_NS: u64 = 2_000_000_000;

/// Shorter gaps are nobody's unavailability, nanoseconds.
const GAP_MIN_NS: u64 = 100_000_000;

/// So many gaps are listed.
pub const GAPS_MAX: usize = 1_000;

/// Nor are those shorter than so many usual ones.
const GAP_USUAL: u64 = 10;

/// When an operation was meant to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// While no fault stood.
    Quiet,
    /// While any fault stood.
    Faulty,
    /// Up to two seconds before the fault.
    Before,
    /// While the fault stood.
    During,
    /// Up to two seconds after it was undone.
    After,
}

impl Phase {
    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Faulty => "faulty",
            Self::Before => "before",
            Self::During => "during",
            Self::After => "after",
        }
    }
}

/// How long answered operations of one kind took in one phase, from their intended start. Times are nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseRow {
    /// The phase.
    pub phase: Phase,
    /// The kind of operation.
    pub operation: String,
    /// How many.
    pub count: u64,
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

/// One fault in numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultFigures {
    /// Its number in the run.
    pub number: u64,
    /// Its name.
    pub name: String,
    /// When it began, nanoseconds on the history's clock.
    pub start_ns: u64,
    /// When it was undone.
    pub end_ns: u64,
    /// From its beginning until a change begun after it was answered; none if there was none before the end of the run.
    pub failover_ms: Option<f64>,
    /// From its end until a change begun after it was answered; none if there was none before the end of the run.
    pub recovery_ms: Option<f64>,
    /// The longest time without an answer.
    pub longest_gap_ms: f64,
    /// All times without an answer together.
    pub unavailable_ms: f64,
    /// Answered operations a second before, during and after it.
    pub answered_per_second: [f64; 3],
    /// How long answers took.
    pub latencies: Vec<PhaseRow>,
}

/// All faults of one name together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KindFigures {
    /// What they did to the service.
    #[serde(flatten)]
    pub outage: Outage,
    /// How long answers took, over all of them.
    pub latencies: Vec<PhaseRow>,
}

/// How the service stood all faults of one name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outage {
    /// Their name.
    pub name: String,
    /// How many.
    pub count: usize,
    /// Median and worst, of those that had one.
    pub failover_ms: Option<Spread>,
    /// Median and worst, of those that had one.
    pub recovery_ms: Option<Spread>,
    /// Median and worst.
    pub unavailable_ms: Spread,
}

/// What a figure usually was, and at worst.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Half of them were no larger.
    pub median: f64,
    /// The largest.
    pub worst: f64,
}

/// A time without any answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// When the last answer before it came, nanoseconds on the history's clock.
    pub start_ns: u64,
    /// Until the next one, or the heal.
    pub length_ms: f64,
    /// The numbers of the faults that stood in it.
    pub faults: Vec<u64>,
}

/// All times without answers together, for the summary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unavailability {
    /// How many there were.
    pub count: usize,
    /// How long they were together.
    pub total_ms: f64,
    /// The longest one.
    pub longest_ms: f64,
    /// When it began, from the first client's start.
    pub longest_at_ms: f64,
    /// The names of the faults that stood in it.
    pub longest_under: Vec<String>,
}

impl PhaseReport {
    /// Its gaps together; none if there was none. `load_start_ns` is that of the run's phases.
    #[must_use]
    pub fn unavailability(&self, load_start_ns: u64) -> Option<Unavailability> {
        let longest = self.gaps.first()?;
        let stood = self.faults.iter().filter(|fault| longest.faults.contains(&fault.number));
        let names: BTreeSet<String> = stood.map(|fault| fault.name.clone()).collect();
        Some(Unavailability {
            count: self.gaps.len(),
            total_ms: self.gaps.iter().map(|gap| gap.length_ms).sum(),
            longest_ms: longest.length_ms,
            longest_at_ms: millis(longest.start_ns.saturating_sub(load_start_ns)),
            longest_under: names.into_iter().collect(),
        })
    }
}

/// What the faults of a run did to its service: `phases.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseReport {
    /// [`PHASES_FORMAT`] of the program that wrote it.
    pub format: u32,
    /// How long *before* and *after* are.
    pub window_ms: u64,
    /// Operations under no fault, and under any.
    pub load: Vec<PhaseRow>,
    /// When there were no answers, up to [`GAPS_MAX`] times, the longest first.
    #[serde(default)]
    pub gaps: Vec<Gap>,
    /// Each fault.
    pub faults: Vec<FaultFigures>,
    /// The faults of each name together.
    pub kinds: Vec<KindFigures>,
}

/// The whole histograms behind a report.
#[derive(Clone, Debug, Default)]
pub struct PhaseHistograms {
    load: Histograms,
    kinds: BTreeMap<String, Histograms>,
}

type Histograms = BTreeMap<(Phase, &'static str), Histogram<u64>>;

impl PhaseHistograms {
    /// Writes them as an HdrHistogram log, tagged `read.quiet` or `read.during.kill-leader`.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_log(&self, out: &mut impl io::Write, duration: Duration) -> io::Result<()> {
        let load = self
            .load
            .iter()
            .map(|((phase, operation), histogram)| (format!("{operation}.{}", phase.name()), histogram));
        let kinds = self.kinds.iter().flat_map(|(name, histograms)| {
            // A tag has no commas, spaces or line breaks.
            let name: String = name.chars().map(|c| if c.is_ascii_graphic() && c != ',' { c } else { '-' }).collect();
            histograms
                .iter()
                .map(move |((phase, operation), histogram)| (format!("{operation}.{}.{name}", phase.name()), histogram))
        });
        write_histograms(out, duration, load.chain(kinds))
    }
}

/// An operation of the load.
#[derive(Clone, Copy)]
struct Sample {
    intended: u64,
    invoke: u64,
    /// None where no answer came.
    answered: Option<u64>,
    function: Function,
}

/// Looks at what the faults of a run did. Time is of the order of sorting the operations, and of those that lie around faults; overlapping
/// faults count them again.
#[must_use]
pub fn phases(timeline: &Timeline) -> (PhaseReport, PhaseHistograms) {
    let samples = samples(timeline);
    let mut answers: Vec<u64> = samples.iter().filter_map(|sample| sample.answered).collect();
    answers.sort_unstable();
    let changes = Changes::of(&samples);
    let gap_ns = GAP_MIN_NS.max(GAP_USUAL.saturating_mul(usual_gap(&answers)));
    let mut histograms = PhaseHistograms { load: load(&samples, timeline), kinds: BTreeMap::new() };
    let mut faults = Vec::new();
    for span in &timeline.faults {
        let around = Around { span, timeline, samples: &samples, changes: &changes };
        let (figures, found) = around.figures(&answers, gap_ns);
        let pooled = histograms.kinds.entry(span.name.clone()).or_default();
        for (key, histogram) in found {
            pooled.entry(key).or_insert_with(empty).add(&histogram).expect("the histogram grows as needed");
        }
        faults.push(figures);
    }
    let kinds = histograms.kinds.iter().map(|(name, pooled)| kind(name, &faults, pooled)).collect();
    let load = rows(&histograms.load);
    let gaps = all_gaps(&answers, timeline, gap_ns);
    let report = PhaseReport { format: PHASES_FORMAT, window_ms: WINDOW_NS / 1_000_000, load, gaps, faults, kinds };
    (report, histograms)
}

/// The operations between the beginning of the load and the heal, by intended start.
fn samples(timeline: &Timeline) -> Vec<Sample> {
    let of = |(place, operation): (u32, &checkers::history::Operation<_>)| Sample {
        intended: timeline.intended_ns(OpIndex(place)),
        invoke: operation.invoke,
        answered: matches!(operation.completion, Completion::Ok(_) | Completion::Mismatch { .. })
            .then_some(operation.ret),
        function: operation.action.function(),
    };
    let mut samples: Vec<Sample> = (0..).zip(timeline.history.operations()).map(of).collect();
    samples.sort_by_key(|sample| sample.intended);
    samples
}

/// The median time between two answers.
fn usual_gap(answers: &[u64]) -> u64 {
    let mut gaps: Vec<u64> = answers.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let middle = gaps.len() / 2;
    if gaps.is_empty() { 0 } else { *gaps.select_nth_unstable(middle).1 }
}

/// Operations of the load under no fault, and under any.
fn load(samples: &[Sample], timeline: &Timeline) -> Histograms {
    let mut histograms = Histograms::new();
    let mut spans = timeline.faults.iter().peekable();
    // Spans come by their beginning: those that have begun stand until the last end among them.
    let mut until = 0;
    for sample in within(samples, timeline.phases.load_start_ns, timeline.phases.healed_ns) {
        while let Some(span) = spans.next_if(|span| span.start_ns <= sample.intended) {
            until = until.max(span.end_ns);
        }
        let phase = if sample.intended < until { Phase::Faulty } else { Phase::Quiet };
        record(&mut histograms, phase, sample);
    }
    histograms
}

/// Those that were meant to start at `from` or later, and before `to`.
fn within(samples: &[Sample], from: u64, to: u64) -> &[Sample] {
    let at = |moment| samples.partition_point(|sample| sample.intended < moment);
    let (first, last) = (at(from), at(to));
    &samples[first..last.max(first)]
}

fn record(histograms: &mut Histograms, phase: Phase, sample: &Sample) {
    let Some(answered) = sample.answered else { return };
    let histogram = histograms.entry((phase, sample.function.word())).or_insert_with(empty);
    histogram.record(answered.saturating_sub(sample.intended).max(1)).expect("the histogram grows as needed");
}

fn rows(histograms: &Histograms) -> Vec<PhaseRow> {
    let row = |(&(phase, operation), histogram): (&(Phase, &'static str), &Histogram<u64>)| PhaseRow {
        phase,
        operation: operation.to_owned(),
        count: histogram.len(),
        p50_ns: histogram.value_at_quantile(0.5),
        p90_ns: histogram.value_at_quantile(0.9),
        p99_ns: histogram.value_at_quantile(0.99),
        p999_ns: histogram.value_at_quantile(0.999),
        max_ns: histogram.max(),
    };
    histograms.iter().map(row).collect()
}

/// A fault and what is around it.
struct Around<'a> {
    span: &'a FaultSpan,
    timeline: &'a Timeline,
    samples: &'a [Sample],
    changes: &'a Changes,
}

/// Answered changes by invocation, each with the first moment at which one invoked then or later was answered.
struct Changes(Vec<(u64, u64)>);

impl Changes {
    /// Time is that of sorting.
    fn of(samples: &[Sample]) -> Self {
        let changing = samples.iter().filter(|sample| !matches!(sample.function, Function::Read));
        let mut changes: Vec<(u64, u64)> =
            changing.filter_map(|sample| Some((sample.invoke, sample.answered?))).collect();
        changes.sort_unstable();
        let mut first = u64::MAX;
        for (_, answered) in changes.iter_mut().rev() {
            first = first.min(*answered);
            *answered = first;
        }
        Self(changes)
    }

    /// How long after this moment the first change that was invoked then or later was answered.
    fn first_after(&self, moment: u64) -> Option<u64> {
        let place = self.0.partition_point(|(invoke, _)| *invoke < moment);
        self.0.get(place).map(|(_, answered)| answered - moment)
    }
}

impl Around<'_> {
    fn figures(&self, answers: &[u64], gap_ns: u64) -> (FaultFigures, Histograms) {
        let FaultSpan { start_ns, end_ns, .. } = *self.span;
        let phases = self.timeline.phases;
        let windows = [
            (Phase::Before, start_ns.saturating_sub(WINDOW_NS).max(phases.load_start_ns), start_ns),
            (Phase::During, start_ns, end_ns),
            // What comes after the heal is no load any more.
            (Phase::After, end_ns, end_ns.saturating_add(WINDOW_NS).min(phases.healed_ns)),
        ];
        let mut histograms = Histograms::new();
        let mut answered_per_second = [0.0; 3];
        for ((phase, from, to), per_second) in windows.into_iter().zip(&mut answered_per_second) {
            within(self.samples, from, to).iter().for_each(|sample| record(&mut histograms, phase, sample));
            let count = in_window(answers, from, to).len();
            if to > from {
                *per_second = real(count as u64) / (real(to - from) / 1e9);
            }
        }
        // What other faults do after the recovery is not this one's.
        let recovered = self.changes.first_after(end_ns);
        let (_, _, last) = windows[2];
        let over = recovered.map_or(last.max(end_ns), |after| end_ns.saturating_add(after));
        let (longest, unavailable) = gaps(answers, start_ns, over, gap_ns);
        let figures = FaultFigures {
            number: self.span.number,
            name: self.span.name.clone(),
            start_ns,
            end_ns,
            failover_ms: self.changes.first_after(start_ns).map(millis),
            recovery_ms: recovered.map(millis),
            longest_gap_ms: millis(longest),
            unavailable_ms: millis(unavailable),
            answered_per_second,
            latencies: rows(&histograms),
        };
        (figures, histograms)
    }
}

fn in_window(answers: &[u64], from: u64, to: u64) -> &[u64] {
    let at = |moment| answers.partition_point(|answer| *answer < moment);
    let (first, last) = (at(from), at(to));
    &answers[first..last.max(first)]
}

/// The times without an answer that are longer than `least`, while there was load.
fn all_gaps(answers: &[u64], timeline: &Timeline, least: u64) -> Vec<Gap> {
    let (from, to) = (timeline.phases.load_start_ns, timeline.phases.healed_ns);
    let mut gaps: Vec<(u64, u64)> = Vec::new();
    let mut before = from;
    for answer in in_window(answers, from, to).iter().copied().chain([to]) {
        if answer.saturating_sub(before) > least {
            gaps.push((before, answer));
        }
        before = answer;
    }
    gaps.sort_by_key(|(start, end)| (std::cmp::Reverse(end - start), *start));
    gaps.truncate(GAPS_MAX);
    let stood = |start, end| {
        let stands = |span: &&FaultSpan| span.start_ns < end && span.end_ns > start;
        timeline.faults.iter().filter(stands).map(|span| span.number).collect()
    };
    gaps.into_iter()
        .map(|(start, end)| Gap { start_ns: start, length_ms: millis(end - start), faults: stood(start, end) })
        .collect()
}

/// The longest time without an answer from `from` to `to`, and all together that are longer than `least`.
fn gaps(answers: &[u64], from: u64, to: u64, least: u64) -> (u64, u64) {
    let (mut longest, mut all, mut before) = (0, 0, from);
    for answer in in_window(answers, from, to).iter().copied().chain([to]) {
        let gap = answer.saturating_sub(before);
        longest = longest.max(gap);
        all += if gap > least { gap } else { 0 };
        before = answer;
    }
    (longest, all)
}

fn kind(name: &str, faults: &[FaultFigures], pooled: &Histograms) -> KindFigures {
    let of_kind = || faults.iter().filter(|fault| fault.name == name);
    let outage = Outage {
        name: name.to_owned(),
        count: of_kind().count(),
        failover_ms: spread(of_kind().filter_map(|fault| fault.failover_ms)),
        recovery_ms: spread(of_kind().filter_map(|fault| fault.recovery_ms)),
        unavailable_ms: spread(of_kind().map(|fault| fault.unavailable_ms)).expect("a kind is one of some fault"),
    };
    KindFigures { outage, latencies: rows(pooled) }
}

fn spread(figures: impl Iterator<Item = f64>) -> Option<Spread> {
    let mut figures: Vec<f64> = figures.collect();
    let worst = figures.iter().copied().reduce(f64::max)?;
    Some(Spread { median: median_of(&mut figures), worst })
}

fn millis(nanos: u64) -> f64 {
    real(nanos) / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "2^53 ns are 104 days")]
fn real(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests;
