//! Members of real groups: a thread for each joins, gives signs of life and commits, while the event loop reads what it was given.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::cluster::Run;
use crate::client::{ClientConfig, ClientError, GroupConsumer, GroupEvent, OffsetSpec, Properties, TopicPartition};

/// How often a member looks after its group.
const TURN: Duration = Duration::from_millis(50);

/// Where a member is, for its commits: by the place of the partition in the run, -1 where it does not read.
pub type Positions = Arc<Vec<AtomicI64>>;

/// What a member is told by its group.
#[derive(Debug)]
pub enum Dealt {
    /// It reads these from now on, from these offsets.
    Assigned(Vec<(u32, i64)>),
    /// It reads these no more.
    Revoked(Vec<u32>),
    /// It can't be a member.
    Failed(ClientError),
}

/// A member's part in its group, which its properties name.
pub struct Membership {
    pub run: Arc<Run>,
    pub properties: Properties,
    pub topics: Vec<String>,
    pub start: OffsetSpec,
    pub positions: Positions,
}

impl Membership {
    /// Stays a member until the run is over; `tell` hands over what the group deals.
    pub fn keep(self, config: ClientConfig, tell: impl Fn(Dealt)) {
        if let Err(error) = self.stay(config, &tell) {
            tell(Dealt::Failed(error));
        }
    }

    fn stay(&self, mut config: ClientConfig, tell: &impl Fn(Dealt)) -> Result<(), ClientError> {
        config.properties.merge(self.properties.clone());
        let mut group = GroupConsumer::new(config, Some(self.start))?;
        let mut places: HashMap<TopicPartition, u32> = HashMap::new();
        for topic in &self.run.topics {
            let all = (0..topic.partitions).map(|index| ((topic.name.clone(), index as i32), topic.first + index));
            places.extend(all);
        }
        while !self.run.is_over.load(Ordering::Relaxed) {
            group.keep_up(TURN, &mut |_| Ok(self.topics.clone()))?;
            for event in group.take_events() {
                match event {
                    GroupEvent::Assigned(partitions) => {
                        let at = |partition: &TopicPartition| {
                            let offset = group.positions().get(partition).copied().unwrap_or(0);
                            Some((*places.get(partition)?, offset))
                        };
                        tell(Dealt::Assigned(partitions.iter().filter_map(at).collect()));
                    }
                    GroupEvent::Revoked(partitions) => {
                        let his = partitions.iter().filter_map(|partition| places.get(partition).copied());
                        tell(Dealt::Revoked(his.collect()));
                    }
                }
            }
            let known: Vec<TopicPartition> = group.positions().keys().cloned().collect();
            for partition in known {
                let Some(place) = places.get(&partition) else { continue };
                let position = self.positions[*place as usize].load(Ordering::Relaxed);
                if position >= 0 {
                    group.move_to(&partition, position);
                }
            }
        }
        group.close()
    }
}
