//! Node processes, with shells as nodes: what the harness does to them, and what it learns about their ends.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use trueline::process::{ExitCause, NodeCommand, NodeProcess, PowerLoss, Spawner};

/// Longer than anything here takes; reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(10);
/// Set for a copy of this test program that plays the harness.
const HARNESS_ROLE: &str = "TRUELINE_TEST_HARNESS_LOG";

fn shell(script: &str, log_file: &Path) -> NodeCommand {
    NodeCommand {
        program: "/bin/sh".into(),
        args: ["-c", script].map(OsString::from).into(),
        env: vec![("GREETING".into(), "hello".into())],
        dir: None,
        netns: None,
        log_file: log_file.into(),
    }
}

/// A running node, and what it stands on.
struct Node {
    process: NodeProcess,
    directory: TempDir,
    _spawner: Spawner,
}

impl Node {
    fn start(script: &str) -> Self {
        let directory = tempfile::tempdir().expect("make a directory");
        let spawner = Spawner::start().expect("start the spawner");
        let process = spawner.spawn(shell(script, &directory.path().join("log"))).expect("start a node");
        Node { process, directory, _spawner: spawner }
    }

    /// Starts a node that says "ready" when its signal handlers are in place.
    fn ready(script: &str) -> Self {
        let node = Node::start(script);
        eventually("ready", || node.log().contains("ready"));
        node
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).expect("read the log")
    }
}

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "still not so: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// The letter that the kernel gives a process: `S` sleeping, `T` stopped, `Z` ended. `None` when there is none.
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.trim_start().chars().next()
}

#[test]
fn an_exit_code_is_seen_as_the_nodes_own() {
    let node = Node::start("exit 7");
    let exit = node.process.wait(PATIENCE).expect("wait").expect("it ends");
    assert_eq!((exit.code, exit.signal, exit.cause), (Some(7), None, ExitCause::ByItself));
    assert_eq!(node.process.kill().expect("it is gone already"), exit, "a kill after the end does not change it");
    assert_eq!(node.process.try_exit().expect("ask"), Some(exit));
}

#[test]
fn a_running_node_has_no_exit() {
    let node = Node::start("sleep 1000");
    assert_eq!(node.process.try_exit().expect("ask"), None);
    assert_eq!(node.process.wait(Duration::from_millis(20)).expect("wait"), None);
}

#[test]
fn a_kill_is_told_apart_from_a_crash() {
    let node = Node::start("sleep 1000");
    let exit = node.process.kill().expect("kill");
    assert_eq!((exit.code, exit.signal, exit.cause), (None, Some(libc::SIGKILL), ExitCause::Killed));
    assert_eq!(state(node.process.pid()), None, "reaped");
    let node = Node::start("kill -ABRT $$");
    let exit = node.process.wait(PATIENCE).expect("wait").expect("it ends");
    assert_eq!((exit.signal, exit.cause), (Some(libc::SIGABRT), ExitCause::ByItself));
}

#[test]
fn a_kill_takes_the_nodes_helpers_too() {
    let node = Node::start("sleep 1000 & echo helper $! ready; wait");
    eventually("the helper runs", || node.log().contains("ready"));
    let helper: u32 = node.log().split_whitespace().nth(1).and_then(|pid| pid.parse().ok()).expect("a process id");
    assert!(state(helper).is_some());
    node.process.kill().expect("kill");
    eventually("the helper gone", || matches!(state(helper), None | Some('Z')));
}

#[test]
fn a_paused_node_stands_still_until_it_is_resumed() {
    let node = Node::ready("echo ready; while :; do echo tick; sleep 0.01; done");
    node.process.pause().expect("pause");
    // A shell that is just starting a program waits for it (`vfork`), and cannot be stopped itself; but then the program is.
    eventually("stopped", || matches!(state(node.process.pid()), Some('T' | 'D')));
    assert!(node.process.is_paused());
    let before = node.log().len();
    thread::sleep(Duration::from_millis(100));
    assert_eq!(node.log().len(), before);
    assert_eq!(node.process.try_exit().expect("ask"), None, "stopped is not ended");
    node.process.resume().expect("resume");
    eventually("it goes on", || node.log().len() > before);
    assert!(!node.process.is_paused());
}

#[test]
fn a_paused_node_can_be_killed() {
    let node = Node::start("sleep 1000");
    node.process.pause().expect("pause");
    assert_eq!(node.process.kill().expect("kill").cause, ExitCause::Killed);
}

#[test]
fn a_power_loss_is_the_nodes_own_deed_on_request() {
    let node = Node::ready("trap 'echo torn; exit 75' USR1; echo ready; while :; do sleep 0.01; done");
    let PowerLoss::Gone(exit) = node.process.power_loss().expect("power loss") else { panic!("it has a handler") };
    assert_eq!((exit.code, exit.cause), (Some(75), ExitCause::PowerLoss));
    assert!(node.log().ends_with("torn\n"), "{}", node.log());
}

#[test]
fn an_assertion_during_a_power_loss_is_a_crash() {
    let node = Node::ready("trap 'exit 70' USR1; echo ready; while :; do sleep 0.01; done");
    let PowerLoss::Gone(exit) = node.process.power_loss().expect("power loss") else { panic!("it has a handler") };
    assert_eq!((exit.code, exit.cause), (Some(70), ExitCause::ByItself));
}

#[test]
fn a_paused_node_loses_power_too() {
    let node = Node::ready("trap 'exit 75' USR1; echo ready; while :; do sleep 0.01; done");
    node.process.pause().expect("pause");
    let lost = node.process.power_loss().expect("power loss");
    assert!(matches!(lost, PowerLoss::Gone(exit) if exit.code == Some(75)), "{lost:?}");
}

#[test]
fn a_node_that_ignores_the_power_loss_is_killed_and_that_is_said() {
    let node = Node::ready("trap '' USR1; echo ready; while :; do sleep 0.01; done");
    let lost = node.process.power_loss().expect("power loss");
    assert!(matches!(lost, PowerLoss::HadToBeKilled(exit) if exit.signal == Some(libc::SIGKILL)), "{lost:?}");
}

#[test]
fn output_of_several_lives_is_appended_to_one_log() {
    let directory = tempfile::tempdir().expect("make a directory");
    let log = directory.path().join("log");
    let spawner = Spawner::start().expect("start the spawner");
    for _ in 0..2 {
        let process = spawner.spawn(shell("echo $GREETING; echo oops >&2", &log)).expect("start a node");
        process.wait(PATIENCE).expect("wait").expect("it ends");
    }
    assert_eq!(fs::read_to_string(log).expect("read the log"), "hello\noops\nhello\noops\n");
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let directory = tempfile::tempdir().expect("make a directory");
    let mut command = shell("", &directory.path().join("log"));
    command.program = "/nowhere/node".into();
    let error = Spawner::start().and_then(|spawner| spawner.spawn(command)).expect_err("there is no such program");
    assert!(error.to_string().contains("start /nowhere/node"), "{error}");
}

#[test]
fn dropping_the_spawner_ends_its_nodes() {
    let Node { process, directory: _directory, _spawner } = Node::start("sleep 1000");
    drop(_spawner);
    let exit = process.wait(PATIENCE).expect("wait").expect("it ends with the thread that spawned it");
    assert_eq!((exit.signal, exit.cause), (Some(libc::SIGKILL), ExitCause::ByItself));
}

#[test]
fn a_node_is_alone_in_its_process_group() {
    let node = Node::start("sleep 1000");
    let stat = fs::read_to_string(format!("/proc/{}/stat", node.process.pid())).expect("read its state");
    let group = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(2)).expect("a group").to_owned();
    assert_eq!(group, node.process.pid().to_string(), "else Ctrl-C would hit it directly");
}

/// Plays the harness in a process of its own, for the test below; otherwise there is nothing to do.
#[test]
fn helper_harness() {
    let Some(log) = std::env::var_os(HARNESS_ROLE) else { return };
    let spawner = Spawner::start().expect("start the spawner");
    let node = spawner.spawn(shell("sleep 1000", Path::new(&log))).expect("start a node");
    println!("\nnode {}", node.pid());
    thread::sleep(Duration::from_secs(1000));
}

#[test]
fn nodes_do_not_outlive_a_killed_harness() {
    let directory = tempfile::tempdir().expect("make a directory");
    let mut harness = Command::new(std::env::current_exe().expect("own path"))
        .args(["--exact", "helper_harness", "--nocapture"])
        .env(HARNESS_ROLE, directory.path().join("log"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("start a copy of this program");
    let lines = BufReader::new(harness.stdout.take().expect("stdout is piped")).lines();
    let node: u32 = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("node ")?.parse().ok())
        .expect("the copy tells its node's process id");
    assert!(state(node).is_some());
    kill_process(Pid::from_child(&harness), Signal::KILL).expect("kill -9");
    harness.wait().expect("wait");
    eventually("the node gone", || matches!(state(node), None | Some('Z')));
}
