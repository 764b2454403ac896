//! TxnOffsetCommit, and the end of a transaction in a partition of `__consumer_offsets` (KIP-98, KIP-447).

use super::classic::ClassicGroup;
use super::messages::{CommitInTransaction, GroupResponse};
use super::offsets::{NO_EXPIRY, OffsetAndMetadata};
use super::{Groups, own};
use crate::coordinator::{Effects, Marker, Now, TooLarge};
use crate::protocol::ErrorCode;

impl Groups {
    /// Commits offsets that hold when the transaction does: one code per offset, or one for all.
    pub(super) fn commit_in_transaction(
        &mut self,
        request: &CommitInTransaction,
        now: Now,
        effects: &mut Effects<GroupResponse>,
    ) -> Result<Vec<ErrorCode>, ErrorCode> {
        let commit = &request.commit;
        match self.groups.get(&commit.group_id) {
            Some(group) => group.check_commit_in_transaction(
                &commit.member_id,
                commit.group_instance_id.as_deref(),
                commit.generation,
            )?,
            None if commit.generation < 0 => {}
            None => return Err(ErrorCode::IllegalGeneration),
        }
        let metadata_max = self.settings.metadata_len_max;
        let mut codes = Vec::with_capacity(commit.offsets.len());
        let mut stored = Vec::with_capacity(commit.offsets.len());
        let mut records = Vec::with_capacity(commit.offsets.len());
        for new in &commit.offsets {
            let units = new.metadata.as_ref().map_or(0, |text| text.encode_utf16().count());
            if units > metadata_max {
                codes.push(ErrorCode::OffsetMetadataTooLarge);
                continue;
            }
            codes.push(ErrorCode::None);
            let value = OffsetAndMetadata {
                offset: new.offset,
                leader_epoch: new.leader_epoch,
                metadata: new.metadata.as_ref().map(own).unwrap_or_default(),
                commit_timestamp_ms: now.wall_ms,
                expire_timestamp_ms: NO_EXPIRY,
                topic_id: new.topic_id,
            };
            records.push(value.to_record(&commit.group_id, &new.topic, new.partition));
            stored.push((new, value));
        }
        effects.write_in_transaction(request.producer, records).map_err(|TooLarge| ErrorCode::UnknownServerError)?;
        let id = &commit.group_id;
        if !self.groups.contains_key(id) {
            self.groups.insert(own(id), ClassicGroup::empty(own(id), now.wall_ms));
        }
        for (new, value) in stored {
            self.offsets.put_pending(request.producer.0, id, &new.topic, new.partition, value);
        }
        Ok(codes)
    }

    /// A transaction has ended: its marker is written behind all that it wrote here.
    pub(super) fn end_here(&mut self, producer: (i64, i16), marker: Marker, effects: &mut Effects<GroupResponse>) {
        effects.write_marker(producer, marker);
        self.offsets.end_transaction(producer.0, marker.end);
    }
}
