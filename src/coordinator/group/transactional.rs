//! TxnOffsetCommit, and the end of a transaction in a partition of `__consumer_offsets` (KIP-98, KIP-447).

use super::Groups;
use super::commit::Planned;
use super::consumer::CommitKind;
use super::messages::{CommitInTransaction, GroupResponse};
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
        self.check_group(commit, CommitKind::InTransaction)?;
        let Planned { codes, records, stored } = self.plan_offsets(commit, now);
        effects.write_in_transaction(request.producer, records).map_err(|TooLarge| ErrorCode::UnknownServerError)?;
        let id = &commit.group_id;
        self.ensure_group(id, now);
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
