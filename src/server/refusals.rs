//! The answer to a request that fails as a whole, for one reason: the error goes wherever the API has room for it.

use crate::protocol::ErrorCode;
use crate::protocol::Request;
use crate::protocol::alter_configs::{AlterConfigsRequest, AlterConfigsResourceResponse, AlterConfigsResponse};
use crate::protocol::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
};
use crate::protocol::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopicResult,
};
use crate::protocol::create_topics::{CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse};
use crate::protocol::delete_topics::{DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse};
use crate::protocol::describe_quorum::{DescribeQuorumRequest, DescribeQuorumResponse};
use crate::protocol::elect_leaders::{ElectLeadersRequest, ElectLeadersResponse};
use crate::protocol::fetch::{FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData};
use crate::protocol::incremental_alter_configs::{
    AlterConfigsResourceResponse as IncrementalResourceResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};
use crate::protocol::list_config_resources::{ListConfigResourcesRequest, ListConfigResourcesResponse};
use crate::protocol::list_offsets::{
    ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use crate::protocol::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};
use crate::protocol::unregister_broker::{UnregisterBrokerRequest, UnregisterBrokerResponse};
use crate::protocol::update_features::{UpdateFeaturesRequest, UpdateFeaturesResponse};

/// Fetch: up to this version, the last that names topics by name, the error is told of every partition as well.
const FETCH_PER_PARTITION_UNTIL: i16 = 12;

/// A request that can be refused as a whole.
pub trait Refuse: Request {
    /// The answer in `version` that says `error` of everything that was asked.
    fn refused(&self, error: ErrorCode, version: i16) -> Self::Response;
}

/// Where the answer has one error code for all of it, and maybe a message.
macro_rules! refused_at_the_top {
    ($($request:ident -> $response:ident { $($message:ident)? })+) => {
        $(impl Refuse for $request {
            fn refused(&self, error: ErrorCode, _: i16) -> $response {
                $response {
                    error_code: error.code(),
                    $($message: Some(error.message().into()),)?
                    ..Default::default()
                }
            }
        })+
    };
}

refused_at_the_top! {
    AlterPartitionReassignmentsRequest -> AlterPartitionReassignmentsResponse { error_message }
    DescribeQuorumRequest -> DescribeQuorumResponse { error_message }
    ElectLeadersRequest -> ElectLeadersResponse {}
    ListConfigResourcesRequest -> ListConfigResourcesResponse {}
    ListPartitionReassignmentsRequest -> ListPartitionReassignmentsResponse { error_message }
    UnregisterBrokerRequest -> UnregisterBrokerResponse { error_message }
    UpdateFeaturesRequest -> UpdateFeaturesResponse { error_message }
}

impl Refuse for CreateTopicsRequest {
    fn refused(&self, error: ErrorCode, _: i16) -> CreateTopicsResponse {
        let topics = self.topics.iter().map(|topic| CreatableTopicResult {
            name: topic.name.clone(),
            error_code: error.code(),
            error_message: Some(error.message().into()),
            ..Default::default()
        });
        CreateTopicsResponse { topics: topics.collect(), ..Default::default() }
    }
}

impl Refuse for DeleteTopicsRequest {
    fn refused(&self, error: ErrorCode, _: i16) -> DeleteTopicsResponse {
        let listed = self.topic_names.iter().map(|name| (Some(name.clone()), Default::default()));
        let named = self.topics.iter().map(|topic| (topic.name.clone(), topic.topic_id));
        let responses = listed.chain(named).map(|(name, topic_id)| DeletableTopicResult {
            name,
            topic_id,
            error_code: error.code(),
            error_message: Some(error.message().into()),
        });
        DeleteTopicsResponse { responses: responses.collect(), ..Default::default() }
    }
}

impl Refuse for CreatePartitionsRequest {
    fn refused(&self, error: ErrorCode, _: i16) -> CreatePartitionsResponse {
        let results = self.topics.iter().map(|topic| CreatePartitionsTopicResult {
            name: topic.name.clone(),
            error_code: error.code(),
            error_message: Some(error.message().into()),
        });
        CreatePartitionsResponse { results: results.collect(), ..Default::default() }
    }
}

impl Refuse for AlterConfigsRequest {
    fn refused(&self, error: ErrorCode, _: i16) -> AlterConfigsResponse {
        let responses = self.resources.iter().map(|resource| AlterConfigsResourceResponse {
            error_code: error.code(),
            error_message: Some(error.message().into()),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
        });
        AlterConfigsResponse { responses: responses.collect(), ..Default::default() }
    }
}

impl Refuse for IncrementalAlterConfigsRequest {
    fn refused(&self, error: ErrorCode, _: i16) -> IncrementalAlterConfigsResponse {
        let responses = self.resources.iter().map(|resource| IncrementalResourceResponse {
            error_code: error.code(),
            error_message: Some(error.message().into()),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
        });
        IncrementalAlterConfigsResponse { responses: responses.collect(), ..Default::default() }
    }
}

impl Refuse for ListOffsetsRequest {
    fn refused(&self, error: ErrorCode, _: i16) -> ListOffsetsResponse {
        let topics = self.topics.iter().map(|topic| ListOffsetsTopicResponse {
            name: topic.name.clone(),
            partitions: topic
                .partitions
                .iter()
                .map(|partition| ListOffsetsPartitionResponse {
                    partition_index: partition.partition_index,
                    error_code: error.code(),
                    ..Default::default()
                })
                .collect(),
        });
        ListOffsetsResponse { topics: topics.collect(), ..Default::default() }
    }
}

impl Refuse for FetchRequest {
    /// The session id is 0 then.
    fn refused(&self, error: ErrorCode, version: i16) -> FetchResponse {
        let asked = if version <= FETCH_PER_PARTITION_UNTIL { &self.topics[..] } else { &[] };
        let responses = asked.iter().map(|topic| FetchableTopicResponse {
            topic: topic.topic.clone(),
            topic_id: topic.topic_id,
            partitions: topic
                .partitions
                .iter()
                .map(|partition| PartitionData {
                    partition_index: partition.partition,
                    error_code: error.code(),
                    high_watermark: -1,
                    aborted_transactions: Some(Vec::new()),
                    ..Default::default()
                })
                .collect(),
        });
        FetchResponse { error_code: error.code(), responses: responses.collect(), ..Default::default() }
    }
}
