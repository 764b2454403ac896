//! Which leader epoch wrote which offsets: the content of `leader-epoch-checkpoint` (KIP-101, KIP-279).

/// "No epoch", in a request.
const NO_EPOCH: i32 = -1;

/// Epochs and where each begins, both rising.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaderEpochs {
    entries: Vec<(i32, i64)>,
}

impl LeaderEpochs {
    /// From (epoch, start offset) pairs; what doesn't rise is left out.
    pub fn new(entries: Vec<(i32, i64)>) -> LeaderEpochs {
        let mut epochs = LeaderEpochs::default();
        for (epoch, start_offset) in entries {
            epochs.assign(epoch, start_offset);
        }
        epochs
    }

    /// The (epoch, start offset) pairs.
    pub fn entries(&self) -> &[(i32, i64)] {
        &self.entries
    }

    /// The newest epoch.
    pub fn latest(&self) -> Option<i32> {
        self.entries.last().map(|(epoch, _)| *epoch)
    }

    /// Notes that `epoch` starts at `start_offset`; entries it contradicts go. Returns whether anything changed.
    pub fn assign(&mut self, epoch: i32, start_offset: i64) -> bool {
        if epoch < 0 || start_offset < 0 || self.latest().is_some_and(|latest| latest >= epoch) {
            return false;
        }
        self.entries.retain(|(_, start)| *start < start_offset);
        self.entries.push((epoch, start_offset));
        true
    }

    /// A batch in the log says its epoch: right where the file is not, which a power loss may have left from before batches were cut
    /// or lost. Returns whether anything changed.
    pub fn observe(&mut self, epoch: i32, offset: i64) -> bool {
        if self.epoch_of(offset) == Some(epoch) {
            return false;
        }
        let before = self.entries.partition_point(|(_, start)| *start < offset);
        let follows = before.checked_sub(1).is_none_or(|last| self.entries[last].0 < epoch);
        if epoch < 0 || offset < 0 || !follows {
            return false;
        }
        // What the file says of later offsets they say themselves, too, or `believe` does.
        self.entries.truncate(before);
        self.entries.push((epoch, offset));
        true
    }

    /// Batches from `from` to `to` are not read, as they were durable when the file was written: what it says of them is right.
    pub fn believe(&mut self, file: &LeaderEpochs, from: i64, to: i64) {
        let first = file.epoch_of(from).map(|epoch| (epoch, from));
        let later = file.entries.iter().copied().filter(|(_, start)| (from + 1..to).contains(start));
        for (epoch, start) in first.into_iter().filter(|_| from < to).chain(later) {
            self.observe(epoch, start);
        }
    }

    /// Answers OffsetForLeaderEpoch: the largest epoch at or below `epoch` and the offset where it ends.
    pub fn end_offset(&self, epoch: i32, log_end_offset: i64) -> Option<(i32, i64)> {
        if epoch == NO_EPOCH {
            return None;
        }
        if self.latest() == Some(epoch) {
            return Some((epoch, log_end_offset));
        }
        let higher = self.entries.iter().position(|(other, _)| *other > epoch)?;
        let end_offset = self.entries[higher].1;
        match higher.checked_sub(1) {
            Some(floor) => Some((self.entries[floor].0, end_offset)),
            // The epoch is older than all we know: it ends where the first known one begins.
            None => Some((epoch, end_offset)),
        }
    }

    /// The epoch that wrote `offset`.
    pub fn epoch_of(&self, offset: i64) -> Option<i32> {
        let after = self.entries.partition_point(|(_, start)| *start <= offset);
        Some(self.entries[after.checked_sub(1)?].0)
    }

    /// The log was cut so that it ends at `end_offset`. Returns whether anything changed.
    pub fn truncate_end(&mut self, end_offset: i64) -> bool {
        let before = self.entries.len();
        self.entries.retain(|(_, start)| *start < end_offset);
        self.entries.len() != before
    }

    /// The log now starts at `start_offset`. Returns whether anything changed.
    pub fn truncate_start(&mut self, start_offset: i64) -> bool {
        let after = self.entries.partition_point(|(_, start)| *start <= start_offset);
        let Some(last) = after.checked_sub(1) else { return false };
        let changed = last > 0 || self.entries[last].1 < start_offset;
        self.entries.drain(..last);
        if changed {
            self.entries[0].1 = start_offset;
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignment_rises_and_removes_what_it_contradicts() {
        let mut epochs = LeaderEpochs::new(vec![(0, 0), (2, 10)]);
        assert!(!epochs.assign(2, 11) && !epochs.assign(1, 20) && !epochs.assign(-1, 30));
        assert!(epochs.assign(3, 10));
        assert_eq!(epochs.entries(), [(0, 0), (3, 10)]);
        assert_eq!((epochs.latest(), epochs.epoch_of(9), epochs.epoch_of(10)), (Some(3), Some(0), Some(3)));
    }

    #[test]
    fn batches_are_believed_before_the_file() {
        let mut epochs = LeaderEpochs::new(vec![(1, 0), (2, 1), (4, 9)]);
        assert!(!epochs.observe(1, 0) && !epochs.observe(2, 3));
        assert!(epochs.observe(2, 0), "it did not begin at 1");
        assert_eq!(epochs.entries(), [(2, 0)]);
        assert!(!epochs.observe(1, 5) && !epochs.observe(-1, 5));
        let mut epochs = LeaderEpochs::new(vec![(1, 0), (4, 9)]);
        assert!(epochs.observe(3, 5) && epochs.observe(4, 7));
        assert_eq!(epochs.entries(), [(1, 0), (3, 5), (4, 7)]);
    }

    #[test]
    fn file_is_believed_where_no_batch_was_read() {
        // A lost log start brought batches back that the file does not know any more.
        let file = LeaderEpochs::new(vec![(3, 8), (4, 40), (5, 62)]);
        let mut epochs = file.clone();
        assert!(epochs.observe(1, 0) && epochs.observe(3, 5));
        epochs.believe(&file, 8, 40);
        epochs.believe(&file, 40, 40);
        assert_eq!(epochs.entries(), [(1, 0), (3, 5)]);
        epochs.believe(&file, 40, 70);
        assert_eq!(epochs.entries(), [(1, 0), (3, 5), (4, 40), (5, 62)]);
        let mut epochs = LeaderEpochs::new(vec![(1, 0)]);
        epochs.believe(&file, 7, 9);
        assert_eq!(epochs.entries(), [(1, 0), (3, 8)]);
    }

    #[test]
    fn end_offsets_as_kafka_answers() {
        let epochs = LeaderEpochs::new(vec![(2, 5), (4, 10)]);
        assert_eq!(epochs.end_offset(4, 17), Some((4, 17)));
        assert_eq!(epochs.end_offset(3, 17), Some((2, 10)));
        assert_eq!(epochs.end_offset(2, 17), Some((2, 10)));
        assert_eq!(epochs.end_offset(1, 17), Some((1, 5)));
        assert_eq!(epochs.end_offset(5, 17), None);
        assert_eq!((epochs.end_offset(-1, 17), epochs.end_offset(-2, 17)), (None, Some((-2, 5))));
        assert_eq!(LeaderEpochs::default().end_offset(0, 17), None);
    }

    #[test]
    fn truncation_from_both_ends() {
        let mut epochs = LeaderEpochs::new(vec![(0, 0), (1, 10), (2, 20)]);
        assert!(!epochs.truncate_end(25));
        assert!(epochs.truncate_end(20));
        assert_eq!(epochs.entries(), [(0, 0), (1, 10)]);
        assert!(!epochs.truncate_start(0));
        assert!(epochs.truncate_start(4));
        assert_eq!(epochs.entries(), [(0, 4), (1, 10)]);
        assert!(epochs.truncate_start(12));
        assert_eq!(epochs.entries(), [(1, 12)]);
    }
}
