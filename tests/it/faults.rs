//! Log directories that fail: refused writes, full file systems, directories that are not there. No test needs a device of its own:
//! a limit of file sizes (EFBIG) fails writes without losing what is there, a small tmpfs is a file system that is full.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use millrace::protocol::describe_log_dirs::DescribeLogDirsRequest;
use millrace::protocol::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};

use crate::calls::{
    batch, create_topic, describe_topic, fetch_request, list_offset, produce, produce_request, read_values,
};
use crate::groups::{commit, commit_request, committed, find_coordinator};
use crate::support::node::{Kind, Node};
use crate::support::ports::free_port;
use crate::support::wait::wait_for;
use crate::support::wire::Wire;

const LIMIT: Duration = Duration::from_secs(60);
const STORAGE_ERROR: i16 = 56;
const LEADER_NOT_AVAILABLE: i16 = 5;
/// A signal that ends a process at the first refused write, unless it is ignored.
const IGNORE_SIZE_SIGNAL: &str = "trap '' XFSZ; exec \"$@\"";
const TOPIC: &str = "spread";

/// A node with two log directories, and two partitions of one topic in each.
struct TwoDirs {
    node: Node,
    dirs: [PathBuf; 2],
    http: u16,
    /// What was acknowledged, by partition.
    written: BTreeMap<i32, Vec<Vec<u8>>>,
}

impl TwoDirs {
    fn start(script: impl FnOnce(&Path) -> String) -> TwoDirs {
        let http = free_port();
        let address = format!("127.0.0.1:{http}");
        // WAL files so small that the limits of the tests let them be made at any time.
        let overrides = [
            ("millrace.shards", "2"),
            ("millrace.http.listener", address.as_str()),
            ("millrace.wal.file.bytes", "4194304"),
        ];
        let mut node = Node::prepare(Kind::Millrace, &overrides);
        let dirs = ["one", "two"].map(|name| node.scratch().join(name));
        fs::create_dir(&dirs[1]).expect("our directory is writable");
        node.set("log.dirs", &format!("{},{}", dirs[0].display(), dirs[1].display()));
        node.start_by_script(&script(&dirs[1]));
        node.start_again();
        create_topic(&mut Wire::connect(&node), TOPIC, 4, &[("segment.bytes", "104857600")]);
        TwoDirs { node, dirs, http, written: BTreeMap::new() }
    }

    fn wire(&self) -> Wire {
        Wire::connect(&self.node)
    }

    /// The partitions in a directory.
    fn partitions_in(&self, dir: usize) -> Vec<i32> {
        let usage = self.wire().call(&DescribeLogDirsRequest { topics: None }, 4);
        let path = self.dirs[dir].display().to_string();
        let described = usage.results.iter().find(|result| *result.log_dir == *path).expect("it is in log.dirs");
        let topics = described.topics.iter().filter(|topic| &*topic.name == TOPIC);
        topics.flat_map(|topic| topic.partitions.iter().map(|partition| partition.partition_index)).collect()
    }

    /// Appends one record; remembers it if it was acknowledged.
    fn append(&mut self, wire: &mut Wire, partition: i32, acks: i16, len: usize) -> i16 {
        let values = self.written.entry(partition).or_default();
        let mut value = format!("{partition}/{}/", values.len()).into_bytes();
        value.resize(value.len() + len, b'x');
        let code = produce(wire, TOPIC, partition, acks, &batch(&[&value]).build()).error_code;
        if code == 0 {
            values.push(value);
        }
        code
    }

    /// Appends until the directory of the partition refuses.
    fn append_until_offline(&mut self, partition: i32) {
        let mut wire = self.wire();
        wait_for("a storage error", LIMIT, || {
            let code = self.append(&mut wire, partition, 1, 100_000);
            assert!(code == 0 || code == STORAGE_ERROR, "{code}");
            (code == STORAGE_ERROR).then_some(())
        });
    }

    /// The first directory serves, the second one is offline in everything that says so.
    fn assert_second_offline(&mut self, partitions: &[i32], healthy: &[i32]) {
        let mut wire = self.wire();
        for &partition in partitions {
            assert_eq!(self.append(&mut wire, partition, 1, 10), STORAGE_ERROR);
            assert_eq!(self.append(&mut wire, partition, -1, 10), STORAGE_ERROR);
            let fetched = wire.call(&fetch_request(TOPIC, partition, 0, 0), 11);
            assert_eq!(fetched.responses[0].partitions[0].error_code, STORAGE_ERROR);
            assert_eq!(list_offset_code(&mut wire, partition), STORAGE_ERROR);
        }
        for &partition in healthy {
            for acks in [1, -1] {
                assert_eq!(self.append(&mut wire, partition, acks, 10), 0);
            }
            assert_eq!(read_values(&mut wire, TOPIC, partition, 0), self.written[&partition]);
        }
        let usage = wire.call(&DescribeLogDirsRequest { topics: None }, 4);
        let codes: Vec<i16> = usage.results.iter().map(|result| result.error_code).collect();
        assert_eq!(codes, [0, STORAGE_ERROR]);
        assert!((1..usage.results[0].total_bytes).contains(&usage.results[0].usable_bytes));
        wait_for("the controller to hear of it", LIMIT, || {
            let described = describe_topic(&mut wire, TOPIC);
            let of = |index: &i32| &described.partitions[*index as usize];
            let gone = partitions.iter().all(|index| {
                let partition = of(index);
                partition.offline_replicas == [1]
                    && (partition.leader_id, partition.error_code) == (-1, LEADER_NOT_AVAILABLE)
            });
            let here = healthy.iter().all(|index| of(index).leader_id == 1 && of(index).offline_replicas.is_empty());
            (gone && here).then_some(())
        });
        let expected = [
            "kafka_log_logmanager_offlinelogdirectorycount 1".to_owned(),
            format!("kafka_server_replicamanager_offlinereplicacount {}", partitions.len()),
            format!("kafka_controller_kafkacontroller_offlinepartitionscount {}", partitions.len()),
        ];
        wait_for("the metrics to say so", LIMIT, || {
            let page = self.metrics();
            expected.iter().all(|line| page.lines().any(|other| other == line)).then_some(())
        });
        create_topic(&mut wire, "later", 4, &[]);
        assert_eq!(produce(&mut wire, "later", 3, -1, &batch(&[b"new"]).build()).error_code, 0);
    }

    fn assert_nothing_lost(&self) {
        let mut wire = self.wire();
        for (&partition, values) in &self.written {
            let read = wait_for("a leader", LIMIT, || {
                (list_offset_code(&mut wire, partition) == 0).then(|| read_values(&mut wire, TOPIC, partition, 0))
            });
            assert!(read == *values, "partition {partition}: {} of {} records", read.len(), values.len());
        }
    }

    fn metrics(&self) -> String {
        let mut socket = TcpStream::connect(("127.0.0.1", self.http)).expect("the HTTP port is open");
        socket.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("it listens");
        let mut page = String::new();
        socket.read_to_string(&mut page).expect("it answers");
        page
    }

    fn offline_lines(&self) -> usize {
        self.node.log().matches("log directory is offline").count()
    }
}

fn list_offset_code(wire: &mut Wire, partition: i32) -> i16 {
    let partitions = vec![ListOffsetsPartition { partition_index: partition, timestamp: -1, ..Default::default() }];
    let topics = vec![ListOffsetsTopic { name: TOPIC.into(), partitions }];
    let answer = wire.call(&ListOffsetsRequest { replica_id: -1, topics, ..Default::default() }, 5);
    answer.topics[0].partitions[0].error_code
}

/// From now on the broker's writes beyond `bytes` of a file fail with EFBIG.
fn limit_file_size(node: &Node, bytes: &str) {
    let limit = format!("--fsize={bytes}:");
    let limited = Command::new("prlimit").args(["--pid", &node.pid().to_string(), &limit]).status();
    assert!(limited.expect("prlimit runs").success());
}

#[test]
fn refused_write_takes_one_directory_offline_and_nothing_acknowledged_is_lost() {
    let mut test = TwoDirs::start(|_| IGNORE_SIZE_SIGNAL.to_owned());
    let (healthy, failing) = (test.partitions_in(0), test.partitions_in(1));
    assert_eq!((healthy.len(), failing.len()), (2, 2));
    let mut wire = test.wire();
    for partition in 0..4 {
        for _ in 0..5 {
            assert_eq!(test.append(&mut wire, partition, -1, 1000), 0);
        }
    }
    limit_file_size(&test.node, "6000000");
    test.append_until_offline(failing[0]);
    test.assert_second_offline(&failing, &healthy);
    assert_eq!(test.offline_lines(), 1, "one line per event");
    limit_file_size(&test.node, "unlimited");
    let mut wire = test.wire();
    assert_eq!(test.append(&mut wire, failing[0], 1, 10), STORAGE_ERROR, "it stays offline until the restart");
    test.node.stop();
    test.node.start_again();
    test.assert_nothing_lost();
    let mut wire = test.wire();
    assert_eq!(test.append(&mut wire, failing[0], -1, 10), 0);
    test.node.stop();
}

#[test]
fn groups_in_a_failed_directory_are_refused_and_come_back() {
    const NOT_COORDINATOR: i16 = 16;
    let mut test = TwoDirs::start(|_| IGNORE_SIZE_SIGNAL.to_owned());
    let failing = test.partitions_in(1);
    let mut wire = test.wire();
    let groups: Vec<String> = (0..30).map(|index| format!("group-{index}")).collect();
    find_coordinator(&mut wire, &groups[0]);
    groups.iter().for_each(|group| commit(&mut wire, group, TOPIC, &[(0, 5)]));
    limit_file_size(&test.node, "6000000");
    test.append_until_offline(failing[0]);
    let mut wire = test.wire();
    let refused: Vec<bool> = groups
        .iter()
        .map(|group| {
            let answer = wire.call(&commit_request(group, TOPIC, &[(0, 6)]), 8);
            let code = answer.topics[0].partitions[0].error_code;
            assert!(matches!(code, 0 | NOT_COORDINATOR), "{code}");
            code == NOT_COORDINATOR
        })
        .collect();
    assert!(refused.contains(&true) && refused.contains(&false), "the groups are in both directories");
    limit_file_size(&test.node, "unlimited");
    test.node.stop();
    test.node.start_again();
    let mut wire = test.wire();
    for (group, refused) in groups.iter().zip(refused) {
        wait_for("a coordinator", LIMIT, || {
            let offset = committed(&mut wire, group, TOPIC, 0);
            assert!(offset >= 5, "{group}: what was acknowledged is lost");
            (refused || offset == 6).then_some(())
        });
        commit(&mut wire, group, TOPIC, &[(0, 7)]);
    }
    test.node.stop();
}

#[test]
fn killed_with_a_directory_offline_nothing_acknowledged_is_lost() {
    let mut test = TwoDirs::start(|_| IGNORE_SIZE_SIGNAL.to_owned());
    let (healthy, failing) = (test.partitions_in(0), test.partitions_in(1));
    let mut wire = test.wire();
    for partition in 0..4 {
        assert_eq!(test.append(&mut wire, partition, -1, 1000), 0);
    }
    limit_file_size(&test.node, "6000000");
    test.append_until_offline(failing[1]);
    for partition in healthy {
        assert_eq!(test.append(&mut wire, partition, 1, 3000), 0);
    }
    test.node.kill9();
    test.node.start_again();
    test.assert_nothing_lost();
    test.node.stop();
}

#[test]
fn full_file_system_takes_its_directory_offline() {
    let mut test =
        TwoDirs::start(|second| format!("mount -t tmpfs -o size=8m none {} && exec \"$@\"", second.display()));
    let (healthy, failing) = (test.partitions_in(0), test.partitions_in(1));
    test.append_until_offline(failing[0]);
    test.assert_second_offline(&failing, &healthy);
    assert!(test.node.log().contains("No space left on device"), "{}", test.node.log_tail());
    test.node.stop();
}

#[test]
fn broker_stops_when_no_directory_is_left_and_comes_back_with_everything() {
    let mut node = Node::prepare(Kind::Millrace, &[("millrace.shards", "1")]);
    node.start_by_script(IGNORE_SIZE_SIGNAL);
    node.start_again();
    let mut wire = Wire::connect(&node);
    create_topic(&mut wire, "all", 1, &[]);
    let mut written = Vec::new();
    let mut append = |wire: &mut Wire, acks, len| {
        let value = vec![b'v'; len];
        let request = produce_request("all", 0, acks, batch(&[&value]).build());
        let code = wire.try_call(&request, 9).map(|answer| answer.responses[0].partition_responses[0].error_code);
        if let Ok(0) = code {
            written.push(value);
        }
        code
    };
    wait_for("a leader", LIMIT, || (append(&mut wire, -1, 10).expect("it lives") == 0).then_some(()));
    limit_file_size(&node, "1000000");
    while let Ok(0) = append(&mut wire, 1, 50_000) {}
    let status = node.wait_exit();
    assert_eq!(status.code(), Some(1), "{}", node.log_tail());
    let log = node.log();
    let said = log.lines().last().unwrap_or_default();
    assert!(said.contains("every directory of log.dirs has failed") && said.contains("File too large"), "{said}");
    node.start_again();
    let mut wire = Wire::connect(&node);
    wait_for("a leader", LIMIT, || (describe_topic(&mut wire, "all").partitions[0].leader_id == 1).then_some(()));
    assert!(read_values(&mut wire, "all", 0, 0) == written);
    node.stop();
}

#[test]
fn directory_that_is_gone_at_the_start_hides_nothing() {
    let mut test = TwoDirs::start(|_| "exec \"$@\"".to_owned());
    let (healthy, failing) = (test.partitions_in(0), test.partitions_in(1));
    let mut wire = test.wire();
    for partition in 0..4 {
        assert_eq!(test.append(&mut wire, partition, -1, 1000), 0);
    }
    for kill in [true, false] {
        if kill {
            test.node.kill9()
        } else {
            test.node.stop()
        }
        // A disk that is broken: its mount point is no directory.
        let away = test.node.scratch().join("away");
        fs::rename(&test.dirs[1], &away).expect("our directory is writable");
        fs::write(&test.dirs[1], "").expect("our directory is writable");
        test.node.start_again();
        let mut wire = test.wire();
        for &partition in &failing {
            assert_eq!(test.append(&mut wire, partition, 1, 10), STORAGE_ERROR);
            assert_eq!(list_offset_code(&mut wire, partition), STORAGE_ERROR);
        }
        for &partition in &healthy {
            wait_for("a leader", LIMIT, || (test.append(&mut wire, partition, -1, 10) == 0).then_some(()));
        }
        let described = describe_topic(&mut wire, TOPIC);
        let offline = |index: &i32| described.partitions[*index as usize].offline_replicas == [1];
        assert!(failing.iter().all(offline) && !healthy.iter().any(offline), "{described:?}");
        test.node.stop();
        fs::remove_file(&test.dirs[1]).expect("our directory is writable");
        fs::rename(&away, &test.dirs[1]).expect("our directory is writable");
        test.node.start_again();
        test.assert_nothing_lost();
    }
    // An empty directory in its place, as an unmounted disk leaves it, must not make partitions begin anew.
    test.node.stop();
    let away = test.node.scratch().join("away");
    fs::rename(&test.dirs[1], &away).expect("our directory is writable");
    fs::create_dir(&test.dirs[1]).expect("our directory is writable");
    test.node.start_again();
    let mut wire = test.wire();
    for &partition in &failing {
        assert_eq!(test.append(&mut wire, partition, 1, 10), STORAGE_ERROR);
    }
    assert!(test.node.log().contains("which is not in log.dirs"), "{}", test.node.log_tail());
    test.node.stop();
    fs::remove_dir_all(&test.dirs[1]).expect("our directory is writable");
    fs::rename(&away, &test.dirs[1]).expect("our directory is writable");
    test.node.start_again();
    test.assert_nothing_lost();
    test.node.stop();
}

#[test]
fn device_of_the_write_ahead_log_that_refuses_is_done_without() {
    let wal = tempfile::tempdir().expect("the temporary directory is writable");
    let dir = wal.path().display().to_string();
    let mut node = Node::prepare(Kind::Millrace, &[("millrace.shards", "1"), ("millrace.wal.dirs", &dir)]);
    node.start_by_script(IGNORE_SIZE_SIGNAL);
    node.start_again();
    let mut wire = Wire::connect(&node);
    create_topic(&mut wire, "without", 1, &[]);
    limit_file_size(&node, "1000000");
    for number in 0..20 {
        let answer = produce(&mut wire, "without", 0, -1, &batch(&[b"durable"]).build());
        assert_eq!((answer.error_code, answer.base_offset), (0, number));
    }
    wait_for("the line about it", LIMIT, || node.log().contains("write-ahead log is given up").then_some(()));
    assert_eq!(node.log().matches("write-ahead log is given up").count(), 1);
    node.kill9();
    drop(wal);
    node.start_again();
    let mut wire = Wire::connect(&node);
    wait_for("a leader", LIMIT, || (describe_topic(&mut wire, "without").partitions[0].leader_id == 1).then_some(()));
    assert_eq!(list_offset(&mut wire, "without", 0, -1), 20);
    node.stop();
}
