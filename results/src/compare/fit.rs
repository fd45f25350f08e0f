//! Whether runs may be compared at all: of one kind of machine, and of one configuration but for what is compared.
//!
//! ```text
//!   manifests of A and B ──> every setting, flat ──> without those that may differ ──> the rest must be the same in all runs
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use crate::store::{Manifest, RunEntry};

/// Settings that decide nothing about what is measured, or are what one compares.
const FREE: [&str; 9] =
    ["binary", "seed", "mutant", "labels", "store", "keep_data", "fail_fast", "check_time", "check_memory_mib"];

/// Settings that follow from others, which may differ where those may.
const FOLLOWS: [(&str, &str); 4] =
    [("system", "reads"), ("concurrency", "workload.clients"), ("nodes", "workload.clients"), ("nodes", "concurrency")];

/// Values of one setting that are named in an error.
const NAMED_MAX: usize = 4;

/// In what all these runs differ that should be the same: for each machine and setting a line in words. `across` names settings that may
/// differ, because they are what is compared.
#[must_use]
pub fn differences(a: &[RunEntry], b: &[RunEntry], across: &[String]) -> Vec<String> {
    let manifests = |side: &'static str, runs: &'_ [RunEntry]| {
        runs.iter().filter_map(move |run| Some((side, run.manifest.as_ref().ok()?.clone()))).collect::<Vec<_>>()
    };
    let all: Vec<(&str, Manifest)> = manifests("A", a).into_iter().chain(manifests("B", b)).collect();
    let mut differences = Vec::new();
    if let Some((_, first)) = all.first() {
        let machines: BTreeSet<String> =
            all.iter().flat_map(|(_, other)| first.machine.differences(&other.machine)).collect();
        differences.extend(machines.into_iter().map(|difference| format!("machine, {difference}")));
    }
    let flat: Vec<(&str, BTreeMap<String, String>)> =
        all.iter().map(|(side, of)| (*side, settings(&of.config))).collect();
    let names: BTreeSet<&String> = flat.iter().flat_map(|(_, settings)| settings.keys()).collect();
    for name in names.into_iter().filter(|name| !may_differ(name, across)) {
        let values: BTreeSet<(&str, &str)> = flat.iter().map(|(side, of)| (value(of, name), *side)).collect();
        let different: BTreeSet<&str> = values.iter().map(|(value, _)| *value).collect();
        if different.len() > 1 {
            let named: Vec<String> =
                values.iter().take(NAMED_MAX).map(|(value, side)| format!("{value} in {side}")).collect();
            let more = if values.len() > NAMED_MAX { " and others" } else { "" };
            differences.push(format!("{name}: {}{more}", named.join(", ")));
        }
    }
    differences
}

/// Whether two runs are of one kind of machine and of one configuration: what a series over time is made of. Here a mutant makes a
/// difference.
#[must_use]
pub fn is_alike(one: &Manifest, other: &Manifest) -> bool {
    let (ours, theirs) = (settings(&one.config), settings(&other.config));
    let mut names = ours.keys().chain(theirs.keys());
    one.machine.differences(&other.machine).is_empty()
        && names.all(|name| (name != "mutant" && may_differ(name, &[])) || value(&ours, name) == value(&theirs, name))
}

/// A setting that nobody wrote down was not there yet: it is as if it had been switched off.
fn value<'a>(settings: &'a BTreeMap<String, String>, name: &str) -> &'a str {
    settings.get(name).map_or("none", String::as_str)
}

fn may_differ(name: &str, across: &[String]) -> bool {
    let is = |wanted: &str| {
        // As typed with dashes or as stored; a table's name means all in it.
        let wanted = wanted.replace('-', "_");
        name.strip_prefix(&wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    FREE.iter().any(|free| is(free))
        || across.iter().any(|across| is(across))
        || FOLLOWS.iter().any(|(leads, follows)| is(follows) && across.iter().any(|across| across == leads))
}

/// Every setting by its path, as text. Nothing, no and zero are all `none`: later versions know more settings, switched off.
fn settings(config: &Json) -> BTreeMap<String, String> {
    let mut flat = BTreeMap::new();
    flatten(config, String::new(), &mut flat);
    flat
}

fn flatten(value: &Json, path: String, flat: &mut BTreeMap<String, String>) {
    let text = match value {
        Json::Object(fields) => match duration(fields).or_else(|| choice(fields)) {
            Some(text) => text,
            None => {
                for (name, value) in fields {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    flatten(value, path, flat);
                }
                return;
            }
        },
        Json::Null | Json::Bool(false) => "none".to_owned(),
        Json::Number(number) if number.as_f64() == Some(0.0) => "none".to_owned(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    flat.insert(path, text);
}

/// Durations are stored as seconds and nanoseconds.
fn duration(fields: &serde_json::Map<String, Json>) -> Option<String> {
    let part = |name: &str| fields.get(name)?.as_u64();
    let (secs, nanos) = (part("secs")?, part("nanos")?);
    #[expect(clippy::cast_precision_loss, reason = "for a person to read")]
    let seconds = secs as f64 + nanos as f64 / 1e9;
    Some(if seconds == 0.0 { "none".to_owned() } else { format!("{seconds} s") })
}

/// One of several kinds of value, like `{"These": ["kill"]}`: it is one setting, whatever kind it is.
fn choice(fields: &serde_json::Map<String, Json>) -> Option<String> {
    let mut fields = fields.iter();
    let (name, value) = fields.next().filter(|(name, _)| name.starts_with(|c: char| c.is_ascii_uppercase()))?;
    fields.next().is_none().then(|| format!("{name} {value}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::Store;

    fn manifest(change: impl FnOnce(&mut Json)) -> Manifest {
        let mut config = json!({
            "system": "raft", "nodes": 3, "rate": 500, "seed": 1, "binary": null, "mutant": null, "retry": false,
            "workload": {"kind": "register", "clients": 9}, "reads": {"nodes": "quorum"}, "time": {"secs": 5, "nanos": 0},
            "link_delay": {"secs": 0, "nanos": 0}, "concurrency": 6, "nemeses": {"These": []},
        });
        change(&mut config);
        Manifest::here(1, config)
    }

    fn entries(manifests: &[Manifest]) -> (tempfile::TempDir, Vec<RunEntry>) {
        let root = tempfile::tempdir().expect("a directory");
        let store = Store::open(root.path()).expect("a store");
        for manifest in manifests {
            store.create_run(manifest).expect("a run");
        }
        let entries = store.entries().expect("listed");
        (root, entries)
    }

    fn found(change: impl FnOnce(&mut Json), across: &[&str]) -> Vec<String> {
        let ((_a, a), (_b, b)) = (entries(&[manifest(|_| {})]), entries(&[manifest(change)]));
        differences(&a, &b, &across.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_compared_may_differ_and_nothing_else() {
        let free = |config: &mut Json| {
            config["seed"] = json!(2);
            config["binary"] = json!("./mine");
            config["mutant"] = json!("raft-no-dedup");
        };
        assert!(found(free, &[]).is_empty());
        assert_eq!(found(|c| c["rate"] = json!(1_000), &[]), ["rate: 1000 in B, 500 in A"]);
        assert_eq!(found(|c| c["time"]["secs"] = json!(6), &[]), ["time: 5 s in A, 6 s in B"]);
        assert_eq!(found(|c| c["nemeses"] = json!("All"), &[]).len(), 1);
        let other = |config: &mut Json| {
            config["system"] = json!("etcd");
            config["reads"] = json!({"etcd": "linearizable"});
        };
        assert_eq!(found(other, &["system"]), [""; 0]);
        assert!(found(other, &[]).iter().any(|line| line.starts_with("system: ")));
        let slower = |config: &mut Json| config["link_delay"]["nanos"] = json!(300_000);
        assert_eq!(found(slower, &[]), ["link_delay: 0.0003 s in B, none in A"]);
        assert!(found(slower, &["link-delay"]).is_empty());
        let more = |config: &mut Json| {
            config["concurrency"] = json!(12);
            config["workload"]["clients"] = json!(15);
        };
        assert!(found(more, &["concurrency"]).is_empty());
        assert_eq!(found(more, &[]).len(), 2);
    }

    /// A setting that a manifest of before does not know is one that was not switched on.
    #[test]
    fn what_was_not_there_yet_is_off() {
        let before = |config: &mut Json| {
            for name in ["link_delay", "retry", "mutant"] {
                config.as_object_mut().expect("an object").remove(name);
            }
        };
        assert!(found(before, &[]).is_empty());
        assert!(is_alike(&manifest(|_| {}), &manifest(before)));
        assert!(is_alike(&manifest(|_| {}), &manifest(|config| config["seed"] = json!(9))));
        for wrong in [("rate", json!(1)), ("mutant", json!("raft-no-dedup")), ("retry", json!(true))] {
            assert!(!is_alike(&manifest(|_| {}), &manifest(|config| config[wrong.0] = wrong.1)), "{}", wrong.0);
        }
    }

    #[test]
    fn machines_and_sets_of_several_kinds_are_told() {
        let mut elsewhere = manifest(|_| {});
        elsewhere.machine.cpus += 2;
        elsewhere.machine.kernel = "Linux 9".to_owned();
        let ((_a, a), (_b, b)) = (entries(&[manifest(|_| {})]), entries(&[elsewhere.clone()]));
        let told = differences(&a, &b, &[]);
        assert_eq!(told.len(), 2);
        assert!(told[0].starts_with("machine, cpus: ") && told[1].starts_with("machine, kernel: "), "{told:?}");
        assert!(!is_alike(&manifest(|_| {}), &elsewhere));
        // Within one side, too.
        let (_m, mixed) = entries(&[manifest(|_| {}), manifest(|config| config["rate"] = json!(7))]);
        assert_eq!(differences(&mixed, &a, &[]), ["rate: 500 in A, 500 in B, 7 in A"]);
    }
}
