//! `trueline runs` as a program, on stores made by hand and on runs that really were carried out, and killed.

use std::{
    fs,
    io::Write,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use results::store::{CollectionKind, DirLock, Manifest, RunId, Store};
use serde_json::{Value, json};
use stored::{FIRST, SECOND, THIRD, made, three};
use wait::wait_for;
use whole::{ends_with, processes};

#[path = "support/stored.rs"]
mod stored;
#[path = "support/wait.rs"]
mod wait;
#[path = "support/whole.rs"]
mod whole;

fn trueline(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trueline"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn runs(store: &Path, arguments: &[&str]) -> Output {
    let mut command = trueline(&["runs"]);
    command.args(arguments).arg("--store").arg(store).output().expect("trueline can be started")
}

fn list(store: &Path) -> Value {
    let output = runs(store, &["list", "--json"]);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn names(store: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(store).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn runs_are_listed_selected_and_shown() {
    let store = three();
    let path = store.path();
    Store::open(path).unwrap().create_collection(CollectionKind::Hunt).unwrap();
    let output = runs(path, &[]);
    ends_with(
        &output,
        0,
        &["33aa", "33bb", "c000", "2026-11-21 01:00", "kill", "build=b2", "hunt-", "3 runs, 1 hunt in"],
    );
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.find("c000") < text.find("33aa"), "the newest first: {text}");
    assert!(!text.contains('\u{1b}'), "colours are for terminals");

    let chosen = String::from_utf8(runs(path, &["label.build=b2", "system=raft"]).stdout).unwrap();
    assert!(chosen.contains("33bb") && !chosen.contains("33aa") && chosen.contains("1 run selected"), "{chosen}");
    ends_with(&runs(path, &["list", "latest:2", "--limit", "1"]), 0, &["2 runs selected", "--limit 0"]);
    ends_with(&runs(path, &["sytem=raft"]), 254, &["there are system, workload"]);

    let listed = list(path);
    assert_eq!((listed["found"].as_u64(), listed["format"].as_u64()), (Some(3), Some(1)));
    assert_eq!((&listed["runs"][2]["run"], &listed["runs"][2]["short"]), (&json!(FIRST), &json!("33a")));
    assert_eq!((&listed["runs"][0]["state"], &listed["runs"][0]["verdict"]), (&json!("done"), &json!("unknown")));
    assert_eq!(listed["collections"][0]["state"], "broken-off");

    ends_with(&runs(path, &["show", "33b"]), 0, &["UNKNOWN", "seed 2", SECOND, "build=b2", "history.jsonl.zst"]);
    let shown: Value = serde_json::from_slice(&runs(path, &["show", "latest", "--json"]).stdout).unwrap();
    assert_eq!(
        (&shown["run"], &shown["summary"]["seed"], &shown["manifest"]["seed"]),
        (&json!(THIRD), &json!(3), &json!(3))
    );
    ends_with(&runs(path, &["show", "33"]), 254, &["33aa", "33bb", "write more of it"]);
    ends_with(&runs(path, &["path", "c"]), 0, &[&path.join(THIRD).display().to_string()]);
    ends_with(&runs(&path.join("nowhere"), &[]), 254, &["there is no store in"]);
    assert!(!path.join("nowhere").exists(), "looking makes nothing");
}

#[test]
fn runs_are_removed_when_a_person_says_so() {
    let store = three();
    let path = store.path();
    ends_with(&runs(path, &["rm", "33a", FIRST, "c"]), 254, &[FIRST, THIRD, "nothing was removed", "--yes"]);
    ends_with(&runs(path, &["rm", "33", "--yes"]), 254, &["write more of it"]);
    assert_eq!(names(path), [FIRST, SECOND, THIRD]);
    let id: RunId = "20261121-040000-d000".parse().unwrap();
    let running = Store::open(path).unwrap().create_named(id, &Manifest::here(1, json!({}))).unwrap();
    ends_with(&runs(path, &["rm", "d", "33a", "--yes"]), 254, &["is still going on", &format!("removed {FIRST}")]);
    assert_eq!(names(path), [SECOND, THIRD, running.id().as_str()]);
    drop(running);
    let hunt = Store::open(path)
        .unwrap()
        .create_collection(CollectionKind::Hunt)
        .unwrap()
        .path()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    ends_with(&runs(path, &["rm", "d", &hunt[..9], "-y"]), 0, &["removed"]);
    assert_eq!(names(path), [SECOND, THIRD]);
    ends_with(&runs(path, &["rm", "hunt-x", "-y"]), 254, &["nothing in"]);
    ends_with(&runs(path, &["rm", "../..", "-y"]), 254, &["no run in"]);
}

/// What a killed removal leaves is swept, whatever command comes next.
#[test]
fn what_a_killed_removal_left_is_swept() {
    let store = three();
    let trash = store.path().join(".trash-20261121-000000-0000-1234");
    fs::create_dir_all(trash.join("nodes")).unwrap();
    fs::write(trash.join("nodes/1.log"), "").unwrap();
    let staging = store.path().join(".import-1-0001");
    fs::create_dir(&staging).unwrap();
    drop(DirLock::hold(&staging).unwrap());
    ends_with(&runs(store.path(), &[]), 0, &["3 runs"]);
    assert_eq!(names(store.path()), [FIRST, SECOND, THIRD]);
}

#[test]
fn the_newest_are_kept_and_what_is_pinned() {
    let store = three();
    let path = store.path();
    ends_with(&runs(path, &["keep"]), 254, &["--last"]);
    ends_with(&runs(path, &["pin", "33a"]), 0, &[]);
    ends_with(&runs(path, &["keep", "--last", "1", "--dry-run"]), 0, &[SECOND, THIRD, "2 would go"]);
    assert_eq!(names(path).len(), 3);
    ends_with(&runs(path, &["keep", "--last", "2"]), 0, &["1 removed", "2 stay"]);
    assert_eq!(names(path), [FIRST, THIRD]);
    ends_with(&runs(path, &["unpin", "33"]), 0, &[]);
    ends_with(&runs(path, &["keep", "--size", "1TB"]), 0, &["0 removed"]);
    let running = Store::open(path).unwrap().create_run(&Manifest::here(1, json!({}))).unwrap();
    ends_with(&runs(path, &["keep", "--size", "0B"]), 0, &["2 removed", "1 stay"]);
    assert_eq!(names(path), [running.id().as_str()]);
}

#[test]
fn runs_move_from_store_to_store() {
    let (from, to) = (three(), tempfile::tempdir().unwrap());
    let to_path = to.path().join("other/store");
    let folder = tempfile::tempdir().unwrap();
    let mut export = trueline(&["runs", "export", "33a", "c", "--store"]);
    ends_with(
        &export.arg(from.path()).current_dir(folder.path()).output().unwrap(),
        0,
        &["33aa.tar.zst", "c000.tar.zst"],
    );
    let (one, two) = (folder.path().join(format!("{FIRST}.tar.zst")), folder.path().join(format!("{THIRD}.tar.zst")));
    let (one, two) = (one.to_str().unwrap(), two.to_str().unwrap());
    ends_with(&runs(&to_path, &["import", one, two]), 0, &[FIRST, THIRD, "raft, register, unknown"]);
    assert_eq!(names(&to_path), [FIRST, THIRD]);
    assert_eq!(list(&to_path)["runs"][1]["is_imported"], true);
    assert_eq!(list(&to_path)["runs"][1]["seed"], 1);
    ends_with(&runs(&to_path, &["import", one]), 254, &[one, "is there already"]);
    ends_with(&runs(from.path(), &["export", "33b", "-o", one]), 254, &["is there already"]);
    ends_with(&runs(&to_path, &["import", "/nowhere"]), 254, &["/nowhere", "No such file"]);
    fs::write(two, "something else").unwrap();
    ends_with(&runs(&to_path, &["import", two]), 254, &["it is no archive of runs"]);

    // Through a pipe, too.
    let archive = runs(from.path(), &["export", "33b", "33a", "-o", "-"]).stdout;
    let third = tempfile::tempdir().unwrap();
    let mut import = Command::new(env!("CARGO_BIN_EXE_trueline"));
    import.args(["runs", "import", "-", "--store"]).arg(third.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut import = import.spawn().unwrap();
    import.stdin.take().unwrap().write_all(&archive).unwrap();
    ends_with(&import.wait_with_output().unwrap(), 0, &[FIRST, SECOND]);
    assert_eq!(names(third.path()), [FIRST, SECOND]);
    assert_eq!(names(folder.path()).len(), 2, "nothing is left beside the archives");
}

/// Somebody else may have made the store: it is listed, and nothing of it reaches a terminal or leads out.
#[test]
fn a_hostile_store_is_listed_and_leads_nowhere() {
    let store = three();
    let path = store.path();
    let outside = tempfile::tempdir().unwrap();
    let secret = made(outside.path(), "20261121-050000-eeee", 5);
    symlink(secret.path(), path.join("20261121-050000-eeee")).unwrap();
    symlink(outside.path(), path.join("hunt-20261121-050000-eeee")).unwrap();
    fs::create_dir(path.join("\u{1b}[31m20261121")).unwrap();
    fs::write(path.join("20261121-060000-0000"), "a file").unwrap();
    fs::write(path.join(SECOND).join("manifest.json"), "\u{1b}[2J{").unwrap();
    let mut newer: Value = serde_json::from_slice(&fs::read(path.join(THIRD).join("verdict.json")).unwrap()).unwrap();
    newer["format"] = json!(99);
    fs::write(path.join(THIRD).join("verdict.json"), newer.to_string()).unwrap();
    let mut hostile: Value = serde_json::from_slice(&fs::read(path.join(FIRST).join("verdict.json")).unwrap()).unwrap();
    hostile["system"] = json!("\u{1b}[2J\u{202e}raft\nforged line");
    hostile["notes"] = json!(["\u{9b}31m"]);
    fs::write(path.join(FIRST).join("verdict.json"), hostile.to_string()).unwrap();

    for arguments in [
        &["list"][..],
        &["show", "33a"],
        &["show", "33b"],
        &["show", "c"],
        &["rm", "33a"],
        &["keep", "--last", "0", "--dry-run"],
    ] {
        let output = runs(path, arguments);
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let is_bad = |c: char| c.is_control() && c != '\n' || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!text.chars().any(is_bad), "{arguments:?}: {text:?}");
        assert!(!text.contains("\nforged") && !text.contains("eeee"), "{arguments:?}: {text}");
    }
    let text = String::from_utf8(runs(path, &[]).stdout).unwrap();
    assert!(
        text.contains("verdict.json has format 99, and this program reads format") && text.contains("3 runs in"),
        "{text}"
    );
    assert!(text.contains("does not hold what belongs there"), "{text}");
    ends_with(&runs(path, &["show", "20261121-050000-eeee"]), 254, &["no run in"]);
    ends_with(&runs(path, &["keep", "--last", "0"]), 0, &["3 removed"]);
    assert_eq!(names(outside.path()), ["20261121-050000-eeee"]);
    assert!(secret.path().join("verdict.json").exists());
}

/// A run that really goes on, and is killed: first running, and not to be removed; then broken off, readable, and removed.
#[test]
fn a_killed_run_leaves_a_readable_entry() {
    let store = tempfile::tempdir().unwrap();
    let path = store.path();
    let mut run = trueline(&["run", "--quiet", "--time", "60s", "--nodes", "3", "--seed", "1", "--store"]);
    let mut run = run.arg(path).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("operations in the history", Duration::from_secs(30), || {
        let run = fs::read_dir(path).ok().and_then(|mut runs| runs.next()?.ok());
        run.and_then(|run| fs::metadata(run.path().join("history.jsonl")).ok()).is_some_and(|file| file.len() > 10_000)
    });
    assert_eq!(list(path)["runs"][0]["state"], "running");
    ends_with(&runs(path, &[]), 0, &["running", "raft", "3", "register"]);
    ends_with(&runs(path, &["rm", "latest", "--yes"]), 254, &["is still going on"]);
    ends_with(&runs(path, &["export", "latest", "-o", "/dev/null/x"]), 255, &["cannot write"]);
    ends_with(&runs(path, &["keep", "--last", "0"]), 0, &["0 removed"]);

    run.kill().unwrap();
    run.wait().unwrap();
    wait_for("all processes gone", Duration::from_secs(10), || processes(path).is_empty());
    // A process that ends loses its command line a moment before its locks.
    wait_for("the lock is free", Duration::from_secs(10), || list(path)["runs"][0]["state"] != "running");
    let listed = list(path);
    let row = &listed["runs"][0];
    assert_eq!(
        (&row["state"], &row["verdict"], &row["system"], &row["seed"]),
        (&json!("broken-off"), &Value::Null, &json!("raft"), &json!(1))
    );
    ends_with(&runs(path, &["show"]), 0, &["BROKEN OFF", "history.jsonl", "nodes/1.log"]);
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("a.tar.zst");
    ends_with(&runs(path, &["export", "latest", "-o", archive.to_str().unwrap()]), 0, &["a.tar.zst"]);
    ends_with(&runs(path, &["rm", "latest", "--yes"]), 0, &["removed"]);
    assert_eq!(names(path), [""; 0]);
    ends_with(&runs(path, &["import", archive.to_str().unwrap()]), 0, &["broken off"]);
    let moved = path.join(row["run"].as_str().unwrap()).join("history.jsonl");
    ends_with(&trueline(&["check", "--keep-complete-lines"]).arg(moved).output().unwrap(), 0, &["valid"]);
}

/// Two at once, both real: each has its own directory, and both come to their end.
#[test]
fn two_runs_at_once_do_not_collide() {
    let store = tempfile::tempdir().unwrap();
    let start = |seed: &str| {
        let mut run = trueline(&[
            "run",
            "--quiet",
            "--time",
            "2s",
            "--nodes",
            "1",
            "--nemesis",
            "none",
            "--seed",
            seed,
            "--store",
        ]);
        run.arg(store.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [start("1"), start("2")];
    for run in both {
        ends_with(&run.wait_with_output().unwrap(), 0, &["VALID"]);
    }
    let listed = list(store.path());
    let mut seeds: Vec<u64> =
        listed["runs"].as_array().unwrap().iter().map(|run| run["seed"].as_u64().unwrap()).collect();
    seeds.sort_unstable();
    assert_eq!(seeds, [1, 2]);
    assert!(listed["runs"].as_array().unwrap().iter().all(|run| run["state"] == "done" && run["verdict"] == "valid"));
    for run in Store::open(store.path()).unwrap().runs().unwrap() {
        ends_with(&trueline(&["verify"]).arg(store.path().join(run.as_str())).output().unwrap(), 0, &["holds"]);
    }
}
