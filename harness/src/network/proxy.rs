//! The fallback network: TCP relays on loopback, for machines where namespaces are not to be had. No privilege needed.
//!
//! ```text
//!   n1 --connects to--> relay n1>n2 --dials--> n2 at 127.a.b.2      bytes there: rule n1>n2, bytes back: rule n2>n1
//!   clients ----------> relay c>n1  --dials--> n1 at 127.a.b.1      a relay for each ordered pair, and one a node for clients
//! ```
//!
//! Each node listens on a loopback address of its own, with the ports of the plan: on Linux all of 127/8 is there. A relay can
//! hold bytes back and cut, in either direction; it sees no packets, so it cannot lose, double or reorder them. A cut stalls
//! connections, and the heal resets them: their bytes are lost, as on a connection that timed out.

mod relay;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinSet};

use self::relay::Relay;
pub(super) use self::relay::{is_closed, reset};
use super::NetworkPlan;
use super::links::{Endpoint, LinkTable};

/// Blocks of addresses to look for a free one.
const BLOCKS_TRIED_MAX: u32 = 16;
/// The last byte of the address that marks a block as taken; the nodes' is their id.
const RESERVED_HOST: u8 = 254;
/// How many nodes a proxy can have: each has an address, each pair a relay.
const NODES_MAX: u32 = 100;

/// The proxy could not be made.
#[derive(Debug, thiserror::Error)]
#[error("could not {attempted}: {source}")]
pub struct ProxyError {
    attempted: String,
    source: io::Error,
}

/// Running relays. Dropping it closes all of them and their connections.
#[derive(Debug)]
pub struct Proxy {
    links: LinkTable,
    block: Block,
    peer_port: u16,
    client_port: u16,
    /// Where each relay listens.
    relays: BTreeMap<(Endpoint, u32), SocketAddr>,
    running: Vec<AbortHandle>,
    /// Dropping it ends them.
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Finds free addresses and starts all relays on the current tokio runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime, or when the plan has no nodes or more than a hundred.
    pub fn start(plan: &NetworkPlan, links: LinkTable) -> Result<Self, ProxyError> {
        assert!((1..=NODES_MAX).contains(&plan.nodes), "a proxy has 1 to {NODES_MAX} nodes, not {}", plan.nodes);
        assert_eq!(plan.nodes, links.nodes(), "the plan and the link table speak of the same nodes");
        let block = Block::take(plan)?;
        let runtime = Handle::current();
        let mut tasks = JoinSet::new();
        let mut running = Vec::new();
        let mut relays = BTreeMap::new();
        for to in 1..=plan.nodes {
            for from in links.endpoints().filter(|from| *from != Endpoint::Node(to)) {
                let port = if from == Endpoint::Clients { plan.client_port } else { plan.peer_port };
                let target = SocketAddr::from((block.address(to), port));
                let failed = |source| ProxyError { attempted: format!("start the relay from {from} to n{to}"), source };
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
                relays.insert((from, to), listener.local_addr().map_err(failed)?);
                let relay = Relay::new(links.clone(), from, Endpoint::Node(to), target, plan.seed);
                running.push(tasks.spawn_on(relay.run(listener).map_err(failed)?, &runtime));
            }
        }
        let (peer_port, client_port) = (plan.peer_port, plan.client_port);
        Ok(Proxy { links, block, peer_port, client_port, relays, running, _tasks: tasks })
    }

    /// Whether every relay still does its work; none ever ends by itself.
    pub fn is_running(&self) -> bool {
        !self.running.iter().any(AbortHandle::is_finished)
    }

    /// Where a node listens.
    pub fn node_address(&self, node: u32) -> Ipv4Addr {
        assert!((1..=self.links.nodes()).contains(&node), "there is no node {node}");
        self.block.address(node)
    }

    /// The relay from one node to another.
    ///
    /// # Panics
    /// When there is none.
    pub fn peer_address(&self, from: u32, to: u32, port: u16) -> SocketAddr {
        assert_eq!(port, self.peer_port, "peers are relayed on the plan's peer port only");
        self.relay(Endpoint::Node(from), to)
    }

    /// The relay from the clients to a node.
    ///
    /// # Panics
    /// When there is none.
    pub fn client_address(&self, node: u32, port: u16) -> SocketAddr {
        assert_eq!(port, self.client_port, "clients are relayed on the plan's client port only");
        self.relay(Endpoint::Clients, node)
    }

    /// The rules that the relays follow.
    pub fn links(&self) -> &LinkTable {
        &self.links
    }

    fn relay(&self, from: Endpoint, to: u32) -> SocketAddr {
        *self.relays.get(&(from, to)).unwrap_or_else(|| panic!("there is no relay from {from} to n{to}"))
    }
}

/// 127.a.b.*: addresses that no other harness on this machine uses.
#[derive(Debug)]
struct Block {
    prefix: [u8; 2],
    /// Held as long as the addresses are.
    _reserved: TcpListener,
}

impl Block {
    /// Takes the first free block. Starting at one that depends on the process id makes collisions rare, and listening on
    /// its last address makes them impossible.
    fn take(plan: &NetworkPlan) -> Result<Self, ProxyError> {
        let mut last_failure = None;
        for attempt in 0..BLOCKS_TRIED_MAX {
            let number = std::process::id().wrapping_mul(BLOCKS_TRIED_MAX).wrapping_add(attempt);
            // 127.64 to 127.191: away from the addresses that systems use for themselves.
            let [low, high, ..] = number.to_le_bytes();
            match Block::reserve([64 + high % 128, low], plan) {
                Ok(block) => return Ok(block),
                Err(source) => last_failure = Some(source),
            }
        }
        let (peers, clients) = (plan.peer_port, plan.client_port);
        let attempted = format!("find loopback addresses with ports {peers} and {clients} free; choose other ports");
        Err(ProxyError { attempted, source: last_failure.expect("at least one block was tried") })
    }

    fn reserve(prefix: [u8; 2], plan: &NetworkPlan) -> io::Result<Self> {
        let reserved = TcpListener::bind((address_in(prefix, RESERVED_HOST), plan.client_port))?;
        let block = Block { prefix, _reserved: reserved };
        for node in 1..=plan.nodes {
            for port in [plan.peer_port, plan.client_port] {
                // Released at once: the node is to listen there. What is found is a server on all addresses.
                TcpListener::bind((block.address(node), port))?;
            }
        }
        Ok(block)
    }

    fn address(&self, node: u32) -> Ipv4Addr {
        address_in(self.prefix, node as u8)
    }
}

fn address_in([a, b]: [u8; 2], host: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, a, b, host)
}
