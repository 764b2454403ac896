//! CreateAcls (API key 30, versions 1-3): adds access control entries.
//!
//! Source: KIP-140, KIP-290.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`CreateAclsResponse`].
    request CreateAclsRequest -> CreateAclsResponse (key CreateAcls, versions 1-3, flexible 2+) {
        creations: Vec<AclCreation>, 0+;
    }

    /// In `CreateAclsRequest::creations`.
    struct AclCreation {
        resource_type:         i8,          0+;
        resource_name:         KafkaString, 0+;
        resource_pattern_type: i8 = 3,      1+;
        principal:             KafkaString, 0+;
        host:                  KafkaString, 0+;
        operation:             i8,          0+;
        permission_type:       i8,          0+;
    }

    /// Answer to [`CreateAclsRequest`].
    response CreateAclsResponse (key CreateAcls, versions 1-3, flexible 2+) {
        throttle_time_ms: i32,                    0+;
        results:          Vec<AclCreationResult>, 0+;
    }

    /// In `CreateAclsResponse::results`.
    struct AclCreationResult {
        error_code:    i16,                 0+;
        error_message: Option<KafkaString>, 0+;
    }
}
