//! The cluster: DescribeCluster (API 60), DescribeQuorum (55), UpdateFeatures (57), and reassignments (45, 46), elections (43)
//! and UnregisterBroker (64), which the controller answers.

use std::rc::Rc;

use crate::protocol::ErrorCode;
use crate::protocol::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
};
use crate::protocol::describe_cluster::{DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse};
use crate::protocol::describe_quorum::{DescribeQuorumRequest, DescribeQuorumResponse};
use crate::protocol::elect_leaders::{ElectLeadersRequest, ElectLeadersResponse};
use crate::protocol::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};
use crate::protocol::unregister_broker::{UnregisterBrokerRequest, UnregisterBrokerResponse};
use crate::protocol::update_features::{UpdateFeaturesRequest, UpdateFeaturesResponse};
use crate::server::api::Context;
use crate::server::operations;

const ENDPOINT_BROKERS: i8 = 1;
const ENDPOINT_CONTROLLERS: i8 = 2;

/// Serves a DescribeCluster request.
pub async fn describe(context: Rc<Context>, request: DescribeClusterRequest) -> DescribeClusterResponse {
    let image = context.shard.image();
    let cluster_id = context.shard.broker.cluster_id.clone();
    if request.endpoint_type != ENDPOINT_BROKERS {
        let (error, message) = match request.endpoint_type {
            ENDPOINT_CONTROLLERS => (
                ErrorCode::MismatchedEndpointType,
                "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER"
                    .to_owned(),
            ),
            other => (ErrorCode::UnsupportedEndpointType, format!("Unsupported endpoint type {other}")),
        };
        return DescribeClusterResponse {
            error_code: error.code(),
            error_message: Some(message.into()),
            ..Default::default()
        };
    }
    let listener = context.client.listener();
    let own = context.shard.broker.node_id;
    let brokers = image.cluster().brokers();
    let shown = brokers.filter(|broker| request.include_fenced_brokers || broker.is_shown_by(own));
    let brokers = shown.filter_map(|broker| {
        let endpoint = broker.endpoint(&listener)?;
        Some(DescribeClusterBroker {
            broker_id: broker.id,
            host: endpoint.host.clone(),
            port: endpoint.port.into(),
            rack: broker.rack.clone(),
            is_fenced: broker.fenced,
        })
    });
    DescribeClusterResponse {
        cluster_id,
        controller_id: context.shard.broker.node_id,
        brokers: brokers.collect(),
        cluster_authorized_operations: if request.include_cluster_authorized_operations {
            operations::CLUSTER
        } else {
            i32::MIN
        },
        ..Default::default()
    }
}

/// Serves a DescribeQuorum request.
pub async fn describe_quorum(context: Rc<Context>, request: DescribeQuorumRequest) -> DescribeQuorumResponse {
    let stopped = context.controller_stopped(&request);
    context.controller().describe_quorum(request).await.unwrap_or(stopped)
}

/// Serves an UpdateFeatures request.
pub async fn update_features(context: Rc<Context>, request: UpdateFeaturesRequest) -> UpdateFeaturesResponse {
    let stopped = context.controller_stopped(&request);
    context.controller().update_features(request, context.version()).await.unwrap_or(stopped)
}

/// Serves an AlterPartitionReassignments request.
pub async fn alter_reassignments(
    context: Rc<Context>,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let stopped = context.controller_stopped(&request);
    context.controller().alter_partition_reassignments(request).await.unwrap_or(stopped)
}

/// Serves a ListPartitionReassignments request.
pub async fn list_reassignments(
    context: Rc<Context>,
    request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    let stopped = context.controller_stopped(&request);
    context.controller().list_partition_reassignments(request).await.unwrap_or(stopped)
}

/// Serves an ElectLeaders request.
pub async fn elect_leaders(context: Rc<Context>, request: ElectLeadersRequest) -> ElectLeadersResponse {
    let stopped = context.controller_stopped(&request);
    context.controller().elect_leaders(request).await.unwrap_or(stopped)
}

/// Serves an UnregisterBroker request.
pub async fn unregister_broker(context: Rc<Context>, request: UnregisterBrokerRequest) -> UnregisterBrokerResponse {
    let stopped = context.controller_stopped(&request);
    context.controller().unregister_broker(request).await.unwrap_or(stopped)
}
