//! `millrace bench` as its users call it: files, exit codes, sentences.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::calls::create_topic;
use crate::support::bench::io_flag;
use crate::support::node::{Kind, Node};
use crate::support::wait::wait_for;
use crate::support::wire::Wire;

/// Flags of short runs that a busy machine may spoil, unless the call has its own.
const DEFAULTS: &[(&str, &str)] = &[
    ("--duration", "1s"),
    ("--warmup", "1s"),
    ("--drain", "20s"),
    (
        "--tolerate",
        "other-load,cpu-stolen,client-late,client-saturated,backlog-growing,backlog-at-start,consumers-behind,clock-jumped,too-few-samples",
    ),
];

/// A call in a directory of its own.
fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.args(["bench", "--no-floors", "--output"]).arg(dir.join("out")).args(args).stdin(Stdio::null());
    for (flag, value) in DEFAULTS.iter().filter(|(flag, _)| !args.contains(flag)) {
        command.args([flag, value]);
    }
    if !args.contains(&"--bootstrap-server") && !args.contains(&"--io") {
        command.args(io_flag());
    }
    command
}

fn bench(dir: &Path, args: &[&str]) -> Output {
    command(dir, args).output().expect("our own binary can be started")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn results(dir: &Path) -> Value {
    let text = fs::read_to_string(dir.join("out/results.json")).expect("results are written");
    serde_json::from_str(&text).expect("JSON")
}

fn directory() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("millrace-bench-test").tempdir().expect("the temporary directory is writable")
}

#[test]
fn one_run_on_an_own_broker_gives_the_table_and_all_files() {
    let dir = directory();
    let junit = dir.path().join("junit.xml");
    let junit = junit.to_str().expect("UTF-8");
    let output = bench(dir.path(), &["--rate", "2000", "--verify", "--fail-if", "lost>0", "--junit", junit]);
    let printed = said(&output);
    assert_eq!(output.status.code(), Some(0), "{printed}");
    assert!(printed.contains("report: "), "{printed}");
    let results = results(dir.path());
    assert_eq!((&results["format"], &results["partial"]), (&1.into(), &Value::Null));
    let run = &results["runs"][0];
    assert_eq!(run["system"], "millrace");
    let acked = run["verification"]["counts"]["acked"].as_u64().expect("it was verified");
    assert!(acked >= 1500, "{run}");
    assert_eq!(run["verification"]["kept_promises"], true);
    assert!(run["latency"]["p50"].as_f64() > Some(0.0) && run["end_to_end"]["p50"].as_f64() > Some(0.0), "{run}");
    assert!(run["broker"]["cpu_s"].as_f64() > Some(0.0), "{run}");
    let ring = results["findings"].as_array().and_then(|all| all.iter().find(|finding| finding["check"] == "io_uring"));
    assert!(ring.is_some_and(|ring| ring["verdict"].is_string()), "what the machine costs is in the results");
    let page = fs::read_to_string(dir.path().join("out/report.html")).expect("the report is written");
    assert!(page.contains("<html") && !page.contains("src=\"http"), "a page of its own");
    let logs = fs::read_dir(dir.path().join("out")).expect("readable").filter_map(Result::ok);
    assert_eq!(logs.filter(|file| file.path().extension().is_some_and(|it| it == "hlog")).count(), 1);
    assert!(fs::read_to_string(junit).expect("JUnit is written").contains("<testsuite"));
}

#[test]
fn a_broken_promise_is_exit_code_2_and_a_comparison_with_oneself_finds_nothing() {
    let dir = directory();
    let output = bench(dir.path(), &["--rate", "2000", "--fail-if", "p50>0ms"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let file = dir.path().join("out/results.json");
    let compare = Command::new(env!("CARGO_BIN_EXE_millrace"))
        .args(["bench", "compare"])
        .args([&file, &file])
        .output()
        .expect("our own binary can be started");
    assert_eq!(compare.status.code(), Some(0), "{}", said(&compare));
    assert!(said(&compare).contains("0 worse"), "{}", said(&compare));
    let again = bench(dir.path(), &["--rate", "2000"]);
    assert_eq!(again.status.code(), Some(1), "results are not overwritten: {}", said(&again));
    assert!(said(&again).contains("has results already"), "{}", said(&again));
}

#[test]
fn a_sweep_has_a_run_for_every_combination() {
    let dir = directory();
    let sweep = ["--rate", "2000", "--sweep", "acks=1,all", "--sweep", "compression.type=none,lz4"];
    let output = bench(dir.path(), &sweep);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let results = results(dir.path());
    let runs = results["runs"].as_array().expect("runs");
    let varied: Vec<String> = runs.iter().map(|run| run["varied"].to_string()).collect();
    assert_eq!(varied.len(), 4, "{varied:?}");
    let ratio = |run: &Value| run["rates"]["compression_ratio"].as_f64().expect("a number");
    assert!(ratio(&runs[0]) < 1.0 && ratio(&runs[1]) > 1.2, "JSON shrinks: {} {}", ratio(&runs[0]), ratio(&runs[1]));
}

#[test]
fn wrong_flags_are_one_sentence_with_the_value() {
    let dir = directory();
    for (args, sentence) in [
        (&["--rate", "fast"][..], "rate=fast: not a rate: 5000, 50k, 1.5M"),
        (&["--sweep", "linger.ms"], "'linger.ms' is no sweep"),
        (&["--sweep", "rate=1,1"], "has a value twice"),
        (&["--fail-if", "p98>1ms"], "p98"),
        (&["--find-max"], "--find-max needs a promise to keep"),
        (&["--duration", "soon"], "--duration soon: not a time"),
        (&["--verify", "--record-size", "10"], "--verify needs values of 32 bytes"),
        (&["--verify", "--consumers", "0"], "--verify needs somebody who reads"),
        (&["--driver", "carrier-pigeon"], "--driver carrier-pigeon: give own, librdkafka or java"),
        (&["--producer-property", "linger.ms"], "--producer-property linger.ms: give it as key=value"),
        (&["--fault", "flood@3s"], "flood@3s"),
        (&["--io", "iocp"], "--io iocp: give auto, uring or epoll"),
        (&["--io", "epoll", "--bootstrap-server", "x:1"], "--io epoll is for a Millrace that the bench starts"),
        (&["--bogus"], "bogus is not a recognized option"),
        (&["--baseline", "/nowhere/results.json"], "/nowhere/results.json"),
    ] {
        let output = bench(dir.path(), args);
        let printed = said(&output);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {printed}");
        assert!(printed.contains(sentence), "{args:?}: {printed}");
        let lines = printed.trim().lines().filter(|line| !line.starts_with("Run 'millrace")).count();
        assert_eq!(lines, 1, "{args:?}: {printed}");
    }
    let contradicting =
        ["--rate", "1000", "--producer-property", "acks=1", "--producer-property", "enable.idempotence=true"];
    let output = bench(dir.path(), &contradicting);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("idempotence"), "{}", said(&output));
}

#[test]
fn the_broker_works_with_what_is_wanted_and_the_results_say_so() {
    let dir = directory();
    let output = bench(dir.path(), &["--io", "epoll", "--rate", "500", "--duration", "500ms", "--warmup", "300ms"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let results = results(dir.path());
    let rows = results["fairness"].as_array().expect("rows");
    let told = |what: &str| rows.iter().find(|row| row["what"] == what).map(|row| &row["values"]["millrace"]);
    assert_eq!(told("works with"), Some(&"epoll and threads".into()), "{rows:?}");
    assert_eq!(told("millrace.io"), Some(&"epoll".into()), "{rows:?}");
}

#[test]
fn a_broker_at_an_address_is_measured_and_left_as_it_was() {
    let dir = directory();
    let node = Node::start(Kind::Millrace, &[]);
    let address = node.bootstrap();
    create_topic(&mut Wire::connect(&node), "theirs", 3, &[]);
    let to = ["--bootstrap-server", &address, "--rate", "1000"];
    let output = bench(dir.path(), &[&to[..], &["--topic", "theirs"]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("topic theirs exists with 3 partitions and the run wants 4"), "{}", said(&output));
    fs::remove_dir_all(dir.path().join("out")).expect("there is one");
    let output = bench(dir.path(), &[&to[..], &["--topic", "theirs", "--partitions", "3"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    fs::remove_dir_all(dir.path().join("out")).expect("there is one");
    let output = bench(dir.path(), &to);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let list = Command::new(env!("CARGO_BIN_EXE_millrace"))
        .args(["kafka-topics", "--list", "--bootstrap-server", &address])
        .output()
        .expect("our own binary can be started");
    assert_eq!(String::from_utf8_lossy(&list.stdout).trim(), "theirs", "topics of runs are removed, others are not");
}

#[test]
fn nobody_at_the_address_is_one_sentence() {
    let dir = directory();
    let output = bench(dir.path(), &["--bootstrap-server", "127.0.0.1:1", "--rate", "1000"]);
    let printed = said(&output);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(printed.contains("127.0.0.1:1"), "{printed}");
}

#[test]
fn an_interrupt_keeps_what_was_done() {
    let dir = directory();
    let mut child = spawn(dir.path(), &["--rate", "1000", "--duration", "60s"]);
    // The first second of the run is over when its log has something.
    let out = dir.path().join("out");
    wait_for("a run", Duration::from_secs(60), || has_log(&out).then_some(()));
    thread::sleep(Duration::from_secs(3));
    signal(&child, "INT");
    let status = child.wait().expect("our child");
    assert_eq!(status.code(), Some(130), "{status} {:?}", status.signal());
    let results = results(dir.path());
    assert_eq!(results["partial"], "interrupted; whole runs: 0 of 1 planned");
    let run = &results["runs"][0];
    assert!(run["rates"]["records"].as_u64() > Some(0), "{results}");
    assert_eq!(invalid(run), ["interrupted"], "{}", run["complaints"]);
    assert!(run["complaints"][0]["text"].as_str().is_some_and(|it| it.contains(" of 60.0 s")), "{}", run["complaints"]);
    assert!(fs::read_to_string(out.join("report.html")).expect("written").len() > 1000);
}

#[test]
fn a_run_that_is_stopped_before_it_is_warm_is_called_invalid_everywhere() {
    let dir = directory();
    let path = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    let (junit, markdown, theirs) = (path("junit.xml"), path("summary.md"), path("omb"));
    let files = ["--junit", &junit, "--markdown", &markdown, "--omb-result", &theirs];
    let endless = ["--rate", "1000", "--warmup", "600s", "--warmup-fixed", "--duration", "60s", "--verify"];
    let mut command = command(dir.path(), &[&endless[..], &files[..]].concat());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("our own binary can be started");
    let out = dir.path().join("out");
    wait_for("a run", Duration::from_secs(60), || has_log(&out).then_some(()));
    thread::sleep(Duration::from_secs(1));
    signal(&child, "INT");
    let output = child.wait_with_output().expect("our child");
    let printed = said(&output);
    assert_eq!(output.status.code(), Some(130), "{printed}");
    let why = "interrupted before it was warm: nothing was measured";
    assert!(printed.contains("INVALID, interrupted") && printed.contains(why), "{printed}");
    let results = results(dir.path());
    let run = &results["runs"][0];
    assert_eq!((&run["rates"]["records"], &run["latency"]["count"]), (&0.into(), &0.into()), "{run}");
    assert_eq!(run["complaints"].as_array().map(Vec::len), Some(1), "{}", run["complaints"]);
    assert_eq!((invalid(run), &run["complaints"][0]["text"]), (vec!["interrupted".to_owned()], &why.into()));
    let read = |path: &str| fs::read_to_string(path).expect("written");
    assert!(read(&path("out/report.html")).contains("no number may be quoted: interrupted (1)"));
    assert!(read(&markdown).contains(why), "{}", read(&markdown));
    let cases = read(&junit);
    assert!(cases.contains("<error type=\"partial\" message=\"interrupted; whole runs: 0 of 1 planned"), "{cases}");
    assert_eq!(fs::read_dir(&theirs).expect("made").count(), 0, "a file of a run that never was");
}

#[test]
fn a_session_that_is_stopped_between_runs_keeps_the_whole_ones_and_marks_the_others() {
    let dir = directory();
    let mut child = spawn(dir.path(), &["--rate", "1000", "--sweep", "linger.ms=0,5,10,20"]);
    let file = dir.path().join("out/results.json");
    wait_for("the first run's results", Duration::from_secs(60), || file.exists().then_some(()));
    let goes_on = results(dir.path())["partial"].to_string();
    assert!(goes_on.contains("the session goes on, or was killed; "), "{goes_on}");
    signal(&child, "INT");
    assert_eq!(child.wait().expect("our child").code(), Some(130));
    let results = results(dir.path());
    let runs = results["runs"].as_array().expect("runs");
    let (last, whole) = runs.split_last().expect("there is one");
    let whole = if invalid(last).is_empty() { runs.len() } else { whole.len() };
    assert!(runs.len() < 4 && runs[..whole].iter().all(|run| invalid(run).is_empty()), "{results}");
    assert!(runs[whole..].iter().all(|run| invalid(run)[0] == "interrupted"), "{results}");
    assert_eq!(results["partial"], format!("interrupted; whole runs: {whole} of 4 planned"));
}

#[test]
fn a_broker_that_dies_ends_the_session_and_earlier_runs_are_kept() {
    let dir = directory();
    let mut node = Node::start(Kind::Millrace, &[]);
    let address = node.bootstrap();
    let sweep = ["--rate", "1000", "--sweep", "linger.ms=0,5,10,20", "--bootstrap-server", &address];
    let deadline =
        ["--producer-property", "delivery.timeout.ms=3000", "--producer-property", "request.timeout.ms=1000"];
    let mut child = spawn(dir.path(), &[&sweep[..], &deadline[..], &["--drain", "5s"]].concat());
    let file = dir.path().join("out/results.json");
    wait_for("the first run's results", Duration::from_secs(60), || file.exists().then_some(()));
    node.kill9();
    let status = child.wait().expect("our child");
    assert_eq!(status.code(), Some(1), "{status}");
    let results = results(dir.path());
    let runs = results["runs"].as_array().expect("runs");
    assert!(!runs.is_empty() && runs[0]["rates"]["records"].as_u64() > Some(0), "{results}");
    assert!(results["partial"].as_str().is_some_and(|text| text.contains(&address)), "{}", results["partial"]);
}

#[test]
fn a_kill_in_a_run_shows_the_dip_and_loses_nothing_that_was_acknowledged() {
    let dir = directory();
    let output =
        bench(dir.path(), &["--fault", "kill9@2s:1s", "--duration", "6s", "--rate", "1000", "--sweep", "acks=all,1"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    for run in results(dir.path())["runs"].as_array().expect("runs") {
        assert_eq!(run["verification"]["counts"]["lost"], 0, "{}", run["verification"]);
        assert_eq!(run["verification"]["kept_promises"], true, "{}", run["verification"]);
        let fault = &run["faults"][0];
        assert!(fault["dip_s"].as_f64() > Some(0.0), "{fault}");
        assert!(run["latency"]["max"].as_f64() > Some(20.0), "who waited for the start is in the latencies: {fault}");
    }
}

#[test]
fn workloads_of_openmessaging_benchmark_run_as_they_are() {
    let dir = directory();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/omb/workloads/simple-workload.yaml");
    let written = dir.path().join("omb");
    let written = written.to_str().expect("UTF-8");
    // Only time and rate are less than the file asks for.
    let output = bench(dir.path(), &["--omb-workload", file, "--omb-result", written, "--rate", "500"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let results = results(dir.path());
    assert_eq!(results["runs"][0]["rates"]["target_records_s"], 500.0);
    let name = format!("{}.json", results["runs"][0]["id"].as_str().expect("a name"));
    let text = fs::read_to_string(Path::new(written).join(name)).expect("one file for each run");
    let theirs: Value = serde_json::from_str(&text).expect("JSON");
    assert!(theirs["publishRate"].as_array().is_some_and(|rates| !rates.is_empty()), "{theirs}");
}

#[test]
fn consumers_that_were_away_catch_up() {
    let dir = directory();
    let output = bench(dir.path(), &["--rate", "2000", "--backlog", "2MB", "--duration", "4s", "--verify"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let results = results(dir.path());
    let catch_up = &results["runs"][0]["catch_up"];
    assert!(catch_up["backlog_bytes"].as_u64() >= Some(2_000_000), "{catch_up}");
    assert!(catch_up["seconds"].as_f64() > Some(0.0), "{catch_up}");
    assert!(results["answers"][0].as_str().is_some_and(|text| text.contains("caught up in")), "{}", results["answers"]);
}

#[test]
fn scenarios_run_by_their_names() {
    let dir = directory();
    let output = bench(dir.path(), &["--scenario", "web-log", "--rate", "500", "--slo", "p99<600s"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(results(dir.path())["title"].as_str().is_some_and(|title| title.contains("web")));
    let other = directory();
    let output = bench(other.path(), &["--scenario", "knitting"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("order-events"), "the names that there are: {}", said(&output));
}

/// Kinds of the complaints that make a run invalid.
fn invalid(run: &Value) -> Vec<String> {
    let complaints = run["complaints"].as_array().expect("complaints");
    let bad = complaints.iter().filter(|it| it["severity"] == "invalid");
    bad.filter_map(|it| it["kind"].as_str().map(str::to_owned)).collect()
}

fn spawn(dir: &Path, args: &[&str]) -> Child {
    command(dir, args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("our own binary can be started")
}

fn has_log(out: &Path) -> bool {
    fs::read_dir(out).is_ok_and(|mut files| {
        files.any(|file| file.is_ok_and(|file| file.path().extension().is_some_and(|it| it == "hlog")))
    })
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status();
    assert!(status.expect("kill runs").success());
}
