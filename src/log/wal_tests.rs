//! Commits through the write-ahead log, and what a power cut leaves of them.

use std::future::{Future, poll_fn};
use std::path::PathBuf;
use std::task::Poll;

use super::*;
use crate::log::lifecycle::BEING_CUT;
use crate::log::partition_log::Inner;
use crate::log::types::LogPosition;
use crate::rt::directory;
use crate::wal::{WalLoss, WalSettings};

fn small_wal() -> WalSettings {
    WalSettings { file_bytes: 4 << 20, files_max: 2, ..WalSettings::default() }
}

impl Machine {
    fn start_small(&self) -> Process {
        self.start_slow(small_wal()).expect("open")
    }

    /// Nothing reaches the segments by the clock.
    fn start_slow(&self, wal: WalSettings) -> Result<Process, LogDirsError> {
        self.try_start(64 << 20, 600_000, wal)
    }

    /// What the power cut leaves: no memory, and of the segments what was made durable.
    async fn power_cut(&self, process: Process, log: Log) {
        let durable = with(&log, |inner| inner.durable_position());
        self.power_cut_at(durable, process, log).await;
    }

    async fn power_cut_at(&self, durable: LogPosition, process: Process, log: Log) {
        process.kill(log).await;
        for entry in directory::list(self.tail.path()).expect("list") {
            std::fs::remove_file(self.tail.path().join(&entry.name)).expect("removed");
        }
        for entry in directory::list(&self.partition()).expect("list") {
            let path = self.partition().join(&entry.name);
            let Some((format::SegmentFile::Log, base)) = format::SegmentFile::parse(&entry.name) else { continue };
            if base > durable.segment || (base == durable.segment && durable.position == 0) {
                std::fs::remove_file(path).expect("removed");
            } else if base == durable.segment {
                let mut bytes = std::fs::read(&path).expect("read");
                let from = bytes.len().min(durable.position as usize);
                bytes[from..].fill(0);
                std::fs::write(&path, bytes).expect("write");
            }
        }
    }

    fn wal_files(&self) -> Vec<PathBuf> {
        let entries = directory::list(self.dir.path()).expect("list").into_iter();
        entries.filter(|entry| entry.name.ends_with(".wal")).map(|entry| self.dir.path().join(entry.name)).collect()
    }
}

fn with<T>(log: &Log, ask: impl FnOnce(&Inner) -> T) -> T {
    ask(&log.0.borrow())
}

fn with_mut<T>(log: &Log, work: impl FnOnce(&mut Inner) -> T) -> T {
    work(&mut log.0.borrow_mut())
}

/// Appends and commits until a commit went through the WAL.
async fn commit_until_in_wal(log: &Log, len: usize) {
    while !with(log, |inner| inner.commit.is_in_wal()) {
        fill(log, 1, len).await;
        log.commit().await.expect("committed");
        sleep(std::time::Duration::from_millis(1)).await;
    }
}

async fn fill_and_commit(log: &Log, count: usize, len: usize) {
    for _ in 0..count {
        fill(log, 1, len).await;
        log.commit().await.expect("committed");
    }
}

#[test]
fn committed_batches_survive_power_cuts_and_crashes_of_the_recovery() {
    run(async |machine| {
        let process = machine.start_small();
        let log = process.create(LogConfig::default()).await;
        commit_until_in_wal(&log, 300).await;
        fill_and_commit(&log, 60, 300).await;
        // Some that nobody waits for, before one that somebody waits for.
        fill(&log, 5, 300).await;
        fill_and_commit(&log, 1, 300).await;
        let end = log.log_end_offset();
        assert!(with(&log, |inner| inner.durable_position() < inner.end_position()), "only the WAL has it");
        let durable = with(&log, |inner| inner.durable_position());
        machine.power_cut(process, log).await;
        for _ in 0..2 {
            // Dies before it says that all is loaded.
            let process = machine.start_small();
            let found = process.dirs.found();
            let opened = Log::open(&process.storage, &process.dirs, &found[0], LogConfig::default()).await;
            let (log, recovery) = opened.expect("open");
            assert!(recovery.wal_bytes > 0);
            check(&log, 0, 300).await;
            machine.power_cut_at(durable, process, log).await;
        }
        let process = machine.start_small();
        let (log, recovery) = process.open(LogConfig::default()).await;
        assert!(recovery.wal_bytes > 0);
        assert_eq!(log.log_end_offset(), end);
        check(&log, 0, 300).await;
        assert!(machine.wal_files().is_empty(), "what is in the segments is forgotten");
        // Goes on, through a new WAL.
        commit_until_in_wal(&log, 300).await;
        fill_and_commit(&log, 10, 300).await;
        let end = log.log_end_offset();
        process.kill(log).await;
        let process = machine.start_small();
        let (log, _) = process.open(LogConfig::default()).await;
        assert_eq!(log.log_end_offset(), end);
        check(&log, 0, 300).await;
    });
}

#[test]
fn entry_begins_with_a_batch_though_the_file_has_part_of_it() {
    run(async |machine| {
        let wal = || WalSettings { entry_bytes_max: 8 << 10, ..small_wal() };
        let process = machine.start_slow(wal()).expect("open");
        let other = PartitionId { partition: 7, ..id() };
        let other = Log::create(&process.storage, &process.dirs.dirs()[0], other, LogConfig::default()).await;
        let other = other.expect("created");
        commit_until_in_wal(&other, 300).await;
        other.delete().await.expect("deleted");
        drop(other);
        let log = process.create(LogConfig::default()).await;
        // The second one begins in the chunk of the first one, which is full with it and written as a whole.
        fill(&log, 1, 15_000).await;
        let mut committing = Box::pin(log.commit_some());
        poll_fn(|cx| Poll::Ready(committing.as_mut().poll(cx).is_pending())).await;
        fill(&log, 1, 4000).await;
        committing.await.expect("committed");
        let durable = with(&log, |inner| inner.durable_position());
        assert_eq!(durable.position, 16 << 10, "in the middle of the second batch");
        log.commit().await.expect("committed");
        assert!(with(&log, |inner| inner.commit.is_in_wal()));
        machine.power_cut_at(durable, process, log).await;
        let process = machine.start_slow(wal()).expect("open");
        let (log, _) = process.open(LogConfig::default()).await;
        assert_eq!(log.log_end_offset(), 2);
        process.kill(log).await;
    });
}

#[test]
fn commits_go_on_over_rolled_segments_and_large_batches() {
    run(async |machine| {
        let config = LogConfig { segment_bytes: 20_000, ..LogConfig::default() };
        let process = machine.start_small();
        let log = process.create(config.clone()).await;
        commit_until_in_wal(&log, 700).await;
        fill_and_commit(&log, 100, 700).await;
        let end = log.log_end_offset();
        assert!(log.segments().len() > 3);
        machine.power_cut(process, log).await;
        let process = machine.start_small();
        let (log, _) = process.open(config).await;
        assert_eq!(log.log_end_offset(), end);
        check(&log, 0, 700).await;
        process.stop(log).await;

        let process = machine.start_small();
        let (log, _) = process.open(LogConfig::default()).await;
        for round in 0..6 {
            let len = if round % 2 == 0 { 100_000 } else { 200 };
            fill(&log, 3, len).await;
            log.commit().await.expect("committed");
        }
        let end = log.log_end_offset();
        machine.power_cut(process, log).await;
        let process = machine.start_small();
        let (log, _) = process.open(LogConfig::default()).await;
        assert_eq!(log.log_end_offset(), end);
    });
}

#[test]
fn full_write_ahead_log_is_used_again_and_nothing_is_lost() {
    run(async |machine| {
        let process = machine.start_small();
        let log = process.create(LogConfig::default()).await;
        commit_until_in_wal(&log, 20_000).await;
        // Four times what the files hold.
        fill_and_commit(&log, 1600, 20_000).await;
        assert!(!process.storage.wal().is_given_up());
        assert_eq!(machine.wal_files().len(), 2);
        let end = log.log_end_offset();
        machine.power_cut(process, log).await;
        let process = machine.start_small();
        let (log, _) = process.open(LogConfig::default()).await;
        assert_eq!(log.log_end_offset(), end);
        check(&log, 0, 20_000).await;
    });
}

#[test]
fn clean_stop_leaves_nothing_to_replay() {
    run(async |machine| {
        let process = machine.start_small();
        let log = process.create(LogConfig::default()).await;
        commit_until_in_wal(&log, 300).await;
        assert!(!machine.wal_files().is_empty());
        process.stop(log).await;
        assert!(machine.wal_files().is_empty());
        assert!(!machine.dir.path().join(crate::wal::format::REGISTER_FILE).exists());
        let (log, recovery) = machine.start_small().open(LogConfig::default()).await;
        assert!(!recovery.recovered);
        check(&log, 0, 300).await;
    });
}

#[test]
fn truncated_batches_do_not_come_back_from_the_write_ahead_log() {
    run(async |machine| {
        let process = machine.start_small();
        let log = process.create(LogConfig::default()).await;
        commit_until_in_wal(&log, 300).await;
        fill_and_commit(&log, 40, 300).await;
        log.truncate_to(10).await.expect("truncated");
        machine.power_cut(process, log).await;
        let process = machine.start_small();
        let (log, _) = process.open(LogConfig::default()).await;
        assert_eq!(log.log_end_offset(), 10);
        check(&log, 0, 300).await;
    });
}

#[test]
fn truncated_batches_do_not_come_back_from_a_write_ahead_log_that_was_given_up() {
    run(async |machine| {
        let process = machine.start_small();
        let log = process.create(LogConfig::default()).await;
        commit_until_in_wal(&log, 300).await;
        fill_and_commit(&log, 40, 300).await;
        process.storage.wal().give_up("the test says so");
        for end in [20, 10] {
            log.truncate_to(end).await.expect("truncated");
        }
        machine.power_cut(process, log).await;
        let process = machine.start_small();
        let (log, _) = process.open(LogConfig::default()).await;
        assert_eq!(log.log_end_offset(), 10);
        check(&log, 0, 300).await;
        process.stop(log).await;
        assert!(machine.wal_files().is_empty());
        assert!(!machine.dir.path().join(crate::wal::format::REGISTER_FILE).exists());
    });
}

#[test]
fn log_that_is_cut_is_not_noted_or_logged_as_longer_meanwhile() {
    run(async |machine| {
        let process = machine.start_small();
        let log = process.create(LogConfig::default()).await;
        commit_until_in_wal(&log, 300).await;
        fill_and_commit(&log, 10, 300).await;
        log.flush().await.expect("flushed");
        log.refuse_appends(BEING_CUT).expect("open");
        with_mut(&log, |inner| inner.lower_recovery_point(3));
        // The write-ahead log asks for it when its files run out.
        log.flush().await.expect("it is durable");
        log.on_tick();
        assert_eq!(log.dir().recovery_point(&id()), Some(3));
        let last_entry = process.storage.wal().last_entry();
        log.commit().await.expect("it is durable");
        assert_eq!(process.storage.wal().last_entry(), last_entry);
        process.kill(log).await;
    });
}

#[test]
fn file_that_stays_damaged_is_not_written_to() {
    run(async |machine| {
        let process = machine.start_small();
        let log = process.create(LogConfig::default()).await;
        commit_until_in_wal(&log, 300).await;
        let first_in_wal = log.log_end_offset() - 1;
        let batch_len = log.size_bytes() / log.log_end_offset() as u64;
        fill_and_commit(&log, 3, 300).await;
        // It goes through the segment.
        fill_and_commit(&log, 1, 100_000).await;
        log.flush().await.expect("flushed");
        log.on_tick();
        process.dirs.write_checkpoints();
        let end = with(&log, |inner| inner.end_position());
        machine.power_cut_at(end, process, log).await;
        let path = format::SegmentFile::Log.path(&machine.partition(), 0);
        let mut damaged = std::fs::read(&path).expect("read");
        damaged[first_in_wal as usize * batch_len as usize + 30] ^= 1;
        std::fs::write(&path, &damaged).expect("write");
        for _ in 0..2 {
            let process = machine.start_small();
            let opened = Log::open(&process.storage, &process.dirs, &process.dirs.found()[0], LogConfig::default());
            let error = opened.await.err().expect("refused").to_string();
            assert!(error.contains(&format!("valid batches end at offset {}, below", first_in_wal + 4)), "{error}");
            assert!(std::fs::read(&path).expect("read") == damaged, "it was changed");
        }
    });
}

#[test]
fn truncated_batches_do_not_come_back_from_what_is_kept_for_others() {
    run(async |machine| {
        let process = machine.start_small();
        let log = process.create(LogConfig::default()).await;
        commit_until_in_wal(&log, 300).await;
        fill_and_commit(&log, 40, 300).await;
        process.kill(log).await;
        let process = machine.start_small();
        process.dirs.dirs()[0].note_not_opened();
        let (log, recovery) = process.open(LogConfig::default()).await;
        assert!(recovery.tail_bytes > 0);
        assert!(!machine.wal_files().is_empty(), "something is offline that may need it");
        log.truncate_to(10).await.expect("truncated");
        process.kill(log).await;
        let process = machine.start_small();
        let (log, recovery) = process.open(LogConfig::default()).await;
        assert_eq!((log.log_end_offset(), recovery.tail_bytes, recovery.wal_bytes), (10, 0, 0));
        check(&log, 0, 300).await;
    });
}

#[test]
fn log_that_the_write_ahead_log_does_not_fit_is_offline_unless_the_loss_is_accepted() {
    run(async |machine| {
        let process = machine.start_small();
        let log = process.create(LogConfig::default()).await;
        fill(&log, 20, 300).await;
        log.flush().await.expect("flushed");
        commit_until_in_wal(&log, 300).await;
        fill_and_commit(&log, 10, 300).await;
        process.kill(log).await;
        // Durable bytes vanish: that is not a crash but a broken disk.
        for entry in directory::list(machine.tail.path()).expect("list") {
            std::fs::remove_file(machine.tail.path().join(&entry.name)).expect("removed");
        }
        std::fs::write(machine.partition().join("00000000000000000000.log"), []).expect("write");
        let process = machine.start_small();
        let found = process.dirs.found();
        let opened = Log::open(&process.storage, &process.dirs, &found[0], LogConfig::default()).await;
        let error = opened.err().expect("offline").to_string();
        assert!(error.contains("--accept-wal-loss"), "{error}");
        process.dirs.loaded();
        assert!(!machine.wal_files().is_empty(), "it is kept for the next start");
        drop(process);
        let accepting = WalSettings { loss: WalLoss::Accepted, ..small_wal() };
        let process = machine.start_slow(accepting).expect("open");
        let (log, _) = process.open(LogConfig::default()).await;
        assert_eq!(log.log_end_offset(), 0);
    });
}
