//! AlterConfigs and IncrementalAlterConfigs (KIP-133, KIP-339), and the configurations of a new topic.
//!
//! A resource is checked as a whole: if one of its keys is refused, nothing of it changes.

use std::collections::{BTreeMap, HashMap};

use super::{ApiError, Controller, config_rules};
use crate::config::{AlterOperation, ConfigError, properties};
use crate::metadata::image::{ConfigResource, ResourceType};
use crate::metadata::records::MetadataRecord;
use crate::protocol::ErrorCode;
use crate::protocol::alter_configs::{AlterConfigsRequest, AlterConfigsResponse};
use crate::protocol::incremental_alter_configs::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use crate::protocol::records::metadata::{ClearElrRecord, ConfigRecord};
use crate::protocol::{alter_configs, incremental_alter_configs};
use crate::wire::KafkaString;

pub(super) const MIN_ISR: &str = "min.insync.replicas";
const CORDONED: &str = "cordoned.log.dirs";

/// The new values of the keys of a resource that change; `None` removes the key.
type Changes = Vec<(KafkaString, Option<KafkaString>)>;

impl Controller {
    /// Replaces all that is set on the resources.
    pub fn alter_configs(&mut self, request: &AlterConfigsRequest) -> AlterConfigsResponse {
        let counts = count(request.resources.iter().map(|resource| (resource.resource_type, &resource.resource_name)));
        let errors: Vec<ApiError> = request
            .resources
            .iter()
            .map(|wanted| {
                check_once(&counts, wanted.resource_type, &wanted.resource_name)?;
                let values = wanted.configs.iter().map(|config| (&config.name, config.value.is_none()));
                let resource = resource(wanted.resource_type, &wanted.resource_name, values)?;
                let changes = self.replacing_changes(&resource, wanted);
                self.alter(&resource, changes, request.validate_only)
            })
            .map(ApiError::of)
            .collect();
        let responses =
            request.resources.iter().zip(errors).map(|(resource, error)| alter_configs::AlterConfigsResourceResponse {
                error_code: error.code.code(),
                error_message: error.message,
                resource_type: resource.resource_type,
                resource_name: resource.resource_name.clone(),
            });
        AlterConfigsResponse { responses: responses.collect(), ..Default::default() }
    }

    /// Changes single keys of the resources.
    pub fn incremental_alter_configs(
        &mut self,
        request: &IncrementalAlterConfigsRequest,
    ) -> IncrementalAlterConfigsResponse {
        let counts = count(request.resources.iter().map(|resource| (resource.resource_type, &resource.resource_name)));
        let errors: Vec<ApiError> = request
            .resources
            .iter()
            .map(|wanted| {
                check_once(&counts, wanted.resource_type, &wanted.resource_name)?;
                let is_delete = |code: i8| AlterOperation::from_code(code) == Some(AlterOperation::Delete);
                let values = wanted
                    .configs
                    .iter()
                    .map(|config| (&config.name, config.value.is_none() && !is_delete(config.config_operation)));
                let resource = resource(wanted.resource_type, &wanted.resource_name, values)?;
                let changes = self.incremental_changes(&resource, wanted)?;
                self.alter(&resource, changes, request.validate_only)
            })
            .map(ApiError::of)
            .collect();
        let responses = request.resources.iter().zip(errors).map(|(resource, error)| {
            incremental_alter_configs::AlterConfigsResourceResponse {
                error_code: error.code.code(),
                error_message: error.message,
                resource_type: resource.resource_type,
                resource_name: resource.resource_name.clone(),
            }
        });
        IncrementalAlterConfigsResponse { responses: responses.collect(), ..Default::default() }
    }

    /// The records that configure a new topic.
    pub(super) fn set_new_configs(
        &self,
        resource: &ConfigResource,
        configs: &BTreeMap<KafkaString, KafkaString>,
    ) -> Result<Vec<MetadataRecord>, ApiError> {
        let changes: Changes = configs.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
        self.check(resource, &changes)?;
        Ok(config_records(resource, changes))
    }

    /// The records that a new cluster, or one that switches eligible leader replicas on, needs: `min.insync.replicas`
    /// of the cluster must not depend on the configuration of single brokers.
    pub(super) fn elr_safety_records(&self) -> Vec<MetadataRecord> {
        let configs = self.image().configs();
        let mut records = Vec::new();
        let min_isr = |name: &KafkaString, value: Option<String>| {
            let resource = ConfigResource { resource_type: ResourceType::Broker, name: name.clone() };
            config_records(&resource, vec![(MIN_ISR.into(), value.map(KafkaString::from))])
        };
        if !configs.broker_default().is_some_and(|configs| configs.contains_key(MIN_ISR)) {
            let value = self.settings.config.topic_defaults.min_insync_replicas.to_string();
            records.extend(min_isr(&KafkaString::EMPTY, Some(value)));
        }
        for (resource, configs) in configs.iter() {
            let is_broker = resource.resource_type == ResourceType::Broker && !resource.name.is_empty();
            if is_broker && configs.contains_key(MIN_ISR) {
                records.extend(min_isr(&resource.name, None));
            }
        }
        records
    }

    fn replacing_changes(&self, resource: &ConfigResource, wanted: &alter_configs::AlterConfigsResource) -> Changes {
        let current = self.image().configs().get(resource);
        let value_now = |name: &KafkaString| current.and_then(|configs| configs.get(name));
        let is_broker = resource.resource_type == ResourceType::Broker;
        let mut changes: Changes = wanted
            .configs
            .iter()
            .filter(|config| is_broker || value_now(&config.name) != config.value.as_ref())
            .map(|config| (config.name.clone(), config.value.clone()))
            .collect();
        let gone = current.into_iter().flat_map(|configs| configs.keys());
        let gone = gone.filter(|name| !wanted.configs.iter().any(|config| config.name == **name));
        changes.extend(gone.map(|name| (name.clone(), None)));
        changes
    }

    fn incremental_changes(
        &self,
        resource: &ConfigResource,
        wanted: &incremental_alter_configs::AlterConfigsResource,
    ) -> Result<Changes, ApiError> {
        let current = self.image().configs().get(resource);
        let mut changes = Changes::new();
        for config in &wanted.configs {
            let Some(operation) = AlterOperation::from_code(config.config_operation) else {
                let text = format!("Unknown operations type {}", config.config_operation);
                return Err(ApiError::new(ErrorCode::InvalidRequest, text));
            };
            let now = current.and_then(|configs| configs.get(&config.name)).cloned();
            let scope = config_rules::scope(resource.resource_type);
            let value = operation.apply(scope, &config.name, now.as_deref(), config.value.as_deref());
            let value = value.map_err(|error| not_a_list(resource, config, operation, &error))?.map(KafkaString::from);
            // A broker reloads what it is told again: files that a value names may have changed.
            if value != now || resource.resource_type == ResourceType::Broker {
                changes.push((config.name.clone(), value));
            }
        }
        Ok(changes)
    }

    fn alter(&mut self, resource: &ConfigResource, changes: Changes, validate_only: bool) -> Result<(), ApiError> {
        self.check(resource, &changes)?;
        self.check_exists(resource)?;
        if validate_only {
            return Ok(());
        }
        let min_isr_changes = changes.iter().any(|(name, _)| *name == MIN_ISR);
        let mut records = config_records(resource, changes);
        if min_isr_changes && self.image().features().elr_enabled() {
            // Who was eligible under the old minimum may not have all that the new one acknowledged.
            let topic_name =
                if resource.resource_type == ResourceType::Topic { resource.name.clone() } else { KafkaString::EMPTY };
            records.push(ClearElrRecord { topic_name }.into());
        }
        self.commit_bounded(records)
    }

    /// Checks the changes, and the whole that they make.
    fn check(&self, resource: &ConfigResource, changes: &Changes) -> Result<(), ApiError> {
        let current =
            self.image().configs().get(resource).map(|configs| properties(configs.iter())).unwrap_or_default();
        let mut all = current.clone();
        for (name, value) in changes {
            self.check_min_isr(resource, name, value.as_ref())?;
            match value {
                None => drop(all.remove(&**name)),
                Some(value) if value.len() > crate::wire::STRING_BYTES_MAX => {
                    let text = "The configuration value cannot be added because it exceeds the maximum value size of 32767 bytes.";
                    return Err(ApiError::new(ErrorCode::InvalidConfig, text));
                }
                Some(value) => drop(all.insert(name.to_string(), value.to_string())),
            }
        }
        self.check_configs(resource, &all, &current)
    }

    fn check_min_isr(
        &self,
        resource: &ConfigResource,
        name: &str,
        value: Option<&KafkaString>,
    ) -> Result<(), ApiError> {
        if resource.resource_type != ResourceType::Broker {
            return Ok(());
        }
        let features = self.image().features();
        if name == CORDONED && features.metadata_version() < 30 {
            let text = "The cordoned.log.dirs configuration value cannot be set because it requires metadata.version >= 4.3-IV0";
            return Err(ApiError::new(ErrorCode::InvalidConfig, text));
        }
        if name != MIN_ISR || !features.elr_enabled() {
            return Ok(());
        }
        let text = if !resource.name.is_empty() {
            "Broker-level min.insync.replicas cannot be altered while ELR is enabled."
        } else if value.is_none() {
            "Cluster-level min.insync.replicas cannot be removed while ELR is enabled."
        } else {
            return Ok(());
        };
        Err(ApiError::new(ErrorCode::InvalidConfig, text))
    }

    fn check_exists(&self, resource: &ConfigResource) -> Result<(), ApiError> {
        match resource.resource_type {
            ResourceType::Topic if self.image().topics().by_name(&resource.name).is_none() => {
                let text = format!("The topic '{}' does not exist.", resource.name);
                Err(ApiError::new(ErrorCode::UnknownTopicOrPartition, text))
            }
            _ => Ok(()),
        }
    }
}

fn count<'a>(resources: impl Iterator<Item = (i8, &'a KafkaString)>) -> HashMap<(i8, &'a KafkaString), usize> {
    let mut counts = HashMap::new();
    resources.for_each(|resource| *counts.entry(resource).or_default() += 1);
    counts
}

fn check_once(counts: &HashMap<(i8, &KafkaString), usize>, kind: i8, name: &KafkaString) -> Result<(), ApiError> {
    if counts[&(kind, name)] == 1 {
        return Ok(());
    }
    Err(ApiError::new(ErrorCode::InvalidRequest, "Each resource must appear at most once."))
}

/// The resource that a request names, after the checks of its form; `configs` are its keys and whether the value is
/// wrongly null.
fn resource<'a>(
    kind: i8,
    name: &KafkaString,
    configs: impl Iterator<Item = (&'a KafkaString, bool)>,
) -> Result<ConfigResource, ApiError> {
    let refuse = |text: String| Err(ApiError::new(ErrorCode::InvalidRequest, text));
    let mut names: Vec<&KafkaString> = Vec::new();
    let mut nulls: Vec<&str> = Vec::new();
    for (name, is_null) in configs {
        if names.contains(&name) {
            return refuse("Error due to duplicate config keys".into());
        }
        names.push(name);
        if is_null {
            nulls.push(name);
        }
    }
    if !nulls.is_empty() {
        return refuse(format!("Null value not supported for : {}", nulls.join(", ")));
    }
    match ResourceType::from_code(kind) {
        Some(ResourceType::BrokerLogger) | None => refuse(format!("Unknown resource type {kind}")),
        Some(resource_type) => Ok(ConfigResource { resource_type, name: name.clone() }),
    }
}

/// The broker itself words it differently from the controller.
fn not_a_list(
    resource: &ConfigResource,
    config: &incremental_alter_configs::AlterableConfig,
    operation: AlterOperation,
    error: &ConfigError,
) -> ApiError {
    let verb = if operation == AlterOperation::Append { "append" } else { "subtract" };
    let text = match resource.resource_type {
        ResourceType::Broker => format!("Config value {verb} is not allowed for config key: {}", config.name),
        _ => error.to_string(),
    };
    ApiError::new(ErrorCode::InvalidConfig, text)
}

fn config_records(resource: &ConfigResource, changes: Changes) -> Vec<MetadataRecord> {
    let record = |(name, value)| {
        ConfigRecord { resource_type: resource.resource_type.code(), resource_name: resource.name.clone(), name, value }
            .into()
    };
    changes.into_iter().map(record).collect()
}
