//! What a connection still has to send: response bytes in memory and ranges of files, in order.
//!
//! Memory parts that follow each other go out in one `sendmsg`; a file range goes by `sendfile`, at most
//! `SEND_FILE_MAX` a call, and only once the page cache has it: a cold range is read ahead in the blocking pool first, so
//! that a reader of old data never stalls the core. What goes out in one turn is corked, so that it leaves in whole packets.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};

use crate::log::{FileSlice, ReadSlice};
use crate::rt;
use crate::rt::net::{More, Socket};

const SEND_FILE_MAX: usize = 1 << 20;
const SLICES_MAX: usize = 64;

/// A piece of a response.
#[derive(Debug)]
pub enum Part {
    /// Bytes in memory.
    Memory(Bytes),
    /// Bytes of a file.
    File(FileSlice),
}

impl Part {
    /// Bytes of the part.
    pub fn len(&self) -> usize {
        match self {
            Part::Memory(bytes) => bytes.len(),
            Part::File(slice) => slice.len,
        }
    }

    /// True for a part without bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The queue of one connection.
#[derive(Default)]
pub struct SendQueue {
    parts: VecDeque<Part>,
    len: usize,
    /// How many bytes at the front file part are known to be cached.
    warm: usize,
    warming: Option<Pin<Box<dyn Future<Output = usize>>>>,
    cold_reads: u64,
}

/// What [`SendQueue::poll_send`] did.
pub struct Sent {
    /// Bytes handed to the kernel.
    pub bytes: usize,
    /// True when something is left that must wait for the socket or the disk.
    pub blocked: bool,
}

impl SendQueue {
    /// Adds a part at the end.
    pub fn push(&mut self, part: Part) {
        if !part.is_empty() {
            self.len += part.len();
            self.parts.push_back(part);
        }
    }

    /// Bytes waiting.
    pub fn len(&self) -> usize {
        self.len
    }

    /// File ranges that had to be read ahead since this was asked last.
    pub fn take_cold_reads(&mut self) -> u64 {
        std::mem::take(&mut self.cold_reads)
    }

    /// True when all was sent.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Sends as much as goes now. When something blocks, the task is woken once it can go on.
    pub fn poll_send(&mut self, socket: &mut Socket, cx: &mut Context<'_>) -> io::Result<Sent> {
        if self.parts.is_empty() {
            return Ok(Sent { bytes: 0, blocked: false });
        }
        let sent = self.send_parts(socket, cx);
        socket.push();
        sent
    }

    fn send_parts(&mut self, socket: &mut Socket, cx: &mut Context<'_>) -> io::Result<Sent> {
        let mut bytes = 0;
        while let Some(front) = self.parts.front() {
            let sent = match front {
                Part::Memory(_) => self.send_memory(socket)?,
                Part::File(_) => {
                    if self.poll_warm(cx).is_pending() {
                        return Ok(Sent { bytes, blocked: true });
                    }
                    socket.cork();
                    self.send_file(socket)?
                }
            };
            bytes += sent;
            if sent == 0 && socket.poll_sendable(cx).is_pending() {
                return Ok(Sent { bytes, blocked: true });
            }
        }
        Ok(Sent { bytes, blocked: false })
    }

    fn send_memory(&mut self, socket: &Socket) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut count = 0;
        for part in self.parts.iter().take(SLICES_MAX) {
            let Part::Memory(bytes) = part else { break };
            slices[count] = IoSlice::new(bytes);
            count += 1;
        }
        let more = if count < self.parts.len() { More::Follows } else { More::Nothing };
        let sent = socket.try_send(&slices[..count], more)?;
        self.len -= sent;
        let mut left = sent;
        while left > 0 {
            let Some(Part::Memory(bytes)) = self.parts.front_mut() else { break };
            if left < bytes.len() {
                bytes.advance(left);
                break;
            }
            left -= bytes.len();
            self.parts.pop_front();
        }
        Ok(sent)
    }

    fn send_file(&mut self, socket: &Socket) -> io::Result<usize> {
        let Some(Part::File(slice)) = self.parts.front_mut() else { return Ok(0) };
        let sent = socket.try_send_file(&slice.file, slice.position, slice.len.min(self.warm))?;
        slice.position += sent as u64;
        slice.len -= sent;
        self.warm -= sent;
        self.len -= sent;
        if slice.len == 0 {
            self.warm = 0;
            self.parts.pop_front();
        }
        Ok(sent)
    }

    /// Ready when a piece of the front file range is in the page cache.
    fn poll_warm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.warm > 0 {
            return Poll::Ready(());
        }
        if self.warming.is_none() {
            let Some(Part::File(slice)) = self.parts.front() else { return Poll::Ready(()) };
            let len = slice.len.min(SEND_FILE_MAX);
            // A kernel that can't tell (no cachestat) is trusted to have it.
            if rt::file::is_cached(&slice.file, slice.position, len as u64).unwrap_or(true) {
                self.warm = len;
                return Poll::Ready(());
            }
            let (file, position) = (slice.file.clone(), slice.position);
            self.cold_reads += 1;
            self.warming = Some(Box::pin(async move {
                // What can't be read ahead is told by the send itself.
                let _ = rt::blocking(move || rt::file::read_ahead(&file, position, len as u64)).await;
                len
            }));
        }
        let Some(warming) = &mut self.warming else { return Poll::Ready(()) };
        match warming.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(len) => {
                self.warming = None;
                self.warm = len;
                Poll::Ready(())
            }
        }
    }
}

impl From<ReadSlice> for Part {
    fn from(slice: ReadSlice) -> Part {
        match slice {
            ReadSlice::Memory(bytes) => Part::Memory(bytes),
            ReadSlice::File(slice) => Part::File(slice),
        }
    }
}
