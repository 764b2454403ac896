//! What may be configured: the bridge from a resource to the tables of `config`, and Kafka's code for each refusal.

use std::collections::BTreeMap;

use super::create_topics::reason_invalid;
use super::{ApiError, ControllerSettings};
use crate::config::{self, Properties, Scope};
use crate::metadata::image::{ConfigResource, MetadataImage, ResourceType};
use crate::protocol::ErrorCode;
use crate::protocol::create_topics::CreatableTopicConfigs;
use crate::wire::KafkaString;

/// Checks all that will be set on a resource, of which `changes` is new.
pub(super) fn check(
    settings: &ControllerSettings,
    resource: &ConfigResource,
    all: &Properties,
    current: &Properties,
    changes: &[(KafkaString, Option<KafkaString>)],
) -> Result<(), ApiError> {
    let name = &*resource.name;
    let invalid_request = |text: String| Err(ApiError::new(ErrorCode::InvalidRequest, text));
    match resource.resource_type {
        ResourceType::Topic => {
            if name.is_empty() {
                return invalid_request("Default topic resources are not allowed.".into());
            }
            if let Some(reason) = reason_invalid(name) {
                return Err(ApiError::new(
                    ErrorCode::InvalidTopicException,
                    format!("Topic name is invalid: {reason}"),
                ));
            }
            config::validate_topic(all, current)
                .map_err(|error| ApiError::new(ErrorCode::InvalidConfig, error.to_string()))
        }
        ResourceType::Broker => {
            if !name.is_empty() {
                let Ok(id) = name.parse::<i32>() else {
                    return invalid_request(format!("Node id must be an integer, but it is: {name}"));
                };
                if id != settings.node_id {
                    return invalid_request(format!(
                        "Unexpected broker id, expected {}, but received {name}",
                        settings.node_id
                    ));
                }
            }
            check_keys(Scope::Broker, changes).map_err(|text| ApiError::new(ErrorCode::InvalidRequest, text))
        }
        ResourceType::ClientMetrics | ResourceType::Group if name.is_empty() => {
            let kind = if resource.resource_type == ResourceType::Group { "group" } else { "client metrics" };
            invalid_request(format!("Default {kind} resources are not allowed."))
        }
        ResourceType::ClientMetrics => {
            check_keys(Scope::ClientMetrics, changes).map_err(|text| ApiError::new(ErrorCode::InvalidConfig, text))
        }
        ResourceType::Group => {
            check_keys(Scope::Group, changes).map_err(|text| ApiError::new(ErrorCode::InvalidConfig, text))
        }
        ResourceType::BrokerLogger => invalid_request("Unknown resource type BROKER_LOGGER".into()),
    }
}

fn check_keys(scope: Scope, changes: &[(KafkaString, Option<KafkaString>)]) -> Result<(), String> {
    for (name, value) in changes {
        match (config::find(scope, name), value) {
            (Some(key), Some(value)) => drop(key.parse(value).map_err(|error| error.to_string())?),
            (Some(_), None) => {}
            (None, _) => {
                let kind = match scope {
                    Scope::Broker => "broker",
                    Scope::Topic => "topic",
                    Scope::Group => "group",
                    Scope::ClientMetrics => "client metrics",
                };
                return Err(format!("Unknown {kind} config name: {name}"));
            }
        }
    }
    Ok(())
}

/// Every key of a new topic with its value, by name, and where the value comes from.
pub(super) fn effective_topic_configs(
    settings: &ControllerSettings,
    image: &MetadataImage,
    configs: &BTreeMap<KafkaString, KafkaString>,
) -> Vec<CreatableTopicConfigs> {
    let _ = (settings, image);
    const TOPIC: i8 = 1;
    const DEFAULT: i8 = 5;
    let mut keys: Vec<_> = config::all(Scope::Topic).filter(|key| !key.is_internal()).collect();
    keys.sort_by_key(|key| key.name);
    let config = |key: &&'static config::Key| {
        let own = configs.get(key.name).cloned();
        CreatableTopicConfigs {
            name: KafkaString::from_static(key.name),
            config_source: if own.is_some() { TOPIC } else { DEFAULT },
            value: own.or_else(|| key.default_text().map(KafkaString::from_static)),
            read_only: false,
            is_sensitive: key.is_sensitive(),
        }
    };
    keys.iter().map(config).collect()
}
