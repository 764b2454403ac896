//! Configurations: DescribeConfigs (API 32), AlterConfigs (33), IncrementalAlterConfigs (44), ListConfigResources (74).
//! KIP-133, KIP-226 (dynamic broker configs, synonyms), KIP-339, KIP-1000 / KIP-1142 (resource types).

use std::rc::Rc;

use crate::config::{self, Entry, Properties};
use crate::metadata::{ConfigResource, MetadataImage, ResourceType, topic_name};
use crate::protocol::ErrorCode;
use crate::protocol::alter_configs::{AlterConfigsRequest, AlterConfigsResponse};
use crate::protocol::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse,
    DescribeConfigsResult, DescribeConfigsSynonym,
};
use crate::protocol::incremental_alter_configs::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use crate::protocol::list_config_resources::{ListConfigResourcesRequest, ListConfigResourcesResponse};
use crate::server::api::Context;
use crate::wire::KafkaString;

/// Why a resource cannot be described.
type Refusal = (ErrorCode, String);

/// Serves a DescribeConfigs request.
pub async fn describe(context: Rc<Context>, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let image = context.shard.image();
    let (synonyms, docs) = (request.include_synonyms, request.include_documentation);
    let results = request.resources.into_iter().map(|resource| match entries(&context, &image, &resource) {
        Ok(entries) => DescribeConfigsResult {
            error_message: Some(KafkaString::default()),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
            configs: entries.into_iter().map(|entry| described(entry, synonyms, docs)).collect(),
            ..Default::default()
        },
        Err((error, message)) => DescribeConfigsResult {
            error_code: error.code(),
            error_message: Some(message.into()),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
            ..Default::default()
        },
    });
    DescribeConfigsResponse { results: results.collect(), ..Default::default() }
}

fn entries(
    context: &Context,
    image: &MetadataImage,
    resource: &DescribeConfigsResource,
) -> Result<Vec<Entry>, Refusal> {
    let wanted: Option<Vec<&str>> =
        resource.configuration_keys.as_ref().map(|keys| keys.iter().map(|key| &**key).collect());
    let wanted = wanted.as_deref();
    let config = context.shard.config();
    let name = &*resource.resource_name;
    let overrides = |kind: ResourceType| -> Properties {
        let key = ConfigResource { resource_type: kind, name: resource.resource_name.clone() };
        let set = image.configs().get(&key);
        config::properties(set.into_iter().flat_map(|map| map.iter()))
    };
    match ResourceType::from_code(resource.resource_type) {
        Some(ResourceType::Topic) => {
            if let Some(reason) = topic_name::reason_invalid(name) {
                return Err((ErrorCode::InvalidTopicException, reason));
            }
            if image.topics().by_name(name).is_none() {
                return Err((ErrorCode::UnknownTopicOrPartition, String::new()));
            }
            Ok(config.describe_topic(&overrides(ResourceType::Topic), wanted))
        }
        Some(ResourceType::Broker) if name.is_empty() => Ok(config.describe_broker_defaults(wanted)),
        Some(ResourceType::Broker) => {
            own_broker(context, name)?;
            Ok(config.describe_broker(wanted))
        }
        Some(ResourceType::Group) if name.is_empty() => {
            Err((ErrorCode::InvalidRequest, "Group name must not be empty".to_owned()))
        }
        Some(ResourceType::Group) => Ok(config.describe_group(&overrides(ResourceType::Group), wanted)),
        Some(ResourceType::ClientMetrics) if name.is_empty() => {
            Err((ErrorCode::InvalidRequest, "Client metrics subscription name must not be empty".to_owned()))
        }
        Some(ResourceType::ClientMetrics) => {
            Ok(config::describe_client_metrics(&overrides(ResourceType::ClientMetrics), wanted))
        }
        Some(ResourceType::BrokerLogger) => {
            own_broker(context, name)?;
            // Loggers are a matter of the JVM; there are none here, so there is nothing to tell.
            Ok(Vec::new())
        }
        None => Err((ErrorCode::InvalidRequest, ErrorCode::InvalidRequest.message().to_owned())),
    }
}

fn own_broker(context: &Context, name: &str) -> Result<(), Refusal> {
    let own = context.shard.broker.node_id;
    match name.parse::<i32>() {
        Ok(id) if id == own => Ok(()),
        Ok(_) => {
            let message = format!("Unexpected broker id, expected {own} or empty string, but received {name}");
            Err((ErrorCode::InvalidRequest, message))
        }
        Err(_) => Err((ErrorCode::InvalidRequest, format!("Broker id must be an integer, but it is: {name}"))),
    }
}

fn described(entry: Entry, with_synonyms: bool, with_docs: bool) -> DescribeConfigsResourceResult {
    let text = |value: Option<String>| value.map(KafkaString::from);
    let synonyms = entry.synonyms.into_iter().filter(|_| with_synonyms).map(|synonym| DescribeConfigsSynonym {
        name: synonym.name.into(),
        value: text(synonym.value),
        source: synonym.source.code(),
    });
    DescribeConfigsResourceResult {
        name: entry.name.into(),
        value: text(entry.value),
        read_only: entry.read_only,
        config_source: entry.source.code(),
        is_sensitive: entry.sensitive,
        synonyms: synonyms.collect(),
        config_type: entry.kind,
        documentation: entry.doc.filter(|_| with_docs).map(KafkaString::from),
    }
}

/// Serves an AlterConfigs request.
pub async fn alter(context: Rc<Context>, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let stopped = context.controller_stopped(&request);
    context.controller().alter_configs(request).await.unwrap_or(stopped)
}

/// Serves an IncrementalAlterConfigs request.
pub async fn incremental_alter(
    context: Rc<Context>,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let stopped = context.controller_stopped(&request);
    context.controller().incremental_alter_configs(request).await.unwrap_or(stopped)
}

/// Serves a ListConfigResources request.
pub async fn list_resources(context: Rc<Context>, request: ListConfigResourcesRequest) -> ListConfigResourcesResponse {
    let stopped = context.controller_stopped(&request);
    context.controller().list_config_resources(request, context.version()).await.unwrap_or(stopped)
}
