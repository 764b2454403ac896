//! JoinGroup (API key 11, versions 0-9): a member enters a classic group and waits for the rebalance.
//!
//! Source: KIP-345 (static members), KIP-394 (member id first); by version: 6 KIP-559, 8 KIP-800.

use bytes::Bytes;

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`JoinGroupResponse`].
    request JoinGroupRequest -> JoinGroupResponse (key JoinGroup, versions 0-9, flexible 6+) {
        group_id:             KafkaString,                   0+;
        session_timeout_ms:   i32,                           0+;
        rebalance_timeout_ms: i32 = -1,                      1+, ignorable;
        member_id:            KafkaString,                   0+;
        group_instance_id:    Option<KafkaString> = None,    5+;
        protocol_type:        KafkaString,                   0+;
        protocols:            Vec<JoinGroupRequestProtocol>, 0+;
        reason:               Option<KafkaString> = None,    8+, ignorable;
    }

    /// In `JoinGroupRequest::protocols`.
    struct JoinGroupRequestProtocol {
        name:     KafkaString, 0+;
        metadata: Bytes,       0+;
    }

    /// Answer to [`JoinGroupRequest`].
    response JoinGroupResponse (key JoinGroup, versions 0-9, flexible 6+) {
        throttle_time_ms: i32,                          2+, ignorable;
        error_code:       i16,                          0+;
        generation_id:    i32 = -1,                     0+;
        protocol_type:    Option<KafkaString> = None,   7+, ignorable;
        protocol_name:    Option<KafkaString>,          0+ null 7+;
        leader:           KafkaString,                  0+;
        skip_assignment:  bool,                         9+;
        member_id:        KafkaString,                  0+;
        members:          Vec<JoinGroupResponseMember>, 0+;
    }

    /// In `JoinGroupResponse::members`.
    struct JoinGroupResponseMember {
        member_id:         KafkaString,                0+;
        group_instance_id: Option<KafkaString> = None, 5+, ignorable;
        metadata:          Bytes,                      0+;
    }
}
