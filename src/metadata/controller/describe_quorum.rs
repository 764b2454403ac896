//! DescribeQuorum and ListConfigResources: questions that the controller answers from its own state.

use super::{ApiError, Controller};
use crate::metadata::image::{ControllerImage, ResourceType};
use crate::metadata::topic_name::METADATA_TOPIC;
use crate::protocol::ErrorCode;
use crate::protocol::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumResponse, DescribeQuorumResponsePartitionData,
    DescribeQuorumResponseTopicData, Listener, Node, ReplicaState,
};
use crate::protocol::list_config_resources::{ConfigResource, ListConfigResourcesRequest, ListConfigResourcesResponse};
use crate::rt::clock;

impl Controller {
    /// Who leads the quorum, and how far its members are (KIP-595, KIP-836, KIP-853).
    pub fn describe_quorum(&self, request: &DescribeQuorumRequest) -> DescribeQuorumResponse {
        let is_metadata = match &request.topics[..] {
            [topic] => {
                topic.topic_name == METADATA_TOPIC
                    && topic.partitions.len() == 1
                    && topic.partitions[0].partition_index == 0
            }
            _ => false,
        };
        if !is_metadata {
            let error = ApiError::default_text(ErrorCode::UnknownTopicOrPartition);
            let topics = request.topics.iter().map(|topic| DescribeQuorumResponseTopicData {
                topic_name: topic.topic_name.clone(),
                partitions: topic
                    .partitions
                    .iter()
                    .map(|partition| unknown(partition.partition_index, &error))
                    .collect(),
            });
            return DescribeQuorumResponse { topics: topics.collect(), ..Default::default() };
        }
        let now = clock::now_ms();
        let own = ReplicaState {
            replica_id: self.settings.node_id,
            replica_directory_id: self.settings.quorum_directory_id,
            log_end_offset: self.next_offset,
            last_fetch_timestamp: now,
            last_caught_up_timestamp: now,
        };
        let partition = DescribeQuorumResponsePartitionData {
            leader_id: self.settings.node_id,
            leader_epoch: self.epoch,
            high_watermark: self.next_offset,
            current_voters: vec![own],
            ..Default::default()
        };
        let nodes = self.image().cluster().controllers().filter(|node| node.id == self.settings.node_id);
        DescribeQuorumResponse {
            topics: vec![DescribeQuorumResponseTopicData {
                topic_name: METADATA_TOPIC.into(),
                partitions: vec![partition],
            }],
            nodes: nodes.map(|node| quorum_node(node)).collect(),
            ..Default::default()
        }
    }

    /// The resources that have something configured, and topics and brokers without (KIP-1142).
    pub fn list_config_resources(
        &self,
        request: &ListConfigResourcesRequest,
        version: i16,
    ) -> ListConfigResourcesResponse {
        let every = [
            ResourceType::Topic,
            ResourceType::Broker,
            ResourceType::BrokerLogger,
            ResourceType::ClientMetrics,
            ResourceType::Group,
        ];
        let wanted: Vec<ResourceType> = match (version, request.resource_types.is_empty()) {
            (0, _) => vec![ResourceType::ClientMetrics],
            (_, true) => every.to_vec(),
            (_, false) => {
                let known: Option<Vec<_>> =
                    request.resource_types.iter().map(|code| ResourceType::from_code(*code)).collect();
                let Some(known) = known else {
                    let error_code = ErrorCode::UnsupportedVersion.code();
                    return ListConfigResourcesResponse { error_code, ..Default::default() };
                };
                known
            }
        };
        let image = self.image();
        let mut config_resources = Vec::new();
        for resource_type in every.into_iter().filter(|one| wanted.contains(one)) {
            let of_type = |name| ConfigResource { resource_name: name, resource_type: resource_type.code() };
            match resource_type {
                ResourceType::Topic => {
                    config_resources.extend(image.topics().sorted().iter().map(|topic| of_type(topic.name.clone())));
                }
                ResourceType::Broker | ResourceType::BrokerLogger => {
                    config_resources
                        .extend(image.cluster().brokers().map(|broker| of_type(broker.id.to_string().into())));
                }
                ResourceType::ClientMetrics | ResourceType::Group => {
                    let configured =
                        image.configs().iter().filter(|(resource, _)| resource.resource_type == resource_type);
                    config_resources.extend(configured.map(|(resource, _)| of_type(resource.name.clone())));
                }
            }
        }
        ListConfigResourcesResponse { config_resources, ..Default::default() }
    }
}

fn unknown(partition_index: i32, error: &ApiError) -> DescribeQuorumResponsePartitionData {
    DescribeQuorumResponsePartitionData {
        partition_index,
        error_code: error.code.code(),
        error_message: error.message.clone(),
        ..Default::default()
    }
}

fn quorum_node(node: &ControllerImage) -> Node {
    let listener = |endpoint: &crate::metadata::image::Endpoint| Listener {
        name: endpoint.name.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
    };
    Node { node_id: node.id, listeners: node.endpoints.iter().map(listener).collect() }
}
