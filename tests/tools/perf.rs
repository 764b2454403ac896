//! The perf tools, ours and Kafka's, on the same broker: the same lines but for the numbers that are measured, and the same counts.

use regex::Regex;

use crate::program::{Finished, java_tool, millrace};
use crate::support::node::{Kind, Node};

const TOOLS: [(&str, &str); 3] = [
    ("kafka-producer-perf-test", "org.apache.kafka.tools.ProducerPerformance"),
    ("kafka-consumer-perf-test", "org.apache.kafka.tools.ConsumerPerformance"),
    ("kafka-e2e-latency", "org.apache.kafka.tools.EndToEndLatency"),
];

fn both(tool: usize, ours: &str, theirs: &str) -> [Finished; 2] {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<String>>();
    let (name, class) = TOOLS[tool];
    [millrace(name, &words(ours), ""), java_tool(class, &words(theirs), "")]
}

/// The lines with every measured number replaced by how many decimals it has. Counts of records stay.
fn form(text: &str) -> Vec<String> {
    let number = Regex::new(r"\d+(?:\.(\d+))?(?:E-?\d+)?").expect("a pattern");
    let line = |line: &str| {
        let form = number.replace_all(line, |found: &regex::Captures<'_>| match found.get(1) {
            Some(decimals) => format!("<.{}>", decimals.len()),
            None => "<n>".to_owned(),
        });
        form.into_owned()
    };
    text.lines().map(line).collect()
}

#[test]
fn producers_say_the_same_of_the_same_work() {
    let node = Node::start(Kind::under_test(), &[]);
    let server = node.bootstrap();
    let cases = [
        "--num-records 2000 --record-size 100 --throughput -1 --command-property linger.ms=1",
        "--num-records 3000 --payload-monotonic --throughput 2000 --reporting-interval 400",
        "--num-records 500 --record-size 10 --throughput -1 --transactional-id perf --transaction-duration-ms 50",
    ];
    for case in cases {
        let args = format!("--bootstrap-server {server} --topic perf {case}");
        let [ours, theirs] = both(0, &args, &args);
        assert_eq!((ours.code, theirs.code), (Some(0), Some(0)), "{case}\n{ours}\n{theirs}");
        let last = |finished: &Finished| finished.stdout.lines().last().unwrap_or_default().to_owned();
        assert_eq!(form(&last(&ours)), form(&last(&theirs)), "{case}");
        let count = case.split(' ').nth(1).expect("the number of records");
        assert!(last(&ours).starts_with(&format!("{count} records sent, ")), "{ours}");
        // How many lines of progress there are is a matter of time.
        let progress = |finished: &Finished| {
            let mut lines = form(&finished.stdout);
            lines.dedup();
            lines
        };
        assert_eq!(progress(&ours), progress(&theirs), "{case}");
    }
    let all =
        millrace("kafka-get-offsets", &["--bootstrap-server".into(), server, "--topic".into(), "perf".into()], "");
    assert!(all.stdout.starts_with("perf:0:"), "{all}");
}

#[test]
fn payload_files_and_warm_up_are_told_alike() {
    let node = Node::start(Kind::under_test(), &[]);
    let file = node.scratch().join("payloads");
    std::fs::write(&file, "one\ntwo\nthree\n\n").expect("the directory of the node is writable");
    let args = format!(
        "--bootstrap-server {} --topic file --num-records 3000 --payload-file {} --throughput 3000 --warmup-records 1000 --print-metrics",
        node.bootstrap(),
        file.display()
    );
    let [ours, theirs] = both(0, &args, &args);
    assert_eq!((ours.code, theirs.code), (Some(0), Some(0)), "{ours}\n{theirs}");
    let head = |finished: &Finished| finished.stdout.lines().take(3).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(head(&ours), head(&theirs));
    for sentence in [
        "3000 records sent, ",
        "2000 steady state records sent, ",
        "producer-metrics:batch-size-avg:{client-id=perf-producer-client}",
    ] {
        for finished in [&ours, &theirs] {
            assert!(finished.stdout.lines().any(|line| line.starts_with(sentence)), "{sentence}: {finished}");
        }
    }
}

#[test]
fn consumers_say_the_same_of_the_same_work() {
    let node = Node::start(Kind::under_test(), &[("group.initial.rebalance.delay.ms", "0")]);
    let server = node.bootstrap();
    let made = format!("--bootstrap-server {server} --topic read --num-records 5000 --record-size 200 --throughput -1");
    assert_eq!(both(0, &made, &made).map(|finished| finished.code), [Some(0), Some(0)]);
    let args = format!("--bootstrap-server {server} --topic read --num-records 10000");
    let [ours, theirs] = both(1, &args, &args);
    assert_eq!((ours.code, theirs.code), (Some(0), Some(0)), "{ours}\n{theirs}");
    assert_eq!(form(&ours.stdout), form(&theirs.stdout));
    let read = |finished: &Finished| {
        let fields: Vec<String> =
            finished.stdout.lines().nth(1).unwrap_or_default().split(", ").map(str::to_owned).collect();
        (fields[2].clone(), fields[4].clone())
    };
    assert_eq!(read(&ours), read(&theirs));
    let hidden = format!("{args} --hide-header --group other --timeout 1000 --from-latest");
    let [ours, theirs] = both(1, &hidden, &hidden);
    let warning = |finished: &Finished| finished.stdout.lines().next().unwrap_or_default().to_owned();
    assert_eq!(warning(&ours), warning(&theirs), "{ours}\n{theirs}");
}

#[test]
fn latency_from_end_to_end_is_told_alike() {
    let node = Node::start(Kind::under_test(), &[]);
    let server = node.bootstrap();
    let args = |topic: &str| {
        format!(
            "--bootstrap-server {server} --topic {topic} --num-records 30 --producer-acks all --record-size 50 --record-key-size 5 --num-headers 2 --record-header-key-size 3 --record-header-size 4"
        )
    };
    let [ours, theirs] = both(2, &args("e2e-ours"), &args("e2e-java"));
    assert_eq!((ours.code, theirs.code), (Some(0), Some(0)), "{ours}\n{theirs}");
    let lines = |finished: &Finished| {
        let mut lines = form(&finished.stdout.replace("e2e-ours", "topic").replace("e2e-java", "topic"));
        // Java prints as many digits of a line of progress as there are.
        lines.retain(|line| !line.starts_with("<n>\t"));
        lines
    };
    assert_eq!(lines(&ours), lines(&theirs));
    assert_eq!(lines(&ours).len(), 3);
}

#[test]
fn wrong_command_lines_are_refused() {
    for (tool, args, sentence) in [
        (
            0,
            "--topic t --num-records 0 --record-size 1 --throughput -1 --bootstrap-server x:1",
            "--num-records should be greater than zero.",
        ),
        (
            0,
            "--topic t --num-records 5 --record-size 0 --throughput -1 --bootstrap-server x:1",
            "--record-size should be greater than zero.",
        ),
        (0, "--topic t --num-records 5 --record-size 1 --throughput -1", "At least one of --bootstrap-server,"),
        (0, "--num-records 5 --record-size 1 --throughput -1 --bootstrap-server x:1", "argument --topic is required"),
        (2, "x:1 t 5 all", "Invalid number of arguments. Expected 5 or 6 positional arguments, but got 4."),
    ] {
        let [ours, theirs] = both(tool, args, args);
        for finished in [&ours, &theirs] {
            assert!(finished.code != Some(0), "{args}: {finished}");
            // Java breaks lines wherever there is a space or a dash.
            let plain = |text: &str| text.split_whitespace().collect::<String>();
            let said = plain(&finished.stdout) + &plain(&finished.stderr);
            assert!(said.contains(&plain(sentence)), "{args}: {finished}");
        }
    }
}
