//! Two sets of runs side by side: what differs, by how much, how surely, and what would not have been seen.
//!
//! ```text
//!   runs of A ─┐  may they be     figures      for each figure                             over all figures
//!              ├─ compared? ────> of each ───> medians, shift, its interval, rank test ──> Holm ──> a plain word
//!   runs of B ─┘  machine, config run          what would have been found at all                    a gate
//! ```
//!
//! A run is one measurement, whatever number of operations it has: what makes one run faster than the next (where the leader sits, what the
//! disk does) makes all its operations faster. So runs are compared, never operations of runs. Fewer than [`RUNS_MIN`] runs a side are no
//! ground for any claim, and single runs are only described.
//!
//! How sure a word is: over all figures of one comparison, the chance of any false *better* or *worse* is at most the level. *No
//! difference found* comes with the difference that would have been found four times in five.

use serde::{Deserialize, Serialize};

use crate::{
    latency::{Ending, LatencyRow, Measure},
    metrics::{Figure, Metric, figures},
    statistics::{
        effect::minimum_detectable,
        holm::holm,
        rank_sum::{critical, rank_sum},
        shift::{RESAMPLES, median_of, shift_by},
    },
    store::RunEntry,
    summary::Summary,
};

pub mod fit;
pub mod gate;
mod render;

pub use render::{percent, ranged, render, shown};

/// Version of a comparison as it is written.
pub const COMPARISON_FORMAT: u32 = 1;

/// With fewer runs on a side nothing is claimed.
pub const RUNS_MIN: usize = 4;

/// The level unless told otherwise.
pub const LEVEL: f64 = 0.05;

/// How often a sample is drawn anew to see what would have been found.
const EFFECT_RESAMPLES: usize = 500;

/// A run with its figures.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Its name.
    pub run: String,
    /// Its figures.
    pub figures: Vec<Figure>,
}

/// A set of runs to be compared.
#[derive(Clone, Debug, Default)]
pub struct Set {
    /// What it is called: the selection that was typed, as a rule.
    pub name: String,
    /// The runs, the oldest first.
    pub runs: Vec<Measured>,
    /// Runs that were selected and do not count, and why.
    pub left_out: Vec<String>,
}

impl Set {
    /// Of these runs: those with a verdict of valid, or, if asked for, with any. What a run says that did not keep its promise is not a
    /// figure of the system: it is fast to be wrong.
    #[must_use]
    pub fn of(name: impl Into<String>, entries: &[RunEntry], include_all: bool) -> Self {
        let mut set = Self { name: name.into(), ..Self::default() };
        for entry in entries {
            match usable(entry, include_all) {
                Ok(summary) => {
                    set.runs.push(Measured { run: entry.dir.id().to_string(), figures: figures(summary) });
                }
                Err(why) => set.left_out.push(format!("{}: {why}", entry.dir.id())),
            }
        }
        set
    }

    /// All values of a metric, by run.
    #[must_use]
    pub fn values(&self, metric: &Metric) -> Vec<f64> {
        let value =
            |run: &Measured| run.figures.iter().find(|figure| figure.metric == *metric).map(|figure| figure.value);
        self.runs.iter().filter_map(value).collect()
    }
}

/// The summary of a run whose figures count; else why they do not.
///
/// # Errors
/// In a few words: no manifest, no verdict, or not valid.
pub fn usable(entry: &RunEntry, include_all: bool) -> Result<&Summary, String> {
    if let Err(error) = &entry.manifest {
        return Err(error.clone());
    }
    let summary = entry.summary.as_ref().ok_or("it has no verdict")?;
    // Of a run that was broken off there are no figures, and zeros are none.
    if summary.harness_error.is_some() {
        return Err("it was broken off".to_owned());
    }
    match summary.verdict {
        checkers::verdict::Verdict::Valid => Ok(summary),
        _ if include_all => Ok(summary),
        verdict => Err(format!("its verdict is {}", crate::check::verdict_name(verdict))),
    }
}

/// How to compare.
#[derive(Clone, Debug)]
pub struct Options {
    /// Metrics by name or last part; the usual ones if there are none.
    pub metrics: Vec<String>,
    /// Metrics that are looked at besides, because a gate guards them.
    pub guarded: Vec<String>,
    /// The chance of any false claim.
    pub level: f64,
    /// Decides the resamples of intervals.
    pub seed: u64,
    /// How many there are.
    pub resamples: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { metrics: Vec::new(), guarded: Vec::new(), level: LEVEL, seed: 1, resamples: RESAMPLES }
    }
}

/// What the values of one side are like.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Values {
    /// How many runs have the figure.
    pub runs: usize,
    /// Their median.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub greatest: f64,
}

impl Values {
    /// Of some values.
    ///
    /// # Panics
    /// When there are none.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        let median = median_of(&mut values.to_vec());
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Self { runs: values.len(), median, least, greatest }
    }
}

/// By how much B lies above A, with bounds of 95 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// The lower bound.
    pub low: f64,
    /// The upper bound.
    pub high: f64,
}

impl Estimate {
    /// In percent of a figure; none where that is zero.
    #[must_use]
    pub fn percent_of(self, base: f64) -> Option<Self> {
        let part = |value: f64| 100.0 * value / base.abs();
        (base != 0.0).then(|| Self { value: part(self.value), low: part(self.low), high: part(self.high) })
    }
}

/// What can be said of one figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conclusion {
    /// B is better than A.
    Better,
    /// B is worse than A.
    Worse,
    /// Nothing was found that chance would not explain.
    NoDifference,
    /// So few runs that no difference, however large, could be told from chance.
    TooFew,
}

/// One figure of both sets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Which.
    pub metric: Metric,
    /// Of the runs of A.
    pub a: Values,
    /// Of the runs of B.
    pub b: Values,
    /// The shift of Hodges and Lehmann, in the metric's unit.
    pub shift: Estimate,
    /// The same in percent of A's median; none where that is zero.
    pub shift_percent: Option<Estimate>,
    /// The rank test's p; none where it was not asked.
    pub p: Option<f64>,
    /// The same adjusted after Holm for all figures that were looked at.
    pub p_adjusted: Option<f64>,
    /// The least shift that would have been found four times in five; none where no shift would.
    pub detectable: Option<f64>,
    /// The same in percent of A's median.
    pub detectable_percent: Option<f64>,
    /// The word.
    pub conclusion: Conclusion,
}

/// A set in a comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// What it is called.
    pub name: String,
    /// Its runs.
    pub runs: Vec<String>,
    /// Runs that were selected and do not count, and why.
    pub left_out: Vec<String>,
}

/// Everything that a comparison brought.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// [`COMPARISON_FORMAT`] of the program that wrote it.
    pub format: u32,
    /// What is compared with.
    pub a: Side,
    /// What is compared.
    pub b: Side,
    /// The chance of any false claim.
    pub level: f64,
    /// In what the sets differ that should not be compared, where it was forced.
    pub forced: Vec<String>,
    /// What to keep in mind.
    pub notes: Vec<String>,
    /// Figure by figure.
    pub rows: Vec<Row>,
    /// Wanted figures that one side alone has: nothing can be said of them, and they may be gone for a reason.
    #[serde(default)]
    pub one_sided: Vec<Metric>,
    /// Of single runs: all percentiles, and no claim.
    pub single: Vec<SingleRow>,
    /// What the gate says, where there is one.
    pub gate: Option<gate::Gate>,
}

/// Latencies of one kind of operation in single runs, nanoseconds, from the intended start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SingleRow {
    /// The kind.
    pub operation: String,
    /// What: `p50`, … `max`.
    pub what: String,
    /// In the run of A.
    pub a_ns: u64,
    /// In the run of B.
    pub b_ns: u64,
}

/// Compares two sets. Whether they may be compared is another question: [`fit::differences`].
#[must_use]
pub fn compare(a: &Set, b: &Set, options: &Options) -> Comparison {
    let (metrics, one_sided) = wanted(a, b, options);
    let samples: Vec<(Vec<f64>, Vec<f64>)> =
        metrics.iter().map(|metric| (a.values(metric), b.values(metric))).collect();
    let tested: Vec<Option<f64>> = samples.iter().map(|(a, b)| tested(a, b)).collect();
    let asked: Vec<f64> = tested.iter().flatten().copied().collect();
    let mut adjusted = holm(&asked).into_iter();
    let rows = metrics
        .iter()
        .zip(&samples)
        .zip(&tested)
        .map(|((metric, (a, b)), &p)| {
            let p_adjusted = p.and_then(|_| adjusted.next());
            row(metric, a, b, Asked { p, p_adjusted, questions: asked.len().max(1) }, options)
        })
        .collect();
    let side = |set: &Set| Side {
        name: set.name.clone(),
        runs: set.runs.iter().map(|run| run.run.clone()).collect(),
        left_out: set.left_out.clone(),
    };
    Comparison {
        format: COMPARISON_FORMAT,
        a: side(a),
        b: side(b),
        level: options.level,
        forced: Vec::new(),
        notes: notes(a, b),
        rows,
        one_sided,
        single: Vec::new(),
        gate: None,
    }
}

/// The metrics that somebody wants, in the order of the first run that has them: those of both sets, and those of one alone.
fn wanted(a: &Set, b: &Set, options: &Options) -> (Vec<Metric>, Vec<Metric>) {
    let wanted = |metric: &Metric| match options.metrics.is_empty() {
        true => metric.is_usual || options.guarded.iter().any(|words| metric.is_meant(words)),
        false => options.metrics.iter().chain(&options.guarded).any(|words| metric.is_meant(words)),
    };
    let mut metrics: Vec<Metric> = Vec::new();
    for figure in a.runs.iter().chain(&b.runs).flat_map(|run| &run.figures) {
        if wanted(&figure.metric) && !metrics.contains(&figure.metric) {
            metrics.push(figure.metric.clone());
        }
    }
    let has = |set: &Set, metric: &Metric| {
        set.runs.iter().any(|run| run.figures.iter().any(|figure| figure.metric == *metric))
    };
    metrics.into_iter().partition(|metric| has(a, metric) && has(b, metric))
}

/// The rank test's p, where there are enough runs, and anything to ask: values that are all the same raise no question, and so take no
/// certainty from the others.
fn tested(a: &[f64], b: &[f64]) -> Option<f64> {
    let enough = a.len() >= RUNS_MIN && b.len() >= RUNS_MIN;
    let differ = a.iter().chain(b).any(|value| *value != a[0]);
    (enough && differ).then(|| rank_sum(a, b)).flatten().map(|test| test.p)
}

/// What was asked of one figure, and among how many.
struct Asked {
    p: Option<f64>,
    p_adjusted: Option<f64>,
    questions: usize,
}

fn row(metric: &Metric, a: &[f64], b: &[f64], asked: Asked, options: &Options) -> Row {
    #[expect(clippy::cast_precision_loss, reason = "a handful of metrics")]
    // What Holm asks of the first of them; on the safe side for the others.
    let level = options.level / asked.questions as f64;
    let found = shift_by(a, b, options.seed, options.resamples).expect("a common metric has values on both sides");
    let shift = Estimate { value: found.estimate, low: found.interval.low, high: found.interval.high };
    let enough = a.len() >= RUNS_MIN && b.len() >= RUNS_MIN && critical(a.len(), b.len(), level).is_some();
    let effect = || minimum_detectable(a, b, level, options.seed, EFFECT_RESAMPLES.min(options.resamples));
    let detectable = enough.then(effect).flatten();
    let (a, b) = (Values::of(a), Values::of(b));
    let conclusion = match asked.p_adjusted {
        Some(p) if p <= options.level && metric.is_worse(shift.value) => Conclusion::Worse,
        Some(p) if p <= options.level && shift.value != 0.0 => Conclusion::Better,
        _ if enough => Conclusion::NoDifference,
        _ => Conclusion::TooFew,
    };
    Row {
        metric: metric.clone(),
        a,
        b,
        shift,
        shift_percent: shift.percent_of(a.median),
        p: asked.p,
        p_adjusted: asked.p_adjusted,
        detectable,
        detectable_percent: detectable.filter(|_| a.median != 0.0).map(|least| 100.0 * least / a.median.abs()),
        conclusion,
    }
}

fn notes(a: &Set, b: &Set) -> Vec<String> {
    let mut notes = Vec::new();
    for (side, set) in [("A", a), ("B", b)] {
        match &set.left_out[..] {
            [] => {}
            [one] => notes.push(format!("a run of {side} does not count: {one}")),
            [first, ..] => notes.push(format!("{} runs of {side} do not count, the first {first}", set.left_out.len())),
        }
    }
    let ends = |set: &Set| {
        Some((set.runs.iter().map(|r| r.run.clone()).min()?, set.runs.iter().map(|r| r.run.clone()).max()?))
    };
    if let (Some((first_a, last_a)), Some((first_b, last_b))) = (ends(a), ends(b))
        && (last_a < first_b || last_b < first_a)
    {
        notes.push(
            "one side's runs are all older than the other's: whatever changed on the machine in between is in the difference, too; \
             `trueline bench` lets both take turns"
                .to_owned(),
        );
    }
    notes
}

/// All percentiles of two single runs side by side. They describe these two runs, and nothing more.
#[must_use]
pub fn single_rows(a: &Summary, b: &Summary) -> Vec<SingleRow> {
    let counts = |row: &&LatencyRow| row.ending == Ending::Answered && row.measure == Measure::Response;
    let mut rows = Vec::new();
    for of_a in a.latencies.iter().filter(counts) {
        let Some(of_b) = b.latencies.iter().filter(counts).find(|row| row.operation == of_a.operation) else {
            continue;
        };
        let columns = [
            ("p50", of_a.p50_ns, of_b.p50_ns),
            ("p90", of_a.p90_ns, of_b.p90_ns),
            ("p99", of_a.p99_ns, of_b.p99_ns),
            ("p999", of_a.p999_ns, of_b.p999_ns),
            ("max", of_a.max_ns, of_b.max_ns),
        ];
        rows.extend(columns.map(|(what, a_ns, b_ns)| SingleRow {
            operation: of_a.operation.clone(),
            what: what.to_owned(),
            a_ns,
            b_ns,
        }));
    }
    rows
}

#[cfg(test)]
mod tests;
