//! Labels: what a person calls a run by, beside what it is of. `--label build=abc` finds it again as `label.build=abc`.

use std::{collections::BTreeMap, fmt, str::FromStr};

/// The longest name of a label, in bytes.
pub const NAME_MAX: usize = 32;

/// The longest value of a label, in bytes.
pub const VALUE_MAX: usize = 128;

/// A run has at most so many labels.
pub const LABELS_MAX: usize = 32;

/// The labels of a run, by name.
pub type Labels = BTreeMap<String, String>;

/// One label, as it is typed: `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Printable characters without spaces and commas, which separate the terms of a selection.
    pub value: String,
}

/// What is typed is no label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// Not of the form.
    #[error("{0:?} is no label; write KEY=VALUE, as in build=abc")]
    Shape(String),
    /// A name that could not be selected by.
    #[error("a label's name has 1 to {NAME_MAX} letters, digits, dashes, dots or underscores; {0:?} is none")]
    Name(String),
    /// A value that could not be selected by.
    #[error("the value of a label has 1 to {VALUE_MAX} printable characters without spaces or commas; {0:?} is none")]
    Value(String),
    /// One name, two values.
    #[error("the label {0} is given twice")]
    Twice(String),
    /// Too many.
    #[error("a run has at most {LABELS_MAX} labels; {0} are given")]
    Many(usize),
}

impl FromStr for Label {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').ok_or_else(|| LabelError::Shape(text.to_owned()))?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(plain) {
            return Err(LabelError::Name(name.to_owned()));
        }
        let printable = |c: char| !c.is_control() && !c.is_whitespace() && c != ',';
        if value.is_empty() || value.len() > VALUE_MAX || !value.chars().all(printable) {
            return Err(LabelError::Value(value.to_owned()));
        }
        Ok(Self { name: name.to_owned(), value: value.to_owned() })
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

/// The labels of a run, from those that were typed.
///
/// # Errors
/// When one name is given twice, or there are too many.
pub fn labels(given: impl IntoIterator<Item = Label>) -> Result<Labels, LabelError> {
    let mut labels = Labels::new();
    for (count, Label { name, value }) in given.into_iter().enumerate() {
        if count >= LABELS_MAX {
            return Err(LabelError::Many(count + 1));
        }
        if labels.insert(name.clone(), value).is_some() {
            return Err(LabelError::Twice(name));
        }
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(text: &str) -> Result<Label, LabelError> {
        text.parse()
    }

    #[test]
    fn labels_are_what_can_be_selected_by() {
        let build = label("build=abc=d").expect("a label");
        assert_eq!((build.name.as_str(), build.value.as_str()), ("build", "abc=d"));
        assert_eq!(build.to_string(), "build=abc=d");
        for wrong in ["build", "=x", "a b=x", "a=", "a=b c", "a=b,c", "a=\u{1b}[2J", "ä=1"] {
            assert!(label(wrong).is_err(), "{wrong:?}");
        }
        assert!(label(&format!("{}=1", "n".repeat(NAME_MAX + 1))).is_err());
        assert!(label(&format!("n={}", "1".repeat(VALUE_MAX + 1))).is_err());
    }

    #[test]
    fn of_two_with_one_name_neither_is_dropped_in_silence() {
        let two = [label("a=1").expect("one"), label("a=2").expect("another")];
        assert_eq!(labels(two), Err(LabelError::Twice("a".to_owned())));
        let many = (0..=LABELS_MAX).map(|n| label(&format!("l{n}=x")).expect("a label"));
        assert_eq!(labels(many), Err(LabelError::Many(LABELS_MAX + 1)));
        assert_eq!(labels([label("a=1").expect("one")]).expect("labels")["a"], "1");
    }
}
