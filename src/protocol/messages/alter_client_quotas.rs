//! AlterClientQuotas (API key 49, versions 0-1): sets and removes client quotas.
//!
//! Source: KIP-546.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`AlterClientQuotasResponse`].
    request AlterClientQuotasRequest -> AlterClientQuotasResponse
        (key AlterClientQuotas, versions 0-1, flexible 1+) {
        entries:       Vec<EntryData>, 0+;
        validate_only: bool,           0+;
    }

    /// In `AlterClientQuotasRequest::entries`.
    struct EntryData {
        entity: Vec<EntityData>, 0+;
        ops:    Vec<OpData>,     0+;
    }

    /// In `EntryData::entity`.
    struct EntityData {
        entity_type: KafkaString,         0+;
        entity_name: Option<KafkaString>, 0+;
    }

    /// In `EntryData::ops`.
    struct OpData {
        key:    KafkaString, 0+;
        value:  f64,         0+;
        remove: bool,        0+;
    }

    /// Answer to [`AlterClientQuotasRequest`].
    response AlterClientQuotasResponse (key AlterClientQuotas, versions 0-1, flexible 1+) {
        throttle_time_ms: i32,                                     0+;
        entries:          Vec<AlterClientQuotasResponseEntryData>, 0+;
    }

    /// In `AlterClientQuotasResponse::entries`.
    struct AlterClientQuotasResponseEntryData {
        error_code:    i16,                                      0+;
        error_message: Option<KafkaString>,                      0+;
        entity:        Vec<AlterClientQuotasResponseEntityData>, 0+;
    }

    /// In `AlterClientQuotasResponseEntryData::entity`.
    struct AlterClientQuotasResponseEntityData {
        entity_type: KafkaString,         0+;
        entity_name: Option<KafkaString>, 0+;
    }
}
