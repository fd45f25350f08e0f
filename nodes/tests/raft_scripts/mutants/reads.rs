//! Wrong rules of reads through ReadIndex.

use nodes::{
    machine::Value,
    protocol::{
        Reply,
        raft::{LogIndex, Message, mutants},
    },
};

use super::{CORRECT_AND, echo, fired, read, server_of};
use crate::figure2::{append, stored};

/// Dissertation, section 6.4, step 1: the no-op of the new leader is not committed yet, and a round is confirmed all the same.
#[test]
fn readindex_no_term_commit_reads_at_an_inherited_commit_index() {
    for mutant in CORRECT_AND(mutants::READINDEX_NO_TERM_COMMIT) {
        let mut server = server_of(mutant, 3, stored(1, None, &[1]));
        server.lead();
        server.ask(1, read());
        let out = server.receive(2, echo(2, 1, 1));
        assert_eq!(out.replies.len(), usize::from(mutant.is_some()));
        assert_eq!(fired(&server) > 0, mutant.is_some());
        // Once it is committed, the right rule answers too, after a round of its own.
        let before = fired(&server);
        server.receive(2, echo(2, 1, 2));
        server.ask(2, read());
        let out = server.receive(2, echo(2, 2, 2));
        assert_eq!(out.replies.last().map(|(_, reply)| reply), Some(&Reply::Value(Value::Int(1))));
        assert_eq!(fired(&server), before);
    }
}

/// Dissertation, section 6.4, step 3: an answer to what was sent before the read arrived says nothing about now.
#[test]
fn readindex_stale_ack_takes_an_older_answer_for_a_new_one() {
    for mutant in CORRECT_AND(mutants::READINDEX_STALE_ACK) {
        let mut server = server_of(mutant, 3, stored(1, None, &[1]));
        server.lead();
        server.receive(2, echo(2, 0, 2));
        assert_eq!(fired(&server), 0, "no round, so none that is newer");
        server.ask(1, read());
        let out = server.receive(3, echo(2, 0, 2));
        assert_eq!(out.replies.len(), usize::from(mutant.is_some()));
        assert_eq!(fired(&server), u64::from(mutant.is_some()));
        let out = server.receive(2, echo(2, 1, 2));
        assert_eq!(out.replies.len(), usize::from(mutant.is_none()), "the right one waits for the round");
    }
}

/// Dissertation, section 6.4, step 4: the follower knows where to read, and has not applied that far.
#[test]
fn read_before_apply_misses_what_is_committed() {
    for mutant in CORRECT_AND(mutants::READ_BEFORE_APPLY) {
        let mut server = server_of(mutant, 3, stored(1, None, &[]));
        server.receive(2, append(1, (0, 0), &[1], 0));
        server.sync();
        let out = server.ask(1, read());
        let [(_, Message::ReadIndex { life, id })] = out.send[..] else { panic!("not one question: {:?}", out.send) };
        let out = server.receive(2, Message::ReadIndexReply { life, id, index: Some(LogIndex(1)) });
        assert_eq!(out.replies.first().map(|(_, reply)| reply), mutant.map(|_| &Reply::Value(Value::Nil)));
        assert_eq!(fired(&server), u64::from(mutant.is_some()));
        let out = server.receive(2, append(1, (1, 1), &[], 1));
        assert_eq!(
            out.replies.first().map(|(_, reply)| reply),
            mutant.is_none().then_some(&Reply::Value(Value::Int(1)))
        );
    }
}
