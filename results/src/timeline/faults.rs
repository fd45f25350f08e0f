//! Faults with a beginning and an end, made of the lines of `schedule.jsonl`: one a step.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;

/// Steps that undo: a fault whose last step is one of them has ended by itself.
const UNDOING: [&str; 3] = ["mend", "revive", "start"];
/// Steps that are over when they are done.
const MOMENTARY: [&str; 2] = ["transfer", "change-membership"];
/// Steps that name the nodes they hit.
const STRIKING: [&str; 6] = ["kill", "pause", "power-off", "wipe", "mute", "spoil"];

/// The longest words of a step, characters.
const WORDS_MAX: usize = 200;

/// One line of a schedule, as far as it is needed here.
#[derive(Clone, Debug, Deserialize)]
pub struct ScheduleLine {
    time: u64,
    done: u64,
    fault: Option<u64>,
    name: String,
    step: Json,
}

/// A fault as carried out. Times are nanoseconds on the history's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultSpan {
    /// Its number in the run.
    pub number: u64,
    /// Its name, e.g. `partition halves`.
    pub name: String,
    /// When its first step was begun.
    pub start_ns: u64,
    /// When its last step had been done; the heal's, where it had not undone itself.
    pub end_ns: u64,
    /// The nodes that it hit themselves, links aside.
    pub nodes: Vec<u32>,
    /// What was done.
    pub steps: Vec<FaultStep>,
}

/// A step of a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultStep {
    /// When it was begun.
    pub at_ns: u64,
    /// What was done to whom.
    pub words: String,
}

/// The faults of a run, by their beginning. Those that nothing ended last until `healed_ns`.
pub(super) fn spans(schedule: Vec<ScheduleLine>, healed_ns: u64) -> Vec<FaultSpan> {
    let mut faults: BTreeMap<u64, FaultSpan> = BTreeMap::new();
    for line in schedule {
        // What belongs to no fault is the final heal.
        let Some(number) = line.fault else { continue };
        let (what, with) = taken_apart(&line.step);
        let fault = faults.entry(number).or_insert_with(|| FaultSpan {
            number,
            name: line.name.clone(),
            start_ns: line.time,
            end_ns: line.done,
            nodes: Vec::new(),
            steps: Vec::new(),
        });
        let is_over = UNDOING.contains(&what) || MOMENTARY.contains(&what);
        fault.end_ns = if is_over { line.done } else { healed_ns.max(line.done) };
        if STRIKING.contains(&what) {
            fault.nodes.extend(nodes(with));
        }
        fault.steps.push(FaultStep { at_ns: line.time, words: words(what, with) });
    }
    let mut faults: Vec<FaultSpan> = faults.into_values().collect();
    for fault in &mut faults {
        fault.nodes.sort_unstable();
        fault.nodes.dedup();
    }
    faults.sort_by_key(|fault| (fault.start_ns, fault.number));
    faults
}

/// What is done, and with what: `"mend"`, or `{"kill": [1]}`.
fn taken_apart(step: &Json) -> (&str, &Json) {
    match step {
        Json::String(what) => (what, &Json::Null),
        Json::Object(object) => object.iter().next().map_or(("", &Json::Null), |(what, with)| (what.as_str(), with)),
        _ => ("", &Json::Null),
    }
}

/// A list of nodes, or of a list of nodes and something else.
fn nodes(with: &Json) -> Vec<u32> {
    let number = |json: &Json| json.as_u64().and_then(|node| u32::try_from(node).ok());
    let Some(list) = with.as_array() else { return Vec::new() };
    let list = list.first().and_then(Json::as_array).unwrap_or(list);
    list.iter().filter_map(number).collect()
}

/// A step as a person reads it.
fn words(what: &str, with: &Json) -> String {
    let joined = |list: Vec<String>| list.join(", ");
    let words = match (what, with) {
        (_, Json::Null) => what.to_owned(),
        ("cut" | "split", Json::Array(links)) => {
            let link = |link: &Json| match link.as_array().map(Vec::as_slice) {
                Some([from, to]) => format!("{from}→{to}"),
                _ => link.to_string(),
            };
            format!("{what} {}", joined(links.iter().map(link).collect()))
        }
        (_, Json::Array(list)) if list.iter().all(Json::is_number) => {
            format!("{what} {}", joined(list.iter().map(Json::to_string).collect()))
        }
        _ => format!("{what} {with}"),
    };
    match words.char_indices().nth(WORDS_MAX) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(time: u64, fault: Option<u64>, step: Json) -> ScheduleLine {
        ScheduleLine { time, done: time + 1, fault, name: "n".to_owned(), step }
    }

    #[test]
    fn spans_last_until_they_are_undone_or_healed() {
        let schedule = vec![
            line(10, Some(1), json!({"kill": [2, 3]})),
            line(12, Some(2), json!({"cut": [[1, 2], [2, 1]]})),
            line(14, Some(3), json!({"spoil": [[1], {"torn": true}]})),
            line(16, Some(4), json!({"transfer": {"from": 1, "to": null, "agreed": true}})),
            line(20, Some(1), json!("revive")),
            line(90, None, json!("mend")),
            line(91, None, json!("revive")),
        ];
        let spans = spans(schedule, 90);
        let of = |number: u64| spans.iter().find(|span| span.number == number).expect("a span");
        assert_eq!((of(1).start_ns, of(1).end_ns, &of(1).nodes[..]), (10, 21, &[2, 3][..]));
        assert_eq!((of(2).start_ns, of(2).end_ns, of(2).nodes.len()), (12, 90, 0));
        assert_eq!((of(3).end_ns, &of(3).nodes[..]), (90, &[1][..]));
        assert_eq!(of(4).end_ns, 17);
        assert_eq!(of(1).steps[0].words, "kill 2, 3");
        assert_eq!(of(2).steps[0].words, "cut 1→2, 2→1");
        assert_eq!(of(1).steps[1].words, "revive");
        assert_eq!(spans.len(), 4);
    }

    #[test]
    fn odd_steps_are_told_as_they_stand_and_shortened() {
        assert_eq!(words("dance", &json!({"wild": 1})), r#"dance {"wild":1}"#);
        assert_eq!(words("x", &json!("é".repeat(500))).chars().count(), WORDS_MAX + 1);
        assert_eq!(taken_apart(&json!(7)), ("", &Json::Null));
        assert_eq!(nodes(&json!(["a", -1, 5_000_000_000_u64, 4])), [4]);
    }
}
