//! The four offsets of a partition and the only code that moves them.
//!
//! ```text
//! log start <= last stable <= high watermark <= log end
//! ```
//!
//! With one replica the high watermark follows the log end at once, with one exception: it never passes a batch appended with
//! acks=all that still waits for the device. So nothing is shown to a consumer that a producer was not yet promised.

use std::collections::VecDeque;

/// What an appended batch has to reach before consumers may see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VisibleWhen {
    /// The tail.
    InTail,
    /// The device.
    OnDevice,
}

/// Log start, last stable offset, high watermark and log end of one partition.
#[derive(Clone, Debug)]
pub struct PartitionOffsets {
    log_start: i64,
    high_watermark: i64,
    log_end: i64,
    /// First offset of a transaction that is not decided, or decided by a marker at or above the high watermark.
    first_unstable: Option<i64>,
    /// Base offsets of the batches that wait for the device, in order. Short: one flush takes them all.
    waiting: VecDeque<i64>,
}

impl PartitionOffsets {
    /// The offsets of a log just opened: everything in it counts as committed up to `high_watermark`, which is brought into
    /// the log's bounds.
    pub fn new(log_start: i64, high_watermark: i64, log_end: i64) -> Self {
        assert!(log_start <= log_end);
        let high_watermark = high_watermark.clamp(log_start, log_end);
        Self { log_start, high_watermark, log_end, first_unstable: None, waiting: VecDeque::new() }
    }

    /// First offset that may be read.
    pub fn log_start(&self) -> i64 {
        self.log_start
    }

    /// Offset after the last one that is committed.
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// Offset that the next batch gets.
    pub fn log_end(&self) -> i64 {
        self.log_end
    }

    /// Offset after the last one that a read_committed consumer may read: the high watermark, or the first transaction below
    /// it that is not decided.
    pub fn last_stable(&self) -> i64 {
        match self.first_unstable {
            Some(first) => first.clamp(self.log_start, self.high_watermark),
            None => self.high_watermark,
        }
    }

    /// Whether a batch waits for the device.
    pub fn waits_for_device(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// A batch was appended: it starts at the log end, or later in a log with gaps, and the log ends behind it now.
    pub fn appended(&mut self, base_offset: i64, next_offset: i64, visible: VisibleWhen) {
        assert!(base_offset >= self.log_end);
        assert!(next_offset > base_offset);
        self.log_end = next_offset;
        if visible == VisibleWhen::OnDevice {
            self.waiting.push_back(base_offset);
        }
        self.follow();
    }

    /// Everything below `offset` is on the device.
    pub fn durable(&mut self, offset: i64) {
        while self.waiting.front().is_some_and(|&base_offset| base_offset < offset) {
            self.waiting.pop_front();
        }
        self.follow();
    }

    /// Whoever leads alone has everything committed that does not wait for the device.
    pub fn lead_alone(&mut self) {
        self.follow();
    }

    /// Moves the log start; `Err` if that is beyond the high watermark. Going back is not a move.
    pub fn advance_log_start(&mut self, offset: i64) -> Result<(), BeyondHighWatermark> {
        if offset > self.high_watermark {
            return Err(BeyondHighWatermark);
        }
        self.log_start = self.log_start.max(offset);
        self.check();
        Ok(())
    }

    /// Takes over what the transactions say.
    pub fn set_first_unstable(&mut self, offset: Option<i64>) {
        self.first_unstable = offset;
        self.check();
    }

    fn follow(&mut self) {
        let bound = self.waiting.front().copied().unwrap_or(self.log_end);
        self.high_watermark = self.high_watermark.max(bound);
        self.check();
    }

    fn check(&self) {
        assert!(self.log_start <= self.last_stable());
        assert!(self.last_stable() <= self.high_watermark);
        assert!(self.high_watermark <= self.log_end);
        assert!(self.waiting.front().is_none_or(|&base_offset| self.high_watermark <= base_offset));
    }
}

/// The log start can't pass the high watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeyondHighWatermark;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn high_watermark_follows_the_tail() {
        let mut offsets = PartitionOffsets::new(5, 99, 10);
        assert_eq!((offsets.log_start(), offsets.high_watermark(), offsets.log_end()), (5, 10, 10));
        offsets.appended(10, 13, VisibleWhen::InTail);
        assert_eq!((offsets.high_watermark(), offsets.log_end()), (13, 13));
    }

    #[test]
    fn high_watermark_stops_at_a_batch_that_waits_for_the_device() {
        let mut offsets = PartitionOffsets::new(0, 0, 0);
        offsets.appended(0, 2, VisibleWhen::InTail);
        offsets.appended(2, 4, VisibleWhen::OnDevice);
        offsets.appended(4, 6, VisibleWhen::InTail);
        offsets.appended(6, 8, VisibleWhen::OnDevice);
        offsets.appended(8, 9, VisibleWhen::InTail);
        assert_eq!(offsets.high_watermark(), 2);
        offsets.durable(4);
        assert_eq!(offsets.high_watermark(), 6);
        assert!(offsets.waits_for_device());
        offsets.durable(8);
        assert_eq!(offsets.high_watermark(), 9);
        assert!(!offsets.waits_for_device());
        offsets.durable(3);
        assert_eq!(offsets.high_watermark(), 9);
    }

    #[test]
    fn an_open_log_starts_from_its_checkpoint_until_it_leads() {
        let mut offsets = PartitionOffsets::new(0, 4, 9);
        assert_eq!(offsets.high_watermark(), 4);
        offsets.lead_alone();
        assert_eq!(offsets.high_watermark(), 9);
    }

    #[test]
    fn last_stable_offset_is_the_first_open_transaction() {
        let mut offsets = PartitionOffsets::new(0, 10, 10);
        offsets.set_first_unstable(Some(4));
        assert_eq!(offsets.last_stable(), 4);
        offsets.set_first_unstable(Some(12));
        assert_eq!(offsets.last_stable(), 10);
        assert_eq!(offsets.advance_log_start(6), Ok(()));
        offsets.set_first_unstable(Some(4));
        assert_eq!(offsets.last_stable(), 6);
    }

    #[test]
    fn log_start_moves_forward_up_to_the_high_watermark() {
        let mut offsets = PartitionOffsets::new(0, 10, 10);
        offsets.appended(10, 12, VisibleWhen::OnDevice);
        assert_eq!(offsets.advance_log_start(11), Err(BeyondHighWatermark));
        assert_eq!(offsets.advance_log_start(10), Ok(()));
        assert_eq!(offsets.advance_log_start(3), Ok(()));
        assert_eq!(offsets.log_start(), 10);
    }
}
