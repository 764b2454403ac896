//! Partitions as a request names them. It may spread a topic over several entries and name a partition twice; Kafka's
//! answers have each once, and the last entry holds.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;

/// A partition that is asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked<T> {
    /// The last entry about it.
    pub entry: T,
    /// Whether there were others before.
    pub repeated: bool,
}

/// Puts the entries of each topic together, in the order in which topics and partitions come first. A topic is told from
/// another by its `key`, a partition by its index.
pub fn by_topic<K: Hash + Eq + Clone, T>(entries: impl Iterator<Item = (K, i32, T)>) -> Vec<(K, Vec<Asked<T>>)> {
    let mut grouped: Vec<(K, Vec<Asked<T>>)> = Vec::new();
    let mut topics: HashMap<K, usize> = HashMap::new();
    let mut partitions: HashMap<(usize, i32), usize> = HashMap::new();
    for (key, index, entry) in entries {
        let topic = *topics.entry(key).or_insert_with_key(|key| {
            grouped.push((key.clone(), Vec::new()));
            grouped.len() - 1
        });
        let asked = &mut grouped[topic].1;
        match partitions.entry((topic, index)) {
            Entry::Occupied(place) => asked[*place.get()] = Asked { entry, repeated: true },
            Entry::Vacant(place) => {
                place.insert(asked.len());
                asked.push(Asked { entry, repeated: false });
            }
        }
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_topic_and_partition_comes_once_and_the_last_entry_holds() {
        let entries = [("b", 1, 'v'), ("a", 0, 'w'), ("b", 0, 'x'), ("b", 1, 'y'), ("a", 1, 'z')];
        let asked = |entry, repeated| Asked { entry, repeated };
        let expected =
            vec![("b", vec![asked('y', true), asked('x', false)]), ("a", vec![asked('w', false), asked('z', false)])];
        assert_eq!(by_topic(entries.into_iter()), expected);
    }
}
