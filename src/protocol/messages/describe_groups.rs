//! DescribeGroups (API key 15, versions 0-6): tells state and members of classic groups.
//!
//! Source: KIP-430 (authorized operations); by version: 6 KIP-1043.

use bytes::Bytes;

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`DescribeGroupsResponse`].
    request DescribeGroupsRequest -> DescribeGroupsResponse
        (key DescribeGroups, versions 0-6, flexible 5+) {
        groups:                        Vec<KafkaString>, 0+;
        include_authorized_operations: bool,             3+;
    }

    /// Answer to [`DescribeGroupsRequest`].
    response DescribeGroupsResponse (key DescribeGroups, versions 0-6, flexible 5+) {
        throttle_time_ms: i32,                 1+, ignorable;
        groups:           Vec<DescribedGroup>, 0+;
    }

    /// In `DescribeGroupsResponse::groups`.
    struct DescribedGroup {
        error_code:            i16,                        0+;
        error_message:         Option<KafkaString> = None, 6+;
        group_id:              KafkaString,                0+;
        group_state:           KafkaString,                0+;
        protocol_type:         KafkaString,                0+;
        protocol_data:         KafkaString,                0+;
        members:               Vec<DescribedGroupMember>,  0+;
        authorized_operations: i32 = i32::MIN,             3+;
    }

    /// In `DescribedGroup::members`.
    struct DescribedGroupMember {
        member_id:         KafkaString,                0+;
        group_instance_id: Option<KafkaString> = None, 4+, ignorable;
        client_id:         KafkaString,                0+;
        client_host:       KafkaString,                0+;
        member_metadata:   Bytes,                      0+;
        member_assignment: Bytes,                      0+;
    }
}
