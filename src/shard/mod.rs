//! One shard per core: a pinned executor that alone owns its partitions, connections, buffers and counters.
//!
//! No locks on the data path: what belongs to another shard is asked for by a [`ShardRequest`] through its inbox
//! (`routing`). The cluster's state comes as an immutable image (`applying`), published by the control thread.

mod applying;
mod assignments;
mod buffers;
mod compaction;
mod connections;
mod coordinators;
mod hosted;
mod housekeeping;
mod life;
mod messages;
mod routing;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::capture::Capture;
use crate::config::BrokerConfig;
use crate::log::{FoundPartition, LogDirs, Storage};
use crate::metadata::{ControllerHandle, MetadataImage};
use crate::metrics::{Metrics, ShardMetrics};
use crate::rt::mesh;
use crate::server::complaints::Complaints;
use crate::server::fetch_sessions::FetchSessions;
use crate::server::limits::ConnectionCounts;
use crate::server::producer_ids::ProducerIds;
use crate::server::telemetry::Telemetry;
use crate::wire::{KafkaString, RandomState, Uuid};

use assignments::Assignment;

pub use applying::{dynamic_config, topic_config};
pub use buffers::ReadBuffers;
pub use compaction::Compactions;
pub use connections::Connections;
pub use coordinators::{CoordinatorAnswer, CoordinatorError, Coordinators, MarkerError, consumer_assignors};
pub use hosted::Hosted;
#[cfg(test)]
pub(crate) use life::start_here;
pub use life::{ShardSeed, run};
pub use messages::{PartitionError, PartitionResult, PartitionUsage, ReplyTo, ShardRequest, ask_all};

/// Messages that may wait in a shard's inbox.
pub const INBOX_CAPACITY: usize = 4096;

/// Index of a shard, 0 to the number of shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShardId(pub u16);

/// A partition by topic id and index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// Topic id.
    pub topic_id: Uuid,
    /// Partition index in the topic.
    pub index: i32,
}

impl TopicPartition {
    /// The shard that owns the partition when there are `shards`: the partitions of a topic are spread evenly, and nothing
    /// need be stored, so the number of shards may change between two starts.
    pub fn owner(&self, shards: usize) -> ShardId {
        let id = self.topic_id.as_bytes();
        // Topic ids are random, so eight of their bytes are as good as a hash.
        let mut seed = [0; 8];
        seed.copy_from_slice(&id[..8]);
        let hash = u64::from_le_bytes(seed).wrapping_add(self.index.unsigned_abs().into());
        ShardId((hash % shards.max(1) as u64) as u16)
    }
}

/// What the network side needs of the configuration.
#[derive(Debug, Clone)]
pub struct Network {
    /// `socket.request.max.bytes`.
    pub request_bytes_max: usize,
    /// `socket.send.buffer.bytes`; `None` leaves the system's default.
    pub send_buffer_bytes: Option<usize>,
    /// `socket.receive.buffer.bytes`; `None` leaves the system's default.
    pub receive_buffer_bytes: Option<usize>,
}

/// What all shards and the control thread share; immutable or atomic.
pub struct Broker {
    /// `node.id`.
    pub node_id: i32,
    /// The cluster's id.
    pub cluster_id: KafkaString,
    /// Socket settings.
    pub network: Network,
    /// Connection limits and counts.
    pub connections: Arc<ConnectionCounts>,
    /// The log directories.
    pub log_dirs: Arc<LogDirs>,
    /// Asks the controller.
    pub controller: ControllerHandle,
    /// Producer ids to give out.
    pub producer_ids: ProducerIds,
    /// The compactions that run now.
    pub compactions: Compactions,
    /// Captures of the traffic's shape.
    pub capture: Arc<Capture>,
    /// All counters.
    pub metrics: Arc<Metrics>,
    /// The clients that push their metrics.
    pub telemetry: Telemetry,
    /// The shards' inboxes, by shard id.
    pub shards: Vec<mesh::Sender<ShardRequest>>,
}

/// A shard's state. Lives on its executor.
pub struct Shard {
    /// Which one.
    pub id: ShardId,
    /// What all share.
    pub broker: Arc<Broker>,
    /// Disk ring and tail memory.
    pub storage: Storage,
    /// Its connections.
    pub connections: Connections,
    /// Buffers for connections to read into.
    pub buffers: ReadBuffers,
    /// Peers that were complained of.
    pub complaints: RefCell<Complaints>,
    /// Fetch sessions of its connections.
    pub fetch_sessions: RefCell<FetchSessions>,
    /// Its coordinators.
    pub coordinators: Coordinators,
    partitions: RefCell<HashMap<TopicPartition, Rc<Hosted>, RandomState>>,
    /// Partitions that could not be opened, or must not be made: found on disk or not.
    offline: RefCell<HashMap<TopicPartition, Option<FoundPartition>, RandomState>>,
    /// Directories that the controller has not heard of yet.
    assignments: RefCell<Vec<Assignment>>,
    image: RefCell<Arc<MetadataImage>>,
    config: RefCell<Arc<BrokerConfig>>,
    metrics: Arc<ShardMetrics>,
    /// For each shard: whose turn it is to send it something. What waits for room is not overtaken.
    sending: Vec<Semaphore>,
    stopping: Cell<bool>,
    /// Partitions are being deleted: their directories are about to get other names.
    deleting: Cell<bool>,
}

impl Shard {
    /// The cluster as this shard knows it.
    pub fn image(&self) -> Arc<MetadataImage> {
        Arc::clone(&self.image.borrow())
    }

    /// The configuration, dynamic values included.
    pub fn config(&self) -> Arc<BrokerConfig> {
        Arc::clone(&self.config.borrow())
    }

    /// The shard's counters.
    pub fn metrics(&self) -> &ShardMetrics {
        &self.metrics
    }

    /// The shard's counters, to be kept by a request.
    pub fn metrics_handle(&self) -> Arc<ShardMetrics> {
        Arc::clone(&self.metrics)
    }

    /// True once the shard has been told to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    /// The shard that owns a partition.
    pub fn owner_of(&self, partition: &TopicPartition) -> ShardId {
        partition.owner(self.broker.shards.len())
    }

    /// A partition of this shard, or why it can't be asked.
    pub fn here<E>(&self, partition: &TopicPartition) -> PartitionResult<Rc<Hosted>, E> {
        match self.partition(partition) {
            Some(here) if here.is_offline() => Err(PartitionError::Offline),
            Some(here) => Ok(here),
            None if self.offline.borrow().contains_key(partition) => Err(PartitionError::Offline),
            None => Err(PartitionError::NotHere),
        }
    }

    /// A partition of this shard that could be opened.
    pub fn partition(&self, partition: &TopicPartition) -> Option<Rc<Hosted>> {
        self.partitions.borrow().get(partition).cloned()
    }

    /// Gives a connection to another shard.
    pub async fn hand_over(&self, target: ShardId, moved: crate::server::connection::MovedConnection) {
        self.metrics.counters.connections_moved_out.increment();
        self.broker.shards[usize::from(target.0)].send(ShardRequest::Connection(Box::new(moved))).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partitions_of_a_topic_are_spread_evenly() {
        let topic_id = Uuid::from_bytes([7; 16]);
        for shards in 1..9 {
            let mut owned = vec![0; shards];
            for index in 0..(shards as i32 * 10) {
                owned[usize::from(TopicPartition { topic_id, index }.owner(shards).0)] += 1;
            }
            assert!(owned.iter().all(|count| *count == 10), "{shards} shards: {owned:?}");
        }
    }
}
