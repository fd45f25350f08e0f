//! Starting from what the disk holds.

use std::{collections::BTreeSet, sync::Arc};

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
    protocol::{Config, RestoreError, Stored, Time, asked::Asked, durability::Durability, gate::ForwardGate},
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
        check_config(&config)?;
        let (snapshot, membership, machine) = match stored.snapshot {
            Some(bytes) => {
                let (snapshot, membership, machine) = open_snapshot(&config, bytes)?;
                (Some(snapshot), membership, machine)
            }
            None => (None, Membership::new(config.voters.clone(), Vec::new()), Machine::new()),
        };
        let covered = snapshot.as_ref().map_or((LogIndex(0), Term(0)), |s| (s.index, s.term));
        let replayed = replay(covered, stored.records)?;
        check_members(&config, &replayed.log)?;
        let memberships = Memberships::new(covered.0, membership, replayed.log.entries());
        let mut raft = Self {
            memberships,
            rules: Rules::new(config.mutant),
            rng,
            now,
            hard: replayed.hard,
            hard_changed: false,
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

fn check_config(config: &Config) -> Result<(), RestoreError> {
    let distinct: BTreeSet<_> = config.nodes.iter().collect();
    let problem = if !distinct.contains(&config.id) {
        "this node is not among the nodes"
    } else if distinct.len() != config.nodes.len() {
        "a node is named twice"
    } else if !Membership::new(config.voters.clone(), Vec::new()).is_sound(&config.nodes) {
        "there must be voters, each named once, and all among the nodes"
    } else if config.heartbeat_ns == 0 || config.election_timeout_ns <= config.heartbeat_ns {
        "the election timeout must be longer than the heartbeat interval, and that not 0"
    } else if config.max_inflight == 0 || config.max_pending == 0 {
        "max_inflight and max_pending must not be 0"
    } else {
        return Ok(());
    };
    Err(RestoreError(format!("configuration: {problem}")))
}

fn open_snapshot(config: &Config, bytes: Vec<u8>) -> Result<(Snapshot, Membership, Machine), RestoreError> {
    let image: SnapshotImage =
        postcard::from_bytes(&bytes).map_err(|e| RestoreError(format!("the snapshot cannot be read: {e}")))?;
    if image.format != SnapshotImage::FORMAT {
        return Err(RestoreError(format!("the snapshot has format {}, not {}", image.format, SnapshotImage::FORMAT)));
    }
    if !image.membership.is_sound(&config.nodes) {
        return Err(RestoreError(format!(
            "the snapshot names {:?}, the nodes are {:?}",
            image.membership, config.nodes
        )));
    }
    let machine = Machine::restore(&image.machine)
        .map_err(|e| RestoreError(format!("the machine in the snapshot cannot be read: {e}")))?;
    Ok((Snapshot { index: image.index, term: image.term, bytes: Arc::new(bytes) }, image.membership, machine))
}

/// Every member that the log names must be a node that this one knows how to reach.
fn check_members(config: &Config, log: &Log) -> Result<(), RestoreError> {
    let Some(entry) = log.entries().iter().find(|entry| !entry.payload.is_sound(&config.nodes)) else { return Ok(()) };
    let Entry { index, payload, .. } = entry;
    Err(RestoreError(format!("entry {} names {payload:?}, the nodes are {:?}", index.0, config.nodes)))
}

fn replay(covered: (LogIndex, Term), records: Vec<Record>) -> Result<Replayed, RestoreError> {
    let fail = |what: String| Err(RestoreError(what));
    let mut replayed = Replayed { hard: HardState::default(), life: 0, log: Log::new(covered) };
    for (at, record) in records.into_iter().enumerate() {
        match record {
            Record::Base(index, term) if at == 0 && index <= covered.0 => replayed.log = Log::new((index, term)),
            Record::Base(index, _) => return fail(format!("the log cannot begin behind {} here", index.0)),
            Record::HardState(hard) if hard.term < replayed.hard.term => {
                return fail(format!("term {} comes after term {}", hard.term.0, replayed.hard.term.0));
            }
            Record::HardState(hard)
                if hard.term == replayed.hard.term
                    && replayed.hard.voted_for.is_some()
                    && hard.voted_for != replayed.hard.voted_for =>
            {
                return fail(format!("two different votes in term {}", hard.term.0));
            }
            Record::HardState(hard) => replayed.hard = hard,
            Record::Life(life) if life <= replayed.life => {
                return fail(format!("life {life} comes after {}", replayed.life));
            }
            Record::Life(life) => replayed.life = life,
            Record::Entry(entry) if entry.term > replayed.hard.term => {
                return fail(format!("entry {} is of a term not yet seen", entry.index.0));
            }
            Record::Entry(entry) => replayed.log.restore(entry)?,
            Record::Truncate(from) if from <= covered.0 || from > replayed.log.last_index() => {
                return fail(format!("the log cannot be cut from {} on", from.0));
            }
            Record::Truncate(from) => replayed.log.truncate_from(from),
        }
    }
    if replayed.log.term_at(covered.0) != Some(covered.1) {
        return fail(format!("the log does not hold entry {} as the snapshot does", covered.0.0));
    }
    Ok(replayed)
}
