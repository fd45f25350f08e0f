//! Client of a server that is described in words and not in code: `[system.NAME]` of `trueline.toml` (`docs/own-system.md`).
//!
//! ```text
//!   Invocation ──> Operation ── Template ──> request ──> http ──> answer ──> Rule, Rule, … ──> Outcome
//!                  by workload   {key} {value|json}                          status, json, is     ok, fail, info, mismatch
//! ```
//!
//! What no rule is for is not known, and so are answers that did not come: the table of [`client`](super) holds here, too. A rule can say
//! that an answer means *definitely not done*; whoever writes one had better know the server's source.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use checkers::history::{Action, Value};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Client, ClientError, Outcome, UNSUPPORTED, http::Http};
use crate::{generator::Invocation, kind::WorkloadKind};

pub mod answer;
pub mod operation;
pub mod probe;
pub mod template;

use answer::Rule;
use operation::{Cas, Change, Create, Hold, Kind, Operation, Read, Take};

/// Registers by key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Registers {
    /// Reads the value.
    pub read: Operation<Read>,
    /// Overwrites it.
    pub write: Operation<Change>,
    /// Sets the new value if the old one is there. Without it, clients read and write.
    #[serde(default)]
    pub cas: Option<Operation<Cas>>,
    /// Sets the new value if there is none.
    #[serde(default)]
    pub create: Option<Operation<Create>>,
}

/// Lists by key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Lists {
    /// Reads the whole list.
    pub read: Operation<Read>,
    /// Puts an element at its end.
    pub append: Operation<Change>,
}

/// Sets, or counters, by key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Sums {
    /// Reads the whole set, or the sum.
    pub read: Operation<Read>,
    /// Adds an element, or a number.
    pub add: Operation<Change>,
}

/// Queues by key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Queues {
    /// Puts an element at the end.
    pub enqueue: Operation<Change>,
    /// Takes the first one out.
    pub dequeue: Operation<Take>,
}

/// Locks by key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Locks {
    /// Acquires it for an owner, the value.
    pub acquire: Operation<Hold>,
    /// Releases it.
    pub release: Operation<Hold>,
}

/// What a server can be asked for, and what its answers mean.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Api {
    /// See [`WorkloadKind::Register`] and [`WorkloadKind::CasChain`].
    pub register: Option<Registers>,
    /// See [`WorkloadKind::Append`].
    pub append: Option<Lists>,
    /// See [`WorkloadKind::Set`].
    pub set: Option<Sums>,
    /// See [`WorkloadKind::Counter`].
    pub counter: Option<Sums>,
    /// See [`WorkloadKind::Queue`].
    pub queue: Option<Queues>,
    /// See [`WorkloadKind::Lock`].
    pub lock: Option<Locks>,
    /// What answers mean that no rule of the operation is for.
    pub answers: Vec<Rule>,
    /// What stands for `{reads}`.
    pub reads: Option<String>,
}

impl Api {
    /// What is missing for a workload, as one would write it; nothing if it can be done.
    #[must_use]
    pub fn missing(&self, workload: WorkloadKind) -> Vec<&'static str> {
        let table = |present: bool, names: &[&'static str]| if present { Vec::new() } else { names.to_vec() };
        match workload {
            WorkloadKind::Register => table(self.register.is_some(), &["register.read", "register.write"]),
            WorkloadKind::CasChain => {
                let (cas, create) =
                    self.register.as_ref().map_or((false, false), |r| (r.cas.is_some(), r.create.is_some()));
                let mut missing = table(self.register.is_some(), &["register.read", "register.write"]);
                missing.extend(table(cas, &["register.cas"]));
                missing.extend(table(create, &["register.create"]));
                missing
            }
            WorkloadKind::Append => table(self.append.is_some(), &["append.read", "append.append"]),
            WorkloadKind::Set => table(self.set.is_some(), &["set.read", "set.add"]),
            WorkloadKind::Counter => table(self.counter.is_some(), &["counter.read", "counter.add"]),
            WorkloadKind::Queue => table(self.queue.is_some(), &["queue.enqueue", "queue.dequeue"]),
            WorkloadKind::Lock => table(self.lock.is_some(), &["lock.acquire", "lock.release"]),
        }
    }

    /// The workloads that it can do.
    pub fn workloads(&self) -> impl Iterator<Item = WorkloadKind> {
        WorkloadKind::ALL.into_iter().filter(|kind| self.missing(*kind).is_empty())
    }

    /// Whether registers can be compared and set.
    #[must_use]
    pub fn has_cas(&self) -> bool {
        self.register.as_ref().is_some_and(|register| register.cas.is_some())
    }

    /// Whether some read has a place for `{reads}`.
    #[must_use]
    pub fn says_reads(&self) -> bool {
        let reads = [
            self.register.as_ref().map(|register| &register.read),
            self.append.as_ref().map(|lists| &lists.read),
            self.set.as_ref().map(|sets| &sets.read),
            self.counter.as_ref().map(|counters| &counters.read),
        ];
        reads.into_iter().flatten().any(|read| read.says("reads"))
    }
}

/// One client's connection to one server that is described.
#[derive(Clone, Debug)]
pub struct DescribedClient {
    http: Http,
    api: Arc<Api>,
    workload: WorkloadKind,
}

impl DescribedClient {
    /// A client of the server at `http://HOST:PORT`. Connects at the first operation.
    ///
    /// # Errors
    /// When that is no address.
    pub fn new(base_url: &str, api: Arc<Api>) -> Result<Self, ClientError> {
        Ok(Self { http: Http::new(base_url)?, api, workload: WorkloadKind::Register })
    }

    /// See [`AnyClient::working`](super::AnyClient::working).
    #[must_use]
    pub fn working(self, workload: WorkloadKind) -> Self {
        Self { workload, ..self }
    }

    /// Does an operation that is described; there is nothing to be sent where it is not.
    async fn exchange<K: Kind>(
        &self,
        operation: Option<&Operation<K>>,
        words: Filled<'_>,
        action: &Action,
        deadline: Instant,
    ) -> Outcome {
        let Some((operation, request)) = operation.and_then(|operation| {
            let request = operation.request(|word| words.of(word)).ok()?;
            Some((operation, request))
        }) else {
            return Outcome::fail(UNSUPPORTED);
        };
        match self.http.send(request, deadline).await {
            Ok(answer) => operation.judge(&self.api.answers, &answer),
            Err(no) if no.sent => Outcome::unanswered(action, no.reason),
            Err(no) => Outcome::fail(no.reason),
        }
    }
}

/// What the places of a request are filled with.
#[derive(Clone, Copy)]
struct Filled<'a> {
    key: &'a str,
    value: Option<&'a Value>,
    old: Option<&'a Value>,
    reads: Option<&'a str>,
}

impl Filled<'_> {
    fn of(self, word: &str) -> Value {
        let text = |text: &str| Value::Text(text.to_owned());
        match word {
            "key" => text(self.key),
            "reads" => text(self.reads.unwrap_or_default()),
            "old" => self.old.cloned().unwrap_or_default(),
            _ => self.value.cloned().unwrap_or_default(),
        }
    }
}

impl Client for DescribedClient {
    async fn invoke(&mut self, invocation: &Invocation, timeout: Duration) -> Outcome {
        let deadline = Instant::now() + timeout;
        let (api, action) = (&*self.api, &invocation.action);
        let words = Filled { key: &invocation.key, value: None, old: None, reads: api.reads.as_deref() };
        let registers = api.register.as_ref();
        match action {
            Action::Read => {
                let read = match self.workload {
                    WorkloadKind::Append => api.append.as_ref().map(|lists| &lists.read),
                    WorkloadKind::Set => api.set.as_ref().map(|sets| &sets.read),
                    WorkloadKind::Counter => api.counter.as_ref().map(|counters| &counters.read),
                    _ => registers.map(|registers| &registers.read),
                };
                self.exchange(read, words, action, deadline).await
            }
            Action::Cas { old: Value::Nil, new } => {
                let create = registers.and_then(|registers| registers.create.as_ref());
                self.exchange(create, Filled { value: Some(new), ..words }, action, deadline).await
            }
            Action::Cas { old, new } => {
                let cas = registers.and_then(|registers| registers.cas.as_ref());
                self.exchange(cas, Filled { value: Some(new), old: Some(old), ..words }, action, deadline).await
            }
            Action::Dequeue => {
                let dequeue = api.queue.as_ref().map(|queues| &queues.dequeue);
                self.exchange(dequeue, words, action, deadline).await
            }
            Action::Acquire(owner) | Action::Release(owner) => {
                let acquires = matches!(action, Action::Acquire(_));
                let hold = api.lock.as_ref().map(|locks| if acquires { &locks.acquire } else { &locks.release });
                self.exchange(hold, Filled { value: Some(owner), ..words }, action, deadline).await
            }
            Action::Write(value) | Action::Append(value) | Action::Add(value) | Action::Enqueue(value) => {
                let change = match (action, self.workload) {
                    (Action::Write(_), _) => registers.map(|registers| &registers.write),
                    (Action::Append(_), _) => api.append.as_ref().map(|lists| &lists.append),
                    (Action::Add(_), WorkloadKind::Counter) => api.counter.as_ref().map(|counters| &counters.add),
                    (Action::Add(_), _) => api.set.as_ref().map(|sets| &sets.add),
                    _ => api.queue.as_ref().map(|queues| &queues.enqueue),
                };
                self.exchange(change, Filled { value: Some(value), ..words }, action, deadline).await
            }
            Action::Delete | Action::Txn(_) => Outcome::fail(UNSUPPORTED),
        }
    }
}

/// Ways to read, by name: what stands for `{reads}` in each.
pub type Reads = BTreeMap<String, String>;
