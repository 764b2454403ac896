//! One partition's log: Kafka's own files in front, a tail in shared memory behind them.
//!
//! What it owns: everything inside a log directory (segments, indexes, checkpoints, `meta.properties`), the tail chunks of a
//! shard, recovery. What it must not know: Kafka's APIs, error codes, producers, high watermarks (those are `partition/`).
//!
//! ```text
//! append (sync): header fields from the caller + ONE copy  ->  open chunk (tmpfs)  --O_DIRECT, own ring-->  <base>.log
//! read   (sync): offset -> byte range of a segment -> slices: tail memory (Bytes) | FileSlice { file, position, len }
//! commit         : into the shard's WAL if it is small, else through the segment
//! flush (ticket): write what is not written, sync what is not synced, gather what arrives meanwhile
//! ```
//!
//! # How the rest of the house uses it
//! Start, in this order:
//! 1. [`LogDirs::open`] once, before any executor (blocking, quick): locks, `meta.properties`, which partitions exist, what a
//!    killed process left in the tail.
//! 2. [`Storage::start`] on every shard, inside its executor: disk ring, tail region, housekeeping task.
//! 3. [`Log::open`] (found on disk) or [`Log::create`] (new) on the shard that owns the partition.
//! 4. [`LogDirs::loaded`] once, when every log is open: forgets the old tail files.
//!
//! Then [`Log::append`], [`Log::read`], [`Log::commit`]. Stop: [`Log::close`] each, [`Storage::stop`] each shard,
//! [`LogDirs::close_clean`] last.
//!
//! A [`Log`] lives on one shard (`!Send`), its methods take `&self` and hold no borrow over an await. Each operation is plan
//! (sync), perform (awaited, owns its data), apply (sync).

mod append;
mod beside;
mod commit;
mod compact;
mod dir;
mod dirs;
mod edges;
mod epochs;
mod flush;
pub mod format;
mod index;
mod lifecycle;
mod load;
mod meta_properties;
mod old_tail;
mod partition_log;
mod place;
mod read;
mod removal;
mod scan;
mod sealed;
mod segment;
mod storage;
mod tail;
mod tail_room;
#[cfg(test)]
pub(crate) mod testing;
mod timestamp;
mod types;
mod verify;
mod whereabouts;
mod writer;

pub use append::{AppendBatch, AppendError, Appended};
pub use compact::{AbortedRange, Compacted, CompactionBudget, Knowledge, LastBatch};
pub use dir::LogDir;
pub use dirs::{FoundPartition, LogDirs, LogDirsError, LogDirsSettings};
pub use flush::FlushTicket;
pub use meta_properties::{MetaProperties, MetaPropertiesError};
pub use partition_log::Log;
pub use place::Occasion;
pub use read::{ColdRead, FileSlice, FirstBatch, Read, ReadError, ReadRequest, ReadResult, ReadSlice};
pub use removal::Leaving;
pub use storage::{Storage, StorageSettings, tail_bytes_default};
pub use tail_room::storage_settings;
pub use types::{LogConfig, LogError, PartitionId, Recovery, SegmentInfo};
pub use verify::{Finding, Verified, verify_log_dir};

#[cfg(test)]
mod tests;
