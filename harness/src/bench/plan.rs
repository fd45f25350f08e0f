//! What a bench measures: sides, settings, and whose turn it is.
//!
//! ```text
//!   sides:    raft   zab                     settings: throughput-c32: --nemesis none --concurrency 32
//!   turns of a setting:  raft zab | zab raft | raft zab | …      so that a drift of the machine hits both alike
//! ```

use std::{path::PathBuf, time::Duration};

use results::store::Label;

use crate::config::SystemKind;

/// What is measured against what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// Its name, which is the label `side` of its runs.
    pub name: String,
    /// The flags of `trueline run` that make it.
    pub flags: Vec<String>,
}

/// Under which conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name, which is the label `setting` of its runs.
    pub name: String,
    /// The flags of `trueline run` that make it.
    pub flags: Vec<String>,
}

/// Kinds of settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Closed loop, no faults: how much can it do?
    Throughput,
    /// Open loop, no faults: how long does it take at this rate?
    Latency,
    /// Open loop, leaders killed: how long until the next one serves?
    Recovery,
    /// Open loop, the mix of all faults.
    Faults,
}

impl Scenario {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Throughput, Self::Latency, Self::Recovery, Self::Faults];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::Latency => "latency",
            Self::Recovery => "recovery",
            Self::Faults => "faults",
        }
    }

    /// Its settings, with these numbers of clients for closed loops, and these rates for open ones.
    #[must_use]
    pub fn settings(self, concurrency: &[u32], rates: &[u32]) -> Vec<Setting> {
        let setting = |kind: &str, number: u32, flags: &[&str]| Setting {
            name: format!("{}-{kind}{number}", self.name()),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        };
        let paced = |nemesis: &str| {
            rates.iter().map(|rate| setting("r", *rate, &["--nemesis", nemesis, "--rate", &rate.to_string()])).collect()
        };
        match self {
            Self::Throughput => concurrency
                .iter()
                .map(|clients| setting("c", *clients, &["--nemesis", "none", "--concurrency", &clients.to_string()]))
                .collect(),
            Self::Latency => paced("none"),
            Self::Recovery => paced("kill-leader"),
            Self::Faults => paced("all"),
        }
    }
}

/// No sides can be made of what was typed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSides {
    /// Several things at once.
    #[error("several systems, several binaries and --side are three ways to say what is compared; use one of them")]
    TwoWays,
    /// Not of the form.
    #[error("{0:?} is no side; write NAME=FLAGS, as in --side 'slow=--link-delay 300us', or NAME= for no flags")]
    Shape(String),
    /// A name that is no label's value.
    #[error("{0:?} cannot be a side's name, because it cannot be a label")]
    Name(String),
    /// One name twice.
    #[error("two sides are called {0}")]
    Twice(String),
}

/// The sides: systems, or binaries of one system, called A, B and so on, or sets of flags. The first is what the others are compared with.
///
/// # Errors
/// When several ways are mixed, or a name cannot be.
pub fn sides(systems: &[SystemKind], binaries: &[PathBuf], typed: &[String]) -> Result<Vec<Side>, NoSides> {
    let ways = [systems.len() > 1, binaries.len() > 1, !typed.is_empty()];
    if ways.iter().filter(|way| **way).count() > 1 || systems.len() > 1 && !binaries.is_empty() {
        return Err(NoSides::TwoWays);
    }
    let flags = |system: SystemKind, binary: Option<&PathBuf>| {
        let mut flags = vec!["--system".to_owned(), system.to_string()];
        flags.extend(binary.iter().flat_map(|path| ["--binary".to_owned(), path.display().to_string()]));
        flags
    };
    let system = systems.first().copied().unwrap_or(SystemKind::Raft);
    let sides: Vec<Side> = if !typed.is_empty() {
        let side = |text: &String| {
            let (name, more) = text.split_once('=').ok_or_else(|| NoSides::Shape(text.clone()))?;
            let mut flags = flags(system, binaries.first());
            flags.extend(more.split_whitespace().map(str::to_owned));
            Ok(Side { name: name.to_owned(), flags })
        };
        typed.iter().map(side).collect::<Result<_, _>>()?
    } else if binaries.len() > 1 {
        let letter = |place: usize| char::from_digit(u32::try_from(place).unwrap_or(0) + 10, 36).unwrap_or('z');
        let side =
            |(place, path)| Side { name: letter(place).to_uppercase().to_string(), flags: flags(system, Some(path)) };
        binaries.iter().enumerate().map(side).collect()
    } else {
        let systems = if systems.is_empty() { &[SystemKind::Raft] } else { systems };
        systems.iter().map(|kind| Side { name: kind.to_string(), flags: flags(*kind, binaries.first()) }).collect()
    };
    for (place, side) in sides.iter().enumerate() {
        if format!("side={}", side.name).parse::<Label>().is_err() {
            return Err(NoSides::Name(side.name.clone()));
        }
        if sides[..place].iter().any(|other| other.name == side.name) {
            return Err(NoSides::Twice(side.name.clone()));
        }
    }
    Ok(sides)
}

/// One run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Which comparison of those that are made of the same things.
    pub repeat: u32,
    /// The setting's place.
    pub setting: usize,
    /// The side's place.
    pub side: usize,
}

/// All runs in their order: each setting for itself, its sides forwards and backwards in turn.
#[must_use]
pub fn turns(repeats: u32, settings: usize, sides: usize, rounds: u32) -> Vec<Turn> {
    let mut turns = Vec::new();
    for repeat in 0..repeats {
        for setting in 0..settings {
            for round in 0..rounds {
                // Who begins changes from one comparison to the next, too.
                let forwards = (round + repeat).is_multiple_of(2);
                turns.extend((0..sides).map(|place| Turn {
                    repeat,
                    setting,
                    side: if forwards { place } else { sides - 1 - place },
                }));
            }
        }
    }
    turns
}

/// The flags of one run: common ones, its setting's, its side's, the last one winning where a flag of a side is one of the others, too.
#[must_use]
pub fn flags(common: &[String], setting: &Setting, side: &Side) -> Vec<String> {
    let beside: Vec<&String> = common.iter().chain(&setting.flags).collect();
    // A flag given twice is an error of `trueline run`; what a side says counts.
    let kept = beside.chunks(2).filter(|pair| !side.flags.contains(pair[0])).flatten();
    kept.copied().chain(&side.flags).cloned().collect()
}

/// Common flags of all runs, each with its value.
#[must_use]
pub fn common(nodes: u32, workload: &str, time: Duration, warm_up: Duration) -> Vec<String> {
    let flags = [
        ("--nodes", nodes.to_string()),
        ("--workload", workload.to_owned()),
        ("--time", format!("{}ms", time.as_millis())),
        ("--warm-up", format!("{}ms", warm_up.as_millis())),
    ];
    flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(sides: &[Side]) -> Vec<&str> {
        sides.iter().map(|side| side.name.as_str()).collect()
    }

    #[test]
    fn sides_are_systems_binaries_or_flags() {
        let all = sides(&[], &[], &[]).expect("the usual one");
        assert_eq!(names(&all), ["raft"]);
        let all = sides(&[SystemKind::Zab, SystemKind::Etcd], &[], &[]).expect("two systems");
        assert_eq!((names(&all), all[1].flags.join(" ")), (vec!["zab", "etcd"], "--system etcd".to_owned()));
        let binaries = [PathBuf::from("./old"), PathBuf::from("./new")];
        let all = sides(&[SystemKind::Zab], &binaries, &[]).expect("two binaries");
        assert_eq!((names(&all), all[1].flags.join(" ")), (vec!["A", "B"], "--system zab --binary ./new".to_owned()));
        let typed = ["plain=".to_owned(), "slow=--link-delay 300us".to_owned()];
        let all = sides(&[], &binaries[..1], &typed).expect("two sets of flags");
        assert_eq!(all[1].flags.join(" "), "--system raft --binary ./old --link-delay 300us");
    }

    #[test]
    fn mixed_or_misnamed_sides_are_refused() {
        let two = [SystemKind::Raft, SystemKind::Zab];
        let binaries = [PathBuf::from("a"), PathBuf::from("b")];
        assert_eq!(sides(&two, &binaries[..1], &[]), Err(NoSides::TwoWays));
        assert_eq!(sides(&two, &[], &["x=".to_owned()]), Err(NoSides::TwoWays));
        assert_eq!(sides(&[], &binaries, &["x=".to_owned()]), Err(NoSides::TwoWays));
        assert!(matches!(sides(&[], &[], &["slow".to_owned()]), Err(NoSides::Shape(_))));
        assert!(matches!(sides(&[], &[], &["a b=".to_owned()]), Err(NoSides::Name(_))));
        assert_eq!(sides(&[], &[], &["a=".to_owned(), "a=".to_owned()]), Err(NoSides::Twice("a".to_owned())));
    }

    #[test]
    fn sides_take_turns() {
        let order: Vec<usize> = turns(1, 1, 2, 4).iter().map(|turn| turn.side).collect();
        assert_eq!(order, [0, 1, 1, 0, 0, 1, 1, 0]);
        let all = turns(2, 3, 2, 2);
        assert_eq!(all.len(), 24);
        // The runs of one setting stand together.
        assert!(all.chunks(4).all(|part| part.iter().all(|turn| turn.setting == part[0].setting)));
        assert_eq!([all[0].side, all[12].side], [0, 1]);
    }

    #[test]
    fn what_a_side_says_counts() {
        let settings = Scenario::Throughput.settings(&[8, 32], &[]);
        assert_eq!(
            settings.iter().map(|setting| setting.name.as_str()).collect::<Vec<_>>(),
            ["throughput-c8", "throughput-c32"]
        );
        let common = common(3, "register", Duration::from_secs(5), Duration::from_millis(500));
        let side = Side { name: "five".to_owned(), flags: vec!["--nodes".to_owned(), "5".to_owned()] };
        let all = flags(&common, &settings[0], &side).join(" ");
        assert_eq!(all, "--workload register --time 5000ms --warm-up 500ms --nemesis none --concurrency 8 --nodes 5");
        assert_eq!(Scenario::Recovery.settings(&[], &[500])[0].flags.join(" "), "--nemesis kill-leader --rate 500");
    }
}
