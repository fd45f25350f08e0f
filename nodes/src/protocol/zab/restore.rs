//! Starting from what the disk holds.

use std::{collections::VecDeque, sync::Arc};

use rand_pcg::Pcg64;

use super::{
    Epochs, Phase, Place, Record, Zab,
    following::Following,
    follows,
    history::History,
    reads::FollowerReads,
    rules::Rules,
    types::{Image, Snapshot},
};
use crate::{
    machine::Machine,
    protocol::{
        Config, RestoreError, Stored, Time,
        asked::Asked,
        durability::Durability,
        gate::ForwardGate,
        image::{read_image, read_machine},
    },
};

/// What the records behind a snapshot add up to.
struct Replayed {
    epochs: Epochs,
    life: u64,
    history: History,
}

impl Zab {
    /// A server with the promises of its earlier lives. What is committed behind the snapshot it must learn anew.
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
        let covered = snapshot.as_ref().map_or_else(Place::default, |s| s.place);
        let replayed = replay(covered, stored.records, rules.is_mutated())?;
        let last = replayed.history.last().position;
        let applied = rules.applied_at_restart(covered.position, last);
        let mut zab = Self {
            peers: config.voters.iter().copied().filter(|&v| v != config.id).collect(),
            rules,
            rng,
            now,
            epochs: replayed.epochs,
            recorded: replayed.epochs,
            epochs_changed: false,
            durability: Durability::new(last),
            history: replayed.history,
            snapshot,
            life: replayed.life + 1,
            life_recorded: false,
            machine,
            commit: covered.position,
            applied: covered.position,
            // Until the first step, which looks for a leader.
            phase: Phase::Following(Following::of_nobody(config.id, now)),
            round: 0,
            gate: ForwardGate::default(),
            forwarded: Asked::default(),
            follower_reads: FollowerReads::default(),
            arriving: None,
            to_feed: VecDeque::new(),
            prepared: Vec::new(),
            config,
        };
        zab.apply_to(applied);
        Ok(zab)
    }
}

fn open_snapshot(config: &Config, bytes: Vec<u8>) -> Result<(Snapshot, Machine), RestoreError> {
    let image = read_image(&bytes, |image: &Image| image.format, Image::FORMAT)?;
    if image.voters != config.voters {
        return Err(RestoreError(format!("the snapshot's voters are {:?}, not {:?}", image.voters, config.voters)));
    }
    let machine = read_machine(&image.machine)?;
    Ok((Snapshot { place: image.place, bytes: Arc::new(bytes) }, machine))
}

/// Replays the records. What a mutant wrote need not fit together; there, what does not is passed over.
fn replay(covered: Place, records: Vec<Record>, is_mutated: bool) -> Result<Replayed, RestoreError> {
    let mut replayed = Replayed { epochs: Epochs::default(), life: 0, history: History::behind(covered) };
    for (at, record) in records.into_iter().enumerate() {
        if let Err(what) = replayed.take(at == 0, covered, record)
            && !is_mutated
        {
            return Err(RestoreError(what));
        }
    }
    let (last, accepted) = (replayed.history.last(), replayed.epochs.accepted);
    if last.zxid.epoch > accepted && !is_mutated {
        return Err(RestoreError(format!("the history ends at {last:?}, but only {accepted:?} was accepted")));
    }
    if !replayed.history.holds(covered) {
        if !is_mutated {
            return Err(RestoreError(format!("the history does not hold {covered:?} as the snapshot does")));
        }
        replayed.history = History::behind(covered);
    }
    Ok(replayed)
}

impl Replayed {
    fn take(&mut self, is_first: bool, covered: Place, record: Record) -> Result<(), String> {
        match record {
            Record::Base(place) if is_first && place <= covered => self.history = History::behind(place),
            Record::Base(place) => return Err(format!("the history cannot begin behind {place:?} here")),
            Record::Epochs(epochs) => {
                let before = self.epochs;
                let changes_leader = epochs.accepted == before.accepted
                    && before.accepted_from.is_some()
                    && epochs.accepted_from != before.accepted_from;
                let goes_back = epochs.accepted < before.accepted || epochs.current < before.current;
                if goes_back || changes_leader || epochs.current > epochs.accepted {
                    return Err(format!("{epochs:?} comes after {before:?}"));
                }
                self.epochs = epochs;
            }
            Record::Life(life) if life <= self.life => return Err(format!("life {life} comes after {}", self.life)),
            Record::Life(life) => self.life = life,
            Record::Proposal(proposal) => {
                let last = self.history.last();
                if !follows(last.zxid, proposal.zxid) {
                    return Err(format!("{:?} comes after {last:?}", proposal.zxid));
                }
                self.history.push(proposal);
            }
            Record::Truncate(position) => {
                if position < covered.position || position > self.history.last().position {
                    return Err(format!("the history cannot be cut behind {position:?}"));
                }
                self.history.truncate_to(position);
            }
        }
        Ok(())
    }
}
