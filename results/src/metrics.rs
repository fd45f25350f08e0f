//! Which figures a run has: what is compared between runs, and followed over time.
//!
//! ```text
//!   verdict.json ──> throughput   read.p50   read.p99   write.p50 …   recovery   failover.kill-leader …
//!                    op/s         ms, from the intended start         ms
//!                    more is better, of all others less
//! ```
//!
//! A percentile is a figure only where at least [`BEYOND_MIN`] operations lie beyond it: the p99 of fifty operations is one slow operation.

use serde::{Deserialize, Serialize};

use crate::{
    latency::{Ending, LatencyRow, Measure},
    summary::Summary,
};

/// So many operations must have taken longer than a percentile says.
pub const BEYOND_MIN: u64 = 10;

/// A name of a metric is cut off here: names of benchmarks come from files.
pub const NAME_MAX: usize = 200;

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// Successful operations in a second.
    #[serde(rename = "op/s")]
    PerSecond,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Nanoseconds.
    #[serde(rename = "ns")]
    Nanoseconds,
    /// A hundredth of all operations.
    #[serde(rename = "%")]
    Percent,
    /// How often.
    #[serde(rename = "times")]
    Times,
}

impl Unit {
    /// As it stands behind a figure.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PerSecond => "op/s",
            Self::Milliseconds => "ms",
            Self::Nanoseconds => "ns",
            Self::Percent => "%",
            Self::Times => "times",
        }
    }

    /// Whether it is a time, so that more of it is slower.
    #[must_use]
    pub fn is_time(self) -> bool {
        matches!(self, Self::Milliseconds | Self::Nanoseconds)
    }
}

/// Which direction is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// More.
    Higher,
    /// Less.
    Lower,
}

/// A kind of figure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metric {
    /// Its name, e.g. `read.p99`.
    pub name: String,
    /// What it counts.
    pub unit: Unit,
    /// Which direction is better.
    pub better: Better,
    /// Whether it is looked at when nobody asks for anything in particular: each further question costs all others some certainty.
    pub is_usual: bool,
}

impl Metric {
    fn new(name: impl Into<String>, unit: Unit, is_usual: bool) -> Self {
        let better = if unit == Unit::PerSecond { Better::Higher } else { Better::Lower };
        Self { name: name.into(), unit, better, is_usual }
    }

    /// A benchmark of Criterion's.
    #[must_use]
    pub fn criterion(name: &str) -> Self {
        Self::new(format!("criterion.{name}"), Unit::Nanoseconds, true)
    }

    /// Whether it is meant by what a person writes: its name, or the last part of it, as in `p99` for those of all kinds of operations.
    #[must_use]
    pub fn is_meant(&self, words: &str) -> bool {
        self.name == words || self.name.rsplit_once('.').is_some_and(|(_, last)| last == words) || words == ALL
    }

    /// Whether a difference `b - a` of this sign is one for the worse.
    #[must_use]
    pub fn is_worse(&self, difference: f64) -> bool {
        match self.better {
            Better::Higher => difference < 0.0,
            Better::Lower => difference > 0.0,
        }
    }
}

/// The word for every metric there is.
pub const ALL: &str = "all";

/// A figure of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What it is.
    pub metric: Metric,
    /// How much. Never infinite, never not a number.
    pub value: f64,
}

/// All figures of a run. Those that a stored file makes up and that are no numbers are left out.
#[must_use]
pub fn figures(summary: &Summary) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut add = |metric: Metric, value: f64| {
        if value.is_finite() {
            figures.push(Figure { metric, value });
        }
    };
    add(Metric::new("throughput", Unit::PerSecond, true), summary.throughput.mean);
    #[expect(clippy::cast_precision_loss, reason = "operations of a run, events of a run")]
    let real = |count: u64| count as f64;
    add(Metric::new("lowest-second", Unit::PerSecond, false), real(summary.throughput.lowest));
    let counts = summary.operations.by_function.values();
    let (ok, all) = counts.fold((0_u64, 0_u64), |(ok, all), of| {
        let answered = of.ok.saturating_add(of.mismatch);
        (ok.saturating_add(answered), all.saturating_add(answered).saturating_add(of.fail).saturating_add(of.info))
    });
    if all > 0 {
        add(Metric::new("unanswered", Unit::Percent, false), 100.0 * (1.0 - real(ok) / real(all)));
    }
    for row in &summary.latencies {
        for (percentile, value, is_usual) in percentiles(row) {
            add(Metric::new(format!("{}.{percentile}", row.operation), Unit::Milliseconds, is_usual), value);
        }
    }
    let met_faults = summary.faults.values().any(|counts| counts.landed > 0);
    if let (Some(recovery), true) = (summary.recovery_ms, met_faults) {
        add(Metric::new("recovery", Unit::Milliseconds, true), real(recovery));
    }
    add(Metric::new("leader-changes", Unit::Times, false), real(summary.leader_changes));
    for outage in &summary.outages {
        let name = outage.name.replace(' ', "-");
        for (what, spread) in [("failover", outage.failover_ms), ("recovery", outage.recovery_ms)] {
            if let Some(spread) = spread {
                add(Metric::new(format!("{what}.{name}"), Unit::Milliseconds, what == "failover"), spread.median);
            }
        }
        add(Metric::new(format!("unavailable.{name}"), Unit::Milliseconds, true), outage.unavailable_ms.median);
    }
    for figure in &mut figures {
        figure.metric.name = shortened(&figure.metric.name);
    }
    figures
}

fn shortened(name: &str) -> String {
    name.chars().take(NAME_MAX).collect()
}

/// Percentiles of answered operations from their intended start, in milliseconds, where enough lies beyond.
fn percentiles(row: &LatencyRow) -> Vec<(&'static str, f64, bool)> {
    if row.ending != Ending::Answered || row.measure != Measure::Response {
        return Vec::new();
    }
    let one_in = [("p50", 2, row.p50_ns, true), ("p99", 100, row.p99_ns, true), ("p999", 1_000, row.p999_ns, false)];
    #[expect(clippy::cast_precision_loss, reason = "a time of a run in nanoseconds")]
    one_in
        .into_iter()
        .filter(|(_, one_in, ..)| row.count / one_in >= BEYOND_MIN)
        .map(|(name, _, value, is_usual)| (name, value as f64 / 1e6, is_usual))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        latency::ThroughputSummary,
        phases::{Outage, Spread},
        summary::FaultCounts,
        tally::OutcomeCounts,
    };

    fn row(operation: &str, count: u64) -> LatencyRow {
        LatencyRow {
            operation: operation.to_owned(),
            ending: Ending::Answered,
            measure: Measure::Response,
            count,
            min_ns: 1,
            mean_ns: 1.0,
            p50_ns: 2_000_000,
            p90_ns: 3_000_000,
            p99_ns: 4_500_000,
            p999_ns: 9_000_000,
            max_ns: 10_000_000,
        }
    }

    fn named(figures: &[Figure]) -> Vec<(&str, f64)> {
        figures.iter().map(|figure| (figure.metric.name.as_str(), figure.value)).collect()
    }

    #[test]
    fn figures_are_those_of_the_summary() {
        let mut summary = Summary::new("raft", "register", 1);
        summary.throughput = ThroughputSummary { mean: 812.5, lowest: 17, highest: 900 };
        summary
            .operations
            .by_function
            .insert("read".to_owned(), OutcomeCounts { ok: 70, mismatch: 5, fail: 20, info: 5 });
        let unanswered = LatencyRow { ending: Ending::Unanswered, ..row("write", 5_000) };
        let service = LatencyRow { measure: Measure::Service, ..row("write", 5_000) };
        summary.latencies = vec![row("read", 10_000), row("write", 999), row("cas", 19), unanswered, service];
        summary.recovery_ms = Some(85);
        summary.leader_changes = 3;
        let spread = |median| Spread { median, worst: 2.0 * median };
        summary.outages = vec![Outage {
            name: "kill leader".to_owned(),
            count: 2,
            failover_ms: Some(spread(400.0)),
            recovery_ms: None,
            unavailable_ms: spread(410.0),
        }];
        let quiet = [
            ("throughput", 812.5),
            ("lowest-second", 17.0),
            ("unanswered", 25.0),
            ("read.p50", 2.0),
            ("read.p99", 4.5),
            ("read.p999", 9.0),
            ("write.p50", 2.0),
            ("leader-changes", 3.0),
            ("failover.kill-leader", 400.0),
            ("unavailable.kill-leader", 410.0),
        ];
        assert_eq!(named(&figures(&summary)), quiet);
        // Without a fault there was nothing to recover from.
        summary.faults.insert("kill".to_owned(), FaultCounts { started: 1, landed: 1 });
        assert!(named(&figures(&summary)).contains(&("recovery", 85.0)));
    }

    #[test]
    fn what_is_no_number_is_no_figure() {
        let mut summary = Summary::new("raft", "register", 1);
        summary.throughput.mean = f64::INFINITY;
        assert!(named(&figures(&summary)).iter().all(|(name, _)| *name != "throughput"));
        summary.latencies = vec![row(&"x".repeat(5_000), 50)];
        assert!(figures(&summary).iter().all(|figure| figure.metric.name.len() <= NAME_MAX));
    }

    #[test]
    fn metrics_are_meant_by_name_or_last_part() {
        let metric = Metric::new("read.p99", Unit::Milliseconds, true);
        assert!(["read.p99", "p99", "all"].iter().all(|words| metric.is_meant(words)));
        assert!(["read", "p9", "write.p99", ""].iter().all(|words| !metric.is_meant(words)));
        assert!(metric.is_worse(0.1) && !metric.is_worse(-0.1));
        let rate = Metric::new("throughput", Unit::PerSecond, true);
        assert!(rate.is_worse(-0.1) && !rate.is_worse(0.1) && !rate.is_worse(0.0));
    }
}
