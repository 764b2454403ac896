//! What a connection did between two moments: differences of its counters, as rates, shares and times.

use serde::Serialize;

use super::connections::{ConnectionUsage, FetchUsage, ProduceUsage, Way};
use super::instrument::HistogramSum;

/// The counters of a connection at one moment.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Its number, in the order of connecting.
    pub id: u64,
    client_id: String,
    software: String,
    topics: Vec<String>,
    has_more_topics: bool,
    address: String,
    listener: String,
    since_ms: i64,
    shard: i64,
    requests: u64,
    produce: Option<ProduceReading>,
    fetch: Option<FetchReading>,
}

#[derive(Clone, Debug, Default)]
struct WayReading {
    under_way: u64,
    busy_ns: u64,
    stretches: u64,
    waited_ns: u64,
    time: HistogramSum,
    errors: u64,
    last_error: i16,
}

#[derive(Clone, Debug, Default)]
struct ProduceReading {
    way: WayReading,
    batches: u64,
    records: u64,
    bytes: u64,
    span_ms: u64,
    acks: i64,
    codec: i64,
    idempotent: bool,
}

#[derive(Clone, Debug, Default)]
struct FetchReading {
    way: WayReading,
    empty: u64,
    bytes: u64,
    min_bytes: i64,
    max_wait_ms: i64,
}

impl WayReading {
    fn of(way: &Way) -> WayReading {
        let mut time = HistogramSum::default();
        way.time.add_to(&mut time);
        WayReading {
            under_way: way.under_way.get(),
            busy_ns: way.busy_ns.get(),
            stretches: way.stretches.get(),
            waited_ns: way.waited_ns.get(),
            time,
            errors: way.errors.get(),
            last_error: i16::try_from(way.last_error.get()).unwrap_or(-1),
        }
    }

    fn since(&self, earlier: &WayReading, seconds: f64) -> WaySeen {
        let time = self.time.since(&earlier.time);
        let (requests, sum_ms) = (time.count(), time.sum_ms());
        let each = |total: f64| if requests == 0 { 0.0 } else { total / requests as f64 };
        let known = |ms: f64| if ms.is_nan() { 0.0 } else { ms };
        let less = |now: u64, then: u64| now.saturating_sub(then) as f64;
        let busy_ms = less(self.busy_ns, earlier.busy_ns) / 1e6;
        let stretches = less(self.stretches, earlier.stretches);
        let waited_ms = less(self.waited_ns, earlier.waited_ns) / 1e6;
        WaySeen {
            requests,
            requests_s: requests as f64 / seconds,
            under_way: each(less(self.under_way, earlier.under_way)),
            busy_share: (busy_ms / 1000.0 / seconds).min(1.0),
            pause_ms: if stretches == 0.0 { 0.0 } else { (seconds * 1000.0 - busy_ms).max(0.0) / stretches },
            mean_ms: each(sum_ms),
            p50_ms: known(time.quantile_ms(0.5)),
            p99_ms: known(time.quantile_ms(0.99)),
            waited_share: if sum_ms > 0.0 { (waited_ms / sum_ms).clamp(0.0, 1.0) } else { 0.0 },
            errors: self.errors.saturating_sub(earlier.errors),
            errors_ever: self.errors,
            last_error: self.last_error,
        }
    }
}

impl ProduceReading {
    fn of(produce: &ProduceUsage) -> ProduceReading {
        ProduceReading {
            way: WayReading::of(&produce.way),
            batches: produce.batches.get(),
            records: produce.records.get(),
            bytes: produce.bytes.get(),
            span_ms: produce.span_ms.get(),
            acks: produce.acks.get(),
            codec: produce.codec.get(),
            idempotent: produce.idempotent.get() != 0,
        }
    }

    fn since(&self, earlier: &ProduceReading, seconds: f64) -> ProduceSeen {
        let less = |now: u64, then: u64| now.saturating_sub(then) as f64;
        let batches = less(self.batches, earlier.batches);
        let each = |total: f64| if batches == 0.0 { 0.0 } else { total / batches };
        let (records, bytes) = (less(self.records, earlier.records), less(self.bytes, earlier.bytes));
        ProduceSeen {
            way: self.way.since(&earlier.way, seconds),
            batches_s: batches / seconds,
            records_s: records / seconds,
            bytes_s: bytes / seconds,
            batch_records: each(records),
            batch_bytes: each(bytes),
            batch_ms: each(less(self.span_ms, earlier.span_ms)),
            acks: i16::try_from(self.acks).unwrap_or(-1),
            codec: u8::try_from(self.codec).unwrap_or(u8::MAX),
            idempotent: self.idempotent,
        }
    }
}

impl FetchReading {
    fn of(fetch: &FetchUsage) -> FetchReading {
        FetchReading {
            way: WayReading::of(&fetch.way),
            empty: fetch.empty.get(),
            bytes: fetch.bytes.get(),
            min_bytes: fetch.min_bytes.get(),
            max_wait_ms: fetch.max_wait_ms.get(),
        }
    }

    fn since(&self, earlier: &FetchReading, seconds: f64) -> FetchSeen {
        let way = self.way.since(&earlier.way, seconds);
        let bytes = self.bytes.saturating_sub(earlier.bytes) as f64;
        let empty = self.empty.saturating_sub(earlier.empty);
        let full = way.requests.saturating_sub(empty);
        FetchSeen {
            answers_s: full as f64 / seconds,
            bytes_s: bytes / seconds,
            answer_bytes: if full == 0 { 0.0 } else { bytes / full as f64 },
            min_bytes: self.min_bytes,
            max_wait_ms: self.max_wait_ms,
            way,
        }
    }
}

/// A connection over a stretch of time.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Seen {
    /// Its number, in the order of connecting.
    pub id: u64,
    /// The client's own name for itself.
    pub client_id: String,
    /// `apache-kafka-java 4.3.1`
    pub software: String,
    /// Topics that it produced to or fetched.
    pub topics: Vec<String>,
    /// Whether there are more of them.
    pub has_more_topics: bool,
    /// Where it comes from.
    pub address: String,
    /// The listener that it came by.
    pub listener: String,
    /// When it came.
    pub since_ms: i64,
    /// The shard that serves it.
    pub shard: i64,
    /// Requests of any kind since it came.
    pub requests: u64,
    /// How long it was looked at.
    pub seconds: f64,
    /// What it produced.
    pub produce: Option<ProduceSeen>,
    /// What it fetched.
    pub fetch: Option<FetchSeen>,
}

/// How one kind of request went.
#[derive(Clone, Debug, Default, Serialize)]
pub struct WaySeen {
    /// Answers.
    pub requests: u64,
    /// Answers a second.
    pub requests_s: f64,
    /// Requests under way as one began, that one included.
    pub under_way: f64,
    /// Share of the time in which one was under way here.
    pub busy_share: f64,
    /// How long it was between the last answer and the next request, at the client and in the network.
    pub pause_ms: f64,
    /// Time to answer.
    pub mean_ms: f64,
    /// Half took less.
    pub p50_ms: f64,
    /// 99 % took less.
    pub p99_ms: f64,
    /// Share of the answers' time that was waited.
    pub waited_share: f64,
    /// Answers that refused something.
    pub errors: u64,
    /// The same since it came.
    pub errors_ever: u64,
    /// The last error code.
    pub last_error: i16,
}

/// What was produced.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ProduceSeen {
    /// Its requests.
    pub way: WaySeen,
    /// Batches a second.
    pub batches_s: f64,
    /// Records a second.
    pub records_s: f64,
    /// Bytes of batches a second.
    pub bytes_s: f64,
    /// Records of a batch.
    pub batch_records: f64,
    /// Bytes of a batch.
    pub batch_bytes: f64,
    /// Milliseconds from the first to the last record of a batch.
    pub batch_ms: f64,
    /// `acks`
    pub acks: i16,
    /// Kafka's number of the codec.
    pub codec: u8,
    /// Whether its batches have a producer id.
    pub idempotent: bool,
}

/// What was fetched.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FetchSeen {
    /// Its requests.
    pub way: WaySeen,
    /// Answers with records, a second.
    pub answers_s: f64,
    /// Bytes a second.
    pub bytes_s: f64,
    /// Bytes of an answer that has any.
    pub answer_bytes: f64,
    /// `fetch.min.bytes`
    pub min_bytes: i64,
    /// `fetch.max.wait.ms`
    pub max_wait_ms: i64,
}

impl Reading {
    /// The counters of now.
    pub(super) fn of(usage: &ConnectionUsage) -> Reading {
        let who = usage.who();
        Reading {
            id: usage.id,
            client_id: who.client_id.clone(),
            software: who.software.clone(),
            topics: who.topics.clone(),
            has_more_topics: who.has_more_topics,
            address: usage.peer.to_string(),
            listener: usage.listener.to_string(),
            since_ms: usage.since_ms,
            shard: usage.shard.get(),
            requests: usage.requests.get(),
            produce: usage.produce.get().map(|produce| ProduceReading::of(produce)),
            fetch: usage.fetch.get().map(|fetch| FetchReading::of(fetch)),
        }
    }

    /// What happened since `earlier`, so many seconds before; of a connection that has come since, all.
    pub fn since(&self, earlier: Option<&Reading>, seconds: f64) -> Seen {
        let then_produce = earlier.and_then(|it| it.produce.clone()).unwrap_or_default();
        let then_fetch = earlier.and_then(|it| it.fetch.clone()).unwrap_or_default();
        Seen {
            id: self.id,
            client_id: self.client_id.clone(),
            software: self.software.clone(),
            topics: self.topics.clone(),
            has_more_topics: self.has_more_topics,
            address: self.address.clone(),
            listener: self.listener.clone(),
            since_ms: self.since_ms,
            shard: self.shard,
            requests: self.requests,
            seconds,
            produce: self.produce.as_ref().map(|produce| produce.since(&then_produce, seconds)),
            fetch: self.fetch.as_ref().map(|fetch| fetch.since(&then_fetch, seconds)),
        }
    }
}
