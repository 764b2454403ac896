//! Reads just enough of a request to do its work, and builds the smallest valid answer.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;

use crate::disk::Writer;
use crate::frames;
use crate::wire::{In, Out};

/// Bytes of batches that the fetch floor holds: they fit in the last-level cache no more than a
/// broker's tail does.
const STORED_BYTES: usize = 256 << 20;

/// Where the records of a fetch answer come from.
#[derive(Clone, Copy, PartialEq)]
pub enum Source {
    /// Memory, one `sendmsg` together with the header.
    Memory,
    /// A file in the page cache, by `sendfile`.
    File,
}

impl Source {
    /// `send` or `sendfile`.
    pub fn named(name: &str) -> Source {
        match name {
            "send" => Source::Memory,
            "sendfile" => Source::File,
            _ => crate::die("--records takes send or sendfile"),
        }
    }
}

/// The batches that fetches are answered with: the same batch again and again, base offsets rising.
pub struct Stored {
    memory: Vec<u8>,
    file: Option<File>,
    batch_len: u64,
    records: u64,
    len: u64,
}

impl Stored {
    /// Builds the batches; they are only made when the first fetch asks for them.
    pub fn new(source: Source, dir: &Path, thread: i32, batch_bytes: usize, record_bytes: usize) -> Stored {
        let batch = frames::batch(batch_bytes, record_bytes, frames::Keys::None);
        let count = STORED_BYTES / batch.bytes.len();
        let mut memory = Vec::with_capacity(count * batch.bytes.len());
        for index in 0..count {
            let base = index as i64 * i64::from(batch.records);
            memory.extend_from_slice(&base.to_be_bytes());
            memory.extend_from_slice(&batch.bytes[8..]);
        }
        let mut stored = Stored {
            len: memory.len() as u64,
            memory,
            file: None,
            batch_len: batch.bytes.len() as u64,
            records: u64::from(batch.records),
        };
        if source == Source::File {
            let path = dir.join(format!("stored-{thread}.log"));
            let write = || -> io::Result<File> {
                File::create(&path)?.write_all(&stored.memory)?;
                File::open(&path)
            };
            match write() {
                Ok(file) => stored.file = Some(file),
                Err(error) => crate::die(&format!("{}: {error}", path.display())),
            }
            stored.memory = Vec::new();
        }
        stored
    }

    fn log_end_offset(&self) -> i64 {
        (self.len / self.batch_len * self.records) as i64
    }

    /// Position and length of the records from `offset` on.
    fn find(&self, offset: i64, max_bytes: i32) -> (u64, usize) {
        let position = offset as u64 / self.records * self.batch_len % self.len;
        let left = self.len - position;
        (position, left.min(max_bytes.max(0) as u64) as usize)
    }

    /// Sends `head` and then records; answers how many bytes of both together went out.
    pub fn send(&self, fd: RawFd, head: &[u8], position: u64, len: usize) -> io::Result<usize> {
        let Some(file) = &self.file else {
            return self.send_memory(fd, head, position, len);
        };
        if !head.is_empty() {
            return crate::net::send(fd, head, libc::MSG_MORE);
        }
        let mut offset = position as i64;
        // SAFETY: the offset lives until the call returns.
        let sent = unsafe { libc::sendfile(fd, file.as_raw_fd(), &mut offset, len) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    fn send_memory(&self, fd: RawFd, head: &[u8], position: u64, len: usize) -> io::Result<usize> {
        let records = &self.memory[position as usize..position as usize + len];
        let parts = [
            libc::iovec { iov_base: head.as_ptr().cast_mut().cast(), iov_len: head.len() },
            libc::iovec { iov_base: records.as_ptr().cast_mut().cast(), iov_len: records.len() },
        ];
        // SAFETY: a zeroed msghdr is valid, and the kernel only reads the two slices during the call.
        let sent = unsafe {
            let mut message: libc::msghdr = std::mem::zeroed();
            message.msg_iov = parts.as_ptr().cast_mut();
            message.msg_iovlen = parts.len();
            libc::sendmsg(fd, &message, libc::MSG_NOSIGNAL)
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

/// Does the work of one frame (its length prefix cut off). Answers the records that have to follow
/// `out`, if any.
pub fn answer(frame: &[u8], writer: &mut Writer, stored: &Stored, out: &mut Out) -> io::Result<Option<(u64, usize)>> {
    let parsed = match frame.get(..2) {
        Some([0, 0]) => produce(frame, writer, out).map(|()| None),
        Some([0, 1]) => fetch(frame, stored, out).map(Some),
        _ => None,
    };
    parsed.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Skips request header v2 and answers the correlation id.
fn header(input: &mut In<'_>) -> Option<i32> {
    input.take(4)?;
    let correlation_id = input.i32()?;
    let client_len = input.i16()?.max(0);
    input.take(client_len as usize)?;
    input.tags()?;
    Some(correlation_id)
}

fn produce(frame: &[u8], writer: &mut Writer, out: &mut Out) -> Option<()> {
    let mut input = In::new(frame);
    let correlation_id = header(&mut input)?;
    input.compact()?;
    let acks = input.i16()?;
    input.i32()?;
    input.array()?;
    let topic = input.compact()?;
    input.array()?;
    let partition = input.i32()?;
    let batch = input.compact()?;
    let crc = u32::from_be_bytes(batch.get(17..21)?.try_into().ok()?);
    let base_offset = if crc32c::crc32c(&batch[21..]) == crc {
        let records = i32::from_be_bytes(batch.get(57..61)?.try_into().ok()?);
        writer.append(partition as usize, batch, records)
    } else {
        -1
    };
    if acks == 0 {
        return Some(());
    }
    let start = out.0.len();
    out.i32(0).i32(correlation_id).tags().array(1).uvarint(topic.len() as u64 + 1).raw(topic).array(1);
    out.i32(partition).i16(if base_offset < 0 { 2 } else { 0 }).i64(base_offset).i64(-1).i64(0);
    out.array(0).uvarint(0).tags().tags().i32(0).tags();
    end(out, start, 0);
    Some(())
}

fn fetch(frame: &[u8], stored: &Stored, out: &mut Out) -> Option<(u64, usize)> {
    let mut input = In::new(frame);
    let correlation_id = header(&mut input)?;
    input.take(4 + 4 + 4 + 4 + 1 + 4 + 4)?;
    input.array()?;
    let topic = input.compact()?;
    input.array()?;
    let partition = input.i32()?;
    input.i32()?;
    let offset = input.i64()?;
    input.i32()?;
    input.i64()?;
    let max_bytes = input.i32()?;
    let (position, len) = stored.find(offset, max_bytes);
    let end_offset = stored.log_end_offset();
    let start = out.0.len();
    out.i32(0).i32(correlation_id).tags().i32(0).i16(0).i32(0).array(1);
    out.uvarint(topic.len() as u64 + 1).raw(topic).array(1);
    out.i32(partition).i16(0).i64(end_offset).i64(end_offset).i64(0).uvarint(0).i32(-1);
    out.uvarint(len as u64 + 1);
    // The three tag buffers behind the records are sent as the head of the next answer would be; to
    // keep one send per answer they are left out and the frame ends with the records' last bytes.
    end(out, start, len);
    Some((position, len))
}

/// Writes the frame's length into its prefix; `more` bytes follow behind `out`.
fn end(out: &mut Out, start: usize, more: usize) {
    let len = (out.0.len() - start - 4 + more) as i32;
    out.0[start..start + 4].copy_from_slice(&len.to_be_bytes());
}
