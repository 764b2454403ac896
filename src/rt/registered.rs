//! Tail memory that the disk ring knows: the pages of a registered block are looked up once, not for every write.
//!
//! A direct write of 1 MiB from ordinary memory pins 256 pages first, a tenth of what a produced gigabyte costs. Blocks are
//! registered one by one as they are first written from, so that memory which was never used stays untouched.
//!
//! The pages count as locked memory. Where RLIMIT_MEMLOCK has no room for them (or the kernel is older than 5.19) writes go on
//! without; nothing but that tenth is lost.

use std::io;

use io_uring::Submitter;

use super::region::{BLOCK_LEN, Memory, Pinned};

/// The kernel's bound on registered buffers of a ring (`IORING_MAX_REG_BUFFERS`).
const BUFFERS_MAX: usize = 1 << 14;

/// Which blocks of one region a ring knows.
#[derive(Default)]
pub(super) enum Registered {
    /// Nothing was written yet.
    #[default]
    Untried,
    /// The blocks of this memory: buffer number is block number.
    Of {
        /// Kept mapped, so that no other memory can appear at its addresses.
        memory: Memory,
        /// By block.
        known: Vec<bool>,
    },
    /// It can't be done here.
    Refused,
}

impl Registered {
    /// The number of the buffer that a range lies in, registering it if need be. `None`: write it as ordinary memory.
    pub(super) fn buffer_of(&mut self, ring: &Submitter<'_>, range: &Pinned) -> Option<u16> {
        if matches!(self, Registered::Untried) {
            *self = Registered::table_for(ring, range.memory());
        }
        let Registered::Of { memory, known } = self else { return None };
        if !memory.holds(range) {
            return None;
        }
        let (block, start) = range.block();
        if !*known.get(block)? {
            if let Err(error) = register(ring, block, start) {
                tracing::debug!(%error, "tail memory is not registered with the disk ring");
                // Blocks are used in order and what is registered stays so; the ones from here on are not tried again.
                known.truncate(block);
                return None;
            }
            known[block] = true;
        }
        u16::try_from(block).ok()
    }

    fn table_for(ring: &Submitter<'_>, memory: Memory) -> Registered {
        let blocks = memory.blocks().min(BUFFERS_MAX);
        match ring.register_buffers_sparse(blocks as u32) {
            Ok(()) => Registered::Of { memory, known: vec![false; blocks] },
            Err(error) => {
                tracing::debug!(%error, "tail memory is not registered with the disk ring");
                Registered::Refused
            }
        }
    }
}

fn register(ring: &Submitter<'_>, block: usize, start: *mut u8) -> io::Result<()> {
    let buffer = libc::iovec { iov_base: start.cast(), iov_len: BLOCK_LEN };
    // SAFETY: the block stays mapped as long as the ring lives: `Registered::Of` keeps its memory and is dropped after the ring.
    unsafe { ring.register_buffers_update(block as u32, &[buffer], None) }
}
