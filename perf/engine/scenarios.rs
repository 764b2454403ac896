//! What is measured, and what must come out: one table.

use crate::systems::System;

/// Who runs on which core.
#[derive(Clone, Copy, PartialEq)]
pub enum Pinning {
    /// The server on core 0 (one shard), the client on core 1: for processor time per byte and request.
    Split,
    /// The server on all cores, the client wherever there is room: for throughput and latency of a whole machine.
    Free,
}

/// What a scenario does.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    /// Produce into a new topic.
    Produce,
    /// Fetch what was just produced: the last `region` bytes of a topic.
    FetchTail,
    /// Fetch the first bytes of a topic whose tail is long over: page cache and files.
    FetchSegment,
    /// Produce into a new topic, counting what reaches the device.
    Counted,
    /// Produce at half the rate that saturates Apache Kafka, open loop.
    OpenLoop,
}

/// One scenario: the arguments of the load and the systems that run it.
pub struct Scenario {
    /// Its name in the report.
    pub name: &'static str,
    /// What it does.
    pub kind: Kind,
    /// Arguments of the load client.
    pub load: Vec<String>,
    /// Arguments of [`System::FloorSync`].
    pub floor: Vec<String>,
    /// Who runs it.
    pub systems: Vec<System>,
    /// Where.
    pub pinning: Pinning,
}

/// What is compared.
#[derive(Clone, Copy, PartialEq)]
pub enum Metric {
    /// Processor seconds of the server for each gigabyte.
    CpuPerGb,
    /// Processor microseconds of the server for each request.
    CpuPerRequest,
    /// Megabytes a second.
    Throughput,
    /// Median latency.
    P50,
    /// 99.9th percentile of latency.
    P999,
    /// Resident MiB.
    Rss,
    /// Share of a core in percent.
    IdleCpu,
    /// Milliseconds from the start of an empty broker to its first answer.
    StartMs,
    /// 99th percentile of latency.
    P99,
    /// Requests a second.
    Requests,
    /// Bytes to the device for each byte acknowledged.
    Amplification,
    /// Seconds from the start after a kill -9 until every partition serves.
    RecoveryS,
    /// Requests, or whatever is counted, for each second of the server's processor time.
    PerCpuSecond,
    /// Milliseconds until a new group is complete.
    FormMs,
    /// Milliseconds of a group's rebalance.
    AgainMs,
    /// Milliseconds of the server's processor time until a new group is complete.
    FormCpuMs,
    /// Milliseconds from the start of the process until its coordinators answer.
    ReadyMs,
    /// Milliseconds of that behind the broker's first answer to anything.
    LoadMs,
}

impl Metric {
    /// Whether more of it is better.
    pub fn is_rate(self) -> bool {
        matches!(self, Metric::Throughput | Metric::Requests | Metric::PerCpuSecond)
    }
}

/// What must hold.
#[derive(Clone, Copy)]
pub enum Bound {
    /// Millrace is at least so many times as good as the peer.
    TimesAsGood(System, f64),
    /// Millrace's figure is at most so much of the peer's.
    AtMostOf(System, f64),
    /// Millrace's figure is at most this.
    AtMost(f64),
    /// Millrace is at least so many times as good as in that other scenario.
    TimesOther(&'static str, f64),
    /// Millrace's figure is at most so much of that in another scenario.
    AtMostOfOther(&'static str, f64),
    /// Millrace is at least so many times as good as a floor in another scenario.
    TimesFloor(&'static str, System, f64),
}

/// A row of the table.
pub struct Check {
    /// The scenario it reads.
    pub scenario: &'static str,
    /// The figure.
    pub metric: Metric,
    /// The threshold.
    pub bound: Bound,
}

/// A row.
pub const fn check(scenario: &'static str, metric: Metric, bound: Bound) -> Check {
    Check { scenario, metric, bound }
}

use Bound::{AtMost, AtMostOf, TimesAsGood};
use System::{Apache, FloorRing, FloorSend, FloorSendfile, MillraceUring};

/// Figures that are taken once, not in rounds.
pub const ONCE: [&str; 4] = ["rss idle", "rss 1000 partitions, 200 connections", "idle cpu", "start empty"];

/// Every row.
pub const CHECKS: [Check; 31] = [
    check("produce 64k c1 p1", Metric::CpuPerGb, TimesAsGood(FloorRing, 0.7)),
    check("produce 64k c1 p1", Metric::Throughput, TimesAsGood(FloorRing, 0.7)),
    check("produce 64k c1 p16", Metric::CpuPerGb, TimesAsGood(FloorRing, 0.7)),
    check("produce 64k c1 p16", Metric::Throughput, TimesAsGood(FloorRing, 0.7)),
    check("produce 64k c4 p1", Metric::CpuPerGb, TimesAsGood(FloorRing, 0.7)),
    check("produce 64k c4 p1", Metric::Throughput, TimesAsGood(FloorRing, 0.7)),
    check("produce 64k c4 p16", Metric::CpuPerGb, TimesAsGood(FloorRing, 0.7)),
    check("produce 64k c4 p16", Metric::Throughput, TimesAsGood(FloorRing, 0.7)),
    check("produce one 1k record, c64", Metric::CpuPerRequest, TimesAsGood(FloorRing, 0.8)),
    check("fetch 64k tail", Metric::CpuPerGb, TimesAsGood(FloorSend, 0.9)),
    check("fetch 64k tail", Metric::Throughput, TimesAsGood(FloorSend, 0.9)),
    check("fetch 1m tail", Metric::CpuPerGb, TimesAsGood(FloorSend, 0.9)),
    check("fetch 1m tail", Metric::Throughput, TimesAsGood(FloorSend, 0.9)),
    check("fetch 64k segment", Metric::CpuPerGb, TimesAsGood(FloorSendfile, 0.9)),
    check("fetch 64k segment", Metric::Throughput, TimesAsGood(FloorSendfile, 0.9)),
    check("fetch 1m segment", Metric::CpuPerGb, TimesAsGood(FloorSendfile, 0.9)),
    check("fetch 1m segment", Metric::Throughput, TimesAsGood(FloorSendfile, 0.9)),
    check("produce 64k c4 p1", Metric::CpuPerGb, TimesAsGood(Apache, 5.0)),
    check("produce 64k of 100 B, c4 p1", Metric::CpuPerGb, TimesAsGood(Apache, 8.0)),
    check("produce 16k c4 p1", Metric::CpuPerGb, TimesAsGood(Apache, 5.0)),
    check("produce one 1k record, c64", Metric::CpuPerRequest, TimesAsGood(Apache, 3.0)),
    check("fetch 64k tail", Metric::CpuPerGb, TimesAsGood(Apache, 3.0)),
    check("produce one 1k record, c1, one in flight", Metric::CpuPerRequest, TimesAsGood(Apache, 1.0)),
    check("produce one 1k record, c1, one in flight", Metric::P50, AtMostOf(Apache, 0.8)),
    check("fetch 1m tail", Metric::CpuPerGb, TimesAsGood(Apache, 2.0)),
    check("sustained 64k, all cores", Metric::Throughput, TimesAsGood(Apache, 3.0)),
    check("half load of Apache Kafka, all cores", Metric::P999, AtMostOf(Apache, 0.2)),
    check("rss idle", Metric::Rss, AtMost(32.0)),
    check("rss 1000 partitions, 200 connections", Metric::Rss, AtMost(192.0)),
    check("idle cpu", Metric::IdleCpu, AtMost(1.0)),
    check("start empty", Metric::StartMs, AtMost(100.0)),
];

/// What epoll costs against io_uring; instead of the other rows with `--io epoll`.
pub const PRICE: [Check; 6] = [
    check("produce 64k c4 p1", Metric::Throughput, TimesAsGood(MillraceUring, 0.6)),
    check("produce 64k c4 p1", Metric::CpuPerGb, TimesAsGood(MillraceUring, 0.6)),
    check("produce one 1k record, c64", Metric::Requests, TimesAsGood(MillraceUring, 0.6)),
    check("produce one 1k record, c1, one in flight", Metric::P50, AtMostOf(MillraceUring, 1.5)),
    check("fetch 64k tail", Metric::Throughput, TimesAsGood(MillraceUring, 0.6)),
    check("sustained 64k, all cores", Metric::Throughput, TimesAsGood(MillraceUring, 0.6)),
];

/// Every scenario.
pub fn all(quick: bool) -> Vec<Scenario> {
    let mut all = Vec::new();
    let everyone = [System::FloorRing, System::Millrace, System::Apache];
    let bytes = if quick { "256m" } else { "1g" };
    let warmup = if quick { "64m" } else { "128m" };
    let mut add = |name, kind, systems: &[System], pinning, load: &[&str]| {
        let load = load.iter().map(|text| (*text).to_owned()).collect();
        all.push(Scenario { name, kind, load, floor: Vec::new(), systems: systems.to_vec(), pinning });
    };
    let ours = [System::FloorRing, System::FloorPwrite, System::Millrace];
    let large = |connections, partitions| {
        ["--bytes", bytes, "--warmup-bytes", warmup, "--connections", connections, "--partitions", partitions]
    };
    add("produce 64k c1 p1", Kind::Produce, &ours, Pinning::Split, &large("1", "1"));
    add("produce 64k c1 p16", Kind::Produce, &[FloorRing, System::Millrace], Pinning::Split, &large("1", "16"));
    add("produce 64k c4 p16", Kind::Produce, &[FloorRing, System::Millrace], Pinning::Split, &large("4", "16"));
    add("produce 64k c4 p1", Kind::Produce, &everyone, Pinning::Split, &large("4", "1"));
    let peers = [System::Millrace, System::Apache];
    let hundred = [&large("4", "1")[..], &["--record-bytes", "100"]].concat();
    add("produce 64k of 100 B, c4 p1", Kind::Produce, &peers, Pinning::Split, &hundred);
    let half = if quick { "128m" } else { "512m" };
    let small = ["--bytes", half, "--warmup-bytes", "64m", "--connections", "4", "--batch-bytes", "16k"];
    add("produce 16k c4 p1", Kind::Produce, &everyone, Pinning::Split, &small);
    let single = |bytes, connections| {
        [
            "--bytes",
            bytes,
            "--warmup-bytes",
            "16m",
            "--connections",
            connections,
            "--batch-bytes",
            "0",
            "--in-flight",
            "1",
        ]
    };
    let many = if quick { "64m" } else { "160m" };
    add("produce one 1k record, c64", Kind::Produce, &everyone, Pinning::Split, &single(many, "64"));
    let few = if quick { "8m" } else { "24m" };
    add("produce one 1k record, c1, one in flight", Kind::Produce, &everyone, Pinning::Split, &single(few, "1"));
    let fetch = |max: &'static str, region| {
        let bytes = if quick { "512m" } else { "2g" };
        ["--mode", "fetch", "--bytes", bytes, "--warmup-bytes", "512m", "--max-bytes", max, "--region-bytes", region]
    };
    let send = [FloorSend, System::Millrace, System::Apache];
    let sendfile = [FloorSendfile, System::Millrace, System::Apache];
    add("fetch 64k tail", Kind::FetchTail, &send, Pinning::Split, &fetch("64k", "24m"));
    add("fetch 1m tail", Kind::FetchTail, &send, Pinning::Split, &fetch("1m", "24m"));
    add("fetch 64k segment", Kind::FetchSegment, &sendfile, Pinning::Split, &fetch("64k", "64m"));
    add("fetch 1m segment", Kind::FetchSegment, &sendfile, Pinning::Split, &fetch("1m", "64m"));
    let sustained = if quick { "1g" } else { "10g" };
    let long = ["--bytes", sustained, "--warmup-bytes", warmup, "--connections", "4", "--partitions", "4"];
    add("sustained 64k, all cores", Kind::Produce, &peers, Pinning::Free, &long);
    let open =
        ["--bytes", half, "--warmup-bytes", "64m", "--connections", "4", "--partitions", "4", "--batch-bytes", "16k"];
    add("half load of Apache Kafka, all cores", Kind::OpenLoop, &peers, Pinning::Free, &open);
    all
}
