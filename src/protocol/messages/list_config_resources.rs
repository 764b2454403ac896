//! ListConfigResources (API key 74, versions 0-1): lists the resources that have configurations.
//!
//! Source: KIP-714, KIP-1142; by version: 1 KIP-1142.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`ListConfigResourcesResponse`].
    request ListConfigResourcesRequest -> ListConfigResourcesResponse
        (key ListConfigResources, versions 0-1, flexible 0+) {
        resource_types: Vec<i8>, 1+;
    }

    /// Answer to [`ListConfigResourcesRequest`].
    response ListConfigResourcesResponse (key ListConfigResources, versions 0-1, flexible 0+) {
        throttle_time_ms: i32,                 0+;
        error_code:       i16,                 0+;
        config_resources: Vec<ConfigResource>, 0+;
    }

    /// In `ListConfigResourcesResponse::config_resources`.
    struct ConfigResource {
        resource_name: KafkaString, 0+;
        resource_type: i8 = 16,     1+, ignorable;
    }
}
