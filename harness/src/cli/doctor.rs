//! `trueline doctor`: what this machine allows, and how to get the rest.

use std::{
    fs::{self, File},
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Args;
use results::{
    exit::ExitCode,
    store::{DEFAULT_STORE, Machine, Store},
    summary::one_line,
};

use crate::{failure::Failure, network::enter::enter, system::in_path};

const EXAMPLES: &str = "\
Examples:
  trueline doctor
  trueline doctor --store /mnt/fast/runs     is that disk good for runs?

Exit codes: 0 runs are possible, if perhaps not every kind; 255 no run is possible.";

/// Flags of `trueline doctor`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct DoctorArgs {
    /// Where runs are to be stored
    #[arg(long, default_value = DEFAULT_STORE, value_name = "DIR")]
    pub store: PathBuf,
}

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Health {
    Good,
    /// Something cannot be done, or figures will be poor.
    Lacking,
    /// Nothing can be done.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
struct Finding {
    what: &'static str,
    health: Health,
    says: String,
}

impl Finding {
    fn new(what: &'static str, health: Health, says: impl Into<String>) -> Self {
        Self { what, health, says: says.into() }
    }
}

/// Below this, a run of half a minute with everything kept may not fit.
const SPACE_MIN_BYTES: u64 = 1 << 30;

/// Syncs that take longer make every write slow, and leaders look dead.
const SYNC_MAX: Duration = Duration::from_millis(50);

/// How often the disk is tried.
const SYNCS: usize = 21;

/// Looks, and tells.
///
/// # Errors
/// When what was found cannot be printed.
pub fn execute(args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let mut findings = vec![machine(&Machine::here())];
    findings.extend(store(&args.store));
    findings.push(etcd());
    // Last, since from here on this may be another process: one inside its namespaces, which are gone when it ends.
    findings.push(match enter() {
        Ok(_) => Finding::new("fabric", Health::Good, "network namespaces and a switch for every packet"),
        Err(unavailable) => {
            let says =
                format!("{unavailable}; without it, runs use --network proxy, which cannot lose or reorder packets");
            Finding::new("fabric", Health::Lacking, says)
        }
    });
    let text = render(&findings, io::stdout().is_terminal());
    io::stdout().write_all(text.as_bytes()).context("cannot print what was found").map_err(Failure::harness)?;
    let worst = findings.iter().map(|finding| finding.health).max();
    Ok(if worst == Some(Health::Bad) { ExitCode::HarnessError } else { ExitCode::Valid })
}

fn machine(machine: &Machine) -> Finding {
    let memory = machine.memory_bytes.map_or_else(String::new, |bytes| format!(", {:.0} GiB", gibibytes(bytes)));
    let model = machine.cpu_model.as_deref().unwrap_or("a processor that does not tell its model");
    let says = format!("{} × {model}{memory}, {}", machine.cpus, machine.kernel);
    if machine.cpus < 2 {
        return Finding::new(
            "machine",
            Health::Lacking,
            format!("{says}; nodes and clients share one processor: few operations overlap"),
        );
    }
    Finding::new("machine", Health::Good, says)
}

fn store(path: &Path) -> Vec<Finding> {
    let bad = |error: &dyn std::fmt::Display| vec![Finding::new("store", Health::Bad, error.to_string())];
    let store = match Store::open(path) {
        Ok(store) => store,
        Err(error) => return bad(&error),
    };
    let syncs = match syncs(store.path()) {
        Ok(syncs) => syncs,
        Err(error) => {
            return bad(&format!("cannot write in {}: {error}; name another one with --store", path.display()));
        }
    };
    let mut findings = Vec::new();
    if let Ok(room) = rustix::fs::statvfs(store.path()) {
        let free = room.f_bavail.saturating_mul(room.f_frsize);
        let says = format!("{:.1} GiB free in {}", gibibytes(free), path.display());
        findings.push(match free < SPACE_MIN_BYTES {
            true => Finding::new(
                "store",
                Health::Lacking,
                format!("{says}: little; `trueline runs keep --size 1GB` makes room"),
            ),
            false => Finding::new("store", Health::Good, says),
        });
    }
    let (median, worst) = (syncs[syncs.len() / 2], syncs[syncs.len() - 1]);
    let says = format!("a sync takes {:.2} ms, at worst {:.2} ms", millis(median), millis(worst));
    findings.push(match median > SYNC_MAX {
        true => Finding::new(
            "disk",
            Health::Lacking,
            format!("{says}: slow; elections may fail for that alone, raise --election-timeout-ms"),
        ),
        false => Finding::new("disk", Health::Good, says),
    });
    findings
}

/// How long syncs of a short write take, the quickest first.
fn syncs(directory: &Path) -> io::Result<Vec<Duration>> {
    let path = directory.join(format!(".doctor-{}", std::process::id()));
    let mut file = File::create_new(&path)?;
    let mut sync = || {
        let begin = Instant::now();
        file.write_all(&[0; 512])?;
        file.sync_data()?;
        Ok(begin.elapsed())
    };
    let syncs: io::Result<Vec<Duration>> = (0..SYNCS).map(|_| sync()).collect();
    fs::remove_file(&path)?;
    syncs.map(|mut syncs| {
        syncs.sort_unstable();
        syncs
    })
}

fn etcd() -> Finding {
    match in_path("etcd", "etcd-server") {
        Ok(path) => Finding::new("etcd", Health::Good, path.display().to_string()),
        Err(missing) => Finding::new("etcd", Health::Lacking, format!("{missing}; only --system etcd needs it")),
    }
}

fn gibibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn render(findings: &[Finding], colour: bool) -> String {
    let line = |finding: &Finding| {
        let (word, paint) = match finding.health {
            Health::Good => ("good", "32"),
            Health::Lacking => ("lacking", "33"),
            Health::Bad => ("bad", "31"),
        };
        let word = if colour { format!("\x1b[{paint}m{word:8}\x1b[0m") } else { format!("{word:8}") };
        format!("  {:9}{word}{}\n", finding.what, one_line(&finding.says))
    };
    findings.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_cannot_be_is_bad_and_one_that_can_is_measured() {
        assert_eq!(store(Path::new("/proc/nowhere"))[0].health, Health::Bad);
        let directory = tempfile::tempdir().unwrap();
        let findings = store(directory.path());
        assert!(findings.iter().all(|finding| finding.health < Health::Bad), "{findings:?}");
        assert!(findings.iter().any(|finding| finding.what == "disk" && finding.says.contains("a sync takes")));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "it left something behind");
    }

    #[test]
    fn findings_are_one_line_each() {
        let text = render(&[Finding::new("x", Health::Lacking, "a\nb"), Finding::new("y", Health::Good, "c")], false);
        assert_eq!(text.lines().count(), 2);
        assert!(text.starts_with("  x        lacking a"), "{text}");
    }
}
