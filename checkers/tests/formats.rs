//! The own format on small histories of its own, every rule on a history that breaks it, and the guessing of formats.

use std::path::Path;

use checkers::history::{
    Action, Event, EventKind, Format, Function, History, HistoryBuilder, HistoryError, HistoryWriter, LINE_BYTES_MAX,
    Loaded, Operation, Process, TimeUnit, Value, read,
};
use checkers::model::{ModelKind, ModelSpec};

fn jsonl(text: &str) -> Result<Loaded, HistoryError> {
    read(text.as_bytes(), Format::Jsonl)
}

fn edn(text: &str) -> Result<Loaded, HistoryError> {
    read(text.as_bytes(), Format::JepsenEdn)
}

fn cas(old: i64, new: i64) -> Action {
    Action::Cas { old: old.into(), new: new.into() }
}

fn write(value: impl Into<Value>) -> Action {
    Action::Write(value.into())
}

/// Asserts the error's variant, and that its message has all of these words.
macro_rules! assert_error {
    ($result:expr, $variant:pat, $($word:expr),+) => {{
        let error = $result.map(|_| ()).expect_err("this history breaks a rule");
        assert!(matches!(error, $variant), "{error:?}");
        let message = error.to_string();
        $(assert!(message.contains($word), "`{}` is missing in: {message}", $word);)+
    }};
}

#[test]
fn the_documented_example_reads_as_documented() {
    let document = include_str!("../../docs/history-format.md");
    let (_, rest) = document.split_once("```jsonl\n").expect("the document has an example");
    let (example, _) = rest.split_once("```").expect("the example ends");
    let loaded = jsonl(example).unwrap();
    assert_eq!(loaded.model, Some(ModelSpec { model: ModelKind::CasRegister, initial: Value::Nil }));
    assert_eq!(loaded.lines, 11);
    assert_eq!(loaded.history.time_unit(), TimeUnit::Order);
    let expected = [
        Operation::invoked(0, write(1), 0).on("x").done(2),
        Operation::invoked(1, Action::Read, 1).on("x").returned(3, 1),
        Operation::invoked(1, cas(2, 3), 4).on("x").mismatched(5, Some(1.into())),
        Operation::invoked(1, write(4), 6).on("x"),
        Operation::invoked(2, Action::Read, 8).on("x").returned(9, 4),
    ];
    assert_eq!(loaded.history.clone().into_operations(), expected);
}

#[test]
fn empty_inputs_are_empty_histories() {
    for format in [Format::Jsonl, Format::JepsenEdn, Format::JepsenLog, Format::KvText] {
        for text in ["", "\n \n"] {
            assert!(read(text.as_bytes(), format).unwrap().history.clone().into_operations().is_empty(), "{format:?}");
        }
    }
    let header_only = jsonl("{\"trueline_history\":1}\n").unwrap();
    assert_eq!((header_only.model, header_only.lines), (None, 1));
    assert!(edn("; words\n[]").unwrap().history.clone().into_operations().is_empty());
}

#[test]
fn jsonl_times_order_the_events() {
    let text = "\u{feff}{\"time\":5,\"process\":0,\"type\":\"invoke\",\"f\":\"write\",\"value\":\"a\"}\r\n\
        {\"time\":5,\"process\":1,\"type\":\"invoke\",\"f\":\"read\"}\r\n\
        {\"time\":6,\"process\":\"nemesis\",\"type\":\"info\",\"f\":\"kill\",\"note\":\"n1\"}\r\n\
        \r\n\
        {\"time\":9,\"process\":1,\"type\":\"ok\",\"f\":\"read\",\"value\":null}\r\n\
        {\"time\":9,\"process\":0,\"type\":\"ok\",\"f\":\"write\",\"value\":\"a\"}\r\n";
    let loaded = jsonl(text).unwrap();
    assert_eq!((loaded.nemesis_events, loaded.lines), (1, 6));
    assert_eq!(loaded.history.time_unit(), TimeUnit::Nanoseconds);
    let expected =
        [Operation::invoked(0, write("a"), 5).done(9), Operation::invoked(1, Action::Read, 5).returned(9, Value::Nil)];
    assert_eq!(loaded.history.clone().into_operations(), expected);
}

#[test]
fn a_late_answer_after_info_counts_and_what_stays_open_is_unknown() {
    let loaded = jsonl(
        r#"{"process":0,"type":"invoke","f":"append","value":1}
           {"process":1,"type":"invoke","f":"append","value":2}
           {"process":2,"type":"invoke","f":"cas","value":[1,2]}
           {"process":0,"type":"info","f":"append"}
           {"process":0,"type":"ok","f":"append","value":1}
           {"process":2,"type":"fail","f":"cas","reason":"mismatch"}"#,
    );
    let expected = [
        Operation::invoked(0, Action::Append(1.into()), 0).done(4),
        Operation::invoked(1, Action::Append(2.into()), 1),
        Operation::invoked(2, cas(1, 2), 2).mismatched(5, None),
    ];
    assert_eq!(loaded.unwrap().history.clone().into_operations(), expected);
}

#[test]
fn formats_are_guessed_from_content_then_name() {
    let guess = |name: &str, bytes: &str| Format::guess(Path::new(name), bytes.as_bytes());
    assert_eq!(guess("x", "{\"process\":0"), Some(Format::Jsonl));
    assert_eq!(guess("x.edn", "\u{feff} {\"process\":0"), Some(Format::Jsonl));
    assert_eq!(guess("x", "; a\n;b\n [{:process"), Some(Format::JepsenEdn));
    assert_eq!(guess("x", "({:process"), Some(Format::JepsenEdn));
    assert_eq!(guess("x", "#jepsen.history.Op{:process"), Some(Format::JepsenEdn));
    assert_eq!(guess("x", "{:process 0, :type :invoke, :f :read"), Some(Format::JepsenEdn));
    assert_eq!(guess("x", "{:process 0, :type :invoke, :f :put"), Some(Format::KvText));
    assert_eq!(guess("x.txt", "{:process 0, :type :invoke, :f :append"), Some(Format::KvText));
    assert_eq!(guess("x", "INFO  jepsen.util - 0"), Some(Format::JepsenLog));
    assert_eq!(guess("x", "INFO  jepsen.core - 0"), Some(Format::JepsenLog));
    assert_eq!(guess("x.log", "INFO  another.thing - 0"), Some(Format::JepsenLog));
    assert_eq!(guess("x", "0 :invoke :read nil"), Some(Format::JepsenLog));
    assert_eq!(guess("x", "0 1 2"), None);
    assert_eq!(guess("x.log.zst", ""), Some(Format::JepsenLog));
    assert_eq!(guess("x.zst", ""), None);
    assert_eq!(guess("x.jsonl", ""), Some(Format::Jsonl));
    assert_eq!(guess("x", "\u{1f}\u{8b}"), None);
    assert_eq!(guess("x", ""), None);
}

#[test]
fn jsonl_has_every_function() {
    let text = r#"{"process":0,"type":"invoke","f":"add","value":-3}
        {"process":0,"type":"ok","f":"add","value":-3}
        {"process":1,"type":"invoke","f":"enqueue","value":"x"}
        {"process":1,"type":"ok","f":"enqueue"}
        {"process":1,"type":"invoke","f":"dequeue"}
        {"process":1,"type":"ok","f":"dequeue","value":"x"}
        {"process":1,"type":"invoke","f":"dequeue"}
        {"process":1,"type":"ok","f":"dequeue","value":null}
        {"process":2,"type":"invoke","f":"acquire"}
        {"process":2,"type":"ok","f":"acquire"}
        {"process":2,"type":"invoke","f":"release","value":"me"}
        {"process":2,"type":"ok","f":"release","value":"me"}
        {"process":3,"type":"invoke","f":"delete","key":"k"}
        {"process":3,"type":"ok","f":"delete","key":"k"}
        {"process":3,"type":"invoke","f":"txn","value":[["r","x",null],["append","y",2]]}
        {"process":3,"type":"ok","f":"txn","value":[["r","x",[1]],["append","y",2]]}"#;
    let micro = |name: &str, key: &str, value: Value| Value::List(vec![name.into(), key.into(), value]);
    let txn = |read: Value| Value::List(vec![micro("r", "x", read), micro("append", "y", 2.into())]);
    let expected = [
        Operation::invoked(0, Action::Add((-3).into()), 0).done(1),
        Operation::invoked(1, Action::Enqueue("x".into()), 2).done(3),
        Operation::invoked(1, Action::Dequeue, 4).returned(5, "x"),
        Operation::invoked(1, Action::Dequeue, 6).returned(7, Value::Nil),
        Operation::invoked(2, Action::Acquire(2.into()), 8).done(9),
        Operation::invoked(2, Action::Release("me".into()), 10).done(11),
        Operation::invoked(3, Action::Delete, 12).on("k").done(13),
        Operation::invoked(3, Action::Txn(txn(Value::Nil)), 14).returned(15, txn(vec![1.into()].into())),
    ];
    assert_eq!(jsonl(text).unwrap().history.into_operations(), expected);
}

#[test]
fn a_last_line_that_is_cut_says_what_helps() {
    let whole = "{\"process\":0,\"type\":\"invoke\",\"f\":\"read\"}\n";
    let cut = format!("{whole}{{\"process\":0,\"type\":\"o");
    let result = jsonl(&cut);
    assert_error!(result, HistoryError::Malformed { line: 2, .. }, "EOF", "no end", "--keep-complete-lines");
    let ended = jsonl(&format!("{cut}\n")).map(|_| ()).unwrap_err().to_string();
    assert!(!ended.contains("--keep-complete-lines"), "a line that has its end was not cut: {ended}");
}

#[test]
fn versions_and_headers() {
    let newer = jsonl("{\"trueline_history\":2,\"colour\":\"red\"}\n");
    assert_error!(newer, HistoryError::NewerVersion { line: 1, found: 2, known: 1 }, "newer trueline");
    let kv = jsonl("{\"trueline_history\":1,\"model\":\"key-value\"}\n").unwrap();
    assert_eq!(kv.model, Some(ModelSpec { model: ModelKind::KeyValue, initial: "".into() }));
    for (text, word) in [
        ("\n{\"trueline_history\":0}", "format 0"),
        ("\n{\"trueline_history\":1,\"model\":\"regster\"}", "unknown variant"),
        ("\n{\"trueline_history\":1,\"initail\":1}", "unknown field `initail`"),
        ("\n{\"trueline_history\":1,\"initial\":1}", "no `model`"),
        ("{\"process\":0,\"type\":\"invoke\",\"f\":\"read\"}\n{\"trueline_history\":1}\n", "trueline_history"),
    ] {
        assert_error!(jsonl(text), HistoryError::Malformed { line: 2, .. }, word);
    }
}

#[test]
fn jsonl_lines_that_are_wrong_in_themselves() {
    let write = |rest: &str| format!("\n{{\"process\":0,\"type\":\"invoke\",\"f\":\"write\",{rest}}}\n");
    let line = |members: &str| format!("\n{{{members}}}\n");
    for (text, word) in [
        (write("\"value\":9223372036854775808"), "9223372036854775808 does not fit"),
        (write("\"value\":1e999"), "out of range"),
        (write("\"value\":123456789012345678901234567890"), "whole number"),
        (write("\"value\":1.5"), "1.5 is not a whole number"),
        (write("\"value\":{\"a\":1}"), "an object is not a value"),
        (write("\"value\":1,\"vlaue\":2"), "unknown field `vlaue`"),
        (write("\"value\":1,\"value\":2"), "duplicate field `value`"),
        (write("\"key\":\"x\""), "write needs its `value`"),
        (write("\"value\":\"\u{1}\""), "control character"),
        (write(&format!("\"value\":{}{}", "[".repeat(200), "]".repeat(200))), "recursion limit"),
        (line("\"process\":-1,\"type\":\"invoke\",\"f\":\"read\""), "a number from 0"),
        (line("\"process\":\"admin\",\"type\":\"invoke\",\"f\":\"read\""), "nemesis"),
        (line("\"process\":0,\"type\":\"invoked\",\"f\":\"read\""), "unknown variant `invoked`"),
        (line("\"process\":0,\"type\":\"invoke\",\"f\":\"get\""), "unknown function `get`"),
        (line("\"type\":\"invoke\",\"f\":\"read\""), "missing field `process`"),
        (line("\"process\":0,\"type\":\"ok\",\"f\":\"read\""), "ok read needs its `value`"),
        (line("\"process\":0,\"type\":\"ok\",\"f\":\"dequeue\""), "ok dequeue needs its `value`"),
        (line("\"process\":0,\"type\":\"ok\",\"f\":\"txn\""), "ok txn needs its `value`"),
        (line("\"process\":0,\"type\":\"invoke\",\"f\":\"add\""), "invocation of add needs its `value`"),
        (line("\"process\":0,\"type\":\"invoke\",\"f\":\"enqueue\""), "invocation of enqueue needs its `value`"),
        (line("\"process\":0,\"type\":\"invoke\",\"f\":\"txn\""), "invocation of txn needs its `value`"),
        ("\nprocess 0 reads\n".to_owned(), "column 1"),
    ] {
        assert_error!(jsonl(&text), HistoryError::Malformed { line: 2, .. }, word, "line 2");
    }
    let long = format!("\n\"{}\"\n", "x".repeat(LINE_BYTES_MAX));
    assert_error!(jsonl(&long), HistoryError::LineTooLong { line: 2 }, "16 MiB");
}

/// A history of lines written short: `process type f value`.
fn events(script: &str) -> Result<History, HistoryError> {
    let mut builder = HistoryBuilder::new();
    for line in script.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [process, kind, function, value] = words[..] else { panic!("four words: {line}") };
        let kind: EventKind = serde_json::from_str(&format!("\"{kind}\"")).unwrap();
        let function: Function = serde_json::from_str(&format!("\"{function}\"")).unwrap();
        let value: Value = serde_json::from_str(value).unwrap();
        builder.push(Event::client(process.parse().unwrap(), kind, function, value))?;
    }
    Ok(builder.finish())
}

#[test]
fn a_completion_needs_an_invocation() {
    assert_error!(events("1 ok read 1"), HistoryError::NoInvocation { line: 1, .. }, "process 1", "none open");
    let twice = events("1 invoke write 1\n1 ok write 1\n1 ok write 1");
    assert_error!(twice, HistoryError::NoInvocation { line: 3, .. }, "line 3");
}

#[test]
fn a_process_has_one_operation_open() {
    let result = events("1 invoke write 1\n2 invoke read null\n1 invoke read null");
    assert_error!(result, HistoryError::AlreadyOpen { line: 3, open_since: 1, .. }, "process 1", "of line 1");
}

#[test]
fn a_process_does_not_go_on_after_info() {
    let result = events("1 invoke write 1\n1 info write 1\n1 invoke read null");
    assert_error!(result, HistoryError::AfterInfo { line: 3, open_since: 1, .. }, "new process");
    let result = events("1 invoke write 1\n1 info write 1\n1 info write 1");
    assert_error!(result, HistoryError::AfterInfo { line: 3, .. }, "new process");
}

#[test]
fn a_completion_is_of_its_invocation() {
    let result = events("1 invoke write 1\n1 ok read 1");
    assert_error!(result, HistoryError::Differs { line: 2, what: "f", .. }, "write", "read");
    let result = events("1 invoke write 1\n1 ok write 2");
    assert_error!(result, HistoryError::Differs { line: 2, what: "value", .. }, "value 2", "has 1");
    let result = events("1 invoke cas [1,2]\n1 ok cas [1,3]");
    assert_error!(result, HistoryError::Differs { line: 2, what: "value", .. }, "[1, 3]", "[1, 2]");
    let mut builder = HistoryBuilder::new();
    builder.push(Event::client(1, EventKind::Invoke, Function::Read, Value::Nil)).unwrap();
    let elsewhere = Event { key: "y".into(), ..Event::client(1, EventKind::Ok, Function::Read, 1) };
    assert_error!(builder.push(elsewhere), HistoryError::Differs { line: 2, what: "key", .. }, "\"y\"", "null");
    // A completion that does not repeat the argument is as good.
    assert_eq!(events("1 invoke cas [1,2]\n1 ok cas null").unwrap().operations()[0].ret, 1);
}

#[test]
fn values_fit_their_functions() {
    for (script, word) in [
        ("1 invoke cas 1", "[old, new], not 1"),
        ("1 invoke cas [1]", "[old, new], not [1]"),
        ("1 invoke cas [1,2,3]", "[old, new]"),
        ("1 invoke append null", "append needs a value"),
    ] {
        assert_error!(events(script), HistoryError::WrongValue { line: 1, .. }, word);
    }
    let mut builder = HistoryBuilder::new();
    let invoke = Event { observed: Some(1.into()), ..Event::client(1, EventKind::Invoke, Function::Cas, Value::Nil) };
    assert_error!(builder.push(invoke), HistoryError::WrongValue { line: 1, .. }, "observed");
}

#[test]
fn functions_without_what_they_need_are_refused() {
    for (script, word) in [
        ("1 invoke add null", "add needs a value"),
        ("1 invoke enqueue null", "enqueue needs a value"),
        ("1 invoke txn 1", "a txn is a list"),
        (r#"1 invoke txn [["x","y",1]]"#, "a txn is a list"),
    ] {
        assert_error!(events(script), HistoryError::WrongValue { line: 1, .. }, word);
    }
    let mut builder = HistoryBuilder::new();
    let none = Event { function: None, ..Event::client(7, EventKind::Invoke, Function::Read, Value::Nil) };
    assert_error!(builder.push(none), HistoryError::MissingFunction { line: 1, .. }, "process 7");
}

fn at(time: Option<u64>, index: Option<u64>, process: u64) -> Event {
    Event { time, index, ..Event::client(process, EventKind::Invoke, Function::Read, Value::Nil) }
}

#[test]
fn times_and_indices_do_not_go_back() {
    let mut builder = HistoryBuilder::new();
    builder.push(at(Some(5), None, 1)).unwrap();
    builder.push(at(Some(5), None, 2)).unwrap();
    let back = builder.push(at(Some(4), None, 3));
    assert_error!(back, HistoryError::TimeGoesBack { line: 3, previous: 5, time: 4 }, "sort");

    let mut builder = HistoryBuilder::new();
    assert_error!(builder.push(at(Some(u64::MAX), None, 1)), HistoryError::Malformed { line: 1, .. }, "kept for");

    let mut builder = HistoryBuilder::new();
    builder.push(at(None, Some(3), 1)).unwrap();
    builder.push(at(None, Some(7), 2)).unwrap();
    let same = builder.push(at(None, Some(7), 3));
    assert_error!(same, HistoryError::IndexGoesBack { line: 3, previous: 7, index: 7 }, "doubled");
}

#[test]
fn all_events_have_a_time_or_none() {
    let mut builder = HistoryBuilder::new();
    builder.push(at(Some(5), None, 1)).unwrap();
    assert_error!(builder.push(at(None, None, 2)), HistoryError::MixedTime { line: 2, timed: false }, "no time");
    let mut builder = HistoryBuilder::new();
    builder.push(at(None, None, 1)).unwrap();
    builder.push(Event { process: Process::Nemesis, ..at(Some(9), None, 0) }).unwrap();
    assert_error!(builder.push(at(Some(5), None, 2)), HistoryError::MixedTime { line: 3, timed: true }, "a time");
}

#[test]
fn histories_from_operations_are_sorted_and_checked() {
    let read = |process, invoke, ret| Operation::invoked(process, Action::Read, invoke).returned(ret, 1);
    let history = History::from_operations(vec![read(2, 5, 9), read(1, 1, 5), read(1, 5, 5), read(1, 5, 7)]).unwrap();
    assert_eq!(history.clone().into_operations(), [read(1, 1, 5), read(2, 5, 9), read(1, 5, 5), read(1, 5, 7)]);

    let info_that_returns = Operation { ret: 4, ..Operation::invoked(1, Action::Read, 1) };
    for (operations, word) in [
        (vec![read(1, 5, 4)], "after its return"),
        (vec![info_that_returns], "u64::MAX exactly when"),
        (vec![read(1, 4, u64::MAX)], "u64::MAX exactly when"),
        (vec![Operation::invoked(1, Action::Read, u64::MAX)], "kept for"),
        (vec![read(3, 1, 2).mismatched(2, None)], "only a cas"),
        (vec![read(1, 4, 8), read(1, 1, 5)], "process 1 invokes it at 4"),
        (vec![Operation::invoked(1, Action::Read, 1), read(1, 2, 3)], "still open"),
    ] {
        assert_error!(History::from_operations(operations), HistoryError::Operation { .. }, word);
    }
}

#[test]
fn written_lines_are_as_documented() {
    let model = ModelSpec { model: ModelKind::CasRegister, initial: 0.into() };
    let mut writer = HistoryWriter::new(Vec::new(), &model).unwrap();
    let (index, time) = (Some(1), Some(1_988_210));
    let client = Event::client(3, EventKind::Ok, Function::Write, 17);
    let event = Event { index, time, key: "x".into(), ..client };
    writer.write(&event).unwrap();
    let note = Some("kill n1".to_owned());
    writer.write(&Event { process: Process::Nemesis, function: None, note, ..event }).unwrap();
    writer.flush().unwrap();
    let text = String::from_utf8(writer.into_inner()).unwrap();
    let expected = [
        r#"{"trueline_history":1,"model":"cas-register","initial":0"#,
        r#"{"index":1,"time":1988210,"process":3,"type":"ok","f":"write","key":"x","value":17"#,
        r#"{"index":1,"time":1988210,"process":"nemesis","type":"ok","key":"x","value":17,"note":"kill n1""#,
    ];
    assert_eq!(text.lines().count(), expected.len());
    for (line, expected) in text.lines().zip(expected) {
        assert_eq!(line, format!("{expected},\"crc\":\"{:08x}\"}}", crc32c::crc32c(expected.as_bytes())));
    }
}

#[test]
fn an_event_that_no_reader_would_take_is_not_written() {
    let model = ModelSpec { model: ModelKind::Register, initial: Value::Nil };
    let huge = Event::client(1, EventKind::Invoke, Function::Write, "x".repeat(LINE_BYTES_MAX));
    let mut writer = HistoryWriter::new(Vec::new(), &model).unwrap();
    let before = writer.get_ref().len();
    assert!(writer.write(&huge).is_err());
    assert_eq!(writer.get_ref().len(), before);
}

#[test]
fn checksums_are_checked() {
    // The check value of CRC-32C, as its catalogues have it.
    assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
    let body = r#"{"process":0,"type":"invoke","f":"write","value":1"#;
    let crc = crc32c::crc32c(body.as_bytes());
    assert_eq!(jsonl(&format!("{body},\"crc\":\"{crc:08x}\"}}")).unwrap().history.clone().into_operations().len(), 1);
    let edited = body.replace(":1", ":2");
    let result = jsonl(&format!("\n{edited},\"crc\":\"{crc:08x}\"}}\n"));
    assert_error!(result, HistoryError::BadChecksum { line: 2, .. }, "line 2", "damaged", "remove its `crc`");
    for misplaced in [
        format!("{body},\"crc\":\"{crc:08x}\" }}"),
        format!("{body},\"crc\":\"{:08X}\"}}", crc | 0xA000_0000),
        format!("{body},\"crc\":{crc}}}"),
        format!("{{\"crc\":\"{crc:08x}\",{}}}", &body[1..]),
        format!("{{\"crc\":\"{crc:08x}\",\"trueline_history\":1}}"),
    ] {
        assert_error!(jsonl(&misplaced), HistoryError::Malformed { line: 1, .. }, "`crc` must be the last member");
    }
    // A value that looks like a checksum is none.
    let lookalike = r#"{"process":0,"type":"invoke","f":"write","value":",\"crc\":\"00000000"}"#;
    assert!(jsonl(lookalike).is_ok());
}
