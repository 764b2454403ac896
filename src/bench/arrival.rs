//! When records are due: arrival processes as iterators of intended times.
//!
//! Each producer has its own part of a process. Regular ones (constant, burst, ramp) number their records, and a producer takes every
//! n-th; random ones are split into independent processes with a part of the rate each, which together are the whole one.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::BenchError;
use super::workload::Arrival;

const NS: f64 = 1e9;

/// The intended times of one producer's records: nanoseconds from the start, never falling.
#[derive(Clone, Debug)]
pub struct Arrivals {
    process: Process,
    rng: SmallRng,
}

#[derive(Clone, Debug)]
enum Process {
    /// Record number `next`, then every `step`-th, each due at a time that its number tells.
    Numbered { next: u64, step: u64, law: Law },
    /// Independent arrivals.
    Poisson { rate: f64, at_s: f64 },
    /// A rate that depends on time and never exceeds `rate_max`: arrivals at that rate, of which some are left out.
    Thinned { low: f64, high: f64, period_s: f64, at_s: f64 },
    /// A rate for each step.
    Steps { step_s: f64, rates: Vec<f64>, at_s: f64 },
    /// Nothing is ever due.
    Never,
}

#[derive(Clone, Copy, Debug)]
enum Law {
    Even { rate: f64 },
    Bursts { rate: f64, burst: u64 },
    Ramp { from: f64, to: f64, over_s: f64 },
}

impl Arrivals {
    /// The part of producer `index` of `of`. A closed loop has no times.
    pub fn new(arrival: &Arrival, index: u32, of: u32, seed: u64) -> Arrivals {
        let share = 1.0 / f64::from(of.max(1));
        let numbered = |law| Process::Numbered { next: u64::from(index), step: u64::from(of.max(1)), law };
        let process = match arrival.clone() {
            Arrival::Closed => Process::Never,
            Arrival::Constant { rate } => numbered(Law::Even { rate }),
            Arrival::Poisson { rate } => Process::Poisson { rate: rate * share, at_s: 0.0 },
            Arrival::Burst { rate, burst } => numbered(Law::Bursts { rate, burst: u64::from(burst.max(1)) }),
            Arrival::Ramp { from, to, over_s } => numbered(Law::Ramp { from, to, over_s }),
            Arrival::Diurnal { low, high, period_s } => {
                Process::Thinned { low: low * share, high: high * share, period_s, at_s: 0.0 }
            }
            Arrival::Trace { step_s, rates } => {
                Process::Steps { step_s, rates: rates.iter().map(|rate| rate * share).collect(), at_s: 0.0 }
            }
        };
        let rng = SmallRng::seed_from_u64(seed ^ (u64::from(index) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Arrivals { process, rng }
    }

    /// Why a process can't be run, as one sentence.
    pub fn check(arrival: &Arrival) -> Result<(), BenchError> {
        let positive = |what: &str, value: f64| {
            let fine = value.is_finite() && value > 0.0;
            if fine { Ok(()) } else { Err(BenchError::config(format_args!("{what} {value} must be above 0"))) }
        };
        let not_negative = |what: &str, value: f64| {
            let fine = value.is_finite() && value >= 0.0;
            if fine { Ok(()) } else { Err(BenchError::config(format_args!("{what} {value} must not be negative"))) }
        };
        match arrival {
            Arrival::Closed => Ok(()),
            Arrival::Constant { rate } | Arrival::Poisson { rate } | Arrival::Burst { rate, .. } => {
                positive("rate", *rate)
            }
            Arrival::Ramp { from, to, over_s } => {
                not_negative("ramp from", *from)?;
                positive("ramp to", *to)?;
                positive("ramp over_s", *over_s)
            }
            Arrival::Diurnal { low, high, period_s } => {
                not_negative("low rate", *low)?;
                positive("high rate", *high)?;
                positive("period_s", *period_s)
            }
            Arrival::Trace { step_s, rates } => {
                positive("step_s", *step_s)?;
                rates.iter().try_for_each(|rate| not_negative("rate of a step", *rate))?;
                positive("sum of the rates of all steps", rates.iter().sum())
            }
        }
    }
}

impl Iterator for Arrivals {
    type Item = u64;

    /// The next intended time; `None` when nothing more is ever due.
    #[inline]
    fn next(&mut self) -> Option<u64> {
        let rng = &mut self.rng;
        let at_s = match &mut self.process {
            Process::Never => return None,
            Process::Numbered { next, step, law } => {
                let number = *next;
                *next += *step;
                law.time_s(number)
            }
            Process::Poisson { rate, at_s } => {
                *at_s += exponential(rng) / *rate;
                *at_s
            }
            Process::Thinned { low, high, period_s, at_s } => {
                let rate_max = low.max(*high);
                loop {
                    *at_s += exponential(rng) / rate_max;
                    let day = (std::f64::consts::TAU * *at_s / *period_s).cos();
                    let rate = (*low + *high) / 2.0 - (*high - *low) / 2.0 * day;
                    if rng.random::<f64>() * rate_max < rate {
                        break *at_s;
                    }
                }
            }
            Process::Steps { step_s, rates, at_s } => {
                *at_s = next_in_steps(*at_s, exponential(rng), *step_s, rates);
                *at_s
            }
        };
        Some((at_s * NS) as u64)
    }
}

impl Law {
    #[inline]
    fn time_s(self, number: u64) -> f64 {
        match self {
            Law::Even { rate } => number as f64 / rate,
            Law::Bursts { rate, burst } => (number / burst * burst) as f64 / rate,
            Law::Ramp { from, to, over_s } => {
                // The count grows as from * t + slope / 2 * t^2, and evenly after the end.
                let slope = (to - from) / over_s;
                let count = number as f64;
                let ramp_count = (from + to) / 2.0 * over_s;
                if count >= ramp_count {
                    over_s + (count - ramp_count) / to
                } else if slope.abs() < 1e-12 {
                    count / from
                } else {
                    2.0 * count / (from + (from * from + 2.0 * slope * count).max(0.0).sqrt()).max(1e-9)
                }
            }
        }
    }
}

/// An exponential gap of mean 1.
#[inline]
fn exponential(rng: &mut SmallRng) -> f64 {
    -(1.0 - rng.random::<f64>()).ln()
}

/// The time at which `amount` more arrivals were to be expected.
fn next_in_steps(at_s: f64, amount: f64, step_s: f64, rates: &[f64]) -> f64 {
    let (mut at_s, mut amount) = (at_s, amount);
    let mut step = (at_s / step_s).floor() as u64;
    loop {
        let rate = rates[(step % rates.len() as u64) as usize];
        let end_s = (step + 1) as f64 * step_s;
        let left = (end_s - at_s).max(0.0);
        if rate * left >= amount && rate > 0.0 {
            return at_s + amount / rate;
        }
        amount -= rate * left;
        at_s = end_s;
        step += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(arrival: &Arrival, of: u32, seconds: f64) -> Vec<f64> {
        let mut all = Vec::new();
        for index in 0..of {
            let times = Arrivals::new(arrival, index, of, 42).map(|ns| ns as f64 / NS);
            all.extend(times.take_while(|at| *at < seconds));
        }
        all.sort_by(f64::total_cmp);
        all
    }

    #[test]
    fn constant_arrivals_are_even_however_many_producers_share_them() {
        let times = until(&Arrival::Constant { rate: 1000.0 }, 7, 2.0);
        assert_eq!(times.len(), 2000);
        assert!(times.windows(2).all(|pair| (pair[1] - pair[0] - 0.001).abs() < 1e-6));
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_spread_of_their_law() {
        let times = until(&Arrival::Poisson { rate: 10_000.0 }, 3, 10.0);
        assert!((times.len() as f64 - 100_000.0).abs() < 5.0 * 316.0, "{}", times.len());
        let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.02);
    }

    #[test]
    fn bursts_come_at_once() {
        let times = until(&Arrival::Burst { rate: 100.0, burst: 50 }, 4, 2.0);
        assert_eq!(times.len(), 200);
        assert_eq!(times.iter().filter(|at| **at == 0.5).count(), 50);
    }

    #[test]
    fn a_ramp_grows_evenly_and_then_stays() {
        let times = until(&Arrival::Ramp { from: 0.0, to: 1000.0, over_s: 10.0 }, 2, 12.0);
        let within = |from: f64, to: f64| times.iter().filter(|at| **at >= from && **at < to).count() as i64;
        assert!((within(0.0, 5.0) - 1250).abs() <= 2);
        assert!((within(5.0, 10.0) - 3750).abs() <= 2);
        assert!((within(10.0, 12.0) - 2000).abs() <= 2);
    }

    #[test]
    fn a_day_has_its_night_and_its_noon() {
        let times = until(&Arrival::Diurnal { low: 100.0, high: 2100.0, period_s: 40.0 }, 2, 40.0);
        let within = |from: f64, to: f64| times.iter().filter(|at| **at >= from && **at < to).count() as f64;
        assert!((times.len() as f64 / 44_000.0 - 1.0).abs() < 0.05);
        assert!(within(19.0, 21.0) > 8.0 * (within(0.0, 1.0) + within(39.0, 40.0)));
    }

    #[test]
    fn steps_follow_their_rates_over_and_over() {
        let times = until(&Arrival::Trace { step_s: 1.0, rates: vec![0.0, 5000.0, 1000.0] }, 2, 6.0);
        let within = |from: f64, to: f64| times.iter().filter(|at| **at >= from && **at < to).count() as f64;
        assert_eq!(within(0.0, 1.0) + within(3.0, 4.0), 0.0);
        assert!((within(4.0, 5.0) / 5000.0 - 1.0).abs() < 0.1);
        assert!((within(2.0, 3.0) / 1000.0 - 1.0).abs() < 0.15);
    }

    #[test]
    fn impossible_processes_are_refused() {
        for arrival in [
            Arrival::Constant { rate: 0.0 },
            Arrival::Poisson { rate: f64::NAN },
            Arrival::Ramp { from: 1.0, to: 5.0, over_s: 0.0 },
            Arrival::Trace { step_s: 1.0, rates: vec![0.0] },
        ] {
            assert!(Arrivals::check(&arrival).is_err(), "{arrival:?}");
        }
        assert_eq!(Arrivals::new(&Arrival::Closed, 0, 1, 0).next(), None);
    }
}
