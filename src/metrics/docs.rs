//! The table of metrics as a document: `docs/metrics.md`, and `millrace docs metrics`.

use std::fmt::Write;

use super::instrument::Kind;
use super::render::{GROUP_ROWS, GROUP_STATE_ROWS, IO_ROWS, REQUEST_ROWS, STAGE_ROWS};
use super::table::{NodeMetrics, PartitionMetrics, Row, Rows, ShardCounters, TopicMetrics};

const HEAD: &str = "# Metrics

Written from the table in `src/metrics/table.rs` by `millrace docs metrics`; do not edit.

`GET /metrics` on `millrace.http.listener` answers in the OpenMetrics text form. Names are those that the usual rules of the JMX
exporter give Apache Kafka's metrics; `millrace_*` are ours. Counters show here as they are scraped, with `_total`. Histograms have
`_bucket`, `_sum` and `_count`, in milliseconds. At most 2000 topics, 4000 partitions and
4000 partitions of groups per shard have series of their own; those of groups are looked at every five seconds.
";

/// The whole document.
pub fn markdown() -> String {
    let mut text = HEAD.to_owned();
    section(&mut text, "Topics", "`topic`; and once without label, over all topics", TopicMetrics::ROWS);
    section(&mut text, "Requests", "`request`; errors also `error`", &REQUEST_ROWS);
    section(&mut text, "Partitions", "`topic`, `partition`", PartitionMetrics::ROWS);
    section(&mut text, "States of groups", "`type`, `state`", &GROUP_STATE_ROWS);
    section(&mut text, "Groups", "`group`, `topic`, `partition`", &GROUP_ROWS);
    section(&mut text, "Node", "none", NodeMetrics::ROWS);
    section(&mut text, "Input and output", "`backend`", &IO_ROWS);
    section(&mut text, "Stages", "`shard`; the time also `stage`", &STAGE_ROWS);
    section(&mut text, "Shards", "`shard`; where the kind says so also `reason`", ShardCounters::ROWS);
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
