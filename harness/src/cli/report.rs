//! `trueline report`: a run as one page.

use std::{io::Write, path::PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use results::{
    exit::ExitCode,
    report::{REPORT_NAME, ReportError, write_to},
    store::DEFAULT_STORE,
};

use super::desktop::show;
use crate::{failure::Failure, progress::Progress, replay::find};

const EXAMPLES: &str = "\
Examples:
  trueline report latest                          writes report.html into the newest run's directory, and prints its path
  trueline report 336e --output /tmp/report.html  the run whose name begins (or whose digits begin) so
  trueline report path/to/20261121-184150-336e    a run from elsewhere
  trueline report latest --open yes               and shows it in the desktop's browser

The report is one file that needs no network and no server; it can be sent by mail or kept by a CI. What it shows, and its
keys, is documented in docs/report.md.";

/// Flags of `trueline report`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ReportArgs {
    /// The run: a name, the beginning of one, `latest`, or the path of its directory
    pub run: String,
    /// Where the report is written [default: report.html in the run's directory]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Show it in the desktop's browser
    #[arg(long, default_value = "no", value_name = "WHETHER")]
    pub open: Open,
    /// Where the run is, unless RUN is a path
    #[arg(long, default_value = DEFAULT_STORE, value_name = "DIR")]
    pub store: PathBuf,
    /// Print the path as JSON
    #[arg(long)]
    pub json: bool,
}

/// Whether the report is shown at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Open {
    /// It is only written.
    No,
    /// It is handed to the desktop (`xdg-open`).
    Yes,
}

/// Writes the report, and prints where it is.
///
/// # Errors
/// When the run is not there or cannot be read, and when the report cannot be written.
pub fn execute(args: &ReportArgs) -> Result<ExitCode, Failure> {
    let run = find(&args.store, &args.run).map_err(Failure::usage)?;
    let path = args.output.clone().unwrap_or_else(|| run.path().join(REPORT_NAME));
    let progress = Progress::new(args.json);
    progress.phase("report");
    progress.say(format!("of run {}", run.id()));
    let written = write_to(&run, &path);
    progress.finish();
    written.map_err(|error| failure(error, &run.id().to_string()))?;
    let text = if args.json {
        format!("{:#}\n", serde_json::json!({ "run": run.id(), "report": path }))
    } else {
        format!("{}\n", path.display())
    };
    std::io::stdout().write_all(text.as_bytes()).context("cannot print the path").map_err(Failure::harness)?;
    if args.open == Open::Yes {
        let showing = || format!("cannot show {} with xdg-open; open it in a browser yourself", path.display());
        show(&path).with_context(showing).map_err(Failure::harness)?;
    }
    Ok(ExitCode::Valid)
}

/// A run that cannot be read is for the user to mend; that the report cannot be written may be, too.
fn failure(error: ReportError, run: &str) -> Failure {
    Failure::usage(anyhow::Error::new(error).context(format!("cannot write the report of run {run}")))
}
