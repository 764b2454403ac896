//! When a run is warm: the rate and the median latency have stopped moving.
//!
//! Windows of equal length are watched. The last five count as steady when
//! * their rates lie within 10 % of each other (more where a window has few records: chance alone moves a count of `n` by `sqrt(n)`), and
//! * the medians of the older and of the newer of them differ by less than a quarter, or by less than 0.2 ms.

use std::collections::VecDeque;

/// Windows that must agree.
const WINDOWS: usize = 5;
/// By how much rates may differ.
const RATE_TOLERANCE: f64 = 0.10;
/// By how much median latencies may differ.
const LATENCY_TOLERANCE: f64 = 0.25;
/// Differences of median latency below this are of no interest, ms.
const LATENCY_FLOOR_MS: f64 = 0.2;

/// Load that may be unanswered at any time, beside what the median latency explains.
const UNANSWERED_SECONDS: f64 = 0.25;
/// Latencies lie around their median: so many medians' worth of load is on its way in a busy moment.
const UNANSWERED_MEDIANS: f64 = 3.0;

/// Whether so many unanswered records are those on their way (their number is rate times latency), and not a backlog of the start.
pub fn is_clear(unanswered: u64, records_s: f64, p50_ms: f64) -> bool {
    unanswered as f64 <= records_s * (UNANSWERED_SECONDS + UNANSWERED_MEDIANS * p50_ms / 1e3)
}

/// Watches the windows of a run.
#[derive(Debug, Default)]
pub struct SteadyState {
    windows: VecDeque<(u64, f64)>,
}

impl SteadyState {
    /// Takes the next window: records acknowledged in it and their median latency in ms. Whether the run is steady now.
    pub fn is_steady_after(&mut self, records: u64, p50_ms: f64) -> bool {
        if self.windows.len() == WINDOWS {
            self.windows.pop_front();
        }
        self.windows.push_back((records, p50_ms));
        self.windows.len() == WINDOWS && self.rates_agree() && self.latencies_agree()
    }

    fn rates_agree(&self) -> bool {
        let counts = || self.windows.iter().map(|(records, _)| *records as f64);
        let mean = counts().sum::<f64>() / WINDOWS as f64;
        let (low, high) = (counts().fold(f64::MAX, f64::min), counts().fold(0.0, f64::max));
        let tolerance = RATE_TOLERANCE.max(4.0 / mean.max(1.0).sqrt());
        mean > 0.0 && (high - low) / mean <= tolerance
    }

    fn latencies_agree(&self) -> bool {
        let mean = |windows: &mut dyn Iterator<Item = &(u64, f64)>| {
            let all: Vec<f64> = windows.map(|(_, p50)| *p50).collect();
            all.iter().sum::<f64>() / all.len().max(1) as f64
        };
        let older = mean(&mut self.windows.iter().take(2));
        let newer = mean(&mut self.windows.iter().skip(WINDOWS - 2));
        let difference = (newer - older).abs();
        difference <= LATENCY_FLOOR_MS || difference <= LATENCY_TOLERANCE * older.max(newer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steady_at(windows: &[(u64, f64)]) -> Option<usize> {
        let mut state = SteadyState::default();
        windows.iter().position(|(records, p50)| state.is_steady_after(*records, *p50))
    }

    #[test]
    fn a_run_that_stands_is_steady_after_five_windows() {
        assert_eq!(steady_at(&[(10_000, 2.0); 8]), Some(4));
    }

    #[test]
    fn a_run_that_grows_or_slows_is_not() {
        let growing: Vec<(u64, f64)> = (1..20).map(|n| (10_000 + n * 600, 2.0)).collect();
        assert_eq!(steady_at(&growing[..8]), None);
        let slowing: Vec<(u64, f64)> = (1..12).map(|n| (10_000, f64::from(n))).collect();
        assert_eq!(steady_at(&slowing[..8]), None);
    }

    #[test]
    fn the_start_is_left_behind() {
        let mut windows = vec![(100, 80.0), (4_000, 30.0), (9_000, 8.0)];
        windows.extend([(10_000, 2.0); 6]);
        assert_eq!(steady_at(&windows), Some(7));
    }

    #[test]
    fn a_backlog_is_more_than_rate_and_latency_explain() {
        assert!(is_clear(0, 0.0, 0.0) && is_clear(20, 10_000.0, 1.0) && is_clear(10_000, 10_000.0, 400.0));
        assert!(!is_clear(6_000, 10_000.0, 1.0));
    }

    #[test]
    fn few_records_may_vary_by_chance() {
        assert_eq!(steady_at(&[(25, 1.0), (18, 1.1), (31, 0.9), (22, 1.0), (27, 1.0)]), Some(4));
        assert_eq!(steady_at(&[(0, 0.0); 9]), None);
    }
}
