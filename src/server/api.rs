//! THE table of APIs: which versions are served, whether requests may overlap, and which handler file serves them.
//!
//! A new API is a message table in `protocol/`, a file in `handlers/`, and a row here.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::client::Client;
use super::connection::Reply;
use super::handlers;
use super::refusals::Refuse;
use super::rejection::Rejection;
use crate::metadata::ControllerHandle;
use crate::metrics::{FrameRejection, RequestTime};
use crate::protocol::frame;
use crate::protocol::{ApiKey, ErrorCode, Message, Request, RequestHeader};
use crate::rt;
use crate::rt::stages::{self, Stage};
use crate::shard::Shard;
use crate::wire::{DecodeError, KafkaString, Reader, Writer};

/// Whether a request may run while earlier ones of its connection wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// Yes: it starts at once, its response keeps its place.
    Allowed,
    /// No: it waits for those before it.
    Never,
}

/// What a handler knows of the request besides its body.
pub struct Context {
    /// The shard that owns the connection.
    pub shard: Rc<Shard>,
    /// The connection's client.
    pub client: Rc<Client>,
    /// The client's own name for itself, from the request header.
    pub client_id: Option<KafkaString>,
    api_key: ApiKey,
    version: i16,
    correlation_id: i32,
}

impl Context {
    /// The request's version: for what two versions mean differently with the same fields.
    pub fn version(&self) -> i16 {
        self.version
    }

    /// Who changes the metadata.
    pub fn controller(&self) -> &ControllerHandle {
        &self.shard.broker.controller
    }

    /// The answer to a request for the controller when it has stopped.
    pub fn controller_stopped<R: Refuse>(&self, request: &R) -> R::Response {
        request.refused(ErrorCode::NotController, self.version)
    }

    /// The response as a frame.
    pub fn encode<M: Message>(&self, response: &M) -> Reply {
        Reply::Frame(self.frame(response).freeze())
    }

    /// The response as a frame that may have gaps, for one that is sent in pieces.
    pub fn frame<M: Message>(&self, response: &M) -> Writer {
        stages::set(Stage::Respond);
        let metrics = &self.shard.metrics().requests;
        response.each_error(&mut |code| {
            metrics.record_error(self.api_key as usize, code);
            if code != 0 {
                self.client.note_error(self.api_key, code);
            }
        });
        let header_version = self.api_key.response_header_version(self.version);
        frame::response(self.correlation_id, header_version, response, self.version)
    }
}

type Running = Pin<Box<dyn Future<Output = Reply>>>;
type Start = fn(Context, Reader) -> Result<Running, DecodeError>;

/// A row of the table.
pub struct Api {
    /// The API.
    pub key: ApiKey,
    /// First version in the ApiVersions answer. It is below `first` for Produce alone: see KAFKA-18659.
    pub advertised_from: i16,
    /// First version served.
    pub first: i16,
    /// Last version served.
    pub last: i16,
    overlap: Overlap,
    start: Start,
}

/// A handler that returns its response message.
fn answers<R, F>(context: Context, mut body: Reader, handler: fn(Rc<Context>, R) -> F) -> Result<Running, DecodeError>
where
    R: Request + 'static,
    R::Response: 'static,
    F: Future<Output = R::Response> + 'static,
{
    let request = R::decode(&mut body, context.version)?;
    let context = Rc::new(context);
    let response = handler(Rc::clone(&context), request);
    Ok(Box::pin(async move { context.encode(&response.await) }))
}

/// A handler that frames its reply itself.
fn replies<R, F>(context: Context, mut body: Reader, handler: fn(Context, R) -> F) -> Result<Running, DecodeError>
where
    R: Request + 'static,
    F: Future<Output = Reply> + 'static,
{
    let request = R::decode(&mut body, context.version)?;
    Ok(Box::pin(handler(context, request)))
}

macro_rules! row {
    ($key:ident $first:literal - $last:literal, $kind:ident $handler:path) => {
        Api {
            key: ApiKey::$key,
            advertised_from: $first,
            first: $first,
            last: $last,
            overlap: Overlap::Never,
            start: |context, body| $kind(context, body, $handler),
        }
    };
}

/// Every API that is served, by key.
pub static APIS: &[Api] = &[
    Api { advertised_from: 0, overlap: Overlap::Allowed, ..row!(Produce 3 - 13, replies handlers::produce::handle) },
    Api { overlap: Overlap::Allowed, ..row!(Fetch 4 - 18, replies handlers::fetch::handle) },
    row!(ListOffsets 1 - 11, answers handlers::list_offsets::handle),
    row!(Metadata 0 - 13, answers handlers::metadata::handle),
    // Commits of a connection reach the coordinator in their order and are stored in it, many in one write.
    Api { overlap: Overlap::Allowed, ..row!(OffsetCommit 2 - 10, answers handlers::offset_commit::handle) },
    row!(OffsetFetch 1 - 10, answers handlers::offset_fetch::handle),
    row!(FindCoordinator 0 - 6, answers handlers::find_coordinator::handle),
    row!(JoinGroup 0 - 9, answers handlers::groups::join),
    row!(Heartbeat 0 - 4, answers handlers::groups::heartbeat),
    row!(LeaveGroup 0 - 5, answers handlers::groups::leave),
    row!(SyncGroup 0 - 5, answers handlers::groups::sync),
    row!(DescribeGroups 0 - 6, answers handlers::group_admin::describe),
    row!(ListGroups 0 - 5, answers handlers::group_admin::list),
    row!(ApiVersions 0 - 4, answers handlers::api_versions::handle),
    row!(CreateTopics 2 - 7, answers handlers::topics::create),
    row!(DeleteTopics 1 - 6, answers handlers::topics::delete),
    row!(DeleteRecords 0 - 2, answers handlers::delete_records::handle),
    row!(InitProducerId 0 - 5, answers handlers::init_producer_id::handle),
    row!(OffsetForLeaderEpoch 2 - 4, answers handlers::offset_for_leader_epoch::handle),
    row!(AddPartitionsToTxn 0 - 5, answers handlers::transactions::add_partitions),
    row!(AddOffsetsToTxn 0 - 4, answers handlers::transactions::add_offsets),
    row!(EndTxn 0 - 5, answers handlers::transactions::end),
    row!(WriteTxnMarkers 1 - 2, answers handlers::write_txn_markers::handle),
    row!(TxnOffsetCommit 0 - 5, answers handlers::txn_offset_commit::handle),
    row!(DescribeConfigs 1 - 4, answers handlers::configs::describe),
    row!(AlterConfigs 0 - 2, answers handlers::configs::alter),
    row!(DescribeLogDirs 1 - 5, answers handlers::describe_log_dirs::handle),
    row!(CreatePartitions 0 - 3, answers handlers::topics::create_partitions),
    row!(DeleteGroups 0 - 2, answers handlers::group_admin::delete),
    row!(ElectLeaders 0 - 2, answers handlers::cluster::elect_leaders),
    row!(IncrementalAlterConfigs 0 - 1, answers handlers::configs::incremental_alter),
    row!(AlterPartitionReassignments 0 - 1, answers handlers::cluster::alter_reassignments),
    row!(ListPartitionReassignments 0 - 0, answers handlers::cluster::list_reassignments),
    row!(OffsetDelete 0 - 0, answers handlers::group_admin::delete_offsets),
    row!(DescribeQuorum 0 - 2, answers handlers::cluster::describe_quorum),
    row!(UpdateFeatures 0 - 2, answers handlers::cluster::update_features),
    row!(DescribeCluster 0 - 2, answers handlers::cluster::describe),
    row!(DescribeProducers 0 - 0, answers handlers::describe_producers::handle),
    row!(UnregisterBroker 0 - 0, answers handlers::cluster::unregister_broker),
    row!(DescribeTransactions 0 - 0, answers handlers::transaction_admin::describe),
    row!(ListTransactions 0 - 2, answers handlers::transaction_admin::list),
    row!(ConsumerGroupHeartbeat 0 - 1, answers handlers::consumer_groups::heartbeat),
    row!(ConsumerGroupDescribe 0 - 1, answers handlers::consumer_groups::describe),
    row!(GetTelemetrySubscriptions 0 - 0, answers handlers::telemetry::subscriptions),
    row!(PushTelemetry 0 - 0, answers handlers::telemetry::push),
    row!(ListConfigResources 0 - 1, answers handlers::configs::list_resources),
    row!(DescribeTopicPartitions 0 - 0, answers handlers::topic_partitions::handle),
];

/// The row of an API, if it is served.
pub fn find(key: i16) -> Option<&'static Api> {
    let position = APIS.binary_search_by_key(&key, |api| api.key as i16).ok()?;
    APIS.get(position)
}

/// A request that was started; it is counted when it has its reply.
pub struct Serving {
    running: Running,
    counted: Option<Counted>,
}

/// What is counted of a request.
struct Counted {
    begun: Instant,
    /// When it had to wait for the first time.
    waits_since: Option<Instant>,
    api_key: ApiKey,
    frame_len: usize,
    client: Rc<Client>,
}

impl Serving {
    /// Goes on with the request as far as it goes now.
    pub fn poll(&mut self, shard: &Shard, cx: &mut TaskContext<'_>) -> Poll<Reply> {
        if let Some(Counted { api_key, .. }) = &self.counted {
            // Of these two the parts have stages of their own.
            stages::set(if matches!(api_key, ApiKey::Produce | ApiKey::Fetch) { Stage::Decode } else { Stage::Serve });
        }
        let Poll::Ready(reply) = self.running.as_mut().poll(cx) else {
            if let Some(Counted { waits_since: waits_since @ None, .. }) = &mut self.counted {
                *waits_since = Some(rt::clock::monotonic());
            }
            return Poll::Pending;
        };
        if let Some(Counted { begun, waits_since, api_key, frame_len, client }) = self.counted.take() {
            let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            let total_ns = ns(begun.elapsed());
            let local_ns = waits_since.map_or(total_ns, |since| ns(since.saturating_duration_since(begun)));
            let metrics = shard.metrics();
            metrics.counters.requests.increment();
            let time = RequestTime { total_ns, local_ns };
            metrics.requests.record(api_key as usize, frame_len as u64, reply.len() as u64, time);
            client.end(api_key, time);
        }
        Poll::Ready(reply)
    }
}

/// A request that was understood and may be polled.
pub struct Accepted {
    /// Whether it may overlap with those before it.
    pub overlap: Overlap,
    /// The request, started.
    pub serving: Serving,
}

/// Why a frame cannot be served; the connection ends with it, as in Kafka.
pub struct Refusal {
    /// For the counter.
    pub rejection: Rejection,
    /// For the log.
    pub text: String,
}

impl Refusal {
    fn new(rejection: Rejection, text: String) -> Refusal {
        Refusal { rejection, text }
    }
}

/// Reads a frame's header, finds its row, decodes its body.
pub fn accept(shard: &Rc<Shard>, client: &Rc<Client>, frame: Bytes) -> Result<Accepted, Refusal> {
    let begun = rt::clock::monotonic();
    let frame_len = frame.len();
    let mut reader = Reader::new(frame);
    let header = RequestHeader::decode(&mut reader).map_err(|error| {
        Refusal::new(
            Rejection::Frame(FrameRejection::Malformed),
            format!("a request header that cannot be read: {error}"),
        )
    })?;
    let (key, version) = (header.api_key, header.api_version);
    let Some(api) = find(key) else {
        return Err(Refusal::new(
            Rejection::Frame(FrameRejection::UnknownApi),
            format!("a request of the unknown API {key}"),
        ));
    };
    let served = (api.first..=api.last).contains(&version);
    if !served && api.key == ApiKey::ApiVersions {
        let reply = handlers::api_versions::unsupported(header.correlation_id);
        let running = Box::pin(async move { reply });
        return Ok(Accepted { overlap: Overlap::Never, serving: Serving { running, counted: None } });
    }
    if !served {
        let text = format!("{:?} version {version} (served: {} to {})", api.key, api.first, api.last);
        return Err(Refusal::new(Rejection::Frame(FrameRejection::UnknownApi), text));
    }
    client.note_request(header.client_id.as_ref());
    let context = Context {
        shard: Rc::clone(shard),
        client: Rc::clone(client),
        client_id: header.client_id,
        api_key: api.key,
        version,
        correlation_id: header.correlation_id,
    };
    let running = (api.start)(context, reader).map_err(|error| {
        Refusal::new(
            Rejection::Frame(FrameRejection::Malformed),
            format!("a {:?} request (version {version}) that cannot be read: {error}", api.key),
        )
    })?;
    client.begin(api.key, begun);
    let client = Rc::clone(client);
    let counted = Counted { begun, waits_since: None, api_key: api.key, frame_len, client };
    let serving = Serving { running, counted: Some(counted) };
    Ok(Accepted { overlap: api.overlap, serving })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_the_order_of_their_keys() {
        assert!(APIS.windows(2).all(|pair| (pair[0].key as i16) < (pair[1].key as i16)));
    }

    #[test]
    fn only_produce_is_advertised_below_what_is_served() {
        for api in APIS {
            assert_eq!(api.advertised_from == api.first, api.key != ApiKey::Produce);
        }
    }
}
