//! Produce (API 0): appends record batches to partitions.
//!
//! KIP-98 (idempotence), KIP-467 (record errors), KIP-516 (topic ids, v13), KIP-890 (transactions, v12), KIP-951 (new leader in
//! the answer). The first poll does all the appends; with `acks=all` the rest is waiting for the device.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use crate::metadata::{MetadataImage, TopicImage};
use crate::partition::{Acks, AppendError, AppendOp, AppendOutcome, Origin};
use crate::protocol::ErrorCode;
use crate::protocol::produce::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceData,
    TopicProduceResponse,
};
use crate::record::{Compression, codec_of_first_batch};
use crate::rt;
use crate::server::api::Context;
use crate::server::connection::Reply;
use crate::server::owners::Owners;
use crate::server::together::{Step, all};
use crate::server::{errors, topic_names};
use crate::shard::{PartitionError, Shard, TopicPartition};

/// First version that may carry zstd (KIP-110).
const ZSTD_FROM: i16 = 7;

/// An append on its way, or refused before it began.
type Appending = Result<Step<Appended>, ErrorCode>;
type Appended = Result<AppendOutcome, PartitionError<AppendError>>;

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
        acks,
        transactional: request.transactional_id.is_some(),
        refuses_zstd: context.version() < ZSTD_FROM,
    };
    let mut response = ProduceResponse::default();
    let mut steps = Vec::new();
    let mut owners = Owners::None;
    let topics = request.topic_data.into_iter().filter(|topic| !topic.partition_data.is_empty());
    for (nth, topic) in topics.enumerate() {
        response.responses.push(produce.start_topic(nth, topic, &mut steps, &mut owners));
    }
    context.client.note_owner(owners.single());
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let failed = finish(&mut response, steps, acks, timeout).await;
    match acks {
        // With acks=0 nothing is answered; an error closes the connection, so that the client asks for metadata anew.
        Ok(Acks::None) if failed => Reply::Close,
        Ok(Acks::None) => Reply::Nothing,
        _ => context.encode(&response),
    }
}

struct Produce {
    shard: Rc<Shard>,
    image: std::sync::Arc<MetadataImage>,
    acks: Result<Acks, ErrorCode>,
    transactional: bool,
    /// The version is too old for zstd.
    refuses_zstd: bool,
}

impl Produce {
    /// Starts the appends of one topic; the answers' places are filled in as far as they are known.
    fn start_topic(
        &self,
        nth: usize,
        topic: TopicProduceData,
        steps: &mut Vec<((usize, usize), Step<Appended>)>,
        owners: &mut Owners,
    ) -> TopicProduceResponse {
        let found = topic_names::find(&self.image, &topic.name, topic.topic_id);
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

    fn start(&self, topic: &TopicImage, index: i32, records: Option<Bytes>, owners: &mut Owners) -> Appending {
        if !topic.partitions.contains_key(&index) {
            return Err(ErrorCode::UnknownTopicOrPartition);
        }
        let acks = self.acks?;
        if topic_names::is_internal(&topic.name) {
            return Err(ErrorCode::InvalidTopicException);
        }
        // Apache Kafka never answers null records; a client is better off with an error.
        let records = records.ok_or(ErrorCode::InvalidRecord)?;
        if self.refuses_zstd && codec_of_first_batch(&records) == Some(Compression::Zstd) {
            return Err(ErrorCode::UnsupportedCompressionType);
        }
        let partition = TopicPartition { topic_id: topic.id, index };
        owners.note(self.shard.owner_of(&partition));
        let op = AppendOp { records, acks, origin: Origin::Client, transactional: self.transactional };
        let shard = Rc::clone(&self.shard);
        Ok(Box::pin(async move { shard.append(partition, op).await }))
    }
}

/// Waits for the appends and fills in the answers; whether any failed.
async fn finish(
    response: &mut ProduceResponse,
    steps: Vec<((usize, usize), Step<Appended>)>,
    acks: Result<Acks, ErrorCode>,
    timeout: Duration,
) -> bool {
    let (places, steps): (Vec<_>, Vec<_>) = steps.into_iter().unzip();
    let outcomes = match acks {
        Ok(Acks::All) => rt::timeout(timeout, all(steps)).await,
        _ => Some(all(steps).await),
    };
    for (nth, (topic, partition)) in places.into_iter().enumerate() {
        let answered = &mut response.responses[topic];
        let answer = &mut answered.partition_responses[partition];
        match outcomes.as_ref().map(|outcomes| &outcomes[nth]) {
            Some(Ok(outcome)) => {
                answer.base_offset = outcome.base_offset;
                answer.log_append_time_ms = outcome.log_append_time_ms;
                answer.log_start_offset = outcome.log_start_offset;
            }
            Some(Err(error)) => {
                let topic_partition = format!("{}-{}", answered.name, answer.index);
                refuse(answer, error, &topic_partition);
            }
            None => answer.error_code = ErrorCode::RequestTimedOut.code(),
        }
    }
    response.responses.iter().flat_map(|topic| &topic.partition_responses).any(|answer| answer.error_code != 0)
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
