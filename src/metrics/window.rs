//! What was lately: quantiles and shares are of the last minute, not of all time.
//!
//! A scrape remembers what the counters were, at most every ten seconds, and compares with what they were a minute ago: with the
//! youngest look that is at least so old, or with the start.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::requests::ApiSum;

/// How long a window is at least, once the process is that old.
const LENGTH: Duration = Duration::from_secs(60);
/// Looks are remembered this far apart.
const STEP: Duration = Duration::from_secs(10);

/// What the counters were at some time.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) at: Instant,
    /// By name of the request.
    pub(super) requests: BTreeMap<String, ApiSum>,
    /// Seconds that the shards have slept, and that they have worked.
    pub(super) slept: f64,
    pub(super) worked: f64,
    /// End of the metadata log.
    pub(super) metadata_end: i64,
}

impl Look {
    /// Counters that are all zero.
    pub(super) fn zero(at: Instant) -> Look {
        Look { at, requests: BTreeMap::new(), slept: 0.0, worked: 0.0, metadata_end: 0 }
    }
}

/// The looks that are remembered, oldest first.
#[derive(Debug)]
pub(super) struct Window(VecDeque<Look>);

impl Window {
    /// Begins at `start`, when all was zero.
    pub(super) fn new(start: Instant) -> Window {
        Window([Look::zero(start)].into())
    }

    /// The look that `now` is to be compared with. Remembers `now` if it is time.
    pub(super) fn before(&mut self, now: &Look) -> Look {
        let age = |look: &Look| now.at.saturating_duration_since(look.at);
        while self.0.get(1).is_some_and(|second| age(second) >= LENGTH) {
            self.0.pop_front();
        }
        let before = self.0.front().cloned().unwrap_or_else(|| Look::zero(now.at));
        if self.0.back().is_none_or(|last| age(last) >= STEP) {
            self.0.push_back(now.clone());
        }
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_a_minute_or_a_little_more() {
        let start = Instant::now();
        let mut window = Window::new(start);
        let mut compared = |seconds: u64| {
            let now = Look { slept: seconds as f64, ..Look::zero(start + Duration::from_secs(seconds)) };
            window.before(&now).slept as u64
        };
        let all: Vec<_> = (0..=12).map(|nth| compared(15 * nth)).collect();
        assert_eq!(all, [0, 0, 0, 0, 0, 15, 30, 45, 60, 75, 90, 105, 120]);
        assert_eq!(compared(181), 120, "looks that come often are not all remembered");
        assert_eq!(compared(3600), 180, "nobody has looked for an hour");
        assert!(window.0.len() < 8);
    }
}
