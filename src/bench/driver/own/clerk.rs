//! The clerk: a thread for the rare calls that may block (metadata, producer ids, offsets, the ends of transactions), so that the event
//! loop never does.

use std::sync::atomic::Ordering;
use std::sync::mpsc;

use super::batch::Identity;
use super::cluster::Run;
use super::transaction::Joining;
use crate::client::{Client, ClientConfig, ClientError, CoordinatorKind, OffsetSpec};
use crate::protocol::Request;
use crate::protocol::add_partitions_to_txn::{AddPartitionsToTxnRequest, AddPartitionsToTxnTopic};
use crate::protocol::end_txn::EndTxnRequest;
use crate::protocol::init_producer_id::InitProducerIdRequest;
use crate::wire::KafkaString;

/// The last version of AddPartitionsToTxn that is meant for clients.
const ADD_PARTITIONS_UNTIL: i16 = 3;
/// The last version of EndTxn whose transactions don't come with an epoch of their own.
const OLD_END_UNTIL: i16 = 4;

/// What a client thread asks the clerk for.
#[derive(Debug)]
pub enum Job {
    /// Leaders have moved.
    Refresh,
    /// A producer id, for the producer with this place on its thread; with `transactional.id` and `transaction.timeout.ms`.
    ProducerId(u32, Option<(String, i32)>),
    /// Partitions (places in the run) join a transaction.
    AddPartitions {
        /// Place of the producer on its thread.
        producer: u32,
        /// Its `transactional.id`.
        id: String,
        /// Its producer id and epoch.
        identity: Identity,
        /// The partitions.
        partitions: Vec<u32>,
    },
    /// A transaction ends.
    EndTransaction {
        /// Place of the producer on its thread.
        producer: u32,
        /// Its `transactional.id`.
        id: String,
        /// Its producer id and epoch.
        identity: Identity,
        /// Commit, not abort.
        committed: bool,
        /// How its partitions joined.
        joining: Joining,
    },
    /// Where reading begins: for the consumer with this place on its thread, the places of partitions, and from the start or the end.
    Positions(u32, Vec<u32>, OffsetSpec),
}

/// What the clerk answers.
#[derive(Debug)]
pub enum Reply {
    /// The leaders are as the cluster has them now.
    Refreshed,
    /// A producer id and its epoch.
    ProducerId(u32, Result<(i64, i16), ClientError>),
    /// The coordinator knows the partitions of the producer's transaction.
    Added(u32, Result<(), ClientError>),
    /// The transaction has ended; id and epoch for the next one.
    Ended(u32, Result<Identity, ClientError>),
    /// Offsets by partition.
    Positions(u32, Result<Vec<(u32, i64)>, ClientError>),
}

/// Works off the jobs until nobody can send any more. `answer` hands a reply over.
pub fn clerk(run: &Run, config: ClientConfig, jobs: &mpsc::Receiver<Job>, answer: impl Fn(Reply)) {
    let mut client = Client::new(config);
    while let Ok(job) = jobs.recv() {
        if run.is_over.load(Ordering::Relaxed) {
            return;
        }
        let reply = match job {
            Job::Refresh => {
                if let Err(error) = run.refresh(&mut client) {
                    tracing::debug!(%error, "metadata could not be refreshed");
                }
                Reply::Refreshed
            }
            Job::ProducerId(producer, None) => Reply::ProducerId(producer, producer_id(&mut client)),
            Job::ProducerId(producer, Some((id, timeout_ms))) => {
                Reply::ProducerId(producer, transactional_id(&mut client, &id, timeout_ms))
            }
            Job::AddPartitions { producer, id, identity, partitions } => {
                Reply::Added(producer, add_partitions(&mut client, run, &id, identity, &partitions))
            }
            Job::EndTransaction { producer, id, identity, committed, joining } => {
                Reply::Ended(producer, end_transaction(&mut client, &id, identity, committed, joining))
            }
            Job::Positions(consumer, partitions, from) => {
                Reply::Positions(consumer, positions(run, &mut client, partitions, from))
            }
        };
        answer(reply);
    }
}

fn producer_id(client: &mut Client) -> Result<(i64, i16), ClientError> {
    let request =
        InitProducerIdRequest { transactional_id: None, transaction_timeout_ms: i32::MAX, ..Default::default() };
    client.retry(|client| {
        let response = client.call_any(&request)?;
        ClientError::check(response.error_code, None)?;
        Ok((response.producer_id, response.producer_epoch))
    })
}

fn positions(
    run: &Run,
    client: &mut Client,
    partitions: Vec<u32>,
    from: OffsetSpec,
) -> Result<Vec<(u32, i64)>, ClientError> {
    let named: Vec<(String, i32)> = partitions
        .iter()
        .map(|place| {
            let (topic, index) = run.locate(*place);
            (run.topics[topic as usize].name.clone(), index)
        })
        .collect();
    let mut found = client.list_offsets(&named, from, 0)?;
    let mut all = Vec::with_capacity(named.len());
    for (place, partition) in partitions.into_iter().zip(&named) {
        all.push((place, found.remove(partition).transpose()?.unwrap_or(0)));
    }
    Ok(all)
}

fn transactional_id(client: &mut Client, id: &str, timeout_ms: i32) -> Result<(i64, i16), ClientError> {
    let request = InitProducerIdRequest {
        transactional_id: Some(KafkaString::from(id)),
        transaction_timeout_ms: timeout_ms,
        ..Default::default()
    };
    client.at_coordinator(CoordinatorKind::Transaction, id, |client, coordinator| {
        let response = client.call_broker(coordinator, &request)?;
        ClientError::check(response.error_code, None)?;
        Ok((response.producer_id, response.producer_epoch))
    })
}

fn add_partitions(
    client: &mut Client,
    run: &Run,
    id: &str,
    identity: Identity,
    partitions: &[u32],
) -> Result<(), ClientError> {
    let mut topics: Vec<AddPartitionsToTxnTopic> = Vec::new();
    for place in partitions {
        let (topic, index) = run.locate(*place);
        let name = KafkaString::from(run.topics[topic as usize].name.as_str());
        match topics.iter_mut().find(|topic| topic.name == name) {
            Some(topic) => topic.partitions.push(index),
            None => topics.push(AddPartitionsToTxnTopic { name, partitions: vec![index] }),
        }
    }
    let request = AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: KafkaString::from(id),
        v3_and_below_producer_id: identity.id,
        v3_and_below_producer_epoch: identity.epoch,
        v3_and_below_topics: topics,
        ..Default::default()
    };
    client.at_coordinator(CoordinatorKind::Transaction, id, |client, coordinator| {
        let response = call_until(client, coordinator, &request, ADD_PARTITIONS_UNTIL)?;
        let mut results = response.results_by_topic_v3_and_below.iter().flat_map(|topic| &topic.results_by_partition);
        results.try_for_each(|result| ClientError::check(result.partition_error_code, None))
    })
}

fn end_transaction(
    client: &mut Client,
    id: &str,
    identity: Identity,
    committed: bool,
    joining: Joining,
) -> Result<Identity, ClientError> {
    let request = EndTxnRequest {
        transactional_id: KafkaString::from(id),
        producer_id: identity.id,
        producer_epoch: identity.epoch,
        committed,
    };
    let version_max = if joining == Joining::ByProduce { i16::MAX } else { OLD_END_UNTIL };
    client.at_coordinator(CoordinatorKind::Transaction, id, |client, coordinator| {
        let response = call_until(client, coordinator, &request, version_max)?;
        ClientError::check(response.error_code, None)?;
        if response.producer_id < 0 {
            return Ok(identity);
        }
        Ok(Identity { id: response.producer_id, epoch: response.producer_epoch, ..identity })
    })
}

/// Asks one broker in a version up to `version_max`.
fn call_until<R: Request>(
    client: &mut Client,
    broker: i32,
    request: &R,
    version_max: i16,
) -> Result<R::Response, ClientError> {
    let connection = client.connection(broker)?;
    let version = connection.version_of::<R>()?.min(version_max);
    let answer = connection.send(request, version).and_then(|sent| connection.receive::<R>(sent));
    if matches!(answer, Err(ClientError::Disconnected { .. } | ClientError::Timeout { .. })) {
        client.forget(broker);
    }
    answer
}
