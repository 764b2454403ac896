//! What the controller writes when it becomes active, before anybody asks it anything.

use super::Controller;
use crate::metadata::image::Endpoint;
use crate::metadata::records::MetadataRecord;
use crate::metadata::{bootstrap, features};
use crate::protocol::records::metadata::{
    AbortTransactionRecord, BeginTransactionRecord, ControllerEndpoint, ControllerFeature, EndTransactionRecord,
    RegisterControllerRecord,
};
use crate::wire::Uuid;

/// From this level on there are metadata transactions (KIP-868).
const TRANSACTIONS_FROM: i16 = 13;
/// From this level on controllers register (KIP-919).
const CONTROLLER_REGISTRATION_FROM: i16 = 15;

impl Controller {
    /// Takes back a transaction that the last controller left open, and gives an empty log its first records:
    /// `bootstrap`, or the features of this release.
    pub fn activate(&mut self, bootstrap: Option<Vec<MetadataRecord>>) {
        if self.delta.in_transaction() {
            let abort = AbortTransactionRecord { reason: Some("Controller failover".into()) };
            self.commit(vec![abort.into()]);
        }
        // Metadata without a single feature is no metadata.
        if self.image().features().iter().next().is_some() {
            return;
        }
        let records = bootstrap
            .filter(|records| !records.is_empty())
            .unwrap_or_else(|| bootstrap::feature_records(features::METADATA_VERSION_MAX, &[]));
        let level = records.iter().find_map(|record| match record {
            MetadataRecord::FeatureLevel(record) if record.name == features::METADATA_VERSION => {
                Some(record.feature_level)
            }
            _ => None,
        });
        let transaction = level.unwrap_or(features::METADATA_VERSION_MIN) >= TRANSACTIONS_FROM;
        if transaction {
            self.commit(vec![BeginTransactionRecord { name: Some("Bootstrap records".into()) }.into()]);
        }
        self.commit(records);
        if self.image().features().elr_enabled() {
            let records = self.elr_safety_records();
            self.commit(records);
        }
        if transaction {
            self.commit(vec![EndTransactionRecord::default().into()]);
        }
    }

    /// Registers this controller, so that it can be described.
    pub fn register_self(&mut self, incarnation_id: Uuid, endpoints: &[Endpoint]) {
        if self.image().features().metadata_version() < CONTROLLER_REGISTRATION_FROM {
            return;
        }
        let endpoint = |from: &Endpoint| ControllerEndpoint {
            name: from.name.clone(),
            host: from.host.clone(),
            port: from.port,
            security_protocol: from.security_protocol,
        };
        let feature = |(name, range): (&'static str, std::ops::RangeInclusive<i16>)| ControllerFeature {
            name: name.into(),
            min_supported_version: *range.start(),
            max_supported_version: *range.end(),
        };
        let record = RegisterControllerRecord {
            controller_id: self.settings.node_id,
            incarnation_id,
            zk_migration_ready: false,
            end_points: endpoints.iter().map(endpoint).collect(),
            features: features::supported().map(feature).collect(),
        };
        self.commit(vec![record.into()]);
    }
}
