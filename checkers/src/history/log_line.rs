//! Which lines of a Jepsen log are operations.
//!
//! ```text
//!   INFO  jepsen.util - 0  :invoke  :read  nil                                                     early versions
//!   INFO [2021-02-24 16:56:58,996] jepsen worker 4 - jepsen.util 4  :invoke  :read  nil            on a terminal
//!   2021-02-26 23:39:01,300{GMT}  INFO  [jepsen worker 1] jepsen.util: 1  :invoke  :write  [0 2]   jepsen.log
//!   └── level and logger, in one of these forms ────────────────────┘ └── the operation ──────
//!   0  :invoke  :read  nil                                                                         history.txt
//! ```
//!
//! Later versions log operations as `jepsen.print`. Both loggers say other things too ("Waiting for port 2379"), and
//! messages may have many lines; an operation is known by its process and type. In a history.txt every line is one.

/// What was seen of a log so far: whether its operations stand bare or behind a logger, once a line told.
#[derive(Debug, Default)]
pub(super) struct Log {
    bare: Option<bool>,
}

/// A line that cannot be of this log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotOfALog;

impl Log {
    /// The operation on the next line that is not blank; `None` when something else is logged there.
    ///
    /// Behind the first line of a message any further line may follow (a stack trace, a map printed in full); before the
    /// first message, and in a history.txt, none may.
    pub fn operation<'a>(&mut self, line: &'a [u8]) -> Result<Option<&'a [u8]>, NotOfALog> {
        let found = look_at(line);
        let bare = match (found, self.bare) {
            (_, Some(bare)) => bare,
            (LogLine::Other, None) => return Err(NotOfALog),
            (found, None) => *self.bare.insert(matches!(found, LogLine::Bare(_))),
        };
        match (found, bare) {
            (LogLine::Bare(words), true) | (LogLine::Operation(words), false) => Ok(Some(words)),
            (_, true) => Err(NotOfALog),
            (_, false) => Ok(None),
        }
    }
}

/// What a log's line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LogLine<'a> {
    /// An operation that was logged, from its process on.
    Operation(&'a [u8]),
    /// An operation without anything before it.
    Bare(&'a [u8]),
    /// The beginning of another message.
    Message,
    /// No line of a log by itself: a message's further line, or no log at all.
    Other,
}

const LEVELS: [&[u8]; 6] = [b"TRACE", b"DEBUG", b"INFO", b"WARN", b"ERROR", b"FATAL"];
const LOGGERS: [&[u8]; 2] = [b"jepsen.util", b"jepsen.print"];
/// How many words may stand before the level: a date and a time.
const LEVEL_PLACE_MAX: usize = 2;
/// How many words may stand before the logger: those, the level, a date, and a thread's name in a few words.
const LOGGER_PLACE_MAX: usize = 12;

/// Tells what this line is.
fn look_at(line: &[u8]) -> LogLine<'_> {
    if is_operation(line) {
        return LogLine::Bare(line);
    }
    let mut leveled = false;
    let mut rest = line.trim_ascii_start();
    for place in 0..=LOGGER_PLACE_MAX {
        let (word, after) = first_word(rest);
        if place <= LEVEL_PLACE_MAX && LEVELS.contains(&word) {
            leveled = true;
        }
        let dated = place < LEVEL_PLACE_MAX && word.first().is_some_and(u8::is_ascii_digit);
        if !leveled && !dated {
            return LogLine::Other;
        }
        if leveled && LOGGERS.contains(&word.strip_suffix(b":").unwrap_or(word)) {
            let message = after.strip_prefix(b"- ").unwrap_or(after);
            return if is_operation(message) { LogLine::Operation(message) } else { LogLine::Message };
        }
        rest = after;
    }
    LogLine::Message
}

/// Whether this line alone shows that it stands in a log of Jepsen.
pub(super) fn is_of_jepsen(line: &[u8]) -> bool {
    match look_at(line) {
        LogLine::Operation(_) => true,
        LogLine::Bare(operation) => !first_word(operation).1.is_empty(),
        LogLine::Message => line.windows(7).any(|window| window == b"jepsen."),
        LogLine::Other => false,
    }
}

/// A process, and then a keyword (or nothing: an operation that lacks the rest is wrong, not something else).
fn is_operation(message: &[u8]) -> bool {
    let (process, after) = first_word(message.trim_ascii_start());
    let digits = process.strip_prefix(b"-").unwrap_or(process);
    let number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    (number || process == b":nemesis") && matches!(after.first(), None | Some(b':'))
}

/// Up to the first blank, and what follows the blanks.
fn first_word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
    (&text[..end], text[end..].trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_found_in_every_form() {
        for before in [
            "INFO  jepsen.util - ",
            "   INFO  jepsen.util - ",
            "INFO [2021-02-24 16:56:58,996] jepsen worker 4 - jepsen.util ",
            "INFO [2018-06-07 11:48:23,015] jepsen nemesis - jepsen.util ",
            "2021-02-26 23:39:01,300{GMT}\tINFO\t[jepsen worker 1] jepsen.util: ",
            "2025-04-26 03:37:10,938{GMT}  INFO  [jepsen worker nemesis] jepsen.print: ",
            "2021-02-26 23:39:01,300\tINFO\t[jepsen worker 1] jepsen.util: ",
        ] {
            for operation in ["0\t:invoke\t:read\tnil", ":nemesis :info :start #<odd", "12 :ok"] {
                assert_eq!(look_at(operation.as_bytes()), LogLine::Bare(operation.as_bytes()));
                let line = format!("{before}{operation}");
                assert_eq!(look_at(line.as_bytes()), LogLine::Operation(operation.as_bytes()), "{line}");
            }
        }
    }

    #[test]
    fn other_lines_are_told_apart() {
        for message in [
            "INFO  jepsen.core - Worker 0 starting",
            "2025-01-20 12:08:03,839{GMT}\tINFO\t[jepsen node n1] jepsen.util: Waiting for port 2379 ...",
            "2025-01-20 12:08:03,839{GMT}\tWARN\t[jepsen node n1] jepsen.util: 5 tries are left",
            "INFO [2017-03-31 17:38:19,307] main - jepsen.core {:valid? true,",
        ] {
            assert_eq!(look_at(message.as_bytes()), LogLine::Message, "{message}");
        }
        for other in
            ["{:valid? true,", " at jepsen.util$timeout.invoke(util.clj:1)", "0 1", "no level: INFO", "-", "[1 2]"]
        {
            assert_eq!(look_at(other.as_bytes()), LogLine::Other, "{other}");
        }
    }

    #[test]
    fn what_may_follow_depends_on_the_first_line() {
        let mut log = Log::default();
        assert_eq!(log.operation(b"INFO  jepsen.core - Oh no\n"), Ok(None));
        assert_eq!(log.operation(b" at jepsen.util$timeout"), Ok(None));
        assert_eq!(log.operation(b"0 :invoke :read nil"), Ok(None), "a message's line, whatever it says");
        assert_eq!(log.operation(b"INFO  jepsen.util - 0 :ok"), Ok(Some(&b"0 :ok"[..])));

        let mut bare = Log::default();
        assert_eq!(bare.operation(b"0 :ok"), Ok(Some(&b"0 :ok"[..])));
        for wrong in [&b"INFO  jepsen.util - 0 :ok"[..], b"INFO  jepsen.core - go", b" at jepsen.util$timeout"] {
            assert_eq!(bare.operation(wrong), Err(NotOfALog));
        }
        assert_eq!(Log::default().operation(b"{:valid? true}"), Err(NotOfALog));
    }
}
