//! Nodes, features, and what frames the metadata log itself.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// A broker registered with the controller.
    record RegisterBrokerRecord (key 0, versions 0-4, flexible 0+) {
        broker_id:              i32,                      0+;
        is_migrating_zk_broker: bool,                     2+;
        incarnation_id:         Uuid,                     0+;
        broker_epoch:           i64,                      0+;
        end_points:             Vec<BrokerEndpoint>,      0+;
        features:               Vec<BrokerFeature>,       0+;
        rack:                   Option<KafkaString>,      0+;
        fenced:                 bool = true,              0+;
        in_controlled_shutdown: bool,                     1+;
        log_dirs:               Vec<Uuid>,                3+ tag 0;
        cordoned_log_dirs:      Option<Vec<Uuid>> = None, 4+ tag 1;
    }

    /// In `RegisterBrokerRecord::end_points`.
    struct BrokerEndpoint {
        name:              KafkaString, 0+;
        host:              KafkaString, 0+;
        port:              u16,         0+;
        security_protocol: i16,         0+;
    }

    /// In `RegisterBrokerRecord::features`.
    struct BrokerFeature {
        name:                  KafkaString, 0+;
        min_supported_version: i16,         0+;
        max_supported_version: i16,         0+;
    }

    /// A broker was removed from the cluster.
    record UnregisterBrokerRecord (key 1, versions 0, flexible 0+) {
        broker_id:    i32, 0+;
        broker_epoch: i64, 0+;
    }

    /// A broker was fenced (replaced by `BrokerRegistrationChangeRecord`).
    record FenceBrokerRecord (key 7, versions 0, flexible 0+) {
        id:    i32, 0+;
        epoch: i64, 0+;
    }

    /// A broker was unfenced (replaced by `BrokerRegistrationChangeRecord`).
    record UnfenceBrokerRecord (key 8, versions 0, flexible 0+) {
        id:    i32, 0+;
        epoch: i64, 0+;
    }

    /// A feature's finalized level was set; level 0 removes it.
    record FeatureLevelRecord (key 12, versions 0, flexible 0+) {
        name:          KafkaString, 0+;
        feature_level: i16,         0+;
    }

    /// A block of producer ids was handed out.
    record ProducerIdsRecord (key 15, versions 0, flexible 0+) {
        broker_id:        i32,      0+;
        broker_epoch:     i64 = -1, 0+;
        next_producer_id: i64,      0+;
    }

    /// A broker was fenced, unfenced, put into controlled shutdown, or its directories changed.
    record BrokerRegistrationChangeRecord (key 17, versions 0-3, flexible 0+) {
        broker_id:              i32,                      0+;
        broker_epoch:           i64,                      0+;
        fenced:                 i8,                       0+ tag 0;
        in_controlled_shutdown: i8,                       1+ tag 1;
        log_dirs:               Vec<Uuid>,                2+ tag 2;
        cordoned_log_dirs:      Option<Vec<Uuid>> = None, 3+ tag 3;
    }

    /// Nothing changed; it moves the high watermark along.
    record NoOpRecord (key 20, versions 0, flexible 0+) {}

    /// How far the migration from ZooKeeper is (always 0 today).
    record ZkMigrationStateRecord (key 21, versions 0, flexible 0+) {
        zk_migration_state: i8, 0+;
    }

    /// A metadata transaction begins (KIP-868).
    record BeginTransactionRecord (key 23, versions 0, flexible 0+) {
        name: Option<KafkaString> = None, 0+ tag 0;
    }

    /// A metadata transaction ends (KIP-868).
    record EndTransactionRecord (key 24, versions 0, flexible 0+) {}

    /// A metadata transaction is undone (KIP-868).
    record AbortTransactionRecord (key 25, versions 0, flexible 0+) {
        reason: Option<KafkaString> = None, 0+ tag 0;
    }

    /// A controller registered (KIP-919).
    record RegisterControllerRecord (key 27, versions 0, flexible 0+) {
        controller_id:      i32,                     0+;
        incarnation_id:     Uuid,                    0+;
        zk_migration_ready: bool,                    0+;
        end_points:         Vec<ControllerEndpoint>, 0+;
        features:           Vec<ControllerFeature>,  0+;
    }

    /// In `RegisterControllerRecord::end_points`.
    struct ControllerEndpoint {
        name:              KafkaString, 0+;
        host:              KafkaString, 0+;
        port:              u16,         0+;
        security_protocol: i16,         0+;
    }

    /// In `RegisterControllerRecord::features`.
    struct ControllerFeature {
        name:                  KafkaString, 0+;
        min_supported_version: i16,         0+;
        max_supported_version: i16,         0+;
    }
}
