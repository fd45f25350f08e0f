//! The four session guarantees of Terry, Demers, Petersen, Spreitzer, Theimer and Welch, "Session guarantees for weakly consistent
//! replicated data" (PDIS 1994, section 3), on registers. Lists show what a read saw and are judged in `shown`.
//!
//! ```text
//!   read your writes      a session wrote u, then read w of the same key                ==> u is not newer than w
//!   monotonic reads       a session read u, then read w of the same key                 ==> u is not newer than w
//!   monotonic writes      a session wrote u, then w of the same key                     ==> u is older than w
//!                         a session wrote u, then v; another read v, then w of u's key  ==> u is not newer than w
//!   writes follow reads   a session read u, then wrote w of the same key                ==> u is older than w
//!                         a session read u, then wrote v; another read v, then w of u's key ==> u is not newer than w
//! ```
//!
//! A guarantee holds when each key has an order of its versions, the initial one first, in which all its lines are true. The lines
//! speak of reads and sessions only, never of the order itself: so an order exists if and only if the edges have no circle, and the
//! test is exact. Two choices, without which registers, where a read shows one write and not all that it saw, would hardly ever
//! break anything:
//! - The second lines of monotonic writes and of writes follow reads let a session's reads stand for one observer that does not go back.
//!   That is how Jepsen puts it ("all processes observe w1 before w2"). Terry's servers may differ from read to read.
//! - Read your writes and monotonic reads are judged against orders that also keep the first lines of the other two: otherwise a read
//!   that goes back could be excused by an order in which the writes do. Where no order keeps those (a read of what the
//!   same or another session was still to write), or where some reads are unclear, they are judged against the write order alone.
//!
//! Each line follows from causal consistency as `causal` has it. So where that holds these need not be judged, and every circle
//! here lies inside one of its components: other versions are left out at once.

use rustc_hash::FxHashMap;

use super::causal::{Writes, count_before};
use super::graph::{Analysis, Constraints, Step, Why};
use super::input::{Input, NONE, Op, Reads};
use super::{Level, Limits};

/// What came out for one guarantee.
pub(super) enum Guarantee {
    Holds,
    Fails(Vec<Step>),
    Unknown(String),
}

/// What a session has seen of another: up to which place, by which version and which read.
#[derive(Clone, Copy)]
struct Seen {
    place: u32,
    version: u32,
    first: u32,
}

const UNSEEN: Seen = Seen { place: 0, version: NONE, first: NONE };

/// Edges in a graph, over all levels. More are not looked at.
const EDGES_MAX: usize = 30_000_000;

/// Judges one guarantee on registers.
pub(super) fn judge(
    level: Level,
    input: &Input<'_>,
    writes: &Writes,
    components: Option<&[u32]>,
    limits: &Limits,
) -> Guarantee {
    let mut guarantee = Builder { input, writes, components, limits, graph: Constraints::new(input.node_count()) };
    let built = match level {
        Level::ReadYourWrites | Level::MonotonicReads => guarantee.own_reads(level),
        Level::MonotonicWrites => guarantee.monotonic_writes(),
        _ => guarantee.writes_follow_reads(),
    };
    match built {
        Err(Stop::Budget(why)) => Guarantee::Unknown(why),
        Err(Stop::Contradiction(steps)) => Guarantee::Fails(steps),
        Ok(()) => match guarantee.graph.analyse() {
            Analysis::Acyclic => Guarantee::Holds,
            Analysis::Cyclic { circle, .. } => Guarantee::Fails(circle),
        },
    }
}

/// Why a graph is not finished.
enum Stop {
    Budget(String),
    /// A version would be older than the initial one, or than itself.
    Contradiction(Vec<Step>),
}

/// By key: slots with the places of their reads, and for each the hub of all that was read up to it.
type Hubs = Vec<Vec<(u32, Vec<(u32, u32)>)>>;

struct Builder<'a, 'h> {
    input: &'a Input<'h>,
    writes: &'a Writes,
    components: Option<&'a [u32]>,
    limits: &'a Limits,
    graph: Constraints,
}

impl Builder<'_, '_> {
    /// False for versions that are on no circle of the causal graph, and so on none of these.
    fn matters(&self, version: u32) -> bool {
        self.components.is_none_or(|components| components[version as usize] != 0)
    }

    /// `from` is older than `to`, if both can matter.
    fn older(&mut self, from: u32, why: Why, to: u32) -> Result<(), Stop> {
        match (self.input.is_initial(from), self.input.is_initial(to)) {
            (true, _) => {}
            (false, true) => return Err(Stop::Contradiction(vec![(from, why, to)])),
            (false, false) if self.matters(from) && self.matters(to) => self.graph.edge(from, why, to),
            (false, false) => {}
        }
        Ok(())
    }

    /// The version that a read saw.
    fn source(&self, op: &Op) -> Option<u32> {
        if let Reads::One(source) = op.reads { Some(source) } else { None }
    }

    fn check(&self, done: usize) -> Result<(), Stop> {
        if self.graph.edge_count() > EDGES_MAX {
            return Err(Stop::Budget(format!("more than {EDGES_MAX} constraints")));
        }
        self.limits.check(done, self.graph.edge_count() * 32).map_err(Stop::Budget)
    }

    fn own_reads(&mut self, level: Level) -> Result<(), Stop> {
        self.write_order()?;
        if self.input.unclear.is_none() {
            let mut both = Builder { graph: Constraints::new(self.input.node_count()), ..*self };
            both.write_order()?;
            match both.read_write_order() {
                Ok(_) if matches!(both.graph.analyse(), Analysis::Acyclic) => self.graph = both.graph,
                Err(Stop::Budget(why)) => return Err(Stop::Budget(why)),
                _ => {}
            }
        }
        let input = self.input;
        let mut before: FxHashMap<u32, (u32, u32)> = FxHashMap::default();
        for (done, session) in input.sessions.iter().enumerate() {
            self.check(done)?;
            before.clear();
            for &number in session {
                let op = input.op(number);
                let reads = level == Level::MonotonicReads;
                if let Some(source) = self.source(op) {
                    match before.get(&op.key) {
                        Some(&(version, first)) if version != source => {
                            let why = match reads {
                                true => Why::ReadThenRead { first, then: number },
                                false => Why::WroteThenRead { read: number },
                            };
                            self.older(version, why, source)?;
                        }
                        _ => {}
                    }
                    if reads {
                        before.insert(op.key, (source, number));
                    }
                }
                if op.writes && !reads {
                    before.insert(op.key, (number, number));
                }
            }
        }
        Ok(())
    }

    /// Each session's writes of a key in its order.
    fn write_order(&mut self) -> Result<(), Stop> {
        let writes = self.writes;
        for (_, of_session) in writes.by_key.iter().flatten() {
            for pair in of_session.windows(2) {
                self.older(pair[0], Why::Session, pair[1])?;
            }
        }
        Ok(())
    }

    /// Each session's writes of a key after all that it had read of that key before.
    fn read_write_order(&mut self) -> Result<Hubs, Stop> {
        let input = self.input;
        let mut hubs: Hubs = vec![Vec::new(); input.keys.len()];
        for (done, session) in input.sessions.iter().enumerate() {
            self.check(done)?;
            let slot = self.writes.slots[done];
            if slot == NONE {
                continue;
            }
            for &number in session {
                let op = input.op(number);
                if let Some(source) = self.source(op).filter(|source| !input.is_initial(*source)) {
                    let by = input.op(source);
                    if by.session == op.session && by.place > op.place {
                        let known = (source, Why::Known { read: number }, NONE);
                        return Err(Stop::Contradiction(vec![known, (NONE, Why::ThenWrote, source)]));
                    }
                    let hub = self.graph.hub();
                    if self.matters(source) {
                        self.graph.edge(source, Why::Known { read: number }, hub);
                    }
                    let of_key = &mut hubs[op.key as usize];
                    match of_key.last_mut() {
                        Some((last, reads)) if *last == slot => {
                            let before = reads.last().expect("a list of hubs begins with one").1;
                            self.graph.edge(before, Why::Hub, hub);
                            reads.push((op.place, hub));
                        }
                        _ => of_key.push((slot, vec![(op.place, hub)])),
                    }
                }
                if let (true, Some((last, reads))) = (op.writes && self.matters(number), hubs[op.key as usize].last())
                    && *last == slot
                {
                    let hub = reads.last().expect("a list of hubs begins with one").1;
                    self.graph.edge(hub, Why::ThenWrote, number);
                }
            }
        }
        Ok(hubs)
    }

    fn monotonic_writes(&mut self) -> Result<(), Stop> {
        self.write_order()?;
        let writes = self.writes;
        self.observers(|this, op, seen, source, then| {
            for (slot, of_session) in &writes.by_key[op.key as usize] {
                let Seen { place, version, first } = seen[*slot as usize];
                let count = count_before(this.input, of_session, place);
                match of_session[..count].last() {
                    Some(&last) if last != source => {
                        this.older(last, Why::SawLater { seen: version, first, then }, source)?;
                    }
                    _ => {}
                }
            }
            Ok(())
        })
    }

    fn writes_follow_reads(&mut self) -> Result<(), Stop> {
        let hubs = self.read_write_order()?;
        self.observers(|this, op, seen, source, then| {
            for (slot, reads) in &hubs[op.key as usize] {
                let Seen { place, version, first } = seen[*slot as usize];
                // A compare-and-set wrote after what it read itself.
                let count = if version == NONE { 0 } else { reads.partition_point(|(at, _)| *at <= place) };
                let Some(&(_, hub)) = reads[..count].last() else { continue };
                let why = Why::SawFollower { seen: version, first, then };
                if this.input.is_initial(source) {
                    // Whatever was read first is newer than the initial version.
                    let read = this.read_at(*slot, reads[0].0);
                    let known = this.source(this.input.op(read)).expect("hubs are made for reads of a version");
                    let known = (known, Why::Known { read }, NONE);
                    return Err(Stop::Contradiction(vec![known, (NONE, why, source)]));
                }
                if this.matters(source) {
                    this.graph.edge(hub, why, source);
                }
            }
            Ok(())
        })
    }

    /// The operation at `place` of the session in `slot`.
    fn read_at(&self, slot: u32, place: u32) -> u32 {
        let session = self.writes.slots.iter().position(|other| *other == slot).expect("each slot is a session's");
        self.input.sessions[session][place as usize]
    }

    /// Calls `at` on every read with its source, and with what its session had seen of others before it.
    fn observers(&mut self, at: impl Fn(&mut Self, &Op, &[Seen], u32, u32) -> Result<(), Stop>) -> Result<(), Stop> {
        let input = self.input;
        let mut seen = vec![UNSEEN; self.writes.slot_count];
        let mut touched: Vec<u32> = Vec::new();
        let mut done = 0;
        for session in &input.sessions {
            touched.drain(..).for_each(|slot| seen[slot as usize] = UNSEEN);
            for &number in session {
                done += 1;
                self.check(done)?;
                let op = input.op(number);
                let Some(source) = self.source(op) else { continue };
                at(self, op, &seen, source, number)?;
                if !input.is_initial(source) {
                    let by = input.op(source);
                    let slot = self.writes.slot(by);
                    let known = &mut seen[slot as usize];
                    if known.version == NONE || known.place < by.place {
                        *known = Seen { place: by.place, version: source, first: number };
                        touched.push(slot);
                    }
                }
            }
        }
        Ok(())
    }
}
