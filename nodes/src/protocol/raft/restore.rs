//! Starting from what the disk holds.

use std::{collections::BTreeMap, sync::Arc};

use rand_pcg::Pcg64;

use super::{
    Entry, HardState, LogIndex, Raft, Record, Term,
    election::Role,
    log::Log,
    membership::{Membership, Memberships},
    reads::FollowerReads,
    rules::Rules,
    types::{Snapshot, SnapshotImage},
};
use crate::{
    machine::Machine,
    protocol::{
        Config, NodeId, ReadMode, RestoreError, Stored, Time,
        asked::Asked,
        durability::Durability,
        gate::ForwardGate,
        image::{read_image, read_machine},
    },
};

/// What the records behind a snapshot add up to.
struct Replayed {
    hard: HardState,
    life: u64,
    log: Log,
}

impl Raft {
    /// A follower with the promises of its earlier lives. What is committed above the snapshot it must learn anew.
    pub(super) fn rebuild(config: Config, stored: Stored<Record>, now: Time, rng: Pcg64) -> Result<Self, RestoreError> {
        config.check()?;
        let mut rules = Rules::new(config.mutant);
        let empty = Machine::with_dedup(rules.dedup());
        let (snapshot, membership, machine) = match stored.snapshot {
            Some(bytes) => {
                let (snapshot, membership, machine) = open_snapshot(&config, bytes)?;
                (Some(snapshot), membership, machine.in_place_of(&empty))
            }
            None => (None, Membership::new(config.voters.clone(), Vec::new()), empty),
        };
        let covered = snapshot.as_ref().map_or((LogIndex(0), Term(0)), |s| (s.index, s.term));
        let replayed = replay(covered, stored.records, &config.nodes, &rules)?;
        let memberships = Memberships::new(covered.0, membership, replayed.log.entries());
        let hard = rules.restored_hard_state(replayed.hard);
        let votes_from = match config.reads {
            ReadMode::Lease => Time(now.0.saturating_add(config.election_timeout_ns)),
            _ => now,
        };
        let mut raft = Self {
            memberships,
            rules,
            rng,
            now,
            hard,
            hard_changed: false,
            vote_recorded: hard.voted_for,
            durability: Durability::new(replayed.log.last_index()),
            log: replayed.log,
            snapshot,
            life: replayed.life + 1,
            life_recorded: false,
            machine,
            commit: covered.0,
            applied: covered.0,
            role: Role::Follower,
            leader: None,
            leader_heard: None,
            election_at: now,
            votes_from,
            former_matches: BTreeMap::new(),
            wall_offset_ns: 0,
            gate: ForwardGate::default(),
            forwarded: Asked::default(),
            follower_reads: FollowerReads::default(),
            arriving: None,
            to_replicate: std::collections::VecDeque::new(),
            config,
        };
        raft.refresh_membership();
        raft.reset_election_timer();
        Ok(raft)
    }
}

fn open_snapshot(config: &Config, bytes: Vec<u8>) -> Result<(Snapshot, Membership, Machine), RestoreError> {
    let image = read_image(&bytes, |image: &SnapshotImage| image.format, SnapshotImage::FORMAT)?;
    if !image.membership.is_sound(&config.nodes) {
        return Err(RestoreError(format!(
            "the snapshot names {:?}, the nodes are {:?}",
            image.membership, config.nodes
        )));
    }
    let machine = read_machine(&image.machine)?;
    Ok((Snapshot { index: image.index, term: image.term, bytes: Arc::new(bytes) }, image.membership, machine))
}

/// Adds the records up. What contradicts itself stops the node; with a mutant, what does not fit is left out instead, for the bug
/// that wrote it is to show to clients.
fn replay(
    covered: (LogIndex, Term),
    records: Vec<Record>,
    nodes: &[NodeId],
    rules: &Rules,
) -> Result<Replayed, RestoreError> {
    let mut replayed = Replayed { hard: HardState::default(), life: 0, log: Log::new(covered) };
    for (at, record) in records.into_iter().enumerate() {
        let outcome = match record {
            Record::Base(index, term) => replayed.base(at, covered.0, (index, term)),
            Record::HardState(hard) => replayed.hard_state(hard, rules.is_mutated()),
            Record::Life(life) => replayed.life(life),
            Record::Entry(entry) => replayed.entry(entry, nodes, rules),
            Record::Truncate(from) => replayed.truncate(covered.0, from, rules.is_mutated()),
        };
        if !rules.is_mutated() {
            outcome?;
        }
    }
    if replayed.log.term_at(covered.0) != Some(covered.1) {
        if !rules.is_mutated() {
            return fail(format!("the log does not hold entry {} as the snapshot does", covered.0.0));
        }
        if replayed.log.last_index() < covered.0 {
            replayed.log = Log::new(covered);
        }
    }
    Ok(replayed)
}

fn fail<T>(what: String) -> Result<T, RestoreError> {
    Err(RestoreError(what))
}

impl Replayed {
    fn base(&mut self, at: usize, covered: LogIndex, base: (LogIndex, Term)) -> Result<(), RestoreError> {
        if at != 0 || base.0 > covered {
            return fail(format!("the log cannot begin behind {} here", base.0.0));
        }
        self.log = Log::new(base);
        Ok(())
    }

    fn hard_state(&mut self, hard: HardState, mutated: bool) -> Result<(), RestoreError> {
        let before = self.hard;
        if mutated {
            self.hard = hard;
        }
        if hard.term < before.term {
            return fail(format!("term {} comes after term {}", hard.term.0, before.term.0));
        }
        if hard.term == before.term && before.voted_for.is_some() && hard.voted_for != before.voted_for {
            return fail(format!("two different votes in term {}", hard.term.0));
        }
        self.hard = hard;
        Ok(())
    }

    fn life(&mut self, life: u64) -> Result<(), RestoreError> {
        if life <= self.life {
            return fail(format!("life {life} comes after {}", self.life));
        }
        self.life = life;
        Ok(())
    }

    fn entry(&mut self, entry: Entry, nodes: &[NodeId], rules: &Rules) -> Result<(), RestoreError> {
        if !entry.payload.is_sound(nodes) {
            return fail(format!("entry {} names {:?}, the nodes are {nodes:?}", entry.index.0, entry.payload));
        }
        let is_known = self.log.base().0 < entry.index && entry.index <= self.log.last_index();
        if is_known && rules.entries_overwrite() {
            self.log.overwrite(entry);
            return Ok(());
        }
        if !rules.is_mutated() && entry.term > self.hard.term {
            return fail(format!("entry {} is of a term not yet seen", entry.index.0));
        }
        self.log.restore(entry, rules.is_mutated())
    }

    fn truncate(&mut self, covered: LogIndex, from: LogIndex, mutated: bool) -> Result<(), RestoreError> {
        let first = if mutated { self.log.base().0 } else { covered };
        if from <= first || from > self.log.last_index() {
            return fail(format!("the log cannot be cut from {} on", from.0));
        }
        self.log.truncate_from(from);
        Ok(())
    }
}
