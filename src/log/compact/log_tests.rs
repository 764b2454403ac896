//! Compaction of logs on real files: what readers see, what restarts and crashes find.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::compact::{Compacted, CompactionBudget, Knowledge};
use super::*;
use crate::record::{BatchBuilder, Decompressor, decode_records};

const KEYS: i64 = 7;

fn small_segments() -> LogConfig {
    LogConfig { segment_bytes: 2_000, index_interval_bytes: 200, file_delete_delay_ms: 0, ..LogConfig::default() }
}

/// The value of the record at `offset`.
fn value(offset: i64) -> Vec<u8> {
    format!("value of {offset}, made longer by some bytes").into_bytes()
}

/// Appends batches of three records; the keys come round.
fn fill_keyed(log: &Log, batches: usize) {
    for _ in 0..batches {
        let base = log.log_end_offset();
        let mut builder = BatchBuilder::new();
        for offset in base..base + 3 {
            let key = format!("key {}", offset % KEYS);
            builder = builder.append(1_000 + offset, Some(key.as_bytes()), Some(&value(offset)), &[]);
        }
        append(log, &builder.build()).expect("appended");
    }
}

/// Waits until all segments but the active one are sealed.
async fn sealed(log: &Log) {
    log.flush().await.expect("flush");
    while log.0.borrow().first_writable() + 1 < log.0.borrow().segments.len() {
        sleep(std::time::Duration::from_millis(5)).await;
    }
}

fn knowledge(log: &Log) -> Knowledge {
    let upper_bound = log.segments().last().expect("active").base_offset;
    Knowledge { now_ms: 5_000, delete_retention_ms: 1_000, upper_bound, ..Knowledge::default() }
}

fn budget() -> CompactionBudget {
    CompactionBudget { map_bytes: 1 << 20, bytes_per_second: f64::MAX, stop: Arc::new(AtomicBool::new(false)) }
}

async fn compact(log: &Log) -> Compacted {
    sealed(log).await;
    log.compact(knowledge(log), budget()).await.expect("readable").expect("something to do")
}

/// All records by offset.
async fn records(log: &Log) -> BTreeMap<i64, (Vec<u8>, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let (mut offset, end) = (log.log_start_offset(), log.log_end_offset());
    while offset < end {
        let request = ReadRequest { offset, upper_bound: end, max_bytes: 700, first_batch: FirstBatch::Whole };
        let bytes = log.read_bytes(request).await.expect("read");
        assert!(!bytes.is_empty(), "nothing at {offset} of {end}");
        for batch in Batches::new(&bytes) {
            let batch = batch.expect("valid");
            assert!(batch.crc_matches());
            let mut decompressor = Decompressor::default();
            for record in decode_records(&batch, &mut decompressor, 1 << 20).expect("valid") {
                let record = record.expect("valid");
                let pair = (record.key.expect("keyed").to_vec(), record.value.expect("a value").to_vec());
                assert!(found.insert(record.offset, pair).is_none(), "offset {} twice", record.offset);
            }
            offset = batch.header.last_offset() + 1;
        }
    }
    found
}

/// Below `compacted_to` only the newest of each key is left; behind it everything; and each record is what was written.
async fn check_compacted(log: &Log, compacted_to: i64) {
    let found = records(log).await;
    for offset in log.log_start_offset()..log.log_end_offset() {
        let is_newest = offset + KEYS >= compacted_to;
        assert_eq!(found.contains_key(&offset), is_newest, "offset {offset}, compacted to {compacted_to}");
    }
    for (offset, (key, found)) in &found {
        assert_eq!((key, found), (&format!("key {}", offset % KEYS).into_bytes(), &value(*offset)));
    }
}

#[test]
fn the_newest_of_each_key_stays_over_stops_and_kills() {
    run(async |machine| {
        let process = machine.start();
        let log = process.create(small_segments()).await;
        fill_keyed(&log, 100);
        let done = compact(&log).await;
        assert_eq!((done.first_dirty_offset, done.keys), (0, KEYS as usize));
        assert!(done.bytes_after < done.bytes_before / 5, "{done:?}");
        check_compacted(&log, done.end_offset).await;
        fill_keyed(&log, 100);
        let again = compact(&log).await;
        assert_eq!(again.first_dirty_offset, done.end_offset);
        check_compacted(&log, again.end_offset).await;
        assert!(log.segments()[0].end_offset > 200, "small neighbours are joined: {:?}", log.segments());
        process.stop(log).await;
        let process = machine.start();
        let (log, _) = process.open(small_segments()).await;
        assert_eq!(log.first_dirty_offset(), again.end_offset);
        check_compacted(&log, again.end_offset).await;
        fill_keyed(&log, 50);
        process.kill(log).await;
        let process = machine.start();
        let (log, _) = process.open(small_segments()).await;
        assert_eq!(log.log_end_offset(), 750);
        check_compacted(&log, again.end_offset).await;
        process.stop(log).await;
    });
}

#[test]
fn a_full_map_ends_a_compaction_early_and_the_next_goes_on() {
    run(async |machine| {
        let process = machine.start();
        let log = process.create(small_segments()).await;
        fill_keyed(&log, 60);
        sealed(&log).await;
        let tight = CompactionBudget { map_bytes: 3 * 80, ..budget() };
        let done = log.compact(knowledge(&log), tight).await.expect("readable").expect("something to do");
        assert_eq!((done.keys, done.end_offset), (3, 3));
        assert_eq!(records(&log).await.len(), 180, "nothing is known to be superseded yet");
        let done = compact(&log).await;
        check_compacted(&log, done.end_offset).await;
        process.stop(log).await;
    });
}

#[test]
fn a_stopped_compaction_changes_nothing() {
    run(async |machine| {
        let process = machine.start();
        let log = process.create(small_segments()).await;
        fill_keyed(&log, 60);
        sealed(&log).await;
        let stopped = budget();
        stopped.stop.store(true, Ordering::Relaxed);
        assert_eq!(log.compact(knowledge(&log), stopped).await.expect("readable"), None);
        assert_eq!(records(&log).await.len(), 180);
        process.stop(log).await;
    });
}

#[test]
fn readers_see_whole_batches_while_segments_are_exchanged() {
    run(async |machine| {
        // A small tail, so that most reads go to the files.
        let process = machine.start_with(4 << 20, 10);
        let log = process.create(small_segments()).await;
        let (reading, done) = (log.clone(), std::rc::Rc::new(std::cell::Cell::new(false)));
        let (reader_done, reads) = (done.clone(), std::rc::Rc::new(std::cell::Cell::new(0)));
        let counted = reads.clone();
        fill_keyed(&log, 20);
        crate::rt::spawn_local(async move {
            while !reader_done.get() {
                for (offset, (key, found)) in records(&reading).await {
                    assert_eq!((key, found), (format!("key {}", offset % KEYS).into_bytes(), value(offset)));
                }
                counted.set(counted.get() + 1);
                crate::rt::yield_now().await;
            }
        });
        let mut end = 0;
        for _ in 0..20 {
            fill_keyed(&log, 30);
            end = compact(&log).await.end_offset;
        }
        let before = reads.get();
        while reads.get() < before + 2 {
            sleep(std::time::Duration::from_millis(1)).await;
        }
        done.set(true);
        check_compacted(&log, end).await;
        process.stop(log).await;
    });
}

#[test]
fn retention_beside_a_compaction_takes_what_it_wants() {
    run(async |machine| {
        let process = machine.start();
        let log = process.create(small_segments()).await;
        fill_keyed(&log, 100);
        sealed(&log).await;
        let compacting = log.compact(knowledge(&log), budget());
        let mut compacting = Box::pin(compacting);
        let _ = crate::rt::timeout(std::time::Duration::from_micros(200), compacting.as_mut()).await;
        log.advance_log_start(150);
        let _ = compacting.await.expect("readable");
        assert_eq!(log.log_start_offset(), 150);
        for offset in records(&log).await.keys() {
            assert!(*offset + 60 >= 150, "segments below the log start are gone, not offset {offset}");
        }
        process.stop(log).await;
    });
}

/// Copies the files of a partition directory into memory.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(dir).expect("readable").flatten();
    entries
        .map(|entry| (entry.file_name().into_string().expect("UTF-8"), std::fs::read(entry.path()).expect("readable")))
        .collect()
}

#[test]
fn a_swap_that_a_crash_cut_short_is_ended_or_forgotten() {
    run(async |machine| {
        let process = machine.start();
        // Large enough that all sealed segments become one.
        let config = small_segments();
        let log = process.create(config.clone()).await;
        fill_keyed(&log, 40);
        sealed(&log).await;
        let before = files(&machine.partition());
        log.set_config(LogConfig { segment_bytes: 1 << 20, ..config.clone() });
        let end = compact(&log).await.end_offset;
        log.set_config(config.clone());
        let after = files(&machine.partition());
        process.stop(log).await;
        let last = files(&machine.partition());
        let is_segment = |name: &&String| [".log", ".index", ".timeindex"].iter().any(|end| name.ends_with(end));
        let new: Vec<&String> =
            after.keys().filter(is_segment).filter(|name| before.get(*name) != after.get(*name)).collect();
        assert_eq!(new.len(), 3, "{new:?}");
        let old: Vec<&String> =
            before.keys().filter(is_segment).filter(|name| !after.contains_key(*name) || new.contains(name)).collect();
        assert!(old.len() >= 9, "{old:?}");
        // Files of the old segments that are still there, and the suffix that each new file has.
        type Crash<'a> = (&'a str, usize, &'a dyn Fn(&str) -> Option<&'static str>, bool);
        let crashes: [Crash<'_>; 5] = [
            ("before the first rename", old.len(), &|_| Some(".cleaned"), false),
            (
                "between the renames",
                old.len(),
                &|name| Some(if name.ends_with(".log") { ".cleaned" } else { ".swap" }),
                false,
            ),
            ("before the old ones go", old.len(), &|_| Some(".swap"), true),
            ("while the old ones go", old.len() / 2, &|_| Some(".swap"), true),
            ("before the last rename", 0, &|name| Some(if name.ends_with(".log") { ".swap" } else { "" }), true),
        ];
        for (when, old_left, suffix, counts) in crashes {
            for name in files(&machine.partition()).keys() {
                std::fs::remove_file(machine.partition().join(name)).expect("removed");
            }
            let put =
                |name: &str, bytes: &[u8]| std::fs::write(machine.partition().join(name), bytes).expect("written");
            for (name, bytes) in last.iter().filter(|(name, _)| !new.contains(name)) {
                put(name, bytes);
            }
            for name in old.iter().rev().take(old_left) {
                put(name, &before[*name]);
            }
            for name in &new {
                if let Some(suffix) = suffix(name) {
                    put(&format!("{name}{suffix}"), &after[*name]);
                }
            }
            let process = machine.start();
            let (log, _) = process.open(config.clone()).await;
            assert_eq!(log.log_end_offset(), 120, "{when}");
            if counts {
                check_compacted(&log, end).await;
            } else {
                assert_eq!(records(&log).await.len(), 120, "{when}");
            }
            process.stop(log).await;
            let left = files(&machine.partition());
            assert!(!left.keys().any(|name| name.ends_with(".swap") || name.ends_with(".cleaned")), "{when}: {left:?}");
        }
    });
}

#[test]
fn batches_of_another_segment_are_not_stepped_over() {
    run(async |machine| {
        let config = LogConfig { segment_bytes: 30_000, compacted: true, ..LogConfig::default() };
        let process = machine.start();
        let log = process.create(config.clone()).await;
        fill(&log, 9, 9_000).await;
        let bases: Vec<i64> = log.segments().iter().map(|segment| segment.base_offset).collect();
        assert_eq!(bases, [0, 3, 6]);
        process.stop(log).await;
        let path = |base| format::SegmentFile::Log.path(&machine.partition(), base);
        // The disk has written blocks to the wrong segments: of the first to the second, and of the third to the first.
        for (from, to) in [(0, 3), (6, 0)] {
            let (mut wrong, right) = (std::fs::read(path(from)).expect("read"), std::fs::read(path(to)).expect("read"));
            wrong.truncate(9_050);
            wrong.extend(&right[9_050..]);
            std::fs::write(path(to), wrong).expect("written");
        }
        let process = machine.start();
        let (log, _) = process.open(config).await;
        let request = ReadRequest { offset: 3, upper_bound: 9, max_bytes: 1 << 20, first_batch: FirstBatch::Whole };
        let error = log.read_bytes(request).await.expect_err("what is read is not of this segment").to_string();
        assert!(error.contains("a batch with offset 0"), "{error}");
        let request = ReadRequest { offset: 0, ..request };
        let error = log.read_bytes(request).await.expect_err("nor is this").to_string();
        assert!(error.contains("a batch with offset 6"), "{error}");
        // The length of the first batch of the third.
        let mut wrong = std::fs::read(path(6)).expect("read");
        wrong[9] ^= 1;
        std::fs::write(path(6), wrong).expect("written");
        let request = ReadRequest { offset: 6, ..request };
        let error = log.read_bytes(request).await.expect_err("it is longer than the segment").to_string();
        assert!(error.contains("a batch reaches to"), "{error}");
        process.kill(log).await;
    });
}
