//! The table of durability: what acks=all costs when it means the device, against the device itself and against Apache Kafka.

use crate::scenarios::{Bound, Check, Kind, Metric, Pinning, Scenario, check};
use crate::systems::System::{self, Apache, ApacheFlushed, FloorSync, Millrace, MillraceCached, MillraceUring};

use Bound::{AtMost, AtMostOf, AtMostOfOther, TimesAsGood, TimesFloor, TimesOther};
use Metric::{Amplification, CpuPerGb, P50, P99, RecoveryS, Requests, Throughput};

/// Scenarios of `disturbed.rs`.
pub const RECOVERY: &str = "recovery after kill -9";
/// The same after the loss of memory, too.
pub const RECOVERY_WITHOUT_MEMORY: &str = "recovery after a power cut";
/// A steady load beside another one.
pub const QUIET: &str = "durable 1k beside a writer";
/// Beside one whose topic's retention deletes segments all the time.
pub const RETENTION: &str = "durable 1k beside retention";
/// Beside one whose topic is compacted all the time.
pub const COMPACTION: &str = "durable 1k beside compaction";

/// Half of 16 requests of 64 KiB in one durable write after the other, into blocks that were only preallocated, as those of a segment.
const FRESH_ONE: &str = "device, 512 KiB, new blocks";
/// One write for each of the 16, into a file of its own.
const FRESH_MANY: &str = "device, 16 x 64 KiB, new blocks";

/// Every row.
pub const CHECKS: [Check; 31] = [
    check("durable 64k p1", Throughput, TimesOther("acks=1 64k p1", 0.8)),
    check("durable 64k p1", Throughput, TimesFloor("device, O_DSYNC 1 MiB", FloorSync, 0.8)),
    check("durable 64k p1", Throughput, TimesFloor(FRESH_ONE, FloorSync, 0.8)),
    check("durable 64k p16", Throughput, TimesOther("acks=1 64k p16", 0.8)),
    check("durable 64k p16", Throughput, TimesFloor("device, O_DSYNC 1 MiB", FloorSync, 0.8)),
    check("durable 64k p16", Throughput, TimesFloor(FRESH_MANY, FloorSync, 0.8)),
    check("durable 64k p1000", Throughput, TimesOther("durable 64k p1", 0.8)),
    check("durable 1k at low load", P50, AtMostOf(FloorSync, 1.5)),
    check("durable one 1k record, c64", Requests, TimesAsGood(FloorSync, 20.0)),
    check("durable 16k p1", Throughput, TimesAsGood(ApacheFlushed, 3.0)),
    check("durable 16k p1", P99, AtMostOf(ApacheFlushed, 1.0 / 3.0)),
    check("durable 16k p16", Throughput, TimesAsGood(ApacheFlushed, 3.0)),
    check("durable 16k p16", P99, AtMostOf(ApacheFlushed, 1.0 / 3.0)),
    check("durable 16k p100", Throughput, TimesAsGood(ApacheFlushed, 3.0)),
    check("durable 16k p100", P99, AtMostOf(ApacheFlushed, 1.0 / 3.0)),
    check("durable 64k p16", Throughput, TimesAsGood(Apache, 3.0)),
    check("durable 64k p16", CpuPerGb, TimesAsGood(Apache, 4.0)),
    check("durable 64k p1", Throughput, TimesAsGood(Apache, 3.0)),
    check("durable 64k p1", CpuPerGb, TimesAsGood(Apache, 4.0)),
    check("durable one 1k record, c64", Requests, TimesAsGood(Apache, 1.0)),
    check("durable 64k p16", Amplification, AtMost(1.1)),
    check("durable 64k p1", Amplification, AtMost(1.1)),
    check("durable one 1k record, c64", Amplification, AtMost(3.0)),
    check("durable one 1k record, c64 p16", Amplification, AtMost(3.0)),
    check("durable 64k p1", Throughput, TimesAsGood(MillraceCached, 1.0)),
    check("acks=1 64k p1", Throughput, TimesAsGood(MillraceCached, 1.0)),
    check("acks=1 64k p1", CpuPerGb, TimesAsGood(MillraceCached, 1.0)),
    check(RECOVERY, RecoveryS, AtMost(2.0)),
    check(RECOVERY_WITHOUT_MEMORY, RecoveryS, AtMost(2.0)),
    check(RETENTION, P99, AtMostOfOther(QUIET, 1.5)),
    check(COMPACTION, P99, AtMostOfOther(QUIET, 1.5)),
];

/// What epoll costs against io_uring, and what it must keep all the same; instead of the other rows with `--io epoll`.
pub const PRICE: [Check; 12] = [
    check("acks=1 64k p1", Throughput, TimesAsGood(MillraceUring, 0.6)),
    check("durable 64k p1", Throughput, TimesAsGood(MillraceUring, 0.6)),
    check("durable 64k p1", CpuPerGb, TimesAsGood(MillraceUring, 0.6)),
    check("durable 64k p16", Throughput, TimesAsGood(MillraceUring, 0.6)),
    check("durable 64k p16", CpuPerGb, TimesAsGood(MillraceUring, 0.6)),
    check("durable one 1k record, c64", Requests, TimesAsGood(MillraceUring, 0.6)),
    check("durable 1k at low load", P50, AtMostOf(MillraceUring, 1.5)),
    check("durable 64k p16", Amplification, AtMost(1.1)),
    check(RECOVERY, RecoveryS, AtMost(2.0)),
    check(RECOVERY_WITHOUT_MEMORY, RecoveryS, AtMost(2.0)),
    check(RETENTION, P99, AtMostOfOther(QUIET, 1.5)),
    check(COMPACTION, P99, AtMostOfOther(QUIET, 1.5)),
];

/// Writes a second at low load, of the client and of the raw program.
const LOW_RATE: &str = "200";

/// Every scenario.
pub fn all(quick: bool) -> Vec<Scenario> {
    let mut all = Vec::new();
    let mut add = |name, kind, systems: &[System], load: &[&str], floor: &[&str]| {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let (load, floor) = (owned(load), owned(floor));
        all.push(Scenario { name, kind, load, floor, systems: systems.to_vec(), pinning: Pinning::Free });
    };
    let bytes = if quick { "256m" } else { "1g" };
    let writes = if quick { "256" } else { "1024" };
    let device = ["--sync-writes", writes, "--sync-bytes", "1048576", "--threads", "4"];
    add("device, O_DSYNC 1 MiB", Kind::Counted, &[FloorSync], &[], &device);
    let (halves, singles) = if quick { ("512", "4096") } else { ("2048", "16384") };
    let fresh = |writes, bytes, threads| {
        ["--sync-writes", writes, "--sync-bytes", bytes, "--threads", threads, "--sync-fresh", "true"]
    };
    add(FRESH_ONE, Kind::Counted, &[FloorSync], &[], &fresh(halves, "524288", "1"));
    add(FRESH_MANY, Kind::Counted, &[FloorSync], &[], &fresh(singles, "65536", "16"));
    let count = if quick { "1000" } else { "5000" };
    let small = |how| ["--sync-writes", count, "--sync-bytes", "4096", "--sync-how", how];
    add("device, O_DIRECT + fdatasync 4 KiB", Kind::Counted, &[FloorSync], &[], &small("fdatasync"));
    add("device, page cache + fdatasync 4 KiB", Kind::Counted, &[FloorSync], &[], &small("cached"));
    // 16 requests in flight over 8 connections.
    let large = |acks, partitions| {
        let warmup = if partitions == "1000" { "128m" } else { "64m" };
        [
            "--bytes",
            bytes,
            "--warmup-bytes",
            warmup,
            "--connections",
            "8",
            "--in-flight",
            "2",
            "--acks",
            acks,
            "--partitions",
            partitions,
        ]
    };
    add("acks=1 64k p1", Kind::Counted, &[Millrace, MillraceCached], &large("1", "1"), &[]);
    add("durable 64k p1", Kind::Counted, &[Millrace, MillraceCached, Apache], &large("-1", "1"), &[]);
    add("acks=1 64k p16", Kind::Counted, &[Millrace], &large("1", "16"), &[]);
    add("durable 64k p16", Kind::Counted, &[Millrace, Apache], &large("-1", "16"), &[]);
    add("durable 64k p1000", Kind::Counted, &[Millrace], &large("-1", "1000"), &[]);
    let low = ["--bytes", "800k", "--warmup-bytes", "100k", "--batch-bytes", "0", "--acks", "-1", "--rate", LOW_RATE];
    let paced = ["--sync-writes", "800", "--sync-bytes", "4096", "--sync-how", "fdatasync", "--rate", LOW_RATE];
    add("durable 1k at low load", Kind::Produce, &[Millrace, FloorSync], &low, &paced);
    let many = if quick { "32m" } else { "128m" };
    let single = |partitions| {
        [
            "--bytes",
            many,
            "--warmup-bytes",
            "8m",
            "--connections",
            "64",
            "--in-flight",
            "1",
            "--batch-bytes",
            "0",
            "--acks",
            "-1",
            "--partitions",
            partitions,
        ]
    };
    let one = small("dsync");
    add("durable one 1k record, c64", Kind::Counted, &[Millrace, Apache, FloorSync], &single("1"), &one);
    add("durable one 1k record, c64 p16", Kind::Counted, &[Millrace], &single("16"), &[]);
    // Apache Kafka syncs each batch by itself: little is enough to know how long it takes.
    let flushed = |partitions| {
        let bytes = if quick { "16m" } else { "64m" };
        [
            "--bytes",
            bytes,
            "--warmup-bytes",
            "4m",
            "--connections",
            "8",
            "--in-flight",
            "2",
            "--batch-bytes",
            "16k",
            "--acks",
            "-1",
            "--partitions",
            partitions,
        ]
    };
    add("durable 16k p1", Kind::Counted, &[Millrace, ApacheFlushed], &flushed("1"), &[]);
    add("durable 16k p16", Kind::Counted, &[Millrace, ApacheFlushed], &flushed("16"), &[]);
    add("durable 16k p100", Kind::Counted, &[Millrace, ApacheFlushed], &flushed("100"), &[]);
    all
}
