//! IncrementalAlterConfigs (API key 44, versions 0-1): sets, deletes, appends to and subtracts from
//! configuration values.
//!
//! Source: KIP-339.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`IncrementalAlterConfigsResponse`].
    request IncrementalAlterConfigsRequest -> IncrementalAlterConfigsResponse
        (key IncrementalAlterConfigs, versions 0-1, flexible 1+) {
        resources:     Vec<AlterConfigsResource>, 0+;
        validate_only: bool,                      0+;
    }

    /// In `IncrementalAlterConfigsRequest::resources`.
    struct AlterConfigsResource {
        resource_type: i8,                   0+;
        resource_name: KafkaString,          0+;
        configs:       Vec<AlterableConfig>, 0+;
    }

    /// In `AlterConfigsResource::configs`.
    struct AlterableConfig {
        name:             KafkaString,         0+;
        config_operation: i8,                  0+;
        value:            Option<KafkaString>, 0+;
    }

    /// Answer to [`IncrementalAlterConfigsRequest`].
    response IncrementalAlterConfigsResponse (key IncrementalAlterConfigs, versions 0-1, flexible 1+) {
        throttle_time_ms: i32,                               0+;
        responses:        Vec<AlterConfigsResourceResponse>, 0+;
    }

    /// In `IncrementalAlterConfigsResponse::responses`.
    struct AlterConfigsResourceResponse {
        error_code:    i16,                 0+;
        error_message: Option<KafkaString>, 0+;
        resource_type: i8,                  0+;
        resource_name: KafkaString,         0+;
    }
}
