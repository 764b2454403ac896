//! A few sums over all shards, for who shows them to people.

use std::collections::BTreeMap;

use serde::Serialize;

use super::instrument::HistogramSum;
use super::requests::ApiSum;
use super::series::Metrics;

/// APIs whose times are worth a chart: those of the data path.
const SHOWN_APIS: [&str; 2] = ["Produce", "Fetch"];

/// Sums over all shards and topics.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Records appended.
    pub messages_in: u64,
    /// Bytes of batches appended.
    pub bytes_in: u64,
    /// Bytes of batches fetched.
    pub bytes_out: u64,
    /// Times of Produce and Fetch.
    pub apis: Vec<ApiTimes>,
}

/// How long answers of an API took.
#[derive(Clone, Debug, Serialize)]
pub struct ApiTimes {
    /// `Produce`
    pub name: &'static str,
    /// Upper bound in milliseconds, and answers since the start in that bucket.
    pub buckets: Vec<(f64, u64)>,
}

impl Metrics {
    /// The sums of now.
    pub fn totals(&self) -> Totals {
        let mut by_topic = BTreeMap::new();
        let mut by_api: BTreeMap<usize, ApiSum> = BTreeMap::new();
        for shard in self.shards() {
            shard.add_topics(&mut by_topic);
            for (key, api) in shard.requests.seen() {
                by_api.entry(key).or_default().add(api);
            }
        }
        // The empty name stands for all topics; the rows are those of `TopicMetrics`.
        let all = by_topic.remove("").unwrap_or_default();
        let row = |index: usize| all.get(index).copied().unwrap_or_default();
        let times = by_api.iter().filter_map(|(key, sum)| {
            let name = (self.names.api)(*key).filter(|name| SHOWN_APIS.contains(name))?;
            Some(ApiTimes { name, buckets: sum.total_time.in_ms().2 })
        });
        Totals { messages_in: row(0), bytes_in: row(1), bytes_out: row(2), apis: times.collect() }
    }
}

impl Metrics {
    /// Segments of the partitions of a topic, as far as they have series.
    pub fn segments(&self, topic: &str) -> BTreeMap<i32, i64> {
        let of_shards = self.shards().iter().flat_map(|shard| shard.partitions());
        let of_topic = of_shards.filter(|((name, _), _)| name == topic);
        of_topic.map(|((_, index), metrics)| (index, metrics.segments.get())).collect()
    }
}

/// Durable writes to the write-ahead logs so far.
#[derive(Clone, Debug, Default)]
pub struct DurableWrites(HistogramSum);

impl DurableWrites {
    /// How long half and 99 % of those since `earlier` took, in milliseconds; `None`: there were none.
    pub fn since(&self, earlier: &DurableWrites) -> Option<(f64, f64)> {
        let since = self.0.since(&earlier.0);
        (since.count() > 0).then(|| (since.quantile_ms(0.5), since.quantile_ms(0.99)))
    }
}

impl Metrics {
    /// The durable writes of all shards.
    pub fn durable_writes(&self) -> DurableWrites {
        let mut sum = HistogramSum::default();
        self.shards().iter().for_each(|shard| shard.counters.wal_write_time.add_to(&mut sum));
        DurableWrites(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Names, RequestTime};
    use super::*;

    #[test]
    fn durable_writes_are_those_of_a_stretch_of_time() {
        let metrics = Metrics::new(2, Names { api: |_| None, error: |_| None });
        metrics.shard(0).counters.wal_write_time.record_ns(1_000_000);
        let early = metrics.durable_writes();
        assert!(metrics.durable_writes().since(&early).is_none());
        metrics.shard(1).counters.wal_write_time.record_ns(8_000_000);
        let (half, most) = metrics.durable_writes().since(&early).expect("there was one");
        assert!((6.0..12.5).contains(&half) && most >= half, "{half} {most}");
    }

    #[test]
    fn sums_are_over_all_shards() {
        let names = Names { api: |key| (key == 0).then_some("Produce"), error: |_| None };
        let metrics = Metrics::new(2, names);
        for shard in metrics.shards() {
            let topic = shard.topic("t");
            topic.messages_in.add(3);
            topic.bytes_in.add(30);
            topic.bytes_out.add(7);
            let time = || RequestTime { total_ns: 1_000_000, local_ns: 1_000_000 };
            shard.requests.record(0, 1, 1, time());
            shard.requests.record(3, 1, 1, time());
        }
        let totals = metrics.totals();
        assert_eq!((totals.messages_in, totals.bytes_in, totals.bytes_out), (6, 60, 14));
        let [produce] = totals.apis.as_slice() else { panic!("one API: {totals:?}") };
        assert_eq!(produce.buckets.iter().map(|(_, count)| count).sum::<u64>(), 2);
    }
}
