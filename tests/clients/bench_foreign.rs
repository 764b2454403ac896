//! Redis, NATS and RabbitMQ as peers of the bench: what its clients say of a run agrees with what the servers have, and the servers are
//! gone afterwards.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::rc::Rc;
use std::time::Duration;

use millrace::bench::driver::own::Own;
use millrace::bench::driver::{Driver, Order, driver_for};
use millrace::bench::target::{Foreign, StartOptions, Target, fairness};
use millrace::bench::workload::{Arrival, Consumers, Flow, Keys, Sizes, Values, Workload};
use serde_json::Value;

use crate::support::bench::{drive, io_flag, options, order, settings};
use crate::support::install::run;
use crate::support::wait::wait_for;

const PARTITIONS: i32 = 3;
const LIMIT: Duration = Duration::from_secs(60);

fn start(system: Foreign) -> (Target, Rc<dyn Driver>) {
    let options = StartOptions { program: None, ..options(&[]) };
    let target = Target::foreign(system.name(), system, &options).unwrap_or_else(|error| panic!("{error}"));
    let kafka: Rc<dyn Driver> = Rc::new(Own);
    let driver = driver_for(&target, &kafka);
    (target, driver)
}

fn load(acks: &str, arrival: Arrival) -> Flow {
    Flow {
        topic: "foreign".to_owned(),
        partitions: PARTITIONS,
        producers: 2,
        arrival,
        key: Keys::Uniform { count: 100, bytes: 4 },
        value: Values { size: Sizes::Uniform { min: 100, max: 300 }, ..Values::default() },
        producer: settings(&[("linger.ms", "5"), ("batch.size", "8000"), ("acks", acks)]),
        consumers: Consumers { groups: 2, members: 2, ..Consumers::default() },
        ..Flow::default()
    }
}

/// What the server itself says it has of some streams.
fn stored(system: Foreign, target: &Target, streams: &[String]) -> u64 {
    let port = target.bootstrap_servers()[0].rsplit(':').next().expect("an address has a port");
    match system {
        Foreign::Redis => {
            let count = |stream: &String| {
                let text = run(Command::new("redis-cli").args(["-p", port, "XLEN", stream])).expect("it answers");
                text.trim().parse::<u64>().expect("a number")
            };
            streams.iter().map(count).sum()
        }
        Foreign::Nats => streams.iter().map(|stream| messages_of_nats(port, stream)).sum(),
        Foreign::RabbitMq => {
            let environment = fs::read(format!("/proc/{}/environ", target.pid().expect("it runs"))).expect("ours");
            let environment = String::from_utf8_lossy(&environment).into_owned();
            let variables = environment.split('\0').filter_map(|variable| variable.split_once('='));
            let mut command = Command::new("/usr/lib/rabbitmq/bin/rabbitmqctl");
            command.env_clear().envs(variables).args(["--silent", "list_queues", "name", "messages"]);
            let text = run(&mut command).expect("it answers");
            let count = |line: &str| line.split_once('\t').and_then(|(_, count)| count.trim().parse::<u64>().ok());
            text.lines().filter_map(count).sum()
        }
    }
}

fn messages_of_nats(port: &str, stream: &str) -> u64 {
    let mut socket = BufReader::new(TcpStream::connect(format!("127.0.0.1:{port}")).expect("it listens"));
    let ask = format!("CONNECT {{}}\r\nSUB in 1\r\nPUB $JS.API.STREAM.INFO.{stream} in 0\r\n\r\n");
    socket.get_mut().write_all(ask.as_bytes()).expect("it reads");
    let mut head = String::new();
    while !head.starts_with("MSG ") {
        head.clear();
        socket.read_line(&mut head).expect("it answers");
    }
    let len = head.split_whitespace().last().and_then(|len| len.parse().ok()).expect("a length");
    let mut payload = vec![0; len];
    socket.read_exact(&mut payload).expect("it answers");
    let info: Value = serde_json::from_slice(&payload).expect("JSON");
    info["state"]["messages"].as_u64().unwrap_or_else(|| panic!("{info}"))
}

/// Runs loads on a fresh server and holds what the clients say against it.
fn agrees(system: Foreign) {
    let (mut target, driver) = start(system);
    let home = target.data_dir().and_then(|data| data.parent().map(Path::to_owned)).expect("it is ours");
    for (acks, arrival) in
        [("all", Arrival::Poisson { rate: 2000.0 }), ("1", Arrival::Closed), ("0", Arrival::Constant { rate: 2000.0 })]
    {
        let order = order(target.bootstrap_servers(), vec![load(acks, arrival)]);
        target.adapt(&order.workload).expect("one level");
        let streams = driver.make_topics(&order).expect("they are new");
        assert_eq!(streams.len(), PARTITIONS as usize);
        let (all, finished) = drive(&*driver, &order, |all| all.acked >= 4000);
        assert_eq!((all.failed, all.due, all.backlog, all.in_flight), (0, all.acked, 0, 0), "acks={acks} {all:?}");
        // RabbitMQ counts a little later than it confirms.
        wait_for(&format!("{} records of acks={acks}", all.acked), LIMIT, || {
            (stored(system, &target, &streams) == all.acked).then_some(())
        });
        assert_eq!(all.consumed, 2 * all.acked, "acks={acks}");
        let found = finished.verification.expect("it was asked for");
        assert!(found.is_clean() && found.acked == all.acked, "acks={acks} {found:?}");
        assert_eq!((all.latency.len(), all.end_to_end.len()), (all.acked, all.consumed));
        assert!(all.acked_bytes > 100 * all.acked && all.acked_bytes < 310 * all.acked);
        assert_eq!(all.consumed_bytes, 2 * all.acked_bytes);
        assert!(all.batches < all.acked && all.batch_bytes > all.acked_bytes && all.fetch_requests > 0, "{all:?}");
        assert_eq!(all.request_latency.len(), if acks == "0" { 0 } else { all.produce_requests });
        driver.remove_topics(&order, &streams).expect("they are there");
    }
    comes_back(system, &mut target, &*driver);
    target.stop();
    is_gone(&home);
}

/// A kill -9 in the middle loses nothing that was acknowledged, and clients go on when the server is back.
fn comes_back(system: Foreign, target: &mut Target, driver: &dyn Driver) {
    // RabbitMQ may forget a stream that was made within the last seconds before a kill -9.
    let order = order(target.bootstrap_servers(), vec![load("all", Arrival::Constant { rate: 500.0 })]);
    target.adapt(&order.workload).expect("one level");
    driver.make_topics(&order).expect("they are new");
    let mut running = driver.start(&order).expect("it is there");
    let mut all = running.take().expect("it runs");
    let mut acked = |at_least: u64| {
        wait_for("acknowledgements", LIMIT, || {
            all.add(&running.take().expect("it runs"));
            (all.acked >= at_least).then_some(all.acked)
        })
    };
    let before = acked(2000);
    target.kill();
    target.start().and_then(|()| target.wait_until_ready(LIMIT)).expect("it comes back on its data");
    acked(before + 1000);
    running.stop_arrivals();
    wait_for("the end", LIMIT, || running.is_drained().then_some(()));
    all.add(&running.take().expect("it runs"));
    let found = running.finish().expect("it ends").verification.expect("it was asked for");
    assert_eq!(all.due, all.acked + all.failed, "{all:?}");
    assert!(found.is_clean(), "{}: {found:?} {:?}", system.name(), all.errors);
}

/// No process speaks of this directory any more, and it is not there.
fn is_gone(home: &Path) {
    let home = home.display().to_string();
    wait_for("the server to be gone", LIMIT, || processes_of(&home).is_empty().then_some(()));
    assert!(!Path::new(&home).exists());
}

fn processes_of(words: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").expect("every Linux has it").flatten().map(|entry| entry.path());
    let read = |file: PathBuf| String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).replace('\0', " ");
    processes
        .map(|process| read(process.join("cmdline")) + &read(process.join("environ")))
        .filter(|text| text.contains(words))
        .collect()
}

#[test]
fn redis_agrees_with_what_it_stored() {
    agrees(Foreign::Redis);
}

#[test]
fn nats_agrees_with_what_it_stored() {
    agrees(Foreign::Nats);
}

#[test]
fn rabbitmq_agrees_with_what_it_stored() {
    agrees(Foreign::RabbitMq);
}

#[test]
fn the_manifest_says_what_acknowledgements_promise() {
    let (redis, driver) = start(Foreign::Redis);
    let (nats, _) = start(Foreign::Nats);
    let system = redis.describe();
    assert!(system.version.starts_with(char::is_numeric), "{}", system.version);
    assert!(system.command.contains("redis.conf") && system.acknowledgement["all"].contains("appendfsync=always"));
    let rows = fairness(&[&redis, &nats]);
    let row = |what: &str| rows.iter().find(|row| row.what == what).unwrap_or_else(|| panic!("{what}: {rows:?}"));
    assert!(row("acks=1").values["redis"].contains("everysec"));
    assert!(row("acks=1").values["nats"].contains("page cache"));
    assert!(row("compression.type").values["nats"].starts_with("not applied"));
    assert!(row("memory").values["redis"].contains("maxmemory"));
    let flow = |acks: &str| load(acks, Arrival::Closed);
    let packed = Flow { producer: settings(&[("compression.type", "zstd")]), ..flow("1") };
    let remarks = driver.remarks(&Workload { flows: vec![packed] });
    assert_eq!(remarks, ["not applied to Redis streams: compression.type=zstd"]);
    let mut both = redis;
    let error = both.adapt(&Workload { flows: vec![flow("1"), flow("all")] }).expect_err("one setting for all");
    assert!(error.to_string().contains("can't be measured beside each other"), "{error}");
    let transactional = Flow { producer: settings(&[("transactional.id", "t")]), ..flow("all") };
    let order: Order = order(both.bootstrap_servers(), vec![transactional]);
    let error = driver.start(&order).err().expect("it is refused").to_string();
    assert!(error.starts_with("Redis streams have no transactions"), "{error}");
}

/// A call of the bench in a directory of its own.
fn bench(dir: &Path, args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.args(["bench", "--no-floors", "--warmup", "500ms", "--rate", "2000", "--data-dir"]).arg(dir);
    command.arg("--output").arg(dir.join("out")).args(args).args(io_flag());
    command.args([
        "--tolerate",
        "other-load,cpu-stolen,client-late,client-saturated,backlog-growing,backlog-at-start,consumers-behind",
    ]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("our own binary can be started")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn directory() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("millrace-foreign").tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("it is writable")
}

#[test]
fn a_peer_stands_beside_ours_in_table_and_report_and_what_differs_is_said() {
    let dir = directory();
    let args =
        ["--duration", "1s", "--verify", "--peer", "redis-streams", "--producer-property", "compression.type=lz4"];
    let output = bench(dir.path(), &args).wait_with_output().expect("it ends");
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let remark = "not comparable, redis: not applied to Redis streams: compression.type=lz4";
    assert!(text.contains(remark) && text.contains("acks=all of redis: on the device"), "{text}");
    let results = fs::read_to_string(dir.path().join("out/results.json")).expect("results are written");
    let results: Value = serde_json::from_str(&results).expect("JSON");
    assert_eq!(results["runs"][1]["system"], "redis");
    assert_eq!(results["runs"][1]["verification"]["kept_promises"], true);
    assert!(results["systems"][1]["acknowledgement"]["0"].is_string());
    let report = fs::read_to_string(dir.path().join("out/report.html")).expect("a report is written");
    assert!(report.contains("not comparable") && report.contains("appendfsync"));
}

#[test]
fn a_peer_that_is_killed_ends_the_bench_with_a_sentence() {
    let dir = directory();
    let child = bench(dir.path(), &["--duration", "30s", "--peer", "nats"]);
    let server = || {
        let processes = fs::read_dir("/proc").expect("every Linux has it").flatten().map(|entry| entry.path());
        let is_it = |process: &PathBuf| {
            let words = fs::read(process.join("cmdline")).unwrap_or_default();
            let words = String::from_utf8_lossy(&words).into_owned();
            words.contains("nats.conf")
                && !words.contains("\0-t\0")
                && words.contains(&dir.path().display().to_string())
        };
        processes.filter(is_it).find_map(|process| process.file_name()?.to_str().map(str::to_owned))
    };
    // The first run is that of Millrace; the server is there from the start.
    let pid = wait_for("the server", LIMIT, server);
    run(Command::new("kill").args(["-9", &pid])).expect("it is there");
    let output = child.wait_with_output().expect("it ends");
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("nats ended (signal: 9"), "{text}");
}

#[test]
fn servers_end_with_the_bench_that_is_killed() {
    let dir = directory();
    let mut child = bench(dir.path(), &["--duration", "60s", "--peer", "rabbitmq"]);
    let home = dir.path().display().to_string();
    let names = || processes_of(&home).iter().any(|text| text.contains("beam.smp")).then_some(());
    wait_for("the server", LIMIT, names);
    child.kill().and_then(|()| child.wait()).expect("it is ours");
    wait_for("all processes to be gone", LIMIT, || processes_of(&home).is_empty().then_some(()));
}

#[test]
fn a_word_that_is_no_peer_is_refused() {
    let dir = directory();
    let output = bench(dir.path(), &["--peer", "pulsar"]).wait_with_output().expect("it ends");
    let text = said(&output);
    assert!(text.contains("--peer pulsar: give apache-kafka, redis, nats, rabbitmq, or NAME=HOST:PORT"), "{text}");
    assert_eq!(output.status.code(), Some(1), "{text}");
}
