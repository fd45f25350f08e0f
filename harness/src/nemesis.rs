//! Breaking things on purpose: which faults a run may suffer, when, and to whom.
//!
//! ```text
//!   seed, kinds ──> plan ──> [Planned { at, fault }] ──> lanes ──> steps ──> cluster, links, relay
//!                   pure       targets by role            │ resolve against the scene of that moment
//!                                                         └──> schedule.jsonl (as carried out)
//! ```
//!
//! A fault is a short script of steps whose last ones undo the first, and only the first: faults of different lanes overlap.
//! Whatever interrupts a lane, the run heals everything.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

pub mod fault;
pub mod lane;
pub mod plan;
pub mod schedule;
mod scripts;

/// A family of faults that can be asked for by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NemesisKind {
    /// Cut links between nodes: halves, one node, a ring, a bridge, the leader, one direction only.
    Partition,
    /// The leader against all others; clients still reach it.
    LeaderCut,
    /// Two groups that see each other only through one node.
    Bridge,
    /// The leader reaches one follower only, and is then killed or cut off, again and again.
    OneFollower,
    /// What the leader or a follower is told comes late.
    LateNews,
    /// Votes, acknowledgements or entries come so late that they arrive in another term.
    LateWords,
    /// The leader is asked to hand over, and hears late what came of it.
    Transfer,
    /// Entries come late to one follower.
    LateEntries,
    /// A leader whose last entries came to nothing leads again soon.
    LeadAgain,
    /// One whose last entries came to nothing is killed and started when a part of them has been replaced.
    TailReturns,
    /// One whose last entries came to nothing gets a snapshot that ends among them.
    TailCovered,
    /// What the leader's only follower is told comes again later.
    Echoes,
    /// Entries of an old term are copied again, until their leader is cut off from one that has others (the Raft paper's Figure 8).
    FigureEight,
    /// Who was replaced as leader and who leads in its place do not see each other; the others see both.
    Rivals,
    /// A leader that was cut off comes back, with few who heard its successor.
    Comeback,
    /// What few have agreed on is overruled, and one of them is then asked to lead.
    Overruled,
    /// Cut a minority of followers off from the leader, then kill it: will a node that missed writes be elected?
    StaleCandidate,
    /// A follower misses so much that it needs a snapshot; sometimes the leader is killed when it is back.
    Lagging,
    /// `kill -9` and start again: what was not synced is lost.
    Kill,
    /// The same, always the leader.
    KillLeader,
    /// Stop the process for a while and let it go on (SIGSTOP, SIGCONT).
    Pause,
    /// The same, always the leader.
    PauseLeader,
    /// Power off a majority or all: unsynced data is gone, the last write may be torn.
    Power,
    /// The same with a slow disk, and the last write is always torn.
    Torn,
    /// Kill a node just after it has given its word: a vote, a promise.
    VoterBounce,
    /// Two candidates that do not see each other ask one voter in the same term, and it is killed between the two.
    TwoCandidates,
    /// Votes come late: when a candidate stands again.
    LateVotes,
    /// Votes come late: when a candidate has asked for them more than once.
    AskedTwice,
    /// What a leader said before it fell silent comes when its successor is just gone.
    LastWords,
    /// A voter gives its word to one candidate, is killed, helps another leader for a while, and comes back to the first.
    TakenBack,
    /// A failing disk: the node ends at its next sync.
    DiskError,
    /// Kill a node, and take its disk away.
    Wipe,
    /// Syncs take long.
    SlowSync,
    /// A node's clocks run wrong and jump.
    Clock,
    /// A node's wall clock jumps.
    WallClock,
    /// Messages between nodes are lost, late, doubled, out of order.
    Messages,
    /// Answers to clients are lost.
    MuteAnswers,
    /// One packet in ten is lost between the nodes.
    Loss,
    /// A node comes back to a leader that needs it at once, or follows another one than before, and is killed soon.
    Rejoin,
    /// A new leader brings the others to its history, which arrives too late, or is half written when the power fails.
    Resync,
    /// Voters come and go.
    Membership,
}

/// What a nemesis works on. Those of one hand take turns; those of different hands go on beside each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hand {
    /// Who reaches whom; and stories that need more than one hand.
    Network,
    /// Who runs.
    Process,
    /// What makes life harder for those that run.
    Conditions,
    /// Who belongs to the cluster.
    Membership,
}

/// What is known of a nemesis.
struct Entry {
    kind: NemesisKind,
    name: &'static str,
    /// Its other name.
    number: Option<&'static str>,
    hand: Hand,
    /// How many turns it gets in the mix of all; none: it is not part of it.
    turns: usize,
}

const fn entry(kind: NemesisKind, name: &'static str, number: Option<&'static str>, hand: Hand, turns: usize) -> Entry {
    Entry { kind, name, number, hand, turns }
}

const CATALOGUE: [Entry; 41] = [
    entry(NemesisKind::Partition, "partition", None, Hand::Network, 4),
    entry(NemesisKind::LeaderCut, "leader-cut", Some("n1"), Hand::Network, 4),
    entry(NemesisKind::Bridge, "bridge", Some("n3"), Hand::Network, 2),
    entry(NemesisKind::OneFollower, "one-follower", Some("n14"), Hand::Network, 3),
    entry(NemesisKind::LateNews, "late-news", None, Hand::Network, 2),
    entry(NemesisKind::LateWords, "late-words", None, Hand::Network, 1),
    entry(NemesisKind::Transfer, "transfer", None, Hand::Network, 1),
    entry(NemesisKind::LateEntries, "late-entries", None, Hand::Network, 1),
    entry(NemesisKind::LeadAgain, "lead-again", None, Hand::Network, 1),
    entry(NemesisKind::TailReturns, "tail-returns", None, Hand::Network, 1),
    entry(NemesisKind::TailCovered, "tail-covered", None, Hand::Network, 1),
    entry(NemesisKind::Echoes, "echoes", None, Hand::Network, 1),
    entry(NemesisKind::FigureEight, "figure-8", None, Hand::Network, 1),
    entry(NemesisKind::Rivals, "rivals", None, Hand::Network, 1),
    entry(NemesisKind::Comeback, "comeback", None, Hand::Network, 1),
    entry(NemesisKind::Overruled, "overruled", None, Hand::Network, 1),
    entry(NemesisKind::StaleCandidate, "stale-candidate", Some("n2"), Hand::Network, 2),
    entry(NemesisKind::Lagging, "lagging", Some("n12"), Hand::Network, 2),
    entry(NemesisKind::Rejoin, "rejoin", None, Hand::Network, 1),
    entry(NemesisKind::Resync, "resync", None, Hand::Network, 1),
    entry(NemesisKind::Kill, "kill", None, Hand::Process, 2),
    entry(NemesisKind::KillLeader, "kill-leader", Some("n4"), Hand::Process, 3),
    entry(NemesisKind::Pause, "pause", None, Hand::Process, 2),
    entry(NemesisKind::PauseLeader, "pause-leader", Some("n6"), Hand::Process, 2),
    entry(NemesisKind::Power, "power", Some("n5"), Hand::Process, 3),
    entry(NemesisKind::Torn, "torn", Some("n13"), Hand::Process, 2),
    entry(NemesisKind::VoterBounce, "voter-bounce", Some("n9"), Hand::Process, 2),
    entry(NemesisKind::TwoCandidates, "two-candidates", None, Hand::Network, 1),
    entry(NemesisKind::LateVotes, "late-votes", None, Hand::Network, 1),
    entry(NemesisKind::AskedTwice, "asked-twice", None, Hand::Network, 1),
    entry(NemesisKind::LastWords, "last-words", None, Hand::Network, 1),
    entry(NemesisKind::TakenBack, "taken-back", None, Hand::Network, 1),
    entry(NemesisKind::DiskError, "disk-error", None, Hand::Process, 0),
    entry(NemesisKind::Wipe, "wipe", None, Hand::Network, 0),
    entry(NemesisKind::SlowSync, "slow-sync", Some("n10"), Hand::Conditions, 3),
    entry(NemesisKind::Clock, "clock", Some("n8"), Hand::Conditions, 0),
    entry(NemesisKind::WallClock, "wall-clock", None, Hand::Conditions, 1),
    entry(NemesisKind::Messages, "messages", Some("n7"), Hand::Conditions, 4),
    entry(NemesisKind::MuteAnswers, "mute-answers", Some("n15"), Hand::Conditions, 3),
    entry(NemesisKind::Loss, "loss", None, Hand::Conditions, 0),
    entry(NemesisKind::Membership, "membership", Some("n11"), Hand::Membership, 0),
];

impl NemesisKind {
    /// Every kind, in the order of the documentation.
    pub fn all() -> impl Iterator<Item = Self> {
        CATALOGUE.iter().map(|entry| entry.kind)
    }

    /// The kinds of the mix of all.
    pub fn mix() -> impl Iterator<Item = Self> {
        Self::all().filter(|kind| kind.turns() > 0)
    }

    fn entry(self) -> &'static Entry {
        CATALOGUE.iter().find(|entry| entry.kind == self).expect("a test names them all")
    }

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// What it works on.
    #[must_use]
    pub fn hand(self) -> Hand {
        self.entry().hand
    }

    /// How many turns it gets in the mix of all.
    #[must_use]
    pub fn turns(self) -> usize {
        self.entry().turns
    }

    /// Whether it needs the relay that knows single messages.
    #[must_use]
    pub fn needs_relay(self) -> bool {
        matches!(
            self,
            Self::Messages
                | Self::VoterBounce
                | Self::LateNews
                | Self::LateWords
                | Self::Transfer
                | Self::LateEntries
                | Self::LeadAgain
                | Self::TailReturns
                | Self::TailCovered
                | Self::Echoes
                | Self::FigureEight
                | Self::TwoCandidates
                | Self::LateVotes
                | Self::AskedTwice
                | Self::LastWords
                | Self::TakenBack
        )
    }

    /// Whether it makes use of that relay, where it knows the messages.
    #[must_use]
    pub fn uses_relay(self) -> bool {
        self.needs_relay()
            || matches!(
                self,
                Self::Rivals | Self::Comeback | Self::Overruled | Self::Rejoin | Self::Resync | Self::Membership
            )
    }

    /// Whether nodes must read a file of faults for it.
    #[must_use]
    pub fn needs_node_faults(self) -> bool {
        matches!(self, Self::Torn | Self::DiskError | Self::SlowSync | Self::Clock | Self::WallClock)
    }

    /// Whether it makes use of files of faults, where nodes read them.
    #[must_use]
    pub fn uses_node_faults(self) -> bool {
        self.needs_node_faults()
            || matches!(
                self,
                Self::OneFollower
                    | Self::Overruled
                    | Self::Rejoin
                    | Self::Resync
                    | Self::TwoCandidates
                    | Self::VoterBounce
            )
    }

    /// Whether it takes a leader away, so that another one is needed.
    #[must_use]
    pub fn topples_leaders(self) -> bool {
        matches!(
            self,
            Self::Partition
                | Self::LeaderCut
                | Self::OneFollower
                | Self::LateNews
                | Self::LateWords
                | Self::Transfer
                | Self::LeadAgain
                | Self::TailReturns
                | Self::TailCovered
                | Self::Echoes
                | Self::FigureEight
                | Self::Rivals
                | Self::Comeback
                | Self::Overruled
                | Self::StaleCandidate
                | Self::Rejoin
                | Self::Resync
                | Self::Kill
                | Self::KillLeader
                | Self::PauseLeader
                | Self::Power
                | Self::Torn
                | Self::VoterBounce
                | Self::TwoCandidates
                | Self::LateVotes
                | Self::LastWords
                | Self::TakenBack
        )
    }

    /// All names, for messages.
    #[must_use]
    pub fn names() -> String {
        let name = |entry: &Entry| match entry.number {
            Some(number) => format!("{} ({number})", entry.name),
            None => entry.name.to_owned(),
        };
        CATALOGUE.iter().map(name).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for NemesisKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What was asked for with `--nemesis`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Nemeses {
    /// Leave everything alone.
    None,
    /// The mix of every kind that the system can suffer.
    All,
    /// Just these.
    These(Vec<NemesisKind>),
}

/// A `--nemesis` that cannot be understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NemesisError {
    /// No such name.
    #[error("no nemesis is called {0:?}; there are none, all, and any list of {names}", names = NemesisKind::names())]
    Unknown(String),
    /// `none` or `all` in a list.
    #[error("{0:?} stands alone; it cannot be part of a list")]
    NotInList(String),
}

impl Nemeses {
    /// Whether this kind was asked for by name.
    #[must_use]
    pub fn names(&self, kind: NemesisKind) -> bool {
        matches!(self, Self::These(kinds) if kinds.contains(&kind))
    }
}

impl FromStr for Nemeses {
    type Err = NemesisError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => return Ok(Self::None),
            "all" => return Ok(Self::All),
            _ => {}
        }
        let mut kinds = Vec::new();
        for name in text.split(',').map(str::trim) {
            if matches!(name, "none" | "all") {
                return Err(NemesisError::NotInList(name.to_owned()));
            }
            let entry = CATALOGUE.iter().find(|entry| entry.name == name || entry.number == Some(name));
            let kind = entry.ok_or_else(|| NemesisError::Unknown(name.to_owned()))?.kind;
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        Ok(Self::These(kinds))
    }
}

impl fmt::Display for Nemeses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::All => f.write_str("all"),
            Self::These(kinds) => {
                let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
                f.write_str(&names.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_read_back() {
        for text in ["none", "all", "partition", "kill,pause", "stale-candidate"] {
            assert_eq!(text.parse::<Nemeses>().unwrap().to_string(), text);
        }
        assert_eq!("n2".parse(), Ok(Nemeses::These(vec![NemesisKind::StaleCandidate])));
        for kind in NemesisKind::all() {
            assert_eq!(kind.name().parse(), Ok(Nemeses::These(vec![kind])));
        }
        for number in 1..=15 {
            assert!(format!("n{number}").parse::<Nemeses>().is_ok(), "n{number}");
        }
    }

    #[test]
    fn the_catalogue_has_each_kind_and_each_name_once() {
        let kinds: BTreeSet<_> = NemesisKind::all().collect();
        // The last variant counts them.
        assert_eq!(kinds.len(), NemesisKind::Membership as usize + 1);
        let names: BTreeSet<_> =
            CATALOGUE.iter().flat_map(|entry| [Some(entry.name), entry.number]).flatten().collect();
        assert_eq!(names.len(), CATALOGUE.len() + 15);
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!("kil".parse::<Nemeses>(), Err(NemesisError::Unknown("kil".into())));
        assert_eq!("kill,all".parse::<Nemeses>(), Err(NemesisError::NotInList("all".into())));
        assert!("".parse::<Nemeses>().is_err());
    }
}
