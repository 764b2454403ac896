//! Fetch (API 1): reads record batches.
//!
//! KIP-74 (`max.bytes`: the first batch is given whole), KIP-98 (isolation), KIP-227 (sessions), KIP-320 (leader epochs, diverging
//! epoch), KIP-516 (topic ids, v13). A partition's shard answers *where* the bytes are; this connection's shard sends them.
//! A fetch that finds less than `min.bytes` waits for its partitions to change, at most `max.wait.ms`.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::capture::Fetched;
use crate::log::ReadSlice;
use crate::metadata::{MetadataImage, PartitionImage};
use crate::partition::{FetchOp, FetchOutcome, Isolation};
use crate::protocol::ErrorCode;
use crate::protocol::fetch::{
    AbortedTransaction, EpochEndOffset, FetchPartition, FetchRequest, FetchResponse, FetchableTopicResponse,
    LeaderIdAndEpoch, PartitionData,
};
use crate::rt;
use crate::rt::together::{Step, all, any};
use crate::server::api::Context;
use crate::server::connection::Reply;
use crate::server::fetch_sessions::{FetchTarget, Kind, Naming, Plan, Told};
use crate::server::owners::Owners;
use crate::server::refusals::Refuse;
use crate::server::send_queue::Part;
use crate::server::{errors, topic_names};
use crate::shard::{Shard, ShardRequest, TopicPartition};
use crate::wire::Records;

/// First version that names topics by id.
const NAMES_BY_ID_FROM: i16 = 13;
/// First version that tells who leads instead (KIP-951).
const CURRENT_LEADER_FROM: i16 = 16;
/// "Not given", where a client may tell a leader epoch; a fetch takes every negative number for it.
const NO_EPOCH: i32 = -1;
const ISOLATION_LEVELS: std::ops::RangeInclusive<i8> = 0..=1;

/// Serves a Fetch request.
pub async fn handle(context: Context, request: FetchRequest) -> Reply {
    let naming = if context.version() >= NAMES_BY_ID_FROM { Naming::Ids } else { Naming::Names };
    adopt_session(&context.shard, &request).await;
    let plan = context.shard.fetch_sessions.borrow_mut().plan(&request, naming);
    let plan = match plan {
        Ok(plan) => plan,
        Err(error) => return refuse(&context, error),
    };
    let fetch = Fetch::new(&context, &request, naming);
    if !ISOLATION_LEVELS.contains(&request.isolation_level) && fetch.finds_any(&plan) {
        // An isolation level that isn't one is to Apache Kafka a failure of its own.
        return context.encode(&request.refused(ErrorCode::UnknownServerError, context.version()));
    }
    let readings = fetch.read_until_enough(&plan).await;
    fetch.answer(&context, plan, naming, readings)
}

/// The answer that is an error alone; the session id is then 0.
fn refuse(context: &Context, error: ErrorCode) -> Reply {
    context.encode(&FetchResponse { error_code: error.code(), ..Default::default() })
}

/// A client that reconnected may have its session on another shard.
async fn adopt_session(shard: &Shard, request: &FetchRequest) {
    let missing = shard.fetch_sessions.borrow().missing(request);
    let Some(id) = missing.filter(|_| shard.broker.shards.len() > 1) else { return };
    let found = shard.ask_all(|reply| ShardRequest::TakeFetchSession(id, reply)).await;
    if let Some(session) = found.into_iter().flatten().next() {
        shard.fetch_sessions.borrow_mut().adopt(session);
    }
}

/// What one partition gave.
type Reading = Result<FetchOutcome, ErrorCode>;

struct Fetch {
    shard: Rc<Shard>,
    image: Arc<MetadataImage>,
    naming: Naming,
    /// A broker that wants to follow; there are no other replicas here.
    is_replica: bool,
    tells_leader: bool,
    isolation: Isolation,
    /// `min.bytes`, `max.wait.ms` and `max.bytes` as they were asked for.
    asked: (i32, i32, i32),
    bytes_max: usize,
    bytes_min: usize,
    deadline: Instant,
}

impl Fetch {
    fn new(context: &Context, request: &FetchRequest, naming: Naming) -> Fetch {
        let broker_max = context.shard.config().fetch_max_bytes;
        Fetch {
            shard: Rc::clone(&context.shard),
            image: context.shard.image(),
            naming,
            is_replica: request.replica_id >= 0 || request.replica_state.replica_id >= 0,
            tells_leader: context.version() >= CURRENT_LEADER_FROM,
            isolation: if request.isolation_level == 0 { Isolation::ReadUncommitted } else { Isolation::ReadCommitted },
            asked: (request.min_bytes, request.max_wait_ms, request.max_bytes),
            bytes_max: usize::try_from(request.max_bytes.min(broker_max)).unwrap_or(0),
            bytes_min: usize::try_from(request.min_bytes).unwrap_or(0),
            deadline: rt::clock::monotonic() + Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)),
        }
    }

    /// Reads all partitions; while that is too little, waits for a change and reads again.
    async fn read_until_enough(&self, plan: &Plan) -> Vec<Reading> {
        let targets: Vec<_> = plan.partitions.iter().map(|(target, asked)| (self.find(target), asked)).collect();
        let mut owners = Owners::None;
        targets.iter().flat_map(|(found, _)| found).for_each(|found| owners.note(self.shard.owner_of(found)));
        let mut readings = self.read(&targets).await;
        loop {
            let left = self.deadline.saturating_duration_since(rt::clock::monotonic());
            if left.is_zero() || self.is_enough(&readings) {
                return readings;
            }
            let changes: Vec<Step<()>> =
                targets.iter().zip(&readings).filter_map(|((found, _), reading)| self.change(found, reading)).collect();
            let changed = {
                let _waiting = self.shard.metrics().counters.purgatory_fetch.hold();
                rt::timeout(left, any(changes)).await.is_some()
            };
            readings = self.read(&targets).await;
            if !changed {
                return readings;
            }
        }
    }

    fn find(&self, target: &FetchTarget) -> Result<TopicPartition, ErrorCode> {
        let partition = self.find_registered(target)?;
        if self.is_replica { Err(ErrorCode::NotLeaderOrFollower) } else { Ok(partition) }
    }

    /// Whether there is any of the partitions at all.
    fn finds_any(&self, plan: &Plan) -> bool {
        plan.partitions.iter().any(|(target, _)| self.find_registered(target).is_ok())
    }

    fn find_registered(&self, target: &FetchTarget) -> Result<TopicPartition, ErrorCode> {
        let topic = match self.naming {
            Naming::Ids => topic_names::find_by_id(&self.image, target.topic_id)?,
            Naming::Names => topic_names::find(&self.image, &target.topic, target.topic_id)?,
        };
        if !topic.partitions.contains_key(&target.partition) {
            return Err(ErrorCode::UnknownTopicOrPartition);
        }
        Ok(TopicPartition { topic_id: topic.id, index: target.partition })
    }

    async fn read(&self, targets: &[(Result<TopicPartition, ErrorCode>, &FetchPartition)]) -> Vec<Reading> {
        let steps: Vec<Step<Reading>> = targets.iter().map(|(found, asked)| self.read_one(*found, asked)).collect();
        let mut readings = all(steps).await;
        self.keep_to_max(&mut readings);
        readings
    }

    fn read_one(&self, found: Result<TopicPartition, ErrorCode>, asked: &FetchPartition) -> Step<Reading> {
        let partition = match found {
            Ok(partition) => partition,
            Err(error) => return Box::pin(async move { Err(error) }),
        };
        let op = FetchOp {
            offset: asked.fetch_offset,
            max_bytes: usize::try_from(asked.partition_max_bytes).unwrap_or(0).min(self.bytes_max),
            min_one_batch: true,
            isolation: self.isolation,
            current_leader_epoch: asked.current_leader_epoch.max(NO_EPOCH),
            last_fetched_epoch: asked.last_fetched_epoch.max(NO_EPOCH),
        };
        let shard = Rc::clone(&self.shard);
        Box::pin(async move { shard.fetch(partition, op).await.map_err(|error| errors::fetch_code(&error)) })
    }

    /// All partitions were read at a time, each as if it were the first. In their order they get what `max.bytes` leaves: the
    /// first with data its whole first batch (KIP-74), the others what fits.
    fn keep_to_max(&self, readings: &mut [Reading]) {
        let mut left = self.bytes_max;
        let mut first = true;
        for outcome in readings.iter_mut().flatten() {
            if outcome.len == 0 {
                continue;
            }
            if !first && outcome.len > left {
                truncate(outcome, left);
            }
            left = left.saturating_sub(outcome.len);
            first = false;
        }
    }

    fn is_enough(&self, readings: &[Reading]) -> bool {
        let mut bytes = 0;
        for reading in readings {
            match reading {
                Ok(outcome) if outcome.diverging.is_none() => bytes += outcome.len,
                _ => return true,
            }
        }
        readings.is_empty() || bytes >= self.bytes_min
    }

    /// A wait for more than a reading found.
    fn change(&self, found: &Result<TopicPartition, ErrorCode>, reading: &Reading) -> Option<Step<()>> {
        let (partition, outcome) = (*found.as_ref().ok()?, reading.as_ref().ok()?);
        let bound = match self.isolation {
            Isolation::ReadUncommitted => outcome.high_watermark,
            Isolation::ReadCommitted => outcome.last_stable_offset,
        };
        let (shard, isolation) = (Rc::clone(&self.shard), self.isolation);
        Some(Box::pin(async move { shard.await_change(partition, isolation, bound).await }))
    }

    /// Builds the answer: what the session has not told yet, with the records' bytes left where they are.
    fn answer(&self, context: &Context, plan: Plan, naming: Naming, readings: Vec<Reading>) -> Reply {
        let mut answer = Answer::default();
        let mut answered = Vec::new();
        self.note_usage(context, &plan, &readings);
        if context.shard.broker.capture.is_active() {
            self.note_for_capture(context, &plan, &readings);
        }
        for ((target, asked), reading) in plan.partitions.into_iter().zip(readings) {
            let told = told(&reading);
            let is_news = match plan.kind {
                Kind::Sessionless => true,
                Kind::Opening => {
                    answered.push((target.clone(), asked, told));
                    true
                }
                Kind::Incremental(id) => self.shard.fetch_sessions.borrow_mut().is_news(id, &target, &told),
            };
            if is_news {
                answer.add(&target, self.partition_data(&target, reading));
            }
        }
        answer.response.session_id = match plan.kind {
            Kind::Sessionless => 0,
            Kind::Opening => self.shard.fetch_sessions.borrow_mut().open(naming, answered),
            Kind::Incremental(id) => id,
        };
        answer.into_reply(context)
    }

    /// Counts what the connection is given.
    fn note_usage(&self, context: &Context, plan: &Plan, readings: &[Reading]) {
        let usage = context.client.usage().fetch();
        usage.min_bytes.set(self.asked.0.into());
        usage.max_wait_ms.set(self.asked.1.into());
        let mut bytes = 0;
        for ((target, _), reading) in plan.partitions.iter().zip(readings) {
            let Some(outcome) = reading.as_ref().ok().filter(|outcome| outcome.len > 0) else { continue };
            bytes += outcome.len;
            let named = Some(&target.topic).filter(|name| !name.is_empty());
            let named = named.or_else(|| self.image.topics().by_id(&target.topic_id).map(|topic| &topic.name));
            named.into_iter().for_each(|name| context.client.note_topic(name));
        }
        usage.bytes.add(bytes as u64);
        if bytes == 0 {
            usage.empty.increment();
        }
    }

    fn note_for_capture(&self, context: &Context, plan: &Plan, readings: &[Reading]) {
        for ((target, _), reading) in plan.partitions.iter().zip(readings) {
            let topic = self.find_registered(target).ok().and_then(|found| self.image.topics().by_id(&found.topic_id));
            let (Some(topic), Ok(outcome)) = (topic, reading) else { continue };
            let fetched = Fetched {
                topic: &topic.name,
                partitions: topic.partitions.len(),
                peer: context.client.peer(),
                bytes: outcome.len,
                min_bytes: self.asked.0,
                max_wait_ms: self.asked.1,
                max_bytes: self.asked.2,
            };
            self.shard.broker.capture.note_fetched(usize::from(self.shard.id.0), fetched);
        }
    }

    fn partition_data(&self, target: &FetchTarget, reading: Reading) -> (PartitionData, Vec<ReadSlice>) {
        let mut data = PartitionData { partition_index: target.partition, ..Default::default() };
        let outcome = match reading {
            Ok(outcome) => outcome,
            Err(error) => {
                self.fill_error(&mut data, target, error);
                return (data, Vec::new());
            }
        };
        data.high_watermark = outcome.high_watermark;
        data.last_stable_offset = outcome.last_stable_offset;
        data.log_start_offset = outcome.log_start_offset;
        if let Some((epoch, end_offset)) = outcome.diverging {
            data.diverging_epoch = EpochEndOffset { epoch, end_offset };
        }
        data.aborted_transactions = outcome.aborted.map(|aborted| {
            let entry = |(producer_id, first_offset)| AbortedTransaction { producer_id, first_offset };
            aborted.into_iter().map(entry).collect()
        });
        data.records = Some(Records::Elsewhere(outcome.len));
        (data, outcome.slices)
    }

    fn fill_error(&self, data: &mut PartitionData, target: &FetchTarget, error: ErrorCode) {
        data.error_code = error.code();
        data.high_watermark = -1;
        // Kafka's own asymmetry: a list, though empty, for what it doesn't know, and null for what it refuses.
        let unknown = matches!(error, ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId);
        data.aborted_transactions = unknown.then(Vec::new);
        if self.tells_leader
            && matches!(error, ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch)
            && let Some(partition) = self.registration(target)
        {
            data.current_leader =
                LeaderIdAndEpoch { leader_id: partition.leader, leader_epoch: partition.leader_epoch };
        }
    }

    fn registration(&self, target: &FetchTarget) -> Option<Arc<PartitionImage>> {
        let topic = topic_names::find(&self.image, &target.topic, target.topic_id).ok()?;
        topic.partitions.get(&target.partition).cloned()
    }
}

fn told(reading: &Reading) -> Told {
    match reading {
        Ok(outcome) => Told {
            has_data: outcome.len > 0 || outcome.diverging.is_some(),
            failed: false,
            high_watermark: outcome.high_watermark,
            last_stable_offset: outcome.last_stable_offset,
            log_start_offset: outcome.log_start_offset,
        },
        Err(_) => {
            Told { has_data: false, failed: true, high_watermark: -1, last_stable_offset: -1, log_start_offset: -1 }
        }
    }
}

/// Cuts the end off a reading; a client ignores a batch that is cut in the middle.
fn truncate(outcome: &mut FetchOutcome, len: usize) {
    let mut left = len;
    outcome.slices.retain_mut(|slice| {
        let kept = match slice {
            ReadSlice::Memory(bytes) => {
                bytes.truncate(left);
                bytes.len()
            }
            ReadSlice::File(file) => {
                file.len = file.len.min(left);
                file.len
            }
        };
        left -= kept;
        kept > 0
    });
    outcome.len = len - left;
}

/// An answer under construction: the message, and the slices that fill its gaps, in order.
#[derive(Default)]
struct Answer {
    response: FetchResponse,
    slices: Vec<Vec<ReadSlice>>,
}

impl Answer {
    fn add(&mut self, target: &FetchTarget, (data, slices): (PartitionData, Vec<ReadSlice>)) {
        if matches!(data.records, Some(Records::Elsewhere(_))) {
            self.slices.push(slices);
        }
        let topics = &mut self.response.responses;
        match topics.last_mut() {
            Some(last) if last.topic == target.topic && last.topic_id == target.topic_id => last.partitions.push(data),
            _ => topics.push(FetchableTopicResponse {
                topic: target.topic.clone(),
                topic_id: target.topic_id,
                partitions: vec![data],
            }),
        }
    }

    fn into_reply(self, context: &Context) -> Reply {
        let counters = &context.shard.metrics().counters;
        for slice in self.slices.iter().flatten() {
            match slice {
                ReadSlice::Memory(bytes) => counters.bytes_out_tail.add(bytes.len() as u64),
                ReadSlice::File(file) => counters.bytes_out_sendfile.add(file.len as u64),
            }
        }
        let pieces = context.frame(&self.response).freeze_pieces();
        let mut parts = Vec::with_capacity(2 * pieces.len());
        let mut slices = self.slices.into_iter();
        for piece in pieces {
            parts.push(Part::Memory(piece));
            parts.extend(slices.next().into_iter().flatten().map(Part::from));
        }
        Reply::Parts(parts)
    }
}
