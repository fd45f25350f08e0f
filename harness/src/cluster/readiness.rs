//! Whether a cluster is ready for load, by what its nodes say of their leader.

/// What the nodes say when the load may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// All name one leader.
    Agreed,
    /// Each names one, but not all the same.
    Disputed,
}

impl Readiness {
    /// By the leaders that the nodes name; none while one of them knows none.
    pub(super) fn of(leaders: &[Option<u64>]) -> Option<Self> {
        let first = leaders.first().copied().flatten()?;
        if leaders.contains(&None) {
            return None;
        }
        Some(if leaders.iter().all(|leader| *leader == Some(first)) { Self::Agreed } else { Self::Disputed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nodes_say_of_their_leader() {
        assert_eq!(Readiness::of(&[Some(2), Some(2), Some(2)]), Some(Readiness::Agreed));
        assert_eq!(Readiness::of(&[Some(2), Some(2), Some(3)]), Some(Readiness::Disputed));
        assert_eq!(Readiness::of(&[Some(2), None, Some(2)]), None);
        assert_eq!(Readiness::of(&[]), None);
    }
}
