//! Why the bench could not do what it was asked to do, and the exit codes that scripts can tell apart.

use std::fmt;

use crate::client::ClientError;

/// Exit code: it could not run: wrong flags, no broker, no disk.
pub const EXIT_FAILED: u8 = 1;
/// Exit code: a promise of `--fail-if` was broken, or the runs are slower than `--baseline`.
pub const EXIT_BROKEN_PROMISE: u8 = 2;
/// Exit code: no promise can be judged, as the runs it needs are invalid.
pub const EXIT_INVALID: u8 = 3;
/// Exit code: acknowledged records were lost, or records duplicated, reordered or corrupted against the promise of their settings.
pub const EXIT_INCORRECT: u8 = 4;
/// Exit code: interrupted; the report holds what was done until then.
pub const EXIT_INTERRUPTED: u8 = 130;

/// Why the bench stops: one sentence with the value and the mend.
#[derive(Debug)]
pub enum BenchError {
    /// A flag, a setting, a scenario or a results file that can't be used.
    Config(String),
    /// The broker: not reachable, died, refused.
    Broker(String),
    /// A file or a directory.
    Io(String),
}

impl BenchError {
    /// An error of a setting.
    pub fn config(text: impl fmt::Display) -> Self {
        BenchError::Config(text.to_string())
    }

    /// An error of the broker.
    pub fn broker(text: impl fmt::Display) -> Self {
        BenchError::Broker(text.to_string())
    }

    /// An error of a file, with its path.
    pub fn io(path: impl AsRef<std::path::Path>, error: impl fmt::Display) -> Self {
        BenchError::Io(format!("{}: {error}", path.as_ref().display()))
    }
}

impl fmt::Display for BenchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BenchError::Config(text) | BenchError::Broker(text) | BenchError::Io(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for BenchError {}

impl From<ClientError> for BenchError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Config(text) => BenchError::Config(text),
            error => BenchError::Broker(error.to_string()),
        }
    }
}
