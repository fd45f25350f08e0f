//! Clients of this node, and commands that other nodes pass on for theirs.
//!
//! ```text
//!   client ──> follower ── Forward{ballot, life, id} ──> leader ──> slot ──> applied there
//!          <── Answer   <────── ForwardReply ───────────────────────────────┘
//! ```
//!
//! A command is passed on once; one that came from another node is never passed on again.

use super::{
    Ballot, Forward, Message, MultiPaxos, Out, Payload, Slot,
    election::Role,
    leader::{Transfer, WINDOW},
    reads::Reader,
};
use crate::{
    machine::{Answer, Command},
    protocol::{NodeId, Refusal, Reply, Request, RequestId, Time},
};

/// A node gives up on the leader's answer after so many shortest election timeouts. By then a leader that went silent is replaced.
const FORWARD_TIMEOUT_IN_T: u64 = 4;

/// Who waits for a slot.
#[derive(Debug)]
pub(super) enum Asker {
    /// A client of this node.
    Client(RequestId),
    /// Another node, for a client of its own.
    Peer { node: NodeId, life: u64, id: u64 },
    /// A read that goes through the log.
    Reader(Reader),
}

/// A slot that someone waits for.
#[derive(Debug)]
pub(super) struct Proposal {
    pub slot: Slot,
    pub asker: Asker,
}

impl MultiPaxos {
    pub(super) fn on_client(&mut self, id: RequestId, request: Request, out: &mut Out) {
        if self.pending() >= self.config.max_pending {
            out.replies.push((id, Reply::Refused(Refusal::Overloaded)));
            return;
        }
        match request {
            Request::Command(command) => self.on_command(id, command, out),
            Request::Read { key } => self.on_read(Reader::Client { id, key }, out),
            Request::TransferLeadership { to } => {
                let refused = self.start_transfer(to, out).err();
                out.replies.push((id, refused.map_or(Reply::TransferStarted, Reply::Refused)));
            }
            Request::ChangeMembership { .. } => out.replies.push((id, Reply::Refused(Refusal::Unsupported))),
        }
    }

    /// Client requests that wait in this node.
    pub(super) fn pending(&self) -> usize {
        let led = match &self.role {
            Role::Leader(leadership) => leadership.proposals.len() + leadership.reads.len(),
            _ => 0,
        };
        led + self.forwarded.len() + self.follower_reads.asked.len() + self.quorum_reads.asked.len()
    }

    fn on_command(&mut self, client: RequestId, command: Command, out: &mut Out) {
        let refused = match self.leader {
            Some(leader) if leader == self.config.id => {
                self.propose(Asker::Client(client), Payload::Command(command), out).err()
            }
            Some(leader) => {
                let ballot = self.leader_ballot;
                let id = self.forwarded.add(client, leader, ballot, self.forward_deadline());
                self.send(leader, Message::Forward(Forward { ballot, life: self.life, id, command }), out);
                None
            }
            None => Some(Refusal::NoLeader),
        };
        out.replies.extend(refused.map(|refusal| (client, Reply::Refused(refusal))));
    }

    /// Proposes a value for a new slot. A refusal means that it is in no slot and will be in none.
    pub(super) fn propose(&mut self, asker: Asker, payload: Payload, out: &mut Out) -> Result<(), Refusal> {
        match &self.role {
            // Values that keep coming would keep the new leader from catching up.
            Role::Leader(leadership) if leadership.transfer.is_some() => return Err(Refusal::NotLeader),
            Role::Leader(_) => {}
            _ => return Err(Refusal::NotLeader),
        }
        if self.pending() >= self.config.max_pending || self.open_slots() >= WINDOW {
            return Err(Refusal::Overloaded);
        }
        let slot = self.propose_value(payload, out).ok_or(Refusal::NotLeader)?;
        if let Role::Leader(leadership) = &mut self.role {
            leadership.proposals.push_back(Proposal { slot, asker });
        }
        Ok(())
    }

    pub(super) fn forward_deadline(&self) -> Time {
        self.after(self.config.election_timeout_ns.saturating_mul(FORWARD_TIMEOUT_IN_T))
    }

    /// A command that another node passes on: see [`crate::protocol::gate`].
    pub(super) fn on_forward(&mut self, from: NodeId, m: Forward, out: &mut Out) {
        let asker = || Asker::Peer { node: from, life: m.life, id: m.id };
        if !self.gate.knows(m.ballot) {
            // It may have been taken in a leadership that this process no longer remembers.
            self.answer_command(asker(), Err(Refusal::ForwardLost), out);
        } else if self.gate.is_new(from, m.life, m.id) {
            // Not taken now is never taken: the name is spent, so the refusal is definite.
            let leads = self.is_leader_of(m.ballot);
            let result =
                if leads { self.propose(asker(), Payload::Command(m.command), out) } else { Err(Refusal::NotLeader) };
            if let Err(refusal) = result {
                self.answer_command(asker(), Err(refusal), out);
            }
        }
    }

    fn is_leader_of(&self, ballot: Ballot) -> bool {
        matches!(&self.role, Role::Leader(leadership) if leadership.ballot == ballot)
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

    pub(super) fn answer_command(&mut self, asker: Asker, result: Result<Answer, Refusal>, out: &mut Out) {
        match asker {
            Asker::Client(id) => out.replies.push((id, result.map_or_else(Reply::Refused, Reply::Answer))),
            Asker::Peer { node, life, id } => self.send(node, Message::ForwardReply { life, id, result }, out),
            Asker::Reader(reader) => self.refuse_read(reader, out),
        }
    }

    /// Gives up on what was not answered in time.
    pub(super) fn expire_clients(&mut self, out: &mut Out) {
        while let Some(command) = self.forwarded.pop_expired(self.now) {
            out.replies.push((command.client, Reply::Refused(Refusal::ForwardLost)));
        }
        self.expire_reads(out);
    }

    /// A new leader is known, so there is no use in waiting for one before it. What was passed on to that one may still be chosen,
    /// in the new one's ballot: unknown.
    pub(super) fn give_up_on_earlier_leaders(&mut self, out: &mut Out) {
        while let Some(command) = self.forwarded.pop_earlier(self.leader_ballot) {
            out.replies.push((command.client, Reply::Refused(Refusal::ForwardLost)));
        }
        self.give_up_earlier_reads(out);
    }

    /// When [`Self::expire_clients`] has something to do next.
    pub(super) fn client_deadline(&self) -> Option<Time> {
        let reads = [self.follower_reads.asked.deadline(), self.quorum_reads.asked.deadline()];
        reads.into_iter().flatten().chain(self.forwarded.deadline()).min()
    }

    /// Takes no more commands, brings the follower up to date, and tells it to start phase 1 at once.
    fn start_transfer(&mut self, to: Option<NodeId>, out: &mut Out) -> Result<(), Refusal> {
        let until = self.after(self.config.election_timeout_ns);
        let Role::Leader(leadership) = &mut self.role else { return Err(Refusal::NotLeader) };
        if leadership.transfer.is_some() {
            return Err(Refusal::Overloaded);
        }
        let followers = &leadership.followers;
        let most_up_to_date = || followers.iter().max_by_key(|(_, p)| (p.matched, p.round)).map(|(&id, _)| id);
        let Some(to) = to.or_else(most_up_to_date).filter(|&to| to != self.config.id) else { return Ok(()) };
        if !followers.contains_key(&to) {
            return Err(Refusal::NotLeader);
        }
        leadership.transfer = Some(Transfer { to, until, told: false });
        self.hand_over_if_ready(out);
        Ok(())
    }
}
