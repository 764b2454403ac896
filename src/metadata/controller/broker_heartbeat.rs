//! BrokerHeartbeat: fencing, unfencing and controlled shutdown (KIP-631, KIP-841, KIP-858).
//!
//! ```text
//! registered -> FENCED -- caught up --> UNFENCED -- wants to stop --> CONTROLLED_SHUTDOWN -- leads nothing --> may stop
//! ```

use super::{ApiError, Controller};
use crate::metadata::image::{BrokerImage, PartitionImage};
use crate::metadata::records::MetadataRecord;
use crate::protocol::ErrorCode;
use crate::protocol::broker_heartbeat::{BrokerHeartbeatRequest, BrokerHeartbeatResponse};
use crate::protocol::records::metadata::BrokerRegistrationChangeRecord;
use crate::wire::Uuid;

use super::partition_change::PartitionChange;

/// What a broker is after its heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fenced,
    Unfenced,
    ControlledShutdown,
    ShutdownNow,
}

impl Controller {
    /// Moves a broker on to the state that its heartbeat asks for.
    pub fn broker_heartbeat(&mut self, request: &BrokerHeartbeatRequest) -> BrokerHeartbeatResponse {
        let broker = match self.check_broker_epoch(request.broker_id, request.broker_epoch) {
            Ok(broker) => broker.clone(),
            Err(error) => return BrokerHeartbeatResponse { error_code: error.code.code(), ..Default::default() },
        };
        let current = match &broker {
            broker if broker.fenced => State::Fenced,
            broker if broker.in_controlled_shutdown => State::ControlledShutdown,
            _ => State::Unfenced,
        };
        let caught_up = request.current_metadata_offset >= broker.epoch;
        let next = self.next_state(current, request, caught_up);
        if next != current {
            let records = match next {
                State::Fenced | State::ShutdownNow if broker.fenced => Vec::new(),
                State::Fenced | State::ShutdownNow => self.fence_records(&broker),
                State::Unfenced => self.unfence_records(&broker),
                State::ControlledShutdown => self.controlled_shutdown_records(&broker),
            };
            self.commit(records);
        }
        self.change_directories(&broker, request);
        BrokerHeartbeatResponse {
            is_caught_up: caught_up,
            is_fenced: matches!(next, State::Fenced | State::ShutdownNow),
            should_shut_down: next == State::ShutdownNow,
            ..Default::default()
        }
    }

    /// The registration of a broker, if `epoch` is its newest.
    pub(super) fn check_broker_epoch(&self, id: i32, epoch: i64) -> Result<&BrokerImage, ApiError> {
        let stale = |text: String| ApiError::new(ErrorCode::StaleBrokerEpoch, text);
        let broker = self.image().cluster().broker(id);
        let broker = broker.ok_or_else(|| stale(format!("No broker registration found for broker id {id}")))?;
        if broker.epoch != epoch {
            return Err(stale(format!("Expected broker epoch {epoch}, but got broker epoch {}", broker.epoch)));
        }
        Ok(broker)
    }

    fn next_state(&self, current: State, request: &BrokerHeartbeatRequest, caught_up: bool) -> State {
        let leads = || {
            let topics = self.image().topics();
            let mut partitions = topics.iter().flat_map(|topic| topic.partitions.values());
            partitions.any(|partition| partition.leader == request.broker_id)
        };
        match (current, request.want_fence, request.want_shut_down) {
            (State::Fenced, _, true) => State::ShutdownNow,
            (State::Fenced, false, false) if caught_up => State::Unfenced,
            (State::Fenced, ..) => State::Fenced,
            (State::Unfenced, true, true) => State::ShutdownNow,
            (State::Unfenced, true, false) => State::Fenced,
            (State::Unfenced, false, true) if leads() => State::ControlledShutdown,
            (State::Unfenced, false, true) => State::ShutdownNow,
            (State::Unfenced, false, false) => State::Unfenced,
            (State::ControlledShutdown | State::ShutdownNow, ..) if leads() => State::ControlledShutdown,
            (State::ControlledShutdown | State::ShutdownNow, ..) => State::ShutdownNow,
        }
    }

    pub(super) fn fence_records(&self, broker: &BrokerImage) -> Vec<MetadataRecord> {
        let mut records = self.leave_isr_records(broker.id);
        records.push(BrokerRegistrationChangeRecord { fenced: 1, ..change_of(broker) }.into());
        records
    }

    fn unfence_records(&self, broker: &BrokerImage) -> Vec<MetadataRecord> {
        let mut records: Vec<MetadataRecord> =
            vec![BrokerRegistrationChangeRecord { fenced: -1, ..change_of(broker) }.into()];
        let can_lead = |id: i32| id == broker.id || self.is_active(id);
        records.extend(self.partition_changes(&can_lead, |partition| !partition.has_leader(), |_| ()));
        records
    }

    fn controlled_shutdown_records(&self, broker: &BrokerImage) -> Vec<MetadataRecord> {
        let mut records: Vec<MetadataRecord> =
            vec![BrokerRegistrationChangeRecord { in_controlled_shutdown: 1, ..change_of(broker) }.into()];
        records.extend(self.leave_isr_records(broker.id));
        records
    }

    /// The records that take a broker out of every in-sync replica set.
    pub(super) fn leave_isr_records(&self, broker_id: i32) -> Vec<MetadataRecord> {
        let others = |id: i32| id != broker_id && self.is_active(id);
        self.partition_changes(
            &others,
            |partition| partition.isr.contains(&broker_id),
            |change| change.target_isr.retain(|id| *id != broker_id),
        )
    }

    /// One change for each partition that `selected` takes, if `edit` changes anything.
    pub(super) fn partition_changes(
        &self,
        can_lead: &dyn Fn(i32) -> bool,
        selected: impl Fn(&PartitionImage) -> bool,
        edit: impl Fn(&mut PartitionChange<'_>),
    ) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        for topic in self.image().topics().sorted() {
            let election = self.default_election(&topic.name);
            for (index, partition) in topic.partitions.iter().filter(|(_, partition)| selected(partition)) {
                records.extend(self.partition_change(&topic.name, (topic.id, *index), partition, can_lead, |change| {
                    change.election = election;
                    edit(change);
                }));
            }
        }
        records
    }

    /// Directories that went offline, and those that take no new partitions (KIP-1066).
    fn change_directories(&mut self, broker: &BrokerImage, request: &BrokerHeartbeatRequest) {
        let mut records: Vec<MetadataRecord> = Vec::new();
        let online: Vec<Uuid> =
            broker.log_dirs.iter().copied().filter(|directory| !request.offline_log_dirs.contains(directory)).collect();
        if online.len() < broker.log_dirs.len() && !online.is_empty() {
            records.push(BrokerRegistrationChangeRecord { log_dirs: online.clone(), ..change_of(broker) }.into());
            let offline = |partition: &PartitionImage| {
                partition.directory(broker.id).is_some_and(|directory| request.offline_log_dirs.contains(&directory))
            };
            let others = |id: i32| id != broker.id && self.is_active(id);
            records.extend(self.partition_changes(
                &others,
                |partition| partition.isr.contains(&broker.id) && offline(partition),
                |change| change.target_isr.retain(|id| *id != broker.id),
            ));
        }
        if let Some(cordoned) = &request.cordoned_log_dirs
            && broker.cordoned_log_dirs.as_ref() != Some(cordoned)
            && self.image().features().metadata_version() >= 30
        {
            let change =
                BrokerRegistrationChangeRecord { cordoned_log_dirs: Some(cordoned.clone()), ..change_of(broker) };
            records.push(change.into());
        }
        self.commit(records);
    }
}

fn change_of(broker: &BrokerImage) -> BrokerRegistrationChangeRecord {
    BrokerRegistrationChangeRecord { broker_id: broker.id, broker_epoch: broker.epoch, ..Default::default() }
}
