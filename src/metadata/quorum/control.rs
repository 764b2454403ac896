//! Control records of the metadata log and its snapshots.
//!
//! The key is `i16 version = 0, i16 type`; the value is a flexible message in its version 0, whose first
//! field is that version once more.

use bytes::Bytes;

use crate::protocol::Message;
use crate::protocol::records::raft::{
    Endpoint, KRaftVersionFeature, KRaftVersionRecord, LeaderChangeMessage, LeaderChangeMessageVoter,
    SnapshotFooterRecord, SnapshotHeaderRecord, VotersRecord, VotersRecordVoter,
};
use crate::record::{BatchBuilder, ControlRecordType};
use crate::wire::{DecodeError, KafkaString, Reader, Uuid, Writer};

/// A control record of the quorum.
#[derive(Clone, Debug, PartialEq)]
pub enum ControlRecord {
    /// The first record of an epoch.
    LeaderChange {
        /// Who leads.
        leader_id: i32,
    },
    /// The level of `kraft.version`.
    KRaftVersion(i16),
    /// Who may vote.
    Voters(Voters),
    /// The first record of a snapshot.
    SnapshotHeader {
        /// When the last record in the snapshot was appended.
        last_contained_log_timestamp: i64,
    },
    /// The last record of a snapshot: without it the file is not complete.
    SnapshotFooter,
    /// Of a type that a quorum does not need to know.
    Other,
}

/// The voters of a dynamic quorum (KIP-853).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Voters(pub Vec<Voter>);

/// One voter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// Node id.
    pub id: i32,
    /// Id of the directory of its metadata log.
    pub directory_id: Uuid,
    /// Where it can be reached.
    pub endpoints: Vec<VoterEndpoint>,
}

/// An address of a voter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoterEndpoint {
    /// Listener name.
    pub name: KafkaString,
    /// Host.
    pub host: KafkaString,
    /// Port.
    pub port: u16,
}

impl ControlRecord {
    /// Reads key and value of a control record.
    pub fn decode(key: &[u8], value: &Bytes) -> Result<ControlRecord, DecodeError> {
        let mut reader = Reader::new(value.clone());
        Ok(match ControlRecordType::from_key(key) {
            Some(ControlRecordType::LeaderChange) => {
                // Version 1 only adds directory ids to the lists, which are not needed here.
                let version = Reader::new(value.clone()).read_i16()?.clamp(0, LeaderChangeMessage::MAX_VERSION);
                let message = LeaderChangeMessage::decode(&mut reader, version)?;
                ControlRecord::LeaderChange { leader_id: message.leader_id }
            }
            Some(ControlRecordType::KRaftVersion) => {
                ControlRecord::KRaftVersion(KRaftVersionRecord::decode(&mut reader, 0)?.kraft_version)
            }
            Some(ControlRecordType::KRaftVoters) => {
                ControlRecord::Voters(Voters::from_message(&VotersRecord::decode(&mut reader, 0)?))
            }
            Some(ControlRecordType::SnapshotHeader) => {
                let header = SnapshotHeaderRecord::decode(&mut reader, 0)?;
                ControlRecord::SnapshotHeader { last_contained_log_timestamp: header.last_contained_log_timestamp }
            }
            Some(ControlRecordType::SnapshotFooter) => ControlRecord::SnapshotFooter,
            _ => ControlRecord::Other,
        })
    }

    fn encode(&self) -> (ControlRecordType, Bytes) {
        match self {
            ControlRecord::LeaderChange { leader_id } => {
                let voter = LeaderChangeMessageVoter { voter_id: *leader_id, ..Default::default() };
                let message = LeaderChangeMessage {
                    version: 0,
                    leader_id: *leader_id,
                    voters: vec![voter.clone()],
                    granting_voters: vec![voter],
                };
                (ControlRecordType::LeaderChange, encoded(&message))
            }
            ControlRecord::KRaftVersion(level) => {
                let message = KRaftVersionRecord { version: 0, kraft_version: *level };
                (ControlRecordType::KRaftVersion, encoded(&message))
            }
            ControlRecord::Voters(voters) => (ControlRecordType::KRaftVoters, encoded(&voters.to_message())),
            ControlRecord::SnapshotHeader { last_contained_log_timestamp } => {
                let message =
                    SnapshotHeaderRecord { version: 0, last_contained_log_timestamp: *last_contained_log_timestamp };
                (ControlRecordType::SnapshotHeader, encoded(&message))
            }
            ControlRecord::SnapshotFooter => {
                (ControlRecordType::SnapshotFooter, encoded(&SnapshotFooterRecord { version: 0 }))
            }
            ControlRecord::Other => unreachable!("records of other types are read, never written"),
        }
    }
}

/// A batch of control records.
pub fn control_batch(base_offset: i64, epoch: i32, timestamp_ms: i64, records: &[ControlRecord]) -> Bytes {
    assert!(!records.is_empty(), "a batch holds records");
    let mut batch = BatchBuilder::new().position(base_offset, epoch).control();
    for record in records {
        let (record_type, value) = record.encode();
        batch.push(timestamp_ms, Some(&record_type.key()), Some(&value), std::iter::empty());
    }
    batch.build()
}

fn encoded(message: &impl Message) -> Bytes {
    let mut writer = Writer::new();
    message.encode(&mut writer, 0);
    writer.freeze()
}

impl Voters {
    fn from_message(message: &VotersRecord) -> Voters {
        let endpoint = |endpoint: &Endpoint| VoterEndpoint {
            name: KafkaString::from(&*endpoint.name),
            host: KafkaString::from(&*endpoint.host),
            port: endpoint.port,
        };
        let voter = |voter: &VotersRecordVoter| Voter {
            id: voter.voter_id,
            directory_id: voter.voter_directory_id,
            endpoints: voter.endpoints.iter().map(endpoint).collect(),
        };
        Voters(message.voters.iter().map(voter).collect())
    }

    fn to_message(&self) -> VotersRecord {
        let endpoint = |endpoint: &VoterEndpoint| Endpoint {
            name: endpoint.name.clone(),
            host: endpoint.host.clone(),
            port: endpoint.port,
        };
        let voter = |voter: &Voter| VotersRecordVoter {
            voter_id: voter.id,
            voter_directory_id: voter.directory_id,
            endpoints: voter.endpoints.iter().map(endpoint).collect(),
            kraft_version_feature: KRaftVersionFeature { min_supported_version: 0, max_supported_version: 1 },
        };
        VotersRecord { version: 0, voters: self.0.iter().map(voter).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchHeader, HEADER_LEN, RecordIter};

    #[test]
    fn control_batches_round_trip() {
        let voter = Voter {
            id: 1,
            directory_id: Uuid::from_u128(9),
            endpoints: vec![VoterEndpoint { name: "CONTROLLER".into(), host: "127.0.0.1".into(), port: 29493 }],
        };
        let records = [
            ControlRecord::LeaderChange { leader_id: 1 },
            ControlRecord::KRaftVersion(1),
            ControlRecord::Voters(Voters(vec![voter])),
            ControlRecord::SnapshotHeader { last_contained_log_timestamp: 5 },
            ControlRecord::SnapshotFooter,
        ];
        let batch = control_batch(7, 2, 1000, &records);
        let header = BatchHeader::parse(&batch).expect("a batch");
        assert!(header.is_control());
        assert_eq!((header.base_offset, header.partition_leader_epoch, header.last_offset()), (7, 2, 11));
        let read: Vec<ControlRecord> = RecordIter::new(&header, &batch[HEADER_LEN..])
            .map(|record| {
                let record = record.expect("well formed");
                let value = Bytes::copy_from_slice(record.value.expect("has a value"));
                ControlRecord::decode(record.key.expect("has a key"), &value).expect("known")
            })
            .collect();
        assert_eq!(read, records);
    }

    /// The value that Apache Kafka 4.3.1 wrote for a leader change on node 1.
    #[test]
    fn leader_change_has_kafkas_bytes() {
        let (_, value) = ControlRecord::LeaderChange { leader_id: 1 }.encode();
        assert_eq!(&value[..], b"\0\0\0\0\0\x01\x02\0\0\0\x01\0\x02\0\0\0\x01\0\0");
    }
}
