//! Distributions in bounded memory: sizes in buckets, keys as counted hashes.

use std::collections::{BTreeMap, HashMap};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::shape::Spread;

/// Buckets per doubling.
const FINENESS: u32 = 16;
/// Different keys that are counted; others count as samples that are different from all.
const KEYS_MAX: usize = 200_000;

/// Numbers in buckets that grow by a sixteenth of a doubling, each with the sum of what is in it: averages are exact.
#[derive(Clone, Debug, Default)]
pub(super) struct Buckets(BTreeMap<u32, (u64, u64)>);

impl Buckets {
    pub fn note(&mut self, number: u64) {
        let (count, sum) = self.0.entry(bucket_of(number)).or_default();
        *count += 1;
        *sum += number;
    }

    pub fn add(&mut self, other: &Buckets) {
        for (bucket, (count, sum)) in &other.0 {
            let mine = self.0.entry(*bucket).or_default();
            *mine = (mine.0 + count, mine.1 + sum);
        }
    }

    fn count(&self) -> u64 {
        self.0.values().map(|(count, _)| count).sum()
    }

    fn mean(&self) -> f64 {
        let sum: u64 = self.0.values().map(|(_, sum)| sum).sum();
        sum as f64 / self.count().max(1) as f64
    }

    /// The average of the bucket that the quantile falls into.
    fn quantile(&self, share: f64) -> f64 {
        let wanted = (self.count() as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (count, sum) in self.0.values() {
            seen += count;
            if seen >= wanted {
                return *sum as f64 / *count as f64;
            }
        }
        0.0
    }

    pub fn spread(&self) -> Spread {
        Spread { mean: self.mean(), p50: self.quantile(0.5), p90: self.quantile(0.9), p99: self.quantile(0.99) }
    }

    /// Averages of the buckets with their shares.
    pub fn weighted(&self) -> Vec<(u32, f64)> {
        let all = self.count().max(1) as f64;
        let one = |(count, sum): &(u64, u64)| {
            let average = (*sum as f64 / *count as f64).round();
            (average as u32, *count as f64 / all)
        };
        self.0.values().map(one).collect()
    }
}

/// Numbers below [`FINENESS`] have buckets of their own.
fn bucket_of(number: u64) -> u32 {
    if number < u64::from(FINENESS) {
        return number as u32;
    }
    let octave = 63 - number.leading_zeros();
    let shift = octave - FINENESS.ilog2();
    let place = (number >> shift) as u32 - FINENESS;
    FINENESS + (octave - FINENESS.ilog2()) * FINENESS + place
}

/// Keys, of which only hashes are kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    counts: HashMap<u64, u64>,
    samples: u64,
    bytes: u64,
}

impl Keys {
    pub fn note(&mut self, key: &[u8], seed: u64) {
        self.samples += 1;
        self.bytes += key.len() as u64;
        let hash = xxh3_64_with_seed(key, seed);
        if self.counts.len() < KEYS_MAX || self.counts.contains_key(&hash) {
            *self.counts.entry(hash).or_default() += 1;
        }
    }

    pub fn add(&mut self, other: &Keys) {
        self.samples += other.samples;
        self.bytes += other.bytes;
        for (hash, count) in &other.counts {
            *self.counts.entry(*hash).or_default() += count;
        }
    }

    pub fn samples(&self) -> u64 {
        self.samples
    }

    pub fn mean_bytes(&self) -> f64 {
        self.bytes as f64 / self.samples.max(1) as f64
    }

    pub fn distinct(&self) -> u64 {
        let counted: u64 = self.counts.values().sum();
        self.counts.len() as u64 + (self.samples - counted)
    }

    /// Of all pairs of samples, the share of those that are equal: what it is of all keys, whatever the number of samples.
    pub fn collision(&self) -> f64 {
        let equal: f64 = self.counts.values().map(|count| *count as f64 * (*count as f64 - 1.0)).sum();
        let all = self.samples as f64 * (self.samples as f64 - 1.0);
        if all > 0.0 { equal / all } else { 0.0 }
    }

    pub fn top(&self) -> f64 {
        self.counts.values().max().copied().unwrap_or(0) as f64 / self.samples.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_fine_and_in_order() {
        let mut last = 0;
        for number in 0..100_000u64 {
            let bucket = bucket_of(number);
            assert!(bucket == last || bucket == last + 1, "{number}");
            last = bucket;
        }
        let (wide, next) = (bucket_of(1 << 40), bucket_of((1 << 40) + (1 << 36)));
        assert_eq!(next, wide + 1);
    }

    #[test]
    fn averages_are_exact_and_quantiles_close() {
        let mut buckets = Buckets::default();
        (1..=1000).for_each(|number| buckets.note(number));
        let spread = buckets.spread();
        assert_eq!(spread.mean, 500.5);
        assert!((spread.p50 / 500.0 - 1.0).abs() < 0.07 && (spread.p99 / 990.0 - 1.0).abs() < 0.07, "{spread:?}");
        let weighted = buckets.weighted();
        let mean: f64 = weighted.iter().map(|(size, share)| f64::from(*size) * share).sum();
        assert!((mean - 500.5).abs() < 1.0, "{mean}");
    }

    #[test]
    fn collisions_do_not_depend_on_the_number_of_samples() {
        let of = |samples: u64| {
            let mut keys = Keys::default();
            (0..samples).for_each(|nth| keys.note(&(nth % 10).to_be_bytes(), 5));
            keys.collision()
        };
        assert!((of(1000) - 0.1).abs() < 0.002 && (of(100_000) - 0.1).abs() < 0.002);
    }
}
