//! AlterConfigs (API key 33, versions 0-2): replaces the whole configuration of resources;
//! IncrementalAlterConfigs is its successor.
//!
//! Source: KIP-133.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`AlterConfigsResponse`].
    request AlterConfigsRequest -> AlterConfigsResponse (key AlterConfigs, versions 0-2, flexible 2+) {
        resources:     Vec<AlterConfigsResource>, 0+;
        validate_only: bool,                      0+;
    }

    /// In `AlterConfigsRequest::resources`.
    struct AlterConfigsResource {
        resource_type: i8,                   0+;
        resource_name: KafkaString,          0+;
        configs:       Vec<AlterableConfig>, 0+;
    }

    /// In `AlterConfigsResource::configs`.
    struct AlterableConfig {
        name:  KafkaString,         0+;
        value: Option<KafkaString>, 0+;
    }

    /// Answer to [`AlterConfigsRequest`].
    response AlterConfigsResponse (key AlterConfigs, versions 0-2, flexible 2+) {
        throttle_time_ms: i32,                               0+;
        responses:        Vec<AlterConfigsResourceResponse>, 0+;
    }

    /// In `AlterConfigsResponse::responses`.
    struct AlterConfigsResourceResponse {
        error_code:    i16,                 0+;
        error_message: Option<KafkaString>, 0+;
        resource_type: i8,                  0+;
        resource_name: KafkaString,         0+;
    }
}
