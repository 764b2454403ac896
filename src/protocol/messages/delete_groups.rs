//! DeleteGroups (API key 42, versions 0-2): deletes empty groups.
//!
//! Source: KIP-229.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`DeleteGroupsResponse`].
    request DeleteGroupsRequest -> DeleteGroupsResponse (key DeleteGroups, versions 0-2, flexible 2+) {
        groups_names: Vec<KafkaString>, 0+;
    }

    /// Answer to [`DeleteGroupsRequest`].
    response DeleteGroupsResponse (key DeleteGroups, versions 0-2, flexible 2+) {
        throttle_time_ms: i32,                       0+;
        results:          Vec<DeletableGroupResult>, 0+;
    }

    /// In `DeleteGroupsResponse::results`.
    struct DeletableGroupResult {
        group_id:   KafkaString, 0+;
        error_code: i16,         0+;
    }
}
