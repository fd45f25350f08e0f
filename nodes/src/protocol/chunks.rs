//! A snapshot on its way from node to node, in pieces. `I` names the snapshot: where in the log it stands.
//!
//! ```text
//!   sender                                  receiver
//!     │ ── piece at offset 0 ────────────────> │ keeps
//!     │ <─ has 256 KiB ─────────────────────── │
//!     │ ── piece at offset 256 KiB ──────────> │ whole
//! ```
//!
//! One piece at a time is on its way, and is sent again when no answer comes.

use std::sync::Arc;

use super::{NodeId, Time};

/// The largest piece of a snapshot in one message.
pub(super) const CHUNK_BYTES: usize = 256 * 1024;
/// The largest snapshot taken from a peer.
const SNAPSHOT_BYTES_MAX: u64 = 1 << 30;
/// A piece is sent again when this many heartbeats brought no answer.
pub(super) const RESEND_IN_HEARTBEATS: u64 = 4;

/// A snapshot on its way to another node.
#[derive(Debug)]
pub(super) struct Sending<I> {
    id: I,
    bytes: Arc<Vec<u8>>,
    offset: u64,
    sent: Time,
}

/// A piece of it.
#[derive(Debug)]
pub(super) struct Piece {
    /// Where in the snapshot it begins.
    pub offset: u64,
    /// How long the whole snapshot is.
    pub total: u64,
    /// Its bytes.
    pub data: Vec<u8>,
}

impl<I: Copy + PartialEq> Sending<I> {
    /// Begins, with the first piece.
    pub fn begin(id: I, bytes: Arc<Vec<u8>>, now: Time) -> Self {
        Self { id, bytes, offset: 0, sent: now }
    }

    /// Which snapshot.
    pub fn id(&self) -> I {
        self.id
    }

    /// The piece that is due.
    pub fn piece(&self) -> Piece {
        let rest = &self.bytes[usize::try_from(self.offset).expect("within the snapshot")..];
        Piece {
            offset: self.offset,
            total: self.bytes.len() as u64,
            data: rest[..rest.len().min(CHUNK_BYTES)].to_vec(),
        }
    }

    /// The receiver has this much of the snapshot. Says whether the next piece is to be sent at once: only progress is answered so,
    /// for a doubled answer must not double the stream. After a step back (the receiver started anew, or this is an old answer) the
    /// next resend goes on from there.
    pub fn received(&mut self, id: I, offset: u64, now: Time) -> bool {
        if id != self.id || offset > self.bytes.len() as u64 {
            return false;
        }
        let is_progress = offset > self.offset;
        self.offset = offset;
        if is_progress {
            self.sent = now;
        }
        is_progress
    }

    /// Whether the piece under way was not answered for so long that it goes out again; then its time begins anew.
    pub fn resend_due(&mut self, patience: u64, now: Time) -> bool {
        let due = now.0 - self.sent.0 >= patience;
        if due {
            self.sent = now;
        }
        due
    }
}

/// A snapshot that is coming in.
#[derive(Debug)]
pub(super) struct Arriving<I> {
    from: NodeId,
    id: I,
    total: u64,
    data: Vec<u8>,
}

impl<I: Copy + PartialEq> Arriving<I> {
    /// Keeps a piece in `slot` if it is the next one of its snapshot, and says how much is here.
    pub fn keep(slot: &mut Option<Self>, from: NodeId, id: I, piece: &Piece) -> u64 {
        if piece.total > SNAPSHOT_BYTES_MAX {
            return 0;
        }
        let is_other = |a: &mut Self| (a.from, a.id, a.total) != (from, id, piece.total);
        if slot.as_mut().is_none_or(is_other) {
            if piece.offset != 0 {
                return 0;
            }
            *slot = Some(Self { from, id, total: piece.total, data: Vec::new() });
        }
        let arriving = slot.as_mut().expect("just made sure");
        let here = arriving.data.len() as u64;
        if piece.offset == here && here + piece.data.len() as u64 <= piece.total {
            arriving.data.extend_from_slice(&piece.data);
        }
        arriving.data.len() as u64
    }

    /// Takes the snapshot out when it is whole.
    pub fn take_complete(slot: &mut Option<Self>) -> Option<(I, Vec<u8>)> {
        slot.take_if(|a| a.data.len() as u64 == a.total).map(|a| (a.id, a.data))
    }
}
