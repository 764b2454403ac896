//! Metrics as text in the OpenMetrics form that Prometheus reads, by the encoder of `prometheus-client`, and by `page.rs` what that
//! does not know. The encoder escapes nothing: topic names are letters, digits, `.`, `_` and `-`, and what may be anything (a
//! group's id) is escaped here.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::instrument::{HistogramSum, Kind, View};
use super::kafka::Scene;
use super::page::{Page, escaped};
use super::process::ProcessLook;
use super::requests::ApiSum;
use super::rest::REST_ROWS;
use super::series::{GroupLag, GroupStates, Metrics};
use super::table::{NodeMetrics, PartitionMetrics, Row, Rows, ShardCounters, TopicMetrics};
use super::window::Look;

/// Media type of [`Metrics::render`].
pub const OPENMETRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Rows of the metrics by API, whose values are in `requests.rs`.
pub(super) const REQUEST_ROWS: [Row; 5] = [
    Row { name: "kafka_network_requestmetrics_requests", kind: Kind::Counter, help: "requests answered" },
    Row { name: "kafka_network_requestmetrics_requestbytes", kind: Kind::Counter, help: "bytes of request frames" },
    Row { name: "kafka_network_requestmetrics_responsebytes", kind: Kind::Counter, help: "bytes of response frames" },
    Row { name: "millrace_request_time_ms", kind: Kind::Histogram, help: "time from the last byte in to the answer" },
    Row {
        name: "kafka_network_requestmetrics_errors",
        kind: Kind::Counter,
        help: "error codes in answers, by the label error; NONE is that of what went well",
    },
];

/// Rows of the times of requests as Apache Kafka shows them.
pub(super) const REQUEST_TIME_ROWS: [Row; 3] = [
    Row {
        name: "kafka_network_requestmetrics_totaltimems",
        kind: Kind::Summary,
        help: "time from the last byte in to the answer",
    },
    Row {
        name: "kafka_network_requestmetrics_localtimems",
        kind: Kind::Summary,
        help: "the part of it until the request had to wait for something",
    },
    Row {
        name: "kafka_network_requestmetrics_remotetimems",
        kind: Kind::Summary,
        help: "the rest: it waits for the device, for another shard, for records to come",
    },
];

/// The quantiles of [`REQUEST_TIME_ROWS`]; Apache Kafka's.
const QUANTILES: [(&str, f64); 6] =
    [("0.50", 0.5), ("0.75", 0.75), ("0.95", 0.95), ("0.98", 0.98), ("0.99", 0.99), ("0.999", 0.999)];

/// Rows of the lags of groups, whose values come from the coordinators.
pub(super) const GROUP_ROWS: [Row; 2] = [
    Row {
        name: "millrace_group_lag_records",
        kind: Kind::Gauge,
        help: "records from what the group has committed to the end of the partition",
    },
    Row {
        name: "millrace_group_lag_seconds",
        kind: Kind::Gauge,
        help: "age of the first record that the group has not consumed, by the timestamp of its batch; 0 if it has consumed all",
    },
];

/// Rows of the ledgers of the shards, whose values are the runtime's.
pub(super) const STAGE_ROWS: [Row; 2] = [
    Row {
        name: "millrace_stage_seconds",
        kind: Kind::Counter,
        help: "time that the shard's thread has spent in this stage: event_loop (events, timers, coordinators, all else), receive, decode, serve (requests other than Produce and Fetch), validate, append, wal, disk (writes of segments), read (Fetch), respond, send. Waiting for something to do is in none of them",
    },
    Row {
        name: "millrace_shard_system_calls",
        kind: Kind::Counter,
        help: "system calls on sockets, events and the disk ring",
    },
];

/// The row of what the shards run on: its label says it.
pub(super) const IO_ROWS: [Row; 1] = [Row {
    name: "millrace_io_backend_info",
    kind: Kind::Gauge,
    help: "1 for what tasks and disks are served with: uring, or epoll where millrace.io or the machine has it so",
}];

/// The row of the groups by state.
pub(super) const GROUP_STATE_ROWS: [Row; 1] = [Row {
    name: "millrace_groups",
    kind: Kind::Gauge,
    help: "groups of this type in this state, each where it is coordinated",
}];

/// Types and states of groups, all of which are shown, those of no group too.
const GROUP_STATES: [(&str, &str); 8] = [
    ("classic", "Empty"),
    ("classic", "PreparingRebalance"),
    ("classic", "CompletingRebalance"),
    ("classic", "Stable"),
    ("consumer", "Empty"),
    ("consumer", "Assigning"),
    ("consumer", "Reconciling"),
    ("consumer", "Stable"),
];

const NO_EXEMPLAR_OF_SECONDS: Option<&prometheus_client::metrics::exemplar::Exemplar<[(&str, &str); 0], f64>> = None;

type Labels<'a> = &'a [(&'static str, String)];
/// Picks a counter of an API.
type CounterOf = fn(&ApiSum) -> u64;
/// Picks a time of an API.
type TimeOf = fn(&ApiSum) -> &HistogramSum;

impl Metrics {
    /// The whole exposition.
    pub fn render(self: &Arc<Self>) -> String {
        let counters = || self.shards().iter().map(|shard| &shard.counters);
        self.node.offline_replica_count.set(counters().map(|counters| counters.partitions_offline.get()).sum());
        self.node.producer_id_count.set(counters().map(|counters| counters.producer_ids.get()).sum());
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Scrape(self.clone())));
        let mut page = Page::default();
        text::encode_registry(&mut page.0, &registry).expect("a String takes every text");
        write_partitions(&mut page, self);
        self.write_lately(&mut page);
        self.clients.write(&mut page);
        text::encode_eof(&mut page.0).expect("a String takes every text");
        page.0
    }

    /// What is told of the last minute, and what is worked out from other metrics.
    fn write_lately(&self, page: &mut Page) {
        let now = self.look();
        let before = self.window().before(&now);
        let seconds = now.at.saturating_duration_since(before.at).as_secs_f64();
        let (slept, worked) = (now.slept - before.slept, now.worked - before.worked);
        let scene = Scene {
            metrics: self,
            process: ProcessLook::now(),
            groups: sum_groups(self),
            idle: if slept + worked > 0.0 { (slept / (slept + worked)).clamp(0.0, 1.0) } else { 0.0 },
            metadata_rate: if seconds > 0.0 { (now.metadata_end - before.metadata_end) as f64 / seconds } else { 0.0 },
        };
        scene.write(page);
        let ages: [(&Row, TimeOf); 3] = [
            (&REQUEST_TIME_ROWS[0], |sum| &sum.total_time),
            (&REQUEST_TIME_ROWS[1], |sum| &sum.local_time),
            (&REQUEST_TIME_ROWS[2], |sum| &sum.remote_time),
        ];
        let none = ApiSum::default();
        for (row, time) in ages {
            page.family(row.name, row.kind, row.help);
            for (request, sum) in &now.requests {
                let lately = time(sum).since(time(before.requests.get(request).unwrap_or(&none)));
                for (text, share) in QUANTILES {
                    let labels = format!("request=\"{request}\",quantile=\"{text}\"");
                    page.line(row.name, "", &labels, lately.quantile_ms(share));
                }
                let labels = format!("request=\"{request}\"");
                page.line(row.name, "_sum", &labels, time(sum).sum_ms());
                page.line(row.name, "_count", &labels, time(sum).count());
            }
        }
    }

    fn look(&self) -> Look {
        let mut now = Look { requests: sum_requests(self), ..Look::zero(Instant::now()) };
        for shard in self.shards() {
            let (slept, worked) = shard.slept_and_worked();
            now.slept += slept;
            now.worked += worked;
        }
        now.metadata_end = self.node.quorum_log_end_offset.get();
        now
    }
}

fn write_partitions(page: &mut Page, metrics: &Metrics) {
    let mut partitions: Vec<_> = metrics.shards().iter().flat_map(|shard| shard.partitions()).collect();
    partitions.sort_by(|(one, _), (other, _)| one.cmp(other));
    let labels: Vec<_> = partitions
        .iter()
        .map(|((topic, partition), _)| format!("topic=\"{topic}\",partition=\"{partition}\""))
        .collect();
    for (index, row) in PartitionMetrics::ROWS.iter().enumerate() {
        page.family(row.name, row.kind, row.help);
        for (labels, (_, of_partition)) in labels.iter().zip(&partitions) {
            if let View::Gauge(gauge) = of_partition.view(index) {
                page.line(row.name, "", labels, gauge.get());
            }
        }
    }
}

fn sum_groups(metrics: &Metrics) -> GroupStates {
    let mut sum = GroupStates::new();
    for (group, count) in metrics.shards().iter().flat_map(|shard| shard.group_states()) {
        *sum.entry(group).or_default() += count;
    }
    sum
}

/// The requests of all shards, by Kafka's names: fetches of consumers and of followers apart, and together.
fn sum_requests(metrics: &Metrics) -> BTreeMap<String, ApiSum> {
    let always = ["Produce", "Fetch", "FetchConsumer", "FetchFollower"];
    let mut sums: BTreeMap<_, _> = always.map(|name| (name.to_owned(), ApiSum::default())).into();
    for (key, api) in metrics.shards().iter().flat_map(|shard| shard.requests.seen()) {
        let mut add = |name: &str| sums.entry(name.to_owned()).or_default().add(api);
        match key {
            1 => ["Fetch", "FetchConsumer"].map(add),
            super::FETCH_FROM_FOLLOWER => ["Fetch", "FetchFollower"].map(add),
            key => {
                add(&(metrics.names.api)(key).map_or_else(|| key.to_string(), str::to_owned));
                continue;
            }
        };
    }
    sums
}

#[derive(Debug)]
struct Scrape(Arc<Metrics>);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let metrics = &self.0;
        for (index, row) in NodeMetrics::ROWS.iter().enumerate() {
            let mut family = descriptor(&mut encoder, row)?;
            encode_view(&mut family, &metrics.node.view(index), &[])?;
        }
        encode_rest(&mut encoder, metrics)?;
        encode_topics(&mut encoder, metrics)?;
        encode_requests(&mut encoder, metrics)?;
        for (index, row) in ShardCounters::ROWS.iter().enumerate() {
            let mut family = descriptor(&mut encoder, row)?;
            for (shard, of_shard) in metrics.shards().iter().enumerate() {
                let labels = [("shard", shard.to_string())];
                encode_view(&mut family, &of_shard.counters.view(index), &labels)?;
            }
        }
        encode_io(&mut encoder, metrics)?;
        encode_stages(&mut encoder, metrics)?;
        encode_group_states(&mut encoder, metrics)?;
        encode_group_lags(&mut encoder, metrics)
    }
}

fn encode_io(encoder: &mut DescriptorEncoder, metrics: &Metrics) -> fmt::Result {
    let [row] = &IO_ROWS;
    let mut family = descriptor(encoder, row)?;
    if let Some(backend) = metrics.io_backend() {
        let labels: Labels<'_> = &[("backend", backend.to_owned())];
        family.encode_family(&labels)?.encode_gauge(&1i64)?;
    }
    Ok(())
}

fn encode_rest(encoder: &mut DescriptorEncoder, metrics: &Metrics) -> fmt::Result {
    let sums = metrics.rest.sums();
    let [requests, time] = &REST_ROWS;
    let mut family = descriptor(encoder, requests)?;
    for sum in &sums {
        for (status, count) in &sum.by_status {
            let labels =
                [("method", sum.method.to_owned()), ("path", sum.path.clone()), ("status", status.to_string())];
            encode_counter(&mut family, *count, &labels)?;
        }
    }
    let mut family = descriptor(encoder, time)?;
    for sum in &sums {
        encode_histogram(&mut family, &sum.time, &[("method", sum.method.to_owned()), ("path", sum.path.clone())])?;
    }
    Ok(())
}

fn encode_stages(encoder: &mut DescriptorEncoder, metrics: &Metrics) -> fmt::Result {
    let [stages, calls] = &STAGE_ROWS;
    let by_shard: Vec<_> = metrics.shards().iter().map(|shard| shard.stage_seconds()).collect();
    let mut family = descriptor(encoder, stages)?;
    for (shard, (seconds, _)) in by_shard.iter().enumerate() {
        for (stage, seconds) in seconds {
            let labels: Labels<'_> = &[("shard", shard.to_string()), ("stage", (*stage).to_owned())];
            family.encode_family(&labels)?.encode_counter(seconds, NO_EXEMPLAR_OF_SECONDS)?;
        }
    }
    let mut family = descriptor(encoder, calls)?;
    for (shard, (_, calls)) in by_shard.iter().enumerate() {
        encode_counter(&mut family, *calls, &[("shard", shard.to_string())])?;
    }
    Ok(())
}

fn encode_topics(encoder: &mut DescriptorEncoder, metrics: &Metrics) -> fmt::Result {
    let mut sums = BTreeMap::new();
    for shard in metrics.shards() {
        shard.add_topics(&mut sums);
    }
    for (index, row) in TopicMetrics::ROWS.iter().enumerate() {
        let mut family = descriptor(encoder, row)?;
        for (topic, sum) in &sums {
            let label = [("topic", topic.clone())];
            let labels: Labels<'_> = if topic.is_empty() { &[] } else { &label };
            encode_counter(&mut family, sum[index], labels)?;
        }
    }
    Ok(())
}

fn encode_group_states(encoder: &mut DescriptorEncoder, metrics: &Metrics) -> fmt::Result {
    let groups = sum_groups(metrics);
    let [row] = &GROUP_STATE_ROWS;
    let mut family = descriptor(encoder, row)?;
    for (kind, state) in GROUP_STATES {
        let count = groups.get(&(kind, state)).copied().unwrap_or(0);
        let labels: Labels<'_> = &[("type", kind.to_owned()), ("state", state.to_owned())];
        family.encode_family(&labels)?.encode_gauge(&count)?;
    }
    Ok(())
}

fn encode_group_lags(encoder: &mut DescriptorEncoder, metrics: &Metrics) -> fmt::Result {
    let mut lags: Vec<_> = metrics.shards().iter().flat_map(|shard| shard.group_lags()).collect();
    lags.sort();
    let labels = |lag: &GroupLag| {
        let partition = lag.partition.to_string();
        [("group", escaped(&lag.group)), ("topic", lag.topic.clone()), ("partition", partition)]
    };
    let [records, seconds] = &GROUP_ROWS;
    let mut family = descriptor(encoder, records)?;
    for lag in &lags {
        let labels: Labels<'_> = &labels(lag);
        family.encode_family(&labels)?.encode_gauge(&lag.records)?;
    }
    let mut family = descriptor(encoder, seconds)?;
    for (lag, age_ms) in lags.iter().filter_map(|lag| lag.age_ms.map(|age_ms| (lag, age_ms))) {
        let labels: Labels<'_> = &labels(lag);
        family.encode_family(&labels)?.encode_gauge(&(age_ms as f64 / 1000.0))?;
    }
    Ok(())
}

fn encode_requests(encoder: &mut DescriptorEncoder, metrics: &Metrics) -> fmt::Result {
    let sums = sum_requests(metrics);
    let request = |name: &str| ("request", name.to_owned());
    let [requests, request_bytes, response_bytes, total_time, errors] = &REQUEST_ROWS;
    let counters: [(&Row, CounterOf); 3] = [
        (requests, |sum| sum.requests),
        (request_bytes, |sum| sum.request_bytes),
        (response_bytes, |sum| sum.response_bytes),
    ];
    for (row, value) in counters {
        let mut family = descriptor(encoder, row)?;
        for (name, sum) in &sums {
            encode_counter(&mut family, value(sum), &[request(name)])?;
        }
    }
    let mut family = descriptor(encoder, total_time)?;
    for (name, sum) in &sums {
        encode_histogram(&mut family, &sum.total_time, &[request(name)])?;
    }
    let mut family = descriptor(encoder, errors)?;
    for (name, sum) in &sums {
        for (index, count) in sum.errors.iter().enumerate().filter(|(_, count)| **count > 0) {
            let code = index as i16 - 1;
            let error = (metrics.names.error)(code).map_or_else(|| code.to_string(), str::to_owned);
            encode_counter(&mut family, *count, &[request(name), ("error", error)])?;
        }
    }
    Ok(())
}

fn descriptor<'a>(encoder: &'a mut DescriptorEncoder, row: &'a Row) -> Result<MetricEncoder<'a>, fmt::Error> {
    let kind = match row.kind {
        Kind::Counter | Kind::Reasons => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Histogram => MetricType::Histogram,
        // It has no summaries; `Page` writes them.
        Kind::Summary => MetricType::Unknown,
    };
    encoder.encode_descriptor(row.name, row.help, None, kind)
}

fn encode_view(family: &mut MetricEncoder, view: &View<'_>, labels: Labels<'_>) -> fmt::Result {
    match view {
        View::Counter(counter) => encode_counter(family, counter.get(), labels),
        View::Gauge(gauge) if labels.is_empty() => family.encode_gauge(&gauge.get()),
        View::Gauge(gauge) => family.encode_family(&labels)?.encode_gauge(&gauge.get()),
        View::Histogram(histogram) => {
            let mut sum = HistogramSum::default();
            histogram.add_to(&mut sum);
            encode_histogram(family, &sum, labels)
        }
        View::Reasons(counters, texts) => {
            for (counter, text) in counters.iter().zip(*texts) {
                let mut labels = labels.to_vec();
                labels.push(("reason", (*text).to_owned()));
                encode_counter(family, counter.get(), &labels)?;
            }
            Ok(())
        }
    }
}

fn encode_counter(family: &mut MetricEncoder, value: u64, labels: Labels<'_>) -> fmt::Result {
    const NO_EXEMPLAR: Option<&prometheus_client::metrics::exemplar::Exemplar<[(&str, &str); 0], f64>> = None;
    if labels.is_empty() {
        return family.encode_counter(&value, NO_EXEMPLAR);
    }
    family.encode_family(&labels)?.encode_counter(&value, NO_EXEMPLAR)
}

fn encode_histogram(family: &mut MetricEncoder, sum: &HistogramSum, labels: Labels<'_>) -> fmt::Result {
    let (total, count, buckets) = sum.in_ms();
    family.encode_family(&labels)?.encode_histogram::<[(&str, &str); 0]>(total, count, &buckets, None)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;
    use crate::metrics::{FETCH_FROM_FOLLOWER, FrameRejection, Names, RequestTime};

    #[test]
    fn a_scrape_adds_the_shards_up() {
        let api = |key| (key == 0).then_some("Produce");
        let metrics = Metrics::new(2, Names { api, error: |code| (code == 3).then_some("UNKNOWN_TOPIC_OR_PARTITION") });
        for shard in metrics.shards() {
            let topic = shard.topic("orders");
            topic.messages_in.add(21);
            shard.requests.record(0, 100, 50, RequestTime { total_ns: 2_000_000, local_ns: 500_000 });
            shard.requests.record(FETCH_FROM_FOLLOWER, 1, 1, RequestTime { total_ns: 1, local_ns: 1 });
            shard.requests.record_error(0, 3);
        }
        metrics.shard(1).counters.frames_rejected.increment(FrameRejection::TooLarge);
        metrics.shard(1).partition("t", 3).log_end_offset.set(7);
        metrics.node.broker_state.set(3);
        let lag = |partition, age_ms| crate::metrics::GroupLag {
            group: "a \"b\"".to_owned(),
            topic: "t".to_owned(),
            partition,
            records: 12,
            age_ms,
        };
        metrics.shard(0).set_group_lags(vec![lag(0, Some(1500)), lag(1, None)]);
        metrics.shard(0).set_group_states([(("consumer", "Stable"), 2), (("classic", "Empty"), 1)].into());
        metrics.shard(1).set_group_states([(("consumer", "Stable"), 1)].into());
        static TICKS: [AtomicU64; 3] = [AtomicU64::new(9), AtomicU64::new(3), AtomicU64::new(0)];
        static CALLS: AtomicU64 = AtomicU64::new(7);
        metrics.shard(1).set_stages(crate::metrics::Stages {
            names: &["wait", "append", "send"],
            ticks: &TICKS,
            seconds_per_tick: 0.5,
            system_calls: &CALLS,
        });
        metrics.set_io_backend("epoll");
        let text = metrics.render();
        let lines = [
            "millrace_io_backend_info{backend=\"epoll\"} 1",
            "millrace_stage_seconds_total{shard=\"1\",stage=\"append\"} 1.5",
            "millrace_stage_seconds_total{shard=\"1\",stage=\"send\"} 0.0",
            "millrace_shard_system_calls_total{shard=\"1\"} 7",
            "millrace_groups{type=\"consumer\",state=\"Stable\"} 3",
            "millrace_groups{type=\"classic\",state=\"Empty\"} 1",
            "millrace_groups{type=\"classic\",state=\"Stable\"} 0",
            "kafka_server_kafkaserver_brokerstate 3",
            "kafka_server_brokertopicmetrics_messagesin_total 42",
            "kafka_server_brokertopicmetrics_messagesin_total{topic=\"orders\"} 42",
            "kafka_network_requestmetrics_requests_total{request=\"Produce\"} 2",
            "kafka_network_requestmetrics_requests_total{request=\"FetchFollower\"} 2",
            "kafka_network_requestmetrics_requests_total{request=\"Fetch\"} 2",
            "kafka_network_requestmetrics_totaltimems_count{request=\"Produce\"} 2",
            "kafka_network_requestmetrics_totaltimems_sum{request=\"Produce\"} 4",
            "kafka_network_requestmetrics_localtimems_sum{request=\"Produce\"} 1",
            "kafka_network_requestmetrics_remotetimems_sum{request=\"Produce\"} 3",
            "millrace_request_time_ms_bucket{le=\"+Inf\",request=\"Produce\"} 2",
            "kafka_coordinator_group_groupmetadatamanager_numgroups 1",
            "kafka_server_delayedoperationpurgatory_purgatorysize{delayedOperation=\"Fetch\"} 0",
            "kafka_network_requestmetrics_errors_total{request=\"Produce\",error=\"UNKNOWN_TOPIC_OR_PARTITION\"} 2",
            "millrace_shard_frames_rejected_total{shard=\"1\",reason=\"too large\"} 1",
            "kafka_log_log_logendoffset{topic=\"t\",partition=\"3\"} 7",
            "# TYPE kafka_server_brokertopicmetrics_messagesin counter",
            "millrace_group_lag_records{group=\"a \\\"b\\\"\",topic=\"t\",partition=\"1\"} 12",
            "millrace_group_lag_seconds{group=\"a \\\"b\\\"\",topic=\"t\",partition=\"0\"} 1.5",
        ];
        for line in lines {
            assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn no_name_is_there_twice() {
        let text = Metrics::new(1, Names { api: |_| None, error: |_| None }).render();
        let mut names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
