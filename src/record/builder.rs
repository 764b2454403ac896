//! Records -> batch: for the metadata log, the coordinators, the command line's producers, conversions and tests.

use bytes::Bytes;

use super::codec::{Compression, compress};
use super::header::{BatchHeader, HEADER_LEN, TimestampType};
use super::varint::{put_varint, put_varlong, varint_len, varlong_len};
use super::{NO_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP};

/// A header of a record: key and value, null allowed for the value.
pub type HeaderRef<'a> = (&'a [u8], Option<&'a [u8]>);

/// Builds one batch. Without any setting: no codec, CreateTime, no producer, base offset 0, no leader epoch.
///
/// ```
/// use millrace::record::{BatchBuilder, BatchHeader, Compression};
/// let batch = BatchBuilder::new()
///     .codec(Compression::Zstd, 3)
///     .append(1_700_000_000_000, Some(b"key"), Some(b"value"), &[(b"trace", Some(b"7"))])
///     .build();
/// assert_eq!(BatchHeader::parse(&batch).unwrap().records_count, 1);
/// ```
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    header: BatchHeader,
    codec: Compression,
    level: i32,
    records: Vec<u8>,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    /// An empty batch.
    pub fn new() -> Self {
        Self {
            header: BatchHeader {
                base_offset: 0,
                batch_length: 0,
                partition_leader_epoch: NO_LEADER_EPOCH,
                magic: 2,
                crc: 0,
                attributes: 0,
                last_offset_delta: -1,
                base_timestamp: NO_TIMESTAMP,
                max_timestamp: NO_TIMESTAMP,
                producer_id: NO_PRODUCER_ID,
                producer_epoch: NO_PRODUCER_EPOCH,
                base_sequence: NO_SEQUENCE,
                records_count: 0,
            },
            codec: Compression::None,
            level: 0,
            records: Vec::new(),
        }
    }

    /// Compresses the records at the end.
    #[must_use]
    pub fn codec(mut self, codec: Compression, level: i32) -> Self {
        self.codec = codec;
        self.level = level;
        self.header.set_codec(codec);
        self
    }

    /// Base offset and leader epoch, for whoever writes a log itself.
    #[must_use]
    pub fn position(mut self, base_offset: i64, leader_epoch: i32) -> Self {
        self.header.base_offset = base_offset;
        self.header.partition_leader_epoch = leader_epoch;
        self
    }

    /// Makes it a batch of an idempotent producer.
    #[must_use]
    pub fn producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> Self {
        self.header.producer_id = id;
        self.header.producer_epoch = epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    /// Makes it part of a transaction.
    #[must_use]
    pub fn transactional(mut self) -> Self {
        self.header.set_transactional();
        self
    }

    /// Makes its records control records.
    #[must_use]
    pub fn control(mut self) -> Self {
        self.header.set_control();
        self
    }

    /// Makes `now_ms` the time of all records.
    #[must_use]
    pub fn log_append_time(mut self, now_ms: i64) -> Self {
        self.header.set_timestamp_type(TimestampType::LogAppendTime);
        self.header.max_timestamp = now_ms;
        self
    }

    /// Adds a record behind the last one; the first one's timestamp is the base timestamp.
    #[must_use]
    pub fn append(
        mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[HeaderRef<'_>],
    ) -> Self {
        self.push(timestamp, key, value, headers.iter().copied());
        self
    }

    /// As [`append`](Self::append), for loops.
    ///
    /// # Panics
    /// If the records' bytes or their count exceed what an `i32` counts.
    pub fn push<'a>(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl Iterator<Item = HeaderRef<'a>> + Clone,
    ) {
        if self.header.records_count == 0 {
            self.header.base_timestamp = timestamp;
        }
        if self.header.timestamp_type() == TimestampType::CreateTime {
            self.header.max_timestamp = self.header.max_timestamp.max(timestamp);
        }
        let offset_delta = self.header.records_count;
        let timestamp_delta = timestamp.wrapping_sub(self.header.base_timestamp);
        put_record(&mut self.records, timestamp_delta, offset_delta, key, value, headers);
        self.header.records_count += 1;
        self.header.last_offset_delta += 1;
    }

    /// Records so far.
    pub fn records_count(&self) -> usize {
        self.header.records_count as usize
    }

    /// Bytes so far, header included, not compressed.
    pub fn size_in_bytes(&self) -> usize {
        HEADER_LEN + self.records.len()
    }

    /// The batch.
    pub fn build(mut self) -> Bytes {
        let mut batch = Vec::with_capacity(HEADER_LEN + self.records.len());
        batch.resize(HEADER_LEN, 0);
        compress(self.codec, self.level, &self.records, &mut batch);
        self.header.set_length(batch.len());
        self.header.crc = self.header.compute_crc(&batch[HEADER_LEN..]);
        batch[..HEADER_LEN].copy_from_slice(&self.header.to_bytes());
        batch.into()
    }
}

/// Writes a record in the form of a batch v2.
pub(super) fn put_record<'a>(
    out: &mut Vec<u8>,
    timestamp_delta: i64,
    offset_delta: i32,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: impl Iterator<Item = HeaderRef<'a>> + Clone,
) {
    let header_count = headers.clone().count();
    let len = 1
        + varlong_len(timestamp_delta)
        + varint_len(offset_delta)
        + nullable_len(key)
        + nullable_len(value)
        + varint_len(header_count as i32)
        + headers.clone().map(|(key, value)| nullable_len(Some(key)) + nullable_len(value)).sum::<usize>();
    out.reserve(len + 5);
    put_varint(out, i32::try_from(len).expect("a record has less than 2 GiB"));
    let start = out.len();
    out.push(0);
    put_varlong(out, timestamp_delta);
    put_varint(out, offset_delta);
    put_nullable(out, key);
    put_nullable(out, value);
    put_varint(out, header_count as i32);
    for (key, value) in headers {
        put_nullable(out, Some(key));
        put_nullable(out, value);
    }
    assert!(out.len() - start == len);
}

fn nullable_len(bytes: Option<&[u8]>) -> usize {
    match bytes {
        None => 1,
        Some(bytes) => varint_len(bytes.len() as i32) + bytes.len(),
    }
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varint(out, -1),
        Some(bytes) => {
            put_varint(out, bytes.len() as i32);
            out.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden::{BATCHES, bytes};
    use super::super::{Batches, Decompressor, check_crc, decode_records};
    use super::*;

    fn golden_builder(codec: Compression, level: i32) -> BatchBuilder {
        BatchBuilder::new()
            .codec(codec, level)
            .position(0, 9)
            .producer(7000, 3, 41)
            .transactional()
            .append(
                1_700_000_000_000,
                Some(b"key-1"),
                Some(b"value-1 value-1 value-1 value-1"),
                &[(b"h1", Some(b"x")), (b"h2", None)],
            )
            .append(1_700_000_000_005, None, Some(b"value-2 value-2 value-2 value-2"), &[])
            .append(1_699_999_999_990, Some(b"key-3"), None, &[])
    }

    #[test]
    fn an_uncompressed_batch_has_the_bytes_that_kafka_writes() {
        let batch = golden_builder(Compression::None, 0).build();
        assert_eq!(batch[..], bytes(BATCHES[0].1)[..]);
    }

    #[test]
    fn every_codec_holds_the_same_records() {
        let plain = golden_builder(Compression::None, 0).build();
        let first = Batches::new(&plain).next().expect("one").expect("valid");
        for (codec, _) in BATCHES {
            let batch = golden_builder(codec, codec.default_level()).build();
            assert_eq!(check_crc(&batch), Ok(()));
            let batch = Batches::new(&batch).next().expect("one").expect("valid");
            assert_eq!(batch.header.codec(), Ok(codec));
            let mut decompressor = Decompressor::default();
            if codec != Compression::None {
                let records = decompressor.decompress(codec, batch.records(), 10_000);
                assert_eq!(records, Ok(first.records()));
            }
            let records = decode_records(&batch, &mut decompressor, 10_000).expect("valid");
            assert_eq!(records.filter_map(Result::ok).count(), 3);
        }
    }

    #[test]
    fn an_empty_batch_is_a_batch() {
        let batch = BatchBuilder::new().build();
        let header = BatchHeader::parse(&batch).expect("a header");
        assert_eq!((header.records_count, header.last_offset()), (0, -1));
    }
}
