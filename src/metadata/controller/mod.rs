//! Decides every change of the cluster's metadata: requests in, records and answers out.
//!
//! A single-threaded state machine without I/O. An operation checks a request against the newest state, applies
//! the records that make the change at once, and leaves them in [`Controller::take_pending`]; whoever drives the
//! controller writes them to the log, publishes the image, and only then gives the answers out. So several
//! operations can share one write to the device, and each sees those before it.
//!
//! One file per operation, named after its API. Texts and codes are Apache Kafka's.

mod allocate_producer_ids;
mod alter_client_quotas;
mod alter_configs;
mod alter_partition;
mod alter_partition_reassignments;
mod assign_replicas_to_dirs;
mod broker_heartbeat;
mod broker_registration;
mod config_rules;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod describe_quorum;
mod elect_leaders;
mod error;
mod partition_change;
mod placement;
mod start;
mod unregister_broker;
mod update_features;

#[cfg(test)]
mod tests;

pub use error::ApiError;

use super::image::{ConfigResource, MetadataDelta, MetadataImage, PartitionImage, ResourceType};
use super::records::MetadataRecord;
use crate::config::BrokerConfig;
use crate::protocol::ErrorCode;
use crate::wire::{KafkaString, Uuid};
use partition_change::{Election, PartitionChange, Surroundings};

/// More records than this in one operation of a user are refused.
const RECORDS_PER_OPERATION_MAX: usize = 10_000;

/// What the controller must know of its node's configuration.
#[derive(Clone, Debug)]
pub struct ControllerSettings {
    /// `node.id`
    pub node_id: i32,
    /// `cluster.id`
    pub cluster_id: KafkaString,
    /// Id of the directory that holds the metadata log, whatever the kraft.version.
    pub quorum_directory_id: Uuid,
    /// The static configuration: defaults of new topics, and what dynamic configurations are checked against.
    pub config: BrokerConfig,
}

/// The controller's state.
#[derive(Debug)]
pub struct Controller {
    settings: ControllerSettings,
    delta: MetadataDelta,
    /// The offset that the next record gets.
    next_offset: i64,
    epoch: i32,
    pending: Vec<MetadataRecord>,
}

impl Controller {
    /// A controller that goes on from `delta`; its next record gets `next_offset` in `epoch`.
    pub fn new(settings: ControllerSettings, delta: MetadataDelta, next_offset: i64, epoch: i32) -> Controller {
        Controller { settings, delta, next_offset, epoch, pending: Vec::new() }
    }

    /// The newest state, with records that may not be on the device yet.
    pub fn image(&self) -> &MetadataImage {
        self.delta.image()
    }

    /// The state to publish once everything pending is on the device; `None` inside a metadata transaction.
    pub fn publishable(&self) -> Option<std::sync::Arc<MetadataImage>> {
        (!self.delta.in_transaction()).then(|| self.delta.publishable())
    }

    /// What the controller was made with.
    pub fn settings(&self) -> &ControllerSettings {
        &self.settings
    }

    /// Takes over the configuration of its node, when that was read again.
    pub fn set_config(&mut self, config: BrokerConfig) {
        self.settings.config = config;
    }

    /// The epoch that this controller leads.
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// The records since the last call, in order; the first of them gets the offset that the log has next.
    pub fn take_pending(&mut self, now_ms: i64) -> Vec<MetadataRecord> {
        if !self.pending.is_empty() {
            self.delta.advance(self.next_offset - 1, self.epoch, now_ms);
        }
        std::mem::take(&mut self.pending)
    }

    /// Applies the records of one operation. They are made from the state that they are applied to, so one that
    /// does not fit is a defect here.
    pub(super) fn commit(&mut self, records: Vec<MetadataRecord>) {
        for record in &records {
            if let Err(error) = self.delta.apply(record) {
                panic!("the controller made a record that does not fit: {error}: {record:?}");
            }
        }
        self.next_offset += i64::try_from(records.len()).expect("a handful of records");
        self.pending.extend(records);
    }

    /// As [`commit`](Self::commit), for an operation of a user, which has a bound.
    fn commit_bounded(&mut self, records: Vec<MetadataRecord>) -> Result<(), ApiError> {
        check_bound(&records)?;
        self.commit(records);
        Ok(())
    }

    /// The record that `edit` makes of a partition, if it changes anything. `can_lead` narrows or widens who may lead.
    fn partition_change(
        &self,
        topic_name: &str,
        (topic_id, index): (Uuid, i32),
        partition: &PartitionImage,
        can_lead: &dyn Fn(i32) -> bool,
        edit: impl FnOnce(&mut PartitionChange<'_>),
    ) -> Option<MetadataRecord> {
        let image = self.image();
        let cluster = image.cluster();
        let acceptable = |id: i32| {
            let online = |directory| cluster.broker(id).is_some_and(|broker| broker.has_online_directory(directory));
            can_lead(id) && partition.directory(id).is_none_or(online)
        };
        let surroundings = Surroundings {
            can_lead: &acceptable,
            default_directory: &|id| cluster.default_directory(id),
            min_isr: self.min_isr(topic_name).min(partition.replicas.len()),
            elr_enabled: image.features().elr_enabled(),
            metadata_version: image.features().metadata_version(),
        };
        let mut change = PartitionChange::new(topic_id, index, partition, surroundings);
        edit(&mut change);
        change.build().map(MetadataRecord::from)
    }

    /// Whether the broker may lead partitions now.
    fn is_active(&self, broker_id: i32) -> bool {
        self.image().cluster().is_active(broker_id)
    }

    fn min_isr(&self, topic_name: &str) -> usize {
        let value = self.topic_config(topic_name, "min.insync.replicas");
        let value = value.and_then(|value| value.trim().parse().ok());
        value.unwrap_or_else(|| usize::try_from(self.settings.config.topic_defaults.min_insync_replicas).unwrap_or(1))
    }

    /// How far an election of this topic may go without being asked to.
    fn default_election(&self, topic_name: &str) -> Election {
        let value = self.topic_config(topic_name, "unclean.leader.election.enable");
        let unclean = match value {
            Some(value) => value.trim().eq_ignore_ascii_case("true"),
            None => self.settings.config.topic_defaults.unclean_leader_election_enable,
        };
        if unclean { Election::Unclean } else { Election::Online }
    }

    /// The dynamic value of a key that topic and broker call alike; `None` leaves the static one.
    fn topic_config(&self, topic_name: &str, key: &str) -> Option<KafkaString> {
        let configs = self.image().configs();
        let layers = [configs.topic(topic_name), configs.broker(self.settings.node_id), configs.broker_default()];
        layers.into_iter().flatten().find_map(|layer| layer.get(key).cloned())
    }
}

/// Whether an operation of a user makes no more records than it may.
fn check_bound(records: &[MetadataRecord]) -> Result<(), ApiError> {
    if records.len() <= RECORDS_PER_OPERATION_MAX {
        return Ok(());
    }
    let text = "Unable to perform excessively large batch operation.";
    Err(ApiError::new(ErrorCode::PolicyViolation, text))
}

/// The resource of a topic's configuration.
fn topic_resource(name: &KafkaString) -> ConfigResource {
    ConfigResource { resource_type: ResourceType::Topic, name: name.clone() }
}

/// A random id that no text starts with `-`, so that it can be an argument of a command line.
pub fn random_uuid() -> Uuid {
    loop {
        let id = Uuid::from_bytes(crate::rt::random::bytes16());
        let reserved = id.as_bytes()[..15].iter().all(|byte| *byte == 0);
        if !reserved && !id.to_string().starts_with('-') {
            return id;
        }
    }
}
