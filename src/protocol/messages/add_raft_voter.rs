//! AddRaftVoter (API key 80, versions 0-1): adds a voter to the metadata quorum.
//!
//! Source: KIP-853.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Answered by [`AddRaftVoterResponse`].
    request AddRaftVoterRequest -> AddRaftVoterResponse (key AddRaftVoter, versions 0-1, flexible 0+) {
        cluster_id:         Option<KafkaString>, 0+;
        timeout_ms:         i32,                 0+;
        voter_id:           i32,                 0+;
        voter_directory_id: Uuid,                0+;
        listeners:          Vec<Listener>,       0+;
        ack_when_committed: bool = true,         1+;
    }

    /// In `AddRaftVoterRequest::listeners`.
    struct Listener {
        name: KafkaString, 0+;
        host: KafkaString, 0+;
        port: u16,         0+;
    }

    /// Answer to [`AddRaftVoterRequest`].
    response AddRaftVoterResponse (key AddRaftVoter, versions 0-1, flexible 0+) {
        throttle_time_ms: i32,                 0+;
        error_code:       i16,                 0+;
        error_message:    Option<KafkaString>, 0+, ignorable;
    }
}
