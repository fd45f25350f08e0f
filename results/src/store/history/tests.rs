//! Histories that are compressed, cut short, damaged, or not what they seem.

use serde_json::json;

use super::*;
use crate::store::{Manifest, Store};

fn opened(bytes: &[u8], bound: u64) -> Result<Vec<u8>, (Vec<u8>, io::Error)> {
    let file = HistoryFile::of(io::Cursor::new(bytes.to_vec()), bound).map_err(|error| (Vec::new(), error))?;
    let (first, mut all) = (file.first.clone(), Vec::new());
    let result = file.into_reader().read_to_end(&mut all);
    assert!(all.starts_with(&first));
    result.map(|_| all.clone()).map_err(|error| (all, error))
}

/// Text that compresses badly, so that frames have many blocks.
fn text(lines: u64) -> Vec<u8> {
    let mut state = 7_u64;
    let mut line = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{state:x}\n")
    };
    (0..lines).flat_map(|_| line().into_bytes()).collect()
}

#[test]
fn plain_and_compressed_content_come_out_the_same() {
    for content in [Vec::new(), b"{}".to_vec(), text(10), text(50_000)] {
        assert!(opened(&content, 1 << 30).unwrap() == content);
        let frame = zstd::encode_all(&content[..], 3).unwrap();
        assert!(opened(&frame, 1 << 30).unwrap() == content);
        let skipped = [0x50, 0x2A, 0x4D, 0x18, 3, 0, 0, 0, b'a', b'b', b'c'];
        assert!(opened(&[&skipped[..], &frame, &frame].concat(), 1 << 30).unwrap() == content.repeat(2));
    }
}

#[test]
fn a_file_cut_anywhere_gives_what_can_be_read_and_says_that_it_was_cut() {
    let content = text(50_000);
    let frame = zstd::encode_all(&content[..], 3).unwrap();
    let mut most = 0;
    for cut in (4..frame.len()).step_by(frame.len() / 50) {
        let (some, error) = opened(&frame[..cut], 1 << 30).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "cut at {cut}: {error}");
        assert!(content.starts_with(&some), "cut at {cut}");
        most = most.max(some.len());
    }
    assert!(most > content.len() / 2, "{most} of {} bytes", content.len());
}

#[test]
fn damage_is_no_cut() {
    // With a checksum, as the zstd command writes it.
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    io::copy(&mut &text(50_000)[..], &mut encoder).unwrap();
    let mut frame = encoder.finish().unwrap();
    let middle = frame.len() / 2;
    for byte in &mut frame[middle..middle + 64] {
        *byte ^= 0x55;
    }
    let (_, error) = opened(&frame, 1 << 30).expect_err("damage is found");
    assert_ne!(error.kind(), ErrorKind::UnexpectedEof, "{error}");
}

#[test]
fn a_bomb_is_stopped_at_its_bound() {
    let bomb = zstd::encode_all(io::repeat(b' ').take(64 << 20), 19).unwrap();
    assert!(bomb.len() < 1 << 16, "{} bytes", bomb.len());
    let mut reader = HistoryFile::of(io::Cursor::new(bomb), 8 << 20).unwrap().into_reader();
    let error = io::copy(&mut reader, &mut io::sink()).unwrap_err();
    assert!(error.to_string().contains("more than 8 MiB"), "{error}");
}

#[test]
fn a_window_beyond_the_bound_is_refused() {
    // A frame's header (RFC 8878, section 3.1.1.1) without a content size, whose window is 2^41 bytes; an empty last block.
    let frame = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 31 << 3, 1, 0, 0];
    let (_, error) = opened(&frame, 1 << 30).unwrap_err();
    assert!(error.to_string().contains("memory"), "{error}");
}

fn run() -> (tempfile::TempDir, RunDir) {
    let root = tempfile::tempdir().unwrap();
    let run = Store::open(root.path()).unwrap().create_run(&Manifest::here(1, json!({}))).unwrap();
    (root, run)
}

fn stored(run: &RunDir) -> Vec<u8> {
    let mut all = Vec::new();
    run.open_history().unwrap().read_to_end(&mut all).unwrap();
    all
}

#[test]
fn a_history_is_the_same_plain_and_compressed() {
    let (_root, run) = run();
    let error = run.open_history().err().expect("there is none").to_string();
    assert!(error.contains("history.jsonl.zst") && error.contains("No such file"), "{error}");
    run.compress_history().expect("nothing to do");
    let content = text(50_000);
    io::Write::write_all(&mut run.create_history().unwrap(), &content).unwrap();
    assert!(run.history_path().ends_with(PLAIN) && stored(&run) == content);
    run.compress_history().unwrap();
    assert!(run.history_path().ends_with(COMPRESSED) && stored(&run) == content);
    assert!(!run.path().join(PLAIN).exists());
    assert!(fs::metadata(run.history_path()).unwrap().len() < content.len() as u64);
    run.compress_history().expect("done already");
    assert!(stored(&run) == content);
    assert!(run.create_history().is_err(), "a run has one history");
}

/// Whatever moment it is broken off at, the history is read, and compressing it again completes it.
#[test]
fn compressing_that_was_broken_off_loses_nothing() {
    let content = text(1_000);
    let half = zstd::encode_all(&content[..500], 3).unwrap();
    let whole = zstd::encode_all(&content[..], 3).unwrap();
    for (name, left) in [("history.jsonl.zst.tmp", &half), (COMPRESSED, &whole)] {
        let (_root, run) = run();
        io::Write::write_all(&mut run.create_history().unwrap(), &content).unwrap();
        fs::write(run.path().join(name), left).unwrap();
        assert!(stored(&run) == content, "{name}");
        run.compress_history().unwrap();
        assert!(stored(&run) == content, "{name}");
        assert!(!run.path().join(PLAIN).exists() && !run.path().join("history.jsonl.zst.tmp").exists());
    }
}

#[test]
fn what_cannot_be_compressed_stays_plain() {
    let (_root, run) = run();
    io::Write::write_all(&mut run.create_history().unwrap(), b"{}\n").unwrap();
    fs::create_dir(run.path().join("history.jsonl.zst.tmp")).unwrap();
    let error = run.compress_history().unwrap_err().to_string();
    assert!(error.contains("could not compress the history"), "{error}");
    assert_eq!(stored(&run), b"{}\n");
}

/// Nothing that lies in a run's directory leads out of it, or holds a reader up.
#[test]
fn a_history_that_is_no_file_is_not_opened() {
    let (root, run) = run();
    let outside = root.path().join("outside");
    fs::write(&outside, "secret").unwrap();
    std::os::unix::fs::symlink(&outside, run.path().join(PLAIN)).unwrap();
    assert!(run.open_history().is_err() && run.compress_history().is_err());
    assert_eq!(fs::read(&outside).unwrap(), b"secret");
    fs::remove_file(run.path().join(PLAIN)).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, run.path().join(PLAIN), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert!(run.open_history().is_err());
    fs::remove_file(run.path().join(PLAIN)).unwrap();
    fs::create_dir(run.path().join(PLAIN)).unwrap();
    assert!(run.open_history().is_err());
}
