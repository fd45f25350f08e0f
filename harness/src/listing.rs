//! A stored run in a line: what `trueline runs` and `trueline serve` show of it, and what `--json` prints.
//!
//! ```text
//!   RunEntry ──> Row ──┬──> table on the terminal
//!                      ├──> JSON
//!                      └──> table in the browser
//! ```
//!
//! A row is text that somebody else may have written. Who shows it makes it harmless for where it is shown.

use results::{
    check::verdict_name,
    store::{Collection, Item, Labels, RunEntry, RunState},
    summary::Summary,
};
use serde::Serialize;
use serde_json::Value as Json;

use crate::nemesis::Nemeses;

/// A run in a line. What is not known of it is none.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub run: String,
    /// The shortest name that means it.
    pub short: String,
    /// What short names are beginnings of.
    #[serde(skip)]
    pub key: String,
    /// When it began, in UTC.
    pub started: String,
    /// How far it has come.
    pub state: RunState,
    /// What was tested.
    pub system: Option<String>,
    /// How many nodes.
    pub nodes: Option<u64>,
    /// What clients did.
    pub workload: Option<String>,
    /// What was broken.
    pub nemeses: Option<String>,
    /// The mutant that was switched on.
    pub mutant: Option<String>,
    /// The seed.
    pub seed: Option<u64>,
    /// What came out.
    pub verdict: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// How long the load lasted.
    pub duration_ms: Option<u64>,
    /// Successful operations a second.
    pub ok_per_second: Option<f64>,
    /// What it takes on the disk.
    pub bytes: u64,
    /// What a person calls it by.
    pub labels: Labels,
    /// A person wants to keep it.
    pub is_pinned: bool,
    /// It came here in an archive.
    pub is_imported: bool,
    /// Why it cannot be read.
    pub problem: Option<String>,
    /// Its directory.
    pub path: String,
}

impl Row {
    /// Of a run. Looks at the size of each of its files.
    #[must_use]
    pub fn of(entry: &RunEntry) -> Self {
        Self { bytes: entry.dir.bytes(), ..Self::without_size(entry) }
    }

    /// Of a run, without looking at its files.
    #[must_use]
    pub fn without_size(entry: &RunEntry) -> Self {
        let id = entry.dir.id();
        let (manifest, summary) = (entry.manifest.as_ref().ok(), entry.summary.as_ref());
        let word = |value: Option<&Json>| value.and_then(Json::as_str).map(str::to_owned);
        let workload = || word(entry.setting("workload").and_then(|workload| workload.get("kind")));
        Self {
            run: id.to_string(),
            short: entry.short.clone(),
            key: id.short_key(),
            started: began(id.as_str()),
            state: entry.state,
            system: summary.map(|s| s.system.clone()).or_else(|| word(entry.setting("system"))),
            nodes: summary.map(|s| s.nodes.into()).or_else(|| entry.setting("nodes").and_then(Json::as_u64)),
            workload: summary.map(|s| s.workload.clone()).or_else(workload),
            nemeses: entry.setting("nemeses").and_then(nemeses),
            mutant: word(entry.setting("mutant")),
            seed: manifest.map(|manifest| manifest.seed),
            verdict: summary.map(|s| verdict_name(s.verdict).to_owned()),
            reason: summary.map(|s| s.reason.clone()),
            duration_ms: summary.map(|s| s.duration_ms),
            ok_per_second: summary.map(|s| s.throughput.mean).filter(|mean| *mean > 0.0),
            bytes: 0,
            labels: manifest.map(|manifest| manifest.labels.clone()).unwrap_or_default(),
            is_pinned: Item::Run(entry.dir.clone()).is_pinned(),
            is_imported: entry.is_imported,
            problem: problem(entry),
            path: entry.dir.path().display().to_string(),
        }
    }

    /// What came out, in a word; else how far it has come.
    #[must_use]
    pub fn outcome(&self) -> &str {
        match (&self.verdict, self.state) {
            (_, RunState::Running) => RunState::Running.name(),
            (Some(verdict), _) => verdict,
            (None, _) if self.problem.is_some() => "unreadable",
            (None, state) => state.name(),
        }
    }

    /// The shortest name, and the digits after it, to be shown together.
    #[must_use]
    pub fn name_parts(&self) -> (&str, &str) {
        /// A run's random digits.
        const SHOWN: usize = 4;
        let rest = self.key.get(self.short.len()..SHOWN.max(self.short.len())).unwrap_or_default();
        (&self.short, rest)
    }

    /// The labels as they are selected by.
    #[must_use]
    pub fn labels_in_words(&self) -> String {
        self.labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    }
}

/// Why a run cannot be read, or not all of it.
#[must_use]
pub fn problem(entry: &RunEntry) -> Option<String> {
    let problems: Vec<&str> =
        entry.manifest.as_ref().err().into_iter().chain(&entry.unread).map(String::as_str).collect();
    (!problems.is_empty()).then(|| problems.join("; "))
}

/// When a run of this name began, written like the moments in manifests.
fn began(name: &str) -> String {
    let part = |range: std::ops::Range<usize>| name.get(range).unwrap_or_default();
    let (date, time) =
        ([part(0..4), part(4..6), part(6..8)].join("-"), [part(9..11), part(11..13), part(13..15)].join(":"));
    format!("{date}T{time}Z")
}

/// The choice of nemeses as it is typed.
fn nemeses(setting: &Json) -> Option<String> {
    serde_json::from_value::<Nemeses>(setting.clone()).ok().map(|nemeses| nemeses.to_string())
}

/// What holds runs of its own, in a line.
#[derive(Clone, Debug, Serialize)]
pub struct CollectionRow {
    /// The name of its directory.
    pub name: String,
    /// hunt, gate, bench or replay.
    pub kind: &'static str,
    /// When it began, in UTC.
    pub started: String,
    /// How far it has come.
    pub state: RunState,
    /// What it takes on the disk.
    pub bytes: u64,
    /// Its directory.
    pub path: String,
}

impl CollectionRow {
    /// Of a hunt, or of another.
    #[must_use]
    pub fn of(collection: &Collection) -> Self {
        Self {
            name: collection.name(),
            kind: collection.kind().name(),
            started: began(collection.id().as_str()),
            state: collection.state(),
            bytes: collection.bytes(),
            path: collection.path().display().to_string(),
        }
    }
}

/// A number of bytes as people write it: `1.2 MB`.
#[must_use]
pub fn bytes_in_words(bytes: u64) -> String {
    let units = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    match units.iter().find(|(size, _)| bytes as f64 >= *size) {
        Some((size, unit)) => format!("{:.1} {unit}", bytes as f64 / size),
        None => format!("{bytes} B"),
    }
}

/// A number of bytes as people type it: `500MB`, `5GB`, `2GiB`.
///
/// # Errors
/// A sentence that says what was expected.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size; write a number and a unit: 500MB, 5GB, 1.5TB, 2GiB");
    let letters = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(letters);
    let number: f64 = number.trim().parse().map_err(|_| wrong())?;
    let size: f64 = match unit.to_ascii_lowercase().as_str() {
        "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return Err(wrong()),
    };
    let bytes = number * size;
    // Above 2^53 bytes, eight million gigabytes, not every number is one.
    if number.is_finite() && (0.0..9e15).contains(&bytes) { Ok(bytes as u64) } else { Err(wrong()) }
}

/// The summary with every text in it made harmless for a terminal: it may have come in an archive.
#[must_use]
pub fn harmless(summary: &Summary) -> Summary {
    let mut value = serde_json::to_value(summary).expect("a summary is JSON");
    make_harmless(&mut value);
    // The words of this program have no control characters, so they are what they were.
    serde_json::from_value(value).expect("it is a summary still")
}

fn make_harmless(value: &mut Json) {
    let one_line = |text: &str| results::summary::one_line(text).to_string();
    match value {
        Json::String(text) => *text = one_line(text),
        Json::Array(members) => members.iter_mut().for_each(make_harmless),
        Json::Object(members) => {
            let old = std::mem::take(members);
            members.extend(old.into_iter().map(|(name, mut value)| {
                make_harmless(&mut value);
                (one_line(&name), value)
            }));
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes) in
            [("0B", 0), ("500MB", 500_000_000), ("5GB", 5_000_000_000), ("1.5 kB", 1_500), ("2GiB", 2 << 30)]
        {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "5", "GB", "-1GB", "5 apples", "1e400GB", "infGB", "NaNGB", "99999999TB"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
        for (bytes, text) in
            [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (1_234_567, "1.2 MB"), (5_000_000_000, "5.0 GB")]
        {
            assert_eq!(bytes_in_words(bytes), text);
        }
    }

    #[test]
    fn names_and_moments() {
        assert_eq!(began("20261121-184150-336e"), "2026-11-21T18:41:50Z");
        let all: Json = serde_json::to_value(Nemeses::All).unwrap();
        assert_eq!(nemeses(&all).as_deref(), Some("all"));
        assert_eq!(nemeses(&serde_json::json!({"These": ["kill", "pause"]})).as_deref(), Some("kill,pause"));
        assert_eq!(nemeses(&serde_json::json!(7)), None);
    }

    #[test]
    fn a_hostile_summary_becomes_harmless() {
        let mut summary = Summary::new("raft\u{1b}[2J", "reg\u{202e}ister", 7);
        summary.faults.insert("kill\nfake line".to_owned(), results::summary::FaultCounts::default());
        summary.notes.push("\u{9b}31m".to_owned());
        let clean = harmless(&summary);
        assert_eq!((clean.system.as_str(), clean.workload.as_str()), ("raft [2J", "reg ister"));
        let text = results::summary::render(&clean, false);
        assert!(text.contains("kill fake line") && !text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        let plain = Summary::new("raft", "register", 7);
        assert_eq!(harmless(&plain), plain);
    }
}
