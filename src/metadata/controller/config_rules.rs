//! What may be configured: the bridge from a resource to the tables of `config`, and Kafka's code for each refusal.

use std::sync::Arc;

use super::{ApiError, Controller};
use crate::config::{self, BrokerConfig, ConfigError, Properties, Scope, Target, properties};
use crate::metadata::image::{ConfigMap, ConfigResource, ResourceType};
use crate::metadata::topic_name::reason_invalid;
use crate::protocol::ErrorCode;
use crate::protocol::create_topics::CreatableTopicConfigs;
use crate::wire::KafkaString;

/// The table of a resource's keys.
pub(super) fn scope(resource_type: ResourceType) -> Scope {
    match resource_type {
        ResourceType::Topic => Scope::Topic,
        ResourceType::Group => Scope::Group,
        ResourceType::ClientMetrics => Scope::ClientMetrics,
        ResourceType::Broker | ResourceType::BrokerLogger => Scope::Broker,
    }
}

impl Controller {
    /// This node's configuration with what is set dynamically.
    pub(super) fn effective_config(&self) -> BrokerConfig {
        let configs = self.image().configs();
        let layer = |layer: Option<&Arc<ConfigMap>>| layer.map(|layer| properties(layer.iter())).unwrap_or_default();
        let cluster = layer(configs.broker_default());
        let broker = layer(configs.broker(self.settings.node_id));
        self.settings.config.with_dynamic(&cluster, &broker)
    }

    /// Checks all that will be set on a resource, where `current` is set now.
    pub(super) fn check_configs(
        &self,
        resource: &ConfigResource,
        all: &Properties,
        current: &Properties,
    ) -> Result<(), ApiError> {
        let name = &*resource.name;
        match resource.resource_type {
            ResourceType::Topic if name.is_empty() => {
                Err(ApiError::new(ErrorCode::InvalidRequest, "Default topic resources are not allowed."))
            }
            ResourceType::Topic => {
                if let Some(reason) = reason_invalid(name) {
                    return Err(ApiError::new(ErrorCode::InvalidTopicException, reason));
                }
                config::validate_topic(all, current).map_err(invalid_config)
            }
            ResourceType::Broker => {
                let target = self.broker_target(name)?;
                let checked = self.effective_config().validate_dynamic(target, all);
                checked.map_err(|error| ApiError::new(ErrorCode::InvalidRequest, error.to_string()))
            }
            ResourceType::ClientMetrics => config::validate_client_metrics(name, all).map_err(|error| {
                let of_value =
                    matches!(&error, ConfigError::Rule(text) if !text.starts_with("Illegal client matching pattern"));
                let code = if of_value { ErrorCode::InvalidRequest } else { ErrorCode::InvalidConfig };
                ApiError::new(code, error.to_string())
            }),
            ResourceType::Group if name.is_empty() => {
                Err(ApiError::new(ErrorCode::InvalidRequest, "Default group resources are not allowed."))
            }
            ResourceType::Group => self.effective_config().validate_group(all).map_err(invalid_config),
            ResourceType::BrokerLogger => {
                Err(ApiError::new(ErrorCode::InvalidRequest, "Unknown resource type BROKER_LOGGER"))
            }
        }
    }

    fn broker_target(&self, name: &str) -> Result<Target, ApiError> {
        let refuse = |text: String| Err(ApiError::new(ErrorCode::InvalidRequest, text));
        if name.is_empty() {
            return Ok(Target::AllBrokers);
        }
        match name.parse::<i32>() {
            Ok(id) if id == self.settings.node_id => Ok(Target::ThisBroker),
            Ok(_) => refuse(format!("Unexpected broker id, expected {}, but received {name}", self.settings.node_id)),
            Err(_) => refuse(format!("Node id must be an integer, but it is: {name}")),
        }
    }
}

fn invalid_config(error: ConfigError) -> ApiError {
    ApiError::new(ErrorCode::InvalidConfig, error.to_string())
}

/// Every key of a new topic with its value, by name, and where the value comes from. Overrides are told as they were
/// given.
pub(super) fn topic_configs(config: &BrokerConfig, overrides: &Properties) -> Vec<CreatableTopicConfigs> {
    let mut entries = config.describe_topic(overrides, None);
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let told = |entry: config::Entry| CreatableTopicConfigs {
        value: overrides.get(&entry.name).cloned().or(entry.value).filter(|_| !entry.sensitive).map(KafkaString::from),
        name: entry.name.into(),
        read_only: entry.read_only,
        config_source: entry.source.code(),
        is_sensitive: entry.sensitive,
    };
    entries.into_iter().map(told).collect()
}
