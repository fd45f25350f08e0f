//! The command line, as typed.

use clap::{Parser, Subcommand};

pub mod check;
pub mod doctor;
pub mod hunt;
pub mod node;
pub mod reading;
pub mod replay;
pub mod report;
pub mod run;
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
    /// Find out what the harness finds: mutants, over seeds, and that correct builds raise no alarm
    Hunt(hunt::HuntArgs),
    /// Carry a stored run out again, and find out how often it comes out the same
    Replay(replay::ReplayArgs),
    /// Write a run's report: one page to look at, which opens in any browser
    Report(report::ReportArgs),
    /// Judge a history file
    Check(check::CheckArgs),
    /// Re-check a verdict's certificate, independently
    Verify(verify::VerifyArgs),
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

/// A duration as people write it: `500ms`, `30s`, `2m`, `1h`.
///
/// # Errors
/// A sentence that says what was expected.
pub fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let wrong = || format!("{text:?} is no duration; write a whole number and a unit: 500ms, 30s, 2m, 1h");
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    let duration = number.checked_mul(millis).map(std::time::Duration::from_millis).ok_or_else(wrong)?;
    if duration > DURATION_MAX {
        return Err(format!("{text:?} is longer than a week, the longest that is taken"));
    }
    Ok(duration)
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
    }
}
