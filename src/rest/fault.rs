//! What goes wrong, as REST Proxy tells it: an HTTP status, an `error_code` that begins with it, and a sentence.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::call::answer;
use crate::client::ClientError;
use crate::protocol::ErrorCode;
use crate::ui::Trouble;

/// Codes of REST Proxy that say more than their HTTP status.
pub(super) mod code {
    /// Kafka refused what was asked for.
    pub const REFUSED: u32 = 40002;
    /// Nobody is logged in.
    pub const NO_LOGIN: u32 = 40101;
    /// It may not be done here.
    pub const NOT_ALLOWED: u32 = 40301;
    /// No such partition.
    pub const NO_PARTITION: u32 = 40402;
    /// No such topic.
    pub const NO_TOPIC: u32 = 40403;
    /// The whole batch makes no sense.
    pub const WRONG_BATCH: u32 = 42208;
    /// Kafka does not answer; trying again may help.
    pub const NO_ANSWER: u32 = 50003;
    /// Any other trouble with Kafka.
    pub const KAFKA: u32 = 50002;
}

/// Why a request, or one record of it, has no good answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// An HTTP status, or one with two digits behind it.
    pub code: u32,
    /// The sentence.
    pub message: String,
}

impl Fault {
    pub(super) fn new(code: u32, message: impl Into<String>) -> Fault {
        Fault { code, message: message.into() }
    }

    /// The status of an answer that has nothing else to tell.
    pub(super) fn status(&self) -> StatusCode {
        let status = if self.code < 1000 { self.code } else { self.code / 100 };
        let status = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok());
        status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(super) fn body(&self) -> Value {
        json!({ "error_code": self.code, "message": self.message })
    }

    /// The topic isn't there.
    pub(super) fn no_topic(topic: &str) -> Fault {
        Fault::new(code::NO_TOPIC, format!("there is no topic {topic} in this cluster"))
    }

    /// The topic has no such partition.
    pub(super) fn no_partition(topic: &str, partition: impl std::fmt::Display, count: usize) -> Fault {
        Fault::new(code::NO_PARTITION, format!("topic {topic} has no partition {partition}: it has {count}"))
    }

    /// What `error` means for a question about `topic`.
    pub(super) fn of_topic(topic: &str, error: impl Into<Fault>) -> Fault {
        let fault = error.into();
        if fault.code == code::NO_TOPIC { Fault::no_topic(topic) } else { fault }
    }
}

/// The code for a code of Kafka's.
fn of_kafka(kafka: ErrorCode) -> u32 {
    match kafka {
        ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId => code::NO_TOPIC,
        ErrorCode::GroupIdNotFound => 404,
        ErrorCode::TopicAuthorizationFailed
        | ErrorCode::GroupAuthorizationFailed
        | ErrorCode::ClusterAuthorizationFailed
        | ErrorCode::TransactionalIdAuthorizationFailed => code::NOT_ALLOWED,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => 413,
        ErrorCode::UnknownServerError | ErrorCode::KafkaStorageError => code::KAFKA,
        kafka if kafka.is_retriable() => code::NO_ANSWER,
        _ => code::REFUSED,
    }
}

impl From<&ClientError> for Fault {
    fn from(error: &ClientError) -> Fault {
        match error {
            ClientError::Server { code, message } if *code == ErrorCode::MessageTooLarge => {
                Fault::new(of_kafka(*code), format!("{message} (the topic's max.message.bytes sets it)"))
            }
            ClientError::Server { code, message } => Fault::new(of_kafka(*code), message.clone()),
            ClientError::Missing(text) => Fault::new(404, text.clone()),
            ClientError::Disconnected { .. } | ClientError::Timeout { .. } | ClientError::Unreachable { .. } => {
                Fault::new(code::NO_ANSWER, error.to_string())
            }
            _ => Fault::new(code::KAFKA, error.to_string()),
        }
    }
}

impl From<ClientError> for Fault {
    fn from(error: ClientError) -> Fault {
        Fault::from(&error)
    }
}

impl From<Trouble> for Fault {
    fn from(trouble: Trouble) -> Fault {
        match trouble {
            Trouble::Missing(text) => Fault::new(404, text),
            Trouble::Wrong(text) => Fault::new(400, text),
            Trouble::Forbidden(text) => Fault::new(code::NOT_ALLOWED, text),
            Trouble::Busy(text) => Fault::new(429, text),
            Trouble::Cluster(error) => error.into(),
        }
    }
}

/// Marks an answer as an error for the guard, which counts them.
#[derive(Clone, Copy, Debug)]
pub(super) struct IsFault;

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = answer(self.status(), &self.body());
        response.extensions_mut().insert(IsFault);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_the_beginning_of_the_code() {
        let status = |code| Fault::new(code, "").status().as_u16();
        assert_eq!([400, 40002, 40403, 42208, 50003].map(status), [400, 400, 404, 422, 500]);
        assert_eq!(status(7), 500);
    }

    #[test]
    fn a_topic_that_is_not_there_is_named() {
        let error = |code: ErrorCode| ClientError::Server { code, message: code.message().to_owned() };
        let fault = Fault::of_topic("orders", error(ErrorCode::UnknownTopicOrPartition));
        assert_eq!((fault.code, fault.message.as_str()), (40403, "there is no topic orders in this cluster"));
        let fault = Fault::of_topic("orders", error(ErrorCode::TopicAuthorizationFailed));
        assert_eq!(fault.status(), StatusCode::FORBIDDEN);
    }
}
