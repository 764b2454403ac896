//! SyncGroup (API key 14, versions 0-5): the leader of a classic group hands out the assignment, members
//! receive theirs.
//!
//! Source: KIP-559; by version: 4 KIP-559.

use bytes::Bytes;

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`SyncGroupResponse`].
    request SyncGroupRequest -> SyncGroupResponse (key SyncGroup, versions 0-5, flexible 4+) {
        group_id:          KafkaString,                     0+;
        generation_id:     i32,                             0+;
        member_id:         KafkaString,                     0+;
        group_instance_id: Option<KafkaString> = None,      3+;
        protocol_type:     Option<KafkaString> = None,      5+, ignorable;
        protocol_name:     Option<KafkaString> = None,      5+, ignorable;
        assignments:       Vec<SyncGroupRequestAssignment>, 0+;
    }

    /// In `SyncGroupRequest::assignments`.
    struct SyncGroupRequestAssignment {
        member_id:  KafkaString, 0+;
        assignment: Bytes,       0+;
    }

    /// Answer to [`SyncGroupRequest`].
    response SyncGroupResponse (key SyncGroup, versions 0-5, flexible 4+) {
        throttle_time_ms: i32,                        1+, ignorable;
        error_code:       i16,                        0+;
        protocol_type:    Option<KafkaString> = None, 5+, ignorable;
        protocol_name:    Option<KafkaString> = None, 5+, ignorable;
        assignment:       Bytes,                      0+;
    }
}
