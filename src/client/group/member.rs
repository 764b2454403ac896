//! What members of both protocols are: an id, partitions that they read, offsets that they commit, and a coordinator.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use super::protocol;
use super::settings::Settings;
use super::{GroupEvent, Wanted};
use crate::client::connection::InFlight;
use crate::client::{ClientConfig, ClientError, Connection, Consumer, TopicPartition, cluster};
use crate::protocol::find_coordinator::FindCoordinatorRequest;
use crate::protocol::offset_commit::OffsetCommitRequest;
use crate::protocol::offset_fetch::OffsetFetchRequest;
use crate::protocol::{ErrorCode, Request};
use crate::wire::{KafkaString, Uuid};

/// The last versions of OffsetCommit and OffsetFetch that name topics by name.
const BY_NAME_UNTIL: i16 = 9;
/// The last version of FindCoordinator with one key.
const ONE_KEY_UNTIL: i16 = 3;
/// New topics and partitions are looked for this often.
pub const TOPICS_CHECK: Duration = Duration::from_secs(30);

/// A member, in its group or on the way there.
#[derive(Debug)]
pub struct Member {
    pub consumer: Consumer,
    pub settings: Settings,
    coordinator: Option<Connection>,
    pub id: KafkaString,
    /// The generation of a classic group, or the member's epoch; -1 outside.
    pub epoch: i32,
    pub events: Vec<GroupEvent>,
    /// What it reads.
    pub assigned: Vec<TopicPartition>,
    /// What the group has by our last commit.
    committed: BTreeMap<TopicPartition, i64>,
    commit_at: Instant,
}

impl Member {
    pub fn new(config: ClientConfig, settings: Settings) -> Result<Member, ClientError> {
        Ok(Member {
            consumer: Consumer::new(config)?,
            settings,
            coordinator: None,
            id: KafkaString::EMPTY,
            epoch: -1,
            events: Vec::new(),
            assigned: Vec::new(),
            committed: BTreeMap::new(),
            commit_at: Instant::now(),
        })
    }

    /// Gives itself an id, as members of the consumer protocol do (KIP-1082).
    pub fn draw_id(&mut self) {
        self.id = KafkaString::from(Uuid::from_bytes(rand::random()).to_string());
    }

    /// The topics it wants; those that are not there are made, where the broker does that.
    pub fn wanted(&mut self, topics: Wanted<'_>) -> Result<Vec<String>, ClientError> {
        let names = topics(self.consumer.client())?;
        for name in names.iter().filter(|_| self.settings.creates_topics) {
            match self.consumer.client().leaders_or_create(name, Duration::ZERO) {
                Err(error) if !error.is_retriable() && !matches!(error, ClientError::Missing(_)) => return Err(error),
                _ => {}
            }
        }
        Ok(names)
    }

    /// Starts to read partitions where the group has left off, and says so.
    pub fn start_reading(&mut self, partitions: Vec<TopicPartition>) -> Result<(), ClientError> {
        if partitions.is_empty() {
            self.events.push(GroupEvent::Assigned(partitions));
            return Ok(());
        }
        let request: OffsetFetchRequest = protocol::offset_fetch(&self.settings.group_id, &partitions);
        let response = self.call_until(&request, BY_NAME_UNTIL)?;
        let found = protocol::fetched_offsets(&response)?;
        let mut fresh = Vec::new();
        for partition in &partitions {
            // The leaders are asked for by whoever fetches; the ids come with them.
            self.consumer.client().leaders(&partition.0)?;
            match found.get(partition).filter(|offset| **offset >= 0) {
                Some(offset) => {
                    self.consumer.assign_at(&partition.0, partition.1, *offset);
                    self.committed.insert(partition.clone(), *offset);
                }
                None => fresh.push(partition.clone()),
            }
        }
        match self.settings.start {
            Some(start) => self.consumer.assign(&fresh, start)?,
            None if fresh.is_empty() => {}
            None => {
                let fresh: Vec<String> = fresh.iter().map(|(topic, index)| format!("{topic}-{index}")).collect();
                let fresh = fresh.join(", ");
                let text = format!("Undefined offset with no reset policy for partitions: [{fresh}]");
                return Err(ClientError::Missing(text));
            }
        }
        self.assigned.extend(partitions.iter().cloned());
        self.events.push(GroupEvent::Assigned(partitions));
        Ok(())
    }

    /// Reads these no more, and says so.
    pub fn revoke(&mut self, partitions: Vec<TopicPartition>) {
        self.consumer.unassign(&partitions);
        self.committed.retain(|partition, _| !partitions.contains(partition));
        self.assigned.retain(|partition| !partitions.contains(partition));
        if !partitions.is_empty() {
            self.events.push(GroupEvent::Revoked(partitions));
        }
    }

    /// Reads nothing any more, and says so.
    pub fn revoke_all(&mut self) {
        let all = self.assigned.clone();
        self.revoke(all);
    }

    /// Whether it is time for a commit.
    pub fn is_commit_due(&self) -> bool {
        self.settings.auto_commit.is_some_and(|interval| self.commit_at.elapsed() >= interval)
    }

    /// Commits the positions that have moved.
    pub fn commit(&mut self) -> Result<(), ClientError> {
        self.commit_at = Instant::now();
        let moved = self.moved();
        self.commit_offsets(moved)
    }

    /// The positions that the group doesn't have yet.
    pub fn moved(&self) -> Vec<(TopicPartition, i64)> {
        let positions = self.consumer.positions().iter();
        let moved = positions.filter(|(partition, offset)| self.committed.get(*partition) != Some(*offset));
        moved.map(|(partition, offset)| (partition.clone(), *offset)).collect()
    }

    /// Commits these offsets.
    pub fn commit_offsets(&mut self, offsets: Vec<(TopicPartition, i64)>) -> Result<(), ClientError> {
        if offsets.is_empty() {
            return Ok(());
        }
        let request = OffsetCommitRequest {
            generation_id_or_member_epoch: self.epoch,
            member_id: self.id.clone(),
            group_instance_id: self.settings.instance_id.clone(),
            ..protocol::offset_commit(&self.settings.group_id, &offsets)
        };
        let response = self.call_until(&request, BY_NAME_UNTIL)?;
        for partition in response.topics.iter().flat_map(|topic| &topic.partitions) {
            ClientError::check(partition.error_code, None)?;
        }
        self.committed.extend(offsets);
        Ok(())
    }

    /// Asks the coordinator.
    pub fn call<R: Request>(&mut self, request: &R) -> Result<R::Response, ClientError> {
        self.call_until(request, i16::MAX)
    }

    /// Asks the coordinator, in a version up to `version_max`.
    fn call_until<R: Request>(&mut self, request: &R, version_max: i16) -> Result<R::Response, ClientError> {
        let in_flight = self.send(request, version_max)?;
        self.coordinator()?.receive::<R>(in_flight)
    }

    /// Asks the coordinator, in a version up to `version_max`, and doesn't wait.
    pub fn send<R: Request>(&mut self, request: &R, version_max: i16) -> Result<InFlight, ClientError> {
        let coordinator = self.coordinator()?;
        let version = coordinator.version_of::<R>()?.min(version_max);
        coordinator.send(request, version)
    }

    /// The answer to what was sent, if it comes within `wait`.
    pub fn answer<R: Request>(&mut self, sent: InFlight, wait: Duration) -> Result<Option<R::Response>, ClientError> {
        let coordinator = self.coordinator()?;
        if !coordinator.is_answered(wait)? {
            return Ok(None);
        }
        coordinator.receive::<R>(sent).map(Some)
    }

    /// How many partitions a topic has now; 0 if it isn't there.
    pub fn partition_count(&mut self, topic: &str) -> Result<i32, ClientError> {
        let client = self.consumer.client();
        client.forget_leaders(topic);
        match client.leaders(topic) {
            Ok(leaders) => Ok(leaders.len() as i32),
            Err(error) if error.code() == Some(ErrorCode::UnknownTopicOrPartition) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Whether an error says that the coordinator is somewhere else, or not to be reached: then it is looked for again.
    pub fn loses_coordinator(&mut self, error: &ClientError) -> bool {
        let lost = match error {
            ClientError::Disconnected { .. } | ClientError::Timeout { .. } => true,
            error => matches!(
                error.code(),
                Some(
                    ErrorCode::NotCoordinator
                        | ErrorCode::CoordinatorNotAvailable
                        | ErrorCode::CoordinatorLoadInProgress
                )
            ),
        };
        if lost {
            self.forget_coordinator();
        }
        lost
    }

    /// The next request goes over a new connection.
    pub fn forget_coordinator(&mut self) {
        self.coordinator = None;
    }

    /// Waits for `retry.backoff.ms`.
    pub fn back_off(&mut self) {
        thread::sleep(self.consumer.client().config().retry_backoff);
    }

    /// The connection to the coordinator, found and opened if need be.
    pub fn coordinator(&mut self) -> Result<&mut Connection, ClientError> {
        if self.coordinator.is_none() {
            let key = self.settings.group_id.clone();
            let request =
                FindCoordinatorRequest { key: key.clone(), coordinator_keys: vec![key], ..Default::default() };
            let client = self.consumer.client();
            let any = client.any_connection()?;
            let version = any.version_of::<FindCoordinatorRequest>()?;
            let in_flight = any.send(&request, version)?;
            let mut found = any.receive::<FindCoordinatorRequest>(in_flight)?;
            let (code, host, port) = match found.coordinators.pop() {
                Some(found) if version > ONE_KEY_UNTIL => (found.error_code, found.host, found.port),
                _ => (found.error_code, found.host, found.port),
            };
            ClientError::check(code, None)?;
            let address = cluster::host_port(&host, port);
            let opened = Connection::open(&address, client.config());
            self.coordinator = Some(opened.map_err(|source| ClientError::Disconnected { address, source })?);
        }
        Ok(self.coordinator.as_mut().expect("it was set above"))
    }
}
