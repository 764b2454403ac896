//! Groups and their offsets: the machine behind one partition of `__consumer_offsets`.
//!
//! - `messages.rs`   what can be asked and what is answered
//! - `offsets.rs`    committed offsets, those of open transactions, and their records
//! - `commit.rs`     OffsetCommit, OffsetFetch, OffsetDelete
//! - `transactional.rs`  TxnOffsetCommit and the end of transactions
//! - `classic.rs`, `member.rs`   a classic group: members, protocols, states; no timers, no answers
//! - `join.rs`, `sync.rs`, `leave.rs`, `rebalance.rs`   JoinGroup, SyncGroup, Heartbeat, LeaveGroup, and what time does
//! - `consumer/`     consumer groups: the protocol of KIP-848
//! - `cluster.rs`    what groups ask of the cluster: topics, racks, settings
//! - `admin.rs`      DescribeGroups, ListGroups, DeleteGroups
//! - `expiry.rs`     offsets and groups that nobody uses any more
//! - `replay.rs`     records back into state
//!
//! A classic group's states, as in Kafka:
//!
//! ```text
//!            first member joins             all joined, or time is up          leader's SyncGroup
//!   Empty ------------------> PreparingRebalance ------------> CompletingRebalance ------------> Stable
//!     ^                         |       ^  ^                          |                             |
//!     +---- nobody left --------+       |  +-- join, leave, time -----+                             |
//!                                       +------------------- join, leave, session ends -------------+
//! ```

mod admin;
mod classic;
mod cluster;
mod commit;
pub mod consumer;
mod expiry;
mod join;
mod leave;
mod member;
mod messages;
mod offsets;
mod rebalance;
mod replay;
mod sync;
mod transactional;

#[cfg(test)]
mod seen;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use super::{CoordinatorRecord, Effects, Machine, Now, Replayed, Ticket, Timers, TransactionEnd};
use crate::wire::{DecodeError, KafkaString, RandomState};

pub use classic::{ClassicGroup, ClassicState};
pub use cluster::{Cluster, ConsumerSettings, TopicFacts};
pub use consumer::{ConsumerGroup, ConsumerHeartbeat, ConsumerLimits};
pub use member::Member;
pub use messages::{
    CommitInTransaction, CommitOffsets, FetchOffsets, GroupRequest, GroupResponse, JoinGroup, MissingGroup, NewOffset,
    Stability,
};
pub use offsets::{OffsetAndMetadata, Offsets};
#[cfg(test)]
pub use seen::{Leftovers, Membership};

use classic::Parked;

/// The part of the broker's configuration that groups need.
#[derive(Clone, Debug)]
pub struct GroupSettings {
    /// `offset.metadata.max.bytes`; Java's length, in UTF-16 units.
    pub metadata_len_max: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub retention_ms: i64,
    /// `offsets.retention.check.interval.ms`
    pub retention_check_interval_ms: i64,
    /// `group.initial.rebalance.delay.ms`
    pub initial_rebalance_delay_ms: i64,
    /// `group.min.session.timeout.ms`
    pub session_timeout_min_ms: i32,
    /// `group.max.session.timeout.ms`
    pub session_timeout_max_ms: i32,
    /// `group.max.size`
    pub size_max: usize,
    /// Those of consumer groups.
    pub consumer: ConsumerLimits,
}

/// Names of timers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Timer {
    /// The session of a member: group, member.
    Session(KafkaString, KafkaString),
    /// The join phase of a group.
    Join(KafkaString),
    /// The members that have not synced yet.
    Sync(KafkaString),
    /// What a member of a consumer group must give up: group, member.
    Revocation(KafkaString, KafkaString),
    /// A classic member of a consumer group that must join again.
    Rejoin(KafkaString, KafkaString),
    /// A classic member of a consumer group that has joined and must sync.
    Resync(KafkaString, KafkaString),
    /// The patterns of a consumer group.
    Patterns(KafkaString),
    /// The search for expired offsets.
    Expiry,
}

/// What a timer does.
#[derive(Clone, Debug)]
enum Due {
    SessionEnds,
    /// The first rebalance: how long it waited this time, and how long it may go on.
    InitialRebalance {
        delay_ms: i64,
        remaining_ms: i64,
    },
    JoinEnds,
    SyncEnds {
        generation: i32,
    },
    RevocationEnds {
        epoch: i32,
    },
    RejoinEnds,
    ResyncEnds,
    Patterns,
    Expiry,
}

/// A group of either protocol.
#[derive(Debug)]
enum Group {
    Classic(Box<ClassicGroup>),
    Consumer(Box<ConsumerGroup>),
}

impl Group {
    /// A group that holds offsets and no more.
    fn simple(id: &KafkaString, now_ms: i64) -> Group {
        Group::Classic(Box::new(ClassicGroup::empty(own(id), now_ms)))
    }

    /// Whether it has no members, and none is about to join.
    fn is_empty(&self) -> bool {
        match self {
            Group::Classic(group) => group.state() == ClassicState::Empty,
            Group::Consumer(group) => group.is_empty(),
        }
    }

    /// Whether a member may read this topic; when that is not known it may.
    fn is_subscribed_to(&self, topic: &str) -> bool {
        match self {
            Group::Classic(group) => group.is_subscribed_to(topic),
            Group::Consumer(group) => group.is_subscribed_to(topic),
        }
    }

    /// The records that it leaves nothing behind.
    fn tombstones(&self) -> Vec<CoordinatorRecord> {
        match self {
            Group::Classic(group) => vec![group.tombstone()],
            Group::Consumer(group) => group.records(&group.tombstones()),
        }
    }
}

/// All groups of one partition of `__consumer_offsets`.
pub struct Groups {
    groups: HashMap<KafkaString, Group, RandomState>,
    offsets: Offsets,
    timers: Timers<Timer, Due>,
    settings: GroupSettings,
    cluster: Box<dyn Cluster>,
    /// Groups that the search for expired offsets has still to look at.
    expiring: Vec<KafkaString>,
}

/// What the rules of one group may touch beside the group.
struct Around<'a> {
    timers: &'a mut Timers<Timer, Due>,
    settings: &'a GroupSettings,
    now: Now,
    effects: &'a mut Effects<GroupResponse>,
}

impl Groups {
    /// No groups yet.
    pub fn new(settings: GroupSettings, cluster: Box<dyn Cluster>) -> Groups {
        let (groups, offsets, timers) = (HashMap::default(), Offsets::default(), Timers::default());
        Groups { groups, offsets, timers, settings, cluster, expiring: Vec::new() }
    }

    /// The number of groups.
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// The number of committed offsets.
    pub fn offset_count(&self) -> usize {
        self.offsets.count()
    }

    /// Everything that is committed: group, topic, partition, next offset.
    pub fn committed(&self) -> impl Iterator<Item = (&KafkaString, &KafkaString, i32, i64)> {
        self.offsets.committed()
    }

    /// A classic group, if this is one.
    fn classic(&self, group_id: &str) -> Option<&ClassicGroup> {
        match self.groups.get(group_id)? {
            Group::Classic(group) => Some(group),
            Group::Consumer(_) => None,
        }
    }

    /// Whether this is a consumer group.
    fn is_consumer_group(&self, group_id: &str) -> bool {
        matches!(self.groups.get(group_id), Some(Group::Consumer(_)))
    }

    /// A classic group, and what else its rules may touch.
    fn group_and_around<'a>(
        &'a mut self,
        group_id: &str,
        now: Now,
        effects: &'a mut Effects<GroupResponse>,
    ) -> Option<(&'a mut ClassicGroup, Around<'a>)> {
        let Groups { groups, timers, settings, .. } = self;
        let Group::Classic(group) = groups.get_mut(group_id)? else { return None };
        Some((group, Around { timers, settings, now, effects }))
    }
}

impl Machine for Groups {
    type Request = GroupRequest;
    type Response = GroupResponse;

    fn replay(&mut self, record: &Replayed) -> Result<(), DecodeError> {
        self.replay_record(record)
    }

    fn end_transaction(&mut self, producer_id: i64, end: TransactionEnd) {
        self.offsets.end_transaction(producer_id, end);
    }

    fn loaded(&mut self, now: Now, effects: &mut Effects<GroupResponse>) {
        self.start_sessions(now, effects);
        self.start_consumer_sessions(now);
        self.schedule_expiry(now);
    }

    fn handle(&mut self, request: GroupRequest, ticket: Ticket, now: Now, effects: &mut Effects<GroupResponse>) {
        let response = match request {
            GroupRequest::Commit(commit) => GroupResponse::Committed(self.commit_offsets(&commit, now, effects)),
            GroupRequest::CommitInTransaction(commit) => {
                GroupResponse::Committed(self.commit_in_transaction(&commit, now, effects))
            }
            GroupRequest::EndTransaction { producer, marker } => {
                self.end_here(producer, marker, effects);
                GroupResponse::Done
            }
            GroupRequest::Fetch(fetch) => GroupResponse::Offsets(self.fetch_offsets(&fetch)),
            GroupRequest::DeleteOffsets(request) => {
                GroupResponse::OffsetsDeleted(self.delete_offsets(&request, effects))
            }
            GroupRequest::Join(join) => return self.join(&join, ticket, now, effects),
            GroupRequest::Sync(request) => return self.sync(&request, ticket, now, effects),
            GroupRequest::Heartbeat(request) => GroupResponse::Heartbeat(self.heartbeat(&request, now, effects)),
            GroupRequest::Leave(request) => GroupResponse::Left(self.leave(&request, now, effects)),
            GroupRequest::Describe(groups) => GroupResponse::Described(self.describe(&groups)),
            GroupRequest::ConsumerHeartbeat(beat) => {
                GroupResponse::ConsumerHeartbeat(self.consumer_heartbeat(&beat, now, effects))
            }
            GroupRequest::DescribeConsumers(groups) => {
                GroupResponse::ConsumersDescribed(self.describe_consumers(&groups, now))
            }
            GroupRequest::List { states, types } => GroupResponse::Listed(self.list(&states, &types)),
            GroupRequest::Delete(groups) => GroupResponse::Deleted(self.delete_groups(&groups, effects)),
            GroupRequest::TopicsDeleted(topics) => {
                self.forget_topics(&topics, effects);
                GroupResponse::Done
            }
        };
        effects.answer(ticket, response);
    }

    fn next_deadline_ms(&self) -> Option<i64> {
        self.timers.next_deadline_ms()
    }

    fn fire(&mut self, now: Now, effects: &mut Effects<GroupResponse>) {
        while let Some((timer, due)) = self.timers.pop_due(now.monotonic_ms) {
            match (timer, due) {
                (Timer::Expiry, _) => self.expire(now, effects),
                (Timer::Session(group_id, member_id), _) if self.is_consumer_group(&group_id) => {
                    self.consumer_time_over(&group_id, &member_id, "its session ended", now, effects);
                }
                (Timer::Rejoin(group_id, member_id), _) => {
                    self.consumer_time_over(&group_id, &member_id, "it did not join again in time", now, effects);
                }
                (Timer::Resync(group_id, member_id), _) => {
                    self.consumer_time_over(&group_id, &member_id, "it did not sync in time", now, effects);
                }
                (Timer::Revocation(group_id, member_id), due) => {
                    if let Due::RevocationEnds { epoch } = due {
                        self.revocation_ended(&group_id, &member_id, epoch, now, effects);
                    }
                }
                (Timer::Patterns(group_id), _) => self.match_patterns(&group_id, now, effects),
                (Timer::Session(group_id, member_id), _) => {
                    if let Some((group, mut around)) = self.group_and_around(&group_id, now, effects) {
                        group.session_ended(&member_id, &mut around);
                    }
                }
                (Timer::Join(group_id) | Timer::Sync(group_id), due) => {
                    if let Some((group, mut around)) = self.group_and_around(&group_id, now, effects) {
                        group.phase_ended(&due, &mut around);
                    }
                }
            }
        }
    }
}

/// A copy of the text alone: the state outlives the request or log chunk whose memory `text` shares.
fn own(text: &KafkaString) -> KafkaString {
    KafkaString::from(text.as_str())
}

/// Who is parked on a ticket and what it is told.
impl Around<'_> {
    fn answer_join(&mut self, parked: Option<Parked>, response: crate::protocol::join_group::JoinGroupResponse) {
        if let Some(Parked(ticket)) = parked {
            self.effects.answer(ticket, GroupResponse::Joined(response));
        }
    }

    fn answer_sync(&mut self, parked: Option<Parked>, response: crate::protocol::sync_group::SyncGroupResponse) {
        if let Some(Parked(ticket)) = parked {
            self.effects.answer(ticket, GroupResponse::Synced(response));
        }
    }
}
