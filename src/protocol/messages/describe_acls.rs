//! DescribeAcls (API key 29, versions 1-3): lists the access control entries a filter matches.
//!
//! Source: KIP-140, KIP-290 (pattern types).

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`DescribeAclsResponse`].
    request DescribeAclsRequest -> DescribeAclsResponse (key DescribeAcls, versions 1-3, flexible 2+) {
        resource_type_filter: i8,                  0+;
        resource_name_filter: Option<KafkaString>, 0+;
        pattern_type_filter:  i8 = 3,              1+;
        principal_filter:     Option<KafkaString>, 0+;
        host_filter:          Option<KafkaString>, 0+;
        operation:            i8,                  0+;
        permission_type:      i8,                  0+;
    }

    /// Answer to [`DescribeAclsRequest`].
    response DescribeAclsResponse (key DescribeAcls, versions 1-3, flexible 2+) {
        throttle_time_ms: i32,                       0+;
        error_code:       i16,                       0+;
        error_message:    Option<KafkaString>,       0+;
        resources:        Vec<DescribeAclsResource>, 0+;
    }

    /// In `DescribeAclsResponse::resources`.
    struct DescribeAclsResource {
        resource_type: i8,                  0+;
        resource_name: KafkaString,         0+;
        pattern_type:  i8 = 3,              1+;
        acls:          Vec<AclDescription>, 0+;
    }

    /// In `DescribeAclsResource::acls`.
    struct AclDescription {
        principal:       KafkaString, 0+;
        host:            KafkaString, 0+;
        operation:       i8,          0+;
        permission_type: i8,          0+;
    }
}
