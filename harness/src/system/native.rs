//! The nodes in the box, and any other executable with the same contract (`docs/node-contract.md`).

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use nodes::{
    protocol::{
        Protocol, ProtocolKind, ReadMode,
        multi_paxos::MultiPaxos,
        raft::{Message, Raft},
        zab::Zab,
    },
    server::{DEFAULT_ELECTION_TIMEOUT_MS, frame::decode},
};
use workloads::client::{AnyClient, ClientError, NativeClient, change_membership, status, transfer_leadership};

use super::{AgreedFuture, MissingBinary, NodePlace, StatusFuture, System, given};
use crate::{
    config::{NodeOptions, Reads, RunConfig},
    nemesis::NemesisKind,
    network::relay::Part,
};

/// `trueline node`, or another build of it.
#[derive(Debug)]
pub struct Native {
    program: PathBuf,
    protocol: ProtocolKind,
    /// Another build: only the contract's obligatory parts are taken for granted.
    is_foreign: bool,
    mutant: Option<String>,
    options: NodeOptions,
    reads: ReadMode,
}

impl Native {
    /// The nodes that `config` asks for.
    ///
    /// # Errors
    /// When the executable is not there.
    pub fn new(config: &RunConfig, protocol: ProtocolKind) -> Result<Self, MissingBinary> {
        let program = match &config.binary {
            Some(path) => given(path)?,
            None => std::env::current_exe().map_err(MissingBinary::Myself)?,
        };
        let Reads::Nodes(reads) = config.reads else { unreachable!("the flags were checked") };
        Ok(Self {
            program,
            protocol,
            is_foreign: config.binary.is_some(),
            mutant: config.mutant.clone(),
            options: config.node_options,
            reads,
        })
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
        let mut args: Vec<String> = ["node", "--protocol", self.protocol.name()].map(str::to_owned).into();
        let optional = |flag, value: Option<u64>| value.map(|value| (flag, value.to_string()));
        let flags = [
            ("--id", place.id.to_string()),
            ("--peers", peers.join(",")),
            ("--listen-peer", place.listen_peer.to_string()),
            ("--listen-client", place.listen_client.to_string()),
            ("--data-dir", place.data_dir.display().to_string()),
            ("--cluster", place.cluster.clone()),
            ("--seed", place.seed.to_string()),
        ];
        let chosen = [
            optional("--snapshot-every", self.options.snapshot_every),
            optional("--heartbeat-ms", self.options.heartbeat_ms),
            optional("--election-timeout-ms", self.options.election_timeout_ms),
            (self.reads != ReadMode::default()).then(|| ("--reads", self.reads.name().to_owned())),
            place.founders.map(|count| ("--voters", numbers(1..=count))),
            place.faults_file.as_ref().map(|path| ("--faults-file", path.display().to_string())),
        ];
        for (flag, value) in flags.into_iter().chain(chosen.into_iter().flatten()) {
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

    fn suffers(&self, kind: NemesisKind) -> Result<(), String> {
        match kind {
            NemesisKind::Membership if self.protocol != ProtocolKind::Raft => {
                Err("its membership is static; only raft changes its voters".to_owned())
            }
            NemesisKind::Transfer | NemesisKind::LeadAgain if self.protocol != ProtocolKind::Raft => {
                Err("its leaders do not hand over; only those of raft do".to_owned())
            }
            NemesisKind::Wipe if self.protocol != ProtocolKind::MultiPaxos => Err(
                "a voter that has lost its disk has forgotten its votes; only multi-paxos has a rule for taking one back"
                    .to_owned(),
            ),
            _ => Ok(()),
        }
    }

    /// Another build may not read a file of faults, nor speak in frames.
    fn is_mixed(&self, kind: NemesisKind) -> bool {
        self.suffers(kind).is_ok() && !(self.is_foreign && (kind.needs_relay() || kind.needs_node_faults()))
    }

    fn reads_faults(&self) -> bool {
        !self.is_foreign
    }

    fn speaks_in_frames(&self) -> bool {
        !self.is_foreign
    }

    fn message_kinds(&self) -> &'static [&'static str] {
        match self.protocol {
            ProtocolKind::Raft => Raft::MESSAGE_KINDS,
            ProtocolKind::MultiPaxos => MultiPaxos::MESSAGE_KINDS,
            ProtocolKind::Zab => Zab::MESSAGE_KINDS,
        }
    }

    fn telling_kinds(&self) -> &'static [&'static str] {
        match self.protocol {
            ProtocolKind::Raft => &["append", "append-reply", "vote-reply", "request-vote"],
            ProtocolKind::MultiPaxos => &["accept", "accepted", "promise", "prepare"],
            ProtocolKind::Zab => &["propose", "ack", "ack-epoch", "follower-info"],
        }
    }

    fn is_in_order(&self) -> bool {
        self.protocol == ProtocolKind::Zab
    }

    fn part(&self) -> fn(&[u8]) -> Option<Part> {
        match self.protocol {
            ProtocolKind::Raft => part_in_vote,
            ProtocolKind::MultiPaxos => |body| match kind_of(MultiPaxos::MESSAGE_KINDS, body) {
                Some("prepare") => Some(Part::Asks),
                Some("promise") => Some(Part::Gives),
                _ => None,
            },
            ProtocolKind::Zab => |body| match kind_of(Zab::MESSAGE_KINDS, body) {
                Some("follower-info") => Some(Part::Asks),
                Some("ack-epoch") => Some(Part::Gives),
                _ => None,
            },
        }
    }

    fn election_timeout_ms(&self) -> u64 {
        self.options.election_timeout_ms.unwrap_or(DEFAULT_ELECTION_TIMEOUT_MS)
    }

    fn change_membership(&self, address: SocketAddr, voters: Vec<u32>, learners: Vec<u32>) -> AgreedFuture {
        Box::pin(async move { change_membership(&format!("http://{address}"), &voters, &learners).await.is_ok() })
    }

    fn transfer_leadership(&self, address: SocketAddr, to: Option<u32>) -> AgreedFuture {
        Box::pin(async move { transfer_leadership(&format!("http://{address}"), to).await.is_ok() })
    }
}

fn numbers(numbers: impl Iterator<Item = u32>) -> String {
    numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(",")
}

/// A vote that is asked for or granted, and not only the question whether one would be.
fn part_in_vote(body: &[u8]) -> Option<Part> {
    match decode(body) {
        Ok(Message::RequestVote(request)) if !request.pre => Some(Part::Asks),
        Ok(Message::VoteReply(reply)) if reply.granted && !reply.pre => Some(Part::Gives),
        _ => None,
    }
}

/// The name of a message's kind.
fn kind_of(kinds: &[&'static str], body: &[u8]) -> Option<&'static str> {
    body.first().and_then(|kind| kinds.get(usize::from(*kind))).copied()
}

#[cfg(test)]
mod tests {
    use nodes::protocol::raft::{LogIndex, RequestVote, Term, VoteReply};

    use super::*;

    fn body(message: &Message) -> Vec<u8> {
        let mut frame = Vec::new();
        nodes::server::frame::put_frame(&mut frame, message).unwrap();
        frame.split_off(nodes::server::frame::FRAME_HEADER_BYTES)
    }

    #[test]
    fn votes_that_count_have_a_part_in_the_election() {
        let reply = |pre, granted| body(&Message::VoteReply(VoteReply { pre, term: Term(3), asked: Term(3), granted }));
        assert_eq!(part_in_vote(&reply(false, true)), Some(Part::Gives));
        assert!([reply(true, true), reply(false, false), vec![]].iter().all(|body| part_in_vote(body).is_none()));
        let (last_index, last_term) = (LogIndex(7), Term(2));
        let request = |pre| {
            body(&Message::RequestVote(RequestVote { pre, term: Term(3), last_index, last_term, transfer: false }))
        };
        assert_eq!(part_in_vote(&request(false)), Some(Part::Asks));
        assert_eq!(part_in_vote(&request(true)), None);
    }

    #[test]
    fn telling_kinds_are_kinds() {
        for protocol in ProtocolKind::ALL {
            let system = Native {
                program: PathBuf::new(),
                protocol,
                is_foreign: false,
                mutant: None,
                options: NodeOptions::default(),
                reads: ReadMode::default(),
            };
            assert!(
                system.telling_kinds().iter().all(|kind| system.message_kinds().contains(kind)),
                "{}",
                protocol.name()
            );
        }
    }

    #[test]
    fn kinds_are_told_by_their_place() {
        for kind in ["prepare", "promise"] {
            assert!(MultiPaxos::MESSAGE_KINDS.contains(&kind));
        }
        for kind in ["follower-info", "ack-epoch"] {
            assert!(Zab::MESSAGE_KINDS.contains(&kind));
        }
        assert_eq!(kind_of(&["a", "b"], &[1, 7]), Some("b"));
        assert_eq!((kind_of(&["a"], &[]), kind_of(&["a"], &[9])), (None, None));
    }
}
