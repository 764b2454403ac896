//! Tests of the module above.

use super::super::region_table::OldRegion;
use super::*;

fn label(position: u64) -> ChunkLabel {
    ChunkLabel { directory_id: [1; 16], topic_id: [2; 16], partition: 3, segment_base_offset: 400, position }
}

#[test]
fn the_next_process_finds_what_was_filled() {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("a.tail");
    let region = Region::create(&path, 16 << 20).expect("create");
    let chunk = region.allocate(UNIT_LEN, &label(0)).expect("room");
    region.write(chunk, 0, b"hello");
    region.set_filled(chunk, 5);
    let gone = region.allocate(BLOCK_LEN, &label(16384)).expect("room");
    region.set_filled(gone, 100);
    region.discard(gone);
    let old = OldRegion::open(&path).expect("open").expect("valid");
    assert_eq!(old.chunks().len(), 1);
    assert_eq!(old.chunks()[0].label, label(0));
    assert_eq!(old.bytes(&old.chunks()[0]), b"hello");
    let kept = region.allocate(UNIT_LEN, &label(1 << 20)).expect("room");
    region.set_filled(kept, 7);
    old.forget(old.chunks().iter()).expect("forgotten");
    let old = OldRegion::open(&path).expect("open").expect("valid");
    assert_eq!(old.chunks().iter().map(|chunk| chunk.label).collect::<Vec<_>>(), [label(1 << 20)]);
}

#[test]
fn foreign_and_torn_files_are_recognised() {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("a.tail");
    std::fs::write(&path, vec![0; 8192]).expect("write");
    assert!(OldRegion::open(&path).expect("open").is_err());
    std::fs::write(&path, b"x").expect("write");
    assert!(OldRegion::open(&path).expect("open").is_err());
    let whole = dir.path().join("b.tail");
    drop(Region::create(&whole, 16 << 20).expect("create"));
    assert!(OldRegion::open(&whole).expect("open").is_ok());
    let file = OpenOptions::new().write(true).open(&whole).expect("open");
    file.set_len(1 << 20).expect("cut");
    assert!(OldRegion::open(&whole).expect("open").is_err());
}

#[test]
fn oldest_cached_chunk_is_recycled_first_and_held_ones_never() {
    let region = Region::private(0).expect("region");
    let count = region.capacity() / BLOCK_LEN;
    let chunks: Vec<_> = (0..count).map(|_| region.allocate(BLOCK_LEN, &label(0)).expect("room")).collect();
    assert_eq!(region.allocate(BLOCK_LEN, &label(0)), None);
    assert_eq!(region.allocate(UNIT_LEN, &label(0)), None);
    region.release(chunks[2]);
    region.release(chunks[1]);
    let next = region.allocate(BLOCK_LEN, &label(0)).expect("room");
    assert!(!region.is_live(chunks[1]) && region.is_live(chunks[2]) && region.is_live(next));
    assert!(!region.hold(chunks[1]));
    assert!(region.hold(chunks[2]));
    assert_eq!(region.allocate(BLOCK_LEN, &label(0)), None);
    assert_eq!(region.held(), region.capacity());
}

#[test]
fn pinned_chunk_is_not_recycled_until_the_last_slice_is_gone() {
    let region = Region::private(0).expect("region");
    let count = region.capacity() / BLOCK_LEN;
    let chunks: Vec<_> = (0..count).map(|_| region.allocate(BLOCK_LEN, &label(0)).expect("room")).collect();
    region.write(chunks[0], 10, b"abc");
    region.set_filled(chunks[0], 13);
    let bytes = region.bytes(chunks[0], 10, 3);
    let copy = bytes.slice(1..);
    region.release(chunks[0]);
    drop(bytes);
    assert_eq!(region.pinned(), BLOCK_LEN);
    assert_eq!(region.allocate(BLOCK_LEN, &label(0)), None);
    assert_eq!(&copy[..], b"bc");
    std::thread::spawn(move || drop(copy)).join().expect("joined");
    assert_eq!(region.pinned(), 0);
    assert!(region.allocate(BLOCK_LEN, &label(0)).is_some());
}

#[test]
fn small_chunks_share_a_block_and_change_size_with_it() {
    let region = Region::private(0).expect("region");
    let units = region.capacity() / UNIT_LEN;
    let chunks: Vec<_> = (0..units).map(|_| region.allocate(UNIT_LEN, &label(0)).expect("room")).collect();
    assert_eq!(region.allocate(UNIT_LEN, &label(0)), None);
    for chunk in &chunks[..UNITS_PER_BLOCK] {
        region.release(*chunk);
    }
    let large = region.allocate(BLOCK_LEN / 2, &label(0)).expect("a whole block is cached");
    let second = region.allocate(BLOCK_LEN / 2, &label(0)).expect("its other half");
    assert!(region.is_live(large) && region.is_live(second));
    assert!(chunks[..UNITS_PER_BLOCK].iter().all(|chunk| !region.is_live(*chunk)));
    assert!(chunks[UNITS_PER_BLOCK..].iter().all(|chunk| region.is_live(*chunk)));
}

#[test]
fn single_cached_chunk_is_taken_where_no_block_is_wholly_cached() {
    let region = Region::private(0).expect("region");
    let units = region.capacity() / UNIT_LEN;
    let chunks: Vec<_> = (0..units).map(|_| region.allocate(UNIT_LEN, &label(0)).expect("room")).collect();
    for (at, chunk) in chunks.iter().enumerate().filter(|(at, _)| at % UNITS_PER_BLOCK != 5) {
        if at % 2 == 0 {
            region.release(*chunk);
        }
    }
    let pinned = region.bytes(chunks[0], 0, 10);
    assert_eq!(region.allocate(BLOCK_LEN, &label(0)), None);
    let next = region.allocate(UNIT_LEN, &label(0)).expect("a cached one");
    assert!(region.is_live(chunks[0]) && !region.is_live(chunks[2]) && region.is_live(next));
    drop(pinned);
    region.discard(chunks[1]);
    let again = region.allocate(UNIT_LEN, &label(0)).expect("a cached one");
    assert!(!region.is_live(chunks[0]) && region.is_live(again));
}
