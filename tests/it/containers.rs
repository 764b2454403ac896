//! What a container takes away: io_uring, lockable memory, shared memory. The broker says so, and keeps its promises.

use std::process::Command;
use std::time::Duration;

use bytes::Bytes;

use crate::calls::{batch, create_topic, produce, read_values};
use crate::support::http::http_get;
use crate::support::node::{Kind, Node};
use crate::support::ports::free_port;
use crate::support::seccomp;
use crate::support::wait::wait_for;
use crate::support::wire::Wire;

const TOPIC: &str = "contained";
const LIMIT: Duration = Duration::from_secs(60);

/// A value that a record of `len` bytes has.
fn value(number: usize, len: usize) -> Vec<u8> {
    let mut value = format!("{number}/").into_bytes();
    value.resize(len, b'x');
    value
}

fn record(value: &[u8]) -> Bytes {
    batch(&[value]).build()
}

/// Appends records of all sizes at all levels; answers what must be there from now on.
fn write(wire: &mut Wire, first: usize) -> Vec<Vec<u8>> {
    let mut written = Vec::new();
    for (nth, (acks, len)) in
        [(-1, 100), (1, 100), (-1, 200_000), (1, 900_000), (-1, 5), (1, 40_000)].iter().enumerate()
    {
        let value = value(first + nth, *len);
        assert_eq!(produce(wire, TOPIC, 0, *acks, &record(&value)).error_code, 0);
        written.push(value);
    }
    written
}

/// Writes, kills, reads, stops, reads.
fn serve(node: &mut Node) {
    let mut wire = Wire::connect(node);
    create_topic(&mut wire, TOPIC, 1, &[]);
    let mut written = Vec::new();
    for _ in 0..3 {
        written.extend(write(&mut wire, written.len()));
        node.kill9();
        node.start_again();
        wire = Wire::connect(node);
        assert!(read_values(&mut wire, TOPIC, 0, 0) == written, "everything acknowledged is there, once");
    }
    node.stop();
    node.start_again();
    assert!(read_values(&mut Wire::connect(node), TOPIC, 0, 0) == written);
    node.stop();
}

#[test]
fn under_a_containers_seccomp_profile_it_serves_survives_and_says_what_is_refused() {
    let http = free_port();
    let listener = format!("127.0.0.1:{http}");
    let mut node =
        Node::prepare(Kind::Millrace, &[("millrace.io", "auto"), ("millrace.http.listener", listener.as_str())]);
    node.confine();
    node.start_again();
    // The HTTP port opens last.
    let page = wait_for("the metrics", LIMIT, || http_get(http, "/metrics"));
    assert!(page.contains("millrace_io_backend_info{backend=\"epoll\"} 1"), "{page}");
    let log = node.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("WARN") && line.contains("io_uring")).collect();
    let [line] = lines[..] else { panic!("one line says it, not {}:\n{log}", lines.len()) };
    for words in ["a seccomp profile forbids io_uring_setup (EPERM)", "--security-opt seccomp=", "security_opt"] {
        assert!(line.contains(words), "{words:?} is not in {line}");
    }
    serve(&mut node);
}

#[test]
fn who_wants_io_uring_alone_is_refused_with_the_mend() {
    let node = Node::prepare(Kind::Millrace, &[]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.arg("server").arg("--config").arg(node.write_config()).args(["--io", "uring"]).current_dir(node.scratch());
    seccomp::confine(&mut command);
    let output = command.output().expect("the binary can be started");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for words in ["millrace.io=uring", "a seccomp profile forbids io_uring_setup (EPERM)", "--security-opt seccomp="] {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
}

#[test]
fn little_locked_memory_and_little_shared_memory_cost_speed_and_nothing_else() {
    let mut node = Node::prepare(Kind::Millrace, &[("millrace.io", "auto"), ("millrace.tail.bytes", "1073741824")]);
    let tail = node.scratch().join("shm");
    std::fs::create_dir(&tail).expect("our directory is writable");
    let tail = tail.display().to_string();
    node.set("millrace.tail.dir", &tail);
    node.start_by_script(&format!("mount -t tmpfs -o size=64m none {tail} && ulimit -l 64 && exec \"$@\""));
    node.start_again();
    let log = node.log();
    for words in ["RLIMIT_MEMLOCK allows 64", "--ulimit memlock=-1", "tail memory is smaller than wanted", "--shm-size"]
    {
        assert!(log.contains(words), "{words:?} is not in\n{log}");
    }
    // Every start has a tmpfs of its own here, so the tail does not outlive a kill.
    let mut wire = Wire::connect(&node);
    create_topic(&mut wire, TOPIC, 1, &[]);
    let written: Vec<_> = (0..40).flat_map(|round| write(&mut wire, round * 6)).collect();
    assert!(read_values(&mut wire, TOPIC, 0, 0) == written);
    node.stop();
}

#[test]
fn without_room_for_a_tail_acks_all_survives_kill_9() {
    let mut node = Node::prepare(Kind::Millrace, &[]);
    let tail = node.scratch().join("shm");
    std::fs::create_dir(&tail).expect("our directory is writable");
    let tail = tail.display().to_string();
    node.set("millrace.tail.dir", &tail);
    node.start_by_script(&format!("mount -t tmpfs -o size=4m none {tail} && exec \"$@\""));
    node.start_again();
    assert!(node.log().contains("tail memory is private"), "{}", node.log());
    let mut wire = Wire::connect(&node);
    create_topic(&mut wire, TOPIC, 1, &[]);
    let written: Vec<_> = (0..20).map(|number| value(number, 1000 + number * 4000)).collect();
    for value in &written {
        assert_eq!(produce(&mut wire, TOPIC, 0, -1, &record(value)).error_code, 0);
    }
    node.kill9();
    node.start_again();
    assert!(read_values(&mut Wire::connect(&node), TOPIC, 0, 0) == written);
    node.stop();
}

/// The neighbours of this file, once more, on what containers have: the rooms about the broker itself. The others ask the bench and
/// the pages, or damage files; `MILLRACE_IO=epoll cargo test` runs them all.
#[test]
fn the_tests_that_matter_pass_on_epoll_too() {
    if std::env::var("MILLRACE_IO").is_ok() {
        // All of them run on one backend of somebody's choice.
        return;
    }
    // "groups::" are those of both protocols, "restart::" rolling ones, too.
    let rooms = [
        "abuse::",
        "compaction::",
        "crash::",
        "faults::",
        "groups::",
        "limits::",
        "restart::",
        "storage::",
        "transactions::",
        "wal::",
    ];
    let mut tests = Command::new(std::env::current_exe().expect("a running program has a file"));
    tests.args(rooms).args(["--test-threads=2"]).env("MILLRACE_IO", "epoll");
    let output = tests.output().expect("this very program can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
