//! Topics as requests name them: by name, or by id.

use std::sync::Arc;

use crate::coordinator::{OFFSETS_TOPIC, SHARE_STATE_TOPIC, TRANSACTIONS_TOPIC};
use crate::metadata::{MetadataImage, TopicImage};
use crate::protocol::ErrorCode;
use crate::wire::Uuid;

/// Kafka's own topics: clients may read them, but not write to them.
pub const INTERNAL: [&str; 3] = [OFFSETS_TOPIC, TRANSACTIONS_TOPIC, SHARE_STATE_TOPIC];

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
