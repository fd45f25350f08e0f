//! A small reader of EDN, the data notation of Clojure, as far as Jepsen's histories use it.
//!
//! ```text
//!   bytes ──> Reader::next ──> Item::Form(Edn) | Item::Close(']') | Item::End
//!                 │ one form at a time: a history's vector is never in memory as a whole
//!                 └ bounded: 64 levels of nesting, 16 MiB a form
//! ```
//!
//! It follows the notation's description (github.com/edn-format/edn). What a history cannot hold as a value (fractions,
//! symbols, tagged elements, and what Clojure prints without being able to read it again) is read, so that it may stand
//! in members that nobody looks at, and kept only as a short text. A tagged map, such as `#jepsen.history.Op{…}`, is
//! read as the map, and a tagged pair that is named a tuple or map entry as the pair.

use std::io::{BufRead, ErrorKind};

use super::{HistoryError, LINE_BYTES_MAX, Value};

/// The deepest nesting that is read. Parsing recurses, and this bounds the stack.
pub(super) const DEPTH_MAX: usize = 64;

/// One EDN form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Edn {
    Nil,
    Bool(bool),
    Int(i64),
    Text(String),
    /// Without its colon.
    Keyword(String),
    /// A vector or a list.
    Seq(Vec<Edn>),
    /// A set, in the order written.
    Set(Vec<Edn>),
    Map(Vec<(Edn, Edn)>),
    /// Anything else, in short words.
    Other(String),
}

impl Edn {
    /// As a value of a history. A keyword keeps its colon, which tells it from the string of the same letters.
    pub fn into_value(self) -> Result<Value, String> {
        Ok(match self {
            Edn::Nil => Value::Nil,
            Edn::Bool(truth) => Value::Bool(truth),
            Edn::Int(number) => Value::Int(number),
            Edn::Text(text) => Value::Text(text),
            Edn::Keyword(name) => Value::Text(format!(":{name}")),
            Edn::Seq(items) => Value::List(items.into_iter().map(Edn::into_value).collect::<Result<_, _>>()?),
            Edn::Set(_) => return Err("a set is a value of a history only as what a read returned".to_owned()),
            Edn::Map(_) => return Err("a map is not a value of a history".to_owned()),
            Edn::Other(what) => {
                return Err(format!(
                    "`{what}` is not a value of a history (nil, true, false, a whole number of 64 bits, a string, a \
                     keyword, or a vector of these)"
                ));
            }
        })
    }

    /// What a read returned: as [`into_value`](Self::into_value), and a set is the sorted list of its elements.
    pub fn into_result(self) -> Result<Value, String> {
        let Edn::Set(items) = self else { return self.into_value() };
        let mut items: Vec<Value> = items.into_iter().map(Edn::into_value).collect::<Result<_, _>>()?;
        items.sort_unstable();
        match items.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("a set with {} in it twice", pair[0])),
            None => Ok(Value::List(items)),
        }
    }
}

/// What stands next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    Form(Edn),
    /// A closing bracket of the level above.
    Close(u8),
    /// The end of the input.
    End,
}

/// Reads forms one by one.
pub(super) struct Reader<R> {
    input: R,
    line: u64,
    /// Whether nothing of that line was read yet.
    line_is_fresh: bool,
    /// Bytes of the form being read.
    used: usize,
    /// Whether the input said that it was cut short.
    cut: bool,
}

impl<R: BufRead> Reader<R> {
    /// `line` is the number of the first line of `input`.
    pub fn new(input: R, line: u64) -> Self {
        Reader { input, line, line_is_fresh: true, used: 0, cut: false }
    }

    /// The line that is being read.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// How many lines were read, even in part.
    pub fn lines_read(&self) -> u64 {
        self.line - u64::from(self.line_is_fresh)
    }

    /// Whether the end that was found is none: the input was cut short (see [`Lines`](super::lines::Lines)).
    pub fn was_cut(&self) -> bool {
        self.cut
    }

    /// The next form at the top level, or inside a bracket opened by [`enter`](Self::enter).
    pub fn next(&mut self) -> Result<Item, HistoryError> {
        self.used = 0;
        self.item(0)
    }

    /// If a vector or list begins here, goes inside it and answers its closing bracket.
    pub fn enter(&mut self) -> Result<Option<u8>, HistoryError> {
        self.skip_blanks()?;
        let close = match self.peek()? {
            Some(b'[') => b']',
            Some(b'(') => b')',
            _ => return Ok(None),
        };
        self.take()?;
        Ok(Some(close))
    }

    fn fail<T>(&self, what: impl Into<String>) -> Result<T, HistoryError> {
        Err(HistoryError::malformed(self.line, what))
    }

    fn torn<T>(&self) -> Result<T, HistoryError> {
        Err(HistoryError::Truncated { line: self.line })
    }

    fn peek(&mut self) -> Result<Option<u8>, HistoryError> {
        loop {
            if self.cut {
                return Ok(None);
            }
            match self.input.fill_buf() {
                Ok(bytes) => return Ok(bytes.first().copied()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => self.cut = true,
                Err(source) => return Err(HistoryError::Io { line: self.line, source }),
            }
        }
    }

    /// Passes the byte that was peeked.
    fn pass(&mut self, byte: u8) {
        self.input.consume(1);
        self.line_is_fresh = byte == b'\n';
        self.line += u64::from(self.line_is_fresh);
    }

    /// Takes the next byte of a form.
    fn take(&mut self) -> Result<u8, HistoryError> {
        let Some(byte) = self.peek()? else { return self.torn() };
        self.used += 1;
        if self.used > LINE_BYTES_MAX {
            return Err(HistoryError::LineTooLong { line: self.line });
        }
        self.pass(byte);
        Ok(byte)
    }

    /// Blanks, commas and comments. They are not kept, so they count for nothing.
    fn skip_blanks(&mut self) -> Result<(), HistoryError> {
        let mut comment = false;
        while let Some(byte) = self.peek()? {
            match byte {
                b'\n' => comment = false,
                _ if comment => {}
                b';' => comment = true,
                b' ' | b'\t' | b'\r' | b'\x0c' | b',' => {}
                _ => return Ok(()),
            }
            self.pass(byte);
        }
        Ok(())
    }

    fn item(&mut self, depth: usize) -> Result<Item, HistoryError> {
        if depth > DEPTH_MAX {
            return self.fail(format!("nested deeper than {DEPTH_MAX} levels"));
        }
        loop {
            self.skip_blanks()?;
            let form = match self.peek()? {
                None => return Ok(Item::End),
                Some(close @ (b')' | b']' | b'}')) => {
                    self.take()?;
                    return Ok(Item::Close(close));
                }
                Some(b'(') => self.seq(b')', depth)?,
                Some(b'[') => self.seq(b']', depth)?,
                Some(b'{') => self.map(depth)?,
                Some(b'"') => self.string()?,
                Some(b'#') => match self.dispatch(depth)? {
                    Some(form) => form,
                    None => continue,
                },
                Some(b'^') => {
                    self.take()?;
                    self.form(depth + 1)?;
                    self.form(depth + 1)?
                }
                Some(b'\\') => self.character()?,
                Some(_) => self.token()?,
            };
            return Ok(Item::Form(form));
        }
    }

    /// A form that must be there.
    fn form(&mut self, depth: usize) -> Result<Edn, HistoryError> {
        match self.item(depth)? {
            Item::Form(form) => Ok(form),
            Item::Close(close) => self.fail(format!("`{}` where a form is expected", close as char)),
            Item::End => self.torn(),
        }
    }

    fn seq(&mut self, close: u8, depth: usize) -> Result<Edn, HistoryError> {
        self.take()?;
        let mut items = Vec::new();
        loop {
            match self.item(depth + 1)? {
                Item::Form(form) => items.push(form),
                Item::Close(found) if found == close => return Ok(Edn::Seq(items)),
                Item::Close(found) => {
                    return self.fail(format!("`{}` where `{}` is expected", found as char, close as char));
                }
                Item::End => return self.torn(),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Edn, HistoryError> {
        let Edn::Seq(items) = self.seq(b'}', depth)? else { unreachable!("seq reads sequences") };
        if items.len() % 2 == 1 {
            return self.fail("a map with a key that has no value");
        }
        let mut entries = Vec::with_capacity(items.len() / 2);
        let mut items = items.into_iter();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            entries.push((key, value));
        }
        Ok(Edn::Map(entries))
    }

    /// What begins with `#`: a discarded form (`None`), a set, a symbolic value, a tagged form.
    fn dispatch(&mut self, depth: usize) -> Result<Option<Edn>, HistoryError> {
        self.take()?;
        match self.peek()? {
            None => self.torn(),
            Some(b'_') => {
                self.take()?;
                self.form(depth + 1)?;
                Ok(None)
            }
            Some(b'{') => match self.seq(b'}', depth)? {
                Edn::Seq(items) => Ok(Some(Edn::Set(items))),
                _ => unreachable!("seq reads sequences"),
            },
            Some(b'#') => {
                self.take()?;
                let name = self.word()?;
                Ok(Some(Edn::Other(format!("##{name}"))))
            }
            Some(b'"') => {
                self.string()?;
                Ok(Some(Edn::Other("a regular expression".to_owned())))
            }
            Some(b'\'') => {
                let name = self.word()?;
                Ok(Some(Edn::Other(format!("#{name}"))))
            }
            Some(b'<') => self.unreadable().map(Some),
            Some(_) => {
                let tag = self.word()?;
                if tag.is_empty() {
                    return self.fail("`#` without a tag");
                }
                let form = self.form(depth + 1)?;
                Ok(Some(if is_transparent(&tag, &form) { form } else { Edn::Other(format!("#{tag}")) }))
            }
        }
    }

    /// What Clojure prints of an object that has no notation: `#<Name words and more <words>>`.
    fn unreadable(&mut self) -> Result<Edn, HistoryError> {
        let mut open = 0_usize;
        loop {
            match self.take()? {
                b'<' => open += 1,
                b'>' => open -= 1,
                _ => {}
            }
            if open == 0 {
                return Ok(Edn::Other("#<…>".to_owned()));
            }
        }
    }

    fn string(&mut self) -> Result<Edn, HistoryError> {
        self.take()?;
        let mut bytes = Vec::new();
        loop {
            match self.take()? {
                b'"' => break,
                b'\\' => {
                    let escaped = self.escape()?;
                    bytes.extend_from_slice(escaped.encode_utf8(&mut [0; 4]).as_bytes());
                }
                byte => bytes.push(byte),
            }
        }
        String::from_utf8(bytes).map(Edn::Text).or_else(|_| self.fail("a string that is not UTF-8"))
    }

    fn escape(&mut self) -> Result<char, HistoryError> {
        Ok(match self.take()? {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\x08',
            b'f' => '\x0c',
            byte @ (b'"' | b'\\') => byte as char,
            b'u' => {
                let mut code = 0;
                for _ in 0..4 {
                    let Some(digit) = (self.take()? as char).to_digit(16) else {
                        return self.fail("`\\u` needs four hexadecimal digits");
                    };
                    code = code * 16 + digit;
                }
                match char::from_u32(code) {
                    Some(letter) => letter,
                    None => {
                        return self.fail(format!("`\\u{code:04x}` is half a character; write the character itself"));
                    }
                }
            }
            byte => return self.fail(format!("unknown escape `\\{}` in a string", byte.escape_ascii())),
        })
    }

    fn character(&mut self) -> Result<Edn, HistoryError> {
        self.take()?;
        let first = self.take()?;
        let rest = self.word_from(vec![first])?;
        Ok(Edn::Other(format!("\\{rest}")))
    }

    /// A keyword, a number, `nil`, `true`, `false` or a symbol.
    fn token(&mut self) -> Result<Edn, HistoryError> {
        let word = self.word()?;
        Ok(match word.as_str() {
            "nil" => Edn::Nil,
            "true" => Edn::Bool(true),
            "false" => Edn::Bool(false),
            word => match word.strip_prefix(':') {
                Some("") if self.peek()?.is_none() => return self.torn(),
                Some("") => return self.fail("`:` without a name"),
                Some(name) => Edn::Keyword(name.to_owned()),
                None => whole_number(word).map_or_else(|| Edn::Other(word.to_owned()), Edn::Int),
            },
        })
    }

    fn word(&mut self) -> Result<String, HistoryError> {
        self.word_from(Vec::new())
    }

    /// Everything up to a blank or a bracket.
    fn word_from(&mut self, mut bytes: Vec<u8>) -> Result<String, HistoryError> {
        while let Some(byte) = self.peek()? {
            let ends = byte.is_ascii_whitespace() || b",()[]{}\";".contains(&byte);
            if ends {
                break;
            }
            bytes.push(self.take()?);
        }
        match String::from_utf8(bytes) {
            Ok(word) => Ok(word),
            // Cut within a character.
            Err(_) if self.peek()?.is_none() => self.torn(),
            Err(_) => self.fail("bytes that are not UTF-8"),
        }
    }
}

/// Whether a tagged form means what it would without the tag: records, and pairs named a tuple or map entry. (Jepsen itself
/// prints the tuples of independent keys without a tag, since a map entry is printed as a vector.)
fn is_transparent(tag: &str, form: &Edn) -> bool {
    match form {
        // `#:space{:name …}` puts a space before every name, so that `:process` is not `:process`.
        Edn::Map(_) => !tag.starts_with(':'),
        Edn::Seq(items) => {
            let name = tag.rsplit(['/', '.']).next().unwrap_or(tag);
            items.len() == 2 && matches!(name, "tuple" | "Tuple" | "MapEntry" | "map-entry")
        }
        _ => false,
    }
}

/// A decimal number, with the `N` that Clojure puts after big ones.
fn whole_number(word: &str) -> Option<i64> {
    let digits = word.strip_suffix('N').unwrap_or(word);
    let unsigned = digits.strip_prefix(['-', '+']).unwrap_or(digits);
    // A leading zero would mean octal to Clojure.
    let plain = unsigned.bytes().all(|byte| byte.is_ascii_digit()) && (unsigned == "0" || !unsigned.starts_with('0'));
    if plain { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<Edn, String> {
        match Reader::new(text.as_bytes(), 1).next() {
            Ok(Item::Form(form)) => Ok(form),
            Ok(other) => Err(format!("{other:?}")),
            Err(error) => Err(error.to_string()),
        }
    }

    fn keyword(name: &str) -> Edn {
        Edn::Keyword(name.to_owned())
    }

    #[test]
    fn reads_what_histories_hold() {
        assert_eq!(one(" ; words\n ,nil"), Ok(Edn::Nil));
        assert_eq!(one("-17"), Ok(Edn::Int(-17)));
        assert_eq!(one("17N"), Ok(Edn::Int(17)));
        assert_eq!(one(":timed-out"), Ok(keyword("timed-out")));
        assert_eq!(one(r#""a \"b\" \u00e9\n""#), Ok(Edn::Text("a \"b\" é\n".to_owned())));
        assert_eq!(one("[1 #_ 2 (3)]"), Ok(Edn::Seq(vec![Edn::Int(1), Edn::Seq(vec![Edn::Int(3)])])));
        assert_eq!(one("{:f :read,:value nil}"), one("#jepsen.history.Op{:f :read :value nil}"));
        assert_eq!(one("^{:a 1} {:b 2}"), Ok(Edn::Map(vec![(keyword("b"), Edn::Int(2))])));
    }

    #[test]
    fn other_forms_are_read_but_are_no_values() {
        for text in ["1.5", "1/2", "sym", "##NaN", "#inst \"2026\"", "\\(", "9223372036854775808", "017"] {
            let form = one(text).unwrap();
            assert!(matches!(form, Edn::Other(_)), "{text} gave {form:?}");
            assert!(form.into_value().is_err(), "{text}");
        }
        for printed in ["#\"a(b\"", "#'clojure.core/inc", "#<A b: (c <d> e)>", "#object[a.B 0x1f \"c\"]", "#a [1 2]"] {
            let form = one(&format!("[{printed} 7]")).unwrap();
            assert!(
                matches!(&form, Edn::Seq(items) if items.len() == 2 && items[1] == Edn::Int(7)),
                "{printed}: {form:?}"
            );
        }
        assert!(one("#:jepsen{:f :read}").unwrap().into_value().unwrap_err().contains("#:jepsen"));
    }

    #[test]
    fn a_set_is_what_a_read_returned() {
        let list = |numbers: &[i64]| Ok(Value::List(numbers.iter().copied().map(Value::Int).collect()));
        assert_eq!(one("#{3 1 2}").and_then(Edn::into_result), list(&[1, 2, 3]));
        assert_eq!(one("#{}").and_then(Edn::into_result), list(&[]));
        assert_eq!(one("[3 1]").and_then(Edn::into_result), list(&[3, 1]), "a vector keeps its order");
        for (text, word) in
            [("#{1 1}", "1 in it twice"), ("#{{}}", "a map"), ("#{#{}}", "only as"), ("[#{}]", "only as")]
        {
            assert!(one(text).and_then(Edn::into_result).unwrap_err().contains(word), "{text}");
        }
        assert!(one("#{1}").and_then(Edn::into_value).is_err(), "nothing else takes a set");
    }

    #[test]
    fn tagged_pairs_of_independent_keys_are_pairs() {
        let pair = one("[:x 1]");
        for tag in ["jepsen.independent/tuple ", "clojure.lang.MapEntry", "jepsen.independent.Tuple", "map-entry"] {
            assert_eq!(one(&format!("#{tag}[:x 1]")), pair, "{tag}");
        }
        assert_ne!(one("#tuple [:x 1 2]"), one("[:x 1 2]"), "no pair");
    }

    #[test]
    fn refuses_what_is_not_edn() {
        for text in ["[1 }", "{:a}", "\"\\q\"", "\"\\ud800\"", "[: 1]", "#_]", "# a", "[)"] {
            let reader_says = Reader::new(text.as_bytes(), 1).next();
            assert!(matches!(reader_says, Err(HistoryError::Malformed { .. })), "{text}: {reader_says:?}");
        }
        for torn in [":", "[1 2", "{:a 1", "\"abc", "#_", "#", "\\", "[\"a\\", "#<a <b>", "#\"a", "#{1"] {
            let reader_says = Reader::new(torn.as_bytes(), 1).next();
            assert!(matches!(reader_says, Err(HistoryError::Truncated { line: 1 })), "{torn}: {reader_says:?}");
        }
    }

    #[test]
    fn nesting_and_size_are_bounded() {
        for opening in ["[", "(", "{", "#_", "#{", "^", "#a ", "#_^#{["] {
            let deep = opening.repeat(100_000);
            let message = one(&deep).unwrap_err();
            assert!(message.contains("nested deeper than 64"), "{opening}: {message}");
        }
        let inside = format!("{}{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX));
        assert!(one(&inside).is_ok());
        let long = format!("\"{}\"", "x".repeat(LINE_BYTES_MAX));
        assert!(one(&long).unwrap_err().contains("longer than 16 MiB"));
    }

    #[test]
    fn lines_are_counted() {
        let mut reader = Reader::new("\n; one\n{:a\n1}\n ]".as_bytes(), 1);
        assert!(matches!(reader.next(), Ok(Item::Form(_))));
        assert_eq!(reader.line(), 4);
        assert_eq!(reader.next().unwrap(), Item::Close(b']'));
        assert_eq!(reader.line(), 5);
        assert_eq!(reader.next().unwrap(), Item::End);
    }
}
