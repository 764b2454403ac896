//! Reading partitions without a group: positions are kept here, nothing is committed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::admin::{OffsetSpec, TopicPartition};
use super::fetched::{ConsumedRecord, FetchedRecords, IsolationLevel};
use super::{Client, ClientConfig, ClientError};
use crate::protocol::ErrorCode;
use crate::protocol::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData};
use crate::wire::{KafkaString, Records, Uuid};

/// Where to go on when a position is outside the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoOffsetReset {
    /// At its start.
    Earliest,
    /// At its end.
    Latest,
    /// Nowhere: it is an error.
    None,
}

/// A consumer of assigned partitions.
#[derive(Debug)]
pub struct Consumer {
    client: Client,
    isolation: IsolationLevel,
    reset: AutoOffsetReset,
    min_bytes: i32,
    max_bytes: i32,
    partition_max_bytes: i32,
    max_wait_ms: u64,
    positions: BTreeMap<TopicPartition, i64>,
    names: HashMap<String, Arc<str>>,
    fetched: FetchedRecords,
    turn: usize,
}

impl Consumer {
    /// A consumer with the settings of a Kafka consumer (`fetch.min.bytes` and so on) and nothing assigned.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        let properties = &config.properties;
        let isolation = match properties.get("isolation.level").unwrap_or("read_uncommitted") {
            "read_uncommitted" => IsolationLevel::ReadUncommitted,
            "read_committed" => IsolationLevel::ReadCommitted,
            other => return Err(invalid("isolation.level", other, "read_committed, read_uncommitted")),
        };
        let reset = match properties.get("auto.offset.reset").unwrap_or("latest") {
            "earliest" => AutoOffsetReset::Earliest,
            "latest" => AutoOffsetReset::Latest,
            "none" => AutoOffsetReset::None,
            other => return Err(invalid("auto.offset.reset", other, "earliest, latest, none")),
        };
        Ok(Consumer {
            isolation,
            reset,
            min_bytes: properties.number("fetch.min.bytes", 1)?,
            max_bytes: properties.number("fetch.max.bytes", 50 << 20)?,
            partition_max_bytes: properties.number("max.partition.fetch.bytes", 1 << 20)?,
            max_wait_ms: properties.number("fetch.max.wait.ms", 500)?,
            positions: BTreeMap::new(),
            names: HashMap::new(),
            fetched: FetchedRecords::default(),
            turn: 0,
            client: Client::new(config),
        })
    }

    /// The client underneath, for questions about topics.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Starts to read a partition at `offset`, unless it is being read already.
    pub fn assign_at(&mut self, topic: &str, partition: i32, offset: i64) {
        self.positions.entry((topic.to_string(), partition)).or_insert(offset);
    }

    /// Starts to read partitions at their start or end, unless they are being read already.
    pub fn assign(&mut self, partitions: &[TopicPartition], from: OffsetSpec) -> Result<(), ClientError> {
        let new: Vec<TopicPartition> =
            partitions.iter().filter(|partition| !self.positions.contains_key(*partition)).cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        for (partition, offset) in self.client.list_offsets(&new, from, self.isolation as i8)? {
            self.positions.insert(partition, offset?);
        }
        Ok(())
    }

    /// Goes on at `offset` in a partition that is being read.
    pub fn move_to(&mut self, partition: &TopicPartition, offset: i64) {
        if let Some(position) = self.positions.get_mut(partition) {
            *position = offset;
        }
    }

    /// The next offset of each partition that is being read.
    pub fn positions(&self) -> &BTreeMap<TopicPartition, i64> {
        &self.positions
    }

    /// Records that were polled and not used: they come again, and count as not read.
    pub fn unread(&mut self, records: &[ConsumedRecord]) {
        for record in records {
            if let Some(position) = self.positions.get_mut(&(record.topic.to_string(), record.partition)) {
                *position = record.offset.min(*position);
            }
        }
    }

    /// Reads these no more.
    pub fn unassign(&mut self, partitions: &[TopicPartition]) {
        self.positions.retain(|partition, _| !partitions.contains(partition));
    }

    /// Records that arrive within `timeout`; none if there are none.
    pub fn poll(&mut self, timeout: Duration) -> Result<Vec<ConsumedRecord>, ClientError> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.fetch_once(left) {
                Ok(records) if records.is_empty() && Instant::now() < deadline => {}
                Err(error) if error.is_retriable() && Instant::now() < deadline => self.back_off(left),
                Err(error) if error.is_retriable() => {
                    tracing::debug!(%error, "fetch failed, trying again at the next poll");
                    return Ok(Vec::new());
                }
                result => return result,
            }
        }
    }

    fn back_off(&self, left: Duration) {
        thread::sleep(self.client.config().retry_backoff.min(left));
    }

    /// One fetch at every leader at once.
    fn fetch_once(&mut self, left: Duration) -> Result<Vec<ConsumedRecord>, ClientError> {
        let mut partitions: Vec<TopicPartition> = self.positions.keys().cloned().collect();
        if partitions.is_empty() {
            self.back_off(left);
            return Ok(Vec::new());
        }
        // The first partition of a request is served first: everybody gets a turn.
        self.turn = (self.turn + 1) % partitions.len();
        partitions.rotate_left(self.turn);
        let partitions: Vec<&TopicPartition> = partitions.iter().collect();
        let max_wait_ms = self.max_wait_ms.min(left.as_millis() as u64) as i32;
        let groups = self.client.by_leader(&partitions)?;
        let mut in_flight = Vec::with_capacity(groups.len());
        for (leader, group) in groups {
            let (request, has_ids) = self.request(&group, max_wait_ms);
            let connection = self.client.connection(leader)?;
            let version = connection.version_of::<FetchRequest>()?;
            let version = if has_ids { version } else { version.min(12) };
            in_flight.push((leader, connection.send(&request, version)?));
        }
        let mut records = Vec::new();
        let mut failure = None;
        for (leader, sent) in in_flight {
            match self.client.connection(leader)?.receive::<FetchRequest>(sent) {
                Ok(response) => failure = self.take_response(response, &mut records)?.or(failure),
                Err(error) => {
                    self.client.forget(leader);
                    failure = Some(error);
                }
            }
        }
        match failure {
            Some(error) if records.is_empty() => Err(error),
            _ => Ok(records),
        }
    }

    fn request(&self, partitions: &[&TopicPartition], max_wait_ms: i32) -> (FetchRequest, bool) {
        let mut topics: Vec<FetchTopic> = Vec::new();
        let mut has_ids = true;
        for partition in partitions {
            let (topic, index) = (partition.0.as_str(), partition.1);
            let wanted = FetchPartition {
                partition: index,
                current_leader_epoch: -1,
                fetch_offset: self.positions[*partition],
                last_fetched_epoch: -1,
                log_start_offset: -1,
                partition_max_bytes: self.partition_max_bytes,
                ..Default::default()
            };
            match topics.iter_mut().find(|entry| &*entry.topic == topic) {
                Some(entry) => entry.partitions.push(wanted),
                None => {
                    let topic_id = self.client.topic_id(topic);
                    has_ids &= topic_id != Uuid::ZERO;
                    topics.push(FetchTopic {
                        topic: KafkaString::from(topic.to_string()),
                        topic_id,
                        partitions: vec![wanted],
                        ..Default::default()
                    });
                }
            }
        }
        let request = FetchRequest {
            replica_id: -1,
            max_wait_ms,
            min_bytes: self.min_bytes,
            max_bytes: self.max_bytes,
            isolation_level: self.isolation as i8,
            session_id: 0,
            session_epoch: -1,
            topics,
            ..Default::default()
        };
        (request, has_ids)
    }

    /// Takes over one broker's answer. A retriable error of a partition is returned as `Some`, others fail.
    fn take_response(
        &mut self,
        response: FetchResponse,
        records: &mut Vec<ConsumedRecord>,
    ) -> Result<Option<ClientError>, ClientError> {
        ClientError::check(response.error_code, None)?;
        let mut failure = None;
        for topic in &response.responses {
            let name = match topic.topic_id == Uuid::ZERO {
                true => Some(topic.topic.to_string()),
                false => self.client.topic_of_id(topic.topic_id),
            };
            let Some(name) = name else { continue };
            for data in &topic.partitions {
                match self.take_partition(&name, data, records) {
                    Err(error) if error.is_retriable() => {
                        self.client.forget_leaders(&name);
                        failure = Some(error);
                    }
                    result => result?,
                }
            }
        }
        Ok(failure)
    }

    fn take_partition(
        &mut self,
        topic: &str,
        data: &PartitionData,
        records: &mut Vec<ConsumedRecord>,
    ) -> Result<(), ClientError> {
        let key = (topic.to_string(), data.partition_index);
        let Some(&position) = self.positions.get(&key) else { return Ok(()) };
        if data.error_code == ErrorCode::OffsetOutOfRange.code() {
            return self.reset_position(key, position);
        }
        ClientError::check(data.error_code, None)?;
        let name = self.names.entry(topic.to_string()).or_insert_with(|| topic.into());
        let bytes = data.records.clone().map(Records::into_bytes).unwrap_or_default();
        let aborted = data.aborted_transactions.as_deref().unwrap_or_default();
        let decoded = self.fetched.decode(name, key.1, position, &bytes, self.isolation, aborted);
        let decoded = decoded.map_err(|reason| {
            ClientError::Missing(format!("Error deserializing records of partition {topic}-{}: {reason}", key.1))
        })?;
        if let Some(next_offset) = decoded.next_offset {
            self.positions.insert(key, next_offset.max(position));
        }
        records.extend(decoded.records);
        Ok(())
    }

    fn reset_position(&mut self, partition: TopicPartition, position: i64) -> Result<(), ClientError> {
        let spec = match self.reset {
            AutoOffsetReset::Earliest => OffsetSpec::EARLIEST,
            AutoOffsetReset::Latest => OffsetSpec::LATEST,
            AutoOffsetReset::None => {
                let (topic, index) = partition;
                return Err(ClientError::Missing(format!(
                    "offset {position} of partition {topic}-{index} is out of range and auto.offset.reset is none"
                )));
            }
        };
        self.positions.remove(&partition);
        self.assign(&[partition], spec)
    }
}

fn invalid(key: &str, value: &str, allowed: &str) -> ClientError {
    ClientError::Config(format!("Invalid value {value} for configuration {key}: String must be one of: {allowed}"))
}
