//! Clients of others as drivers of the bench: what they say of a run agrees with what the broker has.

use std::time::{Duration, Instant};

use millrace::bench::driver::java::Java;
use millrace::bench::driver::librdkafka::Librdkafka;
use millrace::bench::driver::{Driver, Interval};
use millrace::bench::target::{StartOptions, Target, fairness};
use millrace::bench::workload::{Arrival, Consumers, Flow, Keys, Sizes, Values};
use millrace::client::OffsetSpec;

use crate::support::bench::{client, drive, options, order, settings, start};
use crate::support::kafka_jars::kafka_jars;

const LIMIT: Duration = Duration::from_secs(120);
const RATE: f64 = 2000.0;

fn load(coordinated: bool) -> Flow {
    Flow {
        topic: "driven".to_owned(),
        partitions: 3,
        producers: 2,
        arrival: Arrival::Poisson { rate: RATE },
        key: Keys::Uniform { count: 100, bytes: 4 },
        value: Values { size: Sizes::Uniform { min: 100, max: 300 }, ..Values::default() },
        producer: settings(&[("linger.ms", "5"), ("compression.type", "lz4"), ("batch.size", "8000")]),
        consumers: Consumers { groups: 2, members: 2, coordinated, ..Consumers::default() },
        ..Flow::default()
    }
}

/// Runs a load until some thousand records are acknowledged, lets it drain, and holds what the driver says against the broker.
fn agrees(driver: &dyn Driver, coordinated: bool) -> Interval {
    let target = start();
    let mut client = client(&target);
    client.leaders_or_create("driven", LIMIT).expect("topics make themselves");
    let order = order(target.bootstrap_servers(), vec![load(coordinated)]);
    let mut running = driver.start(&order).expect("the clients start");
    let begun = Instant::now();
    let mut all = Interval::empty(begun, begun);
    let mut take = |running: &mut Box<dyn millrace::bench::driver::Running>| {
        std::thread::sleep(Duration::from_millis(5));
        assert!(begun.elapsed() < LIMIT, "{all:?}");
        all.add(&running.take().expect("the clients live"));
        all.clone()
    };
    while take(&mut running).acked < 4000 {}
    running.stop_arrivals();
    while !running.is_drained() {
        take(&mut running);
    }
    // What is counted by statistics comes a little later.
    while take(&mut running).produce_requests == 0 {}
    let all = take(&mut running);
    let found = running.finish().expect("the clients end").verification.expect("it was asked for");

    let places: Vec<(String, i32)> = (0..3).map(|partition| ("driven".to_owned(), partition)).collect();
    let ends = client.list_offsets(&places, OffsetSpec::LATEST, 0).expect("it answers");
    let stored: i64 = ends.values().map(|end| *end.as_ref().expect("it is there")).sum();
    assert_eq!((all.acked, all.failed), (stored as u64, 0), "{all:?}");
    assert_eq!(all.consumed, 2 * all.acked, "{all:?}");
    assert!(found.is_clean() && found.acked == all.acked, "{found:?}");
    assert_eq!((all.due, all.backlog, all.in_flight), (all.acked, 0, 0));
    assert_eq!((all.latency.len(), all.clock_error.len(), all.end_to_end.len()), (all.acked, all.acked, all.consumed));
    assert!(all.acked_bytes > 100 * all.acked && all.acked_bytes < 310 * all.acked);
    assert!(all.client_cpu > Duration::ZERO && all.busiest_thread > 0.0);
    for (name, told) in &all.told {
        let mean = told.sum_ms / told.count;
        assert!(mean >= 0.0 && mean <= told.max_ms && told.max_ms < 120_000.0, "{name}: {told:?}");
    }
    target.stop();
    all
}

#[test]
fn librdkafka_agrees_with_the_broker() {
    let all = agrees(&Librdkafka, false);
    assert!(Librdkafka.request_times().contains("rtt"));
    let rtt = all.told["rtt"];
    assert_eq!(all.request_latency.len(), rtt.count as u64, "all that its statistics have counted");
    assert!(rtt.count >= 1.0 && rtt.max_ms > 0.0 && all.told["int_latency"].max_ms > 0.0, "{:?}", all.told);
    let longest = all.request_latency.max() as f64 / 1e6;
    assert!((longest / rtt.max_ms - 1.0).abs() < 0.01, "{longest} and {rtt:?}");
}

#[test]
fn librdkafka_agrees_with_the_broker_in_real_groups() {
    agrees(&Librdkafka, true);
}

#[test]
fn java_agrees_with_the_broker() {
    let java = Java { jars: Some(kafka_jars()) };
    let all = agrees(&java, false);
    assert!(java.request_times().contains("not known") && all.request_latency.is_empty());
    assert!(all.told["request-latency"].max_ms > 0.0 && all.told["record-queue-time"].max_ms > 0.0, "{:?}", all.told);
}

#[test]
fn java_agrees_with_the_broker_in_real_groups() {
    agrees(&Java { jars: Some(kafka_jars()) }, true);
}

/// Writes in transactions, a few hundred milliseconds each; readers of what is committed see all of it, once.
fn commits_what_it_writes(driver: &dyn Driver) {
    let target = start();
    client(&target).leaders_or_create("driven", LIMIT).expect("topics make themselves");
    let mut flow = load(false);
    flow.arrival = Arrival::Poisson { rate: RATE / 4.0 };
    flow.producer.extend(settings(&[("transactional.id", "driven"), ("transaction.duration.ms", "300")]));
    flow.consumers.settings.extend(settings(&[("isolation.level", "read_committed")]));
    let order = order(target.bootstrap_servers(), vec![flow]);
    let (all, finished) = drive(driver, &order, |all| all.acked >= 1500);
    assert_eq!((all.due, all.consumed, all.failed), (all.acked, 2 * all.acked, 0), "{:?}", all.errors);
    let found = finished.verification.expect("it was asked for");
    assert!(found.is_clean() && found.acked == all.acked, "{found:?}");
    let places: Vec<(String, i32)> = (0..3).map(|partition| ("driven".to_owned(), partition)).collect();
    let ends = client(&target).list_offsets(&places, OffsetSpec::LATEST, 0).expect("it answers");
    let stored: i64 = ends.values().map(|end| *end.as_ref().expect("it is there")).sum();
    // Two producers for three seconds: some ten commits, with a marker in up to three partitions each.
    assert!(stored as u64 > all.acked + 5, "{stored} records with markers, {} without", all.acked);
    target.stop();
}

#[test]
fn librdkafka_commits_what_it_writes() {
    commits_what_it_writes(&Librdkafka);
}

#[test]
fn java_commits_what_it_writes() {
    commits_what_it_writes(&Java { jars: Some(kafka_jars()) });
}

#[test]
fn java_refuses_what_it_does_not_take() {
    let target = start();
    client(&target).leaders_or_create("driven", LIMIT).expect("topics make themselves");
    let mut load = load(false);
    load.producer.insert("linger.ms".to_owned(), "soon".to_owned());
    let order = order(target.bootstrap_servers(), vec![load]);
    let java = Java { jars: Some(kafka_jars()) };
    assert!(java.version().starts_with("kafka-clients 4."), "{}", java.version());
    let error = java.start(&order).err().expect("it is refused").to_string();
    assert!(error.starts_with("kafka-clients: Invalid value soon for configuration linger.ms"), "{error}");
}

#[test]
fn apache_kafka_is_a_peer() {
    let options = StartOptions { program: Some(kafka_jars()), heap: Some("512M".to_owned()), ..options(&[]) };
    let mut peer = Target::apache_kafka("apache-kafka", &options).expect("there is a JVM");
    let ours = start();
    assert_eq!(peer.describe().version, "4.3.1");
    let rows = fairness(&[&ours, &peer]);
    let row = |what: &str| rows.iter().find(|row| row.what == what).unwrap_or_else(|| panic!("{what}: {rows:?}"));
    assert!(row("acks=all").values["millrace"].contains("device"));
    assert!(row("acks=all").values["apache-kafka"].contains("page cache"));
    assert!(row("memory").values["apache-kafka"].contains("512M"));
    peer.kill();
    peer.start().and_then(|()| peer.wait_until_ready(LIMIT)).expect("it comes back on its data");
    peer.stop();
}

#[test]
fn librdkafka_refuses_what_it_does_not_know() {
    let target = start();
    client(&target).leaders_or_create("driven", LIMIT).expect("topics make themselves");
    let mut load = load(false);
    load.producer.insert("linger.hours".to_owned(), "1".to_owned());
    let order = order(target.bootstrap_servers(), vec![load]);
    let error = Librdkafka.start(&order).err().expect("it is refused").to_string();
    assert!(error.contains("librdkafka does not take linger.hours=1"), "{error}");
}
