//! The state of the cluster at one offset of the metadata log: immutable, shared by `Arc`, published whole.
//!
//! Each section is an `Arc` of its own, so an image that follows another shares what did not change and
//! `Arc::ptr_eq` tells a reader where to look. [`MetadataDelta`] is the only way to a new image: it applies
//! the records of the log strictly in order, because epochs are counted, not written.

mod cluster;
mod configs;
mod delta;
mod features;
mod quotas;
mod security;
mod topics;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

pub use cluster::{BrokerImage, ClusterImage, ControllerImage, Endpoint};
pub use configs::{ConfigMap, ConfigResource, ConfigsImage, ResourceType};
pub use delta::MetadataDelta;
pub use features::FeaturesImage;
pub(in crate::metadata) use quotas::quota_record;
pub use quotas::{QuotaEntity, QuotasImage};
pub use security::{AclsImage, DelegationTokensImage, ScramImage};
pub use topics::{
    NO_LEADER, NO_LEADER_CHANGE, NO_RECOVERY_STATE_CHANGE, PartitionImage, TopicChanges, TopicImage, TopicsImage,
};

use crate::metadata::records::MetadataRecord;
use crate::wire::{KafkaString, Uuid};

/// Everything that the metadata log says up to an offset.
#[derive(Clone, Debug)]
pub struct MetadataImage {
    offset: i64,
    epoch: i32,
    append_time_ms: i64,
    features: Arc<FeaturesImage>,
    cluster: Arc<ClusterImage>,
    topics: Arc<TopicsImage>,
    configs: Arc<ConfigsImage>,
    quotas: Arc<QuotasImage>,
    acls: Arc<AclsImage>,
    scram: Arc<ScramImage>,
    tokens: Arc<DelegationTokensImage>,
    next_producer_id: i64,
    zk_migration_state: i8,
    kraft_version: i16,
}

impl Default for MetadataImage {
    fn default() -> Self {
        MetadataImage {
            offset: -1,
            epoch: 0,
            append_time_ms: -1,
            features: Arc::default(),
            cluster: Arc::default(),
            topics: Arc::default(),
            configs: Arc::default(),
            quotas: Arc::default(),
            acls: Arc::default(),
            scram: Arc::default(),
            tokens: Arc::default(),
            next_producer_id: -1,
            zk_migration_state: 0,
            kraft_version: 0,
        }
    }
}

impl MetadataImage {
    /// Offset of the last record in the image, -1 when nothing was applied.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// Epoch of the quorum leader that wrote the last record.
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// When the last record was appended, milliseconds since 1970.
    pub fn append_time_ms(&self) -> i64 {
        self.append_time_ms
    }

    /// Finalized features.
    pub fn features(&self) -> &FeaturesImage {
        &self.features
    }

    /// Registered brokers and controllers.
    pub fn cluster(&self) -> &ClusterImage {
        &self.cluster
    }

    /// Topics and partitions.
    pub fn topics(&self) -> &TopicsImage {
        &self.topics
    }

    /// Dynamic configurations of topics, brokers, groups and client metrics.
    pub fn configs(&self) -> &ConfigsImage {
        &self.configs
    }

    /// Client quotas.
    pub fn quotas(&self) -> &QuotasImage {
        &self.quotas
    }

    /// Access control entries.
    pub fn acls(&self) -> &AclsImage {
        &self.acls
    }

    /// SCRAM credentials.
    pub fn scram(&self) -> &ScramImage {
        &self.scram
    }

    /// Delegation tokens.
    pub fn delegation_tokens(&self) -> &DelegationTokensImage {
        &self.tokens
    }

    /// The replicas of a partition that can't be served: their broker is away, or their log directory has failed (KIP-112).
    pub fn offline_replicas(&self, partition: &PartitionImage) -> Vec<i32> {
        let is_online = |id: &i32| {
            let directory = partition.directory(*id);
            self.cluster.broker(*id).is_some_and(|broker| directory.is_none_or(|id| broker.has_online_directory(id)))
        };
        let is_offline = |id: &i32| !self.cluster.is_active(*id) || !is_online(id);
        partition.replicas.iter().copied().filter(is_offline).collect()
    }

    /// The first producer id that no block holds yet.
    pub fn next_producer_id(&self) -> i64 {
        self.next_producer_id.max(0)
    }

    /// The level of `kraft.version`. It stands in control records of the quorum, not in records of the metadata.
    pub fn kraft_version(&self) -> i16 {
        self.kraft_version
    }

    /// Every finalized feature with its level, as ApiVersions tells them: those of the records and `kraft.version`.
    pub fn finalized_features(&self) -> Vec<(KafkaString, i16)> {
        let kraft_version = (KafkaString::from_static(crate::metadata::features::KRAFT_VERSION), self.kraft_version);
        let of_records = self.features.iter().map(|(name, level)| (name.clone(), level));
        of_records.chain((self.kraft_version > 0).then_some(kraft_version)).collect()
    }

    /// Whether the configurations are the same object as in `other`: a cheap "nothing to do".
    pub fn same_configs(&self, other: &MetadataImage) -> bool {
        Arc::ptr_eq(&self.configs, &other.configs)
    }

    /// Whether the topics are the same object as in `other`: a cheap "nothing to do".
    pub fn same_topics(&self, other: &MetadataImage) -> bool {
        Arc::ptr_eq(&self.topics, &other.topics)
    }

    /// The records that make this image out of nothing, in the order of Kafka's snapshots.
    pub fn to_records(&self) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        self.features.to_records(&mut records);
        self.cluster.to_records(&mut records);
        self.topics.to_records(&mut records);
        self.configs.to_records(&mut records);
        self.quotas.to_records(&mut records);
        if self.next_producer_id >= 0 {
            records.push(features::producer_ids_record(self.next_producer_id));
        }
        self.acls.to_records(&mut records);
        self.scram.to_records(&mut records);
        self.tokens.to_records(&mut records);
        records
    }
}

/// A record that does not fit the image: the log is damaged, or written by something that is not Kafka.
#[derive(Debug, Clone, PartialEq)]
pub enum ReplayError {
    /// A topic is created that exists.
    TopicExists {
        /// Its name.
        name: KafkaString,
        /// The id of the second one.
        id: Uuid,
    },
    /// A record names a topic id that does not exist.
    UnknownTopic(Uuid),
    /// A record names a topic that does not exist.
    UnknownTopicName(KafkaString),
    /// A record names a partition that does not exist.
    UnknownPartition(Uuid, i32),
    /// A record names a broker that is not registered.
    UnknownBroker(i32),
    /// A record names another epoch of a broker than the registered one.
    BrokerEpoch {
        /// The broker.
        id: i32,
        /// The registered epoch.
        expected: i64,
        /// The epoch in the record.
        found: i64,
    },
    /// A feature is finalized at a level that this release does not support.
    UnsupportedFeature {
        /// Its name.
        name: KafkaString,
        /// The level.
        level: i16,
        /// The highest supported level.
        newest: i16,
    },
    /// A resource type of a configuration that does not exist.
    UnknownResourceType(i8),
    /// A producer id goes backwards.
    ProducerId {
        /// The next producer id known.
        next: i64,
        /// The one in the record.
        found: i64,
    },
    /// A transaction begins within a transaction.
    NestedTransaction,
    /// A transaction ends that did not begin.
    NoTransaction,
    /// Access control entry removed that does not exist.
    UnknownAcl(Uuid),
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplayError::TopicExists { name, id } => write!(f, "topic {name} is created a second time, with id {id}"),
            ReplayError::UnknownTopic(id) => write!(f, "no topic has the id {id}"),
            ReplayError::UnknownTopicName(name) => write!(f, "no topic has the name {name}"),
            ReplayError::UnknownPartition(id, index) => write!(f, "topic {id} has no partition {index}"),
            ReplayError::UnknownBroker(id) => write!(f, "broker {id} is not registered"),
            ReplayError::BrokerEpoch { id, expected, found } => {
                write!(f, "broker {id} is registered with epoch {expected}, the record says {found}")
            }
            ReplayError::UnsupportedFeature { name, level, newest } => write!(
                f,
                "feature {name} is finalized at level {level}, but levels up to {newest} are supported: \
                 the metadata log was written by a newer version of Kafka"
            ),
            ReplayError::UnknownResourceType(kind) => write!(f, "unknown type {kind} of a configuration resource"),
            ReplayError::ProducerId { next, found } => {
                write!(f, "the next producer id goes from {next} back to {found}")
            }
            ReplayError::NestedTransaction => f.write_str("a metadata transaction begins within another"),
            ReplayError::NoTransaction => f.write_str("a metadata transaction ends that did not begin"),
            ReplayError::UnknownAcl(id) => write!(f, "no access control entry has the id {id}"),
        }
    }
}

impl std::error::Error for ReplayError {}

/// A copy of the text alone: the image outlives the request or log chunk whose memory `text` shares.
fn own(text: &KafkaString) -> KafkaString {
    KafkaString::from(&**text)
}
