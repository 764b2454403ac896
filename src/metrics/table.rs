//! THE table of metrics: one row per metric, which is also the field of the struct that holds it.
//!
//! Counters get `_total` at the end of their name when rendered.

use super::instrument::{Counter, Gauge, Histogram, Instrument, Kind, Reason, Reasons, View};

/// What is known of a metric beside its value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) help: &'static str,
}

/// A struct of instruments.
pub(super) trait Rows {
    const ROWS: &'static [Row];
    /// The instrument of a row.
    fn view(&self, row: usize) -> View<'_>;
}

macro_rules! metrics {
    ($(#[$doc:meta])* pub struct $name:ident { $($field:ident: $kind:ty = $metric:literal, $help:literal;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub struct $name {
            $(#[doc = concat!("`", $metric, "`: ", $help)] pub $field: $kind,)*
        }

        impl Rows for $name {
            const ROWS: &'static [Row] =
                &[$(Row { name: $metric, kind: <$kind as Instrument>::KIND, help: $help }),*];

            fn view(&self, row: usize) -> View<'_> {
                let views: &[fn(&$name) -> View<'_>] = &[$(|metrics| metrics.$field.view()),*];
                views[row](self)
            }
        }
    };
}

macro_rules! reasons {
    ($(#[$doc:meta])* pub enum $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl Reason for $name {
            const TEXTS: &'static [&'static str] = &[$($text),*];
            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

reasons! {
    /// Why a frame ended its connection.
    pub enum FrameRejection {
        /// Length below zero or too short for a header.
        NegativeLength = "negative length",
        /// Length above `socket.request.max.bytes`.
        TooLarge = "too large",
        /// API key or version that is not served.
        UnknownApi = "unknown api",
        /// The body does not decode.
        Malformed = "malformed",
        /// The peer closed in the middle of a frame.
        Truncated = "truncated",
    }
}

reasons! {
    /// Why a connection was closed as soon as it came.
    pub enum ConnectionRefusal {
        /// `max.connections`
        MaxConnections = "max.connections",
        /// `max.connections.per.ip`
        MaxConnectionsPerIp = "max.connections.per.ip",
        /// `max.connection.creation.rate`
        CreationRate = "max.connection.creation.rate",
        /// No file descriptor or memory left.
        Resources = "resources",
    }
}

metrics! {
    /// Counters of one shard; label `shard`.
    pub struct ShardCounters {
        requests: Counter = "millrace_shard_requests", "requests answered";
        bytes_in: Counter = "millrace_shard_bytes_in", "bytes received from clients";
        bytes_out: Counter = "millrace_shard_bytes_out", "bytes sent to clients";
        bytes_out_tail: Counter = "millrace_shard_bytes_out_tail", "record bytes of answers that come from memory";
        bytes_out_sendfile: Counter = "millrace_shard_bytes_out_sendfile", "record bytes of answers that are sent from files by sendfile";
        cold_reads: Counter = "millrace_shard_cold_reads", "file ranges that were read ahead in the blocking pool before they were sent";
        connections: Gauge = "millrace_shard_connections", "open connections";
        connections_accepted: Counter = "millrace_shard_connections_accepted", "connections accepted";
        connections_closed: Counter = "millrace_shard_connections_closed", "connections closed";
        connections_idle_closed: Counter = "millrace_shard_connections_idle_closed", "connections closed by connections.max.idle.ms";
        connections_refused: Reasons<ConnectionRefusal> = "millrace_shard_connections_refused", "connections refused";
        connections_moved_in: Counter = "millrace_shard_connections_moved_in", "connections taken over from another shard";
        connections_moved_out: Counter = "millrace_shard_connections_moved_out", "connections handed to another shard";
        frames_rejected: Reasons<FrameRejection> = "millrace_shard_frames_rejected", "frames that ended their connection";
        panics: Counter = "millrace_shard_panics", "operations for other shards that ended in a panic";
        hops: Counter = "millrace_shard_hops", "requests sent to another shard";
        queue_depth: Gauge = "millrace_shard_queue_depth", "messages of other shards that wait here";
        queue_full: Counter = "millrace_shard_queue_full", "times a message to this shard had to wait for room";
        partitions: Gauge = "millrace_shard_partitions", "partitions that live here";
        partitions_offline: Gauge = "millrace_shard_partitions_offline", "partitions that can't be served: their log directory failed, or their files are damaged";
        purgatory_fetch: Gauge = "millrace_shard_purgatory_fetch", "fetches that wait for bytes";
        purgatory_produce: Gauge = "millrace_shard_purgatory_produce", "produce requests that wait for the device or replicas";
        fetch_sessions: Gauge = "millrace_shard_fetch_sessions", "fetch sessions in the cache";
        fetch_session_partitions: Gauge = "millrace_shard_fetch_session_partitions", "partitions that these sessions remember";
        fetch_sessions_evicted: Counter = "millrace_shard_fetch_sessions_evicted", "fetch sessions put out of the cache";
        tail_bytes_max: Gauge = "millrace_shard_tail_bytes_max", "tail memory of the shard";
        tail_bytes_dirty: Gauge = "millrace_shard_tail_bytes_dirty", "tail memory that holds what is not yet written to its segment, or is appended to; the rest keeps what was written for readers";
        tail_bytes_pinned: Gauge = "millrace_shard_tail_bytes_pinned", "tail memory that answers on their way refer to";
        tail_waits: Counter = "millrace_shard_tail_waits", "appends that waited for a free tail chunk";
        disk_writes: Counter = "millrace_shard_disk_writes", "writes of segments";
        disk_bytes: Counter = "millrace_shard_disk_bytes", "bytes of these writes";
        disk_errors: Counter = "millrace_shard_disk_errors", "writes and syncs of segments that failed";
        disk_write_time: Histogram = "millrace_shard_disk_write_time_ms", "time of such a write";
        wal_writes: Counter = "millrace_shard_wal_writes", "writes to the write-ahead log";
        wal_bytes: Counter = "millrace_shard_wal_bytes", "bytes written to the write-ahead log";
        wal_entries: Counter = "millrace_shard_wal_entries", "entries in those writes: divided by the writes, how many appends share one";
        wal_write_time: Histogram = "millrace_shard_wal_write_time_ms", "time of a durable write to the write-ahead log";
        wal_bytes_used: Gauge = "millrace_shard_wal_bytes_used", "bytes of the write-ahead log that are kept";
        loop_latency: Histogram = "millrace_shard_loop_latency_ms", "how late the shard's periodic work began";
        compactions: Counter = "millrace_shard_compactions", "compactions of partitions that came to their end";
        compactions_failed: Counter = "millrace_shard_compactions_failed", "compactions that met files they could not read or write";
        compaction_bytes_read: Counter = "millrace_shard_compaction_bytes_read", "bytes of segments that were compacted";
        compaction_bytes_written: Counter = "millrace_shard_compaction_bytes_written", "bytes of the segments that took their place";
        coordinators: Gauge = "millrace_shard_coordinators", "partitions of internal topics that are coordinated here";
        producer_ids: Gauge = "millrace_shard_producer_ids", "producer ids known to the partitions here, once for each partition";
        groups: Gauge = "millrace_shard_groups", "groups whose coordinator is loaded here";
        group_offsets: Gauge = "millrace_shard_group_offsets", "committed offsets of those groups";
        transactional_ids: Gauge = "millrace_shard_transactional_ids", "transactional ids whose coordinator is loaded here";
        transactions_open: Gauge = "millrace_shard_transactions_open", "transactions of those that are not complete";
        transactions_committed: Counter = "millrace_shard_transactions_committed", "transactions whose commit markers were all written";
        transactions_aborted: Counter = "millrace_shard_transactions_aborted", "transactions whose abort markers were all written";
        coordinator_loads: Counter = "millrace_shard_coordinator_loads", "coordinators loaded";
        coordinator_records_loaded: Counter = "millrace_shard_coordinator_records_loaded", "records replayed while coordinators were loaded";
        coordinator_batches: Counter = "millrace_shard_coordinator_batches", "batches that coordinators wrote";
        coordinator_records: Counter = "millrace_shard_coordinator_records", "records in those batches: divided by the batches, how many share one";
        recompressed_batches: Counter = "millrace_shard_recompressed_batches", "batches that the broker had to compress again";
    }
}

metrics! {
    /// Counters of a topic on one shard; label `topic`, added up over the shards, and once without label over all topics.
    pub struct TopicMetrics {
        messages_in: Counter = "kafka_server_brokertopicmetrics_messagesin", "records appended";
        bytes_in: Counter = "kafka_server_brokertopicmetrics_bytesin", "bytes of batches appended";
        bytes_out: Counter = "kafka_server_brokertopicmetrics_bytesout", "bytes of batches fetched by clients";
        bytes_rejected: Counter = "kafka_server_brokertopicmetrics_bytesrejected", "bytes of batches refused";
        produce_requests: Counter = "kafka_server_brokertopicmetrics_totalproducerequests", "appends asked for, by partition";
        fetch_requests: Counter = "kafka_server_brokertopicmetrics_totalfetchrequests", "fetches asked for, by partition";
        failed_produce_requests: Counter = "kafka_server_brokertopicmetrics_failedproducerequests", "appends that failed";
        failed_fetch_requests: Counter = "kafka_server_brokertopicmetrics_failedfetchrequests", "fetches that failed";
        produce_message_conversions: Counter = "kafka_server_brokertopicmetrics_producemessageconversions", "records of batches that the broker had to compress again";
        invalid_crc: Counter = "kafka_server_brokertopicmetrics_invalidmessagecrcrecords", "batches with a wrong CRC";
        invalid_magic: Counter = "kafka_server_brokertopicmetrics_invalidmagicnumberrecords", "batches of an unknown or old format";
        invalid_offset_or_sequence: Counter = "kafka_server_brokertopicmetrics_invalidoffsetorsequencerecords", "batches with offsets that do not fit their records";
        replication_bytes_in: Counter = "kafka_server_brokertopicmetrics_replicationbytesin", "bytes fetched from leaders";
        replication_bytes_out: Counter = "kafka_server_brokertopicmetrics_replicationbytesout", "bytes fetched by followers";
    }
}

metrics! {
    /// State of a partition; labels `topic` and `partition`.
    pub struct PartitionMetrics {
        size: Gauge = "kafka_log_log_size", "bytes of all segments";
        segments: Gauge = "kafka_log_log_numlogsegments", "segments";
        log_start_offset: Gauge = "kafka_log_log_logstartoffset", "first offset";
        log_end_offset: Gauge = "kafka_log_log_logendoffset", "offset of the next record";
        replicas_count: Gauge = "kafka_cluster_partition_replicascount", "replicas";
        in_sync_replicas_count: Gauge = "kafka_cluster_partition_insyncreplicascount", "replicas in sync";
        under_replicated: Gauge = "kafka_cluster_partition_underreplicated", "1 if a replica is out of sync";
        under_min_isr: Gauge = "kafka_cluster_partition_underminisr", "1 if fewer replicas are in sync than min.insync.replicas, or than there are";
        at_min_isr: Gauge = "kafka_cluster_partition_atminisr", "1 if just so many are in sync";
        last_stable_offset_lag: Gauge = "kafka_cluster_partition_laststableoffsetlag", "offsets from the last stable offset to the high watermark: records of open transactions, and what was appended behind them";
    }
}

metrics! {
    /// State of the node; no labels. Written by the control thread.
    pub struct NodeMetrics {
        partition_count: Gauge = "kafka_server_replicamanager_partitioncount", "partitions on this broker";
        leader_count: Gauge = "kafka_server_replicamanager_leadercount", "partitions that this broker leads";
        under_replicated_partitions: Gauge = "kafka_server_replicamanager_underreplicatedpartitions", "led partitions with a replica out of sync";
        under_min_isr_partition_count: Gauge = "kafka_server_replicamanager_underminisrpartitioncount", "led partitions with fewer replicas in sync than min.insync.replicas, or than they have";
        at_min_isr_partition_count: Gauge = "kafka_server_replicamanager_atminisrpartitioncount", "led partitions with just so many in sync";
        offline_replica_count: Gauge = "kafka_server_replicamanager_offlinereplicacount", "replicas that are offline: their log directory failed, or their files are damaged";
        reassigning_partitions: Gauge = "kafka_server_replicamanager_reassigningpartitions", "led partitions that move";
        producer_id_count: Gauge = "kafka_server_replicamanager_produceridcount", "producer ids known to the partitions";
        isr_shrinks: Counter = "kafka_server_replicamanager_isrshrinks", "times a replica left the in-sync replicas";
        isr_expands: Counter = "kafka_server_replicamanager_isrexpands", "times a replica joined the in-sync replicas";
        offline_log_directory_count: Gauge = "kafka_log_logmanager_offlinelogdirectorycount", "failed log directories";
        broker_state: Gauge = "kafka_server_kafkaserver_brokerstate", "0 not running, 1 starting, 2 recovery, 3 running, 6 pending shutdown, 7 shutting down";
        active_controller_count: Gauge = "kafka_controller_kafkacontroller_activecontrollercount", "1 on the active controller";
        active_broker_count: Gauge = "kafka_controller_kafkacontroller_activebrokercount", "registered brokers that are not fenced";
        fenced_broker_count: Gauge = "kafka_controller_kafkacontroller_fencedbrokercount", "fenced brokers";
        global_topic_count: Gauge = "kafka_controller_kafkacontroller_globaltopiccount", "topics of the cluster";
        global_partition_count: Gauge = "kafka_controller_kafkacontroller_globalpartitioncount", "partitions of the cluster";
        offline_partitions_count: Gauge = "kafka_controller_kafkacontroller_offlinepartitionscount", "partitions without a leader";
        preferred_replica_imbalance_count: Gauge = "kafka_controller_kafkacontroller_preferredreplicaimbalancecount", "partitions not led by their first replica";
        metadata_error_count: Gauge = "kafka_controller_kafkacontroller_metadataerrorcount", "errors in the controller's work";
        last_applied_record_offset: Gauge = "kafka_controller_kafkacontroller_lastappliedrecordoffset", "offset of the last metadata record applied by the controller";
        last_committed_record_offset: Gauge = "kafka_controller_kafkacontroller_lastcommittedrecordoffset", "offset of the last metadata record committed";
        metadata_last_applied_offset: Gauge = "kafka_server_broker_metadata_metrics_last_applied_record_offset", "offset of the last metadata record applied by the broker";
        metadata_load_errors: Gauge = "kafka_server_broker_metadata_metrics_metadata_load_error_count", "errors while loading metadata";
        metadata_apply_errors: Gauge = "kafka_server_broker_metadata_metrics_metadata_apply_error_count", "errors while applying metadata";
        quorum_epoch: Gauge = "kafka_server_raftmetrics_current_epoch", "epoch of the metadata quorum's leader";
        quorum_leader: Gauge = "kafka_server_raftmetrics_current_leader", "id of the metadata quorum's leader";
        quorum_vote: Gauge = "kafka_server_raftmetrics_current_vote", "id of the voter that this node has voted for";
        quorum_high_watermark: Gauge = "kafka_server_raftmetrics_high_watermark", "high watermark of the metadata log";
        quorum_log_end_offset: Gauge = "kafka_server_raftmetrics_log_end_offset", "end of the metadata log";
        rest_errors: Counter = "millrace_rest_errors", "requests at /v3 that were refused, and records in them that were not produced";
        rest_records_produced: Counter = "millrace_rest_records_produced", "records produced through /v3";
        rest_records_consumed: Counter = "millrace_rest_records_consumed", "records read through /v3";
        rest_producing: Gauge = "millrace_rest_producing", "requests at /v3 that produce records now, streams among them";
        start_time_ms: Gauge = "millrace_start_time_ms", "when this process became ready, milliseconds since 1970";
    }
}
