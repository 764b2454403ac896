//! Histograms and intervals -> the numbers of `results`.

use hdrhistogram::Histogram;

use super::driver::Interval;
use super::results::{ClientTime, Latency, Points, Rates, Second};

/// Points of a curve for each halving of what is left of the samples.
const POINTS_PER_HALVING: u32 = 5;

/// Nanoseconds to milliseconds.
pub fn millis(ns: u64) -> f64 {
    ns as f64 / 1e6
}

/// The distribution of a histogram of nanoseconds.
pub fn latency(histogram: &Histogram<u64>) -> Latency {
    if histogram.is_empty() {
        return Latency::default();
    }
    let at = |quantile: f64| millis(histogram.value_at_quantile(quantile));
    let mut curve: Vec<(f64, f64)> = Vec::new();
    for step in histogram.iter_quantiles(POINTS_PER_HALVING) {
        let value = millis(step.value_iterated_to());
        // Steps that no sample tells apart are one point, the last of them.
        if curve.last().is_some_and(|(_, last)| *last == value) {
            curve.pop();
        }
        curve.push((step.quantile_iterated_to(), value));
    }
    Latency {
        count: histogram.len(),
        mean: histogram.mean() / 1e6,
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        p9999: at(0.9999),
        max: millis(histogram.max()),
        curve,
    }
}

/// The rates of a stretch of time; `target` is what was due a second.
pub fn rates(interval: &Interval, target: Option<f64>) -> Rates {
    let seconds = interval.end.duration_since(interval.start).as_secs_f64().max(1e-9);
    let per = |count: u64, of: u64| if of == 0 { 0.0 } else { count as f64 / of as f64 };
    Rates {
        target_records_s: target,
        records_s: interval.acked as f64 / seconds,
        mb_s: interval.acked_bytes as f64 / 1e6 / seconds,
        consumed_records_s: interval.consumed as f64 / seconds,
        consumed_mb_s: interval.consumed_bytes as f64 / 1e6 / seconds,
        produce_requests_s: interval.produce_requests as f64 / seconds,
        records_per_batch: per(interval.acked, interval.batches),
        batch_bytes: per(interval.batch_bytes, interval.batches),
        compression_ratio: per(interval.acked_bytes, interval.batch_bytes),
        fetch_requests_s: interval.fetch_requests as f64 / seconds,
        records: interval.acked,
        failed: interval.failed,
    }
}

/// What the clients' statistics tell of times.
pub fn client_times(interval: &Interval) -> Vec<ClientTime> {
    let told = interval.told.iter().filter(|(_, told)| told.count > 0.0);
    let time = |(name, told): (&&'static str, &super::driver::Told)| ClientTime {
        name: (*name).to_owned(),
        what: told.what.to_owned(),
        mean: told.sum_ms / told.count,
        max: told.max_ms,
    };
    told.map(time).collect()
}

/// One point of the timeline.
pub fn second(interval: &Interval, at_s: f64, measured: bool, broker_cores: f64) -> Second {
    let seconds = interval.end.duration_since(interval.start).as_secs_f64().max(1e-9);
    let latency = points(&interval.latency);
    Second {
        at_s,
        measured,
        records_s: interval.acked as f64 / seconds,
        consumed_records_s: interval.consumed as f64 / seconds,
        p50: latency.p50,
        p99: latency.p99,
        max: latency.max,
        broker_cores,
        backlog: interval.backlog,
        latency,
        end_to_end: points(&interval.end_to_end),
        clock_error: points(&interval.clock_error),
    }
}

/// Points of a histogram of nanoseconds.
fn points(histogram: &Histogram<u64>) -> Points {
    let at = |quantile: f64| millis(histogram.value_at_quantile(quantile));
    Points {
        mean: histogram.mean() / 1e6,
        p50: at(0.5),
        p75: at(0.75),
        p95: at(0.95),
        p99: at(0.99),
        p999: at(0.999),
        p9999: at(0.9999),
        max: millis(histogram.max()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::driver::time_histogram;
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_samples() {
        let mut histogram = time_histogram();
        for ms in 1..=1000u64 {
            histogram.record(ms * 1_000_000).expect("within bounds");
        }
        let latency = latency(&histogram);
        let near = |a: f64, b: f64| (a - b).abs() / b < 0.001;
        assert!(near(latency.p50, 500.0) && near(latency.p99, 990.0) && near(latency.p999, 999.0), "{latency:?}");
        assert!(near(latency.max, 1000.0) && near(latency.mean, 500.5) && latency.count == 1000);
        assert!(latency.curve.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 < pair[1].1));
        assert_eq!(latency.curve.last().map(|point| point.0), Some(1.0));
    }

    #[test]
    fn rates_are_by_the_second_and_empty_ones_zero() {
        let start = Instant::now();
        let mut interval = Interval::empty(start, start + Duration::from_secs(2));
        assert_eq!(rates(&interval, None), Rates::default());
        interval.acked = 100;
        interval.acked_bytes = 4_000_000;
        interval.batches = 10;
        interval.batch_bytes = 1_000_000;
        let rates = rates(&interval, Some(60.0));
        assert_eq!((rates.records_s, rates.mb_s, rates.records_per_batch), (50.0, 2.0, 10.0));
        assert_eq!((rates.batch_bytes, rates.compression_ratio), (100_000.0, 4.0));
    }
}
