//! Kafka's producer and consumer settings, by their names, with the defaults and the checks of Kafka 4.3.1.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::Duration;

use crate::bench::BenchError;
use crate::bench::workload::{Settings, settled};
use crate::record::Compression;
use crate::rt::poller::SocketBuffers;

const MS: u64 = 1_000_000;

/// What a producer does. Times are nanoseconds.
#[derive(Clone, Debug)]
pub struct ProducerSettings {
    pub acks: i16,
    pub batch_size: usize,
    pub linger_ms: u64,
    pub buffer_memory: usize,
    /// `max.block.ms` in nanoseconds: how long a record waits for memory.
    pub block_max_ns: u64,
    pub in_flight_max: usize,
    pub idempotent: bool,
    pub codec: Compression,
    pub level: i32,
    pub request_size_max: usize,
    pub delivery_timeout_ns: u64,
    pub request_timeout_ns: u64,
    pub retries: u32,
    pub backoff_ns: u64,
    pub backoff_max_ns: u64,
    pub ignore_keys: bool,
    pub adaptive: bool,
    /// 0: partitions of slow brokers are not left out.
    pub availability_timeout_ns: u64,
    pub transaction: Option<TransactionSettings>,
    pub client_id: String,
    pub buffers: SocketBuffers,
}

/// For producers that write in transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionSettings {
    /// `transactional.id`; with several producers `-0`, `-1`, ... follow.
    pub id: String,
    pub timeout_ms: i32,
    /// How often a transaction is committed.
    pub duration_ns: u64,
}

impl TransactionSettings {
    /// Those of a flow with these settings of its producers, over the `common` ones; `None`: it writes without transactions.
    pub fn of(own: &Settings, common: &Settings) -> Result<Option<TransactionSettings>, BenchError> {
        transaction(&Given { settings: &together(own, common, &[]) })
    }

    /// The `transactional.id` of producer `index` of `of`.
    pub fn id_of(&self, index: u32, of: u32) -> String {
        if of > 1 { format!("{}-{index}", self.id) } else { self.id.clone() }
    }
}

/// What a consumer does.
#[derive(Clone, Debug)]
pub struct ConsumerSettings {
    pub min_bytes: i32,
    pub max_wait_ms: i32,
    pub max_bytes: i32,
    pub partition_bytes_max: i32,
    pub read_committed: bool,
    pub check_crcs: bool,
    pub request_timeout_ns: u64,
    pub backoff_ns: u64,
    pub client_id: String,
    pub rack: String,
    pub buffers: SocketBuffers,
    /// For members of groups: everything as it was given.
    pub given: Settings,
}

/// Settings of every client that the bench follows or that make no difference to it.
const BOTH: &[&str] = &[
    "bootstrap.servers",
    "client.id",
    "client.dns.lookup",
    "connections.max.idle.ms",
    "enable.metrics.push",
    "interceptor.classes",
    "metadata.max.age.ms",
    "metadata.recovery.strategy",
    "metadata.recovery.rebootstrap.trigger.ms",
    "metric.reporters",
    "metrics.num.samples",
    "metrics.recording.level",
    "metrics.sample.window.ms",
    "receive.buffer.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "security.protocol",
    "send.buffer.bytes",
    "socket.connection.setup.timeout.max.ms",
    "socket.connection.setup.timeout.ms",
];
const PRODUCER: &[&str] = &[
    "acks",
    "batch.size",
    "buffer.memory",
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.type",
    "compression.zstd.level",
    "delivery.timeout.ms",
    "enable.idempotence",
    "key.serializer",
    "linger.ms",
    "max.block.ms",
    "max.in.flight.requests.per.connection",
    "max.request.size",
    "metadata.max.idle.ms",
    "partitioner.adaptive.partitioning.enable",
    "partitioner.availability.timeout.ms",
    "partitioner.ignore.keys",
    "retries",
    "transaction.duration.ms",
    "transaction.timeout.ms",
    "transactional.id",
    "value.serializer",
];
const CONSUMER: &[&str] = &[
    "allow.auto.create.topics",
    "auto.commit.interval.ms",
    "auto.offset.reset",
    "check.crcs",
    "client.rack",
    "default.api.timeout.ms",
    "enable.auto.commit",
    "exclude.internal.topics",
    "fetch.max.bytes",
    "fetch.max.wait.ms",
    "fetch.min.bytes",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "group.remote.assignor",
    "heartbeat.interval.ms",
    "isolation.level",
    "key.deserializer",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "max.poll.records",
    "partition.assignment.strategy",
    "session.timeout.ms",
    "value.deserializer",
];
/// Kafka's settings that this driver has nothing for.
const NOT_HERE: &[&str] = &["config.providers", "partitioner.class", "transaction.two.phase.commit.enable"];
const NOT_HERE_PREFIXES: &[&str] = &["sasl.", "ssl.", "security.providers"];

/// Settings with a word for their kind, for errors.
struct Given<'a> {
    settings: &'a Settings,
}

impl Given<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        self.settings.get(key).map(|text| text.trim()).filter(|text| !text.is_empty())
    }

    fn number<T: FromStr + PartialOrd + std::fmt::Display>(
        &self,
        key: &str,
        default: T,
        least: T,
    ) -> Result<T, BenchError> {
        let Some(text) = self.text(key) else { return Ok(default) };
        match text.parse() {
            Ok(number) if number >= least => Ok(number),
            Ok(_) => Err(invalid(key, text, format_args!("Value must be at least {least}"))),
            Err(_) => Err(invalid(key, text, "Not a number of configuration type INT")),
        }
    }

    fn millis(&self, key: &str, default: u64) -> Result<u64, BenchError> {
        Ok(self.number(key, default, 0)?.saturating_mul(MS))
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool, BenchError> {
        match self.text(key) {
            None => Ok(default),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(text) => Err(invalid(key, text, "Expected value to be either true or false")),
        }
    }

    fn buffers(&self, receive: i64) -> Result<SocketBuffers, BenchError> {
        let bytes = |number: i64| usize::try_from(number).ok();
        Ok(SocketBuffers {
            send: bytes(self.number("send.buffer.bytes", 131_072, -1)?),
            receive: bytes(self.number("receive.buffer.bytes", receive, -1)?),
        })
    }

    /// Whatever is not known, or not possible here, is an error with its name.
    fn check_names(&self, kind: &str, own: &[&str], other: &[&str]) -> Result<(), BenchError> {
        for key in self.settings.keys() {
            let key = key.as_str();
            if BOTH.contains(&key) || own.contains(&key) {
                continue;
            }
            if NOT_HERE.contains(&key) || NOT_HERE_PREFIXES.iter().any(|prefix| key.starts_with(prefix)) {
                let mend = "use --driver librdkafka or --driver java";
                return Err(BenchError::config(format_args!(
                    "{key} is not supported by the bench's own driver: {mend}"
                )));
            }
            if other.contains(&key) {
                return Err(BenchError::config(format_args!("{key} is not a setting of a {kind}")));
            }
            let all: BTreeSet<&str> = BOTH.iter().chain(own).copied().collect();
            let near =
                all.into_iter().min_by_key(|known| distance(known, key)).filter(|known| distance(known, key) <= 4);
            let hint = near.map(|known| format!(": did you mean {known}?")).unwrap_or_default();
            return Err(BenchError::config(format_args!("unknown setting {key} of a {kind}{hint}")));
        }
        match self.text("security.protocol") {
            Some(protocol) if !protocol.eq_ignore_ascii_case("PLAINTEXT") => Err(BenchError::config(format_args!(
                "security.protocol={protocol} is not supported by the bench's own driver: use a PLAINTEXT listener, --driver librdkafka or --driver java"
            ))),
            _ => Ok(()),
        }
    }
}

fn invalid(key: &str, value: &str, why: impl std::fmt::Display) -> BenchError {
    BenchError::config(format_args!("Invalid value {value} for configuration {key}: {why}"))
}

/// Levenshtein's distance, for hints.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, letter) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (to, other) in right.iter().enumerate() {
            let change = diagonal + usize::from(letter != *other);
            diagonal = row[to + 1];
            row[to + 1] = change.min(diagonal + 1).min(row[to] + 1);
        }
    }
    row[right.len()]
}

/// The workload's settings over the ones for all clients, of those only what this kind of client knows.
fn together(own: &Settings, common: &Settings, other: &[&str]) -> Settings {
    let mut common = common.clone();
    common.retain(|key, _| !other.contains(&key.as_str()));
    settled(own, &common)
}

impl ProducerSettings {
    /// Reads a flow's settings. Errors are Kafka's where Kafka has one.
    pub fn new(own: &Settings, common: &Settings) -> Result<ProducerSettings, BenchError> {
        let only_consumer: Vec<&str> = CONSUMER.iter().copied().filter(|key| !PRODUCER.contains(key)).collect();
        let all = together(own, common, &only_consumer);
        let given = Given { settings: &all };
        given.check_names("producer", PRODUCER, CONSUMER)?;
        let acks = match given.text("acks").unwrap_or("all") {
            "all" | "-1" => -1,
            "1" => 1,
            "0" => 0,
            other => return Err(invalid("acks", other, "String must be one of: all, -1, 0, 1")),
        };
        let retries: u32 = given.number("retries", i32::MAX as u32, 0)?;
        let in_flight_max: usize = given.number("max.in.flight.requests.per.connection", 5, 1)?;
        let idempotent = idempotence(&given, acks, retries, in_flight_max)?;
        let transaction = transaction(&given)?;
        if transaction.is_some() && !idempotent {
            return Err(BenchError::config("Cannot set a transactional.id without also enabling idempotence."));
        }
        let (codec, level) = codec(&given)?;
        let linger_ms: u64 = given.number("linger.ms", 5, 0)?;
        let request_timeout_ns = given.millis("request.timeout.ms", 30_000)?;
        let delivery_least = linger_ms.saturating_mul(MS).saturating_add(request_timeout_ns);
        let mut delivery_timeout_ns = given.millis("delivery.timeout.ms", 120_000)?;
        if delivery_timeout_ns < delivery_least {
            if given.text("delivery.timeout.ms").is_some() {
                return Err(BenchError::config(
                    "delivery.timeout.ms should be equal to or larger than linger.ms + request.timeout.ms",
                ));
            }
            delivery_timeout_ns = delivery_least;
        }
        let settings = ProducerSettings {
            acks,
            batch_size: given.number::<usize>("batch.size", 16_384, 0)?.max(1),
            linger_ms,
            buffer_memory: given.number("buffer.memory", 32 << 20, 0)?,
            block_max_ns: given.millis("max.block.ms", 60_000)?,
            in_flight_max,
            idempotent,
            codec,
            level,
            request_size_max: given.number("max.request.size", 1 << 20, 0)?,
            delivery_timeout_ns,
            request_timeout_ns,
            retries,
            backoff_ns: given.millis("retry.backoff.ms", 100)?,
            backoff_max_ns: given.millis("retry.backoff.max.ms", 1000)?,
            ignore_keys: given.flag("partitioner.ignore.keys", false)?,
            adaptive: given.flag("partitioner.adaptive.partitioning.enable", true)?,
            availability_timeout_ns: given.millis("partitioner.availability.timeout.ms", 0)?,
            transaction,
            client_id: given.text("client.id").unwrap_or("millrace-bench").to_owned(),
            buffers: given.buffers(32_768)?,
        };
        if settings.buffer_memory < settings.batch_size {
            return Err(BenchError::config(format_args!(
                "buffer.memory={} has no room for a batch of batch.size={}: no record could ever be sent",
                settings.buffer_memory, settings.batch_size
            )));
        }
        Ok(settings)
    }

    /// The pause before retry number `retry` (from 0), without Kafka's jitter of a fifth.
    pub fn backoff(&self, retry: u32) -> u64 {
        self.backoff_ns.saturating_mul(1 << retry.min(20)).min(self.backoff_max_ns.max(self.backoff_ns))
    }
}

fn idempotence(given: &Given<'_>, acks: i16, retries: u32, in_flight_max: usize) -> Result<bool, BenchError> {
    let wanted = given.flag("enable.idempotence", true)?;
    let asked_for = given.text("enable.idempotence").is_some() || given.text("transactional.id").is_some();
    let obstacle = if acks != -1 {
        "Must set acks to all in order to use the idempotent producer. Otherwise we cannot guarantee idempotence."
    } else if retries == 0 {
        "Must set retries to non-zero when using the idempotent producer."
    } else if in_flight_max > 5 {
        "Must set max.in.flight.requests.per.connection to at most 5 to use the idempotent producer."
    } else {
        return Ok(wanted);
    };
    // The default gives way to what was set, as in Kafka.
    if wanted && asked_for { Err(BenchError::config(obstacle)) } else { Ok(false) }
}

fn transaction(given: &Given<'_>) -> Result<Option<TransactionSettings>, BenchError> {
    let Some(id) = given.text("transactional.id") else {
        if given.text("transaction.duration.ms").is_some() {
            return Err(BenchError::config("transaction.duration.ms needs a transactional.id"));
        }
        return Ok(None);
    };
    let duration_ns = given.number("transaction.duration.ms", 3000, 1)? * MS;
    Ok(Some(TransactionSettings {
        id: id.to_owned(),
        timeout_ms: given.number("transaction.timeout.ms", 60_000, 1)?,
        duration_ns,
    }))
}

fn codec(given: &Given<'_>) -> Result<(Compression, i32), BenchError> {
    let name = given.text("compression.type").unwrap_or("none");
    let codec = Compression::from_name(name)
        .filter(|_| name != "uncompressed")
        .ok_or_else(|| invalid("compression.type", name, "String must be one of: [none, gzip, snappy, lz4, zstd]"))?;
    let mut level = codec.default_level();
    for (owner, key, least, most) in [
        (Compression::Gzip, "compression.gzip.level", 1, 9),
        (Compression::Lz4, "compression.lz4.level", 1, 17),
        (Compression::Zstd, "compression.zstd.level", -131_072, 22),
    ] {
        let default = owner.default_level();
        let text = given.text(key).unwrap_or_default();
        let wanted: i32 = given.number(key, default, i32::MIN)?;
        if wanted != default && !(least..=most).contains(&wanted) {
            return Err(invalid(key, text, format_args!("Value must be between {least} and {most}")));
        }
        if owner == codec {
            level = wanted;
        }
    }
    Ok((codec, level))
}

impl ConsumerSettings {
    /// Reads a flow's settings of consumers.
    pub fn new(own: &Settings, common: &Settings) -> Result<ConsumerSettings, BenchError> {
        let only_producer: Vec<&str> = PRODUCER.iter().copied().filter(|key| !CONSUMER.contains(key)).collect();
        let all = together(own, common, &only_producer);
        let given = Given { settings: &all };
        given.check_names("consumer", CONSUMER, PRODUCER)?;
        let read_committed = match given.text("isolation.level").unwrap_or("read_uncommitted") {
            "read_committed" => true,
            "read_uncommitted" => false,
            other => {
                return Err(invalid(
                    "isolation.level",
                    other,
                    "String must be one of: read_committed, read_uncommitted",
                ));
            }
        };
        Ok(ConsumerSettings {
            min_bytes: given.number("fetch.min.bytes", 1, 0)?,
            max_wait_ms: given.number("fetch.max.wait.ms", 500, 0)?,
            max_bytes: given.number("fetch.max.bytes", 50 << 20, 0)?,
            partition_bytes_max: given.number("max.partition.fetch.bytes", 1 << 20, 0)?,
            read_committed,
            check_crcs: given.flag("check.crcs", true)?,
            request_timeout_ns: given.millis("request.timeout.ms", 30_000)?,
            backoff_ns: given.millis("retry.backoff.ms", 100)?,
            client_id: given.text("client.id").unwrap_or("millrace-bench").to_owned(),
            rack: given.text("client.rack").unwrap_or_default().to_owned(),
            buffers: given.buffers(65_536)?,
            given: all.clone(),
        })
    }
}

/// How long clients wait for a broker at the start.
pub const START_LIMIT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn producer(pairs: &[(&str, &str)]) -> Result<ProducerSettings, String> {
        ProducerSettings::new(&settings(pairs), &Settings::new()).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_are_those_of_kafka_4() {
        let found = producer(&[]).expect("defaults");
        assert_eq!((found.acks, found.linger_ms, found.batch_size, found.in_flight_max), (-1, 5, 16_384, 5));
        assert_eq!((found.buffer_memory, found.request_size_max, found.idempotent), (32 << 20, 1 << 20, true));
        let consumer = ConsumerSettings::new(&Settings::new(), &Settings::new()).expect("defaults");
        assert_eq!((consumer.min_bytes, consumer.max_wait_ms, consumer.max_bytes), (1, 500, 50 << 20));
    }

    #[test]
    fn idempotence_gives_way_unless_it_was_asked_for() {
        assert!(!producer(&[("acks", "1")]).expect("fine").idempotent);
        assert!(!producer(&[("max.in.flight.requests.per.connection", "6")]).expect("fine").idempotent);
        let refused = producer(&[("acks", "1"), ("enable.idempotence", "true")]).expect_err("contradiction");
        assert!(refused.starts_with("Must set acks to all"), "{refused}");
        let refused =
            producer(&[("transactional.id", "t"), ("enable.idempotence", "false")]).expect_err("contradiction");
        assert!(refused.starts_with("Cannot set a transactional.id"), "{refused}");
    }

    #[test]
    fn what_is_not_known_is_refused_with_a_hint() {
        let refused = |pair| producer(&[pair]).expect_err("not a setting of ours");
        assert_eq!(refused(("linger.m", "1")), "unknown setting linger.m of a producer: did you mean linger.ms?");
        assert_eq!(refused(("fetch.min.bytes", "1")), "fetch.min.bytes is not a setting of a producer");
        assert!(refused(("ssl.truststore.location", "x")).contains("--driver librdkafka"));
        assert!(refused(("batch.size", "many")).starts_with("Invalid value many for configuration batch.size"));
        assert!(refused(("compression.zstd.level", "23")).contains("between -131072 and 22"));
        assert!(refused(("buffer.memory", "100")).contains("no room for a batch"));
        assert!(refused(("delivery.timeout.ms", "10")).contains("linger.ms + request.timeout.ms"));
        assert!(refused(("security.protocol", "SSL")).contains("PLAINTEXT"));
    }

    #[test]
    fn settings_for_all_clients_reach_those_that_have_them() {
        let common = settings(&[("client.id", "me"), ("fetch.min.bytes", "9"), ("acks", "0")]);
        let found = ProducerSettings::new(&Settings::new(), &common).expect("fine");
        assert_eq!((found.client_id.as_str(), found.acks), ("me", 0));
        let found = ConsumerSettings::new(&Settings::new(), &common).expect("fine");
        assert_eq!(found.min_bytes, 9);
    }

    #[test]
    fn settings_of_the_workload_win_over_those_for_all_clients() {
        let common = settings(&[("acks", "0"), ("linger.ms", "50"), ("fetch.min.bytes", "9")]);
        let found = ProducerSettings::new(&settings(&[("acks", "all")]), &common).expect("fine");
        assert_eq!((found.acks, found.linger_ms), (-1, 50));
        let found = ConsumerSettings::new(&settings(&[("fetch.min.bytes", "1")]), &common).expect("fine");
        assert_eq!(found.min_bytes, 1);
    }
}
