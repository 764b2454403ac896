//! Who hears of new metadata: the shards, the metrics, the connection limits.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::config::BrokerConfig;
use crate::metadata::MetadataImage;
use crate::metrics::Metrics;
use crate::rt::mesh;
use crate::server::limits::{ConnectionCounts, Limits};
use crate::shard::{ShardRequest, ask_all, dynamic_config, topic_config};

/// Kafka's number for a broker that serves.
const BROKER_RUNNING: i64 = 3;

/// What the controller publishes to; the listeners join when there are any.
#[derive(Default)]
pub(super) struct Audience {
    latest: Mutex<Arc<MetadataImage>>,
    listeners: OnceLock<Listeners>,
}

/// The parts of a running broker that follow the metadata.
pub(super) struct Listeners {
    pub shards: Vec<mesh::Sender<ShardRequest>>,
    pub metrics: Arc<Metrics>,
    pub connections: Arc<ConnectionCounts>,
    /// Without the dynamic values.
    pub config: Mutex<BrokerConfig>,
}

impl Audience {
    /// Gives an image to every shard and waits until it is in force everywhere. On the controller's thread.
    pub fn publish(&self, image: Arc<MetadataImage>) {
        let before =
            std::mem::replace(&mut *self.latest.lock().unwrap_or_else(PoisonError::into_inner), Arc::clone(&image));
        let Some(listeners) = self.listeners.get() else { return };
        listeners.note(&image);
        if !image.same_configs(&before) {
            listeners.set_limits(&image);
        }
        let apply = |reply| ShardRequest::Apply(Arc::clone(&image), reply);
        for answer in ask_all(&listeners.shards, apply) {
            // A shard that is stopping answers no more.
            let _ = answer.blocking_recv();
        }
    }

    /// The configuration without the dynamic values, once the broker runs.
    pub fn config(&self) -> Option<BrokerConfig> {
        self.listeners.get().map(Listeners::config)
    }

    /// Brings another configuration into force everywhere but at the controller.
    pub async fn reconfigure(&self, config: &BrokerConfig) {
        let Some(listeners) = self.listeners.get() else { return };
        *listeners.config.lock().unwrap_or_else(PoisonError::into_inner) = config.clone();
        listeners.set_limits(&self.latest());
        let config = Arc::new(config.clone());
        let reconfigure = |reply| ShardRequest::Reconfigure(Arc::clone(&config), reply);
        for answer in ask_all(&listeners.shards, reconfigure) {
            // A shard that is stopping answers no more.
            let _ = answer.await;
        }
    }

    /// The newest image.
    pub fn latest(&self) -> Arc<MetadataImage> {
        Arc::clone(&self.latest.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on these hear of every image; they know the latest one.
    pub fn join(&self, listeners: Listeners) {
        listeners.note(&self.latest());
        let _ = self.listeners.set(listeners);
    }
}

impl Listeners {
    fn config(&self) -> BrokerConfig {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Dynamic limits hold for the next connections; those that exceed them stay.
    fn set_limits(&self, image: &MetadataImage) {
        let config = self.config();
        let config = dynamic_config(&config, image, config.node_id);
        match Limits::of(&config) {
            Ok(limits) => self.connections.set_limits(limits),
            Err(error) => tracing::warn!(%error, "the connection limits stay as they are"),
        }
    }

    /// What the metrics tell of the cluster.
    fn note(&self, image: &MetadataImage) {
        let number = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        let partitions = || image.topics().iter().flat_map(|topic| topic.partitions.values());
        let brokers = || image.cluster().brokers();
        let node = &self.metrics.node;
        node.partition_count.set(number(partitions().count()));
        node.leader_count.set(number(partitions().filter(|partition| partition.has_leader()).count()));
        node.offline_partitions_count.set(number(partitions().filter(|partition| !partition.has_leader()).count()));
        node.global_topic_count.set(number(image.topics().len()));
        node.global_partition_count.set(number(partitions().count()));
        node.active_broker_count.set(number(brokers().filter(|broker| !broker.fenced).count()));
        node.fenced_broker_count.set(number(brokers().filter(|broker| broker.fenced).count()));
        node.active_controller_count.set(1);
        self.note_replicas(image);
        let (offset, epoch) = (image.offset(), i64::from(image.epoch()));
        for applied in
            [&node.last_applied_record_offset, &node.last_committed_record_offset, &node.metadata_last_applied_offset]
        {
            applied.set(offset);
        }
        node.quorum_epoch.set(epoch);
        for id in [&node.quorum_leader, &node.quorum_vote] {
            id.set(i64::from(self.config().node_id));
        }
        for end in [&node.quorum_high_watermark, &node.quorum_log_end_offset] {
            end.set(offset + 1);
        }
        node.broker_state.set(BROKER_RUNNING);
    }

    /// What the metrics tell of replicas. Partitions without replicas in sync have no leader, and are counted as offline.
    fn note_replicas(&self, image: &MetadataImage) {
        let node = &self.metrics.node;
        let config = self.config();
        let config = dynamic_config(&config, image, config.node_id);
        let [mut under_replicated, mut under_min_isr, mut at_min_isr, mut moving, mut misled] = [0; 5];
        for topic in image.topics().iter() {
            let min_isr = topic_config(&config, &topic.name, image).min_insync_replicas;
            for partition in topic.partitions.values() {
                misled += i64::from(partition.replicas.first() != Some(&partition.leader));
                if partition.leader != config.node_id {
                    continue;
                }
                let min_isr = partition.effective_min_isr(min_isr);
                under_replicated += i64::from(partition.is_under_replicated());
                under_min_isr += i64::from(partition.isr.len() < min_isr);
                at_min_isr += i64::from(partition.isr.len() == min_isr);
                moving += i64::from(!partition.adding_replicas.is_empty() || !partition.removing_replicas.is_empty());
            }
        }
        node.under_replicated_partitions.set(under_replicated);
        node.under_min_isr_partition_count.set(under_min_isr);
        node.at_min_isr_partition_count.set(at_min_isr);
        node.reassigning_partitions.set(moving);
        node.preferred_replica_imbalance_count.set(misled);
    }
}
