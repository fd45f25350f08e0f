//! From the keys' results to one judgement.

use std::time::{Duration, Instant};

use super::{KeyResult, Outcome};
use crate::certificate::{Certificate, Core, KeyOrder};
use crate::explain::{self, Finding};
use crate::key::KeyHistory;
use crate::model::ModelSpec;
use crate::shrink;
use crate::verdict::{Anomaly, Judgement, Verdict, Violation};

/// Brings the keys' results together: invalid wins over unknown, unknown over valid. A violation is made a core until `cores_until`.
pub(super) fn fold(
    results: Vec<(usize, KeyResult)>,
    histories: &[KeyHistory<'_>],
    spec: &ModelSpec,
    operations: usize,
    cores_until: Option<Instant>,
) -> Judgement {
    let keys = histories.len();
    let judged = results.len();
    let mut orders = Some(Vec::with_capacity(keys));
    let mut valid_by = "none";
    let mut unknown: Option<(String, &'static str)> = None;
    let mut invalid: Option<(Violation, Proof, &'static str)> = None;
    let mut decided = 0;
    for (place, (outcome, decided_by)) in results {
        match outcome {
            Outcome::Valid(order) => {
                decided += 1;
                valid_by = heavier(valid_by, decided_by);
                let order = order.map(|order| KeyOrder { key: histories[place].key.clone(), order });
                orders = orders.zip(order).map(|(mut orders, order)| {
                    orders.push(order);
                    orders
                });
            }
            Outcome::Unknown(why) => unknown = unknown.or(Some((why, decided_by))),
            Outcome::Invalid(finding) => {
                decided += 1;
                invalid = invalid.or_else(|| {
                    let key = histories[place];
                    let proof = cores_until.map(|deadline| shrink::core(key, spec, &finding.operations, deadline));
                    Some((explain::violation(key, spec, &shown_by(finding, &proof)), proof, decided_by))
                });
            }
        }
    }
    assert!(judged == keys || invalid.is_some(), "every key has a result unless a violation stopped the rest");
    let undecided = keys - decided;
    let blank = Judgement {
        verdict: Verdict::Vacuous,
        reason: "The history holds no operations.".into(),
        violation: None,
        certificate: None,
        decided_by: "none",
        operations,
        keys,
        elapsed: Duration::ZERO,
    };
    match (invalid, unknown) {
        _ if operations == 0 => blank,
        (Some((violation, proof, decided_by)), _) => {
            let mut reason = violation.sentences[0].clone();
            let certificate = match proof {
                Some(Ok(core)) => Some(Certificate::Core(core)),
                Some(Err(why)) => {
                    reason += &format!(" There is no certificate: {why}.");
                    None
                }
                None => None,
            };
            if undecided > 0 {
                reason += &format!(" The check stopped there: {undecided} of {keys} keys are undecided.");
            }
            Judgement {
                verdict: Verdict::Invalid,
                reason,
                violation: Some(violation),
                certificate,
                decided_by,
                ..blank
            }
        }
        (None, Some((why, decided_by))) => {
            let reason = if undecided > 1 { format!("{undecided} of {keys} keys are undecided; {why}") } else { why };
            Judgement { verdict: Verdict::Unknown, reason, decided_by, ..blank }
        }
        (None, None) => {
            let reason = match keys {
                1 => format!("All {operations} operations fit one linear order."),
                _ => {
                    format!(
                        "On each of {keys} keys the operations fit one linear order ({operations} operations in all)."
                    )
                }
            };
            let certificate = orders.map(Certificate::Linearization);
            Judgement { verdict: Verdict::Valid, reason, certificate, decided_by: valid_by, ..blank }
        }
    }
}

/// A core, or why there is none; none was asked for.
type Proof = Option<Result<Core, String>>;

/// The most operations of a core that are shown where a search found no better.
const SHOWN_MAX: usize = 40;

/// What shows the violation: what a test named, or the core where a search could name only the operation that it got stuck at.
fn shown_by(finding: Finding, proof: &Proof) -> Finding {
    match proof {
        Some(Ok(core)) if finding.anomaly == Anomaly::NotLinearizable && core.operations.len() <= SHOWN_MAX => {
            Finding::new(finding.anomaly, core.operations.clone())
        }
        _ => finding,
    }
}

/// Over several keys the algorithm that is named is the one that had to do the most.
pub(super) fn heavier(a: &'static str, b: &'static str) -> &'static str {
    let order = [
        "none",
        "register-zones",
        "cas-chains",
        "list-order",
        "set-order",
        "queue-order",
        "lock-zones",
        "depth-first",
        "frontier",
    ];
    let rank = |name| order.iter().position(|other| *other == name);
    if rank(a) >= rank(b) { a } else { b }
}
