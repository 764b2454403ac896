//! The way of a batch into the log: checked, held against its producer, given its offsets, copied once.

use std::cell::RefCell;

use bytes::Bytes;

use super::offsets::VisibleWhen;
use super::producers::Verdict;
use super::{Acks, AppendError, AppendOp, AppendOutcome, Durability, End, Inner, Origin, Partition, PartitionConfig};
use crate::log::{AppendBatch, AppendError as LogAppendError};
use crate::record::{
    Batch, BatchError, BatchHeader, BatchRules, Compression, Decompressor, Depth, EndTxnMarker, HEADER_LEN, RecordIter,
    TargetCompression, ValidBatch, validate,
};
use crate::rt;
use crate::rt::stages::{self, Stage};

/// A compressed batch of up to so many bytes is decompressed on the shard: well below a millisecond.
const DECOMPRESSED_HERE_MAX: usize = 64 << 10;
/// A batch of up to so many bytes gets another codec on the shard.
const CONVERTED_HERE_MAX: usize = 16 << 10;

thread_local! {
    /// One per thread is enough: a batch is checked in one go.
    static DECOMPRESSOR: RefCell<Decompressor> = RefCell::new(Decompressor::default());
}

/// What became of an attempt.
enum Attempt {
    Done(AppendOutcome),
    /// The tail is full of bytes that the disk has not taken yet.
    MemoryFull,
}

impl Partition {
    /// Appends; the first poll does all of it unless the tail is full (or `flush.messages` is reached). Appends that wait keep
    /// their order. If the future is dropped, the batch may or may not have been appended.
    pub async fn append(&self, op: AppendOp) -> Result<AppendOutcome, AppendError> {
        let inner = &self.0;
        let config = inner.config();
        if op.acks == Acks::All
            && config.durability == Durability::Device
            && let Some(reason) = inner.storage.refuses_durable()
        {
            return Err(AppendError::Storage(reason));
        }
        // Before the check, which may go to another thread: batches of one producer must not overtake each other.
        let turn = inner.turns.take().await;
        stages::set(Stage::Validate);
        let batch = check_batch(&op, &config).await?;
        stages::set(Stage::Append);
        let outcome = loop {
            match inner.try_append(&op, &batch, &config)? {
                Attempt::Done(outcome) => break outcome,
                Attempt::MemoryFull => inner.storage.reserve(batch.bytes.len()).await,
            }
        };
        drop(turn);
        inner.offsets_moved();
        if inner.state.borrow().offsets.waits_for_device() {
            Inner::start_flush(inner);
        }
        if inner.state.borrow().unflushed_records >= config.flush_messages {
            self.flush_now().await?;
        }
        Ok(outcome)
    }
}

/// The format and the topic's rules; does not look at the partition. What would hold up the shard goes to the blocking pool.
async fn check_batch(op: &AppendOp, config: &PartitionConfig) -> Result<ValidBatch, AppendError> {
    let rules = BatchRules { origin: op.origin, ..config.rules };
    let header = BatchHeader::parse(&op.records).ok();
    // Before all else, as in Kafka: what such a batch may be is a matter of permission.
    if op.origin == Origin::Client && !op.transactional && header.as_ref().is_some_and(BatchHeader::is_transactional) {
        return Err(AppendError::NoTransactionalId);
    }
    let batch = if header.is_some_and(|header| is_codec_work(&header, op.records.len(), &rules)) {
        let records = op.records.clone();
        rt::blocking(move || check_here(&records, &rules)).await?
    } else {
        check_here(&op.records, &rules)?
    };
    let (size, size_max) = (batch.bytes.len(), config.log.segment_bytes as usize);
    if size > size_max {
        return Err(AppendError::LargerThanSegment { size, size_max });
    }
    Ok(batch)
}

fn check_here(records: &Bytes, rules: &BatchRules) -> Result<ValidBatch, BatchError> {
    let now_ms = rt::clock::now_ms();
    DECOMPRESSOR.with_borrow_mut(|decompressor| validate(records, rules, now_ms, decompressor))
}

/// Whether a check takes so long, for its codecs, that other connections of the shard would feel it.
fn is_codec_work(header: &BatchHeader, len: usize, rules: &BatchRules) -> bool {
    let Ok(source) = header.codec() else {
        return false;
    };
    let converts = matches!(rules.target, TargetCompression::Codec { codec, .. } if codec != source);
    let decompresses = source != Compression::None && rules.depth == Depth::Full;
    (converts && len > CONVERTED_HERE_MAX) || (decompresses && len > DECOMPRESSED_HERE_MAX)
}

impl Inner {
    /// Everything from the producer's state to the log's, in one go: nothing comes between.
    fn try_append(&self, op: &AppendOp, batch: &ValidBatch, config: &PartitionConfig) -> Result<Attempt, AppendError> {
        let mut state = self.state.borrow_mut();
        if let Some(end) = &state.end {
            return Err(end.clone().into());
        }
        let marker = match batch.header.is_control() {
            true => Some(read_marker(batch)?),
            false => None,
        };
        if let Some((marker, _)) = marker {
            let producer = (batch.header.producer_id, batch.header.producer_epoch);
            state.producers.check_marker(producer, marker, op.transaction_version, op.origin)?;
            state.guards.end(batch.header.producer_id);
        } else if batch.header.has_producer_id() {
            state.check_verified(&batch.header, op.verification)?;
            let verdict = state.producers.check(&batch.header, op.origin)?;
            if let Verdict::Duplicate(earlier) = verdict {
                // Its answer promises as much as the first one, and on a failed disk there is nothing to be promised.
                if let Some(reason) = self.log.failure() {
                    return Err(AppendError::Storage(reason));
                }
                return Ok(Attempt::Done(AppendOutcome {
                    base_offset: earlier.first_offset(),
                    last_offset: earlier.last_offset,
                    log_append_time_ms: earlier.timestamp,
                    log_start_offset: state.offsets.log_start(),
                    records_count: batch.header.records_count,
                    bytes: 0,
                    rebuilt: false,
                    sent: batch.sent,
                }));
            }
        }

        let base_offset = state.offsets.log_end();
        let header = BatchHeader { base_offset, partition_leader_epoch: state.leader_epoch, ..batch.header };
        let appended = self.log.append(AppendBatch {
            bytes: &batch.bytes,
            base_offset,
            last_offset: header.last_offset(),
            leader_epoch: state.leader_epoch,
            max_timestamp: header.max_timestamp,
        });
        let appended = match appended {
            Ok(appended) => appended,
            Err(LogAppendError::MemoryFull) => return Ok(Attempt::MemoryFull),
            Err(LogAppendError::Fenced) => {
                let reason = self.log.failure().unwrap_or_else(|| "log is closed".to_owned());
                state.end.get_or_insert(End::Failed(reason.clone()));
                return Err(AppendError::Storage(reason));
            }
        };
        if let Some(offset) = appended.rolled_at
            && offset > state.snapshot_offset
        {
            // The state still ends where the new segment begins.
            assert!(state.producers.end_offset() <= offset);
            state.producers.reached(offset);
            self.write_snapshot(&mut state);
        }

        if let Some((marker, timestamp)) = marker {
            state.producers.marker_appended(&header, marker, timestamp);
        } else if header.has_producer_id() {
            state.producers.appended(&header);
            if header.is_transactional() {
                state.guards.end(header.producer_id);
            }
        }
        state.producers.reached(header.last_offset() + 1);
        state.unsnapshotted_bytes += batch.bytes.len() as u64;
        if state.unsnapshotted_bytes >= config.producer_snapshot_bytes {
            self.write_passing_snapshot(&mut state);
        }
        let visible = match (op.acks, config.durability) {
            (Acks::All, Durability::Device) => VisibleWhen::OnDevice,
            _ => VisibleWhen::InTail,
        };
        state.offsets.appended(base_offset, header.last_offset() + 1, visible);
        state.follow_high_watermark();
        state.unflushed_records += i64::from(header.records_count.max(0));
        state.unflushed_since_ms.get_or_insert_with(rt::clock::now_ms);
        Ok(Attempt::Done(AppendOutcome {
            base_offset,
            last_offset: header.last_offset(),
            log_append_time_ms: batch.log_append_time_ms,
            log_start_offset: state.offsets.log_start(),
            records_count: header.records_count,
            bytes: batch.bytes.len(),
            rebuilt: batch.rebuilt,
            sent: batch.sent,
        }))
    }
}

/// The transaction marker that a control batch holds, and its timestamp.
fn read_marker(batch: &ValidBatch) -> Result<(EndTxnMarker, i64), AppendError> {
    let records = &batch.bytes[HEADER_LEN..];
    let record = RecordIter::new(&batch.header, records).next();
    marker_of(record.and_then(Result::ok)).ok_or(AppendError::BadMarker)
}

/// Reads a marker from a batch of the log; `None` for control batches of another kind, or emptied by compaction.
pub(super) fn stored_marker(batch: &Batch<'_>) -> Option<(EndTxnMarker, i64)> {
    marker_of(RecordIter::new(&batch.header, batch.records()).next().and_then(Result::ok))
}

fn marker_of(record: Option<crate::record::Record<'_>>) -> Option<(EndTxnMarker, i64)> {
    let record = record?;
    let marker = EndTxnMarker::parse(record.key?, record.value?)?;
    Some((marker, record.timestamp))
}
