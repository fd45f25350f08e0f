//! What the clients do: each one thing at a time, at a node of its choice, without trusting any.

use nodes::{
    machine::{Answer, Command, Operation, Stamp, TxnStep, Value},
    protocol::{NodeId, Reply, Request},
};
use rand::RngExt;

use crate::{
    oracle::{AttemptId, OpId, Oracle},
    schedule::{Generator, Schedule, pick},
};

/// One client.
#[derive(Default)]
pub struct Client {
    session: Option<u64>,
    seq: u64,
    /// What it waits for.
    pub waiting: Option<AttemptId>,
    /// A stamped operation whose outcome it does not know; or, rarely, one that it repeats although it does.
    retry: Option<OpId>,
    current: Option<OpId>,
}

const LISTS: [&str; 2] = ["l0", "l1"];
const REGISTERS: [&str; 2] = ["r0", "r1"];

impl Client {
    /// The next thing to ask.
    pub fn next(&mut self, rng: &mut Generator, schedule: &Schedule, oracle: &mut Oracle) -> OpId {
        if let Some(op) = self.retry.take().filter(|_| rng.random_bool(0.8)) {
            self.current = Some(op);
            return op;
        }
        let request = self.invent(rng, schedule, oracle);
        let op = oracle.add(request);
        self.current = Some(op);
        op
    }

    fn invent(&mut self, rng: &mut Generator, schedule: &Schedule, oracle: &Oracle) -> Request {
        if rng.random_bool(schedule.transfers) {
            let nodes = schedule.places() as u64;
            let to = rng.random_bool(0.5).then(|| NodeId(rng.random_range(1..=nodes)));
            return Request::TransferLeadership { to };
        }
        if rng.random_bool(schedule.reads) {
            let key = pick(rng, &[LISTS[0], LISTS[1], REGISTERS[0], REGISTERS[1]]).to_owned();
            return Request::Read { key };
        }
        let wants_stamp = rng.random_bool(schedule.stamped);
        let Some(session) = self.session.filter(|_| wants_stamp) else {
            if wants_stamp {
                return Request::Command(Command::OpenSession);
            }
            let operation = operation(rng, oracle);
            return Request::Command(Command::Do { stamp: None, operation });
        };
        self.seq += 1;
        let operation = operation(rng, oracle);
        Request::Command(Command::Do { stamp: Some(Stamp { session, seq: self.seq }), operation })
    }

    /// Its attempt has ended; `None` when it cannot know how.
    pub fn ended(&mut self, rng: &mut Generator, oracle: &Oracle, reply: Option<&Reply>) {
        self.waiting = None;
        let Some(op) = self.current.take() else { return };
        let stamped = matches!(oracle.request(op), Request::Command(Command::Do { stamp: Some(_), .. }));
        match reply {
            Some(Reply::Answer(Answer::Session(session))) => {
                self.session = Some(*session);
                self.seq = 0;
            }
            Some(Reply::Answer(Answer::Rejected(code))) if code == Answer::UNKNOWN_SESSION => self.session = None,
            Some(Reply::Answer(_)) if stamped && rng.random_bool(0.9) => {}
            _ if stamped => self.retry = Some(op),
            _ => {}
        }
    }
}

fn operation(rng: &mut Generator, oracle: &Oracle) -> Operation {
    let value = Value::Int(i64::try_from(oracle.next_op()).expect("few operations"));
    let list = pick(rng, &LISTS).to_owned();
    let register = pick(rng, &REGISTERS).to_owned();
    match rng.random_range(0..10) {
        0..4 => Operation::Append { key: list, value },
        4..6 => Operation::Write { key: register, value },
        6..8 => {
            let old = if rng.random_bool(0.8) { oracle.current(&register) } else { Value::Nil };
            Operation::Cas { key: register, old, new: value }
        }
        // Refused by the machine, always: a register holds no list (unless it is absent, and then it gets one).
        8 => Operation::Append { key: register, value },
        _ => Operation::Txn {
            steps: vec![
                TxnStep::Append { key: list.clone(), value: value.clone() },
                TxnStep::Read { key: list },
                TxnStep::Write { key: register, value },
            ],
        },
    }
}
