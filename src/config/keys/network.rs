//! Rows: listeners, sockets, connections, requests. Columns: key, type, default, check, when it may change, what it does here, one line for a person.

use super::super::key::Check::{Any, Min, OneOf, SomeItems};
use super::super::key::Support::{NoMeaning, NotYet, Works};
use super::super::key::Type::{Class, Int, List, Long, Str};
use super::super::key::Update::{ClusterWide, PerBroker, ReadOnly};
use super::super::key::{ANY, Key, NULL, key};
use super::reasons::{JAVA, PURGATORY, REPLICATION, SASL, THREADS};

#[rustfmt::skip]
pub(in crate::config) static KEYS: &[Key] = &[
    key("advertised.listeners", List, NULL, SomeItems(ANY), ReadOnly, Works, "addresses that clients are told; the listeners if absent"),
    key("background.threads", Int, "10", Min(1), ClusterWide, NoMeaning(THREADS), "threads for background work"),
    key("connection.failed.authentication.delay.ms", Int, "100", Min(0), ReadOnly, NotYet(SASL), "delay of the answer to a failed authentication"),
    key("connections.max.idle.ms", Long, "600000", Any, ReadOnly, Works, "a connection without requests for this long is closed"),
    key("connections.max.reauth.ms", Long, "0", Any, ReadOnly, NotYet(SASL), "longest session before a client must authenticate again"),
    key("fetch.max.bytes", Int, "57671680", Min(1024), ReadOnly, Works, "most bytes in one fetch answer"),
    key("fetch.purgatory.purge.interval.requests", Int, "1000", Any, ReadOnly, NoMeaning(PURGATORY), "finished waiting fetches are purged after this many"),
    key("inter.broker.listener.name", Str, NULL, Any, ReadOnly, Works, "listener that brokers use among themselves"),
    key("listener.security.protocol.map", Str, "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT", Any, PerBroker, Works, "security protocol of each listener name, as NAME:PROTOCOL; only PLAINTEXT is offered yet"),
    key("listeners", List, "PLAINTEXT://:9092", SomeItems(ANY), PerBroker, Works, "addresses to bind, as NAME://host:port; an empty host binds every address"),
    key("max.connection.creation.rate", Int, "2147483647", Min(0), ClusterWide, Works, "most new connections per second"),
    key("max.connections", Int, "2147483647", Min(0), ClusterWide, Works, "most connections at a time"),
    key("max.connections.per.ip", Int, "2147483647", Min(0), ClusterWide, Works, "most connections of one address at a time"),
    key("max.connections.per.ip.overrides", Str, "", Any, ClusterWide, Works, "the same for single addresses or host names, as host:count"),
    key("max.incremental.fetch.session.cache.slots", Int, "1000", Min(0), ReadOnly, Works, "most fetch sessions that are kept"),
    key("max.request.partition.size.limit", Int, "2000", Min(1), ReadOnly, Works, "most partitions in one DescribeTopicPartitions answer"),
    key("num.io.threads", Int, "8", Min(1), ClusterWide, NoMeaning(THREADS), "threads that process requests"),
    key("num.network.threads", Int, "3", Min(1), ClusterWide, NoMeaning(THREADS), "threads that read and write sockets"),
    key("principal.builder.class", Class, "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder", Any, PerBroker, NoMeaning(JAVA), "turns a connection's identity into a principal"),
    key("queued.max.request.bytes", Long, "-1", Any, ReadOnly, NoMeaning("a connection is read no further than its own requests in work"), "bytes of waiting requests at which reading stops; -1 is no bound"),
    key("queued.max.requests", Int, "500", Min(1), ReadOnly, Works, "waiting requests at which reading stops"),
    key("request.timeout.ms", Int, "30000", Any, ReadOnly, NotYet(REPLICATION), "wait for an answer of another broker"),
    key("security.inter.broker.protocol", Str, "PLAINTEXT", OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]), ReadOnly, Works, "protocol among brokers when inter.broker.listener.name is absent"),
    key("socket.connection.setup.timeout.max.ms", Long, "30000", Any, ReadOnly, NotYet(REPLICATION), "longest wait for a connection to another broker"),
    key("socket.connection.setup.timeout.ms", Long, "10000", Any, ReadOnly, NotYet(REPLICATION), "first wait for a connection to another broker"),
    key("socket.listen.backlog.size", Int, "50", Min(1), ReadOnly, Works, "connections that may wait to be accepted"),
    key("socket.receive.buffer.bytes", Int, "102400", Any, ReadOnly, Works, "receive buffer of a socket; -1 and the default leave it to the system"),
    key("socket.request.max.bytes", Int, "104857600", Min(1), ReadOnly, Works, "longest request frame"),
    key("socket.send.buffer.bytes", Int, "102400", Any, ReadOnly, Works, "send buffer of a socket; -1 and the default leave it to the system"),
];
