//! Archives that are good, and every kind that is not: those are refused with a reason and leave nothing behind.

use std::{fs, io::Write};

use serde_json::json;
use tar::{Builder, EntryType, Header};

use super::*;
use crate::{
    store::{Manifest, RunDir, RunState, STORE_FORMAT, Store},
    summary::{SUMMARY_FORMAT, Summary},
};

const ID: &str = "20261121-011502-ab3f";

fn store() -> (tempfile::TempDir, Store) {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path().join("runs")).unwrap();
    (root, store)
}

/// A run with one of every file.
fn run(store: &Store) -> RunDir {
    let id: RunId = ID.parse().unwrap();
    let run = store.create_named(id, &Manifest::here(7, json!({"system": "raft"}))).unwrap();
    run.create_history().unwrap().write_all(b"{\"trueline_history\":1}\n").unwrap();
    run.compress_history().unwrap();
    for name in ["schedule.jsonl", "nodes.jsonl", "latencies.hdr", "latencies.json", "certificate.json", "report.html"]
    {
        fs::write(run.path().join(name), name).unwrap();
    }
    for node in [1, 12] {
        run.open_node_log(node).unwrap().write_all(b"log").unwrap();
    }
    fs::create_dir_all(run.path().join("data/1/wal")).unwrap();
    fs::write(run.path().join("data/1/wal/0.seg"), [0; 1000]).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", run.path().join("data/1/link")).unwrap();
    let summary = Summary { run: Some(ID.to_owned()), ..Summary::new("raft", "register", 7) };
    run.write_verdict(&summary).unwrap();
    fs::write(run.path().join("secrets.txt"), "not of a run").unwrap();
    run
}

fn exported(run: &RunDir, with_data: bool) -> Vec<u8> {
    let mut export = Export::to(Vec::new()).unwrap();
    export.add(run, with_data).unwrap();
    export.finish().unwrap().0
}

fn import(store: &Store, archive: &[u8]) -> Result<Vec<RunDir>, ArchiveError> {
    store.import(archive, 1 << 20)
}

fn names(folder: &std::path::Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_run_moves_whole_and_is_marked() {
    let ((_here, from), (_there, to)) = (store(), store());
    let run = run(&from);
    assert!(matches!(
        Export::to(Vec::new()).unwrap().add(&run, false),
        Err(ArchiveError::Store(StoreError::Busy { .. }))
    ));
    let (path, manifest) = (run.path().to_owned(), run.manifest().unwrap());
    drop(run);
    let run = RunDir::open(&path).unwrap();
    let archive = exported(&run, false);
    let [taken] = &import(&to, &archive).unwrap()[..] else { panic!("one run") };
    assert_eq!((taken.id().as_str(), taken.state()), (ID, RunState::Done));
    assert!(taken.is_imported() && !run.is_imported());
    assert_eq!(taken.manifest().unwrap(), manifest);
    let mut wanted = names(run.path());
    wanted.retain(|name| !matches!(name.as_str(), "lock" | "data" | "secrets.txt"));
    wanted.push("imported.json".to_owned());
    wanted.sort();
    assert_eq!(names(taken.path()), wanted);
    for name in wanted.iter().filter(|name| !matches!(name.as_str(), "nodes" | "imported.json")) {
        assert_eq!(fs::read(taken.path().join(name)).unwrap(), fs::read(run.path().join(name)).unwrap(), "{name}");
    }
    assert_eq!(names(&taken.path().join("nodes")), ["1.log", "12.log"]);
    // Once more: it is there already, and stays as it is.
    let error = import(&to, &archive).unwrap_err().to_string();
    assert!(error.contains("is there already"), "{error}");
    assert_eq!(names(to.path()), [ID]);
    // And what came in an archive can go in one.
    let (_third, third) = store();
    import(&third, &exported(taken, false)).unwrap();
}

#[test]
fn data_goes_along_when_it_is_wanted_without_links() {
    let ((_here, from), (_there, to)) = (store(), store());
    let path = run(&from).path().to_owned();
    let mut export = Export::to(Vec::new()).unwrap();
    export.add(&RunDir::open(&path).unwrap(), true).unwrap();
    let (archive, left_out) = export.finish().unwrap();
    assert_eq!(left_out, [format!("{ID}/data/1/link")]);
    let taken = import(&to, &archive).unwrap();
    assert_eq!(fs::read(taken[0].path().join("data/1/wal/0.seg")).unwrap(), [0; 1000]);
}

/// An entry as anyone may write it, whatever its name.
fn entry(builder: &mut Builder<Vec<u8>>, kind: EntryType, name: &str, content: &[u8]) {
    let mut header = Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    if matches!(kind, EntryType::Symlink | EntryType::Link) {
        header.set_link_name("/etc/passwd").unwrap();
    }
    header.set_cksum();
    builder.append(&header, content).unwrap();
}

fn manifest(format: u32) -> Vec<u8> {
    serde_json::to_vec(&Manifest { format, ..Manifest::here(7, json!({})) }).unwrap()
}

/// An archive of a manifest and what else is given.
fn archive(entries: &[(EntryType, &str, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    entry(&mut builder, EntryType::Regular, &format!("{ID}/manifest.json"), &manifest(STORE_FORMAT));
    for (kind, name, content) in entries {
        entry(&mut builder, *kind, &name.replace("ID", ID), content);
    }
    zstd::encode_all(&builder.into_inner().unwrap()[..], 3).unwrap()
}

/// Refused with these words, and the store and everything around it as before.
fn refuses(archive: &[u8], words: &str) {
    let (root, store) = store();
    let error = import(&store, archive).expect_err(words).to_string();
    assert!(error.contains(words), "{words:?} is not in {error:?}");
    assert!(!error.chars().any(char::is_control), "{error:?}");
    assert_eq!(names(store.path()), [""; 0], "{words}");
    assert_eq!(names(root.path()), ["runs"], "{words}");
}

#[test]
fn what_no_archive_of_runs_holds_is_refused() {
    // What the others differ from is taken.
    let (_root, good) = store();
    let entries: &[(EntryType, &str, &[u8])] = &[
        (EntryType::Directory, "ID/", b""),
        (EntryType::Directory, "ID/nodes/", b""),
        (EntryType::Regular, "ID/nodes/1.log", b"log"),
        (EntryType::Regular, "ID/data/1/file", b"data"),
    ];
    assert_eq!(import(&good, &archive(entries)).unwrap().len(), 1);

    for (name, words) in [
        ("/etc/cron.d/x", "is an absolute path"),
        ("/ID/verdict.json", "is an absolute path"),
        ("ID/../../x", "leads out of the run's directory"),
        ("../ID/verdict.json", "leads out of the run's directory"),
        ("ID/data/../../x", "leads out of the run's directory"),
        ("ID/data/./x", "is no file that a run has"),
        ("ID/data//x", "is no file that a run has"),
        ("ID/data", "is no file that a run has"),
        ("ID/data/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p", "is no file that a run has"),
        ("ID/x.sh", "is no file that a run has"),
        ("ID/lock", "is no file that a run has"),
        ("ID/imported.json", "is no file that a run has"),
        ("ID/pinned", "is no file that a run has"),
        ("ID/verdict.json.tmp", "is no file that a run has"),
        ("ID/nodes/../x", "leads out"),
        ("ID/nodes/x.log", "is no file that a run has"),
        ("ID/nodes/01.log", "is no file that a run has"),
        ("ID/nodes/1.log/x", "is no file that a run has"),
        ("ID/nodes/12345.log", "is no file that a run has"),
        ("ID", "is no file that a run has"),
        ("./ID/verdict.json", "not in the directory of a run"),
        ("hunt-ID/hunt.json", "not in the directory of a run"),
        ("notes/verdict.json", "not in the directory of a run"),
        (".trash-x/verdict.json", "not in the directory of a run"),
        ("", "not in the directory of a run"),
        ("\u{1b}[2J\u{202e}", "not in the directory of a run"),
    ] {
        refuses(&archive(&[(EntryType::Regular, name, b"x")]), words);
    }
    refuses(&archive(&[(EntryType::Directory, "ID/x/", b"")]), "is no file that a run has");
    for (kind, words) in [
        (EntryType::Symlink, "is a symbolic link"),
        (EntryType::Link, "is a hard link"),
        (EntryType::Char, "is a device"),
        (EntryType::Block, "is a device"),
        (EntryType::Fifo, "is a pipe"),
        (EntryType::GNULongName, "is an extension"),
        (EntryType::XHeader, "is an extension"),
        (EntryType::GNUSparse, "is neither a file nor a directory"),
    ] {
        refuses(&archive(&[(kind, "ID/report.html", b"")]), words);
    }
    let twice = |name| archive(&[(EntryType::Regular, name, b"1"), (EntryType::Regular, name, b"2")]);
    refuses(&twice("ID/report.html"), "is there twice");
    refuses(&twice("ID/manifest.json"), "is there twice");
    let histories =
        [(EntryType::Regular, "ID/history.jsonl", &b""[..]), (EntryType::Regular, "ID/history.jsonl.zst", b"")];
    refuses(&archive(&histories), "second history");
    refuses(
        &archive(&[(EntryType::Regular, "ID/data/x", b"1"), (EntryType::Regular, "ID/data/x/y", b"2")]),
        "could not",
    );
}

#[test]
fn runs_that_cannot_be_read_are_refused() {
    let with = |name: &str, content: &[u8]| {
        let mut builder = Builder::new(Vec::new());
        entry(&mut builder, EntryType::Regular, &format!("{ID}/{name}"), content);
        zstd::encode_all(&builder.into_inner().unwrap()[..], 3).unwrap()
    };
    assert_eq!(import(&store().1, &with("manifest.json", &manifest(STORE_FORMAT))).unwrap().len(), 1);
    refuses(
        &with("manifest.json", &manifest(STORE_FORMAT + 1)),
        "manifest.json has format 2, and this program reads format 1",
    );
    refuses(&with("manifest.json", b"{"), "does not hold what belongs there");
    refuses(&with("verdict.json", b"{}"), "has no manifest.json");
    let summary =
        |summary: &Summary| archive(&[(EntryType::Regular, "ID/verdict.json", &serde_json::to_vec(summary).unwrap())]);
    let good = Summary::new("raft", "register", 7);
    assert!(import(&store().1, &summary(&good)).is_ok());
    refuses(&summary(&Summary { format: SUMMARY_FORMAT + 1, ..good.clone() }), "verdict.json has format");
    refuses(&summary(&Summary { run: Some("20261121-011502-ffff".to_owned()), ..good }), "summary of another one");
    refuses(&archive(&[(EntryType::Regular, "ID/verdict.json", b"[]")]), "cannot be taken");
    refuses(
        &zstd::encode_all(&Builder::new(Vec::new()).into_inner().unwrap()[..], 3).unwrap(),
        "there is no run in it",
    );
    refuses(b"", "it is no archive of runs");
    refuses(b"PK\x03\x04 something else", "it is no archive of runs");
}

#[test]
fn an_archive_cut_anywhere_is_refused() {
    let noise: Vec<u8> = (0..60_000_u64).map(|i| (i.wrapping_mul(6_364_136_223_846_793_005) >> 33) as u8).collect();
    let whole =
        archive(&[(EntryType::Regular, "ID/report.html", &noise), (EntryType::Regular, "ID/nodes/1.log", b"log")]);
    assert_eq!(import(&store().1, &whole).unwrap().len(), 1);
    for cut in (4..whole.len()).step_by(whole.len() / 40).chain([whole.len() - 1]) {
        refuses(&whole[..cut], "ends in the middle");
    }
    let mut damaged = zstd::Encoder::new(Vec::new(), 3).unwrap();
    damaged.include_checksum(true).unwrap();
    damaged.write_all(&zstd::decode_all(&whole[..]).unwrap()).unwrap();
    let mut damaged = damaged.finish().unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x40;
    let (_root, store) = store();
    assert!(import(&store, &damaged).is_err());
    assert_eq!(names(store.path()), [""; 0]);
}

#[test]
fn bombs_are_stopped_at_their_bounds() {
    let huge = vec![0; 2 << 20];
    let bomb = archive(&[(EntryType::Regular, "ID/history.jsonl", &huge)]);
    assert!(bomb.len() < 10_000);
    refuses(&bomb, "more than 1 MiB");
    assert_eq!(store().1.import(&bomb[..], 4 << 20).unwrap().len(), 1, "within the bound it is taken");
    // A file that may not be as large as the whole.
    let (_root, store) = store();
    let error = store
        .import(&archive(&[(EntryType::Regular, "ID/verdict.json", &vec![0; 17 << 20])])[..], 1 << 30)
        .unwrap_err()
        .to_string();
    assert!(error.contains("more than such a file may have"), "{error}");
    // A window of 2^41 bytes.
    refuses(&[0x28, 0xB5, 0x2F, 0xFD, 0x00, 31 << 3, 1, 0, 0], "cannot be read");
    // Something after the end.
    let mut tar = zstd::decode_all(&archive(&[])[..]).unwrap();
    tar.extend([7; 512]);
    refuses(&zstd::encode_all(&tar[..], 3).unwrap(), "after the end");
    // A header that promises more than there is.
    let mut builder = Builder::new(Vec::new());
    let mut header = Header::new_ustar();
    header.set_path(format!("{ID}/history.jsonl")).unwrap();
    header.set_size(u64::MAX / 4);
    header.set_cksum();
    builder.append(&header, &b"short"[..]).unwrap();
    let mut tar = builder.into_inner().unwrap();
    tar.truncate(1024);
    refuses(&zstd::encode_all(&tar[..], 3).unwrap(), "ends in the middle");
}

#[test]
fn several_runs_are_taken_all_or_none() {
    let ((_here, from), (_there, to)) = (store(), store());
    let paths: Vec<_> =
        (0..3).map(|_| from.create_run(&Manifest::here(1, json!({}))).unwrap().path().to_owned()).collect();
    let mut export = Export::to(Vec::new()).unwrap();
    for path in &paths {
        export.add(&RunDir::open(path).unwrap(), false).unwrap();
    }
    let archive = export.finish().unwrap().0;
    let last = to.create_named(RunDir::open(&paths[2]).unwrap().id().clone(), &Manifest::here(2, json!({}))).unwrap();
    assert!(matches!(import(&to, &archive), Err(ArchiveError::Store(StoreError::Taken { .. }))));
    assert_eq!(names(to.path()), [last.id().as_str()]);
    let path = last.path().to_owned();
    drop(last);
    to.remove_run(&RunDir::open(&path).unwrap()).unwrap();
    assert_eq!(import(&to, &archive).unwrap().len(), 3);
    assert_eq!(to.runs().unwrap().len(), 3);
}
