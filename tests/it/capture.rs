//! The shape of a known load, captured, replayed and captured again: the second is as the first.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::Command;
use std::time::Duration;

use millrace::bench::driver::own::Own;
use millrace::bench::driver::{Driver, Order};
use millrace::bench::probe::http_get;
use millrace::bench::shape;
use millrace::bench::target::Target;
use millrace::bench::workload::{Arrival, Consumers, Content, Flow, Keys, Sizes, Values, Workload};
use millrace::capture::advice::Hint;
use millrace::capture::shape::{Shape, TopicShape};

use crate::support::bench::{client, order, settings, start};

const PATIENCE: Duration = Duration::from_secs(60);
const SECONDS: u64 = 4;
const TRIES: u32 = 6;

fn known_load() -> Workload {
    let flow = Flow {
        topic: "orders".to_owned(),
        partitions: 3,
        producers: 2,
        arrival: Arrival::Poisson { rate: 3000.0 },
        key: Keys::Zipf { count: 500, exponent: 1.0, bytes: 8 },
        value: Values {
            size: Sizes::Uniform { min: 100, max: 1000 },
            content: Content::Synthetic { ratio: 3.0 },
            null_share: 0.0,
        },
        producer: settings(&[
            ("linger.ms", "40"),
            ("compression.type", "lz4"),
            ("acks", "1"),
            ("enable.idempotence", "false"),
        ]),
        consumers: Consumers { groups: 1, ..Consumers::default() },
        ..Flow::default()
    };
    Workload { flows: vec![flow] }
}

/// Captures while the load runs.
fn capture(target: &Target, workload: &Workload) -> TopicShape {
    let order = Order { verify: false, threads: 1, ..order(target.bootstrap_servers(), workload.flows.clone()) };
    let mut running = Own.start(&order).expect("the clients start");
    let http = target.http().expect("it is ours");
    let page = http_get(http, &format!("/capture?seconds={SECONDS}"), PATIENCE).expect("nobody else captures");
    running.stop_arrivals();
    running.finish().expect("the clients end");
    let shape: Shape = shape::read(page.trim(), "the capture").expect("a shape");
    let [topic] = shape.topics.as_slice() else { panic!("one topic: {shape:?}") };
    topic.clone()
}

#[test]
fn a_captured_shape_replays_as_it_was() {
    let target = start();
    let mut client = client(&target);
    client.leaders_or_create("orders", PATIENCE).expect("topics make themselves");
    // A machine that is busy with other tests makes bursts of what was evenly due: that is true, and not what this is about.
    for attempt in 1..=TRIES {
        match catch_unwind(AssertUnwindSafe(|| replays_as_it_was(&target))) {
            Ok(()) => break,
            Err(panic) if attempt == TRIES => resume_unwind(panic),
            Err(_) => {}
        }
    }
    target.stop();
}

fn replays_as_it_was(target: &Target) {
    let known = capture(target, &known_load());
    let shape = Shape { seconds: SECONDS as f64, topics: vec![known.clone()], ..Shape::default() };
    let replayed = shape::workload(&shape).expect("it has records");
    let flow = &replayed.flows[0];
    assert!(matches!(flow.arrival, Arrival::Poisson { .. }), "{:?} from {known:?}", flow.arrival);
    assert!(matches!(flow.key, Keys::Zipf { bytes: 8, .. }), "{:?}", flow.key);
    let again = capture(target, &replayed);

    let mean = |topic: &TopicShape| topic.value_sizes.iter().map(|(size, share)| f64::from(*size) * share).sum::<f64>();
    let rate = |topic: &TopicShape| topic.rates.iter().sum::<f64>() / topic.rates.len() as f64;
    for (what, first, second) in [
        ("rate asked for", 3000.0, rate(&known)),
        ("rate", rate(&known), rate(&again)),
        ("value size", mean(&known), mean(&again)),
        ("compression", known.compression_ratio, again.compression_ratio),
        ("records in a batch", known.batch_records.mean, again.batch_records.mean),
        ("equal keys", known.keys.collision, again.keys.collision),
        ("most frequent key", known.keys.top, again.keys.top),
        ("different keys", known.keys.distinct as f64, again.keys.distinct as f64),
        ("fan-out", known.consumers.fan_out, again.consumers.fan_out),
    ] {
        assert!((second / first - 1.0).abs() < 0.1, "{what}: {first}, then {second}\n{known:?}\n{again:?}");
    }
    assert_eq!((&known.codecs, &known.acks, known.partitions), (&again.codecs, &again.acks, again.partitions));
    assert_eq!((known.producers, again.producers), (2, 2));
    // The second capture may see the answer to a fetch that the first load's consumer left behind.
    assert_eq!((known.consumers.connections, flow.consumers.groups, flow.consumers.members), (1, 1, 1));
}

#[test]
fn capture_on_the_command_line_writes_a_file() {
    let target = start();
    let file = target.data_dir().expect("it is ours").with_file_name("shape.json");
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_millrace")).arg("capture").args(arguments).output();
        let output = output.expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let http = target.http().expect("it is ours").to_string();
    let (code, text) = run(&["--http", &http, "--seconds", "1", "--output", &file.display().to_string()]);
    assert!(code == Some(0) && text.contains("Nothing was produced or fetched."), "{text}");
    assert!(shape::load(&file).expect("a shape").topics.is_empty());
    let (code, text) = run(&["--http", &http, "--seconds", "0"]);
    assert!(code == Some(1) && text.contains("--seconds 0: give a number from 1 to 3600"), "{text}");
    let nobody = format!("127.0.0.1:{}", millrace::bench::target::free_port().expect("a free port"));
    let (code, text) = run(&["--http", &nobody]);
    assert!(code == Some(1) && text.contains("refused"), "{text}");
}

#[test]
fn a_running_broker_says_what_to_change_and_the_bench_measures_it() {
    let target = start();
    client(&target).leaders_or_create("orders", PATIENCE).expect("topics make themselves");
    let mut workload = known_load();
    let flow = &mut workload.flows[0];
    flow.producer =
        settings(&[("linger.ms", "0"), ("batch.size", "1"), ("acks", "1"), ("enable.idempotence", "false")]);
    flow.key = Keys::None;
    let order = Order { verify: false, threads: 1, ..order(target.bootstrap_servers(), workload.flows) };
    let mut running = Own.start(&order).expect("the clients start");
    let http = target.http().expect("it is ours");
    let page = http_get(http, "/advice?seconds=2", PATIENCE).expect("nobody else watches");
    let directory = target.data_dir().expect("it is ours").with_file_name("advice");
    let shape = directory.with_file_name("seen.json");
    let millrace = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_millrace")).args(arguments).output().expect("it runs");
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.code(), text)
    };
    let shape = shape.display().to_string();
    let (_, captured) = millrace(&["capture", "--http", &http.to_string(), "--seconds", "2", "--output", &shape]);
    running.stop_arrivals();
    running.finish().expect("the clients end");

    let hints: Vec<Hint> = serde_json::from_str(page.trim()).expect("a list of hints");
    let changes: Vec<&str> =
        hints.iter().filter_map(|hint| hint.change.as_ref()).map(|it| it.setting.as_str()).collect();
    // Consumers of single records may be told to wait for more of them, too.
    assert_eq!(changes[..2], ["linger.ms", "compression.type"], "{page}");
    assert!(hints.iter().all(|hint| hint.topic == "orders"));
    assert!(captured.contains("There are settings to change: millrace advise --shape"), "{captured}");
    let output = directory.display().to_string();
    let (_, text) = millrace(&["advise", "--shape", &shape, "--measure", "--duration", "1s", "--output", &output]);
    for part in
        ["orders: ", "linger.ms=5 would gather about", "orders, measured:", "linger.ms=0", "compression.type=lz4"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(directory.join("orders/results.json").is_file() && directory.join("orders/report.html").is_file());
    let (code, text) = millrace(&["advise", "--shape", &shape, "--duration", "1s"]);
    assert!(code == Some(1) && text.contains("--duration goes with --measure"), "{text}");
    target.stop();
}
