//! The invariants of Multi-Paxos, checked after every step of every node.
//!
//! | property | how |
//! |---|---|
//! | one proposer a ballot | `leaders` |
//! | one value a ballot and slot | `proposed`: of every 2a that leaves, and of what a leader accepts itself |
//! | P2c (Lamport, "Paxos Made Simple", 2.2) | once a quorum has accepted (ballot, slot, value) durably, every later ballot proposes that value there, looked at when it is proposed and when the quorum is complete |
//! | chosen means chosen | what a node applies was accepted by a quorum in one ballot, and is the same everywhere: `chosen`; the machines' digests are compared by the world |
//! | in order | what is applied goes forward; an acceptor's promise does |
//! | durable promises | a promise or an acceptance that a message told of outlives every crash, but not the loss of the disk |
//!
//! What was accepted is taken from the 2b that leave, and for a leader's own from its log, as far as it is durable.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use nodes::protocol::{
    Protocol, ReadMode,
    multi_paxos::{Ballot, Message, MultiPaxos, Payload, Slot, View, mutants},
    quorum,
};

use crate::{
    checks::{Checks, Committed, Seen},
    schedule::{Schedule, generator, pick},
};

/// What is known of one node.
#[derive(Clone, Debug, Default)]
struct Mirror {
    promised: Ballot,
    leads: Option<Ballot>,
    applied: u64,
    /// The last slot in its log.
    last: Slot,
    /// It has told others something that only a voter tells.
    voted: bool,
    /// What it accepted as leader and was not durable yet: number of the acceptance, slot, ballot.
    own: VecDeque<(u64, Slot, Ballot)>,
    own_seen: u64,
    steps: u64,
}

/// What others know of one node's acceptor.
#[derive(Clone, Debug, Default)]
struct Told {
    promised: Ballot,
    accepted: BTreeMap<Slot, Ballot>,
}

/// A slot's history.
#[derive(Clone, Debug, Default)]
struct History {
    proposed: BTreeMap<Ballot, Payload>,
    accepted: BTreeMap<Ballot, BTreeSet<usize>>,
    /// The lowest ballot in which a quorum accepted.
    decided: Option<Ballot>,
}

/// Everything that ever was, in one schedule.
pub struct PaxosChecks {
    mirrors: Vec<Mirror>,
    told: Vec<Told>,
    leaders: BTreeMap<Ballot, usize>,
    slots: BTreeMap<Slot, History>,
    /// By slot - 1: what some node applied.
    chosen: Vec<Payload>,
    /// What a message that left was found to be wrong in.
    fault: Option<String>,
    snapshots_installed: u64,
}

fn at(slot: u64) -> usize {
    usize::try_from(slot).expect("logs are short") - 1
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

impl Checks<MultiPaxos> for PaxosChecks {
    fn new(nodes: usize) -> Self {
        Self {
            mirrors: vec![Mirror::default(); nodes],
            told: vec![Told::default(); nodes],
            leaders: BTreeMap::new(),
            slots: BTreeMap::new(),
            chosen: Vec::new(),
            fault: None,
            snapshots_installed: 0,
        }
    }

    fn after_step(&mut self, node: usize, core: &MultiPaxos, news: &mut Vec<Committed>) -> Result<Seen, String> {
        self.check(node, &core.view(), news)
    }

    fn restarted(&mut self, node: usize, core: &MultiPaxos) -> Result<(), String> {
        self.check_restart(node, &core.view())
    }

    fn told(&mut self, from: usize, _to: usize, message: &Message) {
        if let Err(what) = self.note(from, message) {
            self.fault.get_or_insert(what);
        }
    }

    fn kind(message: &Message) -> &'static str {
        match message {
            Message::Accept(m) if m.values.is_empty() => "heartbeat",
            other => {
                let bytes = postcard::to_stdvec(other).expect("messages encode");
                MultiPaxos::MESSAGE_KINDS[usize::from(bytes[0])]
            }
        }
    }

    fn carries_snapshot(message: &Message) -> bool {
        matches!(message, Message::SnapshotChunk(_))
    }

    fn leader(&self) -> Option<usize> {
        (0..self.mirrors.len())
            .filter(|&node| self.mirrors[node].leads.is_some())
            .max_by_key(|&node| self.mirrors[node].leads)
    }

    fn leaders(&self) -> u64 {
        self.leaders.len() as u64
    }

    fn snapshots_installed(&self) -> u64 {
        self.snapshots_installed
    }

    fn truncations(&self) -> u64 {
        0
    }

    fn read_mode(schedule: &Schedule) -> ReadMode {
        let any = pick(&mut generator(schedule.seed, 3), MultiPaxos::READ_MODES);
        schedule.mutant.map_or(any, mutants::reads_of)
    }

    /// At most a minority at a time, and none before all have begun to vote.
    fn may_lose_disk(&self, node: usize) -> bool {
        let others = || self.mirrors.iter().enumerate().filter(|(other, _)| *other != node);
        let without = others().filter(|(_, mirror)| !mirror.voted).count();
        self.told.iter().all(|told| told.promised > Ballot::NONE) && without < (self.mirrors.len() - 1) / 2
    }

    fn disk_lost(&mut self, node: usize) {
        // That it once voted stays known.
        self.told[node].accepted.clear();
        self.mirrors[node] = Mirror::default();
    }
}

impl PaxosChecks {
    /// All the invariants, for one node as it is now.
    pub fn check(&mut self, node: usize, view: &View<'_>, news: &mut Vec<Committed>) -> Result<Seen, String> {
        if let Some(what) = self.fault.take() {
            return Err(what);
        }
        let mirror = &mut self.mirrors[node];
        mirror.steps += 1;
        ensure(view.promised >= mirror.promised, || format!("its promise went back to {:?}", view.promised))?;
        mirror.promised = view.promised;
        self.check_leader(node, view)?;
        self.check_applied(node, view, news)?;
        Ok(Seen { commit: view.applied.0, applied: view.applied.0, digest: view.machine_digest })
    }

    /// A node as its disk brought it back: what it was before is forgotten, what it told others is not.
    pub fn check_restart(&mut self, node: usize, view: &View<'_>) -> Result<(), String> {
        let voted = self.mirrors[node].voted;
        ensure(!voted || view.votes, || "it voted, and does not know that it may".into())?;
        self.mirrors[node] = Mirror { voted, promised: view.promised, ..Mirror::default() };
        ensure(view.leads.is_none(), || "a node woke up as leader".into())?;
        if !voted {
            return Ok(());
        }
        let told = &self.told[node];
        ensure(view.promised >= told.promised, || {
            format!("it told others of its promise {:?}, and now promises {:?}", told.promised, view.promised)
        })?;
        for (&slot, &ballot) in told.accepted.range(view.snapshot.next()..) {
            let here = view.log.get(slot).and_then(|cell| cell.accepted.as_ref()).map(|a| a.ballot);
            ensure(here >= Some(ballot), || {
                format!("it told others that it accepted {slot:?} in {ballot:?}, and now has it in {here:?}")
            })?;
        }
        Ok(())
    }

    fn quorum(&self) -> usize {
        quorum::quorum(self.mirrors.len())
    }

    /// What a message says binds its sender.
    fn note(&mut self, from: usize, message: &Message) -> Result<(), String> {
        match message {
            Message::Prepare(m) => self.note_promise(from, m.ballot),
            Message::Promise(m) => self.note_promise(from, m.ballot),
            Message::Accept(m) => {
                for (offset, payload) in m.values.iter().enumerate() {
                    self.note_proposal(m.first.plus(offset), m.ballot, payload)?;
                }
            }
            Message::Accepted(m) => {
                self.note_promise(from, m.ballot);
                // What is named, and what `through` covers and nobody can know to be chosen.
                let covered = Slot(self.chosen.len() as u64 + 1)..=m.through.unwrap_or_default();
                let covered = (!covered.is_empty()).then(|| self.slots.range(covered)).into_iter().flatten();
                let covered = covered.filter(|(_, h)| h.decided.is_none() && h.proposed.contains_key(&m.ballot));
                let covered: Vec<Slot> = covered.map(|(&slot, _)| slot).collect();
                for slot in (m.first.0..m.first.0 + m.count).map(Slot).chain(covered) {
                    let accepted = self.told[from].accepted.entry(slot).or_default();
                    *accepted = m.ballot.max(*accepted);
                    self.note_acceptance(from, slot, m.ballot)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn note_promise(&mut self, from: usize, ballot: Ballot) {
        self.mirrors[from].voted = true;
        let told = &mut self.told[from];
        told.promised = told.promised.max(ballot);
    }

    /// One value a ballot and slot; and P2c.
    fn note_proposal(&mut self, slot: Slot, ballot: Ballot, payload: &Payload) -> Result<(), String> {
        let history = self.slots.entry(slot).or_default();
        let known = history.proposed.entry(ballot).or_insert_with(|| payload.clone());
        ensure(known == payload, || format!("two values in {slot:?}, {ballot:?}: {known:?} and {payload:?}"))?;
        history.check_decision(slot)
    }

    fn note_acceptance(&mut self, node: usize, slot: Slot, ballot: Ballot) -> Result<(), String> {
        let quorum = self.quorum();
        let history = self.slots.entry(slot).or_default();
        let acceptors = history.accepted.entry(ballot).or_default();
        acceptors.insert(node);
        if acceptors.len() >= quorum && history.decided.is_none_or(|decided| ballot < decided) {
            history.decided = Some(ballot);
            return history.check_decision(slot);
        }
        Ok(())
    }

    /// One proposer a ballot; what it accepts itself counts as proposed, and where it is durable as accepted.
    fn check_leader(&mut self, node: usize, view: &View<'_>) -> Result<(), String> {
        self.mirrors[node].leads = view.leads;
        if let Some(ballot) = view.leads {
            let leader = *self.leaders.entry(ballot).or_insert(node);
            ensure(leader == node, || format!("{ballot:?} has two leaders: {} and {}", leader + 1, node + 1))?;
            let seen = self.mirrors[node].own_seen;
            for (slot, cell) in view.log.above(Slot(self.mirrors[node].applied)) {
                if let Some(new) = cell.accepted.as_ref().filter(|a| a.ballot == ballot && a.number > seen) {
                    self.note_proposal(slot, ballot, &new.payload)?;
                    self.mirrors[node].own.push_back((new.number, slot, ballot));
                    self.mirrors[node].own_seen = new.number;
                }
            }
        }
        while let Some((_, slot, ballot)) = self.mirrors[node].own.pop_front_if(|(number, ..)| *number <= view.durable)
        {
            self.note_acceptance(node, slot, ballot)?;
        }
        Ok(())
    }

    /// What is applied goes forward, slot by slot, and is the same everywhere.
    fn check_applied(&mut self, node: usize, view: &View<'_>, news: &mut Vec<Committed>) -> Result<(), String> {
        let mirror = &mut self.mirrors[node];
        let (before, applied) = (mirror.applied, view.applied.0);
        ensure(applied >= before, || format!("applied went back from {before} to {applied}"))?;
        ensure(view.snapshot.0 <= applied, || format!("a snapshot up to {:?}, applied is {applied}", view.snapshot))?;
        // A snapshot of slots that were not in the log is another node's.
        self.snapshots_installed += u64::from(mirror.steps > 1 && view.snapshot > mirror.last);
        mirror.last = view.log.last();
        mirror.applied = applied;
        for slot in (before + 1..=applied).map(Slot) {
            let known = self.chosen.get(at(slot.0));
            let history = self.slots.get(&slot);
            let decided = history.and_then(|history| history.proposed.get(&history.decided?));
            // It may have gone into a snapshot in this very step.
            let gone = decided.filter(|_| slot <= view.log.base());
            let here = view.log.get(slot).and_then(|cell| cell.chosen()).or(gone);
            let Some(payload) = here else { return Err(format!("{slot:?} is applied, and nobody chose")) };
            if let Some(known) = known {
                ensure(known == payload, || format!("{slot:?} holds {payload:?} here, and elsewhere {known:?}"))?;
                continue;
            }
            ensure(decided == Some(payload), || {
                format!("{slot:?} is applied as {payload:?}; a quorum accepted {decided:?}")
            })?;
            ensure(self.chosen.len() == at(slot.0), || format!("{slot:?} was applied out of order"))?;
            self.chosen.push(payload.clone());
            let command = if let Payload::Command(command) = payload { Some(command.clone()) } else { None };
            news.push(Committed { index: slot.0, command });
        }
        Ok(())
    }
}

impl History {
    /// P2c: what is chosen in one ballot is what all later ones propose.
    fn check_decision(&self, slot: Slot) -> Result<(), String> {
        let Some(decided) = self.decided else { return Ok(()) };
        let value = self.proposed.get(&decided);
        for (ballot, other) in self.proposed.range(decided..) {
            ensure(value == Some(other), || {
                format!("{slot:?} was chosen in {decided:?} as {value:?}; {ballot:?} proposes {other:?}")
            })?;
        }
        Ok(())
    }
}
