//! A captured [`Shape`] becomes a workload: `millrace bench --replay shape.json`.
//!
//! What a capture cannot see is chosen so that the same goes over the wire: `linger.ms` is the time that batches gathered records,
//! `batch.size` what the largest of them needed; keys follow the Zipf law that has as many different keys, and as many equal pairs,
//! among as many samples.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::BenchError;
use super::workload::{Arrival, Consumers, Content, Flow, Keys, Settings, Sizes, Values, Workload};
use crate::capture::shape::{ConsumerShape, FORMAT, KeyShape, Shape, TopicShape};

/// Rates of seconds that differ by less than this share of their average (and by less than chance makes them) are one rate.
const EVEN: f64 = 0.1;
/// A dispersion below this is an even pace.
const PACED: f64 = 0.5;
/// A dispersion above this is made of bursts.
const BURSTY: f64 = 3.0;
/// Kafka's default of `batch.size`: smaller batches say nothing of a smaller setting.
const BATCH_SIZE_DEFAULT: f64 = 16_384.0;
/// More keys than anybody has.
const KEYS_MAX: f64 = 1e12;

/// Reads a file that `millrace capture` wrote.
pub fn load(path: &Path) -> Result<Shape, BenchError> {
    let text = fs::read_to_string(path).map_err(|error| BenchError::io(path, error))?;
    read(&text, &path.display().to_string())
}

/// Reads the text of a shape that comes from `whence`.
pub fn read(text: &str, whence: &str) -> Result<Shape, BenchError> {
    let wrong = |why: &dyn std::fmt::Display| BenchError::Io(format!("{whence}: {why}"));
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|error| wrong(&format_args!("not a captured shape: {error}")))?;
    match value.get("format").and_then(serde_json::Value::as_u64) {
        Some(format) if format == u64::from(FORMAT) => {}
        Some(format) => {
            let mend = "capture again with this version";
            return Err(wrong(&format_args!("a shape of format {format}, this is {FORMAT}: {mend}")));
        }
        None => return Err(wrong(&"not a captured shape: it has no 'format'")),
    }
    serde_json::from_value(value).map_err(|error| wrong(&format_args!("a damaged shape: {error}")))
}

/// The workload that makes this traffic: a flow for each topic that was written to.
pub fn workload(shape: &Shape) -> Result<Workload, BenchError> {
    let written = shape.topics.iter().filter(|topic| topic.records > 0);
    let flows: Vec<Flow> = written.map(|topic| flow(topic, shape.seconds)).collect();
    if flows.is_empty() {
        return Err(BenchError::config("the captured shape has no records: capture while something is produced"));
    }
    Ok(Workload { flows })
}

/// The name with the largest share.
pub fn most_frequent(shares: &BTreeMap<String, f64>) -> Option<&str> {
    shares.iter().max_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(name, _)| name.as_str())
}

fn flow(topic: &TopicShape, seconds: f64) -> Flow {
    Flow {
        topic: topic.name.clone(),
        topics: 1,
        partitions: i32::try_from(topic.partitions).unwrap_or(1).max(1),
        producers: u32::try_from(topic.producers).unwrap_or(1).max(1),
        arrival: arrival(topic, seconds),
        key: keys(&topic.keys),
        value: values(topic),
        producer: producer_settings(topic),
        consumers: consumers(&topic.consumers),
        ..Flow::default()
    }
}

fn arrival(topic: &TopicShape, seconds: f64) -> Arrival {
    let mean = topic.rates.iter().sum::<f64>() / topic.rates.len().max(1) as f64;
    let mean = if mean > 0.0 { mean } else { topic.records as f64 / seconds.max(1.0) };
    let variance = topic.rates.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>() / topic.rates.len().max(1) as f64;
    let by_chance = mean * topic.dispersion.max(1.0);
    if variance.sqrt() > (EVEN * mean).max(2.0 * by_chance.sqrt()) {
        return Arrival::Trace { step_s: 1.0, rates: topic.rates.clone() };
    }
    match topic.dispersion {
        dispersion if dispersion < PACED => Arrival::Constant { rate: mean },
        dispersion if dispersion > BURSTY => {
            // Bursts of n records are n times as dispersed as single ones at an even pace.
            Arrival::Burst { rate: mean, burst: dispersion.round().clamp(2.0, 1e6) as u32 }
        }
        _ => Arrival::Poisson { rate: mean },
    }
}

fn values(topic: &TopicShape) -> Values {
    let size = match topic.value_sizes.as_slice() {
        [] => Sizes::Fixed { bytes: 0 },
        [(bytes, _)] => Sizes::Fixed { bytes: *bytes },
        sizes => Sizes::Weighted { sizes: sizes.to_vec() },
    };
    let content = Content::Synthetic { ratio: topic.compression_ratio.clamp(1.0, 100.0) };
    Values { size, content, null_share: topic.null_share }
}

fn producer_settings(topic: &TopicShape) -> Settings {
    let linger_ms = topic.batch_ms.p90.round().max(0.0);
    let batch_size = (topic.batch_bytes.p99 * 1.05).max(BATCH_SIZE_DEFAULT).round();
    let mut settings = Settings::new();
    let mut set = |key: &str, value: String| drop(settings.insert(key.to_owned(), value));
    set("linger.ms", format!("{linger_ms:.0}"));
    set("batch.size", format!("{batch_size:.0}"));
    let acks = most_frequent(&topic.acks).unwrap_or("all");
    set("acks", acks.to_owned());
    set("enable.idempotence", (topic.idempotent > 0.5 && acks == "all").to_string());
    if let Some(codec) = most_frequent(&topic.codecs) {
        set("compression.type", codec.to_owned());
    }
    settings
}

fn consumers(shape: &ConsumerShape) -> Consumers {
    if shape.connections == 0 {
        return Consumers::default();
    }
    let connections = u32::try_from(shape.connections).unwrap_or(1);
    let groups = (shape.fan_out.round() as u32).clamp(1, connections);
    let mut settings = Settings::new();
    for (key, value) in [
        ("fetch.min.bytes", shape.min_bytes),
        ("fetch.max.wait.ms", shape.max_wait_ms),
        ("fetch.max.bytes", shape.max_bytes),
    ] {
        settings.insert(key.to_owned(), value.max(0).to_string());
    }
    Consumers { groups, members: (connections / groups).max(1), settings, ..Consumers::default() }
}

fn keys(shape: &KeyShape) -> Keys {
    // Keys on some records and not on others can't be said; what most have, all get.
    if shape.share < 0.5 || shape.samples == 0 {
        return Keys::None;
    }
    let bytes = shape.bytes.round().max(1.0) as u32;
    let (count, exponent) = fit(shape);
    let count = count.round().max(1.0) as u64;
    if exponent < 0.05 { Keys::Uniform { count, bytes } } else { Keys::Zipf { count, exponent, bytes } }
}

/// How many keys there are, and how skewed, so that as many samples show as many different ones and as many equal pairs.
fn fit(shape: &KeyShape) -> (f64, f64) {
    let (samples, distinct) = (shape.samples as f64, shape.distinct as f64);
    if distinct >= samples || shape.collision <= 0.0 {
        return (KEYS_MAX, 0.0);
    }
    let collision_at = |exponent: f64| {
        let count = count_for(exponent, samples, distinct);
        (count, Law::new(count, exponent).collision())
    };
    let (mut low, mut high) = (0.0, 4.0);
    if collision_at(low).1 >= shape.collision {
        return (collision_at(low).0, 0.0);
    }
    for _ in 0..30 {
        let middle = (low + high) / 2.0;
        if collision_at(middle).1 < shape.collision { low = middle } else { high = middle }
    }
    (collision_at(low).0, low)
}

/// How many keys of this skew show so many different ones among the samples.
fn count_for(exponent: f64, samples: f64, distinct: f64) -> f64 {
    let (mut low, mut high) = (distinct.ln(), KEYS_MAX.ln());
    for _ in 0..50 {
        let middle = (low + high) / 2.0;
        if Law::new(middle.exp(), exponent).distinct(samples) < distinct { low = middle } else { high = middle }
    }
    low.exp()
}

/// Zipf's law over a number of keys, in pieces of ranks that are about as likely.
struct Law {
    /// Ranks in the piece, and how likely each of them is.
    pieces: Vec<(f64, f64)>,
}

impl Law {
    /// So many ranks have a piece of their own.
    const ALONE: f64 = 100.0;
    /// The others' pieces grow by this.
    const GROWTH: f64 = 1.05;

    fn new(count: f64, exponent: f64) -> Law {
        let mut pieces = Vec::new();
        let mut from = 1.0;
        while from <= count {
            let to = if from < Self::ALONE { from + 1.0 } else { (from * Self::GROWTH).floor() };
            let to = to.min(count.floor() + 1.0);
            let middle = (from * (to - 1.0).max(from)).sqrt();
            pieces.push((to - from, middle.powf(-exponent)));
            from = to;
        }
        let sum: f64 = pieces.iter().map(|(ranks, weight)| ranks * weight).sum();
        pieces.iter_mut().for_each(|(_, weight)| *weight /= sum);
        Law { pieces }
    }

    /// How likely two draws are equal.
    fn collision(&self) -> f64 {
        self.pieces.iter().map(|(ranks, share)| ranks * share * share).sum()
    }

    /// How many different ones so many draws show.
    fn distinct(&self, samples: f64) -> f64 {
        self.pieces.iter().map(|(ranks, share)| ranks * (1.0 - (samples * (-share).ln_1p()).exp())).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::shape::Spread;

    /// What a capture of this law is expected to show.
    fn seen(count: f64, exponent: f64, samples: u64) -> KeyShape {
        let law = Law::new(count, exponent);
        KeyShape {
            share: 1.0,
            bytes: 8.2,
            samples,
            distinct: law.distinct(samples as f64).round() as u64,
            collision: law.collision(),
            top: law.pieces[0].1,
        }
    }

    #[test]
    fn the_law_of_keys_is_found_again() {
        for (count, exponent) in [(100.0, 0.8), (1000.0, 1.0), (50_000.0, 1.2), (1e6, 0.6)] {
            let (found, skew) = fit(&seen(count, exponent, 100_000));
            assert!((found / count - 1.0).abs() < 0.05, "{found} keys of {count}");
            assert!((skew - exponent).abs() < 0.02, "{skew}, not {exponent}");
        }
        assert_eq!(keys(&seen(1000.0, 0.0, 100_000)), Keys::Uniform { count: 1000, bytes: 8 });
        let different = KeyShape { share: 1.0, bytes: 16.0, samples: 10, distinct: 10, ..KeyShape::default() };
        assert!(matches!(keys(&different), Keys::Uniform { count: 1_000_000_000_000, bytes: 16 }));
        assert_eq!(keys(&KeyShape { share: 0.1, samples: 5, ..KeyShape::default() }), Keys::None);
    }

    #[test]
    fn rates_become_the_process_that_made_them() {
        let topic =
            |rates: &[f64], dispersion| TopicShape { rates: rates.to_vec(), dispersion, ..TopicShape::default() };
        let of = |rates: &[f64], dispersion| arrival(&topic(rates, dispersion), 4.0);
        assert_eq!(of(&[1000.0; 4], 0.0), Arrival::Constant { rate: 1000.0 });
        assert_eq!(of(&[990.0, 1010.0, 1040.0, 960.0], 1.1), Arrival::Poisson { rate: 1000.0 });
        assert_eq!(of(&[1000.0, 1000.0, 950.0, 1050.0], 50.0), Arrival::Burst { rate: 1000.0, burst: 50 });
        let rates = [100.0, 500.0, 1000.0, 400.0];
        assert_eq!(of(&rates, 1.0), Arrival::Trace { step_s: 1.0, rates: rates.to_vec() });
    }

    #[test]
    fn settings_make_the_same_batches() {
        let spread = |p90, p99| Spread { p90, p99, ..Spread::default() };
        let topic = TopicShape {
            records: 5,
            batch_ms: spread(4.6, 5.0),
            batch_bytes: spread(50_000.0, 60_000.0),
            codecs: [("none".to_owned(), 0.2), ("zstd".to_owned(), 0.8)].into(),
            acks: [("1".to_owned(), 1.0)].into(),
            idempotent: 0.9,
            consumers: ConsumerShape { connections: 6, fan_out: 2.1, max_wait_ms: 500, ..ConsumerShape::default() },
            ..TopicShape::default()
        };
        let flow = flow(&topic, 10.0);
        let setting = |key: &str| flow.producer[key].as_str();
        assert_eq!((setting("linger.ms"), setting("batch.size")), ("5", "63000"));
        assert_eq!((setting("acks"), setting("compression.type")), ("1", "zstd"));
        assert_eq!(setting("enable.idempotence"), "false", "it needs acks=all");
        assert_eq!((flow.consumers.groups, flow.consumers.members), (2, 3));
        assert_eq!(flow.consumers.settings["fetch.max.wait.ms"], "500");
    }

    #[test]
    fn what_is_no_shape_is_refused_with_a_sentence() {
        let error = |text: &str| read(text, "x.json").expect_err(text).to_string();
        assert!(error("{").starts_with("x.json: not a captured shape"));
        assert_eq!(error("{}"), "x.json: not a captured shape: it has no 'format'");
        assert_eq!(error("{\"format\": 9}"), "x.json: a shape of format 9, this is 1: capture again with this version");
        let empty = Shape { format: FORMAT, ..Shape::default() };
        assert!(workload(&empty).expect_err("it is empty").to_string().contains("no records"));
    }
}
