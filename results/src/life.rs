//! What became of each node while a run went on: `nodes.jsonl`, a line for each change that was seen.
//!
//! ```text
//!   {"time":1203441,"node":2,"state":"up","role":"leader","term":3}
//!   {"time":9203441,"node":2,"state":"paused","role":"leader","term":3,"cut_from":[1,4]}
//! ```

use serde::{Deserialize, Serialize};

/// Whether a node's process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// It runs.
    Up,
    /// It stands still, and holds what it has.
    Paused,
    /// It was ended, or not started yet.
    Down,
    /// It ended by itself.
    Crashed,
}

/// The part a node plays, as it believes itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeRole {
    /// It leads.
    Leader,
    /// It follows a leader that it knows.
    Follower,
    /// It knows no leader, or tries to become one.
    Candidate,
}

/// How a node stands from this moment on, until its next line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeLine {
    /// When it was seen, nanoseconds on the history's clock.
    pub time: u64,
    /// Which node, from 1.
    pub node: u32,
    /// Whether it runs.
    pub state: NodeState,
    /// What it last said that it is; none before it has said anything, and while it does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<NodeRole>,
    /// In which term.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<u64>,
    /// The nodes that it cannot reach, or that cannot reach it, because links are cut.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut_from: Vec<u32>,
}

impl NodeLine {
    /// Whether both say the same but for the moment.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let at = |line: &Self| Self { time: 0, ..line.clone() };
        at(self) == at(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_documented() {
        let line = NodeLine {
            time: 1,
            node: 2,
            state: NodeState::Up,
            role: Some(NodeRole::Leader),
            term: Some(3),
            cut_from: Vec::new(),
        };
        let text = r#"{"time":1,"node":2,"state":"up","role":"leader","term":3}"#;
        assert_eq!(serde_json::to_string(&line).expect("JSON"), text);
        assert_eq!(serde_json::from_str::<NodeLine>(text).expect("a line"), line);
        let bare = serde_json::from_str::<NodeLine>(r#"{"time":9,"node":2,"state":"down"}"#).expect("a line");
        assert!(bare.role.is_none() && bare.cut_from.is_empty());
        assert!(line.is_same(&NodeLine { time: 7, ..line.clone() }) && !line.is_same(&bare));
    }
}
