//! AddPartitionsToTxn (API 24), AddOffsetsToTxn (25), EndTxn (26): KIP-98, KIP-890. The rules are in `coordinator/txn/`.

use std::rc::Rc;

use crate::coordinator::txn::{ClientVersion, EndTransaction, TxnRequest, TxnResponse};
use crate::coordinator::{OFFSETS_TOPIC, TransactionEnd, partition_for};
use crate::protocol::ErrorCode;
use crate::protocol::add_offsets_to_txn::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
use crate::protocol::add_partitions_to_txn::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, AddPartitionsToTxnResult,
    AddPartitionsToTxnTopic, AddPartitionsToTxnTopicResult,
};
use crate::protocol::end_txn::{EndTxnRequest, EndTxnResponse};
use crate::server::api::Context;
use crate::server::coordinators::ensure_internal_topic;
use crate::server::transactions::{ask, ask_with_producer_id};
use crate::wire::KafkaString;

/// First version that says "fenced" apart from "old epoch", of all three.
const FENCED_FROM: i16 = 2;
/// AddPartitionsToTxn: first version for several transactions.
const BATCHED_FROM: i16 = 4;
/// EndTxn: first version whose clients take a new epoch with each end.
const RAISES_EPOCH_FROM: i16 = 5;

/// Serves an AddPartitionsToTxn request.
pub async fn add_partitions(context: Rc<Context>, request: AddPartitionsToTxnRequest) -> AddPartitionsToTxnResponse {
    let mut response = AddPartitionsToTxnResponse::default();
    if context.version() < BATCHED_FROM {
        let adding = Adding {
            id: request.v3_and_below_transactional_id,
            producer: (request.v3_and_below_producer_id, request.v3_and_below_producer_epoch),
            version: Some(ClientVersion::One),
        };
        response.results_by_topic_v3_and_below = adding.add(&context, &request.v3_and_below_topics).await;
        return response;
    }
    for transaction in request.transactions {
        let adding = Adding {
            id: transaction.transactional_id,
            producer: (transaction.producer_id, transaction.producer_epoch),
            version: (!transaction.verify_only).then_some(ClientVersion::Two),
        };
        let topic_results = adding.add(&context, &transaction.topics).await;
        response.results_by_transaction.push(AddPartitionsToTxnResult { transactional_id: adding.id, topic_results });
    }
    response
}

/// Partitions are added to a transaction, or (without a version) verified to be in it.
struct Adding {
    id: KafkaString,
    producer: (i64, i16),
    version: Option<ClientVersion>,
}

impl Adding {
    async fn add(&self, context: &Context, topics: &[AddPartitionsToTxnTopic]) -> Vec<AddPartitionsToTxnTopicResult> {
        let image = context.shard.image();
        let is_known = |topic: &KafkaString, index: &i32| {
            image.topics().by_name(topic).is_some_and(|topic| topic.partitions.contains_key(index))
        };
        let all_known = topics.iter().all(|topic| topic.partitions.iter().all(|index| is_known(&topic.name, index)));
        if !all_known {
            return results(topics, |topic, index| match is_known(topic, &index) {
                true => ErrorCode::OperationNotAttempted,
                false => ErrorCode::UnknownTopicOrPartition,
            });
        }
        let codes = self.ask(context, topics).await;
        let mut nth = 0;
        results(topics, |_, _| {
            nth += 1;
            let error = match &codes {
                Ok(codes) => codes.get(nth - 1).copied().unwrap_or(ErrorCode::None),
                Err(error) => *error,
            };
            if context.version() < FENCED_FROM { for_old_client(error) } else { error }
        })
    }

    async fn ask(&self, context: &Context, topics: &[AddPartitionsToTxnTopic]) -> Result<Vec<ErrorCode>, ErrorCode> {
        if self.id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        let partitions =
            topics.iter().flat_map(|topic| topic.partitions.iter().map(|index| (topic.name.clone(), *index)));
        let (id, producer, partitions) = (self.id.clone(), self.producer, partitions.collect());
        let request = match self.version {
            Some(version) => TxnRequest::AddPartitions { id, producer, partitions, version },
            None => TxnRequest::VerifyPartitions { id, producer, partitions },
        };
        match ask(context, &self.id, request).await? {
            TxnResponse::Added(ErrorCode::None) => Ok(Vec::new()),
            TxnResponse::Added(error) => Err(error),
            TxnResponse::Verified(codes) => codes,
            _ => Err(ErrorCode::UnknownServerError),
        }
    }
}

fn results(
    topics: &[AddPartitionsToTxnTopic],
    mut code: impl FnMut(&KafkaString, i32) -> ErrorCode,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let mut results = Vec::with_capacity(topics.len());
    for topic in topics {
        let partitions = topic.partitions.iter().map(|&index| AddPartitionsToTxnPartitionResult {
            partition_index: index,
            partition_error_code: code(&topic.name, index).code(),
        });
        results.push(AddPartitionsToTxnTopicResult {
            name: topic.name.clone(),
            results_by_partition: partitions.collect(),
        });
    }
    results
}

fn for_old_client(error: ErrorCode) -> ErrorCode {
    if error == ErrorCode::ProducerFenced { ErrorCode::InvalidProducerEpoch } else { error }
}

/// Serves an AddOffsetsToTxn request: the partition that holds the group's offsets is added.
pub async fn add_offsets(context: Rc<Context>, request: AddOffsetsToTxnRequest) -> AddOffsetsToTxnResponse {
    let error = add_group(&context, &request).await.err().unwrap_or(ErrorCode::None);
    let error = if context.version() < FENCED_FROM { for_old_client(error) } else { error };
    AddOffsetsToTxnResponse { error_code: error.code(), ..Default::default() }
}

async fn add_group(context: &Context, request: &AddOffsetsToTxnRequest) -> Result<(), ErrorCode> {
    if request.transactional_id.is_empty() {
        return Err(ErrorCode::InvalidRequest);
    }
    ensure_internal_topic(context, OFFSETS_TOPIC).await;
    let image = context.shard.image();
    let topic = image.topics().by_name(OFFSETS_TOPIC).ok_or(ErrorCode::CoordinatorNotAvailable)?;
    let index = partition_for(&request.group_id, topic.partition_count());
    let adding = TxnRequest::AddPartitions {
        id: request.transactional_id.clone(),
        producer: (request.producer_id, request.producer_epoch),
        partitions: vec![(OFFSETS_TOPIC.into(), index)],
        version: ClientVersion::One,
    };
    match ask(context, &request.transactional_id, adding).await? {
        TxnResponse::Added(ErrorCode::None) => Ok(()),
        TxnResponse::Added(error) => Err(error),
        _ => Err(ErrorCode::UnknownServerError),
    }
}

/// Serves an EndTxn request: it is answered when the decision is durable; the markers follow.
pub async fn end(context: Rc<Context>, request: EndTxnRequest) -> EndTxnResponse {
    match decide(&context, &request).await {
        Ok((producer_id, producer_epoch)) if context.version() >= RAISES_EPOCH_FROM => {
            EndTxnResponse { producer_id, producer_epoch, ..Default::default() }
        }
        Ok(_) => EndTxnResponse::default(),
        Err(error) => {
            let error = if context.version() < FENCED_FROM { for_old_client(error) } else { error };
            EndTxnResponse { error_code: error.code(), ..Default::default() }
        }
    }
}

async fn decide(context: &Context, request: &EndTxnRequest) -> Result<(i64, i16), ErrorCode> {
    let id = &request.transactional_id;
    if id.is_empty() {
        return Err(ErrorCode::InvalidRequest);
    }
    let end = EndTransaction {
        id: id.clone(),
        producer: (request.producer_id, request.producer_epoch),
        end: if request.committed { TransactionEnd::Commit } else { TransactionEnd::Abort },
        version: match context.version() {
            RAISES_EPOCH_FROM.. => ClientVersion::Two,
            _ => ClientVersion::One,
        },
        new_producer_id: None,
    };
    let request = |new_producer_id| TxnRequest::End(Box::new(EndTransaction { new_producer_id, ..end.clone() }));
    match ask_with_producer_id(context, id, request).await? {
        TxnResponse::Ended(outcome) => outcome,
        _ => Err(ErrorCode::UnknownServerError),
    }
}
