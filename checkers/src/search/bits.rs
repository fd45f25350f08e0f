//! Small sets of slot numbers.

use smallvec::SmallVec;

/// A set of small numbers. Trailing zero words are never kept, so that equal sets are equal and hash alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Bits(SmallVec<[u64; 2]>);

impl Bits {
    pub(super) fn contains(&self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    pub(super) fn insert(&mut self, number: usize) {
        let word = number / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (number % 64);
    }

    pub(super) fn remove(&mut self, number: usize) {
        if let Some(word) = self.0.get_mut(number / 64) {
            *word &= !(1 << (number % 64));
        }
        self.trim();
    }

    /// Adds all of `other` that is not in `except`.
    pub(super) fn insert_all_except(&mut self, other: &Self, except: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (place, &word) in other.0.iter().enumerate() {
            self.0[place] |= word & !except.word(place);
        }
        self.trim();
    }

    pub(super) fn word(&self, place: usize) -> u64 {
        self.0.get(place).copied().unwrap_or(0)
    }

    pub(super) fn words(&self) -> usize {
        self.0.len()
    }

    /// How many members are in `other` too.
    pub(super) fn count_in(&self, other: &Self) -> usize {
        self.0.iter().zip(&other.0).map(|(word, other)| (word & other).count_ones() as usize).sum()
    }

    /// The members that are in `other`, and those that are not.
    pub(super) fn split(&self, other: &Self) -> (Self, Self) {
        let part = |keep: fn(u64, u64) -> u64| {
            let mut part =
                Self(self.0.iter().enumerate().map(|(place, &word)| keep(word, other.word(place))).collect());
            part.trim();
            part
        };
        (part(|word, other| word & other), part(|word, other| word & !other))
    }

    pub(super) fn is_subset(&self, other: &Self) -> bool {
        self.0.iter().enumerate().all(|(place, word)| word & !other.word(place) == 0)
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        if self.0.spilled() { 8 * self.0.capacity() } else { 0 }
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Bits;

    #[test]
    fn sets_with_the_same_members_are_equal_however_they_came_about() {
        let mut long = Bits::default();
        long.insert(3);
        long.insert(200);
        assert!(long.contains(3) && long.contains(200) && !long.contains(4) && !long.contains(1000));
        long.remove(200);
        let mut short = Bits::default();
        short.insert(3);
        assert_eq!(long, short);
        let mut union = Bits::default();
        let mut both = Bits::default();
        both.insert(3);
        both.insert(130);
        union.insert_all_except(&both, &short);
        assert_eq!(both.split(&short), (short.clone(), union.clone()));
        assert!(short.is_subset(&both) && !both.is_subset(&short) && union.is_subset(&both));
        assert_eq!((both.count_in(&short), both.count_in(&both)), (1, 2));
        assert!(!union.contains(3) && union.contains(130));
    }
}
