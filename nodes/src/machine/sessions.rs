//! Sessions: a retried command takes effect once (Ongaro's dissertation, section 6.3).
//!
//! A session remembers its newest sequence number and the answer to it: a client has one request at a time under way, so no
//! older answer can be asked for. The table is bounded. Which session is evicted is decided by log indexes alone, so that
//! every replica evicts the same one at the same entry; a client whose session is gone is told so, and its command not done.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Answer, MachineError, Stamp,
    digest::{hash_of, mix},
    transaction::bytes_of,
};

/// At most this many sessions at a time; opening one more evicts the one whose last command lies furthest back in the log.
pub const SESSIONS_MAX: usize = 4096;

/// One client's session. Its name is the log index that opened it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Session {
    /// The newest sequence number applied; 0 before the first.
    seq: u64,
    /// The answer to it.
    answer: Option<Answer>,
    /// The log index of the newest command that named this session.
    used: u64,
}

/// What the table says to a stamp.
pub(super) enum Verdict {
    /// Not seen yet: perform it.
    New,
    /// Performed already, with this answer.
    Duplicate(Answer),
    /// Something later was performed already.
    Stale,
    /// No such session.
    Unknown,
}

/// Whether a repeated command takes effect again. Correct builds have it on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dedup {
    /// It does not: it is answered as it was.
    #[default]
    On,
    /// It does, each time. For mutants.
    Off,
}

/// All sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sessions {
    dedup: Dedup,
    /// How often a repeated command was let through.
    repeats: u64,
    table: BTreeMap<u64, Session>,
    /// Log index of the last use, to session: the first is the next to be evicted.
    by_use: BTreeMap<u64, u64>,
    /// The sum of the hashes of all sessions.
    digest: u64,
}

impl Session {
    /// About how many bytes it takes in a message.
    pub(super) fn weight(&self) -> usize {
        const FIXED: usize = 24;
        FIXED
            + match &self.answer {
                Some(Answer::NotEqual { observed: value } | Answer::Taken(value)) => bytes_of(value),
                Some(Answer::Txn(values)) => values.iter().map(bytes_of).sum(),
                Some(Answer::Done | Answer::Session(_) | Answer::Rejected(_)) | None => 0,
            }
    }
}

fn session_hash(id: u64, session: &Session) -> u64 {
    mix(id ^ hash_of(session))
}

impl Sessions {
    /// The table that a snapshot holds.
    pub(super) fn from_table(table: BTreeMap<u64, Session>) -> Result<Self, MachineError> {
        if table.len() > SESSIONS_MAX {
            return Err(MachineError::Inconsistent("more sessions than are kept"));
        }
        let by_use: BTreeMap<u64, u64> = table.iter().map(|(&id, session)| (session.used, id)).collect();
        if by_use.len() != table.len() {
            return Err(MachineError::Inconsistent("two sessions were last used by one log entry"));
        }
        let digest = table.iter().fold(0, |sum: u64, (&id, session)| sum.wrapping_add(session_hash(id, session)));
        Ok(Self { table, by_use, digest, ..Self::default() })
    }

    pub(super) fn set_dedup(&mut self, dedup: Dedup, repeats: u64) {
        (self.dedup, self.repeats) = (dedup, repeats);
    }

    pub(super) fn dedup(&self) -> Dedup {
        self.dedup
    }

    pub(super) fn repeats(&self) -> u64 {
        self.repeats
    }

    pub(super) fn table(&self) -> &BTreeMap<u64, Session> {
        &self.table
    }

    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    /// Opens the session named by this log index.
    pub(super) fn open(&mut self, index: u64) {
        if self.table.len() == SESSIONS_MAX {
            let (_, oldest) = self.by_use.pop_first().expect("as many as in the table");
            let evicted = self.table.remove(&oldest).expect("the two maps agree");
            self.digest = self.digest.wrapping_sub(session_hash(oldest, &evicted));
        }
        let session = Session { seq: 0, answer: None, used: index };
        self.digest = self.digest.wrapping_add(session_hash(index, &session));
        self.table.insert(index, session);
        self.by_use.insert(index, index);
    }

    /// A session is as this says, whatever it was.
    pub(super) fn put(&mut self, id: u64, session: Session) {
        if !self.table.contains_key(&id) {
            self.open(id);
        }
        let old = self.table.insert(id, session).expect("it is open");
        let new = &self.table[&id];
        self.by_use.remove(&old.used);
        self.by_use.insert(new.used, id);
        let digest = self.digest.wrapping_sub(session_hash(id, &old));
        self.digest = digest.wrapping_add(session_hash(id, new));
    }

    /// What is known of a command with this stamp; the command at `index` counts as a use of its session whatever it says.
    pub(super) fn look_up(&mut self, index: u64, stamp: Stamp) -> Verdict {
        let Some(session) = self.table.get_mut(&stamp.session) else {
            return Verdict::Unknown;
        };
        self.digest = self.digest.wrapping_sub(session_hash(stamp.session, session));
        self.by_use.remove(&session.used);
        self.by_use.insert(index, stamp.session);
        session.used = index;
        self.digest = self.digest.wrapping_add(session_hash(stamp.session, session));
        let verdict = match &session.answer {
            Some(answer) if stamp.seq == session.seq => Verdict::Duplicate(answer.clone()),
            _ if stamp.seq <= session.seq => Verdict::Stale,
            _ => Verdict::New,
        };
        if self.dedup == Dedup::Off && !matches!(verdict, Verdict::New) {
            self.repeats += 1;
            return Verdict::New;
        }
        verdict
    }

    /// Forgets the sessions last used behind this index, as if the log were about to be applied from there once more. For mutants.
    pub(super) fn forget_after(&mut self, index: u64) {
        for session in self.by_use.split_off(&(index + 1)).into_values() {
            let forgotten = self.table.remove(&session).expect("the two maps agree");
            self.digest = self.digest.wrapping_sub(session_hash(session, &forgotten));
        }
    }

    /// Keeps the answer for retries of this stamp. Only after [`Sessions::look_up`] said [`Verdict::New`].
    pub(super) fn remember(&mut self, stamp: Stamp, answer: &Answer) {
        let session = self.table.get_mut(&stamp.session).expect("it was looked up just now");
        self.digest = self.digest.wrapping_sub(session_hash(stamp.session, session));
        session.seq = stamp.seq;
        session.answer = Some(answer.clone());
        self.digest = self.digest.wrapping_add(session_hash(stamp.session, session));
    }
}
