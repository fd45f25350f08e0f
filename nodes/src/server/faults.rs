//! Faults that only the node itself can have: a slow or failing disk, a clock that runs wrong, a torn last write.
//!
//! ```text
//!   --faults-file ──read at start, and at SIGUSR2──> Faults ──┬──> storage thread: slow or failing sync
//!                                                             ├──> driver: rate of the clock, offset of the wall clock
//!                                                             └──> SIGUSR1: a torn tail
//! ```
//!
//! Whoever tests the node writes the file; the node never does. A file that cannot be read or understood is logged, and changes
//! nothing: half a fault would be one that nobody asked for.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::logging::Log;
use crate::storage::writer::DiskFaults;

/// The longest wait before a sync: well below what a power loss may take.
pub const SYNC_DELAY_MS_MAX: u64 = 1_000;
/// The clock may run so much faster, or slower, than time.
pub const CLOCK_FACTOR_MAX: f64 = 100.0;

/// What is wrong with a node. The default is nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// The storage thread waits so long before each sync, milliseconds.
    pub sync_delay_ms: u64,
    /// The node's clock runs so many times as fast as time; never backwards.
    pub clock_rate: f64,
    /// The wall clock was set: it is off by so many milliseconds.
    pub wall_clock_offset_ms: i64,
    /// The next sync fails, as with EIO, and the process ends with 74.
    pub sync_error: bool,
    /// A power loss tears a record: what survives of the unsynced bytes ends inside one, if there are any.
    pub torn: bool,
}

impl Default for Faults {
    fn default() -> Self {
        Self { sync_delay_ms: 0, clock_rate: 1.0, wall_clock_offset_ms: 0, sync_error: false, torn: false }
    }
}

/// Why a file of faults counts for nothing.
#[derive(Debug, thiserror::Error)]
pub enum FaultsError {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is not what it should be.
    #[error("not understood: {0}")]
    Syntax(#[from] serde_json::Error),
    /// A number is out of its bounds.
    #[error("{name} is {value}, and must be {bounds}")]
    Bounds {
        /// Which.
        name: &'static str,
        /// What it is.
        value: f64,
        /// What it may be.
        bounds: String,
    },
}

impl Faults {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, is no JSON object of these fields, or a number is out of bounds.
    pub fn read(path: &Path) -> Result<Self, FaultsError> {
        Self::parse(&fs::read(path)?)
    }

    /// Reads what a file holds.
    ///
    /// # Errors
    /// As for [`Faults::read`].
    pub fn parse(bytes: &[u8]) -> Result<Self, FaultsError> {
        let faults: Self = serde_json::from_slice(bytes)?;
        if faults.sync_delay_ms > SYNC_DELAY_MS_MAX {
            let (value, bounds) = (faults.sync_delay_ms as f64, format!("at most {SYNC_DELAY_MS_MAX}"));
            return Err(FaultsError::Bounds { name: "sync_delay_ms", value, bounds });
        }
        let factors = 1.0 / CLOCK_FACTOR_MAX..=CLOCK_FACTOR_MAX;
        if !factors.contains(&faults.clock_rate) {
            let bounds = format!("between {} and {}", factors.start(), factors.end());
            return Err(FaultsError::Bounds { name: "clock_rate", value: faults.clock_rate, bounds });
        }
        Ok(faults)
    }
}

/// Brings what the file says to those who suffer it.
#[derive(Debug)]
pub struct FaultSwitch {
    path: Option<PathBuf>,
    now: watch::Sender<Faults>,
    disk: Arc<DiskFaults>,
    log: Log,
}

impl FaultSwitch {
    /// A switch that has read nothing yet. Without a path it never will.
    #[must_use]
    pub fn new(path: Option<PathBuf>, disk: Arc<DiskFaults>, log: Log) -> Self {
        Self { path, now: watch::Sender::new(Faults::default()), disk, log }
    }

    /// The faults of the moment, for whoever suffers them.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Faults> {
        self.now.subscribe()
    }

    /// Reads the file at start, where none means that nothing is wrong.
    pub fn read_at_start(&self) {
        if self.path.as_deref().is_some_and(Path::exists) {
            self.read();
        }
    }

    /// Reads the file, and lets it count from now on.
    pub fn read(&self) {
        let Some(path) = &self.path else {
            self.log.line(format_args!("SIGUSR2 without --faults-file: nothing changes"));
            return;
        };
        match Faults::read(path) {
            Ok(faults) => {
                self.log.line(format_args!("faults {faults:?}"));
                self.disk.set_sync_delay_ms(faults.sync_delay_ms);
                self.disk.set_sync_error(faults.sync_error);
                self.now.send_replace(faults);
            }
            Err(error) => {
                self.log.line(format_args!("faults file {} changes nothing: {error}", path.display()));
            }
        }
    }

    /// Whether a power loss at this moment tears a record: asked of the file itself, which may be newer than the last signal.
    #[must_use]
    pub fn is_torn(&self) -> bool {
        let on_file = self.path.as_deref().and_then(|path| Faults::read(path).ok());
        on_file.unwrap_or_else(|| self.now.borrow().clone()).torn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_may_be_left_out() {
        assert_eq!(Faults::parse(b"{}").unwrap(), Faults::default());
        let faults = Faults::parse(br#"{"clock_rate":0.5,"torn":true}"#).unwrap();
        assert_eq!(faults, Faults { clock_rate: 0.5, torn: true, ..Faults::default() });
    }

    #[test]
    fn nonsense_is_refused() {
        let bad: [&[u8]; 7] = [
            b"",
            b"3",
            br#"{"sync_delay":50}"#,
            br#"{"sync_delay_ms":-1}"#,
            br#"{"sync_delay_ms":1001}"#,
            br#"{"clock_rate":0}"#,
            br#"{"clock_rate":1e9}"#,
        ];
        for bytes in bad {
            assert!(Faults::parse(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_bad_file_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("faults.json");
        let switch = FaultSwitch::new(Some(path.clone()), Arc::default(), Log::new(crate::protocol::NodeId(1)));
        let faults = switch.subscribe();
        switch.read_at_start();
        assert_eq!(*faults.borrow(), Faults::default());
        fs::write(&path, r#"{"torn":true}"#).unwrap();
        // Not told yet, but a power loss looks for itself.
        assert!(switch.is_torn() && !faults.borrow().torn);
        switch.read();
        assert!(faults.borrow().torn);
        fs::write(&path, r#"{"torn":fal"#).unwrap();
        switch.read();
        assert!(faults.borrow().torn && switch.is_torn());
    }
}
