//! Figures of certificates: how long a core takes beside its verdict, and how long verification takes.

#[path = "../tests/certificates/registers.rs"]
mod registers;

use std::time::Instant;

use checkers::certificate::{Certificate, CertificateFile, HistoryDigest};
use checkers::history::Value;
use checkers::model::{ModelKind, ModelSpec};
use checkers::verify::verify;
use checkers::{CheckOptions, check};

use registers::Registers;

fn main() {
    let spec = ModelSpec { model: ModelKind::Register, initial: Value::Nil };
    for operations in [100_000, 1_000_000] {
        for stale in [false, true] {
            let history = Registers { operations, clients: 50, unknown: 1_000, stale }.history(1);
            let judgement = check(&history, &spec, &CheckOptions::default()).expect("it is a register");
            let certificate = judgement.certificate.expect("every verdict has a certificate");
            let size = match &certificate {
                Certificate::Linearization(orders) => orders.iter().map(|key| key.order.len()).sum(),
                Certificate::Core(core) => core.operations.len(),
            };
            let start = Instant::now();
            verify(&history, &spec, &certificate).expect("the certificate holds");
            let verifying = start.elapsed();
            let start = Instant::now();
            let digest = HistoryDigest::of(&history);
            let digesting = start.elapsed();
            let mut bytes = Vec::new();
            let start = Instant::now();
            CertificateFile::new(&history, &spec, certificate).write(&mut bytes).expect("memory takes everything");
            println!(
                "{operations} operations, {:?}: judged with certificate in {:.3} s; certificate of {size} operations, {} bytes, \
                 verified in {:.3} s, digest {:08x} in {:.3} s, written in {:.3} s",
                judgement.verdict,
                judgement.elapsed.as_secs_f64(),
                bytes.len(),
                verifying.as_secs_f64(),
                digest.crc32c,
                digesting.as_secs_f64(),
                start.elapsed().as_secs_f64(),
            );
        }
    }
}
