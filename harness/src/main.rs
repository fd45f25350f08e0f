//! The command line of Trueline. Everything happens in the library; here it is decided what, and with which exit code.

use std::process::ExitCode;

use clap::Parser;
use results::exit::ExitCode as ResultsExit;
use trueline::cli::{self, Cli, Command};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; everything else here is a wrong command line.
            let wrong = error.use_stderr();
            let printed = error.print();
            return if wrong || printed.is_err() { ResultsExit::Usage.into() } else { ExitCode::SUCCESS };
        }
    };
    let outcome = match cli.command.unwrap_or_else(Command::default_run) {
        Command::Run(args) => cli::run::execute(*args),
        Command::Check(args) => cli::check::execute(&args),
        Command::Node(args) => return cli::node::execute(args),
    };
    match outcome {
        Ok(code) => code.into(),
        Err(failure) => {
            eprintln!("trueline: {:#}", failure.error);
            failure.code.into()
        }
    }
}
