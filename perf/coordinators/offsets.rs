//! A million committed offsets: to write them, and to wait until a broker that was started again knows them.

use std::time::{Duration, Instant};

use millrace::protocol::ApiKey;
use millrace::protocol::api_versions::ApiVersionsRequest;
use millrace::protocol::offset_commit::{OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use millrace::protocol::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use millrace::wire::KafkaString;
use serde_json::{Value, json};

use crate::die;
use crate::pool::Pool;
use crate::setup::{self, Of};

const TOPIC: &str = "offsets";
/// Partitions that each group commits.
pub const PARTITIONS: i32 = 100;
const CONNECTIONS: usize = 8;
const COMMIT: i16 = 9;
const FETCH: i16 = 9;

fn group(nth: usize) -> KafkaString {
    format!("holder-of-offsets-{nth}").into()
}

fn offset(nth: usize, partition: i32) -> i64 {
    (nth as i64) << 20 | i64::from(partition)
}

/// So many groups commit all partitions once.
pub fn fill(port: u16, groups: usize) -> Value {
    let mut pool = Pool::connect(port, CONNECTIONS);
    setup::topic(&mut pool, TOPIC, PARTITIONS);
    setup::coordinators(&mut pool, Of::Group, &[group(0)]);
    let began = Instant::now();
    for first in (0..groups).step_by(CONNECTIONS) {
        let some = first..(first + CONNECTIONS).min(groups);
        for nth in some.clone() {
            commit(&mut pool, nth - first, nth);
        }
        let mut left = some.len();
        while left > 0 {
            for (connection, answer) in pool.answers(Duration::from_secs(30)) {
                let answer = crate::pool::decode::<OffsetCommitRequest>(answer, COMMIT);
                let codes: Vec<i16> = answer.topics[0].partitions.iter().map(|one| one.error_code).collect();
                match codes.iter().find(|code| **code != 0) {
                    None => left -= 1,
                    // A coordinator that is just being made.
                    Some(14..=16) => {
                        std::thread::sleep(Duration::from_millis(5));
                        commit(&mut pool, connection, first + connection);
                    }
                    Some(code) => die(&format!("OffsetCommit: error {code}")),
                }
            }
        }
    }
    json!({"records": groups * PARTITIONS as usize, "seconds": began.elapsed().as_secs_f64()})
}

fn commit(pool: &mut Pool, connection: usize, nth: usize) {
    let partition = |partition_index| OffsetCommitRequestPartition {
        partition_index,
        committed_offset: offset(nth, partition_index),
        committed_metadata: Some(KafkaString::EMPTY),
        ..Default::default()
    };
    let partitions = (0..PARTITIONS).map(partition).collect();
    let topic = OffsetCommitRequestTopic { name: TOPIC.into(), partitions, ..Default::default() };
    let request = OffsetCommitRequest { group_id: group(nth), topics: vec![topic], ..Default::default() };
    pool.ask(connection, &request, COMMIT);
}

/// Waits until the last group's last offset is answered. Milliseconds since this program began and since the broker's first
/// answer to anything.
pub fn wait(port: u16, groups: usize) -> Value {
    let began = Instant::now();
    let mut pool = Pool::connect(port, 1);
    let version = ApiKey::ApiVersions.versions().1.min(3);
    let request = ApiVersionsRequest {
        client_software_name: "perf".into(),
        client_software_version: "1".into(),
        ..Default::default()
    };
    let told = pool.call(0, &request, version);
    if told.error_code != 0 {
        die(&format!("ApiVersions: error {}", told.error_code));
    }
    let first = began.elapsed();
    let request = OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: group(groups - 1),
            topics: Some(vec![OffsetFetchRequestTopics {
                name: TOPIC.into(),
                partition_indexes: vec![PARTITIONS - 1],
                ..Default::default()
            }]),
            ..Default::default()
        }],
        ..Default::default()
    };
    loop {
        let answer = pool.call(0, &request, FETCH).groups.swap_remove(0);
        match answer.error_code {
            0 => {
                let found = answer.topics[0].partitions[0].committed_offset;
                if found != offset(groups - 1, PARTITIONS - 1) {
                    die(&format!("offset {found} was never committed there"));
                }
                break;
            }
            14..=16 if began.elapsed() < Duration::from_secs(120) => std::thread::sleep(Duration::from_millis(2)),
            code => die(&format!("OffsetFetch: error {code}")),
        }
    }
    json!({"first_answer_ms": first.as_secs_f64() * 1e3, "load_ms": (began.elapsed() - first).as_secs_f64() * 1e3})
}
