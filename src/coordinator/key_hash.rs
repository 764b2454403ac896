//! Which partition of an internal topic a group or a transactional id belongs to. All brokers and clients of a cluster must
//! agree, so it is Java's.

/// Java's `String.hashCode`: over UTF-16 units, wrapping.
pub fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// The partition of `key` among `partitions`; Kafka takes 0 for the absolute value of the smallest number.
pub fn partition_for(key: &str, partitions: i32) -> i32 {
    java_hash(key).checked_abs().unwrap_or(0) % partitions.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_javas() {
        assert_eq!(java_hash(""), 0);
        assert_eq!(java_hash("group"), 98_629_247);
        assert_eq!(java_hash("console-consumer-1"), {
            // Worked by hand: s[0]*31^(n-1) + ... + s[n-1].
            "console-consumer-1".bytes().fold(0i32, |hash, byte| hash.wrapping_mul(31).wrapping_add(i32::from(byte)))
        });
        // One character outside of the basic plane is two units.
        assert_eq!(java_hash("\u{1f600}"), 0xd83d * 31 + 0xde00);
    }

    #[test]
    fn the_smallest_number_has_a_partition() {
        // The known string whose hash is i32::MIN.
        assert_eq!(java_hash("polygenelubricants"), i32::MIN);
        assert_eq!(partition_for("polygenelubricants", 50), 0);
        assert_eq!(partition_for("group", 50), 98_629_247 % 50);
    }
}
