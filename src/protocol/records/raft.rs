//! Control records, in any log and in the metadata log and its snapshots (KIP-98, KIP-595, KIP-630, KIP-853),
//! and the principal inside an Envelope request.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Key of every control record, after the version.
    data ControlRecordTypeSchema (versions 0, flexible never) {
        type_: i16, 0+;
    }

    /// Outcome of a transaction: value of an ABORT (0) or COMMIT (1) record.
    data EndTxnMarker (versions 0, flexible never) {
        coordinator_epoch: i32, 0+;
    }

    /// A leader of the metadata quorum was elected.
    data LeaderChangeMessage (versions 0-1, flexible 0+) {
        version:         i16,                           0+;
        leader_id:       i32,                           0+;
        voters:          Vec<LeaderChangeMessageVoter>, 0+;
        granting_voters: Vec<LeaderChangeMessageVoter>, 0+;
    }

    /// In `LeaderChangeMessage::voters`, `LeaderChangeMessage::granting_voters`.
    struct LeaderChangeMessageVoter {
        voter_id:           i32,  0+;
        voter_directory_id: Uuid, 1+;
    }

    /// First record of a snapshot.
    data SnapshotHeaderRecord (versions 0, flexible 0+) {
        version:                      i16, 0+;
        last_contained_log_timestamp: i64, 0+;
    }

    /// Last record of a snapshot.
    data SnapshotFooterRecord (versions 0, flexible 0+) {
        version: i16, 0+;
    }

    /// The finalized `kraft.version`.
    data KRaftVersionRecord (versions 0, flexible 0+) {
        version:       i16, 0+;
        kraft_version: i16, 0+;
    }

    /// Voters of the metadata quorum.
    data VotersRecord (versions 0, flexible 0+) {
        version: i16,                    0+;
        voters:  Vec<VotersRecordVoter>, 0+;
    }

    /// In `VotersRecord::voters`.
    struct VotersRecordVoter {
        voter_id:              i32,                 0+;
        voter_directory_id:    Uuid,                0+;
        endpoints:             Vec<Endpoint>,       0+;
        kraft_version_feature: KRaftVersionFeature, 0+;
    }

    /// In `VotersRecordVoter::endpoints`.
    struct Endpoint {
        name: KafkaString, 0+;
        host: KafkaString, 0+;
        port: u16,         0+;
    }

    /// In `VotersRecordVoter::kraft_version_feature`.
    struct KRaftVersionFeature {
        min_supported_version: i16, 0+;
        max_supported_version: i16, 0+;
    }

    /// Principal of a forwarded request.
    data DefaultPrincipalData (versions 0, flexible 0+) {
        type_:               KafkaString, 0+;
        name:                KafkaString, 0+;
        token_authenticated: bool,        0+;
    }
}
