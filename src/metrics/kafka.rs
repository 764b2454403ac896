//! Metrics that nobody counts under their name: worked out at a scrape from what is counted, and the process itself. Most of them are
//! there because dashboards and alerts for Apache Kafka ask for them. What those ask for and we can't say truly is in [`LEFT_OUT`].

use super::instrument::Kind;
use super::page::{Page, labels};
use super::process::ProcessLook;
use super::series::{GroupStates, Metrics, ShardMetrics};
use super::table::Row;

/// What a scrape has found out.
pub(super) struct Scene<'a> {
    pub(super) metrics: &'a Metrics,
    pub(super) process: ProcessLook,
    /// Groups of all shards.
    pub(super) groups: GroupStates,
    /// Share of the last minute that the shards have slept.
    pub(super) idle: f64,
    /// Records per second that were appended to the metadata log in the last minute.
    pub(super) metadata_rate: f64,
}

/// A row and its values: labels as they stand between the braces, and a number.
pub(super) struct Derived {
    pub(super) row: Row,
    values: fn(&Scene<'_>) -> Vec<(String, f64)>,
}

impl Scene<'_> {
    /// Writes every row.
    pub(super) fn write(&self, page: &mut Page) {
        for Derived { row, values } in DERIVED {
            let suffix = if row.kind == Kind::Counter { "_total" } else { "" };
            page.family(row.name, row.kind, row.help);
            for (labels, value) in values(self) {
                page.line(row.name, suffix, &labels, value);
            }
        }
    }

    fn shards(&self) -> &[std::sync::Arc<ShardMetrics>] {
        self.metrics.shards()
    }

    fn sum(&self, value: impl Fn(&ShardMetrics) -> i64) -> f64 {
        self.shards().iter().map(|shard| value(shard)).sum::<i64>() as f64
    }

    fn by_shard(&self, value: impl Fn(&ShardMetrics) -> f64) -> Vec<(String, f64)> {
        let shards = self.shards().iter().enumerate();
        shards.map(|(nth, shard)| (labels(&[("networkProcessor", &nth.to_string())]), value(shard))).collect()
    }

    /// Classic groups in this state; all for "".
    fn classic_groups(&self, state: &str) -> f64 {
        let wanted = |(kind, found): &(&str, &str)| *kind == "classic" && (state.is_empty() || *found == state);
        self.groups.iter().filter(|(group, _)| wanted(group)).map(|(_, count)| *count).sum::<i64>() as f64
    }
}

fn one(value: f64) -> Vec<(String, f64)> {
    vec![(String::new(), value)]
}

const fn gauge(name: &'static str, help: &'static str, values: fn(&Scene<'_>) -> Vec<(String, f64)>) -> Derived {
    Derived { row: Row { name, kind: Kind::Gauge, help }, values }
}

const fn counter(name: &'static str, help: &'static str, values: fn(&Scene<'_>) -> Vec<(String, f64)>) -> Derived {
    Derived { row: Row { name, kind: Kind::Counter, help }, values }
}

/// Every derived metric.
#[rustfmt::skip]
pub(super) static DERIVED: &[Derived] = &[
    gauge("kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent",
        "share of the last minute, from 0 to 1, that the shards have slept",
        |scene| one(scene.idle)),
    gauge("kafka_network_socketserver_networkprocessoravgidle_percent",
        "the same: a shard does both works",
        |scene| one(scene.idle)),
    gauge("kafka_server_socket_server_metrics_connection_count",
        "open connections; the network processor is the shard",
        |scene| scene.by_shard(|shard| shard.counters.connections.get() as f64)),
    counter("kafka_server_socket_server_metrics_connection_creation",
        "connections accepted",
        |scene| scene.by_shard(|shard| shard.counters.connections_accepted.get() as f64)),
    counter("kafka_server_socket_server_metrics_connection_close",
        "connections closed",
        |scene| scene.by_shard(|shard| shard.counters.connections_closed.get() as f64)),
    gauge("kafka_server_delayedoperationpurgatory_purgatorysize",
        "requests that wait, by the label delayedOperation: Produce for the device or replicas, Fetch for bytes",
        |scene| vec![
            (labels(&[("delayedOperation", "Produce")]), scene.sum(|shard| shard.counters.purgatory_produce.get())),
            (labels(&[("delayedOperation", "Fetch")]), scene.sum(|shard| shard.counters.purgatory_fetch.get())),
        ]),
    gauge("kafka_server_fetchsessioncache_numincrementalfetchsessions",
        "fetch sessions",
        |scene| one(scene.sum(|shard| shard.counters.fetch_sessions.get()))),
    gauge("kafka_server_fetchsessioncache_numincrementalfetchpartitionscached",
        "partitions that fetch sessions remember",
        |scene| one(scene.sum(|shard| shard.counters.fetch_session_partitions.get()))),
    counter("kafka_server_fetchsessioncache_incrementalfetchsessionevictions",
        "fetch sessions that made room for others",
        |scene| one(scene.sum(|shard| shard.counters.fetch_sessions_evicted.get() as i64))),
    gauge("kafka_server_replicafetchermanager_maxlag",
        "offsets that this broker is behind as a follower: it follows nobody",
        |_| vec![(labels(&[("clientId", "Replica")]), 0.0)]),
    gauge("kafka_server_replicafetchermanager_minfetchrate",
        "fetches per second of the slowest follower's thread: there is none",
        |_| vec![(labels(&[("clientId", "Replica")]), 0.0)]),
    gauge("kafka_coordinator_group_groupmetadatamanager_numgroups",
        "classic groups coordinated here",
        |scene| one(scene.classic_groups(""))),
    gauge("kafka_coordinator_group_groupmetadatamanager_numoffsets",
        "committed offsets of the groups coordinated here",
        |scene| one(scene.sum(|shard| shard.counters.group_offsets.get()))),
    gauge("kafka_coordinator_group_groupmetadatamanager_numgroupspreparingrebalance",
        "classic groups that wait for their members to join",
        |scene| one(scene.classic_groups("PreparingRebalance"))),
    gauge("kafka_coordinator_group_groupmetadatamanager_numgroupscompletingrebalance",
        "classic groups that wait for their assignment",
        |scene| one(scene.classic_groups("CompletingRebalance"))),
    gauge("kafka_coordinator_group_groupmetadatamanager_numgroupsstable",
        "classic groups at work",
        |scene| one(scene.classic_groups("Stable"))),
    gauge("kafka_coordinator_group_groupmetadatamanager_numgroupsempty",
        "classic groups without members",
        |scene| one(scene.classic_groups("Empty"))),
    gauge("kafka_coordinator_group_groupmetadatamanager_numgroupsdead",
        "classic groups that are being removed: that takes no time here",
        |scene| one(scene.classic_groups("Dead"))),
    counter("kafka_controller_controllerstats_uncleanleaderelections",
        "leaders elected from outside the in-sync replicas: there are no others to elect",
        |_| one(0.0)),
    gauge("kafka_controller_kafkacontroller_lastappliedrecordlagms",
        "how far the controller is behind the metadata log; the active one never is",
        |_| one(0.0)),
    gauge("kafka_server_raftmetrics_current_state",
        "1, with the state in the label current_state",
        |_| vec![(labels(&[("current_state", "leader")]), 1.0)]),
    gauge("kafka_server_raftmetrics_append_records_rate",
        "records per second appended to the metadata log in the last minute",
        |scene| one(scene.metadata_rate)),
    gauge("kafka_server_raftmetrics_fetch_records_rate",
        "records per second fetched from the quorum's leader: this node is the leader",
        |_| one(0.0)),
    gauge("kafka_server_raft_metrics_current_state_info",
        "1, with the state in the label state",
        |_| vec![(labels(&[("state", "leader")]), 1.0)]),
    gauge("kafka_server_raft_metrics_current_epoch",
        "as kafka_server_raftmetrics_current_epoch",
        |scene| one(scene.metrics.node.quorum_epoch.get() as f64)),
    gauge("kafka_server_raft_metrics_current_leader",
        "as kafka_server_raftmetrics_current_leader",
        |scene| one(scene.metrics.node.quorum_leader.get() as f64)),
    gauge("kafka_server_raft_metrics_current_vote",
        "as kafka_server_raftmetrics_current_vote",
        |scene| one(scene.metrics.node.quorum_vote.get() as f64)),
    gauge("kafka_server_raft_metrics_high_watermark",
        "as kafka_server_raftmetrics_high_watermark",
        |scene| one(scene.metrics.node.quorum_high_watermark.get() as f64)),
    gauge("kafka_server_raft_metrics_log_end_offset",
        "as kafka_server_raftmetrics_log_end_offset",
        |scene| one(scene.metrics.node.quorum_log_end_offset.get() as f64)),
    gauge("kafka_server_raft_metrics_append_records_rate",
        "as kafka_server_raftmetrics_append_records_rate",
        |scene| one(scene.metadata_rate)),
    gauge("kafka_server_raft_metrics_fetch_records_rate",
        "as kafka_server_raftmetrics_fetch_records_rate",
        |_| one(0.0)),
    gauge("kafka_server_brokermetadatametrics_last_applied_record_offset",
        "as kafka_server_broker_metadata_metrics_last_applied_record_offset",
        |scene| one(scene.metrics.node.metadata_last_applied_offset.get() as f64)),
    gauge("kafka_server_brokermetadatametrics_metadata_load_error_count",
        "as kafka_server_broker_metadata_metrics_metadata_load_error_count",
        |scene| one(scene.metrics.node.metadata_load_errors.get() as f64)),
    gauge("kafka_server_brokermetadatametrics_metadata_apply_error_count",
        "as kafka_server_broker_metadata_metrics_metadata_apply_error_count",
        |scene| one(scene.metrics.node.metadata_apply_errors.get() as f64)),
    gauge("kafka_server_kafkaserver_linux_disk_read_bytes",
        "bytes that the process caused to be read from devices",
        |scene| one(scene.process.read_bytes as f64)),
    gauge("kafka_server_kafkaserver_linux_disk_write_bytes",
        "bytes that the process caused to be written to devices",
        |scene| one(scene.process.write_bytes as f64)),
    counter("process_cpu_seconds",
        "processor time, user and system",
        |scene| one(scene.process.cpu_seconds)),
    gauge("process_start_time_seconds",
        "when the process started, seconds since 1970",
        |scene| one(scene.process.start_seconds)),
    gauge("process_resident_memory_bytes",
        "resident memory",
        |scene| one(scene.process.resident_bytes as f64)),
    gauge("process_virtual_memory_bytes",
        "virtual memory",
        |scene| one(scene.process.virtual_bytes as f64)),
    gauge("process_open_fds",
        "open file descriptors",
        |scene| one(scene.process.open_fds as f64)),
    gauge("process_max_fds",
        "file descriptors that may be open",
        |scene| one(scene.process.max_fds as f64)),
    gauge("process_threads",
        "threads",
        |scene| one(scene.process.threads as f64)),
];

/// What well-known dashboards and alerts ask for and is not there, by the beginning of its name, and why.
pub(super) static LEFT_OUT: &[(&str, &str)] = &[
    ("jvm_", "there is no JVM"),
    ("kafka_network_requestmetrics_requestqueuetimems", "no queue lies between a socket and who serves it"),
    ("kafka_network_requestmetrics_responsequeuetimems", "no queue lies between who serves and the socket"),
    (
        "kafka_network_requestmetrics_responsesendtimems",
        "many answers go out in one system call, so that none has a time of its own; the stage ledger has the sum",
    ),
    ("kafka_network_requestchannel_", "there is no request queue; millrace_shard_queue_depth is the nearest"),
    (
        "kafka_server_socketservermetrics_connection_close_rate",
        "rate(kafka_server_socket_server_metrics_connection_close_total) says it",
    ),
    (
        "kafka_server_socketservermetrics_connection_creation_rate",
        "rate(kafka_server_socket_server_metrics_connection_creation_total) says it",
    ),
    ("kafka_server_socketservermetrics_connections", "clients are not counted by the name of their software"),
    ("kafka_network_acceptor_", "shards accept their connections themselves and are never blocked by another thread"),
    ("kafka_controller_controllereventmanager_", "the controller has no event queue of that kind"),
    ("kafka_server_raftchannelmetrics_", "a quorum of one voter sends nothing"),
    ("kafka_server_raftmetrics_commit_latency", "not measured"),
    ("kafka_server_raftmetrics_election_latency", "a quorum of one voter elects nobody"),
    ("kafka_server_raft_metrics_commit_latency", "not measured"),
    ("kafka_server_raft_metrics_election_latency", "a quorum of one voter elects nobody"),
    (
        "kafka_server_brokertopicmetrics_fetchmessageconversions",
        "Apache Kafka 4 has no old message formats to convert to either",
    ),
    (
        "kafka_log_logflushstats_",
        "a commit is a write to the write-ahead log, not a flush: see millrace_shard_wal_write_time_ms",
    ),
    ("kafka_log_log_tier", "of Confluent Server alone"),
    ("kafka_tier_", "of Confluent Server alone"),
    ("kafka_server_replicamanager_straypartitions", "of Confluent Server alone"),
    ("kafka_server_transaction_coordinator_metrics_", "the usual rules drop them; see millrace_shard_transactions_*"),
    ("kafka_server_sessionexpirelistener_", "of ZooKeeper, which Kafka 4 has no more"),
    ("kafka_server_zookeeperclientmetrics_", "of ZooKeeper, which Kafka 4 has no more"),
    ("kafka_server_kafkarequesthandlerpool_controlplane", "there is no control plane listener"),
    ("kafka_server_produce_", "quotas have no effect yet"),
    ("kafka_server_fetch_", "quotas have no effect yet"),
    ("kafka_server_request_", "quotas have no effect yet"),
    (
        "kafka_consumergroup_",
        "of kafka_exporter, which works with Millrace as with Kafka; see millrace_group_lag_records",
    ),
    ("kafka_consumer_lag_millis", "of kafka-lag-exporter; see millrace_group_lag_seconds"),
    (
        "kafka_topic_partition_",
        "of kafka_exporter, which works with Millrace as with Kafka; see kafka_log_log_logendoffset",
    ),
];
