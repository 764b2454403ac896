//! The account of all records in bounded memory: numbers as runs, one set of runs per producer and partition. A run that goes well is one
//! run however long it lasts.

use std::collections::HashMap;

use crate::bench::driver::Verification;

/// A set of numbers as runs, `start..end`, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs(Vec<(u64, u64)>);

/// What a number was to a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// Above all others.
    Later,
    /// Below one that is there, and new.
    Earlier,
    /// There already.
    Again,
}

impl Runs {
    /// Adds a number.
    #[inline]
    pub fn insert(&mut self, number: u64) -> Inserted {
        match self.0.last_mut() {
            Some((_, end)) if *end == number => {
                *end += 1;
                Inserted::Later
            }
            Some((_, end)) if *end > number => self.insert_before(number),
            _ => {
                self.0.push((number, number + 1));
                Inserted::Later
            }
        }
    }

    fn insert_before(&mut self, number: u64) -> Inserted {
        let at = self.0.partition_point(|(_, end)| *end <= number);
        if self.0.get(at).is_some_and(|(start, _)| *start <= number) {
            return Inserted::Again;
        }
        self.insert_run(number, number + 1);
        Inserted::Earlier
    }

    /// Adds `start..end`.
    pub fn insert_run(&mut self, start: u64, end: u64) {
        if start >= end {
            return;
        }
        // All runs that touch the new one become one with it.
        let from = self.0.partition_point(|(_, other_end)| *other_end < start);
        let to = self.0.partition_point(|(other_start, _)| *other_start <= end);
        let joined = self.0[from..to].iter().fold((start, end), |(s, e), (start, end)| (s.min(*start), e.max(*end)));
        self.0.splice(from..to, [joined]);
    }

    /// How many numbers.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|(start, end)| end - start).sum()
    }

    /// How many numbers are in both.
    pub fn common(&self, other: &Runs) -> u64 {
        let (mut left, mut right, mut sum) = (0, 0, 0);
        while let (Some(a), Some(b)) = (self.0.get(left), other.0.get(right)) {
            sum += a.1.min(b.1).saturating_sub(a.0.max(b.0));
            if a.1 < b.1 {
                left += 1;
            } else {
                right += 1;
            }
        }
        sum
    }

    /// Takes over the numbers of `other`; how many of them were here already.
    pub fn merge(&mut self, other: &Runs) -> u64 {
        let again = self.common(other);
        other.0.iter().for_each(|(start, end)| self.insert_run(*start, *end));
        again
    }
}

/// Producer and partition (its place among all partitions of the run).
pub type Lane = (u32, u32);

/// What one group saw.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    lanes: HashMap<Lane, Runs>,
    duplicated: u64,
    reordered: u64,
    corrupted: u64,
}

impl Seen {
    /// A record arrived.
    #[inline]
    pub fn note(&mut self, lane: Lane, number: u64) {
        match self.lanes.entry(lane).or_default().insert(number) {
            Inserted::Later => {}
            Inserted::Earlier => self.reordered += 1,
            Inserted::Again => self.duplicated += 1,
        }
    }

    /// A record arrived with other bytes than were sent.
    pub fn note_corrupted(&mut self) {
        self.corrupted += 1;
    }

    /// Takes over what another member of the group saw.
    pub fn merge(&mut self, other: &Seen) {
        for (lane, runs) in &other.lanes {
            self.duplicated += self.lanes.entry(*lane).or_default().merge(runs);
        }
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.corrupted += other.corrupted;
    }
}

/// What was acknowledged.
pub type Acked = HashMap<Lane, Runs>;

/// What was acknowledged against what each group saw, when all of them read all of it.
fn settle(acked: &Acked, groups: &[Seen]) -> Verification {
    let mut verdict = Verification { acked: acked.values().map(Runs::len).sum(), ..Default::default() };
    let none = Runs::default();
    for group in groups {
        verdict.duplicated += group.duplicated;
        verdict.reordered += group.reordered;
        verdict.corrupted += group.corrupted;
        for (lane, runs) in acked {
            verdict.lost += runs.len() - runs.common(group.lanes.get(lane).unwrap_or(&none));
        }
        for (lane, runs) in &group.lanes {
            verdict.unacknowledged += runs.len() - runs.common(acked.get(lane).unwrap_or(&none));
        }
    }
    verdict
}

/// What became of the records of all groups, each of which reads some partitions (their places, in order).
pub fn verdict(acked: &Acked, groups: &[(Vec<u32>, Seen)]) -> Verification {
    let mut all = Verification { acked: acked.values().map(Runs::len).sum(), ..Default::default() };
    for (places, seen) in groups {
        let of_group: Acked = acked
            .iter()
            .filter(|((_, place), _)| places.binary_search(place).is_ok())
            .map(|(lane, runs)| (*lane, runs.clone()))
            .collect();
        let one = settle(&of_group, std::slice::from_ref(seen));
        all.lost += one.lost;
        all.duplicated += one.duplicated;
        all.reordered += one.reordered;
        all.corrupted += one.corrupted;
        all.unacknowledged += one.unacknowledged;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_order_are_one_run() {
        let mut runs = Runs::default();
        assert!((0..1_000_000).all(|number| runs.insert(number) == Inserted::Later));
        assert_eq!((runs.0.len(), runs.len()), (1, 1_000_000));
    }

    #[test]
    fn gaps_are_filled_and_doubles_are_found() {
        let mut runs = Runs::default();
        let got: Vec<Inserted> = [0, 1, 5, 3, 3, 2, 5, 4, 9].iter().map(|number| runs.insert(*number)).collect();
        use Inserted::{Again, Earlier, Later};
        assert_eq!(got, [Later, Later, Later, Earlier, Again, Earlier, Again, Earlier, Later]);
        assert_eq!(runs.0, [(0, 6), (9, 10)]);
        let other = Runs(vec![(4, 7), (8, 12)]);
        assert_eq!(runs.common(&other), 3);
        assert_eq!(runs.merge(&other), 3);
        assert_eq!(runs.0, [(0, 7), (8, 12)]);
    }

    #[test]
    fn the_account_finds_what_is_wrong_with_each_group() {
        let acked = Acked::from([((0, 0), Runs(vec![(0, 10)])), ((1, 0), Runs(vec![(0, 5)]))]);
        let see = |numbers: &[(u32, u64)]| {
            let mut seen = Seen::default();
            numbers.iter().for_each(|(producer, number)| seen.note((*producer, 0), *number));
            seen
        };
        let all: Vec<(u32, u64)> = (0..10).map(|n| (0, n)).chain((0..5).map(|n| (1, n))).collect();
        assert!(settle(&acked, &[see(&all)]).is_clean());
        let mut wrong = all.clone();
        wrong.retain(|one| *one != (0, 9));
        wrong.swap(3, 4);
        wrong.push((1, 4));
        wrong.push((1, 5));
        let mut second = see(&wrong);
        second.note_corrupted();
        let verdict = settle(&acked, &[see(&all), second]);
        let expected =
            Verification { acked: 15, lost: 1, duplicated: 1, reordered: 1, corrupted: 1, unacknowledged: 1 };
        assert_eq!(verdict, expected);
        let halves = (see(&all[..7]), see(&all[6..]));
        let mut group = halves.0;
        group.merge(&halves.1);
        assert_eq!(settle(&acked, &[group]).duplicated, 1);
    }

    #[test]
    fn groups_that_read_other_topics_lose_nothing() {
        let mut runs = Runs::default();
        runs.insert(0);
        let acked = Acked::from([((0, 0), runs.clone()), ((1, 5), runs)]);
        let mut seen = Seen::default();
        seen.note((0, 0), 0);
        assert!(verdict(&acked, &[(vec![0, 1], seen.clone())]).is_clean());
        assert_eq!(verdict(&acked, &[(vec![0, 5], seen)]).lost, 1);
    }
}
