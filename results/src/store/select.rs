//! Which runs are meant: a small language for sets of runs, the same wherever a command takes several.
//!
//! ```text
//!   system=raft,zab verdict=valid label.build=abc since=2026-11-01 latest:20
//!   └──────┬──────┘ └──────────────────────┬─────────────────────┘ └───┬───┘
//!     either of them            each narrows the set further       of those left, the newest
//! ```
//!
//! | term | runs |
//! |---|---|
//! | `NAME=VALUE` | that have this setting: `system`, `workload`, `nodes`, `concurrency`, `rate`, `seed`, `mutant`, `nemesis`, `reads`, `network`, `binary`; several values with commas mean any of them |
//! | `NAME!=VALUE` | that have another, or none |
//! | `verdict=valid` | that came out so; `none` is a run without a verdict |
//! | `revision=5e63d20` | of a directory at a commit that begins so |
//! | `label.KEY=VALUE` | with this label |
//! | `since=…`, `until=…` | started then or later, then or earlier: `2026-11-01`, a whole day, or `2026-11-01T12:30`; in UTC |
//! | `machine=here` | of a machine like this one |
//! | `33,4a`, `20261121-18` | by the beginnings of their names, as [`Store::resolve`] has them; here they may mean several |
//! | `latest`, `latest:20` | the newest of all that the other terms leave |
//!
//! Without a term all runs are meant. A name that nobody knows is an error: a misspelt term must not select everything or nothing in
//! silence.

use std::{fmt, str::FromStr};

use checkers::verdict::Verdict;
use jiff::civil::{Date, DateTime};
use serde_json::Value as Json;

use super::{LATEST, Machine, RunEntry};

/// The longest selection, in bytes.
pub const SELECTION_MAX: usize = 8_192;

/// Settings of a run by which it can be selected.
const SETTINGS: [&str; 11] =
    ["system", "workload", "nodes", "concurrency", "rate", "seed", "mutant", "nemesis", "reads", "network", "binary"];

/// How the moments of runs' names are written: so that they sort.
const MOMENT: &str = "%Y%m%d-%H%M%S";

/// A set of runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    text: String,
    terms: Vec<Term>,
    latest: Option<usize>,
}

#[derive(Clone, Debug, PartialEq)]
enum Term {
    /// The setting has one of these values, or, if not wanted, none of them.
    Setting {
        name: String,
        values: Vec<String>,
        wanted: bool,
    },
    /// One of these; none stands for a run without a verdict.
    Verdict {
        values: Vec<Option<Verdict>>,
        wanted: bool,
    },
    /// Beginnings of commits.
    Revision {
        values: Vec<String>,
        wanted: bool,
    },
    Label {
        name: String,
        values: Vec<String>,
        wanted: bool,
    },
    /// In the form of runs' names.
    Since(String),
    Until(String),
    Machine(Box<Machine>),
    /// Beginnings of names.
    Names(Vec<String>),
}

/// What is typed selects nothing that could be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// No such name before the `=`.
    #[error("nothing can be selected by {0:?}; there are {list}, verdict, revision, label.KEY, since, until and machine", list = SETTINGS.join(", "))]
    NoSuchTerm(String),
    /// A value that cannot be.
    #[error("{term}: {why}")]
    Value {
        /// The term.
        term: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Said twice.
    #[error("latest is said twice")]
    TwiceLatest,
    /// Too long.
    #[error("a selection has at most {SELECTION_MAX} bytes; this one has {0}")]
    TooLong(usize),
    /// A name that is no run's.
    #[error("no run is called {0:?}; `trueline runs` lists them")]
    NoSuchRun(String),
}

impl FromStr for Selection {
    type Err = SelectionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(if self.text.is_empty() { "all runs" } else { &self.text })
    }
}

impl Selection {
    /// The set that this text means: terms with spaces between them.
    ///
    /// # Errors
    /// When a term is not known, or its value cannot be.
    pub fn parse(text: &str) -> Result<Self, SelectionError> {
        if text.len() > SELECTION_MAX {
            return Err(SelectionError::TooLong(text.len()));
        }
        let mut selection = Self::default();
        let words: Vec<&str> = text.split_whitespace().collect();
        selection.text = words.join(" ");
        for word in words {
            match latest(word)? {
                Some(count) if selection.latest.is_none() => selection.latest = Some(count),
                Some(_) => return Err(SelectionError::TwiceLatest),
                None => selection.terms.push(term(word)?),
            }
        }
        Ok(selection)
    }

    /// The set that several texts mean together, as of a flag that is repeated: each narrows it further.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn of(texts: &[String]) -> Result<Self, SelectionError> {
        Self::parse(&texts.join(" "))
    }

    /// Whether it says anything at all.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.terms.is_empty() && self.latest.is_none()
    }

    /// Whether it says which machine's runs are meant, or names single runs.
    #[must_use]
    pub fn says_machine(&self) -> bool {
        self.terms.iter().any(|term| matches!(term, Term::Machine(_) | Term::Names(_)))
    }

    /// Whether the terms fit a run. `latest` is not a matter of one run: see [`choose`](Self::choose).
    #[must_use]
    pub fn matches(&self, entry: &RunEntry) -> bool {
        self.terms.iter().all(|term| term.fits(entry))
    }

    /// The runs that are meant, in their order, which is the oldest first.
    ///
    /// # Errors
    /// When a name is given that no run has.
    pub fn choose(&self, entries: &[RunEntry]) -> Result<Vec<RunEntry>, SelectionError> {
        for name in self.terms.iter().flat_map(Term::names) {
            if !entries.iter().any(|entry| is_called(entry, name)) {
                return Err(SelectionError::NoSuchRun(name.clone()));
            }
        }
        let mut chosen: Vec<RunEntry> = entries.iter().filter(|entry| self.matches(entry)).cloned().collect();
        if let Some(count) = self.latest {
            chosen.drain(..chosen.len().saturating_sub(count));
        }
        Ok(chosen)
    }
}

/// `latest` and `latest:20`.
fn latest(word: &str) -> Result<Option<usize>, SelectionError> {
    let Some(rest) = word.strip_prefix(LATEST) else { return Ok(None) };
    let why = "write latest, or latest:20 for the newest twenty";
    let wrong = || SelectionError::Value { term: word.to_owned(), why };
    if rest.is_empty() {
        return Ok(Some(1));
    }
    let count = rest.strip_prefix(':').and_then(|count| count.parse().ok()).filter(|count| *count > 0);
    count.map(Some).ok_or_else(wrong)
}

fn term(word: &str) -> Result<Term, SelectionError> {
    let wrong = |why| SelectionError::Value { term: word.to_owned(), why };
    let Some((name, value)) = word.split_once('=') else {
        let name = |name: &str| name.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        let names: Vec<String> = word.split(',').map(str::to_owned).collect();
        return match names.iter().all(|one| !one.is_empty() && name(one)) {
            true => Ok(Term::Names(names)),
            false => Err(wrong("neither a run's name nor a term like system=raft")),
        };
    };
    let (name, wanted) = name.strip_suffix('!').map_or((name, true), |name| (name, false));
    let values: Vec<String> = value.split(',').map(str::to_owned).collect();
    if values.iter().any(String::is_empty) {
        return Err(wrong("a value is missing"));
    }
    let single = || match (wanted, &values[..]) {
        (true, [value]) => Ok(value.as_str()),
        _ => Err(wrong("it takes one value, after =")),
    };
    if let Some(label) = name.strip_prefix("label.").filter(|label| !label.is_empty()) {
        return Ok(Term::Label { name: label.to_owned(), values, wanted });
    }
    match name {
        "verdict" => {
            let parsed = values.iter().map(|value| verdict(value)).collect::<Option<Vec<_>>>();
            let values = parsed.ok_or_else(|| wrong("there are valid, invalid, unknown, vacuous and none"))?;
            Ok(Term::Verdict { values, wanted })
        }
        "revision" => match values.iter().all(|value| value.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            true => Ok(Term::Revision { values: values.iter().map(|v| v.to_ascii_lowercase()).collect(), wanted }),
            false => Err(wrong("a revision is the beginning of a commit's hexadecimal name")),
        },
        "since" | "until" => {
            let (first, last) = moments(single()?).ok_or_else(|| wrong("write 2026-11-01 or 2026-11-01T12:30"))?;
            Ok(if name == "since" { Term::Since(first) } else { Term::Until(last) })
        }
        "machine" => match single()? {
            "here" => Ok(Term::Machine(Box::new(Machine::here()))),
            _ => Err(wrong("write machine=here")),
        },
        name if SETTINGS.contains(&name) => Ok(Term::Setting { name: name.to_owned(), values, wanted }),
        name => Err(SelectionError::NoSuchTerm(name.to_owned())),
    }
}

/// The inner none stands for no verdict.
fn verdict(word: &str) -> Option<Option<Verdict>> {
    Some(match word {
        "valid" => Some(Verdict::Valid),
        "invalid" => Some(Verdict::Invalid),
        "unknown" => Some(Verdict::Unknown),
        "vacuous" => Some(Verdict::Vacuous),
        "none" => None,
        _ => return None,
    })
}

/// The first and the last second of a day or of a moment.
fn moments(text: &str) -> Option<(String, String)> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    if let (false, Ok(day)) = (text.contains('T'), text.parse::<Date>()) {
        let last = day.at(23, 59, 59, 0);
        return Some((day.at(0, 0, 0, 0).strftime(MOMENT).to_string(), last.strftime(MOMENT).to_string()));
    }
    // An offset from UTC would be passed over in silence.
    let time = text.split_once('T')?.1;
    if time.contains(['+', '-', '[']) {
        return None;
    }
    let moment = text.parse::<DateTime>().ok()?.strftime(MOMENT).to_string();
    Some((moment.clone(), moment))
}

impl Term {
    fn fits(&self, entry: &RunEntry) -> bool {
        let manifest = entry.manifest.as_ref().ok();
        match self {
            Self::Setting { name, values, wanted } => {
                let has = setting(entry, name);
                has.iter().any(|has| values.contains(has)) == *wanted
            }
            Self::Verdict { values, wanted } => values.contains(&entry.summary.as_ref().map(|s| s.verdict)) == *wanted,
            Self::Revision { values, wanted } => {
                let revision = manifest.and_then(|manifest| manifest.directory_revision.as_deref());
                values.iter().any(|value| revision.is_some_and(|revision| revision.starts_with(value))) == *wanted
            }
            Self::Label { name, values, wanted } => {
                manifest.and_then(|manifest| manifest.labels.get(name)).is_some_and(|has| values.contains(has))
                    == *wanted
            }
            Self::Since(moment) => started(entry) >= moment.as_str(),
            Self::Until(moment) => started(entry) <= moment.as_str(),
            Self::Machine(machine) => manifest.is_some_and(|manifest| manifest.machine.differences(machine).is_empty()),
            Self::Names(names) => names.iter().any(|name| is_called(entry, name)),
        }
    }

    fn names(&self) -> &[String] {
        match self {
            Self::Names(names) => names,
            _ => &[],
        }
    }
}

/// When a run started, in the form of [`MOMENT`]: its name says it, also where the manifest cannot be read.
fn started(entry: &RunEntry) -> &str {
    &entry.dir.id().as_str()[..15]
}

fn is_called(entry: &RunEntry, name: &str) -> bool {
    let id = entry.dir.id();
    id.as_str().starts_with(name) || id.short_key().starts_with(name)
}

/// A setting as it is typed; of a list, each of its members. None where the run has none.
fn setting(entry: &RunEntry, name: &str) -> Vec<String> {
    let found = match name {
        "workload" => entry.setting("workload").and_then(|workload| workload.get("kind")),
        "nemesis" => entry.setting("nemeses"),
        name => entry.setting(name),
    };
    let mut words = Vec::new();
    if let Some(found) = found {
        words_of(found, &mut words);
    }
    if let ("system" | "workload", true, Some(summary)) = (name, words.is_empty(), &entry.summary) {
        words.push(if name == "system" { summary.system.clone() } else { summary.workload.clone() });
    }
    words
}

/// A word, a number, or those within a list or a named choice like `{"nodes": "quorum"}`.
fn words_of(value: &Json, words: &mut Vec<String>) {
    match value {
        // Choices without anything more are written with a capital: "All".
        Json::String(word) => words.extend([word.clone(), word.to_lowercase()]),
        Json::Number(number) => words.push(number.to_string()),
        Json::Array(list) => list.iter().for_each(|member| words_of(member, words)),
        Json::Object(fields) => fields.values().for_each(|member| words_of(member, words)),
        Json::Null | Json::Bool(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        store::{Manifest, RunDir, Store},
        summary::Summary,
    };

    fn manifest(system: &str, build: &str) -> Manifest {
        let config = json!({
            "system": system, "nodes": 3, "rate": 400, "mutant": null, "workload": {"kind": "append", "keys": 5},
            "nemeses": {"These": ["kill", "pause"]}, "reads": {"nodes": "quorum"},
        });
        let mut manifest = Manifest::here(7, config);
        manifest.directory_revision = Some("5e63d20".repeat(6));
        manifest.labels = [("build".to_owned(), build.to_owned())].into();
        manifest
    }

    /// Four runs: raft a, raft b, zab a, and one without a verdict on another machine.
    fn entries() -> (tempfile::TempDir, Vec<RunEntry>) {
        let root = tempfile::tempdir().expect("a directory");
        let store = Store::open(root.path()).expect("a store");
        let mut elsewhere = manifest("raft", "c");
        elsewhere.machine.cpus += 1;
        let runs = [
            ("20261101-000000-336e", manifest("raft", "a"), Some(Verdict::Valid)),
            ("20261102-000000-33ff", manifest("raft", "b"), Some(Verdict::Invalid)),
            ("20261102-235959-a001", manifest("zab", "a"), Some(Verdict::Valid)),
            ("20261103-000000-b002", elsewhere, None),
        ];
        for (name, manifest, verdict) in runs {
            let run: RunDir = store.create_named(name.parse().expect("a name"), &manifest).expect("a run");
            if let Some(verdict) = verdict {
                let mut summary = Summary::new("raft", "append", 7);
                summary.verdict = verdict;
                run.write_verdict(&summary).expect("written");
            }
        }
        let entries = store.entries().expect("listed");
        (root, entries)
    }

    #[test]
    fn terms_select_what_they_say() {
        let (_root, entries) = entries();
        for (text, wanted) in [
            ("", "0123"),
            ("system=raft", "013"),
            ("system=raft,zab", "0123"),
            ("system!=raft", "2"),
            ("verdict=valid", "02"),
            ("verdict=none,invalid", "13"),
            ("verdict!=valid system=raft", "13"),
            ("workload=append nodes=3 rate=400 nemesis=kill reads=quorum", "0123"),
            ("workload=register", ""),
            ("mutant!=raft-no-dedup", "0123"),
            ("mutant=raft-no-dedup", ""),
            ("label.build=a", "02"),
            ("label.build!=a", "13"),
            ("label.other=a", ""),
            ("revision=5E63d205", "0123"),
            ("revision=e63d", ""),
            ("since=2026-11-02", "123"),
            ("until=2026-11-02", "012"),
            ("since=2026-11-02 until=2026-11-02", "12"),
            ("since=2026-11-02T23:59:59Z", "23"),
            ("until=2026-11-02T12:30", "01"),
            ("machine=here", "012"),
            ("33", "01"),
            ("336,a001", "02"),
            ("20261103-000000-b002", "3"),
            ("latest", "3"),
            ("latest:3", "123"),
            ("verdict=valid latest:1", "2"),
            ("latest:1000", "0123"),
        ] {
            let chosen = Selection::parse(text).expect(text).choose(&entries).expect(text);
            let places: String = chosen
                .iter()
                .map(|run| entries.iter().position(|e| e.dir.id() == run.dir.id()).expect("one").to_string())
                .collect();
            assert_eq!(places, wanted, "{text}");
        }
    }

    #[test]
    fn nonsense_selects_nothing_in_silence() {
        for (text, words) in [
            ("sytem=raft", "there are system, workload"),
            ("=raft", "nothing can be selected by \"\""),
            ("label.=x", "label.KEY"),
            ("system=", "a value is missing"),
            ("system=raft,", "a value is missing"),
            ("verdict=good", "valid, invalid, unknown"),
            ("revision=main", "hexadecimal"),
            ("since=yesterday", "2026-11-01"),
            ("since=2026-13-01", "2026-11-01"),
            ("since=2026-11-01T10:00+02:00", "2026-11-01"),
            ("since!=2026-11-01", "one value"),
            ("until=2026-11-01,2026-11-02", "one value"),
            ("machine=there", "machine=here"),
            ("latest:0", "latest:20"),
            ("latest:-1", "latest:20"),
            ("latest:x", "latest:20"),
            ("latests", "latest:20"),
            ("latest latest:2", "twice"),
            ("raft", "neither a run's name"),
            ("../x", "neither a run's name"),
            ("33,,4a", "neither a run's name"),
            ("\u{1b}[2J", "neither a run's name"),
        ] {
            let error = Selection::parse(text).expect_err(text).to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
        assert!(matches!(Selection::parse(&"a".repeat(SELECTION_MAX + 1)), Err(SelectionError::TooLong(_))));
        let (_root, entries) = entries();
        let error = Selection::parse("33,ffff").expect("well formed").choose(&entries).expect_err("no such run");
        assert_eq!(error, SelectionError::NoSuchRun("ffff".to_owned()));
    }

    #[test]
    fn flags_that_are_repeated_narrow() {
        let (_root, entries) = entries();
        let selection = Selection::of(&["system=raft".to_owned(), "verdict=valid  33".to_owned()]).expect("parsed");
        assert_eq!(selection.choose(&entries).expect("chosen").len(), 1);
        assert_eq!(selection.to_string(), "system=raft verdict=valid 33");
        assert!(Selection::parse(" ").expect("all").is_all() && !selection.is_all());
        assert!(selection.says_machine() && !Selection::parse("latest:3").expect("parsed").says_machine());
    }

    /// A run whose manifest cannot be read has no settings, and still a name.
    #[test]
    fn a_broken_run_is_found_by_name_and_time_only() {
        let (root, _) = entries();
        std::fs::write(root.path().join("20261101-000000-336e/manifest.json"), "{").expect("written");
        let entries = Store::open(root.path()).and_then(|store| store.entries()).expect("listed");
        let count = |text: &str| Selection::parse(text).expect(text).choose(&entries).expect(text).len();
        assert_eq!((count("336"), count("until=2026-11-01"), count("label.build=a"), count("nodes=3")), (1, 1, 1, 3));
    }
}
