//! What goes when only so much of a store is to be kept: the oldest beyond it.
//!
//! ```text
//!   newest                                                oldest
//!   ├── kept: so many, or so many bytes ──┤── removed ── pinned or running: kept ── removed ──┤
//! ```
//!
//! What is pinned, and what is still going on, is kept whatever its age; it counts as kept. A hunt, a gate, a bench or a replay counts
//! as one.

use super::{Collection, RunDir, RunId, RunState, Store, StoreError};

/// The file that says that a person wants to keep this.
const PINNED: &str = "pinned";

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// So many of the newest.
    Last(usize),
    /// So many bytes on the disk.
    Bytes(u64),
}

/// One thing that a store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A run.
    Run(RunDir),
    /// Runs that belong together.
    Collection(Collection),
}

impl Item {
    /// When it began, as its name has it.
    #[must_use]
    pub fn id(&self) -> &RunId {
        match self {
            Self::Run(run) => run.id(),
            Self::Collection(collection) => collection.id(),
        }
    }

    /// The name of its directory.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Run(run) => run.id().to_string(),
            Self::Collection(collection) => collection.name(),
        }
    }

    /// How far it has come.
    #[must_use]
    pub fn state(&self) -> RunState {
        match self {
            Self::Run(run) => run.state(),
            Self::Collection(collection) => collection.state(),
        }
    }

    /// The room it takes on the disk.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Run(run) => run.bytes(),
            Self::Collection(collection) => collection.bytes(),
        }
    }

    /// Whether a person wants to keep it.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.path().join(PINNED).symlink_metadata().is_ok()
    }

    /// Says that a person wants to keep it, or no longer.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn pin(&self, pinned: bool) -> Result<(), StoreError> {
        let path = self.path().join(PINNED);
        match pinned {
            true => super::write_whole(self.path(), PINNED, b""),
            false => match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(StoreError::io("remove", &path, error))
                }
                Ok(()) | Err(_) => Ok(()),
            },
        }
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        match self {
            Self::Run(run) => run.path(),
            Self::Collection(collection) => collection.path(),
        }
    }
}

impl Store {
    /// Everything, the oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn items(&self) -> Result<Vec<Item>, StoreError> {
        let run = |id: RunId| Item::Run(RunDir::at(self.root.join(id.as_str()), id));
        let mut items: Vec<Item> = self.runs()?.into_iter().map(run).collect();
        items.extend(self.collections()?.into_iter().map(Item::Collection));
        items.sort_by(|a, b| a.id().cmp(b.id()));
        Ok(items)
    }

    /// Removes one thing.
    ///
    /// # Errors
    /// [`StoreError::Busy`] while it goes on; and when it cannot be removed.
    pub fn remove_item(&self, item: &Item) -> Result<(), StoreError> {
        match item {
            Item::Run(run) => self.remove_run(run),
            Item::Collection(collection) => self.remove_collection(collection),
        }
    }
}

/// As far as keeping goes.
#[derive(Clone, Copy, Debug)]
pub struct Weight {
    /// On the disk.
    pub bytes: u64,
    /// It is pinned, or still goes on.
    pub is_kept: bool,
}

impl Weight {
    /// Of one thing in a store.
    #[must_use]
    pub fn of(item: &Item) -> Self {
        Self { bytes: item.bytes(), is_kept: item.is_pinned() || item.state() == RunState::Running }
    }
}

/// The places of those that go, given the oldest first. Time is linear.
#[must_use]
pub fn beyond(items: &[Weight], keep: Keep) -> Vec<usize> {
    let kept_anyhow = items.iter().filter(|item| item.is_kept);
    let (mut left, cost): (u64, fn(&Weight) -> u64) = match keep {
        Keep::Last(count) => ((count as u64).saturating_sub(kept_anyhow.count() as u64), |_| 1),
        Keep::Bytes(bytes) => (bytes.saturating_sub(kept_anyhow.map(|item| item.bytes).sum()), |item| item.bytes),
    };
    let mut is_over = false;
    let mut gone: Vec<usize> = Vec::new();
    for (place, item) in items.iter().enumerate().rev().filter(|(_, item)| !item.is_kept) {
        match left.checked_sub(cost(item)) {
            // Once one is too many, all that are older go: what is kept has no gaps.
            Some(rest) if !is_over => left = rest,
            _ => {
                is_over = true;
                gone.push(place);
            }
        }
    }
    gone.reverse();
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(items: &[(u64, bool)]) -> Vec<Weight> {
        items.iter().map(|&(bytes, is_kept)| Weight { bytes, is_kept }).collect()
    }

    #[test]
    fn the_oldest_beyond_go_and_what_is_pinned_stays() {
        let five = weights(&[(10, false), (20, true), (30, false), (1, false), (5, false)]);
        for (keep, gone) in [
            (Keep::Last(5), &[][..]),
            (Keep::Last(9), &[]),
            (Keep::Last(4), &[0]),
            (Keep::Last(3), &[0, 2]),
            (Keep::Last(1), &[0, 2, 3, 4]),
            (Keep::Last(0), &[0, 2, 3, 4]),
            (Keep::Bytes(66), &[]),
            (Keep::Bytes(65), &[0]),
            (Keep::Bytes(56), &[0]),
            // The third does not fit, so the first goes too, though it would.
            (Keep::Bytes(55), &[0, 2]),
            (Keep::Bytes(25), &[0, 2, 3]),
            (Keep::Bytes(0), &[0, 2, 3, 4]),
        ] {
            assert_eq!(beyond(&five, keep), gone, "{keep:?}");
        }
        assert_eq!(beyond(&[], Keep::Last(0)), [0; 0]);
    }
}
