//! Millrace's tools against those of Apache Kafka, both asking the same Apache Kafka node: what they print on standard output
//! and their exit codes must be the same, byte for byte.
//!
//! Our tools write first (topics, records, quotas), and what they say then is compared with fixed texts. After that nothing
//! changes any more, and every case runs once in Java and once here. A Java machine takes a second or two to start, so a case
//! is worth its time only if it shows something new.

#[path = "../support/mod.rs"]
mod support;

mod cases;
mod groups;
mod perf;
mod program;
mod transactions;
mod verifiable;

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use cases::Case;
use program::{Finished, java_tool, millrace};
use support::node::{Kind, Node};

/// Java machines at a time.
const WORKERS: usize = 2;

/// Lines for the console producers: headers, key, value.
const LINES: &str = "h1:v1,h2:\tk1\tv1\nh1:NULL\tk2\tNULL\nNULL\tk3\tv3\twith a tab\nh:x\tNULL\tschön\n";
const PRODUCER_PROPERTIES: [&str; 3] = ["parse.key=true", "parse.headers=true", "null.marker=NULL"];

#[test]
fn tools_print_what_those_of_kafka_print() {
    let node = Node::start(Kind::Apache, &[]);
    let server = node.bootstrap();
    write_with_our_tools(&server, node.scratch());
    write_with_java(&server);
    let files = node.scratch().join("files");
    copy_log(&node.data().join("golden-0"), &files.join("golden-0"));
    copy_log(&node.data().join("codecs-0"), &files.join("codecs-0"));
    copy_log(&node.data().join("__cluster_metadata-0"), &files.join("metadata"));
    fs::copy(node.data().join("bootstrap.checkpoint"), files.join("bootstrap.checkpoint")).expect("the file is there");
    craft(&files.join("crafted"));
    let cases = cases::all(&server, &files, &node.write_config());
    compare_all(&cases);
}

/// Runs every case in Java and here; fails with all differences.
fn compare_all(cases: &[Case]) {
    let findings = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(finding) = compare(case) {
                        findings.lock().expect("no thread panics while it holds the list").push(finding);
                    }
                }
            });
        }
    });
    let findings = findings.into_inner().expect("all threads have ended");
    assert!(findings.is_empty(), "{} of {} cases differ\n\n{}", findings.len(), cases.len(), findings.join("\n\n"));
}

/// Runs both tools; the difference, if there is one.
fn compare(case: &Case) -> Option<String> {
    let ours = millrace(case.tool, &case.args, "");
    let theirs = java_tool(case.class, &case.args, "");
    let shown = |finished: &Finished| (case.mask)(&finished.stdout);
    if (shown(&ours), ours.code) == (shown(&theirs), theirs.code) {
        return None;
    }
    Some(format!("{} {}\n--- Kafka {}\n+++ Millrace {}", case.tool, case.args.join(" "), theirs, ours))
}

fn write_with_our_tools(server: &str, scratch: &Path) {
    let run = |tool: &str, args: &str, stdin: &str| {
        let mut all = vec!["--bootstrap-server".to_string(), server.to_string()];
        all.extend(args.split(' ').map(str::to_string));
        let finished = millrace(tool, &all, stdin);
        assert_eq!(finished.code, Some(0), "{tool} {args}: {finished}");
        finished.stdout
    };
    let created = run(
        "kafka-topics",
        "--create --topic golden --partitions 1 --config retention.ms=86400000 --config segment.bytes=1048576",
        "",
    );
    assert_eq!(created, "Created topic golden.\n");
    run("kafka-topics", "--create --topic codecs", "");
    for (name, rest) in
        [("golden", "--metrics org.apache.,x --match client_id=a.*,client_source_port=1"), ("other", "--interval 1000")]
    {
        let altered = run("kafka-client-metrics", &format!("--alter --name {name} {rest}"), "");
        assert_eq!(altered, format!("Altered client metrics config for {name}.\n"));
    }
    run("kafka-client-metrics", "--alter --name gone --metrics *", "");
    let deleted = run("kafka-client-metrics", "--delete --name gone", "");
    assert_eq!(deleted, "Deleted client metrics config for gone.\n");
    run("kafka-topics", "--create --topic byjava", "");
    assert_eq!(run("kafka-topics", "--create --topic golden --if-not-exists", ""), "");
    assert_eq!(run("kafka-topics", "--alter --topic codecs --partitions 2", ""), "");
    let properties = PRODUCER_PROPERTIES.map(|property| format!(" --reader-property {property}")).concat();
    run("kafka-console-producer", &format!("--topic golden --sync{properties}"), LINES);
    let many: String = (0..2000).map(|number| format!("line {number}\n")).collect();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        run("kafka-console-producer", &format!("--topic codecs --compression-codec {codec}"), &many);
    }
    let offsets = scratch.join("offsets.json");
    fs::write(&offsets, r#"{"partitions": [{"topic": "golden", "partition": 0, "offset": 1}]}"#).expect("writable");
    let deleted = run("kafka-delete-records", &format!("--offset-json-file {}", offsets.display()), "");
    assert_eq!(
        deleted,
        "Executing records delete operation\nRecords delete operation completed:\npartition: golden-0\tlow_watermark: 1\n"
    );
    let altered = run(
        "kafka-configs",
        "--alter --topic codecs --add-config cleanup.policy=[compact,delete],segment.ms=10000000",
        "",
    );
    assert_eq!(altered, "Completed updating config for topic codecs.\n");
    run("kafka-configs", "--alter --user alice --add-config consumer_byte_rate=1048576,request_percentage=12.5", "");
    assert_eq!(
        run("kafka-configs", "--alter --broker-defaults --add-config log.cleaner.threads=2", ""),
        "Completed updating default config for brokers in the cluster.\n"
    );
}

/// The same lines, so that a consumer must show the same records.
fn write_with_java(server: &str) {
    let mut args = vec!["--bootstrap-server", server, "--topic", "byjava"];
    args.extend(PRODUCER_PROPERTIES.iter().flat_map(|property| ["--reader-property", *property]));
    let args: Vec<String> = args.into_iter().map(str::to_string).collect();
    let finished = java_tool("org.apache.kafka.tools.ConsoleProducer", &args, LINES);
    assert_eq!(finished.code, Some(0), "{finished}");
    let read = |topic: &str, offset: &str| {
        let shown = "print.key=true print.headers=true print.value=true".split(' ');
        let mut args = vec!["--bootstrap-server", server, "--topic", topic, "--partition", "0", "--offset", offset];
        args.extend(["--timeout-ms", "2000"]);
        args.extend(shown.flat_map(|property| ["--formatter-property", property]));
        let args: Vec<String> = args.into_iter().map(str::to_string).collect();
        millrace("kafka-console-consumer", &args, "").stdout
    };
    assert_eq!(read("golden", "1"), read("byjava", "1"));
    assert_eq!(
        read("byjava", "earliest"),
        "h1:v1,h2:\tk1\tv1\nh1:null\tk2\tnull\nNO_HEADERS\tk3\tv3\twith a tab\nh:x\tnull\tschön\n"
    );
}

/// Files that a broker writes only when it rolls, stops or aborts a transaction.
fn craft(to: &Path) {
    fs::create_dir_all(to).expect("the scratch directory is writable");
    let mut producers = Vec::new();
    producers.extend(2i32.to_be_bytes());
    for (producer_id, last_offset, first_in_txn) in [(7i64, 41i64, 30i64), (8, -1, -1)] {
        producers.extend(producer_id.to_be_bytes());
        producers.extend(3i16.to_be_bytes());
        producers.extend((if last_offset < 0 { -1i32 } else { 17 }).to_be_bytes());
        producers.extend(last_offset.to_be_bytes());
        producers.extend(5i32.to_be_bytes());
        producers.extend(1_700_000_000_000i64.to_be_bytes());
        producers.extend(2i32.to_be_bytes());
        producers.extend(first_in_txn.to_be_bytes());
    }
    let crc = millrace::record::crc32c(&producers);
    let snapshot = [&1i16.to_be_bytes()[..], &crc.to_be_bytes(), &producers].concat();
    fs::write(to.join("00000000000000000000.snapshot"), snapshot).expect("the scratch directory is writable");
    let aborted = [7i64, 10, 20, 15].map(i64::to_be_bytes).concat();
    let aborted = [&0i16.to_be_bytes()[..], &aborted].concat();
    fs::write(to.join("00000000000000000000.txnindex"), aborted).expect("the scratch directory is writable");
}

/// A copy of the segment files of a partition, so that both tools read the same bytes.
fn copy_log(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the scratch directory is writable");
    for entry in fs::read_dir(from).expect("the partition has a directory") {
        let entry = entry.expect("the directory is readable");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("the file is readable");
    }
}
