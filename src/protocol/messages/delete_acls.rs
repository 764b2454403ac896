//! DeleteAcls (API key 31, versions 1-3): removes the access control entries that filters match.
//!
//! Source: KIP-140, KIP-290.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`DeleteAclsResponse`].
    request DeleteAclsRequest -> DeleteAclsResponse (key DeleteAcls, versions 1-3, flexible 2+) {
        filters: Vec<DeleteAclsFilter>, 0+;
    }

    /// In `DeleteAclsRequest::filters`.
    struct DeleteAclsFilter {
        resource_type_filter: i8,                  0+;
        resource_name_filter: Option<KafkaString>, 0+;
        pattern_type_filter:  i8 = 3,              1+;
        principal_filter:     Option<KafkaString>, 0+;
        host_filter:          Option<KafkaString>, 0+;
        operation:            i8,                  0+;
        permission_type:      i8,                  0+;
    }

    /// Answer to [`DeleteAclsRequest`].
    response DeleteAclsResponse (key DeleteAcls, versions 1-3, flexible 2+) {
        throttle_time_ms: i32,                         0+;
        filter_results:   Vec<DeleteAclsFilterResult>, 0+;
    }

    /// In `DeleteAclsResponse::filter_results`.
    struct DeleteAclsFilterResult {
        error_code:    i16,                        0+;
        error_message: Option<KafkaString>,        0+;
        matching_acls: Vec<DeleteAclsMatchingAcl>, 0+;
    }

    /// In `DeleteAclsFilterResult::matching_acls`.
    struct DeleteAclsMatchingAcl {
        error_code:      i16,                 0+;
        error_message:   Option<KafkaString>, 0+;
        resource_type:   i8,                  0+;
        resource_name:   KafkaString,         0+;
        pattern_type:    i8 = 3,              1+;
        principal:       KafkaString,         0+;
        host:            KafkaString,         0+;
        operation:       i8,                  0+;
        permission_type: i8,                  0+;
    }
}
