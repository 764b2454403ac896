//! Everything that can go wrong between a tool and a cluster, each with a sentence for the person at the terminal.

use std::fmt;
use std::io;

use crate::protocol::ErrorCode;

/// Why a call to the cluster failed. `Display` is the whole sentence that a tool prints.
#[derive(Debug)]
pub enum ClientError {
    /// A setting is wrong; the text names the key, the value and the mend.
    Config(String),
    /// No bootstrap server or no known broker could be reached in time.
    Unreachable {
        /// The bootstrap servers.
        addresses: String,
        /// How long we tried.
        timeout_ms: u64,
        /// What the last try ended with.
        last: Option<io::Error>,
    },
    /// A connection broke in the middle of a call.
    Disconnected {
        /// The broker.
        address: String,
        /// What the socket said.
        source: io::Error,
    },
    /// The broker did not answer in time.
    Timeout {
        /// The broker.
        address: String,
        /// The request it got.
        api: &'static str,
        /// How long we waited.
        timeout_ms: u64,
    },
    /// The broker's answer could not be read.
    BadResponse {
        /// The broker.
        address: String,
        /// The request it answered.
        api: &'static str,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The broker doesn't know this request, or no version of it that we know.
    Unsupported {
        /// The request.
        api: &'static str,
    },
    /// The broker answered with an error code; `message` is its own text, or Kafka's usual one for the code.
    Server {
        /// The code.
        code: ErrorCode,
        /// The sentence.
        message: String,
    },
    /// Something the call needed isn't there (a topic, a broker id).
    Missing(String),
}

impl ClientError {
    /// The error for a response's code and optional message; `None` for code 0.
    pub fn from_code(code: i16, message: Option<&str>) -> Option<Self> {
        if code == 0 {
            return None;
        }
        let code = ErrorCode::from_code(code);
        let message = match message {
            Some(text) if !text.is_empty() => text.to_string(),
            _ => code.message().to_string(),
        };
        Some(ClientError::Server { code, message })
    }

    /// `Err` for a response's code and optional message, `Ok` for code 0.
    pub fn check(code: i16, message: Option<&str>) -> Result<(), Self> {
        Self::from_code(code, message).map_or(Ok(()), Err)
    }

    /// Whether trying again, perhaps after fresh metadata, may help.
    pub fn is_retriable(&self) -> bool {
        match self {
            ClientError::Disconnected { .. } | ClientError::Timeout { .. } => true,
            ClientError::Server { code, .. } => code.is_retriable(),
            _ => false,
        }
    }

    /// The broker's error code, if it was the broker that refused.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            ClientError::Server { code, .. } => Some(*code),
            _ => None,
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Config(text) | ClientError::Missing(text) => f.write_str(text),
            ClientError::Unreachable { addresses, timeout_ms, last } => {
                write!(f, "no broker answered at {addresses} within {timeout_ms} ms")?;
                match last {
                    Some(error) => write!(f, ": {error}"),
                    None => Ok(()),
                }
            }
            ClientError::Disconnected { address, source } => write!(f, "connection to {address} broke: {source}"),
            ClientError::Timeout { address, api, timeout_ms } => {
                write!(f, "{address} did not answer {api} within {timeout_ms} ms")
            }
            ClientError::BadResponse { address, api, reason } => {
                write!(f, "the answer of {address} to {api} could not be read: {reason}")
            }
            ClientError::Unsupported { api } => write!(f, "The node does not support {api}"),
            ClientError::Server { message, .. } => f.write_str(message),
        }
    }
}

impl std::error::Error for ClientError {}
