//! Plain sentences for circles.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::Counterexample;
use super::graph::{Step, Why};
use super::input::{Input, NONE};
use crate::describe::{self, Clock, key_phrase, value};
use crate::history::{Action, Operation, Value};

/// The longest plain name of a key that stands before a value, as in x=17.
const NAME_CHARS_MAX: usize = 16;

/// The counterexample that a circle is.
pub(super) fn counterexample(input: &Input<'_>, circle: &[Step]) -> Counterexample {
    let mut words = Words { input, operations: Vec::new(), one_key: None, sentences: Vec::new() };
    words.one_key = words.only_key(circle);
    let mut known = None;
    let mut from = NONE;
    for &(start, why, end) in circle {
        from = if start == NONE { from } else { start };
        if let Why::Known { read } = why {
            known = Some(read);
        }
        if end != NONE {
            words.step(from, why, end, known.take());
        }
    }
    let mut operations: Vec<u32> = words.operations.iter().map(|number| input.op(*number).index.0).collect();
    operations.sort_unstable();
    operations.dedup();
    let key = words.one_key.map(|key| input.keys[key as usize]).filter(|key| plain(key).is_none());
    let place = key.map_or(String::new(), |key| format!(" on {}", key_phrase(key)));
    let sentence = format!("Impossible together{place}: {}.", words.sentences.join("; "));
    Counterexample::new(operations, words.sentences, sentence)
}

/// The operation in words, with its key where that has a plain name or where there are `several`.
pub(super) fn deed(operation: &Operation, several: bool) -> String {
    match plain(&operation.key) {
        None if several => format!("{} on {}", describe::deed(operation, None), key_phrase(&operation.key)),
        name => describe::deed(operation, name),
    }
}

fn plain(key: &Value) -> Option<&str> {
    let Value::Text(name) = key else { return None };
    let letters = name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.:/".contains(letter));
    let plain = letters && name.starts_with(|letter: char| letter.is_ascii_alphabetic());
    (plain && name.len() <= NAME_CHARS_MAX).then_some(name)
}

struct Words<'a, 'h> {
    input: &'a Input<'h>,
    operations: Vec<u32>,
    one_key: Option<u32>,
    sentences: Vec<String>,
}

impl Words<'_, '_> {
    fn only_key(&self, circle: &[Step]) -> Option<u32> {
        let nodes = circle.iter().flat_map(|(from, why, to)| [*from, *to].into_iter().chain(witnesses(*why)));
        let mut keys =
            nodes.filter(|node| *node != NONE && !self.input.is_initial(*node)).map(|node| self.input.op(node).key);
        let first = keys.next()?;
        keys.all(|key| key == first).then_some(first)
    }

    /// The operation in words, at its first mention with its time; notes it as one of those involved.
    fn name(&mut self, number: u32) -> String {
        if self.input.is_initial(number) {
            return "the initial value".to_owned();
        }
        let operation = self.input.operation(number);
        let name = deed(&operation, self.one_key.is_none());
        if self.operations.contains(&number) {
            return name;
        }
        self.operations.push(number);
        format!("{name} (invoked {})", Clock::new(self.input.time_unit()).at(operation.invoke))
    }

    fn step(&mut self, from: u32, why: Why, to: u32, known: Option<u32>) {
        let (one, other) = (self.name(from), self.name(to));
        let sentence = match why {
            Why::Session => format!("{one} came before {other} in the same session"),
            Why::ReadsFrom => format!("{other} saw {one}"),
            Why::Older { read } => {
                let way = self.way(from, read);
                format!("{one} is older than {other}, which {} still saw{way}", self.name(read))
            }
            Why::Listed { read } => format!("{} shows {one} before {other}", self.name(read)),
            Why::Misses | Why::Hub => format!("{one} does not show {other}"),
            Why::Overwritten { version } => format!("{one} was before {other} overwrote {}", self.version(version)),
            Why::ReadThenRead { first, then } => {
                let (first, then) = (self.name(first), self.name(then));
                format!("{first} came before {then} in the same session, so {one} is older than {other}")
            }
            Why::WroteThenRead { read } => {
                format!("{one} came before {} in the same session, so it is older than {other}", self.name(read))
            }
            Why::SawLater { seen, first, then } => {
                let (seen, first, then) = (self.name(seen), self.name(first), self.name(then));
                format!(
                    "{one} came before {seen} in the same session, and {first} before {then} in another, so {one} is older than {other}"
                )
            }
            Why::SawFollower { seen, first, then } => {
                let known = known.map_or(String::new(), |read| self.name(read));
                let (seen, first, then) = (self.name(seen), self.name(first), self.name(then));
                format!(
                    "{known} came before {seen} in the same session, and {first} before {then} in another, so {one} is older than {other}"
                )
            }
            Why::ThenWrote | Why::Known { .. } => {
                let known = known.map_or(String::new(), |read| self.name(read));
                format!("{known} came before {other} in the same session, so {one} is older than {other}")
            }
        };
        self.sentences.push(sentence);
    }

    fn version(&self, version: u32) -> String {
        if self.input.is_initial(version) {
            return "the initial value".to_owned();
        }
        let operation = self.input.operation(version);
        match &operation.action {
            Action::Write(new) | Action::Cas { new, .. } | Action::Append(new) => value(new),
            _ => "nil".to_owned(),
        }
    }

    /// How a read could know of an operation: " (between them: …)", by as few versions as there are.
    fn way(&mut self, from: u32, read: u32) -> String {
        let input = self.input;
        let goal = input.op(from);
        // Backwards: whoever gets to a place of a session gets to all before it. By version: who read it, and on the way to what.
        let mut onwards: FxHashMap<u32, (u32, u32)> = FxHashMap::default();
        let mut scanned: FxHashMap<u32, u32> = FxHashMap::default();
        let mut queue = VecDeque::from([read]);
        while let Some(at) = queue.pop_front() {
            let op = input.op(at);
            if op.session == goal.session && op.place >= goal.place {
                return self.tell(from, at, read, &onwards);
            }
            let session = &input.sessions[op.session as usize];
            let from_place = scanned.insert(op.session, op.place + 1).unwrap_or(0).min(op.place + 1);
            for &reader in session[from_place as usize..=op.place as usize].iter().rev() {
                for &source in input.sources(input.op(reader)) {
                    let by = input.op(source);
                    if scanned.get(&by.session).is_none_or(|known| *known <= by.place) && !onwards.contains_key(&source)
                    {
                        onwards.insert(source, (reader, at));
                        queue.push_back(source);
                    }
                }
            }
        }
        String::new()
    }

    fn tell(&mut self, from: u32, mut at: u32, read: u32, onwards: &FxHashMap<u32, (u32, u32)>) -> String {
        let mut way = vec![from, at];
        while let Some(&(reader, next)) = onwards.get(&at) {
            way.extend([reader, next]);
            at = next;
        }
        way.dedup();
        way.retain(|number| *number != from && *number != read);
        if way.is_empty() {
            return String::new();
        }
        let names: Vec<String> = way.into_iter().map(|number| self.name(number)).collect();
        format!(" (between them: {})", names.join(", "))
    }
}

fn witnesses(why: Why) -> Vec<u32> {
    match why {
        Why::Older { read } | Why::Listed { read } | Why::WroteThenRead { read } | Why::Known { read } => vec![read],
        Why::ReadThenRead { first, then } => vec![first, then],
        Why::SawLater { seen, first, then } | Why::SawFollower { seen, first, then } => vec![seen, first, then],
        _ => Vec::new(),
    }
}
