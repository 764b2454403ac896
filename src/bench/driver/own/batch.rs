//! One batch of one partition: records are encoded straight into its bytes, and it says as Kafka's does when it is full.
//!
//! A batch is open, then full (no more records; compressed), then sealed (header and CRC written) when it is taken for a request. A batch
//! that is sent again in a new epoch is sealed again.

use crate::record::{
    BatchHeader, Compression, Decompressor, HEADER_LEN, NO_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID,
    NO_SEQUENCE, RecordIter, compress, crc32c,
};

/// Kafka's allowance for a codec that does worse than it did.
const ESTIMATION_FACTOR: f32 = 1.05;
/// Bytes of a record besides key and value, at most (Kafka's `MAX_RECORD_OVERHEAD`).
const RECORD_OVERHEAD_MAX: usize = 21;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
const TRANSACTIONAL_BIT: i16 = 0x10;
/// Decompressed bytes of one batch at most.
const RECORDS_BYTES_MAX: usize = 1 << 30;

/// A batch on its way.
#[derive(Debug, Default)]
pub struct Batch {
    /// Room for the header, then the records: as encoded while it is open, as sent afterwards.
    bytes: Vec<u8>,
    /// Bytes of the records as encoded.
    records_bytes: usize,
    state: State,
    codec: Compression,
    level: i32,
    /// Estimate of compressed over plain bytes.
    ratio: f32,
    limit: usize,
    base_timestamp: i64,
    max_timestamp: i64,
    /// Index of its partition within its producer.
    pub part: u32,
    /// Records in it.
    pub count: u32,
    /// Bytes of keys and values.
    pub user_bytes: u64,
    /// What it takes of `buffer.memory`.
    pub reserved: usize,
    /// When it was made.
    pub created: u64,
    /// When it was made, or put back for another try.
    pub last_attempt: u64,
    /// Tries that failed.
    pub attempts: u32,
    /// Intended times of its records: time and how many records in a row have it.
    pub times: Vec<(u64, u32)>,
    /// Number of its first record among those of its producer and partition.
    pub first_number: u64,
    /// Sequence of its first record; [`NO_SEQUENCE`]: none yet.
    pub base_sequence: i32,
    /// Whether it is one of several that a batch was split into.
    pub is_split: bool,
}

/// A batch moves from queue to queue by its pointer.
pub type BatchBox = Box<Batch>;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    Full,
    Sealed,
}

/// Buffers that batches use one after another.
#[derive(Debug, Default)]
pub struct SpareBytes {
    target: Vec<u8>,
    plain: Vec<Vec<u8>>,
}

/// Whose batch it is, for its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Producer id, or -1.
    pub id: i64,
    /// Its epoch, or -1.
    pub epoch: i16,
    /// Whether batches belong to a transaction.
    pub transactional: bool,
}

impl Identity {
    /// A producer that is not idempotent.
    pub const NONE: Identity = Identity { id: NO_PRODUCER_ID, epoch: NO_PRODUCER_EPOCH, transactional: false };
}

/// The most that a batch with one record may take (Kafka's `estimateSizeInBytesUpperBound`).
pub fn size_upper_bound(key: Option<usize>, value: Option<usize>) -> usize {
    HEADER_LEN + RECORD_OVERHEAD_MAX + nullable_len(key) + nullable_len(value) + 1
}

impl Batch {
    /// Makes this (new or used) batch an empty open one. `limit` is the size at which it is full.
    pub fn open(
        &mut self,
        part: u32,
        limit: usize,
        codec: (Compression, i32),
        ratio: f32,
        now: u64,
        spare: &mut SpareBytes,
    ) {
        let (mut bytes, times) = (std::mem::take(&mut self.bytes), std::mem::take(&mut self.times));
        if codec.0 != Compression::None {
            bytes = spare.plain.pop().unwrap_or(bytes);
        }
        *self = Batch {
            bytes,
            times,
            part,
            limit,
            ratio,
            codec: codec.0,
            level: codec.1,
            reserved: limit,
            created: now,
            last_attempt: now,
            base_sequence: NO_SEQUENCE,
            ..Batch::default()
        };
        self.times.clear();
        self.bytes.clear();
        self.bytes.resize(HEADER_LEN, 0);
    }

    /// What it is thought to have in the end, header included.
    #[inline]
    pub fn estimated_size(&self) -> usize {
        match (self.state, self.codec) {
            (State::Sealed, _) => self.bytes.len(),
            (_, Compression::None) => HEADER_LEN + self.records_bytes,
            _ => HEADER_LEN + (self.records_bytes as f32 * self.ratio * ESTIMATION_FACTOR) as usize,
        }
    }

    /// Whether it takes no more records.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.state != State::Open || (self.count > 0 && self.limit <= self.estimated_size())
    }

    /// Whether `put` would add a record of these lengths.
    #[inline]
    pub fn has_room_for(&self, timestamp: i64, key: Option<usize>, value: Option<usize>) -> bool {
        if self.is_full() {
            return false;
        }
        if self.count == 0 {
            return true;
        }
        let body = self.body_len(timestamp, key, value);
        self.limit >= self.estimated_size() + varint_len(body as i64) + body
    }

    /// Adds a record, which must have room; `put_value` writes exactly `value` bytes.
    #[inline]
    pub fn put(
        &mut self,
        timestamp: i64,
        intended: u64,
        key: Option<&[u8]>,
        value: Option<usize>,
        put_value: impl FnOnce(&mut Vec<u8>),
    ) {
        if self.count == 0 {
            self.base_timestamp = timestamp;
            self.max_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        let key_len = key.map(<[u8]>::len);
        let body = self.body_len(timestamp, key_len, value);
        let bytes = &mut self.bytes;
        let start = bytes.len();
        bytes.reserve(body + 10);
        let mut prefix = Prefix::default();
        prefix.varint(body as i64);
        let body_start = start + prefix.len;
        prefix.varint(0);
        prefix.varint(timestamp - self.base_timestamp);
        prefix.varint(i64::from(self.count));
        if let Some(key) = key {
            prefix.varint(key.len() as i64);
            bytes.extend_from_slice(prefix.take());
            bytes.extend_from_slice(key);
        } else {
            prefix.varint(-1);
        }
        prefix.varint(value.map_or(-1, |len| len as i64));
        bytes.extend_from_slice(prefix.take());
        if value.is_some() {
            put_value(bytes);
        }
        bytes.push(0);
        assert!(bytes.len() - body_start == body);
        self.records_bytes += bytes.len() - start;
        self.user_bytes += (key_len.unwrap_or(0) + value.unwrap_or(0)) as u64;
        self.count += 1;
        match self.times.last_mut() {
            Some((time, count)) if *time == intended => *count += 1,
            _ => self.times.push((intended, 1)),
        }
    }

    #[inline]
    fn body_len(&self, timestamp: i64, key: Option<usize>, value: Option<usize>) -> usize {
        let delta = if self.count == 0 { 0 } else { timestamp - self.base_timestamp };
        2 + varint_len(delta) + varint_len(i64::from(self.count)) + nullable_len(key) + nullable_len(value)
    }

    /// Takes no more records from now on, and compresses them.
    pub fn close(&mut self, spare: &mut SpareBytes) {
        if self.state != State::Open {
            return;
        }
        self.state = State::Full;
        if self.codec != Compression::None {
            let target = &mut spare.target;
            target.clear();
            target.resize(HEADER_LEN, 0);
            compress(self.codec, self.level, &self.bytes[HEADER_LEN..], target);
            // The plain bytes are several times as many, so they go to the next batch instead of waiting with this one.
            spare.plain.push(std::mem::replace(&mut self.bytes, target.to_vec()));
        }
    }

    /// Compressed over plain bytes of the records; 1 without a codec.
    pub fn compression_ratio(&self) -> f32 {
        if self.codec == Compression::None || self.records_bytes == 0 {
            return 1.0;
        }
        (self.bytes.len() - HEADER_LEN) as f32 / self.records_bytes as f32
    }

    /// Writes the header: it can be sent then. A batch that is sealed may be sealed again.
    pub fn seal(&mut self, identity: Identity) {
        assert!(self.state != State::Open, "a batch is closed before it is sealed");
        assert!(self.count > 0);
        self.state = State::Sealed;
        let transactional = if identity.transactional { TRANSACTIONAL_BIT } else { 0 };
        let header = BatchHeader {
            base_offset: 0,
            batch_length: i32::try_from(self.bytes.len() - 12).expect("a batch has less than 2 GiB"),
            partition_leader_epoch: NO_LEADER_EPOCH,
            magic: 2,
            crc: 0,
            attributes: self.codec as i16 | transactional,
            last_offset_delta: self.count as i32 - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: identity.id,
            producer_epoch: identity.epoch,
            base_sequence: self.base_sequence,
            records_count: self.count as i32,
        };
        self.bytes[..HEADER_LEN].copy_from_slice(&header.to_bytes());
        let crc = crc32c(&self.bytes[ATTRIBUTES_AT..]);
        self.bytes[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
    }

    /// What is sent; the batch is sealed.
    #[inline]
    pub fn wire(&self) -> &[u8] {
        &self.bytes
    }

    /// Cuts a sealed batch into smaller ones of `limit`, which keep its times and numbers and are closed, as Kafka does when a broker
    /// finds it too large.
    pub fn split(&self, limit: usize, spare: &mut SpareBytes) -> Vec<BatchBox> {
        let header = BatchHeader::parse(&self.bytes).expect("it is sealed");
        let mut decompressor = Decompressor::default();
        let records = match self.codec {
            Compression::None => &self.bytes[HEADER_LEN..],
            codec => decompressor
                .decompress(codec, &self.bytes[HEADER_LEN..], RECORDS_BYTES_MAX)
                .expect("these are bytes of our own compressor"),
        };
        let ratio = self.compression_ratio().max(1.0);
        let mut times = self.times.iter().flat_map(|(time, count)| std::iter::repeat_n(*time, *count as usize));
        let mut sequence = self.base_sequence;
        let mut parts: Vec<BatchBox> = Vec::new();
        for (number, record) in (self.first_number..).zip(RecordIter::new(&header, records)) {
            let record = record.expect("these are records of our own");
            let (key, value) = (record.key.map(<[u8]>::len), record.value.map(<[u8]>::len));
            let room = parts.last().is_some_and(|batch| batch.has_room_for(record.timestamp, key, value));
            if !room {
                let mut batch = BatchBox::default();
                let limit = limit.max(size_upper_bound(key, value));
                batch.open(self.part, limit, (self.codec, self.level), ratio, self.created, spare);
                batch.first_number = number;
                batch.base_sequence = sequence;
                batch.is_split = true;
                parts.push(batch);
            }
            let batch = parts.last_mut().expect("there is one with room");
            let time = times.next().expect("every record has a time");
            batch.put(record.timestamp, time, record.key, value, |out| {
                out.extend_from_slice(record.value.unwrap_or_default());
            });
            if sequence != NO_SEQUENCE {
                sequence = crate::record::increment_sequence(sequence, 1);
            }
        }
        parts.iter_mut().for_each(|batch| batch.close(spare));
        parts
    }
}

#[inline]
fn nullable_len(len: Option<usize>) -> usize {
    len.map_or(1, |len| varint_len(len as i64) + len)
}

#[inline]
fn varint_len(value: i64) -> usize {
    let zigzag = ((value << 1) ^ (value >> 63)) as u64;
    (70 - (zigzag | 1).leading_zeros() as usize) / 7
}

/// Numbers in front of a key or a value, put together where no length has to be checked.
#[derive(Default)]
struct Prefix {
    bytes: [u8; 32],
    len: usize,
}

impl Prefix {
    #[inline]
    fn varint(&mut self, value: i64) {
        let mut zigzag = ((value << 1) ^ (value >> 63)) as u64;
        while zigzag >= 0x80 {
            self.bytes[self.len] = zigzag as u8 | 0x80;
            self.len += 1;
            zigzag >>= 7;
        }
        self.bytes[self.len] = zigzag as u8;
        self.len += 1;
    }

    /// What is in it; it is empty then.
    #[inline]
    fn take(&mut self) -> &[u8] {
        let len = std::mem::take(&mut self.len);
        &self.bytes[..len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, Batches, decode_records};

    const CODECS: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    fn filled(codec: Compression, limit: usize) -> Batch {
        let mut batch = Batch::default();
        batch.open(3, limit, (codec, codec.default_level()), 1.0, 0, &mut SpareBytes::default());
        let mut number = 0u64;
        while batch.has_room_for(1000 + number as i64, Some(8), Some(100)) {
            let key = format!("{number:08}");
            batch.put(1000 + number as i64, number, Some(key.as_bytes()), Some(100), |out| {
                out.extend_from_slice(&[b'v'; 100]);
            });
            number += 1;
        }
        batch
    }

    #[test]
    fn bytes_are_those_of_the_other_builder() {
        let mut batch = Batch::default();
        batch.open(0, 16_384, (Compression::None, 0), 1.0, 0, &mut SpareBytes::default());
        let mut builder = BatchBuilder::new().producer(7, 1, 40);
        let cases: [(i64, Option<&[u8]>, Option<&[u8]>); 4] = [
            (1000, Some(b"key"), Some(b"value")),
            (999, None, None),
            (5_000_000, None, Some(&[7; 300])),
            (1000, Some(b""), Some(b"")),
        ];
        for (timestamp, key, value) in cases {
            assert!(batch.has_room_for(timestamp, key.map(<[u8]>::len), value.map(<[u8]>::len)));
            batch
                .put(timestamp, 5, key, value.map(<[u8]>::len), |out| out.extend_from_slice(value.unwrap_or_default()));
            builder = builder.append(timestamp, key, value, &[]);
        }
        batch.base_sequence = 40;
        batch.close(&mut SpareBytes::default());
        batch.seal(Identity { id: 7, epoch: 1, transactional: false });
        assert_eq!(batch.wire(), &builder.build()[..]);
        assert_eq!(batch.times, [(5, 4)]);
        assert_eq!(batch.user_bytes, 308);
    }

    #[test]
    fn a_batch_is_as_full_as_its_limit_allows() {
        let mut batch = filled(Compression::None, 16_384);
        // The 61 bytes of the header, 117 for each of the first 64 records, and 118 from then on.
        assert_eq!(batch.count as usize, 64 + (16_384 - 61 - 64 * 117) / 118);
        batch.close(&mut SpareBytes::default());
        assert!(batch.is_full() && !batch.has_room_for(0, None, Some(1)));
    }

    #[test]
    fn one_record_always_fits() {
        let mut batch = Batch::default();
        batch.open(0, 1, (Compression::None, 0), 1.0, 0, &mut SpareBytes::default());
        assert!(!batch.is_full() && batch.has_room_for(0, None, Some(1000)));
        batch.put(0, 0, None, Some(1000), |out| out.extend_from_slice(&[0; 1000]));
        assert!(batch.is_full());
        assert_eq!(size_upper_bound(None, Some(1000)), 61 + 21 + 1 + 1002 + 1);
    }

    #[test]
    fn a_split_batch_keeps_records_times_numbers_and_sequences() {
        for codec in CODECS {
            let mut batch = filled(codec, 16_384);
            batch.first_number = 500;
            batch.base_sequence = 9;
            let mut spare = SpareBytes::default();
            batch.close(&mut spare);
            batch.seal(Identity { id: 1, epoch: 0, transactional: false });
            let parts = batch.split(4096, &mut spare);
            assert!(parts.len() > 3, "{codec:?}");
            let mut records = 0;
            for mut part in parts {
                assert_eq!(part.first_number, 500 + u64::from(records));
                assert_eq!(part.base_sequence, 9 + records as i32);
                assert_eq!(part.times.first(), Some(&(u64::from(records), 1)));
                records += part.count;
                part.seal(Identity { id: 1, epoch: 0, transactional: false });
                let read = Batches::new(part.wire()).next().expect("one").expect("valid");
                assert!(read.crc_matches());
                let mut decompressor = Decompressor::default();
                let decoded = decode_records(&read, &mut decompressor, 1 << 20).expect("valid");
                assert_eq!(decoded.filter_map(Result::ok).count(), part.count as usize);
            }
            assert_eq!(records, batch.count);
        }
    }
}
