//! A run as the result file of OpenMessaging Benchmark, for the scripts that people have for it.
//!
//! Fields are those of its `TestResult`, all of them and no others. Where it means something else: its publish latency begins when its
//! producer gets round to sending, ours when the record was due; how late that was is its publish delay (in microseconds), our clock
//! error. The backlog is what was acknowledged in the run and not yet consumed.

use serde_json::{Map, Value, json};

use super::results::{Latency, Points, Results, Run, Second};
use super::workload::{Flow, Sizes};

/// Points of a distribution and OMB's endings for them.
const POINTS: &[(f64, &str)] =
    &[(0.5, "50pct"), (0.75, "75pct"), (0.95, "95pct"), (0.99, "99pct"), (0.999, "999pct"), (0.9999, "9999pct")];

/// OMB's endings of the lists over periods, and the points in them.
type List = (&'static str, fn(&Points) -> f64);
const LISTS: &[List] = &[
    ("Avg", |points| points.mean),
    ("50pct", |points| points.p50),
    ("75pct", |points| points.p75),
    ("95pct", |points| points.p95),
    ("99pct", |points| points.p99),
    ("999pct", |points| points.p999),
    ("9999pct", |points| points.p9999),
    ("Max", |points| points.max),
];

/// The file's text.
pub fn test_result(results: &Results, run: &Run) -> String {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    let default = Flow::default();
    let flow = run.workload.flows.first().unwrap_or(&default);
    let topics = flow.topics.max(1);
    let measured: Vec<&Second> = run.timeline.iter().filter(|second| second.measured).collect();
    let list = |of: &dyn Fn(&Second) -> f64| Value::from_iter(measured.iter().map(|second| of(second)));

    put("workload", json!(results.title));
    put("driver", json!(format!("{} {}", run.system, run.driver)));
    put("messageSize", json!(message_size(flow, run)));
    put("topics", json!(topics));
    put("partitions", json!(flow.partitions));
    put("producersPerTopic", json!(flow.producers.div_ceil(topics)));
    put("consumersPerTopic", json!(flow.consumers.members.div_ceil(topics)));
    put("publishRate", list(&|second| second.records_s));
    let failed = run.rates.failed as f64 / run.measured_s.max(1e-9);
    put("publishErrorRate", list(&|_| failed));
    put("consumeRate", list(&|second| second.consumed_records_s));
    put("backlog", backlog(flow, run));
    for (ending, point) in LISTS {
        put(&format!("publishLatency{ending}"), list(&|second| point(&second.latency)));
        put(&format!("endToEndLatency{ending}"), list(&|second| point(&second.end_to_end)));
        put(&format!("publishDelayLatency{ending}"), list(&|second| point(&second.clock_error) * 1000.0));
    }
    for (name, latency) in [("PublishLatency", &run.latency), ("EndToEndLatency", &run.end_to_end)] {
        aggregate(name, latency, &mut put, &|ms| json!(ms));
    }
    // Microseconds, whole ones but for the average.
    aggregate("PublishDelayLatency", &run.clock_error, &mut put, &|ms| json!((ms * 1000.0).round() as u64));
    put("aggregatedPublishDelayLatencyAvg", json!(run.clock_error.mean * 1000.0));
    serde_json::to_string_pretty(&Value::Object(fields)).unwrap_or_default()
}

fn aggregate(name: &str, latency: &Latency, put: &mut dyn FnMut(&str, Value), value: &dyn Fn(f64) -> Value) {
    put(&format!("aggregated{name}Avg"), value(latency.mean));
    put(&format!("aggregated{name}Max"), value(latency.max));
    for (quantile, ending) in POINTS {
        put(&format!("aggregated{name}{ending}"), value(at(latency, *quantile)));
    }
    let quantiles = latency.curve.iter().map(|(quantile, ms)| (format!("{:?}", quantile * 100.0), value(*ms)));
    let mut quantiles: Map<String, Value> = quantiles.collect();
    if latency.count > 0 {
        quantiles.insert("100.0".to_owned(), value(latency.max));
    }
    put(&format!("aggregated{name}Quantiles"), Value::Object(quantiles));
}

/// A point of the distribution: as it was measured, or between its neighbours on the curve.
fn at(latency: &Latency, quantile: f64) -> f64 {
    let known = [(0.5, latency.p50), (0.99, latency.p99), (0.999, latency.p999), (0.9999, latency.p9999)];
    if let Some((_, ms)) = known.iter().find(|(it, _)| *it == quantile) {
        return *ms;
    }
    let after = latency.curve.iter().position(|(it, _)| *it >= quantile);
    match after {
        Some(0) => latency.curve[0].1,
        Some(index) => {
            let ((before, low), (behind, high)) = (latency.curve[index - 1], latency.curve[index]);
            let share = (quantile - before) / (behind - before).max(f64::MIN_POSITIVE);
            low + (high - low) * share.clamp(0.0, 1.0)
        }
        None => latency.max,
    }
}

fn message_size(flow: &Flow, run: &Run) -> u64 {
    match flow.value.size {
        Sizes::Fixed { bytes } => u64::from(bytes),
        _ if run.rates.records_s > 0.0 => (run.rates.mb_s * 1e6 / run.rates.records_s).round() as u64,
        _ => 0,
    }
}

fn backlog(flow: &Flow, run: &Run) -> Value {
    let groups = f64::from(flow.consumers.groups);
    let mut behind = 0.0_f64;
    let mut last = None;
    let mut found = Vec::new();
    for second in &run.timeline {
        let length = last.map_or(1.0, |last| second.at_s - last);
        last = Some(second.at_s);
        if groups > 0.0 {
            behind = (behind + (second.records_s * groups - second.consumed_records_s) * length).max(0.0);
        }
        if second.measured {
            found.push(json!(behind as u64));
        }
    }
    Value::Array(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::testing;

    /// Fields of OMB's `TestResult`, but for those whose names are made of parts.
    const SINGLE: &[&str] = &[
        "workload",
        "driver",
        "messageSize",
        "topics",
        "partitions",
        "producersPerTopic",
        "consumersPerTopic",
        "publishRate",
        "publishErrorRate",
        "consumeRate",
        "backlog",
    ];

    #[test]
    fn the_fields_are_those_of_omb() {
        let results = testing::sample();
        let value: Value = serde_json::from_str(&test_result(&results, &results.runs[0])).expect("JSON");
        let mut expected: Vec<String> = SINGLE.iter().map(|name| (*name).to_owned()).collect();
        let endings = ["Avg", "50pct", "75pct", "95pct", "99pct", "999pct", "9999pct", "Max"];
        for name in ["publishLatency", "publishDelayLatency", "endToEndLatency"] {
            let big = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
            expected.extend(endings.map(|ending| format!("{name}{ending}")));
            expected.extend(endings.map(|ending| format!("aggregated{big}{ending}")));
            expected.push(format!("aggregated{big}Quantiles"));
        }
        expected.sort();
        let mut found: Vec<String> = value.as_object().expect("an object").keys().cloned().collect();
        found.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_numbers_are_those_of_the_run() {
        let results = testing::sample();
        let run = &results.runs[0];
        let value: Value = serde_json::from_str(&test_result(&results, run)).expect("JSON");
        assert_eq!(value["aggregatedPublishLatency99pct"], json!(run.latency.p99));
        assert_eq!(value["publishRate"].as_array().expect("a list").len(), 30);
        for (second, p95) in value["publishLatency95pct"].as_array().expect("a list").iter().enumerate() {
            let points = &run.timeline[second + 5].latency;
            assert_eq!((p95, points.p50 < points.p95), (&json!(points.p95), true));
        }
        assert_eq!(value["messageSize"], 1000);
        let p75 = value["aggregatedPublishLatency75pct"].as_f64().expect("a number");
        assert!(run.latency.p50 < p75 && p75 < run.latency.p90);
        assert!(value["aggregatedPublishDelayLatency99pct"].is_u64());
        assert_eq!(value["aggregatedPublishLatencyQuantiles"]["100.0"], json!(run.latency.max));
    }

    #[test]
    fn a_backlog_is_what_was_not_consumed() {
        let mut run = Run::default();
        let mut flow = Flow::default();
        flow.consumers.groups = 1;
        for (at_s, consumed) in [(1.0, 100.0), (2.0, 40.0), (3.0, 160.0)] {
            run.timeline.push(Second {
                at_s,
                measured: true,
                records_s: 100.0,
                consumed_records_s: consumed,
                ..Second::default()
            });
        }
        assert_eq!(backlog(&flow, &run), json!([0, 60, 0]));
    }
}
