//! What a topic may be called.

/// The topic of the metadata log: nobody may create it, and no client reads it.
pub const METADATA_TOPIC: &str = "__cluster_metadata";

/// Longest topic name: a directory name has 255 bytes, and the partition index needs some of them.
const NAME_LEN_MAX: usize = 249;

/// Why a name cannot be that of a topic, in Kafka's words; `None` for a good one.
pub fn reason_invalid(name: &str) -> Option<String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    // Kafka counts UTF-16 units; a name with others than ASCII characters is refused anyway.
    let len = name.encode_utf16().count();
    let reason = match name {
        "" => "the empty string is not allowed".into(),
        "." | ".." => format!("'{name}' is not allowed"),
        _ if len > NAME_LEN_MAX => {
            format!("the length of '{name}' is longer than the max allowed length {NAME_LEN_MAX}")
        }
        _ if !name.bytes().all(legal) => {
            format!("'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'")
        }
        _ => return None,
    };
    Some(format!("Topic name is invalid: {reason}"))
}
