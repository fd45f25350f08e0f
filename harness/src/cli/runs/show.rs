//! `trueline runs show`.

use std::{fmt::Write, fs, io::IsTerminal};

use clap::Args;
use results::{
    store::{Item, Manifest, RunEntry},
    summary::{Summary, one_line, render},
};
use serde_json::json;

use super::{StoreArgs, failed, print};
use crate::{
    failure::Failure,
    listing::{bytes_in_words, harmless, problem},
};

/// Flags of `trueline runs show`.
#[derive(Args, Clone, Debug)]
pub struct ShowArgs {
    /// Which
    #[arg(value_name = "RUN", default_value = "latest")]
    pub run: String,
    /// Print JSON: the manifest, the summary, the files
    #[arg(long)]
    pub json: bool,
    /// Where.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// The width of the names at the left, as in summaries.
const LABEL: usize = 13;

/// Files that are named.
const FILES_MAX: usize = 200;

/// Shows a run.
pub(super) fn show(args: &ShowArgs) -> Result<(), Failure> {
    let store = args.store.open()?;
    let run = store.find(&args.run).map_err(failed)?;
    let entry = store.entry(&run).map_err(failed)?;
    let files = files(&entry);
    if args.json {
        let shown = json!({
            "format": 1, "run": run.id(), "state": entry.state, "problem": problem(&entry),
            "manifest": entry.manifest.as_ref().ok(), "summary": entry.summary, "path": run.path().display().to_string(),
            "is_imported": entry.is_imported,
            "files": files.iter().map(|(name, bytes)| json!({"name": name, "bytes": bytes})).collect::<Vec<_>>(),
        });
        return print(&format!("{shown:#}\n"));
    }
    print(&text(&entry, &files, std::io::stdout().is_terminal()))
}

fn text(entry: &RunEntry, files: &[(String, u64)], colour: bool) -> String {
    let mut text = String::new();
    match &entry.summary {
        // Where its files were when it was written is of no use once it moved; where they are is said below.
        Some(summary) => text += &render(&Summary { files: [].into(), ..harmless(summary) }, colour),
        None => text += &format!("{}\n", entry.state.name().to_uppercase()),
    }
    text.push('\n');
    let mut fact = |name: &str, value: &dyn std::fmt::Display| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name:LABEL$}{}", one_line(&value.to_string()));
    };
    let pinned = if Item::Run(entry.dir.clone()).is_pinned() { ", pinned" } else { "" };
    let imported = if entry.is_imported { ", imported" } else { "" };
    fact("run", &format_args!("{} ({}){pinned}{imported}", entry.dir.id(), entry.state));
    if let Some(problem) = problem(entry) {
        fact("unreadable", &problem);
    }
    if let Ok(manifest) = &entry.manifest {
        facts(manifest, &mut fact);
    }
    fact("directory", &entry.dir.path().display());
    for (name, bytes) in files {
        fact("", &format_args!("{:>9}  {name}", bytes_in_words(*bytes)));
    }
    text
}

fn facts(manifest: &Manifest, fact: &mut dyn FnMut(&str, &dyn std::fmt::Display)) {
    fact("started", &manifest.started);
    for (name, value) in &manifest.labels {
        fact("label", &format_args!("{name}={value}"));
    }
    fact("command", &manifest.command.join(" "));
    fact("by", &format_args!("trueline {}", manifest.trueline));
    if let Some(revision) = &manifest.directory_revision {
        fact("revision", revision);
    }
    let machine = &manifest.machine;
    let model = machine.cpu_model.as_deref().unwrap_or("unknown");
    let memory = machine.memory_bytes.map(|bytes| format!(", {}", bytes_in_words(bytes))).unwrap_or_default();
    fact("machine", &format_args!("{} cpus ({model}){memory}, {}", machine.cpus, machine.kernel));
}

/// What is in the directory, and in `nodes/`, with sizes; directories as a whole.
fn files(entry: &RunEntry) -> Vec<(String, u64)> {
    let mut files = Vec::new();
    for (folder, prefix) in [(entry.dir.path().to_owned(), ""), (entry.dir.path().join("nodes"), "nodes/")] {
        // A link is not followed: `nodes` is looked into if it is a directory.
        if !folder.symlink_metadata().is_ok_and(|folder| folder.is_dir()) {
            continue;
        }
        for file in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            match file.metadata() {
                Ok(found) if found.is_file() => files.push((format!("{prefix}{name}"), found.len())),
                Ok(found) if found.is_dir() && name != "nodes" => {
                    files.push((format!("{prefix}{name}/"), results::store::bytes_on_disk(&file.path())));
                }
                Ok(_) | Err(_) => {}
            }
        }
    }
    files.sort();
    files.truncate(FILES_MAX);
    files
}
