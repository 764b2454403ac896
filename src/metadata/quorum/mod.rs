//! This node's part in the quorum that keeps the metadata log: one voter, itself (KIP-595, KIP-853).
//!
//! | file | what |
//! |---|---|
//! | `state.rs` | `quorum-state`: the epoch and who leads it |
//! | `control.rs` | control records: leader change, `kraft.version`, voters, snapshot header and footer |
//! | `batch.rs` | batches, from a file and to bytes |
//! | `log.rs` | `__cluster_metadata-0`: append, roll, recover |
//! | `snapshot.rs` | `<end offset>-<epoch>.checkpoint` files |
//!
//! With one voter a record is committed when it is on this node's device. Nothing here knows what a metadata
//! record means.

mod batch;
mod control;
mod log;
mod snapshot;
mod state;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::PathBuf;

pub use batch::{LoadedBatch, Payload, metadata_batch};
pub use control::{ControlRecord, Voter, VoterEndpoint, Voters, control_batch};
pub use log::{LogSettings, MetadataLog};
pub use snapshot::{SnapshotFrame, SnapshotId, read_snapshot, write_snapshot};
pub use state::QuorumState;

use crate::metadata::image::ReplayError;
use crate::metadata::records::RecordError;

/// Name of the directory of the metadata log.
pub const LOG_DIRECTORY: &str = "__cluster_metadata-0";

/// Why the metadata log cannot be used.
#[derive(Debug)]
pub enum QuorumError {
    /// The file system says no.
    Io(io::Error),
    /// A file does not hold what it should.
    Damaged {
        /// The file.
        path: PathBuf,
        /// Byte position of the damage.
        position: u64,
        /// What is wrong.
        reason: String,
    },
    /// A record is not understood.
    Record {
        /// Its offset.
        offset: i64,
        /// What is wrong.
        error: RecordError,
    },
    /// A record does not fit those before it.
    Replay {
        /// Its offset.
        offset: i64,
        /// What is wrong.
        error: ReplayError,
    },
    /// This node cannot lead the quorum alone.
    Voters(String),
}

impl fmt::Display for QuorumError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QuorumError::Io(error) => write!(f, "metadata log: {error}"),
            QuorumError::Damaged { path, position, reason } => {
                write!(f, "{} is damaged at byte {position}: {reason}", path.display())
            }
            QuorumError::Record { offset, error } => write!(f, "metadata log, offset {offset}: {error}"),
            QuorumError::Replay { offset, error } => write!(f, "metadata log, offset {offset}: {error}"),
            QuorumError::Voters(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for QuorumError {}

impl From<io::Error> for QuorumError {
    fn from(error: io::Error) -> Self {
        QuorumError::Io(error)
    }
}
