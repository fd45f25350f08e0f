//! What a history still holds to, asked for after its verdict.

use std::time::Duration;

use checkers::{
    Budget,
    history::History,
    ladder::{Ladder, ladder},
    model::ModelSpec,
    verdict::{Judgement, Verdict},
};

/// However much of the budget the verdict took, this is there for the ladder.
const TIME_MIN: Duration = Duration::from_secs(5);

/// However much it left, nobody waits longer for the ladder. Mostly it is sequential consistency that takes long.
const TIME_MAX: Duration = Duration::from_secs(30);

/// Whether the ladder is worth its time when nobody has said so: what is linearizable holds to everything else.
#[must_use]
pub fn is_wanted(judgement: &Judgement) -> bool {
    judgement.verdict == Verdict::Invalid
}

/// Judges the levels below linearizability with what the verdict has left of the budget.
#[must_use]
pub fn after(judgement: &Judgement, history: &History, spec: &ModelSpec, budget: Budget) -> Ladder {
    let time = budget.time.saturating_sub(judgement.elapsed).clamp(TIME_MIN, TIME_MAX);
    ladder(history, spec, Some(judgement), &Budget { time, ..budget })
}

/// The ladder as lines for a terminal, indented, with a title.
#[must_use]
pub fn as_text(ladder: &Ladder) -> String {
    let lines = ladder.lines().into_iter().map(|line| format!("    {line}\n"));
    "  what still holds\n".to_owned() + &lines.collect::<String>()
}
