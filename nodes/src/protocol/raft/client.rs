//! Clients of this node, and commands that other nodes pass on for theirs.
//!
//! ```text
//!   client ──> follower ── Forward{term, life, id} ──> leader ──> log ──> applied there
//!          <── Answer   <────── ForwardReply ──────────────────────────────┘
//! ```
//!
//! A command is passed on once; one that came from another node is never passed on again.

use std::collections::BTreeMap;

use super::{Forward, LogIndex, Message, Out, Payload, Raft, election::Role, reads::Reader, replication::Transfer};
use crate::{
    machine::{Answer, Command, Operation, SESSIONS_MAX, Stamp},
    protocol::{NodeId, Refusal, Reply, Request, RequestId, Time},
};

/// A node gives up on the leader's answer after so many shortest election timeouts. By then a leader that went silent is replaced.
const FORWARD_TIMEOUT_IN_T: u64 = 4;

/// Who gave a command.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asker {
    /// A client of this node.
    Client(RequestId),
    /// Another node, for a client of its own.
    Peer { node: NodeId, life: u64, id: u64 },
}

/// A command in the log whose client waits.
#[derive(Debug)]
pub(super) struct Proposal {
    pub index: LogIndex,
    pub asker: Asker,
}

/// The newest answer of each session, in the memory of one leader. For a mutant: the sessions of the machine are what is right.
#[derive(Debug, Default)]
pub(super) struct AnswerCache(BTreeMap<u64, (u64, Answer)>);

impl AnswerCache {
    /// Keeps the answer to a command with a stamp.
    pub fn keep(&mut self, command: &Command, answer: &Answer) {
        let Command::Do { stamp: Some(stamp), .. } = command else { return };
        self.0.insert(stamp.session, (stamp.seq, answer.clone()));
        if self.0.len() > SESSIONS_MAX {
            self.0.pop_first();
        }
    }

    fn look_up(&self, stamp: Stamp) -> Option<&Answer> {
        self.0.get(&stamp.session).filter(|(seq, _)| *seq == stamp.seq).map(|(_, answer)| answer)
    }
}

/// The answer to a command that is known before it is applied, if it is.
fn foreseen_answer(command: &Command) -> Option<Answer> {
    match command {
        Command::Do { operation: Operation::Write { .. } | Operation::Append { .. }, .. } => Some(Answer::Done),
        Command::Do { .. } | Command::OpenSession => None,
    }
}

impl Raft {
    pub(super) fn on_client(&mut self, id: RequestId, request: Request, out: &mut Out) {
        if self.pending() >= self.config.max_pending {
            out.replies.push((id, Reply::Refused(Refusal::Overloaded)));
            return;
        }
        match request {
            Request::Command(command) => self.on_command(id, command, out),
            Request::Read { key } => self.on_read(Reader::Client { id, key }, out),
            Request::TransferLeadership { to } => {
                let reply = match self.start_transfer(to, out) {
                    Ok(()) => Reply::TransferStarted,
                    Err(refusal) => Reply::Refused(refusal),
                };
                out.replies.push((id, reply));
            }
            Request::ChangeMembership { voters, learners } => self.on_change_membership(id, voters, learners, out),
        }
    }

    /// Client requests that wait in this node.
    pub(super) fn pending(&self) -> usize {
        let led = match &self.role {
            Role::Leader(leadership) => {
                leadership.proposals.len() + leadership.reads.len() + usize::from(leadership.change.is_some())
            }
            _ => 0,
        };
        led + self.forwarded.len() + self.follower_reads.asked.len()
    }

    fn on_command(&mut self, client: RequestId, command: Command, out: &mut Out) {
        match self.leader {
            Some(leader) if leader != self.config.id => self.forward(leader, client, command, out),
            Some(_) => {
                if let Err(refusal) = self.propose(Asker::Client(client), command, out) {
                    out.replies.push((client, Reply::Refused(refusal)));
                }
            }
            None => out.replies.push((client, Reply::Refused(Refusal::NoLeader))),
        }
    }

    /// Puts a command into the log. A refusal means that it is in no log and will be in none.
    fn propose(&mut self, asker: Asker, command: Command, out: &mut Out) -> Result<(), Refusal> {
        match &self.role {
            // Entries that keep coming would keep the new leader from catching up.
            Role::Leader(leadership) if leadership.transfer.is_some() => return Err(Refusal::NotLeader),
            Role::Leader(_) => {}
            _ => return Err(Refusal::NotLeader),
        }
        if self.pending() >= self.config.max_pending {
            return Err(Refusal::Overloaded);
        }
        if let Some(answer) = self.cached_answer(&command) {
            self.answer_command(asker, Ok(answer), out);
            return Ok(());
        }
        let foreseen = foreseen_answer(&command);
        let index = self.append_own(Payload::Command(command), out);
        match foreseen {
            Some(answer) if self.rules.may_answer_command(index, self.applied) => {
                self.answer_command(asker, Ok(answer), out);
            }
            _ => {
                if let Role::Leader(leadership) = &mut self.role {
                    leadership.proposals.push_back(Proposal { index, asker });
                }
            }
        }
        // Nothing new for a leader that counts only what is durable.
        self.advance_commit(out);
        Ok(())
    }

    fn cached_answer(&self, command: &Command) -> Option<Answer> {
        match (&self.role, command) {
            (Role::Leader(leadership), Command::Do { stamp: Some(stamp), .. }) => {
                leadership.answer_cache.look_up(*stamp).cloned()
            }
            _ => None,
        }
    }

    fn forward(&mut self, leader: NodeId, client: RequestId, command: Command, out: &mut Out) {
        let id = self.forwarded.add(client, leader, self.hard.term, self.forward_deadline());
        let message = Forward { term: self.hard.term, life: self.life, id, command };
        self.send(leader, Message::Forward(message), out);
    }

    pub(super) fn forward_deadline(&self) -> Time {
        self.after(self.config.election_timeout_ns.saturating_mul(FORWARD_TIMEOUT_IN_T))
    }

    /// A command that another node passes on: see [`crate::protocol::gate`].
    pub(super) fn on_forward(&mut self, from: NodeId, m: Forward, out: &mut Out) {
        let asker = Asker::Peer { node: from, life: m.life, id: m.id };
        if !self.gate.knows(m.term) {
            // It may have been taken in a leadership that this process no longer remembers.
            self.answer_command(asker, Err(Refusal::ForwardLost), out);
        } else if self.gate.is_new(from, m.life, m.id) {
            // Not taken now is never taken: the name is spent, so the refusal is definite.
            let result =
                if m.term == self.hard.term { self.propose(asker, m.command, out) } else { Err(Refusal::NotLeader) };
            if let Err(refusal) = result {
                self.answer_command(asker, Err(refusal), out);
            }
        }
    }

    pub(super) fn on_forward_reply(
        &mut self,
        from: NodeId,
        life: u64,
        id: u64,
        result: Result<Answer, Refusal>,
        out: &mut Out,
    ) {
        if life != self.life || self.forwarded.get(id).is_none_or(|f| f.what != from) {
            return;
        }
        if let Some(forwarded) = self.forwarded.take(id) {
            self.answer_command(Asker::Client(forwarded.client), result, out);
        }
    }

    pub(super) fn answer_command(&self, asker: Asker, result: Result<Answer, Refusal>, out: &mut Out) {
        match asker {
            Asker::Client(id) => out.replies.push((id, result.map_or_else(Reply::Refused, Reply::Answer))),
            Asker::Peer { node, life, id } => self.send(node, Message::ForwardReply { life, id, result }, out),
        }
    }

    /// Gives up on what the leader did not answer in time.
    pub(super) fn expire_clients(&mut self, out: &mut Out) {
        while let Some(command) = self.forwarded.pop_expired(self.now) {
            out.replies.push((command.client, Reply::Refused(Refusal::ForwardLost)));
        }
        self.expire_reads(out);
    }

    /// The leader of the current term is known, so there is no use in waiting for one before it. What was passed on to that one may
    /// still be committed, by the new one: unknown.
    pub(super) fn give_up_on_earlier_leaders(&mut self, out: &mut Out) {
        while let Some(command) = self.forwarded.pop_earlier(self.hard.term) {
            out.replies.push((command.client, Reply::Refused(Refusal::ForwardLost)));
        }
        self.give_up_earlier_reads(out);
    }

    /// When [`Self::expire_clients`] has something to do next.
    pub(super) fn client_deadline(&self) -> Option<Time> {
        self.forwarded.deadline().into_iter().chain(self.follower_reads.asked.deadline()).min()
    }

    /// Dissertation, section 3.10: take no more commands, bring the follower up to date, tell it to stand at once.
    fn start_transfer(&mut self, to: Option<NodeId>, out: &mut Out) -> Result<(), Refusal> {
        let until = self.after(self.config.election_timeout_ns);
        let Role::Leader(leadership) = &mut self.role else { return Err(Refusal::NotLeader) };
        if leadership.transfer.is_some() {
            return Err(Refusal::Overloaded);
        }
        // Only who will vote when a change under way is through: others would stand in vain, or lead for a moment.
        let voters = &self.memberships.in_force().voters;
        let most_up_to_date = || {
            let voting = leadership.followers.iter().filter(|(id, _)| voters.contains(id));
            voting.max_by_key(|(_, p)| (p.matched, p.heard)).map(|(&id, _)| id)
        };
        let Some(to) = to.or_else(most_up_to_date) else { return Ok(()) };
        if to == self.config.id {
            return Ok(());
        }
        if !voters.contains(&to) || !leadership.followers.contains_key(&to) {
            return Err(Refusal::NotLeader);
        }
        leadership.transfer = Some(Transfer { to, until, told: false });
        self.hand_over_if_ready(out);
        Ok(())
    }
}
