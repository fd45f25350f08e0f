//! What `trueline check` found in the history of a run that came to no verdict itself.

use std::{fs::File, io::Read, path::Path};

use checkers::{
    history::Value,
    verdict::{Anomaly, Verdict},
};
use results::{
    check::{Check, CheckName},
    summary::{Summary, ViolationSummary},
};
use serde::Deserialize;

use super::REPORT_BYTES_MAX;

/// Of what `trueline check --json` prints, what is told of a violation.
#[derive(Deserialize)]
struct Judged {
    reason: String,
    violation: Option<Violation>,
}

#[derive(Deserialize)]
struct Violation {
    anomaly: Anomaly,
    key: Value,
    sentences: Vec<String>,
    diagram: Vec<String>,
}

/// The violation that `trueline check` has printed to this file, as a summary with that one check. It has said by its exit code that there is
/// one, so it is one also where nothing can be read of it.
pub(super) fn judged(output: &Path) -> Summary {
    let judged = read(output);
    let reason = judged.as_ref().map_or("it is not linearizable", |judged| judged.reason.as_str());
    let reason = format!("{reason} (judged after the run had failed)");
    let mut summary = Summary::new("", "", 0);
    summary.checks = vec![Check::new(CheckName::Consistency, Verdict::Invalid, reason)];
    summary.violation = judged.and_then(|judged| judged.violation).map(|violation| ViolationSummary {
        anomaly: violation.anomaly,
        key: violation.key,
        sentences: violation.sentences,
        diagram: violation.diagram,
        operations: Vec::new(),
    });
    summary.conclude();
    summary
}

fn read(output: &Path) -> Option<Judged> {
    let mut text = String::new();
    File::open(output).ok()?.take(REPORT_BYTES_MAX).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_is_one_also_where_it_cannot_be_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let output = dir.path().join("1-1-check.json");
        let json = r#"{"verdict":"invalid","reason":"x was read","violation":{"anomaly":"stale-read","key":"x",
            "sentences":["Client 2 read 17 after 18."],"diagram":["c2 |--r 17--|"],"operations":[{"f":"read"}]},"keys":1}"#;
        std::fs::write(&output, json).expect("written");
        let summary = judged(&output);
        let violation = summary.violation.as_ref().expect("a violation");
        assert_eq!((summary.verdict, violation.anomaly), (Verdict::Invalid, Anomaly::StaleRead));
        assert_eq!((violation.sentences.len(), violation.diagram.len()), (1, 1));
        assert!(summary.reason.contains("x was read"), "{}", summary.reason);
        for text in ["", "{", r#"{"reason":1}"#] {
            std::fs::write(&output, text).expect("written");
            assert_eq!(judged(&output).verdict, Verdict::Invalid, "{text}");
        }
        assert_eq!(judged(&dir.path().join("nowhere")).verdict, Verdict::Invalid);
    }
}
