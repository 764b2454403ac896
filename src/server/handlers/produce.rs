//! Produce (API 0): appends record batches to partitions.
//!
//! KIP-98 (idempotence), KIP-467 (record errors), KIP-516 (topic ids, v13), KIP-890 (transactions, v12), KIP-951 (new leader in
//! the answer). The first poll does all the appends; with `acks=all` the rest is waiting for the device.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use crate::capture::Produced;
use crate::metadata::{MetadataImage, TopicImage};
use crate::partition::{Acks, AppendError, AppendOp, AppendOutcome, Isolation, OffsetSpec, Origin, ProducerError};
use crate::protocol::ErrorCode;
use crate::protocol::produce::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceData,
    TopicProduceResponse,
};
use crate::record::{BatchHeader, Compression, NO_LEADER_EPOCH, Verification, codec_of_first_batch};
use crate::rt;
use crate::rt::together::{Step, all};
use crate::server::api::Context;
use crate::server::asked::{Asked, by_topic};
use crate::server::client::Client;
use crate::server::connection::Reply;
use crate::server::owners::Owners;
use crate::server::transactions::{Joined, Joining, Operation};
use crate::server::{errors, topic_names};
use crate::shard::{PartitionError, Shard, TopicPartition};
use crate::wire::{KafkaString, Uuid};

/// First version that names topics by id (KIP-516).
const NAMES_BY_ID_FROM: i16 = 13;
/// First version whose clients know `TRANSACTION_ABORTABLE` (KIP-890).
const ABORTABLE_FROM: i16 = 11;
/// First version that adds partitions to a transaction by writing to them (KIP-890).
const ADDS_FROM: i16 = 12;
/// First version whose batches may be in zstd (KIP-110).
const ZSTD_FROM: i16 = 7;
/// A request's timeout is about replicas. What waits for our own device alone gets at least so long.
const DEVICE_TIMEOUT_MIN: Duration = Duration::from_secs(5);

/// A batch is taken to last no longer than this, whatever its timestamps say.
const SPAN_MS_MAX: u64 = 60_000;

/// In a transaction a gap in the sequences may only seem to be one: the batch before, sent over the same connection, still pauses until
/// the transaction before is complete. To refuse the one behind it would be the end of a transaction in which nothing is missing. So it
/// waits as long as there is one before it, and a while for one that was refused and is sent again.
const GAP_PATIENCE: Duration = Duration::from_millis(500);
const GAP_PAUSE: Duration = Duration::from_millis(2);

/// An append to be done: where, and what.
struct Append {
    partition: TopicPartition,
    topic: KafkaString,
    op: AppendOp,
}

/// Why an append was not done.
enum Failure {
    Partition(PartitionError<AppendError>),
    /// The coordinator did not confirm the transaction.
    Transaction(ErrorCode),
}

type Appended = Result<AppendOutcome, Failure>;

/// Serves a Produce request.
pub async fn handle(context: Context, request: ProduceRequest) -> Reply {
    let acks = match request.acks {
        0 => Ok(Acks::None),
        1 => Ok(Acks::Leader),
        -1 => Ok(Acks::All),
        _ => Err(ErrorCode::InvalidRequiredAcks),
    };
    let produce = Produce {
        image: context.shard.image(),
        shard: Rc::clone(&context.shard),
        client: Rc::clone(&context.client),
        acks,
        transaction: request.transactional_id.map(|id| {
            let operation = match context.version() {
                ADDS_FROM.. => Operation::Add,
                ABORTABLE_FROM.. => Operation::Verify,
                _ => Operation::VerifyForOldClient,
            };
            Rc::new(Joining::new(&context.shard, id, operation))
        }),
        version: context.version(),
    };
    context.client.usage().produce().acks.set(i64::from(produce.acks()));
    let mut response = ProduceResponse::default();
    let mut steps = Vec::new();
    let mut owners = Owners::None;
    let topics = if names_twice(&request.topic_data) { merged(request.topic_data) } else { request.topic_data };
    for topic in topics.into_iter().filter(|topic| !topic.partition_data.is_empty()) {
        let nth = response.responses.len();
        response.responses.push(produce.start_topic(nth, topic, &mut steps, &mut owners));
    }
    context.client.note_owner(owners.single());
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0)).max(DEVICE_TIMEOUT_MIN);
    let failed = produce.finish(&mut response, steps, timeout).await;
    match acks {
        // With acks=0 nothing is answered; an error closes the connection, so that the client asks for metadata anew.
        Ok(Acks::None) if failed => Reply::Close,
        Ok(Acks::None) => Reply::Nothing,
        _ => context.encode(&response),
    }
}

/// Whether a topic comes twice, or a partition within one.
fn names_twice(topics: &[TopicProduceData]) -> bool {
    let twice = |nth: usize, one: &TopicProduceData| {
        let same = |other: &TopicProduceData| other.name == one.name && other.topic_id == one.topic_id;
        topics[..nth].iter().any(same)
    };
    topics.iter().enumerate().any(|(nth, topic)| {
        let partitions = &topic.partition_data;
        let repeated = |at: usize| partitions[..at].iter().any(|other| other.index == partitions[at].index);
        twice(nth, topic) || (1..partitions.len()).any(repeated)
    })
}

/// One entry per topic and partition.
fn merged(topics: Vec<TopicProduceData>) -> Vec<TopicProduceData> {
    let entries = topics.into_iter().flat_map(|topic| {
        let key = (topic.name, topic.topic_id);
        topic.partition_data.into_iter().map(move |asked| (key.clone(), asked.index, asked))
    });
    let topic = |((name, topic_id), partitions): (_, Vec<Asked<_>>)| TopicProduceData {
        name,
        topic_id,
        partition_data: partitions.into_iter().map(|asked| asked.entry).collect(),
    };
    by_topic(entries).into_iter().map(topic).collect()
}

struct Produce {
    shard: Rc<Shard>,
    client: Rc<Client>,
    image: std::sync::Arc<MetadataImage>,
    acks: Result<Acks, ErrorCode>,
    transaction: Option<Rc<Joining>>,
    version: i16,
}

impl Produce {
    /// Starts the appends of one topic; the answers' places are filled in as far as they are known.
    fn start_topic(
        &self,
        nth: usize,
        topic: TopicProduceData,
        steps: &mut Vec<((usize, usize), Append)>,
        owners: &mut Owners,
    ) -> TopicProduceResponse {
        let found = self.find(&topic.name, topic.topic_id);
        let mut response =
            TopicProduceResponse { name: topic.name, topic_id: topic.topic_id, partition_responses: Vec::new() };
        for partition in topic.partition_data {
            let mut answer = PartitionProduceResponse { index: partition.index, base_offset: -1, ..Default::default() };
            let appending = match &found {
                Ok(found) => self.start(found, partition.index, partition.records, owners),
                Err(error) => Err(*error),
            };
            match appending {
                Ok(step) => steps.push(((nth, response.partition_responses.len()), step)),
                Err(error) => answer.error_code = error.code(),
            }
            response.partition_responses.push(answer);
        }
        response
    }

    fn find(&self, name: &str, topic_id: Uuid) -> Result<std::sync::Arc<TopicImage>, ErrorCode> {
        if self.version >= NAMES_BY_ID_FROM {
            topic_names::find_by_id(&self.image, topic_id)
        } else {
            topic_names::find(&self.image, name, Uuid::ZERO)
        }
    }

    fn start(
        &self,
        topic: &TopicImage,
        index: i32,
        records: Option<Bytes>,
        owners: &mut Owners,
    ) -> Result<Append, ErrorCode> {
        if !topic.partitions.contains_key(&index) {
            return Err(ErrorCode::UnknownTopicOrPartition);
        }
        let acks = self.acks?;
        if topic_names::is_internal(&topic.name) {
            return Err(ErrorCode::InvalidTopicException);
        }
        // Apache Kafka never answers null records; a client is better off with an error.
        let records = records.ok_or(ErrorCode::InvalidRecord)?;
        if self.version < ZSTD_FROM && codec_of_first_batch(&records) == Some(Compression::Zstd) {
            return Err(ErrorCode::UnsupportedCompressionType);
        }
        self.client.note_topic(&topic.name);
        if self.shard.broker.capture.is_active() {
            self.note_for_capture(topic, &records);
        }
        let partition = TopicPartition { topic_id: topic.id, index };
        owners.note(self.shard.owner_of(&partition));
        let op = AppendOp {
            records,
            acks,
            origin: Origin::Client,
            transaction_version: 0,
            transactional: self.transaction.is_some(),
            verification: self.transaction.as_ref().map_or(Verification::NotNeeded, |joining| joining.verification()),
        };
        Ok(Append { partition, topic: topic.name.clone(), op })
    }

    fn acks(&self) -> i16 {
        match self.acks {
            Ok(Acks::None) => 0,
            Ok(Acks::Leader) => 1,
            _ => -1,
        }
    }

    /// Counts what the connection has sent: whoever checked the batch has read its header.
    fn note_usage(&self, outcome: &AppendOutcome) {
        let (usage, sent) = (self.client.usage().produce(), outcome.sent);
        usage.batches.increment();
        usage.bytes.add(sent.bytes as u64);
        usage.records.add(u64::from(outcome.records_count.unsigned_abs()));
        usage.span_ms.add(u64::try_from(sent.span_ms).unwrap_or(0).min(SPAN_MS_MAX));
        usage.codec.set(i64::from(sent.codec as u8));
        usage.idempotent.set(sent.has_producer_id.into());
    }

    fn note_for_capture(&self, topic: &TopicImage, records: &[u8]) {
        let acks = self.acks();
        let (partitions, peer, in_flight) = (topic.partitions.len(), self.client.peer(), self.client.in_flight());
        let produced = Produced { topic: &topic.name, partitions, peer, acks, in_flight, records };
        self.shard.broker.capture.note_produced(usize::from(self.shard.id.0), produced);
    }

    /// Does the appends; the first poll begins all of them, in their order. The usual one alone needs no box.
    async fn append_all(&self, mut steps: Vec<Append>) -> Vec<Appended> {
        if steps.len() == 1
            && let Some(step) = steps.pop()
        {
            return vec![append(&self.shard, &self.client, step, self.transaction.as_deref()).await];
        }
        let append = |step| {
            let (shard, client, transaction) =
                (Rc::clone(&self.shard), Rc::clone(&self.client), self.transaction.clone());
            Box::pin(async move { append(&shard, &client, step, transaction.as_deref()).await }) as Step<Appended>
        };
        all(steps.into_iter().map(append).collect()).await
    }

    /// Waits for the appends and fills in the answers; whether any failed.
    async fn finish(
        &self,
        response: &mut ProduceResponse,
        steps: Vec<((usize, usize), Append)>,
        timeout: Duration,
    ) -> bool {
        let (places, steps): (Vec<_>, Vec<_>) = steps.into_iter().unzip();
        let outcomes = match self.acks {
            Ok(Acks::All) => rt::timeout(timeout, self.append_all(steps)).await,
            _ => Some(self.append_all(steps).await),
        };
        for (nth, (topic, partition)) in places.into_iter().enumerate() {
            let answered = &mut response.responses[topic];
            let answer = &mut answered.partition_responses[partition];
            match outcomes.as_ref().map(|outcomes| &outcomes[nth]) {
                Some(Ok(outcome)) => {
                    self.note_usage(outcome);
                    answer.base_offset = outcome.base_offset;
                    answer.log_append_time_ms = outcome.log_append_time_ms;
                    answer.log_start_offset = outcome.log_start_offset;
                }
                Some(Err(Failure::Transaction(error))) => answer.error_code = error.code(),
                Some(Err(Failure::Partition(error))) => {
                    if let Ok(found) = self.find(&answered.name, answered.topic_id) {
                        refuse(answer, error, &format!("{}-{}", found.name, answer.index));
                        answer.log_start_offset = self.log_start_beside(error, found.id, answer.index).await;
                    }
                }
                None => answer.error_code = ErrorCode::RequestTimedOut.code(),
            }
        }
        response.responses.iter().flat_map(|topic| &topic.partition_responses).any(|answer| answer.error_code != 0)
    }

    /// Some refusals come with the log start offset, where Kafka gives it.
    async fn log_start_beside(&self, error: &PartitionError<AppendError>, topic_id: Uuid, index: i32) -> i64 {
        if !errors::has_log_start(error) {
            return -1;
        }
        let partition = TopicPartition { topic_id, index };
        let found =
            self.shard.find_offset(partition, OffsetSpec::Earliest, Isolation::ReadUncommitted, NO_LEADER_EPOCH);
        found.await.ok().flatten().map_or(-1, |found| found.offset)
    }
}

/// Appends; the batch that opens a transaction waits for the transaction's coordinator.
async fn append(shard: &Shard, client: &Client, append: Append, transaction: Option<&Joining>) -> Appended {
    let Append { partition, topic, mut op } = append;
    let Some(joining) = transaction else { return shard.append(partition, op).await.map_err(Failure::Partition) };
    let deadline = joining.deadline();
    let gap_deadline = rt::clock::monotonic() + GAP_PATIENCE;
    let place = client.begin_append(partition);
    loop {
        // Before the attempt: the one before may come through while its gap is on its way back from another shard.
        let is_behind = place.is_behind();
        let outcome = shard.append(partition, op.clone()).await;
        match outcome {
            Err(PartitionError::Failed(AppendError::Unverified { guard })) => {
                let header = BatchHeader::parse(&op.records).expect("the partition has read it");
                let producer = (header.producer_id, header.producer_epoch);
                let joined = joining.join(shard, producer, (topic.clone(), partition.index), deadline).await;
                if joined.map_err(Failure::Transaction)? == Joined::Yes {
                    op.verification = Verification::Done(guard);
                }
            }
            Err(PartitionError::Failed(AppendError::Producer(
                ProducerError::SequenceGap { .. } | ProducerError::NewEpochSequence { .. },
            ))) if is_behind || rt::clock::monotonic() < gap_deadline => rt::sleep(GAP_PAUSE).await,
            outcome => return outcome.map_err(Failure::Partition),
        }
    }
}

fn refuse(answer: &mut PartitionProduceResponse, error: &PartitionError<AppendError>, topic_partition: &str) {
    answer.error_code = errors::append_code(error).code();
    let PartitionError::Failed(error) = error else { return };
    answer.error_message = errors::append_message(error, topic_partition).map(Into::into);
    answer.record_errors = errors::record_errors(error, topic_partition)
        .into_iter()
        .map(|(index, message)| BatchIndexAndErrorMessage {
            batch_index: index,
            batch_index_error_message: Some(message.into()),
        })
        .collect();
}
