//! A shard's write-ahead log and its group commit: one durable device write for the small appends of all partitions of the core.
//!
//! What it owns: the WAL files and their register, the one write in flight, what gathers meanwhile. What it must not know: logs,
//! segments, partitions (they are numbers and positions here), Kafka's APIs.
//!
//! ```text
//! stage (sync): entry -> gathering frame --one O_DIRECT + O_DSYNC write at a time--> file of the ring -> who waits goes on
//! release: the segments behind a full file's entries are durable -> the file is used again
//! start: every file of the previous life, of whatever shard -> `OldWal`, which each partition asks for the bytes behind its end
//! ```
//! - `format.rs` what is on disk
//! - `ring.rs`   which file is written, which are full, what they still hold; pure
//! - `group.rs`  gathering, writing, waiting
//! - `home.rs`   directories, register, making and removing files
//! - `old.rs`    what the previous broker left
//!
//! While there is no usable file, appends are written through to their segments instead: slower, just as durable. A failed write is
//! never tried again: the WAL is given up until the next start, and what it held is flushed to the segments.

pub mod format;
mod group;
mod home;
mod old;
mod ring;
mod verify;

pub use group::{Entry, Staged, Wal};
pub use home::{WalError, WalHome, WalLoss, WalSettings};
pub use old::OldWal;
pub use ring::Mark;
pub use verify::verify;
