//! Transactions: InitProducerId with a transactional id, AddPartitionsToTxn, AddOffsetsToTxn, EndTxn, TxnOffsetCommit,
//! WriteTxnMarkers, DescribeTransactions, ListTransactions.

use std::time::Duration;

use millrace::protocol::add_offsets_to_txn::AddOffsetsToTxnRequest;
use millrace::protocol::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use millrace::protocol::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;
use millrace::protocol::describe_transactions::DescribeTransactionsRequest;
use millrace::protocol::end_txn::EndTxnRequest;
use millrace::protocol::find_coordinator::FindCoordinatorRequest;
use millrace::protocol::init_producer_id::InitProducerIdRequest;
use millrace::protocol::list_transactions::ListTransactionsRequest;
use millrace::protocol::produce::ProduceRequest;
use millrace::protocol::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use millrace::protocol::write_txn_markers::{WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest};

use crate::Oracle;
use crate::peer::Peer;
use crate::produce::{batch, produce};
use crate::support::node::Kind;
use crate::support::wait::wait_for;

const TOPIC: &str = "in-transactions";
const LIMIT: Duration = Duration::from_secs(30);
/// Ids of producers and times are each broker's own.
const OWN: &[&str] = &["producer_id", "transaction_start_time_ms"];

pub fn cases(oracle: &mut Oracle) {
    oracle.both(|peer| {
        peer.create(TOPIC, 3, &[]);
        for (key_type, key) in [(0, "g"), (1, "t")] {
            let find = FindCoordinatorRequest { key_type, coordinator_keys: vec![key.into()], ..Default::default() };
            wait_for("a coordinator", LIMIT, || {
                let found = peer.answer(&find, 6).expect("FindCoordinator is answered");
                (found.coordinators[0].error_code == 0).then_some(())
            });
        }
        wait_for("loaded coordinators", LIMIT, || {
            let listed = peer.answer(&ListTransactionsRequest { duration_filter: -1, ..Default::default() }, 2);
            (listed.expect("it is answered").error_code == 0).then_some(())
        });
    });
    inits(oracle);
    old_clients(oracle);
    new_clients(oracle);
    members(oracle);
    strangers(oracle);
    markers(oracle);
    fenced(oracle);
}

fn init(id: &str, expected: (i64, i16)) -> InitProducerIdRequest {
    InitProducerIdRequest {
        transactional_id: Some(id.into()),
        transaction_timeout_ms: 60_000,
        producer_id: expected.0,
        producer_epoch: expected.1,
        ..Default::default()
    }
}

/// Producer id and epoch of both brokers, Millrace's first.
type Producers = [(i64, i16); 2];

fn start(oracle: &mut Oracle, id: &str) -> Producers {
    oracle.both(|peer| {
        wait_for("a producer id", LIMIT, || {
            let answer = peer.answer(&init(id, (-1, -1)), 5).expect("InitProducerId is answered");
            (answer.error_code == 0).then_some((answer.producer_id, answer.producer_epoch))
        })
    })
}

fn of(peer: &Peer, producers: &Producers) -> (i64, i16) {
    producers[usize::from(peer.node.kind() == Kind::Apache)]
}

fn plus(producer: (i64, i16), epochs: i16) -> (i64, i16) {
    (producer.0, producer.1 + epochs)
}

fn complete(oracle: &mut Oracle, id: &str) {
    oracle.both(|peer| {
        wait_for("a complete transaction", LIMIT, || {
            let request = DescribeTransactionsRequest { transactional_ids: vec![id.into()] };
            let answer = peer.answer(&request, 0).expect("DescribeTransactions is answered");
            answer.transaction_states[0].transaction_state.starts_with("Complete").then_some(())
        })
    });
}

fn inits(oracle: &mut Oracle) {
    for version in 0..=5 {
        // Apache Kafka may load their partitions yet.
        start(oracle, &format!("new-{version}"));
    }
    oracle.same_except("an id again", 0..=5, OWN, |_, version| init(&format!("new-{version}"), (-1, -1)));
    oracle.same("an empty id", 0..=5, |_, _| init("", (-1, -1)));
    for timeout_ms in [-1, 0, 900_001] {
        let request = InitProducerIdRequest { transaction_timeout_ms: timeout_ms, ..init("x", (-1, -1)) };
        oracle.same(&format!("a timeout of {timeout_ms}"), [2, 5], |_, _| request.clone());
    }
    let producers = start(oracle, "expected");
    for (fact, epochs) in [("as expected", 0), ("a retry", 0), ("as expected again", 1), ("too old", 0), ("too new", 7)]
    {
        oracle.same_except(fact, [3], OWN, |peer, _| init("expected", plus(of(peer, &producers), epochs)));
    }
    for version in 3..=5 {
        oracle.same("another producer id", [version], |_, _| init("expected", (99_999, 0)));
        oracle.same("half of a producer", [version], |_, _| init("expected", (5, -1)));
        oracle.same("the other half", [version], |_, _| init("expected", (-1, 5)));
    }
}

fn add(
    id: &str,
    producer: (i64, i16),
    version: i16,
    verify_only: bool,
    topics: &[(&str, &[i32])],
) -> AddPartitionsToTxnRequest {
    let topics = topics
        .iter()
        .map(|(name, partitions)| AddPartitionsToTxnTopic { name: (*name).into(), partitions: partitions.to_vec() });
    if version < 4 {
        return AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: id.into(),
            v3_and_below_producer_id: producer.0,
            v3_and_below_producer_epoch: producer.1,
            v3_and_below_topics: topics.collect(),
            ..Default::default()
        };
    }
    let transaction = AddPartitionsToTxnTransaction {
        transactional_id: id.into(),
        producer_id: producer.0,
        producer_epoch: producer.1,
        verify_only,
        topics: topics.collect(),
    };
    AddPartitionsToTxnRequest { transactions: vec![transaction], ..Default::default() }
}

fn end(id: &str, producer: (i64, i16), committed: bool) -> EndTxnRequest {
    EndTxnRequest { transactional_id: id.into(), producer_id: producer.0, producer_epoch: producer.1, committed }
}

fn offsets(id: &str, producer: (i64, i16), group: &str, topic: &str, generation: i32) -> TxnOffsetCommitRequest {
    let partition = TxnOffsetCommitRequestPartition {
        committed_offset: 5,
        committed_metadata: Some("text".into()),
        ..Default::default()
    };
    TxnOffsetCommitRequest {
        transactional_id: id.into(),
        group_id: group.into(),
        producer_id: producer.0,
        producer_epoch: producer.1,
        generation_id: generation,
        topics: vec![TxnOffsetCommitRequestTopic { name: topic.into(), partitions: vec![partition] }],
        ..Default::default()
    }
}

fn old_clients(oracle: &mut Oracle) {
    let id = "old";
    let producers = start(oracle, id);
    let who = |peer: &Peer| of(peer, &producers);
    oracle.same("an end of nothing", 0..=4, |peer, _| end(id, who(peer), true));
    oracle.same("partitions", 0..=3, |peer, version| add(id, who(peer), version, false, &[(TOPIC, &[0, 1])]));
    // Partitions come in no order.
    let own = [
        OWN,
        &["topics[0].partitions[0]", "topics[0].partitions[1]", "topics[1].partitions[0]", "topics[1].partitions[1]"],
    ]
    .concat();
    oracle.same("an unknown partition among them", 0..=5, |peer, version| {
        add(id, who(peer), version, false, &[(TOPIC, &[0, 9]), ("nothing", &[0])])
    });
    oracle.same("an old epoch", 0..=5, |peer, version| add(id, plus(who(peer), -1), version, false, &[(TOPIC, &[0])]));
    oracle.same("another producer", 0..=5, |_, version| add(id, (99_999, 0), version, false, &[(TOPIC, &[0])]));
    oracle.same("verification", 4..=5, |peer, version| add(id, who(peer), version, true, &[(TOPIC, &[0, 2])]));
    let group = |peer: &Peer, group: &str| AddOffsetsToTxnRequest {
        transactional_id: id.into(),
        producer_id: who(peer).0,
        producer_epoch: who(peer).1,
        group_id: group.into(),
    };
    oracle.same("offsets before the group is in", 0..=4, |peer, _| offsets(id, who(peer), "g", TOPIC, -1));
    oracle.same("a group", 0..=4, |peer, _| group(peer, "g"));
    oracle.same("offsets", 0..=5, |peer, _| offsets(id, who(peer), "g", TOPIC, -1));
    oracle.same("offsets of an unknown topic", 0..=5, |peer, _| offsets(id, who(peer), "g", "nothing", -1));
    oracle.same("offsets of an unknown generation", 3..=5, |peer, _| offsets(id, who(peer), "g", TOPIC, 4));
    oracle.same("offsets of no group", 0..=5, |peer, _| offsets(id, who(peer), "", TOPIC, -1));
    oracle.same("offsets of an old epoch", 0..=5, |peer, _| offsets(id, plus(who(peer), -1), "g", TOPIC, -1));
    let describe =
        |ids: &[&str]| DescribeTransactionsRequest { transactional_ids: ids.iter().map(|id| (*id).into()).collect() };
    oracle.same_except("an open transaction", [0], &own, |_, _| describe(&[id, "nobody", ""]));
    let filter = |states: &[&str], pattern: Option<&str>| ListTransactionsRequest {
        state_filters: states.iter().map(|state| (*state).into()).collect(),
        duration_filter: -1,
        transactional_id_pattern: pattern.map(Into::into),
        ..Default::default()
    };
    oracle.same_except("open ones", 0..=1, OWN, |_, _| filter(&["Ongoing"], None));
    oracle.same_except("none of these", 0..=1, OWN, |_, _| filter(&["Odd", "Strange"], None));
    oracle.same_except("one of these", 0..=1, OWN, |_, _| filter(&["Odd", "Ongoing"], None));
    for pattern in ["old", "ol", "o.*", "", "("] {
        oracle
            .same_except(&format!("of the pattern {pattern:?}"), [2], OWN, |_, _| filter(&["Ongoing"], Some(pattern)));
    }
    oracle.same("an end of an old epoch", 0..=5, |peer, _| end(id, plus(who(peer), -1), true));
    oracle.same("an end of another producer", 0..=5, |_, _| end(id, (99_999, 0), true));
    oracle.same("the end", [4], |peer, _| end(id, who(peer), true));
    complete(oracle, id);
    oracle.same("the end again", 0..=4, |peer, _| end(id, who(peer), true));
    oracle.same("another end", 0..=4, |peer, _| end(id, who(peer), false));
    oracle.same_except("a complete transaction", [0], OWN, |_, _| describe(&[id]));
}

fn new_clients(oracle: &mut Oracle) {
    let id = "new";
    let producers = start(oracle, id);
    let who = |peer: &Peer, epochs: i16| plus(of(peer, &producers), epochs);
    oracle.same("a commit of nothing", [5], |peer, _| end(id, who(peer, 0), true));
    oracle.same("partitions", 4..=5, |peer, version| add(id, who(peer, 0), version, false, &[(TOPIC, &[0])]));
    oracle.same("offsets add the group", [5], |peer, _| offsets(id, who(peer, 0), "new-g", TOPIC, -1));
    oracle.same_except("a commit", [5], OWN, |peer, _| end(id, who(peer, 0), true));
    complete(oracle, id);
    oracle.same_except("a commit again", [5], OWN, |peer, _| end(id, who(peer, 0), true));
    oracle.same("an abort of the committed one", [5], |peer, _| end(id, who(peer, 0), false));
    oracle.same("a commit of the next one", [5], |peer, _| end(id, who(peer, 1), true));
    oracle.same_except("an abort of the next one", [5], OWN, |peer, _| end(id, who(peer, 1), false));
    complete(oracle, id);
    oracle.same_except("an abort again", [5], OWN, |peer, _| end(id, who(peer, 1), false));
    oracle.same("an epoch too far", [5], |peer, _| end(id, who(peer, 5), false));
    oracle.same("partitions of an old epoch", [5], |peer, version| {
        add(id, who(peer, 0), version, false, &[(TOPIC, &[0])])
    });
}

/// Offsets of a consumer group of the new protocol: in its members' epochs, and of nobody.
fn members(oracle: &mut Oracle) {
    let (id, group) = ("of-members", "transactional-members");
    let producers = start(oracle, id);
    let who = |peer: &Peer| of(peer, &producers);
    oracle.same("a member joins", [1], |_, _| ConsumerGroupHeartbeatRequest {
        group_id: group.into(),
        member_id: "m1".into(),
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(vec![TOPIC.into()]),
        topic_partitions: Some(Vec::new()),
        ..Default::default()
    });
    for epoch in [-1, 0, 1, 2, 3] {
        for member in ["", "m1", "m9"] {
            oracle.same(&format!("offsets of {member:?} in epoch {epoch}"), [5, 4, 3], |peer, _| {
                TxnOffsetCommitRequest { member_id: member.into(), ..offsets(id, who(peer), group, TOPIC, epoch) }
            });
        }
    }
    oracle.same_except("they are committed", [5], OWN, |peer, _| end(id, who(peer), true));
    complete(oracle, id);
}

fn strangers(oracle: &mut Oracle) {
    oracle.same("partitions of an unknown id", 0..=5, |_, version| {
        add("nobody", (1, 0), version, false, &[(TOPIC, &[0])])
    });
    oracle.same("partitions of no id", 0..=5, |_, version| add("", (1, 0), version, false, &[(TOPIC, &[0])]));
    oracle.same("verification of an unknown id", 4..=5, |_, version| {
        add("nobody", (1, 0), version, true, &[(TOPIC, &[0])])
    });
    oracle.same("an end of an unknown id", 0..=5, |_, _| end("nobody", (1, 0), true));
    oracle.same("an end of no id", 0..=5, |_, _| end("", (1, 0), true));
    oracle.same("offsets of an unknown id", 0..=5, |_, _| offsets("nobody", (1_000_000, 0), "g", TOPIC, -1));
    let group = |id: &str| AddOffsetsToTxnRequest {
        transactional_id: id.into(),
        producer_id: 1,
        producer_epoch: 0,
        group_id: "g".into(),
    };
    oracle.same("a group of an unknown id", 0..=4, |_, _| group("nobody"));
    oracle.same("a group of no id", 0..=4, |_, _| group(""));
    let markers = |topic: &str, partitions: &[i32]| WriteTxnMarkersRequest {
        markers: vec![WritableTxnMarker {
            producer_id: 1_000_001,
            transaction_result: true,
            topics: vec![WritableTxnMarkerTopic { name: topic.into(), partition_indexes: partitions.to_vec() }],
            ..Default::default()
        }],
    };
    oracle.same("markers of an unknown producer", 1..=2, |_, _| markers(TOPIC, &[0]));
    oracle.same("markers for unknown partitions", 1..=2, |_, _| markers("nothing", &[0]));
    oracle.same("no markers", 1..=2, |_, _| WriteTxnMarkersRequest::default());
}

/// What a marker's epoch must be depends on the rules of its transaction.
fn markers(oracle: &mut Oracle) {
    let id = "marked";
    let producers = start(oracle, id);
    let marker = |peer: &Peer, epochs: i16, transaction_version: i8| {
        let (producer_id, producer_epoch) = plus(of(peer, &producers), epochs);
        WriteTxnMarkersRequest {
            markers: vec![WritableTxnMarker {
                producer_id,
                producer_epoch,
                topics: vec![WritableTxnMarkerTopic { name: TOPIC.into(), partition_indexes: vec![2] }],
                transaction_version,
                ..Default::default()
            }],
        }
    };
    let written = |peer: &Peer, epochs: i16| {
        let (producer_id, epoch) = plus(of(peer, &producers), epochs);
        let records = batch(1).producer(producer_id, epoch, 0).transactional().build();
        ProduceRequest { transactional_id: Some(id.into()), ..produce(peer, TOPIC, 2, records) }
    };
    let own = [OWN, &["base_offset"]].concat();
    oracle.same_except("records of a transaction", [12], &own, |peer, _| written(peer, 0));
    oracle.same("a late marker of the transaction before", [2], |peer, _| marker(peer, 0, 2));
    oracle.same("a marker of an old epoch", 1..=2, |peer, _| marker(peer, -1, 0));
    oracle.same("the marker of a transaction", [2], |peer, _| marker(peer, 1, 2));
    oracle.same("the marker again", 1..=2, |peer, _| marker(peer, 1, 2));
    oracle.same("a late marker", 1..=2, |peer, _| marker(peer, 0, 2));
    oracle.same_except("records of a new epoch", [12], &own, |peer, _| written(peer, 1));
    oracle.same("a marker of an older client", 1..=2, |peer, _| marker(peer, 1, 0));
}

fn fenced(oracle: &mut Oracle) {
    let id = "fenced";
    let producers = start(oracle, id);
    oracle.both(|peer| {
        let request = add(id, of(peer, &producers), 3, false, &[(TOPIC, &[1])]);
        peer.answer(&request, 3).expect("AddPartitionsToTxn is answered")
    });
    oracle.same_except("a successor waits for the abort", [5], OWN, |_, _| init(id, (-1, -1)));
    complete(oracle, id);
    oracle.same_except("a successor", [5], OWN, |_, _| init(id, (-1, -1)));
    oracle.same("an end of the predecessor", 0..=5, |peer, _| end(id, of(peer, &producers), true));
    oracle.same("partitions of the predecessor", 0..=5, |peer, version| {
        add(id, of(peer, &producers), version, false, &[(TOPIC, &[1])])
    });
}
