//! Advice: what to change and what that gained, in one sentence each, from runs that differ in one setting alone.

use std::collections::BTreeMap;

use super::results::{Advice, Run};
use super::workload::Settings;

/// Changes smaller than this share are not worth a word.
const NOTABLE: f64 = 0.15;
/// Sentences at most, for all settings together.
const SENTENCES_MAX: usize = 8;

/// The medians of the repetitions of one cell on one system.
struct Point<'a> {
    system: &'a str,
    varied: &'a Settings,
    closed_loop: bool,
    records_s: f64,
    requests_s: f64,
    p99: f64,
    cpu_per_gb: f64,
    compression_ratio: f64,
    runs: Vec<String>,
}

/// What the runs teach, the largest effects first.
pub fn advise(runs: &[Run]) -> Vec<Advice> {
    let points = points(runs);
    let mut found: BTreeMap<(String, String), (f64, Advice)> = BTreeMap::new();
    for from in &points {
        for to in &points {
            let Some((name, old, new)) = one_difference(from, to) else { continue };
            if name == "rate" || old == new || !is_an_improvement(from, to) {
                continue;
            }
            let Some((weight, changes)) = changes(from, to) else { continue };
            let same: Vec<String> = to
                .varied
                .iter()
                .filter(|(key, _)| **key != name)
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            let at = if same.is_empty() { String::new() } else { format!(", {}", same.join(" ")) };
            let less = if name == "acks" && rank(&new) < rank(&old) { ", but it promises less" } else { "" };
            let text = format!("{name} {old} -> {new}: {changes}{less} ({}{at})", to.system);
            let runs = from.runs.iter().chain(&to.runs).cloned().collect();
            let key = (to.system.to_owned(), name);
            // One sentence for each setting and system: the one with the largest effect.
            if found.get(&key).is_none_or(|(best, _)| weight > *best) {
                found.insert(key, (weight, Advice { text, runs }));
            }
        }
    }
    let mut all: Vec<(f64, Advice)> = found.into_values().collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    all.into_iter().take(SENTENCES_MAX).map(|(_, advice)| advice).collect()
}

/// How much an acknowledgement promises.
fn rank(acks: &str) -> u8 {
    match acks {
        "0" => 0,
        "1" => 1,
        _ => 2,
    }
}

/// Valid runs, repetitions merged.
fn points(runs: &[Run]) -> Vec<Point<'_>> {
    let mut cells: BTreeMap<(&str, &Settings), Vec<&Run>> = BTreeMap::new();
    for run in runs.iter().filter(|run| run.is_valid()) {
        cells.entry((&run.system, &run.varied)).or_default().push(run);
    }
    cells
        .into_iter()
        .map(|((system, varied), runs)| {
            let median = |value: fn(&Run) -> f64| {
                let mut all: Vec<f64> = runs.iter().map(|run| value(run)).collect();
                all.sort_by(f64::total_cmp);
                all[all.len() / 2]
            };
            Point {
                system,
                varied,
                closed_loop: runs[0].closed_loop,
                records_s: median(|run| run.rates.records_s),
                requests_s: median(|run| run.rates.produce_requests_s),
                p99: median(|run| run.latency.p99),
                cpu_per_gb: median(|run| run.broker.cpu_s_per_gb),
                compression_ratio: median(|run| run.rates.compression_ratio),
                runs: runs.iter().map(|run| run.id.clone()).collect(),
            }
        })
        .collect()
}

/// The one setting in which two points of the same system differ, with both values.
fn one_difference(from: &Point<'_>, to: &Point<'_>) -> Option<(String, String, String)> {
    if from.system != to.system || from.closed_loop != to.closed_loop {
        return None;
    }
    let default = |name: &str| default_of(name).map(str::to_owned);
    let mut different: Option<(String, String, String)> = None;
    for name in from.varied.keys().chain(to.varied.keys()) {
        let old = from.varied.get(name).cloned().or_else(|| default(name))?;
        let new = to.varied.get(name).cloned().or_else(|| default(name))?;
        if old != new {
            match &different {
                None => different = Some((name.clone(), old, new)),
                Some((known, ..)) if known == name => {}
                Some(_) => return None,
            }
        }
    }
    different
}

/// What a producer does when the setting isn't given (Apache Kafka 4).
fn default_of(name: &str) -> Option<&'static str> {
    Some(match name {
        "acks" => "all",
        "linger.ms" => "5",
        "batch.size" => "16384",
        "compression.type" => "none",
        "max.in.flight.requests.per.connection" => "5",
        _ => return None,
    })
}

/// Less work for the broker, or more records, or less time for no more work, by more than a little. What it costs is said with it.
fn is_an_improvement(from: &Point<'_>, to: &Point<'_>) -> bool {
    let less_cpu = to.cpu_per_gb > 0.0 && to.cpu_per_gb < from.cpu_per_gb * (1.0 - NOTABLE);
    let faster = to.p99 < from.p99 * (1.0 - NOTABLE);
    let more = from.closed_loop && to.records_s > from.records_s * (1.0 + NOTABLE);
    let slower = from.closed_loop && to.records_s < from.records_s * (1.0 - NOTABLE);
    let dearer = to.cpu_per_gb > from.cpu_per_gb * (1.0 + NOTABLE);
    more || (less_cpu && !slower) || (faster && !dearer && !from.closed_loop)
}

/// The changes in words, and how much they weigh.
fn changes(from: &Point<'_>, to: &Point<'_>) -> Option<(f64, String)> {
    let ratio = |new: f64, old: f64| if old > 0.0 && new > 0.0 { new / old } else { 1.0 };
    let is_notable = |ratio: f64| !(1.0 - NOTABLE..=1.0 / (1.0 - NOTABLE)).contains(&ratio);
    let mut words = Vec::new();
    let mut weight: f64 = 0.0;
    let records = ratio(to.records_s, from.records_s);
    if from.closed_loop && is_notable(records) {
        words.push(format!("{records:.1}x the records/s"));
        weight += records.ln().abs();
    }
    let requests = ratio(to.requests_s, from.requests_s);
    if !from.closed_loop && is_notable(requests) {
        words.push(if requests < 1.0 {
            format!("{:.1}x fewer requests", 1.0 / requests)
        } else {
            format!("{requests:.1}x more requests")
        });
    }
    let p99 = ratio(to.p99, from.p99);
    if is_notable(p99) && (to.p99 - from.p99).abs() > 0.05 {
        words.push(format!("p99 {:+.1} ms", to.p99 - from.p99));
        weight += if from.closed_loop { 0.0 } else { p99.ln().abs() };
    }
    let cpu = ratio(to.cpu_per_gb, from.cpu_per_gb);
    if is_notable(cpu) {
        words.push(format!("broker CPU {:+.0} %", (cpu - 1.0) * 100.0));
        weight += cpu.ln().abs();
    }
    let smaller = ratio(to.compression_ratio, from.compression_ratio);
    if is_notable(smaller) {
        words.push(format!("{:.1}x smaller on the wire", smaller));
    }
    (weight > 0.0).then(|| (weight, words.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::super::results::{BrokerCost, Complaint, Latency, Rates, Severity};
    use super::*;

    fn run(varied: &[(&str, &str)], requests: f64, p99: f64, cpu: f64) -> Run {
        Run {
            id: format!("{varied:?}"),
            system: "millrace".to_owned(),
            varied: varied.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
            rates: Rates { records_s: 50_000.0, produce_requests_s: requests, ..Rates::default() },
            latency: Latency { p99, ..Latency::default() },
            broker: BrokerCost { cpu_s: 1.0, cpu_s_per_gb: cpu, ..BrokerCost::default() },
            ..Run::default()
        }
    }

    #[test]
    fn one_setting_that_helps_makes_one_sentence() {
        let runs = [
            run(&[("linger.ms", "0"), ("acks", "all")], 31_000.0, 2.0, 10.0),
            run(&[("linger.ms", "5"), ("acks", "all")], 10_000.0, 6.0, 4.2),
        ];
        let texts: Vec<String> = advise(&runs).into_iter().map(|advice| advice.text).collect();
        assert_eq!(
            texts,
            ["linger.ms 0 -> 5: 3.1x fewer requests, p99 +4.0 ms, broker CPU -58 % (millrace, acks=all)"]
        );
    }

    #[test]
    fn a_setting_that_is_left_out_has_kafkas_default() {
        let runs = [run(&[], 9.0, 2.0, 10.0), run(&[("compression.type", "lz4")], 9.0, 2.0, 5.0)];
        assert!(advise(&runs)[0].text.starts_with("compression.type none -> lz4: broker CPU -50 %"));
    }

    #[test]
    fn weaker_acks_are_no_advice_without_their_price() {
        let runs = [run(&[("acks", "all")], 9.0, 20.0, 10.0), run(&[("acks", "1")], 9.0, 2.0, 5.0)];
        assert!(advise(&runs)[0].text.contains("but it promises less"));
    }

    #[test]
    fn invalid_runs_and_runs_that_differ_in_two_settings_teach_nothing() {
        let mut bad = run(&[("linger.ms", "5")], 10.0, 6.0, 1.0);
        let text = "why".to_owned();
        bad.complaints.push(Complaint { severity: Severity::Invalid, kind: "unanswered".to_owned(), text });
        assert_eq!(advise(&[run(&[("linger.ms", "0")], 99.0, 6.0, 10.0), bad]), []);
        let two = run(&[("linger.ms", "5"), ("batch.size", "65536")], 10.0, 6.0, 1.0);
        assert_eq!(advise(&[run(&[("linger.ms", "0")], 99.0, 6.0, 10.0), two]), []);
    }
}
