//! `trueline serve` over real sockets: what it shows, and what it does not, whoever asks and whoever made the store.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::fs::symlink,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use checkers::verdict::Verdict;
use results::{
    store::{CollectionKind, Store},
    summary::Summary,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use stored::{FIRST, SECOND, THIRD, made, three};

#[path = "support/stored.rs"]
mod stored;

/// An answer must come within this.
const ANSWER_MAX: Duration = Duration::from_secs(20);

struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(store: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trueline"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--store"]).arg(store);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let port = line.split("http://127.0.0.1:").nth(1).and_then(|rest| rest.split('/').next()).expect(&line);
        Self { port: port.parse().unwrap(), child }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(ANSWER_MAX)).unwrap();
        stream
    }

    /// Sends this as it is.
    fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect();
        stream.write_all(request).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        Answer::parse(&answer)
    }

    fn ask(&self, method: &str, path: &str) -> Answer {
        let host = format!("127.0.0.1:{}", self.port);
        self.raw(format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes())
    }

    #[track_caller]
    fn get(&self, path: &str) -> Answer {
        let answer = self.ask("GET", path);
        answer.is_guarded();
        assert!(answer.status < 500, "{path}: {answer:?}");
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn parse(answer: &[u8]) -> Self {
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(answer.len());
        let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
        let body = String::from_utf8_lossy(answer.get(end + 4..).unwrap_or_default()).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, head, body }
    }

    /// What every answer has, whatever it is.
    #[track_caller]
    fn is_guarded(&self) {
        for header in [
            "x-content-type-options: nosniff",
            "x-frame-options: deny",
            "referrer-policy: no-referrer",
            "cross-origin-resource-policy: same-origin",
            "content-security-policy: ",
            "default-src 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(self.head.contains(header), "{header} is not in {}", self.head);
        }
        assert!(!self.head.contains("set-cookie") && !self.head.contains("access-control"), "{}", self.head);
        let is_page = self.head.contains("text/html") && !self.head.contains("sandbox allow-scripts");
        if is_page {
            assert!(!self.head.contains("unsafe") && !self.head.contains("script-src"), "{}", self.head);
            assert!(!self.body.to_lowercase().contains("<script"), "{}", self.body);
        }
    }

    #[track_caller]
    fn says(&self, words: &[&str]) {
        for word in words {
            assert!(self.body.contains(word), "{word:?} is not in: {}", self.body);
        }
    }
}

/// How many runs a page lists.
fn count(answer: &Answer) -> usize {
    answer.body.matches("<a href=\"/runs/").count()
}

#[test]
fn runs_are_listed_selected_sorted_and_shown() {
    let store = three();
    drop(Store::open(store.path()).unwrap().create_collection(CollectionKind::Gate).unwrap());
    let server = Server::start(store.path());
    let all = server.get("/");
    all.says(&["<b>33a</b>a", "<b>c</b>000", "build=b2", "3 runs in", "unknown"]);
    assert!(all.body.find("-c000") < all.body.find("-33aa"), "the newest first");
    assert_eq!((all.status, count(&all)), (200, 3));
    let up = server.get("/?sort=seed&order=up");
    assert!(up.body.find("/runs/20261121-01") < up.body.find("/runs/20261121-03"), "{}", up.body);
    assert_eq!(count(&server.get("/?q=label.build%3Db2+system%3Draft")), 1);
    assert_eq!(count(&server.get("/?sort=size")), 3);
    let wrong = server.get("/?q=sytem%3Draft%22%3E%3Cscript%3E");
    assert_eq!(wrong.status, 400);
    wrong.says(&["there are system, workload", "&lt;script&gt;"]);

    let run = server.get(&format!("/runs/{SECOND}"));
    run.says(&["raft", "not concluded", "build=b2", "As on the terminal", "/files/history.jsonl.zst"]);
    let manifest = server.get(&format!("/runs/{SECOND}/files/manifest.json"));
    assert!(manifest.head.contains("content-type: text/plain; charset=utf-8") && manifest.head.contains("sandbox"));
    assert_eq!(serde_json::from_str::<Value>(&manifest.body).unwrap()["seed"], 2);
    fs::write(store.path().join(SECOND).join("report.html"), "<script>report()</script>").unwrap();
    let report = server.get(&format!("/runs/{SECOND}/report"));
    assert_eq!((report.status, report.body.as_str()), (200, "<script>report()</script>"));
    // Not even this server's other pages can be read by it: it has no origin.
    assert!(
        report.head.contains("sandbox allow-scripts;") && !report.head.contains("allow-same-origin"),
        "{}",
        report.head
    );
    server.get(&format!("/runs/{SECOND}")).says(&[&format!("/runs/{SECOND}/report")]);
    server.get("/collections").says(&["gate-", "broken off"]);
    assert_eq!(server.get("/favicon.ico").status, 204);
    let head = server.ask("HEAD", "/");
    head.is_guarded();
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

/// A step in a figure is shown, whoever named the runs.
#[test]
fn trends_are_shown_with_their_steps() {
    let store = tempfile::tempdir().unwrap();
    for number in 0..40_u64 {
        let run = made(store.path(), &format!("20261121-01{number:02}00-{number:04x}"), 7);
        let mut summary = Summary { verdict: Verdict::Valid, ..Summary::new("raft", "register", 7) };
        summary.throughput.mean = if number < 20 { 1000.0 } else { 500.0 } + (number * 7 % 5) as f64;
        summary.throughput.highest = 1;
        run.write_verdict(&summary).unwrap();
    }
    let server = Server::start(store.path());
    let page = server.get("/trends");
    page.says(&["throughput", "WORSE", "<svg", "40 points"]);
    server.get("/trends?q=latest:3").says(&["3 points", "No step was found"]);
    server.get("/trends?metric=%3Cscript%3E").says(&["&lt;script&gt;", "there are"]);
    server.get("/trends?q=sytem%3Dx").says(&["there are system, workload"]);
}

/// Where a run has no report, one is made; one that cannot be made is told.
#[test]
fn a_report_is_made_where_there_is_none() {
    let store = three();
    let server = Server::start(store.path());
    server.get(&format!("/runs/{FIRST}")).says(&["/report\""]);
    let made = server.get(&format!("/runs/{FIRST}/report"));
    assert!(made.status == 200 && made.body.contains(FIRST), "{made:?}");
    assert!(made.head.contains("sandbox allow-scripts;") && !made.head.contains("allow-same-origin"), "{}", made.head);
    fs::write(store.path().join(SECOND).join("history.jsonl.zst"), "<script>no history\n{}\n").unwrap();
    let failed = server.get(&format!("/runs/{SECOND}/report"));
    assert_eq!(failed.status, 404);
    failed.says(&["No report can be made of this run"]);
    fs::remove_file(store.path().join(THIRD).join("history.jsonl.zst")).unwrap();
    assert!(!server.get(&format!("/runs/{THIRD}")).body.contains("/report\""), "no link to what cannot be made");
}

#[test]
fn only_requests_meant_for_it_are_answered() {
    let store = three();
    let server = Server::start(store.path());
    let port = server.port;
    let asked = |host: &str| server.raw(format!("GET / HTTP/1.1\r\n{host}Connection: close\r\n\r\n").as_bytes());
    for host in [format!("localhost:{port}"), format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
        assert_eq!(asked(&format!("Host: {host}\r\n")).status, 200, "{host}");
    }
    let other = port ^ 1;
    for host in [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        format!("localhost:{other}"),
        "localhost".to_owned(),
        String::new(),
    ] {
        let answer = asked(&format!("Host: {host}\r\n"));
        answer.is_guarded();
        assert_eq!(answer.status, 421, "{host}");
        // No run is named; the digits of one alone may be in the page's random number, too.
        assert!(!answer.body.contains(FIRST) && !answer.body.contains("/runs/2"), "{host}");
    }
    assert_eq!(asked("").status, 421, "without a host");
    assert!(asked(&format!("Host: localhost:{port}\r\nHost: evil.example\r\n")).status >= 400, "with two");
    let first_line =
        format!("GET http://evil.example/ HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n");
    assert_eq!(server.raw(first_line.as_bytes()).status, 421);
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
        let answer = server.ask(method, &format!("/runs/{FIRST}"));
        answer.is_guarded();
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.head.contains("allow: get, head"), "{}", answer.head);
    }
    assert!(store.path().join(FIRST).exists());
}

#[test]
fn nothing_else_on_the_disk_is_reached() {
    let store = three();
    let (outside, path) = (tempfile::tempdir().unwrap(), store.path());
    fs::write(outside.path().join("manifest.json"), "SECRET").unwrap();
    fs::write(path.join("notes.txt"), "SECRET").unwrap();
    fs::write(path.join(FIRST).join("notes.txt"), "SECRET").unwrap();
    fs::create_dir_all(path.join(FIRST).join("data/1")).unwrap();
    fs::write(path.join(FIRST).join("data/1/wal"), "SECRET").unwrap();
    symlink(outside.path(), path.join("20261121-050000-eeee")).unwrap();
    for name in ["report.html", "schedule.jsonl"] {
        symlink(outside.path().join("manifest.json"), path.join(FIRST).join(name)).unwrap();
    }
    fs::remove_dir(path.join(SECOND).join("nodes")).unwrap();
    symlink(outside.path(), path.join(SECOND).join("nodes")).unwrap();
    fs::write(outside.path().join("1.log"), "SECRET").unwrap();
    fs::write(outside.path().join("passwd"), "SECRET").unwrap();
    let server = Server::start(path);
    let up = outside.path().display().to_string().replace('/', "%2f");
    for wanted in [
        "/runs/20261121-050000-eeee".to_owned(),
        "/runs/20261121-050000-eeee/files/manifest.json".to_owned(),
        format!("/runs/{FIRST}/report"),
        format!("/runs/{FIRST}/files/report.html"),
        format!("/runs/{FIRST}/files/schedule.jsonl"),
        format!("/runs/{FIRST}/files/notes.txt"),
        format!("/runs/{FIRST}/files/data/1/wal"),
        format!("/runs/{FIRST}/files/lock"),
        format!("/runs/{FIRST}/files/../notes.txt"),
        format!("/runs/{FIRST}/files/..%2f..%2fnotes.txt"),
        format!("/runs/{FIRST}/files/%2e%2e/%2e%2e/notes.txt"),
        format!("/runs/{FIRST}/files/{up}%2fpasswd"),
        format!("/runs/{FIRST}/files//etc/passwd"),
        format!("/runs/{FIRST}/files/manifest.json%00"),
        format!("/runs/{FIRST}/files/"),
        format!("/runs/{SECOND}/files/nodes/1.log"),
        "/runs/..".to_owned(),
        "/runs/..%2fnotes.txt".to_owned(),
        "/runs/%2e%2e%2f%2e%2e%2fetc%2fpasswd".to_owned(),
        "/runs/..%2f..%2f..%2fetc/files/passwd".to_owned(),
        format!("/runs/{up}"),
        "/runs/latest".to_owned(),
        "/runs/33a".to_owned(),
        "/runs/%ff%fe".to_owned(),
        "/runs/".to_owned(),
        "/../../etc/passwd".to_owned(),
        "/notes.txt".to_owned(),
        "/%00".to_owned(),
    ] {
        let answer = server.get(&wanted);
        assert!((400..500).contains(&answer.status), "{wanted}: {answer:?}");
        assert!(!answer.body.contains("SECRET") && !answer.body.contains("root:"), "{wanted}: {}", answer.body);
    }
    for page in ["/".to_owned(), format!("/runs/{FIRST}"), format!("/runs/{SECOND}")] {
        let answer = server.get(&page);
        assert!(answer.status == 200 && !answer.body.contains("SECRET") && !answer.body.contains("-eeee"), "{page}");
    }
    // What is refused is refused for what it is, not because nothing is served.
    assert_eq!(server.get(&format!("/runs/{FIRST}/files/manifest.json")).status, 200);
}

#[test]
fn whatever_somebody_put_into_a_store_is_only_text() {
    let store = three();
    let path = store.path();
    let edit = |name: &str, file: &str, change: &dyn Fn(&mut Value)| {
        let path = path.join(name).join(file);
        let mut value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut value);
        fs::write(path, value.to_string()).unwrap();
    };
    let evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u{202e}\u{1b}[2J\u{0}";
    edit(FIRST, "verdict.json", &|summary| {
        for field in ["system", "workload", "reason", "harness_error", "replay"] {
            summary[field] = json!(evil);
        }
        summary["verdict"] = json!("invalid");
        summary["notes"] = json!([evil]);
        summary["checks"] = json!([{"name": "consistency", "result": "invalid", "reason": evil}]);
        summary["violation"] =
            json!({"anomaly": "stale-read", "key": evil, "sentences": [evil], "diagram": [evil], "operations": []});
        summary["files"] = json!({evil: evil});
        summary["faults"] = json!({evil: {"started": 1, "landed": 1}});
    });
    edit(FIRST, "manifest.json", &|manifest| {
        manifest["labels"] = json!({evil: evil, "javascript:alert(1)": "x", "plain": "\u{202e}abc"});
        manifest["trueline"] = json!(evil);
        manifest["directory_revision"] = json!(evil);
        manifest["command"] = json!([evil]);
        manifest["started"] = json!(evil);
        manifest["config"] = json!({"system": evil, "mutant": evil, "nemeses": evil, "nodes": evil, "workload": evil});
        manifest["machine"]["cpu_model"] = json!(evil);
        manifest["machine"]["kernel"] = json!(evil);
    });
    assert!(
        serde_json::from_slice::<Summary>(&fs::read(path.join(FIRST).join("verdict.json")).unwrap()).is_ok(),
        "it is read"
    );
    fs::write(path.join(SECOND).join("manifest.json"), format!("no JSON {evil}")).unwrap();
    fs::File::create(path.join(SECOND).join("verdict.json")).unwrap().set_len(1 << 40).unwrap();
    edit(THIRD, "manifest.json", &|manifest| manifest["format"] = json!(99));
    edit(THIRD, "verdict.json", &|summary| summary["format"] = json!(99));
    for name in
        [evil.trim_end_matches('\0').replace('/', "_").as_str(), "20261121-010000-33a<", "..20261121", "hunt-<script>"]
    {
        fs::create_dir(path.join(name)).unwrap();
    }
    fs::write(path.join("20261121-090000-0000"), "a file").unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        path.join(FIRST).join("nodes.jsonl"),
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();

    let server = Server::start(path);
    let pages =
        ["/".to_owned(), "/?sort=size".to_owned(), "/?sort=system&order=up".to_owned(), "/collections".to_owned()];
    for page in pages.into_iter().chain([FIRST, SECOND, THIRD].map(|name| format!("/runs/{name}"))) {
        let answer = server.get(&page);
        assert_eq!(answer.status, 200, "{page}: {answer:?}");
        let text = &answer.body;
        assert!(
            !text.contains("<script") && !text.contains("<img") && !text.contains("href=\"javascript"),
            "{page}: {text}"
        );
        let is_bad = |c: char| c.is_control() && c != '\n' || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!text.chars().any(is_bad), "{page}");
    }
    let run = server.get(&format!("/runs/{FIRST}"));
    run.says(&["&lt;script&gt;alert(1)&lt;/script&gt;", "\\u{202e}\\u{1b}[2J", "&lt;img src=x"]);
    server.get("/").says(&["larger than 16 MiB", "format 99", "3 runs in", "unreadable"]);
    server.get(&format!("/runs/{SECOND}")).says(&["unreadable", "does not hold what belongs there"]);
    for file in ["nodes.jsonl", "manifest.json"] {
        server.get(&format!("/runs/{FIRST}/files/{file}"));
    }
    assert_eq!(server.get(&format!("/runs/{SECOND}/files/verdict.json")).status, 404, "too large");
}

#[test]
fn a_page_has_a_bounded_number_of_runs() {
    let store = tempfile::tempdir().unwrap();
    for number in 0..230 {
        made(store.path(), &format!("20261121-{:02}{:02}00-{number:04x}", number / 60, number % 60), number);
    }
    let server = Server::start(store.path());
    let counts: Vec<usize> = (0..4).map(|page| count(&server.get(&format!("/?page={page}")))).collect();
    assert_eq!(counts, [100, 100, 30, 0]);
    server.get("/?page=1").says(&["page 2 of 3", "230 runs", "newer", "older"]);
    assert_eq!(count(&server.get("/?page=18446744073709551615")), 0);
    assert_eq!(count(&server.get("/?q=latest:7")), 7);
}

#[test]
fn an_interrupt_ends_it_even_while_somebody_waits() {
    let store = three();
    for signal in [Signal::INT, Signal::TERM] {
        let mut server = Server::start(store.path());
        assert_eq!(server.get("/").status, 200);
        let mut slow = server.connect();
        slow.write_all(b"GET / HTTP/1.1\r\nHost: ").unwrap();
        kill_process(Pid::from_child(&server.child), signal).unwrap();
        let begin = Instant::now();
        let status = loop {
            match server.child.try_wait().unwrap() {
                Some(status) => break status,
                None => std::thread::sleep(Duration::from_millis(20)),
            }
            assert!(begin.elapsed() < Duration::from_secs(10), "it goes on");
        };
        assert_eq!(status.code(), Some(0));
    }
}

#[test]
fn other_machines_are_let_in_only_when_that_is_said() {
    let store = three();
    let serve = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trueline"));
        command.arg("serve").args(arguments).arg("--store").arg(store.path()).stdin(Stdio::null()).output().unwrap()
    };
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:7357"] {
        let output = serve(&["--listen", address]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(254), "{text}");
        assert!(text.contains("--allow-remote"), "{text}");
    }
    assert_eq!(serve(&["--listen", "nowhere"]).status.code(), Some(254));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let output = serve(&["--listen", &taken.local_addr().unwrap().to_string()]);
    assert_eq!(output.status.code(), Some(254));
    assert!(String::from_utf8_lossy(&output.stderr).contains("choose another port"));
    // And when it is said, it listens.
    let mut command = Command::new(env!("CARGO_BIN_EXE_trueline"));
    command.args(["serve", "--listen", "0.0.0.0:0", "--allow-remote", "--store"]).arg(store.path());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.contains("http://127.0.0.1:"), "{line}");
}
