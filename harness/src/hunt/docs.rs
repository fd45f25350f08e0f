//! `docs/mutants.md`, from the catalogue, the scenarios, and what hunts have measured.
//!
//! ```text
//!   nodes::mutants ─┐
//!   scenario       ─┼──> page ──> docs/mutants.md     a test says when the file is not what is made here
//!   docs/measured/*.json ┘                            (TRUELINE_WRITE_DOCS=1 cargo test writes it)
//! ```

use std::{collections::BTreeMap, fmt::Write};

use nodes::{
    mutants::{self, Mutant, Rating},
    protocol::ProtocolKind,
};
use results::hunt::{HuntReport, Quarry, TargetReport, interval, seconds};

use super::{plan::quarry, scenario};

const INTRODUCTION: &str = "\
# Mutants

<!-- Made by the test of harness/src/hunt/docs.rs; with TRUELINE_WRITE_DOCS=1 it writes this file. -->

A mutant is one correctness bug, switched on by name in every node of a run, to see that the harness finds it. Most are bugs that
real systems had, or that the papers warn of. The correct build has none; `trueline node` refuses `--mutant` without `--allow-mutants`, and
names it in its ready line, in `/v1/status` and in the run's manifest. `trueline node --list-mutants` lists them.

```console
$ trueline run --mutant raft-ack-before-fsync --nemesis power     # one run
$ trueline hunt --rating easy                                     # every easy one, five seeds each, with what finds it
$ trueline hunt --generic --rating easy,medium                    # with the mix of all faults instead
$ trueline hunt --correct --seeds 20                              # the correct builds, in the same situations
```

Each replaces exactly one rule. A counter, *fired*, goes up where the wrong rule decides otherwise than the right one. It is no evidence:
the verdict rests on what clients saw. But it tells \"the bug never got its chance\" from \"it did, and nobody saw\". A node that
stops on an assertion of its own is *crashed*, which is not *detected*: the bug was met, but no client saw anything wrong.

Ratings are fixed before measuring: *easy* is found within 20 s of faults in every run, *medium* within 90 s, *hard* within 300 s in two
of three. *Decoys* cost liveness at most, and must raise no alarm; `slow-fsync`, `heartbeat-near-timeout` and `drop-10pct` are decoys that
are no rule but a setting of the correct build.

`kill -9` is not a power loss: what a process has written is in the page cache, and outlives it. So the nodes keep appended bytes in user
space until they sync: then a kill loses what was not synced. A power loss (SIGUSR1) also writes a part of the unsynced bytes first, which tears the
last batch. This models the loss; it does not prove that a disk keeps its own promises.
";

const COLUMNS: &str = "\
*Detected* is the number of runs, with the 95 % interval of the true share (Wilson 1927). Times count from the start of the faults until the
violation was seen; `>` where runs took longer than their budget.
";

/// Why a mutant escapes, where it does; beside what its own text says.
const REMARKS: [(&str, &str); 1] = [(
    "pax-ballot-reuse-restart",
    "a restarted leader does lead again in its old ballot, but only where no acceptor that answers it knows of that ballot, for each answer \
     tells the promise it collides with; what it then proposes must also differ, and be overruled: not seen so far",
)];

/// The page, with what these hunts have measured: of each target the newest counts.
#[must_use]
pub fn page(hunts: &[HuntReport]) -> String {
    let mut text = INTRODUCTION.to_owned();
    let (own, generic) = (newest(hunts, false), newest(hunts, true));
    text += &quiet(hunts);
    text += &mixed(&generic);
    for protocol in ProtocolKind::ALL {
        let of_protocol: Vec<Mutant> = mutants::all().filter(|mutant| mutant.protocol == protocol).collect();
        if !of_protocol.is_empty() {
            section(&mut text, protocol, &of_protocol, [&own, &generic]);
        }
    }
    text
}

type Measured<'a> = BTreeMap<&'a str, &'a TargetReport>;

fn newest(hunts: &[HuntReport], generic: bool) -> Measured<'_> {
    let mut hunts: Vec<&HuntReport> = hunts.iter().filter(|hunt| hunt.generic == generic).collect();
    hunts.sort_by_key(|hunt| &hunt.started);
    hunts.into_iter().flat_map(|hunt| &hunt.targets).map(|target| (target.name.as_str(), target)).collect()
}

/// What the correct builds and decoys did, over all hunts.
fn quiet(hunts: &[HuntReport]) -> String {
    let targets = || hunts.iter().flat_map(|hunt| &hunt.targets).filter(|target| !target.quarry.is_mutant());
    let hours = targets().map(|target| target.figures.load_ms).sum::<u64>() as f64 / 3.6e6;
    let runs: u32 = targets().map(|target| target.figures.of).sum();
    let alarms: u32 = targets().map(|target| target.figures.detected).sum();
    match runs {
        0 => String::new(),
        _ => format!(
            "\nCorrect builds and decoys, measured: {runs} runs, {hours:.1} hours of load, false alarms: {alarms}.\n"
        ),
    }
}

/// What the mix of all faults finds, of those that it should: users' own bugs have no story made for them.
fn mixed(generic: &Measured<'_>) -> String {
    let due: Vec<_> =
        generic.values().filter(|target| matches!(target.quarry, Quarry::Easy | Quarry::Medium)).collect();
    let found = due.iter().filter(|target| target.figures.detected > 0).count();
    let runs: u32 = due.iter().map(|target| target.figures.of).sum();
    let detected: u32 = due.iter().map(|target| target.figures.detected).sum();
    match due.len() {
        0 => String::new(),
        all => format!(
            "\nThe mix of all faults, measured: of {all} mutants rated easy or medium it finds {found} in at least one of their runs; of {runs} \
             runs {detected} find theirs.\n"
        ),
    }
}

fn section(text: &mut String, protocol: ProtocolKind, mutants: &[Mutant], [own, generic]: [&Measured<'_>; 2]) {
    let title = match protocol {
        ProtocolKind::Raft => "Raft",
        ProtocolKind::MultiPaxos => "Multi-Paxos",
        ProtocolKind::Zab => "Zab",
    };
    _ = writeln!(text, "\n## {title}: measured\n\n{COLUMNS}");
    text.push_str("| mutant | rating | detected | median | worst | fired | seen | generic mix | why not |\n");
    text.push_str("|---|---|---|---|---|---|---|---|---|\n");
    for mutant in mutants {
        let name = mutant.id;
        let [detected, median, worst, fired, seen] = own.get(name).map_or_else(unmeasured, |target| cells(target));
        let mixed = generic.get(name).map_or_else(|| "-".to_owned(), |target| cells(target)[0].clone());
        let why = REMARKS.iter().find(|(id, _)| *id == name).map_or("", |(_, why)| why);
        let rating = mutant.rating;
        _ = writeln!(
            text,
            "| `{name}` | {rating} | {detected} | {median} | {worst} | {fired} | {seen} | {mixed} | {} |",
            cell(why)
        );
    }
    _ = writeln!(text, "\n## {title}: the mutants");
    for mutant in mutants {
        entry(text, mutant);
    }
}

fn unmeasured() -> [String; 5] {
    ["not measured", "-", "-", "-", "-"].map(str::to_owned)
}

/// Detected, median, worst, fired, seen.
fn cells(target: &TargetReport) -> [String; 5] {
    let figures = &target.figures;
    let (detected, of) = (figures.detected, figures.of);
    let mut seen: Vec<String> = figures.anomalies.iter().map(|(name, count)| format!("{name} {count}")).collect();
    for (count, what) in [(figures.crashed, "crashed"), (figures.stuck, "stuck")] {
        seen.extend((count > 0).then(|| format!("{what} {count}")));
    }
    let seen = if seen.is_empty() { "-".to_owned() } else { seen.join(", ") };
    if target.quarry == Quarry::Decoy {
        return [format!("alarms {detected} of {of}"), "-".into(), "-".into(), figures.fired.to_string(), seen];
    }
    let time = |ms: Option<u64>| ms.map_or_else(|| format!("> {}", seconds(target.budget_ms)), seconds);
    let fired = if figures.fired == 0 && detected == 0 { "never".to_owned() } else { figures.fired.to_string() };
    let share = format!("{detected} of {of} ({})", interval(figures));
    [share, time(figures.median_ms), time(figures.worst_ms), fired, seen]
}

fn entry(text: &mut String, mutant: &Mutant) {
    let Mutant { id, protocol, rating, bug, rule, seen_as, source } = *mutant;
    let arguments = scenario::of(id).arguments(protocol, Some(id)).join(" ");
    let budget = super::plan::budget(quarry(rating)).as_secs();
    _ = writeln!(text, "\n### `{id}`\n{}.\n", capital(bug));
    _ = writeln!(text, "- rule: {rule}\n- seen as: {seen_as}\n- source: {source}");
    let what = if rating == Rating::Decoy { "must pass" } else { "found with" };
    _ = writeln!(text, "- {what}: `trueline run {arguments} --time {budget}s`");
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn cell(text: &str) -> String {
    text.replace('|', r"\|")
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;

    fn docs() -> PathBuf {
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs"))
    }

    fn measured() -> Vec<HuntReport> {
        let Ok(folder) = fs::read_dir(docs().join("measured")) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = folder.map(|entry| entry.expect("a folder that can be read").path()).collect();
        paths.sort();
        paths
            .into_iter()
            .map(|path| {
                let text = fs::read_to_string(&path).expect("a file that can be read");
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            })
            .collect()
    }

    #[test]
    fn the_page_is_what_is_made_here() {
        let (path, page) = (docs().join("mutants.md"), page(&measured()));
        if std::env::var_os("TRUELINE_WRITE_DOCS").is_some() {
            fs::write(&path, &page).expect("the page can be written");
        }
        let stored = fs::read_to_string(&path).expect("the page is there");
        assert!(
            stored == page,
            "docs/mutants.md is not what is made of the catalogue; write it with TRUELINE_WRITE_DOCS=1"
        );
    }

    #[test]
    fn every_mutant_is_on_the_page_with_its_source() {
        let page = page(&[]);
        for mutant in mutants::all() {
            for text in [mutant.id, mutant.rule, mutant.seen_as, mutant.source] {
                assert!(page.contains(text), "{text:?} of {} is missing", mutant.id);
            }
        }
    }

    #[test]
    fn remarks_are_about_mutants() {
        for (id, why) in REMARKS {
            assert!(id.parse::<Mutant>().is_ok() && !why.is_empty(), "{id}");
        }
    }
}
