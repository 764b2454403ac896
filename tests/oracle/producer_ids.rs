//! InitProducerId, sequences of idempotent producers, DescribeProducers.

use millrace::protocol::describe_producers::{DescribeProducersRequest, TopicRequest};
use millrace::protocol::init_producer_id::InitProducerIdRequest;
use millrace::protocol::produce::ProduceRequest;

use crate::peer::Peer;
use crate::produce::{append, batch, now, patched, produce};
use crate::{Oracle, repeated};

const TOPIC: &str = "sequenced";

/// `count` records of the `index`th producer from `sequence` on.
fn sequenced(peer: &Peer, index: usize, epoch: i16, sequence: i32, count: usize) -> ProduceRequest {
    produce(peer, TOPIC, 0, batch(count).producer(peer.producer_id(index), epoch, sequence).build())
}

pub fn cases(oracle: &mut Oracle) {
    init(oracle);
    oracle.both(|peer| {
        peer.create(TOPIC, 2, &[]);
        (0..8).for_each(|_| peer.init_producer());
    });
    sequences(oracle);
    epochs(oracle);
    transactional(oracle);
    describe(oracle);
}

fn init(oracle: &mut Oracle) {
    let plain =
        || InitProducerIdRequest { transactional_id: None, transaction_timeout_ms: 60_000, ..Default::default() };
    oracle.both(Peer::init_producer);
    oracle.same("an idempotent producer", 0..=5, |_, _| plain());
    oracle.same("an odd timeout doesn't matter without a transaction", 0..=5, |_, _| InitProducerIdRequest {
        transaction_timeout_ms: -5,
        ..plain()
    });
    oracle.same("an empty transactional id", 0..=5, |_, _| InitProducerIdRequest {
        transactional_id: Some("".into()),
        ..plain()
    });
    oracle.same("an id without an epoch", 3..=5, |_, _| InitProducerIdRequest { producer_id: 5, ..plain() });
    oracle.same("an epoch without an id", 3..=5, |_, _| InitProducerIdRequest { producer_epoch: 5, ..plain() });
    for (producer_id, producer_epoch) in [(-2, -1), (-1, -2), (i64::MIN, i16::MIN), (i64::MAX, i16::MAX), (0, 0)] {
        oracle.same(&format!("producer {producer_id} of epoch {producer_epoch}"), 3..=5, |_, _| {
            InitProducerIdRequest { producer_id, producer_epoch, ..plain() }
        });
    }
    oracle.same("id and epoch without a transaction", 3..=5, |_, _| InitProducerIdRequest {
        producer_id: 5,
        producer_epoch: 1,
        ..plain()
    });
}

fn sequences(oracle: &mut Oracle) {
    oracle.same("the first batch", [9], |peer, _| sequenced(peer, 0, 0, 0, 3));
    oracle.same("the same again gives the first offset", [3, 9, 13], |peer, _| sequenced(peer, 0, 0, 0, 3));
    oracle.same("the next batch", [9], |peer, _| sequenced(peer, 0, 0, 3, 2));
    oracle.same("a gap", [3, 9, 13], |peer, _| sequenced(peer, 0, 0, 7, 1));
    oracle.same("an overlap", [9], |peer, _| sequenced(peer, 0, 0, 4, 3));
    oracle.same("a part of a known batch", [9], |peer, _| sequenced(peer, 0, 0, 3, 1));
    for sequence in 5..10 {
        oracle.same("five more batches", [9], |peer, _| sequenced(peer, 0, 0, sequence, 1));
    }
    oracle.same("the sixth last batch is forgotten", [9], |peer, _| sequenced(peer, 0, 0, 3, 2));
    for sequence in 5..10 {
        oracle.same("the last five batches are known", [9], |peer, _| sequenced(peer, 0, 0, sequence, 1));
    }
    oracle.same("an unknown producer may start anywhere", [9], |peer, _| sequenced(peer, 1, 0, 42, 1));
    oracle.same("and goes on from there", [9], |peer, _| sequenced(peer, 1, 0, 43, 1));
    oracle.same("a negative sequence", [3, 9], |peer, _| sequenced(peer, 2, 0, -1, 1));
    oracle.same("the sequence wraps", [9], |peer, _| sequenced(peer, 2, 0, i32::MAX - 1, 4));
    oracle.same("after the wrap", [9], |peer, _| sequenced(peer, 2, 0, 2, 1));
    oracle.same("a producer id nobody gave", [9], |peer, _| {
        produce(peer, TOPIC, 0, batch(1).producer(1_000_000, 0, 0).build())
    });
    oracle.same("two partitions have their own sequences", [9], |peer, _| {
        produce(peer, TOPIC, 1, batch(1).producer(peer.producer_id(0), 0, 0).build())
    });
}

fn epochs(oracle: &mut Oracle) {
    oracle.same("the first epoch", [9], |peer, _| sequenced(peer, 3, 0, 0, 1));
    oracle.same("a new epoch must start at 0", [9], |peer, _| sequenced(peer, 3, 1, 5, 1));
    oracle.same("a new epoch", [9], |peer, _| sequenced(peer, 3, 1, 0, 1));
    oracle.same("the old epoch is stale", [3, 9, 13], |peer, _| sequenced(peer, 3, 0, 1, 1));
    oracle.same("a later epoch", [9], |peer, _| sequenced(peer, 3, 7, 0, 2));
    oracle.same("a negative epoch", [3, 9], |peer, _| sequenced(peer, 4, -1, 0, 1));
}

fn transactional(oracle: &mut Oracle) {
    let open = |peer: &Peer| batch(1).producer(peer.producer_id(5), 0, 0).transactional();
    oracle.same("a transactional batch without a transactional id", [3, 9, 11, 13], |peer, _| {
        produce(peer, TOPIC, 0, open(peer).build())
    });
    oracle.same("a transactional id without a transactional batch", [3, 9, 13], |peer, _| ProduceRequest {
        transactional_id: Some("tx".into()),
        ..produce(peer, TOPIC, 0, batch(1).build())
    });
    oracle.same("a control batch from a client", [3, 9, 13], |peer, _| {
        let batch = batch(1).producer(peer.producer_id(6), 0, 0);
        produce(peer, TOPIC, 0, patched(batch, |batch| batch[22] |= 0x20))
    });
    oracle.same("a transactional batch without a producer", [9], |peer, _| {
        produce(peer, TOPIC, 0, patched(batch(1), |batch| batch[22] |= 0x10))
    });
}

fn describe(oracle: &mut Oracle) {
    let request = |topic: &str, partitions: &[i32]| DescribeProducersRequest {
        topics: vec![TopicRequest { name: topic.into(), partition_indexes: partitions.to_vec() }],
    };
    oracle.both(|peer| {
        peer.create("described", 1, &[]);
        let batch = batch(1).producer(peer.producer_id(7), 2, 0).append(now(), None, None, &[]).build();
        append(peer, "described", 0, &batch);
    });
    oracle.same("a producer", [0], |_, _| request("described", &[0]));
    oracle.same("an unknown topic", [0], |_, _| request("nowhere", &[0]));
    oracle.same("an unknown partition", [0], |_, _| request("described", &[5, -1]));
    oracle.same("an invalid name", [0], |_, _| request("a b", &[0]));
    oracle.same("no partitions", [0], |_, _| request("described", &[]));
    oracle.same("a partition twice", [0], |_, _| request("described", &[0, 0]));
    oracle.same("a topic twice, and an unknown one", [0], |_, _| DescribeProducersRequest {
        topics: [repeated(&request("described", &[0]).topics, 2), request("nowhere", &[0, 1]).topics].concat(),
    });
    oracle.same("the metadata topic", [0], |_, _| request("__cluster_metadata", &[0]));
    oracle.same("nothing", [0], |_, _| DescribeProducersRequest::default());
}
