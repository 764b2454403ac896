//! Control records: transaction markers (KIP-98) and those of a quorum's log (KIP-595, KIP-630, KIP-853).
//!
//! The key of a control record is `i16 version = 0, i16 type`; the value depends on the type. For a transaction marker it is
//! `i16 version = 0, i32 coordinator epoch`; the quorum's are messages of the protocol and stay bytes here.

use bytes::Bytes;

use super::builder::BatchBuilder;

/// The type of a control record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i16)]
#[expect(missing_docs, reason = "Kafka's own names")]
pub enum ControlRecordType {
    Abort = 0,
    Commit = 1,
    LeaderChange = 2,
    SnapshotHeader = 3,
    SnapshotFooter = 4,
    KRaftVersion = 5,
    KRaftVoters = 6,
}

impl ControlRecordType {
    /// The key of a control record of this type.
    pub fn key(self) -> [u8; 4] {
        let [high, low] = (self as i16).to_be_bytes();
        [0, 0, high, low]
    }

    /// The type that `key` stands for; `None` for types of the future. The version is not looked at, as in Kafka.
    pub fn from_key(key: &[u8]) -> Option<Self> {
        let [_, _, high, low, ..] = *key else {
            return None;
        };
        Some(match i16::from_be_bytes([high, low]) {
            0 => Self::Abort,
            1 => Self::Commit,
            2 => Self::LeaderChange,
            3 => Self::SnapshotHeader,
            4 => Self::SnapshotFooter,
            5 => Self::KRaftVersion,
            6 => Self::KRaftVoters,
            _ => return None,
        })
    }
}

/// The marker that ends a transaction in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTxnMarker {
    /// [`ControlRecordType::Commit`] or [`ControlRecordType::Abort`].
    pub control_type: ControlRecordType,
    /// The coordinator's epoch: a marker of an older one is refused.
    pub coordinator_epoch: i32,
}

impl EndTxnMarker {
    /// Reads a control record; `None` if it is not a transaction marker.
    pub fn parse(key: &[u8], value: &[u8]) -> Option<Self> {
        let control_type = ControlRecordType::from_key(key)?;
        if !matches!(control_type, ControlRecordType::Abort | ControlRecordType::Commit) {
            return None;
        }
        let (_version, rest) = value.split_first_chunk::<2>()?;
        Some(Self { control_type, coordinator_epoch: i32::from_be_bytes(*rest.first_chunk()?) })
    }

    /// The value of the control record.
    pub fn value(&self) -> [u8; 6] {
        let [a, b, c, d] = self.coordinator_epoch.to_be_bytes();
        [0, 0, a, b, c, d]
    }
}

/// Whether the coordinator has to confirm that a partition is part of a transaction before its first batch (KIP-890).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// It has not: whoever appends knows, or it is switched off.
    NotNeeded,
    /// It has: without an open transaction the append is refused with a guard.
    Needed,
    /// It has confirmed, under this guard: if the transaction ended meanwhile, the guard is gone.
    Done(u64),
}

/// A whole batch with one transaction marker, base offset 0.
pub fn end_txn_marker(marker: EndTxnMarker, producer_id: i64, producer_epoch: i16, timestamp: i64) -> Bytes {
    BatchBuilder::new()
        .producer(producer_id, producer_epoch, super::NO_SEQUENCE)
        .transactional()
        .control()
        .append(timestamp, Some(&marker.control_type.key()), Some(&marker.value()), &[])
        .build()
}

#[cfg(test)]
mod tests {
    use super::super::golden::{MARKER, bytes};
    use super::super::{BatchHeader, HEADER_LEN, RecordIter, assign_offset};
    use super::*;

    #[test]
    fn marker_has_the_bytes_that_kafka_writes() {
        let marker = EndTxnMarker { control_type: ControlRecordType::Commit, coordinator_epoch: 12 };
        let mut batch = end_txn_marker(marker, 7000, 3, 1_700_000_000_000).to_vec();
        assign_offset(&mut batch, 10, 4);
        assert_eq!(batch, bytes(MARKER));
        let header = BatchHeader::parse(&batch).expect("a batch");
        let record = RecordIter::new(&header, &batch[HEADER_LEN..]).next();
        let record = record.expect("one").expect("well formed");
        let read = EndTxnMarker::parse(
            record.key.expect("control records have keys"),
            record.value.expect("markers have values"),
        );
        assert_eq!(read, Some(marker));
    }

    #[test]
    fn other_control_records_are_no_markers() {
        assert_eq!(ControlRecordType::from_key(&[0, 0, 0, 99]), None);
        assert_eq!(ControlRecordType::from_key(&[0, 0, 0]), None);
        let key = ControlRecordType::LeaderChange.key();
        assert_eq!(EndTxnMarker::parse(&key, &[0; 6]), None);
        let key = ControlRecordType::Abort.key();
        assert_eq!(EndTxnMarker::parse(&key, &[0; 5]), None);
    }
}
