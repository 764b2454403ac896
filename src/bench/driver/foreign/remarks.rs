//! What of a workload has no meaning for a system of another protocol: said with each run, never left out in silence.

use crate::bench::target::Foreign;
use crate::bench::workload::{Flow, Settings, Workload};

/// Settings of producers that these clients follow, or that make no difference to them.
const PRODUCER: &[&str] = &[
    "acks",
    "batch.size",
    "buffer.memory",
    "client.id",
    "key.serializer",
    "linger.ms",
    "max.in.flight.requests.per.connection",
    "max.request.size",
    "partitioner.ignore.keys",
    "receive.buffer.bytes",
    "request.timeout.ms",
    "send.buffer.bytes",
    "value.serializer",
];
/// The same of consumers.
const CONSUMER: &[&str] =
    &["client.id", "key.deserializer", "receive.buffer.bytes", "send.buffer.bytes", "value.deserializer"];
/// What reading with requests follows beside these.
const REQUESTS: &[&str] = &["fetch.max.wait.ms", "max.partition.fetch.bytes"];
/// Bytes of a batch that fit into a frame of RabbitMQ.
pub(super) const RABBITMQ_BATCH_BYTES: usize = 1_000_000;

/// Sentences about a run.
pub(super) fn remarks(system: Foreign, is_durable: bool, workload: &Workload) -> Vec<String> {
    let title = system.title();
    let mut all = Vec::new();
    let acks = |flow: &Flow| flow.producer.get("acks").map_or("all", |acks| acks.trim()).to_owned();
    if !is_durable && workload.flows.iter().any(|flow| matches!(acks(flow).as_str(), "all" | "-1")) {
        all.push(format!("acks=all is not durable here ({title}): what is acknowledged need not survive a power cut"));
    }
    let mut ignored: Vec<String> = Vec::new();
    for flow in &workload.flows {
        let reads = |key: &str| CONSUMER.contains(&key) || (system != Foreign::RabbitMq && REQUESTS.contains(&key));
        ignored.extend(left_out(&flow.producer, |key| PRODUCER.contains(&key)));
        ignored.extend(left_out(&flow.consumers.settings, reads));
        ignored.extend(left_out(&flow.topic_config, |_| false));
        if flow.replication_factor > 1 {
            ignored.push(format!("replication factor {}", flow.replication_factor));
        }
        if flow.consumers.coordinated && flow.consumers.groups > 0 {
            ignored.push("coordinated groups".to_owned());
        }
        let batch = flow.producer.get("batch.size").and_then(|text| text.trim().parse::<usize>().ok()).unwrap_or(0);
        if system == Foreign::RabbitMq && batch > RABBITMQ_BATCH_BYTES {
            ignored.push(format!("batch.size above {RABBITMQ_BATCH_BYTES}"));
        }
    }
    ignored.sort();
    ignored.dedup();
    if !ignored.is_empty() {
        all.push(format!("not applied to {title}: {}", ignored.join(", ")));
    }
    all
}

/// Settings that are not followed, as they were given. What says that nothing is to be done is followed.
fn left_out(settings: &Settings, follows: impl Fn(&str) -> bool) -> impl Iterator<Item = String> {
    let is_nothing = |key: &str, value: &str| key == "compression.type" && value == "none";
    settings
        .iter()
        .filter(move |(key, value)| !follows(key) && !is_nothing(key, value))
        .map(|(k, v)| format!("{k}={v}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::workload::Consumers;

    #[test]
    fn what_is_not_applied_is_said() {
        let settings = |pairs: &[(&str, &str)]| -> Settings {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let flow = Flow {
            producer: settings(&[("linger.ms", "5"), ("compression.type", "zstd"), ("acks", "all")]),
            consumers: Consumers {
                groups: 1,
                coordinated: true,
                settings: settings(&[("fetch.max.wait.ms", "1")]),
                ..Consumers::default()
            },
            ..Flow::default()
        };
        let workload = Workload { flows: vec![flow] };
        let redis = remarks(Foreign::Redis, true, &workload);
        assert_eq!(redis, ["not applied to Redis streams: compression.type=zstd, coordinated groups"]);
        let rabbitmq = remarks(Foreign::RabbitMq, false, &workload);
        assert!(rabbitmq[0].starts_with("acks=all is not durable here (RabbitMQ streams)"), "{rabbitmq:?}");
        assert!(rabbitmq[1].ends_with("compression.type=zstd, coordinated groups, fetch.max.wait.ms=1"));
        assert!(remarks(Foreign::Nats, true, &Workload { flows: vec![Flow::default()] }).is_empty());
    }
}
