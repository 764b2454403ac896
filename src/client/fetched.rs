//! From the bytes of a fetch answer to records: decompression, control batches, aborted transactions.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;

use crate::protocol::fetch::AbortedTransaction;
use crate::record::{Batch, Batches, ControlRecordType, Decompressor, TimestampType, check_crc, decode_records};

/// Decompressed bytes of one batch at most.
const BATCH_BYTES_MAX: usize = 1 << 30;

/// Which records of transactions a consumer sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IsolationLevel {
    /// All of them.
    ReadUncommitted = 0,
    /// Those of committed transactions only.
    ReadCommitted = 1,
}

/// A record as a consumer gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumedRecord {
    /// Its topic.
    pub topic: Arc<str>,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Milliseconds since 1970, or -1.
    pub timestamp: i64,
    /// Who set the timestamp.
    pub timestamp_type: TimestampType,
    /// Epoch of the leader that appended it.
    pub leader_epoch: Option<i32>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers in their order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Reads fetched bytes; keeps its buffers from one answer to the next.
#[derive(Debug, Default)]
pub struct FetchedRecords {
    decompressor: Decompressor,
}

/// What one partition's part of an answer held.
#[derive(Debug, Default)]
pub struct Decoded {
    /// Records from the position on, without control records and, if asked, without aborted ones.
    pub records: Vec<ConsumedRecord>,
    /// Where to go on; `None` if there was no whole batch.
    pub next_offset: Option<i64>,
}

impl FetchedRecords {
    /// Decodes the batches in `bytes` from `position` on. The error is a sentence.
    pub fn decode(
        &mut self,
        topic: &Arc<str>,
        partition: i32,
        position: i64,
        bytes: &[u8],
        isolation: IsolationLevel,
        aborted: &[AbortedTransaction],
    ) -> Result<Decoded, String> {
        let mut decoded = Decoded::default();
        let mut aborted = AbortedProducers::new(isolation, aborted);
        for batch in Batches::new(bytes) {
            let batch = batch.map_err(|error| error.to_string())?;
            if let Err((stored, computed)) = check_crc(batch.bytes) {
                let offset = batch.header.base_offset;
                return Err(format!(
                    "batch at offset {offset} is corrupt: stored crc {stored}, computed crc {computed}"
                ));
            }
            decoded.next_offset = Some(batch.header.last_offset() + 1);
            if batch.header.is_control() {
                self.apply_marker(&batch, &mut aborted)?;
            } else if !aborted.contains(&batch) {
                self.decode_batch(topic, partition, position, &batch, &mut decoded.records)?;
            }
        }
        Ok(decoded)
    }

    fn decode_batch(
        &mut self,
        topic: &Arc<str>,
        partition: i32,
        position: i64,
        batch: &Batch<'_>,
        records: &mut Vec<ConsumedRecord>,
    ) -> Result<(), String> {
        let decoded = decode_records(batch, &mut self.decompressor, BATCH_BYTES_MAX);
        for record in decoded.map_err(|error| error.to_string())? {
            let record = record.map_err(|error| error.to_string())?;
            if record.offset < position {
                continue;
            }
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            records.push(ConsumedRecord {
                topic: topic.clone(),
                partition,
                offset: record.offset,
                timestamp: record.timestamp,
                timestamp_type: batch.header.timestamp_type(),
                leader_epoch: Some(batch.header.partition_leader_epoch).filter(|epoch| *epoch >= 0),
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
                headers: record.headers.map(|(key, value)| (text(key), value.map(<[u8]>::to_vec))).collect(),
            });
        }
        Ok(())
    }

    fn apply_marker(&mut self, batch: &Batch<'_>, aborted: &mut AbortedProducers) -> Result<(), String> {
        let mut markers = decode_records(batch, &mut self.decompressor, BATCH_BYTES_MAX).map_err(|e| e.to_string())?;
        if let Some(Ok(marker)) = markers.next() {
            let kind = marker.key.and_then(ControlRecordType::from_key);
            if kind == Some(ControlRecordType::Abort) {
                aborted.end(batch.header.producer_id, batch.header.base_offset);
            }
        }
        Ok(())
    }
}

/// The transactions that the broker said were aborted: from its first offset up to its abort marker, every transactional
/// batch of that producer is dropped.
#[derive(Debug)]
pub struct AbortedProducers {
    isolation: IsolationLevel,
    upcoming: BinaryHeap<Reverse<(i64, i64)>>,
    active: HashSet<i64>,
}

impl AbortedProducers {
    /// None is active before the first batch.
    pub fn new(isolation: IsolationLevel, aborted: &[AbortedTransaction]) -> Self {
        AbortedProducers {
            isolation,
            upcoming: aborted.iter().map(|txn| Reverse((txn.first_offset, txn.producer_id))).collect(),
            active: HashSet::new(),
        }
    }

    /// Whether the batch is to be dropped; batches come in their order.
    pub fn contains(&mut self, batch: &Batch<'_>) -> bool {
        self.start_up_to(batch.header.last_offset());
        self.isolation == IsolationLevel::ReadCommitted
            && batch.header.is_transactional()
            && self.active.contains(&batch.header.producer_id)
    }

    /// The abort marker of this producer is at `offset`.
    pub fn end(&mut self, producer_id: i64, offset: i64) {
        self.start_up_to(offset);
        self.active.remove(&producer_id);
    }

    fn start_up_to(&mut self, offset: i64) {
        while let Some(&Reverse((first_offset, producer_id))) = self.upcoming.peek() {
            if first_offset > offset {
                break;
            }
            self.active.insert(producer_id);
            self.upcoming.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, EndTxnMarker};

    fn transactional(base_offset: i64, producer_id: i64, value: &[u8]) -> Vec<u8> {
        let builder = BatchBuilder::new().position(base_offset, 0).producer(producer_id, 0, 0).transactional();
        builder.append(7, None, Some(value), &[]).build().to_vec()
    }

    fn marker(base_offset: i64, producer_id: i64, control_type: ControlRecordType) -> Vec<u8> {
        let value = EndTxnMarker { control_type, coordinator_epoch: 0 }.value();
        let builder =
            BatchBuilder::new().position(base_offset, 0).producer(producer_id, 0, -1).transactional().control();
        builder.append(7, Some(&control_type.key()), Some(&value), &[]).build().to_vec()
    }

    fn offsets(bytes: &[u8], position: i64, isolation: IsolationLevel, aborted: &[AbortedTransaction]) -> Vec<i64> {
        let topic: Arc<str> = "t".into();
        let decoded = FetchedRecords::default().decode(&topic, 0, position, bytes, isolation, aborted).expect("valid");
        assert_eq!(decoded.next_offset, Some(6));
        decoded.records.iter().map(|record| record.offset).collect()
    }

    #[test]
    fn aborted_transactions_are_left_out_up_to_their_marker() {
        let log = [
            transactional(0, 1, b"aborted"),
            transactional(1, 2, b"committed"),
            marker(2, 1, ControlRecordType::Abort),
            transactional(3, 1, b"next transaction"),
            marker(4, 2, ControlRecordType::Commit),
            marker(5, 1, ControlRecordType::Commit),
        ]
        .concat();
        let aborted = [AbortedTransaction { producer_id: 1, first_offset: 0, ..Default::default() }];
        assert_eq!(offsets(&log, 0, IsolationLevel::ReadCommitted, &aborted), [1, 3]);
        assert_eq!(offsets(&log, 0, IsolationLevel::ReadUncommitted, &[]), [0, 1, 3]);
        assert_eq!(offsets(&log, 2, IsolationLevel::ReadUncommitted, &[]), [3]);
    }

    #[test]
    fn a_flipped_bit_is_an_error() {
        let mut batch = transactional(0, 1, b"value");
        *batch.last_mut().expect("not empty") ^= 1;
        let topic: Arc<str> = "t".into();
        let result = FetchedRecords::default().decode(&topic, 0, 0, &batch, IsolationLevel::ReadUncommitted, &[]);
        assert!(result.expect_err("the crc differs").contains("corrupt"));
    }
}
