//! All metrics of the process: one [`ShardMetrics`] per shard, one [`NodeMetrics`], and the bounded series of topics and partitions.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use super::clients::ClientMetrics;
use super::connections::Connections;
use super::instrument::View;
use super::requests::RequestMetrics;
use super::rest::RestMetrics;
use super::table::{NodeMetrics, PartitionMetrics, Rows, ShardCounters, TopicMetrics};
use super::window::Window;

/// Topics with series of their own, per shard; the rest share the topic `other`.
const TOPICS_MAX: usize = 2000;
/// Partitions with series of their own, per shard; the rest are left out.
const PARTITIONS_MAX: usize = 4000;
/// The label of topics beyond the bound. A real topic of that name shares it.
pub(super) const OTHER_TOPICS: &str = "other";

/// Partitions of groups with series of their own, per shard; the rest are left out.
const GROUP_LAGS_MAX: usize = 4000;

/// How far behind a group is on one partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupLag {
    /// The group.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Offsets from the committed one to the high watermark.
    pub records: i64,
    /// Age of the first record that is not consumed yet, 0 if there is none; `None` if it is not known.
    pub age_ms: Option<i64>,
}

/// How many groups there are by type (`classic`, `consumer`) and state, in the words of ListGroups.
pub type GroupStates = BTreeMap<(&'static str, &'static str), i64>;

/// Names that metrics cannot know themselves.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// Name of an API key, `Produce`.
    pub api: fn(usize) -> Option<&'static str>,
    /// Name of an error code, `UNKNOWN_TOPIC_OR_PARTITION`.
    pub error: fn(i16) -> Option<&'static str>,
}

/// The ledger of a shard's stages: who keeps it writes, a scrape reads.
#[derive(Clone, Copy, Debug)]
pub struct Stages {
    /// Names, by place; the first is that of waiting, which costs no processor time and is not shown.
    pub names: &'static [&'static str],
    /// Ticks spent, by place.
    pub ticks: &'static [AtomicU64],
    /// Length of a tick.
    pub seconds_per_tick: f64,
    /// System calls of the shard's loop.
    pub system_calls: &'static AtomicU64,
}

/// The metrics of one shard, alone on its cache lines. Only the shard writes.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ShardMetrics {
    /// Counters without further labels.
    pub counters: ShardCounters,
    /// Requests by API.
    pub requests: RequestMetrics,
    /// Where its time goes; set once, when it starts.
    stages: OnceLock<Stages>,
    series: Mutex<Series>,
}

/// Locked when a topic or partition comes or goes and while a scrape lists them; never on the way of a request.
#[derive(Debug, Default)]
struct Series {
    topics: BTreeMap<String, Arc<TopicMetrics>>,
    partitions: BTreeMap<(String, i32), Arc<PartitionMetrics>>,
    group_lags: Vec<GroupLag>,
    group_states: GroupStates,
    /// What deleted topics had counted, so that the sums over all topics never fall.
    retired: TopicMetrics,
}

impl ShardMetrics {
    /// The counters of a topic on this shard; kept by whoever counts.
    pub fn topic(&self, name: &str) -> Arc<TopicMetrics> {
        let mut series = self.series();
        if let Some(topic) = series.topics.get(name) {
            return topic.clone();
        }
        let name = if series.topics.len() < TOPICS_MAX { name } else { OTHER_TOPICS };
        series.topics.entry(name.to_owned()).or_default().clone()
    }

    /// The gauges of a partition on this shard. Beyond the bound they are real but not shown.
    pub fn partition(&self, topic: &str, partition: i32) -> Arc<PartitionMetrics> {
        let mut series = self.series();
        if series.partitions.len() >= PARTITIONS_MAX {
            return Arc::default();
        }
        series.partitions.entry((topic.to_owned(), partition)).or_default().clone()
    }

    /// The partition left this shard.
    pub fn forget_partition(&self, topic: &str, partition: i32) {
        self.series().partitions.remove(&(topic.to_owned(), partition));
    }

    /// The topic was deleted, or its last partition left this shard.
    pub fn forget_topic(&self, name: &str) {
        let mut series = self.series();
        if name == OTHER_TOPICS {
            return;
        }
        if let Some(topic) = series.topics.remove(name) {
            for row in 0..TopicMetrics::ROWS.len() {
                if let (View::Counter(sum), View::Counter(gone)) = (series.retired.view(row), topic.view(row)) {
                    sum.add(gone.get());
                }
            }
        }
    }

    /// Shows where this shard's time goes from now on. Once.
    pub fn set_stages(&self, stages: Stages) {
        // A second ledger would be a second shard of the same number.
        assert!(self.stages.set(stages).is_ok());
    }

    /// Seconds by stage, and system calls; nothing before the shard has started.
    pub fn stage_seconds(&self) -> (Vec<(&'static str, f64)>, u64) {
        let Some(stages) = self.stages.get() else { return (Vec::new(), 0) };
        let seconds = |ticks: &AtomicU64| ticks.load(Relaxed) as f64 * stages.seconds_per_tick;
        let by_stage = stages.names.iter().zip(stages.ticks).skip(1).map(|(name, ticks)| (*name, seconds(ticks)));
        (by_stage.collect(), stages.system_calls.load(Relaxed))
    }

    /// Seconds that this shard has slept, and that it has worked.
    pub(super) fn slept_and_worked(&self) -> (f64, f64) {
        let Some(stages) = self.stages.get() else { return (0.0, 0.0) };
        let seconds = |ticks: &[AtomicU64]| {
            ticks.iter().map(|ticks| ticks.load(Relaxed)).sum::<u64>() as f64 * stages.seconds_per_tick
        };
        let (slept, worked) = stages.ticks.split_at(1.min(stages.ticks.len()));
        (seconds(slept), seconds(worked))
    }

    /// How many lags of groups are shown at most.
    pub fn group_lags_max(&self) -> usize {
        GROUP_LAGS_MAX
    }

    /// Replaces the lags of the groups that this shard coordinates; those beyond the bound are left out.
    pub fn set_group_lags(&self, mut lags: Vec<GroupLag>) {
        lags.truncate(GROUP_LAGS_MAX);
        self.series().group_lags = lags;
    }

    /// The lags of the groups that this shard coordinates.
    pub(super) fn group_lags(&self) -> Vec<GroupLag> {
        self.series().group_lags.clone()
    }

    /// Replaces the counts of the groups that this shard coordinates.
    pub fn set_group_states(&self, states: GroupStates) {
        self.series().group_states = states;
    }

    /// How many groups this shard coordinates, by type and state.
    pub(super) fn group_states(&self) -> GroupStates {
        self.series().group_states.clone()
    }

    fn series(&self) -> MutexGuard<'_, Series> {
        // Nothing in here can be left half done by a panic.
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds this shard's topics to `sums`: per topic, and all of them with the retired ones under the empty name.
    pub(super) fn add_topics(&self, sums: &mut BTreeMap<String, Vec<u64>>) {
        let series = self.series();
        let mut add = |name: &str, topic: &TopicMetrics| {
            let sum = sums.entry(name.to_owned()).or_insert_with(|| vec![0; TopicMetrics::ROWS.len()]);
            for (row, sum) in sum.iter_mut().enumerate() {
                if let View::Counter(counter) = topic.view(row) {
                    *sum += counter.get();
                }
            }
        };
        for (name, topic) in &series.topics {
            add(name, topic);
            add("", topic);
        }
        add("", &series.retired);
    }

    /// This shard's partitions.
    pub(super) fn partitions(&self) -> Vec<((String, i32), Arc<PartitionMetrics>)> {
        self.series().partitions.iter().map(|(name, metrics)| (name.clone(), metrics.clone())).collect()
    }
}

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    /// State of the node.
    pub node: NodeMetrics,
    /// What clients push.
    pub clients: ClientMetrics,
    /// What their connections do.
    pub connections: Arc<Connections>,
    /// Requests of the REST API.
    pub rest: RestMetrics,
    shards: Vec<Arc<ShardMetrics>>,
    /// What the shards run on; set once, at the start.
    io_backend: OnceLock<&'static str>,
    pub(super) names: Names,
    window: Mutex<Window>,
}

impl Metrics {
    /// Metrics for this many shards, all zero.
    pub fn new(shards: usize, names: Names) -> Arc<Metrics> {
        let shards = (0..shards).map(|_| Arc::default()).collect();
        let window = Mutex::new(Window::new(Instant::now()));
        Arc::new(Metrics {
            node: NodeMetrics::default(),
            clients: ClientMetrics::default(),
            connections: Arc::default(),
            rest: RestMetrics::default(),
            shards,
            io_backend: OnceLock::new(),
            names,
            window,
        })
    }

    /// Shows what the shards run on, `uring` or `epoll`. Once.
    pub fn set_io_backend(&self, name: &'static str) {
        assert!(self.io_backend.set(name).is_ok());
    }

    /// What the shards run on, once they do.
    pub(super) fn io_backend(&self) -> Option<&'static str> {
        self.io_backend.get().copied()
    }

    /// What the counters were at earlier scrapes.
    pub(super) fn window(&self) -> MutexGuard<'_, Window> {
        // Nothing in here can be left half done by a panic.
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The metrics of a shard.
    pub fn shard(&self, index: usize) -> &Arc<ShardMetrics> {
        &self.shards[index]
    }

    /// The metrics of every shard, in their order.
    pub fn shards(&self) -> &[Arc<ShardMetrics>] {
        &self.shards
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_bounded_and_sums_never_fall() {
        let shard = ShardMetrics::default();
        for index in 0..TOPICS_MAX + 5 {
            shard.topic(&format!("topic-{index}")).messages_in.increment();
        }
        let sums = || {
            let mut sums = BTreeMap::new();
            shard.add_topics(&mut sums);
            sums
        };
        let before = sums();
        assert_eq!(before.len(), TOPICS_MAX + 2, "the topics, the rest, the sum");
        assert_eq!((before[OTHER_TOPICS][0], before[""][0]), (5, TOPICS_MAX as u64 + 5));
        shard.forget_topic("topic-7");
        let after = sums();
        assert!(!after.contains_key("topic-7"));
        assert_eq!(after[""][0], before[""][0]);
    }

    #[test]
    fn lags_of_groups_are_bounded() {
        let shard = ShardMetrics::default();
        let lag = GroupLag { group: "g".into(), topic: "t".into(), partition: 0, records: 1, age_ms: None };
        shard.set_group_lags(vec![lag; GROUP_LAGS_MAX + 1]);
        assert_eq!(shard.group_lags().len(), GROUP_LAGS_MAX);
    }

    #[test]
    fn partitions_come_and_go() {
        let shard = ShardMetrics::default();
        shard.partition("t", 0).size.set(5);
        shard.partition("t", 0).size.add(1);
        let shown: Vec<_> = shard.partitions().iter().map(|(name, metrics)| (name.1, metrics.size.get())).collect();
        assert_eq!(shown, [(0, 6)]);
        shard.forget_partition("t", 0);
        assert!(shard.partitions().is_empty());
    }
}
