//! Byte for byte with Kafka's own classes: what they read and write again, and what they write for a message on
//! which nothing was set.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;

use bytes::Bytes;
use millrace::protocol::{ApiKey, ErrorCode};

use crate::catalog;
use crate::random::{RandomMessages, Shape};
use crate::support::install::run;
use crate::support::kafka_jars::java_program;

const ROUNDS: u64 = 6;

#[test]
fn kafkas_classes_read_and_write_the_same_bytes() {
    let mut random = RandomMessages::new(4, Shape::Mixed);
    let mut questions = String::new();
    let mut expected = Vec::new();
    for entry in catalog::all() {
        for version in entry.versions() {
            for _ in 0..ROUNDS {
                let bytes = random.message(&entry.table, version);
                expected.push((entry.name(), version, hex(&bytes)));
                writeln!(questions, "{} {version} {}", entry.name(), hex(&bytes)).expect("memory");
            }
        }
    }
    compare(&questions, &expected);
}

#[test]
fn defaults_are_kafkas() {
    let mut questions = String::new();
    let mut expected = Vec::new();
    for entry in catalog::all() {
        for version in entry.versions() {
            let bytes: Bytes = (entry.default)(version);
            expected.push((entry.name(), version, hex(&bytes)));
            writeln!(questions, "{} {version} default", entry.name()).expect("memory");
        }
    }
    compare(&questions, &expected);
}

#[test]
fn error_codes_and_header_versions_are_kafkas() {
    let mut ours = Vec::new();
    for error in ErrorCode::ALL {
        ours.push(format!("error {} {} {} {}", error.code(), error.name(), error.is_retriable(), error.message()));
    }
    for key in ApiKey::ALL {
        let (first, last) = key.versions();
        for version in first..=last {
            let (request, response) = (key.request_header_version(version), key.response_header_version(version));
            ours.push(format!("header {} {version} {request} {response}", key.key()));
        }
    }
    let kafkas = run(java_program("tests/protocol/Recode.java").arg("tables")).expect("java runs");
    let kafkas: Vec<&str> = kafkas.lines().collect();
    assert_eq!(ours, kafkas);
}

fn compare(questions: &str, expected: &[(&str, i16, String)]) {
    let answers = ask(questions);
    let answers: Vec<&str> = answers.lines().collect();
    assert_eq!(answers.len(), expected.len());
    let differing: Vec<String> = answers
        .iter()
        .zip(expected)
        .filter(|(answer, (_, _, ours))| *answer != ours)
        .map(|(answer, (name, version, ours))| format!("{name} version {version}:\n  ours  {ours}\n  Kafka {answer}"))
        .collect();
    assert!(differing.is_empty(), "{} of {} differ:\n{}", differing.len(), expected.len(), differing.join("\n"));
}

fn ask(questions: &str) -> String {
    let mut command = java_program("tests/protocol/Recode.java");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("java runs");
    let mut input = child.stdin.take().expect("piped");
    let questions = questions.to_owned();
    let writer = std::thread::spawn(move || input.write_all(questions.as_bytes()));
    let output = child.wait_with_output().expect("java ends");
    writer.join().expect("no panic").expect("java reads its questions");
    assert!(output.status.success(), "java ended with {}", output.status);
    String::from_utf8(output.stdout).expect("hex")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("memory");
        text
    })
}
