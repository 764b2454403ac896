//! Rows: quotas, metrics and telemetry. Columns: key, type, default, check, when it may change, what it does here, one line for a person.

use super::super::key::Check::{Any, Items, Min};
use super::super::key::Support::{NoMeaning, NotYet, Works};
use super::super::key::Type::{Class, Int, List, Long, Str};
use super::super::key::Update::{ClusterWide, ReadOnly};
use super::super::key::{ANY, Key, NULL, key};
use super::reasons::{JAVA, JMX, QUOTAS};

#[rustfmt::skip]
pub(in crate::config) static KEYS: &[Key] = &[
    key("alter.log.dirs.replication.quota.window.num", Int, "11", Min(1), ReadOnly, NotYet(QUOTAS), "samples kept for the bound on moves between directories"),
    key("alter.log.dirs.replication.quota.window.size.seconds", Int, "1", Min(1), ReadOnly, NotYet(QUOTAS), "length of such a sample"),
    key("client.quota.callback.class", Class, NULL, Any, ReadOnly, NoMeaning(JAVA), "works out the quota of a client"),
    key("controller.quota.window.num", Int, "11", Min(1), ReadOnly, NotYet(QUOTAS), "samples kept for the quota of topic and partition changes"),
    key("controller.quota.window.size.seconds", Int, "1", Min(1), ReadOnly, NotYet(QUOTAS), "length of such a sample"),
    key("kafka.metrics.polling.interval.secs", Int, "10", Min(1), ReadOnly, NoMeaning(JMX), "how often metrics reporters are fed"),
    key("kafka.metrics.reporters", List, "", Items(ANY), ReadOnly, NoMeaning(JMX), "metrics reporters of the old kind"),
    key("metric.reporters", List, "org.apache.kafka.common.metrics.JmxReporter", Items(ANY), ClusterWide, NoMeaning(JMX), "metrics reporters"),
    key("metrics.num.samples", Int, "2", Min(1), ReadOnly, NoMeaning(JMX), "samples kept per metric"),
    key("metrics.recording.level", Str, "INFO", Any, ReadOnly, NoMeaning(JMX), "which metrics are recorded"),
    key("metrics.sample.window.ms", Long, "30000", Min(1), ReadOnly, NoMeaning(JMX), "length of a metric's sample"),
    key("quota.window.num", Int, "11", Min(1), ReadOnly, NotYet(QUOTAS), "samples kept for client quotas"),
    key("quota.window.size.seconds", Int, "1", Min(1), ReadOnly, NotYet(QUOTAS), "length of such a sample"),
    key("replication.quota.window.num", Int, "11", Min(1), ReadOnly, NotYet(QUOTAS), "samples kept for replication quotas"),
    key("replication.quota.window.size.seconds", Int, "1", Min(1), ReadOnly, NotYet(QUOTAS), "length of such a sample"),
    key("telemetry.max.bytes", Int, "1048576", Min(1), ReadOnly, Works, "longest push of a client's metrics, as it comes; decompressed it may have ten times as many bytes"),
];
