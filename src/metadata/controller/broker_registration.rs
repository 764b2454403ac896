//! BrokerRegistration: a broker joins the cluster, or a new process takes over its id (KIP-631, KIP-858, KIP-966).
//!
//! Sessions of remote brokers are not watched yet, so a second process with the id of a living broker is not
//! refused; the brokers of this release are in the controller's own process.

use super::{ApiError, Controller};
use crate::metadata::features::{METADATA_VERSION, METADATA_VERSION_MIN};
use crate::metadata::records::MetadataRecord;
use crate::protocol::ErrorCode;
use crate::protocol::broker_registration::{BrokerRegistrationRequest, BrokerRegistrationResponse};
use crate::protocol::records::metadata::{BrokerEndpoint, BrokerFeature, RegisterBrokerRecord};
use crate::wire::Uuid;

/// From this level on a registration names its log directories.
const DIRECTORIES_FROM: i16 = 17;

impl Controller {
    /// Registers a broker, fenced; a new process of a known broker first leaves all its partitions.
    pub fn register_broker(&mut self, request: &BrokerRegistrationRequest) -> BrokerRegistrationResponse {
        match self.try_register_broker(request) {
            Ok(broker_epoch) => BrokerRegistrationResponse { broker_epoch, ..Default::default() },
            Err(error) => {
                tracing::warn!(
                    broker = request.broker_id,
                    reason = error.message.as_deref(),
                    "refused a broker registration"
                );
                BrokerRegistrationResponse { error_code: error.code.code(), ..Default::default() }
            }
        }
    }

    fn try_register_broker(&mut self, request: &BrokerRegistrationRequest) -> Result<i64, ApiError> {
        if request.cluster_id != self.settings.cluster_id {
            let expected = &self.settings.cluster_id;
            let text = format!("Expected cluster ID {expected}, but got cluster ID {}", request.cluster_id);
            return Err(ApiError::new(ErrorCode::InconsistentClusterId, text));
        }
        if request.is_migrating_zk_broker {
            let text = "Controller does not support registering ZK brokers.";
            return Err(ApiError::new(ErrorCode::BrokerIdNotRegistered, text));
        }
        if self.image().features().metadata_version() >= DIRECTORIES_FROM {
            self.check_directories(request)?;
        }
        self.check_features(request)?;
        let existing = self.image().cluster().broker(request.broker_id).cloned();
        let same_process = existing.as_ref().filter(|broker| broker.incarnation_id == request.incarnation_id);
        let mut record = registration_record(request);
        let mut records = Vec::new();
        if let Some(broker) = same_process {
            record.broker_epoch = broker.epoch;
            record.fenced = broker.fenced;
            record.in_controlled_shutdown = broker.in_controlled_shutdown;
        } else {
            record.broker_epoch = self.next_offset;
            let clean = existing.is_some_and(|broker| broker.epoch == request.previous_broker_epoch);
            records = self.records_for_new_process(request.broker_id, clean);
        }
        let broker_epoch = record.broker_epoch;
        records.push(record.into());
        self.commit(records);
        Ok(broker_epoch)
    }

    /// The old process leads nothing any more. After an unclean stop its replicas may have lost their tail.
    fn records_for_new_process(&self, broker_id: i32, clean: bool) -> Vec<MetadataRecord> {
        let others = |id: i32| id != broker_id && self.is_active(id);
        self.partition_changes(
            &others,
            |partition| partition.isr.contains(&broker_id) || (!clean && partition.elr.contains(&broker_id)),
            |change| {
                change.target_isr.retain(|id| *id != broker_id);
                if !clean {
                    change.unclean_shutdown_replicas = vec![broker_id];
                }
            },
        )
    }

    fn check_directories(&self, request: &BrokerRegistrationRequest) -> Result<(), ApiError> {
        let refuse = |text: String| Err(ApiError::new(ErrorCode::InvalidRegistration, text));
        if request.log_dirs.is_empty() {
            return refuse("No directories specified in request".into());
        }
        let reserved = |directory: &Uuid| u128::from_be_bytes(*directory.as_bytes()) < 100;
        if request.log_dirs.iter().any(reserved) {
            return refuse("Reserved directory ID in request".into());
        }
        let mut sorted = request.log_dirs.clone();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
            return refuse("Duplicate directory ID in request".into());
        }
        for broker in self.image().cluster().brokers().filter(|broker| broker.id != request.broker_id) {
            if let Some(directory) = sorted.iter().find(|directory| broker.log_dirs.contains(directory)) {
                return refuse(format!("Broker {} is already registered with directory {directory}", broker.id));
            }
        }
        Ok(())
    }

    /// The broker must support every finalized feature at its level.
    fn check_features(&self, request: &BrokerRegistrationRequest) -> Result<(), ApiError> {
        if !request.features.iter().any(|feature| feature.name == METADATA_VERSION) {
            let text = "Request features do not contain 'metadata.version'";
            return Err(ApiError::new(ErrorCode::InvalidRegistration, text));
        }
        let finalized = self.image().features();
        let metadata_version = (METADATA_VERSION.into(), finalized.metadata_version());
        let others =
            finalized.iter().filter(|(name, _)| **name != METADATA_VERSION).map(|(name, level)| (name.clone(), level));
        for (name, level) in std::iter::once(metadata_version).chain(others) {
            let supported = request.features.iter().find(|feature| feature.name == name);
            let (min, max) =
                supported.map_or((0, 0), |feature| (feature.min_supported_version, feature.max_supported_version));
            if !(min..=max).contains(&level) && level >= METADATA_VERSION_MIN.min(level) {
                let text = format!(
                    "Unable to register because the broker does not support finalized version {level} of {name}. \
                     The broker wants a version between {min} and {max}, inclusive."
                );
                return Err(ApiError::new(ErrorCode::UnsupportedVersion, text));
            }
        }
        Ok(())
    }
}

fn registration_record(request: &BrokerRegistrationRequest) -> RegisterBrokerRecord {
    let endpoints = request.listeners.iter().map(|listener| BrokerEndpoint {
        name: listener.name.clone(),
        host: listener.host.clone(),
        port: listener.port,
        security_protocol: listener.security_protocol,
    });
    let features = request.features.iter().map(|feature| BrokerFeature {
        name: feature.name.clone(),
        min_supported_version: feature.min_supported_version,
        max_supported_version: feature.max_supported_version,
    });
    RegisterBrokerRecord {
        broker_id: request.broker_id,
        incarnation_id: request.incarnation_id,
        end_points: endpoints.collect(),
        features: features.collect(),
        rack: request.rack.clone(),
        fenced: true,
        log_dirs: request.log_dirs.clone(),
        ..Default::default()
    }
}
