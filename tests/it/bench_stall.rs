//! What the bench measures, against what is known: a broker that stalls for a second in a known pattern.

use std::time::Duration;

use millrace::bench::driver::STAMP_BYTES;
use millrace::bench::driver::own::Own;
use millrace::bench::workload::{Arrival, Flow};

use crate::bench_driver::values;
use crate::support::bench::{drive, order, settings};
use crate::support::stub_broker::{Stall, StubBroker};

const RATE: f64 = 2000.0;
const STALL: Stall = Stall { after: Duration::from_secs(1), lasts: Duration::from_secs(1) };
/// What scheduling on a busy machine may add.
const SLACK_MS: f64 = 50.0;

#[test]
fn a_stall_of_a_second_shows_in_the_percentiles_as_computed_by_hand() {
    let broker = StubBroker::start(1, Some(STALL), true);
    let flow = Flow {
        topic: "stalled".to_owned(),
        arrival: Arrival::Constant { rate: RATE },
        value: values(STAMP_BYTES as u32 + 8),
        producer: settings(&[("acks", "1"), ("linger.ms", "0"), ("max.in.flight.requests.per.connection", "1")]),
        ..Default::default()
    };
    let (all, _) = drive(&Own, &order(&[broker.bootstrap()], vec![flow]), |all| all.acked >= 8000);
    assert_eq!((all.acked, all.failed, all.backlog), (all.due, 0, 0));
    let measured = |quantile: f64| all.latency.value_at_quantile(quantile) as f64 / 1e6;

    // By hand: records come evenly. One that is due x seconds before the end of the stall waits for x seconds, all others for next to
    // nothing. So of n seconds' worth of records a share of (1 - x) / n waits longer than x.
    let seconds = all.due as f64 / RATE;
    for quantile in [0.8, 0.9, 0.95, 0.99, 0.999, 1.0] {
        let expected = (1.0 - (1.0 - quantile) * seconds).max(0.0) * 1000.0;
        let found = measured(quantile);
        assert!((found - expected).abs() <= SLACK_MS, "quantile {quantile}: {found} ms instead of {expected} ms");
    }

    // Record by record: from the intended time in its stamp to the broker's answer. The client can only have read it later.
    let mut latencies: Vec<u64> = Vec::new();
    for arrival in broker.arrivals() {
        for value in &arrival.values {
            let intended = u64::from_be_bytes(value[16..24].try_into().expect("eight bytes"));
            latencies.push(arrival.answered_ns.saturating_sub(intended));
        }
    }
    latencies.sort_unstable();
    assert_eq!(latencies.len() as u64, all.acked);
    for quantile in [0.5, 0.75, 0.9, 0.99, 0.999] {
        let at = ((quantile * latencies.len() as f64).ceil() as usize).clamp(1, latencies.len()) - 1;
        let (found, exact) = (measured(quantile), latencies[at] as f64 / 1e6);
        assert!((-1.0..=SLACK_MS).contains(&(found - exact)), "quantile {quantile}: {found} ms, exactly {exact} ms");
    }
}
