//! UpdateRaftVoter (API key 82, versions 0): a voter tells the quorum's leader its endpoints and versions.
//!
//! Source: KIP-853.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Answered by [`UpdateRaftVoterResponse`].
    request UpdateRaftVoterRequest -> UpdateRaftVoterResponse
        (key UpdateRaftVoter, versions 0, flexible 0+) {
        cluster_id:            Option<KafkaString>, 0+;
        current_leader_epoch:  i32,                 0+;
        voter_id:              i32,                 0+;
        voter_directory_id:    Uuid,                0+;
        listeners:             Vec<Listener>,       0+;
        kraft_version_feature: KRaftVersionFeature, 0+;
    }

    /// In `UpdateRaftVoterRequest::listeners`.
    struct Listener {
        name: KafkaString, 0+;
        host: KafkaString, 0+;
        port: u16,         0+;
    }

    /// In `UpdateRaftVoterRequest::kraft_version_feature`.
    struct KRaftVersionFeature {
        min_supported_version: i16, 0+;
        max_supported_version: i16, 0+;
    }

    /// Answer to [`UpdateRaftVoterRequest`].
    response UpdateRaftVoterResponse (key UpdateRaftVoter, versions 0, flexible 0+) {
        throttle_time_ms: i32,           0+;
        error_code:       i16,           0+;
        current_leader:   CurrentLeader, 0+ tag 0;
    }

    /// In `UpdateRaftVoterResponse::current_leader`.
    struct CurrentLeader {
        leader_id:    i32 = -1,    0+;
        leader_epoch: i32 = -1,    0+;
        host:         KafkaString, 0+;
        port:         i32,         0+;
    }
}
