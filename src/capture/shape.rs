//! The shape of traffic, as plain data: `shape.json`. No payloads, no keys, no addresses.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Version of the file.
pub const FORMAT: u32 = 1;

/// What went through a broker in a stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// [`FORMAT`].
    pub format: u32,
    /// Version of the broker.
    pub millrace: String,
    /// When it began, ms since 1970.
    pub started_ms: i64,
    /// How long it was, seconds.
    pub seconds: f64,
    /// By topic.
    pub topics: Vec<TopicShape>,
}

/// The traffic of one topic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TopicShape {
    /// Its name.
    pub name: String,
    /// Its partitions.
    pub partitions: usize,
    /// Records produced.
    pub records: u64,
    /// Records of each second.
    pub rates: Vec<f64>,
    /// Variance of the records in a hundredth of a second over their average: 0 evenly spaced, 1 independent, more in bursts.
    pub dispersion: f64,
    /// Connections that produce.
    pub producers: usize,
    /// Sizes of values with their shares.
    pub value_sizes: Vec<(u32, f64)>,
    /// Share of records without a value.
    pub null_share: f64,
    /// The keys.
    pub keys: KeyShape,
    /// Records in a batch.
    pub batch_records: Spread,
    /// Bytes of a batch as sent.
    pub batch_bytes: Spread,
    /// Milliseconds from the first to the last record of a batch.
    pub batch_ms: Spread,
    /// Requests of its connection that were under way with a batch's own, that one included.
    #[serde(default)]
    pub in_flight: Spread,
    /// How much smaller the codec makes the records; of uncompressed ones, how much lz4 would.
    pub compression_ratio: f64,
    /// Share of batches by codec.
    pub codecs: BTreeMap<String, f64>,
    /// Share of batches by `acks`.
    pub acks: BTreeMap<String, f64>,
    /// Share of batches of idempotent producers.
    pub idempotent: f64,
    /// Who reads.
    pub consumers: ConsumerShape,
}

/// Keys of records, of those that were looked into.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KeyShape {
    /// Share of records with a key.
    pub share: f64,
    /// Bytes of a key on average.
    pub bytes: f64,
    /// How many keys were looked at.
    pub samples: u64,
    /// How many of them are different.
    pub distinct: u64,
    /// How likely two of them are equal.
    pub collision: f64,
    /// Share of the most frequent one.
    pub top: f64,
}

/// A distribution in a few numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Average.
    pub mean: f64,
    /// Half are smaller.
    pub p50: f64,
    /// 90 % are smaller.
    pub p90: f64,
    /// 99 % are smaller.
    pub p99: f64,
}

/// Fetches of a topic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConsumerShape {
    /// Connections that fetch.
    pub connections: usize,
    /// Fetched over produced bytes: how many times everything is read.
    pub fan_out: f64,
    /// Answers with records of a partition, a second.
    pub fetches_s: f64,
    /// Bytes of a partition in an answer that has any.
    pub fetch_bytes: Spread,
    /// `fetch.min.bytes` of the last request.
    pub min_bytes: i32,
    /// `fetch.max.wait.ms` of the last request.
    pub max_wait_ms: i32,
    /// `fetch.max.bytes` of the last request.
    pub max_bytes: i32,
}
