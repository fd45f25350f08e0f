//! Memory by capacity: what containers hold, and growth that asks first.

use std::collections::HashMap;

/// Bytes up to which a vector doubles; beyond, it grows by an eighth, so that a budget can be used nearly to its end.
const DOUBLES_TO: usize = 1 << 18;

/// Makes room for `more` items in `items` where `spare` bytes allow it, or says that they do not.
pub(super) fn make_room<T>(items: &mut Vec<T>, more: usize, spare: usize) -> bool {
    if items.capacity() - items.len() >= more {
        return true;
    }
    let held = items.capacity() * size_of::<T>();
    let growth = if held <= DOUBLES_TO { items.capacity() } else { items.capacity() / 8 };
    for growth in [growth.max(more).max(16), more] {
        // From the length on, not from the capacity.
        let room = items.capacity() - items.len() + growth;
        if growth * size_of::<T>() <= spare {
            items.reserve_exact(room);
            return true;
        }
    }
    false
}

/// Bytes that a hash map of this capacity holds: entries and one control byte for each bucket, seven eighths of which
/// may be full; buckets are a power of two.
pub(super) fn table_bytes(capacity: usize, entry_bytes: usize) -> usize {
    match capacity {
        0 => 0,
        1..8 => (capacity + 1) * (entry_bytes + 1) + 32,
        _ => (capacity * 8 / 7).next_power_of_two() * (entry_bytes + 1) + 32,
    }
}

pub(super) fn map_bytes<K, V, H>(map: &HashMap<K, V, H>) -> usize {
    table_bytes(map.capacity(), size_of::<(K, V)>())
}

/// What inserting into a table of this length and capacity may cost: while it grows, the old table is still there.
pub(super) fn table_growth_bytes(len: usize, capacity: usize, entry_bytes: usize) -> usize {
    if len < capacity { 0 } else { table_bytes((2 * capacity).max(3), entry_bytes) }
}
