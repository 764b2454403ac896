//! What groups may ask of the cluster: topics, racks and the settings of a group. Whoever makes the machine answers; two
//! questions of one input get answers of one image.

use crate::wire::{KafkaString, Uuid};

/// A topic as groups see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicFacts {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: KafkaString,
    /// The number of partitions.
    pub partition_count: i32,
}

/// What a consumer group may have of its own, or takes from the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerSettings {
    /// `consumer.session.timeout.ms`
    pub session_timeout_ms: i32,
    /// `consumer.heartbeat.interval.ms`
    pub heartbeat_interval_ms: i32,
    /// `consumer.assignment.interval.ms`
    pub assignment_interval_ms: i32,
}

/// The cluster as it is now.
pub trait Cluster {
    /// Grows with each change of the metadata.
    fn version(&self) -> i64;

    /// A topic by name.
    fn topic(&self, name: &str) -> Option<TopicFacts>;

    /// A topic's name by id.
    fn topic_name(&self, id: Uuid) -> Option<KafkaString>;

    /// The names of all topics.
    fn topic_names(&self) -> Vec<KafkaString>;

    /// The racks that have replicas of a partition, one per replica whose broker has one.
    fn racks(&self, topic: Uuid, partition: i32) -> Vec<KafkaString>;

    /// Settings of a consumer group.
    fn consumer_settings(&self, group_id: &str) -> ConsumerSettings;
}
