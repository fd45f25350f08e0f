//! From what a run brought to light to its checks. Pure: nothing is done to the cluster here.

use checkers::history::Function;
use checkers::verdict::{Judgement, Verdict};
use results::check::{Check, CheckName, Vacuity};

use crate::{cluster::Crash, config::RunConfig, journal::Carried, run::Observed};

/// Everything that a verdict is made of.
pub struct Found {
    /// What the phases brought to light.
    pub observed: Observed,
    /// The faults as carried out.
    pub carried: Carried,
    /// What the judge says of the history.
    pub judgement: Judgement,
}

/// The four checks of a run.
#[must_use]
pub fn checks(config: &RunConfig, found: &Found, faults_wanted: bool) -> Vec<Check> {
    vec![
        consistency(config, &found.observed, &found.judgement),
        liveness(config, &found.observed),
        crash(&found.observed.crashes),
        vacuity(config, found, faults_wanted),
    ]
}

fn consistency(config: &RunConfig, observed: &Observed, judgement: &Judgement) -> Check {
    if judgement.verdict == Verdict::Valid && observed.violated {
        let reason =
            "the monitor saw a violation that the judge does not confirm; one of them is wrong, please report it";
        return Check::new(CheckName::Consistency, Verdict::Unknown, reason);
    }
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
    if observed.violated && observed.silent_nodes.is_empty() {
        let reason = "not looked at: the run was ended at the first violation";
        return Check::new(CheckName::Liveness, Verdict::Unknown, reason);
    }
    let bound = config.recovery_bound.as_secs_f64();
    let reads = observed.final_reads;
    let Some(recovery) = observed.recovery else {
        return failed(format!(
            "after the last heal nodes {:?} did not answer a write within {bound} s",
            observed.silent_nodes
        ));
    };
    if reads.unanswered > 0 {
        let all = reads.answered + reads.unanswered;
        return failed(format!("{} of {all} final reads were not answered within {bound} s", reads.unanswered));
    }
    let mut reason = format!("every node answered a write {:.2} s after the last heal", recovery.as_secs_f64());
    if reads.left_out > 0 {
        reason += &format!("; {} final reads were left out for want of time", reads.left_out);
    }
    Check::new(CheckName::Liveness, Verdict::Valid, reason)
}

/// Whether nodes ended by themselves.
#[must_use]
pub fn crash(crashes: &[Crash]) -> Check {
    if crashes.is_empty() {
        return Check::new(CheckName::Crash, Verdict::Valid, "no node ended by itself");
    }
    let crashes: Vec<String> = crashes.iter().map(ToString::to_string).collect();
    Check::new(CheckName::Crash, Verdict::Invalid, format!("{}; see the node logs", crashes.join("; ")))
}

fn vacuity(config: &RunConfig, found: &Found, faults_wanted: bool) -> Check {
    let functions = config.workload.functions();
    let functions_wanted: Vec<&str> = functions.into_iter().map(Function::word).collect();
    let check = Vacuity {
        faults_wanted,
        faults_landed: found.carried.faults.values().map(|counts| counts.landed).sum(),
        operations: &found.observed.tally.operations,
        functions_wanted: &functions_wanted,
        open_max: found.observed.load_counts.open_max,
    }
    .check();
    if check.result == Verdict::Vacuous && found.observed.violated {
        let reason = format!("the run was ended at the first violation; until then {}", check.reason);
        return Check::new(CheckName::Vacuity, Verdict::Unknown, reason);
    }
    check
}
