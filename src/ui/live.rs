//! Numbers that change by the second: of the Millrace in this process from its metrics, of any cluster from its offsets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::response::Response;
use maud::html;
use serde::Serialize;

use super::ask::Ask;
use super::clients::Watch;
use super::cluster::lock;
use super::html::now_ms;
use super::trouble::Trouble;
use crate::capture::Capture;
use crate::client::{OffsetSpec, TopicPartition};
use crate::metrics::{ApiTimes, Metrics};

/// Of a cluster with more partitions no rate is shown: asking for all their ends would be a load of its own.
const PARTITIONS_MAX: usize = 2000;
/// How long a reading is good for, whoever asks.
const FRESH: Duration = Duration::from_millis(900);

/// The metrics of this process, for the pages.
#[derive(Debug)]
pub struct Live {
    metrics: Arc<Metrics>,
    last: Mutex<Option<(Instant, Broker)>>,
    /// Its connections.
    pub clients: Watch,
}

/// One reading.
#[derive(Debug, Serialize)]
struct Reading {
    at_ms: i64,
    /// Sum of the ends of all partitions; `None`: too many.
    records: Option<i64>,
    /// Only of the Millrace in this process.
    broker: Option<Broker>,
}

/// Counters of the Millrace in this process.
#[derive(Clone, Debug, Serialize)]
struct Broker {
    bytes_in: u64,
    bytes_out: u64,
    records_in: u64,
    shards: Vec<Shard>,
    apis: Vec<ApiTimes>,
}

#[derive(Clone, Debug, Serialize)]
struct Shard {
    /// Seconds by stage.
    stages: BTreeMap<&'static str, f64>,
    system_calls: u64,
}

/// The state of a shard.
#[derive(Debug, Serialize)]
pub struct ShardState {
    /// Open connections.
    pub connections: i64,
    /// Partitions that live there.
    pub partitions: i64,
    /// Tail bytes that are not in a segment yet.
    pub tail_bytes_dirty: i64,
    /// Tail bytes that cannot be used again yet, because readers hold them.
    pub tail_bytes_pinned: i64,
    /// Bytes of the write-ahead log in use.
    pub wal_bytes_used: i64,
    /// Requests answered.
    pub requests: u64,
}

impl Live {
    /// Reads `metrics`, and has `capture` look closer.
    pub fn new(metrics: Arc<Metrics>, capture: Arc<Capture>) -> Live {
        Live { clients: Watch::new(Arc::clone(&metrics), capture), metrics, last: Mutex::default() }
    }

    /// The shards as they are.
    pub fn shards(&self) -> Vec<ShardState> {
        let state = |shard: &Arc<crate::metrics::ShardMetrics>| {
            let counters = &shard.counters;
            ShardState {
                connections: counters.connections.get(),
                partitions: counters.partitions.get(),
                tail_bytes_dirty: counters.tail_bytes_dirty.get(),
                tail_bytes_pinned: counters.tail_bytes_pinned.get(),
                wal_bytes_used: counters.wal_bytes_used.get(),
                requests: counters.requests.get(),
            }
        };
        self.metrics.shards().iter().map(state).collect()
    }

    /// Segments of the topic's partitions.
    pub fn segments(&self, topic: &str) -> BTreeMap<i32, i64> {
        self.metrics.segments(topic)
    }

    fn read(&self) -> Broker {
        let mut last = lock(&self.last);
        if let Some((_, reading)) = last.as_ref().filter(|(then, _)| then.elapsed() < FRESH) {
            return reading.clone();
        }
        let totals = self.metrics.totals();
        let shard = |shard: &Arc<crate::metrics::ShardMetrics>| {
            let (stages, system_calls) = shard.stage_seconds();
            Shard { stages: stages.into_iter().collect(), system_calls }
        };
        let reading = Broker {
            bytes_in: totals.bytes_in,
            bytes_out: totals.bytes_out,
            records_in: totals.messages_in,
            shards: self.metrics.shards().iter().map(shard).collect(),
            apis: totals.apis,
        };
        *last = Some((Instant::now(), reading.clone()));
        reading
    }
}

/// The numbers of now; JSON is what scripts want.
pub async fn live(ask: Ask) -> Response {
    let found = load(&ask).await;
    ask.show(
        "Live",
        found,
        |reading| html! { pre.bytes { (serde_json::to_string_pretty(reading).unwrap_or_default()) } },
    )
}

async fn load(ask: &Ask) -> Result<Reading, Trouble> {
    if let Some(live) = ask.ui.live_of(ask.cluster()) {
        let broker = live.read();
        let records = i64::try_from(broker.records_in).ok();
        return Ok(Reading { at_ms: now_ms(), records, broker: Some(broker) });
    }
    let sum = |client: &mut crate::client::Client| {
        let metadata = client.metadata(None)?;
        let led = |topic: &crate::protocol::metadata::MetadataResponseTopic| -> Vec<TopicPartition> {
            let name = topic.name.as_deref().unwrap_or_default().to_owned();
            let with_leader = topic.partitions.iter().filter(|partition| partition.leader_id >= 0);
            with_leader.map(|partition| (name.clone(), partition.partition_index)).collect()
        };
        let partitions: Vec<TopicPartition> =
            metadata.topics.iter().filter(|topic| !topic.is_internal).flat_map(led).collect();
        if partitions.len() > PARTITIONS_MAX {
            return Ok(None);
        }
        let ends = client.list_offsets(&partitions, OffsetSpec::LATEST, 0)?;
        Ok(Some(ends.into_values().filter_map(Result::ok).sum()))
    };
    let records = ask.cluster().ask(sum).await?;
    Ok(Reading { at_ms: now_ms(), records, broker: None })
}
