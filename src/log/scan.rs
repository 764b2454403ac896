//! Walking over the batches of a segment file, checking each: what recovery is made of. Blocking.
//!
//! It reads past the page cache (`file::open_direct_read`): gigabytes that are looked at once would push out what others read, and
//! into fresh pages they come at a third of the device's speed.

use std::io;

use crate::record::{BatchHeader, HEADER_LEN};
use crate::rt::aligned::AlignedBuffer;
use crate::rt::file::{self, BLOCK_LEN, File};

/// Bytes read at once.
const BUFFER_LEN: usize = 1 << 20;
/// The CRC of a batch covers what follows it: attributes and all behind.
const CRC_COVERS_FROM: u64 = 21;

/// Where a scan ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanEnd {
    /// Position behind the last valid batch.
    pub position: u64,
    /// Offset behind the last valid batch.
    pub next_offset: i64,
    /// Why the bytes there are no batch; `None` at the end of the file.
    pub reason: Option<String>,
}

/// Whether offsets may be missing between two batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gaps {
    /// Compaction leaves them.
    Allowed,
    /// Nobody ever took a record out of this log.
    Refused,
}

/// Checks the batches of `file` from `position` on (header, length, CRC, rising offsets from `next_offset` on), calling `visit` with
/// each header and position, until the file ends or one is not valid.
pub fn scan(
    file: &File,
    position: u64,
    next_offset: i64,
    gaps: Gaps,
    mut visit: impl FnMut(&BatchHeader, u64),
) -> io::Result<ScanEnd> {
    let len = file.metadata()?.len();
    // A window begins with a whole block, wherever the wanted bytes do.
    let bytes = AlignedBuffer::new(BUFFER_LEN + block_len());
    let mut window = Window { file, bytes, start: 0, len: 0 };
    let mut end = ScanEnd { position, next_offset, reason: None };
    while end.position < len {
        match check_batch(&mut window, end.position, len, (end.next_offset, gaps))? {
            Ok(header) => {
                visit(&header, end.position);
                end.position += header.size_in_bytes() as u64;
                end.next_offset = header.last_offset() + 1;
            }
            Err(reason) => {
                end.reason = Some(reason);
                break;
            }
        }
    }
    Ok(end)
}

fn check_batch(
    window: &mut Window<'_>,
    at: u64,
    len: u64,
    (next_offset, gaps): (i64, Gaps),
) -> io::Result<Result<BatchHeader, String>> {
    let header = match BatchHeader::parse(window.get(at, HEADER_LEN)?) {
        Ok(header) => header,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let size = header.size_in_bytes() as u64;
    if size > len - at {
        return Ok(Err(format!("a batch of {size} bytes doesn't fit the {} bytes left", len - at)));
    }
    if let Err(reason) = check_offsets(&header, next_offset, gaps) {
        return Ok(Err(reason));
    }
    let mut crc = 0;
    let mut done = CRC_COVERS_FROM;
    while done < size {
        let want = usize::try_from(size - done).unwrap_or(usize::MAX).min(BUFFER_LEN);
        let bytes = window.get(at + done, want)?;
        if bytes.len() < want {
            return Ok(Err("the file became shorter".to_owned()));
        }
        crc = crc32c::crc32c_append(crc, bytes);
        done += want as u64;
    }
    #[cfg(test)]
    if crate::rt::sim::is_sabotaged(crate::rt::sim::Sabotage::IgnoreChecksum) {
        return Ok(Ok(header));
    }
    if crc != header.crc {
        return Ok(Err(format!("its CRC is {crc:#010x}, the header says {:#010x}", header.crc)));
    }
    Ok(Ok(header))
}

/// Whether a batch may follow when the next expected offset is `next_offset`. The CRC doesn't cover the base offset.
pub fn check_offsets(header: &BatchHeader, next_offset: i64, gaps: Gaps) -> Result<(), String> {
    let is_gap = header.base_offset > next_offset && gaps == Gaps::Refused;
    let is_beyond = header.base_offset.checked_add(i64::from(header.last_offset_delta) + 1).is_none();
    if header.base_offset < next_offset || is_gap || header.last_offset_delta < 0 || is_beyond {
        return Err(format!(
            "offsets {}..={} can't follow {}",
            header.base_offset,
            header.last_offset(),
            next_offset - 1
        ));
    }
    Ok(())
}

/// Bytes of the file that are not zero from `position` on, counted to the last such byte: what a cut really throws away.
pub fn torn_bytes(file: &File, position: u64) -> io::Result<u64> {
    let mut buffer = AlignedBuffer::new(BUFFER_LEN);
    let (mut at, mut end) = (position - position % BLOCK_LEN, position);
    loop {
        let count = file::read_blocks_at(file, &mut buffer, at)?;
        if let Some(last) = buffer[..count].iter().rposition(|byte| *byte != 0) {
            end = end.max(at + last as u64 + 1);
        }
        if count < buffer.len() {
            return Ok(end - position);
        }
        at += count as u64;
    }
}

fn block_len() -> usize {
    usize::try_from(BLOCK_LEN).expect("a block is small")
}

/// A buffered view of a file.
struct Window<'a> {
    file: &'a File,
    bytes: AlignedBuffer,
    start: u64,
    len: usize,
}

impl Window<'_> {
    /// Up to `want` bytes from `position` on; fewer at the end of the file.
    fn get(&mut self, position: u64, want: usize) -> io::Result<&[u8]> {
        assert!(want + block_len() <= self.bytes.len());
        let end = self.start + self.len as u64;
        if position < self.start || position + want as u64 > end {
            self.start = position - position % BLOCK_LEN;
            self.len = file::read_blocks_at(self.file, &mut self.bytes, self.start)?;
        }
        let from = usize::try_from(position - self.start).expect("inside the buffer");
        Ok(&self.bytes[from.min(self.len)..self.len.min(from + want)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::testing::batch;

    fn scan_bytes(bytes: &[u8]) -> (ScanEnd, Vec<(i64, u64)>) {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("x.log");
        std::fs::write(&path, bytes).expect("write");
        let mut seen = Vec::new();
        let file = file::open_direct_read(&path).expect("open");
        let end = scan(&file, 0, 0, Gaps::Allowed, |header, at| seen.push((header.base_offset, at))).expect("scan");
        (end, seen)
    }

    #[test]
    fn valid_batches_to_the_end_of_the_file() {
        let (first, second) = (batch(0, 3, 100), batch(3, 1, 3 << 20));
        let (end, seen) = scan_bytes(&[&first[..], &second[..]].concat());
        assert_eq!(seen, [(0, 0), (3, first.len() as u64)]);
        assert_eq!((end.next_offset, end.reason), (4, None));
    }

    #[test]
    fn zeroes_torn_bytes_and_wrong_offsets_end_the_scan() {
        let first = batch(5, 2, 100);
        let mut flipped = batch(7, 1, 100);
        let last = flipped.len() - 1;
        flipped[last] ^= 1;
        let torn = &batch(7, 1, 100)[..50];
        for bad in [&[0u8; 4096][..], torn, &flipped, &batch(6, 1, 10), &batch(7, 1, 100)[..80]] {
            let (end, seen) = scan_bytes(&[&first[..], bad].concat());
            assert_eq!(seen.len(), 1);
            assert_eq!((end.position, end.next_offset), (first.len() as u64, 7));
            assert!(end.reason.is_some());
        }
    }

    #[test]
    fn base_offset_is_checked_though_the_crc_does_not_cover_it() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("x.log");
        for (base, gaps, valid) in
            [(3, Gaps::Refused, 2), (5, Gaps::Refused, 1), (5, Gaps::Allowed, 2), (i64::MAX - 1, Gaps::Allowed, 1)]
        {
            let mut second = batch(3, 2, 10);
            second[..8].copy_from_slice(&i64::to_be_bytes(base));
            std::fs::write(&path, [batch(0, 3, 100), second].concat()).expect("write");
            let mut seen = 0;
            let file = file::open_direct_read(&path).expect("open");
            scan(&file, 0, 0, gaps, |_, _| seen += 1).expect("scan");
            assert_eq!(seen, valid, "{base} {gaps:?}");
        }
    }

    #[test]
    fn torn_bytes_leave_the_zero_tail_out() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("x");
        let mut bytes = vec![0; 3 << 20];
        bytes[100] = 1;
        bytes[2_000_000] = 1;
        std::fs::write(&path, bytes).expect("write");
        let file = file::open_direct_read(&path).expect("open");
        assert_eq!(torn_bytes(&file, 101).expect("read"), 2_000_000 + 1 - 101);
        assert_eq!(torn_bytes(&file, 2_000_001).expect("read"), 0);
    }
}
