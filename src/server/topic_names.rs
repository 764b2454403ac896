//! Topics as requests name them: by name, or by id.

use std::sync::Arc;

use crate::metadata::{MetadataImage, TopicImage};
use crate::protocol::ErrorCode;
use crate::wire::Uuid;

/// Kafka's own topics: clients may read them, but not write to them.
pub const INTERNAL: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// The topic of the metadata log; no client reads it.
pub const METADATA_LOG: &str = "__cluster_metadata";

/// Whether a topic is one of Kafka's own.
pub fn is_internal(name: &str) -> bool {
    INTERNAL.contains(&name)
}

/// Finds a topic by id if one is given (the id is not zero), else by name.
pub fn find(image: &MetadataImage, name: &str, id: Uuid) -> Result<Arc<TopicImage>, ErrorCode> {
    if id != Uuid::ZERO {
        return image.topics().by_id(&id).cloned().ok_or(ErrorCode::UnknownTopicId);
    }
    image.topics().by_name(name).cloned().ok_or(ErrorCode::UnknownTopicOrPartition)
}

/// Like [`find`], for a version that names topics by their ids alone: no id at all is an unknown one.
pub fn find_by_id(image: &MetadataImage, id: Uuid) -> Result<Arc<TopicImage>, ErrorCode> {
    image.topics().by_id(&id).cloned().ok_or(ErrorCode::UnknownTopicId)
}

/// Longest topic name: a directory name has 255 bytes, and the partition index needs some of them.
const NAME_LEN_MAX: usize = 249;

/// Whether Kafka would take the name for a topic.
pub fn is_valid(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !name.is_empty() && name != "." && name != ".." && name.len() <= NAME_LEN_MAX && name.bytes().all(legal)
}

/// Kafka's sentence about a name that it does not take.
pub fn why_invalid(name: &str) -> String {
    if name.is_empty() {
        return "Topic name is invalid: the empty string is not allowed".to_owned();
    }
    if name == "." || name == ".." {
        return "Topic name is invalid: '.' or '..' is not allowed".to_owned();
    }
    if name.len() > NAME_LEN_MAX {
        return format!(
            "Topic name is invalid: the length of '{name}' is longer than the max allowed length {NAME_LEN_MAX}"
        );
    }
    format!(
        "Topic name is invalid: '{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
    )
}
