//! ACLs, credentials, delegation tokens and quotas.

use bytes::Bytes;

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// A delegation token was created or renewed.
    record DelegationTokenRecord (key 10, versions 0, flexible 0+) {
        owner:                KafkaString,      0+;
        requester:            KafkaString,      0+;
        renewers:             Vec<KafkaString>, 0+;
        issue_timestamp:      i64,              0+;
        max_timestamp:        i64,              0+;
        expiration_timestamp: i64,              0+;
        token_id:             KafkaString,      0+;
    }

    /// A user's SCRAM credential was set.
    record UserScramCredentialRecord (key 11, versions 0, flexible 0+) {
        name:       KafkaString, 0+;
        mechanism:  i8,          0+;
        salt:       Bytes,       0+;
        stored_key: Bytes,       0+;
        server_key: Bytes,       0+;
        iterations: i32,         0+;
    }

    /// A client quota was set or removed.
    record ClientQuotaRecord (key 14, versions 0, flexible 0+) {
        entity: Vec<EntityData>, 0+;
        key:    KafkaString,     0+;
        value:  f64,             0+;
        remove: bool,            0+;
    }

    /// In `ClientQuotaRecord::entity`.
    struct EntityData {
        entity_type: KafkaString,         0+;
        entity_name: Option<KafkaString>, 0+;
    }

    /// An access control entry was added.
    record AccessControlEntryRecord (key 18, versions 0, flexible 0+) {
        id:              Uuid,        0+;
        resource_type:   i8,          0+;
        resource_name:   KafkaString, 0+;
        pattern_type:    i8,          0+;
        principal:       KafkaString, 0+;
        host:            KafkaString, 0+;
        operation:       i8,          0+;
        permission_type: i8,          0+;
    }

    /// An access control entry was removed.
    record RemoveAccessControlEntryRecord (key 19, versions 0, flexible 0+) {
        id: Uuid, 0+;
    }

    /// A user's SCRAM credential was removed.
    record RemoveUserScramCredentialRecord (key 22, versions 0, flexible 0+) {
        name:      KafkaString, 0+;
        mechanism: i8,          0+;
    }

    /// A delegation token was removed.
    record RemoveDelegationTokenRecord (key 26, versions 0, flexible 0+) {
        token_id: KafkaString, 0+;
    }
}
