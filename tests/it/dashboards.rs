//! What monitors the broker: names of well-known dashboards for Kafka, our dashboard and our alerts, asked of a real Prometheus.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::calls::{batch, create_topic, describe_topic, fetch_request, produce, produce_request};
use crate::groups::{commit, find_coordinator};
use crate::support::http::http_get;
use crate::support::install::run;
use crate::support::node::{Kind, Node};
use crate::support::ports::free_port;
use crate::support::wait::wait_for;
use crate::support::wire::Wire;

const LIMIT: Duration = Duration::from_secs(60);
/// Names, by the dashboards that ask for them.
const LIST: &str = include_str!("dashboards.txt");

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)
}

/// A Prometheus that scrapes every second as `deploy/prometheus/prometheus.yml` says; ends with the test.
struct Prometheus {
    child: Child,
    port: u16,
    _home: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    fn start(target: &str) -> Prometheus {
        let home = tempfile::tempdir().expect("the temporary directory is writable");
        let config = fs::read_to_string(deploy("prometheus/prometheus.yml")).expect("it is part of the checkout");
        let rules = deploy("prometheus/rules.yml").display().to_string();
        let config = config.replace("kafka:8080", target).replace("15s", "1s").replace("rules.yml", &rules);
        let file = home.path().join("prometheus.yml");
        fs::write(&file, config).expect("our directory is writable");
        let port = free_port();
        let log = fs::File::create(home.path().join("log")).expect("our directory is writable");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", home.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the tests need prometheus: apt install prometheus");
        let prometheus = Prometheus { child, port, _home: home };
        wait_for("Prometheus to be ready", LIMIT, || {
            http_get(prometheus.port, "/-/ready").is_some_and(|page| page.contains("Ready")).then_some(())
        });
        prometheus
    }

    /// What an instant query answers; an error is one of the query.
    fn query(&self, query: &str) -> Vec<Value> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let page = http_get(self.port, &format!("/api/v1/query?query={encoded}")).expect("Prometheus answers");
        let answer: Value = serde_json::from_str(&page).unwrap_or_else(|error| panic!("{error}: {page}"));
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"]["result"].as_array().expect("an instant query answers a list").clone()
    }

    /// Waits until each of the queries has data.
    fn wait_for_data(&self, queries: &[String]) {
        let mut left: Vec<&String> = queries.iter().collect();
        let end = std::time::Instant::now() + LIMIT;
        while !left.is_empty() {
            left.retain(|query| self.query(query).is_empty());
            assert!(left.is_empty() || std::time::Instant::now() < end, "no data for:\n{left:#?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// A little of everything, also of what fails.
fn traffic(node: &Node) {
    let mut wire = Wire::connect(node);
    create_topic(&mut wire, "orders", 3, &[]);
    describe_topic(&mut wire, "orders");
    for partition in 0..3 {
        let records = batch(&[b"one", b"two"]).build();
        assert_eq!(produce(&mut wire, "orders", partition, -1, &records).error_code, 0);
        wire.call(&fetch_request("orders", partition, 0, 10), 11);
    }
    let mut damaged = batch(&[b"one"]).build().to_vec();
    *damaged.last_mut().expect("a batch has bytes") ^= 1;
    let answer = wire.call(&produce_request("orders", 0, 1, damaged.into()), 9);
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 2, "CORRUPT_MESSAGE");
    wire.call(&fetch_request("orders", 0, 99, 10), 11);
    find_coordinator(&mut wire, "readers");
    commit(&mut wire, "readers", "orders", &[(0, 1), (1, 2), (2, 0)]);
}

/// The selectors under headings that begin with `kind`.
fn listed(kind: &str) -> Vec<String> {
    let mut wanted = false;
    let mut selectors = BTreeSet::new();
    for line in LIST.lines() {
        match line.strip_prefix("## ") {
            Some(heading) => wanted = heading.starts_with(kind),
            None if wanted && !line.is_empty() => drop(selectors.insert(line.to_owned())),
            None => {}
        }
    }
    assert!(selectors.len() > 20, "{kind}: {selectors:?}");
    selectors.into_iter().collect()
}

/// Beginnings of names that `docs/metrics.md` leaves out with a reason.
fn left_out() -> Vec<String> {
    let docs = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md")).expect("it is there");
    let (_, left_out) = docs.split_once("## Left out").expect("it says what is left out");
    let names = left_out.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("*`"));
    names.map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn dashboards_for_kafka_find_their_metrics_and_ours_has_data_in_prometheus() {
    let http = free_port();
    let listener = format!("127.0.0.1:{http}");
    let node =
        Node::start(Kind::Millrace, &[("offsets.topic.num.partitions", "2"), ("millrace.http.listener", &listener)]);
    let prometheus = Prometheus::start(&listener);
    traffic(&node);
    let left_out = left_out();
    let is_left_out = |selector: &str| left_out.iter().any(|name| selector.starts_with(name.as_str()));
    let mut queries = Vec::new();
    for (kind, job) in [("usual", "millrace"), ("confluent", "kafka-broker")] {
        for selector in listed(kind).iter().filter(|selector| !is_left_out(selector)) {
            let (name, labels) = selector.trim_end_matches('}').split_once('{').unwrap_or((selector, ""));
            queries.push(format!("{name}{{job=\"{job}\",{labels}}}"));
        }
    }
    let dashboard = fs::read_to_string(deploy("grafana/millrace.json")).expect("it is part of the checkout");
    let dashboard: Value = serde_json::from_str(&dashboard).expect("a dashboard is JSON");
    let targets = dashboard["panels"].as_array().expect("it has panels").iter().flat_map(|panel| {
        panel["targets"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|target| target["expr"].as_str().expect("a query").to_owned())
    });
    let targets: Vec<String> =
        targets.map(|query| query.replace("$instance", ".*").replace("$__rate_interval", "10s")).collect();
    assert!(targets.len() > 50, "{}", targets.len());
    queries.extend(targets);
    // Groups are looked at every five seconds.
    prometheus.wait_for_data(&queries);
    for (query, wanted) in [
        ("sum(kafka_server_brokertopicmetrics_messagesin_total{job=\"millrace\",topic=\"orders\"})", "6"),
        ("kafka_server_brokertopicmetrics_invalidmessagecrcrecords_total{job=\"millrace\",topic=\"orders\"}", "1"),
        ("kafka_controller_kafkacontroller_activecontrollercount{job=\"millrace\"}", "1"),
        ("kafka_cluster_partition_atminisr{job=\"millrace\",topic=\"orders\",partition=\"2\"}", "1"),
        ("kafka_server_replicamanager_underreplicatedpartitions{job=\"millrace\"}", "0"),
        ("max(millrace_group_lag_records{job=\"millrace\",group=\"readers\"})", "2"),
        ("count(ALERTS{alertstate=\"firing\"}) or vector(0)", "0"),
    ] {
        assert_eq!(prometheus.query(query)[0]["value"][1], *wanted, "{query}");
    }
    let share =
        prometheus.query("kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent{job=\"millrace\"}");
    let share: f64 = share[0]["value"][1].as_str().and_then(|text| text.parse().ok()).expect("a number");
    assert!((0.0..=1.0).contains(&share), "{share}");
}

#[test]
fn alerts_fire_when_they_should() {
    for arguments in [["check", "rules", "rules.yml"], ["test", "rules", "rules_test.yml"]] {
        let checked = run(Command::new("promtool").args(arguments).current_dir(deploy("prometheus")));
        checked.unwrap_or_else(|error| panic!("{error}"));
    }
    run(Command::new("promtool").args(["check", "config", "prometheus.yml"]).current_dir(deploy("prometheus")))
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn the_page_is_one_that_promtool_finds_no_fault_with() {
    let http = free_port();
    let listener = format!("127.0.0.1:{http}");
    let node =
        Node::start(Kind::Millrace, &[("offsets.topic.num.partitions", "2"), ("millrace.http.listener", &listener)]);
    traffic(&node);
    let page = http_get(http, "/metrics").expect("it answers");
    let names: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let distinct: BTreeSet<&str> = names.iter().map(|line| line.split(' ').next().unwrap_or_default()).collect();
    assert_eq!(names.len(), distinct.len(), "a family is there twice");
    // What must not be: a counter that is not one, a line without value, the same series twice.
    let mut series = BTreeSet::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        assert!(value == "NaN" || value.parse::<f64>().is_ok_and(f64::is_finite), "{line}");
        assert!(series.insert(name), "{line} is there twice");
    }
    assert!(page.ends_with("# EOF\n"));
}
