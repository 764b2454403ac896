//! Results as a real call makes them, computed: for tests of everything that is made from results. The browser tests include this
//! file, too.

use super::driver::Verification;
use super::results::{
    Advice, BrokerCost, Complaint, FORMAT, FairnessRow, FaultResult, Finding, Floor, Latency, Machine, Points, Rates,
    Results, Run, Second, Severity, System, VerificationResult, Weight,
};
use super::workload::{Arrival, Flow, Workload};

const SYSTEMS: [&str; 2] = ["millrace", "apache-kafka"];
const STAGES: [(&str, f64); 8] = [
    ("receive", 0.24),
    ("decode", 0.04),
    ("validate", 0.12),
    ("append", 0.17),
    ("wal", 0.19),
    ("replicate", 0.02),
    ("respond", 0.06),
    ("send", 0.16),
];

/// A sweep over acks, linger and codec of two systems, rates up to saturation, a fault: 37 runs, of which some are invalid.
pub fn sample() -> Results {
    let mut results = frame();
    for acks in ["1", "all"] {
        for linger in [0, 5, 50] {
            for codec in ["none", "lz4"] {
                for system in SYSTEMS {
                    results.runs.push(run(&results, system, acks, linger, codec, 50_000.0, 0));
                }
            }
        }
    }
    for rate in [100_000.0, 200_000.0, 400_000.0] {
        for repetition in 0..2 {
            for system in SYSTEMS {
                results.runs.push(run(&results, system, "all", 5, "lz4", rate, repetition));
            }
        }
    }
    results.runs.push(fault_run(&results));
    for index in 0..results.runs.len() {
        let run = &mut results.runs[index];
        run.id = format!("{:02}-{}", index + 1, run.id);
    }
    spoil(&mut results);
    advise(&mut results);
    results
}

/// Names and sentences that try to be more than text.
pub fn hostile() -> Results {
    let mut results = sample();
    let evil = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>\"'`|\u{202e}gnp\u{2028}";
    results.title = format!("quick {evil}");
    results.command = format!("millrace bench {evil}");
    results.partial = Some(format!("interrupted {evil}"));
    results.answers = vec![format!("the answer {evil}")];
    results.varied.push(evil.to_owned());
    results.machine.notes.push(evil.to_owned());
    results.machine.cpu = evil.to_owned();
    results.floors[0].name = evil.to_owned();
    results.systems[0].version = evil.to_owned();
    results.findings[1].value = evil.to_owned();
    results.findings[1].mend = evil.to_owned();
    results.fairness[0].what = evil.to_owned();
    results.advice[0].text = evil.to_owned();
    for run in results.runs.iter_mut().filter(|run| run.system == SYSTEMS[1]) {
        run.system = format!("apache-kafka {evil}");
        run.varied.insert(evil.to_owned(), evil.to_owned());
        run.id = format!("{} {evil}", run.id);
        run.complaints.push(Complaint { severity: Severity::Note, kind: evil.to_owned(), text: evil.to_owned() });
        run.broker.stages = vec![(evil.to_owned(), 1.0)];
        run.errors.insert(evil.to_owned(), 3);
    }
    results
}

/// What a first, quick call gives: one system, one run.
pub fn single() -> Results {
    let mut results = sample();
    results.runs.truncate(1);
    results.runs[0].varied.clear();
    results.varied.clear();
    results.systems.truncate(1);
    results.fairness.clear();
    results.advice.clear();
    results.title = "quick".to_owned();
    results
}

fn frame() -> Results {
    let system = |name: &str, version: &str, command: &str| System {
        name: name.to_owned(),
        version: version.to_owned(),
        command: command.to_owned(),
        acknowledgement: [("1", "in memory of the leader"), ("all", "on the device (fdatasync)")]
            .map(|(acks, promise)| (acks.to_owned(), promise.to_owned()))
            .into(),
    };
    let finding = |check: &str, weight, value: &str, mend: &str| Finding {
        check: check.to_owned(),
        weight,
        value: value.to_owned(),
        mend: mend.to_owned(),
    };
    let floor = |name: &str, value, unit: &str| Floor { name: name.to_owned(), value, unit: unit.to_owned() };
    let row = |what: &str, values: [&str; 2]| FairnessRow {
        what: what.to_owned(),
        values: SYSTEMS.into_iter().zip(values).map(|(system, value)| (system.to_owned(), value.to_owned())).collect(),
    };
    Results {
        format: FORMAT,
        millrace: "0.1.0".to_owned(),
        command: "millrace bench --acks 1,all --linger.ms 0,5,50 --compression.type none,lz4 --peer apache-kafka"
            .to_owned(),
        title: "acks x linger.ms x compression.type".to_owned(),
        started_ms: 1_763_800_000_000,
        took_s: 1_312.0,
        machine: Machine {
            kernel: "6.12.8".to_owned(),
            cpu: "AMD EPYC 9454P 48-Core Processor".to_owned(),
            cores: 8,
            memory_bytes: 32 << 30,
            file_system: "ext4 (rw,noatime)".to_owned(),
            device: "nvme0n1 (Samsung PM9A3)".to_owned(),
            notes: vec!["virtualised: kvm".to_owned(), "clock source: tsc".to_owned()],
        },
        findings: vec![
            finding("io_uring", Weight::Fine, "everything that a shard needs is allowed", ""),
            finding("frequency governor", Weight::CostsYou, "powersave", "cpupower frequency-set -g performance"),
            finding("/data: space", Weight::StopsYou, "1 MiB free of 1 GiB", "a larger disk"),
        ],
        floors: vec![
            floor("loopback 64 KiB", 2_900.0, "MB/s"),
            floor("pwrite 1 MiB", 1_450.0, "MB/s"),
            floor("O_DIRECT 1 MiB", 1_900.0, "MB/s"),
            floor("fdatasync", 410.0, "us"),
            floor("crc32c", 21_000.0, "MB/s"),
            floor("lz4 compress", 610.0, "MB/s"),
        ],
        systems: vec![
            system("millrace", "0.1.0", "millrace server --node-id 1"),
            system("apache-kafka", "4.3.1", "kafka-server-start.sh server.properties"),
        ],
        fairness: vec![
            row("cores", ["0-3", "0-3"]),
            row("heap", ["-", "4 GiB"]),
            row("flush policy", ["every acks=all", "log.flush.interval.messages=1"]),
            row("file system", ["ext4", "ext4"]),
        ],
        varied: ["acks", "linger.ms", "compression.type", "rate"].map(str::to_owned).to_vec(),
        ..Results::default()
    }
}

/// A model that is good enough to look at: latency grows with linger and load, Kafka takes more of everything.
fn run(results: &Results, system: &str, acks: &str, linger: u32, codec: &str, rate: f64, repetition: u32) -> Run {
    let is_ours = system == SYSTEMS[0];
    let mut noise = Noise(results.runs.len() as u64 * 7919 + 17);
    let most = if is_ours { 620_000.0 } else { 310_000.0 } * if linger == 0 { 0.6 } else { 1.0 };
    let load = (rate / most).min(0.98);
    let base = if is_ours { 0.35 } else { 0.9 } + if acks == "all" { 0.6 } else { 0.0 };
    let median = base / (1.0 - load) + f64::from(linger) / 2.0 * noise.around(1.0, 0.05);
    let records_s = rate.min(most) * noise.around(1.0, 0.01);
    let ratio = if codec == "lz4" { 2.1 } else { 0.99 };
    let mut workload = Workload { flows: vec![Flow { partitions: 12, producers: 4, ..Flow::default() }] };
    let flow = &mut workload.flows[0];
    flow.arrival = Arrival::Poisson { rate };
    flow.consumers.groups = 1;
    let settings =
        [("acks", acks.to_owned()), ("linger.ms", linger.to_string()), ("compression.type", codec.to_owned())];
    flow.producer.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    let mut varied = flow.producer.clone();
    varied.insert("rate".to_owned(), format!("{rate}"));
    let per_batch = 1.0 + rate / 4.0 / 12.0 * f64::from(linger) / 1000.0;
    let cpu = if is_ours { 1.1 } else { 4.2 } + 60.0 / per_batch.min(60.0) * if is_ours { 0.05 } else { 0.15 };
    let heavy = if is_ours { 0.35 } else { 0.6 };
    Run {
        id: format!("{system}-acks={acks}-linger={linger}-{codec}-{rate}-{repetition}"),
        system: system.to_owned(),
        driver: "millrace 0.1.0".to_owned(),
        varied,
        repetition,
        workload,
        warmup_s: 5.0,
        measured_s: 30.0,
        rates: Rates {
            target_records_s: Some(rate),
            records_s,
            mb_s: records_s / 1000.0,
            consumed_records_s: records_s,
            consumed_mb_s: records_s / 1000.0,
            produce_requests_s: records_s / per_batch,
            records_per_batch: per_batch,
            batch_bytes: per_batch * 1000.0 / ratio + 61.0,
            compression_ratio: ratio,
            fetch_requests_s: records_s / per_batch / 3.0,
            records: (records_s * 30.0) as u64,
            failed: 0,
        },
        latency: latency(median, heavy, records_s),
        request_latency: latency(base / (1.0 - load), heavy, records_s / per_batch),
        end_to_end: latency(median + 0.4, heavy, records_s),
        clock_error: latency(0.008, 0.4, records_s),
        broker: cost(cpu, records_s, is_ours),
        client_cpu_s: records_s * 30.0 / 2.2e6,
        timeline: timeline(records_s, median, heavy, &mut noise),
        verification: Some(VerificationResult {
            counts: Verification { acked: (records_s * 35.0) as u64, ..Verification::default() },
            kept_promises: true,
            text: "every acknowledged record arrived once, in order".to_owned(),
        }),
        ..Run::default()
    }
}

fn cost(cpu_s_per_gb: f64, records_s: f64, has_stages: bool) -> BrokerCost {
    let cpu_s = cpu_s_per_gb * records_s * 1000.0 * 30.0 / 1e9;
    let stages = STAGES.iter().map(|(name, share)| ((*name).to_owned(), share * cpu_s)).collect();
    BrokerCost {
        cpu_s,
        cpu_s_per_gb,
        cpu_s_per_million: cpu_s_per_gb,
        cores: cpu_s / 30.0,
        stages: if has_stages { stages } else { Vec::new() },
        disk_write_bytes: (records_s * 1040.0 * 30.0) as u64,
        voluntary_switches: 81_000,
        involuntary_switches: 1_200,
        system_calls: 230_000,
        resident_bytes: if has_stages { 310 << 20 } else { 4_700 << 20 },
        ..BrokerCost::default()
    }
}

/// A heavy-tailed curve with the given median: each halving of the rest multiplies the time.
fn latency(median: f64, heavy: f64, records_s: f64) -> Latency {
    let at = |quantile: f64| median * ((1.0 / (1.0 - quantile)).log2().max(0.05) * 0.75 + 0.25).powf(heavy * 1.6);
    let count = (records_s * 30.0) as u64;
    let last = 1.0 - 1.0 / (count as f64).max(2.0);
    let quantiles = (0..).map(|step| 1.0 - 0.5_f64.powf(f64::from(step) / 5.0)).take_while(|quantile| *quantile < last);
    let curve: Vec<(f64, f64)> = quantiles.map(|quantile| (quantile, at(quantile))).collect();
    Latency {
        count,
        mean: at(0.6),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        p9999: at(0.9999),
        max: at(last),
        curve,
    }
}

fn timeline(records_s: f64, median: f64, heavy: f64, noise: &mut Noise) -> Vec<Second> {
    let p99 = latency(median, heavy, 1e6).p99;
    let second = |second: u32| {
        let is_warm = second >= 5;
        let factor = if is_warm { 1.0 } else { 1.0 + 2.0 / f64::from(second + 1) };
        let latency = Points {
            p50: median * factor * noise.around(1.0, 0.03),
            p95: p99 * factor * 0.7,
            p99: p99 * factor * noise.around(1.0, 0.2),
            max: p99 * factor * noise.around(2.0, 0.5),
            ..Points::default()
        };
        Second {
            at_s: f64::from(second),
            measured: is_warm,
            records_s: records_s * noise.around(1.0, 0.02),
            consumed_records_s: records_s * noise.around(1.0, 0.03),
            p50: latency.p50,
            p99: latency.p99,
            max: latency.max,
            broker_cores: records_s / 4e5 * noise.around(1.0, 0.05),
            latency,
            ..Second::default()
        }
    };
    (0..35).map(second).collect()
}

fn fault_run(results: &Results) -> Run {
    let mut run = run(results, SYSTEMS[0], "all", 5, "none", 50_000.0, 1);
    run.id = "millrace-kill9".to_owned();
    run.varied.insert("fault".to_owned(), "kill9@15s".to_owned());
    for second in &mut run.timeline {
        let since = second.at_s - 15.0;
        if (0.0..2.0).contains(&since) {
            (second.records_s, second.consumed_records_s, second.backlog) = (0.0, 0.0, 50_000 + 50_000 * since as u64);
            (second.p50, second.p99, second.max) = (1_200.0, 2_000.0, 2_100.0);
        } else if (2.0..3.0).contains(&since) {
            second.records_s *= 2.6;
        }
    }
    run.faults.push(FaultResult { fault: "kill9@15s".to_owned(), at_s: 15.0, dip_s: 1.8, recovered_s: Some(2.4) });
    run.errors.insert("NETWORK_EXCEPTION".to_owned(), 412);
    if let Some(verification) = &mut run.verification {
        verification.counts.unacknowledged = 37;
        verification.text =
            "no acknowledged record was lost over kill -9; 37 came through whose answer was lost with the connection"
                .to_owned();
    }
    run
}

fn spoil(results: &mut Results) {
    for run in &mut results.runs {
        if run.system == SYSTEMS[1] && run.rates.target_records_s == Some(400_000.0) {
            run.complaints.push(Complaint {
                severity: Severity::Invalid,
                kind: "backlog growing".to_owned(),
                text: "310,000 of 400,000 records/s that were due were acknowledged; the backlog grew to 2.7 million"
                    .to_owned(),
            });
        }
        if run.latency.count < 10_000_000 && run.rates.target_records_s == Some(50_000.0) {
            run.complaints.push(Complaint {
                severity: Severity::Note,
                kind: "too few samples".to_owned(),
                text: "p99.99 rests on 150 samples".to_owned(),
            });
        }
    }
    if let Some(run) = results.runs.get_mut(3) {
        run.complaints.push(Complaint {
            severity: Severity::Invalid,
            kind: "cpu stolen".to_owned(),
            text: "the hypervisor took 9.1 % of the processor time".to_owned(),
        });
    }
}

fn advise(results: &mut Results) {
    let ids = |from: usize, to: usize| results.runs[from..to].iter().map(|run| run.id.clone()).collect();
    results.advice = vec![
        Advice {
            text: "linger.ms 0 -> 5: 6.2x fewer requests, p99 +2.4 ms, broker CPU -58 %".to_owned(),
            runs: ids(0, 5),
        },
        Advice {
            text: "compression.type none -> lz4: 2.1x fewer bytes on disk and wire, client CPU +9 %".to_owned(),
            runs: ids(0, 2),
        },
    ];
}

/// Numbers that look random and are the same each time.
struct Noise(u64);

impl Noise {
    fn around(&mut self, middle: f64, spread: f64) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        middle * (1.0 + spread * ((self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0))
    }
}
