//! The cluster that groups under test see.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::super::consumer::assignor::Assignor;
use super::super::consumer::{ConsumerLimits, MigrationPolicy};
use super::super::{Cluster, ConsumerSettings, TopicFacts};
use crate::wire::{KafkaString, Uuid};

/// Topics that come, grow and go.
#[derive(Clone, Debug, Default)]
pub struct World(Rc<RefCell<State>>);

#[derive(Debug, Default)]
struct State {
    topics: BTreeMap<KafkaString, TopicFacts>,
    version: i64,
    assignment_interval_ms: i32,
}

pub const SESSION_MS: i32 = 45_000;
pub const HEARTBEAT_MS: i32 = 5_000;
pub const REFRESH_MS: i64 = 600_000;

pub fn consumer_limits() -> ConsumerLimits {
    ConsumerLimits {
        size_max: 3,
        assignors: vec![Assignor::Uniform, Assignor::Range],
        migration: MigrationPolicy::Bidirectional,
        pattern_refresh_interval_ms: REFRESH_MS,
    }
}

impl World {
    /// Makes a topic, or changes the number of its partitions.
    pub fn put(&self, name: &str, partition_count: i32) -> Uuid {
        let mut state = self.0.borrow_mut();
        state.version += 1;
        let new_id = Uuid::from_u128(u128::from(state.version.unsigned_abs()) << 8);
        let id = state.topics.get(name).map_or(new_id, |topic| topic.id);
        state.topics.insert(name.into(), TopicFacts { id, name: name.into(), partition_count });
        id
    }

    /// Deletes a topic.
    pub fn remove(&self, name: &str) {
        let mut state = self.0.borrow_mut();
        state.version += 1;
        state.topics.remove(name);
    }

    /// Sets `consumer.assignment.interval.ms`.
    pub fn assign_every(&self, interval_ms: i32) {
        self.0.borrow_mut().assignment_interval_ms = interval_ms;
    }
}

impl Cluster for World {
    fn version(&self) -> i64 {
        self.0.borrow().version
    }

    fn topic(&self, name: &str) -> Option<TopicFacts> {
        self.0.borrow().topics.get(name).cloned()
    }

    fn topic_name(&self, id: Uuid) -> Option<KafkaString> {
        self.0.borrow().topics.values().find(|topic| topic.id == id).map(|topic| topic.name.clone())
    }

    fn topic_names(&self) -> Vec<KafkaString> {
        self.0.borrow().topics.keys().cloned().collect()
    }

    fn racks(&self, _topic: Uuid, _partition: i32) -> Vec<KafkaString> {
        Vec::new()
    }

    fn consumer_settings(&self, _group_id: &str) -> ConsumerSettings {
        ConsumerSettings {
            session_timeout_ms: SESSION_MS,
            heartbeat_interval_ms: HEARTBEAT_MS,
            assignment_interval_ms: self.0.borrow().assignment_interval_ms,
        }
    }
}
