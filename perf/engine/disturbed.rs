//! What needs a broker of its own: recovery, a steady load beside retention and compaction, and where the write-ahead log stops to
//! pay.

use std::fmt::Write;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::durable::{COMPACTION, QUIET, RECOVERY, RECOVERY_WITHOUT_MEMORY, RETENTION};
use crate::measure::{Samples, load};
use crate::scenarios::Pinning;
use crate::systems::{self, Programs, Running, System, settle};

/// What is asked for.
pub struct Wish {
    /// Only scenarios whose name has this in it.
    pub only: String,
    /// Rounds of what is compared.
    pub rounds: usize,
    /// What a recovered broker has in its logs.
    pub recovery_bytes: u64,
    /// Less of everything.
    pub quick: bool,
}

const CROSSOVER: &str = "crossover of write-ahead log and segment";

/// Measures all of it; answers what is told behind the table.
pub fn measure(programs: &Programs, samples: &mut Samples, wish: &Wish) -> String {
    let wants = |name: &str| name.contains(&wish.only);
    let mut more = String::new();
    if wants(RECOVERY) || wants(RECOVERY_WITHOUT_MEMORY) {
        recovery(programs, samples, wish.recovery_bytes);
        let _ = write!(
            more,
            "Recovered logs: {:.1} GiB in 4 partitions.\n\n",
            wish.recovery_bytes as f64 / 1_073_741_824.0
        );
    }
    if wants(QUIET) || wants(RETENTION) || wants(COMPACTION) {
        beside(programs, samples, wish);
    }
    if wants(CROSSOVER) {
        more += &crossover(programs, wish);
    }
    more
}

fn with_config(programs: &Programs, config: &str) -> Programs {
    Programs { config: format!("{}{config}", programs.config), ..programs.clone() }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Fills logs, half with acks=1 and half with acks=all, kills the broker in the middle of it, and waits until all partitions serve.
fn recovery(programs: &Programs, samples: &mut Samples, bytes: u64) {
    for (name, loses_memory) in [(RECOVERY, false), (RECOVERY_WITHOUT_MEMORY, true)] {
        let tail = tempfile::tempdir_in("/dev/shm").unwrap_or_else(|error| crate::die(&format!("/dev/shm: {error}")));
        let programs = with_config(programs, &format!("millrace.tail.dir={}\n", tail.path().display()));
        let mut running = systems::start(&programs, System::Millrace, Pinning::Free);
        for acks in ["1", "-1"] {
            let fill = format!("--connections 4 --partitions 4 --acks {acks} --bytes {}", bytes / 2);
            if load(&programs, &running, "recovery", &words(&fill)).is_none() {
                crate::die("the logs could not be filled");
            }
        }
        let mut last =
            background(&programs, "recovery", "--connections 4 --partitions 4 --acks -1 --batch-bytes 0 --bytes 10g");
        std::thread::sleep(Duration::from_secs(1));
        // SAFETY: a signal to a child that has not been waited for.
        unsafe { libc::kill(running.pid(), libc::SIGKILL) };
        let _ = last.wait();
        if loses_memory {
            let files =
                fs::read_dir(tail.path()).map(|entries| entries.flatten().collect::<Vec<_>>()).unwrap_or_default();
            files.iter().for_each(|entry| drop(fs::remove_file(entry.path())));
        }
        let begun = Instant::now();
        running = running.kill_and_start_again(&programs);
        let port = System::Millrace.port().to_string();
        let serves = ["--mode", "serves", "--port", &port, "--topic", "recovery", "--partitions", "4"];
        let served = Command::new(&programs.load).args(serves).status();
        if served.is_ok_and(|status| status.success()) {
            samples.add(name, System::Millrace, json!({"recovery_s": begun.elapsed().as_secs_f64()}));
        }
        eprintln!("  {name}: {}", samples.last());
        running.stop();
    }
}

/// A load that goes on until it is killed or its broker is.
fn background(programs: &Programs, topic: &str, arguments: &str) -> Child {
    let mut command = Command::new(&programs.load);
    command.args(["--port", &System::Millrace.port().to_string(), "--topic", topic]).args(words(arguments));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap_or_else(|error| crate::die(&format!("{}: {error}", programs.load.display())))
}

/// A steady load of single records with acks=all, beside a writer of 64 KiB batches whose topic is left alone, deleted from, compacted.
fn beside(programs: &Programs, samples: &mut Samples, wish: &Wish) {
    let often = "log.retention.check.interval.ms=200\nlog.cleaner.backoff.ms=100\nlog.initial.task.delay.ms=100\n";
    let programs = with_config(programs, often);
    let running = systems::start(&programs, System::Millrace, Pinning::Free);
    let kinds = [
        (QUIET, "segment.bytes=16777216"),
        (RETENTION, "segment.bytes=16777216,retention.bytes=33554432"),
        (COMPACTION, "segment.bytes=16777216,cleanup.policy=compact,min.cleanable.dirty.ratio=0.01"),
    ];
    let seconds = if wish.quick { 3 } else { 10 };
    for round in 0..wish.rounds {
        for (index, (name, config)) in kinds.iter().enumerate() {
            let topic = format!("beside-{round}-{index}");
            let writer =
                format!("--config {config} --keyed true --connections 2 --rate 800 --in-flight 64 --bytes 100g");
            let mut writer = background(&programs, &topic, &writer);
            std::thread::sleep(Duration::from_secs(2));
            let rate = 1000;
            let steady = format!(
                "--connections 8 --in-flight 16 --rate {rate} --batch-bytes 0 --acks -1 --bytes {} --warmup-bytes 500k",
                rate * seconds * 1100
            );
            if let Some(value) = load(&programs, &running, &format!("steady-{round}-{index}"), &words(&steady)) {
                samples.add(name, System::Millrace, value);
            }
            let _ = writer.kill();
            let _ = writer.wait();
            eprintln!("  {}/{} {name}: {}", round + 1, wish.rounds, samples.last());
            delete(&programs, &running, &topic);
        }
    }
    running.stop();
}

fn delete(programs: &Programs, running: &Running, topic: &str) {
    let port = running.system.port().to_string();
    let _ = Command::new(&programs.load).args(["--mode", "delete", "--port", &port, "--topic", topic]).status();
    std::thread::sleep(Duration::from_millis(1000));
    settle();
}

/// The same load through the write-ahead log and through the segments, by batch size and number of partitions.
fn crossover(programs: &Programs, wish: &Wish) -> String {
    const SIZES: [&str; 7] = ["0", "4k", "8k", "16k", "32k", "64k", "128k"];
    let mut text = String::from(
        "Through the write-ahead log / through the segment, MB/s (us of broker CPU a request); 8 connections, 2 in flight each:\n\n\
         | batch | 1 partition | 16 partitions | 100 partitions |\n|---|---:|---:|---:|\n",
    );
    let mut cells: Vec<Vec<[Value; 2]>> = SIZES.iter().map(|_| vec![[Value::Null, Value::Null]; 3]).collect();
    for (way, entry_max) in [(0, "524288"), (1, "0")] {
        let programs = with_config(programs, &format!("millrace.wal.max.entry.bytes={entry_max}\n"));
        let running = systems::start(&programs, System::Millrace, Pinning::Free);
        for (row, size) in SIZES.iter().enumerate() {
            for (column, partitions) in ["1", "16", "100"].iter().enumerate() {
                let bytes = match (*size, wish.quick) {
                    ("0", _) => "8m",
                    (_, true) => "32m",
                    (_, false) => "128m",
                };
                let topic = format!("crossover-{row}-{column}");
                let plan = format!(
                    "--connections 8 --in-flight 2 --acks -1 --partitions {partitions} --batch-bytes {size} --bytes {bytes} \
                     --warmup-bytes 2m"
                );
                if let Some(value) = load(&programs, &running, &topic, &words(&plan)) {
                    eprintln!(
                        "  crossover {size} p{partitions} wal.max.entry.bytes={entry_max}: {} MB/s",
                        value["mb_per_s"]
                    );
                    cells[row][column][way] = value;
                }
                delete(&programs, &running, &topic);
            }
        }
        running.stop();
    }
    for (size, row) in SIZES.iter().zip(&cells) {
        let size = if *size == "0" { "1 record of 1k" } else { size };
        let cells: Vec<String> = row
            .iter()
            .map(|ways| {
                let figure = |way: usize, key: &str| ways[way][key].as_f64().unwrap_or(f64::NAN);
                let rate = |way| figure(way, "mb_per_s");
                let cpu = |way| figure(way, "broker_us_per_request");
                format!("{:.0} / {:.0} ({:.0} / {:.0})", rate(0), rate(1), cpu(0), cpu(1))
            })
            .collect();
        let _ = writeln!(text, "| {size} | {} |", cells.join(" | "));
    }
    text.push('\n');
    text
}
