//! Figures that need a broker of their own: start, idle memory and processor time, memory with many partitions.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::cpu;
use crate::measure::{Samples, load};
use crate::scenarios::{ONCE, Pinning};
use crate::systems::{self, Programs, Running, System};

/// Measures Millrace and, for comparison, Apache Kafka.
pub fn measure(programs: &Programs, samples: &mut Samples, quick: bool) {
    for system in [System::Millrace, System::Apache] {
        if programs.leaves_out(system) {
            continue;
        }
        let attempts = if system == System::Millrace { 5 } else { 1 };
        for _ in 0..attempts {
            start(programs, system, samples).stop();
        }
        let running = start(programs, system, samples);
        idle(&running, samples, if quick { 5 } else { 20 });
        many(programs, &running, samples);
        running.stop();
    }
}

/// From the start of the process on an empty directory to its first answer.
fn start(programs: &Programs, system: System, samples: &mut Samples) -> Running {
    let dir = programs.dir.join(system.name());
    systems::remove(&dir);
    if let Err(error) = std::fs::create_dir_all(&dir) {
        crate::die(&format!("{}: {error}", dir.display()));
    }
    let begin = Instant::now();
    let running = systems::spawn(programs, system, Pinning::Free, dir);
    let ready = Command::new(&programs.load).args(["--mode", "ready", "--port", &system.port().to_string()]).status();
    if !ready.is_ok_and(|status| status.success()) {
        crate::die(&format!("{} does not start", system.name()));
    }
    samples.add(ONCE[3], system, json!({"start_ms": begin.elapsed().as_secs_f64() * 1e3}));
    running
}

fn idle(running: &Running, samples: &mut Samples, seconds: u64) {
    std::thread::sleep(Duration::from_secs(3));
    let before = cpu::of_process(running.pid());
    std::thread::sleep(Duration::from_secs(seconds));
    let after = cpu::of_process(running.pid());
    if let (Some(before), Some(after)) = (before, after) {
        let percent = (after - before).as_secs_f64() / seconds as f64 * 100.0;
        samples.add(ONCE[2], running.system, json!({"idle_percent": percent}));
    }
    resident(running, samples, ONCE[0]);
}

fn resident(running: &Running, samples: &mut Samples, scenario: &str) {
    if let Some(bytes) = cpu::resident_bytes(running.pid()) {
        samples.add(scenario, running.system, json!({"rss_mib": bytes as f64 / 1_048_576.0}));
    }
}

/// A thousand partitions that have all been written to, and 200 connections that stay.
fn many(programs: &Programs, running: &Running, samples: &mut Samples) {
    let fill =
        ["--partitions", "1000", "--connections", "200", "--in-flight", "1", "--bytes", "64m", "--batch-bytes", "16k"];
    if load(programs, running, "many", &fill.map(str::to_owned)).is_none() {
        return;
    }
    let hold = ["--mode", "hold", "--connections", "200", "--seconds", "3"];
    if let Some(value) = load(programs, running, "many", &hold.map(str::to_owned)) {
        samples.add(ONCE[1], running.system, value);
    }
}
