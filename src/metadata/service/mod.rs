//! The controller at work: opens the log, leads the quorum, and turns operations into durable, published images.
//!
//! ```text
//! handle.call(op) -> queue -> run all that wait -> one batch in the log -> fdatasync -> publish image -> answers
//! ```
//! It runs on the control thread and blocks it while the device writes; nothing else there is in a hurry. Any
//! failure of the log ends it: what was applied and not written must never be seen again.

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::controller::{Controller, ControllerSettings};
use super::handle::{Answer, ControllerHandle, Job};
use super::image::{Endpoint, MetadataDelta, MetadataImage};
use super::quorum::{
    LOG_DIRECTORY, LoadedBatch, LogSettings, MetadataLog, Payload, QuorumError, Voter, VoterEndpoint, Voters,
};
use super::{bootstrap, controller, features};
use crate::config::{self, BrokerConfig};
use crate::protocol::broker_registration::{BrokerRegistrationRequest, Feature, Listener};
use crate::rt::clock;
use crate::wire::{KafkaString, Uuid};

/// Operations that may wait; more callers wait for room.
const QUEUE_LEN: usize = 1024;
/// Operations that share one write at most.
const GROUP_LEN: usize = 256;

/// What the service needs to know of this node.
#[derive(Clone, Debug)]
pub struct ServiceSettings {
    /// For the decisions.
    pub controller: ControllerSettings,
    /// For the log.
    pub log: LogSettings,
    /// `metadata.log.dir`: the log is in `__cluster_metadata-0` below it.
    pub metadata_log_dir: PathBuf,
    /// Ids of the voters of a static quorum; empty for a dynamic one.
    pub static_voters: Vec<i32>,
    /// Where the controller can be reached.
    pub controller_endpoints: Vec<Endpoint>,
    /// The broker in this process; `None` for a controller alone.
    pub broker: Option<OwnBroker>,
}

/// The broker that lives with the controller.
#[derive(Clone, Debug)]
pub struct OwnBroker {
    /// Advertised listeners, without those of the controller.
    pub endpoints: Vec<Endpoint>,
    /// `broker.rack`
    pub rack: Option<String>,
    /// Ids of its log directories that can be used.
    pub log_dirs: Vec<Uuid>,
    /// Its epoch before, if every log directory says that it was stopped cleanly in that epoch, else -1.
    pub previous_epoch: i64,
}

impl ServiceSettings {
    /// The settings of a node, from its configuration and what its directories say. Listeners are as advertised: with
    /// host and port.
    pub fn new(config: &BrokerConfig, identity: NodeIdentity, advertised: &[config::Endpoint]) -> ServiceSettings {
        let endpoint = |from: &config::Endpoint| Endpoint {
            name: from.name.as_str().into(),
            host: from.host.as_str().into(),
            port: from.port,
            security_protocol: from.protocol.id(),
        };
        let is_controller = |from: &&config::Endpoint| config.listeners.controller_names.contains(&from.name);
        let (controller, broker): (Vec<_>, Vec<_>) = advertised.iter().partition(is_controller);
        let own_broker = OwnBroker {
            endpoints: broker.into_iter().map(endpoint).collect(),
            rack: config.broker_rack.clone(),
            log_dirs: identity.log_dirs,
            previous_epoch: identity.previous_broker_epoch,
        };
        ServiceSettings {
            controller: ControllerSettings {
                node_id: config.node_id,
                cluster_id: identity.cluster_id.into(),
                quorum_directory_id: identity.quorum_directory_id,
                config: config.clone(),
            },
            log: LogSettings {
                segment_bytes: u64::try_from(config.metadata_log_segment_bytes).unwrap_or(0),
                segment_ms: config.metadata_log_segment_ms,
                bytes_between_snapshots: u64::try_from(config.metadata_log_max_record_bytes_between_snapshots)
                    .unwrap_or(0),
                snapshot_interval_ms: config.metadata_log_max_snapshot_interval_ms,
                retention_bytes: config.metadata_max_retention_bytes,
                retention_ms: config.metadata_max_retention_ms,
            },
            metadata_log_dir: config.metadata_log_dir.clone(),
            static_voters: config.controller_quorum_voters.iter().map(|voter| voter.id).collect(),
            controller_endpoints: controller.into_iter().map(endpoint).collect(),
            broker: config.roles.broker.then_some(own_broker),
        }
    }
}

/// What the log directories say of this node.
#[derive(Clone, Debug)]
pub struct NodeIdentity {
    /// `cluster.id`
    pub cluster_id: String,
    /// `directory.id` of the directory that holds the metadata log.
    pub quorum_directory_id: Uuid,
    /// `directory.id` of every usable log directory.
    pub log_dirs: Vec<Uuid>,
    /// The epoch in `.kafka_cleanshutdown`, if all directories have it and agree, else -1.
    pub previous_broker_epoch: i64,
}

/// Where images go.
pub type Publish = Box<dyn FnMut(Arc<MetadataImage>) + Send>;

/// The controller, its log, and its queue.
pub struct MetadataService {
    controller: Controller,
    log: MetadataLog,
    jobs: mpsc::Receiver<Job>,
    publish: Publish,
}

impl MetadataService {
    /// Reads the log, becomes the leader in a new epoch, and registers controller and broker; the broker stays fenced
    /// until its first heartbeat. Blocks. The first image is published before it returns.
    pub fn start(
        settings: ServiceSettings,
        publish: Publish,
    ) -> Result<(MetadataService, ControllerHandle), QuorumError> {
        let directory = settings.metadata_log_dir.join(LOG_DIRECTORY);
        let mut delta = MetadataDelta::default();
        let mut replay = |batch: LoadedBatch| replay(&mut delta, batch);
        let mut log = MetadataLog::open(&directory, settings.log, clock::now_ms(), &mut replay)?;
        let voters = check_voters(&settings, &log)?;
        log.become_leader(settings.controller.node_id, voters, clock::now_ms())?;
        delta.advance(log.end_offset() - 1, log.epoch(), clock::now_ms());
        delta.set_kraft_version(log.kraft_version());
        let bootstrap = bootstrap::read(&settings.metadata_log_dir)?;
        let mut controller = Controller::new(settings.controller.clone(), delta, log.end_offset(), log.epoch());
        controller.activate(bootstrap);
        let (sender, jobs) = mpsc::channel(QUEUE_LEN);
        let mut service = MetadataService { controller, log, jobs, publish };
        service.write_pending()?;
        service.register(&settings)?;
        service.flush()?;
        Ok((service, ControllerHandle::new(sender)))
    }

    /// Serves until every handle is gone. An error means that this node can no longer be the controller.
    pub async fn run(mut self) -> Result<(), QuorumError> {
        while let Some(job) = self.jobs.recv().await {
            let mut answers: Vec<Answer> = vec![job(&mut self.controller)];
            while answers.len() < GROUP_LEN {
                let Ok(job) = self.jobs.try_recv() else { break };
                answers.push(job(&mut self.controller));
            }
            self.flush()?;
            answers.into_iter().for_each(|answer| answer());
            self.snapshot_if_due()?;
        }
        Ok(())
    }

    /// The newest state, for the moments before the first image is looked at.
    pub fn image(&self) -> Arc<MetadataImage> {
        Arc::new(self.controller.image().clone())
    }

    fn register(&mut self, settings: &ServiceSettings) -> Result<(), QuorumError> {
        let incarnation_id = controller::random_uuid();
        self.controller.register_self(incarnation_id, &settings.controller_endpoints);
        let Some(broker) = &settings.broker else { return Ok(()) };
        let request = registration_request(&settings.controller, broker, incarnation_id);
        let response = self.controller.register_broker(&request);
        if response.error_code != 0 {
            let reason = crate::protocol::ErrorCode::from_code(response.error_code).message();
            return Err(QuorumError::Voters(format!("this broker cannot register with its own controller: {reason}")));
        }
        Ok(())
    }

    /// Makes everything pending durable, and shows it.
    fn flush(&mut self) -> Result<(), QuorumError> {
        if !self.write_pending()? {
            return Ok(());
        }
        self.log.sync()?;
        if let Some(image) = self.controller.publishable() {
            (self.publish)(image);
        }
        Ok(())
    }

    /// Appends everything pending as one batch; says whether there was anything.
    fn write_pending(&mut self) -> Result<bool, QuorumError> {
        let now_ms = clock::now_ms();
        let records = self.controller.take_pending(now_ms);
        if records.is_empty() {
            return Ok(false);
        }
        let metadata_version = self.controller.image().features().metadata_version();
        self.log.append_records(&records, metadata_version, now_ms)?;
        assert_eq!(self.log.end_offset(), self.controller.image().offset() + 1, "log and image agree on offsets");
        Ok(true)
    }

    fn snapshot_if_due(&mut self) -> Result<(), QuorumError> {
        let now_ms = clock::now_ms();
        if !self.log.wants_snapshot(now_ms) {
            return Ok(());
        }
        if let Some(image) = self.controller.publishable() {
            let id = self.log.write_snapshot(&image, now_ms)?;
            tracing::info!(end_offset = id.end_offset, epoch = id.epoch, "wrote a snapshot of the metadata");
        }
        Ok(())
    }
}

fn replay(delta: &mut MetadataDelta, batch: LoadedBatch) -> Result<(), QuorumError> {
    if let Payload::Metadata(records) = &batch.payload {
        for (offset, record) in records {
            delta.apply(record).map_err(|error| QuorumError::Replay { offset: *offset, error })?;
        }
    }
    delta.advance(batch.last_offset, batch.epoch, batch.timestamp_ms);
    Ok(())
}

/// This node must be the only voter. In a dynamic quorum the answer is its entry as it should stand in the log.
fn check_voters(settings: &ServiceSettings, log: &MetadataLog) -> Result<Option<Voters>, QuorumError> {
    let node_id = settings.controller.node_id;
    let refuse = |ids: Vec<i32>| {
        let ids: Vec<String> = ids.iter().map(i32::to_string).collect();
        Err(QuorumError::Voters(format!(
            "the metadata quorum has the voters [{}], but this release can only be its single voter, node {node_id}: \
             format a new directory, or run this node with process.roles=broker,controller and itself as the only voter",
            ids.join(", ")
        )))
    };
    if log.kraft_version() == 0 {
        // Without voters anywhere the node was formatted with --no-initial-controllers: alone, it may start the quorum.
        let alone = settings.static_voters.iter().all(|id| *id == node_id);
        return if alone { Ok(None) } else { refuse(settings.static_voters.clone()) };
    }
    let Some(voters) = log.voters() else {
        return Err(QuorumError::Voters("kraft.version is 1, but the metadata log names no voters".into()));
    };
    let own_directory = settings.controller.quorum_directory_id;
    match &voters.0[..] {
        [voter] if voter.id == node_id && voter.directory_id == own_directory => {
            let endpoint =
                |from: &Endpoint| VoterEndpoint { name: from.name.clone(), host: from.host.clone(), port: from.port };
            let endpoints: Vec<_> = settings.controller_endpoints.iter().map(endpoint).collect();
            let endpoints = if endpoints.is_empty() { voter.endpoints.clone() } else { endpoints };
            Ok(Some(Voters(vec![Voter { id: node_id, directory_id: own_directory, endpoints }])))
        }
        [voter] if voter.id == node_id => Err(QuorumError::Voters(format!(
            "voter {node_id} of the metadata quorum is in the directory {}, but the metadata log directory is {own_directory}: \
             was meta.properties replaced?",
            voter.directory_id
        ))),
        others => refuse(others.iter().map(|voter| voter.id).collect()),
    }
}

fn registration_request(
    controller: &ControllerSettings,
    broker: &OwnBroker,
    incarnation_id: Uuid,
) -> BrokerRegistrationRequest {
    let listener = |endpoint: &Endpoint| Listener {
        name: endpoint.name.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
        security_protocol: endpoint.security_protocol,
    };
    let feature = |(name, range): (&'static str, std::ops::RangeInclusive<i16>)| Feature {
        name: name.into(),
        min_supported_version: *range.start(),
        max_supported_version: *range.end(),
    };
    BrokerRegistrationRequest {
        broker_id: controller.node_id,
        cluster_id: controller.cluster_id.clone(),
        incarnation_id,
        listeners: broker.endpoints.iter().map(listener).collect(),
        features: features::supported().map(feature).collect(),
        rack: broker.rack.as_deref().map(KafkaString::from),
        is_migrating_zk_broker: false,
        log_dirs: broker.log_dirs.clone(),
        previous_broker_epoch: broker.previous_epoch,
    }
}
