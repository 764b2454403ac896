//! The log on real files, inside an executor.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::testing::{batch, format_dir, start_storage};
use super::*;
use crate::record::{BatchHeader, Batches};
use crate::rt::executor::run_local;
use crate::rt::{blocking, sleep};
use crate::wal::WalSettings;
use crate::wire::Uuid;

#[path = "compact/log_tests.rs"]
mod compaction;
#[path = "wal_tests.rs"]
mod wal;

/// A log directory and a tail directory that outlive "processes".
struct Machine {
    dir: tempfile::TempDir,
    tail: tempfile::TempDir,
}

/// One "process": log directories and the storage of one shard.
struct Process {
    dirs: Arc<LogDirs>,
    storage: Storage,
}

impl Machine {
    fn new() -> Machine {
        let machine = Machine {
            dir: tempfile::tempdir().expect("tempdir"),
            tail: tempfile::tempdir_in("/dev/shm").expect("tempdir"),
        };
        format_dir(machine.dir.path());
        machine
    }

    fn start(&self) -> Process {
        self.start_with(64 << 20, 40)
    }

    fn start_with(&self, tail_bytes: usize, tail_flush_ms: u64) -> Process {
        self.try_start(tail_bytes, tail_flush_ms, WalSettings::default()).expect("open")
    }

    fn try_start(&self, tail_bytes: usize, tail_flush_ms: u64, wal: WalSettings) -> Result<Process, LogDirsError> {
        let (dirs, storage) = start_storage(self.dir.path(), self.tail.path(), tail_bytes, tail_flush_ms, wal)?;
        Ok(Process { dirs, storage })
    }

    fn partition(&self) -> PathBuf {
        self.dir.path().join("t-0")
    }
}

impl Process {
    async fn create(&self, config: LogConfig) -> Log {
        Log::create(&self.storage, &self.dirs.dirs()[0], id(), config).await.expect("create")
    }

    async fn open(&self, config: LogConfig) -> (Log, Recovery) {
        let found = self.dirs.found();
        assert_eq!(found.len(), 1);
        let opened = Log::open(&self.storage, &self.dirs, &found[0], config).await.expect("open");
        self.dirs.loaded();
        opened
    }

    /// A clean stop.
    async fn stop(self, log: Log) {
        log.close().await.expect("close");
        drop(log);
        self.end().await;
    }

    /// What follows when every log is closed.
    async fn end(self) {
        self.storage.stop().await;
        drop(self.storage);
        blocking(move || self.dirs.close_clean(1)).await.expect("marker");
    }

    /// What kill -9 leaves: files and tail memory as they are, nothing finished.
    async fn kill(self, log: Log) {
        // The kernel finishes what the writer's tasks began; a fenced directory lets them begin nothing else.
        self.dirs.dirs()[0].fail("killed by the test");
        log.quiet().await;
        drop(log);
    }
}

fn id() -> PartitionId {
    PartitionId { topic: "t".into(), topic_id: Uuid::from_bytes([3; 16]), partition: 0 }
}

fn append(log: &Log, bytes: &[u8]) -> Result<Appended, AppendError> {
    let header = BatchHeader::parse(bytes).expect("a batch");
    let base_offset = log.log_end_offset();
    log.append(AppendBatch {
        bytes,
        base_offset,
        last_offset: base_offset + i64::from(header.last_offset_delta),
        leader_epoch: 4,
        max_timestamp: header.max_timestamp,
    })
}

/// Appends `count` batches of one record with `len` bytes.
async fn fill(log: &Log, count: usize, len: usize) {
    for _ in 0..count {
        let bytes = batch(log.log_end_offset(), 1, len);
        while let Err(error) = append(log, &bytes) {
            assert_eq!(error, AppendError::MemoryFull);
            log.storage().reserve(bytes.len()).await;
        }
    }
}

/// Reads everything from `offset` on and checks that it is what `fill` wrote.
async fn check(log: &Log, mut offset: i64, len: usize) {
    let end = log.log_end_offset();
    while offset < end {
        let request = ReadRequest { offset, upper_bound: end, max_bytes: 3 << 20, first_batch: FirstBatch::Whole };
        let bytes = log.read_bytes(request).await.expect("read");
        assert!(!bytes.is_empty(), "nothing at {offset} of {end}");
        for found in Batches::new(&bytes) {
            let found = found.expect("valid");
            let mut expected = batch(offset, 1, len);
            crate::record::assign_offset(&mut expected, offset, 4);
            assert!(found.bytes == expected, "other bytes at {offset}");
            offset += 1;
        }
    }
    assert_eq!(offset, end);
}

fn run(test: impl AsyncFnOnce(Machine) + 'static) {
    run_local(async move { test(Machine::new()).await }).expect("executor");
}

fn file_len(path: &Path) -> u64 {
    std::fs::metadata(path).expect("metadata").len()
}

#[test]
fn appended_batches_are_read_from_memory_at_once_and_from_files_after_a_restart() {
    run(async |machine| {
        let process = machine.start();
        let log = process.create(LogConfig::default()).await;
        fill(&log, 300, 10_000).await;
        let request =
            ReadRequest { offset: 7, upper_bound: i64::MAX, max_bytes: 50_000, first_batch: FirstBatch::Whole };
        let Ok(Read::Ready(result)) = log.read(request) else { panic!("the tail is in memory") };
        assert!(result.slices.iter().all(|slice| matches!(slice, ReadSlice::Memory(_))));
        assert_eq!(result.len, 50_000);
        check(&log, 0, 10_000).await;
        let size = log.size_bytes();
        log.close().await.expect("close");
        assert_eq!(append(&log, &batch(300, 1, 10)), Err(AppendError::Fenced));
        process.end().await;
        assert_eq!(file_len(&machine.partition().join("00000000000000000000.log")), size);
        let process = machine.start();
        let (log, recovery) = process.open(LogConfig::default()).await;
        assert_eq!(recovery, Recovery { recovery_point: 300, ..recovery.clone() });
        assert!(!recovery.recovered);
        assert_eq!((log.log_end_offset(), log.size_bytes(), log.latest_epoch()), (300, size, Some(4)));
        check(&log, 0, 10_000).await;
        fill(&log, 50, 10_000).await;
        check(&log, 250, 10_000).await;
        process.stop(log).await;
    });
}

#[test]
fn segments_roll_and_their_files_are_exact() {
    run(async |machine| {
        let process = machine.start();
        let config = LogConfig { segment_bytes: 200_000, ..LogConfig::default() };
        let log = process.create(config.clone()).await;
        fill(&log, 100, 9_000).await;
        assert!(log.segments().len() > 4);
        log.quiet().await;
        for segment in &log.segments()[..4] {
            let path = format::SegmentFile::Log.path(&machine.partition(), segment.base_offset);
            assert_eq!(file_len(&path), segment.size_bytes);
            let index = format::SegmentFile::Index.path(&machine.partition(), segment.base_offset);
            assert_eq!(file_len(&index), 8 * (segment.end_offset - segment.base_offset - 1) as u64);
        }
        check(&log, 0, 9_000).await;
        log.advance_log_start(45);
        log.quiet().await;
        assert!(log.segments()[0].base_offset > 0 && log.segments()[0].end_offset > 45);
        assert!(matches!(
            log.read(ReadRequest { offset: 44, upper_bound: 100, max_bytes: 1, first_batch: FirstBatch::Whole }),
            Err(ReadError::OffsetOutOfRange { log_start_offset: 45, log_end_offset: 100 })
        ));
        let segments = log.segments();
        process.stop(log).await;
        let process = machine.start();
        let (log, _) = process.open(config).await;
        assert_eq!((log.segments(), log.log_start_offset()), (segments, 45));
        check(&log, 45, 9_000).await;
        process.stop(log).await;
    });
}

#[test]
fn what_only_memory_held_survives_a_kill() {
    run(async |machine| {
        let process = machine.start_with(64 << 20, 100_000);
        let config = LogConfig { segment_bytes: 3 << 20, ..LogConfig::default() };
        let log = process.create(config.clone()).await;
        fill(&log, 2, 100).await;
        process.kill(log).await;
        // Not even a file was written.
        let process = machine.start_with(64 << 20, 100_000);
        let (log, recovery) = process.open(config.clone()).await;
        assert!(recovery.recovered && recovery.tail_bytes > 0 && recovery.cut_bytes == 0);
        assert_eq!(log.log_end_offset(), 2);
        check(&log, 0, 100).await;
        process.kill(log).await;
        let process = machine.start_with(64 << 20, 100_000);
        let (log, recovery) = process.open(config.clone()).await;
        assert_eq!((recovery.tail_bytes, log.log_end_offset()), (0, 2));
        process.kill(log).await;
    });
}

#[test]
fn kill_in_the_middle_of_a_burst_loses_nothing() {
    run(async |machine| {
        let config = LogConfig { segment_bytes: 3 << 20, ..LogConfig::default() };
        let process = machine.start();
        let log = process.create(config.clone()).await;
        fill(&log, 200, 50_000).await;
        process.kill(log).await;
        for round in 1..4 {
            let process = machine.start();
            let (log, _) = process.open(config.clone()).await;
            assert_eq!(log.log_end_offset(), 200 * round);
            check(&log, 0, 50_000).await;
            fill(&log, 100, 50_000).await;
            log.flush().await.expect("flushed");
            assert_eq!(log.durable_offset(), 200 * round + 100);
            fill(&log, 100, 50_000).await;
            process.kill(log).await;
        }
        let process = machine.start();
        let (log, _) = process.open(config).await;
        check(&log, 0, 50_000).await;
        process.stop(log).await;
    });
}

#[test]
fn part_filled_chunks_are_written_after_a_while_and_go_on_growing() {
    run(async |machine| {
        let process = machine.start_with(64 << 20, 10);
        let log = process.create(LogConfig::default()).await;
        let path = machine.partition().join("00000000000000000000.log");
        for round in 0..6 {
            fill(&log, 3, 700).await;
            let end = log.size_bytes() as usize;
            loop {
                sleep(Duration::from_millis(2)).await;
                let bytes = std::fs::read(&path).unwrap_or_default();
                let whole = Batches::new(&bytes).filter_map(Result::ok).count();
                if bytes.len() >= end && whole == 3 * (round + 1) {
                    break;
                }
            }
            // Idle long enough for the open chunk to be let go every other time.
            if round % 2 == 0 {
                while process.storage.tail_usage().1 > 0 {
                    sleep(Duration::from_millis(2)).await;
                }
            }
        }
        check(&log, 0, 700).await;
        process.stop(log).await;
    });
}

#[test]
fn a_full_tail_makes_appends_wait_and_reads_fall_back_to_the_file() {
    run(async |machine| {
        let process = machine.start_with(0, 10);
        let log = process.create(LogConfig::default()).await;
        fill(&log, 1000, 100_000).await;
        check(&log, 0, 100_000).await;
        let (capacity, held) = process.storage.tail_usage();
        assert!(held <= capacity && capacity < 20 << 20);
        process.stop(log).await;
    });
}

#[test]
fn torn_end_is_cut_and_corruption_below_the_recovery_point_fences() {
    run(async |machine| {
        let process = machine.start();
        let log = process.create(LogConfig::default()).await;
        fill(&log, 10, 5_000).await;
        log.flush().await.expect("flushed");
        process.stop(log).await;
        let path = machine.partition().join("00000000000000000000.log");
        let mut bytes = std::fs::read(&path).expect("read");
        bytes.extend_from_slice(&batch(10, 1, 3000)[..2000]);
        std::fs::write(&path, &bytes).expect("write");
        std::fs::remove_file(machine.dir.path().join(format::CLEAN_SHUTDOWN_FILE)).expect("remove");
        let process = machine.start();
        let (log, recovery) = process.open(LogConfig::default()).await;
        assert_eq!((log.log_end_offset(), recovery.cut_bytes), (10, 2000));
        check(&log, 0, 5_000).await;
        process.stop(log).await;
        let mut bytes = std::fs::read(&path).expect("read");
        bytes[48_000] ^= 1;
        std::fs::write(&path, &bytes).expect("write");
        std::fs::remove_file(machine.dir.path().join(format::CLEAN_SHUTDOWN_FILE)).expect("remove");
        let process = machine.start();
        let error = Log::open(&process.storage, &process.dirs, &process.dirs.found()[0], LogConfig::default()).await;
        assert!(matches!(error, Err(LogError::Corrupt(_))));
        assert_eq!(std::fs::read(&path).expect("read"), bytes, "nothing was cut");
        assert_eq!(process.dirs.dirs()[0].failure(), None);
    });
}

#[test]
fn lost_indexes_are_built_anew() {
    run(async |machine| {
        let config = LogConfig { segment_bytes: 200_000, ..LogConfig::default() };
        let process = machine.start();
        let log = process.create(config.clone()).await;
        fill(&log, 60, 9_000).await;
        process.stop(log).await;
        let mut before = std::collections::BTreeMap::new();
        for entry in std::fs::read_dir(machine.partition()).expect("list") {
            let path = entry.expect("entry").path();
            if path.extension().is_some_and(|extension| extension == "index" || extension == "timeindex") {
                before.insert(path.clone(), std::fs::read(&path).expect("read"));
                std::fs::remove_file(path).expect("remove");
            }
        }
        assert!(before.len() > 4);
        let process = machine.start();
        let (log, _) = process.open(config).await;
        check(&log, 0, 9_000).await;
        fill(&log, 1, 9_000).await;
        process.stop(log).await;
        let last = before.last_key_value().expect("some").0.file_stem().map(ToOwned::to_owned);
        for (path, bytes) in before.iter().filter(|(path, _)| path.file_stem() != last.as_deref()) {
            assert_eq!(&std::fs::read(path).expect("read"), bytes, "{}", path.display());
        }
    });
}

#[test]
fn truncation_cuts_segments_and_goes_on() {
    run(async |machine| {
        let config = LogConfig { segment_bytes: 200_000, ..LogConfig::default() };
        let process = machine.start();
        let log = process.create(config.clone()).await;
        fill(&log, 100, 9_000).await;
        for end in [95, 50, 49, 0] {
            log.truncate_to(end).await.expect("truncated");
            assert_eq!(log.log_end_offset(), end);
            check(&log, 0, 9_000).await;
            fill(&log, 3, 9_000).await;
            check(&log, 0, 9_000).await;
        }
        process.kill(log).await;
        let process = machine.start();
        let (log, _) = process.open(config).await;
        assert_eq!(log.log_end_offset(), 3);
        check(&log, 0, 9_000).await;
        log.delete().await.expect("deleted");
        assert!(!machine.partition().exists());
        assert_eq!(process.dirs.dirs()[0].failure(), None);
    });
}

#[test]
fn a_deleted_log_answers_flushes_and_leaves_nothing_to_the_next_of_its_name() {
    run(async |machine| {
        let process = machine.start();
        let log = process.create(LogConfig::default()).await;
        fill(&log, 3, 100).await;
        log.flush().await.expect("flushed");
        log.delete().await.expect("deleted");
        log.flush().await.expect_err("nothing of it is written any more");
        log.write_snapshot_behind(3, bytes::Bytes::from_static(b"of a stop that did not know"), Vec::new());
        sleep(std::time::Duration::from_millis(20)).await;
        assert_eq!(process.dirs.dirs()[0].failure(), None);
        let dir = &process.dirs.dirs()[0];
        // As if a crash had kept the checkpoints from forgetting it.
        dir.note_recovery_point(&id(), 3);
        dir.note_log_start(&id(), 2);
        let next = process.create(LogConfig::default()).await;
        assert_eq!((next.log_start_offset(), next.log_end_offset()), (0, 0));
        assert_eq!(dir.recovery_point(&id()), None);
        drop(log);
        process.stop(next).await;
    });
}

#[test]
fn no_segment_goes_behind_one_that_could_not_go() {
    run(async |machine| {
        let process = machine.start();
        let log = process.create(LogConfig { segment_bytes: 20_000, ..LogConfig::default() }).await;
        fill(&log, 9, 9_000).await;
        log.flush().await.expect("flushed");
        let in_the_way = machine.dir.path().join("log-start-offset-checkpoint.tmp");
        std::fs::create_dir(&in_the_way).expect("created");
        log.advance_log_start(4);
        while log.failure().is_none() {
            sleep(std::time::Duration::from_millis(1)).await;
        }
        std::fs::remove_dir(&in_the_way).expect("removed");
        log.advance_log_start(8);
        sleep(std::time::Duration::from_millis(20)).await;
        let is_there = |base| format::SegmentFile::Log.path(&machine.partition(), base).exists();
        assert!([0, 2, 4, 6].map(is_there).iter().all(|is_there| *is_there));
        process.kill(log).await;
    });
}

#[test]
fn batches_are_found_by_time() {
    run(async |machine| {
        let process = machine.start();
        let log = process.create(LogConfig { segment_bytes: 200_000, ..LogConfig::default() }).await;
        assert_eq!(log.batch_with_max_timestamp().await.expect("read"), None);
        fill(&log, 100, 9_000).await;
        for offset in [0, 1, 21, 22, 57, 99] {
            let found = log.batch_at_timestamp(1000 + offset).await.expect("read").expect("found");
            assert_eq!(BatchHeader::parse(&found).expect("a batch").base_offset, offset);
        }
        assert_eq!(log.batch_at_timestamp(1100).await.expect("read"), None);
        let newest = log.batch_with_max_timestamp().await.expect("read").expect("found");
        assert_eq!(BatchHeader::parse(&newest).expect("a batch").base_offset, 99);
        process.stop(log).await;
    });
}

#[test]
fn reads_obey_upper_bound_and_size_rules() {
    run(async |machine| {
        let process = machine.start();
        let log = process.create(LogConfig::default()).await;
        let bytes = batch(0, 5, 1000);
        for _ in 0..4 {
            append(&log, &bytes).expect("room");
        }
        let ask = |offset, upper_bound, max_bytes, first_batch| {
            let Ok(Read::Ready(result)) = log.read(ReadRequest { offset, upper_bound, max_bytes, first_batch }) else {
                panic!("in memory")
            };
            (result.len, result.first_batch_len)
        };
        let len = bytes.len();
        assert_eq!(ask(7, 20, usize::MAX / 2, FirstBatch::Whole), (3 * len, len));
        assert_eq!(ask(7, 15, usize::MAX / 2, FirstBatch::Whole), (2 * len, len));
        assert_eq!(ask(7, 15, 10, FirstBatch::Whole), (len, len));
        assert_eq!(ask(7, 15, 10, FirstBatch::WithinMax), (0, len));
        assert_eq!(ask(7, 15, len + 10, FirstBatch::WithinMax), (len + 10, len));
        assert_eq!(ask(15, 15, 1000, FirstBatch::Whole), (0, 0));
        assert_eq!(ask(20, 20, 1000, FirstBatch::Whole), (0, 0));
        assert!(
            log.read(ReadRequest { offset: 21, upper_bound: 20, max_bytes: 1, first_batch: FirstBatch::Whole })
                .is_err()
        );
        process.stop(log).await;
    });
}

#[test]
fn snapshots_are_kept_until_their_segments_go() {
    run(async |machine| {
        let process = machine.start();
        let log = process.create(LogConfig { segment_bytes: 200_000, ..LogConfig::default() }).await;
        for _ in 0..60 {
            let offset = log.log_end_offset();
            if append(&log, &batch(offset, 1, 9_000)).expect("room").rolled_at == Some(offset) {
                log.write_snapshot_behind(offset, bytes::Bytes::from(format!("at {offset}")), Vec::new());
            }
        }
        let snapshots = log.producer_snapshots();
        assert_eq!(snapshots, log.segments()[1..].iter().map(|s| s.base_offset).collect::<Vec<_>>());
        log.quiet().await;
        let text = log.read_producer_snapshot(snapshots[0]).await.expect("read");
        assert_eq!(text, format!("at {}", snapshots[0]));
        log.advance_log_start(snapshots[1]);
        // The active segment's file is made durable before the older ones go.
        log.quiet().await;
        assert_eq!(log.producer_snapshots(), snapshots[1..]);
        process.stop(log).await;
        let process = machine.start();
        let (log, _) = process.open(LogConfig::default()).await;
        assert_eq!(log.producer_snapshots(), snapshots[1..]);
    });
}

/// The last block of the file is written again and again past the page cache, while the pages in the cache are read.
#[test]
fn buffered_reads_beside_direct_rewrites_of_the_last_block_see_no_stale_byte() {
    run(async |machine| {
        let process = machine.start();
        let log = process.create(LogConfig::default()).await;
        let path = machine.partition().join("00000000000000000000.log");
        let mut model = Vec::new();
        for round in 0..400i64 {
            let mut bytes = batch(round, 1, 50 + (round as usize * 37) % 900);
            append(&log, &bytes).expect("room");
            crate::record::assign_offset(&mut bytes, round, 4);
            model.extend_from_slice(&bytes);
            log.flush().await.expect("flushed");
            // Reading puts the last, part-filled block into the page cache; the next write must not leave it there.
            let file = crate::rt::file::open_read(&path).expect("open");
            let from = model.len().saturating_sub(9000);
            let mut read = vec![0; model.len() - from];
            crate::rt::file::read_at(&file, &mut read, from as u64).expect("read");
            assert!(read == model[from..], "stale bytes in round {round}");
        }
        process.stop(log).await;
    });
}

#[test]
fn failed_write_fences_the_log_and_its_directory() {
    run(async |machine| {
        let process = machine.start();
        let log = process.create(LogConfig::default()).await;
        // A directory in the place of the segment file: it can't be opened for writing.
        std::fs::create_dir(machine.partition().join("00000000000000000000.log")).expect("create");
        fill(&log, 3, 100).await;
        let error = log.flush().await.expect_err("it can't be written");
        assert!(matches!(error, LogError::Fenced(_)), "{error}");
        assert_eq!(append(&log, &batch(3, 1, 10)), Err(AppendError::Fenced));
        assert!(log.failure().is_some() && process.dirs.dirs()[0].failure().is_some());
        assert!(log.flush().await.is_err() && log.close().await.is_err());
        let created = Log::create(&process.storage, &process.dirs.dirs()[0], id(), LogConfig::default()).await;
        assert!(matches!(created, Err(LogError::Fenced(_))));
    });
}

#[test]
fn failed_sync_is_never_tried_again() {
    run(async |machine| {
        let process = machine.start();
        let disk = process.storage.0.disk.clone();
        let log = process.create(LogConfig::default()).await;
        fill(&log, 3, 100).await;
        disk.fail_syncs(true);
        let ticket = log.flush();
        assert!(matches!(ticket.await, Err(LogError::Fenced(_))));
        let syncs = disk.syncs();
        disk.fail_syncs(false);
        // A second sync would succeed, and prove nothing: the kernel has dropped the pages that it could not write.
        assert!(log.flush().await.is_err() && log.commit().await.is_err() && log.close().await.is_err());
        assert_eq!(append(&log, &batch(3, 1, 10)), Err(AppendError::Fenced));
        sleep(std::time::Duration::from_millis(100)).await;
        assert_eq!(disk.syncs(), syncs);
        assert!(process.dirs.dirs()[0].failure().is_some_and(|reason| reason.contains("sync of ")));
        process.storage.stop().await;
        process.dirs.close_clean(1).expect("nothing more is written");
        assert!(!machine.dir.path().join(format::CLEAN_SHUTDOWN_FILE).exists(), "the next start recovers");
    });
}

#[test]
fn large_and_small_batches_mix_across_chunks() {
    run(async |machine| {
        let process = machine.start_with(32 << 20, 5);
        let log = process.create(LogConfig { segment_bytes: 20 << 20, ..LogConfig::default() }).await;
        let mut lens = Vec::new();
        for at in 0..150usize {
            let len = [10, 3_000_000, 16_384, 70_000, 1, 1_048_576, 4096][at % 7] + at;
            fill(&log, 1, len).await;
            lens.push(len);
            if at % 10 == 0 {
                sleep(Duration::from_millis(8)).await;
            }
        }
        let verify = async |log: &Log| {
            for (offset, len) in lens.iter().enumerate() {
                let found = log.batch_at(offset as i64).await.expect("read").expect("there");
                let mut expected = batch(offset as i64, 1, *len);
                crate::record::assign_offset(&mut expected, offset as i64, 4);
                assert!(found == expected, "batch {offset}");
            }
        };
        verify(&log).await;
        process.kill(log).await;
        let process = machine.start();
        let (log, _) = process.open(LogConfig::default()).await;
        verify(&log).await;
        process.stop(log).await;
    });
}
