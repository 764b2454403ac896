//! Questions and orders about transactions, from outside: the admin's side.

use std::collections::BTreeMap;

use super::groups::CoordinatorKind;
use super::{Client, ClientError, TopicPartition};
use crate::protocol::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, ProducerState, TopicRequest,
};
use crate::protocol::describe_transactions::{DescribeTransactionsRequest, TransactionState};
use crate::protocol::init_producer_id::InitProducerIdRequest;
use crate::protocol::list_transactions::{ListTransactionsRequest, TransactionState as TransactionListing};
use crate::protocol::write_txn_markers::{WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest};
use crate::wire::KafkaString;

/// The first versions of ListTransactions that filter by duration and by pattern.
const DURATION_FROM: i16 = 1;
const PATTERN_FROM: i16 = 2;

/// Which transactions are asked for; an empty filter lets everything pass.
#[derive(Debug, Clone, Default)]
pub struct TransactionFilter {
    /// Of these producers.
    pub producer_ids: Vec<i64>,
    /// Running for longer than so many milliseconds.
    pub longer_than_ms: Option<i64>,
    /// With a transactional id that matches this pattern.
    pub pattern: Option<String>,
}

/// The transaction whose end is to be forced on a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTransaction {
    /// The partition.
    pub partition: TopicPartition,
    /// Its producer.
    pub producer_id: i64,
    /// The epoch of the producer.
    pub producer_epoch: i16,
    /// The epoch of the coordinator that began it, 0 if none is known.
    pub coordinator_epoch: i32,
}

impl Client {
    /// Transactions by the broker that coordinates them.
    pub fn list_transactions(
        &mut self,
        filter: &TransactionFilter,
    ) -> Result<BTreeMap<i32, Vec<TransactionListing>>, ClientError> {
        let request = ListTransactionsRequest {
            producer_id_filters: filter.producer_ids.clone(),
            duration_filter: filter.longer_than_ms.unwrap_or(-1),
            transactional_id_pattern: filter.pattern.as_ref().map(KafkaString::from),
            ..Default::default()
        };
        let brokers: Vec<i32> = self.brokers()?.keys().copied().collect();
        let mut all = BTreeMap::new();
        for broker in brokers {
            let response = self.retry(|client| {
                let version = client.connection(broker)?.version_of::<ListTransactionsRequest>()?;
                if version < DURATION_FROM && filter.longer_than_ms.is_some() {
                    return Err(ClientError::Unsupported { api: "LIST_TRANSACTIONS with a duration" });
                }
                if version < PATTERN_FROM && filter.pattern.is_some() {
                    return Err(ClientError::Unsupported { api: "LIST_TRANSACTIONS with a pattern" });
                }
                let response = client.call_broker(broker, &request)?;
                ClientError::check(response.error_code, None)?;
                Ok(response)
            })?;
            all.insert(broker, response.transaction_states);
        }
        Ok(all)
    }

    /// A transaction and the broker that coordinates it.
    pub fn describe_transaction(&mut self, id: &str) -> Result<(i32, TransactionState), ClientError> {
        let request = DescribeTransactionsRequest { transactional_ids: vec![KafkaString::from(id)] };
        self.at_coordinator(CoordinatorKind::Transaction, id, |client, coordinator| {
            let mut response = client.call_broker(coordinator, &request)?;
            let found = response.transaction_states.pop().unwrap_or_default();
            ClientError::check(found.error_code, None)?;
            Ok((coordinator, found))
        })
    }

    /// The active producers of a partition, as its leader or the given replica knows them.
    pub fn describe_producers(
        &mut self,
        partition: &TopicPartition,
        replica: Option<i32>,
    ) -> Result<Vec<ProducerState>, ClientError> {
        let (topic, index) = partition;
        let request = DescribeProducersRequest {
            topics: vec![TopicRequest { name: KafkaString::from(topic), partition_indexes: vec![*index] }],
        };
        self.retry(|client| {
            let broker = match replica {
                Some(id) => id,
                None => client.leader(topic, *index)?,
            };
            let mut response: DescribeProducersResponse = client.call_broker(broker, &request)?;
            let found = response.topics.pop().and_then(|mut topic| topic.partitions.pop()).unwrap_or_default();
            let checked = ClientError::check(found.error_code, found.error_message.as_deref());
            if checked.is_err() && replica.is_none() {
                client.forget_leaders(topic);
            }
            checked.map(|()| found.active_producers)
        })
    }

    /// Writes the marker of an abort into a partition, whatever the coordinator thinks of it.
    pub fn abort_on_partition(&mut self, open: &OpenTransaction) -> Result<(), ClientError> {
        let (topic, index) = &open.partition;
        let marker = WritableTxnMarker {
            producer_id: open.producer_id,
            producer_epoch: open.producer_epoch,
            transaction_result: false,
            topics: vec![WritableTxnMarkerTopic { name: KafkaString::from(topic), partition_indexes: vec![*index] }],
            coordinator_epoch: open.coordinator_epoch,
            ..Default::default()
        };
        let request = WriteTxnMarkersRequest { markers: vec![marker] };
        self.retry(|client| {
            let leader = client.leader(topic, *index)?;
            let response = client.call_broker(leader, &request)?;
            let partitions = response.markers.iter().flat_map(|marker| &marker.topics);
            let code = partitions.flat_map(|topic| &topic.partitions).next().map_or(0, |found| found.error_code);
            let checked = ClientError::check(code, None);
            if checked.is_err() {
                client.forget_leaders(topic);
            }
            checked
        })
    }

    /// Fences the producer with this transactional id, which aborts its transaction.
    pub fn fence_producer(&mut self, id: &str) -> Result<(), ClientError> {
        let request = InitProducerIdRequest {
            transactional_id: Some(KafkaString::from(id)),
            transaction_timeout_ms: self.config().request_timeout.as_millis() as i32,
            ..Default::default()
        };
        self.at_coordinator(CoordinatorKind::Transaction, id, |client, coordinator| {
            let response = client.call_broker(coordinator, &request)?;
            ClientError::check(response.error_code, None)
        })
    }
}
