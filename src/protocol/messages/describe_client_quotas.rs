//! DescribeClientQuotas (API key 48, versions 0-1): lists client quotas.
//!
//! Source: KIP-546.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`DescribeClientQuotasResponse`].
    request DescribeClientQuotasRequest -> DescribeClientQuotasResponse
        (key DescribeClientQuotas, versions 0-1, flexible 1+) {
        components: Vec<ComponentData>, 0+;
        strict:     bool,               0+;
    }

    /// In `DescribeClientQuotasRequest::components`.
    struct ComponentData {
        entity_type: KafkaString,         0+;
        match_type:  i8,                  0+;
        match_:      Option<KafkaString>, 0+;
    }

    /// Answer to [`DescribeClientQuotasRequest`].
    response DescribeClientQuotasResponse (key DescribeClientQuotas, versions 0-1, flexible 1+) {
        throttle_time_ms: i32,                    0+;
        error_code:       i16,                    0+;
        error_message:    Option<KafkaString>,    0+;
        entries:          Option<Vec<EntryData>>, 0+;
    }

    /// In `DescribeClientQuotasResponse::entries`.
    struct EntryData {
        entity: Vec<EntityData>, 0+;
        values: Vec<ValueData>,  0+;
    }

    /// In `EntryData::entity`.
    struct EntityData {
        entity_type: KafkaString,         0+;
        entity_name: Option<KafkaString>, 0+;
    }

    /// In `EntryData::values`.
    struct ValueData {
        key:   KafkaString, 0+;
        value: f64,         0+;
    }
}
