//! What can be asked of the groups, and what they answer. All of it crosses cores.

use super::consumer::ConsumerHeartbeat;
use crate::coordinator::Marker;
use crate::protocol::ErrorCode;
use crate::protocol::consumer_group_describe::DescribedGroup as DescribedConsumerGroup;
use crate::protocol::consumer_group_heartbeat::ConsumerGroupHeartbeatResponse;
use crate::protocol::delete_groups::DeletableGroupResult;
use crate::protocol::describe_groups::DescribedGroup;
use crate::protocol::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use crate::protocol::join_group::{JoinGroupRequest, JoinGroupResponse};
use crate::protocol::leave_group::{LeaveGroupRequest, LeaveGroupResponse};
use crate::protocol::list_groups::ListedGroup;
use crate::protocol::offset_delete::{OffsetDeleteRequest, OffsetDeleteResponse};
use crate::protocol::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchResponseGroup};
use crate::protocol::sync_group::{SyncGroupRequest, SyncGroupResponse};
use crate::record::Verification;
use crate::wire::{KafkaString, Uuid};

/// A request to the groups of one partition.
#[derive(Clone, Debug)]
pub enum GroupRequest {
    /// OffsetCommit.
    Commit(Box<CommitOffsets>),
    /// TxnOffsetCommit.
    CommitInTransaction(Box<CommitInTransaction>),
    /// WriteTxnMarkers: the marker is written and the offsets of the transaction hold, or never were.
    EndTransaction {
        /// Producer id and epoch.
        producer: (i64, i16),
        /// How it ended.
        marker: Marker,
    },
    /// OffsetFetch of one group.
    Fetch(Box<FetchOffsets>),
    /// OffsetDelete of known partitions.
    DeleteOffsets(Box<OffsetDeleteRequest>),
    /// JoinGroup; may wait for the whole group.
    Join(Box<JoinGroup>),
    /// SyncGroup; may wait for the leader.
    Sync(Box<SyncGroupRequest>),
    /// Heartbeat.
    Heartbeat(Box<HeartbeatRequest>),
    /// LeaveGroup, in the form of v3 and later.
    Leave(Box<LeaveGroupRequest>),
    /// ConsumerGroupHeartbeat.
    ConsumerHeartbeat(Box<ConsumerHeartbeat>),
    /// DescribeGroups.
    Describe(Vec<KafkaString>),
    /// ConsumerGroupDescribe.
    DescribeConsumers(Vec<KafkaString>),
    /// ListGroups.
    List {
        /// `states_filter`
        states: Vec<KafkaString>,
        /// `types_filter`
        types: Vec<KafkaString>,
    },
    /// DeleteGroups.
    Delete(Vec<KafkaString>),
    /// Topics are gone: so are their offsets.
    TopicsDeleted(Vec<(KafkaString, Uuid)>),
}

/// The answer to the request of the same kind.
#[derive(Clone, Debug, PartialEq)]
pub enum GroupResponse {
    /// One code per offset, in their order; or one for all.
    Committed(Result<Vec<ErrorCode>, ErrorCode>),
    /// The partition is not known to be part of the transaction: ask the transaction's coordinator, and again with this guard.
    Unverified {
        /// For [`Verification::Done`].
        guard: u64,
    },
    /// The partition takes no such end of a transaction.
    EndRefused(ErrorCode),
    /// The offsets of a group; or one code for all of them.
    Offsets(OffsetFetchResponseGroup),
    /// OffsetDelete.
    OffsetsDeleted(OffsetDeleteResponse),
    /// JoinGroup.
    Joined(JoinGroupResponse),
    /// SyncGroup.
    Synced(SyncGroupResponse),
    /// Heartbeat.
    Heartbeat(HeartbeatResponse),
    /// ConsumerGroupHeartbeat.
    ConsumerHeartbeat(ConsumerGroupHeartbeatResponse),
    /// ConsumerGroupDescribe; a group that is not here, or not one of these, is `GROUP_ID_NOT_FOUND`.
    ConsumersDescribed(Vec<DescribedConsumerGroup>),
    /// LeaveGroup, in the form of v3 and later.
    Left(LeaveGroupResponse),
    /// DescribeGroups; a group that is not here is `GROUP_ID_NOT_FOUND`.
    Described(Vec<DescribedGroup>),
    /// ListGroups.
    Listed(Vec<ListedGroup>),
    /// DeleteGroups.
    Deleted(Vec<DeletableGroupResult>),
    /// It was done and there is nothing to tell.
    Done,
}

/// The offsets of known partitions that a group commits.
#[derive(Clone, Debug)]
pub struct CommitOffsets {
    /// The group.
    pub group_id: KafkaString,
    /// Generation, or negative for a consumer without group management.
    pub generation: i32,
    /// The member, or empty.
    pub member_id: KafkaString,
    /// The static member.
    pub group_instance_id: Option<KafkaString>,
    /// Until v4: how long they are kept; -1: as long as the broker says.
    pub retention_time_ms: i64,
    /// What is answered when there is no such group.
    pub missing_group: MissingGroup,
    /// The offsets.
    pub offsets: Vec<NewOffset>,
}

/// The offsets that a transaction commits.
#[derive(Clone, Debug)]
pub struct CommitInTransaction {
    /// Producer id and epoch.
    pub producer: (i64, i16),
    /// Whether the transaction's coordinator has confirmed that the group is part of the transaction.
    pub verification: Verification,
    /// The offsets; a missing group and a retention are not looked at.
    pub commit: CommitOffsets,
}

/// What a member of a group that does not exist is told: it depends on the version (KIP-848).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingGroup {
    /// Up to v8: `ILLEGAL_GENERATION`.
    IllegalGeneration,
    /// From v9: `GROUP_ID_NOT_FOUND`.
    NotFound,
}

/// An offset to be committed.
#[derive(Clone, Debug)]
pub struct NewOffset {
    /// Topic name.
    pub topic: KafkaString,
    /// Topic id.
    pub topic_id: Uuid,
    /// Partition index.
    pub partition: i32,
    /// The next record to be read.
    pub offset: i64,
    /// Leader epoch of the last one read, -1 if not known.
    pub leader_epoch: i32,
    /// The client's own text.
    pub metadata: Option<KafkaString>,
}

/// The offsets that are asked for: topics with names, and with ids where the request had them.
#[derive(Clone, Debug)]
pub struct FetchOffsets {
    /// Group, member, topics; null topics are all.
    pub request: OffsetFetchRequestGroup,
    /// `require_stable`
    pub stability: Stability,
}

/// Whether offsets of open transactions hold up the answer (KIP-447).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stability {
    /// They do: `UNSTABLE_OFFSET_COMMIT`.
    Required,
    /// The last committed ones are fine.
    Any,
}

/// A JoinGroup, and what the machine can't know.
#[derive(Clone, Debug)]
pub struct JoinGroup {
    /// As it came; from v1 on with a rebalance timeout, before with the session's.
    pub request: JoinGroupRequest,
    /// The client's name for itself.
    pub client_id: KafkaString,
    /// Its address as Java writes it: `/127.0.0.1`.
    pub client_host: KafkaString,
    /// Random text for a new member's id.
    pub random: KafkaString,
    /// The same for a new member of a consumer group, whose ids are written in another way.
    pub random_id: KafkaString,
    /// From v4: a new member is told its id and joins again with it (KIP-394).
    pub member_id_required: bool,
    /// From v9: a static leader that comes back is told to skip the assignment (KIP-814).
    pub may_skip_assignment: bool,
}
