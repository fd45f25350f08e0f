//! The own format: one JSON object a line, Jepsen's words, an optional checksum a line. `docs/history-format.md`
//! describes it for people.
//!
//! ```text
//!   {"index":1,"time":1988210,"process":3,"type":"ok","f":"write","key":"x","value":17,"crc":"1a2b3c4d"}
//!   └──────────────────── crc32c over these bytes ───────────────────────────────────┘
//! ```
//!
//! The checksum is the last member and covers every byte of the line before `,"crc"`, so that both sides compute it
//! over bytes as they stand, without a canonical form of JSON.

use std::borrow::Cow;
use std::fmt;
use std::io::BufRead;

use serde::de::{Deserializer, Error as _, IgnoredAny, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::lines::{Line, Lines};
use super::plain_line::{self, PlainEvent};
use super::{Event, EventKind, Function, HistoryBuilder, HistoryError, Loaded, Process, ProcessId, ReadOptions, Value};
use crate::model::{ModelKind, ModelSpec};

/// The version of the format that is written, and the newest that is read.
pub const FORMAT_VERSION: u64 = 1;

/// What stands between a line's content and the eight hexadecimal digits of its checksum.
pub(super) const CRC_MEMBER: &[u8] = br#","crc":""#;

/// The whole of a checksum at a line's end: `,"crc":"1a2b3c4d"}`.
const CRC_TAIL_BYTES: usize = CRC_MEMBER.len() + 8 + 2;

/// Reads a whole history. Blank lines are passed over.
pub(super) fn read<R: BufRead>(reader: R, options: &ReadOptions) -> Result<Loaded, HistoryError> {
    let mut lines = Lines::new(reader, options.keep_complete_lines);
    let mut builder = options.builder(super::Format::Jsonl);
    let mut loaded = Loaded::default();
    let (mut first, mut checksummed) = (true, false);
    while let Some(line) = lines.next()? {
        if line.is_blank() {
            continue;
        }
        let taken = take_line(&line, first, &mut loaded, &mut builder);
        match taken {
            Ok(guarded) => checksummed |= guarded,
            // A torn object never parses: its closing brace is missing.
            Err(Taken::Unparsable(error)) if !line.terminated => {
                if options.keep_complete_lines {
                    loaded.truncated = Some(line.number);
                    break;
                }
                return Err(if checksummed { HistoryError::Truncated { line: line.number } } else { torn(error) });
            }
            Err(Taken::Unparsable(error) | Taken::Refused(error)) => return Err(error),
        }
        first = false;
    }
    loaded.truncated = loaded.truncated.or(lines.cut());
    loaded.lines = lines.count();
    Ok(loaded.with(builder))
}

/// Why a line was not taken.
enum Taken {
    /// It is not JSON.
    Unparsable(HistoryError),
    /// It is JSON, but damaged, not of the format, or breaks a rule.
    Refused(HistoryError),
}

/// Takes a header or an event; answers whether the line had a checksum.
fn take_line(line: &Line<'_>, first: bool, loaded: &mut Loaded, builder: &mut HistoryBuilder) -> Result<bool, Taken> {
    let guarded = check_crc(line).map_err(Taken::Refused)?;
    if first && let Some(version) = header_version(line.bytes) {
        loaded.model = read_header(line, version, guarded)?;
        return Ok(guarded);
    }
    let content = line.bytes.len() - if guarded { CRC_TAIL_BYTES } else { 1 };
    if let Some(PlainEvent { event, has_value }) = plain_line::parse(&line.bytes[..content])
        && (guarded || line.bytes[content] == b'}')
        && (has_value || missing_value(event.kind, event.function).is_none())
    {
        builder.push_line(line.number, event).map_err(Taken::Refused)?;
        return Ok(guarded);
    }
    let wire: Wire<'_> = parse(line)?;
    if wire.crc.is_some() && !guarded {
        return Err(Taken::Refused(misplaced_crc(line.number)));
    }
    let event = wire.into_event().map_err(|what| Taken::Refused(HistoryError::malformed(line.number, what)))?;
    builder.push_line(line.number, event).map_err(Taken::Refused)?;
    Ok(guarded)
}

fn parse<'a, T: Deserialize<'a>>(line: &Line<'a>) -> Result<T, Taken> {
    serde_json::from_slice(line.bytes).map_err(|error| {
        // serde_json says "at line 1 column n", and its line is not ours.
        let text = error.to_string();
        let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
        let shown = HistoryError::malformed(line.number, format!("{text} (column {})", error.column()));
        // A torn line may break a rule of the format before its end is reached; what counts is whether it has one.
        let json = serde_json::from_slice::<IgnoredAny>(line.bytes).is_ok();
        if json { Taken::Refused(shown) } else { Taken::Unparsable(shown) }
    })
}

/// For a last line without its end, where nothing tells a line that was cut from one that is wrong.
fn torn(error: HistoryError) -> HistoryError {
    match error {
        HistoryError::Malformed { line, what } => {
            let what = format!(
                "{what}; this last line has no end, so the file seems to be cut short; to judge what is complete, leave \
                 the torn line out (`--keep-complete-lines`)"
            );
            HistoryError::Malformed { line, what }
        }
        other => other,
    }
}

fn misplaced_crc(line: u64) -> HistoryError {
    let what =
        "`crc` must be the last member and written exactly so: ,\"crc\":\"1a2b3c4d\"}; remove it to edit by hand";
    HistoryError::malformed(line, what)
}

/// Whether the line ends in a checksum, which is then right.
fn check_crc(line: &Line<'_>) -> Result<bool, HistoryError> {
    let Some(at) = line.bytes.len().checked_sub(CRC_TAIL_BYTES) else { return Ok(false) };
    let (covered, tail) = line.bytes.split_at(at);
    let Some(digits) = tail.strip_prefix(CRC_MEMBER).and_then(|rest| rest.strip_suffix(br#""}"#)) else {
        return Ok(false);
    };
    let lower_hex = digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    let stated = std::str::from_utf8(digits).ok().filter(|_| lower_hex);
    let Some(stated) = stated.and_then(|digits| u32::from_str_radix(digits, 16).ok()) else {
        return Err(misplaced_crc(line.number));
    };
    let computed = crc32c::crc32c(covered);
    if stated == computed { Ok(true) } else { Err(HistoryError::BadChecksum { line: line.number, stated, computed }) }
}

/// The version, when the line is a header.
fn header_version(bytes: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Probe {
        trueline_history: u64,
    }
    serde_json::from_slice::<Probe>(bytes).ok().map(|probe| probe.trueline_history)
}

fn read_header(line: &Line<'_>, version: u64, guarded: bool) -> Result<Option<ModelSpec>, Taken> {
    let number = line.number;
    if version > FORMAT_VERSION {
        return Err(Taken::Refused(HistoryError::NewerVersion { line: number, found: version, known: FORMAT_VERSION }));
    }
    if version == 0 {
        return Err(Taken::Refused(HistoryError::malformed(number, "there is no history format 0")));
    }
    let header: Header = parse(line)?;
    if header.crc.is_some() && !guarded {
        return Err(Taken::Refused(misplaced_crc(number)));
    }
    let Some(model) = header.model else {
        if header.initial.is_some() {
            let what = "the header has an `initial` state but no `model`";
            return Err(Taken::Refused(HistoryError::malformed(number, what)));
        }
        return Ok(None);
    };
    let absent = if model == ModelKind::KeyValue { Value::from("") } else { Value::Nil };
    Ok(Some(ModelSpec { model, initial: header.initial.unwrap_or(absent) }))
}

/// The first line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub trueline_history: u64,
    pub model: Option<ModelKind>,
    #[serde(default, deserialize_with = "present")]
    pub initial: Option<Value>,
    #[serde(default, skip_serializing)]
    crc: Option<IgnoredAny>,
}

impl Header {
    pub fn of(model: &ModelSpec) -> Self {
        let (model, initial) = (Some(model.model), Some(model.initial.clone()));
        Header { trueline_history: FORMAT_VERSION, model, initial, crc: None }
    }
}

/// An event as it is read. Unknown members are refused: a misspelt one must not be passed over in silence.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    index: Option<u64>,
    time: Option<u64>,
    process: Process,
    #[serde(rename = "type")]
    kind: EventKind,
    #[serde(borrow)]
    f: Option<Word<'a>>,
    #[serde(default)]
    key: Value,
    #[serde(default, deserialize_with = "present")]
    value: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    observed: Option<Value>,
    reason: Option<String>,
    note: Option<String>,
    crc: Option<IgnoredAny>,
}

/// Tells a member that is `null` from one that is not there.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl Wire<'_> {
    fn into_event(self) -> Result<Event, String> {
        let mut note = self.note;
        let function = match (self.process, self.f) {
            (_, None) => None,
            (Process::Client(_), Some(Word::Function(function))) => Some(function),
            (Process::Client(_), Some(Word::Other(word))) => return Err(unknown_function(&word)),
            // A nemesis has words of its own; they are kept for people.
            (Process::Nemesis, Some(word)) => {
                let word = word.as_str();
                note = Some(note.map_or_else(|| word.to_owned(), |note| format!("{word}: {note}")));
                None
            }
        };
        if self.value.is_none()
            && let Some(what) = missing_value(self.kind, function)
        {
            return Err(what);
        }
        let (index, time, process, kind) = (self.index, self.time, self.process, self.kind);
        let (key, value) = (self.key, self.value.unwrap_or_default());
        let (observed, reason) = (self.observed, self.reason);
        Ok(Event { index, time, process, kind, function, key, value, observed, reason, note })
    }
}

/// The complaint about an event without a `value` that has to have one: guessing null would turn a forgotten member into
/// a write or a read of "absent".
fn missing_value(kind: EventKind, function: Option<Function>) -> Option<String> {
    let function = function?;
    match (kind, function) {
        (EventKind::Ok, Function::Read) => Some("an ok read needs its `value` (null if the key was absent)".to_owned()),
        (EventKind::Ok, Function::Dequeue) => {
            Some("an ok dequeue needs its `value` (null if the queue was empty)".to_owned())
        }
        (EventKind::Ok, Function::Txn) => {
            Some("an ok txn needs its `value` (its parts, with what the reads returned)".to_owned())
        }
        (
            EventKind::Invoke,
            Function::Write | Function::Cas | Function::Append | Function::Add | Function::Enqueue | Function::Txn,
        ) => Some(format!("the invocation of {function} needs its `value`")),
        _ => None,
    }
}

/// The complaint about a word that is no function.
pub(super) fn unknown_function(word: &str) -> String {
    let known: Vec<&str> = Function::WORDS.iter().map(|(word, _)| *word).collect();
    format!("unknown function `{}`; known are {}", word.escape_debug(), known.join(", "))
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Wire::deserialize(deserializer)?.into_event().map_err(D::Error::custom)
    }
}

/// An event as it is written: members in the documented order, absent ones left out.
#[derive(Serialize)]
struct WireOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<u64>,
    process: Process,
    #[serde(rename = "type")]
    kind: EventKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    f: Option<Function>,
    #[serde(skip_serializing_if = "Value::is_nil")]
    key: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    observed: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let client = matches!(self.process, Process::Client(_));
        WireOut {
            index: self.index,
            time: self.time,
            process: self.process,
            kind: self.kind,
            f: self.function,
            key: &self.key,
            value: (client || !self.value.is_nil()).then_some(&self.value),
            observed: self.observed.as_ref(),
            reason: self.reason.as_deref(),
            note: self.note.as_deref(),
        }
        .serialize(serializer)
    }
}

impl Serialize for Process {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Process::Client(ProcessId(number)) => serializer.serialize_u64(*number),
            Process::Nemesis => serializer.serialize_str("nemesis"),
        }
    }
}

impl<'de> Deserialize<'de> for Process {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ProcessVisitor;
        impl Visitor<'_> for ProcessVisitor {
            type Value = Process;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a process: a number from 0, or \"nemesis\"")
            }
            fn visit_u64<E>(self, number: u64) -> Result<Process, E> {
                Ok(Process::Client(ProcessId(number)))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Process, E> {
                if text == "nemesis" {
                    Ok(Process::Nemesis)
                } else {
                    Err(E::invalid_value(serde::de::Unexpected::Str(text), &self))
                }
            }
        }
        deserializer.deserialize_any(ProcessVisitor)
    }
}

/// What stands in `f`: read without allocating for the words that are known.
enum Word<'a> {
    Function(Function),
    Other(Cow<'a, str>),
}

impl Word<'_> {
    fn as_str(&self) -> &str {
        match self {
            Word::Function(function) => function.word(),
            Word::Other(word) => word,
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Word<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordVisitor;
        impl<'de> Visitor<'de> for WordVisitor {
            type Value = Word<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a function's name")
            }
            fn visit_borrowed_str<E>(self, word: &'de str) -> Result<Word<'de>, E> {
                Ok(Function::from_word(word).map_or(Word::Other(Cow::Borrowed(word)), Word::Function))
            }
            fn visit_str<E>(self, word: &str) -> Result<Word<'de>, E> {
                Ok(Function::from_word(word).map_or_else(|| Word::Other(Cow::Owned(word.to_owned())), Word::Function))
            }
        }
        deserializer.deserialize_str(WordVisitor)
    }
}
