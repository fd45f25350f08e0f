//! An unmodified etcd server, spoken to through its JSON gateway.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use workloads::client::{AnyClient, ClientError, EtcdClient, EtcdReads, status_etcd};

use super::{MissingBinary, NodePlace, StatusFuture, System, given, in_path, unmodified_suffers};
use crate::{
    config::{NetworkKind, Reads, RunConfig},
    nemesis::NemesisKind,
};

/// Shorter than etcd's own default, so that failovers are seen.
const ELECTION_TIMEOUT_MS: u64 = 500;

/// etcd 3.4 or later.
#[derive(Debug)]
pub struct Etcd {
    program: PathBuf,
    reads: EtcdReads,
}

impl Etcd {
    /// The server that `config` names, or the one in PATH.
    ///
    /// # Errors
    /// When there is none.
    pub fn new(config: &RunConfig) -> Result<Self, MissingBinary> {
        let program = match &config.binary {
            Some(path) => given(path)?,
            None => in_path("etcd", "etcd-server")?,
        };
        let Reads::Etcd(reads) = config.reads else { unreachable!("the flags were checked") };
        Ok(Self { program, reads })
    }
}

impl System for Etcd {
    fn client_port(&self) -> u16 {
        2379
    }

    fn peer_port(&self) -> u16 {
        2380
    }

    fn program(&self) -> &Path {
        &self.program
    }

    fn arguments(&self, place: &NodePlace) -> Vec<String> {
        let url = |address: &SocketAddr| format!("http://{address}");
        let members: Vec<String> = place.peers.iter().map(|(id, at)| format!("n{id}={}", url(at))).collect();
        let mut args = Vec::new();
        for (flag, value) in [
            ("--name", format!("n{}", place.id)),
            ("--data-dir", place.data_dir.display().to_string()),
            ("--listen-peer-urls", url(&place.listen_peer)),
            ("--initial-advertise-peer-urls", url(&place.listen_peer)),
            ("--listen-client-urls", url(&place.listen_client)),
            ("--advertise-client-urls", url(&place.listen_client)),
            ("--initial-cluster", members.join(",")),
            ("--initial-cluster-state", "new".to_owned()),
            ("--initial-cluster-token", place.cluster.clone()),
            // The same timers as the nodes in the box have, so that failovers compare.
            ("--heartbeat-interval", "50".to_owned()),
            ("--election-timeout", ELECTION_TIMEOUT_MS.to_string()),
            ("--logger", "zap".to_owned()),
        ] {
            args.push(flag.to_owned());
            args.push(value);
        }
        args
    }

    fn client(&self, address: SocketAddr) -> Result<AnyClient, ClientError> {
        Ok(AnyClient::Etcd(EtcdClient::new(&format!("http://{address}"), self.reads)?))
    }

    fn status(&self, address: SocketAddr) -> StatusFuture {
        Box::pin(async move { status_etcd(&format!("http://{address}")).await.ok() })
    }

    fn suffers(&self, kind: NemesisKind) -> Result<(), String> {
        unmodified_suffers(kind)
    }

    fn election_timeout_ms(&self) -> u64 {
        ELECTION_TIMEOUT_MS
    }

    fn check_network(&self, network: NetworkKind) -> Result<(), String> {
        match network {
            NetworkKind::Proxy => {
                Err("etcd's members must know each other by one address, which relays for every pair \
                                       of nodes cannot give; it needs --network fabric"
                    .to_owned())
            }
            NetworkKind::Fabric | NetworkKind::Auto => Ok(()),
        }
    }
}
