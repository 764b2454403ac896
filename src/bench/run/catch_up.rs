//! Consumers that were away: what they owe when they come back, and when they have it.

use std::time::Instant;

use crate::bench::driver::Interval;
use crate::bench::results::CatchUp;

/// A group has caught up when it lacks less than this share of what it owed.
const CAUGHT_UP_SHARE: f64 = 0.01;

/// Follows groups from their return on.
#[derive(Debug)]
pub struct Pursuit {
    groups: u64,
    backlog_bytes: u64,
    /// Records that all groups together lacked when they came back.
    owed: u64,
    returned: Option<Instant>,
    acked: u64,
    consumed: u64,
    consumed_bytes: u64,
    done: Option<(f64, f64)>,
}

impl Pursuit {
    /// Of `groups` groups that are away from now on.
    pub fn new(groups: u32) -> Pursuit {
        let groups = u64::from(groups);
        Pursuit {
            groups,
            backlog_bytes: 0,
            owed: 0,
            returned: None,
            acked: 0,
            consumed: 0,
            consumed_bytes: 0,
            done: None,
        }
    }

    /// A window is over in which they were away. Bytes that each of them lacks now.
    pub fn away(&mut self, window: &Interval) -> u64 {
        self.backlog_bytes += window.acked_bytes;
        self.owed += (window.acked * self.groups).saturating_sub(window.consumed);
        self.backlog_bytes
    }

    /// They read again.
    pub fn come_back(&mut self, now: Instant) {
        self.returned = Some(now);
    }

    /// A window is over in which they read.
    pub fn back(&mut self, window: &Interval) {
        let Some(returned) = self.returned.filter(|_| self.done.is_none()) else { return };
        self.acked += window.acked * self.groups;
        self.consumed += window.consumed;
        self.consumed_bytes += window.consumed_bytes;
        let lacking = (self.owed + self.acked).saturating_sub(self.consumed);
        let seconds = window.end.duration_since(returned).as_secs_f64();
        if lacking as f64 <= self.owed as f64 * CAUGHT_UP_SHARE {
            self.done = Some((seconds, self.consumed_bytes as f64 / 1e6 / seconds.max(1e-9)));
        }
    }

    /// What came of it, after `seconds` of reading.
    pub fn result(&self, seconds: f64) -> CatchUp {
        let mb_s = self.consumed_bytes as f64 / 1e6 / seconds.max(1e-9);
        CatchUp {
            backlog_bytes: self.backlog_bytes,
            seconds: self.done.map(|(seconds, _)| seconds),
            mb_s: self.done.map_or(mb_s, |(_, mb_s)| mb_s),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn two_groups_have_caught_up_when_both_have_all() {
        let start = Instant::now();
        let window = |second: u64, acked: u64, consumed: u64| {
            let begin = start + Duration::from_secs(second);
            let mut window = Interval::empty(begin, begin + Duration::from_secs(1));
            (window.acked, window.acked_bytes) = (acked, acked * 1000);
            (window.consumed, window.consumed_bytes) = (consumed, consumed * 1000);
            window
        };
        let mut pursuit = Pursuit::new(2);
        // What was on its way when they stopped still arrives.
        assert_eq!(pursuit.away(&window(0, 1000, 200)), 1_000_000);
        assert_eq!(pursuit.away(&window(1, 1000, 0)), 2_000_000);
        pursuit.come_back(start + Duration::from_secs(2));
        pursuit.back(&window(2, 1000, 3000));
        assert_eq!(pursuit.result(1.0), CatchUp { backlog_bytes: 2_000_000, seconds: None, mb_s: 3.0 });
        pursuit.back(&window(3, 1000, 4800));
        pursuit.back(&window(4, 1000, 2000));
        let caught = pursuit.result(3.0);
        assert_eq!((caught.seconds, caught.mb_s), (Some(2.0), 3.9));
    }
}
