//! Messages, writes and states in few words.

use nodes::{
    machine::{Answer, Command, Operation, Value},
    protocol::{
        NodeId, Outputs, Protocol, Reply,
        raft::{AppendOutcome, Entry, Membership, Message, Payload, Raft, Record},
    },
};

pub fn message(to: NodeId, message: &Message) -> String {
    let to = to.0;
    match message {
        Message::RequestVote(m) => {
            let kind = if m.pre { "PreVote" } else { "RequestVote" };
            let transfer = if m.transfer { " transfer" } else { "" };
            format!("{kind} to {to} term={} last={}/{}{transfer}", m.term.0, m.last_index.0, m.last_term.0)
        }
        Message::VoteReply(m) => {
            let kind = if m.pre { "PreVoteReply" } else { "VoteReply" };
            let answer = if m.granted { "granted" } else { "refused" };
            format!("{kind} to {to} term={} asked={} {answer}", m.term.0, m.asked.0)
        }
        Message::Append(m) => format!(
            "Append to {to} term={} prev={}/{} [{}] commit={} round={}",
            m.term.0,
            m.prev_index.0,
            m.prev_term.0,
            entries(&m.entries),
            m.commit.0,
            m.round
        ),
        Message::AppendReply(m) => {
            let outcome = match m.outcome {
                AppendOutcome::Match(index) => format!("match={}", index.0),
                AppendOutcome::Conflict { prev_index, term, first } => {
                    let term = term.map_or("none".to_owned(), |t| t.0.to_string());
                    format!("conflict at={} term={term} first={}", prev_index.0, first.0)
                }
                AppendOutcome::Chunk { index, offset } => format!("chunk of={} have={offset}", index.0),
                AppendOutcome::StaleTerm => "stale term".to_owned(),
            };
            format!("AppendReply to {to} term={} {outcome} round={}", m.term.0, m.round)
        }
        Message::SnapshotChunk(m) => {
            format!("SnapshotChunk to {to} term={} of={}/{} from={}", m.term.0, m.index.0, m.index_term.0, m.offset)
        }
        Message::TimeoutNow { term } => format!("TimeoutNow to {to} term={}", term.0),
        Message::Forward(m) => format!("Forward to {to} term={} life={} id={}", m.term.0, m.life, m.id),
        Message::ForwardReply { id, result, .. } => format!("ForwardReply to {to} id={id} {result:?}"),
        Message::ReadIndex { id, .. } => format!("ReadIndex to {to} id={id}"),
        Message::ReadIndexReply { id, index, .. } => {
            format!(
                "ReadIndexReply to {to} id={id} {}",
                index.map_or("refused".to_owned(), |i| format!("index={}", i.0))
            )
        }
    }
}

/// The kind of a message, as scripts name it.
pub fn kind(message: &Message) -> &'static str {
    match message {
        Message::RequestVote(m) if m.pre => "PreVote",
        Message::RequestVote(_) => "RequestVote",
        Message::VoteReply(m) if m.pre => "PreVoteReply",
        Message::VoteReply(_) => "VoteReply",
        Message::Append(_) => "Append",
        Message::AppendReply(_) => "AppendReply",
        Message::SnapshotChunk(_) => "SnapshotChunk",
        Message::TimeoutNow { .. } => "TimeoutNow",
        Message::Forward(_) => "Forward",
        Message::ForwardReply { .. } => "ForwardReply",
        Message::ReadIndex { .. } => "ReadIndex",
        Message::ReadIndexReply { .. } => "ReadIndexReply",
    }
}

/// `index/term:what`, one after the other.
pub fn entries(entries: &[Entry]) -> String {
    entries.iter().map(entry).collect::<Vec<_>>().join(" ")
}

fn entry(entry: &Entry) -> String {
    let what = match &entry.payload {
        Payload::Noop => "noop".to_owned(),
        Payload::Membership(m) => membership(m),
        Payload::Command(Command::OpenSession) => "session".to_owned(),
        Payload::Command(Command::Do { operation, .. }) => match operation {
            Operation::Write { key, value: v } => format!("{key}={}", value(v)),
            Operation::Append { key, value: v } => format!("{key}+{}", value(v)),
            Operation::Cas { key, old, new } => format!("{key}:{}>{}", value(old), value(new)),
            Operation::Txn { .. } => "txn".to_owned(),
            Operation::Add { key, delta } => format!("{key}+={delta}"),
            Operation::Pop { key } => format!("{key}-first"),
        },
    };
    format!("{}/{}:{what}", entry.index.0, entry.term.0)
}

/// `{1 2 3}`, `{1 4}&{1 2 3}` while joint, `{1 2 3}+4` with a learner.
pub fn membership(membership: &Membership) -> String {
    let ids = |ids: &[NodeId]| ids.iter().map(|id| id.0.to_string()).collect::<Vec<_>>().join(" ");
    let mut text = format!("{{{}}}", ids(&membership.voters));
    if membership.is_joint() {
        text += &format!("&{{{}}}", ids(&membership.outgoing));
    }
    if !membership.learners.is_empty() {
        text += &format!("+{}", ids(&membership.learners));
    }
    text
}

pub fn value(value: &Value) -> String {
    value.to_json().to_string()
}

pub fn writes(out: &Outputs<Message, Record>) -> Option<String> {
    let mut words = Vec::new();
    if let Some(compact) = &out.compact {
        words.push(format!("snapshot with ({})", compact.records.iter().map(record).collect::<Vec<_>>().join(", ")));
    }
    words.extend(out.records.iter().map(record));
    (!words.is_empty()).then(|| words.join(", "))
}

fn record(record: &Record) -> String {
    match record {
        Record::HardState(hard) => {
            format!("term={} vote={}", hard.term.0, hard.voted_for.map_or("none".to_owned(), |v| v.0.to_string()))
        }
        Record::Life(life) => format!("life={life}"),
        Record::Base(index, term) => format!("base={}/{}", index.0, term.0),
        Record::Entry(e) => entry(e),
        Record::Truncate(from) => format!("cut from {}", from.0),
    }
}

pub fn state(raft: &Raft) -> String {
    let status = raft.status();
    let leader = status.leader.map_or("none".to_owned(), |l| l.0.to_string());
    format!("{} in term {}, leader {leader}, commit {}", status.role, status.term, status.commit)
}

pub fn reply(reply: &Reply) -> String {
    match reply {
        Reply::Answer(Answer::Done) => "done".to_owned(),
        Reply::Answer(answer) => format!("{answer:?}"),
        Reply::Value(v) => value(v),
        Reply::TransferStarted => "transfer started".to_owned(),
        Reply::MembershipChanged => "membership changed".to_owned(),
        Reply::Refused(refusal) => {
            format!("refused, {refusal:?} ({})", if refusal.is_definite() { "definite" } else { "unknown" })
        }
    }
}
