//! A partition's log back into a machine: batch by batch, with breaks for others.

use bytes::Bytes;

use crate::coordinator::{Machine, Replayed, TransactionEnd};
use crate::log::{FirstBatch, ReadError, ReadRequest};
use crate::partition::Partition;
use crate::record::{
    Batch, Batches, Compression, ControlRecordType, Decompressor, EndTxnMarker, RecordIter, decode_records,
};
use crate::rt;

/// Bytes that are read and replayed in one go: about a millisecond's work.
const REPLAY_BYTES: usize = 128 << 10;
/// Most bytes that a compressed batch may grow to.
const DECOMPRESSED_BYTES_MAX: usize = 256 << 20;

/// How often a log is read that is compacted each time meanwhile.
const READS_MAX: usize = 4;

/// A machine that has read the log, and the number of records.
///
/// A tombstone goes `delete.retention.ms` after compaction met it first, and a reader that takes longer may have read what it
/// deletes and never meet it: what was deleted would be there again. So who took longer reads anew, if the log was compacted.
pub(super) async fn load<M: Machine>(partition: &Partition, make: impl Fn() -> M) -> Result<(M, u64), String> {
    let mut reads = 0;
    loop {
        let (began_ms, began, exchanges) = (rt::clock::now_ms(), rt::clock::monotonic(), partition.log().exchanges());
        let mut machine = make();
        let records = replay(partition, &mut machine).await?;
        reads += 1;
        let elapsed = rt::clock::monotonic().saturating_duration_since(began).as_millis();
        let took_ms = i64::try_from(elapsed).unwrap_or(i64::MAX).max(rt::clock::now_ms().saturating_sub(began_ms));
        if took_ms < partition.delete_retention_ms() || partition.log().exchanges() == exchanges {
            return Ok((machine, records));
        }
        let id = partition.id();
        if reads == READS_MAX {
            tracing::warn!(
                topic = %id.topic, partition = id.partition, took_ms, delete_retention_ms = partition.delete_retention_ms(),
                "a coordinator takes longer to load than tombstones are kept: what was deleted may be there again"
            );
            return Ok((machine, records));
        }
    }
}

/// Replays all that is in the log. Answers the number of records.
async fn replay<M: Machine>(partition: &Partition, machine: &mut M) -> Result<u64, String> {
    let mut replaying = Replaying { machine, decompressor: Decompressor::default(), records: 0, unreadable: 0 };
    let (mut offset, log_end) = (partition.log_start_offset(), partition.log_end_offset());
    while offset < log_end {
        let request =
            ReadRequest { offset, upper_bound: log_end, max_bytes: REPLAY_BYTES, first_batch: FirstBatch::Whole };
        let bytes = match partition.log().read_bytes(request).await {
            Ok(bytes) => bytes,
            Err(ReadError::OffsetOutOfRange { log_start_offset, .. }) if log_start_offset > offset => {
                offset = log_start_offset;
                continue;
            }
            Err(error) => return Err(error.to_string()),
        };
        let next = replaying.chunk(&bytes, offset)?;
        // Compaction may have left nothing up to the end.
        offset = if next > offset { next } else { log_end };
        rt::yield_now().await;
    }
    if replaying.unreadable > 0 {
        let id = partition.id();
        tracing::warn!(
            topic = %id.topic, partition = id.partition, records = replaying.unreadable,
            "records of a coordinator were left out: they are of a kind or version that is not known here"
        );
    }
    Ok(replaying.records)
}

struct Replaying<'a, M> {
    machine: &'a mut M,
    decompressor: Decompressor,
    records: u64,
    unreadable: u64,
}

impl<M: Machine> Replaying<'_, M> {
    /// Replays the batches in `bytes` that end at `from` or later. Answers the offset behind them.
    fn chunk(&mut self, bytes: &Bytes, from: i64) -> Result<i64, String> {
        let mut next = from;
        for batch in Batches::new(bytes) {
            let batch = batch.map_err(|error| format!("the batch at offset {next} can't be read: {error}"))?;
            let end = batch.header.last_offset() + 1;
            if end > next {
                self.batch(&batch, bytes).map_err(|error| format!("the batch before offset {end}: {error}"))?;
                next = end;
            }
        }
        Ok(next)
    }

    fn batch(&mut self, batch: &Batch<'_>, frame: &Bytes) -> Result<(), String> {
        if batch.header.is_control() {
            self.marker(batch);
            return Ok(());
        }
        let producer_id = batch.header.is_transactional().then_some(batch.header.producer_id);
        let is_plain = batch.header.codec() == Ok(Compression::None);
        let mut decompressor = std::mem::take(&mut self.decompressor);
        let records =
            decode_records(batch, &mut decompressor, DECOMPRESSED_BYTES_MAX).map_err(|error| error.to_string())?;
        for record in records {
            let record = record.map_err(|error| error.to_string())?;
            let Some(key) = record.key else { continue };
            #[cfg(test)]
            if record.offset % 13 == 5 && rt::sim::is_sabotaged(rt::sim::Sabotage::LeaveRecordsOut) {
                continue;
            }
            // Plain records share the memory of the chunk, which lives no longer than this turn.
            let share = |part: &[u8]| if is_plain { frame.slice_ref(part) } else { Bytes::copy_from_slice(part) };
            let replayed =
                Replayed { offset: record.offset, producer_id, key: share(key), value: record.value.map(share) };
            self.records += 1;
            if let Err(error) = self.machine.replay(&replayed) {
                tracing::debug!(offset = replayed.offset, %error, "a record of a coordinator was left out");
                self.unreadable += 1;
            }
        }
        self.decompressor = decompressor;
        Ok(())
    }

    fn marker(&mut self, batch: &Batch<'_>) {
        let Some(Ok(record)) = RecordIter::new(&batch.header, batch.records()).next() else { return };
        let (Some(key), Some(value)) = (record.key, record.value) else { return };
        let Some(marker) = EndTxnMarker::parse(key, value) else { return };
        let end = match marker.control_type {
            ControlRecordType::Commit => TransactionEnd::Commit,
            _ => TransactionEnd::Abort,
        };
        self.machine.end_transaction(batch.header.producer_id, end);
    }
}
