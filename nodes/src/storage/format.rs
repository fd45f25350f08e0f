//! What the bytes of the log mean: encoding and scanning, without any I/O.
//!
//! ```text
//!   segment   magic  batch  batch  batch …          a batch is what one sync made durable, and never spans segments
//!   batch     mark  record  record …                the mark says where it stands: all before it was durable when it was written
//!   record    len u32 | crc32c u32 | kind u8 | payload          len counts kind and payload; crc covers len, kind and payload
//!   base      magic  [snapshot]  record …  end                  one file, written whole
//! ```
//!
//! Integers are little-endian. A crash can leave any part of the last batch bad, and good records may follow bad ones in
//! it. So the log is cut at the first bad record, but only if no mark stands behind it: a mark behind a bad record proves
//! that the record was durable once, and then it is damage, which must not pass as a torn tail.

use std::ops::Range;

use serde::Serialize;

/// The first bytes of a segment; the last of them is the format's version.
pub const SEGMENT_MAGIC: [u8; 8] = *b"TLWAL\0\0\x01";
/// The first bytes of a base file; the last of them is the format's version.
pub const BASE_MAGIC: [u8; 8] = *b"TLBASE\0\x01";
/// Bytes before the payload of a record: length, checksum, kind.
pub const RECORD_HEADER_BYTES: usize = 9;
/// The largest kind + payload of one record (a snapshot is one).
pub const RECORD_BYTES_MAX: usize = 1 << 30;

/// No torn record larger than this is completed.
const COMPLETED_BYTES_MAX: usize = 1 << 20;

const KIND_RECORD: u8 = 0;
const KIND_MARK: u8 = 1;
const KIND_SNAPSHOT: u8 = 2;
const KIND_END: u8 = 3;
const MISPLACED: &str = "a mark of another place: what stood before it is missing";
const MARK_PAYLOAD_BYTES: usize = 32;
const MARK_BYTES: usize = RECORD_HEADER_BYTES + MARK_PAYLOAD_BYTES;
const END_PAYLOAD_BYTES: usize = 16;

/// A value that cannot become a record.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The serializer refused it.
    #[error("a record does not encode: {0}")]
    Postcard(#[from] postcard::Error),
    /// It is too large.
    #[error("a record of {bytes} bytes is larger than the {RECORD_BYTES_MAX} that the log holds")]
    TooLarge {
        /// Kind and payload.
        bytes: usize,
    },
}

/// Names a segment, and says how many bytes of its generation stand in the segments before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentId {
    /// The generation: one more with each compaction.
    pub generation: u64,
    /// 0, 1, 2, … within the generation.
    pub number: u64,
    /// Bytes in the segments before this one.
    pub start: u64,
}

/// Begins a batch at byte `offset` of a segment: the magic if the segment is new, then the mark.
pub fn begin_batch(buffer: &mut Vec<u8>, segment: SegmentId, mut offset: u64) {
    if offset == 0 {
        buffer.extend_from_slice(&SEGMENT_MAGIC);
        offset = SEGMENT_MAGIC.len() as u64;
    }
    let mut payload = [0; MARK_PAYLOAD_BYTES];
    for (place, number) in [segment.generation, segment.number, segment.start, offset].into_iter().enumerate() {
        payload[place * 8..place * 8 + 8].copy_from_slice(&number.to_le_bytes());
    }
    let at = open_record(buffer, KIND_MARK);
    buffer.extend_from_slice(&payload);
    close_record(buffer, at).expect("a mark is small");
}

/// Appends one record.
///
/// # Errors
/// When the value does not serialize or is too large; the buffer is then as before.
pub fn put_record<R: Serialize>(buffer: &mut Vec<u8>, record: &R) -> Result<(), EncodeError> {
    let at = open_record(buffer, KIND_RECORD);
    // A failed value must not take the earlier records with it, so the buffer is borrowed.
    match postcard::serialize_with_flavor(record, Appender(buffer)) {
        Ok(()) => close_record(buffer, at),
        Err(error) => {
            buffer.truncate(at);
            Err(error.into())
        }
    }
}

/// Where the records of an unsynced batch lie in its buffer, headers included and the mark left out.
///
/// # Panics
/// When the bytes were not made by [`begin_batch`] and [`put_record`].
#[must_use]
pub fn batch_records(buffer: &[u8]) -> Vec<Range<usize>> {
    let mut at = if buffer.starts_with(&SEGMENT_MAGIC) { SEGMENT_MAGIC.len() } else { 0 };
    let mut records = Vec::new();
    while at < buffer.len() {
        let record = record_at(buffer, at).expect("a whole record was put here");
        if record.kind == KIND_RECORD {
            records.push(at..record.payload.end);
        }
        at = record.payload.end;
    }
    records
}

/// A whole base file.
///
/// # Errors
/// When the snapshot is too large, or a record does not encode.
pub fn encode_base<R: Serialize>(
    generation: u64,
    snapshot: Option<&[u8]>,
    records: &[R],
) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::with_capacity(snapshot.map_or(0, <[u8]>::len) + 64 * records.len() + 64);
    bytes.extend_from_slice(&BASE_MAGIC);
    if let Some(snapshot) = snapshot {
        let at = open_record(&mut bytes, KIND_SNAPSHOT);
        bytes.extend_from_slice(snapshot);
        close_record(&mut bytes, at)?;
    }
    for record in records {
        put_record(&mut bytes, record)?;
    }
    let at = open_record(&mut bytes, KIND_END);
    bytes.extend_from_slice(&generation.to_le_bytes());
    bytes.extend_from_slice(&(records.len() as u64).to_le_bytes());
    close_record(&mut bytes, at)?;
    Ok(bytes)
}

/// What a segment holds, up to its first bad record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// Where the payloads of the good records lie.
    pub records: Vec<Range<usize>>,
    /// Bytes from the start that are good; the rest is to be cut.
    pub good_bytes: usize,
    /// Everything before this byte was durable when the last batch was written.
    pub watermark: usize,
    /// Why the rest is bad, if there is a rest.
    pub torn: Option<&'static str>,
}

/// A bad record at a place that was durable once: no crash explains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad record at byte {at} ({reason}), although everything before byte {watermark} was durable")]
pub struct Damage {
    /// The first bad byte.
    pub at: usize,
    /// What is bad there.
    pub reason: &'static str,
    /// What was durable.
    pub watermark: usize,
}

/// Reads a segment.
///
/// # Errors
/// When a bad record stands before a mark.
pub fn scan_segment(bytes: &[u8], segment: SegmentId) -> Result<Scan, Damage> {
    let mut scan = Scan { records: Vec::new(), good_bytes: 0, watermark: 0, torn: None };
    scan.torn = scan_good(bytes, segment, &mut scan.records, &mut scan.good_bytes, &mut scan.watermark);
    if scan.torn == Some(MISPLACED) {
        // No crash moves a whole mark: bytes before it are gone, here or in an earlier segment.
        return Err(Damage { at: scan.good_bytes, reason: MISPLACED, watermark: scan.good_bytes });
    }
    if let Some(reason) = scan.torn
        && let Some(watermark) = last_mark(bytes, segment, scan.good_bytes)
        && watermark > scan.good_bytes
    {
        return Err(Damage { at: scan.good_bytes, reason, watermark });
    }
    Ok(scan)
}

/// Reads until the end or the first bad record; says what is bad.
fn scan_good(
    bytes: &[u8],
    segment: SegmentId,
    records: &mut Vec<Range<usize>>,
    good_bytes: &mut usize,
    watermark: &mut usize,
) -> Option<&'static str> {
    if !bytes.starts_with(&SEGMENT_MAGIC) {
        return Some("no segment begins like this");
    }
    let mut at = SEGMENT_MAGIC.len();
    // A segment without its first mark is not begun: the two are written at once.
    while at < bytes.len() || at == SEGMENT_MAGIC.len() {
        let record = match record_at(bytes, at) {
            Ok(record) => record,
            Err(reason) => return Some(reason),
        };
        match record.kind {
            KIND_MARK if is_mark(&bytes[record.payload.clone()], segment, at) => *watermark = mark_proves(at),
            KIND_MARK => return Some(MISPLACED),
            KIND_RECORD if at > SEGMENT_MAGIC.len() => records.push(record.payload.clone()),
            _ => return Some("a record of an unexpected kind"),
        }
        at = record.payload.end;
        *good_bytes = at;
    }
    None
}

/// What the last valid mark behind `from` proves durable. Lengths cannot be trusted there, so every byte is tried.
fn last_mark(bytes: &[u8], segment: SegmentId, from: usize) -> Option<usize> {
    (from..bytes.len().saturating_sub(MARK_BYTES - 1)).rev().find_map(|at| {
        let record = record_at(bytes, at).ok()?;
        let is_mark = record.kind == KIND_MARK && is_mark(&bytes[record.payload], segment, at);
        is_mark.then(|| mark_proves(at))
    })
}

/// Whether any batch of this segment was begun, however damaged it is.
#[must_use]
pub fn has_mark(bytes: &[u8], segment: SegmentId) -> bool {
    last_mark(bytes, segment, 0).is_some()
}

/// A mark proves what stands before it; but the magic is written together with the first mark.
fn mark_proves(at: usize) -> usize {
    if at == SEGMENT_MAGIC.len() { 0 } else { at }
}

fn is_mark(payload: &[u8], segment: SegmentId, at: usize) -> bool {
    let wanted = [segment.generation, segment.number, segment.start, at as u64];
    payload.len() == MARK_PAYLOAD_BYTES
        && payload.chunks_exact(8).zip(wanted).all(|(word, want)| word == want.to_le_bytes())
}

/// What a base file holds: where its snapshot and its records lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base {
    /// The snapshot.
    pub snapshot: Option<Range<usize>>,
    /// The records behind it.
    pub records: Vec<Range<usize>>,
}

/// Reads a base file. It was renamed into place only when it was durable, so whatever is bad in it is damage.
///
/// # Errors
/// The first thing that is bad.
pub fn scan_base(bytes: &[u8], generation: u64) -> Result<Base, Damage> {
    let mut base = Base::default();
    let mut at = BASE_MAGIC.len();
    let bad = |at, reason| Err(Damage { at, reason, watermark: bytes.len() });
    if !bytes.starts_with(&BASE_MAGIC) {
        return bad(0, "no base file begins like this");
    }
    loop {
        let record = match record_at(bytes, at) {
            Ok(record) => record,
            Err(reason) => return bad(at, reason),
        };
        let payload = record.payload.clone();
        match record.kind {
            KIND_SNAPSHOT if at == BASE_MAGIC.len() => base.snapshot = Some(payload.clone()),
            KIND_RECORD => base.records.push(payload.clone()),
            KIND_END
                if is_end(&bytes[payload.clone()], generation, base.records.len()) && payload.end == bytes.len() =>
            {
                return Ok(base);
            }
            KIND_END => return bad(at, "the end does not fit what stands before it"),
            _ => return bad(at, "a record of an unexpected kind"),
        }
        at = payload.end;
    }
}

fn is_end(payload: &[u8], generation: u64, records: usize) -> bool {
    payload.len() == END_PAYLOAD_BYTES
        && payload[..8] == generation.to_le_bytes()
        && payload[8..] == (records as u64).to_le_bytes()
}

/// The bad record at `at` as it would be if nothing were wrong with it, its missing bytes zeros, and where the next one begins; of its
/// payload only so many bytes as a reader that minds nothing makes `used` of. None if too little of it is there, if it is no plain record,
/// or if it cannot be read. For mutants that check no checksum.
pub fn completed(bytes: &[u8], at: usize, used: impl Fn(&[u8]) -> Option<usize>) -> Option<(Vec<u8>, usize)> {
    let rest = bytes.get(at..).filter(|rest| rest.len() > RECORD_HEADER_BYTES && rest[8] == KIND_RECORD)?;
    let len = u32::from_le_bytes(rest[..4].try_into().expect("four bytes")) as usize;
    if len == 0 || len > COMPLETED_BYTES_MAX {
        return None;
    }
    let present = rest.len().min(8 + len);
    let mut record = rest[..present].to_vec();
    record.resize(8 + len, 0);
    let used = RECORD_HEADER_BYTES + used(&record[RECORD_HEADER_BYTES..])?;
    record.truncate(used);
    let len = u32::try_from(used - 8).expect("no more than the record had");
    record[..4].copy_from_slice(&len.to_le_bytes());
    let crc = checksum(&record[..4], &record[8..]).to_le_bytes();
    record[4..8].copy_from_slice(&crc);
    Some((record, at + present))
}

struct RawRecord {
    kind: u8,
    payload: Range<usize>,
}

fn record_at(bytes: &[u8], at: usize) -> Result<RawRecord, &'static str> {
    let rest = &bytes[at..];
    if rest.len() < RECORD_HEADER_BYTES {
        return Err("the file ends within a record's header");
    }
    let len = u32::from_le_bytes(rest[..4].try_into().expect("four bytes")) as usize;
    if len == 0 || len > RECORD_BYTES_MAX {
        return Err("impossible length");
    }
    if rest.len() - 8 < len {
        return Err("the file ends within a record");
    }
    let crc = u32::from_le_bytes(rest[4..8].try_into().expect("four bytes"));
    if checksum(&rest[..4], &rest[8..8 + len]) != crc {
        return Err("checksum differs");
    }
    Ok(RawRecord { kind: rest[8], payload: at + RECORD_HEADER_BYTES..at + 8 + len })
}

/// The length is covered too: else eight zero bytes would be a record.
fn checksum(len: &[u8], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(len), body)
}

fn open_record(buffer: &mut Vec<u8>, kind: u8) -> usize {
    let at = buffer.len();
    buffer.extend_from_slice(&[0; 8]);
    buffer.push(kind);
    at
}

fn close_record(buffer: &mut Vec<u8>, at: usize) -> Result<(), EncodeError> {
    let bytes = buffer.len() - at - 8;
    if bytes > RECORD_BYTES_MAX {
        buffer.truncate(at);
        return Err(EncodeError::TooLarge { bytes });
    }
    let len = u32::try_from(bytes).expect("bounded above").to_le_bytes();
    let crc = checksum(&len, &buffer[at + 8..]).to_le_bytes();
    buffer[at..at + 4].copy_from_slice(&len);
    buffer[at + 4..at + 8].copy_from_slice(&crc);
    Ok(())
}

/// Serializes to the end of a borrowed buffer.
struct Appender<'a>(&'a mut Vec<u8>);

impl postcard::ser_flavors::Flavor for Appender<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
