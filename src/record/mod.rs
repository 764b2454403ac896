//! Record batch v2: read, check, build, compress; pure (protocol guide, "Record Batch"; KIP-98).
//!
//! A batch is a header of 61 bytes ([`BatchHeader`], drawn in `header.rs`) and the records behind it, compressed as one piece
//! or not at all. The broker treats the records as opaque bytes wherever it can: a produced batch is checked once
//! ([`validate`]), gets its base offset and leader epoch patched into the header, and stays as it is from then on, on disk and
//! on the wire.
//!
//! - `header.rs`    the header, walking over batches in a slice, patching
//! - `varint.rs`    zigzag varints
//! - `records.rs`   the records inside a batch, borrowed
//! - `codec.rs`     gzip, snappy, lz4, zstd with a bound on what comes out
//! - `builder.rs`   records -> batch
//! - `control.rs`   transaction markers and the quorum's control records
//! - `validate.rs`  what a leader checks before it appends (the rules of `LogValidator`)
//! - `walk.rs`      its pass over the records
//! - `rejection.rs` why a batch is refused
//!
//! Nothing here does I/O, knows the time, or knows error codes: errors carry facts, the server maps them.

mod builder;
mod codec;
pub mod compacted;
mod control;
mod header;
mod records;
mod rejection;
mod validate;
mod varint;
mod walk;

#[cfg(test)]
mod golden;

pub use builder::{BatchBuilder, HeaderRef};
pub use codec::{CodecError, Compression, Decompressor, compress};
pub use control::{ControlRecordType, EndTxnMarker, Verification, end_txn_marker};
pub use header::{
    BASE_OFFSET_AND_LENGTH_LEN, Batch, BatchHeader, Batches, HEADER_LEN, HeaderError, TimestampType, assign_offset,
    check_crc, set_max_timestamp,
};
pub use records::{Headers, MalformedRecord, Record, RecordIter, decode_records};
pub use rejection::{BatchError, RecordError, Rejection};
pub use validate::{
    BatchRules, Depth, Origin, SentBatch, TargetCompression, ValidBatch, codec_of_first_batch, validate,
};

/// The producer id of a batch that has no idempotent producer.
pub const NO_PRODUCER_ID: i64 = -1;
/// The producer epoch of a batch that has no idempotent producer.
pub const NO_PRODUCER_EPOCH: i16 = -1;
/// The base sequence of a batch that has no idempotent producer, and of control batches.
pub const NO_SEQUENCE: i32 = -1;
/// "No timestamp" in records, batches and answers.
pub const NO_TIMESTAMP: i64 = -1;
/// "No leader epoch": what producers write, and what a log without epochs answers.
pub const NO_LEADER_EPOCH: i32 = -1;

/// CRC-32C (Castagnoli), the checksum of record batches and of producer snapshots.
///
/// `crc-fast` folds with carry-less multiplication: 3 to 4 times the rate of the `crc32` instruction on large batches, see
/// `benches/record.rs`.
#[inline]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// The sequence number `count` records after `sequence`; sequences wrap from `i32::MAX` to 0.
///
/// ```
/// assert_eq!(millrace::record::increment_sequence(7, 3), 10);
/// assert_eq!(millrace::record::increment_sequence(i32::MAX, 1), 0);
/// ```
#[inline]
pub fn increment_sequence(sequence: i32, count: i32) -> i32 {
    (sequence.wrapping_add(count)) & i32::MAX
}
