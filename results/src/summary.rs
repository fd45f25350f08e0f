//! A run in numbers and plain sentences: what is stored as `verdict.json`, and what a person reads on the terminal.

use std::collections::BTreeMap;

use checkers::{
    history::Value,
    ladder::Ladder,
    verdict::{Anomaly, Judgement, Verdict},
};
use serde::{Deserialize, Serialize};

use crate::{
    check::{Check, conclude},
    exit::ExitCode,
    latency::{LatencyRow, ThroughputSummary},
    phases::{Outage, Unavailability},
    tally::OperationTable,
};

pub(crate) mod render;

pub use render::{OneLine, one_line, render};

/// Version of `verdict.json`.
pub const SUMMARY_FORMAT: u32 = 2;

/// Everything about a run that fits on a screen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// [`SUMMARY_FORMAT`] of the program that wrote it.
    pub format: u32,
    /// The run's name; none where nothing was stored.
    pub run: Option<String>,
    /// What was tested, e.g. `raft`.
    pub system: String,
    /// How many nodes.
    pub nodes: u32,
    /// The workload, e.g. `register`.
    pub workload: String,
    /// How many clients.
    pub clients: u32,
    /// The seed.
    pub seed: u64,
    /// How long the load lasted.
    pub duration_ms: u64,
    /// When the phases began, and how the load was paced; none of a run that was broken off.
    #[serde(default)]
    pub phases: Option<Phases>,
    /// The worst of the checks.
    pub verdict: Verdict,
    /// One plain sentence: why.
    pub reason: String,
    /// What the process returns.
    pub exit: u8,
    /// Why the harness itself failed, if it did.
    pub harness_error: Option<String>,
    /// Consistency, liveness, crash, vacuity.
    pub checks: Vec<Check>,
    /// What the judge found, if it found something.
    pub violation: Option<ViolationSummary>,
    /// Notes on the history: where the adapter, rather than the system, may be wrong.
    pub notes: Vec<String>,
    /// What still holds where the history is not linearizable.
    #[serde(default)]
    pub ladder: Option<Ladder>,
    /// How it was judged.
    pub judged: Option<Judged>,
    /// Operations by kind and outcome.
    pub operations: OperationTable,
    /// Faults by kind.
    pub faults: BTreeMap<String, FaultCounts>,
    /// How the service stood the faults of each name.
    #[serde(default)]
    pub outages: Vec<Outage>,
    /// When there were no answers; none if there always were some.
    #[serde(default)]
    pub unavailability: Option<Unavailability>,
    /// How often another node became leader.
    pub leader_changes: u64,
    /// Successful operations in a second.
    pub throughput: ThroughputSummary,
    /// How long operations took.
    pub latencies: Vec<LatencyRow>,
    /// From the last heal until every node answered again; none if they did not, or were not asked.
    pub recovery_ms: Option<u64>,
    /// The mutant under test, and how often its rule decided wrongly.
    pub mutant: Option<MutantSummary>,
    /// With `--fail-fast`: what the monitor said while the run went on.
    #[serde(default)]
    pub fail_fast: Option<String>,
    /// Where things are: what, and the path.
    pub files: BTreeMap<String, String>,
    /// The command that does it again.
    pub replay: Option<String>,
}

/// When the phases of a run began, nanoseconds on the history's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phases {
    /// The first client.
    pub load_start_ns: u64,
    /// The faults: the end of the warm-up.
    pub faults_start_ns: u64,
    /// The last heal.
    pub healed_ns: u64,
    /// The end of the last final read.
    pub end_ns: u64,
    /// How the load was paced; none for a closed loop.
    pub open_loop: Option<OpenLoop>,
}

/// An open loop: when each operation was meant to start, whatever became of those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenLoop {
    /// Between two intended starts of one client, nanoseconds.
    pub interval_ns: u64,
    /// How many clients share the rate: processes below this, and those that took over from them.
    pub clients: u64,
    /// A process that ended in an unknown outcome goes on as one whose number is so much higher.
    pub stride: u64,
}

impl OpenLoop {
    /// When the operation of this place, from 0, of a client was meant to start.
    #[must_use]
    pub fn intended_ns(&self, load_start_ns: u64, client: u64, place: u64) -> u64 {
        // Figures of a file may be anything.
        load_start_ns.saturating_add(self.offset_ns(client)).saturating_add(place.saturating_mul(self.interval_ns))
    }

    /// The clients are spread over an interval.
    #[must_use]
    pub fn offset_ns(&self, client: u64) -> u64 {
        let offset = u128::from(self.interval_ns) * u128::from(client) / u128::from(self.clients.max(1));
        u64::try_from(offset).unwrap_or(u64::MAX)
    }

    /// Which client a process was.
    #[must_use]
    pub fn client(&self, process: u64) -> Option<u64> {
        Some(process % self.stride.max(1)).filter(|client| *client < self.clients)
    }
}

/// A violation in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViolationSummary {
    /// The field's name for it.
    pub anomaly: Anomaly,
    /// The key it is on.
    pub key: Value,
    /// Plain sentences with clients, values and times.
    pub sentences: Vec<String>,
    /// The operations on a time axis, line by line, for a fixed-width font.
    pub diagram: Vec<String>,
    /// The operations involved: their places among all operations in order of invocation, from 0.
    pub operations: Vec<u32>,
}

/// How the judge decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// By which algorithm.
    pub decided_by: String,
    /// How many operations.
    pub operations: u64,
    /// On how many keys.
    pub keys: u64,
    /// In how long.
    pub elapsed_ms: u64,
}

/// Faults of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultCounts {
    /// Begun as planned.
    pub started: u64,
    /// Seen to have an effect.
    pub landed: u64,
}

/// The mutant of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MutantSummary {
    /// Its name.
    pub name: String,
    /// How often the mutated rule decided otherwise than the correct one, over all nodes.
    pub fired: u64,
}

impl Summary {
    /// A summary that says nothing yet: to be filled, and then concluded.
    #[must_use]
    pub fn new(system: impl Into<String>, workload: impl Into<String>, seed: u64) -> Self {
        Self {
            format: SUMMARY_FORMAT,
            run: None,
            system: system.into(),
            nodes: 0,
            workload: workload.into(),
            clients: 0,
            seed,
            duration_ms: 0,
            phases: None,
            verdict: Verdict::Unknown,
            reason: "not concluded".to_owned(),
            exit: ExitCode::HarnessError.code(),
            harness_error: None,
            checks: Vec::new(),
            violation: None,
            notes: Vec::new(),
            ladder: None,
            judged: None,
            operations: OperationTable::default(),
            faults: BTreeMap::new(),
            outages: Vec::new(),
            unavailability: None,
            leader_changes: 0,
            throughput: ThroughputSummary::default(),
            latencies: Vec::new(),
            recovery_ms: None,
            mutant: None,
            fail_fast: None,
            files: BTreeMap::new(),
            replay: None,
        }
    }

    /// Takes over how the judge decided, and what it found. The checks are left alone.
    pub fn judge(&mut self, judgement: &Judgement) {
        self.judged = Some(Judged {
            decided_by: judgement.decided_by.to_owned(),
            operations: judgement.operations as u64,
            keys: judgement.keys as u64,
            elapsed_ms: u64::try_from(judgement.elapsed.as_millis()).unwrap_or(u64::MAX),
        });
        self.violation = judgement.violation.as_ref().map(|violation| ViolationSummary {
            anomaly: violation.anomaly,
            key: violation.key.clone(),
            sentences: violation.sentences.clone(),
            diagram: violation.diagram.lines().map(str::to_owned).collect(),
            operations: violation.operations.iter().map(|index| index.0).collect(),
        });
    }

    /// Sets verdict, reason and exit code from the checks and the harness's own error; says how the process is to end.
    pub fn conclude(&mut self) -> ExitCode {
        (self.verdict, self.reason) = conclude(&self.checks);
        let mut exit = ExitCode::from(self.verdict);
        if let Some(error) = &self.harness_error {
            // A violation found before the harness failed stays one.
            exit = exit.max(ExitCode::HarnessError);
            if self.verdict != Verdict::Invalid {
                self.verdict = Verdict::Unknown;
                self.reason = format!("the harness failed: {error}");
            }
        }
        self.exit = exit.code();
        exit
    }
}

#[cfg(test)]
mod tests;
