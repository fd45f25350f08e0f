//! Clients of this node, and commands that other nodes pass on for theirs.
//!
//! ```text
//!   client ──> follower ── Forward{epoch, life, id} ──> leader ──> PROPOSE … COMMIT ──> applied there
//!          <── Answer   <────── ForwardReply ───────────────────────────────────────────┘
//! ```
//!
//! A command is passed on once, and only while phase 2 is complete here. One that came from another node is never passed on again.

use super::{Epoch, Forward, Message, Out, Payload, Position, Zab, broadcast::Broadcast};
use crate::{
    machine::{Answer, Command},
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

/// A proposed transaction whose client waits. The answer is known since it was worked out; it is true once that is committed.
#[derive(Debug)]
pub(super) struct Waiting {
    position: Position,
    asker: Asker,
    answer: Answer,
}

impl Zab {
    pub(super) fn on_client(&mut self, id: RequestId, request: Request, out: &mut Out) {
        if self.pending() >= self.config.max_pending {
            out.replies.push((id, Reply::Refused(Refusal::Overloaded)));
            return;
        }
        match request {
            Request::Command(command) => self.on_command(id, command, out),
            Request::Read { key } => self.on_read(id, key, out),
            Request::TransferLeadership { .. } | Request::ChangeMembership { .. } => {
                out.replies.push((id, Reply::Refused(Refusal::Unsupported)));
            }
        }
    }

    /// Client requests that wait in this node.
    pub(super) fn pending(&mut self) -> usize {
        let led = self.broadcasting().map_or(0, |broadcast| broadcast.waiting.len() + broadcast.reads.len());
        led + self.forwarded.len() + self.follower_reads.asked.len()
    }

    fn on_command(&mut self, client: RequestId, command: Command, out: &mut Out) {
        let asker = Asker::Client(client);
        match self.leader() {
            Some(leader) if leader != self.config.id => {
                let epoch = self.epochs.accepted;
                let id = self.forwarded.add(client, leader, epoch, self.forward_deadline());
                self.send(leader, Message::Forward(Forward { epoch, life: self.life, id, command }), out);
            }
            Some(_) => {
                if let Err(refusal) = self.order(asker, command, out) {
                    self.answer_command(asker, Err(refusal), out);
                }
            }
            None => self.answer_command(asker, Err(Refusal::NoLeader), out),
        }
    }

    /// Works out the transaction of a command, and proposes it. A refusal means that it is in no history and will be in none.
    fn order(&mut self, asker: Asker, command: Command, out: &mut Out) -> Result<(), Refusal> {
        if self.broadcasting().is_none() {
            return Err(Refusal::NotLeader);
        }
        if self.pending() >= self.config.max_pending {
            return Err(Refusal::Overloaded);
        }
        let position = self.history.last().position.next();
        let Some(broadcast) = self.phase.broadcast() else { return Err(Refusal::NotLeader) };
        let (answer, transaction) = self.rules.prepare(&mut broadcast.outstanding, &self.machine, position, &command);
        self.propose(Payload::Transaction(transaction), out).ok_or(Refusal::NotLeader)?;
        self.prepared.push((position, command));
        if let Some(broadcast) = self.broadcasting() {
            broadcast.waiting.push_back(Waiting { position, asker, answer });
        }
        Ok(())
    }

    pub(super) fn forward_deadline(&self) -> Time {
        self.after(self.config.election_timeout_ns.saturating_mul(FORWARD_TIMEOUT_IN_T))
    }

    /// A command that another node passes on: see [`crate::protocol::gate`].
    pub(super) fn on_forward(&mut self, from: NodeId, m: Forward, out: &mut Out) {
        let asker = Asker::Peer { node: from, life: m.life, id: m.id };
        if !self.gate.knows(m.epoch) {
            // It may have been taken in a leadership that this process no longer remembers.
            return self.answer_command(asker, Err(Refusal::ForwardLost), out);
        }
        if !self.gate.is_new(from, m.life, m.id) {
            return;
        }
        // Not taken now is never taken: the name is spent, so the refusal is definite.
        let leads_in_it = self.leader() == Some(self.config.id) && m.epoch == self.epochs.accepted;
        let result = if leads_in_it { self.order(asker, m.command, out) } else { Err(Refusal::NotLeader) };
        if let Err(refusal) = result {
            self.answer_command(asker, Err(refusal), out);
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
        let is_asked = life == self.life && self.forwarded.get(id).is_some_and(|command| command.what == from);
        if let Some(command) = is_asked.then(|| self.forwarded.take(id)).flatten() {
            self.answer_command(Asker::Client(command.client), result, out);
        }
    }

    pub(super) fn answer_command(&self, asker: Asker, result: Result<Answer, Refusal>, out: &mut Out) {
        match asker {
            Asker::Client(id) => out.replies.push((id, result.map_or_else(Reply::Refused, Reply::Answer))),
            Asker::Peer { node, life, id } => self.send(node, Message::ForwardReply { life, id, result }, out),
        }
    }

    /// Answers the clients of what is committed, in the order of the zxids. `acked` is the farthest that anybody acknowledged.
    pub(super) fn answer_clients(&mut self, acked: Position, out: &mut Out) {
        loop {
            let commit = self.commit;
            let Some(front) = self.broadcasting().and_then(|broadcast| broadcast.waiting.front()) else { break };
            let position = front.position;
            if !self.rules.may_reply(position, commit, acked) {
                break;
            }
            let Some(waiting) = self.broadcasting().and_then(|broadcast| broadcast.waiting.pop_front()) else { break };
            self.answer_command(waiting.asker, Ok(waiting.answer), out);
        }
        self.finish_sync(out);
    }

    /// This leadership is over. What became of its clients' commands is not known here: they may be committed yet. Reads had no
    /// effect.
    pub(super) fn abandon_clients(&mut self, broadcast: Broadcast, out: &mut Out) {
        for Waiting { asker, .. } in broadcast.waiting {
            self.answer_command(asker, Err(Refusal::LeadershipLost), out);
        }
        for reader in broadcast.reads.into_readers() {
            self.refuse_read(reader, out);
        }
    }

    /// Gives up on what the leader did not answer in time.
    pub(super) fn expire_clients(&mut self, out: &mut Out) {
        while let Some(command) = self.forwarded.pop_expired(self.now) {
            self.answer_command(Asker::Client(command.client), Err(Refusal::ForwardLost), out);
        }
        self.expire_reads(out);
    }

    /// This epoch has its leader, so there is no use in waiting for an earlier one. What was passed on to that one may still be
    /// committed, as a part of this one's initial history: unknown.
    pub(super) fn give_up_on_earlier_leaders(&mut self, out: &mut Out) {
        let epoch: Epoch = self.epochs.accepted;
        while let Some(command) = self.forwarded.pop_earlier(epoch) {
            self.answer_command(Asker::Client(command.client), Err(Refusal::ForwardLost), out);
        }
        self.give_up_earlier_reads(epoch, out);
    }

    /// When [`Self::expire_clients`] has something to do next.
    pub(super) fn client_deadline(&self) -> Option<Time> {
        self.forwarded.deadline().into_iter().chain(self.follower_reads.asked.deadline()).min()
    }
}
