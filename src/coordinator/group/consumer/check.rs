//! Whether a member may commit and fetch offsets, and how a group looks to administrators.

use super::member::ConsumerMember;
use super::{ConsumerGroup, View};
use crate::protocol::ErrorCode;
use crate::protocol::consumer_group_describe::DescribedGroup;
use crate::wire::{KafkaString, Uuid};

/// Who commits offsets.
#[derive(Clone, Copy, Debug)]
pub struct Committer<'a> {
    /// The member, or empty.
    pub member_id: &'a str,
    /// The static member.
    pub instance_id: Option<&'a str>,
    /// Its epoch, or its generation.
    pub epoch: i32,
}

/// How offsets are committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitKind {
    /// OffsetCommit.
    Plain {
        /// From v9: members of this protocol may use it.
        knows_epochs: bool,
    },
    /// TxnOffsetCommit.
    InTransaction,
}

impl ConsumerGroup {
    /// Whether offsets of these partitions may be committed now. A member that is behind may commit what it had already in its
    /// epoch (KIP-1251).
    pub fn check_commit<'a>(
        &self,
        committer: Committer<'_>,
        kind: CommitKind,
        mut partitions: impl Iterator<Item = (Uuid, i32)> + 'a,
    ) -> Result<(), ErrorCode> {
        let Committer { member_id, instance_id, epoch } = committer;
        if epoch < 0 && self.members.is_empty() {
            return Ok(());
        }
        let is_nobody = epoch == -1 && member_id.is_empty() && instance_id.is_none();
        if kind == CommitKind::InTransaction && is_nobody {
            return Ok(());
        }
        let member = self.members.get(member_id).ok_or(ErrorCode::UnknownMemberId)?;
        if !member.is_classic() && kind == (CommitKind::Plain { knows_epochs: false }) {
            return Err(ErrorCode::UnsupportedVersion);
        }
        let stale = match kind {
            CommitKind::Plain { .. } => stale_code(member),
            CommitKind::InTransaction => ErrorCode::IllegalGeneration,
        };
        if epoch > member.current.epoch {
            return Err(stale);
        }
        let is_current = |(topic, partition): (Uuid, i32)| {
            member.current.epoch_of(topic, partition).is_some_and(|since| since <= epoch)
        };
        if epoch == member.current.epoch || partitions.all(is_current) { Ok(()) } else { Err(stale) }
    }

    /// Whether a member may fetch offsets now; who names no member may.
    pub fn check_fetch(&self, member_id: Option<&KafkaString>, epoch: i32) -> Result<(), ErrorCode> {
        if member_id.is_none() && epoch < 0 {
            return Ok(());
        }
        let member = member_id.and_then(|id| self.members.get(id)).ok_or(ErrorCode::UnknownMemberId)?;
        if epoch == member.current.epoch { Ok(()) } else { Err(stale_code(member)) }
    }

    /// As ConsumerGroupDescribe shows it.
    pub(super) fn describe(&self, view: &View<'_>) -> DescribedGroup {
        let members = self.members.values().map(|member| member.describe(self.targets.get(&member.id), view.cluster));
        let assignor = self.wanted_assignor().unwrap_or_else(|| view.settings.consumer.default_assignor());
        DescribedGroup {
            group_id: self.id.clone(),
            group_state: KafkaString::from_static(self.state().name()),
            group_epoch: self.epoch,
            assignment_epoch: self.assignment_epoch,
            assignor_name: KafkaString::from_static(assignor.name()),
            members: members.collect(),
            ..Default::default()
        }
    }
}

/// What a member with an old epoch is told, in the words of its protocol.
fn stale_code(member: &ConsumerMember) -> ErrorCode {
    if member.is_classic() { ErrorCode::IllegalGeneration } else { ErrorCode::StaleMemberEpoch }
}
