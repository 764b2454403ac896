//! The bench's own producer beside Kafka's: with the same settings and arrivals, a broker sees the same requests and batches.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use millrace::bench::driver::own::Own;
use millrace::bench::driver::{Driver, Order};
use millrace::bench::workload::{Arrival, Content, Flow, Keys, Sizes, Values};

use crate::support::bench::{order, settings};
use crate::support::install::run;
use crate::support::kafka_jars::java_program;
use crate::support::stub_broker::StubBroker;

/// Both run for so long; the first part, in which a JVM compiles, is left out.
const SECONDS: u64 = 6;
const WARM_UP: Duration = Duration::from_secs(3);
/// Values are lines of this length.
const VALUE_BYTES: u32 = 150;
/// How far apart the two may be.
const TOLERANCE: f64 = 0.10;

/// How often a case is tried in which they differ.
const ATTEMPTS: usize = 4;

/// What a broker saw of a producer.
#[derive(Debug)]
struct Behaviour {
    requests_s: f64,
    batches_per_request: f64,
    records_per_batch: f64,
    batch_bytes: f64,
}

impl Behaviour {
    /// Of what arrived after the warm-up and before the last moments, in which everything is flushed.
    fn of(broker: &StubBroker) -> Behaviour {
        let all = broker.arrivals();
        let first = all.first().expect("something arrived").read;
        let (from, to) = (first + WARM_UP, first + Duration::from_secs(SECONDS) - Duration::from_millis(500));
        let within: Vec<_> = all.iter().filter(|one| one.read >= from && one.read < to).collect();
        let requests = within.len() as f64;
        let batches: Vec<(usize, usize)> = within.iter().flat_map(|one| one.batches.clone()).collect();
        let sum = |part: fn(&(usize, usize)) -> usize| batches.iter().map(part).sum::<usize>() as f64;
        let count = batches.len() as f64;
        Behaviour {
            requests_s: requests / (to - from).as_secs_f64(),
            batches_per_request: count / requests,
            records_per_batch: sum(|batch| batch.0) / count,
            batch_bytes: sum(|batch| batch.1) / count,
        }
    }

    fn differences(&self, other: &Behaviour) -> String {
        let mut text = String::new();
        for (name, ours, theirs) in [
            ("requests/s", self.requests_s, other.requests_s),
            ("batches per request", self.batches_per_request, other.batches_per_request),
            ("records per batch", self.records_per_batch, other.records_per_batch),
            ("bytes of a batch", self.batch_bytes, other.batch_bytes),
        ] {
            if (ours / theirs - 1.0).abs() > TOLERANCE {
                let _ = write!(text, "{name} {ours:.2} instead of {theirs:.2}; ");
            }
        }
        text
    }
}

/// One comparison.
struct Case {
    name: &'static str,
    rate: f64,
    partitions: i32,
    keys: u64,
    settings: &'static [(&'static str, &'static str)],
}

const CASES: &[Case] = &[
    Case { name: "defaults", rate: 4000.0, partitions: 1, keys: 0, settings: &[] },
    Case { name: "sticky over partitions", rate: 4000.0, partitions: 6, keys: 0, settings: &[] },
    Case {
        name: "full batches, long linger",
        rate: 4000.0,
        partitions: 3,
        keys: 0,
        settings: &[("linger.ms", "100"), ("batch.size", "8000")],
    },
    Case { name: "no linger", rate: 300.0, partitions: 2, keys: 0, settings: &[("linger.ms", "0"), ("acks", "1")] },
    Case { name: "keys", rate: 3000.0, partitions: 4, keys: 1000, settings: &[("linger.ms", "20")] },
    Case {
        name: "compressed",
        rate: 4000.0,
        partitions: 1,
        keys: 0,
        settings: &[("linger.ms", "200"), ("compression.type", "gzip")],
    },
];

#[test]
fn a_broker_sees_the_same_of_both() {
    let dir = tempfile::tempdir().expect("the temporary directory is writable");
    let lines = dir.path().join("lines");
    std::fs::write(&lines, text()).expect("the temporary directory is writable");
    let mut wrong = String::new();
    for case in CASES {
        // Where other tests take the cores, records come late to either of them and batches fill in another way: that passes.
        let mut differences = String::new();
        for _ in 0..ATTEMPTS {
            let (ours, theirs) = (ours(case, &lines), theirs(case, &lines));
            println!("{}: ours {ours:.2?}, theirs {theirs:.2?}", case.name);
            differences = ours.differences(&theirs);
            if differences.is_empty() {
                break;
            }
        }
        if !differences.is_empty() {
            let _ = writeln!(wrong, "{}: {differences}", case.name);
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Lines of one length that compress like text.
fn text() -> String {
    let words = ["grain", "wheel", "water", "stone", "sack", "flour", "channel", "gate", "miller", "spring"];
    let mut state = 7u64;
    let mut line = || {
        let mut line = String::new();
        while line.len() < VALUE_BYTES as usize {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let _ = write!(line, "{}-{} ", words[(state >> 40) as usize % words.len()], state >> 54);
        }
        line.truncate(VALUE_BYTES as usize);
        line
    };
    (0..2000).map(|_| line() + "\n").collect()
}

fn ours(case: &Case, lines: &Path) -> Behaviour {
    let broker = StubBroker::start(case.partitions, None, false);
    let flow = Flow {
        topic: "steady".to_owned(),
        partitions: case.partitions,
        arrival: Arrival::Constant { rate: case.rate },
        key: if case.keys > 0 { Keys::Uniform { count: case.keys, bytes: 8 } } else { Keys::None },
        value: Values {
            size: Sizes::Fixed { bytes: VALUE_BYTES },
            content: Content::File { path: lines.to_path_buf() },
            null_share: 0.0,
        },
        producer: settings(case.settings),
        ..Default::default()
    };
    let order = Order { verify: false, threads: 1, ..order(&[broker.bootstrap()], vec![flow]) };
    let mut running = Own.start(&order).expect("the broker is there");
    let start = Instant::now();
    std::thread::sleep(Duration::from_secs(SECONDS));
    running.stop_arrivals();
    while !running.is_drained() && start.elapsed() < Duration::from_secs(3 * SECONDS) {
        std::thread::sleep(Duration::from_millis(10));
    }
    running.finish().expect("it ends");
    Behaviour::of(&broker)
}

fn theirs(case: &Case, lines: &Path) -> Behaviour {
    let broker = StubBroker::start(case.partitions, None, false);
    let mut java = java_program("tests/clients/java/Steady.java");
    java.args([&broker.bootstrap(), "steady", &case.rate.to_string(), &SECONDS.to_string()]);
    java.arg(lines).arg(case.keys.to_string());
    java.args(case.settings.iter().map(|(key, value)| format!("{key}={value}")));
    run(&mut java).expect("the program runs to its end");
    Behaviour::of(&broker)
}
