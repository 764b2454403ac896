//! Which partition records without a key go to (KIP-794): one partition until a batch's worth of bytes has gone there, then another one;
//! partitions with long queues are drawn less often.

use rand::Rng;
use rand::rngs::SmallRng;

/// The sticky choice of one producer for one topic.
#[derive(Clone, Debug)]
pub struct Sticky {
    batch_size: usize,
    current: Option<u32>,
    produced_bytes: usize,
}

/// Whether a switch may leave a batch that is not full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// All batches of the partition are full.
    Allowed,
    /// Its last batch still takes records.
    Held,
}

impl Sticky {
    /// Nothing is chosen yet.
    pub fn new(batch_size: usize) -> Sticky {
        Sticky { batch_size, current: None, produced_bytes: 0 }
    }

    /// The partition that records go to; `draw` chooses one if there is none.
    #[inline]
    pub fn current(&mut self, draw: impl FnOnce() -> u32) -> u32 {
        *self.current.get_or_insert_with(draw)
    }

    /// So many bytes went there. True if the partition was given up: the next one is to be drawn at once.
    #[inline]
    pub fn add(&mut self, bytes: usize, switch: Switch) -> bool {
        self.produced_bytes += bytes;
        let enough = self.produced_bytes >= self.batch_size && switch == Switch::Allowed;
        if !enough && self.produced_bytes < self.batch_size * 2 {
            return false;
        }
        self.current = None;
        self.produced_bytes = 0;
        true
    }
}

/// Draws one of the partitions, each with a queue of so many batches: the longer the queue, the less likely. `None` if there are none.
///
/// Queues of 0, 3 and 1 batches become weights of 4, 1 and 3.
pub fn draw_weighted(queues: &[(u32, usize)], rng: &mut SmallRng) -> Option<u32> {
    let weight_max = queues.iter().map(|(_, len)| *len).max()? + 1;
    let total: usize = queues.iter().map(|(_, len)| weight_max - len).sum();
    let mut at = rng.random_range(0..total);
    for (partition, len) in queues {
        let weight = weight_max - len;
        if at < weight {
            return Some(*partition);
        }
        at -= weight;
    }
    None
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn it_stays_until_a_batch_is_full_and_no_longer_than_two() {
        let mut sticky = Sticky::new(1000);
        assert_eq!(sticky.current(|| 4), 4);
        assert!(!sticky.add(999, Switch::Allowed));
        assert!(!sticky.add(500, Switch::Held));
        assert_eq!(sticky.current(|| 5), 4);
        assert!(sticky.add(0, Switch::Allowed));
        assert_eq!(sticky.current(|| 5), 5);
        assert!(!sticky.add(1999, Switch::Held));
        assert!(sticky.add(1, Switch::Held));
    }

    #[test]
    fn long_queues_are_drawn_less_often() {
        let mut rng = SmallRng::seed_from_u64(1);
        let mut counts = [0; 3];
        for _ in 0..80_000 {
            counts[draw_weighted(&[(0, 0), (1, 3), (2, 1)], &mut rng).expect("one of three") as usize] += 1;
        }
        for (count, expected) in counts.into_iter().zip([40_000, 10_000, 30_000]) {
            assert!(i32::abs(count - expected) < 800, "{counts:?}");
        }
        assert_eq!(draw_weighted(&[], &mut rng), None);
    }
}
