//! A stored run, as far as it takes to carry it out again. It may come from anywhere, so it is looked at before anything is started.

use std::{ops::RangeInclusive, path::Path, time::Duration};

use anyhow::{Context, anyhow, bail};
use nodes::server::{DEFAULT_ELECTION_TIMEOUT_MS, DEFAULT_HEARTBEAT_MS};
use results::{
    store::{Manifest, RunDir, Store, StoreError},
    summary::Summary,
};

use crate::{
    cli::run::Prepared,
    conduct::{takes_node_faults, takes_relay},
    config::{NodeOptions, RunConfig, SystemKind},
    nemesis::schedule::{Recorded, Stage, read},
};

/// No run has more nodes.
const NODES_MAX: u32 = 99;

/// No run has more clients.
const CLIENTS_MAX: u32 = 10_000;

/// No run has more spare nodes.
const SPARES_MAX: u32 = 10;

/// No run has more operations a second.
const RATE_MAX: u32 = 1_000_000;

/// No run works on more keys at a time.
const KEYS_MAX: u32 = 1_000_000;

/// No timer of a node is longer, milliseconds.
const TIMER_MS_MAX: u64 = 600_000;

/// No link takes longer.
const LINK_DELAY_MAX: Duration = Duration::from_secs(10);

/// No phase of a run is longer: a week.
const DURATION_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);

/// A run that has ended.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Where it is.
    pub dir: RunDir,
    /// Of what.
    pub manifest: Manifest,
    /// What was asked for.
    pub config: RunConfig,
    /// What came out.
    pub summary: Summary,
}

/// The run that is meant: the path of its directory, or a name in this store, which a path needs not.
///
/// # Errors
/// When there is no such run, or more than one.
pub fn find(store: &Path, name: &str) -> Result<RunDir, StoreError> {
    match name.contains('/') {
        true => RunDir::open(Path::new(name)),
        false => Store::open(store)?.find(name),
    }
}

impl Stored {
    /// The run in this directory.
    ///
    /// # Errors
    /// When it has no verdict, or cannot be carried out again.
    pub fn read(dir: RunDir) -> anyhow::Result<Self> {
        let manifest = dir.manifest()?;
        let unclear = || format!("the manifest of {} does not say what the run was to do", dir.path().display());
        let config: RunConfig = serde_json::from_value(manifest.config.clone()).with_context(unclear)?;
        check(&config).map_err(|why| anyhow!("the manifest of {} holds {why}", dir.path().display()))?;
        let summary = dir.verdict()?.ok_or_else(|| {
            anyhow!(
                "the run in {} has no verdict, so there is nothing to come out again: it goes on, or was broken off",
                dir.path().display()
            )
        })?;
        Ok(Self { dir, manifest, config, summary })
    }

    /// Whether nothing is started that only somebody else has chosen.
    ///
    /// # Errors
    /// When the run was imported, and names a program of its own.
    pub fn check_origin(&self) -> anyhow::Result<()> {
        let program = match (&self.config.binary, &self.config.described) {
            (Some(binary), _) => binary.display().to_string(),
            (None, Some(described)) => {
                described.description.command().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
            }
            (None, None) => return Ok(()),
        };
        match self.dir.is_imported() {
            true => bail!(
                "the run was imported, and a replay starts what it names: {program}; if you trust where it is from, say --trust"
            ),
            false => Ok(()),
        }
    }

    /// The schedule as it was carried out.
    ///
    /// # Errors
    /// When there is none that can be carried out on what was prepared.
    pub fn schedule(&self, prepared: &Prepared) -> anyhow::Result<Recorded> {
        let Some(phases) = self.summary.phases else {
            bail!(
                "the run in {} was broken off, and does not say when its faults began; use --faults planned",
                self.dir.path().display()
            );
        };
        let Prepared { config, system, kinds } = prepared;
        let stage = Stage {
            nodes: config.nodes + config.spares,
            message_kinds: takes_relay(kinds, &**system).then(|| system.message_kinds()),
            node_faults: takes_node_faults(kinds, &**system),
        };
        let (file, path) = (self.dir.open_schedule()?, self.dir.path().join("schedule.jsonl"));
        Ok(read(file, &path, &stage, phases.faults_start_ns, phases.healed_ns)?)
    }

    /// What differs between now and then, in sentences.
    #[must_use]
    pub fn differences(&self, prepared: &Prepared) -> Vec<String> {
        let mut told = Vec::new();
        let now = env!("CARGO_PKG_VERSION");
        if self.manifest.trueline != now {
            told.push(format!("the run was made by Trueline {}, and is replayed by {now}", self.manifest.trueline));
        }
        let path = prepared.system.program().display();
        match (&self.config.program, &prepared.config.program) {
            (Some(then), Some(now)) if then != now => told.push(format!(
                "{path} is another build than the one that was tested ({} bytes, crc32c {:08x}; now {} bytes, {:08x})",
                then.bytes, then.crc32c, now.bytes, now.crc32c
            )),
            (None, _) | (_, None) => {
                told.push(format!("whether {path} is the build that was tested is not known"));
            }
            _ => {}
        }
        told
    }
}

/// Whether a run can be made of this at all. The command line has bounds, and these are the same; a file can hold anything.
fn check(config: &RunConfig) -> Result<(), String> {
    config.workload.validate().map_err(|error| error.to_string())?;
    check_counts(config)?;
    check_timers(&config.node_options)?;
    if config.described.is_some() != (config.system == SystemKind::Described) {
        return Err("a description of a system that is not the one to be tested".to_owned());
    }
    if !config.reads.is_of(config.system) {
        return Err(format!("reads that are called {}, which {} does not offer", config.reads, config.system_name()));
    }
    for (name, time, possible) in [
        ("timeout", config.timeout, Duration::from_millis(1)..=DURATION_MAX),
        ("time", config.time, Duration::from_millis(1)..=DURATION_MAX),
        ("recovery bound", config.recovery_bound, Duration::from_millis(1)..=DURATION_MAX),
        ("warm-up", config.warm_up, Duration::ZERO..=DURATION_MAX),
        ("time for judging", config.check_time, Duration::ZERO..=DURATION_MAX),
        ("link delay", config.link_delay, Duration::ZERO..=LINK_DELAY_MAX),
    ] {
        if !possible.contains(&time) {
            return Err(format!("a {name} of {time:?}"));
        }
    }
    Ok(())
}

fn check_counts(config: &RunConfig) -> Result<(), String> {
    if !(1..=NODES_MAX).contains(&config.nodes) {
        return Err(format!("{} nodes; 1 to {NODES_MAX} are possible", config.nodes));
    }
    if config.spares > SPARES_MAX {
        return Err(format!("{} spare nodes; {SPARES_MAX} are the most", config.spares));
    }
    // Clients and probes each have a number of their own.
    let clients = config.workload.clients;
    if !(1..=CLIENTS_MAX).contains(&config.concurrency) || clients < config.concurrency + config.nodes {
        return Err(format!("{} clients of which the workload counts {clients}", config.concurrency));
    }
    if let Some(rate) = config.rate.filter(|rate| !(1..=RATE_MAX).contains(rate)) {
        return Err(format!("a rate of {rate}; 1 to {RATE_MAX} operations a second are possible"));
    }
    match config.workload.keys {
        keys if keys > KEYS_MAX => Err(format!("{keys} keys at a time; {KEYS_MAX} are the most")),
        _ => Ok(()),
    }
}

fn check_timers(options: &NodeOptions) -> Result<(), String> {
    let NodeOptions { snapshot_every, heartbeat_ms, election_timeout_ms } = *options;
    let bounds: [(_, _, RangeInclusive<u64>); 3] = [
        ("snapshot after every so many entries", snapshot_every, 1..=u64::MAX),
        ("heartbeat in milliseconds", heartbeat_ms, 1..=TIMER_MS_MAX),
        ("election timeout in milliseconds", election_timeout_ms, 2..=TIMER_MS_MAX),
    ];
    for (name, value, possible) in bounds {
        if let Some(value) = value.filter(|value| !possible.contains(value)) {
            return Err(format!("a {name} of {value}; {} to {} are possible", possible.start(), possible.end()));
        }
    }
    let heartbeat = heartbeat_ms.unwrap_or(DEFAULT_HEARTBEAT_MS);
    let election = election_timeout_ms.unwrap_or(DEFAULT_ELECTION_TIMEOUT_MS);
    match heartbeat < election {
        true => Ok(()),
        false => Err(format!("a heartbeat every {heartbeat} ms, which no election timeout of {election} ms bears")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::run::RunArgs;
    use clap::Parser;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        args: RunArgs,
    }

    fn config(flags: &[&str]) -> RunConfig {
        Flags::parse_from([&["run"], flags].concat()).args.config().expect("flags that go together")
    }

    #[test]
    fn what_no_run_can_be_made_of_is_refused() {
        assert_eq!(check(&config(&[])), Ok(()));
        assert_eq!(check(&config(&["--system", "etcd", "--nemesis", "kill"])), Ok(()));
        let good = config(&[]);
        let mut bad = vec![
            RunConfig { nodes: 0, ..good.clone() },
            RunConfig { nodes: u32::MAX, ..good.clone() },
            RunConfig { spares: u32::MAX, ..good.clone() },
            RunConfig { concurrency: 0, ..good.clone() },
            RunConfig { concurrency: 10_000, ..good.clone() },
            RunConfig { rate: Some(0), ..good.clone() },
            RunConfig { rate: Some(RATE_MAX + 1), ..good.clone() },
            RunConfig { spares: SPARES_MAX + 1, ..good.clone() },
            RunConfig { link_delay: LINK_DELAY_MAX + Duration::from_micros(1), ..good.clone() },
            RunConfig { check_time: Duration::MAX, ..good.clone() },
            RunConfig { timeout: Duration::ZERO, ..good.clone() },
            RunConfig { time: Duration::MAX, ..good.clone() },
            RunConfig { warm_up: Duration::MAX, ..good.clone() },
            RunConfig { reads: config(&["--system", "etcd"]).reads, ..good.clone() },
        ];
        for keys in [0, KEYS_MAX + 1] {
            bad.push(good.clone());
            bad.last_mut().expect("one").workload.keys = keys;
        }
        let none = NodeOptions::default();
        for node_options in [
            NodeOptions { snapshot_every: Some(0), ..none },
            NodeOptions { heartbeat_ms: Some(0), ..none },
            NodeOptions { heartbeat_ms: Some(TIMER_MS_MAX + 1), election_timeout_ms: Some(TIMER_MS_MAX), ..none },
            NodeOptions { heartbeat_ms: Some(DEFAULT_ELECTION_TIMEOUT_MS), ..none },
            NodeOptions { election_timeout_ms: Some(1), ..none },
            NodeOptions { election_timeout_ms: Some(u64::MAX), ..none },
            NodeOptions { election_timeout_ms: Some(DEFAULT_HEARTBEAT_MS), ..none },
        ] {
            bad.push(RunConfig { node_options, ..good.clone() });
        }
        for config in bad {
            assert!(check(&config).is_err(), "{config:?}");
        }
    }

    /// The command line's own bounds, of which the greatest must be found possible, and no more taken than there is.
    #[test]
    fn what_the_command_line_takes_at_most_is_taken() {
        for flags in [
            &["--rate", "1000000", "--keys", "1000000", "--link-delay", "10s", "--snapshot-every", "1"][..],
            &["--heartbeat-ms", "599999", "--election-timeout-ms", "600000", "--time", "168h", "--timeout", "168h"],
            &["--heartbeat-ms", "1", "--election-timeout-ms", "2", "--nemesis", "membership", "--spares", "10"],
        ] {
            assert_eq!(check(&config(flags)), Ok(()), "{flags:?}");
        }
        for (flag, value) in [
            ("--rate", "1000001"),
            ("--keys", "1000001"),
            ("--link-delay", "11s"),
            ("--heartbeat-ms", "600001"),
            ("--election-timeout-ms", "600001"),
            ("--spares", "11"),
        ] {
            assert!(Flags::try_parse_from(["run", flag, value]).is_err(), "{flag} {value}");
        }
    }

    #[test]
    fn a_schedule_is_a_plain_file() {
        let root = tempfile::tempdir().expect("a directory");
        let store = Store::open(root.path()).expect("a store");
        let run = store.create_run(&Manifest::here(1, serde_json::json!({}))).expect("a run");
        assert!(run.open_schedule().is_err(), "there is none");
        let path = run.path().join("schedule.jsonl");
        std::fs::write(root.path().join("secret"), "secret").expect("written");
        std::os::unix::fs::symlink(root.path().join("secret"), &path).expect("a link");
        assert!(run.open_schedule().is_err(), "a link is not followed");
        std::fs::remove_file(&path).expect("removed");
        let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo");
        assert!(made.success());
        assert!(run.open_schedule().is_err(), "nobody is waited for");
        std::fs::remove_file(&path).expect("removed");
        std::fs::write(&path, "").expect("written");
        assert!(run.open_schedule().is_ok());
    }

    #[test]
    fn a_run_is_found_by_name_or_by_path_and_needs_a_verdict() {
        let root = tempfile::tempdir().expect("a directory");
        let store = Store::open(root.path()).expect("a store");
        let manifest = Manifest::here(1, serde_json::to_value(config(&[])).expect("JSON"));
        let run = store.create_run(&manifest).expect("a run");
        assert_eq!(find(root.path(), "latest").expect("the one run").id(), run.id());
        let by_path = find(Path::new("/nowhere"), run.path().to_str().expect("text")).expect("the one run");
        assert_eq!(by_path.id(), run.id());
        let error = Stored::read(by_path).expect_err("no verdict").to_string();
        assert!(error.contains("has no verdict"), "{error}");
        run.write_verdict(&Summary::new("raft", "register", 1)).expect("written");
        let stored = Stored::read(run).expect("a run");
        assert_eq!(stored.config.nodes, 5);
    }

    #[test]
    fn what_an_imported_run_names_is_not_started_unasked() {
        let root = tempfile::tempdir().expect("a directory");
        let store = Store::open(root.path()).expect("a store");
        for (flags, is_safe) in [(&[][..], true), (&["--binary", "/tmp/evil"][..], false)] {
            let manifest = Manifest::here(1, serde_json::to_value(config(flags)).expect("JSON"));
            let run = store.create_run(&manifest).expect("a run");
            run.write_verdict(&Summary::new("raft", "register", 1)).expect("written");
            let path = run.path().to_owned();
            let stored = Stored::read(run).expect("a run");
            assert!(stored.check_origin().is_ok(), "it was made here");
            std::fs::write(path.join("imported.json"), "{}").expect("written");
            assert_eq!(stored.check_origin().is_ok(), is_safe);
            if let Err(error) = stored.check_origin() {
                assert!(error.to_string().contains("/tmp/evil") && error.to_string().contains("--trust"), "{error}");
            }
        }
    }
}
