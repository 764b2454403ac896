//! Registered brokers and controllers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{ReplayError, own};
use crate::metadata::records::MetadataRecord;
use crate::protocol::records::metadata::{
    BrokerEndpoint, BrokerFeature, BrokerRegistrationChangeRecord, ControllerEndpoint, ControllerFeature,
    RegisterBrokerRecord, RegisterControllerRecord, UnregisterBrokerRecord,
};
use crate::wire::{KafkaString, Uuid};

/// All registrations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterImage {
    brokers: BTreeMap<i32, Arc<BrokerImage>>,
    controllers: BTreeMap<i32, Arc<ControllerImage>>,
}

/// Where a listener of a node can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Name of the listener (`PLAINTEXT`).
    pub name: KafkaString,
    /// Advertised host.
    pub host: KafkaString,
    /// Advertised port.
    pub port: u16,
    /// 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
    pub security_protocol: i16,
}

/// The registration of one broker.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerImage {
    /// Node id.
    pub id: i32,
    /// Given by the controller at registration; grows with each.
    pub epoch: i64,
    /// One per process start.
    pub incarnation_id: Uuid,
    /// Its listeners.
    pub endpoints: Vec<Endpoint>,
    /// Feature name to the lowest and highest level it supports.
    pub features: BTreeMap<KafkaString, (i16, i16)>,
    /// Its rack.
    pub rack: Option<KafkaString>,
    /// A fenced broker leads nothing and is not shown to clients.
    pub fenced: bool,
    /// Whether it is on its way out.
    pub in_controlled_shutdown: bool,
    /// Ids of its log directories that are online.
    pub log_dirs: Vec<Uuid>,
    /// Log directories that take no new partitions; `None` until it has told.
    pub cordoned_log_dirs: Option<Vec<Uuid>>,
}

/// The registration of one controller.
#[derive(Clone, Debug, PartialEq)]
pub struct ControllerImage {
    /// Node id.
    pub id: i32,
    /// One per process start.
    pub incarnation_id: Uuid,
    /// Its listeners.
    pub endpoints: Vec<Endpoint>,
    /// Feature name to the lowest and highest level it supports.
    pub features: BTreeMap<KafkaString, (i16, i16)>,
}

impl ClusterImage {
    /// The registration of this broker.
    pub fn broker(&self, id: i32) -> Option<&Arc<BrokerImage>> {
        self.brokers.get(&id)
    }

    /// All brokers by id, also the fenced ones.
    pub fn brokers(&self) -> impl Iterator<Item = &Arc<BrokerImage>> {
        self.brokers.values()
    }

    /// All controllers by id.
    pub fn controllers(&self) -> impl Iterator<Item = &Arc<ControllerImage>> {
        self.controllers.values()
    }

    /// Whether the broker may lead partitions: registered, neither fenced nor shutting down.
    pub fn is_active(&self, id: i32) -> bool {
        self.brokers.get(&id).is_some_and(|broker| broker.is_active())
    }

    /// The directory to write for a new replica on this broker: its only one, else "not yet chosen".
    pub fn default_directory(&self, id: i32) -> Uuid {
        let Some(broker) = self.brokers.get(&id).filter(|broker| !broker.log_dirs.is_empty()) else {
            return Uuid::MIGRATING_DIR;
        };
        match broker.uncordoned_log_dirs().collect::<Vec<_>>()[..] {
            [only] => only,
            _ => Uuid::UNASSIGNED_DIR,
        }
    }

    pub(super) fn register_broker(&mut self, record: &RegisterBrokerRecord) {
        self.brokers.insert(record.broker_id, Arc::new(BrokerImage::from_record(record)));
    }

    pub(super) fn unregister_broker(&mut self, record: &UnregisterBrokerRecord) -> Result<(), ReplayError> {
        self.edit(record.broker_id, record.broker_epoch, |_| ())?;
        self.brokers.remove(&record.broker_id);
        Ok(())
    }

    pub(super) fn set_fenced(&mut self, id: i32, epoch: i64, fenced: bool) -> Result<(), ReplayError> {
        self.edit(id, epoch, |broker| broker.fenced = fenced)
    }

    pub(super) fn change_broker(&mut self, record: &BrokerRegistrationChangeRecord) -> Result<(), ReplayError> {
        self.edit(record.broker_id, record.broker_epoch, |broker| {
            match record.fenced {
                -1 => broker.fenced = false,
                1 => broker.fenced = true,
                _ => {}
            }
            if record.in_controlled_shutdown == 1 {
                broker.in_controlled_shutdown = true;
            }
            if !record.log_dirs.is_empty() {
                broker.log_dirs = record.log_dirs.clone();
            }
            if let Some(cordoned) = &record.cordoned_log_dirs {
                broker.cordoned_log_dirs = Some(cordoned.clone());
            }
        })
    }

    pub(super) fn register_controller(&mut self, record: &RegisterControllerRecord) {
        let endpoint = |from: &ControllerEndpoint| Endpoint {
            name: own(&from.name),
            host: own(&from.host),
            port: from.port,
            security_protocol: from.security_protocol,
        };
        let feature =
            |from: &ControllerFeature| (own(&from.name), (from.min_supported_version, from.max_supported_version));
        let controller = ControllerImage {
            id: record.controller_id,
            incarnation_id: record.incarnation_id,
            endpoints: record.end_points.iter().map(endpoint).collect(),
            features: record.features.iter().map(feature).collect(),
        };
        self.controllers.insert(controller.id, Arc::new(controller));
    }

    pub(super) fn to_records(&self, records: &mut Vec<MetadataRecord>) {
        records.extend(self.brokers.values().map(|broker| broker.to_record().into()));
        records.extend(self.controllers.values().map(|controller| controller.to_record().into()));
    }

    fn edit(&mut self, id: i32, epoch: i64, change: impl FnOnce(&mut BrokerImage)) -> Result<(), ReplayError> {
        let broker = self.brokers.get_mut(&id).ok_or(ReplayError::UnknownBroker(id))?;
        if broker.epoch != epoch {
            return Err(ReplayError::BrokerEpoch { id, expected: broker.epoch, found: epoch });
        }
        change(Arc::make_mut(broker));
        Ok(())
    }
}

impl BrokerImage {
    /// Whether the clients of the broker `answering` are told of it: if it is not fenced, and of itself also while it stops. Who is
    /// told of no broker at all has none left to ask when this one is back (librdkafka 2.12 waits for ever).
    pub fn is_shown_by(&self, answering: i32) -> bool {
        !self.fenced || self.id == answering
    }

    /// Whether it may lead partitions.
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    /// Whether new partitions may be placed on it: not all of its log directories are cordoned (KIP-1066).
    pub fn takes_new_partitions(&self) -> bool {
        self.log_dirs.is_empty() || self.uncordoned_log_dirs().next().is_some()
    }

    /// Log directories that take new partitions.
    pub fn uncordoned_log_dirs(&self) -> impl Iterator<Item = Uuid> {
        let cordoned = self.cordoned_log_dirs.as_deref().unwrap_or_default();
        self.log_dirs.iter().copied().filter(move |directory| !cordoned.contains(directory))
    }

    /// The endpoint of this listener.
    pub fn endpoint(&self, listener: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| &*endpoint.name == listener)
    }

    /// Whether a replica in this directory can be served.
    pub fn has_online_directory(&self, directory: Uuid) -> bool {
        if directory == Uuid::UNASSIGNED_DIR || directory == Uuid::MIGRATING_DIR {
            return true;
        }
        directory != Uuid::LOST_DIR && (self.log_dirs.is_empty() || self.log_dirs.contains(&directory))
    }

    fn from_record(record: &RegisterBrokerRecord) -> BrokerImage {
        let endpoint = |from: &BrokerEndpoint| Endpoint {
            name: own(&from.name),
            host: own(&from.host),
            port: from.port,
            security_protocol: from.security_protocol,
        };
        let feature =
            |from: &BrokerFeature| (own(&from.name), (from.min_supported_version, from.max_supported_version));
        BrokerImage {
            id: record.broker_id,
            epoch: record.broker_epoch,
            incarnation_id: record.incarnation_id,
            endpoints: record.end_points.iter().map(endpoint).collect(),
            features: record.features.iter().map(feature).collect(),
            rack: record.rack.as_ref().map(own),
            fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
            log_dirs: record.log_dirs.clone(),
            cordoned_log_dirs: record.cordoned_log_dirs.clone(),
        }
    }

    fn to_record(&self) -> RegisterBrokerRecord {
        let endpoint = |from: &Endpoint| BrokerEndpoint {
            name: from.name.clone(),
            host: from.host.clone(),
            port: from.port,
            security_protocol: from.security_protocol,
        };
        let feature = |(name, range): (&KafkaString, &(i16, i16))| BrokerFeature {
            name: name.clone(),
            min_supported_version: range.0,
            max_supported_version: range.1,
        };
        RegisterBrokerRecord {
            broker_id: self.id,
            incarnation_id: self.incarnation_id,
            broker_epoch: self.epoch,
            end_points: self.endpoints.iter().map(endpoint).collect(),
            features: self.features.iter().map(feature).collect(),
            rack: self.rack.clone(),
            fenced: self.fenced,
            in_controlled_shutdown: self.in_controlled_shutdown,
            log_dirs: self.log_dirs.clone(),
            cordoned_log_dirs: self.cordoned_log_dirs.clone(),
            ..Default::default()
        }
    }
}

impl ControllerImage {
    fn to_record(&self) -> RegisterControllerRecord {
        let endpoint = |from: &Endpoint| ControllerEndpoint {
            name: from.name.clone(),
            host: from.host.clone(),
            port: from.port,
            security_protocol: from.security_protocol,
        };
        let feature = |(name, range): (&KafkaString, &(i16, i16))| ControllerFeature {
            name: name.clone(),
            min_supported_version: range.0,
            max_supported_version: range.1,
        };
        RegisterControllerRecord {
            controller_id: self.id,
            incarnation_id: self.incarnation_id,
            zk_migration_ready: false,
            end_points: self.endpoints.iter().map(endpoint).collect(),
            features: self.features.iter().map(feature).collect(),
        }
    }
}
