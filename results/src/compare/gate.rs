//! A gate: which differences must not be. It opens only where it would have seen what it guards against.
//!
//! | what was found | gate |
//! |---|---|
//! | worse beyond chance, by more than is allowed | closed: 1 |
//! | worse beyond chance, by less, also at the bound of the interval; or better | open |
//! | worse beyond chance, by less, but perhaps by more | cannot tell: 2 |
//! | no difference, and one of what is allowed would have been found four times in five | open |
//! | no difference, and one as large might have been missed; or too few runs; or no such figure, or on one side alone | cannot tell: 2 |

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{Conclusion, Estimate, Row, percent};
use crate::{
    exit::ExitCode,
    metrics::{Better, Metric},
};

/// The word for every figure that has no bound of its own.
pub const REGRESSION: &str = "regression";

/// How much worse a figure may be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// A metric's name or last part, or [`REGRESSION`].
    pub metric: String,
    /// In percent of A's median.
    pub percent: f64,
}

/// What is typed is no threshold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no bound; write regression=5%, or a figure of its own as in p99=10%")]
pub struct NoThreshold(String);

impl FromStr for Threshold {
    type Err = NoThreshold;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (metric, percent) = text.split_once('=')?;
            let percent: f64 = percent.strip_suffix('%')?.parse().ok()?;
            let sensible = !metric.is_empty() && percent.is_finite() && percent >= 0.0;
            sensible.then(|| Self { metric: metric.to_owned(), percent })
        };
        parse().ok_or_else(|| NoThreshold(text.to_owned()))
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}%", self.metric, self.percent)
    }
}

/// What the gate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateResult {
    /// Nothing is worse by more than is allowed.
    Open,
    /// Something may be, and would not have been seen.
    CannotTell,
    /// Something is.
    Closed,
}

/// What it says of one figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The figure, or the bound that is for none.
    pub metric: String,
    /// What is allowed, percent.
    pub percent: f64,
    /// What came out.
    pub result: GateResult,
    /// Why.
    pub reason: String,
}

/// A gate's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// The worst of the findings.
    pub result: GateResult,
    /// Figure by figure.
    pub findings: Vec<Finding>,
}

impl Gate {
    /// How the process ends.
    #[must_use]
    pub fn exit(&self) -> ExitCode {
        match self.result {
            GateResult::Open => ExitCode::Valid,
            GateResult::CannotTell => ExitCode::Unknown,
            GateResult::Closed => ExitCode::Invalid,
        }
    }
}

/// What these bounds say of these figures. The most particular bound for a figure counts: its name, then its last part, then
/// [`REGRESSION`].
#[must_use]
pub fn gate(rows: &[Row], one_sided: &[Metric], thresholds: &[Threshold]) -> Gate {
    let mut findings = Vec::new();
    for row in rows {
        if let Some(threshold) =
            thresholds.iter().filter_map(|t| Some((fit(t, &row.metric)?, t))).max_by_key(|(fit, _)| *fit)
        {
            findings.push(finding(row, threshold.1.percent));
        }
    }
    for metric in one_sided {
        if let Some(threshold) =
            thresholds.iter().filter_map(|t| Some((fit(t, metric)?, t))).max_by_key(|(fit, _)| *fit)
        {
            findings.push(Finding {
                metric: metric.name.clone(),
                percent: threshold.1.percent,
                result: GateResult::CannotTell,
                reason: "only one side has this figure: the other may have too few operations for it, or none"
                    .to_owned(),
            });
        }
    }
    for threshold in thresholds {
        if !rows.iter().any(|row| fit(threshold, &row.metric).is_some()) {
            findings.push(Finding {
                metric: threshold.metric.clone(),
                percent: threshold.percent,
                result: GateResult::CannotTell,
                reason: "neither side has such a figure in common with the other".to_owned(),
            });
        }
    }
    let rank = |result: &GateResult| *result as u8;
    // Nothing that was looked at is nothing that was guarded.
    let result = findings.iter().map(|finding| finding.result).max_by_key(rank).unwrap_or(GateResult::CannotTell);
    Gate { result, findings }
}

/// How particularly a bound means a metric.
fn fit(threshold: &Threshold, metric: &Metric) -> Option<u8> {
    match threshold.metric.as_str() {
        name if name == metric.name => Some(2),
        REGRESSION => Some(0),
        name if metric.is_meant(name) => Some(1),
        _ => None,
    }
}

/// How much worse it may be, at the bound of the interval.
fn worst(better: Better, shift: &Estimate) -> f64 {
    match better {
        Better::Lower => shift.high,
        Better::Higher => -shift.low,
    }
}

fn finding(row: &Row, allowed: f64) -> Finding {
    let (result, reason) = match row.conclusion {
        Conclusion::Better => (GateResult::Open, "it is better".to_owned()),
        Conclusion::Worse => match row.shift_percent {
            // Surely worse, and by how much is not: that is no reason to open.
            Some(shift) if shift.value.abs() <= allowed && worst(row.metric.better, &shift) > allowed => (
                GateResult::CannotTell,
                format!(
                    "worse by {}, perhaps by {}, and {} is allowed; more runs tell",
                    percent(shift.value.abs()),
                    percent(worst(row.metric.better, &shift)),
                    percent(allowed)
                ),
            ),
            Some(shift) if shift.value.abs() <= allowed => (
                GateResult::Open,
                format!("worse by {}, and {} is allowed", percent(shift.value.abs()), percent(allowed)),
            ),
            Some(shift) => {
                (GateResult::Closed, format!("worse by {}, more than {}", percent(shift.value.abs()), percent(allowed)))
            }
            // Of nothing, anything is more than any share.
            None => (GateResult::Closed, "worse, where it was zero before".to_owned()),
        },
        Conclusion::NoDifference => match row.detectable_percent {
            _ if row.p.is_none() => (GateResult::Open, "the same in all runs".to_owned()),
            Some(least) if least <= allowed => {
                (GateResult::Open, format!("no difference found; one of {} would have been", percent(least)))
            }
            Some(least) => {
                let reason = format!(
                    "no difference found, but only one of {} would have been: {} may have been missed; more runs see more",
                    percent(least),
                    percent(allowed)
                );
                (GateResult::CannotTell, reason)
            }
            None => (GateResult::CannotTell, "no difference found, but shares of zero say nothing".to_owned()),
        },
        Conclusion::TooFew => (
            GateResult::CannotTell,
            format!("{} and {} runs are too few to tell any difference from chance", row.a.runs, row.b.runs),
        ),
    };
    Finding { metric: row.metric.name.clone(), percent: allowed, result, reason }
}
