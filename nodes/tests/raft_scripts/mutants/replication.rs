//! Wrong rules of replication and commit.

use nodes::protocol::{
    Reply, RequestId,
    raft::{LogIndex, Message, Record, mutants},
};

use super::{CORRECT_AND, echo, fired, server_of};
use crate::figure2::{append, matched, outcome_of, pre_vote_reply, put, stored, vote_reply};

/// Paper, section 5.3: the client hears of a write that one server has.
#[test]
fn reply_before_commit_answers_at_once() {
    for mutant in CORRECT_AND(mutants::REPLY_BEFORE_COMMIT) {
        let mut server = server_of(mutant, 3, stored(1, None, &[]));
        server.lead();
        let out = server.ask(1, put(5));
        assert_eq!(out.replies.len(), usize::from(mutant.is_some()));
        assert_eq!(fired(&server), u64::from(mutant.is_some()));
        server.sync();
        let out = server.receive(2, matched(2, 2));
        assert_eq!(out.replies.len(), usize::from(mutant.is_none()), "and only once");
    }
}

/// Figure 2, "All servers", rule 1: what a later leader cuts again was applied, and stays so.
#[test]
fn apply_before_commit_keeps_what_was_cut() {
    for mutant in CORRECT_AND(mutants::APPLY_BEFORE_COMMIT) {
        let mut server = server_of(mutant, 3, stored(2, None, &[]));
        let empty = server.raft.view().machine_digest;
        server.receive(2, append(2, (0, 0), &[2], 0));
        assert_eq!(server.raft.view().machine_digest != empty, mutant.is_some());
        assert_eq!(fired(&server) > 0, mutant.is_some());
        server.receive(3, append(3, (0, 0), &[], 0));
        server.receive(3, append(3, (0, 0), &[3], 1));
        let applied = server.raft.view().applied;
        assert_eq!(applied, LogIndex(1));
        assert_eq!(server.raft.view().entries[0].term.0, 3);
    }
}

/// Paper, section 5.4.2, Figure 8 (c): an entry of term 2 is on a majority, and not safe.
#[test]
fn fig8_commit_old_term_counts_copies_of_an_earlier_term() {
    for mutant in CORRECT_AND(mutants::FIG8_COMMIT_OLD_TERM) {
        let mut server = server_of(mutant, 3, stored(3, None, &[1, 2]));
        let out = server.lead();
        let conflict = outcome_of(&out.send);
        assert_eq!(conflict, None);
        server.receive(2, matched(4, 2));
        assert_eq!(server.raft.view().commit, LogIndex(if mutant.is_some() { 2 } else { 0 }));
        assert_eq!(fired(&server), u64::from(mutant.is_some()));
        server.receive(2, matched(4, 3));
        assert_eq!(server.raft.view().commit, LogIndex(3));
        assert_eq!(fired(&server), u64::from(mutant.is_some()), "an entry of its own term it may count");
    }
}

/// The old entry must reach a majority before the no-op does.
#[test]
fn fig8_commit_old_term_sends_entries_one_by_one() {
    for mutant in CORRECT_AND(mutants::FIG8_COMMIT_OLD_TERM) {
        let mut server = server_of(mutant, 3, stored(3, None, &[1, 2]));
        server.lead();
        let behind =
            nodes::protocol::raft::AppendOutcome::Conflict { prev_index: LogIndex(2), term: None, first: LogIndex(1) };
        let reply = nodes::protocol::raft::AppendReply { term: server.raft.view().term, round: 0, outcome: behind };
        let out = server.receive(2, Message::AppendReply(reply));
        let Message::Append(first) = &out.send[0].1 else { panic!("not an append") };
        assert_eq!(first.entries.len(), if mutant.is_some() { 1 } else { 3 });
        let out = server.receive(2, matched(4, 1));
        let sent: Vec<_> =
            out.send.iter().filter_map(|(_, m)| if let Message::Append(m) = m { Some(m) } else { None }).collect();
        assert_eq!(sent.len(), 1, "no other before that is acknowledged");
        assert_eq!(sent[0].entries.len(), if mutant.is_some() { 1 } else { 2 });
    }
}

/// Figure 2, AppendEntries RPC, rule 2: the entries before are another leader's.
#[test]
fn append_no_prev_check_builds_on_foreign_entries() {
    for mutant in CORRECT_AND(mutants::APPEND_NO_PREV_CHECK) {
        let mut server = server_of(mutant, 3, stored(5, None, &[1, 1, 4, 4]));
        server.receive(2, append(5, (4, 2), &[5], 0));
        assert_eq!(server.terms() == [1, 1, 4, 4, 5], mutant.is_some());
        assert_eq!(fired(&server), u64::from(mutant.is_some()));
        // A gap is refused by both.
        let terms = server.terms();
        server.receive(2, append(5, (9, 5), &[5], 0));
        assert_eq!((server.terms(), fired(&server)), (terms, u64::from(mutant.is_some())));
    }
}

/// Figure 2, AppendEntries RPC, rule 3: an old, shorter message takes away what was acknowledged since.
#[test]
fn truncate_always_drops_what_follows() {
    for mutant in CORRECT_AND(mutants::TRUNCATE_ALWAYS) {
        let mut server = server_of(mutant, 3, stored(5, None, &[]));
        server.receive(2, append(5, (0, 0), &[5, 5, 5], 2));
        server.sync();
        server.receive(2, append(5, (0, 0), &[], 2));
        assert_eq!(server.terms().len(), 3, "a heartbeat cuts nothing");
        server.receive(2, append(5, (0, 0), &[5], 2));
        assert_eq!(server.terms().len(), if mutant.is_some() { 1 } else { 3 });
        assert_eq!(fired(&server), u64::from(mutant.is_some()));
        assert_eq!(server.raft.view().commit.0, if mutant.is_some() { 1 } else { 2 });
    }
}

/// Figure 2, AppendEntries RPC, rule 5: a heartbeat that vouches for entry 1 alone, and a tail of another leader's.
#[test]
fn commit_no_min_commits_a_foreign_tail() {
    for mutant in CORRECT_AND(mutants::COMMIT_NO_MIN) {
        let mut server = server_of(mutant, 3, stored(5, None, &[1, 2, 2]));
        server.receive(2, append(5, (1, 1), &[], 9));
        // What is not here cannot be committed by either.
        assert_eq!(server.raft.view().commit, LogIndex(if mutant.is_some() { 3 } else { 1 }));
        assert_eq!(fired(&server), u64::from(mutant.is_some()));
    }
}

/// The leader's entries come at once, and the machine keeps what it should never have got.
#[test]
fn commit_no_min_is_not_made_good_by_the_next_message() {
    let digests = CORRECT_AND(mutants::COMMIT_NO_MIN).map(|mutant| {
        let mut server = server_of(mutant, 3, stored(5, None, &[1, 2, 2]));
        server.receive(2, append(5, (1, 1), &[], 9));
        server.receive(2, append(5, (1, 1), &[5, 5], 1));
        assert_eq!((server.terms(), server.raft.view().applied), (vec![1, 5, 5], LogIndex(1)));
        server.raft.view().machine_digest
    });
    assert_ne!(digests[0], digests[1]);
}

/// Figure 2, "Volatile state on leaders": what a follower had matched was cut away in between, here and there.
#[test]
fn matchindex_not_reset_counts_what_is_gone() {
    for mutant in CORRECT_AND(mutants::MATCHINDEX_NOT_RESET) {
        let mut server = server_of(mutant, 5, stored(1, None, &[1]));
        let lead = |server: &mut crate::figure2::Server| {
            server.wake();
            let term = server.raft.view().term.0;
            server.receive(2, pre_vote_reply(term, term + 1));
            server.receive(3, pre_vote_reply(term, term + 1));
            server.sync();
            server.receive(2, vote_reply(term + 1, true));
            server.receive(3, vote_reply(term + 1, true));
            server.sync();
            assert_eq!(server.role(), "leader");
        };
        lead(&mut server);
        server.ask(1, put(5));
        server.sync();
        server.receive(2, matched(2, 3));
        assert_eq!((server.raft.view().commit, fired(&server)), (LogIndex(0), 0), "two of five");
        server.receive(4, append(3, (1, 1), &[3], 0));
        server.sync();
        assert_eq!(server.terms(), [1, 3]);
        lead(&mut server);
        server.receive(3, matched(4, 3));
        assert_eq!(server.raft.view().commit, LogIndex(if mutant.is_some() { 3 } else { 0 }));
        assert_eq!(fired(&server), u64::from(mutant.is_some()));
    }
}

/// Paper, section 5.1: what was acknowledged in term 3 says nothing about the entry of term 4 at the same place.
#[test]
fn ack_stale_replies_commits_by_an_answer_of_another_term() {
    for mutant in CORRECT_AND(mutants::ACK_STALE_REPLIES) {
        let mut server = server_of(mutant, 3, stored(3, None, &[1, 2]));
        server.lead();
        server.ask(1, put(5));
        server.sync();
        let out = server.receive(2, matched(3, 4));
        let answered = [(RequestId(1), Reply::Answer(nodes::machine::Answer::Done))];
        assert_eq!(out.replies, if mutant.is_some() { answered.to_vec() } else { Vec::new() });
        assert_eq!(fired(&server), u64::from(mutant.is_some()));
        server.receive(2, echo(4, 0, 4));
        assert_eq!(server.raft.view().commit, LogIndex(4));
        assert_eq!(fired(&server), u64::from(mutant.is_some()));
    }
}

/// Figure 2: what was cut is back after a restart, behind the entry that took its place.
#[test]
fn truncate_not_durable_brings_the_tail_back() {
    for mutant in CORRECT_AND(mutants::TRUNCATE_NOT_DURABLE) {
        let before = stored(5, None, &[1, 2, 2, 2]);
        let mut server = server_of(mutant, 3, before.clone());
        let out = server.receive(2, append(5, (1, 1), &[3], 0));
        assert_eq!(server.terms(), [1, 3]);
        assert_eq!(out.records.contains(&Record::Truncate(LogIndex(2))), mutant.is_none());
        assert_eq!(fired(&server), u64::from(mutant.is_some()));
        let records = [before.records, out.records].concat();
        let again = server_of(mutant, 3, nodes::protocol::Stored { snapshot: None, records });
        assert_eq!(again.terms(), if mutant.is_some() { vec![1, 3, 2, 2] } else { vec![1, 3] });
    }
}
