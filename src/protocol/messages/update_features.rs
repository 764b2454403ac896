//! UpdateFeatures (API key 57, versions 0-2): changes the finalized feature levels of the cluster.
//!
//! Source: KIP-584.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`UpdateFeaturesResponse`].
    request UpdateFeaturesRequest -> UpdateFeaturesResponse
        (key UpdateFeatures, versions 0-2, flexible 0+) {
        timeout_ms:      i32 = 60000,           0+;
        feature_updates: Vec<FeatureUpdateKey>, 0+;
        validate_only:   bool,                  1+;
    }

    /// In `UpdateFeaturesRequest::feature_updates`.
    struct FeatureUpdateKey {
        feature:           KafkaString, 0+;
        max_version_level: i16,         0+;
        allow_downgrade:   bool,        0-0;
        upgrade_type:      i8 = 1,      1+;
    }

    /// Answer to [`UpdateFeaturesRequest`].
    response UpdateFeaturesResponse (key UpdateFeatures, versions 0-2, flexible 0+) {
        throttle_time_ms: i32,                         0+;
        error_code:       i16,                         0+;
        error_message:    Option<KafkaString>,         0+;
        results:          Vec<UpdatableFeatureResult>, 0-1, ignorable;
    }

    /// In `UpdateFeaturesResponse::results`.
    struct UpdatableFeatureResult {
        feature:       KafkaString,         0+;
        error_code:    i16,                 0+;
        error_message: Option<KafkaString>, 0+;
    }
}
