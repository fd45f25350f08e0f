//! One test for each rule of Figure 2 of the paper, and for the rules that the dissertation adds.

use nodes::{
    machine::{Answer, Command, Operation, Value},
    protocol::{
        Config, Input, NodeId, Outputs, Protocol, Reply, Request, RequestId, Stored, Ticket, Time,
        raft::{
            Append, AppendOutcome, AppendReply, Entry, HardState, LogIndex, Message, Payload, Raft, Record,
            RequestVote, Term, VoteReply,
        },
    },
};

use crate::cluster::{MS, T_MS, config};

pub type Out = Outputs<Message, Record>;

/// One server, number 1 of three, alone with the test.
pub struct Server {
    pub raft: Raft,
    now: u64,
    tickets: u64,
    wake_at: u64,
}

pub fn entry(index: u64, term: u64) -> Entry {
    Entry { term: Term(term), index: LogIndex(index), payload: Payload::Command(write(index)) }
}

fn write(value: u64) -> Command {
    let operation = Operation::Write { key: "x".to_owned(), value: Value::Int(value.cast_signed()) };
    Command::Do { stamp: None, operation }
}

/// A client's request to write x.
pub fn put(value: u64) -> Request {
    Request::Command(write(value))
}

/// What a disk holds: a term, a vote, and entries of these terms.
pub fn stored(term: u64, voted_for: Option<u64>, terms: &[u64]) -> Stored<Record> {
    let hard = HardState { term: Term(term), voted_for: voted_for.map(NodeId) };
    let entries = terms.iter().zip(1..).map(|(&term, index)| Record::Entry(entry(index, term)));
    Stored { snapshot: None, records: [Record::HardState(hard)].into_iter().chain(entries).collect() }
}

impl Server {
    /// In this term, with a log of entries of these terms, all durable.
    pub fn new(term: u64, terms: &[u64]) -> Self {
        Self::with(config(1, 3), stored(term, None, terms))
    }

    pub fn with(config: Config, stored: Stored<Record>) -> Self {
        let raft = Raft::restore(config, stored, Time(0), 7).expect("sound");
        let mut server = Self { raft, now: 0, tickets: 0, wake_at: 0 };
        server.step(Input::Tick);
        server.sync();
        server
    }

    pub fn step(&mut self, input: Input<Message>) -> Out {
        let mut out = Out::default();
        self.raft.step(Time(self.now), input, &mut out);
        self.tickets += u64::from(out.persists());
        self.wake_at = out.wake_at.0;
        out
    }

    pub fn receive(&mut self, from: u64, message: Message) -> Out {
        self.step(Input::Receive { from: NodeId(from), message })
    }

    pub fn sync(&mut self) -> Out {
        self.step(Input::Durable(Ticket(self.tickets)))
    }

    pub fn wait(&mut self, ms: u64) {
        self.now += ms * MS;
    }

    pub fn wake(&mut self) -> Out {
        self.now = self.now.max(self.wake_at);
        self.step(Input::Tick)
    }

    pub fn ask(&mut self, id: u64, request: Request) -> Out {
        self.step(Input::Client { id: RequestId(id), request })
    }

    pub fn terms(&self) -> Vec<u64> {
        self.raft.view().entries.iter().map(|e| e.term.0).collect()
    }

    pub fn role(&self) -> String {
        self.raft.status().role
    }

    /// Becomes a candidate of the next term, its own vote durable.
    pub fn stand(&mut self) -> Out {
        self.wake();
        let term = self.raft.view().term;
        let out = self.receive(2, pre_vote_reply(term.0, term.0 + 1));
        self.sync();
        out
    }

    /// Becomes leader of the next term, its no-op durable here.
    pub fn lead(&mut self) -> Out {
        self.stand();
        let term = self.raft.view().term.0;
        let out = self.receive(2, vote_reply(term, true));
        self.sync();
        out
    }
}

pub fn request_vote(term: u64, last_term: u64, last_index: u64) -> Message {
    Message::RequestVote(RequestVote {
        pre: false,
        term: Term(term),
        last_index: LogIndex(last_index),
        last_term: Term(last_term),
        transfer: false,
    })
}

pub fn vote_reply(term: u64, granted: bool) -> Message {
    Message::VoteReply(VoteReply { pre: false, term: Term(term), asked: Term(term), granted })
}

pub fn pre_vote_reply(term: u64, asked: u64) -> Message {
    Message::VoteReply(VoteReply { pre: true, term: Term(term), asked: Term(asked), granted: true })
}

/// Entries of these terms behind `prev` (index and term).
pub fn append(term: u64, prev: (u64, u64), terms: &[u64], commit: u64) -> Message {
    Message::Append(Append {
        term: Term(term),
        prev_index: LogIndex(prev.0),
        prev_term: Term(prev.1),
        entries: terms.iter().zip(prev.0 + 1..).map(|(&term, index)| entry(index, term)).collect(),
        commit: LogIndex(commit),
        round: 0,
    })
}

pub fn matched(term: u64, index: u64) -> Message {
    Message::AppendReply(AppendReply { term: Term(term), round: 0, outcome: AppendOutcome::Match(LogIndex(index)) })
}

pub fn vote_of(messages: &[(NodeId, Message)]) -> Option<(u64, bool)> {
    messages.iter().find_map(|(_, m)| match m {
        Message::VoteReply(reply) => Some((reply.term.0, reply.granted)),
        _ => None,
    })
}

pub fn outcome_of(messages: &[(NodeId, Message)]) -> Option<AppendOutcome> {
    messages.iter().find_map(|(_, m)| match m {
        Message::AppendReply(reply) => Some(reply.outcome),
        _ => None,
    })
}

// --- Persistent state ---

/// Reference: Figure 2, "Persistent state on all servers: updated on stable storage before responding to RPCs".
#[test]
fn vote_and_term_are_durable_before_they_are_said() {
    let mut server = Server::new(1, &[1]);
    let out = server.receive(2, request_vote(5, 1, 1));
    assert_eq!(vote_of(&out.send_when_durable), Some((5, true)));
    assert!(out.send.is_empty() && out.sync_wanted);
    let hard = HardState { term: Term(5), voted_for: Some(NodeId(2)) };
    assert_eq!(out.records, [Record::HardState(hard)], "term and vote are one record");
    // A second question finds the vote given, but not yet durable.
    let out = server.receive(2, request_vote(5, 1, 1));
    assert_eq!(vote_of(&out.send_when_durable), Some((5, true)));
    server.sync();
    let out = server.receive(2, request_vote(5, 1, 1));
    assert_eq!(vote_of(&out.send), Some((5, true)));
}

/// Reference: Figure 2, "Persistent state"; section 5.1: a refusal that shows a newer term waits for it, too.
#[test]
fn a_newer_term_is_durable_before_a_refusal_shows_it() {
    let mut server = Server::new(3, &[3]);
    let out = server.receive(2, request_vote(5, 1, 9));
    assert_eq!(vote_of(&out.send_when_durable), Some((5, false)));
    assert!(out.send.is_empty());
}

/// Reference: Figure 2, "Persistent state": votedFor and currentTerm survive a restart.
#[test]
fn a_vote_survives_a_restart() {
    let mut server = Server::with(config(1, 3), stored(4, Some(2), &[1]));
    let out = server.receive(3, request_vote(4, 4, 9));
    assert_eq!(vote_of(&out.send), Some((4, false)));
    let out = server.receive(2, request_vote(4, 1, 1));
    assert_eq!(vote_of(&out.send), Some((4, true)));
}

/// Reference: Figure 2, "Persistent state"; contradictions on disk must stop the server.
#[test]
fn contradictions_on_disk_are_refused() {
    let term = |term| Record::HardState(HardState { term: Term(term), voted_for: None });
    let vote = |by| Record::HardState(HardState { term: Term(1), voted_for: Some(NodeId(by)) });
    let cases: [(&str, Vec<Record>); 9] = [
        ("a gap", vec![term(1), Record::Entry(entry(2, 1))]),
        ("a falling term", vec![term(2), term(1)]),
        ("an entry of the future", vec![term(1), Record::Entry(entry(1, 2))]),
        ("terms falling along the log", vec![term(2), Record::Entry(entry(1, 2)), Record::Entry(entry(2, 1))]),
        ("two votes", vec![vote(2), vote(3)]),
        ("a cut beyond the end", vec![term(1), Record::Truncate(LogIndex(1))]),
        ("a base without snapshot", vec![Record::Base(LogIndex(3), Term(1))]),
        ("a life lived before", vec![Record::Life(2), Record::Life(2)]),
        ("a cut at the base", vec![term(1), Record::Truncate(LogIndex(0))]),
    ];
    for (what, records) in cases {
        let stored = Stored { snapshot: None, records };
        assert!(Raft::restore(config(1, 3), stored, Time(0), 1).is_err(), "{what}");
    }
    let rubbish = Stored { snapshot: Some(vec![9; 30]), records: Vec::new() };
    assert!(Raft::restore(config(1, 3), rubbish, Time(0), 1).is_err());
    assert!(Raft::restore(config(4, 3), Stored::default(), Time(0), 1).is_err(), "not a known node");
}

// --- RequestVote RPC ---

/// Reference: Figure 2, RequestVote RPC, rule 1; section 5.1.
#[test]
fn a_candidate_of_an_earlier_term_is_refused() {
    let mut server = Server::new(3, &[1]);
    let out = server.receive(2, request_vote(2, 9, 9));
    assert_eq!(vote_of(&out.send), Some((3, false)));
    assert!(!out.persists());
}

/// Reference: Figure 2, RequestVote RPC, rule 2; section 5.2: first come, first served.
#[test]
fn one_vote_a_term() {
    let mut server = Server::new(1, &[1]);
    server.receive(2, request_vote(2, 1, 1));
    server.sync();
    let out = server.receive(3, request_vote(2, 1, 1));
    assert_eq!(vote_of(&out.send), Some((2, false)));
}

/// Reference: Figure 2, RequestVote RPC, rule 2; section 5.4.1.
#[test]
fn a_candidate_whose_log_is_behind_is_refused() {
    // Voter: last term 3, last index 3.
    for (last_term, last_index, granted) in [(2, 9, false), (3, 2, false), (3, 3, true), (3, 4, true), (4, 1, true)] {
        let mut server = Server::new(4, &[1, 2, 3]);
        let out = server.receive(2, request_vote(5, last_term, last_index));
        assert_eq!(vote_of(&out.send_when_durable), Some((5, granted)), "{last_term}/{last_index}");
    }
}

/// Reference: dissertation, sections 4.2.3 and 9.6: who hears a leader does not even adopt the candidate's term, unless
/// the leader itself asked for the election (section 3.10).
#[test]
fn a_voter_who_hears_a_leader_is_sticky() {
    let mut server = Server::new(2, &[1]);
    server.receive(3, append(2, (1, 1), &[], 0));
    let out = server.receive(2, request_vote(7, 9, 9));
    assert!(out.send.is_empty() && out.send_when_durable.is_empty());
    assert_eq!(server.raft.view().term, Term(2));
    let transfer =
        RequestVote { pre: false, term: Term(7), last_index: LogIndex(9), last_term: Term(2), transfer: true };
    let out = server.receive(2, Message::RequestVote(transfer));
    assert_eq!(vote_of(&out.send_when_durable), Some((7, true)));
    // Nor once it has not heard the leader for T.
    let mut server = Server::new(2, &[1]);
    server.receive(3, append(2, (1, 1), &[], 0));
    server.now += T_MS * MS;
    let out = server.receive(2, request_vote(7, 9, 9));
    assert_eq!(vote_of(&out.send_when_durable), Some((7, true)));
}

/// Reference: dissertation, section 9.6: a pre-vote changes nothing at the voter.
#[test]
fn a_pre_vote_changes_nothing() {
    let mut server = Server::new(2, &[1]);
    let before = server.wake_at;
    let ask = RequestVote { pre: true, term: Term(9), last_index: LogIndex(1), last_term: Term(1), transfer: false };
    let out = server.receive(2, Message::RequestVote(ask));
    assert_eq!(vote_of(&out.send), Some((2, true)));
    assert!(!out.persists());
    let view = server.raft.view();
    assert_eq!((view.term, view.voted_for, server.wake_at), (Term(2), None, before));
}

// --- AppendEntries RPC ---

/// Reference: Figure 2, AppendEntries RPC, rule 1; section 5.1.
#[test]
fn entries_of_an_earlier_term_are_refused() {
    let mut server = Server::new(3, &[1]);
    let out = server.receive(2, append(2, (1, 1), &[2], 2));
    assert_eq!(outcome_of(&out.send), Some(AppendOutcome::StaleTerm));
    assert_eq!(server.terms(), [1]);
}

/// Reference: Figure 2, AppendEntries RPC, rule 2; section 5.3.
#[test]
fn entries_behind_a_missing_or_different_one_are_refused() {
    let mut server = Server::new(5, &[1, 1, 4, 4]);
    let out = server.receive(2, append(5, (6, 5), &[5], 7));
    let missing = AppendOutcome::Conflict { prev_index: LogIndex(6), term: None, first: LogIndex(5) };
    assert_eq!(outcome_of(&out.send), Some(missing));
    let out = server.receive(2, append(5, (4, 2), &[5], 7));
    let different = AppendOutcome::Conflict { prev_index: LogIndex(4), term: Some(Term(4)), first: LogIndex(3) };
    assert_eq!(outcome_of(&out.send), Some(different));
    assert_eq!((server.terms(), server.raft.view().commit), (vec![1, 1, 4, 4], LogIndex(0)));
}

/// Reference: Figure 2, AppendEntries RPC, rule 3; section 5.3.
#[test]
fn a_conflicting_entry_and_all_behind_it_are_deleted() {
    let mut server = Server::new(5, &[1, 2, 2, 2]);
    let out = server.receive(2, append(5, (1, 1), &[3], 0));
    assert_eq!(server.terms(), [1, 3]);
    assert!(out.records.contains(&Record::Truncate(LogIndex(2))));
    assert!(out.send.is_empty(), "the cut is durable before it is acknowledged");
}

/// Reference: Figure 2, AppendEntries RPC, rule 3: only a conflict cuts the log. An old, shorter message must not.
#[test]
fn a_late_message_does_not_cut_the_log() {
    let mut server = Server::new(5, &[]);
    server.receive(2, append(5, (0, 0), &[5, 5, 5], 0));
    server.sync();
    let out = server.receive(2, append(5, (0, 0), &[5], 0));
    assert_eq!(server.terms(), [5, 5, 5]);
    assert!(!out.persists());
    assert_eq!(outcome_of(&out.send), Some(AppendOutcome::Match(LogIndex(1))));
}

/// Reference: Figure 2, AppendEntries RPC, rule 4.
#[test]
fn only_entries_not_in_the_log_are_appended() {
    let mut server = Server::new(5, &[1, 2]);
    let out = server.receive(2, append(5, (1, 1), &[2, 5], 0));
    assert_eq!(out.records, [Record::Entry(entry(3, 5))]);
    assert_eq!(server.terms(), [1, 2, 5]);
}

/// Reference: Figure 2, AppendEntries RPC, rule 5: min(leaderCommit, index of last new entry).
#[test]
fn commit_goes_no_further_than_what_the_message_vouches_for() {
    // Entries 2 and 3 may be another leader's; a heartbeat that only vouches for 1 must not commit them.
    let mut server = Server::new(5, &[1, 2, 2]);
    server.receive(2, append(5, (1, 1), &[], 3));
    assert_eq!(server.raft.view().commit, LogIndex(1));
    server.receive(2, append(5, (1, 1), &[2], 3));
    assert_eq!(server.raft.view().commit, LogIndex(2));
    // And it never falls.
    server.receive(2, append(5, (0, 0), &[], 0));
    assert_eq!(server.raft.view().commit, LogIndex(2));
}

/// Reference: Figure 2, "updated on stable storage before responding": a success acknowledges only what is durable.
#[test]
fn a_follower_acknowledges_only_what_is_durable() {
    let mut server = Server::new(5, &[]);
    let out = server.receive(2, append(5, (0, 0), &[5, 5], 0));
    assert!(out.send.is_empty() && out.sync_wanted);
    assert_eq!(outcome_of(&out.send_when_durable), Some(AppendOutcome::Match(LogIndex(2))));
    let out = server.receive(2, append(5, (2, 5), &[], 0));
    assert_eq!(outcome_of(&out.send), Some(AppendOutcome::Match(LogIndex(0))), "a heartbeat in between");
    server.sync();
    let out = server.receive(2, append(5, (2, 5), &[], 0));
    assert_eq!(outcome_of(&out.send), Some(AppendOutcome::Match(LogIndex(2))));
}

/// What is no message of this cluster is ignored.
#[test]
fn strangers_and_nonsense_are_ignored() {
    let mut server = Server::new(1, &[1]);
    for (from, message) in [
        (9, request_vote(8, 8, 8)),
        (1, append(8, (0, 0), &[8], 1)),
        (2, append(8, (1, 1), &[9], 1)),
        (2, append(8, (1, 4), &[3], 1)),
    ] {
        let out = server.receive(from, message);
        assert!(out.send.is_empty() && out.send_when_durable.is_empty() && !out.persists());
    }
    assert_eq!((server.terms(), server.raft.view().term), (vec![1], Term(1)));
}

// --- Rules for servers ---

/// Reference: Figure 2, "All servers", rule 1; section 5.3.
#[test]
fn what_is_committed_is_applied_in_order() {
    let mut server = Server::new(5, &[1, 1, 1]);
    assert_eq!(server.raft.view().applied, LogIndex(0), "after a restart what is committed is learned anew");
    let empty = server.raft.view().machine_digest;
    server.receive(2, append(5, (3, 1), &[], 2));
    assert_eq!(server.raft.view().applied, LogIndex(2));
    let at_two = server.raft.view().machine_digest;
    assert_ne!(at_two, empty);
    server.receive(2, append(5, (3, 1), &[], 3));
    assert_ne!(server.raft.view().machine_digest, at_two);
}

/// Reference: Figure 2, "All servers", rule 2; section 5.1: any role gives way to a later term.
#[test]
fn a_later_term_makes_any_role_a_follower() {
    let mut candidate = Server::new(1, &[1]);
    candidate.stand();
    assert_eq!(candidate.role(), "candidate");
    let mut leader = Server::new(1, &[1]);
    leader.lead();
    assert_eq!(leader.role(), "leader");
    for server in [&mut candidate, &mut leader] {
        let reply = AppendReply { term: Term(9), round: 0, outcome: AppendOutcome::StaleTerm };
        let out = server.receive(3, Message::AppendReply(reply));
        assert_eq!((server.role().as_str(), server.raft.view().term), ("follower", Term(9)));
        assert!(out.records.contains(&Record::HardState(HardState { term: Term(9), voted_for: None })));
    }
}

/// Reference: Figure 2, "Followers", rule 2; section 5.2: the timer is reset by the current leader and by granting a vote, and
/// by nothing else.
#[test]
fn the_election_timer_is_reset_by_a_leader_or_a_vote() {
    let cases = [
        (append(2, (0, 0), &[], 0), true),
        (append(1, (0, 0), &[], 0), false),
        (request_vote(3, 9, 9), true),
        (request_vote(3, 0, 0), false),
        (vote_reply(2, true), false),
    ];
    for (message, resets) in cases {
        let mut server = Server::new(2, &[1]);
        let before = server.wake_at;
        server.now = T_MS * MS - 1;
        server.receive(2, message.clone());
        // A new deadline is at least T after now, and drawn anew.
        assert_eq!(server.wake_at != before, resets, "{message:?}");
        if resets {
            assert!((T_MS..=2 * T_MS).contains(&((server.wake_at - server.now) / MS)));
        }
    }
}

/// Reference: Figure 2, "Candidates", rule 1; section 5.2.
#[test]
fn a_candidate_takes_a_new_term_and_votes_for_itself() {
    let mut server = Server::new(4, &[1, 3]);
    server.wake();
    assert_eq!(server.role(), "pre-candidate");
    let out = server.receive(2, pre_vote_reply(4, 5));
    assert_eq!(server.role(), "candidate");
    let hard = HardState { term: Term(5), voted_for: Some(NodeId(1)) };
    assert_eq!(out.records, [Record::HardState(hard)]);
    assert!(out.send.is_empty());
    let asked: Vec<_> = out.send_when_durable.iter().map(|(to, _)| to.0).collect();
    assert_eq!(asked, [2, 3]);
    assert_eq!(out.send_when_durable[0].1, request_vote(5, 3, 2));
}

/// Reference: Figure 2, "Candidates", rule 2; section 5.2: votes from a majority of distinct servers, in this term.
#[test]
fn votes_are_counted_once_a_server_and_only_of_this_term() {
    let mut server = Server::with(config(1, 5), stored(1, None, &[1]));
    server.wake();
    server.receive(2, pre_vote_reply(1, 2));
    server.receive(2, pre_vote_reply(1, 2));
    assert_eq!(server.role(), "pre-candidate", "the same server twice");
    server.receive(3, pre_vote_reply(1, 2));
    server.sync();
    assert_eq!(server.role(), "candidate");
    server.receive(2, vote_reply(2, true));
    server.receive(2, vote_reply(2, true));
    server.receive(3, vote_reply(1, true));
    server.receive(3, pre_vote_reply(2, 3));
    server.receive(4, vote_reply(2, false));
    assert_eq!(server.role(), "candidate");
    server.receive(5, vote_reply(2, true));
    assert_eq!(server.role(), "leader");
}

/// Reference: section 5.2 with Figure 2, "Persistent state": a candidate's own vote counts once it is durable.
#[test]
fn the_own_vote_counts_once_it_is_durable() {
    let mut server = Server::new(1, &[1]);
    server.wake();
    server.receive(2, pre_vote_reply(1, 2));
    server.receive(2, vote_reply(2, true));
    assert_eq!(server.role(), "candidate");
    server.sync();
    assert_eq!(server.role(), "leader");
}

/// Reference: Figure 2, "Candidates", rules 3 and 4; section 5.2.
#[test]
fn a_candidate_follows_the_leader_or_tries_again() {
    let mut server = Server::new(1, &[1]);
    server.stand();
    server.receive(3, append(2, (1, 1), &[], 0));
    assert_eq!(server.role(), "follower");
    let mut server = Server::new(1, &[1]);
    server.stand();
    server.wait(2 * T_MS);
    let out = server.wake();
    assert_eq!(server.role(), "pre-candidate");
    assert_eq!(out.send.len(), 2);
}

/// Reference: section 5.1: servers retry RPCs. Those who have answered are not asked again.
#[test]
fn a_candidate_asks_again_those_who_have_not_answered() {
    let mut server = Server::with(config(1, 5), stored(1, None, &[1]));
    let asked = |out: &Out| out.send.iter().map(|(to, m)| (to.0, m.clone())).collect::<Vec<_>>();
    server.wake();
    server.receive(2, pre_vote_reply(1, 2));
    let again = server.wake();
    assert_eq!(server.role(), "pre-candidate");
    assert_eq!(asked(&again).iter().map(|(to, _)| *to).collect::<Vec<_>>(), [3, 4, 5]);
    server.receive(3, pre_vote_reply(1, 2));
    server.sync();
    server.receive(4, vote_reply(2, true));
    let again = server.wake();
    assert_eq!(asked(&again), [2, 3, 5].map(|to| (to, request_vote(2, 1, 1))));
}

/// Reference: Figure 2, "Leaders", rule 1; section 8: entries at once, the first of them a no-op.
#[test]
fn a_new_leader_sends_a_no_op_at_once() {
    let mut server = Server::new(1, &[1]);
    let out = server.lead();
    let Message::Append(m) = &out.send[0].1 else { panic!("not an append") };
    assert_eq!((m.term, m.prev_index, m.prev_term), (Term(2), LogIndex(1), Term(1)));
    assert_eq!(m.entries, [Entry { term: Term(2), index: LogIndex(2), payload: Payload::Noop }]);
    assert_eq!(out.send.len(), 2);
}

/// Reference: Figure 2, "Leaders", rule 2; section 5.3: the client is answered after its entry is applied.
#[test]
fn a_client_is_answered_once_its_entry_is_applied() {
    let mut server = Server::new(1, &[]);
    server.lead();
    server.receive(2, matched(2, 1));
    let out = server.ask(1, Request::Command(write(5)));
    assert!(out.replies.is_empty());
    let out = server.receive(2, matched(2, 2));
    assert!(out.replies.is_empty(), "the leader's own copy is not durable, so this is no majority");
    let out = server.sync();
    assert_eq!(out.replies, [(RequestId(1), Reply::Answer(Answer::Done))]);
}

/// Reference: Figure 2, "Leaders", rule 3; section 5.3: a refusal moves nextIndex down, past a whole term at a time.
#[test]
fn a_refusal_moves_next_index_down() {
    let mut server = Server::new(3, &[1, 1, 1, 3]);
    server.lead();
    let conflict = AppendOutcome::Conflict { prev_index: LogIndex(4), term: Some(Term(2)), first: LogIndex(2) };
    let reply = AppendReply { term: Term(4), round: 0, outcome: conflict };
    let out = server.receive(2, Message::AppendReply(reply));
    let Message::Append(m) = &out.send[0].1 else { panic!("not an append") };
    assert_eq!((m.prev_index, m.entries.len()), (LogIndex(1), 4));
    // The same refusal, come twice, moves nothing more.
    let out = server.receive(2, matched(4, 5));
    assert!(out.send.is_empty());
    let out = server.receive(2, Message::AppendReply(reply));
    assert!(out.send.is_empty());
}

/// Reference: Figure 2, "Leaders", rule 4; sections 5.3 and 5.4.2 (Figure 8).
#[test]
fn only_entries_of_the_own_term_are_committed_by_counting() {
    let mut server = Server::new(3, &[1, 2]);
    server.lead();
    server.receive(2, matched(4, 2));
    assert_eq!(server.raft.view().commit, LogIndex(0));
    server.receive(2, matched(4, 3));
    assert_eq!(server.raft.view().commit, LogIndex(3));
}

/// Reference: section 5.1: replies of another term are dropped.
#[test]
fn replies_of_an_earlier_term_are_dropped() {
    let mut server = Server::new(3, &[1, 2]);
    server.lead();
    server.receive(2, matched(3, 3));
    assert_eq!(server.raft.view().commit, LogIndex(0));
}

/// Reference: section 5.4.3, leader completeness: a "leader" that contradicts what is committed broke the protocol.
#[test]
#[should_panic(expected = "differs from a committed one")]
fn what_is_committed_is_never_cut() {
    let mut server = Server::new(2, &[1, 1]);
    server.receive(2, append(2, (2, 1), &[], 2));
    server.receive(2, append(2, (1, 1), &[2], 2));
}

/// Reference: section 5.2, election safety.
#[test]
#[should_panic(expected = "two leaders")]
fn two_leaders_of_a_term_are_noticed() {
    let mut server = Server::new(2, &[]);
    server.receive(2, append(2, (0, 0), &[], 0));
    server.receive(3, append(2, (0, 0), &[], 0));
}
