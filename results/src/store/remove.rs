//! Removing what a store holds, so that a removal which is broken off leaves nothing half.
//!
//! ```text
//!   20261121-184150-336e ──rename──> .trash-20261121-184150-336e-77c1 ──> removed file by file
//!                                     └─ what is left of it is swept by the next command that looks at the store
//! ```
//!
//! Nothing that somebody is at work in is removed.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Collection, RunDir, RunId, Store, StoreError, collection,
    lock::{LOCK, is_held},
    random_suffix,
};

/// How what is being removed is called.
const TRASH: &str = ".trash-";

/// How what is being imported is called.
pub(super) const IMPORTING: &str = ".import-";

/// What is being imported is locked as soon as it is made; after this long nobody comes back for it.
const MAKING_MAX: Duration = Duration::from_secs(60);

/// Files and directories that are looked at in one item of a store.
const FILES_MAX: usize = 1_000_000;

/// How deep directories are looked into: a run of a hunt, the data of a node, and what a server has there.
const DEPTH_MAX: usize = 32;

impl Store {
    /// Removes a run.
    ///
    /// # Errors
    /// [`StoreError::Busy`] while it goes on; and when it cannot be removed.
    pub fn remove_run(&self, run: &RunDir) -> Result<(), StoreError> {
        self.remove(run.path())
    }

    /// Removes a hunt, or what else holds runs of its own.
    ///
    /// # Errors
    /// As [`remove_run`](Self::remove_run).
    pub fn remove_collection(&self, collection: &Collection) -> Result<(), StoreError> {
        self.remove(collection.path())
    }

    fn remove(&self, path: &Path) -> Result<(), StoreError> {
        if is_busy(path)? {
            return Err(StoreError::Busy { path: path.to_owned() });
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let trash = self.root.join(format!("{TRASH}{name}-{:04x}", random_suffix()));
        fs::rename(path, &trash).map_err(|error| StoreError::io("remove", path, error))?;
        remove_tree(&trash)
    }

    /// Removes what removals and imports that were broken off have left. How many there were.
    ///
    /// # Errors
    /// When the store cannot be read, or a leftover not be removed; the others are.
    pub fn sweep(&self) -> Result<usize, StoreError> {
        let failed = |error| StoreError::io("list the store", &self.root, error);
        let (mut swept, mut first_failure) = (0, None);
        for entry in fs::read_dir(&self.root).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_leftover = is_trash(&name) || is_import(&name) && is_abandoned(&entry.path());
            if !is_leftover || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            match remove_tree(&entry.path()) {
                Ok(()) => swept += 1,
                Err(error) => first_failure = first_failure.or(Some(error)),
            }
        }
        first_failure.map_or(Ok(swept), Err)
    }
}

/// Whether a removal gave this name: somebody else's directory may begin like one, in a store that is no store.
fn is_trash(name: &str) -> bool {
    let item = name.strip_prefix(TRASH).and_then(|rest| rest.rsplit_once('-'));
    item.is_some_and(|(item, end)| {
        is_suffix(end) && (item.parse::<RunId>().is_ok() || collection::parse(item).is_some())
    })
}

/// Whether an import gave this name.
fn is_import(name: &str) -> bool {
    let process = name.strip_prefix(IMPORTING).and_then(|rest| rest.split_once('-'));
    process.is_some_and(|(process, end)| process.parse::<u32>().is_ok() && is_suffix(end))
}

fn is_suffix(end: &str) -> bool {
    end.len() == 4 && end.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Two may sweep at once: what is gone already is as it should be.
pub(super) fn remove_tree(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", path, error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Whether nobody imports there any more.
fn is_abandoned(path: &Path) -> bool {
    let age = path.symlink_metadata().and_then(|file| file.modified()).ok().and_then(|moment| moment.elapsed().ok());
    let has_lock = path.join(LOCK).symlink_metadata().is_ok();
    (has_lock || age.is_some_and(|age| age > MAKING_MAX)) && is_held(path).is_ok_and(|held| !held)
}

/// Whether somebody is at work in a run's directory, or in one of those that a hunt holds.
pub(super) fn is_busy(path: &Path) -> Result<bool, StoreError> {
    if is_held(path)? {
        return Ok(true);
    }
    let mut held = Ok(false);
    walk(path, &mut |file, metadata| {
        if metadata.is_file() && file.file_name().is_some_and(|name| name == LOCK) && matches!(held, Ok(false)) {
            held = file.parent().map_or(Ok(false), is_held);
        }
    });
    held
}

/// The room that something takes on the disk, in bytes. What cannot be looked at counts nothing; links are not followed. Time is linear in
/// the number of files below it.
#[must_use]
pub fn bytes_on_disk(path: &Path) -> u64 {
    let mut blocks = 0_u64;
    walk(path, &mut |_, metadata| blocks = blocks.saturating_add(metadata.blocks()));
    // A block of stat(2) has 512 bytes, whatever the file system.
    blocks.saturating_mul(512)
}

/// Every file and directory from here on, links not followed.
fn walk(path: &Path, see: &mut dyn FnMut(&Path, &fs::Metadata)) {
    let mut waiting: Vec<(PathBuf, usize)> = vec![(path.to_owned(), 0)];
    let mut seen = 0;
    while let Some((path, depth)) = waiting.pop() {
        let Ok(metadata) = path.symlink_metadata() else { continue };
        see(&path, &metadata);
        seen += 1;
        if !metadata.is_dir() || depth == DEPTH_MAX || seen + waiting.len() > FILES_MAX {
            continue;
        }
        let entries = fs::read_dir(&path).into_iter().flatten().flatten().take(FILES_MAX);
        waiting.extend(entries.map(|entry| (entry.path(), depth + 1)));
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use serde_json::json;

    use super::*;
    use crate::store::{CollectionKind, DirLock, Manifest, RunState};

    fn store() -> (tempfile::TempDir, Store, RunDir) {
        let root = tempfile::tempdir().expect("a directory");
        let store = Store::open(root.path()).expect("a store");
        let run = store.create_run(&Manifest::here(1, json!({}))).expect("a run");
        (root, store, run)
    }

    fn names(store: &Store) -> Vec<String> {
        let entries = fs::read_dir(store.path()).expect("listed");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_run_that_goes_on_is_not_removed() {
        let (_root, store, run) = store();
        let seen = store.run(run.id().as_str()).expect("there");
        assert_eq!(seen.state(), RunState::Running);
        let error = store.remove_run(&seen).expect_err("it goes on").to_string();
        assert!(error.contains("is still going on"), "{error}");
        assert!(seen.path().join("manifest.json").exists());
        drop(run);
        assert_eq!(seen.state(), RunState::BrokenOff);
        seen.write_verdict(&json!({"format": 2})).expect("written");
        assert_eq!(seen.state(), RunState::Done);
        store.remove_run(&seen).expect("removed");
        assert_eq!(names(&store), [""; 0]);
        assert!(store.remove_run(&seen).is_err(), "it is gone");
    }

    #[test]
    fn a_directory_that_is_being_made_is_left_alone() {
        let (_root, store, run) = store();
        let making = store.path().join("20261121-011502-ab3f");
        fs::create_dir(&making).expect("made");
        let making = store.run("20261121-011502-ab3f").expect("there");
        assert_eq!(making.state(), RunState::Running);
        assert!(matches!(store.remove_run(&making), Err(StoreError::Busy { .. })));
        let old = std::time::SystemTime::now() - 2 * MAKING_MAX;
        File::open(making.path()).and_then(|file| file.set_modified(old)).expect("aged");
        assert_eq!(making.state(), RunState::BrokenOff);
        store.remove_run(&making).expect("removed");
        assert!(run.path().exists());
    }

    #[test]
    fn a_hunt_is_busy_while_one_of_its_runs_is() {
        let (_root, store, _run) = store();
        let hunt = store.create_collection(CollectionKind::Hunt).expect("a hunt");
        let inner = hunt.run_store("raft-x/seed-1").expect("a store").create_run(&Manifest::here(1, json!({})));
        let inner = inner.expect("a run");
        let [seen] = &store.collections().expect("listed")[..] else { panic!("one hunt") };
        assert_eq!(seen.state(), RunState::Running);
        drop(hunt);
        assert!(matches!(store.remove_collection(seen), Err(StoreError::Busy { .. })), "a run of it goes on");
        drop(inner);
        assert_eq!(seen.state(), RunState::BrokenOff);
        assert!(seen.bytes() >= 4096, "{}", seen.bytes());
        store.remove_collection(seen).expect("removed");
        assert_eq!(store.collections().expect("listed"), []);
    }

    #[test]
    fn leftovers_are_swept_and_nothing_else() {
        let (root, store, run) = store();
        let outside = root.path().join("outside");
        fs::create_dir_all(outside.join("kept")).expect("made");
        for name in [".trash-20261121-011502-ab3f-0000", ".import-1-00aa", ".import-2-00ab"] {
            fs::create_dir_all(store.path().join(name).join("nodes")).expect("made");
            File::create(store.path().join(name).join("nodes/1.log")).expect("made");
        }
        // What somebody else calls so stays.
        for name in [".trash-mine", ".import-photos"] {
            fs::create_dir(store.path().join(name)).expect("made");
        }
        // Nobody holds the lock of the first any more; the second is held.
        drop(DirLock::hold(&store.path().join(".import-1-00aa")).expect("locked"));
        let importing = DirLock::hold(&store.path().join(".import-2-00ab")).expect("locked");
        std::os::unix::fs::symlink(&outside, store.path().join(".trash-link")).expect("linked");
        std::os::unix::fs::symlink(&outside, store.path().join(".trash-20261121-011502-ab3f-0000/out"))
            .expect("linked");
        assert_eq!(store.sweep().expect("swept"), 2);
        let mut left = names(&store);
        left.sort();
        assert_eq!(
            left,
            [".import-2-00ab", ".import-photos", ".trash-link", ".trash-mine", run.id().as_str(), "outside"]
        );
        assert!(outside.join("kept").exists());
        drop(importing);
        assert_eq!((store.sweep().expect("swept"), store.sweep().expect("nothing left")), (1, 0));
    }

    #[test]
    fn holes_take_no_room_and_links_are_not_followed() {
        let (root, _store, run) = store();
        let before = bytes_on_disk(run.path());
        File::create(run.path().join("huge")).and_then(|file| file.set_len(1 << 40)).expect("made");
        std::os::unix::fs::symlink(root.path(), run.path().join("up")).expect("linked");
        assert!(bytes_on_disk(run.path()) < before + (1 << 20));
        fs::write(run.path().join("full"), vec![b'x'; 1 << 20]).expect("written");
        assert!(bytes_on_disk(run.path()) >= before + (1 << 20));
    }
}
