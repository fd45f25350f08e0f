//! The bars that the judge must clear, each measured in a child process so that memory is that of one check alone.
//!
//! ```text
//!   print ──> child: make the history ─ note memory ─ reset its peak ─ check ──> seconds, memory before, peak
//! ```

use std::process::Command;
use std::time::Instant;

use checkers::certificate::Certificate;
use checkers::history::History;
use checkers::model::ModelKind;
use checkers::verdict::Verdict;

use crate::simulated::Simulated;
use crate::{judge, outside};

/// Tells a child what to measure.
const CHILD: &str = "TRUELINE_BENCH_CHILD";

pub fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// What a child found out.
struct Measured {
    seconds: f64,
    /// Of all threads, which on a machine with other work says more than the clock.
    cpu_seconds: f64,
    /// With the history in memory, before the check.
    loaded_bytes: f64,
    /// The most during the check, history included.
    peak_bytes: f64,
}

const MB: f64 = 1e6;

/// Prints each bar with what was measured, and whether it holds here.
pub fn print() {
    println!("The bars, on this machine:");
    let one_key = ["100k", "1M", "10M"].map(|size| (size, run(&format!("busy {size}"))));
    let per_operation = |name: &str, measured: &Measured| {
        let operations = operations(name) as f64;
        println!(
            "  {name} operations of 50 clients on one key: {:.3} s ({:.3} s of CPU), {:.0} ns each; memory {:.0} MB, of that the history {:.0} MB",
            measured.seconds,
            measured.cpu_seconds,
            measured.seconds / operations * 1e9,
            measured.peak_bytes / MB,
            measured.loaded_bytes / MB
        );
        measured.seconds / operations
    };
    let costs = one_key.each_ref().map(|(name, measured)| per_operation(name, measured));
    let largest = &one_key[2].1;
    bar("10M operations, seconds", largest.seconds, 5.0);
    bar("10M operations, peak MB of the process", largest.peak_bytes / MB, 1500.0);
    bar("cost of an operation, 10M over 100k", costs[2] / costs[0], 2.5);

    let [ours, theirs] = ["keys", "keys porcupine-rs"].map(run);
    println!(
        "  1M operations over 1,000 keys: {:.3} s ({:.3} s of CPU) and {:.0} MB beyond the history; porcupine-rs {:.3} s ({:.3} s) and {:.0} MB",
        ours.seconds,
        ours.cpu_seconds,
        beyond(&ours),
        theirs.seconds,
        theirs.cpu_seconds,
        beyond(&theirs)
    );
    bar("1M operations over 1,000 keys, time as a share of porcupine-rs'", ours.seconds / theirs.seconds, 0.2);
    bar("the same, memory beyond the history as a share", beyond(&ours) / beyond(&theirs), 0.2);

    bar("1M operations of 10 clients on one key, seconds", run("calm 1M").seconds, 0.25);
    bar("1M operations, a tenth refused without a value, seconds", run("refused 1M").seconds, 1.0);
    bar("1M operations with one stale read, seconds", run("stale 1M").seconds, 1.0);
}

fn beyond(measured: &Measured) -> f64 {
    (measured.peak_bytes - measured.loaded_bytes) / MB
}

fn bar(what: &str, measured: f64, limit: f64) {
    let holds = if measured <= limit { "holds" } else { "MISSED" };
    println!("  {holds}: {what}: {measured:.3}, at most {limit}");
}

fn operations(size: &str) -> usize {
    match size {
        "100k" => 100_000,
        "1M" => 1_000_000,
        "10M" => 10_000_000,
        other => panic!("no size is called {other}"),
    }
}

fn run(what: &str) -> Measured {
    let program = std::env::current_exe().expect("this program has a path");
    let output = Command::new(program).env(CHILD, what).output().expect("this program can be started again");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{what}: {text}{}", String::from_utf8_lossy(&output.stderr));
    let figures: Vec<f64> = text.split_whitespace().map(|word| word.parse().expect("figures only")).collect();
    let [seconds, cpu_seconds, loaded_bytes, peak_bytes] = figures[..] else {
        panic!("{what}: four figures, not {text}")
    };
    Measured { seconds, cpu_seconds, loaded_bytes, peak_bytes }
}

/// A child's work.
pub fn measure() {
    let what = std::env::var(CHILD).expect("only children come here");
    match what.split_whitespace().collect::<Vec<_>>()[..] {
        ["busy", size] => {
            let operations = operations(size);
            let unknown = operations / 10_000;
            let history = Simulated { unknown, ..Simulated::register(operations, 50) }.history(1);
            report(&history, 10_000_000 / operations, |history| {
                let judgement = judge(history, ModelKind::Register, Verdict::Valid);
                assert!(matches!(judgement.certificate, Some(Certificate::Linearization(_))), "it is proven");
            });
        }
        ["calm", size] => {
            let history = Simulated::register(operations(size), 10).history(1);
            report(&history, 5, |history| drop(judge(history, ModelKind::Register, Verdict::Valid)));
        }
        ["stale", size] => {
            let history = Simulated { stale: true, ..Simulated::register(operations(size), 10) }.history(1);
            report(&history, 5, |history| drop(judge(history, ModelKind::Register, Verdict::Invalid)));
        }
        ["refused", size] => {
            let operations = operations(size);
            let history =
                Simulated { cas: true, unknown: operations / 1000, ..Simulated::register(operations, 10) }.history(1);
            report(&history, 3, |history| drop(judge(history, ModelKind::CasRegister, Verdict::Valid)));
        }
        ["keys"] => report(&many_keys(), 3, |history| drop(judge(history, ModelKind::Register, Verdict::Valid))),
        ["keys", "porcupine-rs"] => {
            let converted = outside::converted(&many_keys());
            report(&converted, 3, |operations| {
                assert!(porcupine_rs::check_operations::<outside::Registers>(operations));
            });
        }
        _ => panic!("nothing is called {what}"),
    }
}

fn many_keys() -> History {
    Simulated { keys: 1000, ..Simulated::register(1_000_000, 50) }.history(1)
}

/// Checks so many times (at most 20) and prints the shortest time, the CPU time of one, the memory before and the peak.
fn report<T: ?Sized>(loaded: &T, times: usize, check: impl Fn(&T)) {
    let times = times.clamp(1, 20);
    let loaded_bytes = status_bytes("VmRSS");
    // Makes the peak what is resident now; where that is not allowed, the peak is the larger one since the start.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let cpu_before = cpu_seconds();
    let timed = |_| {
        let start = Instant::now();
        check(loaded);
        start.elapsed().as_secs_f64()
    };
    let seconds = (0..times).map(timed).fold(f64::INFINITY, f64::min);
    let cpu = (cpu_seconds() - cpu_before) / times as f64;
    println!("{seconds} {cpu} {loaded_bytes} {}", status_bytes("VmHWM"));
}

/// CPU time of this process so far, in user and kernel mode.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux tells a process its figures");
    // Fields 14 and 15 in hundredths of a second; the second one is the name in parentheses.
    let after_name = stat.rsplit(')').next().expect("the name is in parentheses");
    let ticks = after_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<f64>().expect("a number"));
    ticks.sum::<f64>() / 100.0
}

/// A line of this process' status, in bytes.
fn status_bytes(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells a process its status");
    let value = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':')).expect("it has this line");
    let kibibytes: u64 = value.trim().trim_end_matches(" kB").parse().expect("it is a number of kB");
    kibibytes * 1024
}
