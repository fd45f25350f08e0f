//! From what a run brought to light to its checks. Pure: nothing is done to the cluster here.

use checkers::verdict::{Judgement, Verdict};
use results::check::{Check, CheckName, Vacuity};
use workloads::kind::WorkloadKind;

use crate::{conduct::Found, config::RunConfig, run::Observed};

/// The four checks of a run.
#[must_use]
pub fn checks(config: &RunConfig, found: &Found, faults_wanted: bool) -> Vec<Check> {
    vec![
        consistency(config, &found.observed, &found.judgement),
        liveness(config, &found.observed),
        crash(&found.observed),
        vacuity(config, found, faults_wanted),
    ]
}

fn consistency(config: &RunConfig, observed: &Observed, judgement: &Judgement) -> Check {
    if judgement.verdict == Verdict::Valid && observed.interrupted {
        let reason = format!(
            "interrupted after {:.1} s of {} s: no violation so far",
            observed.load_time.as_secs_f64(),
            (config.warm_up + config.time).as_secs_f64()
        );
        return Check::new(CheckName::Consistency, Verdict::Unknown, reason);
    }
    Check::new(CheckName::Consistency, judgement.verdict, judgement.reason.clone())
}

fn liveness(config: &RunConfig, observed: &Observed) -> Check {
    let failed = |reason: String| Check::new(CheckName::Liveness, Verdict::Invalid, reason);
    let (asked, unanswered) = observed.final_reads;
    match observed.recovery {
        None => failed(format!(
            "after the last heal nodes {:?} did not answer a write within {} s",
            observed.silent_nodes,
            config.recovery_bound.as_secs_f64()
        )),
        Some(_) if unanswered > 0 => failed(format!("{unanswered} of {asked} final reads were never answered")),
        Some(recovery) => Check::new(
            CheckName::Liveness,
            Verdict::Valid,
            format!("every node answered a write {:.2} s after the last heal", recovery.as_secs_f64()),
        ),
    }
}

fn crash(observed: &Observed) -> Check {
    if observed.crashes.is_empty() {
        return Check::new(CheckName::Crash, Verdict::Valid, "no node ended by itself");
    }
    let crashes: Vec<String> = observed.crashes.iter().map(ToString::to_string).collect();
    Check::new(CheckName::Crash, Verdict::Invalid, format!("{}; see the node logs", crashes.join("; ")))
}

fn vacuity(config: &RunConfig, found: &Found, faults_wanted: bool) -> Check {
    let functions_wanted: &[&str] = match config.workload.kind {
        WorkloadKind::Register => &["read", "write", "cas"],
        WorkloadKind::Append => &["read", "append"],
    };
    let faults = &found.carried.faults;
    let faults_landed = faults.iter().filter(|(name, _)| found.observed.landed(name)).map(|(_, count)| count).sum();
    let operations = &found.observed.tally.operations;
    Vacuity { faults_wanted, faults_landed, operations, functions_wanted, open_max: found.counts.open_max }.check()
}
