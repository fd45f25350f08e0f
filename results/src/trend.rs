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
        change_points::{LEAST_PART, LEVEL, LONGEST, change_points},
        effect::minimum_detectable,
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

/// In a series of fewer points even a perfect step may be mistaken for chance: four points can be drawn from eight in 70 ways only, and one
/// in 35 such draws looks like it, while of twelve it is one in 247.
const POINTS_MIN: usize = 3 * LEAST_PART;

/// How often the end of a series is drawn anew to see what would have been found there.
const RESAMPLES: usize = 500;

/// The label by which `trueline bench` tells apart what it measures.
const SIDE: &str = "side";

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
    let mut notes = left_out.notes();
    notes.extend(mixed(&points));
    Ok((metric, points, notes))
}

/// A note where points belong to several sides of a bench, which are meant to differ.
fn mixed(points: &[Point]) -> Option<String> {
    let sides: BTreeSet<&String> = points.iter().filter_map(|point| point.labels.get(SIDE)).collect();
    (sides.len() > 1).then(|| format!("runs of several sides of a bench are in one series; narrow with label.{SIDE}=…"))
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

/// Runs of one revision that follow each other, as one point for each side of a bench: their median. Points without a revision stay as
/// they are.
#[must_use]
pub fn by_revision(points: &[Point]) -> Vec<Point> {
    let same = |one: &Point, other: &Point| one.revision.is_some() && one.revision == other.revision;
    let merged = |part: Vec<&Point>| {
        let mut values: Vec<f64> = part.iter().map(|point| point.value).collect();
        let runs = part.iter().flat_map(|point| point.runs.iter().cloned()).collect();
        Point { runs, value: median_of(&mut values), ..part[0].clone() }
    };
    points.chunk_by(same).flat_map(by_side).map(merged).collect()
}

/// Points by the side of a bench that they measure, in order of their first ones.
fn by_side(points: &[Point]) -> Vec<Vec<&Point>> {
    let mut sides: Vec<Vec<&Point>> = Vec::new();
    for point in points {
        let side = point.labels.get(SIDE);
        match sides.iter().position(|known| known[0].labels.get(SIDE) == side) {
            Some(place) => sides[place].push(point),
            None => sides.push(vec![point]),
        }
    }
    sides
}

/// Looks for steps.
#[must_use]
pub fn trend(metric: Metric, points: Vec<Point>, mut notes: Vec<String>) -> Trend {
    let values: Vec<f64> = points.iter().map(|point| point.value).collect();
    let found = change_points(&values, SEED);
    let mut bounds: Vec<usize> = found.iter().map(|change| change.at).collect();
    bounds.insert(0, values.len().saturating_sub(LONGEST));
    bounds.push(values.len());
    let changes: Vec<Change> = found
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
    if points.len() < POINTS_MIN && changes.is_empty() {
        notes.push(too_few(points.len()));
    }
    if points.len() > LONGEST {
        notes.push(format!("steps are looked for among the last {LONGEST} points"));
    }
    Trend { format: TREND_FORMAT, metric, points, changes, notes }
}

fn too_few(points: usize) -> String {
    format!("{points} points are too few to tell a step from chance: {POINTS_MIN} are needed")
}

/// Whether the last step of a series is for the worse by more than is allowed; with why. Too short a series cannot tell, nor can one that
/// scatters so much that such a step at its end would not have been seen.
#[must_use]
pub fn gate(trend: &Trend, thresholds: &[Threshold]) -> (GateResult, String) {
    let meant = |threshold: &&Threshold| {
        threshold.metric == crate::compare::gate::REGRESSION || trend.metric.is_meant(&threshold.metric)
    };
    let Some(allowed) = thresholds.iter().filter(meant).map(|threshold| threshold.percent).reduce(f64::min) else {
        return (GateResult::CannotTell, format!("no bound given is for {}", trend.metric.name));
    };
    let worse = trend.changes.last().filter(|change| change.is_worse).map(|last| {
        let by = last.shift_percent.map_or(f64::INFINITY, |shift| shift.value.abs());
        (by, format!("the last step, of {}, is one for the worse by {}", last.time, percent(by)))
    });
    match worse {
        // A step that was found is one, however few points there are.
        Some((by, words)) if by > allowed => (GateResult::Closed, format!("{words}, more than {}", percent(allowed))),
        _ if trend.points.len() < POINTS_MIN => (GateResult::CannotTell, too_few(trend.points.len())),
        Some((_, words)) => (GateResult::Open, format!("{words}, and {} is allowed", percent(allowed))),
        None => match may_be_missed(trend, allowed) {
            Some(why) => (GateResult::CannotTell, why),
            None => (GateResult::Open, "the last step, if there is any, is none for the worse".to_owned()),
        },
    }
}

/// Why the last [`LEAST_PART`] points may lie lower or higher by what is allowed, and no step was found; none if it would have been, by
/// the test of Mann and Whitney at [`LEVEL`] on these points and those before them, back to the last step.
fn may_be_missed(trend: &Trend, allowed: f64) -> Option<String> {
    let looked_at = trend.points.len().saturating_sub(LONGEST);
    let begin = trend.changes.last().map_or(looked_at, |change| change.at);
    let values: Vec<f64> = trend.points[begin..].iter().map(|point| point.value).collect();
    let (before, last) = values.split_at(values.len().saturating_sub(LEAST_PART));
    let least = match before {
        [] => None,
        before => minimum_detectable(before, last, LEVEL, SEED, RESAMPLES),
    };
    let Some(least) = least else {
        return Some(format!("{} points since the last step are too few to see another one", values.len()));
    };
    let base = median_of(&mut before.to_vec()).abs();
    // Values that do not scatter at all show any step, those around zero, too.
    let least = if least > 0.0 { 100.0 * least / base } else { 0.0 };
    (least > allowed).then(|| {
        format!(
            "no step for the worse was found, but the points scatter: only one of {} or more would have been seen, and {} is allowed",
            percent(least),
            percent(allowed)
        )
    })
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
