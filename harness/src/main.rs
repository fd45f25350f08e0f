//! The command line of Trueline. Everything happens in the library; here it is decided what, and with which exit code.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
};

use clap::Parser;
use results::{exit::ExitCode as ResultsExit, summary::one_line};
use trueline::cli::{self, Cli, Command};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; everything else here is a wrong command line.
            let wrong = error.use_stderr();
            // Who asked for help and has stopped reading has seen enough.
            let _ = error.print();
            return if wrong { ResultsExit::Usage.into() } else { ExitCode::SUCCESS };
        }
    };
    let command = cli.command.unwrap_or_else(Command::default_run);
    // A panic of the harness is a harness error, and must not end in a code that stands for something else.
    let outcome = catch_unwind(AssertUnwindSafe(|| match command {
        Command::Run(args) => cli::run::execute(*args).map(ExitCode::from),
        Command::Gate(args) => cli::gate::execute(&args).map(ExitCode::from),
        Command::Hunt(args) => cli::hunt::execute(&args).map(ExitCode::from),
        Command::Runs(args) => cli::runs::execute(&args).map(ExitCode::from),
        Command::Serve(args) => cli::serve::execute(&args).map(ExitCode::from),
        Command::Replay(args) => cli::replay::execute(&args).map(ExitCode::from),
        Command::Report(args) => cli::report::execute(&args).map(ExitCode::from),
        Command::Check(args) => cli::check::execute(&args).map(ExitCode::from),
        Command::Verify(args) => cli::verify::execute(&args).map(ExitCode::from),
        Command::Bench(args) => cli::bench::execute(&args).map(ExitCode::from),
        Command::Compare(args) => cli::compare::execute(&args).map(ExitCode::from),
        Command::Trend(args) => cli::trend::execute(&args).map(ExitCode::from),
        Command::Doctor(args) => cli::doctor::execute(&args).map(ExitCode::from),
        Command::Node(args) => Ok(cli::node::execute(args)),
    }));
    match outcome {
        Ok(Ok(code)) => code,
        Ok(Err(failure)) => {
            eprintln!("trueline: {}", one_line(&failure.message()));
            failure.code.into()
        }
        Err(_) => ResultsExit::HarnessError.into(),
    }
}
