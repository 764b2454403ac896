//! Server-side assignors: who of a consumer group reads which partitions.
//!
//! - `uniform.rs`   as evenly as can be, moving as little as can be; members that subscribe alike
//! - `balance.rs`   the same for members that subscribe differently
//! - `range.rs`     neighbouring partitions, the same of each topic to the same member

mod balance;
mod range;
mod uniform;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::member::Partitions;
use crate::wire::Uuid;

/// A member as an assignor sees it.
#[derive(Clone, Copy, Debug)]
pub struct Subscriber<'a> {
    /// Its id.
    pub id: &'a str,
    /// The user's name for it, of a static member.
    pub instance_id: Option<&'a str>,
    /// What it subscribed to; all of these exist.
    pub topics: &'a BTreeSet<Uuid>,
    /// What was meant for it so far.
    pub assigned: &'a Partitions,
}

/// A group as an assignor sees it.
#[derive(Clone, Copy, Debug)]
pub struct GroupSpec<'a> {
    /// Its members, ordered by id.
    pub members: &'a [Subscriber<'a>],
    /// The number of partitions of each topic that anybody subscribed to.
    pub partition_counts: &'a BTreeMap<Uuid, i32>,
    /// Whether all subscribed to the same topics.
    pub alike: bool,
}

impl GroupSpec<'_> {
    /// Partitions of a topic.
    fn partition_count(&self, topic: &Uuid) -> i32 {
        self.partition_counts.get(topic).copied().unwrap_or(0)
    }
}

/// A way of assigning partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignor {
    /// Evenly, and sticky.
    Uniform,
    /// Ranges of each topic.
    Range,
}

impl Assignor {
    /// All of them.
    pub const ALL: [Assignor; 2] = [Assignor::Uniform, Assignor::Range];

    /// Kafka's name.
    pub fn name(self) -> &'static str {
        match self {
            Assignor::Uniform => "uniform",
            Assignor::Range => "range",
        }
    }

    /// Kafka's class, by which it may be configured as well.
    fn class(self) -> &'static str {
        match self {
            Assignor::Uniform => "org.apache.kafka.coordinator.group.assignor.UniformAssignor",
            Assignor::Range => "org.apache.kafka.coordinator.group.assignor.RangeAssignor",
        }
    }

    /// The assignor of a name or class.
    pub fn from_config(text: &str) -> Option<Assignor> {
        Assignor::ALL.into_iter().find(|assignor| text == assignor.name() || text == assignor.class())
    }

    /// What each member shall get, in the members' order.
    pub fn assign(self, spec: &GroupSpec<'_>) -> Vec<Partitions> {
        match self {
            _ if spec.members.is_empty() => Vec::new(),
            Assignor::Range => range::assign(spec),
            Assignor::Uniform if spec.alike => uniform::assign(spec),
            Assignor::Uniform => balance::assign(spec),
        }
    }
}
