//! Kafka's messages: one table per message, one codec for all versions; pure.
//!
//! `messages/` has one file per API, `records/` what Kafka keeps in its own topics and files. The `message!`
//! macro (`message.rs`) turns the tables into structs with decode, encode and size; `codec.rs` knows the bytes of
//! each field type; `frame.rs` puts headers and sizes around messages. Versions are compared here and nowhere
//! else: everybody above sees structs whose fields a version may have left at their defaults.
//!
//! The tables are those of Apache Kafka 4.3.1. `tests/protocol` compares each with Kafka's own specification.

mod api_key;
mod codec;
mod error_code;
pub mod frame;
mod header;
mod message;
pub mod messages;
pub mod records;
pub mod table;

use std::fmt::Debug;

pub use api_key::ApiKey;
pub use codec::{At, Wire};
pub use error_code::ErrorCode;
pub use header::{RequestHeader, ResponseHeader};
pub use messages::{
    add_offsets_to_txn, add_partitions_to_txn, add_raft_voter, allocate_producer_ids, alter_client_quotas,
    alter_configs, alter_partition, alter_partition_reassignments, alter_replica_log_dirs, alter_share_group_offsets,
    alter_user_scram_credentials, api_versions, assign_replicas_to_dirs, begin_quorum_epoch, broker_heartbeat,
    broker_registration, consumer_group_describe, consumer_group_heartbeat, controller_registration, create_acls,
    create_delegation_token, create_partitions, create_topics, delete_acls, delete_groups, delete_records,
    delete_share_group_offsets, delete_share_group_state, delete_topics, describe_acls, describe_client_quotas,
    describe_cluster, describe_configs, describe_delegation_token, describe_groups, describe_log_dirs,
    describe_producers, describe_quorum, describe_share_group_offsets, describe_topic_partitions,
    describe_transactions, describe_user_scram_credentials, elect_leaders, end_quorum_epoch, end_txn, envelope,
    expire_delegation_token, fetch, fetch_snapshot, find_coordinator, get_telemetry_subscriptions, heartbeat,
    incremental_alter_configs, init_producer_id, initialize_share_group_state, join_group, leave_group,
    list_config_resources, list_groups, list_offsets, list_partition_reassignments, list_transactions, offset_commit,
    offset_delete, offset_fetch, offset_for_leader_epoch, produce, push_telemetry, read_share_group_state,
    read_share_group_state_summary, remove_raft_voter, renew_delegation_token, sasl_authenticate, sasl_handshake,
    share_acknowledge, share_fetch, share_group_describe, share_group_heartbeat, streams_group_describe,
    streams_group_heartbeat, sync_group, txn_offset_commit, unregister_broker, update_features, update_raft_voter,
    vote, write_share_group_state, write_txn_markers,
};
pub use records::{group, producer_snapshot, raft, share, transaction};

use crate::wire::{DecodeError, Length, Reader, Writer};
use table::{MessageTable, Type};

/// The Metadata API and the records of `__cluster_metadata`, which share a name.
pub mod metadata {
    pub use super::messages::metadata::*;
    pub use super::records::metadata::*;
}

/// A message that stands alone: a request, a response, or a record's key or value.
pub trait Message: Wire + Default + Clone + Debug + PartialEq {
    /// Kafka's name.
    const NAME: &'static str;
    /// First version Kafka 4.3.1 specifies.
    const MIN_VERSION: i16;
    /// Last version.
    const MAX_VERSION: i16;
    /// First flexible version (KIP-482); `i16::MAX` is never.
    const FLEXIBLE_FROM: i16;
    /// API key or record type.
    const KEY: Option<i16>;
    /// The table as data.
    const TABLE: MessageTable = MessageTable {
        table: match Self::TYPE {
            Type::Struct(table) => table,
            _ => panic!("a message is a struct"),
        },
        min_version: Self::MIN_VERSION,
        max_version: Self::MAX_VERSION,
        flexible_from: Self::FLEXIBLE_FROM,
        key: Self::KEY,
    };

    /// Reads the message in `version`. Bytes after it are the caller's business.
    #[inline]
    fn decode(reader: &mut Reader, version: i16) -> Result<Self, DecodeError> {
        if !Self::has_version(version) {
            return Err(DecodeError::UnknownVersion { message: Self::NAME, version });
        }
        Self::read(reader, Self::at(version))
    }

    /// Appends the message in `version`; fields that the version doesn't know are left out.
    ///
    /// # Panics
    /// If the message has no such version: whoever chose it did not look.
    #[inline]
    fn encode(&self, writer: &mut Writer, version: i16) {
        self.write(writer, Self::checked_at(version));
    }

    /// Bytes that [`Message::encode`] appends.
    #[inline]
    fn encoded_len(&self, version: i16) -> usize {
        let mut length = Length::default();
        self.write(&mut length, Self::checked_at(version));
        length.0
    }

    /// Whether there is such a version.
    #[inline]
    fn has_version(version: i16) -> bool {
        Self::MIN_VERSION <= version && version <= Self::MAX_VERSION
    }

    #[doc(hidden)]
    #[inline]
    fn at(version: i16) -> At {
        At::new(version, version >= Self::FLEXIBLE_FROM)
    }

    #[doc(hidden)]
    #[inline]
    fn checked_at(version: i16) -> At {
        assert!(Self::has_version(version), "{} has no version {version}", Self::NAME);
        Self::at(version)
    }
}

/// A message a client sends, and what it gets back.
pub trait Request: Message {
    /// The API.
    const API_KEY: ApiKey;
    /// The answer, in the same version.
    type Response: Message;
}

/// A record of one of Kafka's own topics.
pub trait Record: Message {
    /// What tells it from the other records of its topic.
    const RECORD_TYPE: i16;
}
