//! The ladder as a short table: for terminals, in `trueline check` and in the summary of a run.

use super::{Answer, Distribution, Ladder, Level, StaleUnit, Staleness};

/// The width of the level's names, and of the answers.
const NAME: usize = 21;
const ANSWER: usize = 9;

impl Ladder {
    /// A line a level: its name, whether it holds, and why not. Then one about staleness, where that is known. The level that
    /// the judge's verdict is about is left out: it stands above with its own words.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut told: Vec<(&str, &str)> = Vec::new();
        for rung in self.rungs.iter().filter(|rung| rung.level != Level::Linearizable) {
            let name = rung.level.name();
            let (answer, because) = match &rung.answer {
                Answer::Holds => ("holds", ""),
                Answer::Fails(found) => ("fails", found.description.as_str()),
                Answer::Unknown(why) => ("unknown", why.as_str()),
            };
            let line = match told.iter().find(|(_, words)| !because.is_empty() && *words == because) {
                Some((level, _)) => format!("{name:NAME$}{answer:ANSWER$}as {level}"),
                None => format!("{name:NAME$}{answer:ANSWER$}{because}"),
            };
            told.push((name, because));
            lines.push(line.trim_end().to_owned());
        }
        lines.extend(self.staleness.as_ref().map(|staleness| format!("{:NAME$}{}", "stale reads", staleness.words())));
        lines
    }
}

impl Staleness {
    /// "12 of 3400 (0.4 %); by writes: p50 1, max 3; by time: p50 1.200 ms, max 2.310 s".
    #[must_use]
    pub fn words(&self) -> String {
        let Self { reads, stale, .. } = self;
        let (Some(writes), Some(time)) = (self.writes, self.time) else { return format!("none of {reads}") };
        let share = *stale as f64 * 100.0 / (*reads).max(1) as f64;
        let Distribution { p50, max } = writes;
        let [time_p50, time_max] = [time.p50, time.max].map(|time| self.unit.words(time));
        format!(
            "{stale} of {reads} ({share:.1} %); by writes: p50 {p50}, max {max}; by time: p50 {time_p50}, max {time_max}"
        )
    }
}

impl StaleUnit {
    fn words(self, time: u64) -> String {
        match self {
            StaleUnit::Events => format!("{time} events"),
            StaleUnit::Nanoseconds if time < 1_000_000_000 => format!("{:.3} ms", time as f64 / 1e6),
            StaleUnit::Nanoseconds => format!("{:.3} s", time as f64 / 1e9),
        }
    }
}
