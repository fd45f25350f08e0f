//! Each mutant breaks its rule, and `fired` counts it. The correct build, given the same, does not, and counts nothing.

use nodes::{
    machine::{Answer, Command, Operation, Stamp, Value},
    mutants::Mutant,
    protocol::{
        Config, ReadMode, Reply, Request,
        multi_paxos::{Ballot, Message, Payload, Record, Says, Slot, StandingReply, Vote, mutants},
    },
};

use crate::solo::{
    Said, Solo, T_MS, accept, accepted, ballot, config, fit, prepare, proposed, put, put_command, read, round, vote,
};

/// Runs a script with the correct build and with the mutant. It says whether the bug showed.
fn both(mutant: Mutant, script: impl Fn(Option<Mutant>) -> (Solo, bool)) {
    for switched in [None, Some(mutant)] {
        let (solo, showed) = script(switched);
        assert_eq!(showed, switched.is_some(), "{} with {switched:?}", mutant.id);
        assert_eq!(solo.fired() > 0, switched.is_some(), "{}: fired {} times", mutant.id, solo.fired());
    }
}

fn is_promise(m: &Message) -> bool {
    matches!(m, Message::Promise(_))
}

fn is_accepted(m: &Message) -> bool {
    matches!(m, Message::Accepted(_))
}

fn is_nack(m: &Message) -> bool {
    matches!(m, Message::Nack { .. })
}

/// One of two things was said.
fn either(said: &Said, wrong: fn(&Message) -> bool, right: fn(&Message) -> bool) -> bool {
    assert!(said.has(wrong) != said.has(right), "{said:?}");
    said.has(wrong)
}

fn with_reads(reads: ReadMode, mutant: Option<Mutant>) -> Solo {
    Solo::with(Config { reads, ..config(3, mutant) }, fit(3))
}

/// PMS, 2.5: what was promised before a crash is refused after it, to a lower ballot.
#[test]
fn promise_volatile() {
    both(mutants::PROMISE_VOLATILE, |mutant| {
        let mut solo = Solo::new(mutant);
        solo.receive_durably(2, prepare(ballot(5, 2), 1));
        solo.restart();
        let said = solo.receive(3, prepare(ballot(3, 3), 1));
        (solo, either(&said, is_promise, is_nack))
    });
}

/// PMS, 2.5: a 2b waits for the disk.
#[test]
fn accept_before_fsync() {
    both(mutants::ACCEPT_BEFORE_FSYNC, |mutant| {
        let mut solo = Solo::new(mutant);
        // The ballot comes first, so that only the value is at stake.
        solo.receive_durably(2, accept(ballot(1, 2), 1, &[], 0));
        let said = solo.receive(2, accept(ballot(1, 2), 1, &[5], 0));
        let early = said.at_once.iter().any(|(_, m)| is_accepted(m));
        assert_ne!(early, said.when_durable.iter().any(|(_, m)| is_accepted(m)));
        assert_ne!(early, said.sync_wanted);
        (solo, early)
    });
}

/// PMS, 2.2, P1a: nothing is accepted below the promise.
#[test]
fn accept_below_promise() {
    both(mutants::ACCEPT_BELOW_PROMISE, |mutant| {
        let mut solo = Solo::new(mutant);
        solo.receive_durably(2, prepare(ballot(5, 2), 1));
        let said = solo.receive(3, accept(ballot(3, 3), 1, &[5], 0));
        (solo, either(&said, is_accepted, is_nack))
    });
}

/// PMMC, 2.2: accepting in a ballot promises it.
#[test]
fn accept_no_bump() {
    both(mutants::ACCEPT_NO_BUMP, |mutant| {
        let mut solo = Solo::new(mutant);
        solo.receive_durably(2, accept(ballot(5, 2), 1, &[5], 0));
        let said = solo.receive(3, accept(ballot(3, 3), 1, &[3], 0));
        (solo, either(&said, is_accepted, is_nack))
    });
}

/// What a candidate that accepted `own` itself proposes in slot 1, after these 1b.
fn merged(voters: u64, mutant: Option<Mutant>, own: Option<Vote>, told: &[(u64, Option<Vote>)]) -> (Solo, Payload) {
    let records = fit(voters).into_iter().chain(own.map(Record::Accept)).collect();
    let mut solo = Solo::with(config(voters, mutant), records);
    let at = solo.stand();
    let mut values = Vec::new();
    for (from, vote) in told {
        values.extend(proposed(&solo.promise(*from, at, 1, vote.iter().cloned().collect(), 0)));
    }
    assert_eq!(values.len(), 1, "{values:?}");
    (solo, values.remove(0))
}

/// PMS, 2.2, P2c: a value that another acceptor reports is proposed again.
#[test]
fn own_value() {
    both(mutants::OWN_VALUE, |mutant| {
        let own = vote(1, ballot(1, 1), 1);
        let (solo, value) = merged(3, mutant, Some(own), &[(2, Some(vote(1, ballot(2, 2), 2)))]);
        assert!([put(1), put(2)].contains(&value));
        (solo, value == put(1))
    });
}

/// PMS, 2.2, P2c: the highest ballot decides, not the number of acceptors.
#[test]
fn most_common_value() {
    both(mutants::MOST_COMMON_VALUE, |mutant| {
        let common = vote(1, ballot(1, 1), 1);
        let told = [(2, Some(common.clone())), (3, Some(vote(1, ballot(2, 3), 2)))];
        let (solo, value) = merged(5, mutant, Some(common), &told);
        assert!([put(1), put(2)].contains(&value));
        (solo, value == put(1))
    });
}

/// PMS, 3: a no-op goes only where no value is reported.
#[test]
fn noop_over_value() {
    both(mutants::NOOP_OVER_VALUE, |mutant| {
        let (solo, value) = merged(3, mutant, None, &[(2, Some(vote(1, ballot(2, 2), 2)))]);
        assert!([Payload::Noop, put(2)].contains(&value));
        (solo, value == Payload::Noop)
    });
}

/// PMS, 2.2: the 1b names the ballot of the acceptance, whatever was promised since.
#[test]
fn vbal_is_promise() {
    both(mutants::VBAL_IS_PROMISE, |mutant| {
        let mut solo = Solo::new(mutant);
        solo.receive_durably(2, accept(ballot(1, 2), 1, &[5], 0));
        solo.receive_durably(3, prepare(ballot(3, 3), 1));
        let said = solo.receive(2, prepare(ballot(5, 2), 1));
        let Some(Message::Promise(promise)) = said.all().next() else { panic!("{said:?}") };
        (solo, promise.votes[0].ballot == ballot(3, 3))
    });
}

/// PMS, 2.5: a ballot names its proposer.
#[test]
fn ballot_not_unique() {
    both(mutants::BALLOT_NOT_UNIQUE, |mutant| {
        let mut solo = Solo::new(mutant);
        let at = solo.stand();
        assert_eq!(at.round, 1);
        (solo, at != ballot(1, 1))
    });
}

/// PMS, 2.5: a ballot is above all that were used in earlier lives.
#[test]
fn ballot_reuse_restart() {
    both(mutants::BALLOT_REUSE_RESTART, |mutant| {
        let mut solo = Solo::new(mutant);
        assert_eq!(solo.stand(), ballot(1, 1));
        solo.restart();
        let again = solo.stand();
        (solo, again == ballot(1, 1))
    });
}

/// What a leader of three answers to a write, after this 2b of node 2.
fn answered(mutant: Option<Mutant>, said: impl Fn(Ballot) -> Option<Message>) -> (Solo, bool) {
    let mut solo = Solo::new(mutant);
    let at = solo.lead();
    solo.request(Request::Command(put_command(5)));
    let mut replies = solo.sync().replies;
    if let Some(message) = said(at) {
        replies.extend(solo.receive(2, message).replies);
    }
    assert!(replies.is_empty() || replies == [Reply::Answer(Answer::Done)]);
    (solo, !replies.is_empty())
}

/// PMMC, 2.2, commander: a 2b counts for its own ballot.
#[test]
fn mixed_2b() {
    both(mutants::MIXED_2B, |mutant| answered(mutant, |_| Some(accepted(ballot(0, 3), 1, 1, 1))));
    let (_, right) = answered(None, |at| Some(accepted(at, 1, 1, 1)));
    assert!(right, "two of three, in one ballot");
    // What a 1b tells of was accepted in an earlier ballot.
    both(mutants::MIXED_2B, |mutant| {
        let mut solo = Solo::new(mutant);
        let at = solo.stand();
        solo.promise(2, at, 1, vec![vote(1, ballot(0, 2), 5)], 0);
        solo.sync();
        let applied = solo.status().applied;
        assert!([0, 1].contains(&applied));
        (solo, applied == 1)
    });
}

/// PMS, 2.3: a value is not chosen before a quorum has accepted it.
#[test]
fn learn_first_2b() {
    both(mutants::LEARN_FIRST_2B, |mutant| answered(mutant, |_| None));
}

/// PMS, 2.2: two quorums meet. A node on its own is none of three.
#[test]
fn quorum_half() {
    both(mutants::QUORUM_HALF, |mutant| {
        let mut solo = Solo::new(mutant);
        for _ in 0..10 {
            solo.tick();
            solo.sync();
        }
        let leads = solo.status().role == "leader";
        (solo, leads)
    });
}

/// PMMC, 2.1: slot 2 waits for slot 1.
#[test]
fn apply_gaps() {
    both(mutants::APPLY_GAPS, |mutant| {
        let mut solo = Solo::new(mutant);
        solo.receive_durably(2, accept(ballot(1, 2), 2, &[5], 0));
        solo.receive(2, accept(ballot(1, 2), 3, &[], 2));
        let applied = solo.status().applied;
        assert!([0, 2].contains(&applied));
        (solo, applied == 2)
    });
}

/// PMS, 3: a promise covers all slots from the one asked about on.
#[test]
fn phase1_one_slot() {
    both(mutants::PHASE1_ONE_SLOT, |mutant| {
        let mut solo = Solo::new(mutant);
        solo.receive_durably(2, prepare(ballot(5, 2), 1));
        let first = solo.receive(3, accept(ballot(3, 3), 1, &[5], 0));
        assert!(first.has(is_nack), "that very slot is covered");
        let said = solo.receive(3, accept(ballot(3, 3), 2, &[5], 0));
        (solo, either(&said, is_accepted, is_nack))
    });
}

/// PML, 5.2: a leader reads after a round, or under a lease.
#[test]
fn local_read() {
    both(mutants::LOCAL_READ, |mutant| {
        let mut solo = Solo::new(mutant);
        solo.lead();
        let said = solo.request(read());
        (solo, said.replies == [Reply::Value(Value::Nil)])
    });
}

/// PML, 5.2: the leader's lease ends before the acceptors' do, counted from when it asked.
#[test]
fn lease_no_margin() {
    both(mutants::LEASE_NO_MARGIN, |mutant| {
        let mut solo = with_reads(ReadMode::Lease, mutant);
        solo.wait(2 * T_MS);
        let at = solo.lead();
        let asked = round(&solo.tick()).expect("heartbeats");
        solo.wait(20);
        solo.receive(2, accepted(at, 1, 0, asked));
        assert_eq!(solo.request(read()).replies, [Reply::Value(Value::Nil)], "under the lease");
        // More than four fifths of the timeout since the question, less than all of it since the answer.
        solo.wait(T_MS - 25);
        let said = solo.request(read());
        (solo, !said.replies.is_empty())
    });
}

/// PML, 5.2: a follower does not read because it hears the leader.
#[test]
fn follower_lease_commit_majority() {
    both(mutants::FOLLOWER_LEASE_COMMIT_MAJORITY, |mutant| {
        let mut solo = with_reads(ReadMode::Lease, mutant);
        solo.receive_durably(2, accept(ballot(1, 2), 1, &[], 0));
        let said = solo.request(read());
        assert_ne!(said.replies.is_empty(), said.is_silent(), "it asks the leader, or answers");
        (solo, !said.replies.is_empty())
    });
}

/// A quorum read at a node that accepted x = 5 in slot 1 and does not know whether that is chosen.
fn quorum_read(mutant: Option<Mutant>) -> (Solo, Vec<Reply>) {
    let mut solo = with_reads(ReadMode::QuorumRead, mutant);
    solo.receive_durably(2, accept(ballot(1, 2), 1, &[5], 0));
    let said = solo.request(read());
    let Some(&Message::AskHighest { life, id }) = said.all().next() else { panic!("{said:?}") };
    let said = solo.receive(3, Message::Highest { life, id, slot: Slot(0) });
    if mutant.is_none() {
        let later = solo.receive(2, accept(ballot(1, 2), 2, &[], 1)).replies;
        assert_eq!(later, [Reply::Value(Value::Int(5))], "once it is chosen");
    }
    (solo, said.replies)
}

/// PQR, 3: the highest slot that anyone accepted is applied before the read is answered.
#[test]
fn read_no_rinse() {
    both(mutants::READ_NO_RINSE, |mutant| {
        let (solo, replies) = quorum_read(mutant);
        (solo, replies == [Reply::Value(Value::Nil)])
    });
}

/// PQR, 3: a value that is merely accepted is not read.
#[test]
fn read_accepted() {
    both(mutants::READ_ACCEPTED, |mutant| {
        let (solo, replies) = quorum_read(mutant);
        (solo, replies == [Reply::Value(Value::Int(5))])
    });
}

/// PMMC, 2.1: a command chosen in two slots takes effect once.
#[test]
fn no_dedup() {
    both(mutants::NO_DEDUP, |mutant| {
        let mut solo = Solo::with(config(1, mutant), fit(1));
        solo.stand();
        solo.request(Request::Command(Command::OpenSession));
        assert_eq!(solo.sync().replies, [Reply::Answer(Answer::Session(1))]);
        let stamp = Some(Stamp { session: 1, seq: 1 });
        for _ in 0..2 {
            let operation = Operation::Append { key: "x".to_owned(), value: Value::Int(5) };
            solo.request(Request::Command(Command::Do { stamp, operation }));
            assert_eq!(solo.sync().replies, [Reply::Answer(Answer::Done)]);
        }
        let Reply::Value(Value::List(list)) = solo.request(read()).replies.remove(0) else { panic!("a list") };
        (solo, list.len() == 2)
    });
}

/// PMS, 2.3: learners learn what is chosen.
#[test]
fn catchup_accepted() {
    both(mutants::CATCHUP_ACCEPTED, |mutant| {
        let mut solo = Solo::new(mutant);
        solo.receive_durably(2, accept(ballot(1, 2), 1, &[5], 0));
        let said = solo.receive(3, Message::CatchUp { from: Slot(1), have: None });
        assert!(said.is_silent() || said.has(|m| matches!(m, Message::Chosen { .. })));
        (solo, !said.is_silent())
    });
}

/// PMMC, 4.2: a 1b says what is forgotten.
#[test]
fn compact_forget() {
    both(mutants::COMPACT_FORGET, |mutant| {
        let mut solo = Solo::with(Config { snapshot_every: 1, ..config(3, mutant) }, fit(3));
        solo.receive_durably(2, accept(ballot(1, 2), 1, &[5], 0));
        solo.receive_durably(2, accept(ballot(1, 2), 2, &[], 1));
        assert_eq!(solo.status().snapshot_index, 1);
        let said = solo.receive(3, prepare(ballot(2, 3), 1));
        let Some(Message::Promise(promise)) = said.all().next() else { panic!("{said:?}") };
        assert!(promise.votes.is_empty());
        (solo, promise.snapshot == Slot(0))
    });
}

/// PML, 5.1: a node whose disk was wiped does not vote.
#[test]
fn lost_disk_rejoin() {
    both(mutants::LOST_DISK_REJOIN, |mutant| {
        let mut solo = Solo::new(mutant);
        solo.wipe();
        for peer in [2, 3] {
            let says = Says::Fit { knows: 1 };
            let reply = StandingReply { asked: 7, incarnation: peer, says, promised: ballot(1, 2) };
            solo.receive_durably(peer, Message::Standing(reply));
        }
        let said = solo.receive(2, prepare(ballot(2, 2), 1));
        assert!(said.is_silent() || said.has(is_promise));
        (solo, !said.is_silent())
    });
}

/// A decoy: phase 1 begins without the round of questions, and costs a leader its place at most.
#[test]
fn no_ping() {
    both(mutants::NO_PING, |mutant| {
        let mut solo = Solo::new(mutant);
        let said = solo.wait(2 * T_MS);
        let is_prepare = |m: &Message| matches!(m, Message::Prepare(_));
        (solo, either(&said, is_prepare, |m| matches!(m, Message::Ping { .. })))
    });
}

/// Every mutant of the catalogue has its script here.
#[test]
fn none_is_left_out() {
    let here = include_str!("mutants.rs");
    for mutant in mutants::ALL {
        let name = mutant.id.trim_start_matches("pax-").replace('-', "_");
        assert!(here.contains(&format!("fn {name}()")), "{}", mutant.id);
    }
}
