//! Tests of the module above.

use super::super::format::{FRAME_HEADER_LEN, file_name};
use super::*;
use crate::wire::Uuid;

const LEN: u64 = 1 << 20;
const TOPIC: [u8; 16] = [4; 16];

/// A log written by hand, frame by frame.
struct Writer {
    dir: tempfile::TempDir,
    log: LogId,
    number: u32,
    bytes: Vec<u8>,
    sequence: u64,
    needed_from: u64,
    entry: u64,
}

impl Writer {
    fn new(generation: u64, shard: u32) -> Writer {
        let log = LogId { generation, shard, random: 77 * generation + u64::from(shard) };
        let dir = tempfile::tempdir().expect("tempdir");
        let mut writer = Writer { dir, log, number: 0, bytes: Vec::new(), sequence: 0, needed_from: 1, entry: 0 };
        writer.next_file();
        writer
    }

    fn path(&self, number: u32) -> PathBuf {
        self.dir.path().join(file_name(Uuid::from_bytes([1; 16]), &self.log, number))
    }

    fn next_file(&mut self) {
        self.number += 1;
        self.bytes = FileHeader { log: self.log, number: self.number, len: LEN }.encode().to_vec();
        self.bytes.resize(BLOCK_LEN, 0);
        self.save();
    }

    fn save(&self) {
        let mut bytes = self.bytes.clone();
        bytes.resize(LEN as usize, 0);
        std::fs::write(self.path(self.number), bytes).expect("write");
    }

    /// A frame of entries (partition, segment, position, bytes); returns its position.
    fn frame(&mut self, entries: &[(i32, i64, u64, &[u8])]) -> usize {
        let position = self.bytes.len();
        self.sequence += 1;
        let mut body = Vec::new();
        for (partition, segment, position, bytes) in entries {
            self.entry += 1;
            let header = EntryHeader {
                topic_id: TOPIC,
                partition: *partition,
                segment: *segment,
                position: *position,
                len: bytes.len() as u32,
                base_offset: 0,
                leader_epoch: 0,
                sequence: self.entry,
            };
            body.extend_from_slice(&header.encode(bytes));
            body.extend_from_slice(bytes);
            body.resize(body.len().next_multiple_of(8), 0);
        }
        let header = FrameHeader {
            log: self.log,
            sequence: self.sequence,
            needed_from: self.needed_from,
            file_number: self.number,
            position: position as u64,
            entries: entries.len() as u32,
            len: body.len() as u32,
        };
        assert_eq!(header.encode().len(), FRAME_HEADER_LEN);
        self.bytes.extend_from_slice(&header.encode());
        self.bytes.extend_from_slice(&body);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK_LEN), 0);
        self.save();
        position
    }

    fn read(&self) -> OldWal {
        read(&[self])
    }
}

fn read(writers: &[&Writer]) -> OldWal {
    let mut files = Vec::new();
    for writer in writers {
        files.extend((1..=writer.number).map(|number| OldFile::open(&writer.path(number), true).expect("a WAL file")));
    }
    OldWal::read(files, Vec::new(), &[]).expect("read")
}

fn bytes_at(old: &OldWal, partition: i32, segment: i64, position: u64) -> Option<Vec<u8>> {
    old.bytes_at(TOPIC, partition, Mark { segment, position }).expect("readable")
}

#[test]
fn entries_are_found_by_their_place_in_the_log() {
    let mut writer = Writer::new(1, 0);
    writer.frame(&[(0, 0, 100, b"abcd"), (1, 0, 0, b"other")]);
    writer.next_file();
    writer.frame(&[(0, 0, 104, b"efg"), (0, 50, 0, b"rolled")]);
    let mut old = writer.read();
    assert!(old.take_damage().is_empty());
    assert_eq!(bytes_at(&old, 0, 0, 100).as_deref(), Some(&b"abcd"[..]));
    assert_eq!(bytes_at(&old, 0, 0, 102).as_deref(), Some(&b"cd"[..]));
    assert_eq!(bytes_at(&old, 0, 0, 104).as_deref(), Some(&b"efg"[..]));
    assert_eq!(bytes_at(&old, 0, 0, 107), None);
    assert_eq!(bytes_at(&old, 0, 0, 99), None);
    assert_eq!(bytes_at(&old, 0, 50, 0).as_deref(), Some(&b"rolled"[..]));
    assert_eq!(bytes_at(&old, 1, 0, 0).as_deref(), Some(&b"other"[..]));
    assert_eq!(bytes_at(&old, 2, 0, 0), None);
    assert_eq!(old.end_of(TOPIC, 0), Some(Mark { segment: 50, position: 6 }));
    old.set_loss(WalLoss::Accepted);
    assert_eq!(old.end_of(TOPIC, 0), None);
}

#[test]
fn later_entry_ends_the_log_where_it_begins() {
    let mut writer = Writer::new(1, 0);
    writer.frame(&[(0, 0, 0, b"0123456789"), (0, 0, 10, b"abc"), (0, 20, 0, b"segment")]);
    writer.frame(&[(0, 0, 8, b"XY")]);
    let old = writer.read();
    assert_eq!(bytes_at(&old, 0, 0, 0).as_deref(), Some(&b"01234567"[..]));
    assert_eq!(bytes_at(&old, 0, 0, 8).as_deref(), Some(&b"XY"[..]));
    assert_eq!(bytes_at(&old, 0, 0, 10), None);
    assert_eq!(bytes_at(&old, 0, 20, 0), None);

    writer.frame(&[(0, 0, 4, b"")]);
    let old = writer.read();
    assert_eq!(bytes_at(&old, 0, 0, 0).as_deref(), Some(&b"0123"[..]));
    assert_eq!(bytes_at(&old, 0, 0, 4), None);
}

#[test]
fn lives_and_shards_are_read_in_order_whatever_the_order_of_files() {
    let (mut first, mut second, mut other) = (Writer::new(1, 0), Writer::new(2, 3), Writer::new(2, 1));
    first.frame(&[(0, 0, 0, b"old old old")]);
    second.frame(&[(0, 0, 4, b"NEW")]);
    other.frame(&[(9, 0, 0, b"of another shard")]);
    for order in [[&first, &second, &other], [&other, &second, &first]] {
        let mut old = read(&order);
        assert!(old.take_damage().is_empty());
        assert_eq!(bytes_at(&old, 0, 0, 0).as_deref(), Some(&b"old "[..]));
        assert_eq!(bytes_at(&old, 0, 0, 4).as_deref(), Some(&b"NEW"[..]));
        assert_eq!(bytes_at(&old, 9, 0, 3).as_deref(), Some(&b"another shard"[..]));
    }
}

#[test]
fn torn_last_write_is_cut_and_a_hole_is_damage() {
    let mut writer = Writer::new(1, 0);
    writer.frame(&[(0, 0, 0, b"one")]);
    let second = writer.frame(&[(0, 0, 3, &[2; 9000])]);
    let whole = writer.bytes.clone();
    // The end of the last write did not reach the device.
    writer.bytes[second + 8192..].fill(0);
    writer.save();
    let mut old = writer.read();
    assert!(old.take_damage().is_empty());
    assert_eq!(old.torn_frames, 1);
    assert_eq!(old.end_of(TOPIC, 0), Some(Mark { segment: 0, position: 3 }));

    writer.bytes = whole;
    writer.frame(&[(0, 0, 9003, b"three")]);
    writer.bytes[second + 100] ^= 1;
    writer.save();
    let damage = writer.read().take_damage();
    assert_eq!(damage.len(), 1);
    assert!(damage[0].contains("write 2 of the write-ahead log of shard 0"), "{damage:?}");
}

#[test]
fn frames_of_an_earlier_lap_are_no_hole_when_they_are_not_needed() {
    let mut writer = Writer::new(1, 0);
    let first = writer.frame(&[(0, 0, 0, b"aaaa")]);
    writer.frame(&[(0, 0, 4, b"bbbb")]);
    writer.frame(&[(0, 0, 8, b"cccc")]);
    writer.next_file();
    writer.frame(&[(0, 0, 12, b"dddd")]);
    // The first file is used again: frame 5 lies where frame 1 was, 2 and 3 are still behind it.
    let second_file = std::mem::take(&mut writer.bytes);
    let lap = std::fs::read(writer.path(1)).expect("read");
    writer.number = 1;
    writer.needed_from = 4;
    writer.bytes = lap[..first].to_vec();
    writer.frame(&[(0, 0, 16, b"eeee")]);
    let mut file = lap.clone();
    file[..writer.bytes.len()].copy_from_slice(&writer.bytes);
    std::fs::write(writer.path(1), file).expect("write");
    writer.number = 2;
    writer.bytes = second_file;
    writer.save();
    let mut old = writer.read();
    assert!(old.take_damage().is_empty());
    assert_eq!(bytes_at(&old, 0, 0, 12).as_deref(), Some(&b"dddd"[..]));
    assert_eq!(bytes_at(&old, 0, 0, 16).as_deref(), Some(&b"eeee"[..]));
    assert_eq!(old.end_of(TOPIC, 0), Some(Mark { segment: 0, position: 20 }));
}

#[test]
fn torn_write_over_frames_that_were_announced_as_useless_is_no_damage() {
    let mut writer = Writer::new(1, 0);
    let first = writer.frame(&[(0, 0, 0, b"aaaa")]);
    writer.frame(&[(0, 0, 4, b"bbbb")]);
    let mut lap = std::fs::read(writer.path(1)).expect("read");
    writer.next_file();
    writer.frame(&[(0, 0, 8, b"cccc")]);
    lap[first..first + 512].fill(0xee);
    std::fs::write(writer.path(1), &lap).expect("write");
    assert_eq!(writer.read().take_damage().len(), 1, "nobody said that it was useless");
    writer.needed_from = 3;
    writer.frame(&[]);
    let mut old = writer.read();
    assert!(old.take_damage().is_empty());
    assert_eq!(bytes_at(&old, 0, 0, 8).as_deref(), Some(&b"cccc"[..]));
}

#[test]
fn reading_changes_nothing() {
    let mut writer = Writer::new(1, 0);
    writer.frame(&[(0, 0, 0, b"one")]);
    let before = std::fs::read(writer.path(1)).expect("read");
    for _ in 0..3 {
        assert_eq!(bytes_at(&writer.read(), 0, 0, 0).as_deref(), Some(&b"one"[..]));
    }
    assert_eq!(std::fs::read(writer.path(1)).expect("read"), before);
}

#[test]
fn file_that_is_not_itself_is_refused() {
    let writer = Writer::new(1, 0);
    let problem = |path: &Path| OldFile::open(path, true).expect_err("refused");
    assert!(problem(&writer.dir.path().join("none")).contains("missing"));
    std::fs::write(writer.path(5), vec![0; 8192]).expect("write");
    assert!(problem(&writer.path(5)).contains("not the file"));
    let whole = std::fs::read(writer.path(1)).expect("read");
    std::fs::write(writer.path(1), &whole[..8192]).expect("write");
    assert!(problem(&writer.path(1)).contains("cut"));
}
