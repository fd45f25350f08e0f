//! Sets of slot numbers: words in place where few slots are open at a time, words on the heap where many are.

use std::hash::Hash;

use smallvec::SmallVec;

/// A set of small numbers.
pub(super) trait Set: Clone + Default + Eq + Hash {
    /// The words in use; beyond them all are zero.
    fn words(&self) -> usize;

    /// 64 members' bits.
    fn word(&self, place: usize) -> u64;

    /// Puts `word` at `place`.
    fn set_word(&mut self, place: usize, word: u64);

    /// Bytes on the heap.
    fn heap_bytes(&self) -> usize {
        0
    }

    fn contains(&self, number: usize) -> bool {
        self.word(number / 64) >> (number % 64) & 1 == 1
    }

    fn insert(&mut self, number: usize) {
        self.set_word(number / 64, self.word(number / 64) | 1 << (number % 64));
    }

    fn remove(&mut self, number: usize) {
        if self.contains(number) {
            self.set_word(number / 64, self.word(number / 64) & !(1 << (number % 64)));
        }
    }

    /// Takes out all that is in `other`.
    fn remove_all(&mut self, other: &Self) {
        for place in 0..self.words() {
            self.set_word(place, self.word(place) & !other.word(place));
        }
    }

    fn is_subset(&self, other: &Self) -> bool {
        (0..self.words()).all(|place| self.word(place) & !other.word(place) == 0)
    }

    /// How many members are in `other` too.
    fn count_in(&self, other: &Self) -> usize {
        (0..self.words()).map(|place| (self.word(place) & other.word(place)).count_ones() as usize).sum()
    }
}

/// Up to 64 * `N` numbers, in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Mask<const N: usize>([u64; N]);

impl<const N: usize> Default for Mask<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> Set for Mask<N> {
    fn words(&self) -> usize {
        N
    }

    fn word(&self, place: usize) -> u64 {
        self.0[place]
    }

    fn set_word(&mut self, place: usize, word: u64) {
        self.0[place] = word;
    }
}

/// Any numbers. Trailing zero words are never kept, so that equal sets are equal and hash alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Bits(SmallVec<[u64; 2]>);

impl Set for Bits {
    fn words(&self) -> usize {
        self.0.len()
    }

    fn word(&self, place: usize) -> u64 {
        self.0.get(place).copied().unwrap_or(0)
    }

    fn set_word(&mut self, place: usize, word: u64) {
        if self.0.len() <= place {
            if word == 0 {
                return;
            }
            self.0.resize(place + 1, 0);
        }
        self.0[place] = word;
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn remove_all(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word &= !other;
        }
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn heap_bytes(&self) -> usize {
        if self.0.spilled() { 8 * self.0.capacity() } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bits, Mask, Set};

    fn of<S: Set>(members: &[usize]) -> S {
        let mut set = S::default();
        members.iter().for_each(|&member| set.insert(member));
        set
    }

    fn obeys_the_laws<S: Set + std::fmt::Debug>() {
        let mut long: S = of(&[3, 200]);
        assert!(long.contains(3) && long.contains(200) && !long.contains(4));
        let short: S = of(&[3]);
        assert!(short.is_subset(&long) && !long.is_subset(&short));
        assert_eq!((long.count_in(&short), long.count_in(&long)), (1, 2));
        long.remove(200);
        long.remove(100);
        assert_eq!(long, short, "sets with the same members are equal however they came about");
        let mut both: S = of(&[3, 130, 7]);
        both.remove_all(&of(&[130, 199, 7]));
        assert_eq!(both, short);
        both.remove_all(&short);
        assert_eq!(both, S::default());
    }

    #[test]
    fn sets_obey_the_laws() {
        obeys_the_laws::<Mask<4>>();
        obeys_the_laws::<Bits>();
    }
}
