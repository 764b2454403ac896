//! Results as shares of their floors: what of the wire, the device and the checksum a run used, and how many device syncs its
//! requests took.

use serde::Serialize;

use super::results::{Floor, Results, Run};

/// A run beside a floor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Share {
    /// Name of the floor.
    pub floor: String,
    /// The floor's number with its unit.
    pub limit: String,
    /// What the run had of it, with its unit.
    pub used: String,
    /// Used over limit; for times, limit over used. 1: it can't get better on this machine.
    pub share: f64,
}

/// Shares of all floors that say something about a run, in the order of the floors.
pub fn shares(results: &Results, run: &Run) -> Vec<Share> {
    results.floors.iter().filter_map(|floor| share(floor, run)).collect()
}

fn share(floor: &Floor, run: &Run) -> Option<Share> {
    let limit = format!("{} {}", super::units::digits(floor.value), floor.unit);
    let (used, share) = match floor.unit.as_str() {
        "MB/s" => {
            let used = megabytes(&floor.name.to_lowercase(), run)?;
            (format!("{} MB/s", super::units::digits(used)), used / floor.value)
        }
        // The middle of the floor against the middle of the requests. Only an acknowledgement from the device waits for the device.
        "us" if !floor.name.ends_with("p99") => {
            let acks = setting(run, "acks").unwrap_or_else(|| "all".to_owned());
            let waits = match floor.name.to_lowercase() {
                name if name.contains("sync") => acks == "all" || acks == "-1",
                name if name.contains("round trip") => acks != "0",
                _ => false,
            };
            let used = (waits && run.request_latency.count > 0).then_some(run.request_latency.p50 * 1000.0)?;
            (format!("{} us (p50 of a request)", super::units::digits(used)), floor.value / used)
        }
        _ => return None,
    };
    let share = (floor.value > 0.0 && share.is_finite() && share > 0.0).then_some(share)?;
    Some(Share { floor: floor.name.clone(), limit, used, share })
}

/// What a run asks of a floor, MB/s.
fn megabytes(floor: &str, run: &Run) -> Option<f64> {
    let ratio = if run.rates.compression_ratio > 0.0 { run.rates.compression_ratio } else { 1.0 };
    let (written, read) = (run.rates.mb_s / ratio, run.rates.consumed_mb_s / ratio);
    if floor.contains("loopback") {
        return Some(written + read);
    }
    if floor.contains("crc") {
        return Some(written);
    }
    if floor.contains("write") || floor.contains("direct") {
        let to_disk = run.broker.disk_write_bytes as f64 / 1e6 / run.measured_s.max(1e-9);
        return Some(if to_disk > 0.0 { to_disk } else { written });
    }
    let codec = setting(run, "compression.type")?;
    let work = floor.strip_prefix(codec.as_str())?;
    if work.contains("decompress") { Some(run.rates.consumed_mb_s) } else { Some(run.rates.mb_s) }
}

/// A producer's setting in this run.
fn setting(run: &Run, name: &str) -> Option<String> {
    let from_flow = || run.workload.flows.iter().find_map(|flow| flow.producer.get(name));
    run.varied.get(name).or_else(from_flow).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::testing;

    fn floor(name: &str, value: f64, unit: &str) -> Floor {
        Floor { name: name.to_owned(), value, unit: unit.to_owned() }
    }

    #[test]
    fn bandwidth_is_what_goes_over_the_wire() {
        let mut run = Run { measured_s: 10.0, ..Run::default() };
        (run.rates.mb_s, run.rates.consumed_mb_s, run.rates.compression_ratio) = (100.0, 200.0, 2.0);
        let found = share(&floor("loopback 64 KiB", 1_500.0, "MB/s"), &run).expect("a share");
        assert_eq!((found.share, found.used.as_str()), (0.1, "150 MB/s"));
        run.broker.disk_write_bytes = 600_000_000;
        assert_eq!(share(&floor("pwrite 1 MiB", 120.0, "MB/s"), &run).expect("a share").share, 0.5);
    }

    #[test]
    fn only_durable_acknowledgements_wait_for_the_device() {
        let mut run = Run::default();
        (run.request_latency.count, run.request_latency.p50) = (100, 0.8);
        run.varied.insert("acks".to_owned(), "1".to_owned());
        assert_eq!(share(&floor("fdatasync 4 KiB", 400.0, "us"), &run), None);
        run.varied.insert("acks".to_owned(), "all".to_owned());
        assert_eq!(share(&floor("fdatasync 4 KiB p99", 400.0, "us"), &run), None);
        assert_eq!(share(&floor("fdatasync", 400.0, "us"), &run).expect("a share").share, 0.5);
    }

    #[test]
    fn codecs_are_floors_of_runs_that_use_them() {
        let results = testing::sample();
        let has_codec = |run: &Run| shares(&results, run).iter().any(|share| share.floor == "lz4 compress");
        for run in &results.runs {
            assert_eq!(has_codec(run), run.varied["compression.type"] == "lz4", "{}", run.id);
        }
    }
}
