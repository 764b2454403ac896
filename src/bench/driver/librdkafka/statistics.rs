//! What librdkafka's statistics tell of times: percentiles of windows, which are put together here.

use hdrhistogram::Histogram;
use rdkafka::statistics::{Broker, Window};

use crate::bench::driver::{Interval, Told};

/// Samples between two percentiles of a window at most; each stands for several, where there were more.
const SAMPLES_MAX: u64 = 50;

/// How requests are timed, for who reads the numbers.
pub(super) const REQUEST_TIMES: &str = "librdkafka's rtt: percentiles of its statistics' windows of 200 ms, put together; all requests of the producers \
     are in it, not Produce alone";

/// Takes over the times of a window of a producer and one of its brokers.
pub(super) fn take(broker: &Broker, interval: &mut Interval) {
    for (name, what, window) in [
        ("int_latency", "from producing a record until it goes into a request", &broker.int_latency),
        ("outbuf_latency", "from making a request until it is written to the socket", &broker.outbuf_latency),
        ("rtt", "from sending a request to its answer", &broker.rtt),
    ] {
        let Some(window) = window.as_ref().filter(|window| window.cnt > 0) else { continue };
        let (count, sum_ms, max_ms) = (window.cnt as f64, window.sum as f64 / 1e3, window.max as f64 / 1e3);
        interval.tell(name, Told { what, count, sum_ms, max_ms });
    }
    if let Some(rtt) = &broker.rtt {
        spread(rtt, &mut interval.request_latency);
    }
}

/// The times of a window as its percentiles tell them; between two of these they are taken to lie evenly.
fn spread(window: &Window, histogram: &mut Histogram<u64>) {
    let Some(others) = u64::try_from(window.cnt).unwrap_or(0).checked_sub(1) else { return };
    let ns = |us: f64| (us.max(0.0) * 1e3) as u64;
    // The longest was one of them; the percentiles are of the others.
    histogram.saturating_record(ns(window.max as f64));
    let points = [
        (0.0, window.min),
        (0.5, window.p50),
        (0.75, window.p75),
        (0.9, window.p90),
        (0.95, window.p95),
        (0.99, window.p99),
        (0.9999, window.p99_99),
        (1.0, window.max),
    ];
    let below = |share: f64| (others as f64 * share).round() as u64;
    for two in points.windows(2) {
        let ((low, from), (high, to)) = (two[0], two[1]);
        let count = below(high) - below(low);
        let samples = count.min(SAMPLES_MAX);
        for nth in 0..samples {
            let stands_for = count * (nth + 1) / samples - count * nth / samples;
            let us = from as f64 + (to - from) as f64 * (nth as f64 + 0.5) / samples as f64;
            histogram.saturating_record_n(ns(us), stands_for);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::driver::time_histogram;

    fn window(cnt: i64) -> Window {
        Window {
            min: 100,
            max: 9_000,
            sum: cnt * 300,
            cnt,
            p50: 200,
            p75: 300,
            p90: 400,
            p95: 500,
            p99: 1_000,
            p99_99: 8_000,
            ..Window::default()
        }
    }

    #[test]
    fn percentiles_of_windows_come_back_out_of_the_histogram() {
        for count in [1, 2, 7, 501, 100_000] {
            let mut histogram = time_histogram();
            spread(&window(count), &mut histogram);
            assert_eq!(histogram.len(), count as u64);
            assert!((8_990_000..9_010_000).contains(&histogram.max()), "{count}: {}", histogram.max());
        }
        let mut histogram = time_histogram();
        (0..4).for_each(|_| spread(&window(10_000), &mut histogram));
        for (share, us) in [(0.5, 200.0), (0.75, 300.0), (0.95, 500.0), (0.99, 1_000.0)] {
            let found = histogram.value_at_quantile(share) as f64 / 1e3;
            assert!((found / us - 1.0).abs() < 0.1, "{share}: {found} instead of {us}");
        }
    }

    #[test]
    fn a_window_without_requests_tells_nothing() {
        let mut interval = Interval::empty(std::time::Instant::now(), std::time::Instant::now());
        take(&Broker { rtt: Some(window(0)), ..Broker::default() }, &mut interval);
        assert!(interval.told.is_empty() && interval.request_latency.is_empty());
        let broker = Broker { rtt: Some(window(10)), int_latency: Some(window(4)), ..Broker::default() };
        take(&broker, &mut interval);
        assert_eq!(interval.told.keys().copied().collect::<Vec<_>>(), ["int_latency", "rtt"]);
        assert_eq!((interval.told["rtt"].sum_ms, interval.told["rtt"].max_ms), (3.0, 9.0));
    }
}
