//! `trueline node`: one node process.

use std::{io::Write, net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::Args;
use nodes::{
    mutants,
    protocol::{NodeId, ReadMode},
    server::NodeArgs,
};
use serde_json::json;

const EXAMPLES: &str = r#"Example, a cluster of one:
  trueline node --protocol raft --id 1 --peers 1=127.0.0.1:7002 --listen-peer 127.0.0.1:7002 \
      --listen-client 127.0.0.1:7001 --data-dir /tmp/node1

SIGUSR1 is a power loss: a part of what was not synced is written, and the process ends at once.
SIGUSR2 makes it read --faults-file again: {"sync_delay_ms":50,"clock_rate":0.5,"wall_clock_offset_ms":-1000,
"sync_error":false,"torn":false}; what is left out is not wrong.
What a node must take and answer to be tested is documented in docs/node-contract.md."#;

/// `trueline node`: a node, or the list of mutants.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct NodeCommandArgs {
    /// List the bugs that --mutant can switch on, and do nothing else: as a table, or as json
    #[arg(long, exclusive = true, num_args = 0..=1, default_missing_value = "table", value_name = "FORMAT")]
    pub list_mutants: Option<ListFormat>,
    /// A node.
    #[command(flatten)]
    pub node: Option<NodeFlags>,
}

/// How mutants are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ListFormat {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Flags of a node.
#[derive(Args, Clone, Debug)]
pub struct NodeFlags {
    /// The protocol to speak
    #[arg(long, default_value = "raft", value_name = "NAME")]
    pub protocol: String,
    /// This node's number in the cluster
    #[arg(long)]
    pub id: u64,
    /// All nodes, this one included, as ID=ADDRESS: under which address this node reaches each for peer traffic
    #[arg(long, value_delimiter = ',', value_parser = parse_peer, required = true, value_name = "LIST")]
    pub peers: Vec<(u64, SocketAddr)>,
    /// The nodes with which the cluster is founded, when not all of --peers: the others wait to be made members. The same for all
    #[arg(long, value_delimiter = ',', value_name = "IDS")]
    pub voters: Vec<u64>,
    /// Where to listen for peers
    #[arg(long, value_name = "ADDRESS")]
    pub listen_peer: SocketAddr,
    /// Where to listen for clients
    #[arg(long, value_name = "ADDRESS")]
    pub listen_client: SocketAddr,
    /// Where to keep log and snapshots
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Nodes of another cluster name are not talked to
    #[arg(long, default_value = "trueline", value_name = "NAME")]
    pub cluster: String,
    /// Between two heartbeats of a leader, milliseconds
    #[arg(long, default_value_t = 50)]
    pub heartbeat_ms: u64,
    /// Shortest election timeout T, milliseconds; real ones are random between T and 2T
    #[arg(long, default_value_t = 300)]
    pub election_timeout_ms: u64,
    /// Take a snapshot after this many applied entries
    #[arg(long, default_value_t = 10_000)]
    pub snapshot_every: u64,
    /// Decides this node's election timeouts and what a power loss leaves
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// How reads are answered: quorum, log, lease, quorum-read or local; not every protocol offers every way
    #[arg(long, default_value = "quorum", value_parser = parse_reads, value_name = "MODE")]
    pub reads: ReadMode,
    /// What is wrong with this node on purpose: a file, read at start and again at SIGUSR2
    #[arg(long, value_name = "PATH")]
    pub faults_file: Option<PathBuf>,
    /// Switch one correctness bug on
    #[arg(long, value_name = "ID", requires = "allow_mutants")]
    pub mutant: Option<String>,
    /// Needed with --mutant, so that no bug is switched on by accident
    #[arg(long)]
    pub allow_mutants: bool,
}

fn parse_peer(text: &str) -> Result<(u64, SocketAddr), String> {
    let wrong = || format!("{text:?} is no peer; write ID=ADDRESS, such as 2=127.0.0.1:7002");
    let (id, address) = text.split_once('=').ok_or_else(wrong)?;
    Ok((id.parse().map_err(|_| wrong())?, address.parse().map_err(|_| wrong())?))
}

fn parse_reads(text: &str) -> Result<ReadMode, String> {
    let modes = ReadMode::ALL.map(ReadMode::name).join(", ");
    let found = ReadMode::ALL.into_iter().find(|mode| mode.name() == text);
    found.ok_or_else(|| format!("{text:?} is no way to answer reads; there are {modes}"))
}

/// Runs the node until its process is ended. The exit codes are those of `docs/node-contract.md`.
#[must_use]
pub fn execute(args: NodeCommandArgs) -> ExitCode {
    if let Some(format) = args.list_mutants {
        return list_mutants(format);
    }
    let args = args.node.expect("its flags are required without --list-mutants");
    let id = args.id;
    let outcome = nodes::server::run(&NodeArgs {
        protocol: args.protocol,
        id: NodeId(args.id),
        peers: args.peers.into_iter().map(|(id, address)| (NodeId(id), address)).collect(),
        voters: args.voters.into_iter().map(NodeId).collect(),
        listen_peer: args.listen_peer,
        listen_client: args.listen_client,
        data_dir: args.data_dir,
        cluster: args.cluster,
        heartbeat_ms: args.heartbeat_ms,
        election_timeout_ms: args.election_timeout_ms,
        snapshot_every: args.snapshot_every,
        reads: args.reads,
        mutant: args.mutant,
        allow_mutants: args.allow_mutants,
        seed: args.seed,
        faults_file: args.faults_file,
        power_loss_seed: args.seed,
    });
    outcome.unwrap_or_else(|error| {
        eprintln!("node {id} did not start: {error}");
        ExitCode::from(error.exit_code())
    })
}

fn list_mutants(format: ListFormat) -> ExitCode {
    let text = match format {
        ListFormat::Table => table(),
        ListFormat::Json => {
            let list: Vec<_> = mutants::all()
                .map(|m| {
                    json!({"id": m.id, "protocol": m.protocol.name(), "rating": m.rating.name(), "bug": m.bug,
                        "rule": m.rule, "seen_as": m.seen_as, "source": m.source})
                })
                .collect();
            format!("{:#}\n", json!(list))
        }
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("trueline: cannot print the list: {error}");
            ExitCode::FAILURE
        }
    }
}

fn table() -> String {
    let width = mutants::all().map(|m| m.id.len()).max().unwrap_or(0);
    let mut text = format!("{:width$}  {:12}{:8}bug\n", "id", "protocol", "rating");
    for m in mutants::all() {
        text += &format!("{:width$}  {:12}{:8}{}\n", m.id, m.protocol.name(), m.rating, m.bug);
    }
    text
}
