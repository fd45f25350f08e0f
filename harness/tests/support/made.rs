//! Runs made by hand: a store with a history, faults, nodes and a verdict, as large as one likes.

use std::{fs::File, io::BufWriter, path::PathBuf};

use checkers::{
    Budget, CheckOptions, check,
    history::{Action, Event, EventKind, Format, Function, HistoryWriter, Operation, Process, Value, read},
    ladder::ladder,
    model::{ModelKind, ModelSpec},
    verdict::Verdict,
};
use results::{
    check::{Check, CheckName},
    latency::{Ending, Latencies, Throughput},
    life::{NodeLine, NodeRole, NodeState},
    store::{Manifest, RunDir, Store},
    summary::{FaultCounts, Phases, Summary},
};
use serde_json::json;

const CLIENTS: u64 = 6;
pub const NODES: u64 = 3;
pub const STRIDE: u64 = CLIENTS + 2 * NODES;
/// Between two operations, nanoseconds.
const STEP_NS: u64 = 100_000;

/// A run to be made.
pub struct Made {
    pub operations: u64,
    /// The place, in the order of effects, of a read that returns a value from long before.
    pub stale: Option<u64>,
    /// What keys are called, and a text that values carry.
    pub key: String,
    pub value: Option<String>,
    /// Without verdict and without nodes.jsonl.
    pub broken_off: bool,
    pub fault: String,
}

impl Default for Made {
    fn default() -> Self {
        Self {
            operations: 3_000,
            stale: None,
            key: "k".to_owned(),
            value: None,
            broken_off: false,
            fault: "partition one".to_owned(),
        }
    }
}

/// Numbers that look drawn, the same each time.
struct Drawn(u64);

impl Drawn {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

impl Made {
    /// Operations on five registers, by invocation, with their places in the order in which they take effect: each at its own
    /// moment, so that they are linearizable.
    fn drawn(&self) -> Vec<(u64, Operation)> {
        let mut drawn = Drawn(11);
        let mut registers: Vec<[Value; 3]> = vec![[Value::Nil, Value::Nil, Value::Nil]; 5];
        let mut process: Vec<u64> = (0..CLIENTS).collect();
        let outage = self.operations * 2 / 5..self.operations * 2 / 5 + self.operations / 20;
        let mut made = Vec::new();
        for number in 0..self.operations {
            let client = (number % CLIENTS) as usize;
            let at = 1_000_000 + STEP_NS * (CLIENTS + number);
            let (before, after) = (drawn.below(CLIENTS * STEP_NS / 2), drawn.below(CLIENTS * STEP_NS / 2));
            let register = drawn.below(5) as usize;
            let key = format!("{}{register}", self.key);
            let (invoke, ret) = (at - before, at + after);
            let [current, last, before_last] = &mut registers[register];
            let is_out = outage.contains(&number);
            let new = match &self.value {
                None => Value::Int(number as i64),
                Some(text) => Value::Text(format!("{text}{number}")),
            };
            let operation = match drawn.below(10) {
                _ if self.stale == Some(number) => {
                    Operation::invoked(process[client], Action::Read, invoke).returned(ret, before_last.clone())
                }
                0..3 if is_out => Operation::invoked(process[client], Action::Write(new), invoke),
                _ if is_out => Operation::invoked(process[client], Action::Read, invoke).failed(ret),
                0..5 => Operation::invoked(process[client], Action::Read, invoke).returned(ret, current.clone()),
                5..9 => {
                    *before_last = std::mem::replace(last, std::mem::replace(current, new.clone()));
                    Operation::invoked(process[client], Action::Write(new), invoke).done(ret)
                }
                _ => {
                    let old = Value::Int(-1);
                    let observed = Some(current.clone());
                    Operation::invoked(process[client], Action::Cas { old, new }, invoke).mismatched(ret, observed)
                }
            };
            if operation.is_unknown() {
                process[client] += STRIDE;
            }
            made.push((number, operation.on(key.as_str())));
        }
        made.sort_by_key(|(_, operation)| operation.invoke);
        made
    }

    /// The operations by invocation: each one's place is its number in the run.
    pub fn operations(&self) -> Vec<Operation> {
        self.drawn().into_iter().map(|(_, operation)| operation).collect()
    }

    /// The number of the stale read in the run.
    pub fn stale_number(&self) -> u64 {
        let place = self.drawn().iter().position(|(number, _)| Some(*number) == self.stale);
        place.expect("one read is stale") as u64
    }

    fn end_ns(&self) -> u64 {
        1_000_000 + STEP_NS * (2 * CLIENTS + self.operations)
    }

    /// Makes it in this store.
    pub fn make(&self, store: &Store) -> RunDir {
        let config = json!({ "concurrency": CLIENTS, "nodes": NODES, "spares": 0, "system": "raft" });
        let run = store.create_run(&Manifest::here(7, config)).expect("a run");
        let operations = self.operations();
        let model = ModelSpec { model: ModelKind::CasRegister, initial: Value::Nil };
        self.write_history(&run, &operations, &model);
        self.write_faults(&run);
        if !self.broken_off {
            self.write_nodes(&run);
            run.write_verdict(&self.summary(&run, &operations, &model)).expect("a verdict");
        }
        run
    }

    fn write_history(&self, run: &RunDir, operations: &[Operation], model: &ModelSpec) {
        // Invocation or completion, by time; of unknown ones the moment at which the client gave up.
        let mut events: Vec<(u64, bool, usize)> = Vec::with_capacity(operations.len() * 2);
        for (place, operation) in operations.iter().enumerate() {
            let end = if operation.is_unknown() { operation.invoke + STEP_NS / 2 } else { operation.ret };
            events.push((operation.invoke, false, place));
            events.push((end, true, place));
        }
        events.sort_unstable();
        let file: File = run.create_history().expect("a file");
        let mut writer = HistoryWriter::new(BufWriter::new(file), model).expect("written");
        for (time, ends, place) in events {
            writer.write(&event(&operations[place], time, ends)).expect("written");
        }
        writer.flush().expect("written");
    }

    fn write_faults(&self, run: &RunDir) {
        let mut schedule = run.schedule().expect("a file");
        let end = self.end_ns();
        for (number, from, to) in [(1, end / 4, end / 3), (2, end * 3 / 10, end * 11 / 20)] {
            let name = &self.fault;
            let step = if number == 1 { json!({ "cut": [[1, 2], [2, 1]] }) } else { json!({ "kill": [2] }) };
            let undo = if number == 1 { "mend" } else { "revive" };
            schedule
                .write(&json!({ "time": from, "done": from + 5, "fault": number, "name": name, "step": step }))
                .expect("written");
            schedule
                .write(&json!({ "time": to, "done": to + 5, "fault": number, "name": name, "step": undo }))
                .expect("written");
        }
    }

    fn write_nodes(&self, run: &RunDir) {
        let mut lines = run.node_lines().expect("a file");
        let end = self.end_ns();
        let line = |time, node, state, role| NodeLine { time, node, state, role, term: Some(3), cut_from: Vec::new() };
        let told = [
            line(10, 1, NodeState::Up, Some(NodeRole::Leader)),
            line(11, 2, NodeState::Up, Some(NodeRole::Follower)),
            line(12, 3, NodeState::Up, Some(NodeRole::Follower)),
            NodeLine { cut_from: vec![2], ..line(end / 4, 1, NodeState::Up, Some(NodeRole::Leader)) },
            NodeLine { term: None, ..line(end * 3 / 10, 2, NodeState::Down, None) },
            line(end * 11 / 20, 2, NodeState::Up, Some(NodeRole::Candidate)),
            line(end * 12 / 20, 3, NodeState::Paused, Some(NodeRole::Follower)),
        ];
        for line in told {
            lines.write(&line).expect("written");
        }
    }

    fn summary(&self, run: &RunDir, operations: &[Operation], model: &ModelSpec) -> Summary {
        let mut summary = Summary::new("raft", "register", 7);
        summary.run = Some(run.id().to_string());
        (summary.nodes, summary.clients, summary.duration_ms) =
            (NODES as u32, CLIENTS as u32, self.end_ns() / 1_000_000);
        let (mut latencies, mut throughput) = (Latencies::default(), Throughput::default());
        for operation in operations {
            summary.operations.add(operation.action.function(), &operation.completion, None);
            if !operation.is_unknown() {
                let function: Function = operation.action.function();
                latencies.record(function, Ending::Answered, operation.invoke, operation.invoke, operation.ret);
                throughput.record(operation.ret);
            }
        }
        // As it stands in the file, so that sentences tell times.
        let history = read(run.open_history().expect("a history"), Format::Jsonl).expect("a history").history;
        let budget = Budget { time: std::time::Duration::from_secs(60), memory_bytes: 1 << 30 };
        let judgement = check(&history, model, &CheckOptions { budget, threads: 0 }).expect("judged");
        summary.judge(&judgement);
        if judgement.verdict == Verdict::Invalid {
            summary.ladder = Some(ladder(&history, model, Some(&judgement), &budget));
        }
        summary.checks = vec![
            Check::new(CheckName::Consistency, judgement.verdict, judgement.reason),
            Check::new(CheckName::Vacuity, Verdict::Valid, "2 faults landed"),
        ];
        summary.latencies = latencies.table();
        summary.throughput = throughput.summary(std::time::Duration::from_nanos(self.end_ns()));
        summary.faults.insert(self.fault.clone(), FaultCounts { started: 2, landed: 2 });
        summary.recovery_ms = Some(1);
        let end = self.end_ns();
        summary.phases = Some(Phases {
            load_start_ns: 1_000_000,
            faults_start_ns: end / 5,
            healed_ns: end * 17 / 20,
            end_ns: end,
            open_loop: None,
        });
        summary.replay = Some(format!("trueline run --nodes 3 --seed 7 # {}", self.fault));
        summary.files.insert("run".to_owned(), PathBuf::from(run.path()).display().to_string());
        summary.conclude();
        summary
    }
}

fn event(operation: &Operation, time: u64, ends: bool) -> Event {
    use checkers::history::Completion;
    let (kind, value, observed, reason) = match (&operation.completion, ends) {
        (_, false) => (EventKind::Invoke, operation.action.argument(), None, None),
        (Completion::Ok(value), _) => {
            (EventKind::Ok, value.clone().unwrap_or_else(|| operation.action.argument()), None, None)
        }
        (Completion::Mismatch { observed }, _) => {
            (EventKind::Fail, operation.action.argument(), observed.clone(), Some("mismatch"))
        }
        (Completion::Fail, _) => (EventKind::Fail, operation.action.argument(), None, Some("not-leader")),
        (Completion::Info, _) => (EventKind::Info, operation.action.argument(), None, Some("timeout")),
    };
    Event {
        index: None,
        time: Some(time),
        process: Process::Client(operation.process),
        kind,
        function: Some(operation.action.function()),
        key: operation.key.clone(),
        value,
        observed,
        reason: reason.map(str::to_owned),
        note: None,
    }
}
