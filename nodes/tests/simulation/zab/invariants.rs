//! Zab's invariants (Junqueira, Reed and Serafini, DSN 2011, section III), checked after every step of every node.
//!
//! | property | how |
//! |---|---|
//! | Integrity | what is committed was prepared by a leader from a client's command: `prepared` |
//! | Total order, Agreement | each position is committed with one zxid, ever: `committed`; the machines' digests are compared by the world |
//! | Local primary order | the counters of an epoch are 1, 2, 3, … along every history |
//! | Global primary order | epochs never fall along a history |
//! | one history a zxid | each zxid has one position, one payload and one predecessor, ever: `named` |
//! | one leader an epoch | `leaders`; and it never cuts its own history |
//! | Primary integrity | what was committed in an epoch is in the history of every leader of a later one, looked at when its phase 3 begins, and again when an earlier epoch commits late |
//! | epochs | acceptedEpoch >= currentEpoch, and neither falls |
//! | durable promises | what a message told of epochs and history outlives every crash |
//!
//! All of it is incremental: a step costs what it changed. `zxids` mirrors each history from position 1 on, also where the node has
//! compacted it.

use std::collections::BTreeMap;

use nodes::{
    machine::Command,
    protocol::{
        NodeId,
        zab::{Epoch, Epochs, Message, Payload, Place, Proposal, View, Zab, Zxid},
    },
};

use crate::checks::{Checks, Committed, Seen};

/// Every so many steps of a node its whole history is compared with the mirror, not only its end.
const FULL_SCAN_EVERY: u64 = 64;

/// What is known of one node.
#[derive(Clone, Debug, Default)]
struct Mirror {
    zxids: Vec<Zxid>,
    base: u64,
    epochs: Epochs,
    leads_in: Option<Epoch>,
    commit: u64,
    applied: u64,
    steps: u64,
}

/// What others know of a node.
#[derive(Clone, Copy, Debug, Default)]
struct Promise {
    accepted: (Epoch, Option<NodeId>),
    current: Epoch,
    /// The history reaches so far, as long as no later epoch is accepted.
    acknowledged: (Epoch, u64),
}

/// A leader, as it was when its phase 3 began.
struct Leader {
    node: usize,
    zxids: Vec<Zxid>,
}

struct CommittedPlace {
    zxid: Zxid,
    /// The epoch of the leader that committed it.
    in_epoch: Epoch,
}

struct Named {
    position: u64,
    before: Zxid,
    payload: Payload,
}

/// Everything that ever was, in one schedule.
pub struct ZabChecks {
    mirrors: Vec<Mirror>,
    promises: Vec<Promise>,
    leaders: BTreeMap<Epoch, Leader>,
    /// Every transaction that any history ever held.
    named: BTreeMap<Zxid, Named>,
    /// The command behind each.
    prepared: BTreeMap<Zxid, Command>,
    /// By position - 1.
    committed: Vec<CommittedPlace>,
    snapshots_installed: u64,
    truncations: u64,
}

fn slot(position: u64) -> usize {
    usize::try_from(position).expect("histories are short") - 1
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

impl Checks<Zab> for ZabChecks {
    fn new(nodes: usize) -> Self {
        Self {
            mirrors: vec![Mirror::default(); nodes],
            promises: vec![Promise::default(); nodes],
            leaders: BTreeMap::new(),
            named: BTreeMap::new(),
            prepared: BTreeMap::new(),
            committed: Vec::new(),
            snapshots_installed: 0,
            truncations: 0,
        }
    }

    fn after_step(&mut self, node: usize, core: &Zab, news: &mut Vec<Committed>) -> Result<Seen, String> {
        self.check(node, &core.view(), news)
    }

    fn restarted(&mut self, node: usize, core: &Zab) -> Result<(), String> {
        self.check_restart(node, &core.view())
    }

    fn told(&mut self, from: usize, to: usize, message: &Message) {
        let id = |node: usize| Some(NodeId(node as u64 + 1));
        let promise = &mut self.promises[from];
        match message {
            Message::FollowerInfo { accepted, from } => promise.accept(*accepted, *from),
            Message::NewEpoch { epoch } => promise.accept(*epoch, id(from)),
            Message::AckEpoch { epoch, .. } => promise.accept(*epoch, id(to)),
            Message::AckNewLeader { epoch, last } => {
                promise.current = promise.current.max(*epoch);
                promise.acknowledge(*epoch, last.position.0);
            }
            Message::Ack { epoch, upto } | Message::Pong { epoch, upto, .. } => promise.acknowledge(*epoch, upto.0),
            _ => {}
        }
    }

    fn kind(message: &Message) -> &'static str {
        match message {
            Message::Notification(_) => "Notification",
            Message::FollowerInfo { .. } => "FollowerInfo",
            Message::NewEpoch { .. } => "NewEpoch",
            Message::AckEpoch { .. } => "AckEpoch",
            Message::Diff(_) => "Diff",
            Message::SnapshotChunk(_) => "SnapshotChunk",
            Message::Have { .. } => "Have",
            Message::HaveChunk { .. } => "HaveChunk",
            Message::NewLeader { .. } => "NewLeader",
            Message::AckNewLeader { .. } => "AckNewLeader",
            Message::UpToDate { .. } => "UpToDate",
            Message::Propose(_) => "Propose",
            Message::Ack { .. } => "Ack",
            Message::Commit { .. } => "Commit",
            Message::Ping { .. } => "Ping",
            Message::Pong { .. } => "Pong",
            Message::Forward(_) => "Forward",
            Message::ForwardReply { .. } => "ForwardReply",
            Message::Sync { .. } => "Sync",
            Message::SyncReply { .. } => "SyncReply",
        }
    }

    fn carries_snapshot(message: &Message) -> bool {
        matches!(message, Message::SnapshotChunk(_))
    }

    fn leader(&self) -> Option<usize> {
        (0..self.mirrors.len())
            .filter(|&node| self.mirrors[node].leads_in.is_some())
            .max_by_key(|&node| self.mirrors[node].leads_in)
    }

    fn leaders(&self) -> u64 {
        self.leaders.len() as u64
    }

    fn snapshots_installed(&self) -> u64 {
        self.snapshots_installed
    }

    fn truncations(&self) -> u64 {
        self.truncations
    }
}

impl Promise {
    fn accept(&mut self, epoch: Epoch, from: Option<NodeId>) {
        if (epoch, from.is_some()) > (self.accepted.0, self.accepted.1.is_some()) {
            self.accepted = (epoch, from);
        }
    }

    fn acknowledge(&mut self, epoch: Epoch, upto: u64) {
        self.acknowledged = self.acknowledged.max((epoch, upto));
    }
}

impl ZabChecks {
    /// All the invariants, for one node as it is now.
    pub fn check(&mut self, node: usize, view: &View<'_>, news: &mut Vec<Committed>) -> Result<Seen, String> {
        self.check_epochs(node, view)?;
        self.check_history(node, view)?;
        self.check_leader(node, view)?;
        self.check_commit(node, view, news)?;
        Ok(Seen { commit: view.commit.0, applied: view.applied.0, digest: view.machine_digest })
    }

    /// A node as its disk brought it back: what it was before is forgotten, what it promised is not.
    pub fn check_restart(&mut self, node: usize, view: &View<'_>) -> Result<(), String> {
        self.mirrors[node] = Mirror::default();
        ensure(!view.is_leader, || "a node woke up as leader".into())?;
        self.check_epochs(node, view)?;
        self.check_history(node, view)?;
        let (epoch, upto) = self.promises[node].acknowledged;
        let last = self.mirrors[node].zxids.len() as u64;
        ensure(view.epochs.accepted > epoch || last >= upto, || {
            format!("it acknowledged {upto} transactions in {epoch:?}, and has {last}")
        })
    }

    /// Epochs never fall, and what was promised stands.
    fn check_epochs(&mut self, node: usize, view: &View<'_>) -> Result<(), String> {
        let mirror = &mut self.mirrors[node];
        let (before, now) = (std::mem::replace(&mut mirror.epochs, view.epochs), view.epochs);
        let promise = self.promises[node];
        ensure(now.accepted >= now.current, || format!("it follows an epoch that it has not accepted: {now:?}"))?;
        ensure(now.accepted >= before.accepted && now.current >= before.current, || {
            format!("its epochs went back from {before:?} to {now:?}")
        })?;
        ensure(now.accepted >= promise.accepted.0 && now.current >= promise.current, || {
            format!("it told others of epochs {promise:?}, and has {now:?}")
        })?;
        let (epoch, from) = promise.accepted;
        ensure(now.accepted > epoch || from.is_none() || now.accepted_from == from, || {
            format!("it accepted {epoch:?} from {from:?}, now from {:?}", now.accepted_from)
        })
    }

    /// One history a zxid, the primary orders, and the mirror brought up to date.
    fn check_history(&mut self, node: usize, view: &View<'_>) -> Result<(), String> {
        self.check_base(node, view.base)?;
        let base = view.base.position.0;
        let mirror = &mut self.mirrors[node];
        let full = mirror.steps.is_multiple_of(FULL_SCAN_EVERY);
        mirror.steps += 1;
        let first = slot(base + 1);
        let known = |at: usize| mirror.zxids.get(first + at) == Some(&view.history[at].zxid);
        // Where the history differs from the mirror it does so from some position to the end: all the way, in a full scan.
        let same = if full {
            (0..view.history.len()).take_while(|&at| known(at)).count()
        } else {
            view.history.len() - (0..view.history.len()).rev().take_while(|&at| !known(at)).count()
        };
        let keep = first + same;
        let led = mirror.leads_in.is_some() && mirror.leads_in == Some(view.epochs.accepted) && view.is_leader;
        ensure(!led || keep >= mirror.zxids.len(), || "a leader cut its own history".into())?;
        self.truncations += u64::from(keep < mirror.zxids.len());
        mirror.zxids.truncate(keep);
        for (at, proposal) in view.history.iter().enumerate().skip(if full { 0 } else { same }) {
            let before = if first + at == 0 { Zxid::default() } else { mirror.zxids[first + at - 1] };
            if first + at >= mirror.zxids.len() {
                in_order(before, proposal.zxid)?;
                ensure(proposal.zxid.epoch <= view.epochs.accepted, || {
                    format!("{:?} is of an epoch that was not accepted", proposal.zxid)
                })?;
                mirror.zxids.push(proposal.zxid);
            }
            one_of_its_name(&mut self.named, base + 1 + at as u64, before, proposal)?;
        }
        for (position, command) in view.prepared {
            if let Some(&zxid) = mirror.zxids.get(slot(position.0)) {
                self.prepared.insert(zxid, command.clone());
            }
        }
        Ok(())
    }

    /// The place where the kept part begins: own transactions compacted, or a snapshot in place of them.
    fn check_base(&mut self, node: usize, base: Place) -> Result<(), String> {
        let mirror = &mut self.mirrors[node];
        let position = base.position.0;
        ensure(position >= mirror.base, || format!("the beginning went back from {} to {position}", mirror.base))?;
        if position == mirror.base {
            return Ok(());
        }
        let is_fresh = mirror.steps == 0;
        mirror.base = position;
        if mirror.zxids.get(slot(position)) == Some(&base.zxid) {
            return Ok(());
        }
        let committed = self.committed.get(slot(position)).map(|place| place.zxid);
        ensure(committed == Some(base.zxid), || {
            format!("a snapshot up to {base:?} in place of transactions; committed there: {committed:?}")
        })?;
        let last_known = mirror.zxids.len();
        mirror.zxids = self.committed[..=slot(position)].iter().map(|place| place.zxid).collect();
        self.snapshots_installed += u64::from(!is_fresh && slot(position) >= last_known);
        Ok(())
    }

    /// One leader an epoch, and Primary integrity.
    fn check_leader(&mut self, node: usize, view: &View<'_>) -> Result<(), String> {
        let mirror = &mut self.mirrors[node];
        let epoch = view.epochs.accepted;
        mirror.leads_in = view.is_leader.then_some(epoch);
        if !view.is_leader {
            return Ok(());
        }
        if let Some(leader) = self.leaders.get(&epoch) {
            return ensure(leader.node == node, || {
                format!("{epoch:?} has two leaders: {} and {}", leader.node + 1, node + 1)
            });
        }
        let leader = Leader { node, zxids: mirror.zxids.clone() };
        for (at, place) in self.committed.iter().enumerate().filter(|(_, place)| place.in_epoch < epoch) {
            complete(&leader, epoch, at, place)?;
        }
        self.leaders.insert(epoch, leader);
        Ok(())
    }

    /// Commit and apply go forward, and each position is committed once.
    fn check_commit(&mut self, node: usize, view: &View<'_>, news: &mut Vec<Committed>) -> Result<(), String> {
        let mirror = &mut self.mirrors[node];
        let (commit, applied) = (view.commit.0, view.applied.0);
        ensure(commit >= mirror.commit, || format!("commit went back from {} to {commit}", mirror.commit))?;
        ensure(applied >= mirror.applied, || format!("applied went back from {} to {applied}", mirror.applied))?;
        ensure(applied <= commit, || format!("applied {applied} is beyond commit {commit}"))?;
        ensure(mirror.base <= applied, || format!("compacted up to {}, applied up to {applied}", mirror.base))?;
        ensure(commit <= mirror.zxids.len() as u64, || format!("commit {commit} is beyond the history's end"))?;
        for position in mirror.commit + 1..=commit {
            let zxid = mirror.zxids[slot(position)];
            if let Some(known) = self.committed.get(slot(position)) {
                ensure(known.zxid == zxid, || {
                    format!("position {position} is committed as {zxid:?} and as {:?}", known.zxid)
                })?;
                continue;
            }
            let place = CommittedPlace { zxid, in_epoch: view.epochs.accepted };
            for (&later, leader) in self.leaders.range(Epoch(view.epochs.accepted.0 + 1)..) {
                complete(leader, later, slot(position), &place)?;
            }
            self.committed.push(place);
            let payload = &self.named.get(&zxid).expect("the mirror saw it").payload;
            let command = self.prepared.get(&zxid).cloned();
            ensure((*payload == Payload::Sync) == command.is_none(), || {
                format!("{zxid:?} is committed, and no leader made it from {command:?}: {payload:?}")
            })?;
            news.push(Committed { index: position, command });
        }
        mirror.commit = commit;
        mirror.applied = applied;
        Ok(())
    }
}

/// Local and global primary order.
fn in_order(before: Zxid, next: Zxid) -> Result<(), String> {
    let expected = if next.epoch == before.epoch { before.counter + 1 } else { 1 };
    ensure(next.epoch >= before.epoch && next.counter == expected, || format!("{next:?} comes after {before:?}"))
}

/// One zxid: one position, one payload and one predecessor.
fn one_of_its_name(
    named: &mut BTreeMap<Zxid, Named>,
    position: u64,
    before: Zxid,
    proposal: &Proposal,
) -> Result<(), String> {
    let payload = proposal.payload.clone();
    let known =
        named.entry(proposal.zxid).or_insert_with(|| Named { position, before, payload: proposal.payload.clone() });
    ensure((known.position, known.before, &known.payload) == (position, before, &payload), || {
        format!(
            "two transactions are named {:?}: at {} after {:?}, {:?}; and at {position} after {before:?}, {payload:?}",
            proposal.zxid, known.position, known.before, known.payload
        )
    })
}

fn complete(leader: &Leader, epoch: Epoch, at: usize, place: &CommittedPlace) -> Result<(), String> {
    let found = leader.zxids.get(at).copied();
    ensure(found == Some(place.zxid), || {
        format!(
            "position {} was committed as {:?} in {:?}; the leader of {epoch:?}, {}, has {found:?} there",
            at + 1,
            place.zxid,
            place.in_epoch,
            leader.node + 1
        )
    })
}
