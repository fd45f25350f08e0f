//! Raft, as scripts and rule by rule.
//!
//! `testdata/raft/*.txt` holds scenarios with the expected trace; `REWRITE=1 cargo test -p nodes --test raft_scripts` writes the
//! traces anew, to be read before they are committed. [`figure2`] has one test for each rule of the paper, [`mutants`] one for each
//! mutant.

mod cluster;
mod describe;
mod figure2;
mod membership;
mod membership_mutants;
mod mutants;
mod script;
mod snapshots;

#[test]
fn scripts() {
    datadriven::walk("testdata/raft", |file| {
        let mut script = script::Script::default();
        file.run(|case| script.run(case));
    });
}
