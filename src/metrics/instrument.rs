//! Counters, gauges and histograms with one writer each: the shard (or the control thread) that owns them.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// A number that only grows. One thread writes; a read-modify-write without a locked instruction is enough.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    #[inline]
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds.
    #[inline]
    pub fn add(&self, count: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(count), Relaxed);
    }

    /// Follows a count that is kept elsewhere and only grows.
    pub fn follow(&self, total: u64) {
        self.0.store(total, Relaxed);
    }

    /// The sum so far.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Replaces the value.
    #[inline]
    pub fn set(&self, value: i64) {
        self.0.store(value, Relaxed);
    }

    /// Adds, also a negative number.
    #[inline]
    pub fn add(&self, difference: i64) {
        self.set(self.get().wrapping_add(difference));
    }

    /// Counts one until what is returned is dropped.
    #[inline]
    pub fn hold(&self) -> Held<'_> {
        self.add(1);
        Held(self)
    }

    /// The value.
    #[inline]
    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// One that a gauge counts while this lives.
#[derive(Debug)]
pub struct Held<'a>(&'a Gauge);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.add(-1);
    }
}

/// Buckets of [`Histogram`]: two per power of two from 2^12 ns (4 us) up, and the rest above 2^35 ns (34 s).
pub(super) const BUCKETS: usize = 2 * (TOP - BOTTOM) as usize + 1;
const BOTTOM: u32 = 12;
const TOP: u32 = 35;

/// Durations in buckets whose bounds grow by half a power of two: an error of at most 50 %, one addition to record.
#[derive(Debug)]
pub struct Histogram {
    buckets: [Counter; BUCKETS],
    sum_ns: Counter,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { buckets: [const { Counter(AtomicU64::new(0)) }; BUCKETS], sum_ns: Counter::default() }
    }
}

impl Histogram {
    /// Counts a duration.
    #[inline]
    pub fn record_ns(&self, ns: u64) {
        self.buckets[bucket_of(ns)].increment();
        self.sum_ns.add(ns);
    }

    /// Durations counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(Counter::get).sum()
    }

    pub(super) fn add_to(&self, sum: &mut HistogramSum) {
        for (total, bucket) in sum.buckets.iter_mut().zip(&self.buckets) {
            *total += bucket.get();
        }
        sum.sum_ns += self.sum_ns.get();
    }
}

/// Bucket `b` holds durations below `bound_ns(b)`.
#[inline]
fn bucket_of(ns: u64) -> usize {
    let octave = 63 - (ns | 1).leading_zeros();
    if octave < BOTTOM {
        return 0;
    }
    if octave >= TOP {
        return BUCKETS - 1;
    }
    let upper_half = (ns >> (octave - 1)) & 1;
    2 * (octave - BOTTOM) as usize + upper_half as usize + 1
}

/// The upper bound of a bucket; the last has none.
fn bound_ns(bucket: usize) -> u64 {
    let octave = BOTTOM + (bucket / 2) as u32;
    let base = 1u64 << octave;
    if bucket.is_multiple_of(2) { base } else { base + base / 2 }
}

/// Histograms added up for a scrape.
#[derive(Clone, Debug)]
pub(super) struct HistogramSum {
    buckets: [u64; BUCKETS],
    sum_ns: u64,
}

impl Default for HistogramSum {
    fn default() -> Self {
        HistogramSum { buckets: [0; BUCKETS], sum_ns: 0 }
    }
}

impl HistogramSum {
    /// Durations counted.
    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Their sum.
    pub(super) fn sum_ms(&self) -> f64 {
        self.sum_ns as f64 / 1e6
    }

    /// What was counted since `earlier`.
    pub(super) fn since(&self, earlier: &HistogramSum) -> HistogramSum {
        let mut since = self.clone();
        for (total, bucket) in since.buckets.iter_mut().zip(&earlier.buckets) {
            *total = total.saturating_sub(*bucket);
        }
        since.sum_ns = since.sum_ns.saturating_sub(earlier.sum_ns);
        since
    }

    /// The duration that this share of all durations does not exceed, as far as the buckets tell: within one they are taken to
    /// lie evenly. NaN when there is none.
    pub(super) fn quantile_ms(&self, share: f64) -> f64 {
        let rank = share * self.count() as f64;
        let mut below = 0.0;
        for (bucket, count) in self.buckets.iter().enumerate().filter(|(_, count)| **count > 0) {
            let count = *count as f64;
            if below + count >= rank {
                let low = if bucket == 0 { 0.0 } else { bound_ns(bucket - 1) as f64 };
                let high = if bucket == BUCKETS - 1 { low } else { bound_ns(bucket) as f64 };
                return (low + (high - low) * (rank - below) / count) / 1e6;
            }
            below += count;
        }
        f64::NAN
    }

    /// Sum in milliseconds, count, and `(upper bound in milliseconds, count of the bucket)`.
    pub(super) fn in_ms(&self) -> (f64, u64, Vec<(f64, u64)>) {
        let bound = |bucket: usize| if bucket == BUCKETS - 1 { f64::MAX } else { bound_ns(bucket) as f64 / 1e6 };
        let buckets = self.buckets.iter().enumerate().map(|(bucket, count)| (bound(bucket), *count));
        (self.sum_ns as f64 / 1e6, self.buckets.iter().sum(), buckets.collect())
    }
}

/// A label with a fixed set of values, each a variant of an enum.
pub(super) trait Reason: Copy + 'static {
    /// Texts by number of the variant.
    const TEXTS: &'static [&'static str];
    fn index(self) -> usize;
}

/// One counter per variant of `R`.
#[derive(Debug)]
pub struct Reasons<R> {
    counters: Box<[Counter]>,
    reason: PhantomData<fn(R)>,
}

impl<R: Reason> Default for Reasons<R> {
    fn default() -> Self {
        Reasons { counters: R::TEXTS.iter().map(|_| Counter::default()).collect(), reason: PhantomData }
    }
}

#[expect(private_bounds, reason = "the enums that are reasons are public, what makes them so is not")]
impl<R: Reason> Reasons<R> {
    /// Counts one of this reason.
    #[inline]
    pub fn increment(&self, reason: R) {
        self.counters[reason.index()].increment();
    }

    /// The count of a reason.
    pub fn get(&self, reason: R) -> u64 {
        self.counters[reason.index()].get()
    }
}

/// A look at one field of a metrics struct, for rendering.
pub(super) enum View<'a> {
    Counter(&'a Counter),
    Gauge(&'a Gauge),
    Histogram(&'a Histogram),
    Reasons(&'a [Counter], &'static [&'static str]),
}

/// What a row's field can be.
pub(super) trait Instrument {
    const KIND: Kind;
    fn view(&self) -> View<'_>;
}

/// Kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
    /// Counters with the label `reason`.
    Reasons,
    /// Quantiles, with the label `quantile`, and `_sum` and `_count`.
    Summary,
}

impl Instrument for Counter {
    const KIND: Kind = Kind::Counter;
    fn view(&self) -> View<'_> {
        View::Counter(self)
    }
}

impl Instrument for Gauge {
    const KIND: Kind = Kind::Gauge;
    fn view(&self) -> View<'_> {
        View::Gauge(self)
    }
}

impl Instrument for Histogram {
    const KIND: Kind = Kind::Histogram;
    fn view(&self) -> View<'_> {
        View::Histogram(self)
    }
}

impl<R: Reason> Instrument for Reasons<R> {
    const KIND: Kind = Kind::Reasons;
    fn view(&self) -> View<'_> {
        View::Reasons(&self.counters, R::TEXTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_their_buckets() {
        for ns in [0, 1, 4095, 4096, 6143, 6144, 8191, 8192, 1_000_000, 34_000_000_000, (1 << 35) - 1] {
            let bucket = bucket_of(ns);
            assert!(ns < bound_ns(bucket), "{ns} in {bucket}");
            assert!(bucket == 0 || ns >= bound_ns(bucket - 1), "{ns} in {bucket}");
        }
        assert_eq!(bucket_of(1 << 35), BUCKETS - 1);
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_lie_where_the_durations_are() {
        let histogram = Histogram::default();
        let sum_of = |histogram: &Histogram| {
            let mut sum = HistogramSum::default();
            histogram.add_to(&mut sum);
            sum
        };
        assert!(sum_of(&histogram).quantile_ms(0.5).is_nan());
        (0..99).for_each(|_| histogram.record_ns(1_000_000));
        let early = sum_of(&histogram);
        histogram.record_ns(1_000_000_000);
        let sum = sum_of(&histogram);
        assert!((0.75..1.5).contains(&sum.quantile_ms(0.5)), "{}", sum.quantile_ms(0.5));
        assert!((0.75..1.6).contains(&sum.quantile_ms(0.99)), "{}", sum.quantile_ms(0.99));
        assert!((700.0..1500.0).contains(&sum.quantile_ms(0.999)), "{}", sum.quantile_ms(0.999));
        let late = sum.since(&early);
        assert_eq!((late.count(), late.sum_ms()), (1, 1000.0));
        assert!(late.quantile_ms(0.5) > 500.0);
    }

    #[test]
    fn a_gauge_counts_what_is_held() {
        let gauge = Gauge::default();
        {
            let _one = gauge.hold();
            let _other = gauge.hold();
            assert_eq!(gauge.get(), 2);
        }
        assert_eq!(gauge.get(), 0);
    }

    #[test]
    fn sums_add_up() {
        let histogram = Histogram::default();
        histogram.record_ns(1_000_000);
        histogram.record_ns(5_000_000);
        let mut sum = HistogramSum::default();
        histogram.add_to(&mut sum);
        histogram.add_to(&mut sum);
        let (total, count, buckets) = sum.in_ms();
        assert_eq!((total, count, histogram.count()), (12.0, 4, 2));
        assert_eq!(buckets.iter().map(|(_, count)| count).sum::<u64>(), 4);
    }
}
