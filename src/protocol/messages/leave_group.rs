//! LeaveGroup (API key 13, versions 0-5): members leave a classic group.
//!
//! Source: KIP-345 (many members), KIP-800 (reason); by version: 5 KIP-800.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`LeaveGroupResponse`].
    request LeaveGroupRequest -> LeaveGroupResponse (key LeaveGroup, versions 0-5, flexible 4+) {
        group_id:  KafkaString,         0+;
        member_id: KafkaString,         0-2;
        members:   Vec<MemberIdentity>, 3+;
    }

    /// In `LeaveGroupRequest::members`.
    struct MemberIdentity {
        member_id:         KafkaString,                3+;
        group_instance_id: Option<KafkaString> = None, 3+;
        reason:            Option<KafkaString> = None, 5+, ignorable;
    }

    /// Answer to [`LeaveGroupRequest`].
    response LeaveGroupResponse (key LeaveGroup, versions 0-5, flexible 4+) {
        throttle_time_ms: i32,                 1+, ignorable;
        error_code:       i16,                 0+;
        members:          Vec<MemberResponse>, 3+;
    }

    /// In `LeaveGroupResponse::members`.
    struct MemberResponse {
        member_id:         KafkaString,         3+;
        group_instance_id: Option<KafkaString>, 3+;
        error_code:        i16,                 3+;
    }
}
