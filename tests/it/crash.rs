//! Killed with -9 again and again under load: what was acknowledged with acks=1 or all is there, once and in order.

use std::thread;
use std::time::Duration;

use bytes::Bytes;
use millrace::record::{BatchBuilder, Compression};

use crate::calls::{batch, create_topic, produce_request, read_values};
use crate::support::node::{Kind, Node};
use crate::support::wait::wait_for;
use crate::support::wire::Wire;

const PARTITIONS: i32 = 4;

/// Writes `writer`'s numbered records until the broker dies; the acknowledged ones go to `acknowledged`.
fn write_until_killed(node: &Node, partition: i32, acks: i16, first: usize) -> usize {
    let mut wire = Wire::connect(node);
    let mut next = first;
    loop {
        let records = records(partition, next);
        let request = produce_request("crash", partition, acks, records);
        match wire.try_call(&request, 9) {
            Ok(answer) => match answer.responses[0].partition_responses[0].error_code {
                0 => next += 1,
                // The partition has no leader yet.
                3 | 6 => {}
                code => panic!("the broker refuses with {code}"),
            },
            Err(_) => break,
        }
    }
    next
}

/// One batch; its values begin with their number, its size varies, some are compressed.
fn records(partition: i32, number: usize) -> Bytes {
    let filler = vec![b'a' + (number % 26) as u8; (number * 37) % 5000];
    let value = [format!("{partition}/{number}/").as_bytes(), &filler].concat();
    let batch: BatchBuilder = batch(&[&value]);
    if number.is_multiple_of(3) { batch.codec(Compression::Lz4, 1).build() } else { batch.build() }
}

fn number_of(value: &[u8]) -> usize {
    let text = String::from_utf8_lossy(value);
    text.split('/').nth(1).and_then(|number| number.parse().ok()).expect("the value begins with its number")
}

#[test]
fn acknowledged_records_survive_repeated_kills() {
    let overrides = [("log.segment.bytes", "1048576"), ("log.index.interval.bytes", "512")];
    let mut node = Node::start(Kind::under_test(), &overrides);
    create_topic(&mut Wire::connect(&node), "crash", PARTITIONS, &[]);
    let rounds = if node.kind() == Kind::Millrace { 6 } else { 2 };
    let mut acknowledged = vec![0; PARTITIONS as usize];
    for round in 0..rounds {
        let known: Vec<usize> = thread::scope(|scope| {
            let shared = &node;
            let writer = |partition: i32| {
                let acks = if partition % 2 == 0 { 1 } else { -1 };
                let first = acknowledged[partition as usize];
                scope.spawn(move || write_until_killed(shared, partition, acks, first))
            };
            let writers: Vec<_> = (0..PARTITIONS).map(writer).collect();
            let mut wire = Wire::connect(shared);
            let wanted = acknowledged[0] as i64 + 150;
            wait_for("enough records", Duration::from_secs(60), || {
                (crate::calls::list_offset(&mut wire, "crash", 0, -1) >= wanted).then_some(())
            });
            let killed = std::process::Command::new("kill").arg("-KILL").arg(shared.pid().to_string()).status();
            assert!(killed.is_ok_and(|status| status.success()));
            writers.into_iter().map(|writer| writer.join().expect("the writer doesn't panic")).collect()
        });
        node.wait_exit();
        node.start_again();
        let mut wire = Wire::connect(&node);
        for partition in 0..PARTITIONS {
            let values = read_values(&mut wire, "crash", partition, 0);
            let count = known[partition as usize];
            assert!(
                values.len() >= count,
                "round {round}: {} of {count} acknowledged records of partition {partition}",
                values.len()
            );
            for (index, value) in values.iter().enumerate() {
                assert_eq!(
                    number_of(value),
                    index,
                    "round {round}: partition {partition} has another record at {index}"
                );
            }
            // A record that came through without its acknowledgement counts from here on.
            acknowledged[partition as usize] = values.len();
        }
    }
    node.stop();
}
