//! Producer state after a start: the newest usable snapshot, then a replay of the batches behind it.

use super::append::stored_marker;
use super::producers::Producers;
use super::snapshot;
use crate::log::{FirstBatch, Log, LogError, ReadError, ReadRequest};
use crate::record::{Batch, Batches};
use crate::rt;

/// Bytes that are read and replayed in one go.
const REPLAY_BYTES: usize = 1 << 20;

/// The producers as the log's batches make them, and the offset of the snapshot that they come from.
pub(super) async fn load_producers(log: &Log, now_ms: i64, expiration_ms: i64) -> Result<(Producers, i64), LogError> {
    let mut producers = newest_snapshot(log, now_ms, expiration_ms).await;
    let aborted = log.read_txn_indexes().await.map_err(LogError::Storage)?;
    let snapshot_offset = producers.end_offset();
    producers.transactions_mut().restore_index(&aborted, snapshot_offset);
    let log_end = log.log_end_offset();
    let mut offset = snapshot_offset;
    while offset < log_end {
        let request =
            ReadRequest { offset, upper_bound: log_end, max_bytes: REPLAY_BYTES, first_batch: FirstBatch::Whole };
        let bytes = match log.read_bytes(request).await {
            Ok(bytes) => bytes,
            Err(ReadError::Storage(error)) => return Err(LogError::Storage(error)),
            Err(ReadError::OffsetOutOfRange { log_start_offset, .. }) if log_start_offset > offset => {
                offset = log_start_offset;
                continue;
            }
            Err(ReadError::OffsetOutOfRange { .. }) => break,
        };
        let next = replay(&mut producers, &bytes, offset);
        if next <= offset {
            return Err(LogError::Corrupt(format!("no batch to replay at offset {offset}, the log ends at {log_end}")));
        }
        offset = next;
        rt::yield_now().await;
    }
    producers.reached(log_end);
    Ok((producers, snapshot_offset))
}

/// The state at the newest snapshot that can be read; those that can't, or are beyond the log, are removed.
async fn newest_snapshot(log: &Log, now_ms: i64, expiration_ms: i64) -> Producers {
    let (log_start, log_end) = (log.log_start_offset(), log.log_end_offset());
    for offset in log.producer_snapshots().into_iter().rev() {
        if offset > log_end || offset <= log_start {
            log.delete_producer_snapshot(offset);
            continue;
        }
        let file = match log.read_producer_snapshot(offset).await {
            Ok(file) => file,
            Err(error) => {
                tracing::warn!(topic = %log.id().topic, partition = log.id().partition, offset, %error, "producer snapshot is not readable, an older one serves");
                continue;
            }
        };
        match snapshot::decode(&file, offset, now_ms, expiration_ms) {
            Ok(producers) => return producers,
            Err(error) => {
                tracing::warn!(topic = %log.id().topic, partition = log.id().partition, offset, %error, "producer snapshot is not usable, an older one serves");
                log.delete_producer_snapshot(offset);
            }
        }
    }
    Producers::starting_at(log_start)
}

/// Applies the batches in `bytes` that are at `from` or later; answers the offset behind them.
fn replay(producers: &mut Producers, bytes: &[u8], from: i64) -> i64 {
    let mut next = from;
    for batch in Batches::new(bytes).map_while(Result::ok) {
        let end = batch.header.last_offset() + 1;
        if end <= from {
            continue;
        }
        if batch.header.has_producer_id() {
            replay_batch(producers, &batch);
        }
        producers.reached(end);
        next = end;
    }
    next
}

fn replay_batch(producers: &mut Producers, batch: &Batch<'_>) {
    if !batch.header.is_control() {
        producers.appended(&batch.header);
    } else if let Some((marker, timestamp)) = stored_marker(batch) {
        producers.marker_appended(&batch.header, marker, timestamp);
    }
}
