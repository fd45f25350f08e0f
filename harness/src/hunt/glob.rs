//! Patterns for names, with `*` for any run of letters.

use std::{convert::Infallible, str::FromStr};

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(String);

impl FromStr for Glob {
    type Err = Infallible;

    fn from_str(pattern: &str) -> Result<Self, Self::Err> {
        Ok(Self(pattern.to_owned()))
    }
}

impl Glob {
    /// Whether the whole name fits.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let Some((first, rest)) = self.0.split_once('*') else { return self.0 == name };
        let Some(mut name) = name.strip_prefix(first) else { return false };
        let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
        // The earliest place for each part leaves the most for those after it.
        for part in middle.split('*') {
            let Some(place) = name.find(part) else { return false };
            name = &name[place + part.len()..];
        }
        name.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let cases = [
            ("raft-no-dedup", "raft-no-dedup", true),
            ("raft-no-dedup", "raft-no-dedu", false),
            ("raft-no", "raft-no-dedup", false),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "raft", true),
            ("raft-*", "raft-no-dedup", true),
            ("raft-*", "zab-no", false),
            ("*-dedup", "raft-no-dedup", true),
            ("*-dedup", "raft-dedup-leader-cache", false),
            ("*read*", "raft-read-any-node", true),
            ("*read*", "zab-elect-by-id", false),
            ("raft-*-*-check", "raft-vote-no-log-check", true),
            ("*a*b*", "xxbxxa", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("**", "anything", true),
            ("*ä*", "näher", true),
        ];
        for (pattern, name, wanted) in cases {
            assert_eq!(pattern.parse::<Glob>().expect("any text").matches(name), wanted, "{pattern} {name}");
        }
    }
}
