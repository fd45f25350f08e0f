//! Systems that are described in words: the examples of `docs/`, held to what the built-in adapter says, and to what they promise.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
    time::Duration,
};

use checkers::history::{Action, Value};
use serde_json::{Value as Json, json};
use trueline::settings::Settings;
use whole::{ends_with, processes};
use workloads::{
    client::{Client, DescribedClient, EtcdClient, EtcdReads, Outcome, described::Api},
    generator::Invocation,
};

#[path = "support/whole.rs"]
mod whole;

/// Long enough never to be met by a server that answers.
const PATIENT: Duration = Duration::from_secs(30);

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples").join(name).join("trueline.toml")
}

/// Whether this program is there; says so where it is not.
fn is_there(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("skipped: there is no {program} here");
    }
    there
}

fn run(store: &Path, flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trueline"));
    command.args(["run", "--quiet", "--nodes", "3", "--store"]).arg(store).args(flags);
    command.output().expect("trueline can be started")
}

fn described(store: &Path, file: &Path, flags: &[&str]) -> Output {
    run(store, &[&["--config", file.to_str().expect("text")], flags].concat())
}

fn etcd_as_described() -> Arc<Api> {
    let mut settings = Settings::read(&example("etcd")).expect("an example that can be read");
    let description = settings.system.remove("etcd-described").expect("it is described there");
    Arc::new(description.api(None))
}

/// A server that always answers the same; its address.
async fn always(status: u16, body: String) -> String {
    let status = axum::http::StatusCode::from_u16(status).expect("a status");
    let app = axum::Router::new().fallback(move || {
        let body = body.clone();
        async move { (status, body) }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

fn operations() -> [Invocation; 4] {
    let (one, two) = (Value::Int(1), Value::Int(2));
    let actions = [
        Action::Read,
        Action::Write(one.clone()),
        Action::Cas { old: one, new: two.clone() },
        Action::Cas { old: Value::Nil, new: two },
    ];
    actions.map(|action| Invocation { key: "k1".to_owned(), action })
}

/// Everything that an answer of etcd's gateway can be like, sensible or not.
fn answers() -> Vec<(u16, Json)> {
    let error = |code: u64, message: &str| json!({"error": message, "message": message, "code": code});
    // "7" and "hello" in base64.
    let kv = |value: &str| json!({"key": "azE=", "mod_revision": "5", "value": value});
    let found = |kvs: Json| json!({"header": {}, "kvs": kvs});
    let refused = |range: Json| json!({"header": {}, "responses": [{"response_range": range}]});
    let mut answers = vec![
        (200, found(json!([kv("Nw==")]))),
        (200, found(json!([]))),
        (200, found(json!("?"))),
        (200, found(json!([{"key": "azE=", "value": "Nw=="}]))),
        (200, found(json!([{"key": "azE=", "mod_revision": "5"}]))),
        (200, json!({"header": {"revision": "3"}})),
        (200, json!({"header": {}, "succeeded": true})),
        (200, json!({"succeeded": true})),
        (200, refused(found(json!([kv("Nw==")])))),
        (200, refused(json!({"header": {}}))),
        (200, json!({"header": {}, "responses": []})),
    ];
    for value in ["%%", "aGVsbG8="] {
        answers.extend([(200, found(json!([kv(value)]))), (200, refused(found(json!([kv(value)]))))]);
    }
    for nonsense in [json!({}), json!([]), json!({"header": 1}), json!({"error": "?"}), json!(null)] {
        answers.push((200, nonsense));
    }
    for (status, code, message) in [
        (400, 3, "etcdserver: key is not provided"),
        (403, 7, "etcdserver: permission denied"),
        (501, 12, "unknown method"),
        (401, 16, "etcdserver: invalid auth token"),
        (429, 8, "etcdserver: too many requests"),
        (429, 8, "etcdserver: mvcc: database space exceeded"),
        (429, 8, "grpc: received message larger than max (5 vs. 4)"),
        (408, 4, "context deadline exceeded"),
        (500, 2, "unknown"),
        (503, 14, "etcdserver: leader changed"),
        (503, 14, "etcdserver: request timed out"),
    ] {
        answers.push((status, error(code, message)));
    }
    answers.extend([(503, json!({"code": "3"})), (302, json!({})), (404, json!("not found"))]);
    answers
}

#[tokio::test]
async fn etcd_in_words_and_in_code_take_every_answer_for_the_same() {
    let api = etcd_as_described();
    let mut meant: BTreeMap<String, u32> = BTreeMap::new();
    for (status, body) in answers() {
        let base_url = always(status, body.to_string()).await;
        let mut in_code = EtcdClient::new(&base_url, EtcdReads::Linearizable).expect("an address");
        let mut in_words = DescribedClient::new(&base_url, Arc::clone(&api)).expect("an address");
        for operation in operations() {
            let wanted: Outcome = in_code.invoke(&operation, PATIENT).await;
            let outcome = in_words.invoke(&operation, PATIENT).await;
            assert_eq!(outcome.completion, wanted.completion, "{status} {body} to {operation:?}: {outcome:?}");
            *meant.entry(format!("{:?}", wanted.completion)).or_default() += 1;
        }
    }
    // The table has something of everything in it.
    for completion in
        ["Ok(None)", "Ok(Some(Int(7)))", "Ok(Some(Nil))", "Fail", "Info", "Mismatch { observed: Some(Int(7)) }"]
    {
        assert!(meant.get(completion).is_some_and(|count| *count > 0), "{completion} in {meant:?}");
    }
}

#[tokio::test]
async fn what_was_not_sent_is_a_fail_and_what_was_not_answered_is_unknown() {
    let api = etcd_as_described();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = format!("http://{}", listener.local_addr().expect("an address"));
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        format!("http://{}", listener.local_addr().expect("an address"))
    };
    for operation in operations() {
        let mut client = DescribedClient::new(&nobody, Arc::clone(&api)).expect("an address");
        assert_eq!(client.invoke(&operation, PATIENT).await, Outcome::fail("connection-refused"));
        let mut client = DescribedClient::new(&silent, Arc::clone(&api)).expect("an address");
        let outcome = client.invoke(&operation, Duration::from_millis(100)).await;
        assert_eq!(outcome, Outcome::unanswered(&operation.action, "timeout"));
    }
}

#[test]
fn etcd_in_words_has_the_verdicts_of_etcd_in_code() {
    if !is_there("etcd") {
        return;
    }
    let store = tempfile::tempdir().expect("a directory");
    for seed in ["1", "2"] {
        let flags = ["--time", "4s", "--seed", seed];
        let good = [&flags[..], &["--nemesis", "partition,kill"]].concat();
        let stale = [&flags[..], &["--nemesis", "partition", "--reads", "serializable", "--fail-fast"]].concat();
        for (flags, code, words) in [(good, 0, ["VALID"]), (stale, 1, ["INVALID"])] {
            ends_with(&run(store.path(), &[&flags[..], &["--system", "etcd"]].concat()), code, &words);
            let flags = [&flags[..], &["--system", "etcd-described"]].concat();
            ends_with(&described(store.path(), &example("etcd"), &flags), code, &words);
            assert_eq!(processes(store.path()), [""; 0], "nothing outlives a run");
        }
    }
}

#[test]
fn the_small_store_holds_what_its_flags_promise_and_no_more() {
    if !is_there("python3") {
        return;
    }
    let store = tempfile::tempdir().expect("a directory");
    let run = |system: &str, nemesis: &str, code: i32, words: &[&str]| {
        let flags = ["--system", system, "--nemesis", nemesis, "--time", "4s", "--seed", "1", "--fail-fast"];
        ends_with(&described(store.path(), &example("kvstore"), &flags), code, words);
    };
    run("kvstore", "none", 1, &["stale read"]);
    run("kvstore-primary", "none", 0, &["VALID  kvstore-primary"]);
    run("kvstore-primary", "kill-leader", 1, &["INVALID  kvstore-primary", "consistency  invalid"]);
    run("kvstore-sync", "kill-leader,partition", 0, &["VALID  kvstore-sync"]);
    let flags =
        ["--system", "kvstore-sync", "--nemesis", "partition", "--time", "3s", "--seed", "1", "--network", "proxy"];
    ends_with(&described(store.path(), &example("kvstore"), &flags), 0, &["VALID  kvstore-sync"]);
}

#[test]
fn a_described_system_is_replayed_without_its_file() {
    if !is_there("python3") {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let store = dir.path().join("store");
    let (from, to) = (example("kvstore"), dir.path().join("kv"));
    std::fs::create_dir(&to).expect("a directory");
    for name in ["trueline.toml", "kvstore.py"] {
        std::fs::copy(from.with_file_name(name), to.join(name)).expect("copied");
    }
    let file = to.join("trueline.toml");
    let flags = ["--system", "kvstore", "--nemesis", "none", "--time", "3s", "--seed", "1", "--fail-fast"];
    ends_with(&described(&store, &file, &flags), 1, &["stale read"]);
    std::fs::remove_file(&file).expect("removed");
    let output = Command::new(env!("CARGO_BIN_EXE_trueline"))
        .args(["replay", "latest", "--times", "2", "--quiet", "--store"])
        .arg(&store)
        .output()
        .expect("trueline can be started");
    ends_with(&output, 1, &["reproduced 2 of 2"]);
}

#[test]
fn what_is_not_described_is_told() {
    let store = tempfile::tempdir().expect("a directory");
    let kv = |flags: &[&str], words: &[&str]| {
        ends_with(&described(store.path(), &example("kvstore"), flags), 254, words);
    };
    if is_there("python3") {
        kv(&["--system", "kvstore", "--workload", "append"], &["needs append.read and append.append"]);
        kv(&["--system", "kvstore", "--nemesis", "power"], &["cannot suffer the nemesis power"]);
        kv(&["--system", "kvstore", "--nemesis", "messages"], &["cannot suffer the nemesis messages"]);
        kv(&["--system", "kvstore", "--binary", "/nowhere/python"], &["/nowhere/python"]);
    }
    kv(&["--system", "kvstore", "--retry"], &["--retry needs sessions"]);
    kv(&["--system", "kvstore", "--mutant", "raft-no-dedup"], &["--mutant"]);
    kv(&["--system", "kvstore", "--reads", "dirty"], &["--reads dirty"]);
    kv(&["--system", "kv"], &["no system is called \"kv\"", "kvstore-sync"]);
    let file = store.path().join("trueline.toml");
    let text = std::fs::read_to_string(example("kvstore")).expect("read");
    std::fs::write(&file, text.replace("\"python3\"", "\"no-such-python\"")).expect("written");
    let output = described(store.path(), &file, &["--system", "kvstore"]);
    ends_with(&output, 254, &["no-such-python", "is neither a file that can be executed nor to be found in PATH"]);
}
