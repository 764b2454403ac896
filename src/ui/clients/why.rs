//! Why a client is as slow as it is: what its connection was seen to do, as sentences. The first reason is the one that limits it.
//!
//! The one question that splits them: had the broker a request of the client to answer, or nothing? If nothing, then what slows the
//! client is on its side, whatever the broker does. If it had, then an answer's time is either work or waiting.

use serde::Serialize;

use crate::metrics::{FetchSeen, ProduceSeen, WaySeen};
use crate::protocol::ErrorCode;
use crate::ui::html::bytes;

/// From this share of the time on, the broker holds the client up and not the client the broker.
const MOSTLY: f64 = 0.5;
/// From this share on it is worth a word.
const PARTLY: f64 = 0.2;
/// Fewer requests than this at a time are one at a time.
const ONE: f64 = 1.5;
/// So few batches or answers a second cost nobody anything.
const BATCHES_S_MIN: f64 = 100.0;
/// A batch of fewer records and bytes than these is small.
const RECORDS_SMALL: f64 = 10.0;
const BYTES_SMALL: f64 = 4096.0;
/// Kafka's default of `batch.size`.
const BATCH_SIZE: f64 = 16_384.0;
/// Batches that are full sooner than this are not held back by `linger.ms`.
const FILLS_FAST_MS: f64 = 5.0;
/// So many bytes a second are worth a codec.
const BYTES_S_PLAIN: f64 = 10e6;
/// Records that wait so long for others are late for that reason.
const GATHERS_MS: f64 = 10.0;
/// A shard that is at work for this share of the time is full.
const FULL: f64 = 0.9;
/// So many answers a second of so few bytes are many small ones.
const FETCHES_S_MIN: f64 = 500.0;
const FETCH_BYTES_SMALL: f64 = 16_384.0;

/// How much a reason matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// It is as it should be.
    Good,
    /// It could be faster.
    Mixed,
    /// Something is wrong.
    Bad,
}

/// Why a client is as slow as it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reason {
    /// In two or three words.
    pub name: &'static str,
    /// How much it matters.
    pub weight: Weight,
    /// What was seen.
    pub text: String,
    /// What to do about it.
    pub mend: Option<String>,
}

/// What is known beside the connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Around {
    /// Share of the time in which the connection's shard was at work.
    pub shard_load: f64,
    /// Durable writes of all shards: how long half and 99 % of them took, ms.
    pub device_ms: Option<(f64, f64)>,
    /// What the client itself says: how long records wait in its buffer, ms.
    pub queue_ms: Option<f64>,
    /// And how long it was told to wait because of a quota, ms.
    pub throttle_ms: Option<f64>,
}

fn reason(name: &'static str, weight: Weight, text: String, mend: &str) -> Reason {
    Reason { name, weight, text, mend: Some(mend.to_owned()).filter(|mend| !mend.is_empty()) }
}

/// `0.04`, `1.2`, `250`: as many digits as are of use.
pub fn ms(ms: f64) -> String {
    match ms {
        _ if ms >= 10.0 => format!("{ms:.0}"),
        _ if ms >= 1.0 => format!("{ms:.1}"),
        _ => format!("{ms:.2}"),
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", (share * 100.0).clamp(0.0, 100.0))
}

fn refused(way: &WaySeen) -> Option<Reason> {
    let name = ErrorCode::from_code(way.last_error).name();
    let text = format!(
        "{} of {} answers in this time refused something, the last one with {name}: what was refused is sent again, or lost to the application.",
        way.errors, way.requests
    );
    let mend = "The client's log names the topic and partition; the broker's log says more.";
    (way.errors > 0).then(|| reason("refused", Weight::Bad, text, mend))
}

fn full_shard(around: &Around) -> Option<Reason> {
    let text = format!(
        "The shard that serves it is at work {} of the time: all clients of that shard wait for each other.",
        percent(around.shard_load)
    );
    let mend = "The overview shows the load of each shard and what it does. Larger batches cost less for each record; more partitions spread over more shards.";
    (around.shard_load >= FULL).then(|| reason("busy shard", Weight::Bad, text, mend))
}

/// Why a producer is as slow as it is, over so many seconds.
pub fn producer(seen: &ProduceSeen, seconds: f64, around: &Around) -> Vec<Reason> {
    let way = &seen.way;
    if way.requests == 0 {
        let text = format!(
            "It sent nothing in the last {seconds:.0} s: it has nothing to send, or still gathers (linger.ms)."
        );
        return vec![reason("sends nothing", Weight::Good, text, "")];
    }
    let mut reasons: Vec<Reason> =
        [refused(way), throttled(around), full_shard(around)].into_iter().flatten().collect();
    if way.busy_share < MOSTLY {
        reasons.push(own_pace(seen));
    }
    if way.busy_share >= PARTLY {
        reasons.push(held_up(seen, around));
    }
    let others = [gathers(seen, around), small_batches(seen), full_batches(seen), plain(seen), costly_codec(seen)];
    reasons.extend(others.into_iter().flatten());
    reasons
}

fn throttled(around: &Around) -> Option<Reason> {
    let throttle_ms = around.throttle_ms.filter(|ms| *ms > 0.0)?;
    let text = format!("It says that it was told to wait {} ms for each request: a quota.", ms(throttle_ms));
    Some(reason("throttled", Weight::Bad, text, "kafka-configs --describe --entity-type clients shows the quotas."))
}

/// The broker had a request of it most of the time.
fn held_up(seen: &ProduceSeen, around: &Around) -> Reason {
    let way = &seen.way;
    let answer = format!("An answer takes {} ms (99 %: {})", ms(way.mean_ms), ms(way.p99_ms));
    if way.waited_share < MOSTLY {
        let text =
            format!("{answer}, and most of that is work: the broker is at it {} of the time.", percent(way.busy_share));
        let mend = "Larger batches cost less for each record (batch.size, linger.ms); more partitions spread over more shards.";
        return reason("the broker works", Weight::Mixed, text, mend);
    }
    if seen.acks != -1 {
        let text = format!(
            "{answer}, {} of it waiting: for the shard that has the partition, or behind earlier requests.",
            percent(way.waited_share)
        );
        return reason("waits in the broker", Weight::Mixed, text, "The overview shows the load of each shard.");
    }
    let device = around.device_ms.map_or(String::new(), |(half, most)| {
        format!(" A durable write takes the device {} ms now (99 %: {}).", ms(half), ms(most))
    });
    let waiting = format!(
        "{answer}, {} of it waiting until the records are on the device, as acks=all promises here",
        percent(way.waited_share)
    );
    if way.under_way >= ONE {
        let text = format!("{waiting}; {:.1} requests are under way at a time.{device}", way.under_way);
        let mend = "More in each request shares a wait: linger.ms=5 or more, batch.size=131072. A faster device, or acks.all.durability=memory on the topic, which is what acks=all means in Apache Kafka: it does not survive a power loss.";
        return reason("waits for the device", Weight::Mixed, text, mend);
    }
    // A request has a batch for each of some partitions.
    let records = if way.requests_s > 0.0 { seen.records_s / way.requests_s } else { seen.batch_records };
    let text = format!(
        "{waiting}; and it sends the next request only then: no more than {:.0} requests/s of {records:.1} records.{device}",
        1000.0 / (way.mean_ms + way.pause_ms).max(0.001),
    );
    let mend = "Let requests overlap: do not wait for each send, and leave max.in.flight.requests.per.connection at 5 (enable.idempotence keeps the order). Or put more in each: linger.ms=5. acks.all.durability=memory on the topic is what acks=all means in Apache Kafka: faster, and it does not survive a power loss.";
    reason("one at a time", Weight::Mixed, text, mend)
}

/// The broker had nothing to do for it most of the time.
fn own_pace(seen: &ProduceSeen) -> Reason {
    let way = &seen.way;
    let text = format!(
        "The broker had no request of it for {} of the time: an answer took {} ms (99 %: {}), and then {} ms passed until the next request. What limits it is on its side, or the network.",
        percent(1.0 - way.busy_share),
        ms(way.mean_ms),
        ms(way.p99_ms),
        ms(way.pause_ms)
    );
    let mend = "Look there: how often the application calls send(), whether it waits for each one, linger.ms, its processor, the round trip (ping).";
    reason("its own pace", Weight::Good, text, mend)
}

fn gathers(seen: &ProduceSeen, around: &Around) -> Option<Reason> {
    let mend = "linger.ms is the longest that a record waits for others: less is sooner, more is cheaper.";
    if let Some(queue_ms) = around.queue_ms.filter(|queue_ms| *queue_ms >= GATHERS_MS) {
        let text = format!(
            "It says that records wait {} ms in its buffer before they are sent (record-queue-time-avg): that is in the latency of each.",
            ms(queue_ms)
        );
        return Some(reason("waits to send", Weight::Mixed, text, mend));
    }
    let text = format!(
        "Its batches reach over {} ms from their first to their last record: the first one waits so long before it is sent.",
        ms(seen.batch_ms)
    );
    let waits = seen.batch_ms >= GATHERS_MS && seen.batch_records >= 2.0;
    waits.then(|| reason("waits to send", Weight::Mixed, text, mend))
}

/// Whether it sends one record, and the next when the answer is there: lingering would gather nothing.
fn waits_for_answers(seen: &ProduceSeen) -> bool {
    seen.acks != 0 && seen.way.under_way < ONE && seen.batch_records < ONE && seen.way.busy_share >= MOSTLY
}

fn small_batches(seen: &ProduceSeen) -> Option<Reason> {
    let is_small = seen.batch_records < RECORDS_SMALL && seen.batch_bytes < BYTES_SMALL;
    if seen.batches_s < BATCHES_S_MIN || !is_small || waits_for_answers(seen) {
        return None;
    }
    let text = format!(
        "{:.0} batches/s of {:.1} records, {}: a batch costs producer and broker about the same, however small it is.",
        seen.batches_s,
        seen.batch_records,
        bytes(seen.batch_bytes as i64)
    );
    let mend = "linger.ms=5 (the default of Kafka's own clients since 4.0) lets records wait for each other.";
    Some(reason("small batches", Weight::Mixed, text, mend))
}

fn full_batches(seen: &ProduceSeen) -> Option<Reason> {
    let is_limit = (0.75..=1.1).contains(&(seen.batch_bytes / BATCH_SIZE)) && seen.codec == 0;
    if seen.batches_s < BATCHES_S_MIN || !is_limit || seen.batch_ms >= FILLS_FAST_MS {
        return None;
    }
    let text = format!(
        "{:.0} batches/s of {}: they end because batch.size={BATCH_SIZE:.0} is full, not because nothing more comes.",
        seen.batches_s,
        bytes(seen.batch_bytes as i64)
    );
    Some(reason("full batches", Weight::Mixed, text, "batch.size=131072 makes fewer and larger requests."))
}

fn plain(seen: &ProduceSeen) -> Option<Reason> {
    let text = format!("{}/s without compression.", bytes(seen.bytes_s as i64));
    let mend =
        "compression.type=lz4 makes most text two to five times smaller; 'Look closer' tells what it would bring here.";
    (seen.codec == 0 && seen.bytes_s >= BYTES_S_PLAIN).then(|| reason("no compression", Weight::Mixed, text, mend))
}

fn costly_codec(seen: &ProduceSeen) -> Option<Reason> {
    const GZIP: u8 = 1;
    let text = "gzip costs the producer far more time than it saves.".to_owned();
    let mend = "compression.type=zstd makes records as small for a fraction of it.";
    (seen.codec == GZIP && seen.batches_s >= 1.0).then(|| reason("gzip", Weight::Mixed, text, mend))
}

/// Why a consumer is as slow as it is, over so many seconds.
pub fn consumer(seen: &FetchSeen, seconds: f64, around: &Around) -> Vec<Reason> {
    let way = &seen.way;
    if way.requests == 0 {
        let text = format!(
            "It asked for nothing in the last {seconds:.0} s: it is paused, handles what it has, or has no partitions."
        );
        let mend = "Its group's page tells which partitions it has, and how far behind it is. Who handles records for longer than max.poll.interval.ms loses them: max.poll.records makes the portions smaller.";
        return vec![reason("asks nothing", Weight::Mixed, text, mend)];
    }
    let mut reasons: Vec<Reason> = [refused(way), full_shard(around)].into_iter().flatten().collect();
    let answer = format!("an answer took {} ms (99 %: {})", ms(way.mean_ms), ms(way.p99_ms));
    reasons.push(if way.busy_share < MOSTLY {
        let text = format!(
            "The broker had no request of it for {} of the time: {answer}, and then {} ms passed until the next request. What limits it is how it handles what it got.",
            percent(1.0 - way.busy_share),
            ms(way.pause_ms)
        );
        let mend = "The lag of its group tells whether that is too slow: if it grows, let the handling do less or more at a time, or add partitions and members.";
        reason("its own pace", Weight::Good, text, mend)
    } else if way.waited_share >= MOSTLY {
        let text = format!(
            "It waits at the end of its partitions for records to come ({} of the time): nothing slows it but that there is no more.",
            percent(way.busy_share * way.waited_share)
        );
        reason("at the end", Weight::Good, text, "")
    } else {
        let text =
            format!("The broker reads for it {} of the time: {answer}, most of that is work.", percent(way.busy_share));
        let mend = "Records that nobody has read lately come from the device: the broker's metrics tell cold reads. fetch.max.bytes and max.partition.fetch.bytes make larger answers.";
        reason("the broker works", Weight::Mixed, text, mend)
    });
    if seen.answers_s >= FETCHES_S_MIN && seen.answer_bytes < FETCH_BYTES_SMALL && seen.min_bytes <= 1 {
        let text = format!("{:.0} answers/s of {} each.", seen.answers_s, bytes(seen.answer_bytes as i64));
        let mend = format!(
            "fetch.min.bytes=65536 makes fewer and larger ones, for at most fetch.max.wait.ms={}.",
            seen.max_wait_ms
        );
        reasons.push(reason("small answers", Weight::Mixed, text, &mend));
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits for each answer, of which most is waiting for the device.
    fn waiting() -> ProduceSeen {
        ProduceSeen {
            way: WaySeen {
                requests: 800,
                requests_s: 400.0,
                under_way: 1.0,
                busy_share: 0.96,
                pause_ms: 0.1,
                mean_ms: 2.4,
                p50_ms: 2.2,
                p99_ms: 4.0,
                waited_share: 0.98,
                ..WaySeen::default()
            },
            batches_s: 400.0,
            records_s: 400.0,
            bytes_s: 40_000.0,
            batch_records: 1.0,
            batch_bytes: 100.0,
            acks: -1,
            codec: 3,
            ..ProduceSeen::default()
        }
    }

    fn names(reasons: &[Reason]) -> Vec<&str> {
        reasons.iter().map(|reason| reason.name).collect()
    }

    fn said(seen: &ProduceSeen) -> Vec<&'static str> {
        producer(seen, 2.0, &Around::default()).iter().map(|reason| reason.name).collect()
    }

    #[test]
    fn who_waits_for_each_answer_is_told_so_first() {
        let around = Around { device_ms: Some((2.1, 3.9)), ..Around::default() };
        let reasons = producer(&waiting(), 2.0, &around);
        assert_eq!(names(&reasons), ["one at a time"]);
        let text = &reasons[0].text;
        assert!(text.contains("98 % of it waiting") && text.contains("400 requests/s"), "{text}");
        assert!(text.contains("takes the device 2.1 ms"), "{text}");
        let overlapping = ProduceSeen { way: WaySeen { under_way: 4.2, ..waiting().way }, ..waiting() };
        assert_eq!(said(&overlapping), ["waits for the device", "small batches"]);
        assert_eq!(said(&ProduceSeen { acks: 1, ..waiting() }), ["waits in the broker"]);
        let working =
            ProduceSeen { way: WaySeen { waited_share: 0.1, ..waiting().way }, batch_records: 50.0, ..waiting() };
        assert_eq!(said(&working), ["the broker works"]);
    }

    #[test]
    fn who_leaves_the_broker_alone_is_slow_by_himself() {
        let idle = ProduceSeen { way: WaySeen { busy_share: 0.02, pause_ms: 50.0, ..waiting().way }, ..waiting() };
        let slow = ProduceSeen { batches_s: 20.0, ..idle.clone() };
        let reasons = producer(&slow, 2.0, &Around::default());
        assert_eq!((names(&reasons), reasons[0].weight), (vec!["its own pace"], Weight::Good));
        assert!(reasons[0].text.contains("for 98 % of the time") && reasons[0].text.contains("then 50 ms"));
        assert_eq!(said(&idle), ["its own pace", "small batches"]);
        let partly = ProduceSeen { way: WaySeen { busy_share: 0.4, ..waiting().way }, ..slow };
        assert_eq!(said(&partly), ["its own pace", "one at a time"]);
        assert_eq!(said(&ProduceSeen::default()), ["sends nothing"]);
    }

    #[test]
    fn what_is_wrong_comes_before_what_could_be_better() {
        let way = WaySeen { errors: 3, errors_ever: 9, last_error: 19, ..waiting().way };
        let around = Around { shard_load: 0.97, throttle_ms: Some(20.0), ..Around::default() };
        let reasons = producer(&ProduceSeen { way, ..waiting() }, 2.0, &around);
        assert_eq!(names(&reasons), ["refused", "throttled", "busy shard", "one at a time"]);
        assert!(reasons[0].text.contains("3 of 800") && reasons[0].text.contains("NOT_ENOUGH_REPLICAS"));
        assert_eq!(reasons[0].weight, Weight::Bad);
    }

    #[test]
    fn each_wrong_setting_is_named() {
        let way = WaySeen { busy_share: 0.1, under_way: 2.0, ..waiting().way };
        let seen = ProduceSeen { way, batch_records: 150.0, batch_bytes: 16_300.0, batch_ms: 1.0, ..waiting() };
        assert_eq!(said(&ProduceSeen { codec: 0, ..seen.clone() }), ["its own pace", "full batches"]);
        assert_eq!(said(&ProduceSeen { codec: 1, ..seen.clone() }), ["its own pace", "gzip"]);
        let fast = ProduceSeen { codec: 0, bytes_s: 5e7, batch_bytes: 60_000.0, ..seen.clone() };
        assert_eq!(said(&fast), ["its own pace", "no compression"]);
        assert_eq!(said(&ProduceSeen { batch_ms: 45.0, ..seen.clone() }), ["its own pace", "waits to send"]);
        let around = Around { queue_ms: Some(80.0), ..Around::default() };
        let told = producer(&seen, 2.0, &around);
        assert!(told[1].text.contains("wait 80 ms in its buffer"), "{told:?}");
    }

    #[test]
    fn consumers_wait_for_records_or_for_themselves() {
        let way = WaySeen { requests: 10, busy_share: 0.99, waited_share: 0.99, ..WaySeen::default() };
        let at_end = FetchSeen { way: way.clone(), ..FetchSeen::default() };
        let said = |seen: &FetchSeen| {
            consumer(seen, 2.0, &Around::default()).iter().map(|reason| reason.name).collect::<Vec<_>>()
        };
        assert_eq!(said(&at_end), ["at the end"]);
        assert_eq!(said(&FetchSeen::default()), ["asks nothing"]);
        let own = WaySeen { busy_share: 0.01, pause_ms: 300.0, ..way.clone() };
        assert_eq!(said(&FetchSeen { way: own, ..FetchSeen::default() }), ["its own pace"]);
        let work = WaySeen { waited_share: 0.1, ..way.clone() };
        assert_eq!(said(&FetchSeen { way: work, ..FetchSeen::default() }), ["the broker works"]);
        let small =
            FetchSeen { way, answers_s: 2000.0, answer_bytes: 300.0, min_bytes: 1, bytes_s: 6e5, max_wait_ms: 500 };
        assert_eq!(said(&small), ["at the end", "small answers"]);
    }
}
