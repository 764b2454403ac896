//! What an operation of the controller refuses, in Kafka's code and words.

use crate::protocol::ErrorCode;
use crate::wire::KafkaString;

/// An error code and, maybe, a text for a person. Kafka leaves the text out where it adds nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    /// Kafka's code.
    pub code: ErrorCode,
    /// What to tell.
    pub message: Option<KafkaString>,
}

impl ApiError {
    /// No error.
    pub const NONE: ApiError = ApiError { code: ErrorCode::None, message: None };

    /// An error with its own text.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> ApiError {
        ApiError { code, message: Some(KafkaString::from(message.into())) }
    }

    /// An error with the default text of its code.
    pub fn default_text(code: ErrorCode) -> ApiError {
        ApiError { code, message: Some(KafkaString::from(code.message())) }
    }

    /// An error without a text.
    pub fn bare(code: ErrorCode) -> ApiError {
        ApiError { code, message: None }
    }

    /// Whether it is an error.
    pub fn is_failure(&self) -> bool {
        self.code != ErrorCode::None
    }

    /// The error of a result.
    pub fn of(result: Result<(), ApiError>) -> ApiError {
        result.err().unwrap_or(ApiError::NONE)
    }
}
