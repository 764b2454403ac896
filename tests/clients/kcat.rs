//! The program kcat, one process per job.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::thread;

use crate::client::{Idempotence, Target};
use crate::record::Record;
use crate::support::install::run;

const KEY_END: &str = "|key|";
const RECORD_END: &str = "|end|";
const HEADER: (&str, &str) = ("written-by", "kcat");

/// Installs kcat from Debian's package when it is missing and this is root.
static INSTALLED: LazyLock<Result<(), String>> = LazyLock::new(|| {
    if run(Command::new("kcat").arg("-V")).is_ok() {
        return Ok(());
    }
    let install =
        |arguments: &[&str]| run(Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(arguments));
    install(&["update", "-q"])
        .and_then(|_| install(&["install", "-q", "-y", "--no-install-recommends", "kcat"]))
        .map(|_| ())
        .map_err(|problem| format!("install the package kcat (as root the tests do it themselves): {problem}"))
});

/// A `kcat` command for one partition of the target.
pub fn command(target: &Target, mode: &str) -> Command {
    if let Err(problem) = &*INSTALLED {
        panic!("the tests need kcat, and it can't be installed: {problem}");
    }
    let mut command = Command::new("kcat");
    command.args([mode, "-b", &target.bootstrap, "-t", &target.topic, "-p", &target.partition.to_string()]);
    command.args(["-X", "broker.address.family=v4"]);
    command
}

/// What kcat can write of a record: its own time, the same header everywhere, empty means null.
pub fn writable(record: &Record) -> Record {
    let filled = |bytes: &Option<Vec<u8>>| bytes.clone().filter(|bytes| !bytes.is_empty());
    Record {
        offset: record.offset,
        timestamp: None,
        key: filled(&record.key),
        value: filled(&record.value),
        headers: vec![(HEADER.0.into(), Some(HEADER.1.as_bytes().to_vec()))],
    }
}

/// Writes records that [`writable`] gave.
pub fn produce(target: &Target, codec: &str, idempotence: Idempotence, records: &[Record]) -> Result<(), String> {
    let mut input = Vec::new();
    for record in records {
        input.extend(record.key.as_deref().unwrap_or_default());
        input.extend(KEY_END.as_bytes());
        input.extend(record.value.as_deref().unwrap_or_default());
        input.extend(RECORD_END.as_bytes());
    }
    let mut kcat = command(target, "-P");
    kcat.args(["-z", codec, "-K", KEY_END, "-D", RECORD_END, "-Z", "-H", &format!("{}={}", HEADER.0, HEADER.1)]);
    kcat.args(["-X", "linger.ms=20", "-X", "acks=all"]);
    if idempotence == Idempotence::On {
        kcat.args(["-X", "enable.idempotence=true"]);
    }
    let mut child = kcat.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
    let mut stdin = child.stdin.take().expect("it was asked for");
    let feeder = thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let fed = feeder.join().map_err(|_| "the feeder panicked".to_string())?;
    if !output.status.success() {
        return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    fed.map_err(|error| error.to_string())
}

/// Reads as many records as are expected; headers come as text, so they are compared with the expected text.
pub fn consume(target: &Target, expected: &[Record], each: &mut dyn FnMut(Record)) -> Result<(), String> {
    let mut kcat = command(target, "-C");
    kcat.args(["-o", "beginning", "-q", "-X", "check.crcs=true", "-c", &expected.len().to_string()]);
    kcat.args(["-f", "%o %T %K %S\\n%k%s%h\\n"]);
    let mut child = kcat.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
    let mut output = BufReader::with_capacity(1 << 16, child.stdout.take().expect("it was asked for"));
    let mut read = || -> Result<(), String> {
        for (index, record) in expected.iter().enumerate() {
            let shown = read_record(&mut output, record).map_err(|problem| format!("record {index}: {problem}"))?;
            each(shown);
        }
        Ok(())
    };
    let result = read();
    let _ = if result.is_err() { child.kill() } else { Ok(()) };
    let ended = child.wait_with_output().map_err(|error| error.to_string())?;
    let complaint = String::from_utf8_lossy(&ended.stderr).into_owned();
    result.map_err(|problem| format!("{problem}; {complaint}"))?;
    if ended.status.success() { Ok(()) } else { Err(format!("{}: {complaint}", ended.status)) }
}

fn read_record(output: &mut impl BufRead, expected: &Record) -> Result<Record, String> {
    let mut line = String::new();
    output.read_line(&mut line).map_err(|error| error.to_string())?;
    let numbers: Vec<i64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [offset, timestamp, key_len, value_len] = numbers[..] else {
        return Err(format!("kcat said {line:?}"));
    };
    let key = read_bytes(output, key_len)?;
    let value = read_bytes(output, value_len)?;
    let mut headers = expected.headers.clone();
    let text = rendered(&headers);
    let shown = read_bytes(output, text.len() as i64 + 1)?.unwrap_or_default();
    if shown[..text.len()] != text || shown.last() != Some(&b'\n') {
        headers = vec![("kcat shows".into(), Some(shown))];
    }
    Ok(Record { offset, timestamp: Some(timestamp), key, value, headers })
}

fn read_bytes(output: &mut impl Read, len: i64) -> Result<Option<Vec<u8>>, String> {
    let Ok(len) = usize::try_from(len) else {
        return Ok(None);
    };
    let mut bytes = vec![0; len];
    output.read_exact(&mut bytes).map_err(|error| error.to_string())?;
    Ok(Some(bytes))
}

/// `name=value,name=value`, as kcat prints headers.
fn rendered(headers: &[(String, Option<Vec<u8>>)]) -> Vec<u8> {
    let parts: Vec<Vec<u8>> = headers
        .iter()
        .map(|(key, value)| [key.as_bytes(), b"=", value.as_deref().unwrap_or(b"NULL")].concat())
        .collect();
    parts.join(&b","[..])
}
