//! One record of the metadata log: the enum of all types, and its framing.
//!
//! Layout of a record's value (Kafka, `MetadataRecordSerde`; every message is flexible):
//!
//! | bytes            | meaning                                             |
//! |------------------|-----------------------------------------------------|
//! | unsigned varint  | frame version, always 1                             |
//! | unsigned varint  | key of the record type (`RegisterBrokerRecord` = 0) |
//! | unsigned varint  | version of the message                              |
//! | rest             | the message                                         |
//!
//! This file knows bytes and versions. What a record means is told in `image/`.

use bytes::Bytes;
use std::fmt;

use crate::protocol::Message;
use crate::protocol::records::metadata;
use crate::wire::{DecodeError, Reader, Sink, Writer};

/// The only frame version there is.
pub const FRAME_VERSION: u32 = 1;

/// Why a record of the metadata log cannot be understood.
#[derive(Debug, Clone, PartialEq)]
pub enum RecordError {
    /// The frame version is not 1.
    FrameVersion(u32),
    /// A type this release does not know: the log was written by a newer Kafka.
    UnknownType(u32),
    /// A known type in a version this release does not know.
    UnknownVersion {
        /// Name of the record type.
        record: &'static str,
        /// The version found.
        version: u32,
        /// The newest version that is understood.
        newest: i16,
    },
    /// The message itself is broken.
    Decode {
        /// Name of the record type.
        record: &'static str,
        /// What the decoder says.
        error: DecodeError,
    },
    /// The frame header is broken.
    Header(DecodeError),
    /// Bytes are left after the message.
    TrailingBytes {
        /// Name of the record type.
        record: &'static str,
        /// How many.
        count: usize,
    },
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::FrameVersion(version) => {
                write!(f, "metadata record with frame version {version}, expected {FRAME_VERSION}")
            }
            RecordError::UnknownType(key) => write!(
                f,
                "unknown metadata record type {key}: the metadata log was written by a newer version of Kafka"
            ),
            RecordError::UnknownVersion { record, version, newest } => write!(
                f,
                "{record} in version {version}, but only versions up to {newest} are known: \
                 the metadata log was written by a newer version of Kafka"
            ),
            RecordError::Decode { record, error } => write!(f, "broken {record}: {error}"),
            RecordError::Header(error) => write!(f, "broken metadata record header: {error}"),
            RecordError::TrailingBytes { record, count } => {
                write!(f, "{count} bytes of garbage after {record}")
            }
        }
    }
}

impl std::error::Error for RecordError {}

/// Declares the enum and its dispatch from one table: variant, message type, key.
macro_rules! metadata_records {
    ($($variant:ident($record:ident) = $key:literal,)+) => {
        /// A record of the metadata log; the variants carry Kafka's own messages.
        #[derive(Clone, Debug, PartialEq)]
        pub enum MetadataRecord {
            $(#[doc = concat!("`", stringify!($record), "`, key ", stringify!($key))] $variant(metadata::$record),)+
        }

        impl MetadataRecord {
            /// The key of the record type.
            pub fn key(&self) -> u32 {
                match self { $(MetadataRecord::$variant(_) => $key,)+ }
            }

            /// The name of the record type as Kafka's specification spells it.
            pub fn name(&self) -> &'static str {
                match self { $(MetadataRecord::$variant(_) => metadata::$record::NAME,)+ }
            }

            fn encode_message(&self, writer: &mut Writer, version: i16) {
                match self { $(MetadataRecord::$variant(record) => record.encode(writer, version),)+ }
            }

            fn decode_message(key: u32, version: u32, reader: &mut Reader) -> Result<Self, RecordError> {
                match key {
                    $($key => {
                        let version = known_version::<metadata::$record>(version)?;
                        let record = metadata::$record::decode(reader, version)
                            .map_err(|error| RecordError::Decode { record: metadata::$record::NAME, error })?;
                        Ok(MetadataRecord::$variant(record))
                    })+
                    _ => Err(RecordError::UnknownType(key)),
                }
            }
        }

        $(impl From<metadata::$record> for MetadataRecord {
            fn from(record: metadata::$record) -> Self { MetadataRecord::$variant(record) }
        })+
    };
}

metadata_records! {
    RegisterBroker(RegisterBrokerRecord) = 0,
    UnregisterBroker(UnregisterBrokerRecord) = 1,
    Topic(TopicRecord) = 2,
    Partition(PartitionRecord) = 3,
    Config(ConfigRecord) = 4,
    PartitionChange(PartitionChangeRecord) = 5,
    FenceBroker(FenceBrokerRecord) = 7,
    UnfenceBroker(UnfenceBrokerRecord) = 8,
    RemoveTopic(RemoveTopicRecord) = 9,
    DelegationToken(DelegationTokenRecord) = 10,
    UserScramCredential(UserScramCredentialRecord) = 11,
    FeatureLevel(FeatureLevelRecord) = 12,
    ClientQuota(ClientQuotaRecord) = 14,
    ProducerIds(ProducerIdsRecord) = 15,
    BrokerRegistrationChange(BrokerRegistrationChangeRecord) = 17,
    AccessControlEntry(AccessControlEntryRecord) = 18,
    RemoveAccessControlEntry(RemoveAccessControlEntryRecord) = 19,
    NoOp(NoOpRecord) = 20,
    ZkMigrationState(ZkMigrationStateRecord) = 21,
    RemoveUserScramCredential(RemoveUserScramCredentialRecord) = 22,
    BeginTransaction(BeginTransactionRecord) = 23,
    EndTransaction(EndTransactionRecord) = 24,
    AbortTransaction(AbortTransactionRecord) = 25,
    RemoveDelegationToken(RemoveDelegationTokenRecord) = 26,
    RegisterController(RegisterControllerRecord) = 27,
    ClearElr(ClearElrRecord) = 28,
}

impl MetadataRecord {
    /// Reads the value of a record of the metadata log.
    pub fn decode(value: &Bytes) -> Result<MetadataRecord, RecordError> {
        let mut reader = Reader::new(value.clone());
        let frame_version = reader.read_uvarint().map_err(RecordError::Header)?;
        if frame_version != FRAME_VERSION {
            return Err(RecordError::FrameVersion(frame_version));
        }
        let key = reader.read_uvarint().map_err(RecordError::Header)?;
        let version = reader.read_uvarint().map_err(RecordError::Header)?;
        let record = MetadataRecord::decode_message(key, version, &mut reader)?;
        if reader.remaining() > 0 {
            return Err(RecordError::TrailingBytes { record: record.name(), count: reader.remaining() });
        }
        Ok(record)
    }

    /// The value of a record of the metadata log, in the message version that a cluster at
    /// `metadata_version` understands.
    pub fn encode(&self, metadata_version: i16) -> Bytes {
        let version = self.version(metadata_version);
        let mut writer = Writer::new();
        writer.put_uvarint(FRAME_VERSION);
        writer.put_uvarint(self.key());
        writer.put_uvarint(u32::from(version.unsigned_abs()));
        self.encode_message(&mut writer, version);
        writer.freeze()
    }

    /// The message version to write at this level of `metadata.version`.
    pub fn version(&self, metadata_version: i16) -> i16 {
        match self {
            MetadataRecord::RegisterBroker(_) => match metadata_version {
                ..7 => 0,
                7 => 1,
                8..17 => 2,
                17..30 => 3,
                _ => 4,
            },
            MetadataRecord::Partition(_) | MetadataRecord::PartitionChange(_) => match metadata_version {
                ..17 => 0,
                17..23 => 1,
                _ => 2,
            },
            // Kafka writes the lowest version that can carry what changed.
            MetadataRecord::BrokerRegistrationChange(record) => {
                if record.cordoned_log_dirs.is_some() {
                    3
                } else if !record.log_dirs.is_empty() {
                    2
                } else if record.in_controlled_shutdown != 0 {
                    1
                } else {
                    0
                }
            }
            _ => 0,
        }
    }
}

fn known_version<M: Message>(version: u32) -> Result<i16, RecordError> {
    let unknown = RecordError::UnknownVersion { record: M::NAME, version, newest: M::MAX_VERSION };
    let version = i16::try_from(version).map_err(|_| unknown.clone())?;
    if version > M::MAX_VERSION { Err(unknown) } else { Ok(version) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offset 2 of the log of a freshly formatted Apache Kafka 4.3.1 node.
    const FEATURE_LEVEL: &[u8] = b"\x01\x0c\x00\x11metadata.version\x00\x1e\x00";

    #[test]
    fn feature_level_record_of_apache_kafka_round_trips() {
        let record = MetadataRecord::decode(&Bytes::from_static(FEATURE_LEVEL)).expect("Kafka wrote it");
        let MetadataRecord::FeatureLevel(feature) = &record else { panic!("{record:?}") };
        assert_eq!(&*feature.name, "metadata.version");
        assert_eq!(feature.feature_level, 30);
        assert_eq!(record.encode(30), FEATURE_LEVEL);
    }

    #[test]
    fn a_newer_record_type_or_version_is_named() {
        let error = MetadataRecord::decode(&Bytes::from_static(b"\x01\x63\x00\x00")).expect_err("no type 99");
        assert_eq!(error, RecordError::UnknownType(99));
        let error = MetadataRecord::decode(&Bytes::from_static(b"\x01\x0c\x07\x00")).expect_err("no version 7");
        assert!(error.to_string().starts_with("FeatureLevelRecord in version 7"), "{error}");
    }

    #[test]
    fn garbage_is_refused() {
        let error = MetadataRecord::decode(&Bytes::from_static(b"\x00\x0c\x00")).expect_err("frame version 0");
        assert_eq!(error, RecordError::FrameVersion(0));
        let error =
            MetadataRecord::decode(&Bytes::from_static(b"\x01\x14\x00\x00\x01\x02")).expect_err("two bytes too many");
        assert_eq!(error, RecordError::TrailingBytes { record: "NoOpRecord", count: 2 });
    }
}
