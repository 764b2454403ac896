//! The files of one shard's log as a ring, and what each of them holds that its segment does not yet. No I/O.
//!
//! ```text
//! ready -> current -> full, oldest first -> (all of its entries are in durable segments) -> ready
//! ```
//! Files are freed in the order in which they were filled, so what is still needed is always a run of frames without gaps. Each frame
//! says where that run begins. Before a file is used again, a frame must have said that nothing in it is needed: else a torn write
//! into it would look like the loss of what it held. Where no other frame came between, an announcement without entries says so, in
//! a block that each file keeps for it at its end.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::format::BLOCK_LEN;
use crate::rt::file::File;

/// A place in a partition's log: base offset of the segment, position in it. Ordered as the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Base offset of the segment.
    pub segment: i64,
    /// Byte position in it.
    pub position: u64,
}

/// A file of the ring.
#[derive(Debug)]
pub struct RingFile {
    file: Arc<File>,
    number: u32,
    len: u64,
    /// Where the next frame goes.
    position: u64,
    first_sequence: u64,
    /// It holds frames below this that must be known to be of no use before it is written to.
    stale_below: u64,
    /// Per partition's log: the end of its last entry here.
    behind: HashMap<u64, Mark>,
}

impl RingFile {
    /// A fresh file of `len` bytes.
    pub fn new(file: File, number: u32, len: u64) -> RingFile {
        RingFile {
            file: Arc::new(file),
            number,
            len,
            position: BLOCK_LEN as u64,
            first_sequence: 0,
            stale_below: 0,
            behind: HashMap::new(),
        }
    }

    /// The last block is for an announcement.
    fn frames_end(&self) -> u64 {
        self.len - BLOCK_LEN as u64
    }
}

/// What is to be written next.
#[derive(Clone, Debug)]
pub enum Next {
    /// The gathered frame, there.
    Frame(Place),
    /// A frame of one block without entries, there, for what it says of older frames.
    Announcement(Place),
}

/// Where a frame goes.
#[derive(Clone, Debug)]
pub struct Place {
    /// The file.
    pub file: Arc<File>,
    /// Its number.
    pub number: u32,
    /// Position of the frame.
    pub position: u64,
    /// Frames below are not needed any more.
    pub needed_from: u64,
}

/// The files.
#[derive(Debug)]
pub struct Ring {
    files_max: usize,
    current: Option<RingFile>,
    full: VecDeque<RingFile>,
    ready: VecDeque<RingFile>,
    /// The block for an announcement at the end of the file that was begun last.
    reserved: Option<(Arc<File>, u32, u64)>,
    /// What the last frame said: frames below are not needed.
    announced: u64,
    last_sequence: u64,
}

impl Ring {
    /// An empty ring that may get `files_max` files.
    pub fn new(files_max: usize) -> Ring {
        Ring {
            files_max: files_max.max(2),
            current: None,
            full: VecDeque::new(),
            ready: VecDeque::new(),
            reserved: None,
            announced: 0,
            last_sequence: 0,
        }
    }

    /// Adds a fresh file.
    pub fn add(&mut self, file: RingFile) {
        self.ready.push_back(file);
    }

    /// Files in it.
    pub fn count(&self) -> usize {
        usize::from(self.current.is_some()) + self.full.len() + self.ready.len()
    }

    /// Whether another file should be made: none is ready, the current one is half full, and there may be more.
    pub fn wants_file(&self) -> bool {
        let half_full = self.current.as_ref().is_none_or(|file| file.position * 2 >= file.len);
        self.ready.is_empty() && half_full && self.count() < self.files_max
    }

    /// Whether the partitions that hold back the oldest file should be flushed, so that a writer never finds all files full.
    pub fn is_pressed(&self) -> bool {
        !self.full.is_empty() && self.ready.is_empty() && self.count() >= self.files_max
    }

    /// There is no room for more files than there are.
    pub fn stay_as_is(&mut self) {
        self.files_max = self.count();
    }

    /// The place of a frame of `len` bytes, which becomes `sequence`, or of an announcement before it; `None` when all files are
    /// full. The frame placed before is on the device.
    pub fn place(&mut self, len: usize, sequence: u64) -> Option<Next> {
        let len = len as u64;
        if self.current.as_ref().is_some_and(|file| file.position + len > file.frames_end()) {
            self.full.extend(self.current.take());
        }
        let oldest = self.full.front().or(self.current.as_ref());
        let needed_from = oldest.map_or(sequence, |oldest| oldest.first_sequence);
        if self.current.is_none() {
            let next = self.ready.front()?;
            if next.stale_below > self.announced {
                let (file, number, position) = self.reserved.take().expect("each file has one block for it");
                self.announced = needed_from;
                return Some(Next::Announcement(Place { file, number, position, needed_from }));
            }
            let mut next = self.ready.pop_front().expect("just looked at");
            assert!(next.position + len <= next.frames_end());
            next.first_sequence = sequence;
            self.reserved = Some((next.file.clone(), next.number, next.frames_end()));
            self.current = Some(next);
        }
        let current = self.current.as_mut().expect("just made sure");
        let place =
            Place { file: current.file.clone(), number: current.number, position: current.position, needed_from };
        current.position += len;
        self.announced = needed_from;
        self.last_sequence = sequence;
        Some(Next::Frame(place))
    }

    /// The frame just placed holds an entry of log `log` that ends at `end`.
    pub fn note(&mut self, log: u64, end: Mark) {
        let current = self.current.as_mut().expect("a frame was placed");
        let behind = current.behind.entry(log).or_insert(end);
        *behind = (*behind).max(end);
    }

    /// Frees what is in durable segments now; `durable` says whether a log is durable up to a mark. Returns whether a file
    /// became free.
    pub fn release(&mut self, mut durable: impl FnMut(u64, Mark) -> bool) -> bool {
        let mut freed = false;
        while let Some(oldest) = self.full.front_mut() {
            oldest.behind.retain(|log, end| !durable(*log, *end));
            if !oldest.behind.is_empty() {
                break;
            }
            let mut file = self.full.pop_front().expect("just looked at");
            let behind = self.full.front().or(self.current.as_ref());
            file.stale_below = behind.map_or(self.last_sequence + 1, |next| next.first_sequence);
            file.position = BLOCK_LEN as u64;
            self.ready.push_back(file);
            freed = true;
        }
        freed
    }

    /// The logs that hold back the oldest full file.
    pub fn holding_oldest(&self) -> Vec<u64> {
        let mut logs: Vec<u64> = self.full.front().into_iter().flat_map(|file| file.behind.keys().copied()).collect();
        logs.sort_unstable();
        logs
    }

    /// All logs that have something here that may not be in durable segments.
    pub fn holding(&self) -> Vec<u64> {
        let files = self.full.iter().chain(&self.current);
        let mut logs: Vec<u64> = files.flat_map(|file| file.behind.keys().copied()).collect();
        logs.sort_unstable();
        logs.dedup();
        logs
    }

    /// Bytes of frames that are kept.
    pub fn used_bytes(&self) -> u64 {
        self.full.iter().chain(&self.current).map(|file| file.position).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three frames, beside the header and the announcement.
    const LEN: u64 = 4096 * 5;

    fn file(number: u32) -> RingFile {
        RingFile::new(tempfile::tempfile().expect("a temporary file").into(), number, LEN)
    }

    fn mark(position: u64) -> Mark {
        Mark { segment: 0, position }
    }

    fn place(ring: &mut Ring, sequence: u64) -> Option<(u32, u64, u64)> {
        ring.place(4096, sequence).map(|next| match next {
            Next::Frame(place) => (place.number, place.position, place.needed_from),
            Next::Announcement(place) => panic!("not expected: {place:?}"),
        })
    }

    #[test]
    fn files_are_filled_one_after_the_other_and_asked_for_in_time() {
        let mut ring = Ring::new(2);
        assert!(ring.wants_file());
        assert_eq!(place(&mut ring, 1), None);
        ring.add(file(0));
        assert!(!ring.wants_file());
        assert_eq!(place(&mut ring, 1), Some((0, 4096, 1)));
        assert!(!ring.wants_file());
        assert_eq!(place(&mut ring, 2), Some((0, 8192, 1)));
        assert!(ring.wants_file(), "half of it is used");
        ring.add(file(1));
        assert_eq!(place(&mut ring, 3), Some((0, 12288, 1)));
        assert_eq!(place(&mut ring, 4), Some((1, 4096, 1)));
        assert!(!ring.wants_file(), "there may be no more");
        assert!(ring.is_pressed());
        assert_eq!(ring.used_bytes(), LEN - 4096 + 8192);
    }

    #[test]
    fn file_is_free_when_all_behind_it_is_durable() {
        let mut ring = Ring::new(2);
        ring.add(file(0));
        ring.add(file(1));
        for sequence in 1..=3 {
            place(&mut ring, sequence).expect("room");
            ring.note(sequence % 2, mark(sequence * 10));
        }
        for sequence in 4..=6 {
            place(&mut ring, sequence).expect("room");
            ring.note(0, mark(sequence * 10));
        }
        assert_eq!(place(&mut ring, 7), None, "full");
        let mut holding = ring.holding_oldest();
        holding.sort_unstable();
        assert_eq!(holding, [0, 1]);
        assert!(!ring.release(|log, end| log == 1 && end <= mark(30)));
        assert!(!ring.release(|_, end| end <= mark(19)));
        assert_eq!(ring.holding_oldest(), [0]);
        assert!(ring.release(|_, end| end <= mark(20)));
        assert!(!ring.is_pressed());
        // The freed file begins anew, after a word in the other one, which alone is needed.
        let Some(Next::Announcement(word)) = ring.place(4096, 7) else { panic!("no announcement") };
        assert_eq!((word.number, word.position, word.needed_from), (1, LEN - 4096, 4));
        assert_eq!(place(&mut ring, 7), Some((0, 4096, 4)));
    }

    #[test]
    fn single_file_is_used_again_when_there_is_no_room_for_another() {
        let mut ring = Ring::new(4);
        ring.add(file(0));
        ring.stay_as_is();
        for sequence in 1..=3 {
            place(&mut ring, sequence).expect("room");
            ring.note(7, mark(sequence));
        }
        assert_eq!(place(&mut ring, 4), None);
        assert!(ring.is_pressed());
        assert!(ring.release(|_, _| true));
        let Some(Next::Announcement(word)) = ring.place(4096, 4) else { panic!("no announcement") };
        assert_eq!((word.number, word.position, word.needed_from), (0, LEN - 4096, 4));
        assert_eq!(place(&mut ring, 4), Some((0, 4096, 4)));
    }

    #[test]
    fn frame_between_release_and_reuse_needs_no_announcement() {
        let mut ring = Ring::new(2);
        (0..2).for_each(|number| ring.add(file(number)));
        (1..=4).for_each(|sequence| assert!(place(&mut ring, sequence).is_some()));
        assert!(ring.release(|_, _| true));
        assert_eq!(place(&mut ring, 5), Some((1, 8192, 4)));
        assert_eq!(place(&mut ring, 6), Some((1, 12288, 4)));
        assert_eq!(place(&mut ring, 7), Some((0, 4096, 4)));
    }

    #[test]
    fn younger_file_waits_for_the_oldest() {
        let mut ring = Ring::new(3);
        (0..3).for_each(|number| ring.add(file(number)));
        for sequence in 1..=7 {
            place(&mut ring, sequence).expect("room");
            ring.note(sequence, mark(1));
        }
        assert!(!ring.release(|log, _| log != 1), "what is needed must stay without gaps");
        assert_eq!(ring.holding(), [1, 4, 5, 6, 7]);
        assert!(ring.release(|_, _| true));
        assert_eq!(ring.holding(), [7]);
    }
}
