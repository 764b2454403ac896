//! `millrace doctor` on this machine, and where something is missing.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::node::{Kind, Node};
use crate::support::seccomp;

fn doctor(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.arg("doctor").args(arguments);
    command
}

/// The findings of `--json`.
fn findings(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{complaint}"))
}

#[track_caller]
fn finding<'a>(findings: &'a [Value], check: &str) -> &'a Value {
    let found = findings.iter().find(|finding| finding["check"] == check);
    found.unwrap_or_else(|| panic!("there is no {check} in {findings:?}"))
}

#[test]
fn it_needs_no_arguments() {
    let home = tempfile::tempdir().expect("the temporary directory is writable");
    let output = doctor(&[]).current_dir(home.path()).output().expect("the binary can be started");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("millrace-data: space ") && text.contains(" stop you"), "{text}");
}

#[test]
fn it_looks_at_this_machine_and_leaves_nothing_behind() {
    let home = tempfile::tempdir().expect("the temporary directory is writable");
    let data = home.path().join("not/yet");
    let data = data.display().to_string();
    let output = doctor(&["--data-dir", &data]).output().expect("the binary can be started");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for words in
        ["kernel ", "locked memory ", "tail memory ", "io_uring ", ": O_DIRECT ", "4 KiB durable in", "0 stop you"]
    {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
    assert_eq!(std::fs::read_dir(home.path()).expect("it is there").count(), 0);
    let all = findings(&doctor(&["--json", "--data-dir", &data]).output().expect("the binary can be started"));
    assert!(all.len() > 18, "{all:?}");
    assert!(all.iter().all(|finding| (finding["verdict"] == "fine") == (finding["mend"] == "")), "{all:?}");
}

#[test]
fn what_stops_a_broker_is_exit_code_1() {
    let output = doctor(&["--data-dir", "/proc/millrace-data", "--json"]).output().expect("the binary can be started");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(finding(&findings(&output), "/proc/millrace-data: access")["verdict"], "stops you");
}

#[test]
fn a_containers_profile_and_orphaned_tails_are_found() {
    let node = Node::prepare(Kind::Millrace, &[]);
    let memory = tempfile::tempdir_in("/dev/shm").expect("every Linux has a tmpfs there");
    let orphan = memory.path().join("millrace-AAAAAAAAAAAAAAAAAAAAAA-0-00000000.tail");
    std::fs::write(&orphan, [1; 8192]).expect("there is room");
    let config = config_with_tails(&node, memory.path());
    let mut command = doctor(&["--json", "--config", &config]);
    seccomp::confine(&mut command);
    let output = command.output().expect("the binary can be started");
    let all = findings(&output);
    assert_eq!(output.status.code(), Some(0), "{all:?}");
    let ring = finding(&all, "io_uring");
    assert_eq!(ring["verdict"], "costs you");
    assert!(ring["mend"].as_str().is_some_and(|mend| mend.contains("--security-opt seccomp=")), "{ring}");
    assert!(finding(&all, "seccomp")["value"].as_str().is_some_and(|value| value.contains("a filter")));
    let tails = finding(&all, "orphaned tails");
    let mend = tails["mend"].as_str().expect("there is one");
    assert!(mend.ends_with(&format!("rm {}", orphan.display())), "{mend}");
    assert!(orphan.exists(), "the doctor prescribes, and removes nothing");
}

fn config_with_tails(node: &Node, tails: &Path) -> String {
    let path = node.write_config();
    let mut text = std::fs::read_to_string(&path).expect("it was just written");
    text.push_str(&format!("millrace.tail.dir={}\n", tails.display()));
    std::fs::write(&path, text).expect("our directory is writable");
    path.display().to_string()
}
