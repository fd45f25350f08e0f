//! Wrong rules of elections.

use nodes::protocol::{
    NodeId, Protocol, Stored,
    raft::{HardState, LogIndex, Message, Record, RequestVote, Term, VoteReply, mutants},
};

use super::{CORRECT_AND, fired, server_of};
use crate::{
    cluster::T_MS,
    figure2::{append, pre_vote_reply, request_vote, stored, vote_of, vote_reply},
};

/// Figure 2, "Persistent state": a second vote in the term of the first.
#[test]
fn votedfor_volatile_votes_twice() {
    for mutant in CORRECT_AND(mutants::VOTEDFOR_VOLATILE) {
        let mut server = server_of(mutant, 3, stored(4, Some(2), &[1]));
        assert_eq!(fired(&server), u64::from(mutant.is_some()));
        let out = server.receive(3, request_vote(4, 4, 9));
        let said = if mutant.is_some() { &out.send_when_durable } else { &out.send };
        assert_eq!(vote_of(said), Some((4, mutant.is_some())));
    }
}

/// Figure 2, "Persistent state": back in a term that is long over.
#[test]
fn term_volatile_begins_again() {
    for mutant in CORRECT_AND(mutants::TERM_VOLATILE) {
        let mut server = server_of(mutant, 3, stored(4, Some(2), &[1]));
        assert_eq!(server.raft.view().term, Term(if mutant.is_some() { 0 } else { 4 }));
        assert_eq!(fired(&server), u64::from(mutant.is_some()));
        let out = server.receive(3, request_vote(2, 1, 1));
        assert_eq!(vote_of(&out.send_when_durable), mutant.map(|_| (2, true)));
        // What it writes now contradicts what it wrote; it must be able to start all the same, for the harm is to be seen.
        server.sync();
        let again = vec![
            Record::HardState(HardState { term: Term(4), voted_for: Some(NodeId(2)) }),
            Record::HardState(HardState { term: Term(2), voted_for: Some(NodeId(3)) }),
        ];
        if mutant.is_some() {
            server_of(mutant, 3, Stored { snapshot: None, records: again });
        }
    }
}

/// Figure 2, "updated on stable storage before responding to RPCs".
#[test]
fn vote_reply_before_fsync_tells_what_a_crash_may_undo() {
    for mutant in CORRECT_AND(mutants::VOTE_REPLY_BEFORE_FSYNC) {
        let mut server = server_of(mutant, 3, stored(1, None, &[1]));
        let before = fired(&server);
        let out = server.receive(2, request_vote(5, 1, 1));
        let (at_once, held) = (vote_of(&out.send), vote_of(&out.send_when_durable));
        assert_eq!((at_once, held), if mutant.is_some() { (Some((5, true)), None) } else { (None, Some((5, true))) });
        assert_eq!(fired(&server) - before, u64::from(mutant.is_some()));
        // What is durable may leave by either rule.
        server.sync();
        let before = fired(&server);
        server.receive(2, request_vote(5, 1, 1));
        assert_eq!(fired(&server), before);
    }
}

/// Figure 2: the new term pairs with the vote of an old one, until another record comes, which nobody waits for.
#[test]
fn vote_term_nonatomic_leaves_the_vote_to_a_later_record() {
    for mutant in CORRECT_AND(mutants::VOTE_TERM_NONATOMIC) {
        let mut server = server_of(mutant, 3, stored(1, None, &[1]));
        let out = server.receive(2, request_vote(5, 1, 1));
        let with_vote =
            |voted_for: Option<u64>| Record::HardState(HardState { term: Term(5), voted_for: voted_for.map(NodeId) });
        let recorded = if mutant.is_some() { None } else { Some(2) };
        assert_eq!(out.records, [with_vote(recorded)]);
        assert_eq!(vote_of(&out.send_when_durable), Some((5, true)), "the vote is told once this is durable");
        assert_eq!(fired(&server), u64::from(mutant.is_some()));
        // A crash now, and another candidate gets a vote in the same term.
        let records = [stored(1, None, &[1]).records, vec![with_vote(recorded)]].concat();
        let mut again = server_of(mutant, 3, Stored { snapshot: None, records });
        let out = again.receive(3, request_vote(5, 1, 1));
        let granted = [vote_of(&out.send), vote_of(&out.send_when_durable)].contains(&Some((5, true)));
        assert_eq!(granted, mutant.is_some());
        let out = server.sync();
        assert_eq!(out.records, if mutant.is_some() { vec![with_vote(Some(2))] } else { Vec::new() });
        assert!(!out.sync_wanted);
    }
}

/// Paper, section 5.2: a vote of the term before makes no majority in this one.
#[test]
fn vote_stale_term_reply_counts_a_vote_of_another_term() {
    for mutant in CORRECT_AND(mutants::VOTE_STALE_TERM_REPLY) {
        let mut server = server_of(mutant, 3, stored(1, None, &[1]));
        server.stand();
        server.wait(2 * T_MS);
        server.wake();
        server.receive(3, pre_vote_reply(2, 3));
        server.sync();
        assert_eq!((server.role().as_str(), server.raft.view().term), ("candidate", Term(3)));
        server.receive(2, vote_reply(2, true));
        assert_eq!(server.role() == "leader", mutant.is_some());
        assert_eq!(fired(&server), u64::from(mutant.is_some()));
        server.receive(2, vote_reply(3, true));
        assert_eq!(server.role(), "leader");
    }
}

/// Paper, section 5.2: one voter of five, heard twice, makes no majority with the candidate.
#[test]
fn vote_count_duplicates_counts_a_voter_twice() {
    for mutant in CORRECT_AND(mutants::VOTE_COUNT_DUPLICATES) {
        let mut server = server_of(mutant, 5, stored(1, None, &[1]));
        server.wake();
        server.receive(2, pre_vote_reply(1, 2));
        assert_eq!(fired(&server), 0);
        server.receive(2, pre_vote_reply(1, 2));
        assert_eq!(server.role() == "candidate", mutant.is_some());
        server.receive(3, pre_vote_reply(1, 2));
        server.sync();
        server.receive(2, vote_reply(2, true));
        server.receive(2, vote_reply(2, true));
        assert_eq!(server.role() == "leader", mutant.is_some());
        assert_eq!(fired(&server), 2 * u64::from(mutant.is_some()));
    }
}

/// Two leaders of one term: with a mutant, a node follows whoever spoke last instead of stopping.
#[test]
fn two_leaders_do_not_stop_a_mutated_node() {
    let mut server = server_of(Some(mutants::VOTEDFOR_VOLATILE), 3, stored(1, None, &[]));
    server.lead();
    server.receive(3, append(2, (0, 0), &[2], 0));
    assert_eq!((server.role().as_str(), server.raft.status().leader), ("follower", Some(NodeId(3))));
    server.receive(2, append(2, (0, 0), &[2], 0));
    assert_eq!(server.raft.status().leader, Some(NodeId(2)));
}

/// A decoy: a candidate at once, and a refusal costs it a term and nothing else.
#[test]
fn no_prevote_stands_at_once() {
    for mutant in CORRECT_AND(mutants::NO_PREVOTE) {
        let mut server = server_of(mutant, 3, stored(1, None, &[1]));
        server.wake();
        assert_eq!(server.role(), if mutant.is_some() { "candidate" } else { "pre-candidate" });
        assert_eq!(fired(&server), u64::from(mutant.is_some()));
    }
}

/// A decoy: a candidate is answered although a leader is heard; and refused, if its log is behind.
#[test]
fn no_stickiness_answers_a_candidate() {
    for mutant in CORRECT_AND(mutants::NO_STICKINESS) {
        let mut server = server_of(mutant, 3, stored(2, None, &[1]));
        server.receive(3, append(2, (1, 1), &[], 0));
        let ask =
            RequestVote { pre: false, term: Term(7), last_index: LogIndex(0), last_term: Term(0), transfer: false };
        let out = server.receive(2, Message::RequestVote(ask));
        assert_eq!(vote_of(&out.send_when_durable), mutant.map(|_| (7, false)));
        assert_eq!(fired(&server), u64::from(mutant.is_some()));
    }
}

/// A decoy: nobody answers, and it goes on; but it commits nothing.
#[test]
fn no_checkquorum_goes_on_alone() {
    for mutant in CORRECT_AND(mutants::NO_CHECKQUORUM) {
        let mut server = server_of(mutant, 3, stored(1, None, &[1]));
        server.lead();
        server.wait(3 * T_MS);
        server.wake();
        assert_eq!(server.role() == "leader", mutant.is_some());
        assert_eq!(fired(&server), u64::from(mutant.is_some()));
        assert_eq!(server.raft.status().commit, 0);
    }
}

/// Both are asked; a refusal is one.
#[test]
fn a_refusal_counts_for_nobody() {
    let mut server = server_of(Some(mutants::VOTE_COUNT_DUPLICATES), 3, stored(1, None, &[1]));
    server.stand();
    let refusal = VoteReply { pre: false, term: Term(2), asked: Term(2), granted: false };
    for _ in 0..3 {
        server.receive(3, Message::VoteReply(refusal));
    }
    assert_eq!((server.role().as_str(), fired(&server)), ("candidate", 0));
}
