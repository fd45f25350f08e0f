//! The network between nodes and clients: who reaches whom at which address, and one table of rules for what goes wrong.
//!
//! ```text
//!                        Network
//!            +--------------+---------------+
//!         fabric                          proxy
//!   enter: namespaces               loopback, any system user
//!   switch: every packet            relays: every byte stream
//!            +--------- LinkTable ----------+
//! ```
//!
//! With either kind, the traffic between nodes may pass the message relay too, which follows the same table.
//!
//! Both kinds answer the same questions, so the rest of the harness does not ask which one it has, except through
//! [`Capabilities`] when it chooses faults.

pub mod enter;
pub mod fabric;
pub mod kernel;
pub mod links;
pub mod proxy;
pub mod relay;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;

use self::enter::Entered;
use self::fabric::{Fabric, FabricError};
use self::links::LinkTable;
use self::proxy::{Proxy, ProxyError};

/// Which network to make.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Namespaces and a switch; the process must have entered its own namespaces.
    Fabric(Entered),
    /// Relays on loopback; to be started inside a tokio runtime, which then carries the traffic.
    Proxy,
}

/// What a network is to be.
#[derive(Clone, Copy, Debug)]
pub struct NetworkPlan {
    /// How many nodes, with ids from 1.
    pub nodes: u32,
    /// The port on which each node listens for its peers.
    pub peer_port: u16,
    /// The port on which each node listens for clients.
    pub client_port: u16,
    /// What all random choices about traffic come from.
    pub seed: u64,
    /// Which kind of network.
    pub kind: Kind,
}

/// Which faults a network can really make. Delays, and cuts in either direction, all can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Losing single packets.
    pub loss: bool,
    /// Doubling single packets.
    pub duplicate: bool,
    /// Letting packets overtake others.
    pub reorder: bool,
    /// A connection survives a cut and goes on after it; otherwise it is reset at the heal.
    pub connections_survive_cuts: bool,
}

/// The network could not be made.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// No fabric.
    #[error(transparent)]
    Fabric(#[from] FabricError),
    /// No proxy.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
}

/// A running network. Dropping it ends all traffic.
#[derive(Debug)]
pub enum Network {
    /// Namespaces and a switch.
    Fabric(Fabric),
    /// Relays on loopback.
    Proxy(Proxy),
}

/// What a node's process needs to be part of the network.
#[derive(Debug)]
pub struct SpawnContext {
    /// The namespace to start in, for [`NodeCommand::netns`](crate::process::NodeCommand::netns).
    pub netns: Option<OwnedFd>,
}

impl Network {
    /// Makes the network: addresses, interfaces or relays, all links clear. Relays connect when traffic comes, so the nodes
    /// need not be there yet.
    ///
    /// # Panics
    /// For the proxy, outside a tokio runtime.
    pub fn start(plan: &NetworkPlan) -> Result<Self, NetworkError> {
        let links = LinkTable::new(plan.nodes);
        Ok(match plan.kind {
            Kind::Fabric(inside) => Network::Fabric(Fabric::new(inside, links, plan.seed)?),
            Kind::Proxy => Network::Proxy(Proxy::start(plan, links)?),
        })
    }

    /// The address on which a node's server listens, with the ports of the plan.
    pub fn node_address(&self, node: u32) -> IpAddr {
        match self {
            Network::Fabric(fabric) => fabric.address(node).into(),
            Network::Proxy(proxy) => proxy.node_address(node).into(),
        }
    }

    /// The address that `from` must use to reach a port on which `to` listens, so that the rules of that link apply.
    ///
    /// # Panics
    /// For the proxy, when the port is not the plan's peer port.
    pub fn peer_address(&self, from: u32, to: u32, port: u16) -> SocketAddr {
        match self {
            Network::Fabric(fabric) => SocketAddr::new(fabric.address(to).into(), port),
            Network::Proxy(proxy) => proxy.peer_address(from, to, port),
        }
    }

    /// Where a relay between the nodes may listen, and the address that its own connections must come from: its traffic passes the
    /// network untouched, as the relay itself follows the rules of the links that it carries.
    ///
    /// # Errors
    /// When the system refuses the address.
    pub fn relay_place(&self) -> io::Result<(IpAddr, Option<IpAddr>)> {
        match self {
            Network::Fabric(fabric) => {
                let address = fabric.take_relay_address()?.into();
                Ok((address, Some(address)))
            }
            Network::Proxy(_) => Ok((Ipv4Addr::LOCALHOST.into(), None)),
        }
    }

    /// The address that the harness's clients must use to reach a port on which a node listens.
    ///
    /// # Panics
    /// For the proxy, when the port is not the plan's client port.
    pub fn client_address(&self, node: u32, port: u16) -> SocketAddr {
        match self {
            Network::Fabric(fabric) => SocketAddr::new(fabric.address(node).into(), port),
            Network::Proxy(proxy) => proxy.client_address(node, port),
        }
    }

    /// Whether it still carries traffic. It stops by itself only when the system takes an interface away or a relay fails.
    pub fn is_running(&self) -> bool {
        match self {
            Network::Fabric(fabric) => fabric.is_running(),
            Network::Proxy(proxy) => proxy.is_running(),
        }
    }

    /// The rules that traffic follows.
    pub fn links(&self) -> &LinkTable {
        match self {
            Network::Fabric(fabric) => fabric.links(),
            Network::Proxy(proxy) => proxy.links(),
        }
    }

    /// What a node's process needs to be part of the network.
    pub fn spawn_context(&self, node: u32) -> io::Result<SpawnContext> {
        let netns = match self {
            Network::Fabric(fabric) => Some(fabric.namespace(node).try_clone_to_owned()?),
            Network::Proxy(_) => None,
        };
        Ok(SpawnContext { netns })
    }

    /// One line about the network, for a person.
    pub fn describe(&self) -> String {
        let nodes = self.links().nodes();
        match self {
            Network::Fabric(_) => format!("fabric: {nodes} network namespaces and a switch for every packet"),
            Network::Proxy(_) => format!(
                "proxy: {nodes} nodes behind TCP relays on loopback; cuts and delays only, no loss, duplication or reordering"
            ),
        }
    }

    /// Which faults it can make.
    pub fn capabilities(&self) -> Capabilities {
        match self {
            Network::Fabric(_) => {
                Capabilities { loss: true, duplicate: true, reorder: true, connections_survive_cuts: true }
            }
            Network::Proxy(_) => {
                Capabilities { loss: false, duplicate: false, reorder: false, connections_survive_cuts: false }
            }
        }
    }
}
