//! Holds the medians against the thresholds; prints the table and writes it down.

use std::fmt::Write;
use std::fs;

use serde_json::json;

use crate::measure::Samples;
use crate::scenarios::{Bound, Check, Metric};
use crate::systems::System;

/// `/proc/loadavg`: a busy machine spoils the figures.
pub fn load_average() -> String {
    fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()
}

impl Metric {
    fn title(self) -> &'static str {
        match self {
            Metric::CpuPerGb => "CPU s/GB",
            Metric::CpuPerRequest => "CPU us/request",
            Metric::Throughput => "MB/s",
            Metric::P50 => "p50 us",
            Metric::P999 => "p99.9 us",
            Metric::Rss => "RSS MiB",
            Metric::IdleCpu => "CPU %",
            Metric::StartMs => "ms",
            Metric::P99 => "p99 us",
            Metric::Requests => "requests/s",
            Metric::Amplification => "device bytes per byte",
            Metric::RecoveryS => "s",
            Metric::PerCpuSecond => "per broker CPU s",
            Metric::FormMs | Metric::AgainMs => "ms",
            Metric::FormCpuMs => "broker CPU ms",
            Metric::ReadyMs => "ms from the start",
            Metric::LoadMs => "ms behind the first answer",
        }
    }
}

struct Row {
    ours: f64,
    theirs: Option<f64>,
    ratio: f64,
    met: bool,
    wanted: String,
    peer: &'static str,
}

fn judge(samples: &Samples, check: &Check) -> Option<Row> {
    let median = |system| samples.median(check.scenario, system, check.metric);
    let ours = median(System::Millrace)?;
    Some(match check.bound {
        Bound::AtMost(most) => Row {
            ours,
            theirs: median(System::Apache),
            ratio: ours,
            met: ours <= most,
            wanted: format!("<= {most}"),
            peer: "",
        },
        Bound::AtMostOf(peer, share) => at_most(ours, median(peer)?, share, peer.name()),
        Bound::AtMostOfOther(other, share) => {
            at_most(ours, samples.median(other, System::Millrace, check.metric)?, share, other)
        }
        Bound::TimesAsGood(peer, times) => at_least(check.metric, ours, median(peer)?, times, peer.name()),
        Bound::TimesOther(other, times) => {
            at_least(check.metric, ours, samples.median(other, System::Millrace, check.metric)?, times, other)
        }
        Bound::TimesFloor(other, floor, times) => {
            at_least(check.metric, ours, samples.median(other, floor, check.metric)?, times, other)
        }
    })
}

fn at_most(ours: f64, theirs: f64, share: f64, peer: &'static str) -> Row {
    let ratio = ours / theirs;
    Row { ours, theirs: Some(theirs), ratio, met: ratio <= share, wanted: format!("<= {share}"), peer }
}

fn at_least(metric: Metric, ours: f64, theirs: f64, times: f64, peer: &'static str) -> Row {
    let ratio = if metric.is_rate() { ours / theirs } else { theirs / ours };
    Row { ours, theirs: Some(theirs), ratio, met: ratio >= times, wanted: format!(">= {times}"), peer }
}

/// What a table is made of.
pub struct Table<'a> {
    /// Its name, and what was asked for beside it: `perf/run TITLE`.
    pub title: String,
    /// Its rows.
    pub checks: &'a [Check],
    /// What is told behind it.
    pub more: String,
    /// Interleaved rounds.
    pub rounds: usize,
    /// The load average before anything ran.
    pub load_before: String,
}

/// Prints the table and writes `perf/results/NAME.md` and `NAME.json`; of `durability --io epoll` the name is `durability-epoll`.
pub fn print_and_write(samples: &Samples, table_of: &Table<'_>) {
    let Table { title, checks, more, rounds, load_before } = table_of;
    let mut table =
        String::from("| what | figure | Millrace | peer | ratio | wanted | |\n|---|---|---:|---:|---:|---:|---|\n");
    let mut rows = Vec::new();
    for check in *checks {
        let Some(row) = judge(samples, check) else { continue };
        let peer = row.theirs.map_or(String::new(), |theirs| format!("{} {}", number(theirs), row.peer));
        let verdict = if row.met { "met" } else { "**missed**" };
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {} | {} | {verdict} |",
            check.scenario,
            check.metric.title(),
            number(row.ours),
            peer,
            number(row.ratio),
            row.wanted
        );
        rows.push(json!({
            "scenario": check.scenario, "metric": check.metric.key(), "millrace": row.ours, "peer": row.peer,
            "theirs": row.theirs, "ratio": row.ratio, "wanted": row.wanted, "met": row.met,
        }));
    }
    let met = rows.iter().filter(|row| row["met"] == json!(true)).count();
    let machine = machine();
    let text = format!(
        "# perf/run {title}\n\n{machine}; medians of {rounds} interleaved rounds; load average before {load_before}, after {}.\n\n\
         {table}\n{met} of {} met.\n\n{more}{}",
        load_average(),
        rows.len(),
        medians(samples)
    );
    println!("{text}");
    let raw: Vec<_> = samples
        .all
        .iter()
        .map(|((scenario, system), values)| json!({"scenario": scenario, "system": system.name(), "rounds": values}))
        .collect();
    let all = json!({"machine": machine, "rounds": rounds, "checks": rows, "samples": raw});
    let name = title.replace(" --io ", "-");
    let written = fs::create_dir_all("perf/results")
        .and_then(|()| fs::write(format!("perf/results/{name}.md"), &text))
        .and_then(|()| fs::write(format!("perf/results/{name}.json"), format!("{all:#}\n")));
    if let Err(error) = written {
        crate::die(&format!("perf/results: {error}"));
    }
}

/// Every scenario and system, for reading beside the table.
fn medians(samples: &Samples) -> String {
    let mut text = String::from(
        "| scenario | system | MB/s | requests/s | CPU s/GB | CPU us/request | server cores | client cores | p50 us | p99 us | p99.9 us | RSS MiB |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for ((scenario, system), values) in &samples.all {
        let median = |key: &str| {
            let mut found: Vec<f64> = values.iter().filter_map(|value| value[key].as_f64()).collect();
            found.sort_by(f64::total_cmp);
            found.get(found.len() / 2).map_or(String::new(), |value| number(*value))
        };
        let keys = [
            "mb_per_s",
            "requests_per_s",
            "broker_cpu_s_per_gb",
            "broker_us_per_request",
            "broker_cores",
            "client_cores",
            "p50_us",
            "p99_us",
            "p999_us",
            "rss_mib",
        ];
        if values.iter().any(|value| value["requests"].as_u64().is_some_and(|requests| requests > 0)) {
            let cells: Vec<String> = keys.iter().map(|key| median(key)).collect();
            let _ = writeln!(text, "| {scenario} | {} | {} |", system.name(), cells.join(" | "));
        }
    }
    text
}

fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("").trim_start_matches([' ', '\t', ':']);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let congestion = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{cores} cores ({model}), Linux {}, TCP {}", kernel.trim(), congestion.trim())
}
