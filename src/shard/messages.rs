//! The only types that cross cores: small, `Send`, and each operation answers through a one-shot reply.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::TopicPartition;
use super::coordinators::CoordinatorAnswer;
use crate::config::BrokerConfig;
use crate::coordinator::group::{GroupRequest, GroupResponse};
use crate::coordinator::txn::{TxnRequest, TxnResponse};
use crate::log::LogError;
use crate::metadata::MetadataImage;
use crate::partition::{
    AppendError, AppendOp, AppendOutcome, FetchError, FetchOp, FetchOutcome, FoundOffset, Isolation, Lag, OffsetSpec,
    ProducerInfo,
};
use crate::rt::mesh;
use crate::server::connection::MovedConnection;

/// Where an answer goes; it may be dropped when nobody waits any more.
pub type ReplyTo<T> = oneshot::Sender<T>;

/// Asks every shard, from a thread that is none of theirs; the answers come in the order of the shards. A shard that is stopping
/// may drop its reply.
pub fn ask_all<T>(
    shards: &[mesh::Sender<ShardRequest>],
    request: impl Fn(ReplyTo<T>) -> ShardRequest,
) -> Vec<oneshot::Receiver<T>> {
    let ask = |shard: &mesh::Sender<ShardRequest>| {
        let (reply, answer) = oneshot::channel();
        shard.send_blocking(request(reply));
        answer
    };
    shards.iter().map(ask).collect()
}

/// An operation on one partition, or `NotHere` when the shard does not lead it (any more).
#[derive(Debug, Clone)]
pub enum PartitionError<E> {
    /// The partition is not on this broker, or not yet, or no longer.
    NotHere,
    /// Its log directory has failed.
    Offline,
    /// The operation's own error.
    Failed(E),
}

/// The outcome of an operation on one partition.
pub type PartitionResult<T, E> = Result<T, PartitionError<E>>;

/// What DescribeLogDirs tells of one partition.
#[derive(Debug, Clone)]
pub struct PartitionUsage {
    /// The partition.
    pub partition: TopicPartition,
    /// Topic name.
    pub topic: Arc<str>,
    /// Index of its directory in `log.dirs`.
    pub dir: usize,
    /// Bytes of its segments.
    pub size_bytes: u64,
    /// Number of its segments.
    pub segments: usize,
    /// First offset.
    pub log_start_offset: i64,
    /// Next offset.
    pub log_end_offset: i64,
    /// Next offset that consumers can't read yet.
    pub high_watermark: i64,
}

/// A message to a shard.
pub enum ShardRequest {
    /// Append to a partition; with `Acks::All` the answer waits for the device.
    Append(TopicPartition, AppendOp, ReplyTo<PartitionResult<AppendOutcome, AppendError>>),
    /// Read from a partition: answers where the bytes are.
    Fetch(TopicPartition, FetchOp, ReplyTo<PartitionResult<FetchOutcome, FetchError>>),
    /// Answer when there may be more than up to the offset given last.
    AwaitChange(TopicPartition, Isolation, i64, ReplyTo<()>),
    /// Look up an offset.
    FindOffset(TopicPartition, OffsetSpec, Isolation, i32, ReplyTo<PartitionResult<Option<FoundOffset>, FetchError>>),
    /// Where a leader epoch ends: epoch asked for, current leader epoch of the client.
    EndOfEpoch(TopicPartition, i32, i32, ReplyTo<PartitionResult<(i32, i64), FetchError>>),
    /// Move the log start.
    DeleteRecords(TopicPartition, i64, ReplyTo<PartitionResult<i64, FetchError>>),
    /// How far behind a consumer is who has read up to this offset.
    Lag(TopicPartition, i64, ReplyTo<PartitionResult<Lag, FetchError>>),
    /// The producers that a partition knows.
    Producers(TopicPartition, ReplyTo<PartitionResult<Vec<ProducerInfo>, FetchError>>),
    /// Ask the groups of a partition of `__consumer_offsets`; the answer may take as long as a rebalance.
    Group(TopicPartition, GroupRequest, ReplyTo<CoordinatorAnswer<GroupResponse>>),
    /// Ask the transactions of a partition of `__transaction_state`.
    Transaction(TopicPartition, TxnRequest, ReplyTo<CoordinatorAnswer<TxnResponse>>),
    /// Sizes of all partitions of the shard.
    Usage(ReplyTo<Vec<PartitionUsage>>),
    /// Take over a new metadata image; the answer comes when partitions are created, changed and deleted accordingly.
    Apply(Arc<MetadataImage>, ReplyTo<()>),
    /// Run with this configuration from now on, under the dynamic values that the metadata has.
    Reconfigure(Arc<BrokerConfig>, ReplyTo<()>),
    /// Answer: the event loop goes round.
    Ping(ReplyTo<()>),
    /// A fetch session that may be kept here: its id.
    TakeFetchSession(i32, ReplyTo<Option<crate::server::fetch_sessions::FetchSession>>),
    /// Serve this connection from now on.
    Connection(Box<MovedConnection>),
    /// Start accepting.
    Listen(Vec<(Arc<str>, std::os::fd::OwnedFd)>, ReplyTo<std::io::Result<()>>),
    /// Close the logs and end.
    Stop(ReplyTo<Vec<LogError>>),
}
