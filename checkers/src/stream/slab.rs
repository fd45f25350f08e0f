//! Places for what comes and goes, under names that are never used twice.

/// The name of something in a [`Slab`]. When it was removed, the name leads to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Id {
    number: u64,
    place: u32,
}

/// Values under names. Everything in O(1); places are used again, names are not.
#[derive(Clone, Debug)]
pub(super) struct Slab<T> {
    places: Vec<Option<(u64, T)>>,
    free: Vec<u32>,
    next: u64,
}

impl<T> Slab<T> {
    pub(super) fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new(), next: 0 }
    }

    pub(super) fn insert(&mut self, value: T) -> Id {
        let number = self.next;
        self.next += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            u32::try_from(self.places.len() - 1).expect("fewer than 2^32 things are alive at a time")
        });
        self.places[place as usize] = Some((number, value));
        Id { number, place }
    }

    pub(super) fn get(&self, id: Id) -> Option<&T> {
        self.places[id.place as usize].as_ref().filter(|(number, _)| *number == id.number).map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        self.places[id.place as usize].as_mut().filter(|(number, _)| *number == id.number).map(|(_, value)| value)
    }

    pub(super) fn remove(&mut self, id: Id) -> Option<T> {
        self.get(id)?;
        self.free.push(id.place);
        self.places[id.place as usize].take().map(|(_, value)| value)
    }

    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::Slab;

    #[test]
    fn a_name_is_never_used_again() {
        let mut slab = Slab::new();
        let old = slab.insert("a");
        assert_eq!(slab.remove(old), Some("a"));
        let new = slab.insert("b");
        assert_eq!((slab.get(old), slab.get(new), slab.len()), (None, Some(&"b"), 1));
        assert_eq!(slab.remove(old), None);
    }
}
