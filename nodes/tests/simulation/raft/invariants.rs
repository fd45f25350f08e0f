//! Raft's invariants (Ongaro and Ousterhout, extended version, Figure 3), checked after every step of every node.
//!
//! | property | how |
//! |---|---|
//! | Election Safety | one leader a term, ever: `leaders` |
//! | Leader Append-Only | a leader's log is never cut in its own term |
//! | Log Matching | each (index, term) has one payload and one predecessor, ever: `entries`; the rest follows by induction |
//! | Leader Completeness | what was committed in a term is in the log of every leader of a later term, looked at when it is elected, and again when an earlier term commits late |
//! | State Machine Safety | each index is committed with one term, ever: `committed`; the machines' digests are compared by the world |
//! | Membership | each node goes by the latest membership in its log, of which at most one is not committed; what is committed, is so on a majority of it, or of both while two are joint |
//! | durable promises | a term or vote that a message told of outlives every crash |
//!
//! All of it is incremental: a step costs what it changed. `terms` mirrors each log from index 1 on, also where the node has
//! compacted it.

use std::collections::{BTreeMap, BTreeSet};

use nodes::protocol::{
    NodeId, Request,
    raft::{Entry, Membership, Message, Payload, Raft, View},
};
use rand::{RngExt, seq::SliceRandom};

use crate::{
    checks::{Checks, Committed, Seen},
    schedule::Generator,
};

/// Every so many steps of a node its whole log is compared with the mirror, not only its end.
const FULL_SCAN_EVERY: u64 = 64;

/// What is known of one node.
#[derive(Clone, Debug, Default)]
struct Mirror {
    /// Terms of its log, from index 1 on.
    terms: Vec<u64>,
    base: u64,
    term: u64,
    leads: bool,
    commit: u64,
    applied: u64,
    steps: u64,
    /// The latest in its log; none before its first step.
    membership: Option<Membership>,
}

/// A term and a vote that others know of.
#[derive(Clone, Copy, Debug, Default)]
struct Promise {
    term: u64,
    vote: Option<NodeId>,
}

/// A leader, as it was when elected.
struct Leader {
    node: usize,
    terms: Vec<u64>,
}

struct CommittedEntry {
    term: u64,
    /// The term of the leader that committed it.
    in_term: u64,
}

struct KnownEntry {
    term: u64,
    previous_term: u64,
    payload: Payload,
}

/// All invariants.
pub type RaftChecks = Invariants<true>;
/// Without those of membership: what is left is what a wrong membership does harm to.
pub type HarmChecks = Invariants<false>;

/// Everything that ever was, in one schedule.
pub struct Invariants<const MEMBERSHIP: bool> {
    mirrors: Vec<Mirror>,
    promises: Vec<Promise>,
    leaders: BTreeMap<u64, Leader>,
    /// By index - 1: every entry that any log ever held there.
    entries: Vec<Vec<KnownEntry>>,
    /// By index - 1.
    committed: Vec<CommittedEntry>,
    /// That of the empty log.
    founding: Option<Membership>,
    /// Every membership that any log ever held, by index and term.
    memberships: BTreeMap<(u64, u64), Membership>,
    snapshots_installed: u64,
    truncations: u64,
}

fn slot(index: u64) -> usize {
    usize::try_from(index).expect("logs are short") - 1
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

impl<const MEMBERSHIP: bool> Checks<Raft> for Invariants<MEMBERSHIP> {
    const CHANGES_MEMBERSHIP: bool = true;

    fn new(nodes: usize) -> Self {
        Self {
            mirrors: vec![Mirror::default(); nodes],
            promises: vec![Promise::default(); nodes],
            leaders: BTreeMap::new(),
            entries: Vec::new(),
            committed: Vec::new(),
            founding: None,
            memberships: BTreeMap::new(),
            snapshots_installed: 0,
            truncations: 0,
        }
    }

    fn after_step(&mut self, node: usize, core: &Raft, news: &mut Vec<Committed>) -> Result<Seen, String> {
        self.check(node, &core.view(), news)
    }

    fn restarted(&mut self, node: usize, core: &Raft) -> Result<(), String> {
        self.check_restart(node, &core.view())
    }

    fn told(&mut self, from: usize, to: usize, message: &Message) {
        let (term, vote) = match message {
            Message::RequestVote(ask) if ask.pre => return,
            Message::RequestVote(ask) => (ask.term, Some(from)),
            Message::VoteReply(reply) if reply.granted && !reply.pre => (reply.term, Some(to)),
            Message::VoteReply(reply) => (reply.term, None),
            Message::Append(append) => (append.term, None),
            Message::SnapshotChunk(chunk) => (chunk.term, None),
            Message::AppendReply(reply) => (reply.term, None),
            Message::TimeoutNow { term } => (*term, None),
            Message::Forward(_)
            | Message::ForwardReply { .. }
            | Message::ReadIndex { .. }
            | Message::ReadIndexReply { .. } => return,
        };
        let known = &mut self.promises[from];
        if (term.0, vote.is_some()) > (known.term, known.vote.is_some()) {
            *known = Promise { term: term.0, vote: vote.map(|node| NodeId(node as u64 + 1)) };
        }
    }

    fn kind(message: &Message) -> &'static str {
        match message {
            Message::RequestVote(ask) if ask.pre => "PreVote",
            Message::RequestVote(_) => "RequestVote",
            Message::VoteReply(_) => "VoteReply",
            Message::Append(append) if append.entries.is_empty() => "Heartbeat",
            Message::Append(_) => "Append",
            Message::SnapshotChunk(_) => "SnapshotChunk",
            Message::AppendReply(_) => "AppendReply",
            Message::TimeoutNow { .. } => "TimeoutNow",
            Message::Forward(_) => "Forward",
            Message::ForwardReply { .. } => "ForwardReply",
            Message::ReadIndex { .. } => "ReadIndex",
            Message::ReadIndexReply { .. } => "ReadIndexReply",
        }
    }

    fn carries_snapshot(message: &Message) -> bool {
        matches!(message, Message::SnapshotChunk(_))
    }

    fn leader(&self) -> Option<usize> {
        (0..self.mirrors.len()).filter(|&node| self.mirrors[node].leads).max_by_key(|&node| self.mirrors[node].term)
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

    fn members(&self) -> Option<BTreeSet<usize>> {
        let membership = self.mirrors[self.leader()?].membership.as_ref()?;
        Some(membership.members().iter().map(|id| slot(id.0)).collect())
    }

    /// Half the time one voter comes or goes, otherwise everything is drawn anew.
    fn change(&self, rng: &mut Generator) -> Option<Request> {
        let mut nodes: Vec<NodeId> = (1..=self.mirrors.len() as u64).map(NodeId).collect();
        nodes.shuffle(rng);
        let current = self.leader().and_then(|leader| self.mirrors[leader].membership.as_ref());
        let voters = match current {
            Some(current) if rng.random_bool(0.5) => {
                let one = nodes[0];
                let mut voters = current.voters.clone();
                let known = voters.len();
                voters.retain(|voter| *voter != one);
                if voters.is_empty() || voters.len() == known {
                    voters.push(one);
                }
                voters
            }
            _ => nodes[..rng.random_range(1..=nodes.len())].to_vec(),
        };
        let learns = |id: &NodeId| !voters.contains(id);
        let learners = nodes.iter().copied().filter(learns).filter(|_| rng.random_bool(0.2)).collect();
        Some(Request::ChangeMembership { voters, learners })
    }

    fn memberships(&self) -> (u64, u64) {
        let committed = |&(&(index, term), _): &(&(u64, u64), &Membership)| {
            self.committed.get(slot(index)).is_some_and(|entry| entry.term == term)
        };
        let committed =
            self.memberships.iter().filter(committed).map(|(_, membership)| u64::from(membership.is_joint()));
        committed.fold((0, 0), |(all, joint), is_joint| (all + 1, joint + is_joint))
    }
}

impl<const MEMBERSHIP: bool> Invariants<MEMBERSHIP> {
    /// All the invariants, for one node as it is now.
    pub fn check(&mut self, node: usize, view: &View<'_>, news: &mut Vec<Committed>) -> Result<Seen, String> {
        self.check_terms(node, view)?;
        self.check_log(node, view)?;
        self.check_leader(node, view)?;
        self.check_commit(node, view, news)?;
        self.check_membership(node, view)?;
        Ok(Seen { commit: view.commit.0, applied: view.applied.0, digest: view.machine_digest })
    }

    /// A node as its disk brought it back: what it was before is forgotten, what it promised is not.
    pub fn check_restart(&mut self, node: usize, view: &View<'_>) -> Result<(), String> {
        self.mirrors[node] = Mirror::default();
        ensure(!view.is_leader, || "a node woke up as leader".into())?;
        self.check_terms(node, view)?;
        self.check_log(node, view)?;
        self.check_membership(node, view)
    }

    /// Terms never go back, and what was promised stands.
    fn check_terms(&mut self, node: usize, view: &View<'_>) -> Result<(), String> {
        let mirror = &mut self.mirrors[node];
        let promise = self.promises[node];
        let term = view.term.0;
        ensure(term >= mirror.term, || format!("its term went back from {} to {term}", mirror.term))?;
        ensure(term >= promise.term, || format!("it told others of term {}, and is in term {term}", promise.term))?;
        ensure(term > promise.term || promise.vote.is_none() || view.voted_for == promise.vote, || {
            format!("in term {term} it voted for {:?}, now for {:?}", promise.vote, view.voted_for)
        })
    }

    /// Log Matching, Leader Append-Only, and the mirror brought up to date.
    fn check_log(&mut self, node: usize, view: &View<'_>) -> Result<(), String> {
        let base = view.snapshot.0.0;
        let base_term = view.snapshot.1.0;
        self.check_base(node, base, base_term)?;

        let mirror = &mut self.mirrors[node];
        let full = mirror.steps.is_multiple_of(FULL_SCAN_EVERY);
        mirror.steps += 1;
        let known = |(offset, entry): &(usize, &Entry)| {
            mirror.terms.get(slot(base + 1) + offset).is_some_and(|&term| term == entry.term.0)
        };
        // Where the log differs from the mirror it does so from some index to the end: all the way, in a full scan.
        let same = if full {
            view.entries.iter().enumerate().take_while(known).count()
        } else {
            let unknown = view.entries.iter().enumerate().rev().take_while(|entry| !known(entry)).count();
            view.entries.len() - unknown
        };
        let keep = slot(base + 1) + same;
        let was_leader = mirror.leads && view.is_leader && mirror.term == view.term.0;
        ensure(!was_leader || keep >= mirror.terms.len(), || "a leader cut its own log".into())?;
        self.truncations += u64::from(keep < mirror.terms.len());
        mirror.terms.truncate(keep);
        let scanned = if full { 0 } else { same };
        for (offset, entry) in view.entries.iter().enumerate().skip(scanned) {
            let index = base + 1 + offset as u64;
            ensure(entry.index.0 == index, || format!("the entry at {index} says it is at {}", entry.index.0))?;
            if slot(index) >= mirror.terms.len() {
                let last = mirror.terms.last().copied().unwrap_or(0);
                ensure(entry.term.0 >= last, || format!("terms fall from {last} at {index}"))?;
                ensure(entry.term <= view.term, || format!("entry {index} is of a term yet to come"))?;
                mirror.terms.push(entry.term.0);
            }
            let previous_term = if index == 1 { 0 } else { mirror.terms[slot(index - 1)] };
            matches_known(&mut self.entries, entry, previous_term)?;
            if let Payload::Membership(membership) = &entry.payload {
                self.memberships.entry((index, entry.term.0)).or_insert_with(|| membership.clone());
            }
        }
        Ok(())
    }

    /// The place where the log begins: own entries compacted, or a snapshot in place of them.
    fn check_base(&mut self, node: usize, base: u64, base_term: u64) -> Result<(), String> {
        let mirror = &mut self.mirrors[node];
        ensure(base >= mirror.base, || format!("the log's beginning went back from {} to {base}", mirror.base))?;
        if base == mirror.base {
            return Ok(());
        }
        let fresh = mirror.steps == 0;
        mirror.base = base;
        if mirror.terms.get(slot(base)) == Some(&base_term) {
            return Ok(());
        }
        let committed = self.committed.get(slot(base)).map(|entry| entry.term);
        ensure(committed == Some(base_term), || {
            format!("a snapshot up to {base} of term {base_term} in place of entries; committed there: {committed:?}")
        })?;
        let last_known = mirror.terms.len();
        mirror.terms = self.committed[..=slot(base)].iter().map(|entry| entry.term).collect();
        self.snapshots_installed += u64::from(!fresh && slot(base) >= last_known);
        Ok(())
    }

    /// Election Safety and Leader Completeness.
    fn check_leader(&mut self, node: usize, view: &View<'_>) -> Result<(), String> {
        let mirror = &mut self.mirrors[node];
        let term = view.term.0;
        mirror.leads = view.is_leader;
        mirror.term = term;
        if !view.is_leader {
            return Ok(());
        }
        if let Some(leader) = self.leaders.get(&term) {
            return ensure(leader.node == node, || {
                format!("term {term} has two leaders: {} and {}", leader.node + 1, node + 1)
            });
        }
        let leader = Leader { node, terms: mirror.terms.clone() };
        for (at, entry) in self.committed.iter().enumerate().filter(|(_, entry)| entry.in_term < term) {
            complete(&leader, term, at, entry)?;
        }
        self.leaders.insert(term, leader);
        Ok(())
    }

    /// Commit and apply go forward, and each index is committed once.
    fn check_commit(&mut self, node: usize, view: &View<'_>, news: &mut Vec<Committed>) -> Result<(), String> {
        if view.is_leader && view.commit.0 > self.committed.len() as u64 {
            self.check_majority(node, view.commit.0)?;
        }
        let mirror = &mut self.mirrors[node];
        let (commit, applied) = (view.commit.0, view.applied.0);
        ensure(commit >= mirror.commit, || format!("commit went back from {} to {commit}", mirror.commit))?;
        ensure(applied >= mirror.applied, || format!("applied went back from {} to {applied}", mirror.applied))?;
        ensure(applied <= commit, || format!("applied {applied} is beyond commit {commit}"))?;
        ensure(mirror.base <= applied, || format!("compacted up to {}, applied up to {applied}", mirror.base))?;
        ensure(commit <= mirror.terms.len() as u64, || format!("commit {commit} is beyond the log's end"))?;
        for index in mirror.commit + 1..=commit {
            let term = mirror.terms[slot(index)];
            if let Some(known) = self.committed.get(slot(index)) {
                ensure(known.term == term, || {
                    format!("index {index} is committed with term {term} and with term {}", known.term)
                })?;
                continue;
            }
            let entry = CommittedEntry { term, in_term: view.term.0 };
            for (&later, leader) in self.leaders.range(view.term.0 + 1..) {
                complete(leader, later, slot(index), &entry)?;
            }
            self.committed.push(entry);
            let known = self.entries[slot(index)].iter().find(|known| known.term == term).expect("the mirror saw it");
            let command = match &known.payload {
                Payload::Command(command) => Some(command.clone()),
                Payload::Noop | Payload::Membership(_) => None,
            };
            news.push(Committed { index, command });
        }
        mirror.commit = commit;
        mirror.applied = applied;
        Ok(())
    }

    /// A leader commits up to here: a majority of those who vote have it. It goes by the membership that its log held before this step,
    /// for whatever it changes it changes after it commits.
    fn check_majority(&self, node: usize, commit: u64) -> Result<(), String> {
        let Some(membership) = self.mirrors[node].membership.as_ref().filter(|_| MEMBERSHIP) else { return Ok(()) };
        let term = self.mirrors[node].terms.get(slot(commit));
        for voters in [&membership.voters, &membership.outgoing] {
            let has = |id: &&NodeId| term.is_some() && self.mirrors[slot(id.0)].terms.get(slot(commit)) == term;
            let having = voters.iter().filter(has).count();
            ensure(voters.is_empty() || 2 * having > voters.len(), || {
                format!("{commit} is committed, which {having} of the voters {voters:?} have")
            })?;
        }
        Ok(())
    }

    /// The latest membership in the log is in force, and at most one in it is not committed.
    fn check_membership(&mut self, node: usize, view: &View<'_>) -> Result<(), String> {
        let founding = self.founding.get_or_insert_with(|| view.membership.clone());
        let mirror = &mut self.mirrors[node];
        let in_log = |&(&(index, term), _): &(&(u64, u64), &Membership)| mirror.terms.get(slot(index)) == Some(&term);
        let mut latest_first = self.memberships.iter().rev().filter(in_log);
        let latest = latest_first.clone().next().map_or(&*founding, |(_, membership)| membership);
        let committed = self.committed.len() as u64;
        let open = latest_first.by_ref().take_while(|((index, _), _)| *index > committed).count();
        ensure(!MEMBERSHIP || open <= 1, || format!("{open} memberships in its log are not committed"))?;
        ensure(!MEMBERSHIP || latest == view.membership, || {
            format!("it goes by {:?}, the latest membership in its log is {latest:?}", view.membership)
        })?;
        mirror.membership = Some(latest.clone());
        Ok(())
    }
}

/// One (index, term): one payload and one predecessor.
fn matches_known(entries: &mut Vec<Vec<KnownEntry>>, entry: &Entry, previous_term: u64) -> Result<(), String> {
    let at = slot(entry.index.0);
    if entries.len() <= at {
        entries.resize_with(at + 1, Vec::new);
    }
    let term = entry.term.0;
    if let Some(known) = entries[at].iter().find(|known| known.term == term) {
        return ensure(known.previous_term == previous_term && known.payload == entry.payload, || {
            format!(
                "two entries at ({}, term {term}): {:?} after term {}, {:?} after term {previous_term}",
                entry.index.0, known.payload, known.previous_term, entry.payload
            )
        });
    }
    entries[at].push(KnownEntry { term, previous_term, payload: entry.payload.clone() });
    Ok(())
}

fn complete(leader: &Leader, term: u64, at: usize, entry: &CommittedEntry) -> Result<(), String> {
    let found = leader.terms.get(at).copied();
    ensure(found == Some(entry.term), || {
        format!(
            "index {} of term {} was committed in term {}; the leader of term {term}, {}, has {found:?} there",
            at + 1,
            entry.term,
            entry.in_term,
            leader.node + 1
        )
    })
}
