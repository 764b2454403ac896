//! What a run sends, and what it reports.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::frames::Batch;

/// What the connections do.
#[derive(Clone, Copy, PartialEq)]
pub enum Mode {
    /// Send batches.
    Produce,
    /// Read batches that were produced by this program with the same sizes.
    Fetch,
    /// Stay connected and silent for `seconds`: for measuring memory and idle processor time.
    Hold,
}

/// One run.
pub struct Plan {
    /// What the connections do.
    pub mode: Mode,
    /// The topic.
    pub topic: String,
    /// Partitions of the topic that are used, spread over the connections.
    pub partitions: i32,
    /// Connections, all driven by one thread.
    pub connections: usize,
    /// Requests in flight per connection.
    pub in_flight: usize,
    /// The batch that every Produce request carries and every fetch is expected to find.
    pub batch: Batch,
    /// `acks` of Produce requests.
    pub acks: i16,
    /// `max.partition.fetch.bytes` of Fetch requests.
    pub max_bytes: i32,
    /// Bytes of the log that fetches go round in; 0 means all of it.
    pub region_bytes: u64,
    /// The region is at the end of the log instead of its start.
    pub from_end: bool,
    /// `max.wait.ms` of Fetch requests.
    pub max_wait_ms: i32,
    /// Bytes of batches to move, warm-up not counted.
    pub bytes: u64,
    /// Bytes of batches to move before anything is measured.
    pub warmup_bytes: u64,
    /// Requests a second on an intended-time clock; 0 sends as fast as the answers allow.
    pub rate: f64,
    /// The broker's process id; 0 when its processor time is not wanted.
    pub pid: i32,
    /// Seconds that `Mode::Hold` lasts.
    pub seconds: u64,
}

/// What a run found.
pub struct Report {
    /// Requests that were answered (or sent, with acks=0) within `elapsed`.
    pub requests: u64,
    /// Bytes of batches in them.
    pub bytes: u64,
    /// Bytes of batches of the whole run, warm-up and all.
    pub bytes_in_all: u64,
    /// Records in them.
    pub records: u64,
    /// Length of the measured part.
    pub elapsed: Duration,
    /// Processor time of the broker's process in it.
    pub broker: Duration,
    /// Processor time of this program in it.
    pub client: Duration,
    /// The broker's resident memory at the end.
    pub resident_bytes: u64,
    /// Nanoseconds from the intended time (open loop) or the send (closed loop) to the answer.
    pub latency: Histogram<u64>,
    /// Requests that were due and not sent when the run ended: a growing backlog spoils an open loop.
    pub backlog: u64,
}

impl Report {
    /// One line.
    pub fn to_json(&self) -> String {
        let seconds = self.elapsed.as_secs_f64();
        let gigabytes = self.bytes as f64 / 1e9;
        let broker = self.broker.as_secs_f64();
        let micros = |quantile: f64| self.latency.value_at_quantile(quantile) as f64 / 1e3;
        serde_json::json!({
            "requests": self.requests,
            "bytes": self.bytes,
            "bytes_in_all": self.bytes_in_all,
            "records": self.records,
            "seconds": seconds,
            "mb_per_s": self.bytes as f64 / 1e6 / seconds,
            "requests_per_s": self.requests as f64 / seconds,
            "broker_cpu_s": broker,
            "broker_cpu_s_per_gb": broker / gigabytes,
            "broker_us_per_request": broker * 1e6 / self.requests as f64,
            "broker_cores": broker / seconds,
            "client_cores": self.client.as_secs_f64() / seconds,
            "rss_mib": self.resident_bytes as f64 / 1_048_576.0,
            "p50_us": micros(0.5),
            "p99_us": micros(0.99),
            "p999_us": micros(0.999),
            "max_us": self.latency.max() as f64 / 1e3,
            "backlog": self.backlog,
        })
        .to_string()
    }
}
