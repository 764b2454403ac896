//! ListOffsets, OffsetForLeaderEpoch, DeleteRecords.

use millrace::protocol::delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use millrace::protocol::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use millrace::protocol::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use millrace::record::BatchBuilder;

use crate::Oracle;
use crate::peer::Peer;
use crate::produce::{append, now};

const TOPIC: &str = "o";

fn append_at(peer: &Peer, partition: i32, timestamps: &[i64]) {
    let batch = timestamps
        .iter()
        .fold(BatchBuilder::new(), |batch, timestamp| batch.append(now() + timestamp, Some(b"k"), Some(b"v"), &[]));
    append(peer, TOPIC, partition, &batch.build());
}

pub fn cases(oracle: &mut Oracle) {
    oracle.both(|peer| {
        peer.create(TOPIC, 3, &[]);
        append_at(peer, 0, &[-5000, -4000, -3000]);
        append_at(peer, 0, &[-1000, -2000]);
        append_at(peer, 0, &[-1000, -1500]);
        append_at(peer, 2, &[0, 1, 2, 3, 4]);
    });
    list_offsets(oracle);
    leader_epochs(oracle);
    delete_records(oracle);
}

fn list_offsets(oracle: &mut Oracle) {
    let list = |topic: &str, partitions: &[(i32, i64)]| {
        let partition = |(partition_index, timestamp): &(i32, i64)| ListOffsetsPartition {
            partition_index: *partition_index,
            timestamp: *timestamp,
            ..Default::default()
        };
        ListOffsetsRequest {
            replica_id: -1,
            timeout_ms: 5000,
            topics: vec![ListOffsetsTopic {
                name: topic.into(),
                partitions: partitions.iter().map(partition).collect(),
            }],
            ..Default::default()
        }
    };
    for timestamp in [-1, -2, -3, -4, -5, -6, -7, -8, i64::MIN] {
        oracle.same(&format!("timestamp {timestamp}, read_committed"), 2..=11, |_, _| ListOffsetsRequest {
            isolation_level: 1,
            ..list(TOPIC, &[(0, timestamp), (1, timestamp)])
        });
        oracle.same(&format!("timestamp {timestamp} of what there isn't"), 1..=11, |_, _| {
            let mut request = list(TOPIC, &[(9, timestamp)]);
            request.topics.extend(list("nowhere", &[(0, timestamp)]).topics);
            request
        });
        oracle.same(&format!("timestamp {timestamp}"), 1..=11, |_, _| list(TOPIC, &[(0, timestamp)]));
        oracle.same(&format!("timestamp {timestamp} of an empty partition"), 1..=11, |_, _| {
            list(TOPIC, &[(1, timestamp)])
        });
    }
    for (fact, timestamp) in [
        ("the beginning of time", 0),
        ("the first record", now() - 5000),
        ("between records", now() - 4500),
        ("the last of a batch", now() - 3000),
        ("between batches", now() - 2500),
        ("out of order within a batch", now() - 2000),
        ("the largest timestamp, twice", now() - 1000),
        ("later than all", now() + 1000),
        ("the end of time", i64::MAX),
    ] {
        oracle.same(fact, 1..=11, |_, _| list(TOPIC, &[(0, timestamp)]));
    }
    oracle.same("several partitions", 1..=11, |_, _| list(TOPIC, &[(0, -1), (1, -2), (2, now() + 2)]));
    oracle.same("a partition twice", 1..=11, |_, _| list(TOPIC, &[(0, -1), (0, -2)]));
    oracle.same("a partition three times beside another", 1..=11, |_, _| {
        list(TOPIC, &[(0, -1), (2, -1), (0, -2), (0, -9)])
    });
    oracle.same("an unknown partition twice", 1..=11, |_, _| list(TOPIC, &[(9, -1), (9, -2)]));
    oracle.same("a topic twice", 1..=11, |_, _| {
        let mut request = list(TOPIC, &[(0, -1), (1, -1)]);
        request.topics.extend(list(TOPIC, &[(1, -1), (2, -1)]).topics);
        request
    });
    oracle.same("a topic without partitions", 1..=11, |_, _| list(TOPIC, &[]));
    oracle.same("an unknown partition", 1..=11, |_, _| list(TOPIC, &[(9, -1), (-1, -1)]));
    oracle.same("an unknown topic", 1..=11, |_, _| list("nowhere", &[(0, -1)]));
    oracle.same("an invalid name", 1..=11, |_, _| list("a b", &[(0, -1)]));
    oracle.same("nothing", 1..=11, |_, _| ListOffsetsRequest { replica_id: -1, ..Default::default() });
    oracle.same("read_committed", 2..=11, |_, _| ListOffsetsRequest {
        isolation_level: 1,
        ..list(TOPIC, &[(0, -1), (2, -2)])
    });
    for isolation_level in [2, 3, -1] {
        oracle.same(&format!("isolation level {isolation_level}"), 2..=11, |_, _| ListOffsetsRequest {
            isolation_level,
            ..list(TOPIC, &[(0, -1), (9, -1), (0, -1)])
        });
        oracle.same(&format!("isolation level {isolation_level} of nothing"), 2..=11, |_, _| ListOffsetsRequest {
            isolation_level,
            replica_id: -1,
            ..Default::default()
        });
    }
    for epoch in [0, 1, -1, -2, i32::MIN, i32::MAX] {
        oracle.same(&format!("current leader epoch {epoch}"), 4..=11, |_, _| {
            let mut request = list(TOPIC, &[(0, -1)]);
            request.topics[0].partitions[0].current_leader_epoch = epoch;
            request
        });
    }
    oracle.same("as a replica", 1..=11, |_, _| ListOffsetsRequest { replica_id: 5, ..list(TOPIC, &[(0, -1)]) });
    oracle.same("as the debugging consumer", 1..=11, |_, _| ListOffsetsRequest {
        replica_id: -2,
        ..list(TOPIC, &[(0, -1)])
    });
}

fn leader_epochs(oracle: &mut Oracle) {
    let ask = |topic: &str, partition: i32, current: i32, epoch: i32| OffsetForLeaderEpochRequest {
        replica_id: -2,
        topics: vec![OffsetForLeaderTopic {
            topic: topic.into(),
            partitions: vec![OffsetForLeaderPartition {
                partition,
                current_leader_epoch: current,
                leader_epoch: epoch,
            }],
        }],
    };
    for epoch in [0, 1, 5, -1, -2, i32::MIN, i32::MAX] {
        oracle.same(&format!("the end of epoch {epoch}"), 2..=4, |_, _| ask(TOPIC, 0, -1, epoch));
        oracle.same(&format!("the end of epoch {epoch} in an empty partition"), 2..=4, |_, _| ask(TOPIC, 1, -1, epoch));
        oracle.same(&format!("current epoch {epoch}"), 2..=4, |_, _| ask(TOPIC, 0, epoch, 0));
    }
    oracle.same("an unknown partition", 2..=4, |_, _| ask(TOPIC, 9, -1, 0));
    oracle.same("an unknown topic", 2..=4, |_, _| ask("nowhere", 0, -1, 0));
    oracle.same("an invalid name", 2..=4, |_, _| ask("a b", 0, -1, 0));
    oracle.same("a partition twice, a topic twice", 2..=4, |_, _| {
        let mut request = ask(TOPIC, 0, -1, 0);
        request.topics[0].partitions.extend(ask(TOPIC, 0, -1, 5).topics[0].partitions.clone());
        request.topics.extend(ask(TOPIC, 1, -1, 0).topics);
        request
    });
    oracle.same("as a replica", 2..=4, |_, _| OffsetForLeaderEpochRequest { replica_id: 5, ..ask(TOPIC, 0, -1, 0) });
    oracle.same("nothing", 2..=4, |_, _| OffsetForLeaderEpochRequest::default());
}

fn delete_records(oracle: &mut Oracle) {
    oracle.both(|peer| {
        peer.create("compact-only", 1, &[("cleanup.policy", "compact")]);
        peer.create("compact-and-delete", 1, &[("cleanup.policy", "compact,delete")]);
        peer.create("no-policy", 1, &[("cleanup.policy", "")]);
    });
    let delete = |topic: &str, partition_index: i32, offset: i64| DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: topic.into(),
            partitions: vec![DeleteRecordsPartition { partition_index, offset }],
        }],
        timeout_ms: 5000,
    };
    for offset in [0, 6, -2, i64::MIN, i64::MAX] {
        oracle.same(&format!("records before {offset} of 5"), 0..=2, |_, _| delete(TOPIC, 2, offset));
    }
    oracle.same("records before 2", 0..=2, |_, _| delete(TOPIC, 2, 2));
    oracle.same("records before 1, after those before 2", 0..=2, |_, _| delete(TOPIC, 2, 1));
    oracle.same("an unknown partition", 0..=2, |_, _| delete(TOPIC, 9, 0));
    oracle.same("an unknown topic", 0..=2, |_, _| delete("nowhere", 0, 0));
    oracle.same("an invalid name", 0..=2, |_, _| delete("a b", 0, 0));
    oracle.same("the metadata topic", 0..=2, |_, _| delete("__cluster_metadata", 0, 0));
    for topic in ["compact-only", "compact-and-delete", "no-policy"] {
        for offset in [0, -1, -2, 9] {
            oracle.same(&format!("records before {offset} of {topic}"), 0..=2, |_, _| delete(topic, 0, offset));
        }
        oracle.same(&format!("an unknown partition of {topic}"), 0..=2, |_, _| delete(topic, 3, 0));
    }
    oracle.same("all records", 0..=2, |_, _| delete(TOPIC, 2, -1));
    oracle.same("a timeout of zero", 0..=2, |_, _| DeleteRecordsRequest { timeout_ms: 0, ..delete(TOPIC, 0, 1) });
    oracle.same("nothing", 0..=2, |_, _| DeleteRecordsRequest { timeout_ms: 1000, ..Default::default() });
    for timeout_ms in [-1, i32::MIN, i32::MAX] {
        oracle.same(&format!("a timeout of {timeout_ms}"), 0..=2, |_, _| DeleteRecordsRequest {
            timeout_ms,
            ..delete(TOPIC, 0, 1)
        });
    }
    oracle.same("a topic without partitions", 0..=2, |_, _| {
        let mut request = delete(TOPIC, 0, 1);
        request.topics[0].partitions.clear();
        request
    });
    oracle.same("a topic twice", 0..=2, |_, _| {
        let mut request = delete(TOPIC, 0, 1);
        request.topics.extend(delete(TOPIC, 1, 0).topics);
        request
    });
    oracle.same("a partition twice", 0..=2, |_, _| {
        let mut request = delete(TOPIC, 0, 1);
        request.topics[0].partitions.push(DeleteRecordsPartition { partition_index: 0, offset: 2 });
        request
    });
}
