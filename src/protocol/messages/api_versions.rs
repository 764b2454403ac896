//! ApiVersions (API key 18, versions 0-4): tells the versions and features a node speaks; the first request
//! of nearly every client.
//!
//! Source: KIP-35, KIP-511, KIP-584 (features); by version: 3 KIP-511.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`ApiVersionsResponse`].
    request ApiVersionsRequest -> ApiVersionsResponse (key ApiVersions, versions 0-4, flexible 3+) {
        client_software_name:    KafkaString, 3+, ignorable;
        client_software_version: KafkaString, 3+, ignorable;
    }

    /// Answer to [`ApiVersionsRequest`].
    response ApiVersionsResponse (key ApiVersions, versions 0-4, flexible 3+) {
        error_code:               i16,                      0+;
        api_keys:                 Vec<ApiVersion>,          0+;
        throttle_time_ms:         i32,                      1+, ignorable;
        supported_features:       Vec<SupportedFeatureKey>, 3+ tag 0, ignorable;
        finalized_features_epoch: i64 = -1,                 3+ tag 1, ignorable;
        finalized_features:       Vec<FinalizedFeatureKey>, 3+ tag 2, ignorable;
        zk_migration_ready:       bool,                     3+ tag 3, ignorable;
    }

    /// In `ApiVersionsResponse::api_keys`.
    struct ApiVersion {
        api_key:     i16, 0+;
        min_version: i16, 0+;
        max_version: i16, 0+;
    }

    /// In `ApiVersionsResponse::supported_features`.
    struct SupportedFeatureKey {
        name:        KafkaString, 3+;
        min_version: i16,         3+;
        max_version: i16,         3+;
    }

    /// In `ApiVersionsResponse::finalized_features`.
    struct FinalizedFeatureKey {
        name:              KafkaString, 3+;
        max_version_level: i16,         3+;
        min_version_level: i16,         3+;
    }
}
