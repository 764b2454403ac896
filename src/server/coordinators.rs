//! Handlers and coordinators: asking one, and making its topic when the first one is looked for.

use crate::config::BrokerConfig;
use crate::coordinator::group::{GroupRequest, GroupResponse};
use crate::coordinator::{OFFSETS_TOPIC, TRANSACTIONS_TOPIC};
use crate::protocol::ErrorCode;
use crate::protocol::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use crate::server::api::Context;
use crate::server::errors;
use crate::shard::TopicPartition;

const CREATE_TIMEOUT_MS: i32 = 30_000;

/// Asks the coordinator of a group and picks its answer out. The connection goes where its group lives.
pub async fn ask<T>(
    context: &Context,
    group_id: &str,
    request: GroupRequest,
    pick: impl FnOnce(GroupResponse) -> Option<T>,
) -> Result<T, ErrorCode> {
    let Some(partition) = context.shard.partition_of_group(group_id) else {
        return Err(ErrorCode::NotCoordinator);
    };
    context.client.note_owner(Some(context.shard.owner_of(&partition)));
    ask_partition(context, partition, request, pick).await
}

async fn ask_partition<T>(
    context: &Context,
    partition: TopicPartition,
    request: GroupRequest,
    pick: impl FnOnce(GroupResponse) -> Option<T>,
) -> Result<T, ErrorCode> {
    match context.shard.ask_groups_of(partition, request).await {
        // The machine answers a request with a response of its kind.
        Ok(answer) => pick(answer).ok_or(ErrorCode::UnknownServerError),
        Err(error) => Err(errors::coordinator_code(error)),
    }
}

/// An internal topic as it is to be made; `None` for other topics.
pub fn internal_topic(name: &str, config: &BrokerConfig) -> Option<CreatableTopic> {
    let (partitions, replicas, configs) = match name {
        OFFSETS_TOPIC => (
            config.offsets_topic_num_partitions,
            config.offsets_topic_replication_factor,
            vec![
                ("cleanup.policy", "compact".to_owned()),
                ("compression.type", "producer".to_owned()),
                ("segment.bytes", config.offsets_topic_segment_bytes.to_string()),
            ],
        ),
        TRANSACTIONS_TOPIC => (
            config.transaction_state_log_num_partitions,
            config.transaction_state_log_replication_factor,
            vec![
                ("cleanup.policy", "compact".to_owned()),
                ("compression.type", "uncompressed".to_owned()),
                ("min.insync.replicas", config.transaction_state_log_min_isr.to_string()),
                ("segment.bytes", config.transaction_state_log_segment_bytes.to_string()),
                ("unclean.leader.election.enable", "false".to_owned()),
            ],
        ),
        _ => return None,
    };
    let configs =
        configs.into_iter().map(|(name, value)| CreatableTopicConfig { name: name.into(), value: Some(value.into()) });
    Some(CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: replicas,
        configs: configs.collect(),
        ..Default::default()
    })
}

/// Makes an internal topic unless it is there; when this returns, every shard has its partitions.
pub async fn ensure_internal_topic(context: &Context, name: &str) {
    if context.shard.image().topics().by_name(name).is_some() {
        return;
    }
    let Some(topic) = internal_topic(name, &context.shard.config()) else { return };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: CREATE_TIMEOUT_MS, ..Default::default() };
    let Ok(response) = context.controller().create_topics(request).await else { return };
    for created in response.topics {
        let error = ErrorCode::from_code(created.error_code);
        let is_made = matches!(error, ErrorCode::None | ErrorCode::TopicAlreadyExists);
        if !is_made && context.shard.coordinators.may_complain() {
            let reason = created.error_message.unwrap_or_default();
            tracing::warn!(topic = name, %error, %reason, "an internal topic can't be made");
        }
    }
}

/// Sixteen bytes as Java writes a random id.
pub fn text_uuid(bytes: [u8; 16]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_look_like_javas() {
        assert_eq!(text_uuid([0xab; 16]), "abababab-abab-abab-abab-abababababab");
    }
}
