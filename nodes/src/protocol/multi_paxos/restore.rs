//! Starting from what the disk holds.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use rand_pcg::Pcg64;

use super::{
    Ballot, MultiPaxos, Record, Slot,
    election::Role,
    log::Log,
    reads::{FollowerReads, QuorumReads},
    rules::Rules,
    standing::Standing,
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
#[derive(Default)]
struct Replayed {
    /// The highest ballot of any record.
    seen: Ballot,
    promised: Ballot,
    life: u64,
    born: Option<u64>,
    fit: Option<BTreeMap<NodeId, u64>>,
    log: Log,
}

impl MultiPaxos {
    /// A follower with the promises of its earlier lives. What is chosen above the snapshot it must learn anew.
    pub(super) fn rebuild(config: Config, stored: Stored<Record>, now: Time, rng: Pcg64) -> Result<Self, RestoreError> {
        config.check_static()?;
        let mut rules = Rules::new(config.mutant);
        let (snapshot, machine) = match stored.snapshot {
            Some(bytes) => {
                let (snapshot, machine) = open_snapshot(&config, bytes)?;
                (Some(snapshot), machine)
            }
            None => (None, Machine::new()),
        };
        let covered = snapshot.as_ref().map_or(Slot(0), |s| s.slot);
        let replayed = replay(covered, stored.records, &mut rules)?;
        let lease = if config.reads == ReadMode::Lease { config.election_timeout_ns } else { 0 };
        let mut node = Self {
            peers: config.voters.iter().copied().filter(|&v| v != config.id).collect(),
            rng,
            now,
            promised: rules.restored_promise(replayed.promised),
            promise_changed: false,
            promised_before: Ballot::NONE,
            asked_from: Slot(0),
            candidate_heard: None,
            log: replayed.log,
            acceptances: 0,
            snapshot,
            // Counted on from the disk's number: so no life on a lost disk had the same.
            life: replayed.born.map_or(config.incarnation, |_| replayed.life).saturating_add(1),
            life_recorded: false,
            durability: Durability::new(0),
            incarnation: replayed.born.unwrap_or(config.incarnation),
            standing: Standing::new(replayed.fit, now),
            no_promise_until: Time(now.0.saturating_add(lease)),
            applied: covered,
            machine,
            rounds: rules.rounds_used(replayed.seen),
            rules,
            role: Role::Follower,
            leader: None,
            leader_ballot: Ballot::NONE,
            leader_heard: None,
            election_at: now,
            through: (Ballot::NONE, Slot(0)),
            gate: ForwardGate::default(),
            forwarded: Asked::default(),
            follower_reads: FollowerReads::default(),
            quorum_reads: QuorumReads::default(),
            arriving: None,
            pull: None,
            to_send: VecDeque::new(),
            config,
        };
        node.reset_election_timer();
        Ok(node)
    }
}

fn open_snapshot(config: &Config, bytes: Vec<u8>) -> Result<(Snapshot, Machine), RestoreError> {
    let image = read_image(&bytes, |image: &SnapshotImage| image.format, SnapshotImage::FORMAT)?;
    if image.voters != config.voters {
        return Err(RestoreError(format!("the snapshot's voters are {:?}, not {:?}", image.voters, config.voters)));
    }
    let machine = read_machine(&image.machine)?;
    Ok((Snapshot { slot: image.slot, bytes: Arc::new(bytes) }, machine))
}

fn replay(covered: Slot, records: Vec<Record>, rules: &mut Rules) -> Result<Replayed, RestoreError> {
    let fail = |what: String| Err(RestoreError(what));
    let mut replayed = Replayed { log: Log::new(covered), ..Replayed::default() };
    for record in records {
        match record {
            Record::Born(disk) if replayed.born.is_some_and(|born| born != disk) => {
                return fail(format!("the disk has two numbers, {disk} and {:?}", replayed.born));
            }
            Record::Born(disk) => replayed.born = Some(disk),
            Record::Fit(known) => replayed.fit = Some(known),
            Record::Life(life) if life <= replayed.life => {
                return fail(format!("life {life} comes after {}", replayed.life));
            }
            Record::Life(life) => replayed.life = life,
            Record::Promise(ballot) if ballot < replayed.promised && !rules.is_mutated() => {
                return fail(format!("the promise of {ballot:?} comes after that of {:?}", replayed.promised));
            }
            Record::Promise(ballot) => replayed.promised = ballot,
            Record::Accept(vote) => {
                replayed.promised = rules.promise_after_accept(replayed.promised, vote.ballot);
                replayed.seen = replayed.seen.max(vote.ballot);
                if vote.slot > covered {
                    replayed.log.accept(vote, 0);
                }
            }
        }
        replayed.seen = replayed.seen.max(replayed.promised);
    }
    Ok(replayed)
}
