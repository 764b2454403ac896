//! Tests of the module above.

use super::*;
use crate::log::format::META_PROPERTIES_FILE;
use crate::log::old_tail::tail_file_name;
use crate::log::testing::format_dir;
use crate::rt::region::{ChunkLabel, Region, UNIT_LEN};

fn settings(paths: &[&Path]) -> LogDirsSettings {
    LogDirsSettings {
        paths: paths.iter().map(|path| path.to_path_buf()).collect(),
        cluster_id: None,
        node_id: 1,
        tail_dir: None,
        wal: WalSettings::default(),
    }
}

fn id(topic: &str, partition: i32) -> PartitionId {
    PartitionId { topic: topic.into(), topic_id: Uuid::from_bytes([1; 16]), partition }
}

#[test]
fn checkpoints_and_the_clean_marker_survive_a_restart() {
    let temp = tempfile::tempdir().expect("tempdir");
    format_dir(temp.path());
    let dirs = LogDirs::open(&settings(&[temp.path()])).expect("open");
    assert!(!dirs.dirs()[0].was_clean());
    dirs.dirs()[0].note_high_watermark(&id("t", 3), 77);
    dirs.close_clean(5).expect("closed");
    drop(dirs);
    let dirs = LogDirs::open(&settings(&[temp.path()])).expect("open");
    assert!(dirs.dirs()[0].was_clean());
    assert_eq!(dirs.previous_broker_epoch(), 5);
    assert_eq!(dirs.dirs()[0].checkpointed_high_watermark(&id("t", 3)), Some(77));
    assert_eq!(dirs.dirs()[0].checkpointed_high_watermark(&id("t", 4)), None);
    drop(dirs);
    let dirs = LogDirs::open(&settings(&[temp.path()])).expect("open");
    assert_eq!(dirs.previous_broker_epoch(), -1);
    assert!(!dirs.dirs()[0].was_clean(), "the marker is gone once a broker started");
}

#[test]
fn a_segment_that_goes_before_all_logs_are_open_is_not_missed() {
    let temp = tempfile::tempdir().expect("tempdir");
    format_dir(temp.path());
    let dirs = LogDirs::open(&settings(&[temp.path()])).expect("open");
    let (there, gone) = (temp.path().join("t-0"), temp.path().join("t-1"));
    std::fs::create_dir(&there).expect("made");
    dirs.note_extended(&dirs.dirs()[0], there.join("00000000000000000000.log"));
    dirs.note_extended(&dirs.dirs()[0], gone.join("00000000000000000000.log"));
    dirs.loaded();
    assert_eq!(dirs.dirs()[0].failure(), None);
}

#[test]
fn contradictions_are_errors_that_name_the_mend() {
    let (one, two) = (tempfile::tempdir().expect("tempdir"), tempfile::tempdir().expect("tempdir"));
    let error = LogDirs::open(&settings(&[one.path()])).expect_err("not formatted").0;
    assert!(error.contains("millrace format"), "{error}");
    format_dir(one.path());
    let mut other_node = settings(&[one.path()]);
    other_node.node_id = 2;
    assert!(LogDirs::open(&other_node).expect_err("other node").0.contains("node.id 1"));
    let mut other_cluster = settings(&[one.path()]);
    other_cluster.cluster_id = Some("else".to_owned());
    assert!(LogDirs::open(&other_cluster).expect_err("other cluster").0.contains("not to else"));
    let meta = std::fs::read(one.path().join(META_PROPERTIES_FILE)).expect("read");
    std::fs::write(two.path().join(META_PROPERTIES_FILE), meta).expect("write");
    let error = LogDirs::open(&settings(&[one.path(), two.path()])).expect_err("same id").0;
    assert!(error.contains("same directory.id"), "{error}");
    let first = LogDirs::open(&settings(&[one.path()])).expect("open");
    assert!(LogDirs::open(&settings(&[one.path()])).expect_err("locked").0.contains("in use"));
    drop(first);
}

#[test]
fn partitions_are_found_and_deletions_finished() {
    let (one, two) = (tempfile::tempdir().expect("tempdir"), tempfile::tempdir().expect("tempdir"));
    format_dir(one.path());
    format_dir(two.path());
    for name in ["t-0", "t-1", "gone-0.0123-delete", "__cluster_metadata-0", "stray-0"] {
        std::fs::create_dir(one.path().join(name)).expect("create");
    }
    for name in ["t-0", "t-1", "__cluster_metadata-0"] {
        let text = format::print_partition_metadata(Uuid::from_bytes([1; 16]));
        std::fs::write(one.path().join(name).join("partition.metadata"), text).expect("write");
    }
    let dirs = LogDirs::open(&settings(&[one.path(), two.path()])).expect("open");
    let found: Vec<String> = dirs.found().iter().map(|found| found.id.to_string()).collect();
    assert_eq!(found, ["t-0", "t-1"]);
    assert_eq!(dirs.choose_for_new().expect("usable").path(), two.path());
    dirs.dirs()[1].fail("disk on fire");
    assert_eq!(dirs.choose_for_new().expect("usable").path(), one.path());
    assert_eq!(dirs.dirs()[1].failure(), Some("disk on fire"));
}

#[test]
fn much_that_became_durable_wants_checkpoints_before_their_time() {
    let one = tempfile::tempdir().expect("tempdir");
    format_dir(one.path());
    let dirs = LogDirs::open(&settings(&[one.path()])).expect("open");
    dirs.dirs()[0].note_durable(crate::log::dir::UNCHECKPOINTED_BYTES_MAX - 1);
    assert!(!dirs.want_checkpoints());
    dirs.dirs()[0].note_durable(1);
    assert!(dirs.want_checkpoints());
    dirs.write_checkpoints();
    assert!(!dirs.want_checkpoints());
}

#[test]
fn a_partition_that_cannot_be_told_keeps_what_the_tail_may_hold_of_it() {
    let one = tempfile::tempdir().expect("tempdir");
    format_dir(one.path());
    for name in ["begun-0", "damaged-0"] {
        std::fs::create_dir(one.path().join(name)).expect("create");
    }
    let is_whole = || LogDirs::open(&settings(&[one.path()])).expect("open").dirs()[0].is_whole();
    assert!(is_whole(), "a creation that was interrupted left them");
    std::fs::write(one.path().join("damaged-0").join("partition.metadata"), "versi").expect("write");
    assert!(!is_whole());
}

#[test]
fn a_checkpoint_that_could_not_be_written_is_not_taken_for_written() {
    let one = tempfile::tempdir().expect("tempdir");
    format_dir(one.path());
    let dirs = LogDirs::open(&settings(&[one.path()])).expect("open");
    let dir = &dirs.dirs()[0];
    dir.note_log_start(&id("t", 0), 7);
    let in_the_way = one.path().join("log-start-offset-checkpoint.tmp");
    std::fs::create_dir(&in_the_way).expect("create");
    dir.write_checkpoints().expect_err("it can't be written");
    dir.write_checkpoints().expect_err("nor now");
    std::fs::remove_dir(&in_the_way).expect("removed");
    dir.write_checkpoints().expect("now it can");
    let text = std::fs::read_to_string(one.path().join("log-start-offset-checkpoint")).expect("read");
    assert!(text.ends_with("t 0 7\n"), "{text}");
}

#[test]
fn of_two_directories_of_a_partition_the_one_that_was_used_counts() {
    let (one, two) = (tempfile::tempdir().expect("tempdir"), tempfile::tempdir().expect("tempdir"));
    let tail = tempfile::tempdir_in("/dev/shm").expect("tempdir");
    let paths = [one.path(), two.path()];
    let settings = LogDirsSettings { tail_dir: Some(tail.path().to_owned()), ..settings(&paths) };
    let open = || LogDirs::open(&settings).expect("open");
    let create = || {
        for dir in paths.iter().filter(|dir| !dir.join("t-0").exists()) {
            let metadata = format::print_partition_metadata(Uuid::from_bytes([1; 16]));
            std::fs::create_dir(dir.join("t-0")).expect("created");
            std::fs::write(dir.join("t-0").join(format::PARTITION_METADATA_FILE), &metadata).expect("written");
        }
    };
    let only_one_is_found = |dirs: Arc<LogDirs>, path: &Path, counts: [usize; 2]| {
        let found: Vec<&Path> = dirs.found().iter().map(|found| found.dir.path()).collect();
        assert_eq!(found, [path]);
        assert_eq!(dirs.dirs().iter().map(|dir| dir.partitions()).collect::<Vec<_>>(), counts);
        assert_eq!(paths.map(|path| path.join("t-0").exists()), counts.map(|count| count == 1));
    };
    paths.iter().for_each(|dir| format_dir(dir));
    create();
    only_one_is_found(open(), one.path(), [1, 0]);
    // The second one is in the tail memory of a killed process.
    create();
    let second = open().dirs()[1].directory_id();
    create();
    let region = Region::create(&tail.path().join(tail_file_name(second, 0, &[1])), 16 << 20).expect("region");
    let (directory_id, topic_id) = (*second.as_bytes(), [1; 16]);
    let label = ChunkLabel { directory_id, topic_id, partition: 0, segment_base_offset: 0, position: 0 };
    let chunk = region.allocate(UNIT_LEN, &label).expect("room");
    region.write(chunk, 0, b"a batch");
    region.set_filled(chunk, 7);
    only_one_is_found(open(), two.path(), [0, 1]);
    region.remove_file().expect("removed");
    // It has a segment.
    create();
    std::fs::write(two.path().join("t-0").join("00000000000000000000.log"), b"").expect("written");
    only_one_is_found(open(), two.path(), [0, 1]);
    // Its records are gone, but a checkpoint knows of them.
    create();
    std::fs::remove_file(two.path().join("t-0").join("00000000000000000000.log")).expect("removed");
    std::fs::write(two.path().join("log-start-offset-checkpoint"), "0\n1\nt 0 7\n").expect("written");
    only_one_is_found(open(), two.path(), [0, 1]);
    create();
    std::fs::write(one.path().join("t-0").join("00000000000000000000.log"), b"").expect("written");
    assert!(open().found().is_empty(), "both may be right");
}
