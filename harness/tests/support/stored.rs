//! Stored runs that were never carried out.

use std::{io::Write, path::Path};

use results::{
    store::{Manifest, RunDir, RunId, Store},
    summary::Summary,
};
use serde_json::json;

/// A run that is over: of this seed, by this name.
pub fn made(store: &Path, name: &str, seed: u64) -> RunDir {
    let store = Store::open(store).unwrap();
    let id: RunId = name.parse().unwrap();
    let config =
        json!({"system": "raft", "nodes": 3, "workload": {"kind": "register"}, "nemeses": {"These": ["kill"]}});
    let mut manifest = Manifest::here(seed, config);
    manifest.labels = [("build".to_owned(), format!("b{seed}"))].into();
    let run = store.create_named(id, &manifest).unwrap();
    run.create_history().unwrap().write_all(b"{\"trueline_history\":1}\n").unwrap();
    run.compress_history().unwrap();
    let summary = Summary { run: Some(name.to_owned()), ..Summary::new("raft", "register", seed) };
    run.write_verdict(&summary).unwrap();
    let path = run.path().to_owned();
    drop(run);
    RunDir::open(&path).unwrap()
}

pub const FIRST: &str = "20261121-010000-33aa";
pub const SECOND: &str = "20261121-020000-33bb";
pub const THIRD: &str = "20261121-030000-c000";

/// A store of three of them.
pub fn three() -> tempfile::TempDir {
    let store = tempfile::tempdir().unwrap();
    for (seed, name) in [(1, FIRST), (2, SECOND), (3, THIRD)] {
        made(store.path(), name, seed);
    }
    store
}
