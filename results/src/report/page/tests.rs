//! The page without a browser: what stands in it, and what must not.

use checkers::{
    history::{Action, History, Operation, Value},
    verdict::{Anomaly, Verdict},
};
use serde_json::json;

use super::*;
use crate::{
    check::{Check, CheckName},
    report::Endings,
    store::Manifest,
    summary::{Summary, ViolationSummary},
    timeline::Timeline,
};

const ATTACK: &str = "</script></title><script>alert(1)</script><img src=x onerror=alert(1)>\u{202e}\u{7}";

/// Sixty reads of six clients.
fn timeline(value: &str) -> Timeline {
    let read = |place: u64| {
        Operation::invoked(place % 6, Action::Read, place * 10).on(value).returned(place * 10 + 15, Value::from(value))
    };
    let history = History::from_operations((0..60).map(read)).expect("a history");
    Timeline::made_of(history, None, Vec::new(), Vec::new())
}

fn summary(text: &str, operations: Vec<u32>) -> Summary {
    let mut summary = Summary::new(text, text, 7);
    summary.checks = vec![Check::new(CheckName::Consistency, Verdict::Invalid, text)];
    summary.violation = Some(ViolationSummary {
        anomaly: Anomaly::StaleRead,
        key: Value::from(text),
        sentences: vec![text.to_owned()],
        diagram: vec![text.to_owned()],
        operations,
    });
    summary.notes = vec![text.to_owned()];
    summary.fail_fast = Some(text.to_owned());
    summary.replay = Some(text.to_owned());
    summary.harness_error = Some(text.to_owned());
    summary.files.insert(text.to_owned(), text.to_owned());
    summary.faults.insert(text.to_owned(), Default::default());
    summary.operations.by_function.insert(text.to_owned(), Default::default());
    summary.conclude();
    summary
}

fn rendered(summary: Option<&Summary>, value: &str) -> String {
    let (timeline, endings) = (timeline(value), Endings::default());
    let mut manifest = Manifest::here(7, json!({ "concurrency": 6, "nodes": 3 }));
    manifest.command = vec![value.to_owned()];
    let material =
        Material { run: value.to_owned(), manifest: Ok(&manifest), summary, timeline: &timeline, endings: &endings };
    render(&material, "0123456789abcdef")
}

#[test]
fn what_files_say_is_never_markup() {
    let page = rendered(Some(&summary(ATTACK, vec![3, 5])), ATTACK);
    assert_eq!(page.matches("<script").count(), 2, "the data and the script");
    assert_eq!(page.matches("</script").count(), 2);
    assert!(!page.contains("<img") && !page.contains(['\u{202e}', '\u{7}']));
    assert!(page.contains("&lt;img"), "it is shown");
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let page = rendered(Some(&summary("plain", vec![3, 5])), "plain");
    for outside in [" src=", "@import", "url(http", "//cdn", "fetch(", "eval("] {
        assert!(!page.contains(outside), "{outside}");
    }
    let addresses = page.matches("http").count();
    let known =
        ["http-equiv", "http://www.w3.org/2000/svg"].map(|known| page.matches(known).count()).iter().sum::<usize>();
    assert_eq!(addresses, known);
    assert!(page.contains("default-src 'none'; script-src 'nonce-0123456789abcdef'"));
    assert_eq!(page.matches("nonce=\"0123456789abcdef\"").count(), 2);
    // What the policy forbids must not be there: styles and handlers in tags.
    assert!(!page.contains(" style=\"") && !page.contains(" onclick="));
}

#[test]
fn a_verdict_may_name_operations_that_are_not_there() {
    let page = rendered(Some(&summary("plain", vec![u32::MAX, 60])), "plain");
    assert!(page.contains("The smallest counterexample") && !page.contains("<svg"));
    let many = rendered(Some(&summary("plain", (0..60).collect())), "plain");
    assert_eq!(many.matches("class=\"op ").count(), 40);
    assert!(many.contains("40 of 60 operations are drawn"));
    // Of these the 40th makes room for the last answer, and that one is marked.
    assert_eq!(many.matches("class=\"op ok impossible\"").count(), 1);
    assert!(many.contains("class=\"op ok impossible\" href=\"#op=59\""));
    assert!(many.contains("href=\"#op=38\"") && !many.contains("href=\"#op=39\""));
    // Where it is among the first ones, none makes room.
    let backwards = rendered(Some(&summary("plain", (0..60).rev().collect())), "plain");
    assert!(backwards.contains("class=\"op ok impossible\" href=\"#op=59\""));
    assert!(backwards.contains("href=\"#op=20\"") && !backwards.contains("href=\"#op=19\""));
}

#[test]
fn a_run_without_a_verdict_says_so() {
    let page = rendered(None, "plain");
    assert!(page.contains("no verdict") && page.contains("broken off") && page.contains("no nodes.jsonl"));
    assert!(!page.contains("counterexample-title"));
}

#[test]
fn the_impossible_answer_is_marked_once() {
    let page = rendered(Some(&summary("plain", vec![3, 5, 9])), "plain");
    assert_eq!(page.matches("class=\"cross\"").count(), 1);
    let (story, _) = page.split_once("<script").expect("data");
    assert_eq!(story.matches("no order is left").count(), 2, "in the drawing and in the table");
    assert!(page.contains("href=\"#op=9\""));
}
