//! The write-ahead log: what was acknowledged with acks=all is there after the loss of everything that only memory held.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use bytes::Bytes;

use crate::calls::{batch, create_topic, list_offset, produce, produce_request, read_values};
use crate::support::node::{Kind, Node};
use crate::support::wait::wait_for;
use crate::support::wire::Wire;

const PARTITIONS: i32 = 8;
const LIMIT: Duration = Duration::from_secs(60);
const STORAGE_ERROR: i16 = 56;

/// A node whose segments get nothing by the clock, and whose memory can be taken away.
struct Machine {
    node: Node,
    memory: tempfile::TempDir,
}

impl Machine {
    fn start(overrides: &[(&str, &str)]) -> Machine {
        let memory = tempfile::tempdir_in("/dev/shm").expect("shared memory is writable");
        let tail_dir = memory.path().display().to_string();
        let mut own = vec![
            ("millrace.tail.dir", tail_dir.as_str()),
            ("millrace.tail.flush.ms", "3600000"),
            ("millrace.shards", "2"),
        ];
        own.extend(overrides);
        let mut node = Node::prepare(Kind::Millrace, &own);
        node.start_again();
        Machine { node, memory }
    }

    /// What a reboot leaves: files, no shared memory.
    fn lose_memory(&self) {
        let mut lost = 0;
        for entry in fs::read_dir(self.memory.path()).expect("readable") {
            fs::remove_file(entry.expect("readable").path()).expect("removable");
            lost += 1;
        }
        assert!(lost > 0, "the killed broker left its tails");
    }

    fn wal_files(&self) -> Vec<PathBuf> {
        wal_files(&self.node.data())
    }
}

fn wal_files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("readable").map(|entry| entry.expect("readable").path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "wal")).collect()
}

fn record(partition: i32, number: usize) -> Bytes {
    let filler = vec![b'a' + (number % 26) as u8; (number * 37) % 3000];
    batch(&[&[format!("{partition}/{number}/").as_bytes(), &filler].concat()]).build()
}

/// Writes numbered records with acks=all until the broker dies; returns how many were acknowledged.
fn write_until_killed(node: &Node, partition: i32, first: usize) -> usize {
    let mut wire = Wire::connect(node);
    let mut next = first;
    while let Ok(answer) = wire.try_call(&produce_request("durable", partition, -1, record(partition, next)), 9) {
        match answer.responses[0].partition_responses[0].error_code {
            0 => next += 1,
            // The partition has no leader yet.
            3 | 6 => {}
            code => panic!("the broker refuses with {code}"),
        }
    }
    next
}

/// Has records written to all partitions, kills the broker with -9 in the middle; returns how many of each were acknowledged.
fn write_and_kill(node: &mut Node, known: &[usize]) -> Vec<usize> {
    let acknowledged = thread::scope(|scope| {
        let shared = &*node;
        let writers: Vec<_> = (0..PARTITIONS)
            .map(|partition| {
                let first = known[partition as usize];
                scope.spawn(move || write_until_killed(shared, partition, first))
            })
            .collect();
        let mut wire = Wire::connect(shared);
        let wanted = known[0] as i64 + 300;
        wait_for("enough records", LIMIT, || (list_offset(&mut wire, "durable", 0, -1) >= wanted).then_some(()));
        let killed = std::process::Command::new("kill").arg("-KILL").arg(shared.pid().to_string()).status();
        assert!(killed.is_ok_and(|status| status.success()));
        writers.into_iter().map(|writer| writer.join().expect("the writer doesn't panic")).collect()
    });
    node.wait_exit();
    acknowledged
}

/// Checks that each partition begins with the acknowledged records, and answers how many there are.
fn check(node: &Node, acknowledged: &[usize]) -> Vec<usize> {
    let mut wire = Wire::connect(node);
    let mut found = Vec::new();
    for partition in 0..PARTITIONS {
        let values = read_values(&mut wire, "durable", partition, 0);
        let wanted = acknowledged[partition as usize];
        assert!(values.len() >= wanted, "{} of {wanted} records of partition {partition}", values.len());
        for (number, value) in values.iter().enumerate() {
            assert!(
                value.starts_with(format!("{partition}/{number}/").as_bytes()),
                "partition {partition} has another record at {number}"
            );
        }
        found.push(values.len());
    }
    found
}

#[test]
fn acks_all_survives_the_loss_of_memory_and_a_changed_number_of_shards() {
    let mut machine = Machine::start(&[("log.segment.bytes", "1048576")]);
    create_topic(&mut Wire::connect(&machine.node), "durable", PARTITIONS, &[]);
    let mut known = vec![0; PARTITIONS as usize];
    for shards in ["1", "2", "1", "2"] {
        let acknowledged = write_and_kill(&mut machine.node, &known);
        assert!(!machine.wal_files().is_empty());
        machine.lose_memory();
        machine.node.set("millrace.shards", shards);
        machine.node.start_again();
        known = check(&machine.node, &acknowledged);
        assert!(machine.node.log().contains("write-ahead log replayed"));
    }
    machine.node.stop();
    assert!(machine.wal_files().is_empty(), "a clean stop leaves no write-ahead log");
    let before = machine.node.log().matches("write-ahead log replayed").count();
    machine.node.start_again();
    assert_eq!(check(&machine.node, &known), known);
    assert_eq!(machine.node.log().matches("write-ahead log replayed").count(), before, "nothing is left to replay");
    machine.node.stop();
}

#[test]
fn small_ring_of_files_is_used_again_under_load() {
    let mut machine = Machine::start(&[("millrace.wal.file.bytes", "4194304"), ("millrace.wal.files", "2")]);
    let mut wire = Wire::connect(&machine.node);
    create_topic(&mut wire, "ring", 2, &[]);
    let value = vec![b'v'; 20_000];
    let records = batch(&[&value]).build();
    // Several times what both files hold.
    for number in 0..1200 {
        let answer = produce(&mut wire, "ring", number % 2, -1, &records);
        assert_eq!((answer.error_code, answer.base_offset), (0, i64::from(number / 2)));
    }
    assert!(!machine.wal_files().is_empty() && machine.wal_files().len() <= 4);
    machine.node.kill9();
    machine.lose_memory();
    machine.node.start_again();
    let mut wire = Wire::connect(&machine.node);
    for partition in 0..2 {
        assert_eq!(read_values(&mut wire, "ring", partition, 0).len(), 600);
    }
    machine.node.stop();
}

#[test]
fn emptied_write_ahead_log_refuses_the_start_until_the_loss_is_accepted() {
    let wal = tempfile::tempdir().expect("the temporary directory is writable");
    let wal_dir = wal.path().display().to_string();
    let mut machine = Machine::start(&[("millrace.wal.dirs", &wal_dir)]);
    create_topic(&mut Wire::connect(&machine.node), "durable", PARTITIONS, &[]);
    write_and_kill(&mut machine.node, &[0; PARTITIONS as usize]);
    let files = wal_files(wal.path());
    assert!(!files.is_empty() && machine.wal_files().is_empty());
    files.iter().for_each(|file| fs::remove_file(file).expect("removable"));
    machine.lose_memory();

    machine.node.spawn();
    assert!(!machine.node.wait_exit().success());
    let log = machine.node.log();
    let said = log.lines().last().unwrap_or_default();
    assert!(said.contains(&wal_dir) && said.contains("it is missing") && said.contains("--accept-wal-loss"), "{said}");

    machine.node.add_argument("--accept-wal-loss");
    machine.node.start_again();
    let mut wire = Wire::connect(&machine.node);
    wait_for("a leader", LIMIT, || (produce(&mut wire, "durable", 0, -1, &record(0, 0)).error_code == 0).then_some(()));
    machine.node.stop();
}

#[test]
fn full_disk_of_the_write_ahead_log_refuses_acks_all_until_there_is_room() {
    let home = tempfile::tempdir().expect("the temporary directory is writable");
    let dir = home.path().display().to_string();
    let mut node = Node::prepare(Kind::Millrace, &[("millrace.wal.dirs", &dir), ("millrace.shards", "1")]);
    node.start_by_script(&format!(
        "mount -t tmpfs -o size=16m none {dir} && head -c 14000000 /dev/zero > {dir}/filler && exec \"$@\""
    ));
    node.start_again();
    let mut wire = Wire::connect(&node);
    create_topic(&mut wire, "full", 1, &[]);
    let mut number = 0;
    let mut durable = |wire: &mut Wire| {
        number += 1;
        produce(wire, "full", 0, -1, &record(0, number)).error_code
    };
    wait_for("a refusal", LIMIT, || (durable(&mut wire) == STORAGE_ERROR).then_some(()));
    assert_eq!(produce(&mut wire, "full", 0, 1, &record(0, 0)).error_code, 0, "acks=1 needs no device");
    // The mount is seen only by the broker.
    fs::remove_file(format!("/proc/{}/root{dir}/filler", node.pid())).expect("removable");
    wait_for("the end of the refusals", LIMIT, || (durable(&mut wire) == 0).then_some(()));
    for _ in 0..20 {
        assert_eq!(durable(&mut wire), 0);
    }
    node.stop();
}
