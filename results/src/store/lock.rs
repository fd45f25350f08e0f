//! Who is at work in a directory: the run that is still going on holds a lock in it, which the kernel takes back when its process ends,
//! however it ends.
//!
//! | `lock` is held | `verdict.json` | the run is |
//! |---|---|---|
//! | yes | | running |
//! | no | is there | done |
//! | no | is not | broken off: killed, or the harness failed |

use std::{
    fmt,
    fs::{self, File, TryLockError},
    io,
    path::Path,
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{RunDir, StoreError, inside::open_inside};

/// The file that is locked.
pub(super) const LOCK: &str = "lock";

/// A directory without a lock and without a manifest that was made so recently is one that is being made.
const MAKING_MAX: Duration = Duration::from_secs(60);

/// How far a run, or a hunt, has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// It goes on.
    Running,
    /// It came to its end, and says what came out.
    Done,
    /// It ended without saying what came out: it was killed, or the harness failed.
    BrokenOff,
}

impl RunState {
    /// The state in words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::BrokenOff => "broken off",
        }
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Says that somebody is at work in a directory, until the last copy of it is dropped or the process ends.
#[derive(Clone, Debug)]
pub struct DirLock {
    _file: Arc<File>,
}

impl DirLock {
    /// Of this directory, which nobody else is at work in: it was just made.
    ///
    /// # Errors
    /// When the file cannot be made or locked.
    pub fn hold(directory: &Path) -> Result<Self, StoreError> {
        let (path, beside) = (directory.join(LOCK), directory.join("lock.tmp"));
        // Locked before it has its name, so nobody ever finds it and finds it free.
        let lock = || -> io::Result<File> {
            let file = File::create(&beside)?;
            file.try_lock()?;
            fs::rename(&beside, &path)?;
            Ok(file)
        };
        let file = lock().map_err(|error| StoreError::io("lock", &path, error))?;
        Ok(Self { _file: Arc::new(file) })
    }
}

/// Whether somebody is at work in this directory.
///
/// # Errors
/// When the file system cannot tell whether the file is locked.
pub(super) fn is_held(directory: &Path) -> Result<bool, StoreError> {
    match open_inside(directory, LOCK) {
        // Shared, so that two who only look do not take each other for a run.
        Ok(file) => match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(StoreError::io("look at", &directory.join(LOCK), error)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(is_new(directory)),
        // Whoever made that, it is not the lock of a run.
        Err(_) => Ok(false),
    }
}

/// Whether a directory is being made just now.
fn is_new(directory: &Path) -> bool {
    let has_manifest = directory.join("manifest.json").symlink_metadata().is_ok();
    let modified = directory.symlink_metadata().and_then(|directory| directory.modified());
    !has_manifest && modified.is_ok_and(|moment| moment.elapsed().is_ok_and(|age| age < MAKING_MAX))
}

impl RunDir {
    /// How far it has come.
    #[must_use]
    pub fn state(&self) -> RunState {
        match is_held(&self.path) {
            Ok(true) => RunState::Running,
            // Where locks cannot be looked at, a verdict still tells.
            Ok(false) | Err(_) if self.verdict_path().symlink_metadata().is_ok() => RunState::Done,
            Ok(false) | Err(_) => RunState::BrokenOff,
        }
    }
}
