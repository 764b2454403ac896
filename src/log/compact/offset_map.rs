//! The newest offset of each key: what a compaction knows of the part of the log that it reads first.
//!
//! The keys themselves are kept, not digests of them: two keys can't be taken for one. The memory is bounded; a map that is
//! full ends the part that this compaction looks at, and the next one goes on from there.

use std::collections::HashMap;

/// What an entry costs besides the bytes of its key: the table, the pointer, the allocation.
const ENTRY_BYTES: usize = 64;

/// Keys and their newest offsets.
#[derive(Debug, Default)]
pub struct OffsetMap {
    offsets: HashMap<Box<[u8]>, i64>,
    bytes: usize,
    bytes_max: usize,
}

impl OffsetMap {
    /// An empty map for about `bytes_max` bytes (`log.cleaner.dedupe.buffer.size` over `log.cleaner.threads`).
    pub fn new(bytes_max: usize) -> OffsetMap {
        OffsetMap { bytes_max, ..OffsetMap::default() }
    }

    /// Notes that `key` is at `offset`, which is beyond all that were noted. False if there is no room: then nothing changed.
    /// The first key always has room.
    pub fn put(&mut self, key: &[u8], offset: i64) -> bool {
        if let Some(newest) = self.offsets.get_mut(key) {
            *newest = offset;
            return true;
        }
        let bytes = self.bytes + key.len() + ENTRY_BYTES;
        if bytes > self.bytes_max && !self.offsets.is_empty() {
            return false;
        }
        self.bytes = bytes;
        self.offsets.insert(key.into(), offset);
        true
    }

    /// The newest offset of `key`, if it was noted.
    pub fn newest(&self, key: &[u8]) -> Option<i64> {
        self.offsets.get(key).copied()
    }

    /// How many keys.
    pub fn len(&self) -> usize {
        self.offsets.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_map_takes_known_keys_only() {
        let mut map = OffsetMap::new(2 * (ENTRY_BYTES + 1));
        assert!(map.put(b"a", 0) && map.put(b"b", 1));
        assert!(!map.put(b"c", 2));
        assert!(map.put(b"a", 3));
        assert_eq!((map.newest(b"a"), map.newest(b"c"), map.len()), (Some(3), None, 2));
    }

    #[test]
    fn one_key_always_has_room() {
        let mut map = OffsetMap::new(0);
        assert!(map.put(&[7; 100], 0));
        assert!(!map.put(b"b", 1));
    }
}
