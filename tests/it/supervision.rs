//! SIGHUP, and systemd's view of a broker: readiness, watchdog, the end.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use crate::support::node::{Kind, Node};
use crate::support::wait::wait_for;

const LIMIT: Duration = Duration::from_secs(30);

fn hang_up(node: &mut Node, changes: &[(&str, &str)]) {
    for (key, value) in changes {
        node.set(key, value);
    }
    node.write_config();
    let sent = Command::new("kill").args(["-HUP", &node.pid().to_string()]).status().expect("kill is there");
    assert!(sent.success());
}

fn heard(node: &Node, text: &str) {
    wait_for(text, LIMIT, || node.log().contains(text).then_some(()));
}

/// `key=value` of the broker, as DescribeConfigs tells it.
fn described(node: &Node, key: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_millrace"))
        .args(["kafka-configs", "--bootstrap-server", &node.bootstrap()])
        .args(["--describe", "--all", "--entity-type", "brokers", "--entity-name", "1"])
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find(|line| line.trim().starts_with(&format!("{key}=")));
    line.unwrap_or_else(|| panic!("{key}: {text}")).trim().to_owned()
}

#[test]
fn sighup_brings_changed_keys_into_force() {
    let mut node = Node::start(Kind::Millrace, &[("log.retention.ms", "1000000")]);
    hang_up(&mut node, &[]);
    heard(&node, "no key has changed that may change");
    hang_up(&mut node, &[("log.retention.ms", "2000000"), ("message.max.bytes", "700000"), ("num.partitions", "7")]);
    heard(&node, "these keys have their new values");
    heard(&node, "which the next start brings into force");
    let described = |key: &str| described(&node, key);
    assert!(described("log.retention.ms").starts_with("log.retention.ms=2000000 "));
    assert!(described("log.retention.ms").contains("STATIC_BROKER_CONFIG:log.retention.ms=2000000"));
    assert!(described("message.max.bytes").starts_with("message.max.bytes=700000 "));
    assert!(described("num.partitions").starts_with("num.partitions=1 "), "a restart is needed");
    hang_up(&mut node, &[("log.retention.ms", "soon")]);
    heard(&node, "the configuration is wrong, everything stays as it is");
    assert!(self::described(&node, "log.retention.ms").starts_with("log.retention.ms=2000000 "));
    node.set("log.retention.ms", "3000000");
    node.stop();
    node.start_again();
    assert!(self::described(&node, "num.partitions").starts_with("num.partitions=7 "));
}

#[test]
fn systemd_hears_of_the_start_of_every_beat_and_of_the_end() {
    let mut node = Node::prepare(Kind::Millrace, &[]);
    let path = node.scratch().join("notify");
    let socket = UnixDatagram::bind(&path).expect("the path is short enough");
    socket.set_read_timeout(Some(LIMIT)).expect("it is a time");
    let hear = |wanted: &str| {
        wait_for(wanted, LIMIT, || {
            let mut bytes = [0; 1024];
            let len = socket.recv(&mut bytes).expect("the broker tells something");
            let text = String::from_utf8_lossy(&bytes[..len]).into_owned();
            text.contains(wanted).then_some(text)
        })
    };
    node.start_with_variable("NOTIFY_SOCKET", &path.display().to_string());
    node.start_with_variable("WATCHDOG_USEC", "200000");
    node.start_again();
    let ready = hear("READY=1");
    assert!(ready.contains(&format!("STATUS=serving on PLAINTEXT://{}", node.bootstrap())), "{ready}");
    hear("WATCHDOG=1");
    hear("WATCHDOG=1");
    node.terminate();
    hear("STOPPING=1");
    assert!(node.wait_exit().success());
}
