//! What nobody uses any more: offsets past `offsets.retention.minutes`, and groups without members and offsets (KIP-211).

use super::classic::{ClassicGroup, ClassicState};
use super::messages::GroupResponse;
use super::offsets::{NO_EXPIRY, OffsetAndMetadata};
use super::{Due, Group, Groups, Timer};
use crate::coordinator::{Effects, Now};
use crate::wire::KafkaString;

/// Groups and offsets that are looked at before others get their turn.
const SEEN_AT_A_TIME: usize = 1000;

/// From when on an offset's retention counts.
enum Since {
    /// From its commit.
    Commit,
    /// From when the group became empty.
    Empty(i64),
}

impl Groups {
    /// Sets the next search.
    pub(super) fn schedule_expiry(&mut self, now: Now) {
        let at_ms = now.monotonic_ms.saturating_add(self.settings.retention_check_interval_ms);
        self.timers.schedule(Timer::Expiry, at_ms, Due::Expiry);
    }

    /// Deletes what has expired, some groups at a time; the next ones come right after what else is to be done.
    pub(super) fn expire(&mut self, now: Now, effects: &mut Effects<GroupResponse>) {
        if self.expiring.is_empty() {
            self.expiring = self.groups.keys().cloned().collect();
        }
        let mut seen = 0;
        while seen < SEEN_AT_A_TIME
            && let Some(id) = self.expiring.pop()
        {
            seen += self.expire_group(&id, now, effects);
        }
        if self.expiring.is_empty() {
            return self.schedule_expiry(now);
        }
        self.timers.schedule(Timer::Expiry, now.monotonic_ms.saturating_add(1), Due::Expiry);
    }

    /// Deletes what has expired of a group, or all of it. Answers how much was looked at.
    fn expire_group(&mut self, id: &KafkaString, now: Now, effects: &mut Effects<GroupResponse>) -> usize {
        let Some(group) = self.groups.get(id) else { return 1 };
        let mut expired = Vec::new();
        let mut keeps_some = false;
        let mut seen = 1;
        for (topic, partition, offset) in self.offsets.of_group(id) {
            seen += 1;
            let is_expired = !group.is_subscribed_to(topic)
                && group.offsets_expire_since().is_some_and(|since| self.is_expired(offset, &since, now))
                && !self.offsets.is_pending(id, topic, partition);
            if is_expired {
                expired.push((topic.clone(), partition));
            } else {
                keeps_some = true;
            }
        }
        let is_waited_for = matches!(group, Group::Classic(group) if !group.pending_members.is_empty());
        let is_over = group.is_empty() && !is_waited_for && !keeps_some;
        // What the log does not take stays until the next search.
        let removed = self.remove_offsets(id, expired, effects);
        if removed.is_ok() && is_over && !self.offsets.has_open_transactions(id) {
            let _ = self.delete_group(id, effects);
        }
        seen
    }

    fn is_expired(&self, offset: &OffsetAndMetadata, since: &Since, now: Now) -> bool {
        if offset.expire_timestamp_ms != NO_EXPIRY {
            return now.wall_ms >= offset.expire_timestamp_ms;
        }
        let since_ms = match since {
            Since::Commit => offset.commit_timestamp_ms,
            Since::Empty(since_ms) => *since_ms,
        };
        now.wall_ms.saturating_sub(since_ms) >= self.settings.retention_ms
    }
}

impl Group {
    /// From when on its offsets age; `None`: they don't now.
    fn offsets_expire_since(&self) -> Option<Since> {
        match self {
            Group::Classic(group) => group.offsets_expire_since(),
            Group::Consumer(_) => Some(Since::Commit),
        }
    }
}

impl ClassicGroup {
    /// From when on its offsets age; `None`: they don't now.
    fn offsets_expire_since(&self) -> Option<Since> {
        if self.protocol_type.is_none() {
            return Some(Since::Commit);
        }
        match self.state() {
            ClassicState::Empty => Some(self.state_since_ms.map_or(Since::Commit, Since::Empty)),
            // Members live; what none of them reads any more may go.
            ClassicState::Stable if self.is_of_consumers() && self.knows_subscriptions() => Some(Since::Commit),
            _ => None,
        }
    }
}
