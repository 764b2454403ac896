//! DescribeConfigs (API key 32, versions 1-4): tells configurations of topics, brokers, groups and client
//! metrics.
//!
//! Source: KIP-133, KIP-226 (synonyms).

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`DescribeConfigsResponse`].
    request DescribeConfigsRequest -> DescribeConfigsResponse
        (key DescribeConfigs, versions 1-4, flexible 4+) {
        resources:             Vec<DescribeConfigsResource>, 0+;
        include_synonyms:      bool,                         1+;
        include_documentation: bool,                         3+;
    }

    /// In `DescribeConfigsRequest::resources`.
    struct DescribeConfigsResource {
        resource_type:      i8,                       0+;
        resource_name:      KafkaString,              0+;
        configuration_keys: Option<Vec<KafkaString>>, 0+;
    }

    /// Answer to [`DescribeConfigsRequest`].
    response DescribeConfigsResponse (key DescribeConfigs, versions 1-4, flexible 4+) {
        throttle_time_ms: i32,                        0+;
        results:          Vec<DescribeConfigsResult>, 0+;
    }

    /// In `DescribeConfigsResponse::results`.
    struct DescribeConfigsResult {
        error_code:    i16,                                0+;
        error_message: Option<KafkaString>,                0+;
        resource_type: i8,                                 0+;
        resource_name: KafkaString,                        0+;
        configs:       Vec<DescribeConfigsResourceResult>, 0+;
    }

    /// In `DescribeConfigsResult::configs`.
    struct DescribeConfigsResourceResult {
        name:          KafkaString,                 0+;
        value:         Option<KafkaString>,         0+;
        read_only:     bool,                        0+;
        config_source: i8 = -1,                     1+, ignorable;
        is_sensitive:  bool,                        0+;
        synonyms:      Vec<DescribeConfigsSynonym>, 1+, ignorable;
        config_type:   i8,                          3+, ignorable;
        documentation: Option<KafkaString>,         3+, ignorable;
    }

    /// In `DescribeConfigsResourceResult::synonyms`.
    struct DescribeConfigsSynonym {
        name:   KafkaString,         1+;
        value:  Option<KafkaString>, 1+;
        source: i8,                  1+;
    }
}
