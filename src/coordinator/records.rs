//! Records of the internal topics: `i16 type, message` as key, `i16 version, message` as value; a null value is a tombstone.

use bytes::Bytes;

use crate::protocol::Record;
use crate::wire::{DecodeError, Reader, Writer};

/// Version of all keys: the type stands in front of the message instead.
const KEY_VERSION: i16 = 0;

/// A record to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinatorRecord {
    /// Type and message.
    pub key: Bytes,
    /// Version and message; `None` deletes the key.
    pub value: Option<Bytes>,
}

impl CoordinatorRecord {
    /// A record with a value in `version`.
    pub fn new<K: Record, V: Record>(key: &K, value: &V, version: i16) -> CoordinatorRecord {
        let mut writer = Writer::with_capacity(2 + value.encoded_len(version));
        writer.write_i16(version);
        value.encode(&mut writer, version);
        CoordinatorRecord { key: encode_key(key), value: Some(writer.freeze()) }
    }

    /// A record that deletes its key.
    pub fn tombstone<K: Record>(key: &K) -> CoordinatorRecord {
        CoordinatorRecord { key: encode_key(key), value: None }
    }

    /// Bytes in a batch, an upper estimate.
    pub fn size_in_bytes(&self) -> usize {
        // Length, attributes, timestamp, offset, two lengths, headers.
        const AROUND: usize = 40;
        AROUND + self.key.len() + self.value.as_ref().map_or(0, Bytes::len)
    }
}

/// Encodes the records of one request into one buffer, whose memory they share: they live and die together.
#[derive(Default)]
pub struct RecordsWriter {
    writer: Writer,
    /// Where the key and the value of each record end.
    ends: Vec<(usize, usize)>,
}

impl RecordsWriter {
    /// For so many records.
    pub fn with_capacity(count: usize) -> RecordsWriter {
        RecordsWriter { writer: Writer::new(), ends: Vec::with_capacity(count) }
    }

    /// Adds a record with a value in `version`.
    pub fn push<K: Record, V: Record>(&mut self, key: &K, value: &V, version: i16) {
        let len = 4 + key.encoded_len(KEY_VERSION) + value.encoded_len(version);
        // Records of one request are about as long as the first one.
        let left = self.ends.capacity().saturating_sub(self.ends.len()).max(1);
        self.writer.reserve(if self.ends.is_empty() { (len + 8) * left } else { len });
        self.writer.write_i16(K::RECORD_TYPE);
        key.encode(&mut self.writer, KEY_VERSION);
        let key_end = self.writer.len();
        self.writer.write_i16(version);
        value.encode(&mut self.writer, version);
        self.ends.push((key_end, self.writer.len()));
    }

    /// The records, in order.
    pub fn finish(self) -> Vec<CoordinatorRecord> {
        let mut rest = self.writer.freeze();
        let mut begun = 0;
        let record = |(key_end, value_end): (usize, usize)| {
            let key = rest.split_to(key_end - begun);
            let value = rest.split_to(value_end - key_end);
            begun = value_end;
            CoordinatorRecord { key, value: Some(value) }
        };
        self.ends.into_iter().map(record).collect()
    }
}

fn encode_key<K: Record>(key: &K) -> Bytes {
    let mut writer = Writer::with_capacity(2 + key.encoded_len(KEY_VERSION));
    writer.write_i16(K::RECORD_TYPE);
    key.encode(&mut writer, KEY_VERSION);
    writer.freeze()
}

/// A record as it stands in the log.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// Its offset.
    pub offset: i64,
    /// The producer of the transaction it is part of.
    pub producer_id: Option<i64>,
    /// Type and message.
    pub key: Bytes,
    /// Version and message.
    pub value: Option<Bytes>,
}

impl Replayed {
    /// The type, and the reader behind it.
    pub fn open_key(&self) -> Result<(i16, Reader), DecodeError> {
        let mut reader = Reader::new(self.key.clone());
        let record_type = reader.read_i16()?;
        Ok((record_type, reader))
    }

    /// The value, if it is no tombstone.
    pub fn decode_value<V: Record>(&self) -> Result<Option<V>, DecodeError> {
        let Some(value) = &self.value else { return Ok(None) };
        let mut reader = Reader::new(value.clone());
        let version = reader.read_i16()?;
        V::decode(&mut reader, version).map(Some)
    }
}

/// Reads a key whose type was read before.
pub fn decode_key<K: Record>(reader: &mut Reader) -> Result<K, DecodeError> {
    K::decode(reader, KEY_VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::group::{OffsetCommitKey, OffsetCommitValue};

    #[test]
    fn records_of_one_buffer_are_those_of_buffers_of_their_own() {
        let key = |partition| OffsetCommitKey { group: "g".into(), topic: "topic".into(), partition };
        let value =
            |offset| OffsetCommitValue { offset, metadata: "x".repeat(offset as usize).into(), ..Default::default() };
        let mut writer = RecordsWriter::with_capacity(2);
        for nth in 0..4 {
            writer.push(&key(nth), &value(i64::from(nth)), 3);
        }
        let apart: Vec<_> = (0..4).map(|nth| CoordinatorRecord::new(&key(nth), &value(i64::from(nth)), 3)).collect();
        assert_eq!(writer.finish(), apart);
        assert_eq!(RecordsWriter::default().finish(), []);
    }
}
