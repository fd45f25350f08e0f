//! Reading a schedule back. A stored run may come from anywhere, so every line is looked at before anything is started.

use std::{
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use super::{CarriedOut, Recorded};
use crate::nemesis::fault::{NodeFaults, Step};

/// A schedule has no more lines: two weeks of all kinds of faults.
const LINES_MAX: usize = 1 << 20;

/// A line is no longer: the links and rules of a hundred nodes take a tenth of it.
const LINE_BYTES_MAX: u64 = 4 << 20;

/// All lines together.
const BYTES_MAX: u64 = 1 << 28;

/// Nothing is begun later than this, nanoseconds: the longest run there is, with room for all that is around its faults.
const TIME_MAX_NS: u64 = 8 * 24 * 3_600 * 1_000_000_000;

/// No message or sync is held up longer than this, milliseconds.
const DELAY_MS_MAX: u64 = 600_000;

/// No clock is further off, milliseconds: a year.
const OFFSET_MS_MAX: u64 = 366 * 24 * 3_600_000;

/// What the schedule is to be carried out on.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// How many places for nodes there are, spare ones included.
    pub nodes: u32,
    /// What messages between them are called, where they pass a relay.
    pub message_kinds: Option<&'static [&'static str]>,
    /// Whether nodes are given files of faults.
    pub node_faults: bool,
}

/// A schedule that cannot be carried out again.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A line is not what belongs there.
    #[error("{}, line {line}: {what}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
}

/// Reads this file, which has been opened; `path` is for what is said of it. A last line that was torn is left out.
///
/// # Errors
/// When it cannot be read, or one of its lines cannot be carried out on this stage; with the line.
pub fn read(
    file: impl Read,
    path: &Path,
    stage: &Stage,
    faults_start_ns: u64,
    healed_ns: u64,
) -> Result<Recorded, ScheduleError> {
    let io = |source| ScheduleError::Io { path: path.to_owned(), source };
    let mut reader = BufReader::new(file.take(BYTES_MAX + 1));
    let mut lines = Vec::new();
    let (mut line, mut bytes) = (Vec::new(), 0);
    loop {
        let wrong = |what: String| ScheduleError::Line { path: path.to_owned(), line: lines.len() + 1, what };
        line.clear();
        let read = (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).map_err(io)? as u64;
        bytes += read;
        if read == 0 {
            break;
        }
        let is_whole = line.last() == Some(&b'\n');
        if read == LINE_BYTES_MAX && !is_whole {
            return Err(wrong(format!("it is longer than {} MiB", LINE_BYTES_MAX >> 20)));
        }
        if bytes > BYTES_MAX || lines.len() == LINES_MAX {
            return Err(wrong("the schedule is longer than any run writes one".to_owned()));
        }
        match parse(&line, stage) {
            Ok(carried) => lines.push(carried),
            Err(_) if !is_whole => break,
            Err(what) => return Err(wrong(what)),
        }
    }
    Ok(Recorded::of(lines, faults_start_ns, healed_ns))
}

fn parse(line: &[u8], stage: &Stage) -> Result<CarriedOut, String> {
    let carried: CarriedOut = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    if carried.time > carried.done || carried.done > TIME_MAX_NS {
        return Err(format!("no step is from {} to {} ns", carried.time, carried.done));
    }
    match (carried.fault, &carried.step) {
        (Some(0), _) => return Err("faults count from 1".to_owned()),
        (None, step) if !matches!(step, Step::Mend | Step::Revive) => {
            return Err("a step that is not the heal of the run belongs to a fault".to_owned());
        }
        _ => {}
    }
    let mut wrong = carried.leader.filter(|leader| !(1..=stage.nodes).contains(leader));
    carried.step.clone().for_each_node(|node| {
        if !(1..=stage.nodes).contains(node) {
            wrong = Some(*node);
        }
    });
    if let Some(node) = wrong {
        return Err(format!("there is no node {node}; they are 1 to {}", stage.nodes));
    }
    check(&carried.step, stage)?;
    Ok(carried)
}

/// Whether the step, whose nodes are there, can be carried out.
fn check(step: &Step, stage: &Stage) -> Result<(), String> {
    match step {
        Step::Cut(links) | Step::Split(links) => match links.iter().find(|(from, to)| from == to) {
            Some((node, _)) => Err(format!("node {node} has no link to itself")),
            None => Ok(()),
        },
        Step::Lose(percent) if *percent > 100 => Err(format!("{percent} of a hundred packets cannot be lost")),
        Step::Garble(rules) => rules.iter().try_for_each(|rule| {
            let Some(kinds) = stage.message_kinds else {
                return Err(
                    "messages pass a relay only with the nemeses that need one, which the run did not have".into()
                );
            };
            if let Some(kind) = rule.kind.as_deref().filter(|kind| !kinds.contains(kind)) {
                return Err(format!("no message is called {kind:?}; there are {}", kinds.join(", ")));
            }
            if [rule.drop_percent, rule.double_percent, rule.late_percent].iter().any(|percent| *percent > 100) {
                return Err("there are no more than 100 of a hundred messages".to_owned());
            }
            let latest = rule.delay_ms.into_iter().chain(rule.echo_ms).max().unwrap_or(0);
            if latest > DELAY_MS_MAX {
                return Err(format!("no message comes {latest} ms late; {DELAY_MS_MAX} is the most"));
            }
            Ok(())
        }),
        Step::Spoil(_, faults) => check_faults(faults, stage),
        Step::ChangeMembership { voters, .. } if voters.is_empty() => Err("somebody must vote".to_owned()),
        _ => Ok(()),
    }
}

fn check_faults(faults: &NodeFaults, stage: &Stage) -> Result<(), String> {
    if !stage.node_faults {
        return Err(
            "nodes read files of faults only with the nemeses that need them, which the run did not have".into()
        );
    }
    let NodeFaults { sync_delay_ms, clock_percent, wall_clock_offset_ms, .. } = faults;
    if *sync_delay_ms > DELAY_MS_MAX || wall_clock_offset_ms.unsigned_abs() > OFFSET_MS_MAX {
        return Err("a sync that takes longer than ten minutes, or a clock that is off by more than a year".to_owned());
    }
    match (1..=10_000).contains(clock_percent) {
        true => Ok(()),
        false => Err(format!("no clock runs at {clock_percent} hundredths of its rate")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    const STAGE: Stage = Stage { nodes: 3, message_kinds: Some(&["vote", "append"]), node_faults: true };

    fn schedule(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("schedule.jsonl");
        std::fs::write(&path, text).unwrap();
        (dir, path)
    }

    fn read_at(path: &Path, stage: &Stage) -> Result<Recorded, ScheduleError> {
        read(File::open(path).unwrap(), path, stage, 0, 10)
    }

    fn line(step: &str) -> String {
        format!(r#"{{"time":5,"done":6,"fault":1,"name":"x","step":{step}}}"#) + "\n"
    }

    #[test]
    fn every_kind_of_step_is_read() {
        let steps = [
            r#"{"cut":[[1,2],[2,1]]}"#,
            r#"{"split":[[1,3]]}"#,
            r#"{"mute":[2]}"#,
            r#"{"lose":10}"#,
            r#"{"garble":[{"from":1,"to":3,"kind":"vote","late_percent":100,"delay_ms":[10,20]}]}"#,
            r#""mend""#,
            r#"{"kill":[3]}"#,
            r#"{"pause":[1]}"#,
            r#"{"power-off":[1,2,3]}"#,
            r#"{"wipe":[1]}"#,
            r#"{"spoil":[[1],{"sync_delay_ms":30}]}"#,
            r#""revive""#,
            r#"{"start":[1]}"#,
            r#"{"change-membership":{"voters":[1,2],"learners":[3],"agreed":true}}"#,
            r#"{"transfer":{"from":1,"to":null,"agreed":false}}"#,
        ];
        let text: String = steps.iter().map(|step| line(step)).collect();
        let (_dir, path) = schedule(&(text + r#"{"time":5,"don"#));
        let recorded = read_at(&path, &STAGE).unwrap();
        assert_eq!(recorded.faults[0].steps.len(), steps.len());
        assert!(recorded.loses_packets());
    }

    #[test]
    fn what_cannot_be_carried_out_is_told_with_its_line() {
        let spoil = |faults: &str| line(&format!(r#"{{"spoil":[[1],{faults}]}}"#));
        let rule = |rule: &str| line(&format!(r#"{{"garble":[{rule}]}}"#));
        let cases = [
            (line(r#"{"kill":[4]}"#), "there is no node 4"),
            (line(r#"{"cut":[[0,1]]}"#), "there is no node 0"),
            (line(r#"{"cut":[[1,1]]}"#), "no link to itself"),
            (line(r#"{"cut":[[1,4294967296]]}"#), "4294967296"),
            (line(r#"{"transfer":{"from":1,"to":9,"agreed":false}}"#), "there is no node 9"),
            (line(r#"{"change-membership":{"voters":[],"learners":[],"agreed":false}}"#), "somebody must vote"),
            (line(r#"{"explode":[1]}"#), "unknown variant"),
            (line(r#"{"lose":101}"#), "101 of a hundred"),
            (rule(r#"{"kind":"song"}"#), "no message is called \"song\""),
            (rule(r#"{"to":4}"#), "there is no node 4"),
            (rule(r#"{"drop_percent":200}"#), "no more than 100"),
            (rule(r#"{"delay_ms":[0,18446744073709551615]}"#), "ms late"),
            (spoil(r#"{"sync_delay_ms":18446744073709551615}"#), "ten minutes"),
            (spoil(r#"{"wall_clock_offset_ms":-9223372036854775808}"#), "a year"),
            (spoil(r#"{"clock_percent":0}"#), "no clock runs"),
            (line(r#""mend""#).replace("\"fault\":1", "\"fault\":0"), "count from 1"),
            (line(r#"{"kill":[1]}"#).replace("\"fault\":1", "\"fault\":null"), "belongs to a fault"),
            (line(r#""mend""#).replace("\"time\":5", "\"time\":7"), "no step is from 7 to 6"),
            (line(r#""mend""#).replace("\"done\":6", "\"done\":18446744073709551615"), "no step is"),
            (line(r#""mend""#).replace("\"fault\":1", "\"fault\":1,\"leader\":7"), "there is no node 7"),
            ("null\n".to_owned(), "expected struct"),
            ("[".repeat(100_000) + "\n", "expected"),
        ];
        for (bad, words) in cases {
            let (_dir, path) = schedule(&(line(r#""mend""#) + &bad));
            let error = read_at(&path, &STAGE).expect_err(words).to_string();
            assert!(error.contains("schedule.jsonl, line 2: ") && error.contains(words), "{error}");
        }
    }

    #[test]
    fn faults_of_messages_and_nodes_need_what_carries_them_out() {
        let bare = Stage { message_kinds: None, node_faults: false, ..STAGE };
        for step in [r#"{"garble":[{}]}"#, r#"{"spoil":[[1],{}]}"#] {
            let (_dir, path) = schedule(&line(step));
            assert!(read_at(&path, &bare).is_err() && read_at(&path, &STAGE).is_ok(), "{step}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_refused_before_it_is_in_memory() {
        let (_dir, path) = schedule("");
        File::options().write(true).open(&path).unwrap().set_len(BYTES_MAX).unwrap();
        let error = read_at(&path, &STAGE).expect_err("zeros").to_string();
        assert!(error.contains("line 1: it is longer than 4 MiB"), "{error}");
    }
}
