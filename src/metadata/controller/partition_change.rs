//! One change of one partition: who is in sync, who may lead, who leads (KIP-966 where it is switched on).
//!
//! A caller says what it wants (`target_*`); [`PartitionChange::build`] elects, completes reassignments that
//! can be completed, keeps the eligible leader replicas, and answers the record, if anything changes.

use std::collections::{BTreeMap, BTreeSet};

use crate::metadata::image::{NO_LEADER, NO_LEADER_CHANGE, PartitionImage};
use crate::protocol::records::metadata::PartitionChangeRecord;
use crate::wire::Uuid;

/// The leader recovery state after an unclean election.
const RECOVERING: i8 = 1;
/// Below this `metadata.version` brokers need a new leader epoch when the in-sync replicas shrink.
const NO_EPOCH_BUMP_ON_SHRINK: i16 = 12;

/// How far an election may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Election {
    /// The first replica if it is in sync, else any that is.
    Preferred,
    /// Whoever leads now, else any replica that is in sync.
    Online,
    /// As `Online`, and at last any replica that is alive.
    Unclean,
}

/// What the change is decided on.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// Whether this broker may lead the partition now.
    pub can_lead: &'a dyn Fn(i32) -> bool,
    /// The log directory for a new replica on this broker.
    pub default_directory: &'a dyn Fn(i32) -> Uuid,
    /// `min.insync.replicas`, at most the number of replicas.
    pub min_isr: usize,
    /// Whether eligible leader replicas are switched on.
    pub elr_enabled: bool,
    /// The level of `metadata.version`.
    pub metadata_version: i16,
}

/// The change under construction.
pub struct PartitionChange<'a> {
    partition: &'a PartitionImage,
    surroundings: Surroundings<'a>,
    record: PartitionChangeRecord,
    /// How far the election may go.
    pub election: Election,
    /// In-sync replicas wanted.
    pub target_isr: Vec<i32>,
    /// Replicas wanted.
    pub target_replicas: Vec<i32>,
    /// Replicas to take away when the added ones are in sync.
    pub target_removing: Vec<i32>,
    /// Replicas being added.
    pub target_adding: Vec<i32>,
    /// Leader recovery state wanted.
    pub target_leader_recovery_state: i8,
    /// Replicas that may have lost their tail.
    pub unclean_shutdown_replicas: Vec<i32>,
    target_elr: Vec<i32>,
    target_directories: BTreeMap<i32, Uuid>,
}

impl<'a> PartitionChange<'a> {
    /// A change that changes nothing yet.
    pub fn new(topic_id: Uuid, index: i32, partition: &'a PartitionImage, surroundings: Surroundings<'a>) -> Self {
        let directories = partition.replicas.iter().copied().zip(partition.directories.iter().copied());
        PartitionChange {
            partition,
            surroundings,
            record: PartitionChangeRecord { topic_id, partition_id: index, ..Default::default() },
            election: Election::Online,
            target_isr: partition.isr.clone(),
            target_replicas: partition.replicas.clone(),
            target_removing: partition.removing_replicas.clone(),
            target_adding: partition.adding_replicas.clone(),
            target_leader_recovery_state: partition.leader_recovery_state,
            unclean_shutdown_replicas: Vec::new(),
            target_elr: partition.elr.clone(),
            target_directories: directories.collect(),
        }
    }

    /// Says in which directory the replica on a broker is.
    pub fn set_directory(&mut self, broker_id: i32, directory: Uuid) {
        self.target_directories.insert(broker_id, directory);
    }

    /// The record that makes the change; `None` when nothing changes.
    pub fn build(mut self) -> Option<PartitionChangeRecord> {
        let untouched = self.record.clone();
        self.complete_reassignment();
        self.populate_elr();
        self.elect();
        self.bump_leader_epoch_for_removed_replicas();
        self.record_elr();
        let isr_may_change = !self.target_isr.is_empty() || self.surroundings.elr_enabled;
        if self.record.isr.is_none() && isr_may_change && self.target_isr != self.partition.isr {
            self.record.isr = Some(self.target_isr.clone());
        }
        self.bump_leader_epoch_for_shrunk_isr();
        self.record_last_leader();
        self.record_assignment();
        if self.target_leader_recovery_state != self.partition.leader_recovery_state {
            self.record.leader_recovery_state = self.target_leader_recovery_state;
        }
        (self.record != untouched).then_some(self.record)
    }

    /// A reassignment is complete when all replicas that stay are in sync.
    fn complete_reassignment(&mut self) {
        if self.target_removing.is_empty() && self.target_adding.is_empty() {
            return;
        }
        let without = |list: &[i32], removed: &[i32]| -> Vec<i32> {
            list.iter().copied().filter(|replica| !removed.contains(replica)).collect()
        };
        let isr = without(&self.target_isr, &self.target_removing);
        let replicas = without(&self.target_replicas, &self.target_removing);
        if isr.is_empty() || replicas.is_empty() || !replicas.iter().all(|replica| isr.contains(replica)) {
            return;
        }
        self.target_isr = isr;
        self.target_replicas = replicas;
        self.target_removing.clear();
        self.target_adding.clear();
    }

    /// Who leaves the in-sync replicas below the minimum stays eligible, unless its tail may be lost.
    fn populate_elr(&mut self) {
        if !self.surroundings.elr_enabled {
            return;
        }
        if self.target_isr.len() >= self.surroundings.min_isr {
            self.target_elr.clear();
            return;
        }
        let candidates: BTreeSet<i32> = self.target_elr.iter().chain(&self.partition.isr).copied().collect();
        let eligible =
            |replica: &i32| !self.target_isr.contains(replica) && !self.unclean_shutdown_replicas.contains(replica);
        self.target_elr = candidates.into_iter().filter(eligible).collect();
    }

    fn elect(&mut self) {
        let (leader, unclean) = self.choose_leader();
        if leader == self.partition.leader {
            return;
        }
        if self.target_elr.contains(&leader) {
            self.target_isr = vec![leader];
            self.target_elr.retain(|replica| *replica != leader);
        }
        self.record.leader = leader;
        if unclean {
            // The others' records beyond the new leader's end are lost.
            self.record.isr = Some(vec![leader]);
            if self.partition.leader_recovery_state != RECOVERING {
                self.record.leader_recovery_state = RECOVERING;
            }
        }
    }

    /// The next leader, and whether choosing it may lose records.
    fn choose_leader(&self) -> (i32, bool) {
        let can_lead = self.surroundings.can_lead;
        let is_eligible = |replica: i32| {
            self.target_isr.contains(&replica) || (self.target_isr.is_empty() && self.target_elr.contains(&replica))
        };
        let is_valid = |replica: i32| is_eligible(replica) && can_lead(replica);
        if let (Election::Preferred, Some(&preferred)) = (self.election, self.target_replicas.first())
            && is_valid(preferred)
        {
            return (preferred, false);
        }
        if is_valid(self.partition.leader) {
            return (self.partition.leader, false);
        }
        if let Some(&replica) = self.target_replicas.iter().find(|replica| is_valid(**replica)) {
            return (replica, false);
        }
        if let Some(last_leader) = self.last_leader_if_electable() {
            return (last_leader, true);
        }
        if self.election == Election::Unclean
            && let Some(&replica) = self.target_replicas.iter().find(|replica| can_lead(**replica))
        {
            return (replica, true);
        }
        (NO_LEADER, false)
    }

    /// Nobody is in sync or eligible: the last leader has the most to offer (KIP-966, balanced recovery).
    fn last_leader_if_electable(&self) -> Option<i32> {
        let nobody_left = self.target_elr.is_empty() && self.target_isr.is_empty();
        match self.partition.last_known_elr[..] {
            [last] if self.surroundings.elr_enabled && nobody_left && (self.surroundings.can_lead)(last) => Some(last),
            _ => None,
        }
    }

    fn bump_leader_epoch_for_removed_replicas(&mut self) {
        let keeps_all = self.partition.replicas.iter().all(|replica| self.target_replicas.contains(replica));
        if self.record.leader == NO_LEADER_CHANGE && !keeps_all {
            self.record.leader = self.partition.leader;
        }
    }

    fn bump_leader_epoch_for_shrunk_isr(&mut self) {
        if self.surroundings.metadata_version >= NO_EPOCH_BUMP_ON_SHRINK || self.record.leader != NO_LEADER_CHANGE {
            return;
        }
        let Some(isr) = &self.record.isr else { return };
        if !self.partition.isr.iter().all(|replica| isr.contains(replica)) {
            self.record.leader = self.partition.leader;
        }
    }

    fn record_elr(&mut self) {
        if self.record.isr.is_some() || !self.surroundings.elr_enabled {
            self.target_elr.clear();
        }
        if self.target_elr != self.partition.elr {
            self.record.eligible_leader_replicas = Some(self.target_elr.clone());
        }
    }

    /// Remembers the leader when the partition loses it, and forgets it when there is one again.
    fn record_last_leader(&mut self) {
        if !self.surroundings.elr_enabled {
            return;
        }
        let partition = self.partition;
        let becomes_empty = self.record.isr.as_ref().is_some_and(Vec::is_empty);
        let will_have_leader =
            self.record.leader >= 0 || (partition.leader != NO_LEADER && self.record.leader != NO_LEADER);
        if becomes_empty && partition.last_known_elr != [partition.leader] {
            self.record.last_known_elr = Some(vec![partition.leader]);
        } else if will_have_leader && !partition.last_known_elr.is_empty() {
            self.record.last_known_elr = Some(Vec::new());
        }
    }

    fn record_assignment(&mut self) {
        if !self.target_replicas.is_empty() {
            let directory = |replica: &i32| {
                self.target_directories
                    .get(replica)
                    .copied()
                    .unwrap_or_else(|| (self.surroundings.default_directory)(*replica))
            };
            let directories: Vec<Uuid> = self.target_replicas.iter().map(directory).collect();
            if directories != self.partition.directories {
                self.record.directories = Some(directories);
            }
            if self.target_replicas != self.partition.replicas {
                self.record.replicas = Some(self.target_replicas.clone());
            }
        }
        if self.target_removing != self.partition.removing_replicas {
            self.record.removing_replicas = Some(self.target_removing.clone());
        }
        if self.target_adding != self.partition.adding_replicas {
            self.record.adding_replicas = Some(self.target_adding.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIRECTORY: Uuid = Uuid::from_u128(77);

    fn partition(replicas: &[i32], isr: &[i32], leader: i32) -> PartitionImage {
        PartitionImage {
            replicas: replicas.to_vec(),
            directories: vec![DIRECTORY; replicas.len()],
            isr: isr.to_vec(),
            leader,
            ..Default::default()
        }
    }

    fn surroundings<'a>(can_lead: &'a dyn Fn(i32) -> bool, min_isr: usize) -> Surroundings<'a> {
        Surroundings { can_lead, default_directory: &|_| DIRECTORY, min_isr, elr_enabled: true, metadata_version: 30 }
    }

    fn change(
        partition: &PartitionImage,
        alive: &dyn Fn(i32) -> bool,
        edit: impl FnOnce(&mut PartitionChange),
    ) -> Option<PartitionChangeRecord> {
        let mut change = PartitionChange::new(Uuid::from_u128(1), 0, partition, surroundings(alive, 1));
        edit(&mut change);
        change.build()
    }

    #[test]
    fn nothing_wanted_is_nothing_changed() {
        assert_eq!(change(&partition(&[1], &[1], 1), &|_| true, |_| ()), None);
    }

    /// The records of a single Apache Kafka 4.3.1 node that is stopped, killed and started again.
    #[test]
    fn single_node_goes_and_comes_as_apache_kafka_records_it() {
        let mut image = partition(&[1], &[1], 1);
        let stop = change(&image, &|_| false, |change| change.target_isr.clear()).expect("the leader goes");
        assert_eq!((stop.isr.as_deref(), stop.leader), (Some(&[][..]), NO_LEADER));
        assert_eq!(stop.eligible_leader_replicas.as_deref(), Some(&[1][..]));
        assert_eq!(stop.last_known_elr.as_deref(), Some(&[1][..]));
        image = image.merge(&stop);

        let start = change(&image, &|_| true, |_| ()).expect("the leader is back");
        assert_eq!((start.isr.as_deref(), start.leader), (Some(&[1][..]), 1));
        assert_eq!(start.eligible_leader_replicas.as_deref(), Some(&[][..]));
        assert_eq!(start.last_known_elr.as_deref(), Some(&[][..]));
        assert_eq!(start.leader_recovery_state, -1);
        assert_eq!(image.merge(&start).leader_epoch, 2);

        let killed =
            change(&image, &|_| false, |change| change.unclean_shutdown_replicas = vec![1]).expect("not eligible");
        assert_eq!(killed.eligible_leader_replicas.as_deref(), Some(&[][..]));
        assert_eq!(
            (killed.leader, killed.isr.as_ref(), killed.last_known_elr.as_ref()),
            (NO_LEADER_CHANGE, None, None)
        );
        image = image.merge(&killed);

        let recovered = change(&image, &|_| true, |_| ()).expect("the last leader is taken");
        assert_eq!((recovered.isr.as_deref(), recovered.leader), (Some(&[1][..]), 1));
        assert_eq!(recovered.leader_recovery_state, RECOVERING);
        assert_eq!(recovered.last_known_elr.as_deref(), Some(&[][..]));
    }

    #[test]
    fn reassignment_completes_when_the_new_replicas_are_in_sync() {
        let mut image = partition(&[2, 1], &[1], 1);
        image.removing_replicas = vec![1];
        image.adding_replicas = vec![2];
        let done = change(&image, &|_| true, |change| change.target_isr = vec![1, 2]).expect("complete");
        assert_eq!(done.replicas.as_deref(), Some(&[2][..]));
        assert_eq!((done.isr.as_deref(), done.leader), (Some(&[2][..]), 2));
        assert_eq!(done.removing_replicas.as_deref(), Some(&[][..]));
        assert_eq!(done.adding_replicas.as_deref(), Some(&[][..]));
    }

    #[test]
    fn preferred_election_takes_the_first_replica_in_sync() {
        let image = partition(&[1, 2], &[1, 2], 2);
        let record =
            change(&image, &|_| true, |change| change.election = Election::Preferred).expect("a better leader");
        assert_eq!(record.leader, 1);
        assert_eq!(record.isr, None);
        assert_eq!(change(&image, &|id| id == 2, |change| change.election = Election::Preferred), None);
    }

    #[test]
    fn unclean_election_is_only_for_those_who_ask() {
        let image = partition(&[1, 2], &[1], 1);
        let only_2 = |id: i32| id == 2;
        let record = change(&image, &only_2, |_| ()).expect("no leader left");
        assert_eq!(record.leader, NO_LEADER);
        let record = change(&image, &only_2, |change| change.election = Election::Unclean).expect("any leader");
        assert_eq!((record.leader, record.isr.as_deref()), (2, Some(&[2][..])));
        assert_eq!(record.leader_recovery_state, RECOVERING);
    }
}
