//! Tests of the module above.

use super::*;

#[test]
fn segment_file_names_round_trip() {
    let path = SegmentFile::TimeIndex.path(Path::new("/d/t-0"), 42);
    assert_eq!(path, Path::new("/d/t-0/00000000000000000042.timeindex"));
    assert_eq!(SegmentFile::parse("00000000000000000042.timeindex"), Some((SegmentFile::TimeIndex, 42)));
    assert_eq!(SegmentFile::parse("00000000000000000042.log.deleted"), None);
    assert_eq!(SegmentFile::parse("42.log"), None);
    assert_eq!(SegmentFile::parse("0000000000000000004x.log"), None);
    assert_eq!(SegmentFile::parse("leader-epoch-checkpoint"), None);
}

#[test]
fn partition_directory_names() {
    assert_eq!(parse_partition_dir_name("my-topic-12"), Some(("my-topic", 12)));
    assert_eq!(partition_dir_name("my-topic", 12), "my-topic-12");
    for name in ["topic", "-1", "topic-", "topic-x", "t-1.0123-delete", "t-1.0123-future", "t-99999999999"] {
        assert_eq!(parse_partition_dir_name(name), None, "{name}");
    }
    let deleted = deleted_dir_name(&"t".repeat(249), 3, &[0xab; 16]);
    assert_eq!(deleted.len(), 255);
    assert!(deleted.ends_with("-3.abababababababababababababababab-delete"));
    assert!(is_deleted_dir_name(&deleted));
    assert!(!is_deleted_dir_name("t-1"));
}

#[test]
fn offset_checkpoint_round_trips_and_refuses_what_is_torn() {
    let mut offsets = OffsetCheckpoint::new();
    offsets.insert(("a".to_owned(), 0), 17);
    offsets.insert(("b-c.d".to_owned(), 3), 0);
    let text = print_offset_checkpoint(&offsets);
    assert_eq!(text, "0\n2\na 0 17\nb-c.d 3 0\n");
    assert_eq!(parse_offset_checkpoint(&text), Ok(offsets));
    assert_eq!(parse_offset_checkpoint(""), Ok(OffsetCheckpoint::new()));
    for text in ["1\n0\n", "0\n", "0\n2\na 0 17\n", "0\n1\na 0\n", "0\n1\na 0 x\n"] {
        assert!(parse_offset_checkpoint(text).is_err(), "{text:?}");
    }
}

#[test]
fn leader_epochs_round_trip() {
    let epochs = vec![(0, 0), (3, 1234)];
    let text = print_leader_epochs(&epochs);
    assert_eq!(text, "0\n2\n0 0\n3 1234\n");
    assert_eq!(parse_leader_epochs(&text), Ok(epochs));
    assert!(parse_leader_epochs("0\n1\n3\n").is_err());
}

#[test]
fn partition_metadata_round_trips() {
    let id = Uuid::from_bytes([7; 16]);
    let text = print_partition_metadata(id);
    assert_eq!(text, format!("version: 0\ntopic_id: {id}"));
    assert_eq!(parse_partition_metadata(&text), Ok(id));
    assert!(parse_partition_metadata("version: 1\ntopic_id: x").is_err());
    assert!(parse_partition_metadata("version: 0\n").is_err());
}

#[test]
fn clean_shutdown_marker() {
    assert_eq!(print_clean_shutdown(7), "{\"version\":0,\"brokerEpoch\":7}");
    assert_eq!(parse_clean_shutdown(&print_clean_shutdown(7)), Some(7));
    assert_eq!(parse_clean_shutdown(""), None);
}

#[test]
fn index_lookups_find_the_floor() {
    let entries: Vec<u8> = [(9, 100), (19, 200), (29, 300)]
        .into_iter()
        .flat_map(|(relative_offset, position)| IndexEntry { relative_offset, position }.to_bytes())
        .collect();
    assert_eq!(IndexEntry::floor(&entries, 8), None);
    assert_eq!(IndexEntry::floor(&entries, 9).map(|entry| entry.position), Some(100));
    assert_eq!(IndexEntry::floor(&entries, 28).map(|entry| entry.position), Some(200));
    assert_eq!(IndexEntry::floor(&entries, i64::MAX).map(|entry| entry.position), Some(300));
    let times: Vec<u8> = [(1000, 9), (2000, 19)]
        .into_iter()
        .flat_map(|(timestamp, relative_offset)| TimeIndexEntry { timestamp, relative_offset }.to_bytes())
        .collect();
    assert_eq!(TimeIndexEntry::floor(&times, 999), None);
    assert_eq!(TimeIndexEntry::floor(&times, 1999).map(|entry| entry.relative_offset), Some(9));
}

#[test]
fn sane_entries_end_at_the_zero_tail() {
    let mut entries: Vec<u8> = [(9, 0), (19, 200)]
        .into_iter()
        .flat_map(|(relative_offset, position)| IndexEntry { relative_offset, position }.to_bytes())
        .collect();
    entries.resize(entries.len() + 800, 0);
    assert_eq!(sane_index_entries(&entries, 1000), 2);
    assert_eq!(sane_index_entries(&entries, 150), 1);
    let mut times = TimeIndexEntry { timestamp: 5, relative_offset: 3 }.to_bytes().to_vec();
    times.resize(times.len() + 120, 0);
    assert_eq!(sane_time_index_entries(&times, 4), 1);
    assert_eq!(sane_time_index_entries(&times, 3), 0);
}
