//! What a leader checks before it appends a batch: the rules of Kafka's `LogValidator` and of the produce path before it.
//!
//! The usual batch is appended as it is: one pass over the CRC, one over the records (decompressed for the purpose), and a
//! header with a few patched fields. It is rebuilt only when the topic wants another codec.
//!
//! Two odd rules are Kafka's own: offset deltas of uncompressed records are not looked at, and a wrong max timestamp is put
//! right, not refused. One thing is stricter than Kafka, which skims compressed records: their lengths have to add up.

use bytes::{Bytes, BytesMut};

use super::builder::BatchBuilder;
use super::codec::{Compression, Decompressor, compress};
use super::header::{Batch, BatchHeader, Batches, HEADER_LEN, HeaderError, TimestampType};
use super::records::RecordIter;
use super::walk::{Times, walk_records};
use super::{NO_TIMESTAMP, check_crc};

use super::rejection::BatchError;

/// Who appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A producer: everything is checked.
    Client,
    /// A coordinator of this broker: control batches and any offsets are fine.
    Coordinator,
    /// The leader, whose batches are taken as they are (see `partition/`); [`validate`] is not called for them.
    Replication,
}

/// How deep a batch is checked (`millrace.batch.validation`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// Every record, as Kafka does.
    #[default]
    Full,
    /// The header and the CRC. Keys of compacted topics are not looked at, timestamps only as the header gives them.
    Header,
}

/// What `compression.type` of the topic makes of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetCompression {
    /// It stays as the producer sent it.
    #[default]
    Producer,
    /// It is compressed like this, or not at all.
    Codec {
        /// The codec.
        codec: Compression,
        /// The level of `compression.<codec>.level`.
        level: i32,
    },
}

/// The rules of a topic for the batches appended to it.
#[derive(Clone, Copy, Debug)]
pub struct BatchRules {
    /// Who appends.
    pub origin: Origin,
    /// `millrace.batch.validation`.
    pub depth: Depth,
    /// `max.message.bytes`: the batch with its header.
    pub max_message_bytes: usize,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// Whether every record needs a key (`cleanup.policy` has "compact").
    pub compacted: bool,
    /// `compression.type` and its level.
    pub target: TargetCompression,
    /// What a batch may have at most when decompressed.
    pub decompressed_bytes_max: usize,
}

impl Default for BatchRules {
    /// Kafka's defaults; 100 MiB decompressed, as `socket.request.max.bytes`.
    fn default() -> Self {
        Self {
            origin: Origin::Client,
            depth: Depth::Full,
            max_message_bytes: 1_048_588,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            compacted: false,
            target: TargetCompression::Producer,
            decompressed_bytes_max: 100 << 20,
        }
    }
}

/// A batch that may be appended: a slice of what the producer sent, unless the broker had to change more than the two fields
/// that the log patches as it copies the batch (base offset and leader epoch).
#[derive(Clone, Debug)]
pub struct ValidBatch {
    /// The header. Base offset and leader epoch are still the producer's.
    pub header: BatchHeader,
    /// The whole batch.
    pub bytes: Bytes,
    /// The time that the broker gave to the batch, [`NO_TIMESTAMP`] for CreateTime; goes into the answer.
    pub log_append_time_ms: i64,
    /// Whether the records were compressed anew.
    pub rebuilt: bool,
    /// How it came.
    pub sent: SentBatch,
}

/// What a batch was like when it came, whatever has become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentBatch {
    /// The whole batch.
    pub bytes: usize,
    /// From its first to its latest timestamp, as its header says.
    pub span_ms: i64,
    /// The records' codec.
    pub codec: Compression,
    /// Whether it has a producer id.
    pub has_producer_id: bool,
}

impl SentBatch {
    fn new(batch: &Batch<'_>, codec: Compression) -> SentBatch {
        let Batch { header, bytes, .. } = batch;
        SentBatch {
            bytes: bytes.len(),
            span_ms: header.max_timestamp.saturating_sub(header.base_timestamp),
            codec,
            has_producer_id: header.has_producer_id(),
        }
    }
}

/// The codec of the first batch in the records of a produce request, for the versions that may not use zstd (Produce 0 to 6).
pub fn codec_of_first_batch(records: &[u8]) -> Option<Compression> {
    let batch = Batches::new(records).next()?.ok()?;
    batch.header.codec().ok()
}

/// Checks `records`, what a produce request holds for one partition, by the rules of its topic.
///
/// There has to be exactly one whole batch; bytes of a second one that is cut short are ignored, as in Kafka.
pub fn validate(
    records: &Bytes,
    rules: &BatchRules,
    now_ms: i64,
    decompressor: &mut Decompressor,
) -> Result<ValidBatch, BatchError> {
    let batch = single_batch(records)?;
    let header = check_envelope(&batch, rules)?;
    let codec = header.codec().map_err(BatchError::UnknownCodec)?;
    if rules.origin == Origin::Client {
        check_client_fields(&header)?;
    }
    let sent = SentBatch::new(&batch, codec);
    let mut plan = Plan::new(codec, &header, rules);
    if rules.depth == Depth::Header && plan.keeps_records {
        let stored = records.slice(..batch.bytes.len());
        return check_times_of_header(header, stored, sent, rules, now_ms);
    }
    let plain = match codec {
        Compression::None => batch.records(),
        codec => decompressor.decompress(codec, batch.records(), rules.decompressed_bytes_max)?,
    };
    let walk = walk_records(&header, plain, rules, now_ms)?;
    if codec != Compression::None && !walk.offsets_in_order {
        // Kafka would have to rebuild the batch, but can't since it skipped the keys and values.
        if plan.keeps_records {
            return Err(BatchError::InnerOffsets);
        }
        plan.copies_records = false;
    }
    plan.copies_records &= walk.offsets_in_order;

    let (mut header, mut stored) = (header, records.slice(..batch.bytes.len()));
    if !plan.keeps_records {
        (header, stored) = rebuild(&header, plain, &plan);
        check_size(stored.len(), rules)?;
    }
    header.max_timestamp = walk.max_timestamp;
    Ok(ValidBatch { rebuilt: !plan.keeps_records, ..finish(header, stored, sent, rules, now_ms) })
}

/// What becomes of the records.
struct Plan {
    codec: Compression,
    level: i32,
    /// They stay as they are, compressed or not.
    keeps_records: bool,
    /// They get another codec, but their bytes stay.
    copies_records: bool,
}

impl Plan {
    fn new(source: Compression, header: &BatchHeader, rules: &BatchRules) -> Self {
        let (codec, level) = match rules.target {
            TargetCompression::Producer => (source, 0),
            TargetCompression::Codec { codec, level } => (codec, level),
        };
        // Control records are not compressed if they did not come so.
        let plain_control = source == Compression::None && header.is_control();
        Self { codec, level, keeps_records: codec == source || plain_control, copies_records: true }
    }
}

/// The one batch of a produce request.
fn single_batch(records: &[u8]) -> Result<Batch<'_>, BatchError> {
    let mut batches = Batches::new(records);
    let first = match batches.next() {
        None => return Err(BatchError::NoBatch),
        Some(Err(HeaderError::Magic(magic @ 0..=1))) => return Err(BatchError::OldMagic(magic)),
        Some(Err(e)) => return Err(BatchError::Header(e)),
        Some(Ok(batch)) => batch,
    };
    match batches.next() {
        None => Ok(first),
        Some(Ok(_)) | Some(Err(HeaderError::Magic(0..=1))) => Err(BatchError::MoreThanOne),
        Some(Err(e)) => Err(BatchError::Header(e)),
    }
}

/// Base offset, size and CRC, in the order in which Kafka looks at them.
fn check_envelope(batch: &Batch<'_>, rules: &BatchRules) -> Result<BatchHeader, BatchError> {
    let header = batch.header;
    if rules.origin == Origin::Client && header.base_offset != 0 {
        return Err(BatchError::BaseOffset(header.base_offset));
    }
    check_size(batch.bytes.len(), rules)?;
    check_crc(batch.bytes).map_err(|(stored, computed)| BatchError::Crc { stored, computed })?;
    Ok(header)
}

fn check_size(size: usize, rules: &BatchRules) -> Result<(), BatchError> {
    let size_max = rules.max_message_bytes;
    if size > size_max {
        return Err(BatchError::TooLarge { size, size_max });
    }
    Ok(())
}

fn check_client_fields(header: &BatchHeader) -> Result<(), BatchError> {
    let records_count = header.records_count;
    if header.last_offset_delta < 0 {
        return Err(BatchError::OffsetRange { last_offset_delta: header.last_offset_delta });
    }
    if records_count <= 0 {
        return Err(BatchError::RecordsCount { records_count });
    }
    if records_count - 1 != header.last_offset_delta {
        return Err(BatchError::RecordsCountOffsetRange { records_count, last_offset_delta: header.last_offset_delta });
    }
    if header.is_control() {
        return Err(BatchError::ControlFromClient);
    }
    if header.has_producer_id() && header.base_sequence < 0 {
        return Err(BatchError::BaseSequence { producer_id: header.producer_id, base_sequence: header.base_sequence });
    }
    Ok(())
}

/// The end of a check of depth [`Depth::Header`].
fn check_times_of_header(
    header: BatchHeader,
    stored: Bytes,
    sent: SentBatch,
    rules: &BatchRules,
    now_ms: i64,
) -> Result<ValidBatch, BatchError> {
    let times = Times::new(&header, rules, now_ms);
    for timestamp in [header.base_timestamp, header.max_timestamp] {
        if !times.accept(timestamp) {
            let error = times.error(&header, 0, timestamp, 0);
            return Err(BatchError::Rejected(vec![error]));
        }
    }
    Ok(finish(header, stored, sent, rules, now_ms))
}

/// The batch with the codec of the topic: the header as it should be, and bytes whose header is still to be written.
fn rebuild(header: &BatchHeader, plain: &[u8], plan: &Plan) -> (BatchHeader, Bytes) {
    if plan.copies_records {
        let mut header = *header;
        let mut stored = vec![0; HEADER_LEN];
        compress(plan.codec, plan.level, plain, &mut stored);
        header.set_codec(plan.codec);
        header.set_length(stored.len());
        return (header, stored.into());
    }
    let mut builder = BatchBuilder::new().codec(plan.codec, plan.level).producer(
        header.producer_id,
        header.producer_epoch,
        header.base_sequence,
    );
    if header.is_transactional() {
        builder = builder.transactional();
    }
    for record in RecordIter::new(header, plain) {
        let record = record.expect("the walk has passed these records");
        builder.push(record.timestamp, record.key, record.value, record.headers);
    }
    let batch = builder.build();
    let header = BatchHeader::parse(&batch).expect("just built");
    (header, batch)
}

/// Sets the timestamp type and, for LogAppendTime, the max timestamp. A header that is not the one in `bytes` is written, with
/// a new CRC, to a copy of them.
fn finish(mut header: BatchHeader, mut bytes: Bytes, sent: SentBatch, rules: &BatchRules, now_ms: i64) -> ValidBatch {
    let mut log_append_time_ms = NO_TIMESTAMP;
    header.set_timestamp_type(rules.timestamp_type);
    if rules.timestamp_type == TimestampType::LogAppendTime {
        header.max_timestamp = now_ms;
        log_append_time_ms = now_ms;
    }
    if header.to_bytes() != bytes[..HEADER_LEN] {
        header.crc = header.compute_crc(&bytes[HEADER_LEN..]);
        // A rebuilt batch has one owner and is not copied.
        let mut owned = bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        owned[..HEADER_LEN].copy_from_slice(&header.to_bytes());
        bytes = owned.freeze();
    }
    assert!(header.size_in_bytes() == bytes.len());
    ValidBatch { header, bytes, log_append_time_ms, rebuilt: false, sent }
}

#[cfg(test)]
mod tests;
