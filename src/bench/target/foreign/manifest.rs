//! What a reader must know before comparing such a system with a Kafka: what its acknowledgements promise, and what became of Kafka's
//! settings.

use std::collections::BTreeMap;

use super::{Foreign, Server};

/// What is compared, then the words for brokers of Kafka's protocol, Redis, NATS and RabbitMQ.
const ROWS: &[[&str; 5]] = &[
    [
        "protocol",
        "Kafka's",
        "RESP2: XADD in pipelines, XREAD with BLOCK",
        "NATS with JetStream: PUB with a reply, pull consumers",
        "RabbitMQ's stream protocol: Publish, Deliver with 10 chunks of credit",
    ],
    [
        "a partition is",
        "a partition",
        "a stream of its own",
        "a stream of its own with one subject, in files, one replica",
        "a stream of its own, one replica",
    ],
    [
        "linger.ms, batch.size",
        "as the clients have it",
        "records of a stream that go out together, one XADD each",
        "records of a stream that go out together, one PUB each",
        "records of a stream in one Publish frame, of 1000000 bytes at most",
    ],
    [
        "max.in.flight.requests.per.connection",
        "requests without an answer",
        "writes of a producer without all their answers",
        "writes of a producer without all their acknowledgements",
        "writes of a producer without all their confirms",
    ],
    [
        "compression.type",
        "of batches",
        "not applied: there is none",
        "not applied: clients have none",
        "not applied: records go out as they are",
    ],
    [
        "retries, enable.idempotence",
        "as the clients have it",
        "not applied: a record whose connection breaks before its answer has failed",
        "not applied: a record whose connection breaks before its answer has failed",
        "not applied: a record whose connection breaks before its answer has failed",
    ],
    [
        "consumers",
        "fetches; real groups if they are --coordinated",
        "each reads its streams from an id on; no groups: the bench deals out the streams",
        "a consumer in memory for each stream, without acknowledgements; no groups: the bench deals out the streams",
        "subscriptions; no groups: the bench deals out the streams",
    ],
    [
        "fetch settings",
        "as the clients have it",
        "fetch.max.wait.ms is BLOCK, max.partition.fetch.bytes over the size of a record is COUNT",
        "fetch.max.wait.ms is expires, max.partition.fetch.bytes over the size of a record is batch",
        "not applied: credits decide",
    ],
    [
        "topic configs, broker properties",
        "applied",
        "not applied: append-only file, no RDB, no rewrite during a run, noeviction",
        "not applied: no limits, max_payload of 8 MiB",
        "not applied: no limits, the server's defaults",
    ],
];

/// The rows that a comparison with such a system has; `None` is a broker of Kafka's protocol.
pub fn rows() -> impl Iterator<Item = (&'static str, impl Fn(Option<Foreign>) -> &'static str)> {
    ROWS.iter().map(|row| {
        let value = |system: Option<Foreign>| match system {
            None => row[1],
            Some(Foreign::Redis) => row[2],
            Some(Foreign::Nats) => row[3],
            Some(Foreign::RabbitMq) => row[4],
        };
        (row[0], value)
    })
}

impl Server {
    /// What an acknowledgement promises, by `acks`.
    pub fn acknowledgement(&self) -> BTreeMap<String, String> {
        let (one, all) = match (self.system, self.is_durable) {
            (Foreign::Redis, _) => (
                "in the append-only file's page cache, synced each second (appendfsync=everysec): survives kill -9, a power cut costs about a second",
                "on the device (appendfsync=always, one sync for all clients of a turn): survives a power cut; one server",
            ),
            (Foreign::Nats, true) => (
                "in the page cache, synced in intervals (sync_interval of 2 minutes): survives kill -9, not a power cut",
                "on the device (sync_interval: always): survives a power cut; one server",
            ),
            (Foreign::Nats, false) => (
                "in the page cache, synced in intervals: survives kill -9, not a power cut",
                "the same as acks=1, as this version has no sync_interval: survives kill -9, not a power cut; one server",
            ),
            (Foreign::RabbitMq, _) => (
                "in the page cache (publish confirm without fsync): survives kill -9, not a power cut",
                "the same as acks=1, as streams have no durable level: survives kill -9, not a power cut; one server",
            ),
        };
        let zero = match self.system {
            Foreign::Redis => "nothing: the server answers nothing (CLIENT REPLY OFF)",
            Foreign::Nats => "nothing: published without an acknowledgement",
            Foreign::RabbitMq => "nothing: confirms are not waited for",
        };
        [("0", zero), ("1", one), ("all", all)].map(|(acks, text)| (acks.to_owned(), text.to_owned())).into()
    }

    /// When it writes to the device.
    pub fn flush_policy(&self) -> &'static str {
        match (self.system, self.is_durable) {
            (Foreign::Redis, _) => "appendonly=yes; appendfsync=everysec for acks=1, always for acks=all",
            (Foreign::Nats, true) => "its default sync_interval for acks=1, sync_interval: always for acks=all",
            (Foreign::Nats, false) => "its fixed sync interval",
            (Foreign::RabbitMq, _) => "left to the operating system",
        }
    }

    /// What it keeps in memory.
    pub fn memory(&self) -> String {
        match self.memory_max {
            Some(bytes) => format!("all of its data, at most {bytes} bytes (maxmemory)"),
            None => "its own, and the page cache".to_owned(),
        }
    }
}
