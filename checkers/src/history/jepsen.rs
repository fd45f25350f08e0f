//! Readers of what others record: Jepsen's EDN, Jepsen's log lines, and the key-value text of porcupine's tests.
//!
//! ```text
//!   [{:process 0, :type :invoke, :f :cas, :value [1 2]} …]       EDN: a vector of maps, or one map after the other
//!   … INFO … jepsen.util: 0  :invoke  :cas  [1 2]                log: process, type, function, value
//!   {:process 0, :type :invoke, :f :put, :key "x", :value "1"}   kv text: get, put, append on text
//! ```
//!
//! They share syntax and differ in meaning; [`Format`] says what each means. In all of them the order of events decides,
//! and times are not looked at: Jepsen takes them outside the lock that orders the history, so that they go back.

use std::io::BufRead;

use rustc_hash::FxHashMap;

use super::edn::{Edn, Item, Reader};
use super::jsonl::unknown_function;
use super::lines::Lines;
use super::log_line::Log;
use super::{
    Event, EventKind, FailedCas, Format, Function, HistoryError, Loaded, Process, ProcessId, ReadOptions, Value,
};

/// How the maps of one history are meant.
struct Meaning {
    /// A failed compare-and-set says "was not old".
    failed_cas_is_mismatch: bool,
    /// `:value` is `[key value]`.
    independent_keys: bool,
    /// `get` and `put` instead of `read` and `write`, and every value is text.
    key_value: bool,
    /// With independent keys: the key of what each process has open. A failure may come without one.
    open_keys: FxHashMap<ProcessId, Value>,
}

impl Meaning {
    fn of(format: Format, options: &ReadOptions) -> Self {
        Meaning {
            failed_cas_is_mismatch: options.failed_cas_of(format) == FailedCas::Mismatch,
            independent_keys: options.independent_keys,
            key_value: format == Format::KvText,
            open_keys: FxHashMap::default(),
        }
    }
}

/// One operation's event, taken apart but not yet understood.
#[derive(Default)]
struct Parts {
    index: Option<Edn>,
    process: Option<Edn>,
    kind: Option<Edn>,
    function: Option<Edn>,
    key: Option<Edn>,
    value: Option<Edn>,
}

/// Reads maps, in a vector or list or one after the other.
pub(super) fn read_edn<R: BufRead>(reader: R, format: Format, options: &ReadOptions) -> Result<Loaded, HistoryError> {
    let mut meaning = Meaning::of(format, options);
    let mut builder = options.builder(format);
    let mut loaded = Loaded::default();
    let mut reader = Reader::new(reader, 1);
    let close = reader.enter()?;
    loop {
        let item = match reader.next() {
            Err(HistoryError::Truncated { line }) if options.keep_complete_lines => {
                loaded.truncated = Some(line);
                break;
            }
            item => item?,
        };
        let line = reader.line();
        match item {
            Item::Form(form) => {
                let event = parts_of(form).and_then(|parts| event_of(parts, &mut meaning));
                builder.push_line(line, event.map_err(|what| HistoryError::malformed(line, what))?)?;
            }
            Item::Close(found) if Some(found) == close => {
                if reader.next()? != Item::End {
                    return Err(HistoryError::malformed(reader.line(), "something follows the end of the history"));
                }
                break;
            }
            Item::Close(found) => {
                return Err(HistoryError::malformed(line, format!("`{}` closes nothing", found as char)));
            }
            Item::End if close.is_none() && !reader.was_cut() => break,
            Item::End if options.keep_complete_lines => {
                loaded.truncated = Some(line);
                break;
            }
            Item::End => return Err(HistoryError::Truncated { line }),
        }
    }
    loaded.lines = reader.lines_read();
    Ok(loaded.with(builder))
}

/// Reads the operations in a log, and passes over everything else that is logged.
pub(super) fn read_log<R: BufRead>(reader: R, options: &ReadOptions) -> Result<Loaded, HistoryError> {
    let mut meaning = Meaning::of(Format::JepsenLog, options);
    let mut builder = options.builder(Format::JepsenLog);
    let mut loaded = Loaded::default();
    let mut lines = Lines::new(reader, options.keep_complete_lines);
    let mut log = Log::default();
    while let Some(line) = lines.next()? {
        if line.is_blank() {
            continue;
        }
        // Nothing in a log line tells that it is whole but its end.
        if !line.terminated && options.keep_complete_lines {
            loaded.truncated = Some(line.number);
            break;
        }
        let Ok(found) = log.operation(line.bytes) else {
            let what = "not a line of a Jepsen log: `INFO  jepsen.util - PROCESS :TYPE :F VALUE` is expected";
            return Err(HistoryError::malformed(line.number, what));
        };
        let Some(words) = found else {
            loaded.skipped += 1;
            continue;
        };
        let parts = parts_of_line(words, line.number)?;
        let event = event_of(parts, &mut meaning).map_err(|what| HistoryError::malformed(line.number, what))?;
        builder.push_line(line.number, event)?;
    }
    loaded.truncated = loaded.truncated.or(lines.cut());
    loaded.lines = lines.count();
    Ok(loaded.with(builder))
}

fn parts_of_line(words: &[u8], line: u64) -> Result<Parts, HistoryError> {
    let mut reader = Reader::new(words, line);
    let mut next = || match reader.next()? {
        Item::Form(form) => Ok(Some(form)),
        Item::Close(found) => Err(HistoryError::malformed(line, format!("`{}` closes nothing", found as char))),
        Item::End => Ok(None),
    };
    let process = next()?;
    if process == Some(Edn::Keyword("nemesis".to_owned())) {
        // What it did is printed for people, and need not be in any notation.
        return Ok(Parts { process, ..Parts::default() });
    }
    // After the value comes the error, if any: free text.
    let (kind, function, value) = (next()?, next()?, next()?);
    if value.is_none() {
        return Err(HistoryError::malformed(line, "`PROCESS :TYPE :F VALUE` is expected, and something is missing"));
    }
    Ok(Parts { process, kind, function, value, ..Parts::default() })
}

fn parts_of(form: Edn) -> Result<Parts, String> {
    let Edn::Map(entries) = form else {
        return Err("a map such as {:process 0, :type :invoke, :f :read, :value nil} is expected".to_owned());
    };
    let mut parts = Parts::default();
    for (name, value) in entries {
        let Edn::Keyword(name) = name else { continue };
        let part = match name.as_str() {
            "index" => &mut parts.index,
            "process" => &mut parts.process,
            "type" => &mut parts.kind,
            "f" => &mut parts.function,
            "key" => &mut parts.key,
            "value" => &mut parts.value,
            _ => continue,
        };
        if part.replace(value).is_some() {
            return Err(format!(":{name} stands twice in one map"));
        }
    }
    Ok(parts)
}

fn event_of(parts: Parts, meaning: &mut Meaning) -> Result<Event, String> {
    let index = match parts.index {
        None | Some(Edn::Nil) => None,
        Some(Edn::Int(index)) => Some(u64::try_from(index).map_err(|_| "`:index` is below zero".to_owned())?),
        Some(_) => return Err("`:index` must be a whole number".to_owned()),
    };
    let process = match parts.process {
        Some(Edn::Int(number)) => ProcessId(u64::try_from(number).map_err(|_| "`:process` is below zero".to_owned())?),
        Some(Edn::Keyword(word)) if word == "nemesis" => {
            // Nothing else is looked at: what the nemesis does and says has any shape.
            let nothing = Event::client(0, EventKind::Info, Function::Read, Value::Nil);
            return Ok(Event { index, process: Process::Nemesis, function: None, ..nothing });
        }
        _ => return Err("`:process` must be a number or :nemesis".to_owned()),
    };
    let kind = match &parts.kind {
        Some(Edn::Keyword(word)) => EventKind::from_word(word),
        _ => None,
    };
    let kind = kind.ok_or("`:type` must be :invoke, :ok, :fail or :info")?;
    let function = match parts.function {
        Some(Edn::Keyword(word)) => function_of(&word, meaning.key_value)?,
        _ => return Err("`:f` must be a keyword such as :read".to_owned()),
    };
    let value = parts.value.unwrap_or(Edn::Nil);
    let (key, value) = match parts.key {
        _ if meaning.independent_keys => meaning.key_and_value(process, kind, value)?,
        key => (key.unwrap_or(Edn::Nil).into_value()?, value),
    };
    let mut event = Event { index, key, ..Event::client(process.0, kind, function, Value::Nil) };
    match kind {
        EventKind::Invoke => event.value = argument_of(function, value, meaning)?,
        EventKind::Ok => event.value = result_of(function, value)?,
        EventKind::Fail => {
            // `:timed-out` in the place of the pair tells that no answer came.
            let answered = matches!(&value, Edn::Seq(pair) if pair.len() == 2);
            if meaning.failed_cas_is_mismatch && function == Function::Cas && answered {
                event.reason = Some("mismatch".to_owned());
            }
        }
        EventKind::Info => {}
    }
    if meaning.key_value {
        check_text(&event)?;
    }
    Ok(event)
}

impl Meaning {
    /// Takes an independent key's tuple apart.
    fn key_and_value(&mut self, process: ProcessId, kind: EventKind, tuple: Edn) -> Result<(Value, Edn), String> {
        let pair = match tuple {
            Edn::Seq(items) => <[Edn; 2]>::try_from(items).map_err(Edn::Seq),
            other => Err(other),
        };
        match (pair, kind) {
            (Ok([key, value]), EventKind::Invoke) => {
                let key = key.into_value()?;
                self.open_keys.insert(process, key.clone());
                Ok((key, value))
            }
            (Ok([key, value]), _) => {
                self.open_keys.remove(&process);
                Ok((key.into_value()?, value))
            }
            // Such as `:timed-out` in the place of the tuple.
            (Err(other), EventKind::Fail | EventKind::Info) if self.open_keys.contains_key(&process) => {
                Ok((self.open_keys.remove(&process).unwrap_or_default(), other))
            }
            (Err(_), _) => Err("with independent keys every `:value` must be [key value]".to_owned()),
        }
    }
}

/// What an operation was invoked with.
fn argument_of(function: Function, value: Edn, meaning: &Meaning) -> Result<Value, String> {
    match function {
        Function::Read if !meaning.independent_keys && is_keyed_read(&value) => {
            Err("a read of [key nil]: if these are Jepsen's independent keys, say so (`--independent`)".to_owned())
        }
        // Jepsen's generators sometimes leave a value there; it means nothing, so it may be anything.
        Function::Read | Function::Dequeue => Ok(Value::Nil),
        Function::Txn => micro_operations(value),
        _ => value.into_value(),
    }
}

/// What an operation answered.
fn result_of(function: Function, value: Edn) -> Result<Value, String> {
    match function {
        Function::Read => value.into_result(),
        Function::Txn => micro_operations(value),
        // Locks answer with things of their own, such as a fencing token.
        Function::Acquire | Function::Release => Ok(Value::Nil),
        _ => value.into_value(),
    }
}

/// How generators of independent keys invoke a read. Taken for one object, all keys would be mixed up.
fn is_keyed_read(value: &Edn) -> bool {
    matches!(value, Edn::Seq(items) if matches!(items.as_slice(), [key, Edn::Nil] if *key != Edn::Nil))
}

/// `[[:r :x nil] [:append :y 2]]`, as `[["r", ":x", null], ["append", ":y", 2]]`.
fn micro_operations(value: Edn) -> Result<Value, String> {
    let wrong = || "a transaction is a vector such as [[:r :x nil] [:w :y 1] [:append :z 2]]".to_owned();
    let items = match value {
        Edn::Nil => return Ok(Value::Nil),
        Edn::Seq(items) => items,
        _ => return Err(wrong()),
    };
    let micro = |item| {
        let Edn::Seq(parts) = item else { return Err(wrong()) };
        let [name, key, value] = <[Edn; 3]>::try_from(parts).map_err(|_| wrong())?;
        let name = match name {
            Edn::Keyword(name) if matches!(name.as_str(), "r" | "w" | "append") => name,
            Edn::Keyword(name) => {
                return Err(format!("unknown micro-operation :{}; known are :r, :w and :append", name.escape_debug()));
            }
            _ => return Err(wrong()),
        };
        Ok(Value::List(vec![Value::Text(name), key.into_value()?, value.into_value()?]))
    };
    items.into_iter().map(micro).collect::<Result<_, _>>().map(Value::List)
}

fn function_of(word: &str, key_value: bool) -> Result<Function, String> {
    if !key_value {
        return Function::from_word(word).ok_or_else(|| unknown_function(word));
    }
    match word {
        "get" => Ok(Function::Read),
        "put" => Ok(Function::Write),
        "append" => Ok(Function::Append),
        _ => Err(format!("unknown function `{}`; key-value text knows get, put and append", word.escape_debug())),
    }
}

/// In key-value text what is put, appended or got is text.
fn check_text(event: &Event) -> Result<(), String> {
    let reads = event.function == Some(Function::Read);
    let must_be_text = match event.kind {
        EventKind::Invoke => !reads,
        EventKind::Ok => reads,
        EventKind::Fail | EventKind::Info => false,
    };
    if must_be_text && !matches!(event.value, Value::Text(_)) {
        return Err(format!("key-value text has strings as values, not {}", event.value));
    }
    Ok(())
}
