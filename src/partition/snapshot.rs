//! The producer snapshot: a `.snapshot` file beside a segment, which holds the producers up to its offset, so that a start
//! replays only what is behind it. Kafka's format, version 1:
//!
//! ```text
//! position  bytes  field
//!        0      2  version = 1
//!        2      4  CRC-32C of everything behind it
//!        6      4  number of producers, each:
//!        0      8    producer id
//!        8      2    epoch
//!       10      4    last sequence
//!       14      8    last offset, -1 without a batch
//!       22      4    offset delta of that batch
//!       26      8    last timestamp
//!       34      4    coordinator epoch
//!       38      8    first offset of the open transaction, -1 without one
//!       46
//! ```

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::producers::{ProducerBatch, ProducerEntry, Producers};
use crate::record::crc32c;

const VERSION: i16 = 1;
const CRC_AT: usize = 2;
const COUNT_AT: usize = 6;
const ENTRIES_AT: usize = 10;
const ENTRY_LEN: usize = 46;

/// A snapshot file that can't be used; an older one can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotError {
    /// Shorter or longer than it says.
    Length,
    /// A version of the future.
    Version(i16),
    /// Not the bytes that were written.
    Crc,
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => write!(f, "producer snapshot has a wrong length"),
            Self::Version(version) => write!(f, "producer snapshot has unknown version {version}"),
            Self::Crc => write!(f, "producer snapshot has a wrong crc"),
        }
    }
}

impl std::error::Error for SnapshotError {}

/// The whole file for the present state; its name is [`Producers::end_offset`].
pub fn encode(producers: &Producers) -> Bytes {
    let count = producers.entries().count();
    let mut out = BytesMut::with_capacity(ENTRIES_AT + ENTRY_LEN * count);
    out.put_i16(VERSION);
    out.put_u32(0);
    out.put_i32(i32::try_from(count).expect("fewer producers than that fit into memory"));
    for (producer_id, entry) in producers.entries() {
        let last = entry.batches().last();
        out.put_i64(producer_id);
        out.put_i16(entry.epoch);
        out.put_i32(entry.last_sequence());
        out.put_i64(last.map_or(-1, |batch| batch.last_offset));
        out.put_i32(last.map_or(0, |batch| batch.offset_delta));
        out.put_i64(entry.last_timestamp);
        out.put_i32(entry.coordinator_epoch);
        out.put_i64(entry.txn_first_offset.unwrap_or(-1));
    }
    assert!(out.len() == ENTRIES_AT + ENTRY_LEN * count);
    let crc = crc32c(&out[COUNT_AT..]);
    out[CRC_AT..COUNT_AT].copy_from_slice(&crc.to_be_bytes());
    out.freeze()
}

/// The producers that `file`, the snapshot at `offset`, holds, without those that are expired.
pub fn decode(file: &[u8], offset: i64, now_ms: i64, expiration_ms: i64) -> Result<Producers, SnapshotError> {
    let mut rest = file;
    if rest.len() < ENTRIES_AT {
        return Err(SnapshotError::Length);
    }
    let version = rest.get_i16();
    if version != VERSION {
        return Err(SnapshotError::Version(version));
    }
    if rest.get_u32() != crc32c(&file[COUNT_AT..]) {
        return Err(SnapshotError::Crc);
    }
    let count = usize::try_from(rest.get_i32()).map_err(|_| SnapshotError::Length)?;
    if count.checked_mul(ENTRY_LEN) != Some(rest.len()) {
        return Err(SnapshotError::Length);
    }
    let mut producers = Producers::starting_at(offset);
    for _ in 0..count {
        let (producer_id, entry) = decode_entry(&mut rest);
        producers.restore(producer_id, entry, now_ms, expiration_ms);
    }
    Ok(producers)
}

/// The caller has checked that there is one.
fn decode_entry(rest: &mut &[u8]) -> (i64, ProducerEntry) {
    let producer_id = rest.get_i64();
    let epoch = rest.get_i16();
    let last_sequence = rest.get_i32();
    let last_offset = rest.get_i64();
    let offset_delta = rest.get_i32();
    let timestamp = rest.get_i64();
    let coordinator_epoch = rest.get_i32();
    let txn_first_offset = rest.get_i64();
    let mut entry = ProducerEntry::default();
    entry.epoch = epoch;
    entry.coordinator_epoch = coordinator_epoch;
    entry.last_timestamp = timestamp;
    entry.txn_first_offset = (txn_first_offset >= 0).then_some(txn_first_offset);
    if last_offset >= 0 {
        entry.push(ProducerBatch { last_sequence, last_offset, offset_delta, timestamp });
    }
    (producer_id, entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, BatchHeader};

    fn some_producers() -> Producers {
        let mut producers = Producers::default();
        for (id, builder) in [
            (7000, BatchBuilder::new().producer(7000, 3, 41)),
            (7001, BatchBuilder::new().producer(7001, 0, 0).transactional()),
        ] {
            let batch = builder
                .position(id - 6990, 0)
                .append(1_700_000_000_000, None, Some(b"v"), &[])
                .append(1_700_000_000_005, None, Some(b"v"), &[])
                .build();
            producers.appended(&BatchHeader::parse(&batch).expect("built"));
        }
        producers
    }

    #[test]
    fn a_snapshot_comes_back_as_written() {
        let producers = some_producers();
        let file = encode(&producers);
        assert_eq!(file.len(), 10 + 2 * 46);
        let read = decode(&file, producers.end_offset(), 1_700_000_000_100, 86_400_000).expect("valid");
        assert_eq!(read.end_offset(), 13);
        for id in [7000, 7001] {
            assert_eq!(read.get(id), producers.get(id));
        }
        assert_eq!(read.transactions().first_unstable(), Some(11));
        // A day later only the one with an open transaction is left.
        let late = decode(&file, 13, 1_800_000_000_000, 86_400_000).expect("valid");
        assert_eq!(late.entries().count(), 1);
    }

    #[test]
    fn a_snapshot_has_the_bytes_that_kafka_writes() {
        let batch = BatchBuilder::new()
            .producer(7000, 3, 41)
            .position(10, 0)
            .append(1_700_000_000_000, None, Some(b"v"), &[])
            .append(1_700_000_000_005, None, Some(b"v"), &[])
            .build();
        let mut producers = Producers::default();
        producers.appended(&BatchHeader::parse(&batch).expect("built"));
        let hex: String = encode(&producers).iter().map(|byte| format!("{byte:02x}")).collect();
        let kafka = concat!(
            "00014f3beff4000000010000000000001b5800030000002a000000000000000b",
            "000000010000018bcfe56805ffffffffffffffffffffffff"
        );
        assert_eq!(hex, kafka);
    }

    #[test]
    fn bad_snapshots_are_refused() {
        let file = encode(&some_producers());
        let now = 1_700_000_000_100;
        for len in [0, 1, 9, 10, file.len() - 1] {
            assert!(decode(&file[..len], 0, now, 1000).is_err(), "cut at {len}");
        }
        let mut flipped = file.to_vec();
        flipped[20] ^= 1;
        assert_eq!(decode(&flipped, 0, now, 1000).err(), Some(SnapshotError::Crc));
        let mut future = file.to_vec();
        future[1] = 2;
        assert_eq!(decode(&future, 0, now, 1000).err(), Some(SnapshotError::Version(2)));
        let mut lying = file[..10].to_vec();
        lying[6..10].copy_from_slice(&i32::MAX.to_be_bytes());
        let crc = crc32c(&lying[6..]);
        lying[2..6].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(decode(&lying, 0, now, 1000).err(), Some(SnapshotError::Length));
    }
}
