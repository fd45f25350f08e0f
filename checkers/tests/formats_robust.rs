//! What readers must survive: any bytes, damaged files, files cut anywhere. And what is written is read back.

use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

use checkers::history::{
    Event, EventKind, Format, Function, History, HistoryBuilder, HistoryError, HistoryWriter, Operation, Process,
    ProcessId, ReadOptions, Value, read, read_with,
};
use checkers::model::{ModelKind, ModelSpec};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::RngSeed;

const FORMATS: [Format; 4] = [Format::Jsonl, Format::JepsenEdn, Format::JepsenLog, Format::KvText];

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(0x7121), ..ProptestConfig::default() }
}

fn lenient() -> ReadOptions {
    ReadOptions { keep_complete_lines: true, ..ReadOptions::default() }
}

fn model() -> ModelSpec {
    ModelSpec { model: ModelKind::CasRegister, initial: Value::Nil }
}

fn written(events: &[Event]) -> Vec<u8> {
    let mut writer = HistoryWriter::new(Vec::new(), &model()).unwrap();
    for event in events {
        writer.write(event).unwrap();
    }
    writer.into_inner()
}

/// A small history with something of everything.
fn sample() -> Vec<Event> {
    let client = Event::client;
    let pair = Value::List(vec![1.into(), Value::Nil]);
    let mut events = vec![
        client(0, EventKind::Invoke, Function::Write, "é\n\"}".into()),
        client(1, EventKind::Invoke, Function::Cas, pair.clone()),
        Event {
            process: Process::Nemesis,
            function: None,
            ..client(0, EventKind::Info, Function::Read, "kill".into())
        },
        client(0, EventKind::Ok, Function::Write, "é\n\"}".into()),
        Event { observed: Some(7.into()), ..client(1, EventKind::Fail, Function::Cas, pair) },
        client(2, EventKind::Invoke, Function::Read, Value::Nil),
        Event { reason: Some("timeout".into()), ..client(2, EventKind::Info, Function::Read, Value::Nil) },
        client(0, EventKind::Invoke, Function::Read, Value::Nil),
        client(0, EventKind::Ok, Function::Read, 7.into()),
    ];
    for (place, event) in (10..).zip(&mut events) {
        (event.index, event.time) = (Some(place), Some(place * 100));
    }
    events
}

fn operations_of(events: &[Event]) -> Vec<Operation> {
    let mut builder = HistoryBuilder::new();
    for event in events {
        builder.push(event.clone()).unwrap();
    }
    builder.finish().into_operations()
}

#[test]
fn a_checksummed_file_cut_anywhere_keeps_its_complete_lines_and_no_more() {
    let events = sample();
    let whole = written(&events);
    let ends: Vec<usize> = (0..whole.len()).filter(|&place| whole[place] == b'\n').collect();
    for cut in 0..=whole.len() {
        let part = &whole[..cut];
        // A line is complete with its last brace; its line end adds nothing.
        let complete = ends.iter().filter(|&&end| end <= cut).count();
        let torn = cut > 0 && !ends.iter().any(|&end| cut == end || cut == end + 1);
        let expected = operations_of(&events[..complete.saturating_sub(1)]);
        let torn_line = complete as u64 + 1;

        let kept = read_with(part, Format::Jsonl, &lenient()).unwrap();
        assert_eq!(kept.history.clone().into_operations(), expected, "cut at {cut}");
        assert_eq!(kept.truncated, torn.then_some(torn_line), "cut at {cut}");
        assert_eq!(kept.model.is_some(), complete > 0, "cut at {cut}");

        match read(part, Format::Jsonl) {
            Ok(loaded) => {
                assert!(!torn, "cut at {cut}: a torn line was passed over");
                assert_eq!(loaded.history.clone().into_operations(), expected);
            }
            Err(HistoryError::Truncated { line }) => assert!(torn && complete > 0 && line == torn_line, "{cut}"),
            // Within the first line nothing tells yet that lines have checksums.
            Err(HistoryError::Malformed { line, .. }) => assert!(torn && complete == 0 && line == 1, "{cut}"),
            Err(error) => panic!("cut at {cut}: {error}"),
        }
    }
}

#[test]
fn damage_that_is_no_torn_tail_is_not_forgiven() {
    let whole = written(&sample());
    let second = whole.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    let mut torn_inside = whole.clone();
    torn_inside.drain(second + 20..second + 25);
    let result = read_with(&torn_inside[..], Format::Jsonl, &lenient());
    assert!(matches!(result, Err(HistoryError::BadChecksum { line: 2, .. })), "{result:?}");
    let mut ended = whole[..whole.len() - 10].to_vec();
    ended.push(b'\n');
    let result = read_with(&ended[..], Format::Jsonl, &lenient());
    assert!(matches!(result, Err(HistoryError::Malformed { line: 10, .. })), "{result:?}");
    // A whole last line that breaks a rule is no torn one, even without its line end.
    let mut orphan = whole.clone();
    orphan.extend(br#"{"time":5000,"process":9,"type":"ok","f":"write"}"#);
    let result = read_with(&orphan[..], Format::Jsonl, &lenient());
    assert!(matches!(result, Err(HistoryError::NoInvocation { line: 11, .. })), "{result:?}");
}

#[test]
fn a_tail_of_zeroes_is_a_torn_line() {
    // Blocks that a file system allocated and never filled.
    let mut zeroes = written(&sample());
    zeroes.extend([0; 100]);
    let result = read(&zeroes[..], Format::Jsonl);
    assert!(matches!(result, Err(HistoryError::Truncated { line: 11 })), "{result:?}");
    let kept = read_with(&zeroes[..], Format::Jsonl, &lenient()).unwrap();
    assert_eq!((kept.truncated, kept.history.clone().into_operations()), (Some(11), operations_of(&sample())));
}

const EDN: &str = "[{:process 0, :type :invoke, :f :write, :value \"é\\n\"}\n \
    #op{:process 1, :type :invoke, :f :cas, :value [1 2]}\n \
    {:process 0, :type :ok, :f :write, :value \"é\\n\"} ; words\n \
    {:process :nemesis, :type :info, :f :kill, :value #{\\a 1.5}}\n \
    {:process 1, :type :fail, :f :cas, :value [1 2], :error {:a nil}}]";
const KV: &str = "{:process 0, :type :invoke, :f :put, :key \"é\", :value \"x\"}\n\
    {:process 0, :type :ok, :f :put, :key \"é\", :value \"x\"}\n\
    {:process 1, :type :invoke, :f :get, :key \"é\", :value nil}\n\
    {:process 1, :type :ok, :f :get, :key \"é\", :value \"x\"}\n";
const LOG: &str = "INFO  jepsen.core - go\nINFO  jepsen.util - 0\t:invoke\t:write\t15\n\
    INFO  jepsen.util - 0\t:ok\t:write\t15\nINFO  jepsen.util - 1\t:invoke\t:read\tnil\n\
    INFO  jepsen.util - 1\t:ok\t:read\t15\n";

#[test]
fn edn_cut_anywhere_keeps_its_complete_maps_and_says_that_it_was_cut() {
    for (text, format) in [(EDN, Format::JepsenEdn), (KV, Format::KvText)] {
        let whole = read(text.as_bytes(), format).unwrap().history.into_operations();
        for cut in 0..text.len() {
            let part = &text.as_bytes()[..cut];
            let kept = read_with(part, format, &lenient()).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
            let invoked = text[..text.floor_char_boundary(cut)]
                .lines()
                .filter(|map| map.contains(":invoke") && map.trim_end().ends_with('}'))
                .count();
            assert_eq!(kept.history.clone().into_operations().len(), invoked, "cut at {cut}");
            for (kept, whole) in kept.history.clone().into_operations().iter().zip(&whole) {
                assert_eq!((&kept.action, kept.invoke), (&whole.action, whole.invoke), "cut at {cut}");
            }
            match read(part, format) {
                Ok(loaded) => assert_eq!((kept.truncated, loaded.lines), (None, kept.lines), "cut at {cut}"),
                Err(HistoryError::Truncated { line }) => assert_eq!(kept.truncated, Some(line), "cut at {cut}"),
                Err(error) => panic!("cut at {cut}: {error}"),
            }
        }
    }
}

#[test]
fn a_log_cut_anywhere_keeps_its_complete_lines() {
    let whole = read(LOG.as_bytes(), Format::JepsenLog).unwrap().history.into_operations();
    for cut in 0..LOG.len() {
        let part = &LOG.as_bytes()[..cut];
        let kept = read_with(part, Format::JepsenLog, &lenient()).unwrap();
        let complete = part.iter().filter(|&&byte| byte == b'\n').count();
        assert_eq!(kept.history.clone().into_operations().len(), complete / 2, "cut at {cut}");
        for (kept, whole) in kept.history.clone().into_operations().iter().zip(&whole) {
            assert_eq!(kept.action, whole.action, "cut at {cut}");
        }
        let torn = !part.is_empty() && !part.ends_with(b"\n");
        assert_eq!(kept.truncated, torn.then_some(complete as u64 + 1), "cut at {cut}");
    }
}

/// Hands out one byte at a time, is interrupted before each, and fails at the end.
struct Bad<'a> {
    bytes: &'a [u8],
    interrupted: bool,
    /// How it fails.
    end: ErrorKind,
}

impl Read for Bad<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        match self.bytes.split_first() {
            _ if self.interrupted => Err(ErrorKind::Interrupted.into()),
            None => Err(io::Error::new(self.end, "the disk is gone")),
            Some((first, rest)) => {
                (buffer[0], self.bytes) = (*first, rest);
                Ok(1)
            }
        }
    }
}

#[test]
fn a_source_that_fails_is_reported_even_when_lenient() {
    let jsonl = written(&sample());
    let texts: [(&[u8], u64, Format); 4] = [
        (&jsonl, 11, Format::Jsonl),
        (EDN.split_at(EDN.len() - 1).0.as_bytes(), 5, Format::JepsenEdn),
        (KV.as_bytes(), 5, Format::KvText),
        (LOG.as_bytes(), 6, Format::JepsenLog),
    ];
    for (bytes, at, format) in texts {
        for options in [ReadOptions::default(), lenient()] {
            let source = Bad { bytes, interrupted: false, end: ErrorKind::Other };
            let result = read_with(BufReader::new(source), format, &options);
            assert!(matches!(result, Err(HistoryError::Io { line, .. }) if line == at), "{format:?}: {result:?}");
        }
    }
}

#[test]
fn a_source_that_was_cut_short_is_read_as_far_as_it_goes() {
    let jsonl = written(&sample());
    // Whole lines and forms, then the middle of the next.
    let bracket = EDN.rfind("\n").unwrap();
    let texts: [(&[u8], u64, Format); 6] = [
        (&jsonl, 11, Format::Jsonl),
        (&jsonl[..jsonl.len() - 9], 10, Format::Jsonl),
        (&EDN.as_bytes()[..bracket + 1], 5, Format::JepsenEdn),
        (&EDN.as_bytes()[..bracket + 9], 5, Format::JepsenEdn),
        (KV.as_bytes(), 5, Format::KvText),
        (LOG.as_bytes(), 6, Format::JepsenLog),
    ];
    for (bytes, at, format) in texts {
        let source = || BufReader::new(Bad { bytes, interrupted: false, end: ErrorKind::UnexpectedEof });
        let result = read_with(source(), format, &ReadOptions::default());
        assert!(matches!(result, Err(HistoryError::Truncated { line }) if line == at), "{format:?}: {result:?}");
        let kept = read_with(source(), format, &lenient()).unwrap();
        let plain = read_with(bytes, format, &lenient()).unwrap();
        assert_eq!(kept.truncated, Some(at), "{format:?}");
        assert_eq!(kept.history.into_operations(), plain.history.into_operations(), "{format:?}");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<String>().prop_map(Value::Text),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| vec(inner, 0..4).prop_map(Value::List))
}

const ALL: [Function; 11] = [
    Function::Read,
    Function::Write,
    Function::Cas,
    Function::Append,
    Function::Delete,
    Function::Add,
    Function::Enqueue,
    Function::Dequeue,
    Function::Acquire,
    Function::Release,
    Function::Txn,
];

/// Any event, with no regard to whether a history of such events holds together.
fn any_event() -> impl Strategy<Value = Event> {
    let numbers = (option::of(any::<u64>()), option::of(any::<u64>()), option::weighted(0.8, any::<u64>()));
    let kinds = select(vec![EventKind::Invoke, EventKind::Ok, EventKind::Fail, EventKind::Info]);
    let functions = option::of(select(ALL.to_vec()));
    let values = (any_value(), any_value(), option::of(any_value()));
    let words = (option::of(any::<String>()), option::of(any::<String>()));
    (numbers, kinds, functions, values, words).prop_map(|(numbers, kind, function, values, (reason, note))| {
        let (index, time, process) = numbers;
        let function = process.and(function);
        let process = process.map_or(Process::Nemesis, |number| Process::Client(ProcessId(number)));
        let (key, value, observed) = values;
        Event { index, time, process, kind, function, key, value, observed, reason, note }
    })
}

/// One step of a client: which client, what it does, with what, how much later.
type Step = (usize, u8, Function, Value, Value, u64);

/// What a client may invoke the function with.
fn argument_of(function: Function, first: Value, second: Value) -> Value {
    match function {
        Function::Read | Function::Delete | Function::Dequeue => Value::Nil,
        Function::Write | Function::Acquire | Function::Release => first,
        Function::Cas => Value::List(vec![first, second]),
        Function::Append | Function::Add | Function::Enqueue => Value::List(vec![first]),
        Function::Txn => transaction(first, second, Value::Nil),
    }
}

fn transaction(read_key: Value, written: Value, read: Value) -> Value {
    let micro = |name: &str, key, value| Value::List(vec![name.into(), key, value]);
    let appended = micro("append", 7.into(), written.clone());
    Value::List(vec![micro("r", read_key, read), micro("w", "k".into(), written), appended])
}

/// The next event of a client: the completion of what it has open, or an invocation.
fn next_event(step: Step, process: &mut u64, open: &mut Option<Event>) -> Event {
    let (client, outcome, function, first, second, _) = step;
    let Some(invoke) = open.take() else {
        let value = argument_of(function, first, second);
        let key = Value::Text(format!("k{}", client % 2));
        let event = Event { key, ..Event::client(*process, EventKind::Invoke, function, value) };
        *open = Some(event.clone());
        return event;
    };
    match (outcome, invoke.function) {
        (0 | 1, Some(Function::Read | Function::Dequeue)) => Event { kind: EventKind::Ok, value: first, ..invoke },
        (0 | 1, Some(Function::Txn)) => {
            let Value::List(parts) = &invoke.value else { unreachable!("transactions are lists") };
            let (Value::List(read), Value::List(write)) = (&parts[0], &parts[1]) else {
                unreachable!("and so are parts")
            };
            let value = transaction(read[1].clone(), write[2].clone(), first);
            Event { kind: EventKind::Ok, value, ..invoke }
        }
        (0 | 1, _) => Event { kind: EventKind::Ok, ..invoke },
        (2, _) => Event { kind: EventKind::Fail, reason: Some("mismatch".into()), ..invoke },
        _ => {
            *process += 4;
            Event { kind: EventKind::Info, ..invoke }
        }
    }
}

/// Events of four clients that take turns, so that they make a history.
fn any_history() -> impl Strategy<Value = Vec<Event>> {
    vec((0..4_usize, 0..4_u8, select(ALL.to_vec()), any_value(), any_value(), 0..3_u64), 0..40).prop_map(|steps| {
        let mut processes = [0, 1, 2, 3];
        let mut open: [Option<Event>; 4] = Default::default();
        let (mut time, mut events) = (0, Vec::new());
        for step in steps {
            time += step.5;
            let client = step.0;
            let event = next_event(step, &mut processes[client], &mut open[client]);
            events.push(Event { time: Some(time), index: Some(events.len() as u64), ..event });
        }
        events
    })
}

/// Changes to a valid file: where, which change, a byte.
fn damage(text: &[u8], changes: &[(Index, u8, u8)]) -> Vec<u8> {
    let mut bytes = text.to_vec();
    for (place, change, byte) in changes {
        if bytes.is_empty() {
            break;
        }
        let at = place.index(bytes.len());
        match change % 5 {
            0 => bytes[at] = *byte,
            1 => bytes.insert(at, *byte),
            2 => drop(bytes.remove(at)),
            3 => bytes.truncate(at),
            _ => {
                let copy = bytes[at.saturating_sub(usize::from(*byte))..at].to_vec();
                bytes.splice(at..at, copy);
            }
        }
    }
    bytes
}

/// No reader panics, and whatever one reads is a history by all rules.
fn survive(bytes: &[u8]) {
    for format in FORMATS {
        for choice in 0..4 {
            let (keep_complete_lines, independent_keys) = (choice & 1 != 0, choice & 2 != 0);
            let options = ReadOptions { keep_complete_lines, independent_keys, ..ReadOptions::default() };
            if let Ok(loaded) = read_with(bytes, format, &options) {
                History::from_operations(loaded.history.into_operations()).unwrap();
            }
        }
    }
    let _ = Format::guess(Path::new("x"), bytes);
}

/// Pieces of the formats, which random bytes would never bring together.
const PIECES: [&str; 38] = [
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "\"",
    "\\",
    ":",
    "#",
    "#_",
    "#{",
    "^",
    ";",
    "\n",
    " ",
    ",",
    "nil",
    "-",
    "0",
    ":process",
    ":type",
    ":invoke",
    ":ok",
    ":fail",
    ":f",
    ":read",
    ":write",
    ":cas",
    ":value",
    "1",
    "[1 2]",
    "INFO  jepsen.util - ",
    "{\"process\":",
    "\"type\":\"invoke\"",
    "\"f\":\"read\"",
    "\"crc\":\"",
    "\u{e9}",
];

proptest! {
    #![proptest_config(config(512))]

    #[test]
    fn an_event_written_is_the_event_read(event in any_event()) {
        // Read without the value it has to have, such an event would be refused; it is always written.
        let bytes = written(std::slice::from_ref(&event));
        let line = bytes.split(|&byte| byte == b'\n').nth(1).unwrap();
        prop_assert_eq!(&serde_json::from_slice::<Event>(line).unwrap(), &event);
        let text = serde_json::to_string(&event).unwrap();
        prop_assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }

    #[test]
    fn a_history_written_is_the_history_read(events in any_history()) {
        let loaded = read(&written(&events)[..], Format::Jsonl).unwrap();
        prop_assert_eq!(loaded.history.clone().into_operations(), operations_of(&events));
        prop_assert_eq!(loaded.model, Some(model()));
        prop_assert_eq!(loaded.lines, events.len() as u64 + 1);
    }

    #[test]
    fn own_lines_are_read_the_same_in_both_ways(events in any_history()) {
        let bytes = written(&events);
        let expected = read(&bytes[..], Format::Jsonl).unwrap().history.into_operations();
        // A blank that nobody expects leaves the lines to the general reader.
        let spaced = std::str::from_utf8(&bytes).unwrap().lines().map(|line| {
            let (members, _) = line.rsplit_once(",\"crc\"").unwrap();
            format!("{} }}\n", members)
        });
        let general = read(spaced.collect::<String>().as_bytes(), Format::Jsonl).unwrap();
        prop_assert_eq!(general.history.into_operations(), expected);
    }

    #[test]
    fn one_changed_byte_in_a_checksummed_file_is_found(
        events in any_history(), place in any::<Index>(), change in 1..=255_u8,
    ) {
        let mut bytes = written(&events);
        let at = place.index(bytes.len());
        bytes[at] ^= change;
        prop_assert!(read(&bytes[..], Format::Jsonl).is_err(), "at {}", at);
        prop_assert!(read_with(&bytes[..], Format::Jsonl, &lenient()).is_err() || at + 1 == bytes.len(), "at {}", at);
    }

    #[test]
    fn any_bytes_are_survived(bytes in vec(any::<u8>(), 0..400)) {
        survive(&bytes);
    }

    #[test]
    fn any_words_of_the_formats_are_survived(words in vec(select(&PIECES[..]), 0..60)) {
        survive(words.concat().as_bytes());
        survive(words.join(" ").as_bytes());
    }

    #[test]
    fn damaged_files_are_survived(
        changes in vec((any::<Index>(), any::<u8>(), any::<u8>()), 1..6), which in 0..4_usize,
    ) {
        let valid = [written(&sample()), EDN.into(), KV.into(), LOG.into()];
        survive(&damage(&valid[which], &changes));
    }
}
