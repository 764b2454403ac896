//! The order in which Java's hash maps give out their keys.
//!
//! Kafka's tools print many things in that order. Scripts compare such output, and it costs little to print the same: the
//! key's hash, folded, picks a bucket of a table whose size follows from the number of keys.

/// Java's `String.hashCode`.
pub fn string_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// Java's hash of a Kafka `TopicPartition`.
pub fn topic_partition_hash(topic: &str, partition: i32) -> i32 {
    31i32.wrapping_add(partition).wrapping_mul(31).wrapping_add(string_hash(topic))
}

/// Sorts `items`, given in the order of insertion, as a default-sized `HashMap` would give them out.
pub fn sort_by_hash<T>(items: &mut [T], hash: impl Fn(&T) -> i32) {
    sort_with_buckets(items, buckets_grown_to(items.len()), hash);
}

/// The same for a map that was created as `new HashMap<>(items.len())`.
pub fn sort_by_hash_presized<T>(items: &mut [T], hash: impl Fn(&T) -> i32) {
    let buckets = items.len().max(1).next_power_of_two();
    let buckets = if items.len() * 4 > buckets * 3 { buckets * 2 } else { buckets };
    sort_with_buckets(items, buckets, hash);
}

/// The same for a map that was copied from another, `new HashMap<>(other)`.
pub fn sort_by_hash_copied<T>(items: &mut [T], hash: impl Fn(&T) -> i32) {
    let room = items.len() * 4 / 3 + 1;
    sort_with_buckets(items, room.next_power_of_two(), hash);
}

fn sort_with_buckets<T>(items: &mut [T], buckets: usize, hash: impl Fn(&T) -> i32) {
    let mask = buckets as u32 - 1;
    items.sort_by_key(|item| {
        let hash = hash(item) as u32;
        (hash ^ (hash >> 16)) & mask
    });
}

/// A table starts with 16 buckets and doubles when it is more than three quarters full.
fn buckets_grown_to(count: usize) -> usize {
    let mut buckets = 16;
    while count * 4 > buckets * 3 {
        buckets *= 2;
    }
    buckets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn string_hash_is_that_of_java() {
        assert_eq!(string_hash(""), 0);
        assert_eq!(string_hash("Ab"), 65 * 31 + 98);
        assert_eq!(string_hash("polygenelubricants"), i32::MIN);
    }

    #[test]
    fn order_is_that_of_a_java_map() {
        let mut keys = ["cleanup.policy", "retention.ms", "min.insync.replicas"];
        sort_by_hash(&mut keys, |key| string_hash(key));
        let buckets: Vec<u32> = keys
            .iter()
            .map(|key| {
                let hash = string_hash(key) as u32;
                (hash ^ (hash >> 16)) & 15
            })
            .collect();
        assert!(buckets.is_sorted());
    }
}
