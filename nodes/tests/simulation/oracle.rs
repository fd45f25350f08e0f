//! The clients' side of the truth: what they asked, what was committed, and whether the answers fit.
//!
//! ```text
//!   invoke ──> attempt: floor = newest index whose effect anyone had seen by then
//!   committed in order ──> reference machine ──> the one right answer, and the versions of each key
//!   reply ──> command: the reference's answer, at an index above the floor
//!             read:    a committed version, not replaced at or below the floor
//!             refused definitely: never committed, now or later
//! ```
//!
//! With the order of the log known, linearizability needs no search: each answer has its place in it, and the floor says
//! which places respect real time.

use std::collections::{BTreeMap, BTreeSet};

use nodes::{
    machine::{Answer, Command, Machine, Operation, TxnStep, Value},
    protocol::{Reply, Request},
};

use crate::checks::{Committed, Seen};

/// Names an operation: unique in a schedule, and written into what the operation writes.
pub type OpId = usize;
/// Names one try of an operation.
pub type AttemptId = usize;

/// One operation of a client; with a stamp it may be tried more than once.
struct Op {
    request: Request,
    /// Where it was committed, and what the reference machine said there.
    applied: Vec<(u64, Answer)>,
    attempts: usize,
    refused: usize,
}

struct Attempt {
    op: OpId,
    /// Nothing at or below this index may have been unknown to it.
    floor: u64,
}

/// Everything that clients asked and the cluster committed.
#[derive(Default)]
pub struct Oracle {
    ops: Vec<Op>,
    attempts: Vec<Attempt>,
    reference: Machine,
    /// The reference machine's digest after each index; at 0 the empty one's.
    digests: Vec<u64>,
    /// What each key held from which index on.
    versions: BTreeMap<String, Vec<(u64, Value)>>,
    /// The newest index whose effect any client has seen.
    floor: u64,
    /// Committed sessions that no reply named yet.
    sessions_unclaimed: BTreeSet<u64>,
    sessions_asked: usize,
    sessions_refused: usize,
    sessions_opened: usize,
    pub answers: u64,
    pub reads: u64,
    pub refusals: u64,
    pub definite_refusals: u64,
}

/// The operation that a command belongs to, by the value it writes.
fn id_of(command: &Command) -> Option<OpId> {
    let Command::Do { operation, .. } = command else { return None };
    let value = match operation {
        Operation::Write { value, .. } | Operation::Append { value, .. } | Operation::Cas { new: value, .. } => value,
        Operation::Txn { steps } => steps.iter().find_map(|step| match step {
            TxnStep::Write { value, .. } | TxnStep::Append { value, .. } => Some(value),
            TxnStep::Read { .. } => None,
        })?,
        // No client of the simulation asks for these: they write no value of their own.
        Operation::Add { .. } | Operation::Pop { .. } => return None,
    };
    match value {
        Value::Int(id) => usize::try_from(*id).ok(),
        _ => None,
    }
}

fn keys_changed(command: &Command) -> Vec<&str> {
    let Command::Do { operation, .. } = command else { return Vec::new() };
    match operation {
        Operation::Write { key, .. }
        | Operation::Append { key, .. }
        | Operation::Cas { key, .. }
        | Operation::Add { key, .. }
        | Operation::Pop { key } => vec![key],
        Operation::Txn { steps } => steps
            .iter()
            .filter_map(|step| match step {
                TxnStep::Write { key, .. } | TxnStep::Append { key, .. } => Some(key.as_str()),
                TxnStep::Read { .. } => None,
            })
            .collect(),
    }
}

impl Oracle {
    pub fn new() -> Self {
        let reference = Machine::new();
        Self { digests: vec![reference.digest()], ..Self::default() }
    }

    /// The name that the next operation will have.
    pub fn next_op(&self) -> OpId {
        self.ops.len()
    }

    /// A new operation, not tried yet.
    pub fn add(&mut self, request: Request) -> OpId {
        self.ops.push(Op { request, applied: Vec::new(), attempts: 0, refused: 0 });
        self.ops.len() - 1
    }

    /// What a key holds after all that is committed: a good guess for a compare-and-set.
    pub fn current(&self, key: &str) -> Value {
        self.reference.read(key)
    }

    pub fn request(&self, op: OpId) -> &Request {
        &self.ops[op].request
    }

    /// An operation is tried now.
    pub fn invoke(&mut self, op: OpId) -> AttemptId {
        self.ops[op].attempts += 1;
        if matches!(self.ops[op].request, Request::Command(Command::OpenSession)) {
            self.sessions_asked += 1;
        }
        self.attempts.push(Attempt { op, floor: self.floor });
        self.attempts.len() - 1
    }

    /// Something was committed for the first time.
    pub fn commit(&mut self, news: Committed) -> Result<(), String> {
        let Committed { index, command } = news;
        if index != self.digests.len() as u64 {
            return Err(format!("index {index} was committed after {} entries", self.digests.len() - 1));
        }
        if let Some(command) = command {
            let answer = self.reference.apply(index, &command);
            self.note_versions(index, &command);
            self.note_applied(index, &command, answer)?;
        }
        self.digests.push(self.reference.digest());
        Ok(())
    }

    fn note_versions(&mut self, index: u64, command: &Command) {
        for key in keys_changed(command) {
            let value = self.reference.read(key);
            let versions = self.versions.entry(key.to_owned()).or_default();
            if versions.last().map_or(&Value::Nil, |(_, last)| last) != &value {
                versions.push((index, value));
            }
        }
    }

    fn note_applied(&mut self, index: u64, command: &Command, answer: Answer) -> Result<(), String> {
        if *command == Command::OpenSession {
            self.sessions_opened += 1;
            self.sessions_unclaimed.insert(index);
            return self.check_sessions();
        }
        let op = id_of(command).and_then(|id| self.ops.get_mut(id).map(|op| (id, op)));
        let Some((id, op)) = op.filter(|(_, op)| op.request == Request::Command(command.clone())) else {
            return Err(format!("index {index} holds what no client asked: {command:?}"));
        };
        op.applied.push((index, answer));
        check_count(id, op)
    }

    fn check_sessions(&self) -> Result<(), String> {
        if self.sessions_opened > self.sessions_asked - self.sessions_refused {
            return Err(format!(
                "{} sessions were opened, {} were asked for and {} of them definitely refused",
                self.sessions_opened, self.sessions_asked, self.sessions_refused
            ));
        }
        Ok(())
    }

    /// A node's machine is where the reference was at the same index.
    pub fn check_state(&self, seen: Seen) -> Result<(), String> {
        let at = usize::try_from(seen.applied).expect("logs are short");
        match self.digests.get(at) {
            Some(&digest) if digest == seen.digest => Ok(()),
            Some(_) => Err(format!("its machine at index {at} is not what the committed entries lead to")),
            None => Err(format!("it applied up to {at}, committed are {}", self.digests.len() - 1)),
        }
    }

    /// An attempt came to its end. Says whether the client may take it for done.
    pub fn reply(&mut self, attempt: AttemptId, reply: &Reply) -> Result<(), String> {
        let Attempt { op, floor } = self.attempts[attempt];
        let outcome = match (reply, &self.ops[op].request) {
            (Reply::Answer(Answer::Session(id)), Request::Command(Command::OpenSession)) => self.session(*id, floor),
            (Reply::Answer(answer), Request::Command(Command::Do { .. })) => self.answer(op, floor, answer),
            (Reply::Value(value), Request::Read { key }) => self.read(&key.clone(), floor, value),
            (Reply::TransferStarted, Request::TransferLeadership { .. }) => Ok(()),
            (Reply::MembershipChanged, Request::ChangeMembership { .. }) => Ok(()),
            (Reply::Refused(refusal), request) => {
                self.refusals += 1;
                self.definite_refusals += u64::from(refusal.is_definite());
                if !refusal.is_definite() {
                    return Ok(());
                }
                if matches!(request, Request::Command(Command::OpenSession)) {
                    self.sessions_refused += 1;
                    return self.check_sessions();
                }
                self.ops[op].refused += 1;
                check_count(op, &self.ops[op])
            }
            (reply, _) => Err(format!("the reply {reply:?} does not fit")),
        };
        outcome.map_err(|what| format!("operation {op}, {:?}: {what}", self.ops[op].request))
    }

    fn session(&mut self, id: u64, floor: u64) -> Result<(), String> {
        if !self.sessions_unclaimed.remove(&id) {
            return Err(format!("session {id} is not open, or another client's"));
        }
        if id <= floor {
            return Err(format!("session {id} was opened before it was asked for: index {floor} had been seen"));
        }
        self.answers += 1;
        self.floor = self.floor.max(id);
        Ok(())
    }

    fn answer(&mut self, op: OpId, floor: u64, answer: &Answer) -> Result<(), String> {
        let applied = &self.ops[op].applied;
        let place = applied.iter().find(|(index, right)| *index > floor && right == answer);
        let Some(&(index, _)) = place else {
            return Err(format!("answered {answer:?}; it was applied at {applied:?}, and index {floor} had been seen"));
        };
        self.answers += 1;
        self.floor = self.floor.max(index);
        Ok(())
    }

    fn read(&mut self, key: &str, floor: u64, value: &Value) -> Result<(), String> {
        let versions = self.versions.get(key).map_or(&[][..], Vec::as_slice);
        let from = if *value == Value::Nil {
            0
        } else {
            let Some(at) = versions.iter().rposition(|(_, version)| version == value) else {
                return Err(format!("read {value:?}, which {key} never held"));
            };
            versions[at].0
        };
        let replaced = versions.iter().map(|&(index, _)| index).find(|&index| index > from);
        if let Some(replaced) = replaced.filter(|&replaced| replaced <= floor) {
            return Err(format!(
                "stale read: {value:?} was replaced at index {replaced}, and when the read was invoked index {floor} had been seen"
            ));
        }
        self.reads += 1;
        self.floor = self.floor.max(from);
        Ok(())
    }

    /// At the end: exactly once for every element of every list.
    pub fn check_end(&self) -> Result<(), String> {
        for (key, versions) in &self.versions {
            let Some((_, Value::List(elements))) = versions.last() else { continue };
            let distinct: BTreeSet<i64> = elements.iter().filter_map(as_int).collect();
            if distinct.len() != elements.len() {
                return Err(format!("{key} holds an element twice: {elements:?}"));
            }
        }
        Ok(())
    }
}

fn as_int(value: &Value) -> Option<i64> {
    if let Value::Int(n) = value { Some(*n) } else { None }
}

fn check_count(id: OpId, op: &Op) -> Result<(), String> {
    if op.applied.len() > op.attempts - op.refused {
        return Err(format!(
            "operation {id} was tried {} times, {} times definitely refused, and applied at {:?}",
            op.attempts, op.refused, op.applied
        ));
    }
    Ok(())
}
