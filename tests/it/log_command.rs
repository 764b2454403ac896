//! `millrace log` on the directories of real brokers.

use std::fs;
use std::process::Command;

use crate::calls::{batch, create_topic, produce};
use crate::corruption::verify;
use crate::support::node::{Kind, Node};
use crate::support::wire::Wire;

/// A node whose tail is written by the clock alone, so that the write-ahead log is needed.
fn node() -> Node {
    Node::prepare(Kind::Millrace, &[("millrace.shards", "1"), ("millrace.tail.flush.ms", "3600000")])
}

fn write(node: &Node, count: usize) {
    let mut wire = Wire::connect(node);
    for number in 0..count {
        let records = batch(&[format!("record {number}").as_bytes(), &[b'x'; 3000]]).build();
        assert_eq!(produce(&mut wire, "verified", 0, -1, &records).error_code, 0);
    }
}

#[test]
fn whole_directory_has_no_findings_after_a_stop_or_a_kill() {
    let mut node = node();
    node.start_again();
    create_topic(&mut Wire::connect(&node), "verified", 1, &[("segment.bytes", "1048576")]);
    write(&node, 50);
    node.kill9();
    let (code, printed) = verify(&node.data());
    assert_eq!((code, printed.lines().count()), (Some(0), 1), "{printed}");
    node.start_again();
    write(&node, 500);
    node.stop();
    let (code, printed) = verify(&node.data());
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("2 partitions") && printed.trim_end().ends_with("all is well"), "{printed}");
}

#[test]
fn missing_file_of_the_write_ahead_log_is_a_finding_and_what_is_there_can_be_dumped() {
    let mut node = node();
    node.start_again();
    create_topic(&mut Wire::connect(&node), "verified", 1, &[]);
    write(&node, 50);
    node.kill9();
    let entries = fs::read_dir(node.data()).expect("readable").map(|entry| entry.expect("readable").path());
    let file = entries.filter(|path| path.extension().is_some_and(|extension| extension == "wal")).min();
    let file = file.expect("acks=all made one");
    let dump = Command::new(env!("CARGO_BIN_EXE_millrace"))
        .args(["log", "dump", "--deep-iteration", "--files"])
        .arg(&file)
        .output()
        .expect("our own binary can be started");
    let printed = String::from_utf8_lossy(&dump.stdout);
    assert!(dump.status.success(), "{printed}");
    for expected in
        ["WAL file number: ", "sequence: 1 position: 4096", "| entry: 1 topicId: ", "|   baseOffset: ", "isvalid: true"]
    {
        assert!(printed.contains(expected), "{expected} is not in\n{printed}");
    }
    fs::remove_file(&file).expect("removable");
    let (code, printed) = verify(&node.data());
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("it is missing") && printed.contains("--accept-wal-loss"), "{printed}");
}

#[test]
fn directory_that_cannot_be_read_ends_with_code_2() {
    let output = Command::new(env!("CARGO_BIN_EXE_millrace")).args(["log", "verify", "/nonexistent"]).output();
    let output = output.expect("our own binary can be started");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent can't be read"));
    let output = Command::new(env!("CARGO_BIN_EXE_millrace")).args(["log", "mend", "/tmp"]).output();
    let output = output.expect("our own binary can be started");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("mend"));
}
