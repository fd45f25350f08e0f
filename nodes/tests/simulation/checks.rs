//! What a protocol's own invariants look like to the world: asked after every step, they say what was committed, or what is wrong.

use std::collections::BTreeSet;

use nodes::{
    machine::Command,
    protocol::{Protocol, ReadMode, Request},
};

use crate::schedule::{Generator, Schedule};

/// One committed entry, told exactly once and in order of the log.
#[derive(Clone, Debug)]
pub struct Committed {
    pub index: u64,
    /// None for an entry that the machine does not see.
    pub command: Option<Command>,
}

/// How far a node's machine is.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub commit: u64,
    pub applied: u64,
    pub digest: u64,
}

/// The invariants of one protocol, over a whole cluster and all its lives.
pub trait Checks<P: Protocol> {
    /// Whether the members of the cluster can change.
    const CHANGES_MEMBERSHIP: bool = false;

    fn new(nodes: usize) -> Self;

    /// After a step of `node`; `news` gets what is committed now and was not before, anywhere.
    fn after_step(&mut self, node: usize, core: &P, news: &mut Vec<Committed>) -> Result<Seen, String>;

    /// After `node` came back with what its disk held; before its first step.
    fn restarted(&mut self, node: usize, core: &P) -> Result<(), String>;

    /// A message leaves. What it says binds the sender from now on, through every crash.
    fn told(&mut self, from: usize, to: usize, message: &P::Message);

    /// The kind of a message, for traces and counts.
    fn kind(message: &P::Message) -> &'static str;

    /// Whether this message carries state instead of a log.
    fn carries_snapshot(message: &P::Message) -> bool;

    /// Who leads, as far as the nodes themselves believe; the newest leader if several do.
    fn leader(&self) -> Option<usize>;

    /// How many leaders there were.
    fn leaders(&self) -> u64;

    /// How often a node's log was replaced by a snapshot of another's.
    fn snapshots_installed(&self) -> u64;

    /// How often a node's log lost entries to a newer leader's.
    fn truncations(&self) -> u64;

    /// Who the members are by now, as far as the newest leader knows. None while nobody leads; and where it is always everyone.
    fn members(&self) -> Option<BTreeSet<usize>> {
        None
    }

    /// A change of members worth asking for.
    fn change(&self, _rng: &mut Generator) -> Option<Request> {
        None
    }

    /// How many memberships were committed, and how many of them were two configurations at once.
    fn memberships(&self) -> (u64, u64) {
        (0, 0)
    }

    /// How the nodes of this schedule answer reads.
    fn read_mode(schedule: &Schedule) -> ReadMode {
        if schedule.leases && P::READ_MODES.contains(&ReadMode::Lease) { ReadMode::Lease } else { ReadMode::default() }
    }

    /// Whether this node may lose its whole disk now, and the protocol still has to keep its promises.
    fn may_lose_disk(&self, _node: usize) -> bool {
        false
    }

    /// It did: what it promised is forgotten.
    fn disk_lost(&mut self, _node: usize) {}
}
