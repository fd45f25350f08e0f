//! The ladder: what a history that is not linearizable still holds to.
//!
//! ```text
//!   linearizable                                            given
//!     └─ sequential                                         sequential   graph, then a bounded search
//!          └─ causal                                        causal       vector clocks, graph
//!               ├─ read your writes ── monotonic reads ─┐   sessions     graphs of versions (lists: shown)
//!               └─ monotonic writes ── writes follow reads
//!   eventual convergence                                    convergence  final reads
//!   staleness                                               staleness    how many writes, how long
//! ```
//!
//! Each rung holds, fails with a counterexample of its own, or is unknown with the reason: a budget ended, or what reads returned
//! does not say which writes they saw. What a level means here is said in its module, with its source and why its test is exact.
//! Below linearizability nothing is local: all keys are judged together, and sessions bind a process's operations on all of them.
//! Convergence stands beside the others: a history may keep any of them and diverge, or the reverse.
//!
//! `input` reads the history, `graph` finds shortest circles, `words` puts them into sentences.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::check::Budget;
use crate::history::History;
use crate::model::ModelSpec;
use crate::verdict::{Judgement, Verdict};

mod causal;
mod convergence;
mod graph;
mod input;
mod order;
mod results;
mod sequential;
mod sessions;
mod show;
mod shown;
mod staleness;
mod words;

use input::Input;
pub use staleness::{Distribution, StaleUnit, Staleness};

/// A consistency level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// One order that respects real time.
    Linearizable,
    /// One order that respects each session's own.
    Sequential,
    /// What a session has seen, directly or through others, is never unseen; and all agree on an order of the versions.
    Causal,
    /// A session sees its own writes.
    ReadYourWrites,
    /// A session's reads do not go back.
    MonotonicReads,
    /// A session's writes are seen in its order.
    MonotonicWrites,
    /// A write is seen after what its session had read before it.
    WritesFollowReads,
    /// In the end all read the same.
    Convergence,
}

impl Level {
    /// The four guarantees that are about single sessions.
    const SESSION: [Level; 4] =
        [Level::ReadYourWrites, Level::MonotonicReads, Level::MonotonicWrites, Level::WritesFollowReads];

    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Level::Linearizable => "linearizable",
            Level::Sequential => "sequential",
            Level::Causal => "causal",
            Level::ReadYourWrites => "read your writes",
            Level::MonotonicReads => "monotonic reads",
            Level::MonotonicWrites => "monotonic writes",
            Level::WritesFollowReads => "writes follow reads",
            Level::Convergence => "convergence",
        }
    }
}

/// Whether a level holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", content = "because", rename_all = "lowercase")]
pub enum Answer {
    /// It does.
    Holds,
    /// It does not.
    Fails(Counterexample),
    /// Not known, and why.
    Unknown(String),
}

/// Operations that cannot all be as they are if the level held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counterexample {
    /// Their places in the history.
    pub operations: Vec<u32>,
    /// The steps of the circle that they make, each a sentence; none where there is no circle.
    pub steps: Vec<String>,
    /// All of it in one sentence.
    pub description: String,
}

impl Counterexample {
    fn new(operations: Vec<u32>, steps: Vec<String>, description: String) -> Self {
        Self { operations, steps, description }
    }
}

/// One level and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// The level.
    pub level: Level,
    /// Whether it holds.
    #[serde(flatten)]
    pub answer: Answer,
}

/// All rungs, the strongest first, and how stale the reads were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ladder {
    /// Each level once, in the order of [`Level`].
    pub rungs: Vec<Rung>,
    /// None where reads do not say which writes they saw.
    pub staleness: Option<Staleness>,
}

impl Ladder {
    /// What was found for this level.
    ///
    /// # Panics
    /// When the ladder was put together by hand and lacks the level.
    #[must_use]
    pub fn answer(&self, level: Level) -> &Answer {
        let rung = self.rungs.iter().find(|rung| rung.level == level);
        &rung.expect("a ladder has every level").answer
    }
}

/// As a short table.
impl fmt::Display for Ladder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines().into_iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Finds out what `history` holds to. `linearizable` is what the judge said of it, if it was asked.
///
/// A linearizable history holds to all levels above convergence, which are then not judged one by one. (Where a process invokes
/// an operation at the very time at which its last one returned, the judge takes the two for concurrent and a session does not.) For others: up to
/// sequential consistency O(operations * writing sessions) and a little more; that one is bounded by `budget`, as is all else.
#[must_use]
pub fn ladder(history: &History, spec: &ModelSpec, linearizable: Option<&Judgement>, budget: &Budget) -> Ladder {
    let top = Rung { level: Level::Linearizable, answer: linearizable_rung(linearizable) };
    // A defect here must not cost the verdict that was found before.
    let judged = catch_unwind(AssertUnwindSafe(|| judge(history, spec, top.clone(), budget)));
    judged.unwrap_or_else(|_| {
        let crashed = || Answer::Unknown("judging it crashed; this is a defect of the ladder".to_owned());
        let mut rungs = vec![top];
        rungs.extend(below(|_| crashed()));
        rungs.push(Rung { level: Level::Convergence, answer: crashed() });
        Ladder { rungs, staleness: None }
    })
}

fn judge(history: &History, spec: &ModelSpec, top: Rung, budget: &Budget) -> Ladder {
    let limits = Limits { deadline: Instant::now() + budget.time, memory_bytes: budget.memory_bytes };
    let input = Input::of(history, spec);
    let staleness = input.as_ref().ok().map(|input| staleness::measure(input, history));
    let middle = match (&top.answer, &input) {
        (Answer::Holds, _) => below(|_| Answer::Holds),
        (_, Err(why)) => below(|_| Answer::Unknown(why.clone())),
        (_, Ok(input)) => match &input.impossible {
            Some(impossible) => below(|_| Answer::Fails(impossible.clone())),
            None => climb(history, spec, input, &limits),
        },
    };
    let last = Rung { level: Level::Convergence, answer: convergence::judge(history, spec) };
    Ladder { rungs: [top].into_iter().chain(middle).chain([last]).collect(), staleness }
}

fn linearizable_rung(judgement: Option<&Judgement>) -> Answer {
    let Some(judgement) = judgement else { return Answer::Unknown("not judged".to_owned()) };
    match judgement.verdict {
        Verdict::Valid => Answer::Holds,
        Verdict::Invalid => {
            let operations = judgement.violation.as_ref().map_or(&[][..], |violation| &violation.operations);
            let operations = operations.iter().map(|index| index.0).collect();
            Answer::Fails(Counterexample::new(operations, Vec::new(), judgement.reason.clone()))
        }
        Verdict::Unknown | Verdict::Vacuous => Answer::Unknown(judgement.reason.clone()),
    }
}

/// The levels from sequential to the session guarantees, the same for all.
fn below(answer: impl Fn(Level) -> Answer) -> Vec<Rung> {
    let levels = [Level::Sequential, Level::Causal].into_iter().chain(Level::SESSION);
    levels.map(|level| Rung { level, answer: answer(level) }).collect()
}

/// Judges the levels from sequential down to the session guarantees.
fn climb(history: &History, spec: &ModelSpec, input: &Input<'_>, limits: &Limits) -> Vec<Rung> {
    if input.ops.is_empty() && input.unclear.is_none() {
        return below(|_| Answer::Holds);
    }
    let writes = causal::Writes::of(input);
    let (causal, edges) = causal::judge(input, &writes, limits);
    let sequential = match (&causal, &input.unclear) {
        (causal::Causal::Fails { .. }, _) | (_, None) => sequential::judge(input, &writes, &causal, &edges, limits),
        (_, Some(why)) => match results::search(history, spec, limits) {
            order::Search::Found => sequential::Sequential::Holds,
            order::Search::None { stuck } => sequential::Sequential::NoOrder(stuck),
            order::Search::GaveUp(gave_up) => sequential::Sequential::Unknown(format!("{why}; {gave_up}")),
        },
    };
    let clear = |answer: Answer| match (&input.unclear, answer) {
        (Some(why), Answer::Holds) => Answer::Unknown(why.clone()),
        (_, answer) => answer,
    };
    below(|level| match level {
        Level::Sequential => sequential_rung(history, input, &sequential),
        // One order explains everything, so it explains less too.
        _ if matches!(sequential, sequential::Sequential::Holds) => Answer::Holds,
        Level::Causal => clear(match &causal {
            causal::Causal::Holds => Answer::Holds,
            causal::Causal::Fails { circle, .. } => Answer::Fails(words::counterexample(input, circle)),
            causal::Causal::Unknown(why) => Answer::Unknown(why.clone()),
        }),
        level => clear(session_rung(level, input, &writes, &causal, limits)),
    })
}

fn sequential_rung(history: &History, input: &Input<'_>, sequential: &sequential::Sequential) -> Answer {
    match sequential {
        sequential::Sequential::Holds => Answer::Holds,
        sequential::Sequential::Fails(circle) => Answer::Fails(words::counterexample(input, circle)),
        sequential::Sequential::Unknown(why) => Answer::Unknown(why.clone()),
        sequential::Sequential::NoOrder(stuck) => {
            let index = if input.unclear.is_some() { *stuck } else { input.op(*stuck).index.0 };
            let operation = history.operation(crate::history::OpIndex(index));
            let deed = words::deed(&operation, true);
            let sentence = format!(
                "No order of all operations keeps each session's: every one was tried, and none gets past {deed}."
            );
            Answer::Fails(Counterexample::new(vec![index], Vec::new(), sentence))
        }
    }
}

fn session_rung(
    level: Level,
    input: &Input<'_>,
    writes: &causal::Writes,
    causal: &causal::Causal,
    limits: &Limits,
) -> Answer {
    let components = match causal {
        // Every line of a session guarantee follows from causal consistency.
        causal::Causal::Holds => return Answer::Holds,
        causal::Causal::Fails { components, .. } => components.as_deref(),
        causal::Causal::Unknown(_) => None,
    };
    let found = if input.is_list {
        shown::judge(level, input, writes, limits)
    } else {
        sessions::judge(level, input, writes, components, limits)
    };
    match found {
        sessions::Guarantee::Holds => Answer::Holds,
        sessions::Guarantee::Fails(circle) => Answer::Fails(words::counterexample(input, &circle)),
        sessions::Guarantee::Unknown(why) => Answer::Unknown(why),
    }
}

/// What may be spent.
struct Limits {
    deadline: Instant,
    memory_bytes: usize,
}

/// Steps between two looks at the clock.
const STEPS_BETWEEN_LOOKS: usize = 1024;

impl Limits {
    /// # Errors
    /// Which budget has ended.
    fn check(&self, done: usize, bytes: usize) -> Result<(), String> {
        if bytes > self.memory_bytes {
            return Err(format!("the memory budget of {} MiB ended", self.memory_bytes >> 20));
        }
        if done.is_multiple_of(STEPS_BETWEEN_LOOKS) { self.check_time() } else { Ok(()) }
    }

    /// For steps that are not small.
    fn check_often(&self, done: usize) -> Result<(), String> {
        if done.is_multiple_of(32) { self.check_time() } else { Ok(()) }
    }

    fn check_time(&self) -> Result<(), String> {
        if Instant::now() >= self.deadline { Err("the time budget ended".to_owned()) } else { Ok(()) }
    }
}
