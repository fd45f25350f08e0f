//! The network fabric, seen from sockets and processes inside it.
//!
//! Not run by the standard test runner: namespaces are entered while there is one thread. Tests of how everything ends run
//! in the plain process, on a copy of this program; the others run inside, one fabric each. Where namespaces are not to be
//! had, the tests are reported as skipped, with the reason.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use trueline::network::enter::{Entered, enter};
use trueline::network::fabric::Fabric;
use trueline::network::kernel::in_namespace;
use trueline::network::links::Endpoint::{Clients, Node};
use trueline::network::links::{LinkRule, LinkTable};
use trueline::process::{NodeCommand, Spawner};

/// Longer than anything here takes; reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a socket listens for something that must not come, after the counters say that it was dropped.
const SILENCE: Duration = Duration::from_millis(50);

type Test = (&'static str, fn(Entered));
type OutsideTest = (&'static str, fn());

const OUTSIDE: &[OutsideTest] = &[
    ("the_controllers_exit_code_is_the_outers", the_controllers_exit_code_is_the_outers),
    ("a_controller_ended_by_a_signal_is_a_harness_error", a_controller_ended_by_a_signal_is_a_harness_error),
    ("sigterm_reaches_the_controller", sigterm_reaches_the_controller),
    ("ctrl_c_does_not_end_the_outer", ctrl_c_does_not_end_the_outer),
    ("nothing_is_left_when_the_outer_is_killed", nothing_is_left_when_the_outer_is_killed),
    ("nothing_is_left_when_the_reaper_is_killed", nothing_is_left_when_the_reaper_is_killed),
    ("nothing_is_left_when_the_controller_is_killed", nothing_is_left_when_the_controller_is_killed),
];

const INSIDE: &[Test] = &[
    ("nodes_and_clients_talk_tcp", nodes_and_clients_talk_tcp),
    ("a_node_process_has_its_own_network", a_node_process_has_its_own_network),
    ("a_fabric_leaves_no_interface_behind", a_fabric_leaves_no_interface_behind),
    ("a_block_is_one_way", a_block_is_one_way),
    ("client_links_have_rules_of_their_own", client_links_have_rules_of_their_own),
    (
        "tcp_stands_still_under_a_cut_and_goes_on_after_the_heal",
        tcp_stands_still_under_a_cut_and_goes_on_after_the_heal,
    ),
    ("delay_makes_round_trips_longer", delay_makes_round_trips_longer),
    ("jitter_keeps_the_order", jitter_keeps_the_order),
    ("loss_loses_the_share_asked_for", loss_loses_the_share_asked_for),
    ("duplication_delivers_twice", duplication_delivers_twice),
    ("reordering_lets_packets_overtake", reordering_lets_packets_overtake),
    ("a_cut_loses_packets_under_way", a_cut_loses_packets_under_way),
    ("healing_frees_new_packets_at_once", healing_frees_new_packets_at_once),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(deed) = args.iter().position(|arg| arg == VICTIM) {
        victim(&args[deed + 1]);
    }
    if args.iter().any(|arg| arg == "--list") {
        OUTSIDE
            .iter()
            .map(|(name, _)| name)
            .chain(INSIDE.iter().map(|(name, _)| name))
            .for_each(|n| println!("{n}: test"));
        return;
    }
    if args.iter().any(|arg| arg == MEASURE) {
        measure(enter().expect("measuring needs the fabric"));
        return;
    }
    let filter = args.iter().find(|arg| !arg.starts_with('-')).cloned().unwrap_or_default();
    let mut tally = Tally { filter, passed: 0, failed: Vec::new() };
    // A trial in a child, because the outside tests need to know and must stay outside.
    let outer = Command::new(std::env::current_exe().expect("own path")).args([VICTIM, "exit-0"]).output();
    let outer = outer.expect("run a copy of this program");
    if !outer.status.success() {
        println!("fabric: skipped: {}", String::from_utf8_lossy(&outer.stderr).trim());
        println!("test result: ok. 0 passed; 0 failed; {} skipped", OUTSIDE.len() + INSIDE.len());
        return;
    }
    for (name, test) in OUTSIDE {
        tally.run(name, test);
    }
    let inside = enter().expect("a copy of this program could enter a moment ago");
    for (name, test) in INSIDE {
        tally.run(name, || test(inside));
    }
    std::process::exit(tally.finish());
}

struct Tally {
    filter: String,
    passed: u32,
    failed: Vec<&'static str>,
}

impl Tally {
    fn run(&mut self, name: &'static str, test: impl FnOnce()) {
        if !name.contains(&self.filter) {
            return;
        }
        // The panic's message goes to stderr by itself.
        match catch_unwind(AssertUnwindSafe(test)) {
            Ok(()) => self.passed += 1,
            Err(_) => self.failed.push(name),
        }
        let outcome = if self.failed.last() == Some(&name) { "FAILED" } else { "ok" };
        println!("test {name} ... {outcome}");
    }

    fn finish(self) -> i32 {
        let word = if self.failed.is_empty() { "ok" } else { "FAILED" };
        println!("test result: {word}. {} passed; {} failed", self.passed, self.failed.len());
        if self.failed.is_empty() { 0 } else { 101 }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// How everything ends, from outside.

/// Makes a copy of this program a harness that enters, does one thing, and waits to be ended.
const VICTIM: &str = "--victim";

/// Enters and does the deed: `exit-N`, or `serve` with a fabric and a node process until somebody ends it.
fn victim(deed: &str) -> ! {
    let inside = match enter() {
        Ok(inside) => inside,
        Err(unavailable) => {
            eprintln!("{unavailable}");
            std::process::exit(1);
        }
    };
    if let Some(code) = deed.strip_prefix("exit-") {
        std::process::exit(code.parse().expect("an exit code"));
    }
    let fabric = Fabric::new(inside, LinkTable::new(1), 1).expect("make a fabric");
    let spawner = Spawner::start().expect("start the spawner");
    let log_file = tempfile::NamedTempFile::new().expect("make a log file");
    let node = NodeCommand {
        program: "/bin/sh".into(),
        // The marker, so that the node is found from outside; a shell with two commands does not exec the last one away.
        args: ["-c", "sleep 1000; true", deed].map(OsString::from).into(),
        env: Vec::new(),
        dir: None,
        netns: Some(fabric.namespace(1).try_clone_to_owned().expect("copy a descriptor")),
        log_file: log_file.path().into(),
    };
    let _node = spawner.spawn(node).expect("start a node");
    println!("ready");
    io::stdout().flush().expect("say so");
    thread::sleep(Duration::from_secs(1000));
    std::process::exit(0);
}

/// A serving victim, and the processes that belong to it.
struct Victim {
    outer: Child,
    marker: String,
}

impl Victim {
    fn start(name: &str) -> Self {
        let marker = format!("serve-{name}-{}", std::process::id());
        let mut outer = Command::new(std::env::current_exe().expect("own path"))
            .args([VICTIM, &marker])
            .stdout(Stdio::piped())
            .spawn()
            .expect("start a victim");
        let mut line = String::new();
        let stdout = outer.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut line).expect("read what the victim says");
        assert_eq!(line, "ready\n");
        let victim = Victim { outer, marker };
        // A shell looks like two for the moment between its fork and exec.
        eventually("outer, reaper, controller and node", || victim.processes().len() == 4);
        victim
    }

    /// All processes with the marker in their arguments, with their innermost process ids.
    fn processes(&self) -> Vec<(i32, i32)> {
        let entries = fs::read_dir("/proc").expect("list processes");
        entries
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let pid = path.file_name()?.to_str()?.parse().ok()?;
                let arguments = fs::read(path.join("cmdline")).ok()?;
                let arguments = String::from_utf8_lossy(&arguments).into_owned();
                if !arguments.contains(&self.marker) {
                    return None;
                }
                let status = fs::read_to_string(path.join("status")).ok()?;
                let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
                Some((pid, ids.split_whitespace().last()?.parse().ok()?))
            })
            .collect()
    }

    fn network_namespaces(&self) -> HashSet<OsString> {
        let links = self.processes().into_iter().map(|(pid, _)| fs::read_link(format!("/proc/{pid}/ns/net")));
        links.map(|link| link.expect("a namespace of a living process").into_os_string()).collect()
    }

    /// The process with this id inside the pid namespace: 1 is the reaper, 2 the controller.
    fn inside(&self, wanted: i32) -> i32 {
        let found = self.processes().into_iter().find(|(pid, inner)| *inner == wanted && *pid != *inner);
        found.expect("a process inside").0
    }

    fn signal(&self, pid: i32, signal: Signal) {
        kill_process(Pid::from_raw(pid).expect("a process id"), signal).expect("send a signal");
    }

    fn ends(mut self) -> ExitStatus {
        let started = Instant::now();
        let status = self.outer.wait().expect("wait for the victim");
        while !self.processes().is_empty() {
            assert!(started.elapsed() < PATIENCE, "still there: {:?}", self.processes());
            thread::sleep(Duration::from_millis(1));
        }
        println!("  all gone after {:.1?}", started.elapsed());
        status
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.outer.kill();
        let _ = self.outer.wait();
    }
}

fn the_controllers_exit_code_is_the_outers() {
    for code in [0, 3, 254] {
        let mut command = Command::new(std::env::current_exe().expect("own path"));
        let status = command.args([VICTIM, &format!("exit-{code}")]).status().expect("run a victim");
        assert_eq!(status.code(), Some(code));
    }
}

fn a_controller_ended_by_a_signal_is_a_harness_error() {
    let victim = Victim::start("aborted");
    victim.signal(victim.inside(2), Signal::ABORT);
    assert_eq!(victim.ends().code(), Some(255));
}

fn sigterm_reaches_the_controller() {
    let victim = Victim::start("terminated");
    victim.signal(victim.outer.id() as i32, Signal::TERM);
    assert_eq!(victim.ends().code(), Some(255));
}

fn ctrl_c_does_not_end_the_outer() {
    let victim = Victim::start("interrupted");
    victim.signal(victim.outer.id() as i32, Signal::INT);
    // Signals are taken in the order of their numbers: once SIGTERM has had its effect, SIGINT has had its own.
    victim.signal(victim.outer.id() as i32, Signal::TERM);
    assert_eq!(victim.ends().code(), Some(255), "ended by what the controller made of SIGTERM, not by SIGINT");
}

fn nothing_is_left_when_the_outer_is_killed() {
    let victim = Victim::start("outer");
    assert_eq!(victim.network_namespaces().len(), 3, "the host's, the controller's, the node's");
    victim.signal(victim.outer.id() as i32, Signal::KILL);
    assert_eq!(victim.ends().code(), None);
}

fn nothing_is_left_when_the_reaper_is_killed() {
    let victim = Victim::start("reaper");
    victim.signal(victim.inside(1), Signal::KILL);
    assert_eq!(victim.ends().code(), Some(255));
}

fn nothing_is_left_when_the_controller_is_killed() {
    let victim = Victim::start("controller");
    victim.signal(victim.inside(2), Signal::KILL);
    assert_eq!(victim.ends().code(), Some(255));
}

// ---------------------------------------------------------------------------------------------------------------------
// Faults, from inside.

fn fabric(inside: Entered, nodes: u32) -> Fabric {
    Fabric::new(inside, LinkTable::new(nodes), 42).expect("make a fabric")
}

/// A UDP socket of a node.
fn udp(fabric: &Fabric, node: u32) -> UdpSocket {
    let address = SocketAddr::from((fabric.address(node), 7000));
    let socket = in_namespace(fabric.namespace(node), || UdpSocket::bind(address)).and_then(|socket| socket);
    let socket = socket.expect("bind in a node's namespace");
    socket.set_read_timeout(Some(PATIENCE)).expect("set a timeout");
    socket
}

fn listen(fabric: &Fabric, node: u32) -> TcpListener {
    let address = SocketAddr::from((fabric.address(node), 8000));
    in_namespace(fabric.namespace(node), || TcpListener::bind(address)).and_then(|l| l).expect("listen in a namespace")
}

fn connect(fabric: &Fabric, node: u32, to: SocketAddr) -> TcpStream {
    let connect = || TcpStream::connect_timeout(&to, PATIENCE);
    let stream = in_namespace(fabric.namespace(node), connect).and_then(|stream| stream);
    let stream = stream.expect("connect from a namespace");
    stream.set_read_timeout(Some(PATIENCE)).expect("set a timeout");
    stream.set_nodelay(true).expect("set an option");
    stream
}

fn send(from: &UdpSocket, to: &UdpSocket, number: u32) {
    let to = to.local_addr().expect("a bound socket");
    from.send_to(&number.to_be_bytes(), to).expect("send a packet");
}

fn receive(socket: &UdpSocket) -> u32 {
    let mut bytes = [0; 4];
    socket.recv_from(&mut bytes).expect("a packet within the time");
    u32::from_be_bytes(bytes)
}

/// Everything that comes until there is silence.
fn receive_all(socket: &UdpSocket) -> Vec<u32> {
    socket.set_read_timeout(Some(SILENCE)).expect("set a timeout");
    let mut bytes = [0; 4];
    let mut numbers = Vec::new();
    while socket.recv_from(&mut bytes).is_ok() {
        numbers.push(u32::from_be_bytes(bytes));
    }
    socket.set_read_timeout(Some(PATIENCE)).expect("set a timeout");
    numbers
}

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "still not so: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn nodes_and_clients_talk_tcp(inside: Entered) {
    let fabric = fabric(inside, 3);
    let listener = listen(&fabric, 2);
    let address = listener.local_addr().expect("a bound socket");
    let from_node = || connect(&fabric, 3, address);
    let from_client = || TcpStream::connect_timeout(&address, PATIENCE).expect("connect from the controller");
    let senders: [(&dyn Fn() -> TcpStream, Ipv4Addr); 2] =
        [(&from_node, fabric.address(3)), (&from_client, fabric.clients_address())];
    for (connect, expected) in senders {
        connect().write_all(b"hello").expect("write");
        let (mut accepted, peer) = listener.accept().expect("accept");
        assert_eq!(peer.ip(), expected);
        let mut words = String::new();
        accepted.read_to_string(&mut words).expect("read to the end");
        assert_eq!(words, "hello");
    }
    assert!(fabric.is_running());
    assert!(fabric.links().counts(Node(3), Node(2)).passed >= 2);
    assert!(fabric.links().counts(Clients, Node(2)).passed >= 2);
}

fn a_node_process_has_its_own_network(inside: Entered) {
    let fabric = fabric(inside, 2);
    let log = tempfile::NamedTempFile::new().expect("make a log file");
    let node = NodeCommand {
        program: "/bin/cat".into(),
        args: vec!["/proc/self/net/fib_trie".into()],
        env: Vec::new(),
        dir: None,
        netns: Some(fabric.namespace(2).try_clone_to_owned().expect("copy a descriptor")),
        log_file: log.path().into(),
    };
    let process = Spawner::start().and_then(|spawner| {
        let process = spawner.spawn(node)?;
        process.wait(PATIENCE)
    });
    let exit = process.expect("run a node").expect("it ends by itself");
    assert_eq!(exit.code, Some(0));
    let routes = fs::read_to_string(log.path()).expect("read the log");
    assert!(routes.contains(&fabric.address(2).to_string()), "{routes}");
    assert!(!routes.contains(&fabric.address(1).to_string()), "{routes}");
}

fn a_fabric_leaves_no_interface_behind(inside: Entered) {
    let interfaces = || fs::read_to_string("/proc/self/net/dev").expect("list interfaces").lines().count();
    let before = interfaces();
    let fabric = fabric(inside, 2);
    assert_eq!(interfaces(), before + 1, "the clients' own; those of the nodes are elsewhere");
    drop(fabric);
    assert_eq!(interfaces(), before);
}

fn a_block_is_one_way(inside: Entered) {
    let fabric = fabric(inside, 2);
    let (a, b) = (udp(&fabric, 1), udp(&fabric, 2));
    fabric.links().block(Node(1), Node(2));
    for number in 0..10 {
        send(&a, &b, number);
    }
    eventually("ten packets dropped", || fabric.links().counts(Node(1), Node(2)).dropped == 10);
    send(&b, &a, 99);
    assert_eq!(receive(&a), 99, "the other direction is open");
    assert_eq!(receive_all(&b), [0_u32; 0]);
    fabric.links().heal_all();
    send(&a, &b, 11);
    assert_eq!(receive(&b), 11);
}

fn client_links_have_rules_of_their_own(inside: Entered) {
    let fabric = fabric(inside, 2);
    let (a, b) = (udp(&fabric, 1), udp(&fabric, 2));
    let client = UdpSocket::bind((fabric.clients_address(), 7000)).expect("bind in the controller");
    client.set_read_timeout(Some(PATIENCE)).expect("set a timeout");
    fabric.links().block(Node(2), Clients);
    send(&client, &b, 1);
    assert_eq!(receive(&b), 1, "requests arrive");
    send(&b, &client, 2);
    eventually("the response dropped", || fabric.links().counts(Node(2), Clients).dropped == 1);
    send(&a, &client, 3);
    assert_eq!(receive(&client), 3, "other nodes answer, and the lost response never came");
}

fn tcp_stands_still_under_a_cut_and_goes_on_after_the_heal(inside: Entered) {
    let fabric = fabric(inside, 2);
    let listener = listen(&fabric, 2);
    let mut stream = connect(&fabric, 1, listener.local_addr().expect("a bound socket"));
    let (mut accepted, _) = listener.accept().expect("accept");
    for (from, to) in [(1, 2), (2, 1)] {
        fabric.links().block(Node(from), Node(to));
    }
    stream.write_all(b"late").expect("write into the buffer");
    accepted.set_read_timeout(Some(Duration::from_millis(300))).expect("set a timeout");
    let mut bytes = [0; 4];
    assert!(accepted.read(&mut bytes).is_err(), "nothing passes");
    assert!(fabric.links().counts(Node(1), Node(2)).dropped > 0);
    fabric.links().heal_all();
    accepted.set_read_timeout(Some(PATIENCE)).expect("set a timeout");
    accepted.read_exact(&mut bytes).expect("TCP sends again");
    assert_eq!(&bytes, b"late");
}

fn round_trip(a: &UdpSocket, b: &UdpSocket) -> Duration {
    let started = Instant::now();
    send(a, b, 1);
    receive(b);
    send(b, a, 2);
    receive(a);
    started.elapsed()
}

fn delay_makes_round_trips_longer(inside: Entered) {
    let fabric = fabric(inside, 2);
    let (a, b) = (udp(&fabric, 1), udp(&fabric, 2));
    let delay = Duration::from_millis(20);
    fabric.links().set(Node(1), Node(2), LinkRule::delayed(delay, Duration::ZERO));
    let one_way = round_trip(&a, &b);
    fabric.links().set(Node(2), Node(1), LinkRule::delayed(delay, Duration::ZERO));
    let both_ways = round_trip(&a, &b);
    assert!(one_way >= delay && both_ways >= 2 * delay, "{one_way:?} {both_ways:?}");
    assert_eq!(fabric.stats().lateness().packets, 3);
    assert_eq!(fabric.links().counts(Node(1), Node(2)).delayed, 2);
}

fn jitter_keeps_the_order(inside: Entered) {
    let fabric = fabric(inside, 2);
    let (a, b) = (udp(&fabric, 1), udp(&fabric, 2));
    fabric.links().set(Node(1), Node(2), LinkRule::delayed(Duration::ZERO, Duration::from_millis(10)));
    for number in 0..100 {
        send(&a, &b, number);
    }
    let numbers: Vec<u32> = (0..100).map(|_| receive(&b)).collect();
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
}

fn loss_loses_the_share_asked_for(inside: Entered) {
    let fabric = fabric(inside, 2);
    let (a, b) = (udp(&fabric, 1), udp(&fabric, 2));
    fabric.links().set(Node(1), Node(2), LinkRule { loss: 0.3, ..LinkRule::default() });
    let mut received = Vec::new();
    for number in 0..1000 {
        send(&a, &b, number);
        let counts = || fabric.links().counts(Node(1), Node(2));
        // One at a time, so that no queue of the kernel overflows.
        eventually("the packet's fate", || counts().passed + counts().dropped == u64::from(number) + 1);
        if counts().passed > received.len() as u64 {
            received.push(receive(&b));
        }
    }
    // The generator is seeded, and one packet is one decision.
    assert!((650..750).contains(&received.len()), "{}", received.len());
    assert_eq!(receive_all(&b), [0_u32; 0]);
}

fn duplication_delivers_twice(inside: Entered) {
    let fabric = fabric(inside, 2);
    let (a, b) = (udp(&fabric, 1), udp(&fabric, 2));
    fabric.links().set(Node(1), Node(2), LinkRule { duplicate: 1.0, ..LinkRule::default() });
    for number in 0..10 {
        send(&a, &b, number);
        assert_eq!([receive(&b), receive(&b)], [number, number]);
    }
    assert_eq!(receive_all(&b), [0_u32; 0]);
    let counts = fabric.links().counts(Node(1), Node(2));
    assert_eq!((counts.passed, counts.duplicated), (10, 10));
}

fn reordering_lets_packets_overtake(inside: Entered) {
    let fabric = fabric(inside, 2);
    let (a, b) = (udp(&fabric, 1), udp(&fabric, 2));
    let rule = LinkRule { reorder: 0.2, reorder_delay: Duration::from_millis(20), ..LinkRule::default() };
    fabric.links().set(Node(1), Node(2), rule);
    for number in 0..100 {
        send(&a, &b, number);
    }
    let mut numbers: Vec<u32> = (0..100).map(|_| receive(&b)).collect();
    assert!(!numbers.is_sorted(), "{numbers:?}");
    numbers.sort_unstable();
    assert_eq!(numbers, (0..100).collect::<Vec<_>>(), "each arrives, once");
}

fn a_cut_loses_packets_under_way(inside: Entered) {
    let fabric = fabric(inside, 2);
    let (a, b) = (udp(&fabric, 1), udp(&fabric, 2));
    fabric.links().set(Node(1), Node(2), LinkRule::delayed(Duration::from_millis(100), Duration::ZERO));
    send(&a, &b, 1);
    eventually("the packet held", || fabric.links().counts(Node(1), Node(2)).delayed == 1);
    fabric.links().block(Node(1), Node(2));
    eventually("the packet lost", || fabric.links().counts(Node(1), Node(2)).dropped == 1);
    assert_eq!(receive_all(&b), [0_u32; 0]);
}

fn healing_frees_new_packets_at_once(inside: Entered) {
    let fabric = fabric(inside, 2);
    let (a, b) = (udp(&fabric, 1), udp(&fabric, 2));
    fabric.links().set(Node(1), Node(2), LinkRule::delayed(Duration::from_secs(1), Duration::ZERO));
    send(&a, &b, 1);
    eventually("the packet held", || fabric.links().counts(Node(1), Node(2)).delayed == 1);
    fabric.links().heal_all();
    send(&a, &b, 2);
    assert_eq!([receive(&b), receive(&b)], [2, 1], "the slow one still arrives, later");
}

// ---------------------------------------------------------------------------------------------------------------------
// Numbers for the documentation: `--measure`.

/// Prints measurements instead of running tests.
const MEASURE: &str = "--measure";
const PINGS: usize = 20_000;
const STREAM_BYTES: usize = 1 << 30;

fn measure(inside: Entered) {
    for _ in 0..5 {
        let started = Instant::now();
        let fabric = fabric(inside, 5);
        println!("five nodes' network: {:.1?}", started.elapsed());
        drop(fabric);
    }
    let fabric = fabric(inside, 2);
    let listener = listen(&fabric, 2);
    let address = listener.local_addr().expect("a bound socket");
    measure_pings(connect(&fabric, 1, address), listener.accept().expect("accept").0, "fabric");
    measure_stream(connect(&fabric, 1, address), listener.accept().expect("accept").0);
    let loopback = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
    let client = TcpStream::connect(loopback.local_addr().expect("a bound socket")).expect("connect");
    client.set_nodelay(true).expect("set an option");
    measure_pings(client, loopback.accept().expect("accept").0, "loopback");
    fabric.links().set(Node(1), Node(2), LinkRule::delayed(Duration::from_millis(2), Duration::ZERO));
    let (a, b) = (udp(&fabric, 1), udp(&fabric, 2));
    for _ in 0..2_000 {
        round_trip(&a, &b);
    }
    println!("lateness of a delay of 2 ms: {:?}", fabric.stats().lateness());
}

fn measure_pings(mut a: TcpStream, mut b: TcpStream, what: &str) {
    b.set_nodelay(true).expect("set an option");
    let echo = thread::spawn(move || {
        let mut byte = [0; 64];
        while b.read_exact(&mut byte).is_ok() {
            b.write_all(&byte).expect("write");
        }
    });
    let mut times: Vec<Duration> = Vec::with_capacity(PINGS);
    let mut byte = [0; 64];
    for _ in 0..PINGS {
        let started = Instant::now();
        a.write_all(&byte).expect("write");
        a.read_exact(&mut byte).expect("read");
        times.push(started.elapsed());
    }
    drop(a);
    echo.join().expect("the echo ends");
    times.sort_unstable();
    println!("{what} TCP round trip: p50 {:.1?}, p99 {:.1?}", times[PINGS / 2], times[PINGS * 99 / 100]);
}

fn measure_stream(mut a: TcpStream, mut b: TcpStream) {
    let started = Instant::now();
    let sender = thread::spawn(move || {
        let chunk = vec![7; 1 << 16];
        for _ in 0..STREAM_BYTES / chunk.len() {
            a.write_all(&chunk).expect("write");
        }
    });
    let mut chunk = vec![0; 1 << 16];
    let mut received = 0;
    while received < STREAM_BYTES {
        received += b.read(&mut chunk).expect("read");
    }
    sender.join().expect("the sender ends");
    let seconds = started.elapsed().as_secs_f64();
    println!("one TCP stream: {:.2} Gbit/s", received as f64 * 8.0 / seconds / 1e9);
}
