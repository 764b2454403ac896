//! The configuration of this node in typed form, and its layers: the file and command line, the cluster's dynamic defaults, this
//! broker's dynamic values.

use std::path::PathBuf;

use super::key::{Scope, find};
use super::listeners::{ListenerKeys, Listeners};
use super::quorum::{Voter, parse_bootstrap_server, parse_voter};
use super::synonyms;
use super::topic::TopicConfig;
use super::typed::{BatchValidation, Io, Properties, Values};
use super::value::{ConfigError, Value};

/// What this process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Roles {
    /// Serves clients.
    pub broker: bool,
    /// Keeps the cluster metadata.
    pub controller: bool,
}

/// Declares the struct and reads its fields from the checked values.
macro_rules! broker_config {
    ($($(#[$doc:meta])* $field:ident: $type:ty = $key:literal,)*) => {
        /// The keys that the broker uses. Fields are the keys with dots as underscores.
        #[derive(Clone, Debug)]
        pub struct BrokerConfig {
            /// `process.roles`
            pub roles: Roles,
            /// Where to bind and what to tell clients.
            pub listeners: Listeners,
            /// `log.dirs`, else `log.dir`; at least one.
            pub log_dirs: Vec<PathBuf>,
            /// `metadata.log.dir`, else the first of `log_dirs`.
            pub metadata_log_dir: PathBuf,
            /// `controller.quorum.voters`
            pub controller_quorum_voters: Vec<Voter>,
            /// `controller.quorum.bootstrap.servers`
            pub controller_quorum_bootstrap_servers: Vec<(String, u16)>,
            /// `max.connections.per.ip.overrides`: address or host name, and its bound.
            pub max_connections_per_ip_overrides: Vec<(String, i32)>,
            /// What topics get that do not say otherwise.
            pub topic_defaults: TopicConfig,
            $($(#[$doc])* #[doc = concat!("`", $key, "`")] pub $field: $type,)*
            pub(super) layers: Layers,
            pub(super) values: Values,
        }

        impl BrokerConfig {
            fn of_values(values: Values, layers: Layers, derived: Derived) -> BrokerConfig {
                let Derived { roles, listeners, log_dirs, metadata_log_dir, voters, bootstrap_servers, per_ip } = derived;
                BrokerConfig {
                    $($field: values.get($key),)*
                    roles, listeners, log_dirs, metadata_log_dir,
                    controller_quorum_voters: voters,
                    controller_quorum_bootstrap_servers: bootstrap_servers,
                    max_connections_per_ip_overrides: per_ip,
                    topic_defaults: TopicConfig::of_broker(&values),
                    layers, values,
                }
            }

            #[cfg(test)]
            pub(super) const KEYS: &[&str] = &[$($key),*];
        }
    };
}

broker_config! {
    node_id: i32 = "node.id",
    broker_rack: Option<String> = "broker.rack",
    broker_heartbeat_interval_ms: i32 = "broker.heartbeat.interval.ms",
    broker_session_timeout_ms: i32 = "broker.session.timeout.ms",
    initial_broker_registration_timeout_ms: i32 = "initial.broker.registration.timeout.ms",
    metadata_log_segment_bytes: i32 = "metadata.log.segment.bytes",
    metadata_log_segment_ms: i64 = "metadata.log.segment.ms",
    metadata_log_max_record_bytes_between_snapshots: i64 = "metadata.log.max.record.bytes.between.snapshots",
    metadata_log_max_snapshot_interval_ms: i64 = "metadata.log.max.snapshot.interval.ms",
    metadata_max_idle_interval_ms: i32 = "metadata.max.idle.interval.ms",
    metadata_max_retention_bytes: i64 = "metadata.max.retention.bytes",
    metadata_max_retention_ms: i64 = "metadata.max.retention.ms",
    socket_request_max_bytes: i32 = "socket.request.max.bytes",
    /// -1 leaves the system's default.
    socket_receive_buffer_bytes: i32 = "socket.receive.buffer.bytes",
    /// -1 leaves the system's default.
    socket_send_buffer_bytes: i32 = "socket.send.buffer.bytes",
    socket_listen_backlog_size: i32 = "socket.listen.backlog.size",
    max_connections: i32 = "max.connections",
    max_connections_per_ip: i32 = "max.connections.per.ip",
    max_connection_creation_rate: i32 = "max.connection.creation.rate",
    /// Negative: never.
    connections_max_idle_ms: i64 = "connections.max.idle.ms",
    queued_max_requests: i32 = "queued.max.requests",
    queued_max_request_bytes: i64 = "queued.max.request.bytes",
    request_timeout_ms: i32 = "request.timeout.ms",
    fetch_max_bytes: i32 = "fetch.max.bytes",
    max_incremental_fetch_session_cache_slots: i32 = "max.incremental.fetch.session.cache.slots",
    max_request_partition_size_limit: i32 = "max.request.partition.size.limit",
    num_partitions: i32 = "num.partitions",
    telemetry_max_bytes: i32 = "telemetry.max.bytes",
    default_replication_factor: i32 = "default.replication.factor",
    auto_create_topics_enable: bool = "auto.create.topics.enable",
    delete_topic_enable: bool = "delete.topic.enable",
    message_max_bytes: i32 = "message.max.bytes",
    log_retention_check_interval_ms: i64 = "log.retention.check.interval.ms",
    log_initial_task_delay_ms: i64 = "log.initial.task.delay.ms",
    log_flush_scheduler_interval_ms: i64 = "log.flush.scheduler.interval.ms",
    log_flush_offset_checkpoint_interval_ms: i32 = "log.flush.offset.checkpoint.interval.ms",
    log_flush_start_offset_checkpoint_interval_ms: i32 = "log.flush.start.offset.checkpoint.interval.ms",
    log_dir_failure_timeout_ms: i64 = "log.dir.failure.timeout.ms",
    cordoned_log_dirs: Vec<String> = "cordoned.log.dirs",
    log_cleaner_enable: bool = "log.cleaner.enable",
    log_cleaner_threads: i32 = "log.cleaner.threads",
    log_cleaner_backoff_ms: i64 = "log.cleaner.backoff.ms",
    log_cleaner_dedupe_buffer_size: i64 = "log.cleaner.dedupe.buffer.size",
    log_cleaner_io_buffer_size: i32 = "log.cleaner.io.buffer.size",
    log_cleaner_io_buffer_load_factor: f64 = "log.cleaner.io.buffer.load.factor",
    log_cleaner_io_max_bytes_per_second: f64 = "log.cleaner.io.max.bytes.per.second",
    producer_id_expiration_ms: i32 = "producer.id.expiration.ms",
    producer_id_expiration_check_interval_ms: i32 = "producer.id.expiration.check.interval.ms",
    replica_high_watermark_checkpoint_interval_ms: i64 = "replica.high.watermark.checkpoint.interval.ms",
    replica_lag_time_max_ms: i64 = "replica.lag.time.max.ms",
    replica_fetch_max_bytes: i32 = "replica.fetch.max.bytes",
    replica_fetch_min_bytes: i32 = "replica.fetch.min.bytes",
    replica_fetch_wait_max_ms: i32 = "replica.fetch.wait.max.ms",
    replica_fetch_backoff_ms: i32 = "replica.fetch.backoff.ms",
    replica_fetch_response_max_bytes: i32 = "replica.fetch.response.max.bytes",
    num_replica_fetchers: i32 = "num.replica.fetchers",
    auto_leader_rebalance_enable: bool = "auto.leader.rebalance.enable",
    group_coordinator_append_linger_ms: i32 = "group.coordinator.append.linger.ms",
    offset_metadata_max_bytes: i32 = "offset.metadata.max.bytes",
    offsets_commit_timeout_ms: i32 = "offsets.commit.timeout.ms",
    offsets_retention_check_interval_ms: i64 = "offsets.retention.check.interval.ms",
    offsets_retention_minutes: i32 = "offsets.retention.minutes",
    offsets_topic_compression_codec: i32 = "offsets.topic.compression.codec",
    offsets_topic_num_partitions: i32 = "offsets.topic.num.partitions",
    offsets_topic_replication_factor: i16 = "offsets.topic.replication.factor",
    offsets_topic_segment_bytes: i32 = "offsets.topic.segment.bytes",
    group_initial_rebalance_delay_ms: i32 = "group.initial.rebalance.delay.ms",
    group_min_session_timeout_ms: i32 = "group.min.session.timeout.ms",
    group_max_session_timeout_ms: i32 = "group.max.session.timeout.ms",
    group_max_size: i32 = "group.max.size",
    group_consumer_assignment_interval_ms: i32 = "group.consumer.assignment.interval.ms",
    group_consumer_assignors: Vec<String> = "group.consumer.assignors",
    group_consumer_heartbeat_interval_ms: i32 = "group.consumer.heartbeat.interval.ms",
    group_consumer_max_assignment_interval_ms: i32 = "group.consumer.max.assignment.interval.ms",
    group_consumer_max_heartbeat_interval_ms: i32 = "group.consumer.max.heartbeat.interval.ms",
    group_consumer_max_session_timeout_ms: i32 = "group.consumer.max.session.timeout.ms",
    group_consumer_max_size: i32 = "group.consumer.max.size",
    group_consumer_migration_policy: String = "group.consumer.migration.policy",
    group_consumer_min_assignment_interval_ms: i32 = "group.consumer.min.assignment.interval.ms",
    group_consumer_min_heartbeat_interval_ms: i32 = "group.consumer.min.heartbeat.interval.ms",
    group_consumer_min_session_timeout_ms: i32 = "group.consumer.min.session.timeout.ms",
    group_consumer_regex_refresh_interval_ms: i32 = "group.consumer.regex.refresh.interval.ms",
    group_consumer_session_timeout_ms: i32 = "group.consumer.session.timeout.ms",
    group_coordinator_rebalance_protocols: Vec<String> = "group.coordinator.rebalance.protocols",
    add_partitions_to_txn_retry_backoff_max_ms: i32 = "add.partitions.to.txn.retry.backoff.max.ms",
    add_partitions_to_txn_retry_backoff_ms: i32 = "add.partitions.to.txn.retry.backoff.ms",
    transaction_abort_interval_ms: i32 = "transaction.abort.timed.out.transaction.cleanup.interval.ms",
    transaction_expiry_interval_ms: i32 = "transaction.remove.expired.transaction.cleanup.interval.ms",
    transaction_max_timeout_ms: i32 = "transaction.max.timeout.ms",
    transaction_state_log_min_isr: i32 = "transaction.state.log.min.isr",
    transaction_state_log_num_partitions: i32 = "transaction.state.log.num.partitions",
    transaction_state_log_replication_factor: i16 = "transaction.state.log.replication.factor",
    transaction_state_log_segment_bytes: i32 = "transaction.state.log.segment.bytes",
    transaction_partition_verification_enable: bool = "transaction.partition.verification.enable",
    transactional_id_expiration_ms: i32 = "transactional.id.expiration.ms",
    share_coordinator_state_topic_num_partitions: i32 = "share.coordinator.state.topic.num.partitions",
    share_coordinator_state_topic_replication_factor: i16 = "share.coordinator.state.topic.replication.factor",
    share_coordinator_state_topic_min_isr: i16 = "share.coordinator.state.topic.min.isr",
    share_coordinator_state_topic_segment_bytes: i32 = "share.coordinator.state.topic.segment.bytes",
    controlled_shutdown_enable: bool = "controlled.shutdown.enable",
    unstable_api_versions_enable: bool = "unstable.api.versions.enable",
    unstable_feature_versions_enable: bool = "unstable.feature.versions.enable",
    /// 0: one per core that this process may use.
    millrace_shards: i32 = "millrace.shards",
    millrace_direct_io: bool = "millrace.direct.io",
    millrace_io: Io = "millrace.io",
    /// Empty: no HTTP port.
    millrace_http_listener: String = "millrace.http.listener",
    millrace_rest_enable: bool = "millrace.rest.enable",
    millrace_ui_enable: bool = "millrace.ui.enable",
    /// `auto`, `true` or `false`.
    millrace_ui_read_only: String = "millrace.ui.read.only",
    /// Empty: no users.
    millrace_ui_users_file: String = "millrace.ui.users.file",
    /// `None` or empty: no token.
    millrace_ui_token: Option<String> = "millrace.ui.token",
    millrace_ui_bench_dir: String = "millrace.ui.bench.dir",
    millrace_tail_dir: String = "millrace.tail.dir",
    /// 0: 1/32 of the memory, within 64 MiB and 2 GiB.
    millrace_tail_bytes: i64 = "millrace.tail.bytes",
    millrace_tail_flush_ms: i64 = "millrace.tail.flush.ms",
    /// Directories separated by commas; empty: the first log directory.
    millrace_wal_dirs: String = "millrace.wal.dirs",
    millrace_wal_file_bytes: i64 = "millrace.wal.file.bytes",
    millrace_wal_files: i32 = "millrace.wal.files",
    millrace_wal_linger_us: i64 = "millrace.wal.linger.us",
    /// 0: acks=all is written through to the segments.
    millrace_wal_max_entry_bytes: i32 = "millrace.wal.max.entry.bytes",
    millrace_batch_validation: BatchValidation = "millrace.batch.validation",
}

/// The texts from which the values come, by precedence from low to high.
#[derive(Clone, Debug, Default)]
pub(super) struct Layers {
    /// File, environment, command line.
    pub(super) statics: Properties,
    /// Dynamic, for all brokers.
    pub(super) cluster: Properties,
    /// Dynamic, for this broker.
    pub(super) broker: Properties,
}

/// What is worked out from several keys.
struct Derived {
    roles: Roles,
    listeners: Listeners,
    log_dirs: Vec<PathBuf>,
    metadata_log_dir: PathBuf,
    voters: Vec<Voter>,
    bootstrap_servers: Vec<(String, u16)>,
    per_ip: Vec<(String, i32)>,
}

impl BrokerConfig {
    /// Reads and checks the static configuration of a node.
    pub fn new(statics: Properties) -> Result<BrokerConfig, ConfigError> {
        let config = Self::read(statics)?;
        config.check_offered()?;
        Ok(config)
    }

    /// What Apache Kafka would accept.
    fn read(mut statics: Properties) -> Result<BrokerConfig, ConfigError> {
        // Either of the two ids may be given.
        match (statics.get("node.id").cloned(), statics.get("broker.id").cloned()) {
            (Some(id), None) => drop(statics.insert("broker.id".into(), id)),
            (None, Some(id)) => drop(statics.insert("node.id".into(), id)),
            _ => {}
        }
        Self::of_layers(Layers { statics, ..Layers::default() })
    }

    /// The same node with other dynamic values. A stored value that cannot be read or does not fit is left out with a warning,
    /// as in Apache Kafka: a broker must come up with whatever the metadata holds.
    pub fn with_dynamic(&self, cluster: &Properties, broker: &Properties) -> BrokerConfig {
        let mut layers = Layers { statics: self.layers.statics.clone(), ..Layers::default() };
        let usable = |(name, text): &(&String, &String)| match find(Scope::Broker, name).map(|key| key.parse(text)) {
            Some(Err(error)) => {
                tracing::warn!(key = name.as_str(), %error, "stored broker config is not usable, ignored");
                false
            }
            _ => true,
        };
        let owned = |(name, text): (&String, &String)| (name.clone(), text.clone());
        layers.cluster = cluster.iter().filter(usable).map(owned).collect();
        layers.broker = broker.iter().filter(usable).map(owned).collect();
        Self::of_layers(layers).unwrap_or_else(|error| {
            tracing::warn!(%error, "stored broker configs do not fit together, ignored");
            let statics = self.layers.statics.clone();
            Self::of_layers(Layers { statics, ..Layers::default() })
                .expect("the static configuration was checked at start")
        })
    }

    /// Keys of the static configuration that are in no table; listener and plugin prefixes are left out.
    pub fn unknown_keys(&self) -> impl Iterator<Item = &str> {
        let prefixes = ["listener.name.", "rsm.config.", "rlmm.config.", "config.providers."];
        let names = self.layers.statics.keys().map(String::as_str);
        names.filter(move |name| {
            find(Scope::Broker, name).is_none() && !prefixes.iter().any(|prefix| name.starts_with(prefix))
        })
    }

    pub(super) fn of_layers(layers: Layers) -> Result<BrokerConfig, ConfigError> {
        let texts = layers.effective();
        let values = Values::read(Scope::Broker, &texts)?;
        let derived = Derived::of_values(&values, &texts)?;
        super::rules::check_broker(&values, &derived.log_dirs)?;
        Ok(BrokerConfig::of_values(values, layers, derived))
    }
}

impl Layers {
    /// One text per key. A dynamic value removes the less precise synonyms below it: `log.retention.ms` hides
    /// `log.retention.hours`.
    pub(super) fn effective(&self) -> Properties {
        let mut texts = self.statics.clone();
        for layer in [&self.cluster, &self.broker] {
            for (name, text) in layer {
                for synonym in synonyms::of_broker(name) {
                    texts.remove(synonym);
                }
                texts.insert(name.clone(), text.clone());
            }
        }
        texts
    }
}

impl Derived {
    fn of_values(values: &Values, texts: &Properties) -> Result<Derived, ConfigError> {
        let roles: Vec<String> = values.get("process.roles");
        let has = |role: &str| roles.iter().any(|one| one == role);
        let roles = Roles { broker: has("broker"), controller: has("controller") };
        if values.get::<i32>("node.id") != values.get::<i32>("broker.id") {
            return Err(ConfigError::rule("You must set `node.id` to the same value as `broker.id`."));
        }
        let voters: Vec<String> = values.get("controller.quorum.voters");
        let voters: Vec<Voter> = voters.iter().map(|text| parse_voter(text)).collect::<Result<_, _>>()?;
        let servers: Vec<String> = values.get("controller.quorum.bootstrap.servers");
        let bootstrap_servers: Vec<_> =
            servers.iter().map(|text| parse_bootstrap_server(text)).collect::<Result<_, _>>()?;
        super::rules::check_quorum(values, roles, &voters, &bootstrap_servers)?;
        let dirs: Vec<String> = values.get::<Option<Vec<String>>>("log.dirs").unwrap_or_else(|| values.get("log.dir"));
        let metadata_dir: Option<String> = values.get("metadata.log.dir");
        let metadata_log_dir = metadata_dir.unwrap_or_else(|| dirs[0].clone()).into();
        let given = |key: &str| texts.get(key).map(|text| text.trim());
        let default_map = find(Scope::Broker, "listener.security.protocol.map").and_then(|key| key.default_text());
        let advertised: Option<Vec<String>> = values.get("advertised.listeners");
        let early_start: Option<Vec<String>> = values.get("early.start.listeners");
        let listeners = Listeners::from_keys(&ListenerKeys {
            roles,
            listeners: &values.get::<Vec<String>>("listeners"),
            advertised: advertised.as_deref(),
            protocol_map: given("listener.security.protocol.map"),
            default_protocol_map: default_map.expect("the table has a default"),
            controller_names: &values.get::<Vec<String>>("controller.listener.names"),
            inter_broker_name: given("inter.broker.listener.name"),
            inter_broker_protocol: given("security.inter.broker.protocol"),
            early_start: early_start.as_deref(),
        })?;
        let per_ip = per_ip_overrides(&values.get::<String>("max.connections.per.ip.overrides"))?;
        let log_dirs = dirs.into_iter().map(PathBuf::from).collect();
        Ok(Derived { roles, listeners, log_dirs, metadata_log_dir, voters, bootstrap_servers, per_ip })
    }
}

/// Reads `host:count,host:count`.
fn per_ip_overrides(text: &str) -> Result<Vec<(String, i32)>, ConfigError> {
    const KEY: &str = "max.connections.per.ip.overrides";
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let read = |entry: &str| {
        let (host, count) = entry.rsplit_once(':').ok_or_else(|| {
            ConfigError::rule(format!("Error parsing configuration property '{KEY}': '{entry}' should be host:count"))
        })?;
        let (host, count) = (host.trim(), count.trim());
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-%._:".contains(&byte);
        if host.is_empty() || !host.bytes().all(allowed) {
            return Err(ConfigError::rule(format!("{KEY} contains invalid addresses : {host}")));
        }
        let count = count.parse().map_err(|_| ConfigError::invalid(KEY, text, format!("'{count}' is not a count")))?;
        Ok((host.to_owned(), count))
    };
    entries.map(read).collect()
}

impl BrokerConfig {
    /// The value of any broker key, defaults included.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.value(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CompressionType, Durability};

    fn combined(changes: &[(&str, &str)]) -> Properties {
        let mut texts: Properties = [
            ("process.roles", "broker,controller"),
            ("node.id", "1"),
            ("controller.listener.names", "CONTROLLER"),
            ("listeners", "PLAINTEXT://:9092,CONTROLLER://:9093"),
            ("controller.quorum.voters", "1@localhost:9093"),
        ]
        .map(|(key, text)| (key.to_owned(), text.to_owned()))
        .into();
        for (key, text) in changes {
            match *text {
                "UNSET" => drop(texts.remove(*key)),
                text => drop(texts.insert((*key).to_owned(), text.to_owned())),
            }
        }
        texts
    }

    #[test]
    fn every_field_has_a_row() {
        for key in BrokerConfig::KEYS {
            assert!(find(Scope::Broker, key).is_some(), "{key}");
        }
    }

    #[test]
    fn a_start_is_refused_with_kafkas_words() {
        let mut differing = Vec::new();
        let cases = include_str!("testdata/startup.tsv").lines().filter(|line| !line.starts_with('#'));
        for line in cases {
            let mut parts = line.split('\t');
            let expected = parts.next().expect("a line has a first part").trim_start_matches('~');
            let changes: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
            let answer = match BrokerConfig::read(combined(&changes)) {
                Ok(_) => "ok".to_owned(),
                Err(error) => error.to_string(),
            };
            if answer != expected {
                differing.push(format!("{changes:?}\n  Kafka: {expected}\n  ours:  {answer}"));
            }
        }
        assert!(differing.is_empty(), "{}", differing.join("\n"));
    }

    #[test]
    fn topics_follow_the_broker_and_its_dynamic_values() {
        let config = BrokerConfig::new(combined(&[("log.retention.hours", "2"), ("acks.all.durability", "memory")]));
        let config = config.expect("valid");
        assert_eq!(config.topic_defaults.retention_ms, 7_200_000);
        assert_eq!(config.topic_defaults.acks_all_durability, Durability::Memory);
        let texts = |pairs: &[(&str, &str)]| -> Properties {
            pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()
        };
        let cluster = texts(&[("log.retention.ms", "5"), ("compression.type", "lz4"), ("num.io.threads", "x")]);
        let dynamic = config.with_dynamic(&cluster, &texts(&[("log.retention.ms", "6")]));
        assert_eq!(dynamic.topic_defaults.retention_ms, 6);
        assert_eq!(dynamic.topic_defaults.compression_type, CompressionType::Lz4);
        let back = dynamic.with_dynamic(&Properties::new(), &Properties::new());
        assert_eq!(back.topic_defaults, config.topic_defaults);
    }

    #[test]
    fn unknown_keys_are_told() {
        let config = BrokerConfig::new(combined(&[("nonsense", "1"), ("listener.name.x.ssl.client.auth", "none")]));
        assert_eq!(config.expect("valid").unknown_keys().collect::<Vec<_>>(), ["nonsense"]);
    }
}
