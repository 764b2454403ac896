//! Texts that Kafka's tools take from Java: the names of exceptions.

use crate::client::ClientError;
use crate::protocol::ErrorCode;

/// `org.apache.kafka.common.errors.PolicyViolationException: text`, which is what Java prints for a failed future.
pub fn exception(error: &ClientError) -> String {
    match error.code() {
        Some(code) => format!("{}: {error}", class_name(code)),
        None => error.to_string(),
    }
}

/// `org.apache.kafka.common.errors.PolicyViolationException`
pub fn class_name(code: ErrorCode) -> String {
    format!("org.apache.kafka.common.errors.{}", exception_name(code))
}

/// The Java class for an error code: the code in camel case, but for a few.
fn exception_name(code: ErrorCode) -> String {
    let special = match code.name() {
        "TOPIC_ALREADY_EXISTS" => Some("TopicExistsException"),
        "KAFKA_STORAGE_ERROR" => Some("KafkaStorageException"),
        "REQUEST_TIMED_OUT" => Some("TimeoutException"),
        "MESSAGE_TOO_LARGE" => Some("RecordTooLargeException"),
        "CORRUPT_MESSAGE" => Some("CorruptRecordException"),
        "INVALID_CONFIG" => Some("InvalidConfigurationException"),
        "UNKNOWN_SERVER_ERROR" => Some("UnknownServerException"),
        "INVALID_TOPIC_EXCEPTION" => Some("InvalidTopicException"),
        "NON_EMPTY_GROUP" => Some("GroupNotEmptyException"),
        "NETWORK_EXCEPTION" => Some("NetworkException"),
        "SECURITY_DISABLED" => Some("SecurityDisabledException"),
        _ => None,
    };
    if let Some(name) = special {
        return name.to_string();
    }
    let camel = code.name().split('_').map(|word| {
        let (first, rest) = word.split_at(1.min(word.len()));
        format!("{first}{}", rest.to_lowercase())
    });
    let name = camel.collect::<String>();
    match name.strip_suffix("Failed") {
        Some(stem) if !stem.is_empty() => format!("{stem}Exception"),
        _ => format!("{name}Exception"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exception_names_are_those_of_java() {
        assert_eq!(exception_name(ErrorCode::PolicyViolation), "PolicyViolationException");
        assert_eq!(exception_name(ErrorCode::UnknownTopicOrPartition), "UnknownTopicOrPartitionException");
        assert_eq!(exception_name(ErrorCode::TopicAlreadyExists), "TopicExistsException");
    }
}
