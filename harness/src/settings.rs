//! `trueline.toml`: what a project says once and for all of its runs. What each table means is documented in `docs/settings.md`.
//!
//! ```text
//!   trueline.toml ──> Settings ──┬── system:   [system.NAME]   servers described without code
//!                                ├── profile:  [profile.NAME]  how a gate goes about it
//!                                └── scenario: [[scenario]]    what a gate runs
//! ```
//!
//! A key that nobody knows is refused, with its line: a misspelt one must not be passed over in silence.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

pub mod flags;
pub mod profile;
pub mod scenario;
pub mod system;

use profile::Profile;
use scenario::Scenario;
use system::{Description, SystemName};

/// The file's usual name, in the directory that the program is started in.
pub const USUAL: &str = "trueline.toml";

/// Larger files are refused.
const BYTES_MAX: u64 = 1 << 20;

/// Everything in the file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Servers described without code, by name.
    #[serde(default)]
    pub system: BTreeMap<SystemName, Description>,
    /// How a gate goes about its scenarios, by name.
    #[serde(default)]
    pub profile: BTreeMap<String, Profile>,
    /// What a gate runs.
    #[serde(default)]
    pub scenario: Vec<Scenario>,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is too long.
    #[error("{} has more than {} KiB, which no settings have", .0.display(), BYTES_MAX >> 10)]
    TooLong(PathBuf),
    /// It does not say what it should.
    #[error("{}, {what}", path.display())]
    Wrong {
        /// Which file.
        path: PathBuf,
        /// Line, column, and what is wrong there.
        what: String,
    },
}

impl Settings {
    /// Reads this file.
    ///
    /// # Errors
    /// When it cannot be read, or holds something that is not known; with the line.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let io = |source| SettingsError::Io { path: path.to_owned(), source };
        if fs::metadata(path).map_err(io)?.len() > BYTES_MAX {
            return Err(SettingsError::TooLong(path.to_owned()));
        }
        let text = fs::read_to_string(path).map_err(io)?;
        Self::parse(&text).map_err(|what| SettingsError::Wrong { path: path.to_owned(), what })
    }

    /// The file that was named, else the usual one where there is one, else nothing.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn find(named: Option<&Path>) -> Result<Self, SettingsError> {
        match named {
            Some(path) => Self::read(path),
            None if Path::new(USUAL).exists() => Self::read(Path::new(USUAL)),
            None => Ok(Self::default()),
        }
    }

    /// From its text.
    ///
    /// # Errors
    /// Line, column, and what is wrong there.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut settings: Self = toml::from_str(text).map_err(|error| {
            let (line, column) = place(text, error.span().map_or(0, |span| span.start));
            format!("line {line}, column {column}: {}", error.message())
        })?;
        for scenario in &mut settings.scenario {
            scenario.line = place(text, scenario.start).0;
        }
        Ok(settings)
    }
}

/// Line and column of a byte, both from 1.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.len() - before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1) + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::{scenario::Seeds, *};

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let error = Settings::parse("# ours\n\n[scenery]\nx = 1\n").expect_err("no such table");
        assert!(error.starts_with("line 3, column 2: unknown field `scenery`"), "{error}");
        assert!(Settings::parse("x = ").expect_err("no TOML").starts_with("line 1"));
        let missing = Settings::read(Path::new("/nowhere/trueline.toml")).expect_err("no such file").to_string();
        assert!(missing.contains("/nowhere/trueline.toml"), "{missing}");
    }

    /// Each mistake, and what is told of it: the line, and the words.
    #[test]
    fn mistakes_in_scenarios_and_profiles_are_told_with_their_lines() {
        for (text, line, words) in [
            ("[[scenario]]\nname = 'a'\nnodez = 3\n", 3, "unknown key `nodez`"),
            ("[[scenario]]\nname = 'a'\nwarm_up = '1s'\n", 3, "write `warm-up`"),
            ("[[scenario]]\nname = 'a'\n'--time' = '1s'\n", 3, "write `time`"),
            ("[[scenario]]\nname = 'a'\n\ntime = '5'\n", 4, "no duration"),
            ("[[scenario]]\nname = 'a'\nnodes = 0\n", 3, "0 is not in 1..=99"),
            ("[[scenario]]\nname = 'a'\nnodes = true\n", 3, "boolean"),
            ("[[scenario]]\nname = 'a'\nretry = 'yes'\n", 3, "true or false"),
            ("[[scenario]]\nname = 'a'\nrate = 1.5\n", 3, "floating point"),
            ("[[scenario]]\nname = 'a'\nnemesis = ['kill', 'earthquake']\n", 3, "earthquake"),
            ("[[scenario]]\nname = 'a'\nseed = 3\n", 3, "given by the gate itself"),
            ("[[scenario]]\nname = 'a'\nexpect = 'good'\n", 3, "unknown variant `good`"),
            ("[[scenario]]\nname = 'a'\nexpect = []\n", 3, "empty"),
            ("[[scenario]]\nname = 'a'\nexpect = ['valid', 'valid']\n", 3, "twice"),
            ("[[scenario]]\nname = 'a'\nexpect-anomaly = 'stale-read'\n", 1, "go with"),
            ("[[scenario]]\nname = 'a'\nseeds = 0\n", 3, "0 is not in 1"),
            ("[[scenario]]\nname = 'a'\nseeds = []\n", 3, "at least one"),
            ("[[scenario]]\nname = 'a'\nseeds = [1, 1]\n", 3, "seed 1 is there twice"),
            ("[[scenario]]\nname = 'a'\nrun-timeout = '0s'\n", 3, "longer than zero"),
            ("[[scenario]]\nname = 'a|b'\n", 2, "no name for a scenario"),
            ("# first\n\n[[scenario]]\nsystem = 'raft'\n", 3, "no `name`"),
            ("[profile.ci]\njobs = 0\n", 2, "0 is not in 1 to 1000"),
            ("[profile.ci]\nfresh-seeds = 1\n", 2, "invalid type"),
            ("[profile.ci]\n\ntime-budgets = '1h'\n", 3, "unknown key `time-budgets`"),
            ("[profile.ci]\nname = 'x'\n", 2, "unknown key `name`"),
            ("[scenario]\nname = 'a'\n", 1, "expected a sequence"),
        ] {
            let error = Settings::parse(text).expect_err(text);
            assert!(error.starts_with(&format!("line {line}, ")) && error.contains(words), "{text:?}: {error}");
        }
    }

    #[test]
    fn scenarios_and_profiles_are_read() {
        let settings = Settings::parse(
            "[profile.ci]\ntime = '5s'\njobs = 2\n\n[[scenario]]\nname = 'a'\nnemesis = ['partition', 'kill']\nrate = 400\n\
             retry = true\nfail-fast = false\nseeds = [3, 17]\nexpect = ['invalid', 'unknown']\nexpect-anomaly = 'stale-read'\n\
             \n[[scenario]]\nname = 'b'\nseeds = 4\n",
        )
        .expect("settings");
        let [a, b] = &settings.scenario[..] else { panic!("{settings:?}") };
        assert_eq!((a.line, b.line), (5, 15));
        assert_eq!(a.flags.arguments().join(" "), "--nemesis partition,kill --rate 400 --retry");
        assert_eq!((&a.seeds, &b.seeds), (&Some(Seeds::List(vec![3, 17])), &Some(Seeds::Count(4))));
        assert_eq!(a.expected.words(), "invalid or unknown (stale-read)");
        assert_eq!(b.expected, results::gate::Expectation::default());
        let ci = &settings.profile["ci"];
        assert_eq!((ci.jobs, ci.flags.arguments().join(" ")), (Some(2), "--time 5s".to_owned()));
    }

    #[test]
    fn what_is_nearer_wins() {
        let text = "[profile.default]\njobs = 2\nreplays = 0\ntime = '5s'\nretry = true\n\n[profile.ci]\njobs = 3\n\
                    retry = false\n";
        let settings = Settings::parse(text).expect("settings");
        let ci = settings.profile["ci"].over(&settings.profile["default"]);
        assert_eq!((ci.jobs, ci.replays, ci.flags.arguments().join(" ")), (Some(3), Some(0), "--time 5s".to_owned()));
    }
}
