//! What one seed means: the cluster, its network, disks and clocks, the clients, and how often which fault strikes.
//!
//! A schedule draws each knob from a few settings, most of them harsh in one respect only, rather than a little of everything
//! always: some bugs need calm (a leader that lives), others need storms.

use nodes::mutants::Mutant;
use rand::{Rng, RngExt, SeedableRng, seq::IndexedRandom};
use rand_pcg::Pcg64Mcg;

pub const MICROSECOND: u64 = 1_000;
pub const MILLISECOND: u64 = 1_000_000;

/// The shortest election timeout T of every node.
pub const ELECTION_TIMEOUT: u64 = 100 * MILLISECOND;
/// Between two heartbeats.
pub const HEARTBEAT: u64 = 25 * MILLISECOND;

/// The generator of everything random in a schedule: named and portable, so that a seed means the same everywhere.
pub type Generator = Pcg64Mcg;

/// A generator for one purpose of one seed.
pub fn generator(seed: u64, purpose: u64) -> Generator {
    Generator::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ purpose)
}

/// One of the settings, each as likely as it is often listed.
pub fn pick<T: Copy>(rng: &mut impl Rng, settings: &[T]) -> T {
    *settings.choose(rng).expect("at least one setting")
}

/// Where a crash was asked for, exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// A step handed over records; none of them is durable.
    Unsynced,
    /// The records are durable; nothing that waited for them has left.
    Unsent,
    /// What waited has left; the node was not told yet.
    Untold,
}

impl Point {
    pub const ALL: [Self; 3] = [Self::Unsynced, Self::Unsent, Self::Untold];
}

/// Every knob of a schedule.
#[derive(Clone, Debug)]
pub struct Schedule {
    pub seed: u64,
    /// With how many voters the cluster is founded.
    pub nodes: usize,
    /// How many more nodes there are, that may become members.
    pub spares: usize,
    pub mutant: Option<Mutant>,
    /// How long clients and faults go on before everything is healed.
    pub storm: u64,

    pub snapshot_every: u64,
    pub max_append_bytes: usize,
    pub max_inflight: usize,
    pub max_pending: usize,

    pub loss: f64,
    pub duplication: f64,
    /// Usual delay of a message, at most.
    pub delay_max: u64,
    /// How likely a message is late by up to `straggle_max` instead.
    pub straggle: f64,
    pub straggle_max: u64,
    /// Whether messages and records go through their encoding.
    pub encode: bool,

    /// How long a sync takes, at most.
    pub sync_max: u64,
    /// How likely records that nobody waits for are synced on their own.
    pub lazy_sync: f64,
    /// How likely a crash is at each persist point.
    pub crash: f64,
    /// Crash at the n-th persist point of this kind, and nowhere else.
    pub crash_at: Option<(Point, u64)>,

    /// Between two faults, on average; `u64::MAX` for none.
    pub fault_every: u64,
    /// How likely a new leader is crashed or cut off soon.
    pub deposition: f64,
    /// Between two changes of the members, on average; `u64::MAX` for none.
    pub change_every: u64,
    /// How likely a new leader is asked for other members before it has committed anything.
    pub hasty_changes: f64,
    /// How long a node is down, at most.
    pub down_max: u64,
    /// How likely a crash costs a node its disk, where the protocol can bear that.
    pub disk_loss: f64,
    /// Clocks run wrong by this many parts in a million, at most.
    pub drift_ppm: u64,

    pub clients: usize,
    /// Between two operations of a client, at most; after a refusal four times that.
    pub think_max: u64,
    /// How long a client waits before it goes on.
    pub patience: u64,
    /// How likely an operation is a read.
    pub reads: f64,
    /// How likely an operation asks for leadership to be handed over.
    pub transfers: f64,
    /// How likely a client prefers exactly-once over at-most-once.
    pub stamped: f64,
    /// Whether leaders answer reads under a lease, where the protocol offers that.
    pub leases: bool,
    /// How likely a fault sets a node's wall clock.
    pub wall_clock: f64,
    /// Nothing is checked; only a node that stops is a violation. For mutants, whose harm must not be the end of their process.
    pub blind: bool,
}

/// No cluster has more nodes than this.
const PLACES_MAX: usize = 5;

impl Schedule {
    /// This schedule for a protocol whose members never change.
    pub fn with_static_membership(self) -> Self {
        Self { spares: 0, change_every: u64::MAX, ..self }
    }

    /// How many nodes there are, spares included.
    pub fn places(&self) -> usize {
        self.nodes + self.spares
    }

    /// The schedule of this seed.
    pub fn of(seed: u64, mutant: Option<Mutant>) -> Self {
        let rng = &mut generator(seed, 1);
        let changes = rng.random_ratio(2, 5);
        let nodes = if changes {
            // Changes to an even number of voters are the delicate ones: halves of it may be majorities of what follows.
            pick(rng, &[1, 2, 3, 3, 4, 4, 4, 5])
        } else {
            pick(rng, &[3, 3, 3, 3, 3, 3, 5, 5, 5, 4, 2, 1])
        };
        Self {
            seed,
            nodes,
            spares: if changes { PLACES_MAX - nodes } else { 0 },
            mutant,
            storm: pick(rng, &[1500, 3000, 6000]) * MILLISECOND,
            snapshot_every: pick(rng, &[2, 5, 12, 1000, 1000]),
            max_append_bytes: pick(rng, &[1, 150, 1 << 20]),
            max_inflight: pick(rng, &[1, 2, 8]),
            max_pending: pick(rng, &[2, 64, 64]),
            loss: pick(rng, &[0.0, 0.0, 0.02, 0.1, 0.3]),
            duplication: pick(rng, &[0.0, 0.05, 0.25]),
            delay_max: pick(rng, &[1, 1, 5, 30]) * MILLISECOND,
            straggle: pick(rng, &[0.0, 0.0, 0.02, 0.15]),
            straggle_max: pick(rng, &[50, 400]) * MILLISECOND,
            encode: rng.random_ratio(1, 8),
            sync_max: pick(rng, &[1, 1, 8, 60]) * MILLISECOND,
            lazy_sync: pick(rng, &[0.0, 0.1, 0.5]),
            crash: pick(rng, &[0.0, 0.0, 0.01, 0.04]),
            crash_at: None,
            fault_every: pick(rng, &[60, 150, 150, 400, 1000]) * MILLISECOND,
            deposition: pick(rng, &[0.0, 0.0, 0.5, 0.9]),
            change_every: if changes { pick(rng, &[80, 200, 500]) * MILLISECOND } else { u64::MAX },
            hasty_changes: pick(rng, &[0.0, 0.3, 0.9]),
            down_max: pick(rng, &[5, 120, 400]) * MILLISECOND,
            drift_ppm: pick(rng, &[0, 1_000, 50_000]),
            clients: pick(rng, &[1, 2, 3, 4]),
            think_max: pick(rng, &[5, 20, 80]) * MILLISECOND,
            patience: pick(rng, &[60, 250, 600]) * MILLISECOND,
            reads: pick(rng, &[0.1, 0.4, 0.7]),
            transfers: pick(rng, &[0.0, 0.03, 0.1]),
            stamped: pick(rng, &[0.0, 0.3, 1.0]),
            disk_loss: pick(rng, &[0.0, 0.0, 0.05, 0.3]),
            leases: pick(rng, &[false, false, true]),
            wall_clock: pick(rng, &[0.0, 0.05, 0.3]),
            blind: false,
        }
    }

    /// A schedule of four voters whose leaders are asked for other members at once, and are cut off soon: two of them in a row may each
    /// make a change of their own.
    pub fn with_hasty_changes(seed: u64, mutant: Option<Mutant>) -> Self {
        let storm = 6000 * MILLISECOND;
        let any = Self::of(seed, mutant);
        Self {
            nodes: 4,
            spares: 1,
            storm,
            max_append_bytes: 1,
            delay_max: 30 * MILLISECOND,
            sync_max: 60 * MILLISECOND,
            down_max: 5 * MILLISECOND,
            change_every: 80 * MILLISECOND,
            hasty_changes: 0.9,
            deposition: 0.9,
            fault_every: 150 * MILLISECOND,
            ..any
        }
    }

    /// A schedule whose only fault is one crash, at one persist point.
    pub fn with_one_crash(seed: u64, at: Option<(Point, u64)>) -> Self {
        let calm = Self::of(seed, None);
        Self {
            nodes: 3,
            spares: 1,
            change_every: 150 * MILLISECOND,
            storm: 700 * MILLISECOND,
            snapshot_every: 4,
            max_pending: 64,
            loss: 0.0,
            delay_max: MILLISECOND,
            straggle: 0.0,
            sync_max: MILLISECOND,
            crash: 0.0,
            crash_at: at,
            fault_every: u64::MAX,
            deposition: 0.0,
            transfers: 0.1,
            clients: 2,
            think_max: 30 * MILLISECOND,
            ..calm
        }
    }
}
