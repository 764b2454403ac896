//! How far behind groups are, in records and in seconds, as `/metrics` shows it.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use millrace::record::BatchBuilder;

use crate::calls::{create_topic, produce};
use crate::groups::{commit, find_coordinator};
use crate::support::node::{Kind, Node};
use crate::support::ports::free_port;
use crate::support::wait::wait_for;
use crate::support::wire::Wire;

const TOPIC: &str = "late";
const LIMIT: Duration = Duration::from_secs(30);
const AGE_MS: i64 = 3_600_000;

/// The values of a metric by its labels.
fn metric(port: u16, name: &str) -> HashMap<String, f64> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("the HTTP port is open");
    socket.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("it listens");
    let mut page = String::new();
    socket.read_to_string(&mut page).expect("it answers");
    let value = |line: &str| {
        let (labels, value) = line.strip_prefix(name)?.strip_prefix('{')?.split_once("} ")?;
        Some((labels.to_owned(), value.parse().ok()?))
    };
    page.lines().filter_map(value).collect()
}

#[test]
fn lags_of_groups_are_shown_in_records_and_seconds() {
    let http = free_port();
    let listener = format!("127.0.0.1:{http}");
    let node =
        Node::start(Kind::Millrace, &[("offsets.topic.num.partitions", "4"), ("millrace.http.listener", &listener)]);
    let mut wire = Wire::connect(&node);
    create_topic(&mut wire, TOPIC, 3, &[]);
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970").as_millis() as i64;
    // Ten batches of one record on each partition, the first an hour old, each a second younger than the one before.
    for partition in 0..3 {
        for nth in 0..10 {
            let mut batch = BatchBuilder::new();
            batch.push(now_ms - AGE_MS + nth * 1000, None, Some(b"value"), std::iter::empty());
            assert_eq!(produce(&mut wire, TOPIC, partition, -1, &batch.build()).error_code, 0);
        }
    }
    find_coordinator(&mut wire, "slow");
    find_coordinator(&mut wire, "odd \"name\"");
    commit(&mut wire, "slow", TOPIC, &[(0, 0), (1, 4), (2, 10)]);
    commit(&mut wire, "odd \"name\"", TOPIC, &[(1, 9)]);
    let labels = |group: &str, partition: i32| format!("group=\"{group}\",topic=\"{TOPIC}\",partition=\"{partition}\"");
    let expected = [
        (labels("slow", 0), 10.0, 0),
        (labels("slow", 1), 6.0, 4),
        (labels("slow", 2), 0.0, -1),
        (labels("odd \\\"name\\\"", 1), 1.0, 9),
    ];
    let records = wait_for("the lags to be shown", LIMIT, || {
        let records = metric(http, "millrace_group_lag_records");
        (records.len() == expected.len()).then_some(records)
    });
    let seconds = metric(http, "millrace_group_lag_seconds");
    let groups = metric(http, "millrace_groups");
    let state = |kind: &str, state: &str| groups.get(&format!("type=\"{kind}\",state=\"{state}\"")).copied();
    assert_eq!((state("classic", "Empty"), state("consumer", "Stable")), (Some(2.0), Some(0.0)), "{groups:?}");
    for (labels, lag, nth) in expected {
        assert_eq!(records.get(&labels), Some(&lag), "{labels} in {records:?}");
        let age = *seconds.get(&labels).unwrap_or_else(|| panic!("{labels} is not in {seconds:?}"));
        let least = if nth < 0 { 0.0 } else { (AGE_MS / 1000 - nth) as f64 };
        assert!(age >= least && age < least + 600.0, "{labels}: {age} instead of {least}");
        assert!(nth >= 0 || age == 0.0, "{labels}: {age}");
    }
    commit(&mut wire, "slow", TOPIC, &[(0, 10)]);
    wait_for("the lag to be gone", LIMIT, || {
        (metric(http, "millrace_group_lag_records").get(&labels("slow", 0)) == Some(&0.0)).then_some(())
    });
}
