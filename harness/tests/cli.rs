//! The command line from outside: exit codes and messages, above all for what is wrong.

use std::{
    path::Path,
    process::{Command, Output},
};

const VALID: &str = r#"{"trueline_history":1,"model":"register","initial":null}
{"time":0,"process":0,"type":"invoke","f":"write","value":1}
{"time":10,"process":0,"type":"ok","f":"write","value":1}
{"time":20,"process":1,"type":"invoke","f":"read"}
{"time":30,"process":1,"type":"ok","f":"read","value":1}
"#;

fn trueline(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trueline")).args(args).output().expect("trueline can be started")
}

fn check(history: &str, flags: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("history.jsonl");
    std::fs::write(&file, history).unwrap();
    let mut args = vec!["check", file.to_str().unwrap()];
    args.extend(flags);
    trueline(&args)
}

/// Asserts the exit code, and that the output says these things.
#[track_caller]
fn says(output: &Output, code: i32, words: &[&str]) {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

#[test]
fn a_valid_history() {
    says(&check(VALID, &[]), 0, &["valid", "2 operations on 1 key in"]);
}

#[test]
fn a_compressed_history_whole_and_cut() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("history.jsonl.zst");
    let path = file.to_str().unwrap();
    let pair = |place: u64| {
        format!(
            "{{\"process\":1,\"type\":\"invoke\",\"f\":\"write\",\"value\":{place}}}\n{{\"process\":1,\"type\":\"ok\",\"f\":\"write\"}}\n"
        )
    };
    let frame = zstd::encode_all((0..20_000).map(pair).collect::<String>().as_bytes(), 3).unwrap();
    std::fs::write(&file, &frame).unwrap();
    says(&trueline(&["check", path]), 0, &["valid", "20000 operations"]);
    std::fs::write(&file, &frame[..frame.len() - 9]).unwrap();
    says(&trueline(&["check", path]), 254, &["ends in the middle", "--keep-complete-lines"]);
    says(&trueline(&["check", path, "--keep-complete-lines"]), 0, &["valid", "torn and was left out"]);
    std::fs::write(&file, zstd::encode_all(&b" ".repeat(3 << 20)[..], 3).unwrap()).unwrap();
    says(&trueline(&["check", path, "--memory", "2", "--format", "jsonl"]), 254, &["more than 2 MiB", "--memory"]);
}

#[test]
fn a_stale_read_is_named() {
    let stale = VALID.replace(r#""ok","f":"read","value":1"#, r#""ok","f":"read","value":null"#);
    says(&check(&stale, &[]), 1, &["invalid", "tale read"]);
    says(&check(&stale, &["--json"]), 1, &[r#""verdict": "invalid""#, r#""anomaly": "stale-read""#]);
}

#[test]
fn a_certificate_is_verified_and_of_another_history_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (valid, stale, proof) = (path("valid.jsonl"), path("stale.jsonl"), path("proof.json"));
    std::fs::write(&valid, VALID).unwrap();
    std::fs::write(&stale, VALID.replace(r#""ok","f":"read","value":1"#, r#""ok","f":"read","value":null"#)).unwrap();
    says(&trueline(&["check", "--certificate", &proof, &valid]), 0, &["valid"]);
    says(&trueline(&["verify", &valid, &proof]), 0, &["holds", "is linearizable"]);
    says(&trueline(&["verify", &stale, &proof]), 1, &["does not hold"]);
    says(&trueline(&["check", "--certificate", &proof, &stale]), 1, &["invalid"]);
    says(&trueline(&["verify", &stale, &proof]), 0, &["holds", "NOT linearizable"]);
    says(&trueline(&["verify", &valid, &proof]), 1, &["does not hold"]);
    std::fs::write(&proof, "{}").unwrap();
    says(&trueline(&["verify", &stale, &proof]), 254, &["proof.json"]);
}

#[test]
fn an_empty_history_is_vacuous() {
    says(&check("", &[]), 3, &["vacuous"]);
}

#[test]
fn a_budget_that_ends_is_unknown() {
    // Not-unique values need the searches, and no time is left for them.
    let mut history = String::new();
    for process in 0..30 {
        history += &format!(
            "{{\"process\":{process},\"type\":\"invoke\",\"f\":\"cas\",\"value\":[{},{}]}}\n",
            process % 3,
            (process + 1) % 3
        );
    }
    for process in 0..30 {
        history += &format!(
            "{{\"process\":{process},\"type\":\"ok\",\"f\":\"cas\",\"value\":[{},{}]}}\n",
            process % 3,
            (process + 1) % 3
        );
    }
    says(&check(&history, &["--initial", "0", "--time", "0s"]), 2, &["unknown", "--time"]);
}

#[test]
fn what_is_wrong_with_a_history_is_said_with_its_line() {
    says(&trueline(&["check", "/nowhere/history.jsonl"]), 254, &["/nowhere/history.jsonl", "No such file"]);
    let without_invoke: String = VALID.lines().skip(2).map(|line| format!("{line}\n")).collect();
    says(&check(&without_invoke, &[]), 254, &["line 1"]);
    says(&check(&VALID.replace("\"ok\"", "\"okay\""), &[]), 254, &["line 3"]);
    says(&check(VALID, &["--model", "list-append"]), 254, &["cannot be judged against"]);
    says(&check("no history at all", &["--format", "jsonl"]), 254, &["line 1"]);
}

#[test]
fn impossible_options_are_refused() {
    says(&trueline(&["run", "--nemesis", "earthquake"]), 254, &["earthquake", "partition"]);
    says(&trueline(&["run", "--nodes", "0"]), 254, &["--nodes"]);
    says(&trueline(&["run", "--time", "0s"]), 254, &["--time"]);
    says(&trueline(&["run", "--time", "soon"]), 254, &["30s"]);
    says(&trueline(&["run", "--reads", "serializable"]), 254, &["etcd"]);
    says(&trueline(&["run", "--mutant", "raft-is-tired"]), 254, &["raft-is-tired", "raft-read-any-node"]);
    says(&trueline(&["run", "--binary", "/nowhere/node"]), 254, &["/nowhere/node", "executable"]);
    says(
        &trueline(&["run", "--system", "etcd", "--binary", "/bin/true", "--nemesis", "power"]),
        254,
        &["etcd", "power"],
    );
    says(
        &trueline(&["run", "--system", "etcd", "--binary", "/bin/true", "--network", "proxy"]),
        254,
        &["--network fabric"],
    );
    says(&trueline(&["fly"]), 254, &["fly"]);
}

#[test]
fn a_system_that_is_not_installed_names_its_package() {
    let output = Command::new(env!("CARGO_BIN_EXE_trueline"))
        .args(["run", "--system", "etcd"])
        .env("PATH", "/nowhere")
        .output()
        .unwrap();
    says(&output, 254, &["etcd-server", "--binary"]);
}

#[test]
fn a_store_that_cannot_be_made_is_a_harness_error() {
    let output = trueline(&["run", "--store", "/proc/nowhere", "--network", "proxy"]);
    says(&output, 255, &["/proc/nowhere"]);
}

#[test]
fn help_is_not_an_error() {
    says(&trueline(&["--help"]), 0, &["Exit codes", "vacuous"]);
    says(&trueline(&["run", "--help"]), 0, &["Examples", "--nemesis"]);
    says(&trueline(&["check", "--help"]), 0, &["Examples", "--model"]);
}

#[test]
fn two_nodes_cannot_share_a_data_directory() {
    let directory = tempfile::tempdir().unwrap();
    let node = |directory: &Path, port: u16| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trueline"));
        command.args(["node", "--id", "1", "--peers", "1=127.0.0.1:0", "--listen-peer", "127.0.0.1:0"]);
        command.arg("--listen-client").arg(format!("127.0.0.1:{port}"));
        command.arg("--data-dir").arg(directory);
        command
    };
    let mut first = node(directory.path(), 0).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut ready = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(first.stdout.as_mut().unwrap()), &mut ready).unwrap();
    assert!(ready.starts_with("ready"), "{ready}");
    let second = node(directory.path(), 0).output().unwrap();
    first.kill().unwrap();
    first.wait().unwrap();
    says(&second, 73, &[directory.path().to_str().unwrap()]);
}
