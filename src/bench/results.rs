//! What the bench found, as plain data: the content of `results.json`, and all that the report, the table, `compare` and the
//! promises work from.
//!
//! Within a format, fields are only added, and those that are not there read as empty: files of older versions go on working.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::BenchError;
use super::driver::Verification;
use super::judge::{INTERRUPTED, NOT_COMPARABLE};
use super::workload::{Settings, Workload};

/// Version of the file; others are refused with a sentence.
pub const FORMAT: u32 = 1;

/// All results of one call of `millrace bench`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Results {
    /// [`FORMAT`].
    pub format: u32,
    /// Version of the bench.
    pub millrace: String,
    /// The command line.
    pub command: String,
    /// What the runs are about, in a few words: `quick`, `acks x batch.size`, the scenario's name.
    pub title: String,
    /// When it began, ms since 1970.
    pub started_ms: i64,
    /// How long it took, seconds.
    pub took_s: f64,
    /// Why it ended early: interrupted, broker died; while it goes on, that it does. `None`: it is whole.
    pub partial: Option<String>,
    /// The machine of the clients.
    pub machine: Machine,
    /// What of the machine costs the brokers something, and what doesn't.
    pub findings: Vec<Finding>,
    /// What the device and the machine can do at most, measured in the same call.
    pub floors: Vec<Floor>,
    /// The brokers that were measured.
    pub systems: Vec<System>,
    /// Settings in which the systems differ, and what is the same for all: so that a reader can judge the comparison.
    pub fairness: Vec<FairnessRow>,
    /// Names of settings that vary between the runs, in the order of the sweep.
    pub varied: Vec<String>,
    /// The runs in the order in which they were made.
    pub runs: Vec<Run>,
    /// Answers to what was asked, most important first: `the highest rate that keeps p99<10ms is 812,000 records/s`. They head the
    /// report; without any, the report finds its own headline.
    pub answers: Vec<String>,
    /// Sentences for the reader, most important first.
    pub advice: Vec<Advice>,
}

/// The machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// `uname -r`.
    pub kernel: String,
    /// Model of the processor.
    pub cpu: String,
    /// Cores that the process may use.
    pub cores: usize,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// File system and mount options of the broker's data, if it is ours.
    pub file_system: String,
    /// The device below it.
    pub device: String,
    /// Anything else worth knowing: virtualised, governor, clock source.
    pub notes: Vec<String>,
}

/// What a look at one thing of the machine found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked at: `io_uring`, `/data: sync`.
    pub check: String,
    /// How bad it is.
    #[serde(rename = "verdict")]
    pub weight: Weight,
    /// What was found.
    pub value: String,
    /// What makes it better, a command where there is one; empty if it is fine.
    #[serde(default)]
    pub mend: String,
}

/// What a finding means to a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Weight {
    /// Nothing.
    #[serde(rename = "fine")]
    Fine,
    /// It runs, and slower, or with less of a promise.
    #[serde(rename = "costs you")]
    CostsYou,
    /// It doesn't start, or doesn't last.
    #[serde(rename = "stops you")]
    StopsYou,
}

impl Weight {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Weight::Fine => "fine",
            Weight::CostsYou => "costs you",
            Weight::StopsYou => "stops you",
        }
    }
}

/// An upper bound that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Floor {
    /// `fdatasync`, `pwrite 1 MiB`, `loopback 64 KiB`, `crc32c`, `lz4 compress`, ...
    pub name: String,
    /// The number.
    pub value: f64,
    /// `MB/s`, `us`, `1/s`.
    pub unit: String,
}

/// A broker that was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct System {
    /// Its name in runs: `millrace`, `apache-kafka`, an address.
    pub name: String,
    /// Version, as far as it can be known.
    pub version: String,
    /// How it was started, if it was by us.
    pub command: String,
    /// What an acknowledgement promises with each `acks`.
    pub acknowledgement: BTreeMap<String, String>,
}

/// One line of the fairness manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FairnessRow {
    /// What is compared: `heap`, `flush policy`, `cores`, `file system`, a config key.
    pub what: String,
    /// By system.
    pub values: BTreeMap<String, String>,
}

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Run {
    /// Short and unique: `03-millrace-acks=all`. Also the anchor in the report and the name of its `.hlog`.
    pub id: String,
    /// The system.
    pub system: String,
    /// The clients.
    pub driver: String,
    /// The settings that vary, with this run's values.
    pub varied: Settings,
    /// Which repetition of the same settings, from 0.
    pub repetition: u32,
    /// Everything that the clients did.
    pub workload: Workload,
    /// Closed loop: latency is that of a client that waits.
    pub closed_loop: bool,
    /// Seconds until it was steady; left out of the numbers.
    pub warmup_s: f64,
    /// Seconds that the numbers are about.
    pub measured_s: f64,
    /// Why the numbers mean nothing (or less than they seem). Empty: valid.
    pub complaints: Vec<Complaint>,
    /// Rates and totals.
    pub rates: Rates,
    /// From intended time to acknowledgement.
    pub latency: Latency,
    /// From sending a request to its answer.
    pub request_latency: Latency,
    /// How `request_latency` comes about, or why there is none. Empty: each request was timed.
    pub request_latency_from: String,
    /// What the clients' own statistics tell of times.
    pub client_times: Vec<ClientTime>,
    /// From intended time to a consumer.
    pub end_to_end: Latency,
    /// The clock's own error.
    pub clock_error: Latency,
    /// What the broker spent.
    pub broker: BrokerCost,
    /// Processor seconds of the clients.
    pub client_cpu_s: f64,
    /// Second by second.
    pub timeline: Vec<Second>,
    /// What became of the records, if it was verified.
    pub verification: Option<VerificationResult>,
    /// What was done to the broker on purpose.
    pub faults: Vec<FaultResult>,
    /// How consumers caught up that had been away.
    pub catch_up: Option<CatchUp>,
    /// Errors by name.
    pub errors: BTreeMap<String, u64>,
}

impl Run {
    /// Whether its numbers may be quoted.
    pub fn is_valid(&self) -> bool {
        !self.complaints.iter().any(|complaint| complaint.severity == Severity::Invalid)
    }

    /// Whether the user stopped it before its end.
    pub fn is_cut(&self) -> bool {
        self.complaints.iter().any(|complaint| complaint.kind == INTERRUPTED)
    }

    /// Why it can't be held against a run of another system with the same settings, a sentence each.
    pub fn remarks(&self) -> impl Iterator<Item = &str> {
        let remarks = self.complaints.iter().filter(|complaint| complaint.kind == NOT_COMPARABLE);
        remarks.map(|complaint| complaint.text.as_str())
    }
}

/// A time that clients tell of themselves: averages over windows of theirs, together, and the longest. Milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientTime {
    /// The client's name of it: `rtt`, `request-latency`.
    pub name: String,
    /// What is timed.
    pub what: String,
    /// Average.
    pub mean: f64,
    /// The longest.
    pub max: f64,
}

/// How bad a complaint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The run's numbers may not be quoted.
    Invalid,
    /// A reader should know it.
    Note,
}

/// What is wrong with a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complaint {
    /// How bad.
    pub severity: Severity,
    /// `interrupted`, `client saturated`, `backlog growing`, `clock jumped`, `cpu stolen`, `disk throttled`, `too few samples`, `not steady`.
    pub kind: String,
    /// One sentence with the number.
    pub text: String,
}

/// Rates of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rates {
    /// Records a second that were due; `None`: closed loop.
    pub target_records_s: Option<f64>,
    /// Records acknowledged a second.
    pub records_s: f64,
    /// MB (10^6 bytes) of keys and values acknowledged a second.
    pub mb_s: f64,
    /// Records received by consumers a second.
    pub consumed_records_s: f64,
    /// MB of keys and values received by consumers a second.
    pub consumed_mb_s: f64,
    /// Produce requests a second.
    pub produce_requests_s: f64,
    /// Records in a batch.
    pub records_per_batch: f64,
    /// Bytes of a batch as sent.
    pub batch_bytes: f64,
    /// Bytes of keys and values over bytes of batches as sent.
    pub compression_ratio: f64,
    /// Fetch requests a second.
    pub fetch_requests_s: f64,
    /// Records acknowledged in all.
    pub records: u64,
    /// Records failed in all.
    pub failed: u64,
}

/// A distribution of times, milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Latency {
    /// Samples.
    pub count: u64,
    /// Average.
    pub mean: f64,
    /// Half are faster.
    pub p50: f64,
    /// 90 %
    pub p90: f64,
    /// 99 %
    pub p99: f64,
    /// 99.9 %
    pub p999: f64,
    /// 99.99 %
    pub p9999: f64,
    /// The slowest.
    pub max: f64,
    /// The curve: quantile (0 to 1) and milliseconds, about 5 points per halving of the rest.
    pub curve: Vec<(f64, f64)>,
}

/// What the broker's process spent in the measured time. Zero where it can't be known (another machine).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BrokerCost {
    /// Processor seconds.
    pub cpu_s: f64,
    /// Processor seconds per GB (10^9 bytes) of keys and values produced and consumed.
    pub cpu_s_per_gb: f64,
    /// Processor seconds per million records produced.
    pub cpu_s_per_million: f64,
    /// Cores it kept busy on average.
    pub cores: f64,
    /// By stage (Millrace): processor seconds of receive, decode, validate, append, wal, replicate, respond, send.
    pub stages: Vec<(String, f64)>,
    /// Bytes it wrote to disk.
    pub disk_write_bytes: u64,
    /// Bytes it read from disk: what the page cache did not have.
    pub disk_read_bytes: u64,
    /// Context switches that it asked for.
    pub voluntary_switches: u64,
    /// Context switches that it suffered.
    pub involuntary_switches: u64,
    /// System calls of reading and writing.
    pub system_calls: u64,
    /// Resident memory at the end.
    pub resident_bytes: u64,
}

/// One second of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Second {
    /// Seconds since the start of the run.
    pub at_s: f64,
    /// Whether it belongs to the measured part.
    pub measured: bool,
    /// Records acknowledged a second.
    pub records_s: f64,
    /// Records consumed a second.
    pub consumed_records_s: f64,
    /// Median latency, ms.
    pub p50: f64,
    /// 99th percentile, ms.
    pub p99: f64,
    /// The slowest, ms.
    pub max: f64,
    /// Cores that the broker kept busy.
    pub broker_cores: f64,
    /// Records due and not yet taken by the clients.
    pub backlog: u64,
    /// More of the latency.
    pub latency: Points,
    /// From due to a consumer.
    pub end_to_end: Points,
    /// From due to made.
    pub clock_error: Points,
}

/// Points of a distribution of times, milliseconds: those that OpenMessaging Benchmark has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Points {
    /// Average.
    pub mean: f64,
    /// Half are faster.
    pub p50: f64,
    /// 75 %
    pub p75: f64,
    /// 95 %
    pub p95: f64,
    /// 99 %
    pub p99: f64,
    /// 99.9 %
    pub p999: f64,
    /// 99.99 %
    pub p9999: f64,
    /// The slowest.
    pub max: f64,
}

/// What became of the records, and whether that is what the settings promise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VerificationResult {
    /// The account.
    pub counts: Verification,
    /// Whether the settings allow it: acks=0 promises nothing, acks=1 nothing over a crash, no idempotence allows duplicates.
    pub kept_promises: bool,
    /// One sentence.
    pub text: String,
}

impl VerificationResult {
    /// Whether there was nothing to look at: what is said of no records is no praise.
    pub fn is_empty(&self) -> bool {
        self.counts.acked == 0 && self.counts.is_clean()
    }
}

/// A fault and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FaultResult {
    /// As it was asked for: `kill9@30s`.
    pub fault: String,
    /// When it struck, seconds since the start of the run.
    pub at_s: f64,
    /// Seconds without an acknowledgement.
    pub dip_s: f64,
    /// Seconds until the rate was back at nine tenths of what it had been; `None`: not in this run.
    pub recovered_s: Option<f64>,
}

/// How consumers caught up that had been away.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CatchUp {
    /// Bytes of keys and values that each group was behind when it came back.
    pub backlog_bytes: u64,
    /// Seconds until it was behind no more; `None`: not in this run.
    pub seconds: Option<f64>,
    /// MB of keys and values that all groups read a second until then.
    pub mb_s: f64,
}

/// A sentence for the reader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advice {
    /// `linger.ms 0 -> 5: 3.1x fewer requests, p99 +4 ms, broker CPU -58 %`
    pub text: String,
    /// Ids of the runs it comes from.
    pub runs: Vec<String>,
}

/// JSON has no NaN: such a number is written as null. It reads as everything that is not there does, as empty.
fn without_nulls(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(members) => {
            let there = members.into_iter().filter(|(_, member)| !member.is_null());
            Value::Object(there.map(|(name, member)| (name, without_nulls(member))).collect())
        }
        Value::Array(all) => {
            let number = |it: Value| if it.is_null() { Value::from(0.0) } else { without_nulls(it) };
            Value::Array(all.into_iter().map(number).collect())
        }
        other => other,
    }
}

impl Results {
    /// Reads a file. Files of other versions, and files that are none, are refused with a sentence.
    pub fn load(path: &Path) -> Result<Results, BenchError> {
        let text = fs::read_to_string(path).map_err(|error| BenchError::io(path, error))?;
        let value: serde_json::Value = serde_json::from_str(&text)
            .map_err(|error| BenchError::io(path, format_args!("not a results file: {error}")))?;
        match value.get("format").and_then(serde_json::Value::as_u64) {
            Some(format) if format == u64::from(FORMAT) => {}
            Some(format) => {
                let mend = "run the bench again with this version, or read the file with the version that wrote it";
                return Err(BenchError::io(path, format_args!("results of format {format}, this is {FORMAT}: {mend}")));
            }
            None => return Err(BenchError::io(path, "not a results file: it has no 'format'")),
        }
        serde_json::from_value(without_nulls(value))
            .map_err(|error| BenchError::io(path, format_args!("damaged results: {error}")))
    }

    /// Writes the file whole or not at all.
    pub fn save(&self, path: &Path) -> Result<(), BenchError> {
        let text = serde_json::to_string_pretty(self).map_err(|error| BenchError::io(path, error))?;
        let beside = path.with_extension("json.new");
        fs::write(&beside, text).and_then(|()| fs::rename(&beside, path)).map_err(|error| BenchError::io(path, error))
    }

    /// The run with this id.
    pub fn run(&self, id: &str) -> Option<&Run> {
        self.runs.iter().find(|run| run.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::testing;

    #[test]
    fn a_file_comes_back_and_a_number_that_is_none_reads_as_empty() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("results.json");
        let come_back = |results: &Results| {
            results.save(&path).expect("it is writable");
            Results::load(&path).expect("it was just written")
        };
        let mut results = testing::sample();
        let mut expected = come_back(&results);
        assert_eq!(expected.runs.len(), results.runs.len());
        results.runs[0].rates.mb_s = f64::NAN;
        results.runs[0].latency.curve.push((0.5, f64::NAN));
        expected.runs[0].rates.mb_s = 0.0;
        expected.runs[0].latency.curve.push((0.5, 0.0));
        assert_eq!(come_back(&results), expected);
    }
}
