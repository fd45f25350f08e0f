//! Lines of the own format that stand exactly as the writer writes them, read without a general parser of JSON.
//!
//! ```text
//!   {"index":1,"time":1988210,"process":3,"type":"ok","f":"write","key":"x","value":17,"crc":"1a2b3c4d"}
//!    └─ optional ───────────┘                                   └─ optional ────────┘ └─ checked and cut off before
//! ```
//!
//! Members in this order, no blanks, no escapes, a client's event: anything else answers `None`, and the general reader
//! takes the line. So there is no error here, and nothing that the general reader would refuse is taken. That both read
//! the same is fuzzed (`own_lines_are_read_the_same_in_both_ways` in `tests/formats_robust.rs`, and `fuzz/`).

use super::{Event, EventKind, Function, Process, ProcessId, Value};

/// The deepest nesting of lists that is taken; deeper ones are for the general reader, which has a bound of its own.
const DEPTH_MAX: usize = 8;

/// An event, and whether it has a `value`.
pub(super) struct PlainEvent {
    pub event: Event,
    pub has_value: bool,
}

/// Takes apart what stands between the first brace and the checksum or last brace: `{"process":…,"value":17`.
pub(super) fn parse(line: &[u8]) -> Option<PlainEvent> {
    let mut rest = Rest(line);
    rest.expect(b"{")?;
    let index = rest.number_of(b"\"index\":")?;
    let time = rest.number_of(b"\"time\":")?;
    rest.expect(b"\"process\":")?;
    let process = Process::Client(ProcessId(rest.number()?));
    rest.expect(b",\"type\":\"")?;
    let kind = EventKind::from_word(rest.word()?)?;
    rest.expect(b",\"f\":\"")?;
    let function = Some(Function::from_word(rest.word()?)?);
    let key = rest.value_of(b",\"key\":")?.unwrap_or_default();
    let value = rest.value_of(b",\"value\":")?;
    let observed = rest.value_of(b",\"observed\":")?;
    let reason = if rest.skip(b",\"reason\":\"") { Some(rest.word()?.to_owned()) } else { None };
    if !rest.0.is_empty() {
        return None;
    }
    let has_value = value.is_some();
    let value = value.unwrap_or_default();
    let event = Event { index, time, process, kind, function, key, value, observed, reason, note: None };
    Some(PlainEvent { event, has_value })
}

/// What was not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    /// Passes these bytes, if they are next.
    fn skip(&mut self, bytes: &[u8]) -> bool {
        self.0.strip_prefix(bytes).map(|rest| self.0 = rest).is_some()
    }

    fn expect(&mut self, bytes: &[u8]) -> Option<()> {
        self.skip(bytes).then_some(())
    }

    /// A number and the comma behind it, if this member is next.
    fn number_of(&mut self, member: &[u8]) -> Option<Option<u64>> {
        if !self.skip(member) {
            return Some(None);
        }
        let number = self.number()?;
        self.expect(b",")?;
        Some(Some(number))
    }

    /// A value, if this member is next.
    fn value_of(&mut self, member: &[u8]) -> Option<Option<Value>> {
        if self.skip(member) { self.value(0).map(Some) } else { Some(None) }
    }

    /// Decimal digits, few enough that they cannot overflow, and no leading zero (which JSON does not have).
    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        let mut length = 0;
        while let Some(digit @ b'0'..=b'9') = self.0.get(length) {
            if length == 18 {
                return None;
            }
            number = number * 10 + u64::from(digit - b'0');
            length += 1;
        }
        if length == 0 || (length > 1 && self.0[0] == b'0') {
            return None;
        }
        self.0 = &self.0[length..];
        Some(number)
    }

    /// Text without escapes up to the closing quote, which is passed.
    fn word(&mut self) -> Option<&'a str> {
        let end = self.0.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < b' ')?;
        let (word, rest) = self.0.split_at(end);
        self.0 = rest.strip_prefix(b"\"")?;
        std::str::from_utf8(word).ok()
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        let (&first, rest) = self.0.split_first()?;
        Some(match first {
            b'0'..=b'9' => Value::Int(i64::try_from(self.number()?).ok()?),
            b'-' => {
                self.0 = rest;
                match i64::try_from(self.number()?).ok()? {
                    // JSON has a minus zero, and it is a fraction.
                    0 => return None,
                    number => Value::Int(-number),
                }
            }
            b'"' => {
                self.0 = rest;
                Value::Text(self.word()?.to_owned())
            }
            b'[' if depth < DEPTH_MAX => {
                self.0 = rest;
                self.list(depth)?
            }
            b'n' => self.expect(b"null").map(|()| Value::Nil)?,
            b't' => self.expect(b"true").map(|()| Value::Bool(true))?,
            b'f' => self.expect(b"false").map(|()| Value::Bool(false))?,
            _ => return None,
        })
    }

    /// The rest of a list whose bracket was passed.
    fn list(&mut self, depth: usize) -> Option<Value> {
        let mut items = Vec::new();
        if self.skip(b"]") {
            return Some(Value::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.skip(b"]") {
                return Some(Value::List(items));
            }
            self.expect(b",")?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_writer_writes_is_taken() {
        for line in [
            r#"{"process":0,"type":"invoke","f":"read""#,
            r#"{"index":1,"time":0,"process":3,"type":"ok","f":"txn","key":"x","value":[["r","é",[-1,true,null]]]"#,
            r#"{"process":3,"type":"fail","f":"cas","value":[1,2],"observed":null,"reason":"mismatch""#,
        ] {
            assert!(parse(line.as_bytes()).is_some(), "{line}");
        }
    }

    #[test]
    fn everything_else_is_left_to_the_general_reader() {
        for line in [
            r#"{"process":"nemesis","type":"info""#,
            r#"{"process":0, "type":"invoke","f":"read""#,
            r#"{"process":0,"type":"invoke","f":"read","value":1,"#,
            r#"{"process":0,"type":"invoke","f":"read","value":01"#,
            r#"{"process":0,"type":"invoke","f":"read","value":-0"#,
            r#"{"process":0,"type":"invoke","f":"read","value":1.5"#,
            r#"{"process":0,"type":"invoke","f":"read","value":1e5"#,
            r#"{"process":0,"type":"invoke","f":"read","value":9999999999999999999"#,
            r#"{"process":0,"type":"invoke","f":"read","value":"a\n""#,
            r#"{"process":0,"type":"invoke","f":"read","value":[1,]"#,
            r#"{"process":0,"type":"invoke","f":"read","value":[[[[[[[[[]]]]]]]]]"#,
            r#"{"process":0,"type":"invoke","f":"frob""#,
            "{\"process\":0,\"type\":\"invoke\",\"f\":\"read\",\"value\":\"\t\"",
        ] {
            assert!(parse(line.as_bytes()).is_none(), "{line}");
        }
        assert!(parse(b"{\"process\":0,\"type\":\"invoke\",\"f\":\"read\",\"value\":\"\xff\"").is_none());
    }
}
