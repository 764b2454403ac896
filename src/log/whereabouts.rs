//! Where readers left off: a consumer that goes on behind the batch it read last needs no index and no scan.
//!
//! An index entry names the last offset of a batch, so a look-up of the next one first meets the batch before it: two headers to
//! read, each a system call when they are in a file. What is remembered here is a guess that its user checks against the batch's header.

use std::cell::{Cell, RefCell};

use super::types::LogPosition;

/// Readers of one log that are remembered; beyond them the oldest place is forgotten.
const READERS: usize = 8;

/// The places where batches begin that are likely to be asked for next.
#[derive(Default)]
pub(super) struct Whereabouts {
    places: RefCell<[Option<(i64, LogPosition)>; READERS]>,
    oldest: Cell<usize>,
}

impl Whereabouts {
    /// Where the batch with this base offset began when it was noted.
    pub(super) fn find(&self, offset: i64) -> Option<LogPosition> {
        let places = self.places.borrow();
        places.iter().flatten().find(|(noted, _)| *noted == offset).map(|(_, place)| *place)
    }

    /// A reader that asked for `offset` will ask for `next`, which begins at `place`.
    pub(super) fn note(&self, offset: i64, next: i64, place: LogPosition) {
        let mut places = self.places.borrow_mut();
        let known = places.iter().position(|noted| noted.is_some_and(|(noted, _)| noted == offset || noted == next));
        let slot = known.unwrap_or_else(|| {
            let oldest = self.oldest.get();
            self.oldest.set((oldest + 1) % READERS);
            oldest
        });
        places[slot] = Some((next, place));
    }

    /// The files changed in place of one another: nothing is where it was.
    pub(super) fn forget(&self) {
        self.places.take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_keeps_one_place_and_the_oldest_is_forgotten() {
        let whereabouts = Whereabouts::default();
        let at = |position| LogPosition { segment: 0, position };
        whereabouts.note(0, 10, at(100));
        whereabouts.note(10, 20, at(200));
        assert_eq!(whereabouts.find(10), None);
        assert_eq!(whereabouts.find(20), Some(at(200)));
        for reader in 0..READERS as i64 {
            whereabouts.note(1000 * reader + 500, 1000 * reader + 501, at(1));
        }
        assert_eq!(whereabouts.find(20), None);
        assert_eq!(whereabouts.find(501), Some(at(1)));
        whereabouts.forget();
        assert_eq!(whereabouts.find(501), None);
    }
}
