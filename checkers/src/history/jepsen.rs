//! Readers of what others record: Jepsen's EDN, Jepsen's log lines, and the key-value text of porcupine's tests.
//!
//! ```text
//!   [{:process 0, :type :invoke, :f :cas, :value [1 2]} …]       EDN: a vector of maps, or one map after the other
//!   INFO  jepsen.util - 0  :invoke  :cas  [1 2]                  log: process, type, function, value
//!   {:process 0, :type :invoke, :f :put, :key "x", :value "1"}   kv text: get, put, append on text
//! ```
//!
//! They share syntax and differ in meaning; [`Format`] says what each means. In all of them the order of events decides,
//! and times are not looked at: Jepsen takes them outside the lock that orders the history, so that they go back.

use std::io::BufRead;

use super::edn::{Edn, Item, Reader};
use super::jsonl::unknown_function;
use super::lines::Lines;
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
}

impl Meaning {
    fn of(format: Format, options: &ReadOptions) -> Self {
        Meaning {
            failed_cas_is_mismatch: options.failed_cas_of(format) == FailedCas::Mismatch,
            independent_keys: options.independent_keys,
            key_value: format == Format::KvText,
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
    let meaning = Meaning::of(format, options);
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
                let event = parts_of(form).and_then(|parts| event_of(parts, &meaning));
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
            Item::End if close.is_none() => break,
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

/// Reads the lines of `jepsen.util` in a log, and passes over those of other loggers.
pub(super) fn read_log<R: BufRead>(reader: R, options: &ReadOptions) -> Result<Loaded, HistoryError> {
    let meaning = Meaning::of(Format::JepsenLog, options);
    let mut builder = options.builder(Format::JepsenLog);
    let mut loaded = Loaded::default();
    let mut lines = Lines::new(reader);
    while let Some(line) = lines.next()? {
        if line.is_blank() {
            continue;
        }
        // Nothing in a log line tells that it is whole but its end.
        if !line.terminated && options.keep_complete_lines {
            loaded.truncated = Some(line.number);
            break;
        }
        let Some(words) = operation_words(line.bytes) else {
            if !is_log_line(line.bytes) {
                let what = "not a line of a Jepsen log: `INFO  jepsen.util - PROCESS :TYPE :F VALUE` is expected";
                return Err(HistoryError::malformed(line.number, what));
            }
            loaded.skipped += 1;
            continue;
        };
        let parts = parts_of_line(words, line.number)?;
        let event = event_of(parts, &meaning).map_err(|what| HistoryError::malformed(line.number, what))?;
        builder.push_line(line.number, event)?;
    }
    loaded.lines = lines.count();
    Ok(loaded.with(builder))
}

/// What follows `jepsen.util - ` (or `jepsen.util `, as later versions print it).
fn operation_words(line: &[u8]) -> Option<&[u8]> {
    const LOGGER: &[u8] = b"jepsen.util";
    let at = line.windows(LOGGER.len()).position(|window| window == LOGGER)? + LOGGER.len();
    let rest = line[at..].trim_ascii_start();
    Some(rest.strip_prefix(b"- ").unwrap_or(rest))
}

/// Whether this looks like a line of any logger: a level and a logger's name.
fn is_log_line(line: &[u8]) -> bool {
    const LEVELS: [&[u8]; 6] = [b"TRACE", b"DEBUG", b"INFO", b"WARN", b"ERROR", b"FATAL"];
    let mut words = line.split(u8::is_ascii_whitespace);
    words.any(|word| LEVELS.contains(&word)) && line.windows(3).any(|window| window == b" - ")
}

fn parts_of_line(words: &[u8], line: u64) -> Result<Parts, HistoryError> {
    let mut reader = Reader::new(words, line);
    let mut next = || match reader.next()? {
        Item::Form(form) => Ok(Some(form)),
        Item::Close(found) => Err(HistoryError::malformed(line, format!("`{}` closes nothing", found as char))),
        Item::End => Ok(None),
    };
    let (process, kind, function, value) = (next()?, next()?, next()?, next()?);
    // Later versions put the error after the value.
    while next()?.is_some() {}
    if value.is_none() && process != Some(Edn::Keyword("nemesis".to_owned())) {
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

fn event_of(parts: Parts, meaning: &Meaning) -> Result<Event, String> {
    let kind = match &parts.kind {
        Some(Edn::Keyword(word)) => EventKind::from_word(word),
        _ => None,
    };
    let kind = kind.ok_or("`:type` must be :invoke, :ok, :fail or :info")?;
    let index = match parts.index {
        None | Some(Edn::Nil) => None,
        Some(Edn::Int(index)) => Some(u64::try_from(index).map_err(|_| "`:index` is below zero".to_owned())?),
        Some(_) => return Err("`:index` must be a whole number".to_owned()),
    };
    let process = match parts.process {
        Some(Edn::Int(number)) => {
            let number = u64::try_from(number).map_err(|_| "`:process` is below zero".to_owned())?;
            Process::Client(ProcessId(number))
        }
        Some(Edn::Keyword(word)) if word == "nemesis" => Process::Nemesis,
        _ => return Err("`:process` must be a number or :nemesis".to_owned()),
    };
    let mut event = Event { index, process, ..Event::client(0, kind, Function::Read, Value::Nil) };
    if process == Process::Nemesis {
        event.function = None;
        return Ok(event);
    }
    let function = match parts.function {
        Some(Edn::Keyword(word)) => function_of(&word, meaning.key_value)?,
        _ => return Err("`:f` must be a keyword such as :read".to_owned()),
    };
    event.function = Some(function);
    let (key, value) = if meaning.independent_keys {
        key_and_value(parts.value.unwrap_or(Edn::Nil))?
    } else {
        (parts.key.unwrap_or(Edn::Nil), parts.value.unwrap_or(Edn::Nil))
    };
    event.key = key.into_value()?;
    match kind {
        EventKind::Invoke | EventKind::Ok => event.value = value.into_value()?,
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

fn key_and_value(tuple: Edn) -> Result<(Edn, Edn), String> {
    let wrong = "with independent keys every `:value` must be [key value]".to_owned();
    let Edn::Seq(items) = tuple else { return Err(wrong) };
    let [key, value] = <[Edn; 2]>::try_from(items).map_err(|_| wrong)?;
    Ok((key, value))
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
