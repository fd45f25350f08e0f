use std::{os::unix::process::ExitStatusExt, process::ExitStatus};

use results::{
    check::{Check, CheckName},
    store::StoreError,
};

use super::*;
use crate::cluster::ClusterError;

const NAME: &str = "20261121-011502-ab3f";

/// A stored summary with this verdict, and why the harness failed, if it did.
fn summary(verdict: Verdict, harness_error: Option<&str>) -> Summary {
    let mut summary = Summary::new("raft", "register", 1);
    summary.run = Some(NAME.to_owned());
    summary.checks = vec![Check::new(CheckName::Consistency, verdict, "x was read")];
    summary.harness_error = harness_error.map(str::to_owned);
    summary.conclude();
    summary
}

/// What an attempt came to that ended so, and left this summary behind.
fn tried(end: End, summary: Option<Summary>) -> Tried {
    let name: RunId = NAME.parse().expect("a name");
    told(end, Ok::<_, StoreError>(summary), &name, Duration::from_secs(9), Path::new("/nowhere"))
}

fn exited(code: i32) -> End {
    End::Exited(ExitStatus::from_raw(code << 8))
}

#[test]
fn a_violation_counts_however_the_run_ended() {
    for end in [exited(1), exited(255), exited(0), End::TooLate, End::Stopped] {
        for harness_error in [None, Some("a node ended by itself before the cluster was ready")] {
            let tried = tried(end, Some(summary(Verdict::Invalid, harness_error)));
            assert!(matches!(tried, Tried::Told(summary) if summary.verdict == Verdict::Invalid), "{end:?}");
        }
    }
}

#[test]
fn a_cluster_that_was_never_ready_is_not_tried_again() {
    let error =
        ClusterError::NotReady { waited: Duration::from_secs(30), detail: "nobody leads".into(), logs: "l".into() };
    let error = error.to_string();
    assert!(error.contains(NOT_READY), "{error}");
    for (harness_error, wanted) in [(error.as_str(), false), ("no space left", true)] {
        let summary = summary(Verdict::Valid, Some(harness_error));
        assert_eq!((summary.verdict, summary.exit), (Verdict::Unknown, 255));
        match tried(exited(255), Some(summary)) {
            Tried::Failed { why, again } => assert_eq!((why.as_str(), again), (harness_error, wanted)),
            _ => panic!("{harness_error}: nothing is known of it"),
        }
    }
}

#[test]
fn without_a_verdict_only_wrong_usage_is_not_tried_again() {
    for (end, wanted) in [(exited(255), true), (exited(0), true), (End::TooLate, true), (exited(254), false)] {
        let tried = tried(end, None);
        assert!(matches!(tried, Tried::Failed { again, .. } if again == wanted), "{end:?}");
    }
    assert!(matches!(tried(exited(1), None), Tried::Invalid(_)));
    assert!(matches!(tried(End::Stopped, None), Tried::Stopped));
}
