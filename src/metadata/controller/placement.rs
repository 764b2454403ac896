//! Which brokers get the replicas of new partitions.
//!
//! Leaders go round over the racks, replicas of a partition to as many racks as there are, and within a rack
//! round over its brokers; unfenced brokers first. Starting points are random, so that topics do not pile up on
//! the first broker.

use std::collections::BTreeMap;

use super::ApiError;
use crate::metadata::image::ClusterImage;
use crate::protocol::ErrorCode;
use crate::rt::random;
use crate::wire::KafkaString;

/// Replicas for `partitions` new partitions, the first of each its preferred leader.
pub(super) fn place(cluster: &ClusterImage, partitions: i32, replicas: i16) -> Result<Vec<Vec<i32>>, ApiError> {
    let refuse = |text: String| Err(ApiError::new(ErrorCode::InvalidReplicationFactor, text));
    let Some(replica_count) = usize::try_from(replicas).ok().filter(|count| *count > 0) else {
        return refuse(format!("Invalid replication factor {replicas}: the replication factor must be positive."));
    };
    let mut racks = Racks::of(cluster);
    if racks.unfenced == 0 {
        return refuse("All brokers are currently fenced.".into());
    }
    if replica_count > racks.total {
        return refuse(format!(
            "The target replication factor of {replicas} cannot be reached because only {} broker(s) are registered or some \
             brokers have all their log directories cordoned.",
            racks.total
        ));
    }
    Ok((0..partitions).map(|_| racks.next_partition(replica_count)).collect())
}

struct Racks {
    racks: Vec<Rack>,
    /// The rack of the next leader.
    next_rack: usize,
    unfenced: usize,
    total: usize,
}

#[derive(Default)]
struct Rack {
    unfenced: Vec<i32>,
    fenced: Vec<i32>,
    /// The broker that comes first for the next partition.
    next_broker: usize,
}

impl Racks {
    fn of(cluster: &ClusterImage) -> Racks {
        let mut by_name: BTreeMap<Option<KafkaString>, Rack> = BTreeMap::new();
        let (mut unfenced, mut total) = (0, 0);
        for broker in cluster.brokers().filter(|broker| !broker.in_controlled_shutdown && broker.takes_new_partitions())
        {
            let rack = by_name.entry(broker.rack.clone()).or_default();
            total += 1;
            if broker.fenced {
                rack.fenced.push(broker.id);
            } else {
                unfenced += 1;
                rack.unfenced.push(broker.id);
            }
        }
        let mut racks: Vec<Rack> = by_name.into_values().collect();
        for rack in &mut racks {
            rack.next_broker = random_below(rack.unfenced.len());
        }
        let next_rack = random_below(racks.len());
        Racks { racks, next_rack, unfenced, total }
    }

    fn next_partition(&mut self, replica_count: usize) -> Vec<i32> {
        let rack_count = self.racks.len();
        let order: Vec<usize> = (0..rack_count).map(|step| (self.next_rack + step) % rack_count).collect();
        let mut queues: Vec<Vec<i32>> = order.iter().map(|rack| self.racks[*rack].candidates()).collect();
        let mut chosen = Vec::with_capacity(replica_count);
        // The leader must be unfenced: the first rack that has such a broker gives it.
        for unfenced_only in [true, false] {
            while chosen.len() < replica_count {
                let before = chosen.len();
                for (queue, rack) in queues.iter_mut().zip(&order) {
                    let fits = |id: &i32| !unfenced_only || self.racks[*rack].unfenced.contains(id);
                    if chosen.len() < replica_count
                        && let Some(position) = queue.iter().position(fits)
                    {
                        chosen.push(queue.remove(position));
                    }
                }
                if chosen.len() == before {
                    break;
                }
            }
        }
        for rack in &mut self.racks {
            rack.next_broker += 1;
        }
        self.next_rack = (self.next_rack + 1) % rack_count;
        chosen
    }
}

impl Rack {
    fn candidates(&self) -> Vec<i32> {
        let count = self.unfenced.len();
        let rotated = (0..count).map(|step| self.unfenced[(self.next_broker + step) % count]);
        rotated.chain(self.fenced.iter().copied()).collect()
    }
}

fn random_below(bound: usize) -> usize {
    usize::try_from(random::below(bound as u64)).expect("below a usize")
}
