//! Transactions over TCP: what a read_committed consumer sees is all of what was committed and nothing else, whenever the
//! broker is killed.

use std::collections::HashSet;
use std::time::Duration;

use millrace::protocol::add_offsets_to_txn::AddOffsetsToTxnRequest;
use millrace::protocol::add_partitions_to_txn::{AddPartitionsToTxnRequest, AddPartitionsToTxnTopic};
use millrace::protocol::describe_producers::{DescribeProducersRequest, TopicRequest};
use millrace::protocol::describe_transactions::DescribeTransactionsRequest;
use millrace::protocol::end_txn::EndTxnRequest;
use millrace::protocol::find_coordinator::FindCoordinatorRequest;
use millrace::protocol::init_producer_id::InitProducerIdRequest;
use millrace::protocol::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use millrace::protocol::list_transactions::ListTransactionsRequest;
use millrace::protocol::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use millrace::protocol::produce::ProduceRequest;
use millrace::protocol::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use millrace::protocol::write_txn_markers::{WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest};
use millrace::record::{Batches, Decompressor, NO_SEQUENCE, decode_records};

use crate::calls::{batch, create_topic, fetch_request, produce_request};
use crate::support::node::{Kind, Node};
use crate::support::wait::wait_for;
use crate::support::wire::Wire;

const LIMIT: Duration = Duration::from_secs(30);
const TOPIC: &str = "moved";
const ID: &str = "mover";
const LOADING: i16 = 14;
const NOT_COORDINATOR: i16 = 16;
const NOT_ENOUGH_REPLICAS: i16 = 19;
const INVALID_PRODUCER_EPOCH: i16 = 47;
const INVALID_TXN_STATE: i16 = 48;
const CONCURRENT_TRANSACTIONS: i16 = 51;
const UNSTABLE_OFFSET_COMMIT: i16 = 88;
const PRODUCER_FENCED: i16 = 90;
/// Produce: adds the partition to the transaction. And the version before, which only asks whether it is in.
const ADDS: i16 = 12;
const VERIFIES: i16 = 11;

fn node(overrides: &[(&str, &str)]) -> Node {
    let few = [
        ("offsets.topic.num.partitions", "2"),
        ("transaction.state.log.num.partitions", "2"),
        ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "100"),
    ];
    let node = Node::start(Kind::under_test(), &[&few[..], overrides].concat());
    let mut wire = Wire::connect(&node);
    create_topic(&mut wire, TOPIC, 2, &[]);
    for (key_type, key) in [(0, "g"), (1, ID)] {
        let request = FindCoordinatorRequest { key_type, coordinator_keys: vec![key.into()], ..Default::default() };
        wait_for("a coordinator", LIMIT, || (wire.call(&request, 6).coordinators[0].error_code == 0).then_some(()));
    }
    node
}

fn passes(code: i16) -> bool {
    matches!(code, LOADING | NOT_COORDINATOR | NOT_ENOUGH_REPLICAS | CONCURRENT_TRANSACTIONS | 3 | 6 | 15)
}

/// Asks until the answer is not one that passes; answers the code.
fn until_settled(what: &str, mut ask: impl FnMut() -> i16) -> i16 {
    wait_for(what, LIMIT, || {
        let code = ask();
        (!passes(code)).then_some(code)
    })
}

/// A producer that follows the rules of new clients (each end raises its epoch), or of old ones.
struct Mover {
    wire: Wire,
    producer: (i64, i16),
    sequences: [i32; 2],
    raises_epoch: bool,
}

impl Mover {
    fn start(node: &Node, raises_epoch: bool) -> Mover {
        let mut wire = Wire::connect(node);
        let request = InitProducerIdRequest {
            transactional_id: Some(ID.into()),
            transaction_timeout_ms: 60_000,
            ..Default::default()
        };
        let answer = wait_for("a producer id", LIMIT, || {
            let answer = wire.call(&request, 5);
            assert!(answer.error_code == 0 || passes(answer.error_code), "{answer:?}");
            (answer.error_code == 0).then_some(answer)
        });
        let producer = (answer.producer_id, answer.producer_epoch);
        Mover { wire, producer, sequences: [0; 2], raises_epoch }
    }

    fn add(&mut self, partitions: &[i32]) -> i16 {
        let topics = vec![AddPartitionsToTxnTopic { name: TOPIC.into(), partitions: partitions.to_vec() }];
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: ID.into(),
            v3_and_below_producer_id: self.producer.0,
            v3_and_below_producer_epoch: self.producer.1,
            v3_and_below_topics: topics,
            ..Default::default()
        };
        until_settled("partitions to be added", || {
            let answer = self.wire.call(&request, 3);
            answer.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code
        })
    }

    fn write(&mut self, partition: i32, value: &str) -> i16 {
        if !self.raises_epoch {
            let code = self.add(&[partition]);
            if code != 0 {
                return code;
            }
        }
        let sequence = self.sequences[partition as usize];
        let records = batch(&[value.as_bytes()]).producer(self.producer.0, self.producer.1, sequence).transactional();
        let request = ProduceRequest {
            transactional_id: Some(ID.into()),
            ..produce_request(TOPIC, partition, -1, records.build())
        };
        let version = if self.raises_epoch { ADDS } else { VERIFIES };
        let code = until_settled("a write", || {
            self.wire.call(&request, version).responses[0].partition_responses[0].error_code
        });
        if code == 0 {
            self.sequences[partition as usize] += 1;
        }
        code
    }

    fn end(&mut self, committed: bool) -> i16 {
        let request = EndTxnRequest {
            transactional_id: ID.into(),
            producer_id: self.producer.0,
            producer_epoch: self.producer.1,
            committed,
        };
        let version = if self.raises_epoch { 5 } else { 4 };
        wait_for("an end", LIMIT, || {
            let answer = self.wire.call(&request, version);
            if answer.error_code == 0 && self.raises_epoch {
                self.producer = (answer.producer_id, answer.producer_epoch);
                self.sequences = [0; 2];
            }
            (!passes(answer.error_code)).then_some(answer.error_code)
        })
    }

    fn commit_offset(&mut self, offset: i64) -> i16 {
        if !self.raises_epoch {
            let request = AddOffsetsToTxnRequest {
                transactional_id: ID.into(),
                producer_id: self.producer.0,
                producer_epoch: self.producer.1,
                group_id: "g".into(),
            };
            let code = until_settled("the group to be added", || self.wire.call(&request, 3).error_code);
            assert_eq!(code, 0);
        }
        let partition = TxnOffsetCommitRequestPartition { committed_offset: offset, ..Default::default() };
        let request = TxnOffsetCommitRequest {
            transactional_id: ID.into(),
            group_id: "g".into(),
            producer_id: self.producer.0,
            producer_epoch: self.producer.1,
            topics: vec![TxnOffsetCommitRequestTopic { name: TOPIC.into(), partitions: vec![partition] }],
            ..Default::default()
        };
        let version = if self.raises_epoch { 5 } else { 3 };
        until_settled("a commit", || self.wire.call(&request, version).topics[0].partitions[0].error_code)
    }

    fn reconnect(&mut self, node: &Node) {
        self.wire = Wire::connect(node);
    }
}

/// The committed offset of the group, or the code.
fn committed_offset(wire: &mut Wire) -> Result<i64, i16> {
    let topics = OffsetFetchRequestTopics { name: TOPIC.into(), partition_indexes: vec![0], ..Default::default() };
    let groups =
        vec![OffsetFetchRequestGroup { group_id: "g".into(), topics: Some(vec![topics]), ..Default::default() }];
    let request = OffsetFetchRequest { groups, require_stable: true, ..Default::default() };
    wait_for("an offset", LIMIT, || {
        let answer = wire.call(&request, 8).groups.swap_remove(0);
        if passes(answer.error_code) {
            return None;
        }
        let partition = &answer.topics[0].partitions[0];
        Some(if partition.error_code == 0 { Ok(partition.committed_offset) } else { Err(partition.error_code) })
    })
}

/// What a read_committed consumer reads of a partition: up to the last stable offset, aborted transactions left out.
fn read_committed(wire: &mut Wire, partition: i32) -> Vec<String> {
    let (mut values, mut offset, mut aborting) = (Vec::new(), 0, HashSet::new());
    loop {
        let mut request = fetch_request(TOPIC, partition, offset, 0);
        request.isolation_level = 1;
        let answer = wait_for("a fetch", LIMIT, || {
            let answer = wire.call(&request, 11).responses.swap_remove(0).partitions.swap_remove(0);
            (!passes(answer.error_code)).then_some(answer)
        });
        assert_eq!(answer.error_code, 0);
        let mut aborted = answer.aborted_transactions.clone().unwrap_or_default();
        let records = answer.records.map(millrace::wire::Records::into_bytes).unwrap_or_default();
        if records.is_empty() {
            return values;
        }
        for batch in Batches::new(&records) {
            let Ok(batch) = batch else { break };
            let header = &batch.header;
            aborted.retain(|one| {
                let begins = one.first_offset <= header.last_offset();
                if begins {
                    aborting.insert(one.producer_id);
                }
                !begins
            });
            offset = header.last_offset() + 1;
            if header.is_control() {
                aborting.remove(&header.producer_id);
                continue;
            }
            if header.is_transactional() && aborting.contains(&header.producer_id) {
                continue;
            }
            let mut decompressor = Decompressor::default();
            for record in decode_records(&batch, &mut decompressor, 1 << 24).expect("it was written here") {
                let value = record.expect("it was written here").value.unwrap_or_default().to_vec();
                values.push(String::from_utf8(value).expect("it is text"));
            }
        }
    }
}

fn wait_read(wire: &mut Wire, partition: i32, expected: &[String]) {
    wait_for("the markers", LIMIT, || (read_committed(wire, partition).len() >= expected.len()).then_some(()));
    assert_eq!(read_committed(wire, partition), expected);
}

fn last_stable(wire: &mut Wire, partition: i32) -> i64 {
    let partitions = vec![ListOffsetsPartition { partition_index: partition, timestamp: -1, ..Default::default() }];
    let request = ListOffsetsRequest {
        replica_id: -1,
        isolation_level: 1,
        topics: vec![ListOffsetsTopic { name: TOPIC.into(), partitions }],
        ..Default::default()
    };
    wire.call(&request, 5).topics[0].partitions[0].offset
}

fn state(wire: &mut Wire) -> String {
    let request = DescribeTransactionsRequest { transactional_ids: vec![ID.into()] };
    wait_for("a description", LIMIT, || {
        let described = wire.call(&request, 0).transaction_states.swap_remove(0);
        (!passes(described.error_code)).then(|| described.transaction_state.to_string())
    })
}

/// Kills the broker after each step of a transaction, in turn.
fn survives_kills(raises_epoch: bool) {
    let mut node = node(&[]);
    let mut expected: [Vec<String>; 2] = Default::default();
    let mut last_offset = -1;
    for (round, killed_after) in (0..6).chain(0..6).enumerate() {
        let commits = round % 2 == 0 || round > 6;
        let mut mover = Mover::start(&node, raises_epoch);
        let mut step = 0;
        let mut passed = |node: &mut Node, mover: &mut Mover| {
            if step == killed_after {
                node.kill9();
                node.start_again();
                mover.reconnect(node);
            }
            step += 1;
        };
        passed(&mut node, &mut mover);
        let values = [format!("{round} a"), format!("{round} b"), format!("{round} c")];
        assert_eq!(mover.write(0, &values[0]), 0, "round {round}");
        passed(&mut node, &mut mover);
        assert_eq!(mover.write(1, &values[1]), 0, "round {round}");
        passed(&mut node, &mut mover);
        assert_eq!(mover.commit_offset(round as i64), 0, "round {round}");
        passed(&mut node, &mut mover);
        assert_eq!(mover.write(0, &values[2]), 0, "round {round}");
        passed(&mut node, &mut mover);
        assert_eq!(committed_offset(&mut mover.wire), Err(UNSTABLE_OFFSET_COMMIT));
        assert_eq!(mover.end(commits), 0, "round {round}");
        passed(&mut node, &mut mover);
        if commits {
            let [first, second, third] = values;
            expected[0].extend([first, third]);
            expected[1].push(second);
            last_offset = round as i64;
        }
        wait_for("the end in the offsets", LIMIT, || committed_offset(&mut mover.wire).ok());
        assert_eq!(committed_offset(&mut mover.wire), Ok(last_offset), "round {round}");
        wait_for("the end", LIMIT, || state(&mut mover.wire).starts_with("Complete").then_some(()));
        wait_read(&mut mover.wire, 0, &expected[0]);
        wait_read(&mut mover.wire, 1, &expected[1]);
    }
    // Once more after a stop without haste, and after one with.
    node.stop();
    node.start_again();
    let mut wire = Wire::connect(&node);
    wait_read(&mut wire, 0, &expected[0]);
    node.kill9();
    node.start_again();
    let mut wire = Wire::connect(&node);
    wait_read(&mut wire, 0, &expected[0]);
    wait_read(&mut wire, 1, &expected[1]);
}

#[test]
fn transactions_of_new_clients_survive_kills_at_every_step() {
    survives_kills(true);
}

#[test]
fn transactions_of_old_clients_survive_kills_at_every_step() {
    survives_kills(false);
}

#[test]
fn aborted_transactions_stay_so_when_segments_roll_and_brokers_restart() {
    let mut node = node(&[("log.segment.bytes", "1048576")]);
    let mut mover = Mover::start(&node, true);
    let filler = "x".repeat(300_000);
    let mut expected = Vec::new();
    for round in 0..12 {
        let value = format!("{round} {filler}");
        assert_eq!(mover.write(0, &value), 0);
        assert_eq!(mover.end(round % 3 == 0), 0);
        if round % 3 == 0 {
            expected.push(value);
        }
    }
    wait_read(&mut mover.wire, 0, &expected);
    for round in 0..4 {
        if round % 2 == 0 {
            node.stop()
        } else {
            node.kill9()
        }
        node.start_again();
        let mut wire = Wire::connect(&node);
        wait_read(&mut wire, 0, &expected);
    }
    let files = std::fs::read_dir(node.data().join(format!("{TOPIC}-0"))).expect("the partition's directory");
    let is_index = |name: &std::ffi::OsStr| name.to_string_lossy().ends_with(".txnindex");
    let indexes = files.filter(|file| is_index(&file.as_ref().expect("a file").file_name())).count();
    assert!(indexes > 1, "{indexes} transaction indexes");
}

#[test]
fn a_producer_is_fenced_by_its_successor() {
    let node = node(&[]);
    for raises_epoch in [true, false] {
        let mut zombie = Mover::start(&node, raises_epoch);
        assert_eq!(zombie.write(0, "never committed"), 0);
        let mut successor = Mover::start(&node, raises_epoch);
        assert_eq!(zombie.end(true), PRODUCER_FENCED);
        let fenced = zombie.write(0, "late");
        assert!(matches!(fenced, PRODUCER_FENCED | INVALID_PRODUCER_EPOCH), "{fenced}");
        assert_eq!(successor.write(1, "of the successor"), 0);
        assert_eq!(successor.end(true), 0);
    }
    let mut wire = Wire::connect(&node);
    wait_read(&mut wire, 1, &["of the successor".to_owned(), "of the successor".to_owned()]);
    assert_eq!(read_committed(&mut wire, 0), Vec::<String>::new());
}

#[test]
fn an_open_transaction_bounds_what_is_stable() {
    let node = node(&[]);
    let mut mover = Mover::start(&node, true);
    assert_eq!(mover.write(0, "first"), 0);
    let before = last_stable(&mut mover.wire, 0);
    assert_eq!(before, 0);
    assert_eq!(state(&mut mover.wire), "Ongoing");
    assert_eq!(mover.end(false), 0);
    wait_for("the marker", LIMIT, || (last_stable(&mut mover.wire, 0) == 2).then_some(()));
    assert_eq!(read_committed(&mut mover.wire, 0), Vec::<String>::new());
    let listed = mover.wire.call(&ListTransactionsRequest { duration_filter: -1, ..Default::default() }, 2);
    assert_eq!((listed.error_code, listed.transaction_states.len()), (0, 1));
}

#[test]
fn batches_outside_of_a_transaction_are_refused() {
    let node = node(&[]);
    let mut mover = Mover::start(&node, false);
    let records = batch(&[b"stray"]).producer(mover.producer.0, mover.producer.1, 0).transactional();
    let request =
        ProduceRequest { transactional_id: Some(ID.into()), ..produce_request(TOPIC, 0, -1, records.build()) };
    let ask = |mover: &mut Mover, version| {
        until_settled("an answer", || mover.wire.call(&request, version).responses[0].partition_responses[0].error_code)
    };
    assert_eq!(ask(&mut mover, 9), INVALID_TXN_STATE);
    assert_eq!(ask(&mut mover, VERIFIES), 120);
    assert_eq!(mover.write(0, "inside"), 0);
    assert_eq!(mover.end(true), 0);
    wait_read(&mut mover.wire, 0, &["inside".to_owned()]);
}

#[test]
fn a_transaction_that_takes_too_long_is_aborted() {
    let node = node(&[]);
    let mut wire = Wire::connect(&node);
    let request =
        InitProducerIdRequest { transactional_id: Some(ID.into()), transaction_timeout_ms: 200, ..Default::default() };
    let answer = wait_for("a producer id", LIMIT, || {
        let answer = wire.call(&request, 5);
        (answer.error_code == 0).then_some(answer)
    });
    let producer = (answer.producer_id, answer.producer_epoch);
    let mut mover = Mover { wire, producer, sequences: [0; 2], raises_epoch: true };
    assert_eq!(mover.write(0, "too slow"), 0);
    wait_for("the abort", LIMIT, || (state(&mut mover.wire) == "CompleteAbort").then_some(()));
    // To the coordinator it looks as if the abort had been this producer's own.
    assert_eq!(mover.end(true), INVALID_TXN_STATE);
    assert_eq!(read_committed(&mut mover.wire, 0), Vec::<String>::new());
    assert_eq!(last_stable(&mut mover.wire, 0), 2);
}

#[test]
fn a_hanging_transaction_is_ended_by_a_marker() {
    let node = node(&[]);
    let mut mover = Mover::start(&node, true);
    assert_eq!(mover.write(0, "hanging"), 0);
    let topics = vec![TopicRequest { name: TOPIC.into(), partition_indexes: vec![0] }];
    let described = mover.wire.call(&DescribeProducersRequest { topics }, 0);
    let active = described.topics[0].partitions[0].active_producers[0].clone();
    assert_eq!((active.producer_id, active.current_txn_start_offset), (mover.producer.0, 0));
    let request = WriteTxnMarkersRequest {
        markers: vec![WritableTxnMarker {
            producer_id: active.producer_id,
            producer_epoch: active.producer_epoch as i16,
            transaction_result: false,
            topics: vec![WritableTxnMarkerTopic { name: TOPIC.into(), partition_indexes: vec![0, 9] }],
            coordinator_epoch: active.coordinator_epoch.max(0),
            ..Default::default()
        }],
    };
    let answer = mover.wire.call(&request, 1);
    let codes: Vec<i16> = answer.markers[0].topics[0].partitions.iter().map(|partition| partition.error_code).collect();
    assert_eq!(codes, [0, 3]);
    assert_eq!(last_stable(&mut mover.wire, 0), 2);
    assert_eq!(NO_SEQUENCE, -1);
}
