//! The write-ahead log, cut and damaged at every byte, and crashed at every point of a compaction.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nodes::storage::{
    Log, Opened, StorageError, TornTail,
    files::{Owner, base_name, segment_name},
    format::{self, Scan, SegmentId},
};
use proptest::{prelude::*, test_runner::Config};
use tempfile::TempDir;

const FIRST: SegmentId = SegmentId { generation: 0, number: 0, start: 0 };

fn owner() -> Owner {
    Owner { cluster: "test".to_owned(), node: 1 }
}

fn open(path: &Path) -> Result<Opened<String>, StorageError> {
    Log::open(path, &owner())
}

fn record(number: usize) -> String {
    format!("record {number} {}", "x".repeat(number * 7 % 23))
}

/// A segment of several batches, and for each batch: where it begins, and how many records stand before it.
fn segment(batches: &[usize]) -> (Vec<u8>, Vec<(usize, usize)>) {
    let (mut bytes, mut begins, mut count) = (Vec::new(), Vec::new(), 0);
    for &records in batches {
        begins.push((bytes.len(), count));
        let at = bytes.len() as u64;
        format::begin_batch(&mut bytes, FIRST, at);
        for _ in 0..records {
            format::put_record(&mut bytes, &record(count)).unwrap();
            count += 1;
        }
    }
    (bytes, begins)
}

fn texts(bytes: &[u8], scan: &Scan) -> Vec<String> {
    scan.records.iter().map(|range| postcard::from_bytes(&bytes[range.clone()]).unwrap()).collect()
}

fn assert_prefix(found: &[String], at_least: usize) {
    assert!(found.len() >= at_least, "{} records, but {at_least} were durable", found.len());
    for (number, text) in found.iter().enumerate() {
        assert_eq!(*text, record(number));
    }
}

#[test]
fn cut_at_every_byte() {
    let (bytes, begins) = segment(&[1, 3, 2, 5]);
    for len in 0..=bytes.len() {
        let cut = &bytes[..len];
        let scan = format::scan_segment(cut, FIRST).expect("a cut is no damage");
        // Everything before the last batch whose mark is whole was durable.
        let durable = begins.iter().rev().find(|begin| begin.0 <= scan.watermark).map_or(0, |begin| begin.1);
        assert_prefix(&texts(cut, &scan), durable);
        assert!(scan.watermark <= scan.good_bytes && scan.good_bytes <= len);
        assert_eq!(scan.torn.is_none(), scan.good_bytes == len && len > 0, "cut at {len}");
    }
}

#[test]
fn the_whole_log_survives_whole() {
    let (bytes, begins) = segment(&[1, 3, 2, 5]);
    let scan = format::scan_segment(&bytes, FIRST).unwrap();
    assert_eq!((scan.torn, scan.good_bytes, scan.watermark), (None, bytes.len(), begins[3].0));
    assert_eq!(scan.records.len(), 11);
}

#[test]
fn flip_every_byte() {
    let (bytes, begins) = segment(&[2, 3, 2]);
    let (last_begin, durable) = *begins.last().unwrap();
    for at in 0..bytes.len() {
        for mask in [0x01, 0x80, 0xff] {
            let mut bad = bytes.clone();
            bad[at] ^= mask;
            match format::scan_segment(&bad, FIRST) {
                Err(damage) => assert!(at < last_begin && damage.at <= at && damage.watermark == last_begin),
                Ok(scan) => {
                    assert!(at >= last_begin, "damage at {at}, below the watermark {last_begin}, went unnoticed");
                    assert_prefix(&texts(&bad, &scan), durable);
                    assert!(scan.good_bytes <= at, "the flipped byte {at} counts as good");
                }
            }
        }
    }
}

#[test]
fn good_records_behind_a_bad_one_in_the_last_batch_are_cut() {
    let (mut bytes, begins) = segment(&[2, 6]);
    let middle = begins[1].0 + 60;
    bytes[middle] ^= 0x40;
    let scan = format::scan_segment(&bytes, FIRST).unwrap();
    let found = texts(&bytes, &scan);
    assert_prefix(&found, 2);
    assert!(found.len() < 8 && scan.torn.is_some());
}

#[test]
fn leftovers_behind_the_end_are_cut() {
    for junk in [&[0_u8; 100][..], &[0xff; 41], b"garbage"] {
        let (mut bytes, _) = segment(&[2, 2]);
        let len = bytes.len();
        bytes.extend_from_slice(junk);
        let scan = format::scan_segment(&bytes, FIRST).unwrap();
        assert_eq!((scan.good_bytes, scan.records.len()), (len, 4));
    }
}

#[test]
fn a_segment_of_another_place_is_not_taken() {
    let (bytes, _) = segment(&[2]);
    for other in
        [SegmentId { generation: 1, ..FIRST }, SegmentId { number: 1, ..FIRST }, SegmentId { start: 5, ..FIRST }]
    {
        assert!(format::scan_segment(&bytes, other).is_err(), "{other:?}");
    }
}

#[test]
fn flip_or_cut_every_byte_of_a_base_file() {
    let bytes = format::encode_base(3, Some(b"snapshot"), &[record(0), record(1)]).unwrap();
    let base = format::scan_base(&bytes, 3).unwrap();
    assert_eq!((&bytes[base.snapshot.unwrap()], base.records.len()), (&b"snapshot"[..], 2));
    for at in 0..bytes.len() {
        assert!(format::scan_base(&bytes[..at], 3).is_err(), "cut at {at}");
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        assert!(format::scan_base(&bad, 3).is_err(), "flipped at {at}");
    }
    assert!(format::scan_base(&bytes, 4).is_err(), "a base of another generation");
}

/// Appends and syncs batches of records; segments are as small as can be.
fn fill(path: &Path, batches: &[usize]) -> usize {
    let Opened { mut log, stored, .. } = open(path).unwrap();
    log.set_segment_bytes(1);
    let mut count = stored.records.len();
    for &records in batches {
        for _ in 0..records {
            log.append(&record(count)).unwrap();
            count += 1;
        }
        log.sync().unwrap();
    }
    count
}

fn files(path: &Path) -> Vec<String> {
    let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name != "LOCK").collect();
    names.sort();
    names
}

#[test]
fn the_last_segment_cut_at_every_byte_is_recovered_and_goes_on() {
    let source = TempDir::new().unwrap();
    fill(source.path(), &[2, 3]);
    let last = segment_name(0, 1);
    let len = fs::metadata(source.path().join(&last)).unwrap().len();
    for cut in 0..=len {
        let dir = copy(source.path());
        fs::File::options().write(true).open(dir.path().join(&last)).unwrap().set_len(cut).unwrap();
        let Opened { mut log, stored, recovery } = open(dir.path()).unwrap();
        assert_prefix(&stored.records, 2);
        assert_eq!(recovery.cut.is_some(), stored.records.len() < 5 && !is_record_end(dir.path(), cut) || cut == 0);
        log.append(&record(stored.records.len())).unwrap();
        log.sync().unwrap();
        drop(log);
        let again = open(dir.path()).unwrap();
        assert_prefix(&again.stored.records, stored.records.len() + 1);
        assert_eq!(again.recovery.cut, None);
    }
}

/// Whether recovery kept the whole file.
fn is_record_end(path: &Path, cut: u64) -> bool {
    fs::metadata(path.join(segment_name(0, 1))).is_ok_and(|file| file.len() == cut)
}

fn copy(from: &Path) -> TempDir {
    let to = TempDir::new().unwrap();
    for name in files(from) {
        fs::copy(from.join(&name), to.path().join(&name)).unwrap();
    }
    to
}

fn assert_damaged(path: &Path, file: &str) {
    match open(path) {
        Err(StorageError::Damaged { path, .. }) => assert_eq!(path.file_name().unwrap(), file),
        other => panic!("damage of {file} was met with {other:?}"),
    }
}

#[test]
fn damage_refuses_to_start() {
    let source = TempDir::new().unwrap();
    fill(source.path(), &[2, 3, 1]);
    assert_eq!(files(source.path()), ["base-0", "meta", "wal-0-0", "wal-0-1", "wal-0-2"]);

    // An earlier segment that is cut, altered or gone.
    for number in 0..2 {
        let name = segment_name(0, number);
        let len = fs::metadata(source.path().join(&name)).unwrap().len();
        for cut in 0..len {
            let dir = copy(source.path());
            fs::File::options().write(true).open(dir.path().join(&name)).unwrap().set_len(cut).unwrap();
            assert!(matches!(open(dir.path()), Err(StorageError::Damaged { .. })), "{name} cut at {cut}");
        }
        let dir = copy(source.path());
        fs::remove_file(dir.path().join(&name)).unwrap();
        assert_damaged(dir.path(), &name);
    }
    for gone in ["base-0", "meta"] {
        let dir = copy(source.path());
        fs::remove_file(dir.path().join(gone)).unwrap();
        assert_damaged(dir.path(), gone);
    }
}

#[test]
fn a_base_that_is_gone_is_missed_even_without_segments() {
    let dir = TempDir::new().unwrap();
    fill(dir.path(), &[]);
    fs::remove_file(dir.path().join("base-0")).unwrap();
    assert_damaged(dir.path(), "base-0");
}

#[test]
fn a_record_of_another_type_refuses_to_start() {
    let dir = TempDir::new().unwrap();
    let Opened { mut log, .. } = Log::open::<(u8, u8)>(dir.path(), &owner()).unwrap();
    log.append(&(200_u8, 1_u8)).unwrap();
    log.sync().unwrap();
    drop(log);
    assert_damaged(dir.path(), "wal-0-0");
}

#[test]
fn what_was_not_synced_is_lost() {
    let dir = TempDir::new().unwrap();
    let Opened { mut log, .. } = open(dir.path()).unwrap();
    log.append(&record(0)).unwrap();
    log.sync().unwrap();
    log.append(&record(1)).unwrap();
    assert!(log.unsynced_bytes() > 0);
    drop(log);
    let stored = open(dir.path()).unwrap().stored;
    assert_eq!(stored.records, [record(0)]);
}

#[test]
fn a_power_loss_keeps_a_prefix_and_seeds_differ() {
    let mut kept = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let dir = TempDir::new().unwrap();
        let Opened { mut log, .. } = open(dir.path()).unwrap();
        log.append(&record(0)).unwrap();
        log.sync().unwrap();
        for number in 1..8 {
            log.append(&record(number)).unwrap();
        }
        let (unsynced, survive) = log.lose_power(seed).unwrap();
        assert!(survive <= unsynced);
        let stored = open(dir.path()).unwrap().stored;
        assert_prefix(&stored.records, 1);
        kept.insert(stored.records.len());
    }
    assert!(kept.len() > 3, "{kept:?}");
}

/// What a recovery of this kind makes of a log whose record 0 was durable when the power failed amid the next three; with what it left
/// on the disk.
fn after_power_loss(seed: u64, torn: TornTail) -> (Vec<String>, u64) {
    let dir = TempDir::new().unwrap();
    let Opened { mut log, .. } = open(dir.path()).unwrap();
    log.append(&record(0)).unwrap();
    log.sync().unwrap();
    for number in 1..4 {
        log.append(&record(number)).unwrap();
    }
    log.lose_power(seed).unwrap();
    let Opened { mut log, stored, recovery } = Log::open_with::<String>(dir.path(), &owner(), torn).unwrap();
    log.append(&record(9)).unwrap();
    log.sync().unwrap();
    drop(log);
    let later = open(dir.path()).unwrap();
    let (last, before) = later.stored.records.split_last().unwrap();
    assert_eq!(
        (before, last),
        (&stored.records[..], &record(9)),
        "what was recovered stays, and the log goes on behind it"
    );
    (stored.records, recovery.deviations)
}

/// `raft-wal-tail-drop`: the durable record goes with the torn ones, exactly where something is torn.
#[test]
fn a_recovery_that_drops_the_segment_loses_what_was_durable() {
    let (mut fired, mut quiet) = (0, 0);
    for seed in 0..40 {
        let (right, none) = after_power_loss(seed, TornTail::Cut);
        let (wrong, deviations) = after_power_loss(seed, TornTail::DropSegment);
        assert_eq!(none, 0);
        assert_prefix(&right, 1);
        if deviations > 0 {
            assert!(wrong.is_empty(), "{wrong:?}");
            fired += 1;
        } else {
            assert_eq!(wrong, right);
            quiet += 1;
        }
    }
    assert!(fired > 10 && quiet > 0, "{fired} fired, {quiet} did not");
}

/// `raft-wal-no-crc`: a torn record counts, with zeros in it that nobody wrote.
#[test]
fn a_recovery_without_checksums_takes_torn_records() {
    let mut fired = 0;
    for seed in 0..40 {
        let (right, _) = after_power_loss(seed, TornTail::Cut);
        let (wrong, deviations) = after_power_loss(seed, TornTail::Accept);
        assert!(deviations <= 1, "only one record is torn");
        assert_eq!(wrong[..right.len()], right);
        assert_eq!((wrong.len() - right.len()) as u64, deviations);
        if deviations > 0 {
            let garbled = wrong.last().unwrap();
            assert_ne!(*garbled, record(wrong.len() - 1));
            assert!(garbled.ends_with('\0'), "{garbled:?}");
            fired += 1;
        }
    }
    assert!(fired > 10, "{fired} fired");
}

#[test]
fn a_torn_power_loss_always_tears_a_record() {
    let mut kept = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let dir = TempDir::new().unwrap();
        let Opened { mut log, .. } = open(dir.path()).unwrap();
        // Every second time the batch begins its segment.
        let synced = seed as usize % 2;
        if synced == 1 {
            log.append(&record(0)).unwrap();
            log.sync().unwrap();
        }
        for number in synced..8 {
            log.append(&record(number)).unwrap();
        }
        let (unsynced, survive) = log.lose_power_torn(seed).unwrap();
        assert!(0 < survive && survive < unsynced);
        let Opened { stored, recovery, .. } = open(dir.path()).unwrap();
        assert!(recovery.cut.is_some(), "seed {seed} tore nothing");
        assert_prefix(&stored.records, synced);
        assert!(stored.records.len() < 8);
        kept.insert(stored.records.len());
    }
    assert!(kept.len() > 3, "{kept:?}");

    let dir = TempDir::new().unwrap();
    let Opened { mut log, .. } = open(dir.path()).unwrap();
    log.append(&record(0)).unwrap();
    log.sync().unwrap();
    assert_eq!(log.lose_power_torn(1).unwrap(), (0, 0), "what is synced stays whole");
}

#[test]
fn a_directory_serves_one_process_and_one_node() {
    let dir = TempDir::new().unwrap();
    let first = open(dir.path()).unwrap();
    assert!(matches!(open(dir.path()), Err(StorageError::Locked { .. })));
    drop(first);
    for other in [Owner { node: 2, ..owner() }, Owner { cluster: "other".to_owned(), ..owner() }] {
        let error = Log::open::<String>(dir.path(), &other).unwrap_err();
        assert!(matches!(error, StorageError::OtherOwner { .. }), "{error}");
    }
    fs::write(dir.path().join("meta"), br#"{"format":2,"who":"later"}"#).unwrap();
    assert!(matches!(open(dir.path()), Err(StorageError::NewerFormat { found: 2, .. })));
}

/// That they are synced too cannot be seen from here.
#[test]
fn directories_above_are_made() {
    let dir = TempDir::new().unwrap();
    let deep = dir.path().join("a/b/c");
    assert!(open(&deep).unwrap().stored.records.is_empty());
    assert_eq!(files(&deep), ["base-0", "meta"]);
}

/// Every state that a crash during compaction can leave: the old state, or the new one, and nothing else.
#[test]
fn crash_at_every_point_of_a_compaction() {
    let before = TempDir::new().unwrap();
    fill(before.path(), &[2, 3]);
    let after = copy(before.path());
    let mut log = open(after.path()).unwrap().log;
    log.compact(b"snapshot", &["kept".to_owned()]).unwrap();
    log.append(&"later".to_owned()).unwrap();
    log.sync().unwrap();
    drop(log);
    assert_eq!(files(after.path()), ["base-1", "meta", "wal-1-0"]);
    let base = fs::read(after.path().join("base-1")).unwrap();

    // The tmp file is written, to any length; it is not renamed yet.
    for len in 0..=base.len() {
        let dir = copy(before.path());
        fs::write(dir.path().join("base-1.tmp"), &base[..len]).unwrap();
        let stored = open(dir.path()).unwrap().stored;
        assert_eq!((stored.snapshot, stored.records.len()), (None, 5));
        assert!(!dir.path().join("base-1.tmp").exists());
    }
    // It is renamed; old files are removed one after the other, in any order; the new segment is there or not.
    let old: Vec<String> = files(before.path()).into_iter().filter(|name| name != "meta").collect();
    for subset in 0..1_u32 << old.len() {
        for new_segment in [false, true] {
            let dir = copy(after.path());
            if !new_segment {
                fs::remove_file(dir.path().join("wal-1-0")).unwrap();
            }
            for (bit, name) in old.iter().enumerate().filter(|(bit, _)| subset >> bit & 1 == 1) {
                let _bit = bit;
                fs::copy(before.path().join(name), dir.path().join(name)).unwrap();
            }
            let stored = open(dir.path()).unwrap().stored;
            assert_eq!(stored.snapshot.as_deref(), Some(&b"snapshot"[..]));
            assert_eq!(stored.records, if new_segment { vec!["kept", "later"] } else { vec!["kept"] });
            assert!(files(dir.path()).iter().all(|name| name == "meta" || name.contains("-1")));
        }
    }
    // A newest base that is bad is damage: it was durable before the old files could go.
    let dir = copy(before.path());
    fs::write(dir.path().join(base_name(1)), &base[..base.len() - 1]).unwrap();
    assert_damaged(dir.path(), "base-1");
}

#[derive(Clone, Debug)]
enum Step {
    Append(u8),
    Sync,
    Compact,
    Kill,
    PowerLoss(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..40_u8).prop_map(Step::Append),
        3 => Just(Step::Sync),
        1 => Just(Step::Compact),
        1 => Just(Step::Kill),
        1 => any::<u64>().prop_map(Step::PowerLoss),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    #![proptest_config(Config { cases: 48, failure_persistence: None, ..Config::default() })]

    /// Against a model in which each record is either durable or not.
    #[test]
    fn recovery_returns_what_was_durable(steps in steps()) {
        let dir = TempDir::new().unwrap();
        let path: PathBuf = dir.path().to_owned();
        let mut log = Some(open(&path).unwrap().log);
        let (mut all, mut durable): (Vec<String>, usize) = (Vec::new(), 0);
        let mut snapshot: Option<Vec<u8>> = None;
        for step in steps.into_iter().chain([Step::Kill]) {
            let open_log = log.as_mut().unwrap();
            open_log.set_segment_bytes(100);
            match step {
                Step::Append(size) => {
                    let text = format!("{} {}", all.len(), "y".repeat(size.into()));
                    open_log.append(&text).unwrap();
                    all.push(text);
                }
                Step::Sync => { open_log.sync().unwrap(); durable = all.len(); }
                Step::Compact => {
                    let kept = all.split_off(all.len() - all.len().min(2));
                    snapshot = Some(all.concat().into_bytes());
                    open_log.compact(snapshot.as_deref().unwrap(), &kept).unwrap();
                    durable = kept.len();
                    all = kept;
                }
                Step::Kill | Step::PowerLoss(_) => {
                    let killed = log.take().unwrap();
                    let at_most = match step {
                        Step::PowerLoss(seed) => { killed.lose_power(seed).unwrap(); all.len() }
                        _ => { drop(killed); durable }
                    };
                    let opened = open(&path).unwrap();
                    prop_assert_eq!(&opened.stored.snapshot, &snapshot);
                    let found = opened.stored.records;
                    prop_assert!(found.len() >= durable && found.len() <= at_most);
                    prop_assert_eq!(&found[..], &all[..found.len()]);
                    durable = found.len();
                    all = found;
                    log = Some(opened.log);
                }
            }
        }
    }
}

mod writer {
    use std::{
        sync::mpsc::{Receiver, channel},
        time::Duration,
    };

    use nodes::{
        protocol::{Compact, Ticket},
        storage::{AfterFailure, Job, Writer, WriterOptions, writer::End},
    };

    use super::*;

    /// Longer than any test, so that only what is wanted is synced.
    const NEVER: WriterOptions = WriterOptions {
        lazy_sync_after: Duration::from_secs(3600),
        lazy_sync_bytes: usize::MAX,
        batch_bytes_max: 1 << 20,
        after_failure: AfterFailure::End,
    };
    const PATIENCE: Duration = Duration::from_secs(20);

    fn spawn(path: &Path, options: WriterOptions) -> (Writer<String>, Receiver<Ticket>, Receiver<End>) {
        let (durable_sender, durable) = channel();
        let (end_sender, end) = channel();
        let on_durable = move |ticket| durable_sender.send(ticket).unwrap();
        let on_end = move |reason| end_sender.send(reason).unwrap();
        (Writer::spawn(open(path).unwrap().log, options, on_durable, on_end).unwrap(), durable, end)
    }

    fn job(ticket: u64, sync_wanted: bool) -> Job<String> {
        let records = vec![record(usize::try_from(ticket).unwrap() - 1)];
        Job { ticket: Ticket(ticket), compact: None, records, sync_wanted }
    }

    #[test]
    fn a_wanted_sync_makes_everything_before_it_durable() {
        let dir = TempDir::new().unwrap();
        let (writer, durable, _end) = spawn(dir.path(), NEVER);
        writer.submit(vec![job(1, false), job(2, false)]).unwrap();
        writer.submit(vec![job(3, true)]).unwrap();
        assert_eq!(durable.recv_timeout(PATIENCE), Ok(Ticket(3)));
        drop(writer);
        assert_prefix(&open(dir.path()).unwrap().stored.records, 3);
    }

    #[test]
    fn what_nobody_waits_for_is_lost_with_the_process_and_never_called_durable() {
        let dir = TempDir::new().unwrap();
        let (writer, durable, end) = spawn(dir.path(), NEVER);
        writer.submit(vec![job(1, true)]).unwrap();
        assert_eq!(durable.recv_timeout(PATIENCE), Ok(Ticket(1)));
        writer.submit(vec![job(2, false)]).unwrap();
        drop(writer);
        assert!(matches!(end.recv(), Ok(End::Closed)));
        assert!(durable.recv().is_err());
        assert_eq!(open(dir.path()).unwrap().stored.records.len(), 1);
    }

    #[test]
    fn what_nobody_waits_for_is_synced_after_a_while_or_when_it_is_much() {
        for options in [
            WriterOptions { lazy_sync_after: Duration::from_millis(1), ..NEVER },
            WriterOptions { lazy_sync_bytes: 1, ..NEVER },
        ] {
            let dir = TempDir::new().unwrap();
            let (writer, durable, _end) = spawn(dir.path(), options);
            writer.submit(vec![job(1, false)]).unwrap();
            assert_eq!(durable.recv_timeout(PATIENCE), Ok(Ticket(1)));
        }
    }

    #[test]
    fn a_compaction_makes_its_ticket_durable() {
        let dir = TempDir::new().unwrap();
        let (writer, durable, _end) = spawn(dir.path(), NEVER);
        let compact = Compact { snapshot: b"s".to_vec(), records: vec![record(0)] };
        let compact = Job { ticket: Ticket(2), compact: Some(compact), records: Vec::new(), sync_wanted: false };
        writer.submit(vec![job(1, false), compact]).unwrap();
        assert_eq!(durable.recv_timeout(PATIENCE), Ok(Ticket(2)));
        drop(writer);
        let stored = open(dir.path()).unwrap().stored;
        assert_eq!((stored.snapshot, stored.records), (Some(b"s".to_vec()), vec![record(0)]));
    }

    #[test]
    fn after_a_power_loss_nothing_more_is_durable() {
        let dir = TempDir::new().unwrap();
        let (writer, durable, end) = spawn(dir.path(), NEVER);
        writer.submit(vec![job(1, true)]).unwrap();
        assert_eq!(durable.recv_timeout(PATIENCE), Ok(Ticket(1)));
        writer.submit(vec![job(2, false), job(3, false)]).unwrap();
        writer.power_switch().cut(7);
        let Ok(End::PowerLoss { unsynced, survive }) = end.recv_timeout(PATIENCE) else { panic!("no power loss") };
        assert!(survive <= unsynced && unsynced > 0);
        assert!(durable.recv_timeout(PATIENCE).is_err());
        drop(writer);
        assert_prefix(&open(dir.path()).unwrap().stored.records, 1);
    }

    #[test]
    fn a_power_loss_before_a_compaction_leaves_no_hole_behind_it() {
        let dir = TempDir::new().unwrap();
        let (reached_sender, reached) = channel();
        let (go_on, may_go_on) = channel();
        // The thread stands still here, until both lots wait and the power is off.
        let on_durable = move |_| {
            reached_sender.send(()).unwrap();
            may_go_on.recv().unwrap();
        };
        let (end_sender, end) = channel();
        let on_end = move |reason| end_sender.send(reason).unwrap();
        let writer = Writer::spawn(open(dir.path()).unwrap().log, NEVER, on_durable, on_end).unwrap();
        writer.submit(vec![job(1, true)]).unwrap();
        reached.recv_timeout(PATIENCE).unwrap();
        let compact = Compact { snapshot: b"s".to_vec(), records: vec![record(0), record(1)] };
        let compact = Job { ticket: Ticket(2), compact: Some(compact), records: Vec::new(), sync_wanted: false };
        writer.submit(vec![compact]).unwrap();
        writer.submit(vec![job(3, false)]).unwrap();
        writer.power_switch().cut(7);
        go_on.send(()).unwrap();
        let Ok(End::PowerLoss { unsynced, .. }) = end.recv_timeout(PATIENCE) else { panic!("no power loss") };
        assert_eq!(unsynced, 0, "a record was appended behind a compaction that never was");
        drop(writer);
        assert_eq!(open(dir.path()).unwrap().stored.records, [record(0)]);
    }

    #[test]
    fn a_failed_write_ends_the_thread() {
        let dir = TempDir::new().unwrap();
        let (writer, durable, end) = spawn(dir.path(), NEVER);
        // Its first segment cannot be made.
        fs::create_dir(dir.path().join("wal-0-0")).unwrap();
        writer.submit(vec![job(1, true)]).unwrap();
        let Ok(End::Failed(error)) = end.recv_timeout(PATIENCE) else { panic!("no failure") };
        assert!(error.to_string().contains("wal-0-0"), "{error}");
        assert!(durable.recv_timeout(PATIENCE).is_err());
    }

    /// Both see a sync fail and the next one succeed. One ends at once; the other, a mutant, calls durable what it has lost.
    #[test]
    fn a_failed_sync_ends_the_thread_unless_a_mutant_overlooks_it() {
        for after_failure in [AfterFailure::End, AfterFailure::GoOn] {
            let dir = TempDir::new().unwrap();
            let (writer, durable, end) = spawn(dir.path(), WriterOptions { after_failure, ..NEVER });
            writer.submit(vec![job(1, true)]).unwrap();
            assert_eq!(durable.recv_timeout(PATIENCE), Ok(Ticket(1)));
            writer.disk_faults().set_sync_error(true);
            writer.submit(vec![job(2, true)]).unwrap();
            if after_failure == AfterFailure::End {
                assert!(matches!(end.recv_timeout(PATIENCE), Ok(End::Failed(_))));
                assert!(durable.recv_timeout(PATIENCE).is_err());
                assert_eq!(writer.disk_faults().overlooked(), 0);
                continue;
            }
            assert_eq!(durable.recv_timeout(PATIENCE), Ok(Ticket(2)));
            assert_eq!(writer.disk_faults().overlooked(), 1);
            writer.disk_faults().set_sync_error(false);
            writer.submit(vec![job(3, true)]).unwrap();
            assert_eq!(durable.recv_timeout(PATIENCE), Ok(Ticket(3)));
            drop(writer);
            assert_eq!(open(dir.path()).unwrap().stored.records, [record(0), record(2)]);
        }
    }
}
