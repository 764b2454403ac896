//! The way to the controller from any thread.
//!
//! A call queues an operation and waits for its answer, which comes when its records are on the device and the
//! image that holds them was published. The channels are tokio's; they wake tasks of any executor.

use std::fmt;

use tokio::sync::{mpsc, oneshot};

use super::controller::Controller;
use crate::protocol::allocate_producer_ids::{AllocateProducerIdsRequest, AllocateProducerIdsResponse};
use crate::protocol::alter_client_quotas::{AlterClientQuotasRequest, AlterClientQuotasResponse};
use crate::protocol::alter_configs::{AlterConfigsRequest, AlterConfigsResponse};
use crate::protocol::alter_partition::{AlterPartitionRequest, AlterPartitionResponse};
use crate::protocol::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
};
use crate::protocol::assign_replicas_to_dirs::{AssignReplicasToDirsRequest, AssignReplicasToDirsResponse};
use crate::protocol::broker_heartbeat::{BrokerHeartbeatRequest, BrokerHeartbeatResponse};
use crate::protocol::broker_registration::{BrokerRegistrationRequest, BrokerRegistrationResponse};
use crate::protocol::create_partitions::{CreatePartitionsRequest, CreatePartitionsResponse};
use crate::protocol::create_topics::{CreateTopicsRequest, CreateTopicsResponse};
use crate::protocol::delete_topics::{DeleteTopicsRequest, DeleteTopicsResponse};
use crate::protocol::describe_quorum::{DescribeQuorumRequest, DescribeQuorumResponse};
use crate::protocol::elect_leaders::{ElectLeadersRequest, ElectLeadersResponse};
use crate::protocol::incremental_alter_configs::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use crate::protocol::list_config_resources::{ListConfigResourcesRequest, ListConfigResourcesResponse};
use crate::protocol::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};
use crate::protocol::unregister_broker::{UnregisterBrokerRequest, UnregisterBrokerResponse};
use crate::protocol::update_features::{UpdateFeaturesRequest, UpdateFeaturesResponse};
use crate::wire::Uuid;

/// An operation on its way to the controller.
pub(super) type Job = Box<dyn FnOnce(&mut Controller) -> Answer + Send>;
/// An answer on its way back, held until the operation is durable.
pub(super) type Answer = Box<dyn FnOnce() + Send>;

/// The controller has stopped; Kafka's code for it is `NOT_CONTROLLER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControllerStopped;

impl fmt::Display for ControllerStopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the controller has stopped")
    }
}

impl std::error::Error for ControllerStopped {}

/// A cheap handle; every shard has one. The controller stops when all are gone.
#[derive(Clone, Debug)]
pub struct ControllerHandle {
    jobs: mpsc::Sender<Job>,
}

/// One method per API: the request goes in, its answer comes out.
macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident($request:ident $(, $version:ident)?) -> $response:ident;)+) => {
        impl ControllerHandle {
            $($(#[$doc])*
            pub async fn $name(
                &self,
                request: $request,
                $($version: i16,)?
            ) -> Result<$response, ControllerStopped> {
                self.call(move |controller| controller.$name(&request $(, $version)?)).await
            })+
        }
    };
}

operations! {
    /// CreateTopics. Authorization and the unpacking of versions are the caller's.
    create_topics(CreateTopicsRequest) -> CreateTopicsResponse;
    /// DeleteTopics.
    delete_topics(DeleteTopicsRequest, version) -> DeleteTopicsResponse;
    /// CreatePartitions.
    create_partitions(CreatePartitionsRequest) -> CreatePartitionsResponse;
    /// AlterConfigs.
    alter_configs(AlterConfigsRequest) -> AlterConfigsResponse;
    /// IncrementalAlterConfigs.
    incremental_alter_configs(IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse;
    /// AlterClientQuotas.
    alter_client_quotas(AlterClientQuotasRequest) -> AlterClientQuotasResponse;
    /// ListConfigResources.
    list_config_resources(ListConfigResourcesRequest, version) -> ListConfigResourcesResponse;
    /// ElectLeaders.
    elect_leaders(ElectLeadersRequest) -> ElectLeadersResponse;
    /// AlterPartitionReassignments.
    alter_partition_reassignments(AlterPartitionReassignmentsRequest) -> AlterPartitionReassignmentsResponse;
    /// ListPartitionReassignments.
    list_partition_reassignments(ListPartitionReassignmentsRequest) -> ListPartitionReassignmentsResponse;
    /// UpdateFeatures.
    update_features(UpdateFeaturesRequest, version) -> UpdateFeaturesResponse;
    /// DescribeQuorum.
    describe_quorum(DescribeQuorumRequest) -> DescribeQuorumResponse;
    /// UnregisterBroker.
    unregister_broker(UnregisterBrokerRequest) -> UnregisterBrokerResponse;
    /// BrokerRegistration.
    register_broker(BrokerRegistrationRequest) -> BrokerRegistrationResponse;
    /// BrokerHeartbeat.
    broker_heartbeat(BrokerHeartbeatRequest) -> BrokerHeartbeatResponse;
    /// AllocateProducerIds.
    allocate_producer_ids(AllocateProducerIdsRequest) -> AllocateProducerIdsResponse;
    /// AlterPartition.
    alter_partition(AlterPartitionRequest, version) -> AlterPartitionResponse;
    /// AssignReplicasToDirs.
    assign_replicas_to_dirs(AssignReplicasToDirsRequest) -> AssignReplicasToDirsResponse;
}

impl ControllerHandle {
    pub(super) fn new(jobs: mpsc::Sender<Job>) -> ControllerHandle {
        ControllerHandle { jobs }
    }

    /// The handle of a controller that has stopped.
    #[cfg(test)]
    pub(crate) fn stopped() -> ControllerHandle {
        ControllerHandle { jobs: mpsc::channel(1).0 }
    }

    /// Runs any operation on the controller. If this future is dropped, the operation may happen or not.
    pub async fn call<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Controller) -> T + Send + 'static,
    ) -> Result<T, ControllerStopped> {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |controller| {
            let result = operation(controller);
            // A caller that went away needs no answer.
            Box::new(move || drop(sender.send(result)))
        });
        self.jobs.send(job).await.map_err(|_| ControllerStopped)?;
        receiver.await.map_err(|_| ControllerStopped)
    }

    /// This node's broker is ready to lead: its logs are open. `Ok(false)` if it is not registered.
    pub async fn unfence_own_broker(&self) -> Result<bool, ControllerStopped> {
        self.own_heartbeat(false, Vec::new()).await.map(|response| !response.is_fenced)
    }

    /// Log directories of this node's broker have failed: what is in them has no leader here any more.
    pub async fn report_offline_dirs(&self, directories: Vec<Uuid>) -> Result<(), ControllerStopped> {
        self.own_heartbeat(false, directories).await.map(|_| ())
    }

    /// This node's broker is about to stop: it leads nothing when this returns.
    pub async fn shut_down_own_broker(&self) -> Result<(), ControllerStopped> {
        while !self.own_heartbeat(true, Vec::new()).await?.should_shut_down {}
        Ok(())
    }

    async fn own_heartbeat(
        &self,
        want_shut_down: bool,
        offline_log_dirs: Vec<Uuid>,
    ) -> Result<BrokerHeartbeatResponse, ControllerStopped> {
        self.call(move |controller| {
            let node_id = controller.settings().node_id;
            let Some(broker) = controller.image().cluster().broker(node_id) else {
                return BrokerHeartbeatResponse { should_shut_down: true, ..Default::default() };
            };
            let request = BrokerHeartbeatRequest {
                broker_id: node_id,
                broker_epoch: broker.epoch,
                current_metadata_offset: controller.image().offset().max(broker.epoch),
                want_shut_down,
                offline_log_dirs,
                cordoned_log_dirs: Some(Vec::new()),
                ..Default::default()
            };
            controller.broker_heartbeat(&request)
        })
        .await
    }
}
