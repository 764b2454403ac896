//! What has to be there before anything is measured: topics that serve, coordinators that are loaded, a warm broker.

use std::time::{Duration, Instant};

use millrace::protocol::create_topics::{CreatableTopic, CreateTopicsRequest};
use millrace::protocol::find_coordinator::FindCoordinatorRequest;
use millrace::protocol::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use millrace::wire::KafkaString;

use crate::cpu;
use crate::die;
use crate::pool::{Pool, until};

const TOPIC_ALREADY_EXISTS: i16 = 36;

/// What a coordinator is asked for.
#[derive(Clone, Copy)]
pub enum Of {
    /// A group.
    Group,
    /// A transactional id.
    Transaction,
}

/// Creates a topic, unless it is there, and waits until each partition serves: metadata can be ahead of it.
pub fn topic(pool: &mut Pool, name: &str, partitions: i32) {
    let topic =
        CreatableTopic { name: name.into(), num_partitions: partitions, replication_factor: 1, ..Default::default() };
    let answer = pool.call(0, &CreateTopicsRequest { topics: vec![topic], ..Default::default() }, 7);
    let code = answer.topics[0].error_code;
    if code != 0 && code != TOPIC_ALREADY_EXISTS {
        die(&format!("CreateTopics {name}: error {code}"));
    }
    let partition = |partition_index| ListOffsetsPartition { partition_index, timestamp: -1, ..Default::default() };
    let topic = ListOffsetsTopic { name: name.into(), partitions: (0..partitions).map(partition).collect() };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
    until("all partitions to serve", || {
        let answer = pool.call(0, &request, 7);
        answer.topics[0].partitions.iter().all(|partition| partition.error_code == 0).then_some(())
    });
}

/// Waits until the coordinators of all these are known; the internal topic is made by that.
pub fn coordinators(pool: &mut Pool, of: Of, keys: &[KafkaString]) {
    for some in keys.chunks(100) {
        let request = FindCoordinatorRequest {
            key_type: if matches!(of, Of::Group) { 0 } else { 1 },
            coordinator_keys: some.to_vec(),
            ..Default::default()
        };
        until("the coordinators", || {
            let answer = pool.call(0, &request, 6);
            answer.coordinators.iter().all(|one| one.error_code == 0).then_some(())
        });
    }
}

/// How much is done before measuring begins, and how much then: whichever ends first.
pub struct Effort {
    /// Before.
    pub warmup: Duration,
    /// Then.
    pub time: Duration,
}

/// Processor time of the broker and time of the clock between two moments.
pub struct Span {
    pid: i32,
    cpu: Option<Duration>,
    began: Instant,
}

impl Span {
    /// From now on.
    pub fn begin(pid: i32) -> Span {
        Span { pid, cpu: cpu::of_process(pid), began: Instant::now() }
    }

    /// So far.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// What `count` of something have cost, as the tables read it.
    pub fn of(&self, count: u64) -> serde_json::Value {
        let seconds = self.elapsed().as_secs_f64();
        let used = cpu::of_process(self.pid).zip(self.cpu).map_or(0.0, |(now, then)| (now - then).as_secs_f64());
        serde_json::json!({
            "requests": count,
            "requests_per_s": count as f64 / seconds,
            "broker_us_per_request": used * 1e6 / count as f64,
            "per_cpu_s": count as f64 / used,
            "broker_cores": used / seconds,
        })
    }
}
