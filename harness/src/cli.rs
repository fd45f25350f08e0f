//! The command line, as typed.

use clap::{Parser, Subcommand};

pub mod bench;
pub mod check;
pub mod compare;
pub mod desktop;
pub mod doctor;
pub mod gate;
pub mod hunt;
pub mod node;
pub mod reading;
pub mod replay;
pub mod report;
pub mod run;
pub mod runs;
pub mod serve;
pub mod trend;
pub mod verify;

const WITHOUT_COMMAND: &str = "\
Without a command: `trueline run` with its defaults, which starts five Raft nodes and breaks them for half a minute.";

const EXIT_CODES: &str = "\
Exit codes:
  0    valid
  1    invalid: not linearizable, no recovery, or a node ended by itself
  2    unknown: a budget ended, a checker crashed, or the run was interrupted
  3    vacuous: nothing was tested
  254  the command line, or what it names, is wrong
  255  the harness itself failed";

/// Finds out whether a replicated system keeps its promise of one true line of history.
#[derive(Debug, Parser)]
#[command(name = "trueline", version, before_help = WITHOUT_COMMAND, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do; without it, `run` with its defaults.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a cluster, work it, break it, and judge what its clients saw
    Run(Box<run::RunArgs>),
    /// Run the scenarios of trueline.toml, and say yes or no: the gate for CI
    Gate(gate::GateArgs),
    /// Find out what the harness finds: mutants, over seeds, and that correct builds raise no alarm
    Hunt(hunt::HuntArgs),
    /// List, show, move and remove what is stored
    Runs(Box<runs::RunsArgs>),
    /// Show what is stored in a browser
    Serve(serve::ServeArgs),
    /// Carry a stored run out again, and find out how often it comes out the same
    Replay(replay::ReplayArgs),
    /// Write a run's report: one page to look at, which opens in any browser
    Report(report::ReportArgs),
    /// Judge a history file
    Check(check::CheckArgs),
    /// Re-check a verdict's certificate, independently
    Verify(verify::VerifyArgs),
    /// Measure how fast it is: systems or builds in turn, each measurement a run
    Bench(Box<bench::BenchArgs>),
    /// Compare two sets of runs: what differs, by how much, how surely
    Compare(compare::CompareArgs),
    /// Follow a figure over time: where it stepped, by how much, at which revision
    Trend(trend::TrendArgs),
    /// What this machine allows, and how to get the rest
    Doctor(doctor::DoctorArgs),
    /// Run one node (what `run` spawns)
    Node(node::NodeCommandArgs),
}

impl Command {
    /// What happens without a subcommand.
    #[must_use]
    pub fn default_run() -> Self {
        #[derive(Parser)]
        struct Defaults {
            #[command(flatten)]
            args: run::RunArgs,
        }
        Self::Run(Box::new(Defaults::parse_from(["trueline"]).args))
    }
}

/// The longest duration that is taken; a plan of faults is made for all of it.
const DURATION_MAX: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 3_600);

/// The longest delay of a link that is taken: beyond, every client would give up.
const DELAY_MAX: std::time::Duration = std::time::Duration::from_secs(10);

/// A duration as people write it: `500ms`, `30s`, `2m`, `1h`.
///
/// # Errors
/// A sentence that says what was expected.
pub fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    let units = [("ms", 1_000), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000)];
    let duration = parse_units(text, &units, "500ms, 30s, 2m, 1h")?;
    if duration > DURATION_MAX {
        return Err(format!("{text:?} is longer than a week, the longest that is taken"));
    }
    Ok(duration)
}

/// How long something is on its way: `300us`, `5ms`, `1s`.
///
/// # Errors
/// A sentence that says what was expected.
pub fn parse_delay(text: &str) -> Result<std::time::Duration, String> {
    let delay = parse_units(text, &[("us", 1), ("ms", 1_000), ("s", 1_000_000)], "300us, 5ms, 1s")?;
    if delay > DELAY_MAX {
        return Err(format!("{text:?} is longer than ten seconds, the longest that is taken"));
    }
    Ok(delay)
}

/// A whole number with one of these units, which are given in microseconds.
fn parse_units(text: &str, units: &[(&str, u64)], examples: &str) -> Result<std::time::Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let parse = || {
        let number: u64 = number.parse().ok()?;
        let (_, micros) = units.iter().find(|(name, _)| *name == unit)?;
        number.checked_mul(*micros)
    };
    let wrong = || format!("{text:?} is no duration; write a whole number and a unit: {examples}");
    parse().map(std::time::Duration::from_micros).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "5", "s", "-1s", "1.5s", "99999999999999999999s", "18446744073709551615h", "200h"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_delay("300us"), Ok(Duration::from_micros(300)));
        assert_eq!(parse_delay("0us"), Ok(Duration::ZERO));
        for wrong in ["300", "us", "11s", "1m", "1.5ms", "18446744073709551615s"] {
            assert!(parse_delay(wrong).is_err(), "{wrong}");
        }
    }
}
