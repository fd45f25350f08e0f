//! Which operations clients issue: pure functions of the seed.
//!
//! ```text
//!   client c, k-th operation ──> value = k * clients + c + 1 (distinct over the whole run)
//!                                slot  = random of 0..keys, kind = random by the mix
//!   operations begun so far  ──> generation g = begun / (keys * ops_per_key)
//!                                key   = g * keys + slot
//! ```
//!
//! One seed gives every client its operations: which kind comes, in which slot, with which value, is independent of clocks, of
//! results and of other clients. Two things are not. The generation of keys follows the operations that all clients have begun:
//! were each client to count for itself, those of a node that was down would lag behind on keys that nobody else uses, and a stale
//! read there could not be seen. And `old` of a compare-and-set is what this client last saw in the key, as told through
//! [`Generator::observe`], for a guess would hardly ever match.
//!
//! Values are distinct over the run because that is what makes a register's history decidable in O(n log n): a read
//! then names the write it saw (P. B. Gibbons and E. Korach, "Testing Shared Memories", SIAM J. Comput. 26(4), 1997). So are
//! the numbers that are added, the elements of sets, the values that pass through queues, and the owners of locks.

use std::collections::HashMap;

use checkers::history::{Action, Completion, Function, Value};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use crate::{
    client::{Outcome, REFUSED},
    kind::{Ending, WorkloadKind},
};

/// An operation to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The object.
    pub key: String,
    /// What to do.
    pub action: Action,
}

/// How many of a hundred operations are of which kind. Together they are 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mix {
    /// Reads; of a queue dequeues.
    pub reads: u32,
    /// Writes, appends, additions, enqueues; of a lock acquisitions and releases.
    pub writes: u32,
    /// Compare-and-sets; 0 where the workload has none.
    pub cas: u32,
}

/// What the clients of one run do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadSpec {
    /// Which workload.
    pub kind: WorkloadKind,
    /// How many clients there are. Part of the specification: key rotation and values count over all of them.
    pub clients: u32,
    /// How many keys are worked on at a time.
    pub keys: u32,
    /// About so many operations go to a key before fresh keys take over: the mean over the keys of a generation.
    pub ops_per_key: u32,
    /// The kinds of operations.
    pub mix: Mix,
}

/// A workload that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// A count that must not be zero.
    #[error("the workload needs at least one of its {0}: give a number above 0")]
    Zero(&'static str),
    /// Percentages that are not a whole.
    #[error("the mix of operations adds up to {0} %: make it 100")]
    MixNotWhole(u64),
    /// A share of operations that the workload does not have.
    #[error("the {workload} workload has no {operations}: set their share to 0")]
    NotItsOperation {
        /// The workload.
        workload: WorkloadKind,
        /// What it lacks.
        operations: &'static str,
    },
}

impl WorkloadSpec {
    /// The defaults of a workload for so many clients.
    #[must_use]
    pub fn new(kind: WorkloadKind, clients: u32) -> Self {
        Self { kind, clients, keys: 5, ops_per_key: kind.ops_per_key(), mix: kind.mix() }
    }

    /// Whether a generator can be made from this.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn validate(&self) -> Result<(), SpecError> {
        for (count, name) in [(self.clients, "clients"), (self.keys, "keys"), (self.ops_per_key, "operations per key")]
        {
            if count == 0 {
                return Err(SpecError::Zero(name));
            }
        }
        let Mix { reads, writes, cas } = self.mix;
        let sum = u64::from(reads) + u64::from(writes) + u64::from(cas);
        if sum != 100 {
            return Err(SpecError::MixNotWhole(sum));
        }
        let [read, change, compare] = self.kind.operations();
        for (operation, share, operations) in
            [(read, reads, "reads"), (change, writes, "writes"), (compare, cas, "compare-and-sets")]
        {
            if operation.is_empty() && share > 0 {
                return Err(SpecError::NotItsOperation { workload: self.kind, operations });
            }
        }
        Ok(())
    }

    /// The kinds of operations that are to be issued: of each one at least must succeed, or the run says little.
    #[must_use]
    pub fn functions(&self) -> Vec<Function> {
        let Mix { reads, writes, cas } = self.mix;
        let shares = self.kind.operations().into_iter().zip([reads, writes, cas]);
        shares.filter(|&(_, share)| share > 0).flat_map(|(functions, _)| functions.iter().copied()).collect()
    }
}

impl WorkloadKind {
    /// The functions that the three shares of a [`Mix`] stand for; none where the workload has no such share.
    fn operations(self) -> [&'static [Function]; 3] {
        const READ: &[Function] = &[Function::Read];
        const CAS: &[Function] = &[Function::Cas];
        match self {
            Self::Register => [READ, &[Function::Write], CAS],
            Self::Append => [READ, &[Function::Append], &[]],
            Self::Counter | Self::Set => [READ, &[Function::Add], &[]],
            Self::CasChain => [READ, &[], CAS],
            Self::Queue => [&[Function::Dequeue], &[Function::Enqueue], &[]],
            Self::Lock => [&[], &[Function::Acquire, Function::Release], &[]],
        }
    }
}

/// The operations of one client, without end.
#[derive(Clone, Debug)]
pub struct Generator {
    spec: WorkloadSpec,
    client: u32,
    rng: Pcg64,
    /// Operations issued so far by this client.
    issued: u64,
    /// The generation of keys that `seen` is about.
    generation: u64,
    /// The key of the last operation: a compare-and-set goes there, where this client's knowledge is freshest.
    last_key: Option<u64>,
    /// What this client last saw in each key of this generation.
    seen: HashMap<String, Value>,
    /// The lock that this client holds, or may hold: its key and the owner.
    held: Option<(String, Value)>,
}

impl Generator {
    /// The generator of client number `client`, counted from 0.
    ///
    /// # Panics
    /// When the specification is not valid (ask [`WorkloadSpec::validate`] first) or there is no such client.
    #[must_use]
    pub fn new(spec: &WorkloadSpec, seed: u64, client: u32) -> Self {
        if let Err(error) = spec.validate() {
            panic!("a generator needs a valid workload: {error}");
        }
        assert!(client < spec.clients, "client {client} of {}", spec.clients);
        // Whole 256 bits of seed: neighbouring clients of neighbouring seeds must not share a stream.
        let mut material = [0_u8; 32];
        for (index, chunk) in material.chunks_exact_mut(8).enumerate() {
            let word = split_mix(seed ^ split_mix((u64::from(client) << 8) | index as u64));
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        Self {
            spec: spec.clone(),
            client,
            rng: Pcg64::from_seed(material),
            issued: 0,
            generation: 0,
            last_key: None,
            seen: HashMap::new(),
            held: None,
        }
    }

    /// The same client, but it only reads. A client waits for each answer, so one that writes stands still at a server that has
    /// lost its majority; whether such a server still answers reads is seen only by one that never writes. Where nothing is
    /// read, the client stays as it is.
    #[must_use]
    pub fn reads_only(mut self) -> Self {
        if self.spec.kind.ending() == Ending::Read {
            self.spec.mix = Mix { reads: 100, writes: 0, cas: 0 };
        }
        self
    }

    /// The next operation, when all clients together have begun so many.
    pub fn next(&mut self, begun: u64) -> Invocation {
        let place = self.issued * u64::from(self.spec.clients) + u64::from(self.client);
        self.issued += 1;
        let per_generation = u64::from(self.spec.keys) * u64::from(self.spec.ops_per_key);
        self.enter(begun / per_generation);

        // Both numbers are always drawn, so that a client's later operations do not hang on the mix of earlier ones.
        let fresh = self.generation * u64::from(self.spec.keys) + self.rng.random_range(0..u64::from(self.spec.keys));
        let kind = self.rng.random_range(0..100_u32);
        let Mix { reads, writes, .. } = self.spec.mix;
        // Who holds a lock, or may, gives it back before anything else: no other client can.
        if let Some((key, owner)) = self.held.clone() {
            return Invocation { key, action: Action::Release(owner) };
        }
        let (key, action) = if kind < reads {
            (fresh, if self.spec.kind == WorkloadKind::Queue { Action::Dequeue } else { Action::Read })
        } else if kind < reads + writes {
            (fresh, self.change(value_at(place)))
        } else {
            // In a chain all go for the same links; else a compare-and-set goes where this client's knowledge is freshest.
            let chain = self.spec.kind == WorkloadKind::CasChain;
            let key = if chain { fresh } else { self.last_key.unwrap_or(fresh) };
            // Never seen: expect the initial state. On a fresh key that is right.
            let old = self.seen.get(&key_name(key)).cloned().unwrap_or_default();
            (key, Action::Cas { old, new: value_at(place) })
        };
        self.last_key = Some(key);
        Invocation { key: key_name(key), action }
    }

    /// Tells how an operation ended, so that a later compare-and-set expects what this client last saw, and locks are given back.
    pub fn observe(&mut self, invocation: &Invocation, outcome: &Outcome) {
        if self.spec.kind == WorkloadKind::Lock {
            return self.observe_lock(invocation, outcome);
        }
        if self.spec.mix.cas == 0 {
            return;
        }
        let value = match (&invocation.action, &outcome.completion) {
            (Action::Read, Completion::Ok(Some(value))) => value,
            (Action::Write(value) | Action::Cas { new: value, .. }, Completion::Ok(_)) => value,
            (Action::Cas { .. }, Completion::Mismatch { observed: Some(value) }) => value,
            _ => return,
        };
        self.seen.insert(invocation.key.clone(), value.clone());
    }

    /// After an unknown outcome of either, the lock may be held: it is released until that is done, or there is nothing to release.
    fn observe_lock(&mut self, invocation: &Invocation, outcome: &Outcome) {
        let refused = outcome.reason.as_deref() == Some(REFUSED);
        match (&invocation.action, &outcome.completion) {
            (Action::Acquire(owner), Completion::Ok(_) | Completion::Info) => {
                self.held = Some((invocation.key.clone(), owner.clone()));
            }
            (Action::Release(_), Completion::Ok(_)) => self.held = None,
            (Action::Release(_), Completion::Fail) if refused => self.held = None,
            _ => {}
        }
    }

    fn enter(&mut self, generation: u64) {
        if generation != self.generation {
            self.generation = generation;
            self.last_key = None;
            // Bounds the memory: old keys are not asked for again.
            self.seen.clear();
        }
    }

    fn change(&self, value: Value) -> Action {
        match self.spec.kind {
            WorkloadKind::Register | WorkloadKind::CasChain => Action::Write(value),
            WorkloadKind::Append => Action::Append(value),
            WorkloadKind::Counter | WorkloadKind::Set => Action::Add(value),
            WorkloadKind::Queue => Action::Enqueue(value),
            // A fresh owner each time: a late copy of a request can then do nothing to anybody else's hold.
            WorkloadKind::Lock => Action::Acquire(value),
        }
    }
}

/// The name of a key by its number.
#[must_use]
pub fn key_name(number: u64) -> String {
    format!("k{number}")
}

/// Values count up over all clients, so that a person sees in a history about when a value was written.
fn value_at(place: u64) -> Value {
    Value::Int(i64::try_from(place + 1).expect("fewer than 2^63 operations in a run"))
}

/// The finalizer of SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators", 2014).
fn split_mix(input: u64) -> u64 {
    let mut z = input.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
