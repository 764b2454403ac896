//! What drivers around clients of others share: where partitions are, where their ends are, what processes cost.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use super::{Order, start_of};
use crate::bench::BenchError;
use crate::bench::client::client;
use crate::bench::workload::Flow;
use crate::client::{Client, OffsetSpec, TopicPartition};
use crate::rt::process;

/// Consumers that get on no further for so long have all that there is.
const STUCK: Duration = Duration::from_secs(5);
/// Consumers that get on no further for so long have what was there: what is left may be markers.
const AT_REST: Duration = Duration::from_millis(500);

/// All partitions of a run, by place.
#[derive(Debug)]
pub struct Places {
    client: Client,
    /// Name, place of the first partition, partitions.
    topics: HashMap<String, (u32, u32)>,
    all: Vec<TopicPartition>,
}

impl Places {
    /// Asks the broker.
    pub fn find(order: &Order) -> Result<Places, BenchError> {
        let client = client(&order.bootstrap_servers, &order.common)?;
        let mut places = Places { client, topics: HashMap::new(), all: Vec::new() };
        let names = order.workload.topic_names();
        for topic in places.client.describe_topics(&names, None)? {
            let count = topic.partitions.len() as u32;
            places.topics.insert(topic.name.clone(), (places.all.len() as u32, count));
            places.all.extend((0..count as i32).map(|partition| (topic.name.clone(), partition)));
        }
        match names.iter().find(|name| !places.topics.contains_key(*name)) {
            Some(missing) => Err(BenchError::broker(format_args!("topic {missing} is not there"))),
            None => Ok(places),
        }
    }

    /// The topics that producer `index` of a flow writes to, with their partitions.
    pub fn topics_of(&self, flow: &Flow, index: u32) -> Vec<(String, i32)> {
        let partitions = |topic: &str| self.topics.get(topic).map_or(0, |(_, count)| *count as i32);
        flow.topics_of(index).into_iter().map(|topic| (topic.clone(), partitions(&topic))).collect()
    }

    /// First place of each topic.
    pub fn firsts(&self) -> HashMap<String, u32> {
        self.topics.iter().map(|(name, (first, _))| (name.clone(), *first)).collect()
    }

    /// The places of a flow's partitions, in order.
    fn of_flow(&self, flow: &Flow) -> Vec<u32> {
        let ranges = flow.topic_names().into_iter().filter_map(|name| self.topics.get(&name).copied());
        let mut places: Vec<u32> = ranges.flat_map(|(first, count)| first..first + count).collect();
        places.sort_unstable();
        places
    }

    /// Topic and partition of a place.
    pub fn name(&self, place: u32) -> &TopicPartition {
        &self.all[place as usize]
    }

    /// First or end offsets of all partitions, by place.
    pub fn offsets(&mut self, spec: OffsetSpec) -> Result<Vec<i64>, BenchError> {
        let found = self.client.list_offsets(&self.all, spec, 0)?;
        let offset = |place: &TopicPartition| match found.get(place) {
            Some(Ok(offset)) => Ok((*offset).max(0)),
            _ => Err(BenchError::broker(format_args!("{}-{} tells no offset", place.0, place.1))),
        };
        self.all.iter().map(offset).collect()
    }

    /// Where consumers of a flow begin: its places in order, each with an offset.
    pub fn starts(&mut self, flow: &Flow) -> Result<Vec<(u32, i64)>, BenchError> {
        let offsets = self.offsets(start_of(flow))?;
        Ok(self.of_flow(flow).into_iter().map(|place| (place, offsets[place as usize])).collect())
    }

    /// Begins a group at these offsets.
    pub fn begin_group(&mut self, group: &str, offsets: &[(u32, i64)]) -> Result<(), BenchError> {
        let offsets: Vec<(TopicPartition, i64)> =
            offsets.iter().map(|(place, offset)| (self.all[*place as usize].clone(), *offset)).collect();
        self.client.alter_group_offsets(group, &offsets)?;
        Ok(())
    }
}

/// Whether consumers have everything up to the ends of the logs, or will never have it.
#[derive(Debug)]
pub struct CatchUp {
    ends: Option<Vec<i64>>,
    progress: (i64, Instant),
    markers: i64,
}

impl CatchUp {
    /// Nothing is known yet. Each transactional producer among these flows may leave a marker at the end of a partition, which no consumer
    /// tells of.
    pub fn new(flows: &[Flow]) -> CatchUp {
        let transactional = flows.iter().filter(|flow| flow.producer.contains_key("transactional.id"));
        let markers = transactional.map(|flow| i64::from(flow.producers)).sum();
        CatchUp { ends: None, progress: (-1, Instant::now()), markers }
    }

    /// To be asked when producers are done. `positions` are next offsets, of each group and place that it reads.
    pub fn is_done(&mut self, places: &mut Places, positions: &[HashMap<u32, i64>]) -> bool {
        if self.ends.is_none() {
            self.ends = places.offsets(OffsetSpec::LATEST).ok();
        }
        let sum: i64 = positions.iter().flat_map(HashMap::values).sum();
        if sum != self.progress.0 {
            self.progress = (sum, Instant::now());
        }
        let resting = self.progress.1.elapsed();
        let markers = if resting >= AT_REST { self.markers } else { 0 };
        let reached = |(place, position): (&u32, &i64)| {
            self.ends.as_ref().is_some_and(|ends| position + markers >= ends[*place as usize])
        };
        positions.iter().flatten().all(reached) || resting >= STUCK
    }
}

/// Processor time of a process, and its busiest thread.
#[derive(Debug)]
pub struct ProcessCpu {
    pid: u32,
    at: Instant,
    used: Duration,
    threads: HashMap<String, u64>,
}

impl ProcessCpu {
    /// From now on.
    pub fn watch(pid: u32) -> ProcessCpu {
        let used = process::cpu_time(pid).unwrap_or_default();
        ProcessCpu { pid, at: Instant::now(), used, threads: threads(pid) }
    }

    /// Processor time since the last call, and the busiest thread's share of its time.
    pub fn take(&mut self) -> (Duration, f64) {
        let now = ProcessCpu::watch(self.pid);
        let elapsed = now.at.duration_since(self.at).as_nanos() as f64;
        let used = |(thread, ns): (&String, &u64)| ns.saturating_sub(self.threads.get(thread).copied().unwrap_or(0));
        let busiest = now.threads.iter().map(used).max().unwrap_or(0) as f64;
        let spent = now.used.saturating_sub(self.used);
        *self = now;
        (spent, if elapsed > 0.0 { (busiest / elapsed).min(1.0) } else { 0.0 })
    }
}

/// Nanoseconds on a core, by thread.
fn threads(pid: u32) -> HashMap<String, u64> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks
        .filter_map(|task| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            let ns = text.split_whitespace().next()?.parse().ok()?;
            Some((task.file_name().to_string_lossy().into_owned(), ns))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_thread_is_seen() {
        let mut cpu = ProcessCpu::watch(std::process::id());
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(30) {
            std::hint::spin_loop();
        }
        let (spent, busiest) = cpu.take();
        assert!(spent > Duration::ZERO && busiest > 0.0 && busiest <= 1.0, "{spent:?} {busiest}");
    }
}
