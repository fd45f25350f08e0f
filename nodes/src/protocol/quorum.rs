//! Majorities. Any two of them meet, which is what all three protocols rest on.

use std::collections::BTreeSet;

use super::NodeId;

/// How many of `voters` are a majority.
#[must_use]
pub fn quorum(voters: usize) -> usize {
    voters / 2 + 1
}

/// Whether these distinct servers are a majority of the voters. Messages are not counted, servers are.
#[must_use]
pub fn is_quorum(servers: &BTreeSet<NodeId>, voters: &[NodeId]) -> bool {
    voters.iter().filter(|v| servers.contains(v)).count() >= quorum(voters.len())
}

/// The highest value that a majority has reached, given one for each voter.
pub fn reached_by_quorum<T: Copy + Ord>(values: &mut [T]) -> T {
    reached_by(values, quorum(values.len()))
}

/// The highest value that at least `needed` of these have reached.
pub fn reached_by<T: Copy + Ord>(values: &mut [T], needed: usize) -> T {
    values.sort_unstable();
    values[values.len() - needed]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_two_majorities_meet() {
        assert_eq!([1, 2, 3, 4, 5, 6, 7].map(quorum), [1, 2, 2, 3, 3, 4, 4]);
        for voters in 1..100 {
            assert!(2 * quorum(voters) > voters);
            assert!(2 * (quorum(voters) - 1) <= voters, "no more than needed");
        }
    }

    #[test]
    fn only_voters_count() {
        let voters = [1, 2, 3].map(NodeId);
        assert!(!is_quorum(&BTreeSet::from([1, 7, 8].map(NodeId)), &voters));
        assert!(is_quorum(&BTreeSet::from([1, 3].map(NodeId)), &voters));
    }

    #[test]
    fn a_majority_has_reached_the_middle() {
        assert_eq!(reached_by_quorum(&mut [5, 1, 9]), 5);
        assert_eq!(reached_by_quorum(&mut [5, 1, 9, 7]), 5);
    }
}
