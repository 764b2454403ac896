//! What tests of the bench share: brokers that it starts, orders to its drivers, runs of them.

use std::path::Path;
use std::time::{Duration, Instant};

use millrace::bench::driver::{Driver, Finished, Interval, Order};
use millrace::bench::target::{StartOptions, Target};
use millrace::bench::workload::{Flow, Settings, Workload};
use millrace::client::{Client, ClientConfig, Properties};

use super::node::io_of_the_run;

const DRAIN_LIMIT: Duration = Duration::from_secs(60);

/// Settings by name.
pub fn settings(pairs: &[(&str, &str)]) -> Settings {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// For calls of `millrace bench` that start a broker.
pub fn io_flag() -> Vec<String> {
    io_of_the_run().map(|io| vec!["--io".to_owned(), io]).unwrap_or_default()
}

/// A broker of this build, with its data in the package's target folder: that is on a disk.
pub fn options(overrides: &[(&str, &str)]) -> StartOptions {
    let io = io_of_the_run().map(|io| ("millrace.io".to_owned(), io));
    StartOptions {
        data_dir: Some(Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned()),
        overrides: io.into_iter().chain(settings(overrides)).collect(),
        program: Some(env!("CARGO_BIN_EXE_millrace").into()),
        ..StartOptions::default()
    }
}

/// One whose topics have three partitions.
pub fn start() -> Target {
    Target::millrace("millrace", &options(&[("num.partitions", "3")])).expect("it starts")
}

/// A client of it.
pub fn client(target: &Target) -> Client {
    let mut properties = Properties::default();
    properties.set("bootstrap.servers", target.bootstrap_servers().join(","));
    Client::new(ClientConfig::new(properties, "test").expect("an address"))
}

/// An order to clients that are to account for every record.
pub fn order(bootstrap_servers: &[String], flows: Vec<Flow>) -> Order {
    Order {
        bootstrap_servers: bootstrap_servers.to_vec(),
        workload: Workload { flows },
        common: Settings::new(),
        seed: 7,
        verify: true,
        cores: Vec::new(),
        threads: 2,
    }
}

/// Runs until `enough` holds for what happened so far, stops the load, and waits until all is answered and read.
pub fn drive(driver: &dyn Driver, order: &Order, enough: impl Fn(&Interval) -> bool) -> (Interval, Finished) {
    let mut running = driver.start(order).expect("the broker is there");
    let mut all = running.take().expect("it runs");
    let deadline = Instant::now() + DRAIN_LIMIT;
    while !enough(&all) {
        assert!(Instant::now() < deadline, "not enough happened: {all:?}");
        std::thread::sleep(Duration::from_millis(20));
        all.add(&running.take().expect("it runs"));
    }
    running.stop_arrivals();
    while !running.is_drained() {
        assert!(Instant::now() < deadline, "it does not come to an end: {:?}", running.take());
        std::thread::sleep(Duration::from_millis(20));
    }
    all.add(&running.take().expect("it runs"));
    let finished = running.finish().expect("it ends");
    (all, finished)
}
