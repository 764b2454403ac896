//! What a captured shape says of the settings of its clients: one sentence each, with the change that a bench can try.

use serde::{Deserialize, Serialize};

use super::shape::{Shape, TopicShape};

/// Kafka's default of `batch.size`, bytes.
const BATCH_SIZE: f64 = 16_384.0;
/// A `batch.size` that pays where the default one is always full.
const BATCH_SIZE_LARGE: u32 = 131_072;
/// The `linger.ms` that are proposed, the smallest that helps first.
const LINGERS_MS: [f64; 2] = [5.0, 20.0];
/// Batches that would be so many times larger are worth waiting for.
const LARGER: f64 = 2.0;
/// Records that gathered for less than this did not wait for each other, ms.
const AT_ONCE_MS: f64 = 1.0;
/// So few batches a second cost nobody anything.
const BATCHES_S_MIN: f64 = 100.0;
/// So few bytes a second need no codec.
const BYTES_S_MIN: f64 = 100_000.0;
/// A codec that makes records so many times smaller is worth its time.
const SMALLER: f64 = 1.5;
/// A share of all records that is too much for one key.
const HOT_KEY: f64 = 0.2;
/// Samples of keys that say something.
const KEY_SAMPLES_MIN: u64 = 1000;
/// So many answers a second of so few bytes are many small ones.
const FETCHES_S_MIN: f64 = 500.0;
const FETCH_BYTES_SMALL: f64 = 16_384.0;
/// The `fetch.min.bytes` that is proposed.
const FETCH_MIN_BYTES: u32 = 65_536;

/// Something to change about the clients of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// The topic.
    pub topic: String,
    /// What was seen, what to change and what that should do; one sentence.
    pub text: String,
    /// What a run of the bench can try, if a setting is what to change.
    pub change: Option<Change>,
}

/// A setting and the value to try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// A setting as `millrace bench --sweep` takes it: of the producer, or `consumer.` and one of the consumer.
    pub setting: String,
    /// What it seems to be.
    pub from: String,
    /// What to try.
    pub to: String,
}

/// What there is to change, by topic; nothing if the traffic is as it should be.
pub fn hints(shape: &Shape) -> Vec<Hint> {
    let seconds = shape.seconds.max(1.0);
    let looks = [small_batches, full_batches, one_at_a_time, no_codec, costly_codec, hot_key, small_fetches];
    let of_topic = |topic: &TopicShape| {
        let found = looks.iter().filter_map(|look| look(topic, seconds));
        found.map(|(text, change)| Hint { topic: topic.name.clone(), text, change }).collect::<Vec<_>>()
    };
    shape.topics.iter().flat_map(of_topic).collect()
}

type Finding = (String, Option<Change>);

fn change(setting: &str, from: impl ToString, to: impl ToString) -> Option<Change> {
    Some(Change { setting: setting.to_owned(), from: from.to_string(), to: to.to_string() })
}

fn batches_s(topic: &TopicShape, seconds: f64) -> f64 {
    topic.records as f64 / topic.batch_records.mean.max(1.0) / seconds
}

fn bytes_s(topic: &TopicShape, seconds: f64) -> f64 {
    batches_s(topic, seconds) * topic.batch_bytes.mean
}

fn codec(topic: &TopicShape) -> Option<&str> {
    topic.codecs.iter().max_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(name, _)| name.as_str())
}

/// Records that come close after each other, each in a batch of its own.
fn small_batches(topic: &TopicShape, seconds: f64) -> Option<Finding> {
    let (batches, now) = (batches_s(topic, seconds), topic.batch_records.mean);
    let is_at_once = topic.batch_ms.p90 < AT_ONCE_MS && topic.batch_bytes.p50 < BATCH_SIZE / 2.0;
    // Who waits for each answer has no second record to wait for.
    if batches < BATCHES_S_MIN || !is_at_once || waits_for_answers(topic) {
        return None;
    }
    // Records without keys go to one partition until its batch is full; others are dealt out to all of them.
    let lanes = if topic.keys.share > 0.5 { topic.producers * topic.partitions } else { topic.producers };
    let rate = topic.records as f64 / seconds / lanes.max(1) as f64;
    let room = (BATCH_SIZE / (topic.batch_bytes.mean / now.max(1.0)).max(1.0)).max(1.0);
    let gathers = |linger_ms: f64| (1.0 + rate * linger_ms / 1000.0).min(room);
    let linger = LINGERS_MS.into_iter().find(|linger| gathers(*linger) >= LARGER * now)?;
    let then = gathers(linger);
    let text = format!(
        "{batches:.0} batches/s of {now:.1} records: linger.ms={linger:.0} would gather about {then:.0} in each, {:.1}x fewer requests, for at most {linger:.0} ms",
        then / now
    );
    Some((text, change("linger.ms", 0, linger)))
}

/// Batches that end because they are full, not because nothing more came.
fn full_batches(topic: &TopicShape, seconds: f64) -> Option<Finding> {
    let bytes = &topic.batch_bytes;
    let is_limit = (0.75..=1.1).contains(&(bytes.p99 / BATCH_SIZE)) && bytes.p50 > 0.7 * bytes.p99;
    let fills_fast = topic.batch_ms.p90 < LINGERS_MS[0];
    if !is_limit || !fills_fast || batches_s(topic, seconds) < BATCHES_S_MIN || codec(topic) != Some("none") {
        return None;
    }
    let text = format!(
        "{:.0} batches/s, most of them full at batch.size={BATCH_SIZE:.0}: batch.size={BATCH_SIZE_LARGE} makes fewer, larger requests",
        batches_s(topic, seconds)
    );
    Some((text, change("batch.size", BATCH_SIZE, BATCH_SIZE_LARGE)))
}

/// Whether producers send one record, and the next one when the answer is there. With other `acks` answers come too fast to tell.
fn waits_for_answers(topic: &TopicShape) -> bool {
    let acks_all = topic.acks.get("all").is_some_and(|share| *share > 0.5);
    acks_all && topic.in_flight.p99 == 1.0 && topic.batch_records.p90 < 1.5
}

fn one_at_a_time(topic: &TopicShape, seconds: f64) -> Option<Finding> {
    let each = batches_s(topic, seconds) / topic.producers.max(1) as f64;
    if !waits_for_answers(topic) || each < BATCHES_S_MIN {
        return None;
    }
    let text = format!(
        "{} producers with acks=all send {each:.0} single records/s each and never two at a time: let them send on and look at the answers later; if they do, max.in.flight.requests.per.connection is 1, and 5 keeps the order as well with enable.idempotence",
        topic.producers
    );
    Some((text, change("max.in.flight.requests.per.connection", 1, 5)))
}

fn no_codec(topic: &TopicShape, seconds: f64) -> Option<Finding> {
    let (bytes, ratio) = (bytes_s(topic, seconds), topic.compression_ratio);
    if codec(topic) != Some("none") || ratio < SMALLER || bytes < BYTES_S_MIN {
        return None;
    }
    let text = format!(
        "{:.1} MB/s uncompressed: compression.type=lz4 makes these records {ratio:.1}x smaller on the wire and on disk",
        bytes / 1e6
    );
    Some((text, change("compression.type", "none", "lz4")))
}

fn costly_codec(topic: &TopicShape, seconds: f64) -> Option<Finding> {
    if codec(topic) != Some("gzip") || bytes_s(topic, seconds) < BYTES_S_MIN {
        return None;
    }
    let text = "gzip: zstd makes records as small for a fraction of the producers' and consumers' time".to_owned();
    Some((text, change("compression.type", "gzip", "zstd")))
}

/// A key that makes one partition do most of the work.
fn hot_key(topic: &TopicShape, _seconds: f64) -> Option<Finding> {
    let keys = &topic.keys;
    let fair = 1.0 / topic.partitions.max(1) as f64;
    if topic.partitions < 2 || keys.samples < KEY_SAMPLES_MIN || keys.top < HOT_KEY.max(2.0 * fair) {
        return None;
    }
    let text = format!(
        "one key has {:.0} % of the records, so one of {} partitions has at least that, and its consumer the lag: give that key a suffix, or its records no key",
        keys.top * 100.0,
        topic.partitions
    );
    Some((text, None))
}

fn small_fetches(topic: &TopicShape, _seconds: f64) -> Option<Finding> {
    let consumers = &topic.consumers;
    let is_small = consumers.fetch_bytes.p90 < FETCH_BYTES_SMALL && consumers.min_bytes <= 1;
    if consumers.fetches_s < FETCHES_S_MIN || !is_small {
        return None;
    }
    let text = format!(
        "{:.0} answers/s of {:.1} kB to {} consumers: fetch.min.bytes={FETCH_MIN_BYTES} makes fewer, larger ones, for at most fetch.max.wait.ms={}",
        consumers.fetches_s,
        consumers.fetch_bytes.mean / 1000.0,
        consumers.connections,
        consumers.max_wait_ms
    );
    Some((text, change("consumer.fetch.min.bytes", 1, FETCH_MIN_BYTES)))
}

#[cfg(test)]
mod tests {
    use super::super::shape::{ConsumerShape, KeyShape, Spread};
    use super::*;

    fn even(value: f64) -> Spread {
        Spread { mean: value, p50: value, p90: value, p99: value }
    }

    /// Ten seconds of traffic that nobody has to change.
    fn topic() -> TopicShape {
        TopicShape {
            name: "orders".to_owned(),
            partitions: 4,
            records: 500_000,
            producers: 5,
            batch_records: even(100.0),
            batch_bytes: even(8000.0),
            batch_ms: even(5.0),
            in_flight: even(3.0),
            compression_ratio: 4.0,
            codecs: [("lz4".to_owned(), 1.0)].into(),
            acks: [("all".to_owned(), 1.0)].into(),
            ..TopicShape::default()
        }
    }

    fn said(topic: TopicShape) -> Vec<Hint> {
        hints(&Shape { seconds: 10.0, topics: vec![topic], ..Shape::default() })
    }

    #[test]
    fn good_traffic_and_no_traffic_need_no_change() {
        assert_eq!(said(topic()), []);
        assert_eq!(said(TopicShape::default()), []);
    }

    #[test]
    fn records_alone_in_their_batches_are_to_wait_for_each_other() {
        let alone = TopicShape { batch_records: even(1.0), batch_bytes: even(200.0), batch_ms: even(0.0), ..topic() };
        let [hint] = &said(alone.clone())[..] else { panic!("one hint") };
        // Each of five producers has 10,000 records a second: 51 come in 5 ms.
        assert!(hint.text.starts_with("50000 batches/s of 1.0 records: linger.ms=5 would gather about 51"), "{hint:?}");
        assert_eq!(hint.change, change("linger.ms", 0, 5));
        // With keys each of four partitions gets a fourth of that.
        let keys = KeyShape { share: 1.0, ..KeyShape::default() };
        let text = &said(TopicShape { keys: keys.clone(), ..alone.clone() })[0].text;
        assert!(text.contains("about 14 in each"), "{text}");
        // A slower one has to wait longer, or can't help it.
        let slow = TopicShape { records: 5000, keys, ..alone.clone() };
        assert_eq!(said(TopicShape { producers: 2, ..slow.clone() })[0].change, change("linger.ms", 0, 20));
        assert_eq!(said(TopicShape { producers: 50, ..slow }), []);
    }

    #[test]
    fn each_wrong_setting_has_its_sentence() {
        let none: std::collections::BTreeMap<_, _> = [("none".to_owned(), 1.0)].into();
        let full = TopicShape {
            batch_bytes: even(16_200.0),
            batch_ms: even(1.0),
            codecs: none.clone(),
            compression_ratio: 1.1,
            ..topic()
        };
        assert_eq!(said(full)[0].change, change("batch.size", 16384, 131_072));
        let waiting = TopicShape { in_flight: even(1.0), batch_records: even(1.0), batch_ms: even(0.0), ..topic() };
        let [hint] = &said(waiting)[..] else { panic!("to linger would not help") };
        assert_eq!(hint.change, change("max.in.flight.requests.per.connection", 1, 5));
        let plain = TopicShape { codecs: none, ..topic() };
        assert_eq!(said(plain)[0].change, change("compression.type", "none", "lz4"));
        let gzip = TopicShape { codecs: [("gzip".to_owned(), 1.0)].into(), ..topic() };
        assert_eq!(said(gzip)[0].change, change("compression.type", "gzip", "zstd"));
        let keys = KeyShape { share: 1.0, samples: 5000, top: 0.6, ..KeyShape::default() };
        let hot = &said(TopicShape { keys, ..topic() })[0];
        assert!(hot.text.starts_with("one key has 60 % of the records") && hot.change.is_none());
        let consumers = ConsumerShape {
            connections: 3,
            fetches_s: 9000.0,
            fetch_bytes: even(2000.0),
            min_bytes: 1,
            max_wait_ms: 500,
            ..ConsumerShape::default()
        };
        let fetching = said(TopicShape { consumers, ..topic() });
        assert_eq!(fetching[0].change, change("consumer.fetch.min.bytes", 1, 65_536));
    }
}
