//! The relay that knows single messages: TCP hides a lost, doubled or overtaken packet from the protocol above it, this does not.
//!
//! ```text
//!   n1 --connects to--> relay n1>n2 --dials--> n2          a listener for each ordered pair; one direction, as nodes speak
//!                          │
//!       frame ──> rule of the link ──> rule of the message ──> dropped | at once | late | twice | out of order
//!          └──> overheard: who said what to whom
//! ```
//!
//! It reads the frames of `docs/node-contract.md`, hands the first one of a connection (the hello) on as it is, and takes every later
//! one for a message, whose first byte says its kind. One table of links drives switch and relay alike: a cut of the link from n1 to
//! n2 holds here too. Where a protocol builds on links that are first in, first out, a cut breaks the connection, as a network does
//! that loses what was under way, and rules can only make messages late.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use tokio::{
    runtime::Handle,
    sync::broadcast,
    task::{AbortHandle, JoinSet},
};

use self::{connection::Link, rules::Rules};
use super::links::LinkTable;

mod connection;
mod frames;
mod rules;

pub use rules::MessageRule;

/// What was overheard and not yet looked at, at most; older is forgotten.
const HEARD_MAX: usize = 4096;

/// The relay could not be made.
#[derive(Debug, thiserror::Error)]
#[error("could not {attempted}: {source}")]
pub struct RelayError {
    attempted: String,
    source: io::Error,
}

/// What a relay is to be.
#[derive(Clone, Debug)]
pub struct RelayPlan {
    /// Where it listens.
    pub listen: IpAddr,
    /// The address its own connections come from, if that matters.
    pub dial_from: Option<IpAddr>,
    /// Where each node listens for its peers, in the order of their ids.
    pub targets: Vec<SocketAddr>,
    /// The names of the kinds of messages; the first byte of a message is its place here.
    pub kinds: &'static [&'static str],
    /// Messages of one link stay in order, and none is lost alone or doubled.
    pub in_order: bool,
    /// What part a message has in an election, if any.
    pub part: fn(&[u8]) -> Option<Part>,
    /// What all random choices come from.
    pub seed: u64,
}

/// What part a message has in an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// It asks for a word.
    Asks,
    /// It gives one, which its sender must remember: a vote, a promise.
    Gives,
}

/// A message that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Who said it.
    pub from: u32,
    /// To whom.
    pub to: u32,
    /// Its kind's place among the kinds.
    pub kind: u8,
    /// Its part in an election, if any.
    pub part: Option<Part>,
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    links: LinkTable,
    rules: Rules,
    heard: broadcast::Sender<Heard>,
    in_order: bool,
    part: fn(&[u8]) -> Option<Part>,
    dial_from: Option<IpAddr>,
    seed: u64,
}

/// A running relay. Dropping it closes every connection.
#[derive(Debug)]
pub struct Relay {
    shared: Arc<Shared>,
    addresses: BTreeMap<(u32, u32), SocketAddr>,
    running: Vec<AbortHandle>,
    /// Dropping it ends them.
    _tasks: JoinSet<()>,
}

impl Relay {
    /// Starts listening for every ordered pair of nodes, on the current tokio runtime.
    ///
    /// # Errors
    /// When an address cannot be listened on.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(plan: &RelayPlan, links: LinkTable) -> Result<Self, RelayError> {
        let (heard, _) = broadcast::channel(HEARD_MAX);
        let shared = Arc::new(Shared {
            links,
            rules: Rules::new(plan.kinds, plan.in_order),
            heard,
            in_order: plan.in_order,
            part: plan.part,
            dial_from: plan.dial_from,
            seed: plan.seed,
        });
        let runtime = Handle::current();
        let (mut tasks, mut running, mut addresses) = (JoinSet::new(), Vec::new(), BTreeMap::new());
        for (to, target) in (1..).zip(&plan.targets) {
            for from in (1..).take(plan.targets.len()).filter(|from| *from != to) {
                let attempted = || format!("start the relay from n{from} to n{to}");
                let failed = |source| RelayError { attempted: attempted(), source };
                let listener = TcpListener::bind((plan.listen, 0)).map_err(failed)?;
                addresses.insert((from, to), listener.local_addr().map_err(failed)?);
                listener.set_nonblocking(true).map_err(failed)?;
                let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
                let link = Link { shared: Arc::clone(&shared), from, to, target: *target };
                running.push(tasks.spawn_on(Arc::new(link).accept(listener), &runtime));
            }
        }
        Ok(Self { shared, addresses, running, _tasks: tasks })
    }

    /// The address under which `from` is to reach `to`.
    ///
    /// # Panics
    /// When there are no such nodes.
    #[must_use]
    pub fn address(&self, from: u32, to: u32) -> SocketAddr {
        *self.addresses.get(&(from, to)).unwrap_or_else(|| panic!("there is no relay from n{from} to n{to}"))
    }

    /// What happens to messages from now on; the first rule that fits a message counts. Those that are late already stay so.
    pub fn set_rules(&self, rules: &[MessageRule]) {
        self.shared.rules.set(rules);
    }

    /// Tells of every message that arrives at the relay from now on, whatever becomes of it.
    #[must_use]
    pub fn overhear(&self) -> broadcast::Receiver<Heard> {
        self.shared.heard.subscribe()
    }

    /// Whether every listener still does its work; none ever ends by itself.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.running.iter().any(AbortHandle::is_finished)
    }
}
