//! The nodes in the box, and any other executable with the same contract (`docs/node-contract.md`).

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use workloads::client::{AnyClient, ClientError, NativeClient, status};

use super::{MissingBinary, NodePlace, StatusFuture, System, given};
use crate::{config::RunConfig, nemesis::NemesisKind};

/// `trueline node`, or another build of it.
#[derive(Debug)]
pub struct Native {
    program: PathBuf,
    protocol: &'static str,
    mutant: Option<String>,
}

impl Native {
    /// The nodes that `config` asks for.
    ///
    /// # Errors
    /// When the executable is not there.
    pub fn new(config: &RunConfig) -> Result<Self, MissingBinary> {
        let program = match &config.binary {
            Some(path) => given(path)?,
            None => std::env::current_exe().map_err(MissingBinary::Myself)?,
        };
        Ok(Self { program, protocol: "raft", mutant: config.mutant.clone() })
    }
}

impl System for Native {
    fn client_port(&self) -> u16 {
        7001
    }

    fn peer_port(&self) -> u16 {
        7002
    }

    fn program(&self) -> &Path {
        &self.program
    }

    fn arguments(&self, place: &NodePlace) -> Vec<String> {
        let peers: Vec<String> = place.peers.iter().map(|(id, address)| format!("{id}={address}")).collect();
        let mut args: Vec<String> = ["node", "--protocol", self.protocol].map(str::to_owned).into();
        for (flag, value) in [
            ("--id", place.id.to_string()),
            ("--peers", peers.join(",")),
            ("--listen-peer", place.listen_peer.to_string()),
            ("--listen-client", place.listen_client.to_string()),
            ("--data-dir", place.data_dir.display().to_string()),
            ("--cluster", place.cluster.clone()),
            ("--seed", place.seed.to_string()),
        ] {
            args.push(flag.to_owned());
            args.push(value);
        }
        if let Some(mutant) = &self.mutant {
            args.extend(["--mutant".to_owned(), mutant.clone(), "--allow-mutants".to_owned()]);
        }
        args
    }

    fn client(&self, address: SocketAddr) -> Result<AnyClient, ClientError> {
        Ok(AnyClient::Native(NativeClient::new(&format!("http://{address}"))?))
    }

    fn status(&self, address: SocketAddr) -> StatusFuture {
        Box::pin(async move { status(&format!("http://{address}")).await.ok() })
    }

    fn faults(&self) -> &'static [NemesisKind] {
        &NemesisKind::ALL
    }
}
