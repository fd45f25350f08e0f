//! Values, keys, times and single operations as a person would write them. Whatever a history holds, the words hold no
//! control characters.

use std::fmt::Write;

use crate::history::{Action, Completion, Operation, TimeUnit, Value};

/// Longer values are cut in words, never in the violation's operations.
const VALUE_CHARS_MAX: usize = 60;

/// Elements of a list that are written out at its beginning, and as many at its end.
const ELEMENTS_SHOWN: usize = 6;

/// Lists in lists in lists are written this deep.
const DEPTH_MAX: usize = 3;

/// A value as a person would write it, at most [`VALUE_CHARS_MAX`] characters long.
pub(crate) fn value(value: &Value) -> String {
    value_within(value, VALUE_CHARS_MAX)
}

/// A value in at most so many characters: what is too long is cut in its middle.
pub(crate) fn value_within(value: &Value, chars_max: usize) -> String {
    let mut text = String::new();
    write_value(&mut text, value, 0);
    cut(&text, chars_max)
}

/// The text, cut in its middle when it is longer than so many characters.
fn cut(text: &str, chars_max: usize) -> String {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= chars_max {
        return text.to_owned();
    }
    let tail = (chars_max - 1) / 3;
    let head = chars_max - 1 - tail;
    chars[..head].iter().chain(&['…']).chain(&chars[chars.len() - tail..]).collect()
}

fn write_value(text: &mut String, value: &Value, depth: usize) {
    // Writing to a string cannot fail.
    let _ = match value {
        Value::Nil => write!(text, "nil"),
        Value::Bool(truth) => write!(text, "{truth}"),
        Value::Int(number) => write!(text, "{number}"),
        // The quoted form has no control characters, nor any that turn the direction of writing.
        Value::Text(words) => write!(text, "{:?}", cut(words, VALUE_CHARS_MAX)),
        Value::List(_) if depth == DEPTH_MAX => write!(text, "[…]"),
        Value::List(elements) => {
            write_list(text, elements, depth);
            Ok(())
        }
    };
}

fn write_list(text: &mut String, elements: &[Value], depth: usize) {
    let left_out = elements.len() > 2 * ELEMENTS_SHOWN + 1;
    text.push('[');
    for (place, element) in elements.iter().enumerate() {
        if left_out && (ELEMENTS_SHOWN..elements.len() - ELEMENTS_SHOWN).contains(&place) {
            if place == ELEMENTS_SHOWN {
                text.push_str(", …");
            }
            continue;
        }
        text.push_str(if place == 0 { "" } else { ", " });
        write_value(text, element, depth + 1);
    }
    text.push(']');
}

/// "key 17", or "the only object" in a history without keys.
pub(crate) fn key_phrase(key: &Value) -> String {
    match key {
        Value::Nil => "the only object".into(),
        key => format!("key {}", value(key)),
    }
}

/// "1 key", "2 keys".
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// "once", "twice", "3 times".
pub(crate) fn times(number: usize) -> String {
    match number {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        more => format!("{more} times"),
    }
}

/// Moments as seconds where they are nanoseconds, as event numbers where they are places in the order of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// Seconds with so many decimals: 3, 6 or 9.
    Seconds { decimals: u32 },
    /// Places in the order of events.
    Events,
}

impl Clock {
    /// With as few decimals as tell these moments apart, milliseconds at least.
    pub(crate) fn of(unit: TimeUnit, mut moments: Vec<u64>) -> Self {
        if unit == TimeUnit::Order {
            return Self::Events;
        }
        moments.sort_unstable();
        moments.dedup();
        let tells_apart = |decimals: u32| {
            let step = 10u64.pow(9 - decimals);
            moments.windows(2).all(|pair| pair[0] / step < pair[1] / step)
        };
        Self::Seconds { decimals: [3, 6].into_iter().find(|&decimals| tells_apart(decimals)).unwrap_or(9) }
    }

    /// With microseconds, for moments that are not known yet.
    pub(crate) fn new(unit: TimeUnit) -> Self {
        match unit {
            TimeUnit::Nanoseconds => Self::Seconds { decimals: 6 },
            TimeUnit::Order => Self::Events,
        }
    }

    /// "at 12.310 s" or "at event 17".
    pub(crate) fn at(self, moment: u64) -> String {
        match self {
            Self::Seconds { .. } => format!("at {} s", self.mark(moment)),
            Self::Events => format!("at event {moment}"),
        }
    }

    /// "12.310" or "17".
    pub(crate) fn mark(self, moment: u64) -> String {
        let Self::Seconds { decimals } = self else { return moment.to_string() };
        let fraction = moment % 1_000_000_000 / 10u64.pow(9 - decimals);
        format!("{}.{fraction:0width$}", moment / 1_000_000_000, width = decimals as usize)
    }

    /// "1.290 s" or "3 events": a time that has passed at least.
    pub(crate) fn span(self, from: u64, to: u64) -> String {
        let passed = to.saturating_sub(from);
        match self {
            Self::Seconds { .. } => format!("{} s", self.mark(passed)),
            Self::Events => count(usize::try_from(passed).unwrap_or(usize::MAX), "event"),
        }
    }
}

/// "client 3's read of x=17"; `name` is the key's where it is short and plain.
pub(crate) fn deed(operation: &Operation, name: Option<&str>) -> String {
    format!("client {}'s {}", operation.process.0, what(operation, name))
}

/// "read of x=17".
fn what(operation: &Operation, name: Option<&str>) -> String {
    let is = |held: &Value| name.map_or_else(|| value(held), |name| format!("{name}={}", value(held)));
    let of = name.map_or_else(String::new, |name| format!(" of {name}"));
    let to = name.map_or_else(String::new, |name| format!(" to {name}"));
    match (&operation.action, &operation.completion) {
        (Action::Read, Completion::Ok(Some(seen))) => format!("read of {}", is(seen)),
        (Action::Read, _) => format!("read{of}"),
        (Action::Write(new), _) => format!("write of {}", is(new)),
        (Action::Append(new), _) => format!("append of {}{to}", value(new)),
        (Action::Cas { old, new }, Completion::Mismatch { observed }) => {
            let saw = observed.as_ref().map_or(String::new(), |seen| format!(", which saw {}", is(seen)));
            format!("refused compare-and-set{of} from {} to {}{saw}", value(old), value(new))
        }
        (Action::Cas { old, new }, _) => format!("compare-and-set{of} from {} to {}", value(old), value(new)),
        (Action::Delete, _) => format!("deletion{of}"),
        (Action::Add(new), _) => format!("addition of {}{to}", value(new)),
        (Action::Enqueue(new), _) => format!("enqueue of {}", value(new)),
        (Action::Dequeue, Completion::Ok(Some(Value::Nil))) => "dequeue, which found nothing".to_owned(),
        (Action::Dequeue, Completion::Ok(Some(taken))) => format!("dequeue of {}", value(taken)),
        (Action::Dequeue, _) => "dequeue".to_owned(),
        (Action::Acquire(owner), _) => format!("acquisition for {}", value(owner)),
        (Action::Release(owner), _) => format!("release by {}", value(owner)),
        (Action::Txn(_), Completion::Ok(Some(answer))) => format!("transaction {}", value(answer)),
        (Action::Txn(parts), _) => format!("transaction {}", value(parts)),
    }
}

/// "client 3's read of x=17 (invoked at 1.200 s, returned at 1.300 s)".
pub(crate) fn deed_with_times(operation: &Operation, name: Option<&str>, clock: Clock) -> String {
    let end = match operation.completion {
        Completion::Info => "outcome unknown".to_owned(),
        Completion::Fail => format!("failed {}", clock.at(operation.ret)),
        _ => format!("returned {}", clock.at(operation.ret)),
    };
    format!("{} (invoked {}, {end})", deed(operation, name), clock.at(operation.invoke))
}

/// A few words for a lane of a diagram: "write 23", "cas 17→23", "read [1, 2] ".
pub(crate) fn label(operation: &Operation, chars_max: usize) -> String {
    let short = |held: &Value| value_within(held, chars_max);
    match (&operation.action, &operation.completion) {
        (Action::Read, Completion::Ok(Some(seen))) => format!("read {}", short(seen)),
        (Action::Read, _) => "read".to_owned(),
        (Action::Write(new), _) => format!("write {}", short(new)),
        (Action::Append(new), _) => format!("append {}", short(new)),
        (Action::Cas { old, new }, Completion::Mismatch { observed }) => {
            let saw = observed.as_ref().map_or_else(|| "not equal".to_owned(), |seen| format!("saw {}", short(seen)));
            format!("cas {}→{} {saw}", short(old), short(new))
        }
        (Action::Cas { old, new }, _) => format!("cas {}→{}", short(old), short(new)),
        (Action::Delete, _) => "delete".to_owned(),
        (Action::Add(new), _) => format!("add {}", short(new)),
        (Action::Enqueue(new), _) => format!("enqueue {}", short(new)),
        (Action::Dequeue, Completion::Ok(Some(Value::Nil))) => "dequeue: empty".to_owned(),
        (Action::Dequeue, Completion::Ok(Some(taken))) => format!("dequeue {}", short(taken)),
        (Action::Dequeue, _) => "dequeue".to_owned(),
        (Action::Acquire(owner), _) => format!("acquire {}", short(owner)),
        (Action::Release(owner), _) => format!("release {}", short(owner)),
        (Action::Txn(_), Completion::Ok(Some(answer))) => format!("txn {}", short(answer)),
        (Action::Txn(parts), _) => format!("txn {}", short(parts)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_cut_and_control_characters_escaped() {
        let long = Value::Text("x".repeat(1_000_000));
        assert_eq!(value(&long).chars().count(), VALUE_CHARS_MAX);
        let list = Value::List((0..1000).map(Value::Int).collect());
        assert_eq!(value(&list), "[0, 1, 2, 3, 4, 5, …, 994, 995, 996, 997, 998, 999]");
        let hostile = Value::Text("\x1b[2J\r\n\u{202e}\u{9b}1m\0".to_owned());
        assert_eq!(value(&hostile), r#""\u{1b}[2J\r\n\u{202e}\u{9b}1m\0""#);
        let deep = (0..50).fold(Value::Nil, |inner, _| Value::List(vec![inner]));
        assert_eq!(value(&deep), "[[[[…]]]]");
    }

    #[test]
    fn a_clock_has_as_many_decimals_as_it_takes() {
        let at = |moments: &[u64]| Clock::of(TimeUnit::Nanoseconds, moments.to_vec()).at(moments[0]);
        assert_eq!(at(&[12_310_000_000, 11_020_000_000]), "at 12.310 s");
        assert_eq!(at(&[12_310_000_000, 12_310_001_000]), "at 12.310000 s");
        assert_eq!(at(&[12_310_000_000, 12_310_000_001]), "at 12.310000000 s");
        assert_eq!(Clock::of(TimeUnit::Order, vec![1, 2]).at(17), "at event 17");
        assert_eq!(Clock::Events.span(3, 4), "1 event");
        assert_eq!(Clock::Seconds { decimals: 3 }.span(11_020_000_000, 12_310_000_000), "1.290 s");
    }
}
