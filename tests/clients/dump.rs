//! `kafka-dump-log` of Apache Kafka reads every file of a data directory without complaint.

use std::fs;
use std::path::{Path, PathBuf};

use crate::client::{CODECS, Client, Idempotence, Target, awkward_records};
use crate::support::node::{Kind, Node};
use crate::tools::{create_topic, tool};

const DUMP: &str = "org.apache.kafka.tools.DumpLogSegments";

/// What the tool prints about a broken file; it ends with 0 even so.
const COMPLAINTS: [&str; 6] = ["mismatch", "isvalid: false", "Found ", "doesn't", "Exception", "out of order"];

#[test]
fn dump_log_reads_segments_indexes_snapshots_and_metadata_without_complaint() {
    let mut node = Node::start(Kind::under_test(), &[("log.index.interval.bytes", "256")]);
    create_topic(&node, "dumped", CODECS.len());
    let small = ["--bootstrap-server", &node.bootstrap(), "--entity-type", "topics", "--entity-name", "dumped"];
    let alter = ["--alter", "--add-config", "segment.bytes=1048576,index.interval.bytes=256"];
    tool("kafka.admin.ConfigCommand", &[&small[..], &alter[..]].concat()).ok();
    let mut records = awkward_records(200);
    records.iter_mut().step_by(3).for_each(|record| record.value = Some(vec![record.offset as u8; 9000]));
    for (partition, codec) in CODECS.iter().enumerate() {
        let partition = i32::try_from(partition).expect("there are five codecs");
        let target = Target { bootstrap: node.bootstrap(), topic: "dumped".into(), partition };
        for _ in 0..3 {
            Client::Librdkafka.produce(&target, codec, Idempotence::On, &records);
        }
    }
    node.stop();
    let data = node.data();
    let files = files_of(&data, "dumped-");
    for ending in ["log", "index", "timeindex", "snapshot"] {
        assert!(
            files.iter().any(|file| file.extension().is_some_and(|found| found == ending)),
            "no .{ending} in {files:?}"
        );
    }
    dump_data_of(&node, "dumped-");
    for file in files_of(&data, "__cluster_metadata-0") {
        dump_without_complaint(&file, &["--cluster-metadata-decoder"]);
    }
}

/// Has the tool read everything that a stopped node holds of topics whose names start with `prefix`.
pub fn dump_data_of(node: &Node, prefix: &str) {
    for file in files_of(&node.data(), prefix) {
        // Index files are checked against their segment, which lies beside them.
        dump_without_complaint(&file, &[]);
    }
}

/// Has the tool decode all that groups have written.
pub fn dump_groups_of(node: &Node) {
    for file in files_of(&node.data(), "__consumer_offsets-") {
        if file.extension().is_some_and(|ending| ending == "log") {
            dump_without_complaint(&file, &["--offsets-decoder"]);
        }
    }
}

fn dump_without_complaint(file: &Path, more: &[&str]) {
    let name = file.display().to_string();
    let deep = if name.ends_with(".log") { &["--deep-iteration"][..] } else { &[] };
    let out = tool(DUMP, &[&["--files", &name], deep, more].concat());
    let text = format!("{}{}", out.out, out.err);
    out.ok();
    let complaint = text.lines().find(|line| COMPLAINTS.iter().any(|complaint| line.contains(complaint)));
    assert!(complaint.is_none(), "{name}: {}", complaint.unwrap_or_default());
}

/// The files below directories that start with `prefix` which the tool can read, in order.
fn files_of(data: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = |directory: &Path| -> Vec<PathBuf> {
        let read = fs::read_dir(directory).expect("the data directory is there");
        read.map(|entry| entry.expect("the data directory can be read").path()).collect()
    };
    let mut files: Vec<PathBuf> = entries(data)
        .into_iter()
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)))
        .flat_map(|directory| entries(&directory))
        .filter(|file| {
            let ending = file.extension().map(|ending| ending.to_string_lossy().into_owned()).unwrap_or_default();
            ["log", "index", "timeindex", "txnindex", "snapshot", "checkpoint"].contains(&ending.as_str())
        })
        .collect();
    files.sort();
    files
}
