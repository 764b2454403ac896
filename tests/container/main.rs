//! The image, without Docker: its file system made by the script of the Dockerfile, its entry point run by `runc`, which Docker runs
//! containers by, as its user, with Docker's default capabilities, limits and seccomp profile and the variables of the compose file.
//!
//! `docker-seccomp.json` is the default profile of Docker (github.com/moby/profiles, Apache License 2.0), which forbids io_uring.

#[path = "../support/mod.rs"]
mod support;

mod container;

use std::fs;
use std::time::Duration;

use container::{Container, Image, compose_environment};
use support::kafka_jars::java;
use support::wait::wait_for;

const DATA: &str = "/var/lib/kafka/data";

/// The commands of everybody's first hour with Kafka.
fn notes(container: &Container) {
    let local = ["--bootstrap-server", "localhost:9092"];
    let tool = |name: &str, args: &[&str], stdin: &str| {
        let name = format!("/opt/kafka/bin/{name}.sh");
        container.exec(&[&[name.as_str()][..], &local[..], args].concat(), stdin)
    };
    let created = tool("kafka-topics", &["--create", "--topic", "first", "--partitions", "3"], "");
    assert!(created.contains("Created topic first."), "{created}");
    tool("kafka-console-producer", &["--topic", "first"], "one\ntwo\nthree\n");
    let read = ["--topic", "first", "--from-beginning", "--max-messages", "3", "--group", "readers"];
    let read = tool("kafka-console-consumer", &read, "");
    let mut lines: Vec<&str> = read.lines().filter(|line| ["one", "two", "three"].contains(line)).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["one", "three", "two"], "{read}");
    let described = tool("kafka-consumer-groups", &["--describe", "--group", "readers"], "");
    assert!(described.contains("first"), "{described}");
}

fn serves_the_notes(container: &Container) {
    container.wait_until_ready();
    notes(container);
    // Somebody who holds the port that the compose file publishes, with Kafka's own tool.
    let mut list = container.beside("java");
    let java = java("tools", &[]);
    list.args(java.get_args()).args([
        "org.apache.kafka.tools.TopicCommand",
        "--bootstrap-server",
        "localhost:9092",
        "--list",
    ]);
    let listed = container::output(&mut list);
    assert!(listed.lines().any(|line| line == "first"), "{listed}");
    // And somebody in a container of the same network, who is told the other name.
    let metadata = container::output(&mut container.beside_as("kafka", "kcat", &["-L", "-b", "kafka:9093"]));
    assert!(metadata.contains("broker 1 at kafka:9093"), "{metadata}");
}

#[test]
fn the_compose_file_serves_under_dockers_own_seccomp_profile() {
    let image = Image::new();
    let volume = image.volume("default");
    let mut container = image.run("default", &compose_environment(), Some(&volume), container::Io::Forbidden);
    serves_the_notes(&container);
    assert!(container.said().contains("io_uring"), "it tells what was refused: {}", container.said());
    assert_eq!(container.stop(), Some(0), "{}", container.said());
    // The volume has the data, whoever takes it over.
    let mut again = image.run("default", &compose_environment(), Some(&volume), container::Io::Allowed);
    again.wait_until_ready();
    let offsets = again
        .exec(&["/opt/kafka/bin/kafka-get-offsets.sh", "--bootstrap-server", "localhost:9092", "--topic", "first"], "");
    let records: u64 = offsets.lines().filter_map(|line| line.rsplit(':').next()?.parse::<u64>().ok()).sum();
    assert_eq!(records, 3, "{offsets}");
    again.kill();
    let third = image.run("default", &compose_environment(), Some(&volume), container::Io::Forbidden);
    third.wait_until_ready();
}

#[test]
fn the_compose_file_serves_where_io_uring_is_allowed() {
    let image = Image::new();
    let volume = image.volume("allowed");
    let container = image.run("allowed", &compose_environment(), Some(&volume), container::Io::Allowed);
    serves_the_notes(&container);
}

#[test]
fn without_variables_it_is_a_node_of_its_own() {
    let image = Image::new();
    let mut container = image.run("alone", &[], None, container::Io::Forbidden);
    container.wait_until_ready();
    let listed = container.exec(&["kafka-cluster.sh", "cluster-id", "--bootstrap-server", "localhost:9092"], "");
    assert!(listed.contains("Cluster ID: 5L6g3nShT-eMCtK--X86sw"), "{listed}");
    container.exec(&["bash", "-c", "wget -q -O - http://localhost:8080/metrics | grep -q ^millrace_"], "");
    assert_eq!(container.try_exec(&["/opt/kafka/bin/kafka-server-stop.sh"], "").0, Some(0));
    assert_eq!(container.wait(), Some(0), "{}", container.said());
}

#[test]
fn a_mounted_file_is_the_base_of_the_variables() {
    let image = Image::new();
    let mut text = fs::read_to_string("deploy/server.properties").expect("it is in the package");
    text.push_str("num.partitions=5\nauto.create.topics.enable=false\n");
    let mounted = image.mounted("file", &text);
    let environment = [("KAFKA_NUM_PARTITIONS", "2"), ("KAFKA_MILLRACE_HTTP_LISTENER", "127.0.0.1:8181")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let container = image.run_with("file", &environment, &[(&mounted, "/mnt/shared/config")], container::Io::Forbidden);
    container.wait_until_ready();
    let local = ["--bootstrap-server", "localhost:9092"];
    container.exec(&[&["kafka-topics.sh"], &local[..], &["--create", "--topic", "t"]].concat(), "");
    let described = container.exec(&[&["kafka-topics.sh"], &local[..], &["--describe", "--topic", "t"]].concat(), "");
    assert!(described.contains("PartitionCount: 2"), "{described}");
}

#[test]
fn what_is_wrong_with_it_is_one_sentence() {
    let image = Image::new();
    let said = |name: &str, environment: &[(String, String)], read_only: bool| {
        let volume = image.volume(name);
        let mut container = if read_only {
            image.run_read_only(name, environment, &volume)
        } else {
            image.run(name, environment, Some(&volume), container::Io::Forbidden)
        };
        let code = container.wait();
        (code, container.said())
    };
    let with = |name: &str, value: &str| {
        let mut environment = compose_environment();
        environment.retain(|(known, _)| known != name);
        environment.push((name.to_owned(), value.to_owned()));
        environment
    };
    let (code, text) = said("roles", &with("KAFKA_PROCESS_ROLES", "controller"), false);
    assert!(
        code == Some(1) && text.contains("KAFKA_ADVERTISED_LISTENERS is not supported on a KRaft controller"),
        "{text}"
    );
    let (code, text) = said("number", &with("KAFKA_NUM_PARTITIONS", "many"), false);
    assert!(code == Some(1) && text.contains("num.partitions"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    let (code, text) = said("read-only", &compose_environment(), true);
    assert!(code == Some(1) && text.contains(DATA) && text.contains("Read-only file system"), "{text}");
    wait_for("the containers to be gone", Duration::from_secs(10), || (!image.has_containers()).then_some(()));
}
