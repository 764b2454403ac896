//! ListGroups (API key 16, versions 0-5): lists the groups a broker coordinates.
//!
//! Source: KIP-518 (by state), KIP-848 (by type); by version: 4 KIP-518, 5 KIP-848.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`ListGroupsResponse`].
    request ListGroupsRequest -> ListGroupsResponse (key ListGroups, versions 0-5, flexible 3+) {
        states_filter: Vec<KafkaString>, 4+;
        types_filter:  Vec<KafkaString>, 5+;
    }

    /// Answer to [`ListGroupsRequest`].
    response ListGroupsResponse (key ListGroups, versions 0-5, flexible 3+) {
        throttle_time_ms: i32,              1+, ignorable;
        error_code:       i16,              0+;
        groups:           Vec<ListedGroup>, 0+;
    }

    /// In `ListGroupsResponse::groups`.
    struct ListedGroup {
        group_id:      KafkaString, 0+;
        protocol_type: KafkaString, 0+;
        group_state:   KafkaString, 4+, ignorable;
        group_type:    KafkaString, 5+, ignorable;
    }
}
