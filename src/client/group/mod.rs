//! A member of a consumer group: gets partitions, reads them, gives signs of life, commits what was read.
//!
//! | file | what |
//! |---|---|
//! | `settings.rs` | what the properties of a consumer say of it |
//! | `member.rs` | what members of both protocols are: an id, partitions, commits, a coordinator |
//! | `classic.rs` | joining a classic group |
//! | `consumer.rs` | the heartbeats of KIP-848 |
//! | `protocol.rs` | what is in the messages, and the range assignor |

mod classic;
mod consumer;
mod member;
pub(super) mod protocol;
mod settings;

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use self::classic::ClassicMember;
use self::consumer::ConsumerMember;
use self::member::Member;
use self::settings::{GroupProtocol, Settings};
use super::{Client, ClientConfig, ClientError, ConsumedRecord, OffsetSpec, TopicPartition};
use crate::protocol::ErrorCode;

/// How often a commit is tried again in a new epoch.
const COMMITS_MAX: usize = 5;

/// Says which topics a member wants, when somebody asks.
pub type Wanted<'a> = &'a mut dyn FnMut(&mut Client) -> Result<Vec<String>, ClientError>;

/// A consumer whose partitions its group decides.
#[derive(Debug)]
pub struct GroupConsumer {
    member: Member,
    side: Side,
}

/// The side that the coordinator sees.
#[derive(Debug)]
enum Side {
    Classic(ClassicMember),
    Consumer(ConsumerMember),
}

/// What happened to a member's partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupEvent {
    /// It has got these.
    Assigned(Vec<TopicPartition>),
    /// It has given up these, or lost them.
    Revoked(Vec<TopicPartition>),
}

impl GroupConsumer {
    /// A member of `group.id`; `start` is where partitions begin that the group has not committed, which is an error without it.
    pub fn new(config: ClientConfig, start: Option<OffsetSpec>) -> Result<GroupConsumer, ClientError> {
        let settings = Settings::new(&config.properties, start)?;
        let side = match &settings.protocol {
            GroupProtocol::Classic => Side::Classic(ClassicMember::new()),
            GroupProtocol::Consumer { .. } => Side::Consumer(ConsumerMember::new()),
        };
        let mut member = Member::new(config, settings)?;
        if let Side::Consumer(_) = side {
            member.draw_id();
        }
        Ok(GroupConsumer { member, side })
    }

    /// Records of the partitions that the group gives us, within `timeout`.
    pub fn poll(&mut self, timeout: Duration, topics: Wanted<'_>) -> Result<Vec<ConsumedRecord>, ClientError> {
        let deadline = Instant::now() + timeout;
        if !self.stay(deadline, topics)? {
            return Ok(Vec::new());
        }
        self.member.consumer.poll(deadline.saturating_duration_since(Instant::now()))
    }

    /// Stays a member for `timeout` without reading, for callers that read themselves and say where they are by
    /// [`move_to`](Self::move_to).
    pub fn keep_up(&mut self, timeout: Duration, topics: Wanted<'_>) -> Result<(), ClientError> {
        let deadline = Instant::now() + timeout;
        self.stay(deadline, topics)?;
        thread::sleep(deadline.saturating_duration_since(Instant::now()));
        Ok(())
    }

    /// Where each partition is read next.
    pub fn positions(&self) -> &BTreeMap<TopicPartition, i64> {
        self.member.consumer.positions()
    }

    /// A partition that we have was read up to `offset` by the caller.
    pub fn move_to(&mut self, partition: &TopicPartition, offset: i64) {
        self.member.consumer.move_to(partition, offset);
    }

    /// Joins, or gives a sign of life; whether we are in the group and know our partitions.
    fn stay(&mut self, deadline: Instant, topics: Wanted<'_>) -> Result<bool, ClientError> {
        while !self.is_in() {
            let left = deadline.saturating_duration_since(Instant::now());
            let went = match &mut self.side {
                Side::Classic(side) => side.advance(&mut self.member, left, topics),
                Side::Consumer(side) => side.join(&mut self.member, topics),
            };
            went.or_else(|error| self.recover(error))?;
            if Instant::now() >= deadline {
                return Ok(false);
            }
        }
        let kept = match &mut self.side {
            Side::Classic(side) => side.keep_alive(&mut self.member, topics),
            Side::Consumer(side) => side.keep_alive(&mut self.member, topics),
        };
        match kept {
            Ok(()) => Ok(true),
            Err(error) => self.recover(error).map(|()| false),
        }
    }

    /// Records that were polled and not used: they are not committed.
    pub fn unread(&mut self, records: &[ConsumedRecord]) {
        self.member.consumer.unread(records);
    }

    /// What happened to our partitions since the last call.
    pub fn take_events(&mut self) -> Vec<GroupEvent> {
        std::mem::take(&mut self.member.events)
    }

    /// Commits these offsets.
    pub fn commit_offsets(&mut self, offsets: Vec<(TopicPartition, i64)>) -> Result<(), ClientError> {
        for _ in 1..COMMITS_MAX {
            let committed = self.member.commit_offsets(offsets.clone());
            match (&mut self.side, &committed) {
                // The epoch moved since our last heartbeat; our partitions need not have.
                (Side::Consumer(side), Err(error)) if error.code() == Some(ErrorCode::StaleMemberEpoch) => {
                    side.heartbeat(&mut self.member)?;
                }
                _ => return committed,
            }
        }
        self.member.commit_offsets(offsets)
    }

    /// Commits what was read and leaves the group, if we are in it. A static member stays a member.
    pub fn close(&mut self) -> Result<(), ClientError> {
        if self.is_in() && self.member.settings.auto_commit.is_some() {
            let moved = self.member.moved();
            self.commit_offsets(moved)?;
        }
        self.member.revoke_all();
        match &mut self.side {
            Side::Classic(side) => side.leave(&mut self.member),
            Side::Consumer(side) => side.leave(&mut self.member),
        }
    }

    fn is_in(&self) -> bool {
        match &self.side {
            Side::Classic(side) => side.is_in(),
            Side::Consumer(side) => side.is_in(),
        }
    }

    /// What can be mended by joining again is; everything else is the caller's.
    fn recover(&mut self, error: ClientError) -> Result<(), ClientError> {
        match &mut self.side {
            Side::Classic(side) => side.recover(&mut self.member, error),
            Side::Consumer(side) => side.recover(&mut self.member, error),
        }
    }
}
