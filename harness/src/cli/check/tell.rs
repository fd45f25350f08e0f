//! What `trueline check` says: the verdict and its reason first, then what shows it, notes on the history, and how it was judged.

use std::{fmt::Write, path::Path, time::Duration};

use checkers::{
    Lint,
    history::{Completion, History, Loaded, OpIndex, TimeUnit, Value},
    ladder::Ladder,
    model::ModelSpec,
    verdict::{Judgement, Verdict},
};
use results::{check::verdict_name, summary::one_line};
use serde_json::json;

use crate::ladder;

/// A verdict with all that goes with it.
pub struct Told<'a> {
    /// The history's file.
    pub file: &'a Path,
    /// What was read.
    pub loaded: &'a Loaded,
    /// What it was judged against.
    pub spec: &'a ModelSpec,
    /// The verdict.
    pub judgement: &'a Judgement,
    /// Notes on the history.
    pub notes: &'a [Lint],
    /// What still holds, if that was asked.
    pub ladder: Option<&'a Ladder>,
    /// How long reading took.
    pub reading: Duration,
}

impl Told<'_> {
    /// For people. Nothing in it can move a terminal's cursor, whatever the history holds.
    pub fn text(&self) -> String {
        let Self { judgement, .. } = self;
        let mut text = format!("{}: {}\n", verdict_name(judgement.verdict), one_line(&judgement.reason));
        if let Some(violation) = &judgement.violation {
            for sentence in &violation.sentences[1..] {
                text += &format!("  {}\n", one_line(sentence));
            }
            text.push('\n');
            for line in violation.diagram.lines() {
                text += &format!("  {}\n", one_line(line));
            }
            text.push('\n');
        }
        if judgement.verdict == Verdict::Unknown {
            text += &format!("  {}\n", what_to_change(&judgement.reason));
        }
        for note in self.notes {
            text += &format!("  note: {}\n", one_line(&note.words));
        }
        if let Some(line) = self.loaded.truncated {
            text += &format!("  line {line} is torn and was left out\n");
        }
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "  {} on {} in {}, judged as {} by {}; reading took {:.2} s, judging {:.2} s",
            count(judgement.operations, "operation"),
            count(judgement.keys, "key"),
            one_line(&self.file.display().to_string()),
            self.spec.model.name(),
            judgement.decided_by,
            self.reading.as_secs_f64(),
            judgement.elapsed.as_secs_f64(),
        );
        text + &self.ladder.map_or_else(String::new, ladder::as_text)
    }

    /// For programs.
    pub fn json(&self) -> serde_json::Value {
        let Self { judgement, spec, .. } = self;
        let history = &self.loaded.history;
        let violation = judgement.violation.as_ref().map(|violation| {
            json!({
                "anomaly": violation.anomaly,
                "key": violation.key,
                "sentences": violation.sentences,
                "operations": violation.operations.iter().map(|&index| operation(history, index)).collect::<Vec<_>>(),
                "diagram": violation.diagram.lines().collect::<Vec<_>>(),
            })
        });
        json!({
            "verdict": judgement.verdict,
            "reason": judgement.reason,
            "violation": violation,
            "ladder": self.ladder,
            "notes": self.notes,
            "model": spec.model,
            "initial": spec.initial,
            "decided_by": judgement.decided_by,
            "operations": judgement.operations,
            "keys": judgement.keys,
            "time_unit": match history.time_unit() {
                TimeUnit::Nanoseconds => "nanoseconds",
                TimeUnit::Order => "events",
            },
            "file": self.file.display().to_string(),
            "torn_line": self.loaded.truncated,
            "reading_seconds": self.reading.as_secs_f64(),
            "judging_seconds": judgement.elapsed.as_secs_f64(),
        })
    }
}

/// An operation with its fields, in the words of the history format.
fn operation(history: &History, index: OpIndex) -> serde_json::Value {
    let operation = history.operation(index);
    let (kind, result): (_, Option<Value>) = match &operation.completion {
        Completion::Ok(result) => ("ok", result.clone()),
        Completion::Fail => ("fail", None),
        Completion::Mismatch { observed } => ("fail", observed.clone()),
        Completion::Info => ("info", None),
    };
    json!({
        "operation": index.0,
        "process": operation.process.0,
        "f": operation.action.function().word(),
        "value": operation.action.argument(),
        "type": kind,
        "mismatch": matches!(operation.completion, Completion::Mismatch { .. }),
        "result": result,
        "invoked": operation.invoke,
        "returned": (!operation.is_unknown()).then_some(operation.ret),
    })
}

/// What may turn `unknown` into an answer.
fn what_to_change(reason: &str) -> String {
    let mut more = Vec::new();
    if reason.contains("time budget") {
        more.push("--time");
    }
    if reason.contains("memory budget") {
        more.push("--memory");
    }
    let budget = if more.is_empty() { "--time or --memory".to_owned() } else { more.join(" and ") };
    format!(
        "to decide it: give it more with {budget}; or make it easier to judge: unique values, fewer operations or clients per \
         key, fewer unknown outcomes (shorter runs, longer client timeouts)"
    )
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
