use std::collections::HashSet;

use checkers::history::Function;
use serde_json::json;

use super::*;
use crate::latency::Ending;

fn manifest() -> Manifest {
    Manifest::here(42, json!({"nodes": 5}))
}

fn verdict(verdict: &str) -> serde_json::Value {
    json!({"format": SUMMARY_FORMAT, "verdict": verdict})
}

fn store() -> (tempfile::TempDir, Store) {
    let root = tempfile::tempdir().expect("a directory");
    let store = Store::open(root.path().join("results/runs")).expect("a store");
    (root, store)
}

#[test]
fn a_run_holds_what_was_put_in() {
    let (_root, store) = store();
    let manifest = manifest();
    let run = store.create_run(&manifest).expect("a run");
    assert_eq!(run.manifest().expect("a manifest"), manifest);
    assert_eq!(run.verdict::<serde_json::Value>().expect("readable"), None);
    run.write_verdict(&verdict("valid")).expect("written");
    run.write_verdict(&verdict("invalid")).expect("written again");
    assert_eq!(run.verdict().expect("readable"), Some(verdict("invalid")));

    let mut latencies = Latencies::default();
    latencies.record(Function::Read, Ending::Answered, 1, 2, 3);
    run.write_latencies(&latencies, Duration::from_secs(1)).expect("written");

    for (node, text) in [(1, "a"), (12, "b"), (1, "c")] {
        run.open_node_log(node).expect("opened").write_all(text.as_bytes()).expect("written");
    }
    assert_eq!(fs::read(run.node_log_path(1)).expect("read"), b"ac");

    for number in 0..2 {
        run.schedule().expect("opened").write(&json!({ "fault": number })).expect("written");
    }
    let schedule = fs::read_to_string(run.path().join("schedule.jsonl")).expect("read");
    assert_eq!(schedule, "{\"fault\":0}\n{\"fault\":1}\n");

    let mut names: Vec<_> =
        fs::read_dir(run.path()).expect("listed").map(|entry| entry.expect("entry").file_name()).collect();
    names.sort();
    let wanted =
        ["latencies.hdr", "latencies.json", "lock", "manifest.json", "nodes", "schedule.jsonl", "verdict.json"];
    assert_eq!(names, wanted, "temporary files must not stay");
}

#[test]
fn runs_started_at_once_do_not_collide() {
    let (_root, store) = store();
    let manifest = manifest();
    let ids: Vec<RunId> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..16).map(|_| scope.spawn(|| store.create_run(&manifest).expect("a run").id().clone())).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 16);
    assert_eq!(store.runs().expect("listed").len(), 16);
}

/// By name, so that it happens: of many who want the same directory exactly one gets it.
#[test]
fn one_name_is_given_once() {
    let (_root, store) = store();
    let (manifest, id) = (manifest(), RunId::at(Timestamp::UNIX_EPOCH, 0xab3f));
    let made: Vec<bool> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| match store.create_named(id.clone(), &manifest) {
                    Ok(_) => true,
                    Err(StoreError::Taken { .. }) => false,
                    Err(error) => panic!("{error}"),
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert_eq!(made.iter().filter(|&&made| made).count(), 1);
    let error = store.create_named(id, &manifest).expect_err("taken").to_string();
    assert!(error.contains("19700101-000000-ab3f is there already"), "{error}");
}

#[test]
fn a_history_is_never_written_over() {
    let (_root, store) = store();
    let run = store.create_run(&manifest()).expect("a run");
    run.create_history().expect("created");
    let error = run.create_history().expect_err("there already").to_string();
    assert!(error.contains("could not create the history") && error.contains("history.jsonl"), "{error}");
}

#[test]
fn names_lead_nowhere_else() {
    let (_root, store) = store();
    for bad in
        ["", "..", "../../etc/passwd", "/etc", "20261121-011502-AB3F", "20261121-011502-ab3", "20261121_011502-ab3f"]
    {
        assert!(matches!(store.run(bad), Err(StoreError::BadId(_))), "{bad}");
    }
    assert!(matches!(store.run("20261121-011502-ab3f"), Err(StoreError::NoSuchRun { .. })));
}

#[test]
fn runs_are_listed_by_age_and_strangers_passed_over() {
    let (_root, store) = store();
    let seconds = [1_000_000_000, 5, 70];
    for second in seconds {
        let start = Timestamp::from_second(second).expect("a time");
        store.create_named(RunId::at(start, 1), &manifest()).expect("a run");
    }
    fs::create_dir(store.path().join("notes")).expect("made");
    let names: Vec<String> = store.runs().expect("listed").into_iter().map(String::from).collect();
    assert_eq!(names, ["19700101-000005-0001", "19700101-000110-0001", "20010909-014640-0001"]);
    assert!(store.run(&names[0]).is_ok());
}

#[test]
fn other_formats_and_damage_are_told() {
    let (_root, store) = store();
    let run = store.create_run(&Manifest { format: 7, ..manifest() }).expect("a run");
    assert!(run.manifest().expect_err("too new").to_string().contains("has format 7, and this program reads format 1"));
    fs::write(run.path().join("manifest.json"), "{").expect("written");
    assert!(matches!(run.manifest(), Err(StoreError::Json { .. })));
    fs::remove_file(run.path().join("manifest.json")).expect("removed");
    assert!(matches!(run.manifest(), Err(StoreError::Io { .. })));

    let unread = |content: &[u8]| {
        fs::write(run.verdict_path(), content).expect("written");
        run.verdict::<serde_json::Value>().expect_err("no summary of this version").to_string()
    };
    assert!(unread(b"{\"format\": 99}").contains("verdict.json has format 99, and this program reads format"));
    assert!(unread(b"{}").contains("has format 0"));
    assert!(unread(b"{\"format\": ").contains("does not hold what belongs there"));
    let huge = File::create(run.verdict_path()).expect("created");
    huge.set_len(1 << 40).expect("a file with a hole");
    assert!(unread_again(&run).contains("larger than 16 MiB"));
    fs::remove_file(run.verdict_path()).expect("removed");
    std::os::unix::fs::symlink("/etc/passwd", run.verdict_path()).expect("linked");
    assert!(unread_again(&run).contains("could not read"), "a link is not followed");
}

fn unread_again(run: &RunDir) -> String {
    run.verdict::<serde_json::Value>().expect_err("unreadable").to_string()
}

#[test]
fn errors_say_what_where_and_what_to_do() {
    let (root, store) = store();
    let file = root.path().join("file");
    fs::write(&file, "").expect("written");
    let error = Store::open(file.join("runs")).expect_err("a file is in the way").to_string();
    assert!(
        error.contains("could not create the store") && error.contains("/file/runs") && error.contains("move it"),
        "{error}"
    );

    let run = store.create_run(&manifest()).expect("a run");
    let full = File::options().write(true).open("/dev/full").expect("a Linux system");
    let mut lines = LineFile { file: full, path: run.path().join("schedule.jsonl") };
    let error = lines.write(&json!({})).expect_err("full").to_string();
    assert!(
        error.contains("No space left") && error.contains("schedule.jsonl") && error.contains("Make room"),
        "{error}"
    );
}

/// A write that fails leaves the file of before, whole.
#[test]
fn a_failed_write_leaves_the_old_file() {
    let (_root, store) = store();
    let run = store.create_run(&manifest()).expect("a run");
    run.write_verdict(&verdict("valid")).expect("written");
    // A directory where the temporary file would go: nothing can be written, whoever runs the test.
    fs::create_dir(run.path().join("verdict.json.tmp")).expect("made");
    assert!(run.write_verdict(&verdict("invalid")).is_err());
    assert_eq!(run.verdict().expect("readable"), Some(verdict("valid")));
}
