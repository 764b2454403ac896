//! What the groups of this shard do and how far behind they are, for the metrics.

use std::rc::Rc;
use std::time::Duration;

use super::Coordinators;
use crate::coordinator::group::Groups;
use crate::metrics::{GroupLag, GroupStates};
use crate::rt;
use crate::shard::{Shard, TopicPartition};
use crate::wire::KafkaString;

/// Pause between two looks at all groups.
const PAUSE: Duration = Duration::from_secs(5);
/// After so many partitions others have their turn.
const TURN: usize = 16;

/// Group, topic, partition, next offset.
type Committed = (KafkaString, KafkaString, i32, i64);

impl Coordinators {
    /// What the groups here have committed, up to a bound.
    fn committed(&self, count_max: usize) -> Vec<Committed> {
        let mut all = Vec::new();
        for runner in self.runners() {
            let taken = runner.look(|groups: &Groups| {
                let some = groups.committed().take(count_max - all.len());
                some.map(|(group, topic, index, offset)| (group.clone(), topic.clone(), index, offset)).collect()
            });
            all.extend(taken.unwrap_or_else(Vec::new));
        }
        all
    }

    /// How many groups there are here, by type and state.
    fn group_states(&self) -> GroupStates {
        let mut counts = GroupStates::new();
        for runner in self.runners() {
            runner.look(|groups: &Groups| groups.states().for_each(|state| *counts.entry(state).or_default() += 1));
        }
        counts
    }
}

impl Shard {
    /// Looks at the groups from time to time, as long as the shard lives.
    pub(in crate::shard) async fn watch_groups(self: Rc<Self>) {
        while !self.is_stopping() {
            rt::sleep(PAUSE).await;
            self.metrics.set_group_states(self.coordinators.group_states());
            let lags = self.group_lags().await;
            self.metrics.set_group_lags(lags);
        }
    }

    /// The lags on partitions that this broker leads.
    async fn group_lags(&self) -> Vec<GroupLag> {
        let committed = self.coordinators.committed(self.metrics.group_lags_max());
        let mut lags = Vec::with_capacity(committed.len());
        for (nth, (group, topic, partition, offset)) in committed.into_iter().enumerate() {
            if nth % TURN == TURN - 1 {
                rt::yield_now().await;
            }
            let Some(topic_id) = self.image().topics().by_name(&topic).map(|found| found.id) else { continue };
            // A partition that is led elsewhere or can't be read is left out.
            let Ok(lag) = self.lag(TopicPartition { topic_id, index: partition }, offset).await else { continue };
            let now_ms = rt::clock::now_ms();
            let age_ms = match (lag.records, lag.waiting_since_ms) {
                (0, _) => Some(0),
                (_, since) => since.map(|since_ms| (now_ms - since_ms).max(0)),
            };
            let (group, topic) = (group.to_string(), topic.to_string());
            lags.push(GroupLag { group, topic, partition, records: lag.records, age_ms });
        }
        lags
    }
}
