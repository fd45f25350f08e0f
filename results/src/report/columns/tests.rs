//! What is encoded comes back, whole and sampled; and what is damaged is refused.

use std::io::Read;

use checkers::history::{Operation as Op, Value};
use flate2::read::DeflateDecoder;
use serde_json::Value as Json;

use super::*;
use crate::{report::Endings, timeline::Timeline};

/// An operation as the page has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::report) struct Shown {
    pub number: u32,
    pub invoke: u64,
    pub end: Option<u64>,
    pub process: u64,
    pub function: String,
    pub outcome: u8,
    pub key: Option<String>,
    pub argument: Option<String>,
    pub second: Option<String>,
    pub result: Option<String>,
    pub reason: Option<String>,
}

/// Reads one column.
struct Column<'a>(&'a [u8]);

impl Column<'_> {
    fn next(&mut self) -> Option<u64> {
        let (mut number, mut shift) = (0_u64, 0);
        loop {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7F).checked_shl(shift)?;
            shift += 7;
            if byte < 0x80 {
                return Some(number);
            }
        }
    }
}

/// The other half of the encoder: the header, and the operations. None where the data are damaged.
pub(in crate::report) fn decode(text: &str) -> Option<(Json, Vec<Shown>)> {
    let mut raw = Vec::new();
    DeflateDecoder::new(&STANDARD.decode(text).ok()?[..]).read_to_end(&mut raw).ok()?;
    let rest = raw.strip_prefix(MAGIC)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (header, mut rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let header: Json = serde_json::from_slice(header).ok()?;
    let mut columns = Vec::new();
    for (name, stored) in COLUMNS.iter().zip(header["columns"].as_array()?) {
        assert_eq!(stored[0], *name);
        let (column, after) = rest.split_at_checked(stored[1].as_u64()? as usize)?;
        columns.push(Column(column));
        rest = after;
    }
    rest.is_empty().then_some(())?;
    let texts = texts(&mut columns)?;
    let (mut number, mut at, mut named) = (0_u32, 0, 0_u64);
    let mut shown = Vec::new();
    for _ in 0..header["kept"].as_u64()? {
        match columns[NUMBER].next() {
            Some(more) => number += more as u32,
            None => number = shown.len() as u32,
        }
        at += columns[INVOKE].next()?;
        let duration = columns[DURATION].next()?;
        let process = columns[PROCESS].next()?;
        let kind = columns[KIND].next()? as u8;
        let mut text = |column: usize| -> Option<Option<String>> {
            Some(match columns[column].next()? {
                0 => None,
                1 => {
                    named += 1;
                    Some(texts[named as usize - 1].clone())
                }
                back => Some(texts[(named + 1 - back) as usize].clone()),
            })
        };
        let [key, argument, second, result] = [text(KEY)?, text(ARGUMENT)?, text(SECOND)?, text(RESULT)?];
        let reason = columns[REASON].next()?.checked_sub(1);
        shown.push(Shown {
            number,
            invoke: at,
            end: duration.checked_sub(1).map(|duration| at + duration),
            process,
            function: header["functions"][usize::from(kind & 15)].as_str()?.to_owned(),
            outcome: kind >> 4,
            key,
            argument,
            second,
            result,
            reason: reason.and_then(|reason| header["reasons"][reason as usize].as_str().map(str::to_owned)),
        });
    }
    Some((header, shown))
}

fn texts(columns: &mut [Column<'_>]) -> Option<Vec<String>> {
    let mut texts = Vec::new();
    while let Some(length) = columns[TEXT_LENGTH].next() {
        let (text, rest) = columns[TEXT].0.split_at_checked(length as usize)?;
        texts.push(String::from_utf8(text.to_vec()).ok()?);
        columns[TEXT].0 = rest;
    }
    Some(texts)
}

fn material<'a>(timeline: &'a Timeline, endings: &'a Endings) -> Material<'a> {
    Material { run: "r".into(), manifest: Err("none".into()), summary: None, timeline, endings }
}

fn timeline(operations: Vec<Op>) -> Timeline {
    Timeline::made_of(History::from_operations(operations).expect("a history"), None, Vec::new(), Vec::new())
}

/// Operations of every kind and outcome, with values that come again.
fn some(count: u64) -> Timeline {
    let operation = |place: u64| {
        let (process, at) = (place % 7 + 100 * (place / 50), 1_000 + place * 300);
        let value = |number: u64| Value::Int(number as i64);
        let action = match place % 4 {
            0 => Action::Write(value(place)),
            1 => Action::Read,
            2 => Action::Cas { old: value(place / 2), new: value(place + 1_000) },
            _ => Action::Append(Value::from("</script><img src=x onerror=alert(1)>")),
        };
        let op = Op::invoked(process, action, at).on(format!("k{}", place % 3).as_str());
        match place % 10 {
            3 => op.failed(at + 77),
            7 if place % 50 == 47 => op,
            _ if place % 4 == 1 => op.returned(at + 200, value(place / 3)),
            _ if place % 4 == 2 => op.mismatched(at + 5, Some(value(place))),
            _ => op.done(at + 1),
        }
    };
    timeline((0..count).map(operation).collect())
}

/// What should come back for an operation, told from the history itself.
fn wanted(history: &History, number: u32, endings: &Endings) -> Shown {
    let operation = history.operation(OpIndex(number));
    let text = |value: &Value| Some(super::super::values::shown(value, 96));
    let [argument, second] = match &operation.action {
        Action::Cas { old, new } => [text(old), text(new)],
        Action::Read => [None, None],
        action => [text(&action.argument()), None],
    };
    let (outcome, result) = match &operation.completion {
        Completion::Ok(value) => (0, value.as_ref()),
        Completion::Mismatch { observed } => (1, observed.as_ref()),
        Completion::Fail => (2, None),
        Completion::Info => (3, None),
    };
    Shown {
        number,
        invoke: operation.invoke,
        end: if operation.is_unknown() { endings.get(number).given_up_ns } else { Some(operation.ret) },
        process: operation.process.0,
        function: operation.action.function().word().to_owned(),
        outcome,
        key: text(&operation.key),
        argument,
        second,
        result: result.and_then(text),
        reason: endings.get(number).reason.map(|reason| endings.reasons[reason as usize].clone()),
    }
}

#[test]
fn what_is_encoded_comes_back() {
    let timeline = some(1_000);
    let mut endings = Endings::default();
    endings.set(3, Some("not-leader"), None);
    endings.set(47, Some("timeout"), Some(1_000 + 47 * 300 + 9));
    let material = material(&timeline, &endings);
    let data = encode(&material, &Lanes::of(&timeline.history, None));
    let (header, shown) = decode(&data.text).expect("whole data");
    assert_eq!((header["total"].as_u64(), data.kept, shown.len()), (Some(1_000), 1_000, 1_000));
    for (number, shown) in (0..).zip(&shown) {
        assert_eq!(*shown, wanted(&timeline.history, number, &endings));
    }
    assert!(shown.iter().any(|shown| shown.outcome == 3) && shown.iter().any(|shown| shown.outcome == 1));
}

#[test]
fn a_sample_keeps_the_numbers_of_its_operations() {
    let timeline = some(20_000);
    let endings = Endings::default();
    let mut summary = crate::summary::Summary::new("raft", "register", 1);
    summary.violation = Some(crate::summary::ViolationSummary {
        anomaly: checkers::verdict::Anomaly::StaleRead,
        key: "k".into(),
        sentences: vec!["so".into()],
        diagram: Vec::new(),
        operations: vec![19_998, 19_999, 70_000],
    });
    let material = Material { summary: Some(&summary), ..material(&timeline, &endings) };
    let raw = Encoder::new(&material, &Lanes::of(&timeline.history, None), 2_000, 0).finish();
    let (_, shown) = decode(&STANDARD.encode(deflate(&raw.bytes))).expect("whole data");
    assert!((1_800..2_200).contains(&shown.len()), "{}", shown.len());
    for shown in &shown {
        assert_eq!(*shown, wanted(&timeline.history, shown.number, &endings));
    }
    // The counterexample is in every sample.
    assert_eq!(shown[shown.len() - 2..].iter().map(|shown| shown.number).collect::<Vec<_>>(), [19_998, 19_999]);
    let probes: std::collections::BTreeSet<u64> = shown.iter().map(|shown| shown.process % 100).collect();
    assert_eq!(probes.len(), 7, "no client is left out");
}

#[test]
fn data_beyond_the_bound_are_sampled_until_they_fit() {
    // Values that no compression makes smaller: 60 characters of noise each.
    let mut state = 7_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:016x}", state ^ (state >> 29))
    };
    let operation = |place: u64| {
        let text = [noise(), noise(), noise(), noise(), noise()].concat();
        Op::invoked(place % 9, Action::Write(Value::from(text)), place * 10).done(place * 10 + 9)
    };
    let timeline = timeline((0..900_000).map(operation).collect());
    let endings = Endings::default();
    let data = encode(&material(&timeline, &endings), &Lanes::of(&timeline.history, None));
    assert!(data.text.len() <= DATA_BYTES_MAX, "{}", data.text.len());
    assert!(data.kept > 300_000 && decode(&data.text).is_some(), "{}", data.kept);
}

#[test]
fn damaged_data_are_refused() {
    let timeline = some(200);
    let endings = Endings::default();
    let data = encode(&material(&timeline, &endings), &Lanes::of(&timeline.history, None));
    assert!(decode(&data.text).is_some());
    assert!(decode(&data.text[..data.text.len() / 8 * 4]).is_none());
    let mut raw = STANDARD.decode(&data.text).expect("base64");
    raw.truncate(raw.len() - 3);
    assert!(decode(&STANDARD.encode(&raw)).is_none());
    assert!(decode(&STANDARD.encode(deflate(b"TLR2\0\0\0\0"))).is_none());
}

#[test]
fn an_empty_run_has_data_too() {
    let timeline = timeline(Vec::new());
    let endings = Endings::default();
    let data = encode(&material(&timeline, &endings), &Lanes::of(&timeline.history, None));
    let (header, shown) = decode(&data.text).expect("whole data");
    assert!(shown.is_empty() && header["end"].as_u64() > header["start"].as_u64());
}
