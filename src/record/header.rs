//! The header of a record batch v2, walking over batches in a slice, and patching the few fields that a broker may change.
//!
//! ```text
//! position  bytes  field                  patched by the broker
//!        0      8  base offset            always; not under the CRC
//!        8      4  batch length           bytes behind this field, so 49 at least
//!       12      4  partition leader epoch always; not under the CRC
//!       16      1  magic = 2
//!       17      4  CRC-32C                of everything from attributes to the end of the batch
//!       21      2  attributes             bit 0-2 codec, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon
//!       23      4  last offset delta
//!       27      8  base timestamp
//!       35      8  max timestamp          for LogAppendTime
//!       43      8  producer id
//!       51      2  producer epoch
//!       53      4  base sequence
//!       57      4  records count
//!       61         records
//! ```

use std::fmt;

use zerocopy::big_endian::{I16, I32, I64, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::codec::Compression;
use super::{NO_PRODUCER_ID, NO_SEQUENCE, crc32c, increment_sequence};

/// Length of the header in bytes.
pub const HEADER_LEN: usize = 61;
/// Length of the base offset and the batch length, which the batch length does not count.
pub const BASE_OFFSET_AND_LENGTH_LEN: usize = 12;

/// Up to here a batch of any magic looks the same, so this much is needed to learn length and magic.
const UP_TO_MAGIC_LEN: usize = 17;
const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
/// First byte under the CRC.
const ATTRIBUTES_AT: usize = 21;
const MAX_TIMESTAMP_AT: usize = 35;

const CODEC_MASK: i16 = 0x07;
const TIMESTAMP_TYPE_BIT: i16 = 0x08;
const TRANSACTIONAL_BIT: i16 = 0x10;
const CONTROL_BIT: i16 = 0x20;
const DELETE_HORIZON_BIT: i16 = 0x40;

#[derive(FromBytes, IntoBytes, Unaligned, Immutable, KnownLayout)]
#[repr(C)]
struct RawHeader {
    base_offset: I64,
    batch_length: I32,
    partition_leader_epoch: I32,
    magic: i8,
    crc: U32,
    attributes: I16,
    last_offset_delta: I32,
    base_timestamp: I64,
    max_timestamp: I64,
    producer_id: I64,
    producer_epoch: I16,
    base_sequence: I32,
    records_count: I32,
}

const _: () = assert!(size_of::<RawHeader>() == HEADER_LEN);
const _: () = assert!(std::mem::offset_of!(RawHeader, magic) == MAGIC_AT);
const _: () = assert!(std::mem::offset_of!(RawHeader, crc) == CRC_AT);
const _: () = assert!(std::mem::offset_of!(RawHeader, attributes) == ATTRIBUTES_AT);
const _: () = assert!(std::mem::offset_of!(RawHeader, max_timestamp) == MAX_TIMESTAMP_AT);

/// What the timestamps of a batch mean (`message.timestamp.type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampType {
    /// Set by the producer, per record.
    #[default]
    CreateTime,
    /// Set by the broker, one for the whole batch: its max timestamp.
    LogAppendTime,
}

/// The header of a batch as host numbers. See the layout at the top of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the layout above, in Kafka's words")]
pub struct BatchHeader {
    pub base_offset: i64,
    pub batch_length: i32,
    pub partition_leader_epoch: i32,
    pub magic: i8,
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub records_count: i32,
}

/// Why bytes are not the start of a batch v2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// Fewer bytes than a header has.
    Short {
        /// Bytes there are.
        len: usize,
    },
    /// The batch length can't be that of a batch v2.
    Length {
        /// The value of the field.
        batch_length: i32,
    },
    /// Another format: 0 and 1 are message sets of old; everything else is garbage.
    Magic(i8),
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { len } => write!(f, "{len} bytes are too few for a batch header"),
            Self::Length { batch_length } => {
                write!(f, "batch length {batch_length} is not that of a batch")
            }
            Self::Magic(magic) => write!(f, "record format (magic) {magic} is not supported"),
        }
    }
}

impl std::error::Error for HeaderError {}

impl BatchHeader {
    /// Reads the header at the start of `bytes`; the records behind it need not be there. The CRC is not checked.
    pub fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        let Ok((raw, _)) = RawHeader::ref_from_prefix(bytes) else {
            return Err(HeaderError::Short { len: bytes.len() });
        };
        if raw.magic != 2 {
            return Err(HeaderError::Magic(raw.magic));
        }
        let header = Self {
            base_offset: raw.base_offset.get(),
            batch_length: raw.batch_length.get(),
            partition_leader_epoch: raw.partition_leader_epoch.get(),
            magic: raw.magic,
            crc: raw.crc.get(),
            attributes: raw.attributes.get(),
            last_offset_delta: raw.last_offset_delta.get(),
            base_timestamp: raw.base_timestamp.get(),
            max_timestamp: raw.max_timestamp.get(),
            producer_id: raw.producer_id.get(),
            producer_epoch: raw.producer_epoch.get(),
            base_sequence: raw.base_sequence.get(),
            records_count: raw.records_count.get(),
        };
        let batch_length = header.batch_length;
        if batch_length < (HEADER_LEN - BASE_OFFSET_AND_LENGTH_LEN) as i32
            || batch_length > i32::MAX - BASE_OFFSET_AND_LENGTH_LEN as i32
        {
            return Err(HeaderError::Length { batch_length });
        }
        Ok(header)
    }

    /// The header as it stands in a batch.
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let raw = RawHeader {
            base_offset: self.base_offset.into(),
            batch_length: self.batch_length.into(),
            partition_leader_epoch: self.partition_leader_epoch.into(),
            magic: self.magic,
            crc: self.crc.into(),
            attributes: self.attributes.into(),
            last_offset_delta: self.last_offset_delta.into(),
            base_timestamp: self.base_timestamp.into(),
            max_timestamp: self.max_timestamp.into(),
            producer_id: self.producer_id.into(),
            producer_epoch: self.producer_epoch.into(),
            base_sequence: self.base_sequence.into(),
            records_count: self.records_count.into(),
        };
        let mut bytes = [0; HEADER_LEN];
        bytes.copy_from_slice(raw.as_bytes());
        bytes
    }

    /// Length of the whole batch, header included.
    pub fn size_in_bytes(&self) -> usize {
        BASE_OFFSET_AND_LENGTH_LEN + self.batch_length.max(0) as usize
    }

    /// Offset of the last record. A compacted batch keeps it, whatever records are left.
    pub fn last_offset(&self) -> i64 {
        self.base_offset.wrapping_add(i64::from(self.last_offset_delta))
    }

    /// The codec of the records; `Err` holds the number of one that does not exist (5 to 7).
    pub fn codec(&self) -> Result<Compression, u8> {
        let id = (self.attributes & CODEC_MASK) as u8;
        Compression::from_id(id).ok_or(id)
    }

    /// What the timestamps mean.
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & TIMESTAMP_TYPE_BIT == 0 { TimestampType::CreateTime } else { TimestampType::LogAppendTime }
    }

    /// Whether the batch belongs to a transaction (its marker does, too).
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    /// Whether the records are control records, which clients never see.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }

    /// The time from which the cleaner may drop the tombstones and markers of this batch (KIP-534).
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON_BIT != 0).then_some(self.base_timestamp)
    }

    /// Whether the batch is one of an idempotent producer.
    pub fn has_producer_id(&self) -> bool {
        self.producer_id > NO_PRODUCER_ID
    }

    /// Sequence number of the last record, [`NO_SEQUENCE`] if the batch has none.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence == NO_SEQUENCE {
            return NO_SEQUENCE;
        }
        increment_sequence(self.base_sequence, self.last_offset_delta)
    }

    /// Notes that the whole batch has `size` bytes.
    ///
    /// # Panics
    /// If that is 2 GiB or more.
    pub(super) fn set_length(&mut self, size: usize) {
        self.batch_length = i32::try_from(size - BASE_OFFSET_AND_LENGTH_LEN).expect("a batch has less than 2 GiB");
    }

    pub(super) fn set_codec(&mut self, codec: Compression) {
        self.attributes = self.attributes & !CODEC_MASK | codec as i16;
    }

    /// The records of what is left are not compressed: there are none.
    pub(super) fn clear_codec(&mut self) {
        self.set_codec(Compression::None);
    }

    /// Notes from when on the tombstones and markers may go (KIP-534); the timestamps of the records count from there.
    pub(super) fn set_delete_horizon(&mut self, horizon_ms: i64) {
        self.attributes |= DELETE_HORIZON_BIT;
        self.base_timestamp = horizon_ms;
    }

    pub(super) fn set_timestamp_type(&mut self, timestamp_type: TimestampType) {
        match timestamp_type {
            TimestampType::CreateTime => self.attributes &= !TIMESTAMP_TYPE_BIT,
            TimestampType::LogAppendTime => self.attributes |= TIMESTAMP_TYPE_BIT,
        }
    }

    pub(super) fn set_transactional(&mut self) {
        self.attributes |= TRANSACTIONAL_BIT;
    }

    pub(super) fn set_control(&mut self) {
        self.attributes |= CONTROL_BIT;
    }

    /// The CRC of this header and the `records` behind it.
    pub(super) fn compute_crc(&self, records: &[u8]) -> u32 {
        let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
        digest.update(&self.to_bytes()[ATTRIBUTES_AT..]);
        digest.update(records);
        digest.finalize() as u32
    }
}

/// One batch in a slice.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Its header.
    pub header: BatchHeader,
    /// All of it, header included.
    pub bytes: &'a [u8],
}

impl<'a> Batch<'a> {
    /// The records as they are stored, maybe compressed.
    pub fn records(&self) -> &'a [u8] {
        &self.bytes[HEADER_LEN..]
    }

    /// Whether the stored CRC is that of the bytes.
    pub fn crc_matches(&self) -> bool {
        check_crc(self.bytes).is_ok()
    }
}

/// Walks over the batches of a slice. A batch that is cut short at the end is not returned, as in Kafka: that is how the
/// answer to a fetch may end. After an error there is nothing more.
///
/// ```
/// use millrace::record::{BatchBuilder, Batches};
/// let batch = BatchBuilder::new().append(0, Some(b"key"), Some(b"value"), &[]).build();
/// let mut two = [&batch[..], &batch[..]].concat();
/// two.extend_from_slice(&batch[..20]);
/// let mut batches = Batches::new(&two);
/// assert_eq!(batches.by_ref().filter_map(Result::ok).count(), 2);
/// assert_eq!(batches.position(), 2 * batch.len());
/// ```
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    bytes: &'a [u8],
    position: usize,
    failed: bool,
}

impl<'a> Batches<'a> {
    /// Starts at the first of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0, failed: false }
    }

    /// Bytes of the whole batches returned so far.
    pub fn position(&self) -> usize {
        self.position
    }

    fn read_next(&self) -> Result<Option<Batch<'a>>, HeaderError> {
        let rest = &self.bytes[self.position..];
        let Some(start) = rest.first_chunk::<UP_TO_MAGIC_LEN>() else {
            return Ok(None);
        };
        let magic = start[MAGIC_AT] as i8;
        if magic != 2 {
            return Err(HeaderError::Magic(magic));
        }
        let batch_length = i32::from_be_bytes([start[8], start[9], start[10], start[11]]);
        if batch_length < (HEADER_LEN - BASE_OFFSET_AND_LENGTH_LEN) as i32 {
            return Err(HeaderError::Length { batch_length });
        }
        let size = BASE_OFFSET_AND_LENGTH_LEN + batch_length as usize;
        let Some(bytes) = rest.get(..size) else {
            return Ok(None);
        };
        let header = BatchHeader::parse(bytes)?;
        Ok(Some(Batch { header, bytes }))
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<Batch<'a>, HeaderError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let result = self.read_next().transpose()?;
        match &result {
            Ok(batch) => self.position += batch.bytes.len(),
            Err(_) => self.failed = true,
        }
        Some(result)
    }
}

/// Compares the stored CRC of one whole batch with that of its bytes; `Err` is (stored, computed).
///
/// # Panics
/// If `batch` is shorter than a header.
pub fn check_crc(batch: &[u8]) -> Result<(), (u32, u32)> {
    assert!(batch.len() >= HEADER_LEN);
    let stored = u32::from_be_bytes([batch[CRC_AT], batch[CRC_AT + 1], batch[CRC_AT + 2], batch[CRC_AT + 3]]);
    let computed = crc32c(&batch[ATTRIBUTES_AT..]);
    if stored == computed { Ok(()) } else { Err((stored, computed)) }
}

/// Patches base offset and leader epoch, which are not under the CRC.
///
/// # Panics
/// If `batch` is shorter than a header.
pub fn assign_offset(batch: &mut [u8], base_offset: i64, leader_epoch: i32) {
    assert!(batch.len() >= HEADER_LEN);
    batch[..8].copy_from_slice(&base_offset.to_be_bytes());
    batch[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
}

/// Patches max timestamp and timestamp type of a whole batch and computes its CRC anew.
///
/// # Panics
/// If `batch` is not one whole batch v2.
pub fn set_max_timestamp(batch: &mut [u8], timestamp_type: TimestampType, max_timestamp: i64) {
    let mut header = BatchHeader::parse(batch).expect("the caller has read this header before");
    assert!(batch.len() == header.size_in_bytes());
    header.set_timestamp_type(timestamp_type);
    header.max_timestamp = max_timestamp;
    header.crc = header.compute_crc(&batch[HEADER_LEN..]);
    batch[..HEADER_LEN].copy_from_slice(&header.to_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::golden::{BATCHES, bytes};
    use super::super::{BatchBuilder, NO_TIMESTAMP};
    use super::*;

    #[test]
    fn header_of_a_real_batch_reads_and_writes() {
        for (codec, hex) in BATCHES {
            let batch = bytes(hex);
            let header = BatchHeader::parse(&batch).expect("golden batch");
            assert_eq!(header.size_in_bytes(), batch.len());
            assert_eq!(header.codec(), Ok(codec));
            assert_eq!(header.partition_leader_epoch, 9);
            assert_eq!((header.last_offset_delta, header.records_count), (2, 3));
            assert_eq!((header.base_timestamp, header.max_timestamp), (1_700_000_000_000, 1_700_000_000_005));
            assert_eq!((header.producer_id, header.producer_epoch), (7000, 3));
            assert_eq!((header.base_sequence, header.last_sequence()), (41, 43));
            assert!(header.is_transactional() && !header.is_control());
            assert_eq!(header.timestamp_type(), TimestampType::CreateTime);
            assert_eq!(header.to_bytes(), batch[..HEADER_LEN]);
            assert_eq!(check_crc(&batch), Ok(()));
        }
    }

    #[test]
    fn patched_offset_keeps_the_crc_and_patched_timestamp_renews_it() {
        let mut batch = bytes(BATCHES[0].1);
        assign_offset(&mut batch, 77, 5);
        assert_eq!(check_crc(&batch), Ok(()));
        set_max_timestamp(&mut batch, TimestampType::LogAppendTime, 123);
        assert_eq!(check_crc(&batch), Ok(()));
        let header = BatchHeader::parse(&batch).expect("still a batch");
        assert_eq!((header.base_offset, header.last_offset()), (77, 79));
        assert_eq!(header.partition_leader_epoch, 5);
        assert_eq!(header.timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!(header.max_timestamp, 123);
    }

    #[test]
    fn a_flipped_bit_breaks_the_crc() {
        let mut batch = bytes(BATCHES[0].1);
        *batch.last_mut().expect("not empty") ^= 1;
        assert!(check_crc(&batch).is_err());
    }

    #[test]
    fn bad_headers_are_refused() {
        assert_eq!(BatchHeader::parse(&[0; 60]), Err(HeaderError::Short { len: 60 }));
        assert_eq!(BatchHeader::parse(&[0; 61]), Err(HeaderError::Magic(0)));
        let mut batch = bytes(BATCHES[0].1);
        batch[8..12].copy_from_slice(&48i32.to_be_bytes());
        assert_eq!(BatchHeader::parse(&batch), Err(HeaderError::Length { batch_length: 48 }));
        assert!(Batches::new(&batch).next().expect("an error").is_err());
        batch[8..12].copy_from_slice(&(-1i32).to_be_bytes());
        assert!(Batches::new(&batch).next().expect("an error").is_err());
    }

    #[test]
    fn sequences_wrap() {
        let batch = BatchBuilder::new()
            .producer(1, 0, i32::MAX)
            .append(NO_TIMESTAMP, None, None, &[])
            .append(NO_TIMESTAMP, None, None, &[])
            .build();
        let header = BatchHeader::parse(&batch).expect("built");
        assert_eq!(header.last_sequence(), 0);
    }
}
