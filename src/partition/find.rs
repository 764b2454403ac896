//! Looking things up: offsets by time, ends of epochs, producers; and moving the log start.

use super::fetch::of_read;
use super::{FetchError, FoundOffset, Isolation, OffsetSpec, Partition, ProducerInfo};
use crate::log::{FirstBatch, ReadRequest};
use crate::record::{Batches, Decompressor, NO_LEADER_EPOCH, NO_TIMESTAMP, decode_records};

/// Step of a search that goes on behind the batch that an index pointed to.
const SEARCH_BYTES: usize = 1 << 20;

impl Partition {
    /// ListOffsets. `None`: no such record.
    pub async fn find_offset(
        &self,
        spec: OffsetSpec,
        isolation: Isolation,
        current_leader_epoch: i32,
    ) -> Result<Option<FoundOffset>, FetchError> {
        let inner = &self.0;
        let (log_start, bound, leader_epoch) = {
            let state = inner.state.borrow();
            state.check_leader_epoch(current_leader_epoch)?;
            (state.offsets.log_start(), state.bound(isolation), state.leader_epoch)
        };
        let without_time = |offset, leader_epoch| Some(FoundOffset { timestamp: NO_TIMESTAMP, offset, leader_epoch });
        let found = match spec {
            OffsetSpec::Earliest | OffsetSpec::EarliestLocal => {
                return Ok(without_time(log_start, inner.log.epoch_of(log_start).unwrap_or(NO_LEADER_EPOCH)));
            }
            OffsetSpec::Latest => return Ok(without_time(bound, leader_epoch)),
            // Nothing is tiered here.
            OffsetSpec::LatestTiered | OffsetSpec::EarliestPendingUpload => {
                return Ok(without_time(-1, NO_LEADER_EPOCH));
            }
            OffsetSpec::MaxTimestamp => self.record_with_max_timestamp().await?,
            OffsetSpec::AtTimestamp(timestamp) => self.record_at(timestamp, log_start, bound).await?,
        };
        Ok(found.filter(|found| found.offset < bound))
    }

    async fn record_with_max_timestamp(&self) -> Result<Option<FoundOffset>, FetchError> {
        let Some(bytes) = self.0.log.batch_with_max_timestamp().await.map_err(of_read)? else {
            return Ok(None);
        };
        let Some(Ok(batch)) = Batches::new(&bytes).next() else {
            return Ok(None);
        };
        self.search(&bytes, batch.header.max_timestamp, 0)
    }

    /// The first record at `log_start` or later whose timestamp is `timestamp` or later.
    async fn record_at(&self, timestamp: i64, log_start: i64, bound: i64) -> Result<Option<FoundOffset>, FetchError> {
        let log = &self.0.log;
        let mut bytes = match log.batch_at_timestamp(timestamp).await.map_err(of_read)? {
            Some(bytes) => bytes,
            None => return Ok(None),
        };
        loop {
            if let Some(found) = self.search(&bytes, timestamp, log_start)? {
                return Ok(Some(found));
            }
            // The log start is inside of the batch and its matching records are below: look further.
            let last = Batches::new(&bytes).map_while(Result::ok).last();
            let Some(offset) = last.map(|batch| batch.header.last_offset() + 1).filter(|next| *next < bound) else {
                return Ok(None);
            };
            let first_batch = FirstBatch::Whole;
            let request = ReadRequest { offset, upper_bound: bound, max_bytes: SEARCH_BYTES, first_batch };
            bytes = log.read_bytes(request).await.map_err(of_read)?;
        }
    }

    /// Searches the records of some batches.
    fn search(&self, bytes: &[u8], timestamp: i64, from_offset: i64) -> Result<Option<FoundOffset>, FetchError> {
        let mut decompressor = Decompressor::default();
        let len_max = self.0.config().rules.decompressed_bytes_max;
        for batch in Batches::new(bytes).map_while(Result::ok) {
            if batch.header.max_timestamp < timestamp {
                continue;
            }
            let records = decode_records(&batch, &mut decompressor, len_max)
                .map_err(|error| FetchError::Storage(format!("batch at {}: {error}", batch.header.base_offset)))?;
            let mut records = records.map_while(Result::ok);
            let hit = records.find(|record| record.timestamp >= timestamp && record.offset >= from_offset);
            if let Some(record) = hit {
                return Ok(Some(FoundOffset {
                    timestamp: record.timestamp,
                    offset: record.offset,
                    leader_epoch: batch.header.partition_leader_epoch,
                }));
            }
        }
        Ok(None)
    }

    /// OffsetForLeaderEpoch: (epoch, end offset), -1/-1 when unknown.
    pub fn end_of_epoch(&self, epoch: i32, current_leader_epoch: i32) -> Result<(i32, i64), FetchError> {
        let state = self.0.state.borrow();
        state.check_leader_epoch(current_leader_epoch)?;
        Ok(self.0.end_of_epoch(&state, epoch).unwrap_or((NO_LEADER_EPOCH, -1)))
    }

    /// DeleteRecords: `offset` -1 means the high watermark. Answers the new log start (low watermark).
    pub async fn delete_records(&self, offset: i64) -> Result<i64, FetchError> {
        let only_compacted = {
            let config = self.0.config();
            config.rules.compacted && !config.retention.deletes
        };
        if only_compacted {
            return Err(FetchError::NeverDeletes);
        }
        self.move_log_start(offset).await
    }

    /// Moves the log start up to `offset`, -1: the high watermark. Answers where it is then.
    pub(super) async fn move_log_start(&self, offset: i64) -> Result<i64, FetchError> {
        let inner = &self.0;
        let log_start = {
            let mut state = inner.state.borrow_mut();
            state.check_leader_epoch(NO_LEADER_EPOCH)?;
            let offset = if offset == -1 { state.offsets.high_watermark() } else { offset };
            if offset < 0 {
                return Err(FetchError::OffsetOutOfRange);
            }
            let before = state.offsets.log_start();
            state.offsets.advance_log_start(offset).map_err(|_| FetchError::OffsetOutOfRange)?;
            let log_start = state.offsets.log_start();
            if log_start == before {
                return Ok(log_start);
            }
            state.producers.transactions_mut().log_start(log_start);
            state.producers.reached(log_start);
            state.follow_high_watermark();
            log_start
        };
        inner.log.advance_log_start(log_start);
        let first = inner.log.segments().first().map_or(log_start, |segment| segment.base_offset);
        inner.state.borrow_mut().producers.transactions_mut().forget_below(first);
        inner.changed();
        Ok(log_start)
    }

    /// DescribeProducers.
    pub fn producers(&self) -> Vec<ProducerInfo> {
        let state = self.0.state.borrow();
        let infos = state.producers.entries().map(|(producer_id, entry)| ProducerInfo {
            producer_id,
            producer_epoch: i32::from(entry.epoch),
            last_sequence: entry.last_sequence(),
            last_timestamp: entry.last_timestamp,
            coordinator_epoch: entry.coordinator_epoch,
            current_txn_start_offset: entry.txn_first_offset.unwrap_or(-1),
        });
        infos.collect()
    }

    /// How many producers it knows.
    pub fn producers_count(&self) -> usize {
        self.0.state.borrow().producers.entries().count()
    }

    /// Forgets producers idle longer than `producer.id.expiration.ms`.
    pub fn expire_producers(&self, now_ms: i64) {
        let expiration_ms = self.0.config().producer_id_expiration_ms;
        let mut state = self.0.state.borrow_mut();
        state.producers.expire(now_ms, expiration_ms);
        state.guards.expire(now_ms, expiration_ms);
    }
}
