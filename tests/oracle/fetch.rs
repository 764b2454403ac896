//! Fetch: what is read, the limits, epochs, and sessions (KIP-227).

use std::ops::RangeInclusive;

use millrace::protocol::fetch::{FetchPartition, FetchRequest, FetchTopic, ForgottenTopic, ReplicaState};
use millrace::record::{BatchBuilder, Compression};
use millrace::wire::Uuid;

use crate::Oracle;
use crate::peer::Peer;
use crate::produce::{append, batch, now};

const ALL: RangeInclusive<i16> = 4..=18;
const SOME: [i16; 4] = [4, 11, 12, 17];
const TOPIC: &str = "f";

/// Reads partitions of one topic from these offsets on, without waiting.
pub fn fetch(peer: &Peer, topic: &str, partitions: &[(i32, i64)]) -> FetchRequest {
    let partition = |(partition, fetch_offset): &(i32, i64)| FetchPartition {
        partition: *partition,
        fetch_offset: *fetch_offset,
        partition_max_bytes: 1_000_000,
        ..Default::default()
    };
    FetchRequest {
        max_wait_ms: 0,
        min_bytes: 0,
        topics: vec![FetchTopic {
            topic: topic.into(),
            topic_id: peer.id(topic),
            partitions: partitions.iter().map(partition).collect(),
        }],
        ..Default::default()
    }
}

/// The request for partition 0 with one field of the partition changed.
fn with(peer: &Peer, offset: i64, change: impl Fn(&mut FetchPartition)) -> FetchRequest {
    let mut request = fetch(peer, TOPIC, &[(0, offset)]);
    change(&mut request.topics[0].partitions[0]);
    request
}

pub fn cases(oracle: &mut Oracle) {
    oracle.both(|peer| {
        peer.create(TOPIC, 3, &[]);
        peer.create("zstd", 1, &[]);
        // Offsets 0-4, 5-14 and 15 in three batches, and one batch in partition 1.
        let batches = [
            batch(5),
            batch(10).codec(Compression::Gzip, 6),
            BatchBuilder::new().append(now(), None, Some(&[7; 3000]), &[]),
        ];
        for batch in batches {
            append(peer, TOPIC, 0, &batch.build());
        }
        append(peer, TOPIC, 1, &batch(2).build());
        append(peer, "zstd", 0, &batch(5).codec(Compression::Zstd, 3).build());
    });
    reading(oracle);
    limits(oracle);
    epochs(oracle);
    sessions(oracle);
}

fn reading(oracle: &mut Oracle) {
    for offset in [0, 3, 4, 5, 9, 15, 16] {
        oracle.same(&format!("from offset {offset} of 16"), ALL, |peer, _| fetch(peer, TOPIC, &[(0, offset)]));
    }
    for offset in [17, -1, -2, i64::MAX, i64::MIN] {
        oracle.same(&format!("offset {offset} is out of range"), ALL, |peer, _| fetch(peer, TOPIC, &[(0, offset)]));
    }
    oracle.same("an empty partition", SOME, |peer, _| fetch(peer, TOPIC, &[(2, 0)]));
    oracle.same("three partitions", SOME, |peer, _| fetch(peer, TOPIC, &[(0, 0), (1, 0), (2, 0)]));
    oracle.same("a partition twice: the last wins", SOME, |peer, _| fetch(peer, TOPIC, &[(0, 0), (0, 15)]));
    oracle
        .same("an unknown partition beside a known one", ALL, |peer, _| fetch(peer, TOPIC, &[(7, 0), (1, 0), (-1, 0)]));
    oracle.same("an unknown topic", ALL, |peer, _| fetch(peer, "nowhere", &[(0, 0)]));
    oracle.same("an unknown id", 13..=18, |peer, _| {
        let mut request = fetch(peer, TOPIC, &[(0, 0)]);
        request.topics[0].topic_id = Uuid::from_u128(77);
        request
    });
    oracle.same("zstd goes out to every version", ALL, |peer, _| fetch(peer, "zstd", &[(0, 0)]));
    oracle.same("no topics", ALL, |_, _| FetchRequest { min_bytes: 0, ..Default::default() });
    oracle.same("a topic without partitions", SOME, |peer, _| fetch(peer, TOPIC, &[]));
    oracle.same("a topic twice", SOME, |peer, _| {
        let mut request = fetch(peer, TOPIC, &[(0, 15)]);
        request.topics.extend(fetch(peer, TOPIC, &[(1, 0)]).topics);
        request
    });
    for isolation_level in [1, 2, -1] {
        oracle.same(&format!("isolation level {isolation_level}"), ALL, |peer, _| FetchRequest {
            isolation_level,
            ..fetch(peer, TOPIC, &[(0, 15), (2, 0), (7, 0)])
        });
    }
    for isolation_level in [2, i8::MIN] {
        oracle.same(&format!("isolation level {isolation_level} of what there isn't"), ALL, |peer, _| FetchRequest {
            isolation_level,
            ..fetch(peer, TOPIC, &[(7, 0)])
        });
        oracle.same(&format!("isolation level {isolation_level} of nothing"), ALL, |_, _| FetchRequest {
            isolation_level,
            min_bytes: 0,
            ..Default::default()
        });
        oracle.same(&format!("isolation level {isolation_level} in an unknown session"), 7..=18, |peer, _| {
            FetchRequest { isolation_level, session_id: 12345, session_epoch: 1, ..fetch(peer, TOPIC, &[(0, 15)]) }
        });
    }
    oracle.same("read_committed out of range and from an unknown topic", ALL, |peer, _| {
        let mut request = FetchRequest { isolation_level: 1, ..fetch(peer, TOPIC, &[(0, 99)]) };
        request.topics.extend(fetch(peer, "nowhere", &[(0, 0)]).topics);
        request
    });
    oracle.same("the metadata topic", 4..=12, |peer, _| fetch(peer, "__cluster_metadata", &[(0, 0)]));
    oracle.same("the rack doesn't matter", 11..=18, |peer, _| FetchRequest {
        rack_id: "r".into(),
        ..fetch(peer, TOPIC, &[(0, 15)])
    });
    oracle.same("another cluster's id", 12..=18, |peer, _| FetchRequest {
        cluster_id: Some("other".into()),
        ..fetch(peer, TOPIC, &[(0, 15)])
    });
    for replica_id in [5, 1, -2, i32::MIN] {
        oracle.same(&format!("as the replica {replica_id}"), ALL, |peer, _| FetchRequest {
            replica_id,
            replica_state: ReplicaState { replica_id, replica_epoch: 1 },
            ..fetch(peer, TOPIC, &[(0, 15), (7, 0)])
        });
    }
}

fn limits(oracle: &mut Oracle) {
    // Fewer than none are in `better.rs`.
    for bytes in [0, 1, 100, 700, i32::MAX] {
        oracle.same(&format!("{bytes} bytes of a partition"), SOME, |peer, _| {
            with(peer, 0, |one| one.partition_max_bytes = bytes)
        });
        oracle.same(&format!("{bytes} bytes in all"), SOME, |peer, _| FetchRequest {
            max_bytes: bytes,
            ..fetch(peer, TOPIC, &[(0, 0), (1, 0)])
        });
    }
    oracle.same("the first batch is whole, the next partition empty", ALL, |peer, _| FetchRequest {
        max_bytes: 10,
        ..fetch(peer, TOPIC, &[(0, 15), (1, 0)])
    });
    oracle.same("an empty partition first", SOME, |peer, _| FetchRequest {
        max_bytes: 10,
        ..fetch(peer, TOPIC, &[(2, 0), (1, 0), (0, 0)])
    });
    oracle.same("waiting for bytes that don't come", SOME, |peer, _| FetchRequest {
        max_wait_ms: 100,
        min_bytes: 1_000_000,
        ..fetch(peer, TOPIC, &[(0, 15)])
    });
    oracle.same("an error doesn't wait", SOME, |peer, _| FetchRequest {
        max_wait_ms: 60_000,
        min_bytes: 1_000_000,
        ..fetch(peer, TOPIC, &[(0, 99), (2, 0)])
    });
    oracle.same("nothing to wait for", SOME, |_, _| FetchRequest {
        max_wait_ms: 60_000,
        min_bytes: 1,
        ..Default::default()
    });
    for min_bytes in [-1, i32::MIN] {
        oracle.same(&format!("at least {min_bytes} bytes"), SOME, |peer, _| FetchRequest {
            max_wait_ms: 60_000,
            min_bytes,
            ..fetch(peer, TOPIC, &[(2, 0)])
        });
    }
    oracle.same("a negative wait", SOME, |peer, _| FetchRequest {
        max_wait_ms: -1,
        min_bytes: 1,
        ..fetch(peer, TOPIC, &[(2, 0)])
    });
}

fn epochs(oracle: &mut Oracle) {
    for epoch in [0, 1, 5, -1, -2, i32::MIN, i32::MAX] {
        oracle.same(&format!("current leader epoch {epoch}"), 9..=18, |peer, _| {
            with(peer, 15, |one| one.current_leader_epoch = epoch)
        });
    }
    for epoch in [0, 1, -1, -2] {
        for offset in [15, 16, 17, 40] {
            oracle.same(&format!("last fetched epoch {epoch} at offset {offset}"), 12..=18, |peer, _| {
                with(peer, offset, |one| one.last_fetched_epoch = epoch)
            });
        }
    }
    oracle.same("log start offset of a consumer doesn't matter", SOME, |peer, _| {
        with(peer, 15, |one| one.log_start_offset = 9)
    });
}

fn sessions(oracle: &mut Oracle) {
    const VERSIONS: [i16; 4] = [7, 11, 13, 18];
    let full = |peer: &Peer| FetchRequest {
        session_id: 0,
        session_epoch: 0,
        ..fetch(peer, TOPIC, &[(0, 15), (1, 0), (2, 0)])
    };
    oracle.same("a new session", 7..=18, |peer, _| full(peer));
    oracle.same("an unknown session", 7..=18, |peer, _| FetchRequest {
        session_id: 12345,
        session_epoch: 1,
        ..full(peer)
    });
    oracle.same("closing an unknown session", VERSIONS, |peer, _| FetchRequest {
        session_id: 12345,
        session_epoch: -1,
        ..full(peer)
    });
    oracle.same("a session id with epoch 0 begins anew", VERSIONS, |peer, _| FetchRequest {
        session_id: 12345,
        ..full(peer)
    });
    for (session_id, session_epoch) in [(0, -1), (0, -2), (-5, 0), (-5, 1), (12345, i32::MIN), (0, i32::MAX)] {
        oracle.same(&format!("session {session_id} in epoch {session_epoch}"), VERSIONS, |peer, _| FetchRequest {
            session_id,
            session_epoch,
            ..full(peer)
        });
    }
    oracle.same("epoch 1 without a session", VERSIONS, |peer, _| FetchRequest { session_epoch: 1, ..full(peer) });
    for version in VERSIONS {
        let open = |oracle: &mut Oracle| {
            oracle.both(|peer| peer.answer(&full(peer), version).expect("Fetch is answered").session_id)
        };
        let ids = open(oracle);
        let mine = move |peer: &Peer| if peer.name == "Millrace" { ids[0] } else { ids[1] };
        let next = move |peer: &Peer, session_epoch: i32| FetchRequest {
            session_id: mine(peer),
            session_epoch,
            topics: Vec::new(),
            ..fetch(peer, TOPIC, &[])
        };
        oracle.same("nothing new since", [version], |peer, _| next(peer, 1));
        oracle.same("a wrong session epoch", [version], |peer, _| next(peer, 9));
        oracle.same("the session survives a wrong epoch", [version], |peer, _| next(peer, 2));
        oracle.same("one partition moves", [version], |peer, _| FetchRequest {
            topics: fetch(peer, TOPIC, &[(0, 5)]).topics,
            ..next(peer, 3)
        });
        oracle.same("a partition is forgotten", [version], |peer, _| FetchRequest {
            forgotten_topics_data: vec![ForgottenTopic {
                topic: TOPIC.into(),
                topic_id: peer.id(TOPIC),
                partitions: vec![0],
            }],
            ..next(peer, 4)
        });
        oracle.both(|peer| append(peer, TOPIC, 2, &batch(1).build()));
        oracle.same("only what changed comes", [version], |peer, _| next(peer, 5));
        oracle.same("an unknown partition joins", [version], |peer, _| FetchRequest {
            topics: fetch(peer, TOPIC, &[(9, 0)]).topics,
            ..next(peer, 6)
        });
        oracle.same("an error comes every time", [version], |peer, _| next(peer, 7));
        let crossed = if version < 13 { 13 } else { 12 };
        oracle.same("a session across names and ids", [crossed], |peer, _| next(peer, 8));
        oracle.same("the session is closed", [version], |peer, _| next(peer, -1));
        oracle.same("it is gone", [version], |peer, _| next(peer, 9));
    }
}
