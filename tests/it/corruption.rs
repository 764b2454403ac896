//! Damaged files. A broker prepares topics and stops; each topic is damaged in its own way; the next broker must serve it whole, or
//! keep that partition alone offline with a line that names the file. Nothing may be lost in silence, and nothing may panic.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use millrace::protocol::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use millrace::record::Batches;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::calls::{batch, create_topic, fetch_request, produce};
use crate::support::node::{Kind, Node};
use crate::support::wait::wait_for;
use crate::support::wire::Wire;

const LIMIT: Duration = Duration::from_secs(60);
/// Each topic has so many records of so many bytes, one in a batch: three segments, the last one part-filled.
const RECORDS: usize = 10;
const RECORD_LEN: usize = 260_000;
const OFFLINE_CODES: [i16; 2] = [56, 5];
const SEEDS: u64 = 4;

/// What must become of a damaged topic.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    /// Every record is served.
    Whole,
    /// It is offline, and the log names this.
    Offline(&'static str),
}
use Then::{Offline, Whole};

/// A way to damage a partition's directory.
struct Case {
    name: &'static str,
    then: Then,
    damage: fn(&Path),
}

const fn case(name: &'static str, then: Then, damage: fn(&Path)) -> Case {
    Case { name, then, damage }
}

/// Everything that a hand can do to a partition.
const CASES: &[Case] = &[
    case("untouched", Whole, |_| ()),
    case("active-cut-in-a-batch", Offline(".log at position"), |dir| cut(&logs(dir)[2], -1)),
    case("active-cut-between-batches", Offline("below the recovery point"), |dir| {
        let path = &logs(dir)[2];
        let last = *batch_starts(path).last().expect("it has batches");
        cut(path, last as i64);
    }),
    case("active-zero-tail", Offline(".log at position"), |dir| zero_tail(&logs(dir)[2], 100_000)),
    case("active-emptied", Offline("below the recovery point"), |dir| cut(&logs(dir)[2], 0)),
    case("active-missing", Offline("below the recovery point"), |dir| remove(&logs(dir)[2])),
    case("active-garbage-behind", Whole, |dir| append(&logs(dir)[2], b"garbage")),
    case("last-batch-payload", Offline(".log at position"), |dir| flip_in_last_batch(dir, 70)),
    case("last-batch-base-offset", Offline(".log at position"), |dir| flip_in_last_batch(dir, 3)),
    case("last-batch-length", Offline(".log at position"), |dir| flip_in_last_batch(dir, 8)),
    case("last-batch-magic", Offline(".log at position"), |dir| flip_in_last_batch(dir, 16)),
    case("sealed-cut-in-a-batch", Offline("00000000000000000000.log"), |dir| cut(&logs(dir)[0], -1)),
    case("sealed-cut-between-batches", Offline("00000000000000000000.log"), |dir| {
        let path = &logs(dir)[0];
        cut(path, *batch_starts(path).last().expect("it has batches") as i64);
    }),
    case("sealed-emptied", Offline("00000000000000000000.log"), |dir| cut(&logs(dir)[0], 0)),
    case("first-missing", Offline("00000000000000000000.log"), |dir| remove(&logs(dir)[0])),
    case("middle-missing", Offline("the next segment starts at"), |dir| remove(&logs(dir)[1])),
    case("all-missing", Offline("below the recovery point"), |dir| logs(dir).iter().for_each(|path| remove(path))),
    case("doubled-segment", Offline("move one of the two away"), |dir| {
        let logs = logs(dir);
        fs::copy(&logs[0], dir.join("00000000000000000002.log")).expect("our own file");
    }),
    case("foreign-segment", Offline("the next segment starts at"), |dir| {
        write(&dir.join("09223372036854775807.log"), b"not a segment");
    }),
    case("segment-is-a-directory", Offline("00000000000000000000.log"), |dir| {
        let path = &logs(dir)[0];
        remove(path);
        fs::create_dir(path).expect("our own directory");
    }),
    case("indexes-missing", Whole, |dir| {
        of_kind(dir, "index").iter().chain(&of_kind(dir, "timeindex")).for_each(|path| remove(path));
    }),
    case("indexes-garbage", Whole, |dir| {
        of_kind(dir, "index").iter().for_each(|path| write(path, b"this is not an index, and not of its length"));
    }),
    case("time-indexes-garbage", Whole, |dir| {
        of_kind(dir, "timeindex").iter().for_each(|path| write(path, b"this is not an index, and not of its length"));
    }),
    case("indexes-cut", Whole, |dir| {
        of_kind(dir, "index").iter().chain(&of_kind(dir, "timeindex")).for_each(|path| cut(path, -3));
    }),
    case("indexes-zero", Whole, |dir| of_kind(dir, "index").iter().for_each(|path| zero_tail(path, 1 << 20))),
    case("leader-epochs-garbage", Whole, |dir| write(&dir.join("leader-epoch-checkpoint"), b"0\nmany\n")),
    case("leader-epochs-missing", Whole, |dir| remove(&dir.join("leader-epoch-checkpoint"))),
    case("producers-garbage", Whole, |dir| {
        of_kind(dir, "snapshot").iter().for_each(|path| write(path, b"nobody"));
    }),
    case("topic-id-garbage", Offline("partition.metadata"), |dir| {
        write(&dir.join("partition.metadata"), b"version: 0\ntopic_id: nobody");
    }),
    case("topic-id-missing", Offline("partition.metadata"), |dir| remove(&dir.join("partition.metadata"))),
    case("topic-id-of-another", Offline("the metadata says"), |dir| {
        write(&dir.join("partition.metadata"), b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAZg");
    }),
    case("foreign-files", Whole, |dir| {
        write(&dir.join("README.txt"), b"hello");
        write(&dir.join("00000000000000000000.bak"), b"hello");
        write(&dir.join("99999999999999999999.log"), b"hello");
        fs::create_dir(dir.join("lost+found")).expect("our own directory");
    }),
    case("directory-missing", Offline("is missing, though"), |dir| {
        fs::remove_dir_all(dir).expect("our own directory");
    }),
    case("directory-is-a-file", Offline("is missing, though"), |dir| {
        fs::remove_dir_all(dir).expect("our own directory");
        write(dir, b"no directory");
    }),
    case("directory-is-a-link", Whole, |dir| {
        let elsewhere = dir.with_extension("elsewhere");
        fs::rename(dir, &elsewhere).expect("our own directory");
        symlink(&elsewhere, dir).expect("links are possible");
    }),
    case("directory-is-a-dangling-link", Offline("is missing, though"), |dir| {
        fs::remove_dir_all(dir).expect("our own directory");
        symlink("/nonexistent", dir).expect("links are possible");
    }),
    case("segment-is-a-link", Whole, |dir| {
        let path = &logs(dir)[0];
        let elsewhere = dir.join("elsewhere");
        fs::rename(path, &elsewhere).expect("our own file");
        symlink(&elsewhere, path).expect("links are possible");
    }),
];

fn logs(dir: &Path) -> Vec<PathBuf> {
    let logs = of_kind(dir, "log");
    assert_eq!(logs.len(), 3, "{logs:?}");
    logs
}

fn of_kind(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("our own directory").map(|entry| entry.expect("readable").path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|other| other == extension)).collect();
    files.sort();
    files
}

fn remove(path: &Path) {
    fs::remove_file(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Cuts a file to `len` bytes, or by that many if it is negative.
fn cut(path: &Path, len: i64) {
    let file = fs::OpenOptions::new().write(true).open(path).expect("our own file");
    let have = file.metadata().expect("readable").len();
    let len = if len < 0 { have.saturating_sub(len.unsigned_abs()) } else { len as u64 };
    file.set_len(len).expect("our own file");
}

fn append(path: &Path, bytes: &[u8]) {
    fs::OpenOptions::new().append(true).open(path).and_then(|mut file| file.write_all(bytes)).expect("our own file");
}

fn zero_tail(path: &Path, len: u64) {
    let have = fs::metadata(path).expect("readable").len();
    cut(path, have.saturating_sub(len) as i64);
    fs::OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(have)).expect("our own file");
}

fn flip(path: &Path, position: u64) {
    let mut bytes = fs::read(path).expect("our own file");
    bytes[position as usize] ^= 0x10;
    write(path, &bytes);
}

fn batch_starts(path: &Path) -> Vec<u64> {
    let bytes = fs::read(path).expect("our own file");
    let mut starts = Vec::new();
    let mut position = 0;
    for batch in Batches::new(&bytes).map_while(Result::ok) {
        starts.push(position);
        position += batch.bytes.len() as u64;
    }
    starts
}

fn flip_in_last_batch(dir: &Path, at: u64) {
    let path = &logs(dir)[2];
    flip(path, batch_starts(path).last().expect("it has batches") + at);
}

fn value(topic: &str, number: usize) -> Vec<u8> {
    let mut value = format!("{topic}/{number}/").into_bytes();
    value.resize(RECORD_LEN, number as u8);
    value
}

/// A stopped node with whole topics of these names.
fn prepared(topics: &[&str]) -> Node {
    let node = Node::prepare(Kind::Millrace, &[("millrace.shards", "2"), ("log.segment.bytes", "1048576")]);
    let mut node = node;
    node.start_again();
    let mut wire = Wire::connect(&node);
    for topic in topics {
        create_topic(&mut wire, topic, 1, &[("segment.bytes", "1048576")]);
        for number in 0..RECORDS {
            let records = batch(&[&value(topic, number)]).build();
            assert_eq!(produce(&mut wire, topic, 0, 1, &records).error_code, 0);
        }
    }
    node.stop();
    node
}

/// What a client finds in a topic.
#[derive(Debug, PartialEq)]
enum Found {
    /// So many of the first records, and then nothing more.
    Records(usize),
    /// An error code, or a batch whose checksum tells the client that it is damaged.
    Told(i16),
}

fn read(wire: &mut Wire, topic: &str) -> Found {
    let mut offset = 0;
    loop {
        let answer = wire.call(&fetch_request(topic, 0, offset, 0), 11);
        let answer = &answer.responses[0].partitions[0];
        if answer.error_code != 0 {
            return Found::Told(answer.error_code);
        }
        let records = answer.records.clone().map(millrace::wire::Records::into_bytes).unwrap_or_default();
        if records.is_empty() {
            return Found::Records(offset as usize);
        }
        for batch in Batches::new(&records).map_while(Result::ok) {
            if !batch.crc_matches() {
                return Found::Told(2);
            }
            if batch.header.base_offset != offset {
                return Found::Records(offset as usize);
            }
            let number = offset as usize;
            assert!(batch.bytes.windows(16).any(|bytes| bytes == &value(topic, number)[..16]), "{topic} at {offset}");
            offset = batch.header.last_offset() + 1;
        }
    }
}

fn list_offset_code(wire: &mut Wire, topic: &str) -> i16 {
    let partitions = vec![ListOffsetsPartition { timestamp: -1, ..Default::default() }];
    let topics = vec![ListOffsetsTopic { name: topic.into(), partitions }];
    let request = ListOffsetsRequest { replica_id: -1, topics, ..Default::default() };
    wire.call(&request, 5).topics[0].partitions[0].error_code
}

fn refuse_panics(node: &Node) {
    let log = node.log();
    assert!(!log.contains("panicked"), "{}", node.log_tail());
}

#[test]
fn damaged_partitions_are_whole_or_offline_by_themselves() {
    let names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
    let mut node = prepared(&names);
    for case in CASES {
        (case.damage)(&node.data().join(format!("{}-0", case.name)));
    }
    assert_verify_finds_the_damage(&node.data());
    // Twice: the second start finds what the first one left.
    for round in 0..2 {
        node.start_again();
        let mut wire = Wire::connect(&node);
        let mut wrong = Vec::new();
        for case in CASES {
            let found = read(&mut wire, case.name);
            // After a crash what stands behind a gap is cut, as ever; nothing below the recovery point is touched.
            let then = if (case.name, round) == ("foreign-segment", 1) { Whole } else { case.then };
            let as_expected = match then {
                Whole => found == Found::Records(RECORDS),
                Offline(_) => {
                    matches!(found, Found::Told(code) if OFFLINE_CODES.contains(&code))
                        && list_offset_code(&mut wire, case.name) == 56
                        && produce(&mut wire, case.name, 0, -1, &batch(&[b"x"]).build()).error_code == 56
                }
            };
            let log = node.log();
            let lines = log.lines().filter(|line| line.contains(&format!("topic={} ", case.name)));
            let is_said = match then {
                Whole => true,
                Offline(named) => lines.clone().any(|line| line.contains("is offline") && line.contains(named)),
            };
            if !as_expected || !is_said {
                let lines: Vec<&str> = lines.collect();
                wrong.push(format!(
                    "round {round}, {}: expected {:?}, found {found:?}\n{}",
                    case.name,
                    case.then,
                    lines.join("\n")
                ));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
        refuse_panics(&node);
        if round == 0 { node.kill9() } else { node.stop() }
    }
}

/// `millrace log verify` names what a start would not accept, and what it would make anew.
fn assert_verify_finds_the_damage(data: &Path) {
    let (code, printed) = verify(data);
    let mut wrong = Vec::new();
    for case in CASES {
        let is_expected = match case.name {
            // Only the metadata knows.
            "topic-id-of-another" => false,
            name => case.then != Whole || name.contains("garbage") || name == "indexes-cut",
        };
        let is_named = printed.lines().any(|line| line.contains(&format!("/{}-0", case.name)));
        if is_expected != is_named {
            wrong.push(format!("{}: {}", case.name, if is_named { "named" } else { "not named" }));
        }
    }
    assert!(wrong.is_empty() && code == Some(1), "code {code:?}\n{}\n{printed}", wrong.join("\n"));
}

/// Runs `millrace log verify`; exit code and standard output.
pub fn verify(data: &Path) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_millrace")).args(["log", "verify"]).arg(data).output();
    let output = output.expect("our own binary can be started");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A copy of a prepared directory, to be damaged.
fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("our own directory");
    for entry in fs::read_dir(from).expect("our own directory").map(|entry| entry.expect("readable")) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("our own file");
        }
    }
}

struct DirCase {
    name: &'static str,
    /// What the broker says when it refuses to start; `None`: it serves everything.
    refusal: Option<&'static str>,
    damage: fn(&Path),
}

const DIR_CASES: &[DirCase] = &[
    DirCase {
        name: "checkpoints are garbage",
        refusal: None,
        damage: |data| {
            for name in ["recovery-point", "replication", "log-start", "cleaner"] {
                write(&data.join(format!("{name}-offset-checkpoint")), b"0\n3\ngarbage");
            }
        },
    },
    DirCase {
        name: "foreign files",
        refusal: None,
        damage: |data| {
            write(&data.join("notes.txt"), b"hello");
            fs::create_dir(data.join("holiday-pictures")).expect("our own directory");
            fs::create_dir(data.join("stray-7")).expect("our own directory");
            write(&data.join("holiday-3"), b"no directory");
        },
    },
    DirCase {
        name: "the metadata log has a torn end",
        refusal: None,
        damage: |data| append(&metadata_log(data), &[0, 0, 0, 0, 0, 0, 0, 99, 0, 0]),
    },
    DirCase {
        name: "the metadata log is damaged in the middle",
        refusal: Some("is damaged at byte"),
        damage: |data| flip(&metadata_log(data), 100),
    },
    DirCase {
        name: "the metadata log is missing",
        refusal: Some("there is no metadata log in"),
        damage: |data| fs::remove_dir_all(data.join("__cluster_metadata-0")).expect("our own directory"),
    },
    DirCase {
        name: "meta.properties is missing",
        refusal: Some("meta.properties"),
        damage: |data| remove(&data.join("meta.properties")),
    },
    DirCase {
        name: "meta.properties is garbage",
        refusal: Some("meta.properties"),
        damage: |data| write(&data.join("meta.properties"), b"version=7\nfoo"),
    },
    DirCase {
        name: "the directory belongs to another node",
        refusal: Some("node.id 7"),
        damage: |data| {
            let path = data.join("meta.properties");
            let text = fs::read_to_string(&path).expect("our own file").replace("node.id=1", "node.id=7");
            write(&path, text.as_bytes());
        },
    },
    DirCase {
        name: "the register of write-ahead logs is garbage",
        refusal: Some(".millrace-wal is damaged"),
        damage: |data| write(&data.join(".millrace-wal"), b"version=1\nrevision=x"),
    },
];

fn metadata_log(data: &Path) -> PathBuf {
    data.join("__cluster_metadata-0/00000000000000000000.log")
}

#[test]
fn damaged_log_directory_is_served_or_refused_in_one_sentence() {
    let mut node = prepared(&["kept"]);
    let original = node.data();
    for (nth, case) in DIR_CASES.iter().enumerate() {
        let copy = node.scratch().join(format!("copy-{nth}"));
        copy_dir(&original, &copy);
        (case.damage)(&copy);
        node.set("log.dirs", &copy.display().to_string());
        match case.refusal {
            None => {
                node.start_again();
                let found = wait_for("a leader", LIMIT, || match read(&mut Wire::connect(&node), "kept") {
                    Found::Told(5 | 6) => None,
                    found => Some(found),
                });
                assert_eq!(found, Found::Records(RECORDS), "{}", case.name);
                node.stop();
            }
            Some(refusal) => {
                node.spawn();
                let status = node.wait_exit();
                let log = node.log();
                let said = log.lines().last().unwrap_or_default();
                assert_eq!(status.code(), Some(1), "{}: {said}", case.name);
                assert!(said.contains(refusal), "{}: {said}", case.name);
            }
        }
        refuse_panics(&node);
        fs::remove_dir_all(&copy).expect("our own directory");
    }
}

/// Files that the mutator may damage: those of partitions.
fn partition_files(data: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(data).expect("our own directory").map(|entry| entry.expect("readable").path()) {
        if entry.is_dir() && !entry.ends_with("__cluster_metadata-0") {
            files.extend(fs::read_dir(&entry).expect("our own directory").map(|file| file.expect("readable").path()));
        }
    }
    files.sort();
    files
}

fn mutate(path: &Path, rng: &mut StdRng) -> String {
    let mut bytes = fs::read(path).expect("our own file");
    let len = bytes.len().max(1);
    let at = rng.random_range(0..len);
    let what = match rng.random_range(0..6) {
        0 => {
            bytes.truncate(at);
            format!("cut at {at}")
        }
        1 => {
            bytes.iter_mut().skip(at).for_each(|byte| *byte = 0);
            format!("zeroes from {at}")
        }
        2 => {
            bytes.iter_mut().skip(at).take(4096).for_each(|byte| *byte = rng.random());
            format!("garbage from {at}")
        }
        3 => {
            bytes.splice(0..0, std::iter::repeat_n(0xee, rng.random_range(1..100)));
            "more at the beginning".to_owned()
        }
        // Headers are small: without help they would never be hit.
        4 => {
            let at = at.min(60);
            bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << rng.random_range(0..8));
            format!("a bit at {at}")
        }
        _ => {
            bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << rng.random_range(0..8));
            format!("a bit at {at}")
        }
    };
    let mut file = fs::OpenOptions::new().write(true).truncate(true).open(path).expect("our own file");
    file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&bytes)).expect("our own file");
    format!("{}: {what}", path.display())
}

#[test]
fn mutated_files_never_lose_records_in_silence() {
    const TOPICS: [&str; 8] = ["m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7"];
    let mut node = prepared(&TOPICS);
    let original = node.data();
    for seed in 0..SEEDS {
        let copy = node.scratch().join(format!("seed-{seed}"));
        copy_dir(&original, &copy);
        let mut rng = StdRng::seed_from_u64(seed);
        let mut done = Vec::new();
        for topic in TOPICS {
            let of_topic: Vec<PathBuf> = partition_files(&copy)
                .into_iter()
                .filter(|path| path.starts_with(copy.join(format!("{topic}-0"))))
                .collect();
            done.push(mutate(&of_topic[rng.random_range(0..of_topic.len())], &mut rng));
        }
        node.set("log.dirs", &copy.display().to_string());
        node.start_again();
        let mut wire = Wire::connect(&node);
        for (topic, done) in TOPICS.iter().zip(&done) {
            let found = wait_for("a leader", LIMIT, || Some(read(&mut wire, topic)));
            let is_told = matches!(found, Found::Told(_));
            assert!(is_told || found == Found::Records(RECORDS), "seed {seed}: {topic} has {found:?} after {done}");
        }
        refuse_panics(&node);
        node.kill9();
        fs::remove_dir_all(&copy).expect("our own directory");
    }
}

#[test]
fn file_without_permission_takes_its_partition_offline() {
    let mut node = prepared(&["shut", "open"]);
    let path = logs(&node.data().join("shut-0"))[2].clone();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).expect("our own file");
    // The superuser reads what nobody may read.
    let is_readable = fs::File::open(&path).is_ok();
    node.start_again();
    let mut wire = Wire::connect(&node);
    assert_eq!(read(&mut wire, "open"), Found::Records(RECORDS));
    match is_readable {
        true => assert_eq!(read(&mut wire, "shut"), Found::Records(RECORDS)),
        false => assert_eq!(read(&mut wire, "shut"), Found::Told(56)),
    }
    node.stop();
}
