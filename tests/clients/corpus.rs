//! Real files of this machine go in by kcat and librdkafka with every codec, the broker is killed in
//! the middle of each, and everything acknowledged comes out byte-identical by every client.
//!
//! `MILLRACE_CORPUS_MB` sets how much each of the ten streams carries (default 20).

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::client::{CODECS, Client, Idempotence, Target};
use crate::librdkafka::{Deliveries, produce_counted};
use crate::record::Record;
use crate::support::install::run;
use crate::support::node::{Kind, Node};
use crate::support::wait::wait_for;
use crate::tools::{create_topic, get_offsets};
use crate::{kcat, librdkafka};

const PIECE_BYTES_MAX: usize = 600_000;
const FILES_PER_RUN: usize = 40;
const PRODUCE_LIMIT: Duration = Duration::from_secs(300);

#[test]
fn a_corpus_survives_kill_9_and_comes_out_by_every_client() {
    let mut node = Node::start(Kind::under_test(), &[]);
    create_topic(&node, "by-kcat", CODECS.len());
    create_topic(&node, "by-librdkafka", CODECS.len());
    let pieces = Pieces::gather(node.scratch());
    for (index, codec) in CODECS.iter().enumerate() {
        write_while_killed(&mut node, index, codec, &pieces);
    }
    let by_librdkafka = pieces.records();
    let by_kcat: Vec<Vec<Record>> = (0..CODECS.len()).map(|index| read_by_kcat(&node, index)).collect();
    thread::scope(|scope| {
        let (first, second) = Client::ALL.split_at(3);
        for group in [first, second] {
            let (node, by_librdkafka, by_kcat) = (&node, &by_librdkafka, &by_kcat);
            scope.spawn(move || {
                for client in group {
                    for (index, by_kcat) in by_kcat.iter().enumerate() {
                        client.expect(&target(node, "by-librdkafka", index), by_librdkafka);
                        client.expect(&target(node, "by-kcat", index), by_kcat);
                    }
                }
            });
        }
    });
    for (index, records) in by_kcat.iter().enumerate() {
        pieces.check_acknowledged(records, CODECS[index]);
    }
}

fn target(node: &Node, topic: &str, partition: usize) -> Target {
    let partition = i32::try_from(partition).expect("there are five codecs");
    Target { bootstrap: node.bootstrap(), topic: topic.into(), partition }
}

/// Both producers write the whole corpus; the broker is killed when both are well under way.
fn write_while_killed(node: &mut Node, index: usize, codec: &str, pieces: &Pieces) {
    let (kcat_target, librdkafka_target) = (target(node, "by-kcat", index), target(node, "by-librdkafka", index));
    let records = pieces.records();
    let deliveries = Deliveries::default();
    let runs_done = AtomicUsize::new(0);
    thread::scope(|scope| {
        let by_kcat = scope.spawn(|| pieces.write_by_kcat(&kcat_target, codec, &runs_done));
        let by_librdkafka =
            scope.spawn(|| produce_counted(&librdkafka_target, codec, Idempotence::On, &records, &deliveries));
        wait_for("both producers to be under way", PRODUCE_LIMIT, || {
            let ended = by_kcat.is_finished() || by_librdkafka.is_finished();
            let under_way = runs_done.load(Ordering::Relaxed) > 0 && deliveries.acknowledged() > records.len() / 10;
            (ended || under_way).then_some(())
        });
        node.kill9();
        node.start_again();
        by_kcat.join().expect("kcat resumes");
        let written = by_librdkafka.join().expect("the producer doesn't panic");
        written.unwrap_or_else(|problem| panic!("librdkafka with {codec} didn't resume: {problem}"));
    });
}

/// What kcat left in a partition, the records of broken attempts included.
fn read_by_kcat(node: &Node, index: usize) -> Vec<Record> {
    let wanted = format!("by-kcat:{index}:");
    let offsets = get_offsets(node, "by-kcat");
    let end = offsets.lines().find_map(|line| line.strip_prefix(&wanted)).expect("every partition has an end offset");
    let mut records = Vec::new();
    librdkafka::consume(&target(node, "by-kcat", index), end.parse().expect("it is a number"), &mut |record| {
        records.push(record)
    })
    .unwrap_or_else(|problem| panic!("reading by-kcat-{index}: {problem}"));
    records
}

/// The corpus in pieces that fit a record, each also a file for kcat.
struct Pieces {
    files: Vec<PathBuf>,
    contents: Vec<Vec<u8>>,
    start_ms: i64,
}

impl Pieces {
    fn gather(scratch: &Path) -> Pieces {
        let megabytes = std::env::var("MILLRACE_CORPUS_MB")
            .map_or(20, |text| text.parse().expect("MILLRACE_CORPUS_MB is a number"));
        let sysroot = run(std::process::Command::new("rustc").args(["--print", "sysroot"]))
            .expect("the tests are compiled by rustc");
        let sysroot = PathBuf::from(sysroot.trim());
        let sources = [
            sysroot.join("share"),
            sysroot.join("lib"),
            "/usr/share/doc".into(),
            "/usr/lib".into(),
            "/usr/share".into(),
        ];
        let mut contents: Vec<Vec<u8>> = Vec::new();
        let total = megabytes * 1_000_000;
        let mut bytes = 0;
        for (index, source) in sources.iter().enumerate() {
            // Each source fills its share of what is still missing, the last one all of it.
            let limit = bytes + (total - bytes) / (sources.len() - index);
            walk(source, &mut |file| {
                for piece in file.chunks(PIECE_BYTES_MAX) {
                    if bytes < limit {
                        bytes += piece.len();
                        contents.push(piece.to_vec());
                    }
                }
                bytes < limit
            });
        }
        assert!(bytes >= total / 2, "this machine has only {bytes} bytes of the corpus");
        let directory = scratch.join("corpus");
        fs::create_dir(&directory).expect("our directory is writable");
        let write = |(index, piece): (usize, &Vec<u8>)| {
            let file = directory.join(format!("{index:06}"));
            fs::write(&file, piece).expect("our directory is writable");
            file
        };
        let files = contents.iter().enumerate().map(write).collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970").as_millis();
        Pieces { files, contents, start_ms: i64::try_from(now).expect("milliseconds fit") - 600_000 }
    }

    fn records(&self) -> Vec<Record> {
        let record = |(index, piece): (usize, &Vec<u8>)| {
            let offset = i64::try_from(index).expect("a small count");
            let key = Some(format!("piece {index}").into_bytes());
            Record {
                offset,
                timestamp: Some(self.start_ms + offset),
                key,
                value: Some(piece.clone()),
                headers: Vec::new(),
            }
        };
        self.contents.iter().enumerate().map(record).collect()
    }

    /// Runs kcat over groups of files with acks=1; a run that fails is repeated whole, under another key.
    ///
    /// The key is `run.attempt`; [`Pieces::check_acknowledged`] looks only at the last attempt of each run.
    fn write_by_kcat(&self, target: &Target, codec: &str, runs_done: &AtomicUsize) {
        for (number, files) in self.files.chunks(FILES_PER_RUN).enumerate() {
            let mut attempt = 0;
            wait_for(&format!("a run of kcat with {codec} to succeed"), PRODUCE_LIMIT, || {
                attempt += 1;
                let mut kcat = kcat::command(target, "-P");
                kcat.args(["-z", codec, "-k", &format!("{number:05}.{attempt:05}")]);
                kcat.args(["-X", "acks=1", "-X", "retries=0", "-X", "linger.ms=5"]).args(files);
                run(&mut kcat).ok()
            });
            runs_done.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The last attempt of every run holds the whole corpus in order.
    fn check_acknowledged(&self, records: &[Record], codec: &str) {
        let key = |record: &Record| record.key.clone().expect("kcat wrote a key");
        let mut keys: Vec<Vec<u8>> = records.iter().map(key).collect::<HashSet<_>>().into_iter().collect();
        keys.sort_unstable();
        let last_attempts: HashSet<&Vec<u8>> = keys
            .iter()
            .enumerate()
            .filter(|(index, key)| keys.get(index + 1).is_none_or(|next| next[..5] != key[..5]))
            .map(|(_, key)| key)
            .collect();
        let acknowledged: Vec<&[u8]> = records
            .iter()
            .filter(|record| last_attempts.contains(&key(record)))
            .map(|record| record.value.as_deref().unwrap_or_default())
            .collect();
        assert_eq!(acknowledged.len(), self.contents.len(), "acknowledged records of kcat with {codec}");
        let same = acknowledged.iter().zip(&self.contents).all(|(read, written)| read == written);
        assert!(same, "what kcat wrote with {codec} comes out changed");
    }
}

/// Calls `each` with the content of every regular file below `directory`, in order of names, until it answers false.
fn walk(directory: &Path, each: &mut dyn FnMut(Vec<u8>) -> bool) -> bool {
    let Ok(entries) = fs::read_dir(directory) else {
        return true;
    };
    let mut entries: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    entries.sort();
    for path in entries {
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            continue;
        };
        let more = if metadata.is_dir() {
            walk(&path, each)
        } else if metadata.is_file() && metadata.len() > 0 {
            fs::read(&path).map_or(true, &mut *each)
        } else {
            true
        };
        if !more {
            return false;
        }
    }
    true
}
