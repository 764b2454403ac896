//! Log daemons with the very configuration of docs/log-collection.md: nothing is lost while the broker is killed and started again.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use std::{env, fs};

use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::Value;

use crate::librdkafka;
use crate::support::install::{installed, run};
use crate::support::node::{Kind, Node};
use crate::support::ports::free_port;
use crate::support::process::Process;
use crate::support::wait::wait_for;

const LIMIT: Duration = Duration::from_secs(60);
const MESSAGES: usize = 5000;
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/log-collection.md");

/// Installs rsyslog from Debian's packages when it is missing and this is root; no service is started.
static RSYSLOG: LazyLock<Result<(), String>> = LazyLock::new(|| {
    if run(Command::new("dpkg").args(["-s", "rsyslog-kafka"])).is_ok() {
        return Ok(());
    }
    let install = |arguments: &[&str]| {
        run(Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1").args(arguments))
    };
    install(&["update", "-q"])
        .and_then(|_| install(&["install", "-q", "-y", "--no-install-recommends", "rsyslog", "rsyslog-kafka"]))
        .map(|_| ())
        .map_err(|problem| format!("install rsyslog and rsyslog-kafka (as root the tests do it themselves): {problem}"))
});

/// The block of the document in this language.
fn documented(language: &str) -> String {
    let document = fs::read_to_string(DOCUMENT).expect("the document");
    let (_, block) = document.split_once(&format!("```{language}\n")).expect("a block");
    block.split("```").next().expect("a block ends").to_owned()
}

/// The numbers of the messages in the topic, and how many messages there are.
fn arrived(server: &str) -> (BTreeSet<usize>, usize) {
    let config = librdkafka::config(server).set("group.id", "verifier").set("enable.partition.eof", "true").clone();
    let consumer: BaseConsumer = config.create().expect("its settings are good");
    let mut wanted = rdkafka::TopicPartitionList::new();
    for partition in 0..2 {
        wanted.add_partition_offset("logs", partition, rdkafka::Offset::Beginning).expect("an offset");
    }
    consumer.assign(&wanted).expect("assigned");
    let (mut numbers, mut count, mut ends) = (BTreeSet::new(), 0, 0);
    let deadline = Instant::now() + LIMIT;
    while ends < 2 && Instant::now() < deadline {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let event: Value = serde_json::from_slice(message.payload().expect("a value")).expect("JSON");
                let text = event["message"].as_str().expect("a message");
                let number = text.rsplit('-').next().and_then(|number| number.parse().ok()).expect("a number");
                assert_eq!((&event["host"], &event["program"]), (&"web-1".into(), &"shop".into()), "{event}");
                numbers.insert(number);
                count += 1;
            }
            Some(Err(_)) => ends += 1,
            None => {}
        }
    }
    (numbers, count)
}

/// A broker with the topic, and a folder for a daemon's files.
fn node_with_topic() -> (Node, PathBuf) {
    let node = Node::start(Kind::Millrace, &[]);
    let mut made = Command::new(env!("CARGO_BIN_EXE_millrace"));
    made.args(["kafka-topics", "--bootstrap-server", &node.bootstrap()]);
    made.args(["--create", "--topic", "logs", "--partitions", "2"]);
    run(&mut made).expect("the topic is made");
    let spool = node.scratch().join("spool");
    fs::create_dir_all(&spool).expect("writable");
    (node, spool)
}

#[test]
fn rsyslog_loses_nothing_while_the_broker_is_killed() {
    if let Err(problem) = &*RSYSLOG {
        panic!("the tests need rsyslog, and it can't be installed: {problem}");
    }
    let (mut node, spool) = node_with_topic();
    let port = free_port();
    let config = documented("rsyslog")
        .replace("127.0.0.1:9092", &node.bootstrap())
        .replace("port=\"10514\"", &format!("port=\"{port}\""))
        .replace("/var/spool/rsyslog", &spool.display().to_string());
    let path = spool.join("rsyslog.conf");
    fs::write(&path, format!("global(workDirectory=\"{}\")\n{config}", spool.display())).expect("writable");
    let mut command = Command::new("rsyslogd");
    command.env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin");
    command.arg("-n").arg("-i").arg(spool.join("pid")).arg("-f").arg(&path);
    loses_nothing(&mut node, command, port);
}

#[test]
fn syslog_ng_loses_nothing_while_the_broker_is_killed() {
    let root = installed("syslog-ng", "1", unpack_syslog_ng);
    let (mut node, spool) = node_with_topic();
    let port = free_port();
    let config = documented("syslog-ng")
        .replace("127.0.0.1:9092", &node.bootstrap())
        .replace("port(10515)", &format!("port({port})"))
        .replace("/var/lib/syslog-ng", &spool.display().to_string());
    let path = spool.join("syslog-ng.conf");
    fs::write(&path, config).expect("writable");
    let modules = root.join("usr/lib/syslog-ng");
    let versions = fs::read_dir(&modules).expect("unpacked").flatten().map(|entry| entry.path());
    let kafka = versions.into_iter().find(|path| path.join("libkafka.so").exists()).expect("its module for Kafka");
    let libraries = [modules, root.join("usr/lib/x86_64-linux-gnu"), root.join("lib/x86_64-linux-gnu")];
    let mut command = Command::new(root.join("usr/sbin/syslog-ng"));
    command.env("LD_LIBRARY_PATH", env::join_paths(libraries).expect("paths"));
    command.args(["-F", "-e", "--no-caps", "--module-path"]).arg(kafka).arg("-f").arg(&path);
    for (flag, file) in [("-R", "persist"), ("-c", "control"), ("-p", "pid")] {
        command.arg(flag).arg(spool.join(file));
    }
    loses_nothing(&mut node, command, port);
}

/// Debian has no room for two log daemons: this one is unpacked, with the libraries that a machine may lack.
fn unpack_syslog_ng(directory: &Path) -> Result<(), String> {
    let packages = "syslog-ng-core syslog-ng-mod-rdkafka libivykis0 libnet1 libjson-c5 libwrap0 libpcre3 librdkafka1";
    let download = || {
        run(Command::new("apt-get").current_dir(directory).args(["download", "-q"]).args(packages.split(' ')))
            .map_err(|problem| format!("the tests need {packages} of Debian 12: {problem}"))
    };
    // Lists that are old or not there name no package that can be had; who is not root has those that there are.
    if download().is_err() {
        let _ = run(Command::new("apt-get").args(["update", "-q"]));
        download()?;
    }
    let files = fs::read_dir(directory).map_err(|error| error.to_string())?.flatten().map(|entry| entry.path());
    for package in files.filter(|path| path.extension().is_some_and(|end| end == "deb")) {
        run(Command::new("dpkg").arg("-x").arg(&package).arg(directory))?;
        fs::remove_file(&package).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Starts a daemon that listens there, sends it messages while the broker is killed and started again, and looks for all of them.
fn loses_nothing(node: &mut Node, mut daemon: Command, port: u16) {
    let server = node.bootstrap();
    let daemon = Process::start(&mut daemon);
    let mut stream = wait_for("the log daemon", LIMIT, || TcpStream::connect(("127.0.0.1", port)).ok());

    let mut send = |numbers: std::ops::Range<usize>| {
        for number in numbers {
            let line = format!("<13>1 2026-11-22T12:00:00Z web-1 shop - - - order-{number}\n");
            stream.write_all(line.as_bytes()).expect("the log daemon reads");
        }
    };
    send(0..MESSAGES / 4);
    wait_for("the first messages", LIMIT, || (!arrived(&server).0.is_empty()).then_some(()));
    // Some of these are on their way when the broker dies, the next ones find none.
    send(MESSAGES / 4..MESSAGES / 2);
    node.kill9();
    send(MESSAGES / 2..MESSAGES / 4 * 3);
    node.start_again();
    send(MESSAGES / 4 * 3..MESSAGES);
    let all: BTreeSet<usize> = (0..MESSAGES).collect();
    let count = wait_for("all messages", LIMIT, || {
        let (numbers, count) = arrived(&server);
        (numbers == all).then_some(count)
    });
    assert!(count < 2 * MESSAGES, "{count} for {MESSAGES}");
    drop(daemon);
}
