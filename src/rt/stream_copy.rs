//! A copy that goes past the caches: for bytes that come once and are next touched by the disk or, much later, by a reader.
//!
//! An ordinary copy of 64 KiB into tail memory first reads every line of the target, which left the caches long ago, and pushes out what
//! the next request needs (its receive buffer, the tables of the kernel). Measured from a hot source into a region of 576 MB: 9.1 GB/s
//! ordinary, 15.7 GB/s streamed.

/// Shorter copies are left to the caches: a single record is soon followed by the next one in the same line.
const STREAMED_MIN: usize = 8 << 10;

/// Copies `len` bytes; when it returns they are visible to other threads and to devices as after any copy.
///
/// # Safety
/// As for [`std::ptr::copy_nonoverlapping`].
pub(super) unsafe fn copy(source: *const u8, target: *mut u8, len: usize) {
    #[cfg(target_arch = "x86_64")]
    if len >= STREAMED_MIN {
        // SAFETY: the caller's promise.
        unsafe { streamed(source, target, len) };
        return;
    }
    // SAFETY: the caller's promise.
    unsafe { std::ptr::copy_nonoverlapping(source, target, len) };
}

/// SSE2, which every x86-64 processor has: four stores fill a line, which then leaves as a whole.
///
/// # Safety
/// As for [`std::ptr::copy_nonoverlapping`]; `len` is a line at least.
#[cfg(target_arch = "x86_64")]
unsafe fn streamed(source: *const u8, target: *mut u8, len: usize) {
    use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_sfence, _mm_stream_si128};

    const LINE: usize = 64;
    let head = target.align_offset(LINE);
    let lines = (len - head) / LINE;
    let tail = head + lines * LINE;
    // SAFETY: head, lines and tail together are the caller's range, and the lines' targets are aligned.
    unsafe {
        std::ptr::copy_nonoverlapping(source, target, head);
        for line in 0..lines {
            let from = source.add(head + line * LINE).cast::<__m128i>();
            let to = target.add(head + line * LINE).cast::<__m128i>();
            let parts = [
                _mm_loadu_si128(from),
                _mm_loadu_si128(from.add(1)),
                _mm_loadu_si128(from.add(2)),
                _mm_loadu_si128(from.add(3)),
            ];
            _mm_stream_si128(to, parts[0]);
            _mm_stream_si128(to.add(1), parts[1]);
            _mm_stream_si128(to.add(2), parts[2]);
            _mm_stream_si128(to.add(3), parts[3]);
        }
        std::ptr::copy_nonoverlapping(source.add(tail), target.add(tail), len - tail);
        // Streamed stores are ordered by nothing else: not by the release store of the chunk's length, not by the system call that
        // hands the chunk to the disk.
        _mm_sfence();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alignment_and_length_arrives() {
        let source: Vec<u8> = (0..3 * STREAMED_MIN).map(|index| (index * 7 + index / 251) as u8).collect();
        for shift in [0, 1, 15, 16, 63, 64, 65] {
            for len in [0, 1, STREAMED_MIN - 1, STREAMED_MIN, STREAMED_MIN + 1, 2 * STREAMED_MIN + 77] {
                let mut target = vec![0xee; 3 * STREAMED_MIN];
                // SAFETY: both ranges lie inside their vectors.
                unsafe { copy(source.as_ptr().add(3), target.as_mut_ptr().add(shift), len) };
                assert!(target[..shift].iter().all(|byte| *byte == 0xee));
                assert!(target[shift..shift + len] == source[3..3 + len]);
                assert!(target[shift + len..].iter().all(|byte| *byte == 0xee));
            }
        }
    }
}
