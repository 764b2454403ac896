//! One fetch at given offsets, answered with the bytes as they are: for who wants to see batches and not only records.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::admin::TopicPartition;
use super::fetched::IsolationLevel;
use super::{Client, ClientError};
use crate::protocol::fetch::{AbortedTransaction, FetchPartition, FetchRequest, FetchTopic};
use crate::wire::{KafkaString, Records, Uuid};

/// The last version of Fetch that names topics by name.
const BY_NAME_UNTIL: i16 = 12;

/// How much one fetch may bring. A broker sends the first batch whole, however small these are.
#[derive(Debug, Clone, Copy)]
pub struct FetchLimits {
    /// Bytes of one broker's answer.
    pub max_bytes: i32,
    /// Bytes of one partition.
    pub partition_max_bytes: i32,
    /// How long a broker waits for the first byte.
    pub max_wait_ms: i32,
    /// Which records count.
    pub isolation: IsolationLevel,
}

/// What a leader answered for a partition.
#[derive(Debug, Clone)]
pub struct FetchedPartition {
    /// First offset of the log.
    pub log_start_offset: i64,
    /// The end for consumers.
    pub high_watermark: i64,
    /// Batches; the last may be cut short, the first may begin before the offset.
    pub records: Bytes,
    /// Transactions among them that were aborted; only told to who reads committed records alone.
    pub aborted: Vec<AbortedTransaction>,
}

impl Client {
    /// Fetches partitions of one topic at the given offsets, each broker in turn. Errors come per partition.
    pub fn fetch(
        &mut self,
        topic: &str,
        offsets: &[(i32, i64)],
        limits: FetchLimits,
    ) -> Result<BTreeMap<i32, Result<FetchedPartition, ClientError>>, ClientError> {
        let partitions: Vec<TopicPartition> = offsets.iter().map(|(index, _)| (topic.to_owned(), *index)).collect();
        let wanted: BTreeMap<i32, i64> = offsets.iter().copied().collect();
        let mut found = BTreeMap::new();
        let groups = self.by_leader(&partitions.iter().collect::<Vec<_>>())?;
        for (leader, group) in groups {
            let topic_id = self.topic_id(topic);
            let partition = |index: i32| FetchPartition {
                partition: index,
                current_leader_epoch: -1,
                fetch_offset: wanted[&index],
                last_fetched_epoch: -1,
                log_start_offset: -1,
                partition_max_bytes: limits.partition_max_bytes,
                ..Default::default()
            };
            let request = FetchRequest {
                replica_id: -1,
                max_wait_ms: limits.max_wait_ms,
                min_bytes: 1,
                max_bytes: limits.max_bytes,
                isolation_level: limits.isolation as i8,
                session_epoch: -1,
                topics: vec![FetchTopic {
                    topic: KafkaString::from(topic),
                    topic_id,
                    partitions: group.iter().map(|(_, index)| partition(*index)).collect(),
                    ..Default::default()
                }],
                ..Default::default()
            };
            let version_max = if topic_id == Uuid::ZERO { BY_NAME_UNTIL } else { i16::MAX };
            let response = self.call_broker_up_to(leader, &request, version_max)?;
            ClientError::check(response.error_code, None)?;
            for data in response.responses.into_iter().flat_map(|topic| topic.partitions) {
                let answer = ClientError::check(data.error_code, None).map(|()| FetchedPartition {
                    log_start_offset: data.log_start_offset,
                    high_watermark: data.high_watermark,
                    records: data.records.map(Records::into_bytes).unwrap_or_default(),
                    aborted: data.aborted_transactions.unwrap_or_default(),
                });
                if answer.as_ref().is_err_and(ClientError::is_retriable) {
                    self.forget_leaders(topic);
                }
                found.insert(data.partition_index, answer);
            }
        }
        Ok(found)
    }
}
