//! BrokerRegistration (API key 62, versions 0-4): a broker joins the cluster.
//!
//! Source: KIP-631; by version: 2 KIP-858, 2 KIP-966, 3 KIP-966.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Answered by [`BrokerRegistrationResponse`].
    request BrokerRegistrationRequest -> BrokerRegistrationResponse
        (key BrokerRegistration, versions 0-4, flexible 0+) {
        broker_id:              i32,                 0+;
        cluster_id:             KafkaString,         0+;
        incarnation_id:         Uuid,                0+;
        listeners:              Vec<Listener>,       0+;
        features:               Vec<Feature>,        0+;
        rack:                   Option<KafkaString>, 0+;
        is_migrating_zk_broker: bool,                1+;
        log_dirs:               Vec<Uuid>,           2+, ignorable;
        previous_broker_epoch:  i64 = -1,            3+, ignorable;
    }

    /// In `BrokerRegistrationRequest::listeners`.
    struct Listener {
        name:              KafkaString, 0+;
        host:              KafkaString, 0+;
        port:              u16,         0+;
        security_protocol: i16,         0+;
    }

    /// In `BrokerRegistrationRequest::features`.
    struct Feature {
        name:                  KafkaString, 0+;
        min_supported_version: i16,         0+;
        max_supported_version: i16,         0+;
    }

    /// Answer to [`BrokerRegistrationRequest`].
    response BrokerRegistrationResponse (key BrokerRegistration, versions 0-4, flexible 0+) {
        throttle_time_ms: i32,      0+;
        error_code:       i16,      0+;
        broker_epoch:     i64 = -1, 0+;
    }
}
