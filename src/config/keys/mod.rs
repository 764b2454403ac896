//! THE table of configuration keys: every broker, topic, group and client metrics key of Apache Kafka 4.3.1, and ours.
//!
//! One file per theme, one row per key. A new key is a new row; if the broker uses it, also a field in `broker.rs` or `topic.rs`.

use super::key::{Key, Scope};

mod cleaner;
mod client_metrics;
mod group;
mod groups;
pub(super) mod internal;
mod log;
mod millrace;
mod network;
mod oauth;
mod quorum;
mod quotas;
mod remote;
mod replication;
mod sasl;
mod share;
mod ssl;
mod streams;
mod topic;
mod topics;
mod transactions;

/// The rows of one theme.
pub struct Table {
    /// Heading in the documentation.
    pub title: &'static str,
    /// The rows, by name.
    pub rows: &'static [Key],
}

/// The tables of a scope, in the order of the documentation.
pub(super) fn tables(scope: Scope) -> &'static [Table] {
    static BROKER: &[Table] = &[
        Table { title: "Millrace", rows: millrace::BROKER_KEYS },
        Table { title: "Node, roles, controller quorum", rows: quorum::KEYS },
        Table { title: "Listeners, connections, requests", rows: network::KEYS },
        Table { title: "Topics", rows: topics::KEYS },
        Table { title: "Log", rows: log::KEYS },
        Table { title: "Compaction", rows: cleaner::KEYS },
        Table { title: "Replication", rows: replication::KEYS },
        Table { title: "Consumer groups and offsets", rows: groups::KEYS },
        Table { title: "Group coordinator and streams groups", rows: streams::KEYS },
        Table { title: "Share groups", rows: share::KEYS },
        Table { title: "Transactions", rows: transactions::KEYS },
        Table { title: "Quotas, metrics, telemetry", rows: quotas::KEYS },
        Table { title: "TLS", rows: ssl::KEYS },
        Table { title: "SASL, tokens, authorization", rows: sasl::KEYS },
        Table { title: "OAuth bearer tokens", rows: oauth::KEYS },
        Table { title: "Tiered storage", rows: remote::KEYS },
    ];
    static TOPIC: &[Table] =
        &[Table { title: "Topic", rows: topic::KEYS }, Table { title: "Topic, Millrace", rows: millrace::TOPIC_KEYS }];
    static GROUP: &[Table] = &[Table { title: "Group", rows: group::KEYS }];
    static CLIENT_METRICS: &[Table] = &[Table { title: "Client metrics subscription", rows: client_metrics::KEYS }];
    match scope {
        Scope::Broker => BROKER,
        Scope::Topic => TOPIC,
        Scope::Group => GROUP,
        Scope::ClientMetrics => CLIENT_METRICS,
    }
}

/// Why a key has no meaning here, or what it waits for; shared by many rows.
mod reasons {
    pub(super) const JAVA: &str = "names a Java class; there is no JVM here";
    pub(super) const JAVA_SECURITY: &str = "tunes Java's own security providers";
    pub(super) const THREADS: &str = "shards take the place of thread pools";
    pub(super) const PURGATORY: &str = "waiting requests are released at once, nothing has to be purged";
    pub(super) const COMPACTION_BUFFERS: &str = "a compaction reads and writes batch by batch";
    pub(super) const JMX: &str = "metrics are served over HTTP, not JMX";
    pub(super) const SINGLE_VOTER: &str = "one voter needs no elections or fetches";
    pub(super) const KERBEROS: &str = "SASL/GSSAPI is not offered";
    pub(super) const TIERED: &str = "tiered storage";
    pub(super) const REPLICATION: &str = "replication between brokers";
    pub(super) const QUORUM: &str = "a controller quorum of several nodes";
    pub(super) const WRITE_BUFFERS: &str = "no write buffer is kept";
    pub(super) const SHARE: &str = "share groups";
    pub(super) const STREAMS: &str = "streams groups";
    pub(super) const TWO_PHASE: &str = "the InitProducerId version that would ask for it is not released";
    pub(super) const TLS: &str = "TLS listeners";
    pub(super) const SASL: &str = "SASL listeners";
    pub(super) const OAUTH: &str = "SASL/OAUTHBEARER";
    pub(super) const ACLS: &str = "authorization";
    pub(super) const TOKENS: &str = "delegation tokens";
    pub(super) const QUOTAS: &str = "quotas";
}

#[cfg(test)]
mod tests {
    use super::super::key::{Check, Scope, Support, Type, all};
    use super::super::value::Value;

    const SCOPES: [Scope; 4] = [Scope::Broker, Scope::Topic, Scope::Group, Scope::ClientMetrics];

    #[test]
    fn every_row_is_whole() {
        for key in SCOPES.into_iter().flat_map(all) {
            if let Some(value) = key.default_value() {
                assert!(key.name == "node.id" || key.parse(&value.to_string()) == Ok(value), "{}", key.name);
            }
            let is_number = matches!(key.kind, Type::Int | Type::Short | Type::Long);
            assert!(is_number || !matches!(key.check, Check::Min(_) | Check::Between(..)), "{}", key.name);
            assert!(!key.doc.is_empty() && !key.doc.ends_with('.') && !key.doc.contains('|'), "{}", key.name);
            if let Support::NoMeaning(why) | Support::NotYet(why) = key.support {
                assert!(!why.is_empty(), "{}", key.name);
            }
        }
    }

    #[test]
    fn every_key_of_apache_kafka_is_there_once() {
        let count = |scope| all(scope).filter(|key| !key.is_internal()).count();
        assert_eq!(SCOPES.map(count), [340 + 20, 33 + 1, 17, 3]);
        for scope in SCOPES {
            let mut names: Vec<&str> = all(scope).map(|key| key.name).collect();
            names.sort_unstable();
            assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{scope:?}");
        }
    }

    #[test]
    fn internal_keys_are_in_the_table() {
        let internal = SCOPES.into_iter().flat_map(all).filter(|key| key.is_internal()).count();
        assert_eq!(internal, super::internal::INTERNAL.len());
        assert!(super::internal::INTERNAL.is_sorted());
    }

    #[test]
    fn values_are_read_as_kafka_reads_them() {
        let read = |name: &str, text: &str| match super::super::find(Scope::Topic, name).expect("a key").parse(text) {
            Ok(value) => value.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(read("retention.ms", " 100 "), "100");
        assert_eq!(read("preallocate", "TRUE"), "true");
        assert_eq!(read("cleanup.policy", "compact , delete"), "compact,delete");
        assert_eq!(read("min.cleanable.dirty.ratio", "0.25d"), "0.25");
        assert_eq!(read("min.cleanable.dirty.ratio", "1e-4"), "1.0E-4");
        assert_eq!(Value::Double(12_345_678.0).to_string(), "1.2345678E7");
        let refused = [
            ("segment.bytes", "1", "Invalid value 1 for configuration segment.bytes: Value must be at least 1048576"),
            ("retention.ms", "", "Invalid value  for configuration retention.ms: Not a number of type LONG"),
            (
                "preallocate",
                "yes",
                "Invalid value yes for configuration preallocate: Expected value to be either true or false",
            ),
            (
                "compression.type",
                "gzipp",
                "Invalid value gzipp for configuration compression.type: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer",
            ),
            (
                "compression.gzip.level",
                "0",
                "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1",
            ),
            (
                "compression.lz4.level",
                "18",
                "Invalid value 18 for configuration compression.lz4.level: Value must be no more than 17",
            ),
            ("cleanup.policy", "compact,compact", "Configuration 'cleanup.policy' values must not be duplicated."),
            ("cleanup.policy", "compact,", "Configuration 'cleanup.policy' values must not be empty."),
            (
                "cleanup.policy",
                "Compact",
                "Invalid value Compact for configuration cleanup.policy: String must be one of: compact, delete",
            ),
            (
                "min.cleanable.dirty.ratio",
                "1.5",
                "Invalid value 1.5 for configuration min.cleanable.dirty.ratio: Value must be no more than 1",
            ),
            (
                "leader.replication.throttled.replicas",
                "0:1,x",
                "Invalid value [0:1, x] for configuration leader.replication.throttled.replicas: leader.replication.throttled.replicas must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...",
            ),
        ];
        for (name, text, expected) in refused {
            assert_eq!(read(name, text), expected);
        }
    }
}
