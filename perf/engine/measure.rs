//! Runs the load client and keeps what it found.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::device;
use crate::die;
use crate::scenarios::{Kind, Metric, Pinning, Scenario};
use crate::systems::{Programs, Running, System, settle};

/// Everything that was found: per scenario and system, one object per round.
#[derive(Default)]
pub struct Samples {
    /// The objects that the load client printed.
    pub all: BTreeMap<(String, System), Vec<Value>>,
    last: String,
}

impl Samples {
    /// Adds one round.
    pub fn add(&mut self, scenario: &str, system: System, value: Value) {
        self.last = value.to_string();
        self.all.entry((scenario.to_owned(), system)).or_default().push(value);
    }

    /// What was added last, for the progress line.
    pub fn last(&self) -> &str {
        &self.last
    }

    /// The median over the rounds.
    pub fn median(&self, scenario: &str, system: System, metric: Metric) -> Option<f64> {
        let values = self.all.get(&(scenario.to_owned(), system))?;
        let mut values: Vec<f64> = values.iter().filter_map(|value| value[metric.key()].as_f64()).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }
}

impl Metric {
    /// Its key in the load client's object.
    pub fn key(self) -> &'static str {
        match self {
            Metric::CpuPerGb => "broker_cpu_s_per_gb",
            Metric::CpuPerRequest => "broker_us_per_request",
            Metric::Throughput => "mb_per_s",
            Metric::P50 => "p50_us",
            Metric::P999 => "p999_us",
            Metric::Rss => "rss_mib",
            Metric::IdleCpu => "idle_percent",
            Metric::StartMs => "start_ms",
            Metric::P99 => "p99_us",
            Metric::Requests => "requests_per_s",
            Metric::Amplification => "device_bytes_per_byte",
            Metric::RecoveryS => "recovery_s",
            Metric::PerCpuSecond => "per_cpu_s",
            Metric::FormMs => "form_ms",
            Metric::AgainMs => "again_ms",
            Metric::FormCpuMs => "form_cpu_ms",
            Metric::ReadyMs => "ready_ms",
            Metric::LoadMs => "load_ms",
        }
    }
}

/// Runs the load client once; `None` when it failed (it has said why).
pub fn load(programs: &Programs, running: &Running, topic: &str, arguments: &[String]) -> Option<Value> {
    let mut command = Command::new(&programs.load);
    command.args(["--port", &running.system.port().to_string(), "--topic", topic]);
    command.args(["--pid", &running.pid().to_string()]).args(arguments);
    if running.pinning == Pinning::Split {
        command.args(["--core", "1"]);
    }
    if running.system.is_floor() {
        command.args(["--setup", "false"]);
    }
    let output = command.stderr(std::process::Stdio::inherit()).output();
    let output = output.unwrap_or_else(|error| die(&format!("{}: {error}", programs.load.display())));
    serde_json::from_slice(&output.stdout).ok()
}

/// Warms a broker up and fills the topics that fetch scenarios read.
pub fn prepare(programs: &Programs, running: &Running, scenarios: &[&Scenario]) {
    let produce = |topic: &str, bytes: &str| {
        let arguments = ["--connections", "1", "--bytes", bytes].map(str::to_owned);
        if load(programs, running, topic, &arguments).is_none() {
            die(&format!("{} could not be filled", running.system.name()));
        }
    };
    if scenarios.iter().any(|scenario| scenario.kind == Kind::FetchSegment) {
        // Longer than any tail that is kept in memory: the first bytes are read from the file.
        produce("segment", "1600m");
    }
    if scenarios.iter().any(|scenario| scenario.kind == Kind::FetchTail) {
        produce("tail", "64m");
    }
    if running.system.is_millrace() && scenarios.iter().any(|scenario| scenario.kind == Kind::Counted) {
        // The files of the write-ahead log are filled with zeroes once in a broker's life; what is measured is the rest of it.
        let fill = "--connections 8 --in-flight 2 --partitions 16 --batch-bytes 16k --acks -1 --bytes 512m";
        if load(programs, running, "wal", &fill.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).is_none() {
            die("the write-ahead log could not be filled");
        }
    }
    if running.system == System::Apache {
        // Just-in-time compilers need some rounds of everything.
        for scenario in scenarios {
            let mut nothing = Samples::default();
            let systems = scenario.systems.iter().filter(|system| system.broker() == System::Apache);
            systems.for_each(|system| run(programs, running, *system, scenario, &mut nothing));
        }
    }
    settle();
}

fn note_amplification(value: &mut Value, before: Option<u64>, after: Option<u64>) {
    if let (Some(before), Some(after), Some(bytes)) = (before, after, value["bytes_in_all"].as_f64()) {
        value["device_bytes_per_byte"] = ((after - before) as f64 / bytes).into();
    }
}

/// Runs the raw durable writes once.
pub fn run_sync(programs: &Programs, scenario: &Scenario, samples: &mut Samples) {
    let dir = programs.dir.join("sync");
    let output = Command::new(&programs.floor).arg("--dir").arg(&dir).args(&scenario.floor).output();
    let output = output.unwrap_or_else(|error| die(&format!("{}: {error}", programs.floor.display())));
    match serde_json::from_slice(&output.stdout) {
        Ok(value) => samples.add(scenario.name, System::FloorSync, value),
        Err(_) => die(&String::from_utf8_lossy(&output.stderr)),
    }
    settle();
}

/// Runs one scenario once on one system, whose broker is running.
pub fn run(programs: &Programs, running: &Running, system: System, scenario: &Scenario, samples: &mut Samples) {
    static TOPICS: AtomicU32 = AtomicU32::new(0);
    let mut arguments = scenario.load.clone();
    let mut extra = |more: &[&str]| arguments.extend(more.iter().map(|text| (*text).to_owned()));
    let topic = match scenario.kind {
        Kind::Produce | Kind::Counted | Kind::OpenLoop => format!("run-{}", TOPICS.fetch_add(1, Ordering::Relaxed)),
        Kind::FetchTail => {
            extra(&["--from", "end"]);
            if !running.system.is_floor() {
                // Other scenarios may have pushed the topic out of the tail meanwhile.
                let again = ["--connections", "1", "--bytes", "40m"].map(str::to_owned);
                let _ = load(programs, running, "tail", &again);
            }
            "tail".to_owned()
        }
        Kind::FetchSegment => "segment".to_owned(),
    };
    let topic = if running.system.is_floor() { "floor".to_owned() } else { topic };
    if system == System::ApacheFlushed {
        extra(&["--config", "flush.messages=1"]);
    }
    if scenario.kind == Kind::OpenLoop {
        let rate = half_of_saturation(programs, running, scenario);
        extra(&["--rate", &rate.to_string(), "--in-flight", "64"]);
    }
    let before = device::bytes_written(running.dir());
    if let Some(mut value) = load(programs, running, &topic, &arguments) {
        if scenario.kind == Kind::Counted {
            // What memory holds back for a second belongs to it.
            std::thread::sleep(Duration::from_millis(1500));
            settle();
            note_amplification(&mut value, before, device::bytes_written(running.dir()));
        }
        samples.add(scenario.name, system, value);
    } else {
        samples.last = "failed".to_owned();
    }
    if matches!(scenario.kind, Kind::Produce | Kind::Counted | Kind::OpenLoop) && !running.system.is_floor() {
        let port = running.system.port().to_string();
        let _ = Command::new(&programs.load).args(["--mode", "delete", "--port", &port, "--topic", &topic]).status();
        std::thread::sleep(Duration::from_millis(1500));
    }
    settle();
}

/// Requests a second: half of what Apache Kafka takes in a closed loop, measured once and kept for both systems.
fn half_of_saturation(programs: &Programs, running: &Running, scenario: &Scenario) -> f64 {
    use std::sync::OnceLock;
    static RATE: OnceLock<f64> = OnceLock::new();
    if running.system != System::Apache {
        // Apache Kafka is prepared before anything is measured, so the rate is known unless it was left out.
        return *RATE.get_or_init(|| 10_000.0);
    }
    *RATE.get_or_init(|| {
        let saturated: Vec<Value> = (0..3)
            .filter_map(|attempt| load(programs, running, &format!("saturate-{attempt}"), &scenario.load))
            .collect();
        let mut rates: Vec<f64> = saturated.iter().filter_map(|value| value["requests_per_s"].as_f64()).collect();
        rates.sort_by(f64::total_cmp);
        rates.last().map_or(10_000.0, |rate| (rate / 2.0).round())
    })
}
