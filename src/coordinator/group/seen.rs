//! What a simulation looks at: who is in a group, what of the state must survive, and what is left behind.

use std::collections::{BTreeMap, BTreeSet};

use super::classic::{ClassicGroup, ClassicState};
use super::consumer::ConsumerMember;
use super::{Group, Groups};
use crate::wire::KafkaString;

/// The members that the coordinator counts on.
#[derive(Clone, Debug)]
pub enum Membership {
    /// Those of a classic group.
    Classic {
        /// The present one.
        generation: i32,
        /// Their ids.
        members: BTreeSet<KafkaString>,
    },
    /// Those of a consumer group.
    Consumer {
        /// Their ids, with the epoch of each and the one before.
        members: BTreeMap<KafkaString, (i32, i32)>,
    },
}

/// What there is at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Groups.
    pub groups: usize,
    /// Committed offsets.
    pub offsets: usize,
    /// Open transactions with offsets.
    pub transactions: usize,
    /// Timers.
    pub timers: usize,
}

impl Groups {
    /// Who is in a group.
    pub fn membership(&self, id: &str) -> Option<Membership> {
        match self.groups.get(id)? {
            Group::Classic(group) => Some(Membership::Classic {
                generation: group.generation,
                members: group.members.keys().cloned().collect(),
            }),
            Group::Consumer(group) => {
                let epochs = |member: &ConsumerMember| (member.current.epoch, member.current.previous_epoch);
                let members = group.members.iter().map(|(id, member)| (id.clone(), epochs(member)));
                Some(Membership::Consumer { members: members.collect() })
            }
        }
    }

    /// Kafka's word for where a group stands.
    pub fn state_of(&self, id: &str) -> Option<&'static str> {
        Some(match self.groups.get(id)? {
            Group::Classic(group) => group.state().name(),
            Group::Consumer(group) => group.state().name(),
        })
    }

    /// What there is.
    pub fn leftovers(&self) -> Leftovers {
        Leftovers {
            groups: self.groups.len(),
            offsets: self.offsets.count(),
            transactions: self.offsets.open_count(),
            timers: self.timers.count(),
        }
    }

    /// The groups that are between two records.
    pub fn unsettled(&self) -> BTreeSet<String> {
        let is_unsettled = |group: &Group| match group {
            Group::Classic(group) => !matches!(group.state(), ClassicState::Stable | ClassicState::Empty),
            Group::Consumer(_) => false,
        };
        self.groups.iter().filter(|(_, group)| is_unsettled(group)).map(|(id, _)| id.to_string()).collect()
    }

    /// What must survive, as text by name.
    pub fn durable(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for (id, group) in &self.groups {
            let text = match group {
                // It may hold offsets that are gone by now.
                Group::Classic(group) if group.protocol_type.is_none() && group.members.is_empty() => continue,
                Group::Classic(group) => group.durable(),
                Group::Consumer(group) => group.durable(),
            };
            all.insert(format!("group {id}"), text);
        }
        self.offsets.durable(&mut all);
        all
    }
}

impl ClassicGroup {
    fn durable(&self) -> String {
        let protocol = self.protocol.clone().unwrap_or_default();
        let members: Vec<_> = self.members.values().map(|member| member.to_record(&protocol)).collect();
        let (generation, leader) = (self.generation, &self.leader);
        format!("classic {generation} {:?} {:?} {leader:?} {members:?}", self.protocol_type, self.protocol)
    }
}
