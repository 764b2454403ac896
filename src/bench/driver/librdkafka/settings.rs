//! Kafka's settings in librdkafka's names, with Kafka's defaults: so that the same settings mean the same.

use crate::bench::BenchError;
use crate::bench::driver::Order;
use crate::bench::workload::{Settings, settled};

/// How often librdkafka tells of its requests and batches.
const STATISTICS_MS: &str = "200";

/// Names that differ. A factor of 1/1024 is meant for `buffer.memory`.
const RENAMED: &[(&str, &str)] = &[
    ("max.request.size", "message.max.bytes"),
    ("fetch.max.wait.ms", "fetch.wait.max.ms"),
    ("send.buffer.bytes", "socket.send.buffer.bytes"),
    ("receive.buffer.bytes", "socket.receive.buffer.bytes"),
    ("connections.max.idle.ms", "connections.max.idle.ms"),
];
/// What librdkafka has no word for and does without.
const WITHOUT: &[&str] = &["max.poll.records", "max.block.ms", "partitioner.adaptive.partitioning.enable"];

/// Settings of a producer.
pub(super) fn producer(order: &Order, own: &Settings) -> Result<Settings, BenchError> {
    let mut asked = settled(own, &order.common);
    asked.remove("transaction.duration.ms");
    let mut settings = base(order);
    for (key, value) in [
        ("batch.size", "16384"),
        ("linger.ms", "5"),
        ("acks", "all"),
        ("partitioner", "murmur2_random"),
        ("queue.buffering.max.kbytes", "32768"),
        ("queue.buffering.max.messages", "0"),
        ("batch.num.messages", "1000000"),
        ("max.in.flight.requests.per.connection", "5"),
    ] {
        settings.insert(key.to_owned(), value.to_owned());
    }
    let acks = asked.get("acks").map_or("all", String::as_str);
    // Kafka's default, where what was asked for allows it.
    if matches!(acks, "all" | "-1") && !asked.contains_key("enable.idempotence") {
        let in_flight = asked.get("max.in.flight.requests.per.connection").and_then(|text| text.parse::<u32>().ok());
        settings.insert("enable.idempotence".to_owned(), in_flight.is_none_or(|count| count <= 5).to_string());
    }
    translate(&asked, &mut settings)?;
    Ok(settings)
}

/// Settings of a consumer in a group.
pub(super) fn consumer(order: &Order, own: &Settings, group: &str, coordinated: bool) -> Result<Settings, BenchError> {
    let mut asked = settled(own, &order.common);
    let mut settings = base(order);
    for (key, value) in [
        ("group.id", group),
        ("enable.auto.commit", if coordinated { "true" } else { "false" }),
        ("auto.offset.reset", "earliest"),
        ("check.crcs", "true"),
        ("fetch.wait.max.ms", "500"),
        ("max.partition.fetch.bytes", "1048576"),
        ("fetch.max.bytes", "52428800"),
    ] {
        settings.insert(key.to_owned(), value.to_owned());
    }
    asked.remove("group.id");
    translate(&asked, &mut settings)?;
    Ok(settings)
}

fn base(order: &Order) -> Settings {
    let pair = |(key, value): (&str, String)| (key.to_owned(), value);
    [
        ("bootstrap.servers", order.bootstrap_servers.join(",")),
        ("statistics.interval.ms", STATISTICS_MS.to_owned()),
        ("client.id", "millrace-bench".to_owned()),
    ]
    .map(pair)
    .into()
}

fn translate(asked: &Settings, settings: &mut Settings) -> Result<(), BenchError> {
    let codec = asked.get("compression.type").map_or("none", String::as_str);
    for (key, value) in asked {
        if WITHOUT.contains(&key.as_str()) {
            continue;
        }
        if key == "buffer.memory" {
            let bytes: u64 = value
                .parse()
                .map_err(|_| BenchError::config(format_args!("buffer.memory={value}: that is no number of bytes")))?;
            settings.insert("queue.buffering.max.kbytes".to_owned(), bytes.div_ceil(1024).max(1).to_string());
            continue;
        }
        let level = key.strip_prefix("compression.").and_then(|rest| rest.strip_suffix(".level"));
        if let Some(level_of) = level {
            if level_of == codec {
                settings.insert("compression.level".to_owned(), value.clone());
            }
            continue;
        }
        let renamed = RENAMED.iter().find(|(name, _)| name == key).map_or(key.as_str(), |(_, name)| name);
        settings.insert(renamed.to_owned(), value.clone());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::workload::Workload;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn order() -> Order {
        Order {
            bootstrap_servers: vec!["a:1".to_owned(), "b:2".to_owned()],
            workload: Workload::default(),
            common: settings(&[("client.id", "me")]),
            seed: 1,
            verify: false,
            cores: Vec::new(),
            threads: 0,
        }
    }

    #[test]
    fn the_same_settings_mean_the_same() {
        let asked = settings(&[
            ("buffer.memory", "1000000"),
            ("compression.type", "zstd"),
            ("compression.zstd.level", "7"),
            ("compression.gzip.level", "1"),
            ("max.block.ms", "1"),
        ]);
        let found = producer(&order(), &asked).expect("all can be said");
        for (key, value) in [
            ("bootstrap.servers", "a:1,b:2"),
            ("client.id", "me"),
            ("batch.size", "16384"),
            ("queue.buffering.max.kbytes", "977"),
            ("compression.level", "7"),
            ("enable.idempotence", "true"),
        ] {
            assert_eq!(found.get(key).map(String::as_str), Some(value), "{key}");
        }
        assert!(!found.contains_key("max.block.ms"));
        let own = producer(&order(), &settings(&[("client.id", "mine")])).expect("all can be said");
        assert_eq!(own["client.id"], "mine", "its own settings win");
        let leader = producer(&order(), &settings(&[("acks", "1")])).expect("all can be said");
        assert!(!leader.contains_key("enable.idempotence"));
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        let error = |pairs: &[(&str, &str)]| producer(&order(), &settings(pairs)).expect_err("refused").to_string();
        assert!(error(&[("buffer.memory", "much")]).contains("buffer.memory=much"));
    }
}
