//! `trueline verify`: re-check a verdict's certificate.

use std::{fs::File, io::Write, path::PathBuf, time::Instant};

use anyhow::{Context, anyhow};
use checkers::{
    certificate::{CertificateFile, HistoryDigest},
    model::ModelSpec,
    verify::{Proven, Refuted, verify},
};
use clap::Args;
use results::{exit::ExitCode, store::history_in};
use serde_json::json;

use super::reading::ReadingArgs;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  trueline check --certificate proof.json history.jsonl; trueline verify history.jsonl proof.json
  trueline verify results/runs/20261121-011502-ab3f
  trueline verify --format jepsen-edn --json history.edn proof.json

Exit codes:
  0    the certificate holds: it proves its verdict, valid or invalid, which the output tells
  1    it does not: it is wrong, or about another history; of the verdict itself that says nothing
  2    the core is too large to be searched within the bound: nothing is proven
  254  the history or the certificate cannot be read

The flags about the history must be those that it was judged with.
What a certificate is, and why it proves what it proves, is documented in docs/certificates.md.";

/// Flags of `trueline verify`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct VerifyArgs {
    /// The history, plain or compressed with zstd; or the directory of a run, which has both
    pub history: PathBuf,
    /// The certificate; left out for the directory of a run
    pub certificate: Option<PathBuf>,
    /// How to read the history.
    #[command(flatten)]
    pub reading: ReadingArgs,
    /// How large a compressed history may be, MiB
    #[arg(long, default_value_t = 4096, value_name = "MIB")]
    pub memory: usize,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// What came out.
enum Answer {
    Holds(Proven),
    Wrong(String),
    Undecided(String),
}

impl Answer {
    /// The verdict that is proven.
    fn proven(&self) -> Option<&'static str> {
        match self {
            Self::Holds(Proven::Linearizable { .. }) => Some("valid"),
            Self::Holds(Proven::NotLinearizable { .. }) => Some("invalid"),
            Self::Wrong(_) | Self::Undecided(_) => None,
        }
    }

    fn words(&self, spec: &ModelSpec) -> String {
        let model = format!("as {} from {}", spec.model.name(), spec.initial);
        match self {
            Self::Holds(Proven::Linearizable { keys, operations }) => format!(
                "the certificate holds: the history is linearizable {model}, by an order of {operations} operations on {keys} keys"
            ),
            Self::Holds(Proven::NotLinearizable { operations, minimal }) => format!(
                "the certificate holds: the history is NOT linearizable {model}: {operations} of its operations cannot be{}",
                if *minimal { "" } else { " (a smaller part may do)" }
            ),
            Self::Wrong(why) => format!("the certificate does not hold: {why}"),
            Self::Undecided(why) => why.clone(),
        }
    }

    fn exit(&self) -> ExitCode {
        match self {
            Self::Holds(_) => ExitCode::Valid,
            Self::Wrong(_) => ExitCode::Invalid,
            Self::Undecided(_) => ExitCode::Unknown,
        }
    }
}

/// Re-checks the certificate, and says what it proves.
///
/// # Errors
/// When the history or the certificate cannot be read.
pub fn execute(args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let (history_path, certificate_path) = files(args).map_err(Failure::usage)?;
    let start = Instant::now();
    let file = File::open(&certificate_path)
        .map_err(anyhow::Error::from)
        .and_then(|file| Ok(CertificateFile::read(file)?))
        .with_context(|| format!("cannot read the certificate {}", certificate_path.display()))
        .map_err(Failure::usage)?;
    let decompressed_max = (args.memory as u64).saturating_mul(1 << 20);
    let loaded = args.reading.load(&history_path, decompressed_max).map_err(Failure::usage)?;
    let reading = start.elapsed();
    let start = Instant::now();
    let digest = HistoryDigest::of(&loaded.history);
    let answer = if digest == file.history {
        match verify(&loaded.history, &file.spec, &file.certificate) {
            Ok(proven) => Answer::Holds(proven),
            Err(Refuted::Wrong(why)) => Answer::Wrong(why),
            Err(Refuted::Undecided(why)) => Answer::Undecided(why),
        }
    } else {
        Answer::Wrong(other_history(file.history, digest))
    };
    let verifying = start.elapsed();
    let text = if args.json {
        let proven = json!({
            "holds": matches!(answer, Answer::Holds(_)),
            "proven": answer.proven(),
            "reason": answer.words(&file.spec),
            "model": file.spec.model,
            "initial": file.spec.initial,
            "operations": loaded.history.len(),
            "history": history_path.display().to_string(),
            "certificate": certificate_path.display().to_string(),
            "reading_seconds": reading.as_secs_f64(),
            "verifying_seconds": verifying.as_secs_f64(),
        });
        format!("{proven:#}\n")
    } else {
        format!(
            "{}\n  {} operations in {}; reading took {:.2} s, verifying {:.2} s\n",
            answer.words(&file.spec),
            loaded.history.len(),
            history_path.display(),
            reading.as_secs_f64(),
            verifying.as_secs_f64(),
        )
    };
    std::io::stdout().write_all(text.as_bytes()).context("cannot print the answer").map_err(Failure::harness)?;
    Ok(answer.exit())
}

/// The history and the certificate: as named, or in the directory of a run.
fn files(args: &VerifyArgs) -> anyhow::Result<(PathBuf, PathBuf)> {
    match &args.certificate {
        Some(certificate) => Ok((args.history.clone(), certificate.clone())),
        None if args.history.is_dir() => {
            let certificate = args.history.join("certificate.json");
            if certificate.exists() {
                Ok((history_in(&args.history), certificate))
            } else {
                Err(anyhow!(
                    "there is no certificate in {}: the run had no verdict, or one without a proof",
                    args.history.display()
                ))
            }
        }
        None => {
            Err(anyhow!("name the certificate too, or the directory of a run: trueline verify HISTORY CERTIFICATE"))
        }
    }
}

fn other_history(wanted: HistoryDigest, found: HistoryDigest) -> String {
    format!(
        "it is about another history, or the history was read otherwise: that one has {} operations with checksum {:08x}, this one {} with {:08x}",
        wanted.operations, wanted.crc32c, found.operations, found.crc32c
    )
}
