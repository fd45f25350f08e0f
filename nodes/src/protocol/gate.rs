//! Lets each forwarded command into the log at most once.
//!
//! A forward names the leadership (term, ballot or epoch) in which its receiver leads. That is one stretch of time in one life of one
//! process, so a volatile memory of the names seen in it is enough: outside it the command is never taken, inside it only once.

use std::collections::{BTreeMap, BTreeSet};

use super::NodeId;

/// So many names of one origin are remembered one by one; older ones all count as seen.
const NAMES_MAX: usize = 4096;

/// The names seen in this server's newest leadership.
#[derive(Debug, Default)]
pub(super) struct ForwardGate<L> {
    /// That leadership. The default is nobody's.
    leadership: L,
    origins: BTreeMap<NodeId, Seen>,
}

/// The names seen of one origin.
#[derive(Debug, Default)]
struct Seen {
    life: u64,
    /// All names up to here were seen, or are too old to tell.
    floor: u64,
    above: BTreeSet<u64>,
}

impl<L: Copy + PartialEq> ForwardGate<L> {
    /// A leadership begins.
    pub fn open(&mut self, leadership: L) {
        *self = Self { leadership, origins: BTreeMap::new() };
    }

    /// Whether this process led, or leads, in this leadership, and remembers.
    pub fn knows(&self, leadership: L) -> bool {
        self.leadership == leadership
    }

    /// Whether this name is seen for the first time; from now on it is not.
    pub fn is_new(&mut self, origin: NodeId, life: u64, id: u64) -> bool {
        let seen = self.origins.entry(origin).or_default();
        if life < seen.life {
            return false;
        }
        if life > seen.life {
            *seen = Seen { life, ..Seen::default() };
        }
        if id <= seen.floor || !seen.above.insert(id) {
            return false;
        }
        // The origin counts from its own first command on, which may have gone to another leader.
        while seen.above.remove(&(seen.floor + 1)) {
            seen.floor += 1;
        }
        if seen.above.len() > NAMES_MAX {
            seen.floor = seen.above.pop_first().expect("not empty");
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId(1);

    #[test]
    fn a_name_passes_once_a_life() {
        let mut gate = ForwardGate::<u64>::default();
        gate.open(3);
        assert!(gate.knows(3) && !gate.knows(2));
        for id in [2, 1, 5] {
            assert!(gate.is_new(A, 1, id));
        }
        for id in [1, 2, 5] {
            assert!(!gate.is_new(A, 1, id));
        }
        assert!(gate.is_new(NodeId(2), 1, 1), "each origin counts for itself");
        assert!(gate.is_new(A, 2, 1), "a new life counts anew");
        assert!(!gate.is_new(A, 1, 9), "a life that is over is not heard");
    }

    #[test]
    fn memory_is_bounded_and_errs_towards_seen() {
        let mut gate = ForwardGate::<u64>::default();
        let last = 3 * NAMES_MAX as u64;
        for id in (0..last).map(|i| 2 * i + 10) {
            assert!(gate.is_new(A, 1, id));
        }
        assert!(gate.origins[&A].above.len() <= NAMES_MAX);
        assert!(!gate.is_new(A, 1, 11), "too old to tell, so not new");
        assert!(gate.is_new(A, 1, 2 * last + 7), "a gap within the window is still open");
    }
}
