//! Wrong configurations: exit code 1, and one sentence with the key, the value and the mend.

use std::fs;
use std::process::{Command, Output};

use crate::support::node::{Kind, Node};

/// Starts Millrace with `overrides` and waits for its end.
fn refused(overrides: &[(&str, &str)]) -> Output {
    let node = Node::prepare(Kind::Millrace, overrides);
    run(&node)
}

fn run(node: &Node) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.arg("server").arg("--config").arg(node.write_config()).current_dir(node.scratch());
    command.output().expect("the binary can be started")
}

/// Exit code 1, and each of `words` in what it printed.
#[track_caller]
fn expect_refusal(output: &Output, words: &[&str]) {
    let text = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    for word in words {
        assert!(text.contains(word), "the message doesn't say {word:?}:\n{text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

#[test]
fn wrong_values_are_refused_with_key_and_value() {
    let cases = [
        ("log.segment.bytes", "abc"),
        ("log.segment.bytes", "3"),
        ("log.retention.ms", "soon"),
        ("num.partitions", "0"),
        ("node.id", "-5"),
        ("process.roles", "king"),
        ("listeners", "garbage"),
        ("listeners", "PLAINTEXT://127.0.0.1:port"),
        ("compression.type", "rar"),
        ("log.cleanup.policy", "shred"),
        ("auto.create.topics.enable", "perhaps"),
        ("millrace.shards", "-1"),
        ("max.connections.per.ip.overrides", "nonsense"),
        ("listener.security.protocol.map", "PLAINTEXT:TELEPATHY"),
        ("group.consumer.assignors", "com.example.Fair"),
    ];
    for (key, value) in cases {
        expect_refusal(&refused(&[(key, value)]), &[key, value.rsplit(':').next().unwrap_or(value)]);
    }
}

#[test]
fn unknown_keys_are_only_a_warning() {
    let mut node = Node::start(Kind::Millrace, &[("no.such.key", "1")]);
    assert!(node.log().contains("no.such.key"), "{}", node.log());
    node.stop();
}

#[test]
fn a_config_file_that_isnt_there_is_refused_by_name() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    let output =
        command.args(["server", "--config", "/nowhere/server.properties"]).output().expect("the binary starts");
    expect_refusal(&output, &["/nowhere/server.properties"]);
}

#[test]
fn a_busy_port_is_refused_with_the_address() {
    let first = Node::start(Kind::Millrace, &[]);
    let mut second = Node::prepare(Kind::Millrace, &[]);
    let listeners = format!("PLAINTEXT://{},CONTROLLER://127.0.0.1:{}", first.bootstrap(), second.controller_port());
    second.set("listeners", &listeners);
    expect_refusal(&run(&second), &[&first.bootstrap()]);
}

#[test]
fn a_directory_that_cant_be_written_is_refused_by_name() {
    let output = refused(&[("log.dirs", "/proc/millrace-data")]);
    expect_refusal(&output, &["/proc/millrace-data"]);
}

#[test]
fn a_directory_in_use_is_refused() {
    let first = Node::start(Kind::Millrace, &[]);
    let data = first.data().display().to_string();
    expect_refusal(&refused(&[("log.dirs", &data)]), &[&data]);
}

#[test]
fn the_directory_of_another_node_is_refused() {
    let mut node = Node::start(Kind::Millrace, &[]);
    node.stop();
    let voters = format!("2@127.0.0.1:{}", node.controller_port());
    node.set("node.id", "2");
    node.set("controller.quorum.voters", &voters);
    expect_refusal(&run(&node), &["node.id"]);
}

#[test]
fn a_directory_with_a_broken_meta_properties_is_refused_by_name() {
    let mut node = Node::start(Kind::Millrace, &[]);
    node.stop();
    fs::write(node.data().join("meta.properties"), "version=1\ncluster.id=\n").expect("our directory is writable");
    expect_refusal(&run(&node), &["meta.properties"]);
}

#[test]
fn a_directory_with_foreign_files_is_refused_by_name_and_left_alone() {
    let node = Node::prepare(Kind::Millrace, &[]);
    fs::create_dir_all(node.data()).expect("our directory is writable");
    fs::write(node.data().join("thesis.txt"), "precious").expect("our directory is writable");
    expect_refusal(&run(&node), &[&node.data().display().to_string(), "thesis.txt"]);
    let entries: Vec<_> =
        fs::read_dir(node.data()).expect("it is there").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(entries, ["thesis.txt"]);
}

#[test]
fn a_fresh_file_system_counts_as_empty() {
    let mut node = Node::prepare(Kind::Millrace, &[]);
    fs::create_dir_all(node.data().join("lost+found")).expect("our directory is writable");
    node.start_again();
    node.stop();
}

#[test]
fn too_little_locked_memory_for_io_uring_is_refused_with_the_mend() {
    let node = Node::prepare(Kind::Millrace, &[("millrace.io", "uring")]);
    let mut command = Command::new("prlimit");
    command.args(["--memlock=65536:65536", env!("CARGO_BIN_EXE_millrace"), "server", "--config"]);
    let output =
        command.arg(node.write_config()).current_dir(node.scratch()).output().expect("prlimit is on every Linux");
    expect_refusal(&output, &["millrace.io=uring", "RLIMIT_MEMLOCK allows 64", "ulimit -l"]);
}
