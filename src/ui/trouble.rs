//! What goes wrong on the way to an answer: a sentence for the person, and the HTTP status for the program.

use std::fmt;

use axum::http::StatusCode;

use crate::client::ClientError;
use crate::protocol::ErrorCode;

/// Why a page has no answer.
#[derive(Debug)]
pub enum Trouble {
    /// What was asked for isn't there, or not any more.
    Missing(String),
    /// The request makes no sense; the sentence says what would.
    Wrong(String),
    /// It may not be done here.
    Forbidden(String),
    /// Too much is asked at once.
    Busy(String),
    /// The cluster refused, or could not be reached.
    Cluster(ClientError),
}

impl Trouble {
    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Trouble::Missing(_) => StatusCode::NOT_FOUND,
            Trouble::Wrong(_) => StatusCode::BAD_REQUEST,
            Trouble::Forbidden(_) => StatusCode::FORBIDDEN,
            Trouble::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Trouble::Cluster(error) => match (error, error.code()) {
                (ClientError::Missing(_), _) => StatusCode::NOT_FOUND,
                (_, Some(code)) if is_about_absence(code) => StatusCode::NOT_FOUND,
                (_, Some(_)) | (ClientError::Unsupported { .. }, _) => StatusCode::CONFLICT,
                (ClientError::Timeout { .. }, _) => StatusCode::GATEWAY_TIMEOUT,
                _ => StatusCode::BAD_GATEWAY,
            },
        }
    }

    /// What went wrong, in two words.
    pub fn title(&self) -> &'static str {
        match self.status() {
            StatusCode::NOT_FOUND => "Not found",
            StatusCode::BAD_REQUEST => "Not understood",
            StatusCode::FORBIDDEN => "Not allowed",
            StatusCode::SERVICE_UNAVAILABLE => "Busy",
            StatusCode::CONFLICT => "The cluster refused",
            _ => "The cluster does not answer",
        }
    }
}

fn is_about_absence(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::UnknownTopicOrPartition
            | ErrorCode::UnknownTopicId
            | ErrorCode::GroupIdNotFound
            | ErrorCode::TransactionalIdNotFound
            | ErrorCode::InvalidTopicException
    )
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Self {
        Trouble::Cluster(error)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Missing(text) | Trouble::Wrong(text) | Trouble::Forbidden(text) | Trouble::Busy(text) => {
                f.write_str(text)
            }
            Trouble::Cluster(error) => match error.code() {
                Some(code) => write!(f, "{error} ({})", code.name()),
                None => error.fmt(f),
            },
        }
    }
}
