//! `trueline runs`: what is in the store.
//!
//! ```text
//!   list ── show ── path         read
//!   pin ── rm ── keep            tidy up
//!   export ── import             move
//! ```

use std::{
    fs::File,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use results::{
    exit::ExitCode,
    store::{
        ArchiveError, CollectionKind, DEFAULT_STORE, Export, Item, Keep, RunDir, Selection, Store, StoreError, Weight,
        beyond,
    },
    summary::one_line,
};
use serde_json::json;

use crate::{
    failure::Failure,
    listing::{CollectionRow, Row, bytes_in_words, parse_bytes},
};

mod show;
mod table;

const EXAMPLES: &str = "\
Examples:
  trueline runs                                     the newest runs, and what takes how much room
  trueline runs verdict=invalid system=raft,zab     those runs; also label.build=abc, since=2026-11-01, latest:20
  trueline runs show 33                             by the digits that tell it from the others; latest is one, too
  trueline runs rm 33 4a0                           asks first
  trueline runs keep --size 5GB --dry-run           what would go
  trueline runs export 33 && scp 2026*.tar.zst …    there: trueline runs import 2026*.tar.zst
  trueline check $(trueline runs path latest)/history.jsonl.zst

What is in a run's directory, and what a selection can say: docs/store.md.";

/// Flags of `trueline runs`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct RunsArgs {
    /// What to do; without it, `list`.
    #[command(subcommand)]
    pub action: Option<Action>,
    /// What to list without a subcommand.
    #[command(flatten)]
    pub list: ListArgs,
}

/// What can be done with stored runs.
#[derive(Clone, Debug, Subcommand)]
pub enum Action {
    /// List runs, the newest first
    List(ListArgs),
    /// Show a run: its summary, what it was of, its files
    Show(show::ShowArgs),
    /// Remove runs
    Rm(RmArgs),
    /// Remove the oldest beyond so many, or so many bytes
    Keep(KeepArgs),
    /// Keep runs whatever their age
    Pin(NamesArgs),
    /// Keep runs no longer whatever their age
    Unpin(NamesArgs),
    /// Print the path of a run's directory
    Path(PathArgs),
    /// Write runs to an archive
    Export(ExportArgs),
    /// Take the runs of archives in
    Import(ImportArgs),
}

/// Which store.
#[derive(Args, Clone, Debug)]
pub struct StoreArgs {
    /// Where runs are stored
    #[arg(long, default_value = DEFAULT_STORE, value_name = "DIR")]
    pub store: PathBuf,
}

impl StoreArgs {
    /// The store, which must be there. What was left of removals is swept.
    ///
    /// # Errors
    /// When it is not there.
    pub fn open(&self) -> Result<Store, Failure> {
        if !self.store.is_dir() {
            let what = "there is no store in {}: `trueline run` makes it; or name another one with --store";
            return Err(Failure::usage(anyhow!(what.replace("{}", &self.store.display().to_string()))));
        }
        let store = Store::open(&self.store).map_err(failed)?;
        // What is wrong with leftovers is no reason not to go on.
        if let Err(error) = store.sweep() {
            eprintln!("trueline: {}", one_line(&error.to_string()));
        }
        Ok(store)
    }
}

/// Flags of `trueline runs list`.
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    /// Which runs: system=raft verdict=invalid label.KEY=VALUE since=2026-11-01 latest:20 … (docs/store.md)
    #[arg(value_name = "SELECTION")]
    pub selection: Vec<String>,
    /// At most so many; 0 for all [default: 50, with --json all]
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Where.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Flags of `trueline runs rm`.
#[derive(Args, Clone, Debug)]
pub struct RmArgs {
    /// Which: short names, names, `latest`, or hunt-…, gate-…, bench-…, replay-… as listed
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<String>,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Where.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Flags of `trueline runs keep`.
#[derive(Args, Clone, Debug)]
pub struct KeepArgs {
    /// Keep so many of the newest; a hunt, gate, bench or replay counts as one
    #[arg(long, value_name = "N", required_unless_present = "size", conflicts_with = "size")]
    pub last: Option<usize>,
    /// Keep the newest that fit in so much room: 500MB, 5GB
    #[arg(long, value_parser = parse_bytes, value_name = "SIZE")]
    pub size: Option<u64>,
    /// Only say what would go
    #[arg(long)]
    pub dry_run: bool,
    /// Where.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Flags of `trueline runs pin` and `unpin`.
#[derive(Args, Clone, Debug)]
pub struct NamesArgs {
    /// Which
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<String>,
    /// Where.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Flags of `trueline runs path`.
#[derive(Args, Clone, Debug)]
pub struct PathArgs {
    /// Which
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Where.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Flags of `trueline runs export`.
#[derive(Args, Clone, Debug)]
pub struct ExportArgs {
    /// Which
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<String>,
    /// One archive for all of them; `-` is standard output [default: ID.tar.zst for each]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Take along what the nodes had on disk
    #[arg(long)]
    pub with_data: bool,
    /// Where.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Flags of `trueline runs import`.
#[derive(Args, Clone, Debug)]
pub struct ImportArgs {
    /// Archives that `trueline runs export` wrote; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// How much may come out of each
    #[arg(long, default_value = "8GiB", value_parser = parse_bytes, value_name = "SIZE")]
    pub max_size: u64,
    /// Where.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Runs that are listed unless it is said otherwise.
const LISTED: usize = 50;

/// Hunts and the like that are listed below the runs.
const COLLECTIONS_LISTED: usize = 10;

/// Version of what `--json` prints.
const LIST_FORMAT: u32 = 1;

/// Does what was asked for.
///
/// # Errors
/// When what is named is not there, or the store cannot be read or written.
pub fn execute(args: &RunsArgs) -> Result<ExitCode, Failure> {
    match &args.action {
        None => list(&args.list),
        Some(Action::List(args)) => list(args),
        Some(Action::Show(args)) => show::show(args),
        Some(Action::Rm(args)) => rm(args),
        Some(Action::Keep(args)) => keep(args),
        Some(Action::Pin(args)) => pin(args, true),
        Some(Action::Unpin(args)) => pin(args, false),
        Some(Action::Path(args)) => {
            let run = args.store.open()?.find(&args.run).map_err(failed)?;
            print(&format!("{}\n", run.path().display()))
        }
        Some(Action::Export(args)) => export(args),
        Some(Action::Import(args)) => import(args),
    }
    .map(|()| ExitCode::Valid)
}

/// What a person can mend by another command line is wrong usage.
fn failed(error: StoreError) -> Failure {
    match error {
        StoreError::Io { .. } | StoreError::Crowded(_) => Failure::harness(error),
        _ => Failure::usage(error),
    }
}

fn print(text: &str) -> Result<(), Failure> {
    std::io::stdout().write_all(text.as_bytes()).context("cannot print").map_err(Failure::harness)
}

fn list(args: &ListArgs) -> Result<(), Failure> {
    let selection = Selection::of(&args.selection).map_err(Failure::usage)?;
    let store = args.store.open()?;
    let entries = store.entries().map_err(failed)?;
    let mut chosen = selection.choose(&entries).map_err(Failure::usage)?;
    chosen.reverse();
    let count = chosen.len();
    let limit = args.limit.unwrap_or(if args.json { 0 } else { LISTED });
    if limit > 0 {
        chosen.truncate(limit);
    }
    let rows: Vec<Row> = chosen.iter().map(Row::of).collect();
    // A selection is about runs.
    let collections = if selection.is_all() { store.collections().map_err(failed)? } else { Vec::new() };
    let mut collections: Vec<CollectionRow> = collections.iter().map(CollectionRow::of).collect();
    collections.reverse();
    if args.json {
        let list = json!({
            "format": LIST_FORMAT, "store": store.path().display().to_string(), "found": count, "runs": rows,
            "collections": collections,
        });
        return print(&format!("{list:#}\n"));
    }
    let colour = std::io::stdout().is_terminal();
    let mut text = if rows.is_empty() { String::new() } else { table::table(&rows, colour) };
    if !collections.is_empty() {
        let shown = &collections[..collections.len().min(COLLECTIONS_LISTED)];
        text += &format!("\n{}", table::collections(shown, colour));
    }
    text += &footer(&store, count, &rows, &collections, !selection.is_all());
    print(&text)
}

fn footer(store: &Store, count: usize, rows: &[Row], collections: &[CollectionRow], is_selected: bool) -> String {
    let bytes: u64 = rows.iter().map(|row| row.bytes).chain(collections.iter().map(|row| row.bytes)).sum();
    let mut words = vec![format!("{count} run{}{}", plural(count), if is_selected { " selected" } else { "" })];
    for kind in CollectionKind::ALL {
        match collections.iter().filter(|row| row.kind == kind.name()).count() {
            0 => {}
            count => words.push(format!(
                "{count} {kind}{}",
                if kind == CollectionKind::Bench && count > 1 { "es" } else { plural(count) }
            )),
        }
    }
    let shown = if rows.len() < count {
        format!("; the newest {} are shown, and --limit 0 shows all", rows.len())
    } else {
        String::new()
    };
    let room = if rows.len() < count { "those shown take" } else { "they take" };
    format!("\n{} in {}; {room} {}{shown}\n", words.join(", "), store.path().display(), bytes_in_words(bytes))
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// What these names mean, each once.
fn items(store: &Store, names: &[String]) -> Result<Vec<Item>, Failure> {
    let mut items: Vec<Item> = Vec::new();
    for name in names {
        let item = item(store, name)?;
        if !items.contains(&item) {
            items.push(item);
        }
    }
    Ok(items)
}

fn item(store: &Store, name: &str) -> Result<Item, Failure> {
    let is_collection = CollectionKind::ALL.iter().any(|kind| name.starts_with(&format!("{kind}-")));
    if !is_collection {
        // By name alone: a path may be one of another store, and what is done here is done to this one.
        return store.resolve(name).map(Item::Run).map_err(failed);
    }
    let all = store.collections().map_err(failed)?;
    let fits: Vec<_> = all.into_iter().filter(|collection| collection.name().starts_with(name)).collect();
    match <[_; 1]>::try_from(fits) {
        Ok([one]) => Ok(Item::Collection(one)),
        Err(fits) if fits.is_empty() => Err(Failure::usage(anyhow!(
            "nothing in {} is called {name:?}; `trueline runs` lists what there is",
            store.path().display()
        ))),
        Err(fits) => Err(Failure::usage(anyhow!(
            "{name:?} may be {} and {} more; write more of it",
            fits[0].name(),
            fits.len() - 1
        ))),
    }
}

/// What each of these is, in a line, before it goes.
fn lines(store: &Store, items: &[Item]) -> Result<String, Failure> {
    let entries = store.entries().map_err(failed)?;
    let line = |item: &Item| {
        let bytes = bytes_in_words(item.bytes());
        let pinned = if item.is_pinned() { ", pinned" } else { "" };
        let entry = entries.iter().find(|entry| matches!(item, Item::Run(run) if run == &entry.dir));
        let what = entry.map_or_else(|| item.state().to_string(), |entry| in_words(&Row::of(entry)));
        format!("  {:28}  {bytes:>9}  {}{pinned}\n", item.name(), one_line(&what))
    };
    Ok(items.iter().map(line).collect())
}

fn in_words(row: &Row) -> String {
    let words = [row.system.as_deref(), row.workload.as_deref(), Some(row.outcome())];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn rm(args: &RmArgs) -> Result<(), Failure> {
    let store = args.store.open()?;
    let items = items(&store, &args.runs)?;
    if !args.yes {
        eprint!("{}", lines(&store, &items)?);
        if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
            let what = anyhow!("nothing was removed: there is no terminal to ask at; --yes removes without asking");
            return Err(Failure::usage(what));
        }
        eprint!(
            "Remove {}? [y/N] ",
            if items.len() == 1 { "this".to_owned() } else { format!("these {}", items.len()) }
        );
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).context("cannot read the answer").map_err(Failure::harness)?;
        if !matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
            eprintln!("nothing was removed");
            return Ok(());
        }
    }
    remove(&store, &items)
}

/// Removes each; what could not be removed does not keep the others.
fn remove(store: &Store, items: &[Item]) -> Result<(), Failure> {
    let mut first_failure = None;
    for item in items {
        match store.remove_item(item) {
            Ok(()) => eprintln!("removed {}", item.name()),
            Err(error) => {
                eprintln!("trueline: {}", one_line(&error.to_string()));
                first_failure = first_failure.or(Some(error));
            }
        }
    }
    first_failure.map_or(Ok(()), |error| Err(failed(error)))
}

fn keep(args: &KeepArgs) -> Result<(), Failure> {
    let store = args.store.open()?;
    let keep = match (args.last, args.size) {
        (Some(count), _) => Keep::Last(count),
        (None, Some(bytes)) => Keep::Bytes(bytes),
        (None, None) => return Err(Failure::usage(anyhow!("say how much to keep: --last N or --size 5GB"))),
    };
    let all = store.items().map_err(failed)?;
    let weights: Vec<Weight> = all.iter().map(Weight::of).collect();
    let places = beyond(&weights, keep);
    let gone: Vec<Item> = places.iter().map(|&place| all[place].clone()).collect();
    let freed: u64 = places.iter().map(|&place| weights[place].bytes).sum();
    let (kept, freed) = (all.len() - gone.len(), bytes_in_words(freed));
    if args.dry_run {
        return print(&format!("{}{} would go, {freed}; {kept} would stay\n", lines(&store, &gone)?, gone.len()));
    }
    remove(&store, &gone)?;
    print(&format!("{} removed, {freed}; {kept} stay\n", gone.len()))
}

fn pin(args: &NamesArgs, pinned: bool) -> Result<(), Failure> {
    let store = args.store.open()?;
    items(&store, &args.runs)?.iter().try_for_each(|item| item.pin(pinned)).map_err(failed)
}

fn export(args: &ExportArgs) -> Result<(), Failure> {
    let store = args.store.open()?;
    let mut runs: Vec<RunDir> = Vec::new();
    for name in &args.runs {
        let run = store.find(name).map_err(failed)?;
        if !runs.contains(&run) {
            runs.push(run);
        }
    }
    match &args.output {
        Some(path) if path == Path::new("-") => {
            let output = std::io::stdout().lock();
            if output.is_terminal() {
                return Err(Failure::usage(anyhow!(
                    "an archive is nothing for a terminal: name a file with -o, or pipe it"
                )));
            }
            archive(output, &runs, args.with_data).map(drop)
        }
        Some(path) => export_to(path, &runs, args.with_data),
        None => runs.iter().try_for_each(|run| {
            export_to(Path::new(&format!("{}.tar.zst", run.id())), std::slice::from_ref(run), args.with_data)
        }),
    }
}

fn export_to(path: &Path, runs: &[RunDir], with_data: bool) -> Result<(), Failure> {
    let cannot = || format!("cannot write the archive {}", path.display());
    if path.symlink_metadata().is_ok() {
        let what = anyhow!("it is there already: remove it, or name another file with -o").context(cannot());
        return Err(Failure::usage(what));
    }
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let name = path.file_name().ok_or_else(|| Failure::usage(anyhow!("{} is no file's name", path.display())))?;
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside = folder.join(beside);
    let write = || -> Result<u64, Failure> {
        let harness = |error: std::io::Error| Failure::harness(anyhow!(error).context(cannot()));
        let file = archive(File::create_new(&beside).map_err(harness)?, runs, with_data)?;
        file.sync_all().map_err(harness)?;
        std::fs::rename(&beside, path).map_err(harness)?;
        Ok(file.metadata().map_err(harness)?.len())
    };
    match write() {
        Ok(bytes) => print(&format!("{}  {}\n", path.display(), bytes_in_words(bytes))),
        Err(failure) => {
            // It may not be there; what is told is the failure.
            _ = std::fs::remove_file(&beside);
            Err(failure)
        }
    }
}

fn archive<W: Write>(output: W, runs: &[RunDir], with_data: bool) -> Result<W, Failure> {
    let write = |error: std::io::Error| Failure::harness(anyhow!(error).context("cannot write the archive"));
    let mut export = Export::to(output).map_err(write)?;
    for run in runs {
        export.add(run, with_data).map_err(|error| refused(error, run.path()))?;
    }
    let (output, left_out) = export.finish().map_err(write)?;
    for name in left_out {
        eprintln!("trueline: left out {}: no plain file that an archive of runs may hold", one_line(&name));
    }
    Ok(output)
}

/// Of an archive, or of a run that is to go into one.
fn refused(error: ArchiveError, path: &Path) -> Failure {
    let code = match error {
        ArchiveError::Store(StoreError::Io { .. }) => ExitCode::HarnessError,
        _ => ExitCode::Usage,
    };
    Failure { code, error: anyhow!(error).context(path.display().to_string()) }
}

fn import(args: &ImportArgs) -> Result<(), Failure> {
    // A store to import into may be a new one.
    let store = Store::open(&args.store.store).map_err(failed)?;
    store.sweep().map_err(failed)?;
    for path in &args.files {
        let runs = if path == Path::new("-") {
            store.import(std::io::stdin().lock(), args.max_size)
        } else {
            let opening = || format!("cannot read {}", path.display());
            let file = File::open(path).with_context(opening).map_err(Failure::usage)?;
            store.import(file, args.max_size)
        };
        for run in runs.map_err(|error| refused(error, path))? {
            let entry = store.entry(&run).map_err(failed)?;
            let words = in_words(&Row::of(&entry));
            print(&format!("{}  {}\n", run.id(), one_line(&words)))?;
        }
    }
    Ok(())
}
