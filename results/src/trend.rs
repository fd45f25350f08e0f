//! One figure over time: a point a run, where it stepped, how surely, and at which revision.
//!
//! ```text
//!   runs of one machine and one configuration ─┐
//!   criterion.jsonl: benchmarks, imported ─────┴─> points by time ──> change points ──> shift of each, with its interval
//!                                                       │                                       │
//!                                                       └──> chart (terminal), svg, html <──────┘
//! ```
//!
//! A series is of one kind of machine and of one configuration: points of others would look like steps. Which those are is said by the
//! newest run that counts, or by a run that is named; how many others were left out is told.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    compare::{
        Estimate,
        fit::is_alike,
        gate::{GateResult, Threshold},
        percent, usable,
    },
    exit::ExitCode,
    metrics::{Metric, figures},
    statistics::{
        change_points::{LEAST_PART, LONGEST, change_points},
        shift::{median_of, shift},
    },
    store::{Labels, Machine, Manifest, RunEntry},
};

pub mod chart;
pub mod criterion;
pub mod page;

/// Version of a trend as it is written.
pub const TREND_FORMAT: u32 = 1;

/// Decides the shuffles of a series: the same series has the same steps, whoever looks.
const SEED: u64 = 1;

/// Figures that an error names.
const NAMED_MAX: usize = 30;

/// A measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// When it started, UTC.
    pub time: String,
    /// The run, or the runs of one revision; none for an imported benchmark.
    pub runs: Vec<String>,
    /// Of which revision.
    pub revision: Option<String>,
    /// What it is called by.
    pub labels: Labels,
    /// How much; of several runs the median.
    pub value: f64,
}

/// A step in a series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The place of the first point after it.
    pub at: usize,
    /// That point's time.
    pub time: String,
    /// Its revision.
    pub revision: Option<String>,
    /// The last revision before.
    pub revision_before: Option<String>,
    /// What that point is called by.
    pub labels: Labels,
    /// The median of the part before, back to the last step.
    pub before: f64,
    /// The median of the part after, up to the next step.
    pub after: f64,
    /// How much higher the part after lies.
    pub shift: Estimate,
    /// The same in percent of the median before; none where that is zero.
    pub shift_percent: Option<Estimate>,
    /// How likely shuffled measurements look like a step as large.
    pub p: f64,
    /// Whether it went the wrong way.
    pub is_worse: bool,
}

/// A figure over time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trend {
    /// [`TREND_FORMAT`] of the program that wrote it.
    pub format: u32,
    /// Which figure.
    pub metric: Metric,
    /// The points, the oldest first.
    pub points: Vec<Point>,
    /// Where it stepped.
    pub changes: Vec<Change>,
    /// What was left out, and what to keep in mind.
    pub notes: Vec<String>,
}

/// There is no series to be looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTrend {
    /// Nothing is left.
    #[error("none of the {all} runs counts: {why}")]
    NoRun {
        /// How many there were.
        all: usize,
        /// Why not.
        why: String,
    },
    /// No figure by this name.
    #[error("no run of this machine and configuration has a figure called {name:?}; there are {known}")]
    NoMetric {
        /// What was asked for.
        name: String,
        /// Those there are.
        known: String,
    },
    /// Several figures by this name.
    #[error("{name:?} may be {known}; a trend is of one figure")]
    ManyMetrics {
        /// What was asked for.
        name: String,
        /// Those that fit.
        known: String,
    },
}

/// The series that a metric's name means among runs, the oldest first: those that are like `like`, or, without one, like the newest run
/// of this machine that counts.
///
/// # Errors
/// When no run counts, or the name means no figure or several.
pub fn series(
    entries: &[RunEntry],
    name: &str,
    like: Option<&RunEntry>,
    include_all: bool,
) -> Result<(Metric, Vec<Point>, Vec<String>), NoTrend> {
    let counts = |entry: &&RunEntry| usable(entry, include_all).is_ok();
    let manifest = |entry: &'_ RunEntry| entry.manifest.as_ref().ok().cloned();
    let here = Machine::here();
    let is_here = |of: &Manifest| of.machine.differences(&here).is_empty();
    let reference = match like {
        Some(like) => manifest(like),
        None => entries.iter().rev().filter(counts).filter_map(manifest).find(is_here),
    };
    let Some(reference) = reference else {
        let why = match entries.iter().filter(counts).count() {
            0 => "none has a verdict of valid",
            _ => "none is of this machine; name a run of the machine that is meant with --like",
        };
        return Err(NoTrend::NoRun { all: entries.len(), why: why.to_owned() });
    };
    let mut left_out = LeftOut::default();
    let mut alike = Vec::new();
    for entry in entries {
        match (usable(entry, include_all), &entry.manifest) {
            (Ok(summary), Ok(manifest)) if is_alike(manifest, &reference) => {
                alike.push((entry, manifest, figures(summary)))
            }
            (Ok(_), Ok(manifest)) if !manifest.machine.differences(&reference.machine).is_empty() => {
                left_out.machine += 1
            }
            (Ok(_), _) => left_out.settings += 1,
            (Err(_), _) => left_out.unusable += 1,
        }
    }
    let metric = the_metric(alike.iter().flat_map(|(_, _, figures)| figures).map(|figure| &figure.metric), name)?;
    let mut points = Vec::new();
    for (entry, manifest, figures) in &alike {
        match figures.iter().find(|figure| figure.metric == metric) {
            Some(figure) => points.push(Point {
                time: manifest.started.clone(),
                runs: vec![entry.dir.id().to_string()],
                revision: manifest.directory_revision.clone(),
                labels: manifest.labels.clone(),
                value: figure.value,
            }),
            None => left_out.without += 1,
        }
    }
    Ok((metric, points, left_out.notes()))
}

/// The one metric that is meant.
///
/// # Errors
/// When none or several are.
pub fn the_metric<'a>(all: impl Iterator<Item = &'a Metric>, name: &str) -> Result<Metric, NoTrend> {
    let mut known: Vec<&Metric> = Vec::new();
    let mut names = BTreeSet::new();
    for metric in all {
        if names.insert(&metric.name) {
            known.push(metric);
        }
    }
    let listed = |metrics: &[&Metric]| {
        let named: Vec<&str> = metrics.iter().take(NAMED_MAX).map(|metric| metric.name.as_str()).collect();
        let more = if metrics.len() > NAMED_MAX { " and others" } else { "" };
        format!("{}{more}", named.join(", "))
    };
    if let Some(exact) = known.iter().find(|metric| metric.name == name) {
        return Ok((*exact).clone());
    }
    let meant: Vec<&Metric> = known.iter().copied().filter(|metric| metric.is_meant(name)).collect();
    match &meant[..] {
        [one] => Ok((*one).clone()),
        [] => Err(NoTrend::NoMetric { name: name.to_owned(), known: listed(&known) }),
        many => Err(NoTrend::ManyMetrics { name: name.to_owned(), known: listed(many) }),
    }
}

/// Runs that are not in a series.
#[derive(Default)]
struct LeftOut {
    machine: usize,
    settings: usize,
    unusable: usize,
    without: usize,
}

impl LeftOut {
    fn notes(&self) -> Vec<String> {
        let kinds = [
            (self.machine, "of other machines left out"),
            (self.settings, "of other settings left out; name a run with --like to follow those"),
            (self.unusable, "left out whose verdict is not valid"),
            (self.without, "left out that do not have the figure"),
        ];
        let told = kinds.iter().filter(|(count, _)| *count > 0);
        told.map(|(count, what)| format!("{count} {} {what}", if *count == 1 { "run" } else { "runs" })).collect()
    }
}

/// Runs of one revision that follow each other, as one point: their median. Points without a revision stay as they are.
#[must_use]
pub fn by_revision(points: &[Point]) -> Vec<Point> {
    let same = |one: &Point, other: &Point| one.revision.is_some() && one.revision == other.revision;
    let merged = |part: &[Point]| {
        let mut values: Vec<f64> = part.iter().map(|point| point.value).collect();
        let runs = part.iter().flat_map(|point| point.runs.iter().cloned()).collect();
        Point { runs, value: median_of(&mut values), ..part[0].clone() }
    };
    points.chunk_by(same).map(merged).collect()
}

/// Looks for steps.
#[must_use]
pub fn trend(metric: Metric, points: Vec<Point>, mut notes: Vec<String>) -> Trend {
    let values: Vec<f64> = points.iter().map(|point| point.value).collect();
    let found = change_points(&values, SEED);
    let mut bounds: Vec<usize> = found.iter().map(|change| change.at).collect();
    bounds.insert(0, values.len().saturating_sub(LONGEST));
    bounds.push(values.len());
    let changes = found
        .iter()
        .zip(bounds.windows(3))
        .map(|(found, around)| {
            let (before, after) = (&values[around[0]..found.at], &values[found.at..around[2]]);
            let by = shift(before, after, SEED).expect("both parts have measurements");
            let shift = Estimate { value: by.estimate, low: by.interval.low, high: by.interval.high };
            let point = &points[found.at];
            Change {
                at: found.at,
                time: point.time.clone(),
                revision: point.revision.clone(),
                revision_before: points[found.at - 1].revision.clone(),
                labels: point.labels.clone(),
                before: found.before,
                after: found.after,
                shift,
                shift_percent: shift.percent_of(found.before),
                p: found.p,
                is_worse: metric.is_worse(shift.value),
            }
        })
        .collect();
    if points.len() < 2 * LEAST_PART {
        notes.push(format!(
            "{} points are too few for a step: {} on each side of it are needed",
            points.len(),
            LEAST_PART
        ));
    }
    if points.len() > LONGEST {
        notes.push(format!("steps are looked for among the last {LONGEST} points"));
    }
    Trend { format: TREND_FORMAT, metric, points, changes, notes }
}

/// Whether the last step of a series is for the worse by more than is allowed; with why. Too short a series cannot tell.
#[must_use]
pub fn gate(trend: &Trend, thresholds: &[Threshold]) -> (GateResult, String) {
    let meant = |threshold: &&Threshold| {
        threshold.metric == crate::compare::gate::REGRESSION || trend.metric.is_meant(&threshold.metric)
    };
    let Some(allowed) = thresholds.iter().filter(meant).map(|threshold| threshold.percent).reduce(f64::min) else {
        return (GateResult::CannotTell, format!("no bound given is for {}", trend.metric.name));
    };
    if trend.points.len() < 2 * LEAST_PART {
        return (GateResult::CannotTell, format!("{} points are too few for a step", trend.points.len()));
    }
    let Some(last) = trend.changes.last().filter(|change| change.is_worse) else {
        return (GateResult::Open, "the last step, if there is any, is none for the worse".to_owned());
    };
    let by = last.shift_percent.map_or(f64::INFINITY, |shift| shift.value.abs());
    let words = format!("the last step, of {}, is one for the worse by {}", last.time, percent(by));
    match by > allowed {
        true => (GateResult::Closed, format!("{words}, more than {}", percent(allowed))),
        false => (GateResult::Open, format!("{words}, and {} is allowed", percent(allowed))),
    }
}

/// How the process ends by what a gate says.
#[must_use]
pub fn exit(result: GateResult) -> ExitCode {
    match result {
        GateResult::Open => ExitCode::Valid,
        GateResult::CannotTell => ExitCode::Unknown,
        GateResult::Closed => ExitCode::Invalid,
    }
}

#[cfg(test)]
mod tests;
