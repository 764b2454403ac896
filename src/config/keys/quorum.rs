//! Rows: node identity, roles, the controller quorum and its log. Columns: key, type, default, check, when it may change, what it does here, one line for a person.

use super::super::key::Check::{Any, HostPorts, Items, Min, SomeItems, Voters};
use super::super::key::Support::{NoMeaning, NotYet, Works};
use super::super::key::Type::{Bool, Int, List, Long, Str};
use super::super::key::Update::{ClusterWide, ReadOnly};
use super::super::key::{ANY, Key, NULL, REQUIRED, key};
use super::reasons::{JAVA, JMX, QUORUM, REPLICATION, SINGLE_VOTER};

#[rustfmt::skip]
pub(in crate::config) static KEYS: &[Key] = &[
    key("broker.heartbeat.interval.ms", Int, "2000", Any, ReadOnly, Works, "how often the broker tells the controller that it lives"),
    key("broker.id", Int, "-1", Any, ReadOnly, Works, "older name of node.id; if both are given they must be the same"),
    key("broker.rack", Str, NULL, Any, ReadOnly, Works, "rack of this broker, told to clients and used when replicas are placed"),
    key("broker.session.timeout.ms", Int, "9000", Any, ReadOnly, Works, "a broker that the controller has not heard from for this long is fenced"),
    key("config.providers", List, "", Items(ANY), ClusterWide, NoMeaning(JAVA), "plugins that resolve ${...} in values"),
    key("controlled.shutdown.enable", Bool, "true", Any, ReadOnly, NotYet(REPLICATION), "leaders move to other brokers before a stop"),
    key("controller.listener.names", List, REQUIRED, SomeItems(ANY), ReadOnly, Works, "listeners of the controller role, the first is the one that brokers dial"),
    key("controller.performance.always.log.threshold.ms", Long, "2000", Min(0), ReadOnly, NoMeaning(JMX), "controller events slower than this are logged"),
    key("controller.performance.sample.period.ms", Long, "60000", Min(100), ReadOnly, NoMeaning(JMX), "how often controller event times are logged"),
    key("controller.quorum.append.linger.ms", Int, "25", Min(0), ReadOnly, NoMeaning(SINGLE_VOTER), "how long the leader of the quorum gathers records before it writes"),
    key("controller.quorum.auto.join.enable", Bool, "false", Any, ReadOnly, NotYet(QUORUM), "a new controller adds itself to the voters"),
    key("controller.quorum.bootstrap.servers", List, "", HostPorts, ReadOnly, NotYet(QUORUM), "addresses at which to find the controllers"),
    key("controller.quorum.election.backoff.max.ms", Int, "1000", Min(0), ReadOnly, NoMeaning(SINGLE_VOTER), "longest wait before another election"),
    key("controller.quorum.election.timeout.ms", Int, "1000", Min(0), ReadOnly, NoMeaning(SINGLE_VOTER), "wait for votes before another election"),
    key("controller.quorum.fetch.max.bytes", Int, "1048576", Min(1), ReadOnly, NotYet(QUORUM), "most bytes of metadata log in one fetch"),
    key("controller.quorum.fetch.snapshot.max.bytes", Int, "1048576", Min(1), ReadOnly, NotYet(QUORUM), "most bytes of metadata snapshot in one fetch"),
    key("controller.quorum.fetch.timeout.ms", Int, "2000", Min(0), ReadOnly, NotYet(QUORUM), "without a successful fetch for this long a voter becomes a candidate"),
    key("controller.quorum.request.timeout.ms", Int, "2000", Min(0), ReadOnly, NotYet(QUORUM), "wait for an answer in the quorum"),
    key("controller.quorum.retry.backoff.ms", Int, "20", Min(0), ReadOnly, NotYet(QUORUM), "wait before a failed request of the quorum is sent again"),
    key("controller.quorum.voters", List, "", Voters, ReadOnly, Works, "the voters of the quorum as id@host:port; today the one of this node"),
    key("controller.socket.timeout.ms", Int, "30000", Any, ReadOnly, NotYet(QUORUM), "timeout of connections to the controller"),
    key("early.start.listeners", List, NULL, Items(ANY), ReadOnly, NoMeaning("every listener opens at the same moment"), "listeners that open before the broker is authorized to serve"),
    key("initial.broker.registration.timeout.ms", Int, "60000", Any, ReadOnly, NotYet(QUORUM), "wait for the first registration at the controller before the broker gives up"),
    key("internal.metadata.delete.delay.millis", Long, "60000", Any, ReadOnly, Works, "wait between marking and deleting old metadata segments and snapshots"),
    key("internal.metadata.log.segment.bytes", Int, NULL, Any, ReadOnly, NoMeaning("for Apache Kafka's own tests"), "metadata segment size for tests"),
    key("internal.metadata.max.batch.size.in.bytes", Int, "8388608", Any, ReadOnly, Works, "largest batch of the metadata log"),
    key("metadata.log.dir", Str, NULL, Any, ReadOnly, Works, "where the metadata log lives; the first log directory if absent"),
    key("metadata.log.max.record.bytes.between.snapshots", Long, "20971520", Min(1), ReadOnly, Works, "a snapshot is written after this many bytes of new metadata records"),
    key("metadata.log.max.snapshot.interval.ms", Long, "3600000", Min(0), ReadOnly, Works, "a snapshot is written after this long if there are new metadata records; 0 switches this off"),
    key("metadata.log.segment.bytes", Int, "1073741824", Min(8388608), ReadOnly, Works, "size at which a metadata segment rolls"),
    key("metadata.log.segment.ms", Long, "604800000", Any, ReadOnly, Works, "age at which a metadata segment rolls"),
    key("metadata.max.idle.interval.ms", Int, "500", Min(0), ReadOnly, NoMeaning(SINGLE_VOTER), "how often the active controller writes a no-op record when idle"),
    key("metadata.max.retention.bytes", Long, "104857600", Any, ReadOnly, Works, "old metadata segments and snapshots beyond this size are deleted"),
    key("metadata.max.retention.ms", Long, "604800000", Any, ReadOnly, Works, "old metadata segments and snapshots beyond this age are deleted"),
    key("node.id", Int, REQUIRED, Min(0), ReadOnly, Works, "number of this node, unique in the cluster"),
    key("process.roles", List, REQUIRED, SomeItems(&["broker", "controller"]), ReadOnly, Works, "what this process does: broker, controller or both"),
    key("server.max.startup.time.ms", Long, "9223372036854775807", Min(0), ReadOnly, NoMeaning("a start takes well under a second or fails"), "a start that takes longer fails"),
    key("unstable.api.versions.enable", Bool, "false", Any, ReadOnly, NotYet("unstable API versions"), "serves API versions that are not final"),
    key("unstable.feature.versions.enable", Bool, "false", Any, ReadOnly, NotYet("unstable feature levels"), "allows feature levels that are not final"),
];
