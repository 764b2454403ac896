//! Dynamic configurations.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{ReplayError, own};
use crate::metadata::records::MetadataRecord;
use crate::protocol::records::metadata::ConfigRecord;
use crate::wire::KafkaString;

/// What a configuration belongs to; the numbers are Kafka's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i8)]
pub enum ResourceType {
    /// A topic.
    Topic = 2,
    /// A broker; the empty name is the default of all brokers.
    Broker = 4,
    /// Log levels of a broker; never stored.
    BrokerLogger = 8,
    /// A client metrics subscription (KIP-714).
    ClientMetrics = 16,
    /// A group (KIP-848).
    Group = 32,
}

impl ResourceType {
    /// The type of this number.
    pub fn from_code(code: i8) -> Option<ResourceType> {
        match code {
            2 => Some(ResourceType::Topic),
            4 => Some(ResourceType::Broker),
            8 => Some(ResourceType::BrokerLogger),
            16 => Some(ResourceType::ClientMetrics),
            32 => Some(ResourceType::Group),
            _ => None,
        }
    }

    /// Its number.
    pub fn code(self) -> i8 {
        self as i8
    }

    /// Kafka's name of it, as in its error messages.
    pub fn name(self) -> &'static str {
        match self {
            ResourceType::Topic => "TOPIC",
            ResourceType::Broker => "BROKER",
            ResourceType::BrokerLogger => "BROKER_LOGGER",
            ResourceType::ClientMetrics => "CLIENT_METRICS",
            ResourceType::Group => "GROUP",
        }
    }
}

/// One thing that can be configured.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigResource {
    /// What it is.
    pub resource_type: ResourceType,
    /// Its name.
    pub name: KafkaString,
}

/// Keys and values that were set on one resource.
pub type ConfigMap = BTreeMap<KafkaString, KafkaString>;

/// All dynamic configurations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConfigsImage {
    resources: BTreeMap<ConfigResource, Arc<ConfigMap>>,
}

impl ConfigsImage {
    /// What was set on a resource; `None` when nothing was.
    pub fn get(&self, resource: &ConfigResource) -> Option<&Arc<ConfigMap>> {
        self.resources.get(resource)
    }

    /// What was set on a topic.
    pub fn topic(&self, name: &str) -> Option<&Arc<ConfigMap>> {
        self.get(&ConfigResource { resource_type: ResourceType::Topic, name: KafkaString::from(name) })
    }

    /// What was set on a broker.
    pub fn broker(&self, id: i32) -> Option<&Arc<ConfigMap>> {
        self.get(&ConfigResource { resource_type: ResourceType::Broker, name: KafkaString::from(id.to_string()) })
    }

    /// What was set as default of all brokers.
    pub fn broker_default(&self) -> Option<&Arc<ConfigMap>> {
        self.get(&ConfigResource { resource_type: ResourceType::Broker, name: KafkaString::EMPTY })
    }

    /// What was set on a group.
    pub fn group(&self, name: &str) -> Option<&Arc<ConfigMap>> {
        self.get(&ConfigResource { resource_type: ResourceType::Group, name: KafkaString::from(name) })
    }

    /// All resources that have something set, by type and name.
    pub fn iter(&self) -> impl Iterator<Item = (&ConfigResource, &Arc<ConfigMap>)> {
        self.resources.iter()
    }

    pub(super) fn apply(&mut self, record: &ConfigRecord) -> Result<(), ReplayError> {
        let resource_type = ResourceType::from_code(record.resource_type)
            .ok_or(ReplayError::UnknownResourceType(record.resource_type))?;
        let resource = ConfigResource { resource_type, name: own(&record.resource_name) };
        match &record.value {
            Some(value) => {
                let configs = self.resources.entry(resource).or_default();
                Arc::make_mut(configs).insert(own(&record.name), own(value));
            }
            None => {
                let Some(configs) = self.resources.get_mut(&resource) else { return Ok(()) };
                Arc::make_mut(configs).remove(&*record.name);
                if configs.is_empty() {
                    self.resources.remove(&resource);
                }
            }
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, resource: &ConfigResource) {
        self.resources.remove(resource);
    }

    pub(super) fn to_records(&self, records: &mut Vec<MetadataRecord>) {
        for (resource, configs) in &self.resources {
            records.extend(configs.iter().map(|(name, value)| {
                ConfigRecord {
                    resource_type: resource.resource_type.code(),
                    resource_name: resource.name.clone(),
                    name: name.clone(),
                    value: Some(value.clone()),
                }
                .into()
            }));
        }
    }
}
