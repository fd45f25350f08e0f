//! What every protocol core is: a pure state machine, `step(now, input, &mut outputs)`.
//!
//! ```text
//!               Input                          Outputs
//!   Tick ────────────┐                ┌──> compact                 write the snapshot durably, first
//!   Receive ─────────┤   ┌────────┐   ├──> records                 append, in order; sync if sync_wanted
//!   Client ──────────┼──>│  step  │──>├──> send                    may leave at once
//!   Durable(ticket) ─┘   └────────┘   ├──> send_when_durable       held until everything persisted so far is durable
//!                                     ├──> replies                 answers for clients of this node
//!                                     └──> wake_at                 call again with Tick no later than this
//! ```
//!
//! No clock, file, socket, log call or async runtime in here: time and randomness are inputs. The same core runs as a
//! real process and in a seeded simulation. A core owns its replicated [`machine`](crate::machine), so replies come out of `step`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    machine::{Answer, Command, Value},
    mutants::Mutant,
};

mod asked;
mod chunks;
mod durability;
mod gate;
mod image;
pub mod multi_paxos;
pub mod quorum;
pub mod raft;
mod weight;
pub mod zab;

/// The protocols there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProtocolKind {
    /// Raft.
    Raft,
    /// Multi-Paxos.
    MultiPaxos,
    /// Zab.
    Zab,
}

impl ProtocolKind {
    /// Every protocol.
    pub const ALL: [Self; 3] = [Self::Raft, Self::MultiPaxos, Self::Zab];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Raft => "raft",
            Self::MultiPaxos => "multi-paxos",
            Self::Zab => "zab",
        }
    }
}

/// How a node answers reads. Not every protocol offers every way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadMode {
    /// After a fresh round in which a quorum confirmed the leader (Raft, Multi-Paxos), or after a `sync` through the broadcast (Zab).
    #[default]
    Quorum,
    /// Through the log, like a write.
    Log,
    /// From the leader's state while it holds a lease. Linearizable only while clocks run at about the same rate.
    Lease,
    /// After asking a quorum for the highest slot accepted, without the leader (Multi-Paxos).
    QuorumRead,
    /// From this node's own state. Not linearizable, by design.
    Local,
}

impl ReadMode {
    /// Every way.
    pub const ALL: [Self; 5] = [Self::Quorum, Self::Log, Self::Lease, Self::QuorumRead, Self::Local];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Quorum => "quorum",
            Self::Log => "log",
            Self::Lease => "lease",
            Self::QuorumRead => "quorum-read",
            Self::Local => "local",
        }
    }
}

/// A server of the cluster, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub u64);

/// A moment on the node's own monotonic clock, in nanoseconds since an arbitrary start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Time(pub u64);

/// Names one client request at the node that received it; unique within one life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RequestId(pub u64);

/// Numbers the steps that had something to persist: 1, 2, 3, … within one life of the process.
///
/// Everything the steps up to and including `Ticket(n)` asked to persist is durable once `Input::Durable(Ticket(n))` comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What a core is told.
#[derive(Clone, Debug)]
pub enum Input<M> {
    /// Time passed; nothing else happened.
    Tick,
    /// A message came from a peer.
    Receive {
        /// Who sent it.
        from: NodeId,
        /// What it says.
        message: M,
    },
    /// A client of this node asks for something.
    Client {
        /// The name under which the reply will come.
        id: RequestId,
        /// What is asked.
        request: Request,
    },
    /// All that was to be persisted up to this ticket is durable.
    Durable(Ticket),
    /// The wall clock was set: from now on it is off by so many nanoseconds. No correct rule looks at it.
    WallClock {
        /// Wall clock less the node's own monotonic clock, counted from where they agreed.
        offset_ns: i64,
    },
}

/// What a client may ask of a core.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Run a command through the log.
    Command(Command),
    /// Read a key, linearizably.
    Read {
        /// The key.
        key: String,
    },
    /// Hand leadership to `to`, or to the most up-to-date follower.
    TransferLeadership {
        /// The wanted leader.
        to: Option<NodeId>,
    },
    /// Make exactly these the members of the cluster. Not every protocol can.
    ChangeMembership {
        /// Who is to vote.
        voters: Vec<NodeId>,
        /// Who is to get the log without a vote.
        learners: Vec<NodeId>,
    },
}

/// The end of a client request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The machine's answer to a command.
    Answer(Answer),
    /// The value read.
    Value(Value),
    /// Leadership transfer was begun.
    TransferStarted,
    /// The members are what was asked for; that is committed and applied.
    MembershipChanged,
    /// Not answered.
    Refused(Refusal),
}

/// Why a request was not answered, and what that says about its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Refusal {
    /// No leader is known here: the request went nowhere. Definitely not done.
    NoLeader,
    /// The node the request was forwarded to was not the leader and put it into no log. Definitely not done.
    NotLeader,
    /// Another term's entry was applied at the index of this command. Definitely not done.
    Overwritten,
    /// Too many requests are waiting here; this one was not taken. Definitely not done.
    Overloaded,
    /// The protocol has no such request. Definitely not done.
    Unsupported,
    /// Another change of membership is under way, or may be as far as a new leader knows. Definitely not done.
    ChangeUnderWay,
    /// No cluster can have these members: none votes, one is named twice, or is not among the known nodes. Definitely not done.
    InvalidMembership,
    /// Leadership was lost after the command entered the log. Unknown.
    LeadershipLost,
    /// It was forwarded, and no answer came back. Unknown.
    ForwardLost,
    /// The node gave up waiting. Unknown.
    Timeout,
}

impl Refusal {
    /// Whether the request definitely had no effect, now or ever.
    #[must_use]
    pub fn is_definite(self) -> bool {
        match self {
            Self::NoLeader
            | Self::NotLeader
            | Self::Overwritten
            | Self::Overloaded
            | Self::Unsupported
            | Self::ChangeUnderWay
            | Self::InvalidMembership => true,
            Self::LeadershipLost | Self::ForwardLost | Self::Timeout => false,
        }
    }
}

/// What a core asks for. One value is reused: the driver drains it after each step.
#[derive(Debug)]
pub struct Outputs<M, R> {
    /// Replace everything stored by a snapshot and the records that follow it. Comes before `records` of the same step.
    pub compact: Option<Compact<R>>,
    /// Append these to the log, in this order.
    pub records: Vec<R>,
    /// Whether anything waits for the records (or the compaction): if not, the storage may sync them at its leisure.
    pub sync_wanted: bool,
    /// Messages that may be sent at once.
    pub send: Vec<(NodeId, M)>,
    /// Messages that may be sent only when everything persisted up to and including this step is durable.
    pub send_when_durable: Vec<(NodeId, M)>,
    /// Answers for clients of this node.
    pub replies: Vec<(RequestId, Reply)>,
    /// Call `step` with [`Input::Tick`] no later than this.
    pub wake_at: Time,
}

impl<M, R> Default for Outputs<M, R> {
    fn default() -> Self {
        Self {
            compact: None,
            records: Vec::new(),
            sync_wanted: false,
            send: Vec::new(),
            send_when_durable: Vec::new(),
            replies: Vec::new(),
            wake_at: Time::default(),
        }
    }
}

impl<M, R> Outputs<M, R> {
    /// Whether this step has something to persist, and so takes the next [`Ticket`].
    #[must_use]
    pub fn persists(&self) -> bool {
        self.compact.is_some() || !self.records.is_empty()
    }
}

/// A snapshot with the records that are kept behind it.
#[derive(Clone, Debug)]
pub struct Compact<R> {
    /// The core's snapshot: machine, sessions, and where in the log it stands.
    pub snapshot: Vec<u8>,
    /// All other durable state that still counts (hard state, entries above the snapshot).
    pub records: Vec<R>,
}

/// What storage found at start.
#[derive(Clone, Debug)]
pub struct Stored<R> {
    /// The newest durable snapshot.
    pub snapshot: Option<Vec<u8>>,
    /// The records behind it, in the order they were appended.
    pub records: Vec<R>,
}

impl<R> Default for Stored<R> {
    fn default() -> Self {
        Self { snapshot: None, records: Vec::new() }
    }
}

/// What a core is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// Every node that may ever be a member, this one included. Others are not listened to.
    pub nodes: Vec<NodeId>,
    /// The voters with which the cluster was founded: some of `nodes`, and for most clusters all. Where the protocol can change
    /// its members, those that the log and the snapshot name are in force instead.
    pub voters: Vec<NodeId>,
    /// Between two heartbeats of a leader, nanoseconds.
    pub heartbeat_ns: u64,
    /// The shortest election timeout T, nanoseconds; real ones are random in [T, 2T].
    pub election_timeout_ns: u64,
    /// Take a snapshot once this many entries were applied since the last one.
    pub snapshot_every: u64,
    /// At most this many bytes of entries in one append message.
    pub max_append_bytes: usize,
    /// At most this many append messages in flight to one follower.
    pub max_inflight: usize,
    /// At most this many client requests waiting in this node.
    pub max_pending: usize,
    /// A number that no earlier disk of this node was given: it becomes the name of the disk if that is blank.
    pub incarnation: u64,
    /// How reads are answered; one of the protocol's [`Protocol::READ_MODES`].
    pub reads: ReadMode,
    /// The one rule that is wrong in this process, if any. Correct builds have none.
    pub mutant: Option<Mutant>,
}

impl Config {
    /// Whether a core can be started with this.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), RestoreError> {
        let distinct = |list: &[NodeId]| list.iter().collect::<BTreeSet<_>>().len() == list.len();
        let problem = if !self.nodes.contains(&self.id) {
            "this node is not among the nodes"
        } else if !distinct(&self.nodes) {
            "a node is named twice"
        } else if self.voters.is_empty()
            || !distinct(&self.voters)
            || !self.voters.iter().all(|v| self.nodes.contains(v))
        {
            "there must be voters, each named once, and all among the nodes"
        } else if self.heartbeat_ns == 0 || self.election_timeout_ns <= self.heartbeat_ns {
            "the election timeout must be longer than the heartbeat interval, and that not 0"
        } else if self.max_inflight == 0 || self.max_pending == 0 {
            "max_inflight and max_pending must not be 0"
        } else {
            return Ok(());
        };
        Err(RestoreError(format!("configuration: {problem}")))
    }

    /// The same, for a protocol whose members never change: every node votes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_static(&self) -> Result<(), RestoreError> {
        self.check()?;
        if self.voters.len() == self.nodes.len() {
            return Ok(());
        }
        Err(RestoreError(
            "configuration: the members of this protocol never change, so every node must be a voter".into(),
        ))
    }
}

/// What a node tells about itself at `/v1/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// This node.
    pub id: NodeId,
    /// `leader`, `follower`, `candidate` or `pre-candidate`, whatever the protocol calls them; `learner` for a node that does not
    /// vote (yet).
    pub role: String,
    /// Current term, ballot round, or epoch.
    pub term: u64,
    /// The leader this node believes in.
    pub leader: Option<NodeId>,
    /// Highest index (slot, transaction) known committed.
    pub commit: u64,
    /// Highest index applied.
    pub applied: u64,
    /// First index still in the log.
    pub first_index: u64,
    /// Last index in the log.
    pub last_index: u64,
    /// Last index covered by the snapshot; 0 without one.
    pub snapshot_index: u64,
    /// Who votes, as far as this node knows; while two sets are joint, both.
    #[serde(default)]
    pub voters: Vec<NodeId>,
    /// Who gets the log without a vote.
    #[serde(default)]
    pub learners: Vec<NodeId>,
    /// The mutant in this process.
    pub mutant: Option<String>,
    /// How often the mutated rule decided otherwise than the correct one.
    pub fired: u64,
}

/// Stored state that contradicts itself: the node must refuse to start.
#[derive(Clone, Debug, thiserror::Error)]
#[error("stored state is inconsistent: {0}")]
pub struct RestoreError(pub String);

/// A protocol core.
pub trait Protocol: Sized {
    /// What peers say to each other.
    type Message: Clone + std::fmt::Debug + Serialize + DeserializeOwned + Send + 'static;
    /// One unit of durable state.
    type Record: Clone + std::fmt::Debug + Serialize + DeserializeOwned + Send + 'static;

    /// Which protocol this is.
    const KIND: ProtocolKind;

    /// The ways it offers to answer reads; [`ReadMode::Quorum`] is among them.
    const READ_MODES: &'static [ReadMode];

    /// The names of the kinds of messages, in the order of the variants of [`Self::Message`]: the first byte of an encoded message
    /// is its place here.
    const MESSAGE_KINDS: &'static [&'static str];

    /// A core with what storage held; it has the same promises to keep as before.
    ///
    /// # Errors
    /// When the stored state contradicts itself.
    fn restore(config: Config, stored: Stored<Self::Record>, now: Time, seed: u64) -> Result<Self, RestoreError>;

    /// Takes one input, and adds to `out` what follows from it. `now` never goes back.
    fn step(&mut self, now: Time, input: Input<Self::Message>, out: &mut Outputs<Self::Message, Self::Record>);

    /// What this node would tell about itself.
    fn status(&self) -> Status;
}
