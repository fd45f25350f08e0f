//! The files that a run's directory may hold: what is exported, what is taken from an archive, what is shown.
//!
//! ```text
//!   manifest.json, verdict.json, …     by name, with the most that each may have
//!   nodes/1.log                        any number
//!   data/…                             what the nodes had on disk, whatever they call it
//! ```

use std::{fs, path::Path};

use super::{MANIFEST_BYTES_MAX, RunDir, StoreError, VERDICT_BYTES_MAX, history, inside};

/// Where a run keeps what its nodes had on disk.
pub(super) const DATA: &str = "data";

/// How deep that may be.
pub(super) const DATA_DEPTH_MAX: usize = 16;

/// The files of a run at its top, and how large each may be, bytes.
pub(super) const FILES: [(&str, u64); 12] = [
    ("manifest.json", MANIFEST_BYTES_MAX),
    ("verdict.json", VERDICT_BYTES_MAX),
    (history::PLAIN, u64::MAX),
    (history::COMPRESSED, u64::MAX),
    ("schedule.jsonl", 1 << 30),
    ("nodes.jsonl", 1 << 30),
    ("latencies.hdr", 256 << 20),
    ("latencies.json", 64 << 20),
    ("phases.hdr", 256 << 20),
    ("phases.json", 64 << 20),
    ("certificate.json", 4 << 30),
    ("report.html", 256 << 20),
];

/// How large what a node wrote may be, bytes.
const LOG_BYTES_MAX: u64 = 4 << 30;

/// How large the file by this name within a run's directory may be, bytes; none if a run has no such file.
pub(super) fn bytes_max(name: &str) -> Option<u64> {
    if let Some((_, bytes)) = FILES.iter().find(|(file, _)| *file == name) {
        return Some(*bytes);
    }
    if let Some(node) = name.strip_prefix("nodes/").and_then(|log| log.strip_suffix(".log")) {
        let is_number = !node.is_empty() && node.len() <= 4 && node.bytes().all(|byte| byte.is_ascii_digit());
        return (is_number && !node.starts_with('0')).then_some(LOG_BYTES_MAX);
    }
    is_data(name).then_some(u64::MAX)
}

/// Whether a name is one below `data/`, without steps that lead elsewhere.
pub(super) fn is_data(name: &str) -> bool {
    let mut steps = name.split('/');
    let is_step = |step: &str| !matches!(step, "" | "." | "..") && !step.contains('\0');
    let depth = steps.clone().count();
    steps.next() == Some(DATA) && (2..=DATA_DEPTH_MAX).contains(&depth) && steps.all(is_step)
}

impl RunDir {
    /// The files there are, by name within the run's directory, and their sizes in bytes; those of the nodes' data are left out. What a run
    /// does not have, what is no plain file, and links are passed over.
    #[must_use]
    pub fn files(&self) -> Vec<(String, u64)> {
        let mut names: Vec<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        names.extend(logs(&self.path));
        let size = |name: String| {
            let file = inside::open_inside(&self.path, &name).ok()?;
            Some((name, file.metadata().ok()?.len()))
        };
        names.into_iter().filter_map(size).collect()
    }

    /// All of one of the run's files, which may have `bytes_max` bytes; none if there is no such file. Only names that runs have are read:
    /// neither the nodes' data, nor anything else that lies there.
    ///
    /// # Errors
    /// When it is larger, or cannot be read.
    pub fn read_file(&self, name: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, StoreError> {
        if is_data(name) || self::bytes_max(name).is_none() {
            return Ok(None);
        }
        match inside::read_inside(&self.path, name, bytes_max) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("read", &self.path.join(name), error)),
        }
    }
}

/// The names of the nodes' logs, in order of their numbers.
fn logs(run: &Path) -> Vec<String> {
    let folder = run.join("nodes");
    if !folder.symlink_metadata().is_ok_and(|folder| folder.is_dir()) {
        return Vec::new();
    }
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = names
        .filter_map(|entry| Some(format!("nodes/{}", entry.file_name().to_str()?)))
        .filter(|name| bytes_max(name).is_some())
        .collect();
    names.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    names
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::{Manifest, Store};

    #[test]
    fn only_what_runs_have_is_listed_and_read() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("secret"), "secret").unwrap();
        let store = Store::open(root.path()).unwrap();
        let run = store.create_run(&Manifest::here(1, json!({}))).unwrap();
        for node in [12, 2, 1] {
            run.open_node_log(node).unwrap();
        }
        fs::create_dir(run.path().join("data")).unwrap();
        for name in ["nodes/x.log", "nodes/0.log", "data/1", "notes.txt"] {
            fs::write(run.path().join(name), "other").unwrap();
        }
        std::os::unix::fs::symlink(root.path().join("secret"), run.path().join("report.html")).unwrap();
        std::os::unix::fs::symlink(root.path(), run.path().join("nodes/3.log")).unwrap();
        let names: Vec<String> = run.files().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["manifest.json", "nodes/1.log", "nodes/2.log", "nodes/12.log"]);
        assert!(run.read_file("manifest.json", 1 << 20).unwrap().unwrap().starts_with(b"{"));
        assert!(run.read_file("manifest.json", 10).is_err(), "larger than that");
        assert_eq!(run.read_file("verdict.json", 10).unwrap(), None);
        for name in ["../secret", "/etc/passwd", "data/1", "notes.txt", "nodes/x.log", "", ".", "nodes", "lock"] {
            assert_eq!(run.read_file(name, 1 << 20).unwrap(), None, "{name}");
        }
        assert!(run.read_file("report.html", 1 << 20).is_err(), "a link is not followed");
    }
}
