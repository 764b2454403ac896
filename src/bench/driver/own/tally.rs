//! What happened on one client thread since it was last asked.

use std::time::{Duration, Instant};

use super::request::error_name;
use crate::bench::driver::Interval;

/// See the module's documentation.
#[derive(Debug)]
pub struct Tally {
    /// Counts and times.
    pub interval: Interval,
    /// Records taken and neither acknowledged nor failed.
    pub in_flight: u64,
}

impl Tally {
    /// Nothing yet.
    pub fn new(now: Instant) -> Tally {
        Tally { interval: Interval::empty(now, now), in_flight: 0 }
    }

    /// An error came up, `count` times.
    pub fn error(&mut self, code: i16, count: u64) {
        *self.interval.errors.entry(error_name(code).to_owned()).or_default() += count;
    }

    /// Records failed before they were taken.
    pub fn fail(&mut self, code: i16, records: u64, errors: u64) {
        self.interval.failed += records;
        self.error(code, errors);
    }

    /// What happened until `now`; from then on it is counted in `next`, which is empty.
    pub fn take(&mut self, now: Instant, next: Interval) -> Interval {
        let mut taken = std::mem::replace(&mut self.interval, Interval { start: now, ..next });
        taken.end = now;
        taken.in_flight = self.in_flight;
        taken
    }
}

/// Processor time of a thread since it was last asked, and the share of the time that it was busy.
#[derive(Debug)]
pub struct CpuMeter {
    at: Instant,
    used: Duration,
}

impl CpuMeter {
    /// Starts now, on the calling thread.
    pub fn start() -> CpuMeter {
        CpuMeter { at: Instant::now(), used: crate::rt::poller::thread_cpu() }
    }

    /// Time and share since the last call.
    pub fn take(&mut self, now: Instant) -> (Duration, f64) {
        let used = crate::rt::poller::thread_cpu();
        let spent = used.saturating_sub(self.used);
        let wall = now.saturating_duration_since(self.at).as_secs_f64();
        *self = CpuMeter { at: now, used };
        (spent, if wall > 0.0 { (spent.as_secs_f64() / wall).min(1.0) } else { 0.0 })
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn quantiles_are_those_of_sorted_samples_to_a_thousandth() {
        let mut rng = SmallRng::seed_from_u64(9);
        let mut tally = Tally::new(Instant::now());
        // From microseconds to minutes, most of them short.
        let mut samples: Vec<u64> =
            (0..200_000).map(|_| (1000.0 * (18.0 * rng.random::<f64>().powi(3)).exp()) as u64).collect();
        samples.iter().for_each(|sample| tally.interval.latency.saturating_record(*sample));
        samples.sort_unstable();
        for quantile in [0.01, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.0] {
            let at = ((quantile * samples.len() as f64).ceil() as usize).clamp(1, samples.len()) - 1;
            let (exact, found) = (samples[at] as f64, tally.interval.latency.value_at_quantile(quantile) as f64);
            assert!((found / exact - 1.0).abs() < 0.001, "{quantile}: {found} instead of {exact}");
        }
    }
}
