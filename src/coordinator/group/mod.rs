//! Groups and their offsets: the machine behind one partition of `__consumer_offsets`.
//!
//! - `messages.rs`   what can be asked and what is answered
//! - `offsets.rs`    committed offsets, those of open transactions, and their records
//! - `commit.rs`     OffsetCommit, OffsetFetch, OffsetDelete
//! - `transactional.rs`  TxnOffsetCommit and the end of transactions
//! - `classic.rs`, `member.rs`   a classic group: members, protocols, states; no timers, no answers
//! - `join.rs`, `sync.rs`, `leave.rs`, `rebalance.rs`   JoinGroup, SyncGroup, Heartbeat, LeaveGroup, and what time does
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
mod commit;
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
mod tests;

use std::collections::HashMap;

use ahash::RandomState;

use super::{Effects, Machine, Now, Replayed, Ticket, Timers, TransactionEnd};
use crate::wire::{DecodeError, KafkaString};

pub use classic::{ClassicGroup, ClassicState};
pub use member::Member;
pub use messages::{
    CommitInTransaction, CommitOffsets, FetchOffsets, GroupRequest, GroupResponse, JoinGroup, MissingGroup, NewOffset,
    Stability,
};
pub use offsets::{OffsetAndMetadata, Offsets};

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
    Expiry,
}

/// All groups of one partition of `__consumer_offsets`.
pub struct Groups {
    groups: HashMap<KafkaString, ClassicGroup, RandomState>,
    offsets: Offsets,
    timers: Timers<Timer, Due>,
    settings: GroupSettings,
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
    pub fn new(settings: GroupSettings) -> Groups {
        let (groups, offsets, timers) = (HashMap::default(), Offsets::default(), Timers::default());
        Groups { groups, offsets, timers, settings, expiring: Vec::new() }
    }

    /// The number of groups.
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// The number of committed offsets.
    pub fn offset_count(&self) -> usize {
        self.offsets.count()
    }

    /// A group, and what else its rules may touch.
    fn group_and_around<'a>(
        &'a mut self,
        group_id: &str,
        now: Now,
        effects: &'a mut Effects<GroupResponse>,
    ) -> Option<(&'a mut ClassicGroup, Around<'a>)> {
        let Groups { groups, timers, settings, .. } = self;
        Some((groups.get_mut(group_id)?, Around { timers, settings, now, effects }))
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
