//! Read buffers that connections borrow while they have something to read.

use std::cell::RefCell;

use bytes::BytesMut;

use crate::server::connection::READ_BUFFER;

const KEPT_MAX: usize = 32;

/// A shard's read buffers. Few are needed: a connection keeps one only while a frame is incomplete.
#[derive(Default)]
pub struct ReadBuffers(RefCell<Vec<BytesMut>>);

impl ReadBuffers {
    /// An empty buffer of `READ_BUFFER` bytes.
    pub fn take(&self) -> BytesMut {
        self.0.borrow_mut().pop().unwrap_or_else(|| BytesMut::with_capacity(READ_BUFFER))
    }

    /// Takes an empty buffer back, if it is worth keeping. One whose front is still referenced by a waiting request gives
    /// that part away for good, so only buffers that can be whole again are kept.
    pub fn give_back(&self, mut buffer: BytesMut) {
        buffer.clear();
        let mut kept = self.0.borrow_mut();
        if kept.len() < KEPT_MAX && buffer.try_reclaim(READ_BUFFER) && buffer.capacity() <= 2 * READ_BUFFER {
            kept.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_whole() {
        let buffers = ReadBuffers::default();
        let mut buffer = buffers.take();
        buffer.extend_from_slice(b"frame");
        drop(buffer.split_to(5).freeze());
        buffers.give_back(buffer);
        assert_eq!(buffers.0.borrow().len(), 1);
        assert!(buffers.take().capacity() >= READ_BUFFER);
    }

    #[test]
    fn a_buffer_still_referenced_is_let_go() {
        let buffers = ReadBuffers::default();
        let mut buffer = buffers.take();
        buffer.extend_from_slice(b"frame");
        let frame = buffer.split_to(5).freeze();
        buffers.give_back(buffer);
        assert_eq!(buffers.0.borrow().len(), 0);
        assert_eq!(&frame[..], b"frame");
    }
}
