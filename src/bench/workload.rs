//! What the clients of a run do: topics, arrivals, records, settings. Plain data; scenario files, captured shapes and
//! OpenMessaging Benchmark files all become this.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Settings of a Kafka client, by Kafka's names (`linger.ms`, `batch.size`, ...).
pub type Settings = BTreeMap<String, String>;

/// All traffic of a run: one or more flows at the same time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// The kinds of traffic; usually one.
    pub flows: Vec<Flow>,
}

/// Settings of a client: those of every client, and over them its own. What was said of one kind of client is the more specific, as
/// `--producer-props` is to Kafka's own tools, and a sweep of it must be one.
pub fn settled(own: &Settings, common: &Settings) -> Settings {
    let mut all = common.clone();
    all.extend(own.clone());
    all
}

impl Workload {
    /// The same, every client with the settings that all of them have.
    pub fn with_common(&self, common: &Settings) -> Workload {
        let mut workload = self.clone();
        for flow in &mut workload.flows {
            flow.producer = settled(&flow.producer, common);
            flow.consumers.settings = settled(&flow.consumers.settings, common);
        }
        workload
    }

    /// Whether a flow has no clock: then none of the run's latencies says anything about an open system.
    pub fn is_closed_loop(&self) -> bool {
        self.flows.iter().any(|flow| flow.arrival == Arrival::Closed)
    }

    /// Groups of the flow that has most of them.
    pub fn groups(&self) -> u32 {
        self.flows.iter().map(|flow| flow.consumers.groups).max().unwrap_or(0)
    }

    /// Names of all topics.
    pub fn topic_names(&self) -> Vec<String> {
        self.flows.iter().flat_map(Flow::topic_names).collect()
    }
}

/// One kind of traffic: topics that are alike, who writes to them, who reads from them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Flow {
    /// Name of the topic; with several topics `-0`, `-1`, ... follow.
    pub topic: String,
    /// Topics of this kind.
    pub topics: u32,
    /// Partitions of each of them.
    pub partitions: i32,
    /// Replicas of each partition; -1: the broker's default.
    pub replication_factor: i16,
    /// Topic configs, for topics that the bench makes.
    pub topic_config: Settings,
    /// Producers, spread over the topics; each has connections, an accumulator and a producer id of its own.
    pub producers: u32,
    /// When records are due, over all producers of the flow.
    pub arrival: Arrival,
    /// Keys of the records.
    pub key: Keys,
    /// Values of the records.
    pub value: Values,
    /// Settings of the producers, over Kafka's defaults.
    pub producer: Settings,
    /// Who reads.
    pub consumers: Consumers,
}

impl Default for Flow {
    fn default() -> Self {
        Flow {
            topic: "bench".to_owned(),
            topics: 1,
            partitions: 1,
            replication_factor: -1,
            topic_config: Settings::new(),
            producers: 1,
            arrival: Arrival::Closed,
            key: Keys::None,
            value: Values::default(),
            producer: Settings::new(),
            consumers: Consumers::default(),
        }
    }
}

impl Flow {
    /// Names of its topics.
    pub fn topic_names(&self) -> Vec<String> {
        (0..self.topics.max(1)).map(|index| self.topic_name(index)).collect()
    }

    /// Names of the topics that one of its producers writes to: with fewer topics than producers one of them, otherwise its part.
    pub fn topics_of(&self, producer: u32) -> Vec<String> {
        let topics = self.topics.max(1);
        let step = self.producers.clamp(1, topics);
        (producer % step..topics).step_by(step as usize).map(|index| self.topic_name(index)).collect()
    }

    fn topic_name(&self, index: u32) -> String {
        if self.topics <= 1 { self.topic.clone() } else { format!("{}-{index}", self.topic) }
    }
}

/// When records are due. Rates are records a second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "process", rename_all = "snake_case", deny_unknown_fields)]
pub enum Arrival {
    /// No clock: the next record is made as soon as the accumulator takes it. Its latency says nothing about an open system.
    Closed,
    /// Evenly spaced.
    Constant {
        /// Records a second.
        rate: f64,
    },
    /// Independent arrivals: exponential gaps.
    Poisson {
        /// Records a second.
        rate: f64,
    },
    /// `burst` records at once, evenly spaced bursts.
    Burst {
        /// Records a second on average.
        rate: f64,
        /// Records that are due at the same instant.
        burst: u32,
    },
    /// A rate that grows (or falls) evenly, then stays.
    Ramp {
        /// At the start.
        from: f64,
        /// At the end.
        to: f64,
        /// Seconds from start to end.
        over_s: f64,
    },
    /// A day in short: a sine between two rates; Poisson around it.
    Diurnal {
        /// At night.
        low: f64,
        /// At noon.
        high: f64,
        /// Seconds of a day.
        period_s: f64,
    },
    /// Rates of successive steps, over and over; Poisson within a step.
    Trace {
        /// Seconds of a step.
        step_s: f64,
        /// Records a second in each step.
        rates: Vec<f64>,
    },
}

impl Arrival {
    /// The average rate, records a second; `None` for a closed loop.
    pub fn mean_rate(&self) -> Option<f64> {
        Some(match self {
            Arrival::Closed => return None,
            Arrival::Constant { rate } | Arrival::Poisson { rate } | Arrival::Burst { rate, .. } => *rate,
            Arrival::Ramp { to, .. } => *to,
            Arrival::Diurnal { low, high, .. } => (low + high) / 2.0,
            Arrival::Trace { rates, .. } => rates.iter().sum::<f64>() / rates.len().max(1) as f64,
        })
    }

    /// The same process `factor` times as fast.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Arrival {
        match self.clone() {
            Arrival::Closed => Arrival::Closed,
            Arrival::Constant { rate } => Arrival::Constant { rate: rate * factor },
            Arrival::Poisson { rate } => Arrival::Poisson { rate: rate * factor },
            Arrival::Burst { rate, burst } => Arrival::Burst { rate: rate * factor, burst },
            Arrival::Ramp { from, to, over_s } => Arrival::Ramp { from: from * factor, to: to * factor, over_s },
            Arrival::Diurnal { low, high, period_s } => {
                Arrival::Diurnal { low: low * factor, high: high * factor, period_s }
            }
            Arrival::Trace { step_s, rates } => {
                Arrival::Trace { step_s, rates: rates.iter().map(|rate| rate * factor).collect() }
            }
        }
    }
}

/// Keys of records.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Keys {
    /// No key: the sticky partitioner decides.
    #[default]
    None,
    /// Partitions in turn, no key: what OpenMessaging Benchmark calls KEY_DISTRIBUTOR NO_KEY is `None`, its round robin is this.
    RoundRobin,
    /// Each key as likely as any other.
    Uniform {
        /// How many there are.
        count: u64,
        /// Bytes of a key.
        bytes: u32,
    },
    /// Some keys come much more often than others.
    Zipf {
        /// How many there are.
        count: u64,
        /// Skew; 1.0 is the classic law, 0 is uniform.
        exponent: f64,
        /// Bytes of a key.
        bytes: u32,
    },
    /// The lines of a file, in turn.
    File {
        /// Its path.
        path: PathBuf,
    },
}

/// Values of records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Values {
    /// Bytes of a value.
    pub size: Sizes,
    /// What they are made of.
    pub content: Content,
    /// Share of records without a value (tombstones), 0 to 1.
    pub null_share: f64,
}

impl Default for Values {
    fn default() -> Self {
        Values { size: Sizes::Fixed { bytes: 1000 }, content: Content::default(), null_share: 0.0 }
    }
}

/// Sizes of values, bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Sizes {
    /// All alike.
    Fixed {
        /// Bytes.
        bytes: u32,
    },
    /// Each size between the two as likely as any other.
    Uniform {
        /// The smallest.
        min: u32,
        /// The largest.
        max: u32,
    },
    /// Many small, few large.
    LogNormal {
        /// Half of the values are smaller.
        median: u32,
        /// One in a hundred is larger.
        p99: u32,
    },
    /// Sizes with weights, as captured.
    Weighted {
        /// Size and weight.
        sizes: Vec<(u32, f64)>,
    },
}

impl Sizes {
    /// The largest size that can come up; log-normal sizes are cut off at ten times their p99.
    pub fn max(&self) -> u32 {
        match self {
            Sizes::Fixed { bytes } => *bytes,
            Sizes::Uniform { max, .. } => *max,
            Sizes::LogNormal { p99, .. } => p99.saturating_mul(10),
            Sizes::Weighted { sizes } => sizes.iter().map(|(size, _)| *size).max().unwrap_or(0),
        }
    }
}

/// What values are made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Content {
    /// Bytes that a general codec shrinks to about `1 / ratio` of their size; 1.0 is random bytes.
    Synthetic {
        /// How many times smaller they get.
        ratio: f64,
    },
    /// Lines like those of a web server's log.
    WebLog,
    /// JSON documents like those of orders.
    Json,
    /// The lines of a file (or its bytes, if it has none), in turn; cut or repeated to the size that is due.
    File {
        /// Its path.
        path: PathBuf,
    },
}

impl Default for Content {
    fn default() -> Self {
        Content::Synthetic { ratio: 1.0 }
    }
}

/// Who reads what a flow writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Consumers {
    /// Groups: each reads everything once. 0: nobody reads.
    pub groups: u32,
    /// Members of a group.
    pub members: u32,
    /// Whether members join a real group with its coordinator and commits; otherwise partitions are dealt out to them by the bench.
    pub coordinated: bool,
    /// Whether reading begins with what is there already, or with what comes.
    pub from_beginning: bool,
    /// Settings of the consumers, over Kafka's defaults.
    pub settings: Settings,
}

impl Default for Consumers {
    fn default() -> Self {
        Consumers { groups: 0, members: 1, coordinated: false, from_beginning: false, settings: Settings::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_producers_wins_over_what_is_said_of_all_clients() {
        let of = |text: &str| Settings::from([("acks".to_owned(), text.to_owned())]);
        assert_eq!((settled(&of("all"), &of("0")), settled(&Settings::new(), &of("0"))), (of("all"), of("0")));
        let workload = Workload { flows: vec![Flow { producer: of("all"), ..Flow::default() }] };
        let flow = &workload.with_common(&of("0")).flows[0];
        assert_eq!((&flow.producer, &flow.consumers.settings), (&of("all"), &of("0")));
    }

    #[test]
    fn topics_are_dealt_out_to_producers() {
        let dealt = |topics, producers| -> Vec<String> {
            let flow = Flow { topic: "t".to_owned(), topics, producers, ..Flow::default() };
            (0..producers).map(|producer| flow.topics_of(producer).join(" ")).collect()
        };
        assert_eq!(dealt(1, 2), ["t", "t"]);
        assert_eq!(dealt(2, 3), ["t-0", "t-1", "t-0"]);
        assert_eq!(dealt(5, 2), ["t-0 t-2 t-4", "t-1 t-3"]);
    }
}
