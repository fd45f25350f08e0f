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

pub mod system;

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
        toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start.min(text.len()));
            let before = &text.as_bytes()[..at];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            let column = at - before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1) + 1;
            format!("line {line}, column {column}: {}", error.message())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let error = Settings::parse("# ours\n\n[scenery]\nx = 1\n").expect_err("no such table");
        assert!(error.starts_with("line 3, column 2: unknown field `scenery`"), "{error}");
        assert!(Settings::parse("x = ").expect_err("no TOML").starts_with("line 1"));
        let missing = Settings::read(Path::new("/nowhere/trueline.toml")).expect_err("no such file").to_string();
        assert!(missing.contains("/nowhere/trueline.toml"), "{missing}");
    }
}
