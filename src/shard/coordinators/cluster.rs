//! The cluster as the groups of a shard see it: the shard's own image and configuration.

use std::cell::RefCell;
use std::rc::Weak;
use std::sync::Arc;

use crate::config::BrokerConfig;
use crate::coordinator::group::{Cluster, ConsumerSettings, TopicFacts};
use crate::metadata::{MetadataImage, TopicImage};
use crate::shard::Shard;
use crate::wire::{KafkaString, Uuid};

/// Keys of a group, and the range of each that the broker allows.
const SESSION_TIMEOUT: &str = "consumer.session.timeout.ms";
const HEARTBEAT_INTERVAL: &str = "consumer.heartbeat.interval.ms";
const ASSIGNMENT_INTERVAL: &str = "consumer.assignment.interval.ms";

/// A shard's view of the cluster.
pub(super) struct ShardCluster {
    shard: Weak<Shard>,
    /// An image that was looked at, and the offset of the first one with the same topics.
    seen: RefCell<Option<(Arc<MetadataImage>, i64)>>,
}

impl ShardCluster {
    pub(super) fn new(shard: Weak<Shard>) -> ShardCluster {
        ShardCluster { shard, seen: RefCell::new(None) }
    }

    fn image(&self) -> Option<Arc<MetadataImage>> {
        Some(self.shard.upgrade()?.image())
    }
}

fn facts(topic: &TopicImage) -> TopicFacts {
    TopicFacts { id: topic.id, name: topic.name.clone(), partition_count: topic.partition_count() }
}

impl Cluster for ShardCluster {
    fn version(&self) -> i64 {
        let Some(image) = self.image() else { return 0 };
        let mut seen = self.seen.borrow_mut();
        let version = match &*seen {
            Some((before, version)) if image.same_topics(before) => *version,
            _ => image.offset(),
        };
        *seen = Some((image, version));
        version
    }

    fn topic(&self, name: &str) -> Option<TopicFacts> {
        self.image()?.topics().by_name(name).map(|topic| facts(topic))
    }

    fn topic_name(&self, id: Uuid) -> Option<KafkaString> {
        self.image()?.topics().by_id(&id).map(|topic| topic.name.clone())
    }

    fn topic_names(&self) -> Vec<KafkaString> {
        let Some(image) = self.image() else { return Vec::new() };
        image.topics().iter().map(|topic| topic.name.clone()).collect()
    }

    fn racks(&self, topic: Uuid, partition: i32) -> Vec<KafkaString> {
        let Some(image) = self.image() else { return Vec::new() };
        let Some(partition) = image.topics().partition(&topic, partition) else { return Vec::new() };
        let rack = |replica: &i32| image.cluster().broker(*replica)?.rack.clone();
        partition.replicas.iter().filter_map(rack).collect()
    }

    fn consumer_settings(&self, group_id: &str) -> ConsumerSettings {
        let Some(shard) = self.shard.upgrade() else {
            // A shard that is gone asks nothing; these are Kafka's defaults.
            return ConsumerSettings {
                session_timeout_ms: 45_000,
                heartbeat_interval_ms: 5_000,
                assignment_interval_ms: 1_000,
            };
        };
        let (image, config) = (shard.image(), shard.config());
        settings_of(&image, &config, group_id)
    }
}

/// The broker's settings, or a group's own within the range that the broker allows.
fn settings_of(image: &MetadataImage, config: &BrokerConfig, group_id: &str) -> ConsumerSettings {
    let own = image.configs().group(group_id);
    let setting = |key: &str, of_broker: i32, min: i32, max: i32| {
        let text = own.and_then(|own| own.get(key));
        text.and_then(|text| text.trim().parse::<i32>().ok()).map_or(of_broker, |value| value.max(min).min(max))
    };
    ConsumerSettings {
        session_timeout_ms: setting(
            SESSION_TIMEOUT,
            config.group_consumer_session_timeout_ms,
            config.group_consumer_min_session_timeout_ms,
            config.group_consumer_max_session_timeout_ms,
        ),
        heartbeat_interval_ms: setting(
            HEARTBEAT_INTERVAL,
            config.group_consumer_heartbeat_interval_ms,
            config.group_consumer_min_heartbeat_interval_ms,
            config.group_consumer_max_heartbeat_interval_ms,
        ),
        assignment_interval_ms: setting(
            ASSIGNMENT_INTERVAL,
            config.group_consumer_assignment_interval_ms,
            config.group_consumer_min_assignment_interval_ms,
            config.group_consumer_max_assignment_interval_ms,
        ),
    }
}
