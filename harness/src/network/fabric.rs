//! The network fabric: a network namespace for each node, and one switch in user space between them.
//!
//! ```text
//!   namespace of n1        namespace of n2        the controller's namespace
//!   10.84.76.1/24          10.84.76.2/24          10.84.76.254/24 (clients)
//!        | TUN                  | TUN                  | TUN
//!        +---------------- switch thread ---------------+      rules and counters: LinkTable
//! ```
//!
//! The namespaces are the nodes' own, so unmodified servers run on their standard ports, and nothing of the host's network is
//! touched. IPv4 only. Everything goes away with the [`Fabric`], and with the controller however it ends.

mod packet;
mod stats;
mod switch;
mod tun;

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rustix::event::{EventfdFlags, eventfd};

use self::switch::Switch;
use self::tun::Tun;
use super::enter::Entered;
use super::kernel;
use super::links::LinkTable;

pub use self::stats::{Lateness, SwitchStats};

/// The addresses are seen inside the namespaces only, so they collide with nothing outside.
const NETWORK: [u8; 3] = [10, 84, 76];
/// The last byte of the clients' address; the nodes' is their id.
const CLIENTS_HOST: u8 = 254;
/// The last byte of the message relay's address, in the controller's namespace too.
const RELAY_HOST: u8 = 253;
/// How many nodes a fabric can have.
pub const NODES_MAX: u32 = 250;

/// The fabric could not be made.
#[derive(Debug, thiserror::Error)]
#[error("could not {attempted}: {source}")]
pub struct FabricError {
    attempted: String,
    source: io::Error,
}

/// A running network of nodes and clients. Dropping it takes the interfaces away.
#[derive(Debug)]
pub struct Fabric {
    namespaces: Vec<OwnedFd>,
    links: LinkTable,
    stats: Arc<SwitchStats>,
    stop: Arc<OwnedFd>,
    switch: Option<JoinHandle<()>>,
}

impl Fabric {
    /// Makes the namespaces and interfaces and starts the switch.
    ///
    /// # Panics
    /// When there are more than [`NODES_MAX`] nodes in the table.
    pub fn new(_inside: Entered, links: LinkTable, seed: u64) -> Result<Self, FabricError> {
        let nodes = links.nodes();
        assert!((1..=NODES_MAX).contains(&nodes), "a fabric has 1 to {NODES_MAX} nodes, not {nodes}");
        let clients = clients_address();
        let tun = Tun::create(clients).map_err(failed("create the interface of the clients"))?;
        let mut ports = vec![(tun, clients)];
        let mut namespaces = Vec::new();
        for id in 1..=nodes {
            let namespace = kernel::new_network_namespace()
                .map_err(failed(format!("create the network namespace of node {id}")))?;
            let address = node_address(id);
            let tun = kernel::in_namespace(namespace.as_fd(), || Tun::create(address))
                .and_then(|tun| tun)
                .map_err(failed(format!("create the interface of node {id}")))?;
            ports.push((tun, address));
            namespaces.push(namespace);
        }
        let stats = Arc::new(SwitchStats::default());
        let stop = eventfd(0, EventfdFlags::CLOEXEC).map_err(failed("create an event descriptor"))?;
        let stop = Arc::new(stop);
        let switch = Switch::new(ports, relay_address(), links.clone(), seed, stats.clone());
        let thread = start(switch, stop.clone()).map_err(failed("start the switch's thread"))?;
        Ok(Fabric { namespaces, links, stats, stop, switch: Some(thread) })
    }

    /// The address of a node, the same for everybody.
    pub fn address(&self, node: u32) -> Ipv4Addr {
        assert!((1..=self.links.nodes()).contains(&node), "there is no node {node}");
        node_address(node)
    }

    /// The address that the clients' traffic comes from.
    pub fn clients_address(&self) -> Ipv4Addr {
        clients_address()
    }

    /// Gives the controller's interface the address of the message relay. What goes to and from it passes the switch untouched: the
    /// relay follows the rules of the links that it carries.
    ///
    /// # Errors
    /// When the system refuses it.
    pub fn take_relay_address(&self) -> io::Result<Ipv4Addr> {
        Tun::add_address(relay_address())?;
        Ok(relay_address())
    }

    /// The network namespace of a node, to start its process in.
    pub fn namespace(&self, node: u32) -> BorrowedFd<'_> {
        assert!((1..=self.links.nodes()).contains(&node), "there is no node {node}");
        self.namespaces[node as usize - 1].as_fd()
    }

    /// The rules that the switch follows.
    pub fn links(&self) -> &LinkTable {
        &self.links
    }

    /// What the switch reports about itself.
    pub fn stats(&self) -> &SwitchStats {
        &self.stats
    }

    /// Whether the switch still works. It ends early only when an interface is lost.
    pub fn is_running(&self) -> bool {
        self.switch.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Fabric {
    fn drop(&mut self) {
        // Writing to an event descriptor that counts from zero cannot fail or wait.
        let _ = rustix::io::write(&*self.stop, &1_u64.to_ne_bytes());
        if let Some(thread) = self.switch.take() {
            let _ = thread.join();
        }
    }
}

fn start(switch: Switch, stop: Arc<OwnedFd>) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("switch".into()).spawn(move || {
        if let Err(error) = switch.run(&stop) {
            // The whole network is down; runs notice by `is_running`, and a person by this line.
            eprintln!("trueline: the network switch has stopped: {error}");
        }
    })
}

fn node_address(id: u32) -> Ipv4Addr {
    let [a, b, c] = NETWORK;
    Ipv4Addr::new(a, b, c, id as u8)
}

fn clients_address() -> Ipv4Addr {
    let [a, b, c] = NETWORK;
    Ipv4Addr::new(a, b, c, CLIENTS_HOST)
}

fn failed<E: Into<io::Error>>(attempted: impl Into<String>) -> impl FnOnce(E) -> FabricError {
    let attempted = attempted.into();
    move |source| FabricError { attempted, source: source.into() }
}

fn relay_address() -> Ipv4Addr {
    let [a, b, c] = NETWORK;
    Ipv4Addr::new(a, b, c, RELAY_HOST)
}
