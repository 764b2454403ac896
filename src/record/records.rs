//! The records inside a batch, read without copying.
//!
//! ```text
//! length           varint   bytes behind this field
//! attributes       1 byte   unused
//! timestamp delta  varlong  to the base timestamp
//! offset delta     varint   to the base offset
//! key              varint length (negative: null) and bytes
//! value            varint length (negative: null) and bytes
//! headers          varint count, each: varint length and key, varint length (negative: null) and value
//! ```

use std::fmt;

use super::codec::{CodecError, Compression, Decompressor};
use super::header::{Batch, BatchHeader, TimestampType};
use super::varint::Cursor;

/// A record, borrowed from the (decompressed) bytes of its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Absolute offset: base offset of the batch plus the delta.
    pub offset: i64,
    /// Absolute timestamp; the batch's own for LogAppendTime.
    pub timestamp: i64,
    /// The key, `None` for null.
    pub key: Option<&'a [u8]>,
    /// The value, `None` for null (a tombstone on a compacted topic).
    pub value: Option<&'a [u8]>,
    /// The headers, in order; keys may repeat.
    pub headers: Headers<'a>,
}

/// The headers of a record: an iterator over (key, value). They were checked when the record was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl<'a> Headers<'a> {
    /// How many are left.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        self.count = self.count.checked_sub(1)?;
        let mut cursor = Cursor::new(self.bytes);
        let key = cursor.nullable_bytes()?.unwrap_or_default();
        let value = cursor.nullable_bytes()?;
        self.bytes = cursor.rest();
        Some((key, value))
    }
}

/// The records of a batch do not have the form they should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MalformedRecord {
    /// The record with this index is cut short, has a bad length, or its parts don't fill it.
    Structure {
        /// Index within the batch, from 0.
        index: i32,
    },
    /// Bytes are left behind the last record.
    Trailing {
        /// How many.
        bytes: usize,
    },
}

impl fmt::Display for MalformedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Structure { index } => write!(f, "record {index} of the batch is malformed"),
            Self::Trailing { bytes } => write!(f, "{bytes} bytes are left behind the last record"),
        }
    }
}

impl std::error::Error for MalformedRecord {}

/// Iterates over the records of one batch; ends with `records_count`, or after the first error.
#[derive(Clone, Debug)]
pub struct RecordIter<'a> {
    base_offset: i64,
    base_timestamp: i64,
    /// Set for LogAppendTime: the timestamp of all records.
    log_append_time: Option<i64>,
    index: i32,
    count: i32,
    rest: &'a [u8],
}

impl<'a> RecordIter<'a> {
    /// Reads `records`, which are not compressed (any more), in the light of their batch's `header`.
    pub fn new(header: &BatchHeader, records: &'a [u8]) -> Self {
        let log_append_time = (header.timestamp_type() == TimestampType::LogAppendTime).then_some(header.max_timestamp);
        Self {
            base_offset: header.base_offset,
            base_timestamp: header.base_timestamp,
            log_append_time,
            index: 0,
            count: header.records_count,
            rest: records,
        }
    }

    fn read_next(&mut self) -> Option<Record<'a>> {
        let mut cursor = Cursor::new(self.rest);
        let len = usize::try_from(cursor.varint()?).ok()?;
        let mut body = Cursor::new(cursor.take(len)?);
        let _attributes = body.byte()?;
        let timestamp_delta = body.varlong()?;
        let offset_delta = body.varint()?;
        let key = body.nullable_bytes()?;
        let value = body.nullable_bytes()?;
        let headers = read_headers(&mut body)?;
        if !body.rest().is_empty() {
            return None;
        }
        self.rest = cursor.rest();
        Some(Record {
            offset: self.base_offset.wrapping_add(i64::from(offset_delta)),
            timestamp: self.log_append_time.unwrap_or(self.base_timestamp.wrapping_add(timestamp_delta)),
            key,
            value,
            headers,
        })
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, MalformedRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.index >= self.count {
            return None;
        }
        let index = self.index;
        let Some(record) = self.read_next() else {
            self.count = 0;
            return Some(Err(MalformedRecord::Structure { index }));
        };
        self.index += 1;
        if self.index == self.count && !self.rest.is_empty() {
            let bytes = self.rest.len();
            return Some(Err(MalformedRecord::Trailing { bytes }));
        }
        Some(Ok(record))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // A record has 7 bytes at least, so a lying count can't make a caller reserve much.
        let left = (self.count - self.index).max(0) as usize;
        (0, Some(left.min(self.rest.len())))
    }
}

fn read_headers<'a>(body: &mut Cursor<'a>) -> Option<Headers<'a>> {
    let count = usize::try_from(body.varint()?).ok()?;
    let bytes = body.rest();
    if count > bytes.len() {
        return None;
    }
    for _ in 0..count {
        skip_header(body)?;
    }
    Some(Headers { count, bytes })
}

/// Passes one header; its key may not be null.
#[inline(always)]
pub(super) fn skip_header(body: &mut Cursor<'_>) -> Option<()> {
    let key_len = usize::try_from(body.varint()?).ok()?;
    body.take(key_len)?;
    body.nullable_bytes()?;
    Some(())
}

/// The records of any batch: decompressed into `decompressor` if need be, refused beyond `len_max` decompressed bytes.
pub fn decode_records<'a>(
    batch: &Batch<'a>,
    decompressor: &'a mut Decompressor,
    len_max: usize,
) -> Result<RecordIter<'a>, CodecError> {
    let codec = batch.header.codec().map_err(CodecError::UnknownCodec)?;
    let records = match codec {
        Compression::None => batch.records(),
        codec => decompressor.decompress(codec, batch.records(), len_max)?,
    };
    Ok(RecordIter::new(&batch.header, records))
}

#[cfg(test)]
mod tests {
    use super::super::golden::{BATCHES, MARKER, bytes};
    use super::super::{BatchBuilder, Batches};
    use super::*;

    fn batch_of(bytes: &[u8]) -> Batch<'_> {
        Batches::new(bytes).next().expect("one batch").expect("a valid one")
    }

    #[test]
    fn records_of_every_codec_written_by_kafka_read_back() {
        for (_, hex) in BATCHES {
            let bytes = bytes(hex);
            let mut decompressor = Decompressor::default();
            let records: Vec<Record<'_>> = decode_records(&batch_of(&bytes), &mut decompressor, 10_000)
                .expect("decompresses")
                .collect::<Result<_, _>>()
                .expect("well formed");
            assert_eq!(records.len(), 3);
            assert_eq!(records[0].key, Some(&b"key-1"[..]));
            assert_eq!(records[0].value, Some(&b"value-1 value-1 value-1 value-1"[..]));
            let headers: Vec<_> = records[0].headers.collect();
            assert_eq!(headers, [(&b"h1"[..], Some(&b"x"[..])), (&b"h2"[..], None)]);
            assert_eq!((records[1].key, records[1].offset), (None, 1));
            assert_eq!(records[1].timestamp, 1_700_000_000_005);
            assert_eq!((records[2].value, records[2].timestamp), (None, 1_699_999_999_990));
        }
    }

    #[test]
    fn control_record_reads() {
        let bytes = bytes(MARKER);
        let batch = batch_of(&bytes);
        assert!(batch.header.is_control());
        let record = RecordIter::new(&batch.header, batch.records()).next().expect("one").expect("well formed");
        assert_eq!((record.offset, record.key), (10, Some(&[0, 0, 0, 1][..])));
    }

    #[test]
    fn malformed_records_are_refused_at_every_cut() {
        let batch = bytes(BATCHES[0].1);
        let parsed = batch_of(&batch);
        let records = parsed.records();
        for len in 0..records.len() {
            let result: Result<Vec<_>, _> = RecordIter::new(&parsed.header, &records[..len]).collect();
            assert!(result.is_err(), "cut at {len}");
        }
        let mut longer = records.to_vec();
        longer.push(0);
        assert_eq!(RecordIter::new(&parsed.header, &longer).last(), Some(Err(MalformedRecord::Trailing { bytes: 1 })));
        let mut many_headers = records.to_vec();
        many_headers.splice(.., [12, 0, 0, 0, 1, 1, 200, 200, 3]);
        let first = RecordIter::new(&parsed.header, &many_headers).next();
        assert_eq!(first, Some(Err(MalformedRecord::Structure { index: 0 })));
    }

    #[test]
    fn log_append_time_overrides_the_records() {
        let mut batch = BatchBuilder::new().append(5, None, Some(b"v"), &[]).build().to_vec();
        super::super::set_max_timestamp(&mut batch, TimestampType::LogAppendTime, 99);
        let parsed = batch_of(&batch);
        let record = RecordIter::new(&parsed.header, parsed.records()).next();
        assert_eq!(record.expect("one").expect("well formed").timestamp, 99);
    }
}
