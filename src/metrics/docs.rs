//! The table of metrics as a document: `docs/metrics.md`, and `millrace docs metrics`.

use std::fmt::Write;

use super::clients::CLIENT_ROWS;
use super::instrument::Kind;
use super::kafka::{DERIVED, LEFT_OUT};
use super::render::{GROUP_ROWS, GROUP_STATE_ROWS, IO_ROWS, REQUEST_ROWS, REQUEST_TIME_ROWS, STAGE_ROWS};
use super::rest::REST_ROWS;
use super::table::{NodeMetrics, PartitionMetrics, Row, Rows, ShardCounters, TopicMetrics};

const HEAD: &str = "# Metrics

Written from the table in `src/metrics/table.rs` by `millrace docs metrics`; do not edit.

`GET /metrics` on `millrace.http.listener` answers in the OpenMetrics text form. Names are those that the usual rules of the JMX
exporter give Apache Kafka's metrics; `millrace_*` are ours. Counters show here as they are scraped, with `_total`. Histograms have
`_bucket`, `_sum` and `_count`, in milliseconds. At most 2000 topics, 4000 partitions and
4000 partitions of groups per shard have series of their own; those of groups are looked at every five seconds.

Times of requests are there twice: as the histogram `millrace_request_time_ms`, which adds up over brokers and time, and as the
quantiles that Kafka's dashboards ask for. Those are of the last minute (as far back as the last scrape, if that was earlier), are
worked out from the histogram's buckets, so that they may be off by a quarter, and are `NaN` where nothing happened.

Some dashboards are made for Confluent's rules of the JMX exporter, which spell some names in another way
(`..._bytesinpersec` for `..._bytesin_total`): the second job in `deploy/prometheus/prometheus.yml` renames while it scrapes.
";

const OF_CLIENTS: &str = "
Clients push their own metrics as subscriptions ask them to (KIP-714; `kafka-client-metrics --alter --name all --metrics '*'`), and most
clients do so by default. A metric `org.apache.kafka.producer.request.latency.avg` is shown as
`kafka_client_producer_request_latency_avg`, with the labels `client_id`, `client_instance_id` and those that the client gave it; a sum
has `_total`. A client is forgotten when it has been silent for three of its intervals. At most 2000 clients, 500 series of each
and 50000 of all are shown.
";

const LEFT_OUT_HEAD: &str = "
## Left out

What well-known dashboards and alerts for Kafka ask for and is not there: nothing is shown that is not known to be true.

| Name | Why |
|---|---|
";

/// The whole document.
pub fn markdown() -> String {
    let mut text = HEAD.to_owned();
    section(&mut text, "Topics", "`topic`; and once without label, over all topics", TopicMetrics::ROWS);
    section(&mut text, "Requests", "`request`; errors also `error`", &REQUEST_ROWS);
    section(&mut text, "Times of requests, as Kafka shows them", "`request`, `quantile`", &REQUEST_TIME_ROWS);
    section(&mut text, "Partitions", "`topic`, `partition`", PartitionMetrics::ROWS);
    section(&mut text, "States of groups", "`type`, `state`", &GROUP_STATE_ROWS);
    section(&mut text, "Groups", "`group`, `topic`, `partition`", &GROUP_ROWS);
    section(&mut text, "REST", "`method`, `path`; requests also `status`", &REST_ROWS);
    section(&mut text, "Node", "none", NodeMetrics::ROWS);
    section(&mut text, "Input and output", "`backend`", &IO_ROWS);
    section(&mut text, "Stages", "`shard`; the time also `stage`", &STAGE_ROWS);
    section(&mut text, "Shards", "`shard`; where the kind says so also `reason`", ShardCounters::ROWS);
    let derived: Vec<Row> = DERIVED.iter().map(|derived| derived.row).collect();
    section(&mut text, "Worked out at a scrape", "as Kafka has them; `networkProcessor` is the shard", &derived);
    section(&mut text, "Clients", "none but `software`", &CLIENT_ROWS);
    text.push_str(OF_CLIENTS);
    text.push_str(LEFT_OUT_HEAD);
    for (name, reason) in LEFT_OUT {
        let _ = writeln!(text, "| `{name}*` | {reason} |");
    }
    text
}

fn section(text: &mut String, title: &str, labels: &str, rows: &[Row]) {
    let _ = write!(text, "\n## {title}\n\nLabels: {labels}.\n\n| Name | Kind | |\n|---|---|---|\n");
    for row in rows {
        let (suffix, kind) = match row.kind {
            Kind::Counter => ("_total", "counter"),
            Kind::Gauge => ("", "gauge"),
            Kind::Histogram => ("", "histogram"),
            Kind::Reasons => ("_total", "counter by reason"),
            Kind::Summary => ("", "summary"),
        };
        let _ = writeln!(text, "| `{}{suffix}` | {kind} | {} |", row.name, row.help);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
        if std::env::var_os("WRITE_DOCS").is_some() {
            std::fs::write(path, markdown()).expect("docs/ is writable");
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == markdown(),
            "docs/metrics.md is old: run WRITE_DOCS=1 cargo test the_document_is_up_to_date"
        );
    }
}
