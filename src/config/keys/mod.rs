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
    pub(super) const JMX: &str = "metrics are served over HTTP, not JMX";
    pub(super) const SINGLE_VOTER: &str = "one voter needs no elections or fetches";
    pub(super) const KERBEROS: &str = "SASL/GSSAPI is not offered";
    pub(super) const TIERED: &str = "tiered storage";
    pub(super) const REPLICATION: &str = "replication between brokers";
    pub(super) const QUORUM: &str = "a controller quorum of several nodes";
    pub(super) const GROUPS: &str = "the group coordinator";
    pub(super) const SHARE: &str = "share groups";
    pub(super) const STREAMS: &str = "streams groups";
    pub(super) const TRANSACTIONS: &str = "the transaction coordinator";
    pub(super) const RETENTION: &str = "retention";
    pub(super) const COMPACTION: &str = "compaction";
    pub(super) const TLS: &str = "TLS listeners";
    pub(super) const SASL: &str = "SASL listeners";
    pub(super) const OAUTH: &str = "SASL/OAUTHBEARER";
    pub(super) const ACLS: &str = "authorization";
    pub(super) const TOKENS: &str = "delegation tokens";
    pub(super) const QUOTAS: &str = "quotas";
    pub(super) const TELEMETRY: &str = "client telemetry";
}
