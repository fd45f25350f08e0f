//! Causal consistency, with one order of the versions that all sessions agree on (causal convergence).
//!
//! ```text
//!   session order and reads-from ──> a past for each operation (a vector clock)
//!   register: u in the past of r, r saw w, u != w         ==> u is older than w
//!   list:     u in the past of r, r does not show u       ==> r misses u: a contradiction
//!             r shows u right before w                    ==> u is older than w
//!   a circle ==> fails;   none ==> holds
//! ```
//!
//! Definition (Biswas and Enea, "On the complexity of checking transactional consistency", OOPSLA 2019, section 2, level CC, every
//! operation a transaction of its own; CCv of Bouajjani, Enea, Guerraoui and Hamza, "On verifying causal consistency", POPL 2017):
//! there is a total order of the operations that contains session order and reads-from, and in which, whenever u and w write x,
//! r reads x from w, and u reaches r by session order and reads-from, u comes before w. The premise does not speak of the total
//! order, so all that follows from it is known at once: if session order, reads-from and the derived edges have no circle, any
//! topological order is a total order as wanted. The test is exact.
//!
//! A list shows which appends a read saw, and in which order. So what is in its past must be what it shows, in an order that
//! extends the past: exact too.
//!
//! A compare-and-set that won is a read and a write in one operation. That two won from one value is no matter of this level.
//!
//! Clocks count, for each session that writes, how much of it is in the past. Only the clocks of versions that somebody is yet to
//! read are kept. O(operations * writing sessions) time.

use rustc_hash::FxHashSet;

use super::Limits;
use super::graph::{Analysis, Constraints, Why};
use super::input::{Input, NONE, Op, Reads};

/// Where a key was written: for each writing session its writes in order.
pub(super) struct Writes {
    /// By session; [`NONE`] for those that write nothing.
    pub(super) slots: Vec<u32>,
    pub(super) slot_count: usize,
    /// By key: slots with their writes, ascending by place.
    pub(super) by_key: Vec<Vec<(u32, Vec<u32>)>>,
}

impl Writes {
    pub(super) fn of(input: &Input<'_>) -> Self {
        let mut slots = vec![NONE; input.sessions.len()];
        let mut slot_count = 0;
        let mut by_key: Vec<Vec<(u32, Vec<u32>)>> = vec![Vec::new(); input.keys.len()];
        for (session, ops) in input.sessions.iter().enumerate() {
            for &number in ops.iter().filter(|number| input.op(**number).writes) {
                if slots[session] == NONE {
                    slots[session] = slot_count;
                    slot_count += 1;
                }
                let key = &mut by_key[input.op(number).key as usize];
                match key.last_mut() {
                    Some((slot, writes)) if *slot == slots[session] => writes.push(number),
                    _ => key.push((slots[session], vec![number])),
                }
            }
        }
        Self { slots, slot_count: slot_count as usize, by_key }
    }

    pub(super) fn slot(&self, op: &Op) -> u32 {
        self.slots[op.session as usize]
    }
}

/// How many of `writes` are at places before `place`.
pub(super) fn count_before(input: &Input<'_>, writes: &[u32], place: u32) -> usize {
    writes.partition_point(|&write| input.op(write).place < place)
}

/// What came out.
pub(super) enum Causal {
    Holds,
    /// With the graph's components, for those who look for weaker contradictions inside them; none when reading itself is circular.
    Fails {
        circle: Vec<super::graph::Step>,
        components: Option<Vec<u32>>,
    },
    Unknown(String),
}

/// Judges causal consistency as far as the input is clear. Gives also the edges that follow, each once.
pub(super) fn judge(input: &Input<'_>, writes: &Writes, limits: &Limits) -> (Causal, Vec<(u32, Why, u32)>) {
    let Some(order) = reading_order(input) else {
        let graph = base_graph(input, true);
        let Analysis::Cyclic { circle, .. } = graph.analyse() else {
            unreachable!("operations that wait for each other are a circle")
        };
        return (Causal::Fails { circle, components: None }, Vec::new());
    };
    let mut sweep = Sweep::new(input, writes);
    for (done, &number) in order.iter().enumerate() {
        if let Err(why) = limits.check(done, sweep.bytes()) {
            return (Causal::Unknown(why), Vec::new());
        }
        sweep.step(number);
    }
    let edges = sweep.edges;
    if edges.is_empty() {
        return (Causal::Holds, edges);
    }
    let mut graph = base_graph(input, false);
    edges.iter().for_each(|&(from, why, to)| graph.edge(from, why, to));
    match graph.analyse() {
        Analysis::Acyclic => (Causal::Holds, edges),
        Analysis::Cyclic { circle, components } => (Causal::Fails { circle, components: Some(components) }, edges),
    }
}

/// A graph of session order and reads-from. Of a list's elements only each session's last is needed, unless `all`.
pub(super) fn base_graph(input: &Input<'_>, all: bool) -> Constraints {
    let mut graph = Constraints::new(input.node_count());
    for session in &input.sessions {
        session.windows(2).for_each(|pair| graph.edge(pair[0], Why::Session, pair[1]));
    }
    let mut last: Vec<(u32, u32)> = Vec::new();
    for (number, op) in (0u32..).zip(&input.ops) {
        let sources = input.sources(op);
        if all || sources.len() <= 1 {
            sources.iter().for_each(|&source| graph.edge(source, Why::ReadsFrom, number));
            continue;
        }
        last.clear();
        last.extend(sources.iter().map(|&source| (input.op(source).session, source)));
        last.sort_unstable_by_key(|&(session, source)| (session, std::cmp::Reverse(input.op(source).place)));
        last.dedup_by_key(|(session, _)| *session);
        last.iter().for_each(|&(_, source)| graph.edge(source, Why::ReadsFrom, number));
    }
    graph
}

/// The operations in an order of session order and reads-from, or `None` when those go round in a circle.
fn reading_order(input: &Input<'_>) -> Option<Vec<u32>> {
    let mut order = Vec::with_capacity(input.ops.len());
    let mut next = vec![0usize; input.sessions.len()];
    let mut done = vec![false; input.ops.len()];
    let mut waiting: Vec<Vec<u32>> = vec![Vec::new(); input.ops.len()];
    let mut ready: Vec<u32> = (0..super::input::len32(input.sessions.len())).rev().collect();
    while let Some(session) = ready.pop() {
        let ops = &input.sessions[session as usize];
        while let Some(&number) = ops.get(next[session as usize]) {
            let sources = input.sources(input.op(number));
            if let Some(&missing) = sources.iter().find(|&&source| !done[source as usize]) {
                waiting[missing as usize].push(session);
                break;
            }
            done[number as usize] = true;
            order.push(number);
            next[session as usize] += 1;
            ready.append(&mut waiting[number as usize]);
        }
    }
    (order.len() == input.ops.len()).then_some(order)
}

/// Clocks while the operations pass in an order of their pasts.
struct Sweep<'a, 'h> {
    input: &'a Input<'h>,
    writes: &'a Writes,
    /// By session: for each slot how many of its operations are in the past of what comes next.
    clocks: Vec<Vec<u32>>,
    /// By version: its clock, itself included, while somebody is yet to read it.
    version_clocks: Vec<Option<Box<[u32]>>>,
    readers_left: Vec<u32>,
    live: usize,
    /// Each pair once; the reason is the first found.
    pairs: FxHashSet<(u32, u32)>,
    edges: Vec<(u32, Why, u32)>,
    lists_done: Vec<bool>,
}

impl<'a, 'h> Sweep<'a, 'h> {
    fn new(input: &'a Input<'h>, writes: &'a Writes) -> Self {
        let mut readers_left = vec![0; input.ops.len()];
        for op in &input.ops {
            input.sources(op).iter().for_each(|&source| readers_left[source as usize] += 1);
        }
        Self {
            input,
            writes,
            clocks: vec![vec![0; writes.slot_count]; input.sessions.len()],
            version_clocks: vec![None; input.ops.len()],
            readers_left,
            live: input.sessions.len(),
            pairs: FxHashSet::default(),
            edges: Vec::new(),
            lists_done: vec![false; input.lists.len()],
        }
    }

    fn bytes(&self) -> usize {
        self.live * (self.writes.slot_count * 4 + 16) + self.edges.len() * 40
    }

    fn step(&mut self, number: u32) {
        let op = self.input.op(number);
        let mut clock = std::mem::take(&mut self.clocks[op.session as usize]);
        for &source in self.input.sources(op) {
            let by = self.input.op(source);
            if clock[self.writes.slot(by) as usize] <= by.place {
                let other =
                    self.version_clocks[source as usize].as_ref().expect("a version's clock waits for its readers");
                clock.iter_mut().zip(other).for_each(|(mine, theirs)| *mine = (*mine).max(*theirs));
            }
        }
        match op.reads {
            Reads::Nothing => {}
            Reads::One(source) => self.register_read(number, op, source, &clock),
            Reads::List(list) => self.list_read(number, op, list, &clock),
        }
        for &source in self.input.sources(op) {
            self.readers_left[source as usize] -= 1;
            if self.readers_left[source as usize] == 0 {
                self.version_clocks[source as usize] = None;
                self.live -= 1;
            }
        }
        if op.writes {
            clock[self.writes.slot(op) as usize] = op.place + 1;
            if self.readers_left[number as usize] > 0 {
                self.version_clocks[number as usize] = Some(clock.clone().into());
                self.live += 1;
            }
        }
        self.clocks[op.session as usize] = clock;
    }

    fn add(&mut self, from: u32, why: Why, to: u32) {
        if self.pairs.insert((from, to)) {
            self.edges.push((from, why, to));
        }
    }

    /// Everything on the key in the past of a read is older than what it saw. Of each session the last is enough.
    fn register_read(&mut self, number: u32, op: &Op, source: u32, clock: &[u32]) {
        let writes = self.writes;
        for (slot, of_session) in &writes.by_key[op.key as usize] {
            let count = count_before(self.input, of_session, clock[*slot as usize]);
            let Some(&last) = of_session[..count].last() else { continue };
            if last == source {
                continue;
            }
            if self.input.is_initial(source) {
                self.add(number, Why::Misses, last);
                continue;
            }
            // What is in the version's own past is older without saying.
            let known = self.version_clocks[source as usize].as_ref().expect("a version's clock waits for its readers");
            if self.input.op(last).place >= known[*slot as usize] {
                self.add(last, Why::Older { read: number }, source);
            }
        }
    }

    /// All appends in the past of a read are in what it shows.
    fn list_read(&mut self, number: u32, op: &Op, list: u32, clock: &[u32]) {
        let (input, writes) = (self.input, self.writes);
        let shown = &input.lists[list as usize];
        if !std::mem::replace(&mut self.lists_done[list as usize], true) {
            for pair in shown.windows(2) {
                self.add(pair[0], Why::Listed { read: number }, pair[1]);
            }
        }
        let in_past = |(slot, of_session): &'a (u32, Vec<u32>)| {
            &of_session[..count_before(input, of_session, clock[*slot as usize])]
        };
        let of_key = &writes.by_key[op.key as usize];
        if of_key.iter().map(|session| in_past(session).len()).sum::<usize>() > shown.len() {
            let shown: FxHashSet<u32> = shown.iter().copied().collect();
            for session in of_key {
                let missed = in_past(session).iter().find(|write| !shown.contains(write));
                missed.into_iter().for_each(|&write| self.add(number, Why::Misses, write));
            }
        }
    }
}
