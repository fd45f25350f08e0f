//! The simulated network: loss, duplication, delay (and so reordering), and links cut in one direction or both.

use nodes::protocol::NodeId;
use rand::{RngExt, seq::SliceRandom};

use crate::schedule::{Generator, MICROSECOND, Schedule, pick};

/// Which links are cut.
pub struct Network {
    nodes: usize,
    /// `cut[from][to]`, by index.
    cut: Vec<Vec<bool>>,
    /// Whether a cut also stops what is under way.
    stops_under_way: bool,
    pub dropped: u64,
    pub duplicated: u64,
}

/// The index of a node.
pub fn index(id: NodeId) -> usize {
    usize::try_from(id.0).expect("few nodes") - 1
}

impl Network {
    pub fn new(nodes: usize) -> Self {
        Self { nodes, cut: vec![vec![false; nodes]; nodes], stops_under_way: false, dropped: 0, duplicated: 0 }
    }

    /// After which delays a message sent now arrives: once for each copy, so none if it is lost.
    pub fn delays(&mut self, rng: &mut Generator, schedule: &Schedule, from: usize, to: usize) -> Vec<u64> {
        if self.cut[from][to] || rng.random_bool(schedule.loss) {
            self.dropped += 1;
            return Vec::new();
        }
        let mut delay = || {
            let straggles = rng.random_bool(schedule.straggle);
            let max = if straggles { schedule.straggle_max } else { schedule.delay_max };
            rng.random_range(50 * MICROSECOND..=max)
        };
        let mut delays = vec![delay()];
        if schedule.duplication > 0.0 {
            let copy = delay();
            if rng.random_bool(schedule.duplication) {
                self.duplicated += 1;
                delays.push(copy);
            }
        }
        delays
    }

    /// Whether what was under way on this link gets through now.
    pub fn arrives(&mut self, from: usize, to: usize) -> bool {
        let stopped = self.stops_under_way && self.cut[from][to];
        self.dropped += u64::from(stopped);
        !stopped
    }

    pub fn heal(&mut self) {
        self.cut.iter_mut().for_each(|row| row.fill(false));
    }

    /// A new partition in place of the old. `leader` is who leads now, if anyone: the most interesting node to cut off.
    pub fn partition(&mut self, rng: &mut Generator, leader: Option<usize>) -> &'static str {
        self.heal();
        self.stops_under_way = rng.random_bool(0.5);
        let target = leader.unwrap_or_else(|| rng.random_range(0..self.nodes));
        match pick(rng, &[0, 0, 1, 1, 2, 3, 4, 5]) {
            0 => {
                self.isolate(target, true, true);
                "one node isolated"
            }
            1 => {
                self.halves(rng);
                "halves"
            }
            2 => {
                self.isolate(target, true, false);
                "one node cannot send"
            }
            3 => {
                self.isolate(target, false, true);
                "one node cannot receive"
            }
            4 => {
                for row in &mut self.cut {
                    row.iter_mut().for_each(|cut| *cut = rng.random_bool(0.3));
                }
                "random links"
            }
            _ => {
                self.halves(rng);
                let bridge = rng.random_range(0..self.nodes);
                for other in 0..self.nodes {
                    self.cut[bridge][other] = false;
                    self.cut[other][bridge] = false;
                }
                "bridge"
            }
        }
    }

    fn isolate(&mut self, node: usize, sends: bool, receives: bool) {
        for other in (0..self.nodes).filter(|&other| other != node) {
            self.cut[node][other] |= sends;
            self.cut[other][node] |= receives;
        }
    }

    fn halves(&mut self, rng: &mut Generator) {
        let mut order: Vec<usize> = (0..self.nodes).collect();
        order.shuffle(rng);
        let (one, two) = order.split_at(self.nodes / 2);
        for &a in one {
            for &b in two {
                self.cut[a][b] = true;
                self.cut[b][a] = true;
            }
        }
    }
}
