//! Tests of the module above.

use super::*;

const LOG: LogId = LogId { generation: 7, shard: 1, random: 0x1234_5678_9abc_def0 };
const FILE: FileHeader = FileHeader { log: LOG, number: 2, len: 1 << 20 };

fn entry(len: u32, sequence: u64) -> EntryHeader {
    EntryHeader {
        topic_id: [5; 16],
        partition: 3,
        segment: 100,
        position: 4000,
        len,
        base_offset: 123,
        leader_epoch: 9,
        sequence,
    }
}

/// A frame with two entries.
fn frame(header: FrameHeader) -> (FrameHeader, Vec<u8>) {
    let mut bytes = vec![0; FRAME_HEADER_LEN];
    for (len, sequence) in [(5u32, 40), (5000, 41)] {
        let content = vec![sequence as u8; len as usize];
        bytes.extend_from_slice(&entry(len, sequence).encode(&content));
        bytes.extend_from_slice(&content);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    let header = FrameHeader { entries: 2, len: (bytes.len() - FRAME_HEADER_LEN) as u32, ..header };
    bytes[..FRAME_HEADER_LEN].copy_from_slice(&header.encode());
    bytes.resize(header.frame_len(), 0);
    (header, bytes)
}

fn header() -> FrameHeader {
    FrameHeader { log: LOG, sequence: 11, needed_from: 4, file_number: 2, position: 8192, entries: 0, len: 0 }
}

#[test]
fn file_header_comes_back() {
    let bytes = FILE.encode();
    assert_eq!(FileHeader::decode(&bytes), Some(FILE));
    for at in 0..bytes.len() {
        let mut flipped = bytes;
        flipped[at] ^= 1;
        assert_eq!(FileHeader::decode(&flipped), None, "byte {at}");
    }
    assert_eq!(FileHeader::decode(&[0; 4096]), None);
}

#[test]
fn frame_comes_back_with_its_entries() {
    let (header, bytes) = frame(header());
    assert_eq!(bytes.len(), 8192);
    assert_eq!(FrameHeader::decode(&bytes, &FILE, 8192), Some(header));
    let entries = read_entries(&bytes, &header).expect("whole");
    assert_eq!(entries.iter().map(|(entry, _)| *entry).collect::<Vec<_>>(), [entry(5, 40), entry(5000, 41)]);
    let (second, at) = entries[1];
    assert!(bytes[at..at + second.len as usize].iter().all(|byte| *byte == 41));
}

#[test]
fn torn_frame_is_seen_whichever_sector_is_missing() {
    let (header, bytes) = frame(header());
    let end = FRAME_HEADER_LEN + header.len as usize;
    for sector in 0..end.div_ceil(512) {
        let mut torn = bytes.clone();
        torn[sector * 512..(sector + 1) * 512].fill(0);
        let whole = FrameHeader::decode(&torn, &FILE, 8192).and_then(|header| read_entries(&torn, &header));
        assert_eq!(whole, None, "sector {sector}");
    }
    for at in 0..end {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        let whole = FrameHeader::decode(&flipped, &FILE, 8192).and_then(|header| read_entries(&flipped, &header));
        // The padding behind the first entry is not covered, and says nothing.
        let is_padding =
            (FRAME_HEADER_LEN + ENTRY_HEADER_LEN + 5..FRAME_HEADER_LEN + ENTRY_HEADER_LEN + 8).contains(&at);
        assert_eq!(whole.is_some(), is_padding, "byte {at}");
    }
}

#[test]
fn stale_misplaced_and_foreign_frames_are_seen() {
    let (_, bytes) = frame(header());
    assert_eq!(FrameHeader::decode(&bytes, &FILE, 4096), None, "misplaced in its file");
    let other_file = FileHeader { number: 3, ..FILE };
    assert_eq!(FrameHeader::decode(&bytes, &other_file, 8192), None, "misplaced in another file");
    let later_life = FileHeader { log: LogId { generation: 8, ..LOG }, ..FILE };
    assert_eq!(FrameHeader::decode(&bytes, &later_life, 8192), None, "of an earlier life");
    let other_log = FileHeader { log: LogId { random: 1, ..LOG }, ..FILE };
    assert_eq!(FrameHeader::decode(&bytes, &other_log, 8192), None, "of another log");
    let short_file = FileHeader { len: 8192 + 4096, ..FILE };
    assert_eq!(FrameHeader::decode(&bytes, &short_file, 8192), None, "beyond the end of its file");
}

#[test]
fn lengths_that_lie_are_refused() {
    let lying = FrameHeader { len: u32::MAX, entries: 1, ..header() };
    assert_eq!(FrameHeader::decode(&lying.encode(), &FILE, 8192), None);
    let (header, bytes) = frame(header());
    assert_eq!(read_entries(&bytes, &FrameHeader { entries: 3, ..header }), None);
    assert_eq!(read_entries(&bytes, &FrameHeader { entries: 1, ..header }), None);
    let mut long = entry(8, 1).encode(&[0; 8]).to_vec();
    long[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(EntryHeader::decode(&long), None);
}

#[test]
fn register_comes_back_and_half_a_register_is_none() {
    let cut =
        Cut { generation: 12, sequence: 77, topic_id: [0x81; 16], partition: 3, segment: 1000, position: 1 << 40 };
    let register = Register {
        revision: 3,
        generation: 12,
        files: vec!["/a b/millrace-x-12-0-0.wal".into(), "/c/y.wal".into()],
        given_up: vec!["/d/z.wal".into()],
        void: vec![7, u64::MAX],
        cuts: vec![cut, Cut { topic_id: [1; 16], ..cut }],
    };
    let text = register.print();
    assert_eq!(Register::parse(&text), Some(register));
    for cut in 0..text.len() {
        assert_eq!(Register::parse(&text[..cut]), None, "cut at {cut}");
    }
}
