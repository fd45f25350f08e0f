//! Leases, and their wrong rules. T is 150 ms here, so a lease lasts 112 ms from when its heartbeat was sent.

use nodes::{
    mutants::Mutant,
    protocol::{Config, Input, NodeId, ReadMode, Request, raft::mutants},
};

use super::{CORRECT_AND, echo, fired, read};
use crate::{
    cluster::{MS, T_MS, config},
    figure2::{Server, append, request_vote, stored},
};

/// Between the heartbeat that begins a lease and its answer.
const TRIP_MS: u64 = 10;
/// Rounded down.
const LEASE_MS: u64 = 112;

fn voter(mutant: Option<Mutant>, reads: ReadMode) -> Server {
    Server::with(Config { mutant, reads, ..config(1, 3) }, stored(1, None, &[1]))
}

/// A leader whose heartbeat of `TRIP_MS` ago was answered just now.
fn leader(mutant: Option<Mutant>) -> Server {
    let mut server = voter(mutant, ReadMode::Lease);
    server.lead();
    server.receive(2, echo(2, 0, 2));
    server.wake();
    server.wait(TRIP_MS);
    server.receive(2, echo(2, 1, 2));
    server
}

/// Whether a read is answered at once, so many milliseconds after the answer to the heartbeat.
fn reads_at_once(server: &mut Server, after_ms: u64) -> bool {
    server.wait(after_ms);
    !server.ask(1, read()).replies.is_empty()
}

/// Dissertation, section 6.4.1: from when the heartbeat was sent, and less than an election timeout.
#[test]
fn a_lease_counts_from_when_its_heartbeat_was_sent() {
    let [mut server, mut late] = [leader(None), leader(None)];
    assert!(reads_at_once(&mut server, LEASE_MS - TRIP_MS - 1));
    assert!(!reads_at_once(&mut late, LEASE_MS - TRIP_MS + 1));
    // Without leases, a read takes a round.
    let mut server = voter(None, ReadMode::Quorum);
    server.lead();
    server.receive(2, echo(2, 0, 2));
    assert!(!reads_at_once(&mut server, 0));
}

/// Dissertation, section 6.4: a lease proves leadership, but not that the commit index is up to date.
#[test]
fn a_lease_is_no_commit_of_the_own_term() {
    let mut server = voter(None, ReadMode::Lease);
    server.lead();
    server.wake();
    server.receive(2, echo(2, 1, 1));
    assert!(!reads_at_once(&mut server, 0));
}

/// The promise not to vote while a leader is heard is not on the disk: a voter that starts again keeps it for T.
#[test]
fn a_voter_that_starts_again_grants_nothing_for_a_while() {
    for (reads, answers) in [(ReadMode::Lease, false), (ReadMode::Quorum, true)] {
        let mut server = voter(None, reads);
        server.wait(T_MS - 1);
        let out = server.receive(2, request_vote(5, 1, 1));
        assert_eq!(!out.send_when_durable.is_empty(), answers);
        server.wait(1);
        let out = server.receive(2, request_vote(6, 1, 1));
        assert!(!out.send_when_durable.is_empty());
    }
}

#[test]
fn lease_no_bound_counts_from_the_answer_and_as_long_as_an_election_timeout() {
    for mutant in CORRECT_AND(mutants::LEASE_NO_BOUND) {
        let mut server = leader(mutant);
        assert!(reads_at_once(&mut server, 1));
        assert_eq!(fired(&server), 0, "within the right bound");
        assert_eq!(reads_at_once(&mut server, T_MS - 2), mutant.is_some());
        assert_eq!(fired(&server), u64::from(mutant.is_some()));
        assert!(!reads_at_once(&mut server, 2), "it has a bound after all");
    }
}

#[test]
fn lease_wall_clock_lasts_longer_when_the_clock_is_set_back() {
    for mutant in CORRECT_AND(mutants::LEASE_WALL_CLOCK) {
        let mut server = leader(mutant);
        server.step(Input::WallClock { offset_ns: -1000 * MS.cast_signed() });
        assert_eq!(reads_at_once(&mut server, T_MS), mutant.is_some());
        assert_eq!(fired(&server), u64::from(mutant.is_some()));
    }
}

/// Dissertation, section 3.10: the voters will break the promise that the lease rests on.
#[test]
fn lease_survives_transfer_reads_on_while_another_may_lead() {
    for mutant in CORRECT_AND(mutants::LEASE_SURVIVES_TRANSFER) {
        let mut server = leader(mutant);
        server.ask(7, Request::TransferLeadership { to: Some(NodeId(2)) });
        assert_eq!(reads_at_once(&mut server, 0), mutant.is_some());
        assert_eq!(fired(&server), u64::from(mutant.is_some()));
        // What was sent may arrive at any later time, so the lease is gone for good, even if nothing comes of the transfer.
        server.wait(2 * T_MS - LEASE_MS);
        server.receive(2, echo(2, 1, 2));
        server.wake();
        server.receive(2, echo(2, 3, 2));
        assert_eq!(reads_at_once(&mut server, 1), mutant.is_some());
    }
}

/// Leases rest on sticky voters, so the decoy leaves these alone.
#[test]
fn no_stickiness_keeps_the_promises_of_leases() {
    for (reads, answers) in [(ReadMode::Lease, false), (ReadMode::Quorum, true)] {
        let mut server = voter(Some(mutants::NO_STICKINESS), reads);
        server.wait(2 * T_MS);
        server.receive(3, append(2, (1, 1), &[], 0));
        server.sync();
        let out = server.receive(2, request_vote(7, 9, 9));
        assert_eq!(!out.send_when_durable.is_empty(), answers);
        assert_eq!(fired(&server), u64::from(answers));
    }
}
