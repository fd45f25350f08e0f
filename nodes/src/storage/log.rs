//! One node's log: opened with recovery, appended to in user space, synced, compacted.

use std::{
    fs::{self, File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    StorageError,
    files::{Directory, Owner, base_name},
    format::{self, SegmentId},
};
use crate::protocol::Stored;

/// A segment that reached this size is followed by a new one.
pub const SEGMENT_BYTES: u64 = 16 << 20;

/// A log that is ready, with what it held.
#[derive(Debug)]
pub struct Opened<R> {
    /// The log.
    pub log: Log,
    /// What it held.
    pub stored: Stored<R>,
    /// How that was found.
    pub recovery: Recovery,
}

/// What recovery met; for the log line at start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The generation in use.
    pub generation: u64,
    /// Bytes of its snapshot.
    pub snapshot_bytes: usize,
    /// Records behind the snapshot, base and segments together.
    pub records: usize,
    /// Segments read.
    pub segments: usize,
    /// Bytes cut from the end, and why they were bad.
    pub cut: Option<(u64, &'static str)>,
    /// How often a torn tail was treated otherwise than is right.
    pub deviations: u64,
}

/// What recovery does with a torn tail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TornTail {
    /// Cuts it: what is right.
    #[default]
    Cut,
    /// Drops all of the segment that it stands in. For mutants.
    DropSegment,
    /// Takes its records for whole as long as they can be decoded: missing bytes as zeros, checksums unseen. For mutants.
    Accept,
}

/// An open log. What is appended stays in `buffer` until [`Log::sync`].
#[derive(Debug)]
pub struct Log {
    directory: Directory,
    segment: SegmentId,
    /// Bytes of the segment that are durable.
    offset: u64,
    /// The segment's file, once it has one.
    file: Option<File>,
    buffer: Vec<u8>,
    segment_bytes: u64,
}

impl Log {
    /// Opens or makes the log in `path`. What it returns is durable.
    ///
    /// # Errors
    /// When the directory is taken, foreign or damaged, or cannot be read.
    pub fn open<R: DeserializeOwned>(path: &Path, owner: &Owner) -> Result<Opened<R>, StorageError> {
        Self::open_with(path, owner, TornTail::default())
    }

    /// The same, for a process in which recovery may be wrong.
    ///
    /// # Errors
    /// As for [`Log::open`].
    pub fn open_with<R: DeserializeOwned>(
        path: &Path,
        owner: &Owner,
        torn: TornTail,
    ) -> Result<Opened<R>, StorageError> {
        let directory = Directory::open(path, owner)?;
        let generation = choose_generation(&directory)?;
        let mut recovery = Recovery { generation, ..Recovery::default() };
        let mut stored = read_base(&directory, generation)?;
        recovery.snapshot_bytes = stored.snapshot.as_ref().map_or(0, Vec::len);

        let segment = SegmentId { generation, number: 0, start: 0 };
        let mut log =
            Self { directory, segment, offset: 0, file: None, buffer: Vec::new(), segment_bytes: SEGMENT_BYTES };
        log.read_segments(&mut stored.records, &mut recovery, torn)?;
        recovery.records = stored.records.len();
        Ok(Opened { log, stored, recovery })
    }

    /// Makes segments smaller, for tests.
    pub fn set_segment_bytes(&mut self, bytes: u64) {
        self.segment_bytes = bytes;
    }

    fn read_segments<R: DeserializeOwned>(
        &mut self,
        records: &mut Vec<R>,
        recovery: &mut Recovery,
        torn: TornTail,
    ) -> Result<(), StorageError> {
        let generation = self.segment.generation;
        let listing = self.directory.list()?;
        let numbers: Vec<u64> = listing.segments.into_iter().filter(|s| s.0 == generation).map(|s| s.1).collect();
        for (place, &number) in numbers.iter().enumerate() {
            let path = self.directory.segment(generation, number);
            if number != place as u64 {
                return Err(StorageError::damaged(self.directory.segment(generation, place as u64), "it is missing"));
            }
            let mut bytes = fs::read(&path).map_err(StorageError::io("read", &path))?;
            self.segment = SegmentId { generation, number, start: self.segment.start + self.offset };
            if torn == TornTail::Accept && place + 1 == numbers.len() {
                recovery.deviations += accept_torn::<R>(&mut bytes, self.segment, &path)?;
            }
            let mut scan = format::scan_segment(&bytes, self.segment).map_err(|e| StorageError::damaged(&path, e))?;
            if let Some(reason) = scan.torn {
                // The next segment is made only when this one is durable.
                if place + 1 < numbers.len() {
                    let detail =
                        format!("bad record at byte {} ({reason}), and a later segment exists", scan.good_bytes);
                    return Err(StorageError::damaged(path, detail));
                }
                if torn == TornTail::DropSegment && scan.good_bytes > 0 {
                    (scan.good_bytes, scan.watermark) = (0, 0);
                    scan.records.clear();
                    recovery.deviations += 1;
                }
                recovery.cut = Some(((bytes.len() - scan.good_bytes) as u64, reason));
            }
            for payload in &scan.records {
                records.push(decode(&bytes[payload.clone()], &path)?);
            }
            self.offset = scan.good_bytes as u64;
        }
        recovery.segments = numbers.len();
        if !numbers.is_empty() {
            self.cut_and_sync()?;
        }
        Ok(())
    }

    /// Cuts the last segment behind its good bytes, and syncs it: what was read may so far be only in the page cache.
    fn cut_and_sync(&mut self) -> Result<(), StorageError> {
        let path = self.directory.segment(self.segment.generation, self.segment.number);
        if self.offset == 0 {
            self.directory.remove(&path)?;
            return self.directory.sync();
        }
        let mut file = OpenOptions::new().write(true).open(&path).map_err(StorageError::io("open", &path))?;
        file.set_len(self.offset).map_err(StorageError::io("cut", &path))?;
        file.sync_all().map_err(StorageError::io("sync", &path))?;
        self.directory.sync()?;
        file.seek(SeekFrom::Start(self.offset)).map_err(StorageError::io("seek in", &path))?;
        self.file = Some(file);
        Ok(())
    }

    /// Adds a record to the buffer. Nothing reaches the kernel.
    ///
    /// # Errors
    /// When the record cannot be stored.
    pub fn append<R: Serialize>(&mut self, record: &R) -> Result<(), StorageError> {
        if self.buffer.is_empty() {
            if self.offset >= self.segment_bytes {
                let SegmentId { generation, number, start } = self.segment;
                self.segment = SegmentId { generation, number: number + 1, start: start + self.offset };
                self.offset = 0;
                self.file = None;
            }
            format::begin_batch(&mut self.buffer, self.segment, self.offset);
        }
        Ok(format::put_record(&mut self.buffer, record)?)
    }

    /// The file that the next sync writes to.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.directory.segment(self.segment.generation, self.segment.number)
    }

    /// Bytes that would be lost now.
    #[must_use]
    pub fn unsynced_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Makes everything appended so far durable.
    ///
    /// # Errors
    /// When a write or a sync fails. The log must not be used after that: what is on the disk is unknown (rule D7).
    pub fn sync(&mut self) -> Result<(), StorageError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let path = self.directory.segment(self.segment.generation, self.segment.number);
        let is_new = self.file.is_none();
        self.write_out(self.buffer.len())?;
        let file = self.file.as_ref().expect("written to just now");
        file.sync_data().map_err(StorageError::io("sync", &path))?;
        if is_new {
            self.directory.sync()?;
        }
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Drops what is not durable, as a kernel drops pages that it could not write. Only for a process that overlooks failures.
    ///
    /// # Errors
    /// When the file cannot be brought back to what is durable.
    pub fn forget_unsynced(&mut self) -> Result<(), StorageError> {
        self.buffer.clear();
        let path = self.path();
        if let Some(file) = &mut self.file {
            file.set_len(self.offset).map_err(StorageError::io("cut", &path))?;
            file.seek(SeekFrom::Start(self.offset)).map_err(StorageError::io("seek in", &path))?;
        }
        Ok(())
    }

    fn write_out(&mut self, bytes: usize) -> Result<(), StorageError> {
        let path = self.directory.segment(self.segment.generation, self.segment.number);
        if self.file.is_none() {
            let file = OpenOptions::new().write(true).create_new(true).open(&path);
            self.file = Some(file.map_err(StorageError::io("create", &path))?);
        }
        let file = self.file.as_mut().expect("made above");
        file.write_all(&self.buffer[..bytes]).map_err(StorageError::io("write", &path))
    }

    /// Replaces everything, buffered records included, by a snapshot and the records behind it. Durable on return.
    ///
    /// # Errors
    /// As for [`Log::sync`].
    pub fn compact<R: Serialize>(&mut self, snapshot: &[u8], records: &[R]) -> Result<(), StorageError> {
        let old = self.segment.generation;
        let generation = old + 1;
        let base = format::encode_base(generation, Some(snapshot), records)?;
        self.directory.write_whole(&base_name(generation), &base)?;
        self.segment = SegmentId { generation, number: 0, start: 0 };
        self.offset = 0;
        self.file = None;
        self.buffer.clear();
        remove_older(&self.directory, generation)
    }

    /// The power fails: a prefix of the unsynced bytes, chosen by `seed`, reaches the file, and nothing more.
    ///
    /// Returns how many bytes were unsynced and how many of them survive.
    ///
    /// # Errors
    /// When the prefix cannot be written.
    pub fn lose_power(self, seed: u64) -> Result<(usize, usize), StorageError> {
        let survive = self.power_loss_random(seed).random_range(0..=self.buffer.len());
        self.lose_all_but(survive)
    }

    /// The power fails, and tears a record: the prefix that survives, chosen by `seed`, ends inside one.
    ///
    /// Returns the same as [`Log::lose_power`]; both numbers are zero when nothing was unsynced.
    ///
    /// # Errors
    /// As for [`Log::lose_power`].
    pub fn lose_power_torn(self, seed: u64) -> Result<(usize, usize), StorageError> {
        let records = format::batch_records(&self.buffer);
        let mut random = self.power_loss_random(seed);
        let survive = match records.len() {
            0 => 0,
            count => {
                let record = records[random.random_range(0..count)].clone();
                random.random_range(record.start + 1..record.end)
            }
        };
        self.lose_all_but(survive)
    }

    /// Another one at each place in the log.
    fn power_loss_random(&self, seed: u64) -> Pcg64Mcg {
        Pcg64Mcg::seed_from_u64(seed.wrapping_add(self.segment.start + self.offset))
    }

    fn lose_all_but(mut self, survive: usize) -> Result<(usize, usize), StorageError> {
        let unsynced = self.buffer.len();
        if survive > 0 {
            self.write_out(survive)?;
        }
        Ok((unsynced, survive))
    }
}

/// The newest generation; what is older or unfinished is removed.
fn choose_generation(directory: &Directory) -> Result<u64, StorageError> {
    let listing = directory.list()?;
    for tmp in &listing.tmp {
        directory.remove(tmp)?;
    }
    let newest_base = listing.bases.last().copied();
    let newest_segment = listing.segments.last().map_or(0, |s| s.0);
    match newest_base {
        Some(generation) if generation >= newest_segment => {
            // It may have been renamed into place by a process that ended before it could sync: first make sure that it stays.
            directory.sync()?;
            remove_older(directory, generation)?;
            Ok(generation)
        }
        _ => Err(StorageError::damaged(directory.base(newest_segment), "it is missing")),
    }
}

fn remove_older(directory: &Directory, generation: u64) -> Result<(), StorageError> {
    let listing = directory.list()?;
    for &base in listing.bases.iter().filter(|&&g| g < generation) {
        directory.remove(&directory.base(base))?;
    }
    for &(g, number) in listing.segments.iter().filter(|s| s.0 < generation) {
        directory.remove(&directory.segment(g, number))?;
    }
    Ok(())
}

fn read_base<R: DeserializeOwned>(directory: &Directory, generation: u64) -> Result<Stored<R>, StorageError> {
    let path = directory.base(generation);
    let bytes = fs::read(&path).map_err(StorageError::io("read", &path))?;
    let base = format::scan_base(&bytes, generation).map_err(|e| StorageError::damaged(&path, e))?;
    let records =
        base.records.iter().map(|payload| decode(&bytes[payload.clone()], &path)).collect::<Result<_, _>>()?;
    Ok(Stored { snapshot: base.snapshot.map(|range| bytes[range].to_vec()), records })
}

/// Makes whole what is torn at the end of this segment, in `bytes` and in the file, as far as it can be decoded; says how many records.
fn accept_torn<R: DeserializeOwned>(bytes: &mut Vec<u8>, segment: SegmentId, path: &Path) -> Result<u64, StorageError> {
    let mut accepted = 0;
    // Each turn makes one more record good.
    while let Ok(format::Scan { torn: Some(_), good_bytes, .. }) = format::scan_segment(bytes, segment)
        && let Some((record, next)) = format::completed(bytes, good_bytes, used::<R>)
    {
        bytes.splice(good_bytes..next, record);
        accepted += 1;
    }
    if accepted > 0 {
        fs::write(path, &*bytes).map_err(StorageError::io("rewrite", path))?;
    }
    Ok(accepted)
}

/// How many bytes of a payload its record takes, if it can be decoded.
fn used<R: DeserializeOwned>(payload: &[u8]) -> Option<usize> {
    postcard::take_from_bytes::<R>(payload).ok().map(|(_, rest)| payload.len() - rest.len())
}

fn decode<R: DeserializeOwned>(payload: &[u8], path: &Path) -> Result<R, StorageError> {
    let bad = |detail: String| StorageError::damaged(path, format!("a record of {} bytes {detail}", payload.len()));
    match postcard::take_from_bytes(payload) {
        Ok((record, [])) => Ok(record),
        Ok((_, rest)) => Err(bad(format!("decodes with {} bytes left over", rest.len()))),
        Err(error) => Err(bad(format!("does not decode: {error}"))),
    }
}
