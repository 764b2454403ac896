//! RemoveRaftVoter (API key 81, versions 0): removes a voter from the metadata quorum.
//!
//! Source: KIP-853.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Answered by [`RemoveRaftVoterResponse`].
    request RemoveRaftVoterRequest -> RemoveRaftVoterResponse
        (key RemoveRaftVoter, versions 0, flexible 0+) {
        cluster_id:         Option<KafkaString>, 0+;
        voter_id:           i32,                 0+;
        voter_directory_id: Uuid,                0+;
    }

    /// Answer to [`RemoveRaftVoterRequest`].
    response RemoveRaftVoterResponse (key RemoveRaftVoter, versions 0, flexible 0+) {
        throttle_time_ms: i32,                 0+;
        error_code:       i16,                 0+;
        error_message:    Option<KafkaString>, 0+, ignorable;
    }
}
