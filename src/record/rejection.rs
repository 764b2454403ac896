//! Why a batch is not appended. The variants carry the facts; which error code they become is the server's business.

use std::fmt;

use super::codec::CodecError;
use super::header::HeaderError;
use super::records::MalformedRecord;

/// A batch that may not be appended. Nothing of it was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the values of the sentence above them")]
pub enum BatchError {
    /// There is not one whole batch (`INVALID_RECORD`).
    NoBatch,
    /// A message set of Kafka before 0.11 (`INVALID_RECORD`).
    OldMagic(i8),
    /// More than one batch for a partition (`INVALID_RECORD`).
    MoreThanOne,
    /// Unknown magic or an impossible length (`CORRUPT_MESSAGE`).
    Header(HeaderError),
    /// A base offset other than 0 (`INVALID_RECORD`).
    BaseOffset(i64),
    /// Larger than `max.message.bytes`, as sent or with the codec of the topic (`MESSAGE_TOO_LARGE`).
    TooLarge { size: usize, size_max: usize },
    /// The CRC is not that of the bytes (`CORRUPT_MESSAGE`).
    Crc { stored: u32, computed: u32 },
    /// A codec number from 5 to 7 (`UNKNOWN_SERVER_ERROR` in Kafka).
    UnknownCodec(u8),
    /// The last offset delta is negative (`INVALID_RECORD`).
    OffsetRange { last_offset_delta: i32 },
    /// No records, or fewer (`INVALID_RECORD`).
    RecordsCount { records_count: i32 },
    /// The count of records is not what the last offset delta says (`INVALID_RECORD`).
    RecordsCountOffsetRange { records_count: i32, last_offset_delta: i32 },
    /// A control batch from a client (`INVALID_RECORD`).
    ControlFromClient,
    /// A producer id without a sequence (`INVALID_RECORD`).
    BaseSequence { producer_id: i64, base_sequence: i32 },
    /// The records do not decompress (`UNKNOWN_SERVER_ERROR` in Kafka).
    Codec(CodecError),
    /// The records do not have their form (`INVALID_RECORD`).
    Malformed(MalformedRecord),
    /// The offset deltas of compressed records are not 0, 1, 2 and so on (`UNKNOWN_SERVER_ERROR` in Kafka).
    InnerOffsets,
    /// Some records break the topic's rules (`INVALID_TIMESTAMP` if one of them does so by its timestamp, else
    /// `INVALID_RECORD`).
    Rejected(Vec<RecordError>),
}

/// A record that breaks the rules of its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// Its index in the batch, from 0.
    pub batch_index: i32,
    /// What is wrong with it.
    pub rejection: Rejection,
}

/// The rule that a record breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the values of the sentence above them")]
pub enum Rejection {
    /// A compacted topic needs keys.
    NoKey,
    /// The timestamp is further from the broker's clock than the topic allows.
    Timestamp { timestamp: i64, offset: i64, earliest: i64, latest: i64 },
    /// The batch claims LogAppendTime, which is the broker's to set.
    TimestampType { offset: i64 },
}

impl BatchError {
    /// Whether one of the rejected records is so for its timestamp.
    pub fn is_invalid_timestamp(&self) -> bool {
        let Self::Rejected(errors) = self else {
            return false;
        };
        errors.iter().any(|e| e.rejection != Rejection::NoKey)
    }

    /// The message of a produce answer for rejected records, as Kafka words it; for all else the text of the error code is
    /// sent, so `None`.
    pub fn rejection_message(&self, topic_partition: &str) -> Option<String> {
        let Self::Rejected(errors) = self else {
            return None;
        };
        if self.is_invalid_timestamp() {
            return Some("One or more records have been rejected due to invalid timestamp".to_owned());
        }
        let first: Vec<String> = errors
            .iter()
            .take(3)
            .map(|e| {
                let message = e.message(topic_partition);
                format!("RecordError(batchIndex={}, message='{message}')", e.batch_index)
            })
            .collect();
        Some(format!(
            "One or more records have been rejected due to {} record errors in total, and only showing the first three \
             errors at most: [{}]",
            errors.len(),
            first.join(", ")
        ))
    }
}

impl RecordError {
    /// The message of this record in a produce answer, as Kafka words it.
    pub fn message(&self, topic_partition: &str) -> String {
        match self.rejection {
            Rejection::NoKey => {
                format!("Compacted topic cannot accept message without key in topic partition {topic_partition}")
            }
            Rejection::Timestamp { timestamp, offset, earliest, latest } => format!(
                "Timestamp {timestamp} of message with offset {offset} is out of range. The timestamp should be within \
                 [{earliest}, {latest}]"
            ),
            Rejection::TimestampType { offset } => format!(
                "Invalid timestamp type in message with offset {offset}. Producer should not set timestamp type to \
                 LogAppendTime."
            ),
        }
    }
}

impl From<CodecError> for BatchError {
    fn from(e: CodecError) -> Self {
        match e {
            CodecError::UnknownCodec(id) => Self::UnknownCodec(id),
            e => Self::Codec(e),
        }
    }
}

impl From<MalformedRecord> for BatchError {
    fn from(e: MalformedRecord) -> Self {
        Self::Malformed(e)
    }
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBatch => write!(f, "there is no whole record batch"),
            Self::OldMagic(magic) => {
                write!(f, "record format (magic) {magic} is not accepted any more")
            }
            Self::MoreThanOne => write!(f, "there is more than one record batch for the partition"),
            Self::Header(e) => e.fmt(f),
            Self::BaseOffset(offset) => write!(f, "base offset is {offset}, should be 0"),
            Self::TooLarge { size, size_max } => {
                write!(f, "record batch has {size} bytes, max.message.bytes is {size_max}")
            }
            Self::Crc { stored, computed } => {
                write!(f, "stored crc is {stored:#010x}, computed {computed:#010x}")
            }
            Self::UnknownCodec(id) => CodecError::UnknownCodec(*id).fmt(f),
            Self::OffsetRange { last_offset_delta } => {
                write!(f, "last offset delta {last_offset_delta} is negative")
            }
            Self::RecordsCount { records_count } => write!(f, "records count is {records_count}"),
            Self::RecordsCountOffsetRange { records_count, last_offset_delta } => {
                write!(f, "records count {records_count} does not fit last offset delta {last_offset_delta}")
            }
            Self::ControlFromClient => write!(f, "clients may not write control records"),
            Self::BaseSequence { producer_id, base_sequence } => {
                write!(f, "base sequence of producer {producer_id} is {base_sequence}")
            }
            Self::Codec(e) => e.fmt(f),
            Self::Malformed(e) => e.fmt(f),
            Self::InnerOffsets => write!(f, "offset deltas of the compressed records are not 0, 1, 2 ..."),
            Self::Rejected(errors) => {
                write!(f, "{} records break the rules of the topic", errors.len())
            }
        }
    }
}

impl std::error::Error for BatchError {}
