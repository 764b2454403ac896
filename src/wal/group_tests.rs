//! Tests of the module above.

use std::path::{Path, PathBuf};

use super::super::format::REGISTER_FILE;
use super::super::{OldWal, WalLoss, WalSettings};
use super::*;
use crate::rt::executor::run_local;
use crate::rt::yield_now;
use crate::wire::Uuid;

const ID: Uuid = Uuid::from_bytes([1; 16]);
const TOPIC: [u8; 16] = [4; 16];

fn settings(file_bytes: u64, files_max: usize) -> WalSettings {
    WalSettings { file_bytes, files_max, ..WalSettings::default() }
}

fn open(dir: &Path, settings: &WalSettings) -> (Arc<WalHome>, OldWal) {
    let (home, old) = WalHome::open(settings, &[(dir.to_owned(), ID)], false).expect("open");
    (Arc::new(home), old)
}

fn entry(log: u64, position: u64, len: usize) -> Entry {
    let start = Mark { segment: 0, position };
    Entry { log, topic_id: TOPIC, partition: i32::try_from(log).expect("small"), start, len, end_offset: 0 }
}

/// Stages until there is a file and room for it.
async fn stage(wal: &Wal, log: u64, position: u64, bytes: &[u8]) -> u64 {
    loop {
        let staged = wal.stage(&entry(log, position, bytes.len()), |target| {
            target.copy_from_slice(bytes);
            true
        });
        match staged {
            Staged::InFrame(frame) => return frame,
            Staged::Full => wal.room().await,
            Staged::Unavailable => sleep(Duration::from_millis(1)).await,
        }
    }
}

fn wal_files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("readable").map(|entry| entry.expect("readable").path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "wal")).collect()
}

#[test]
fn entries_of_all_logs_share_a_write_and_come_back() {
    let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("tempdir");
    let (home, _) = open(dir.path(), &settings(4 << 20, 2));
    let metrics = Arc::new(ShardMetrics::default());
    let counted = metrics.clone();
    run_local(async move {
        let wal = Wal::start(home, 0, Disk::start().expect("ring"));
        wal.count_into(&counted);
        let first = stage(&wal, 1, 0, &[1; 100]).await;
        let frames: Vec<u64> = {
            let mut frames = Vec::new();
            for log in 2..50 {
                frames.push(stage(&wal, log, 0, &[log as u8; 100]).await);
            }
            frames
        };
        for frame in frames {
            wal.written(frame).await.expect("written");
        }
        assert!(wal.is_written(first));
        wal.stop();
    })
    .expect("executor");
    assert_eq!(metrics.counters.wal_entries.get(), 49);
    assert!(metrics.counters.wal_writes.get() <= 2, "{} writes", metrics.counters.wal_writes.get());
    for _ in 0..2 {
        let (_, old) = open(dir.path(), &settings(4 << 20, 2));
        for log in 1..50 {
            let bytes = old.bytes_at(TOPIC, log, Mark { segment: 0, position: 40 }).expect("readable");
            assert_eq!(bytes, Some(vec![log as u8; 60]));
        }
    }
}

#[test]
fn full_log_waits_until_segments_are_durable_and_uses_its_files_again() {
    let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("tempdir");
    let (home, _) = open(dir.path(), &settings(4 << 20, 2));
    run_local(async move {
        let wal = Wal::start(home, 0, Disk::start().expect("ring"));
        let mut position = 0;
        let mut last = 0;
        // More than both files hold.
        for _ in 0..9 << 6 {
            last = stage(&wal, 7, position, &[7; 16 << 10]).await;
            position += 16 << 10;
            if wal.holding_oldest() == [7] && position > 6 << 20 {
                break;
            }
            yield_now().await;
        }
        let logs = wal.pressed().await.expect("not stopped");
        assert_eq!(logs, [7]);
        wal.release(|_, _| false);
        while position < 12 << 20 {
            last = stage(&wal, 7, position, &[7; 16 << 10]).await;
            position += 16 << 10;
            if !wal.holding_oldest().is_empty() {
                wal.release(|log, _| log == 7);
            }
        }
        wal.release(|_, _| true);
        wal.written(last).await.expect("written");
        wal.stop();
    })
    .expect("executor");
    assert_eq!(wal_files(dir.path()).len(), 2, "there are no more files than allowed");
    let (_, old) = open(dir.path(), &settings(4 << 20, 2));
    assert_eq!(old.end_of(TOPIC, 7), Some(Mark { segment: 0, position: 12 << 20 }));
}

#[test]
fn given_up_log_fails_who_waits_and_takes_no_more() {
    let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("tempdir");
    let (home, _) = open(dir.path(), &settings(4 << 20, 2));
    run_local(async move {
        let wal = Wal::start(home, 0, Disk::start().expect("ring"));
        let frame = stage(&wal, 1, 0, &[1; 100]).await;
        wal.give_up("the test says so");
        assert_eq!(wal.written(frame).await, Err(NotWritten));
        assert_eq!(wal.stage(&entry(1, 100, 8), |_| true), Staged::Unavailable);
    })
    .expect("executor");
}

#[test]
fn missing_file_refuses_the_start_unless_the_loss_is_accepted() {
    let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("tempdir");
    let (home, _) = open(dir.path(), &settings(4 << 20, 2));
    drop(home.create_file(3).expect("made"));
    let (_, old) = open(dir.path(), &settings(4 << 20, 2));
    assert_eq!(old.files().len(), 1);
    for path in wal_files(dir.path()) {
        std::fs::remove_file(path).expect("removed");
    }
    let dirs = [(dir.path().to_owned(), ID)];
    let refused = WalHome::open(&settings(4 << 20, 2), &dirs, false).expect_err("refused").0;
    assert!(refused.contains("it is missing") && refused.contains("--accept-wal-loss"), "{refused}");
    let accepting = WalSettings { loss: WalLoss::Accepted, ..settings(4 << 20, 2) };
    let (home, old) = WalHome::open(&accepting, &dirs, false).expect("accepted");
    home.forget_old(&old).expect("forgotten");
    open(dir.path(), &settings(4 << 20, 2));
}

#[test]
fn given_up_file_is_read_wherever_it_lies_and_missed_only_where_its_directory_is() {
    let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("tempdir");
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    [&one, &two].into_iter().for_each(|path| std::fs::create_dir(path).expect("created"));
    let (first, second) = ((one.clone(), Uuid::from_bytes([2; 16])), (two.clone(), ID));
    let settings = settings(4 << 20, 2);
    // The first directory was offline in that life, so the files are in the second one.
    let (home, _) = WalHome::open(&settings, std::slice::from_ref(&second), false).expect("open");
    drop(home.create_file(0).expect("made"));
    home.give_up(0).expect("given up");
    let both = [first.clone(), second];
    let (_, old) = WalHome::open(&settings, &both, false).expect("open");
    assert_eq!(old.files(), wal_files(&two));
    std::fs::rename(&wal_files(&two)[0], dir.path().join("moved")).expect("moved");
    assert!(WalHome::open(&settings, &both, false).expect_err("refused").0.contains("it is missing"));
    // As if it was offline.
    std::fs::rename(two.join(REGISTER_FILE), one.join(REGISTER_FILE)).expect("moved");
    let (home, old) = WalHome::open(&settings, &[first], false).expect("open");
    assert!(old.files().is_empty());
    home.forget_old(&old).expect("forgotten");
    assert!(WalHome::open(&settings, &both, false).is_err(), "it is not forgotten before it was read");
}

#[test]
fn clean_end_leaves_nothing() {
    let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("tempdir");
    let (home, _) = open(dir.path(), &settings(4 << 20, 2));
    drop(home.create_file(0).expect("made"));
    drop(home.create_file(1).expect("made"));
    home.close_clean().expect("closed");
    assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 0);
}

#[test]
fn files_are_found_in_the_directory_they_were_moved_to() {
    let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("tempdir");
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    std::fs::create_dir(dir.path().join("log")).expect("created");
    let dirs = [(dir.path().join("log"), ID)];
    let in_dir = |wal: &PathBuf| WalSettings { dirs: vec![wal.clone()], ..settings(4 << 20, 2) };
    let (home, _) = WalHome::open(&in_dir(&one), &dirs, false).expect("open");
    drop(home.create_file(0).expect("made"));
    std::fs::rename(&one, &two).expect("moved");
    let (home, old) = WalHome::open(&in_dir(&two), &dirs, false).expect("open");
    assert_eq!(old.files().len(), 1);
    home.forget_old(&old).expect("forgotten");
    assert!(wal_files(&two).is_empty());
}
