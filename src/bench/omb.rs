//! Workload and driver files of OpenMessaging Benchmark, as they are: YAML to [`Scenario`].
//!
//! | field of a workload | here |
//! |---|---|
//! | `topics`, `partitionsPerTopic`, `producersPerTopic` | one flow of so many topics; producers are those of all topics together |
//! | `producerRate` | constant arrivals over all producers; from 10 million up ("max rate" in OMB's files) a closed loop; 0: find the highest |
//! | `messageSize`, `useRandomizedPayloads`, `randomBytesRatio`, `randomizedPayloadPoolSize` | values of that size, compressible as far as they are not random |
//! | `payloadFile` | values from that file, sought where OMB is started, beside the workload and above it |
//! | `keyDistributor` | NO_KEY: none; KEY_ROUND_ROBIN and RANDOM_NANO: 10,000 keys of 10 bytes, as OMB makes them, each as likely |
//! | `subscriptionsPerTopic`, `consumerPerSubscription` | coordinated groups; members are those of all topics together |
//! | `consumerBacklogSizeGB`, `backlogDrainRatio` | what is written before consumers start |
//! | `testDurationMinutes`, `warmupDurationMinutes` | how long |
//!
//! Of a driver file (its Kafka driver's), `replicationFactor` and the four blocks of settings are taken; unknown fields are ignored, as
//! OMB does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::BenchError;
use super::scenario::{Scenario, check};
use super::workload::{Arrival, Consumers, Content, Flow, Keys, Settings, Sizes, Values, Workload};

/// OMB's files for the highest rate ask for ten million records a second, and its producers then send what they can.
const MAX_RATE: f64 = 10_000_000.0;
/// OMB's keys: this many, of 7 random bytes in base 64.
const KEYS: u64 = 10_000;
const KEY_BYTES: u32 = 10;
/// Zeros shrink to next to nothing.
const RATIO_MAX: f64 = 100.0;

/// OMB's `Workload`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct OmbWorkload {
    name: String,
    topics: u32,
    partitions_per_topic: i32,
    key_distributor: String,
    message_size: u32,
    use_randomized_payloads: bool,
    random_bytes_ratio: f64,
    randomized_payload_pool_size: u32,
    payload_file: Option<PathBuf>,
    subscriptions_per_topic: u32,
    producers_per_topic: u32,
    consumer_per_subscription: u32,
    producer_rate: f64,
    #[serde(rename = "consumerBacklogSizeGB")]
    consumer_backlog_size_gb: u64,
    backlog_drain_ratio: f64,
    test_duration_minutes: u64,
    warmup_duration_minutes: u64,
}

impl Default for OmbWorkload {
    fn default() -> Self {
        OmbWorkload {
            name: String::new(),
            topics: 0,
            partitions_per_topic: 0,
            key_distributor: "NO_KEY".to_owned(),
            message_size: 0,
            use_randomized_payloads: false,
            random_bytes_ratio: 0.0,
            randomized_payload_pool_size: 0,
            payload_file: None,
            subscriptions_per_topic: 0,
            producers_per_topic: 0,
            consumer_per_subscription: 0,
            producer_rate: 0.0,
            consumer_backlog_size_gb: 0,
            backlog_drain_ratio: 1.0,
            test_duration_minutes: 0,
            warmup_duration_minutes: 1,
        }
    }
}

/// `Config` of OMB's Kafka driver.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct OmbDriver {
    replication_factor: Option<i16>,
    topic_config: Option<String>,
    common_config: Option<String>,
    producer_config: Option<String>,
    consumer_config: Option<String>,
}

/// Reads a workload file.
pub fn load_workload(path: &Path) -> Result<Scenario, BenchError> {
    let text = std::fs::read_to_string(path).map_err(|error| BenchError::io(path, error))?;
    let omb: OmbWorkload = from_yaml(path, &text)?;
    let scenario = scenario(path, &omb).map_err(|error| BenchError::io(path, error))?;
    check(&scenario.workload.flows).map_err(|error| BenchError::io(path, error))?;
    Ok(scenario)
}

/// Adds what a driver file says to a scenario: OMB's `--drivers`.
pub fn add_driver(scenario: &mut Scenario, path: &Path) -> Result<(), BenchError> {
    let text = std::fs::read_to_string(path).map_err(|error| BenchError::io(path, error))?;
    let omb: OmbDriver = from_yaml(path, &text)?;
    let settings = |block: &Option<String>| properties(path, block.as_deref().unwrap_or_default());
    let mut common = settings(&omb.common_config)?;
    if let Some(servers) = common.remove("bootstrap.servers") {
        scenario.bootstrap_servers = servers.split(',').map(|server| server.trim().to_owned()).collect();
    }
    scenario.common.extend(common);
    for flow in &mut scenario.workload.flows {
        flow.replication_factor = omb.replication_factor.unwrap_or(flow.replication_factor);
        flow.topic_config.extend(settings(&omb.topic_config)?);
        flow.producer.extend(settings(&omb.producer_config)?);
        flow.consumers.settings.extend(settings(&omb.consumer_config)?);
    }
    Ok(())
}

fn from_yaml<T: serde::de::DeserializeOwned>(path: &Path, text: &str) -> Result<T, BenchError> {
    serde_saphyr::from_str(text).map_err(|error| {
        let text = error.to_string();
        BenchError::io(path, text.lines().next().unwrap_or_default())
    })
}

/// A block of a Java properties file.
fn properties(path: &Path, text: &str) -> Result<Settings, BenchError> {
    let pairs = java_properties::read(text.as_bytes()).map_err(|error| BenchError::io(path, error))?;
    Ok(pairs.into_iter().collect())
}

fn scenario(path: &Path, omb: &OmbWorkload) -> Result<Scenario, BenchError> {
    if omb.test_duration_minutes == 0 {
        return Err(BenchError::config("testDurationMinutes must be above 0: an endless test has no result"));
    }
    if omb.consumer_backlog_size_gb > 0 && omb.producer_rate <= 0.0 {
        return Err(BenchError::config("a backlog needs a producerRate: the highest rate can't be sought beside it"));
    }
    let mut notes = Vec::new();
    let arrival = match omb.producer_rate {
        rate if rate <= 0.0 => Arrival::Constant { rate: 10_000.0 },
        rate if rate >= MAX_RATE => {
            notes.push(format!("producerRate {rate} asks for the highest rate: closed loop"));
            Arrival::Closed
        }
        rate => Arrival::Constant { rate },
    };
    let key = match omb.key_distributor.as_str() {
        "KEY_ROUND_ROBIN" | "RANDOM_NANO" => Keys::Uniform { count: KEYS, bytes: KEY_BYTES },
        _ => Keys::None,
    };
    let flow = Flow {
        topic: "test-topic".to_owned(),
        topics: omb.topics,
        partitions: omb.partitions_per_topic,
        producers: omb.producers_per_topic.saturating_mul(omb.topics),
        arrival,
        key,
        value: Values { size: Sizes::Fixed { bytes: omb.message_size }, content: content(path, omb)?, null_share: 0.0 },
        consumers: Consumers {
            groups: omb.subscriptions_per_topic,
            members: omb.consumer_per_subscription.saturating_mul(omb.topics),
            coordinated: true,
            ..Consumers::default()
        },
        ..Flow::default()
    };
    if omb.consumer_backlog_size_gb > 0 && omb.backlog_drain_ratio < 1.0 {
        notes.push(format!("backlogDrainRatio {}: the backlog is drained whole here", omb.backlog_drain_ratio));
    }
    let minutes = |count: u64| Duration::from_secs(count.saturating_mul(60));
    Ok(Scenario {
        name: if omb.name.is_empty() { path.display().to_string() } else { omb.name.clone() },
        about: "a workload of OpenMessaging Benchmark".to_owned(),
        workload: Workload { flows: vec![flow] },
        duration: Some(minutes(omb.test_duration_minutes)),
        warmup: Some(minutes(omb.warmup_duration_minutes)),
        backlog_bytes: (omb.consumer_backlog_size_gb > 0).then(|| omb.consumer_backlog_size_gb.saturating_mul(1 << 30)),
        find_max: omb.producer_rate <= 0.0,
        notes,
        ..Scenario::default()
    })
}

fn content(path: &Path, omb: &OmbWorkload) -> Result<Content, BenchError> {
    if omb.use_randomized_payloads {
        if !(0.0..=1.0).contains(&omb.random_bytes_ratio) || omb.randomized_payload_pool_size == 0 {
            return Err(BenchError::config(
                "random payloads need a randomBytesRatio from 0 to 1 and a randomizedPayloadPoolSize",
            ));
        }
        return Ok(Content::Synthetic { ratio: (1.0 / omb.random_bytes_ratio).min(RATIO_MAX) });
    }
    let Some(file) = &omb.payload_file else {
        return Err(BenchError::config("there is neither useRandomizedPayloads nor a payloadFile"));
    };
    let beside = path.parent().unwrap_or(Path::new("."));
    let places = [file.clone(), beside.join(file), beside.join("..").join(file)];
    match places.iter().find(|place| place.is_file()) {
        Some(found) => Ok(Content::File { path: found.clone() }),
        None => {
            let why =
                "not here, nor beside the workload, nor above it: start where OMB is, or copy its payload directory";
            Err(BenchError::config(format_args!("payloadFile {} is {why}", file.display())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn omb(file: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/omb").join(file)
    }

    fn all(directory: &Path) -> Vec<PathBuf> {
        let files = std::fs::read_dir(directory).expect("they are in the checkout");
        files.map(|file| file.expect("readable").path()).collect()
    }

    #[test]
    fn workloads_of_omb_read_as_they_are() {
        let files = all(&omb("workloads"));
        assert!(files.len() >= 12);
        for file in files {
            let scenario = load_workload(&file).unwrap_or_else(|error| panic!("{error}"));
            let flow = &scenario.workload.flows[0];
            assert!(
                flow.topics > 0 && flow.producers >= flow.topics && flow.value.size.max() > 0,
                "{}",
                file.display()
            );
            assert!(scenario.duration.is_some_and(|duration| duration.as_secs() >= 60), "{}", file.display());
        }
    }

    #[test]
    fn every_field_of_a_workload_counts() {
        let scenario =
            load_workload(&omb("workloads/1-topic-100-partitions-1kb-4p-4c-200k-backlog.yaml")).expect("valid");
        let flow = &scenario.workload.flows[0];
        assert_eq!((flow.topics, flow.partitions, flow.producers), (1, 100, 4));
        assert_eq!((flow.consumers.groups, flow.consumers.members, flow.consumers.coordinated), (1, 4, true));
        assert_eq!(flow.arrival, Arrival::Constant { rate: 200_000.0 });
        assert!(scenario.backlog_bytes.is_some_and(|bytes| bytes >= 1 << 30));
        assert_eq!(scenario.warmup, Some(Duration::from_secs(60)));

        let scenario = load_workload(&omb("workloads/simple-workload.yaml")).expect("valid");
        assert!(matches!(scenario.workload.flows[0].value.content, Content::File { .. } | Content::Synthetic { .. }));

        let scenario = load_workload(&omb("workloads/max-rate-1-topic-1-partition-1p-1c-1kb.yaml")).expect("valid");
        assert_eq!(scenario.workload.flows[0].arrival, Arrival::Closed);
        assert_eq!(scenario.notes.len(), 1);
        assert_eq!(scenario.workload.flows[0].value.content, Content::Synthetic { ratio: 2.0 });
    }

    #[test]
    fn a_driver_file_brings_its_settings() {
        let mut scenario = load_workload(&omb("workloads/1-topic-16-partitions-1kb.yaml")).expect("valid");
        add_driver(&mut scenario, &omb("driver-kafka/kafka-exactly-once.yaml")).expect("valid");
        assert_eq!(scenario.bootstrap_servers, ["localhost:9092"]);
        let flow = &scenario.workload.flows[0];
        assert_eq!(flow.replication_factor, 3);
        assert_eq!(flow.topic_config["min.insync.replicas"], "2");
        assert_eq!((flow.producer["acks"].as_str(), flow.producer["linger.ms"].as_str()), ("all", "1"));
        assert_eq!(flow.consumers.settings["auto.offset.reset"], "earliest");
        for driver in all(&omb("driver-kafka")) {
            add_driver(&mut scenario, &driver).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    #[test]
    fn wrong_files_are_refused_in_one_sentence() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("wrong.yaml");
        for (text, part) in [
            ("topics: many", "line 1 column 9"),
            ("topics: 1\ncolour: 3\n", "colour"),
            ("topics: 1\ntestDurationMinutes: 0\n", "testDurationMinutes must be above 0"),
            ("testDurationMinutes: 1\nproducerRate: 0\nconsumerBacklogSizeGB: 3\n", "a backlog needs a producerRate"),
            (
                "testDurationMinutes: 1\nproducerRate: 5\npayloadFile: payload/nothing.data\n",
                "nothing.data is not here",
            ),
            ("testDurationMinutes: 1\nproducerRate: 5\n", "neither useRandomizedPayloads nor"),
        ] {
            std::fs::write(&path, text).expect("writable");
            let error = load_workload(&path).expect_err(text).to_string();
            assert!(error.contains(part) && !error.contains('\n'), "{text}: {error}");
        }
    }
}
