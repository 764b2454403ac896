//! Produce: batches as they should be, and all the ways in which they aren't.

use std::time::Duration;

use bytes::Bytes;
use millrace::protocol::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use millrace::record::{BatchBuilder, Compression, crc32c};
use millrace::wire::Uuid;

use crate::Oracle;
use crate::peer::Peer;
use crate::support::wait::wait_for;

const ALL: std::ops::RangeInclusive<i16> = 3..=13;
/// A version of each kind: by name with old and new fields, and by id.
const SOME: [i16; 3] = [3, 9, 13];

/// The time in every batch: recent, and the same for both brokers.
pub fn now() -> i64 {
    use std::sync::LazyLock;
    use std::time::{SystemTime, UNIX_EPOCH};
    static NOW: LazyLock<i64> = LazyLock::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970");
        i64::try_from(since.as_millis()).expect("milliseconds fit")
    });
    *NOW
}

/// A batch of `count` records.
pub fn batch(count: usize) -> BatchBuilder {
    (0..count).fold(BatchBuilder::new(), |batch, index| {
        let value = format!("value {index}");
        batch.append(now() + index as i64, Some(b"key"), Some(value.as_bytes()), &[(b"h", Some(b"1"))])
    })
}

/// One partition's records, by name and by id; a version leaves out what it doesn't know.
pub fn produce(peer: &Peer, topic: &str, index: i32, records: impl Into<Bytes>) -> ProduceRequest {
    ProduceRequest {
        transactional_id: None,
        acks: -1,
        timeout_ms: 10_000,
        topic_data: vec![TopicProduceData {
            name: topic.into(),
            topic_id: peer.id(topic),
            partition_data: vec![PartitionProduceData { index, records: Some(records.into()) }],
        }],
    }
}

/// Appends a batch that a case needs; waits while a new partition isn't ready.
pub fn append(peer: &Peer, topic: &str, partition: i32, batch: &Bytes) {
    wait_for(&format!("{topic}-{partition} of {} to take records", peer.name), Duration::from_secs(10), || {
        let answer = peer.answer(&produce(peer, topic, partition, batch.clone()), 9).expect("Produce is answered");
        (answer.responses[0].partition_responses[0].error_code == 0).then_some(())
    });
}

/// Changes a finished batch and puts the checksum right again.
pub fn patched(batch: BatchBuilder, change: impl Fn(&mut Vec<u8>)) -> Bytes {
    let mut bytes = batch.build().to_vec();
    change(&mut bytes);
    let crc = crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

pub fn cases(oracle: &mut Oracle) {
    oracle.both(|peer| {
        peer.create("p", 2, &[]);
        peer.create("small", 1, &[("max.message.bytes", "200")]);
        peer.create("compacted", 1, &[("cleanup.policy", "compact")]);
        peer.create("append-time", 1, &[("message.timestamp.type", "LogAppendTime")]);
        peer.create("recoded", 1, &[("compression.type", "zstd")]);
        peer.create("insync", 1, &[("min.insync.replicas", "2")]);
    });
    ordinary(oracle);
    addresses(oracle);
    broken_batches(oracle);
    odd_headers(oracle);
    compressed(oracle);
    times(oracle);
    acks(oracle);
}

fn ordinary(oracle: &mut Oracle) {
    oracle.same("a batch is appended", ALL, |peer, _| produce(peer, "p", 0, batch(3).build()));
    for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        oracle.same(&format!("a batch in {}", codec.name()), ALL, |peer, _| {
            produce(peer, "p", 0, batch(10).codec(codec, codec.default_level()).build())
        });
    }
    oracle.same("a topic with LogAppendTime answers its time", ALL, |peer, _| {
        produce(peer, "append-time", 0, batch(2).build())
    });
    oracle.same("a topic with its own codec", SOME, |peer, _| produce(peer, "recoded", 0, batch(2).build()));
    oracle.same("min.insync.replicas above the replicas is accepted", SOME, |peer, _| {
        produce(peer, "insync", 0, batch(1).build())
    });
    oracle.same("a null key in a compacted topic", ALL, |peer, _| {
        let batch = batch(1).append(now(), None, Some(b"v"), &[]).append(now(), None, Some(b"w"), &[]);
        produce(peer, "compacted", 0, batch.build())
    });
    oracle.same("a batch above max.message.bytes", ALL, |peer, _| produce(peer, "small", 0, batch(30).build()));
    oracle.same("null key, null value", SOME, |peer, _| {
        produce(peer, "p", 0, BatchBuilder::new().append(now(), None, None, &[]).build())
    });
}

fn addresses(oracle: &mut Oracle) {
    oracle.same("an unknown topic", ALL, |peer, _| produce(peer, "nowhere", 0, batch(1).build()));
    oracle.same("an unknown partition", ALL, |peer, _| produce(peer, "p", 9, batch(1).build()));
    for index in [-1, i32::MIN, i32::MAX] {
        oracle.same(&format!("partition {index}"), ALL, |peer, _| produce(peer, "p", index, batch(1).build()));
    }
    for id in [Uuid::ZERO, Uuid::from_u128(7), Uuid::METADATA_TOPIC] {
        oracle.same(&format!("the id {id}"), [13], |peer, _| {
            let mut request = produce(peer, "p", 0, batch(1).build());
            request.topic_data[0].topic_id = id;
            request
        });
    }
    oracle.same("an invalid name", 3..=12, |peer, _| produce(peer, "a b", 0, batch(1).build()));
    oracle.same("the metadata topic", 3..=12, |peer, _| produce(peer, "__cluster_metadata", 0, batch(1).build()));
    oracle.same("no topics", ALL, |_, _| ProduceRequest { acks: 1, timeout_ms: 1000, ..Default::default() });
    oracle.same("a topic without partitions", ALL, |peer, _| {
        let mut request = produce(peer, "p", 0, batch(1).build());
        request.topic_data[0].partition_data.clear();
        request
    });
    oracle.same("good beside unknown", SOME, |peer, _| {
        let mut request = produce(peer, "p", 0, batch(1).build());
        let more = PartitionProduceData { index: 7, records: Some(batch(1).build()) };
        request.topic_data[0].partition_data.push(more);
        request.topic_data.extend(produce(peer, "small", 0, batch(1).build()).topic_data);
        request
    });
    oracle.same("a partition twice", SOME, |peer, _| {
        let mut request = produce(peer, "p", 0, batch(1).build());
        request.topic_data[0].partition_data.push(PartitionProduceData { index: 0, records: Some(batch(2).build()) });
        request
    });
    oracle.same("a topic twice", SOME, |peer, _| {
        let mut request = produce(peer, "p", 0, batch(1).build());
        request.topic_data.extend(produce(peer, "p", 1, batch(2).build()).topic_data);
        request
    });
}

fn broken_batches(oracle: &mut Oracle) {
    let whole = batch(2).build();
    let cut = |len: usize| whole.slice(..len);
    oracle.same("empty records", ALL, |peer, _| produce(peer, "p", 0, Bytes::new()));
    for len in [1, 11, 12, 16, 17, 40, 60, 61, whole.len() - 1] {
        oracle.same(&format!("a batch cut to {len} bytes"), SOME, |peer, _| produce(peer, "p", 0, cut(len)));
    }
    oracle.same("two batches for one partition", ALL, |peer, _| produce(peer, "p", 0, [&whole[..], &whole].concat()));
    oracle.same("a second batch cut short", SOME, |peer, _| produce(peer, "p", 0, [&whole[..], &cut(40)].concat()));
    oracle.same("a few bytes of garbage behind a batch", SOME, |peer, _| {
        produce(peer, "p", 0, [&whole[..], &[1, 2, 3]].concat())
    });
    let changed = |at: usize, with: Vec<u8>| {
        let mut bytes = whole.to_vec();
        bytes[at..at + with.len()].copy_from_slice(&with);
        bytes
    };
    oracle.same("a wrong checksum", ALL, |peer, _| produce(peer, "p", 0, changed(17, vec![1, 2, 3, 4])));
    oracle.same("a flipped bit in the value", SOME, |peer, _| {
        produce(peer, "p", 0, changed(whole.len() - 9, vec![0x55]))
    });
    for magic in [0, 1, 3, 0x7f, 0xff] {
        oracle.same(&format!("magic {magic} in a batch of version 2"), ALL, |peer, _| {
            produce(peer, "p", 0, changed(16, vec![magic]))
        });
    }
    // i32::MAX is in `better.rs`.
    for length in [0, 1, 13, 14, 48, 49, -1, i32::MIN, whole.len() as i32, whole.len() as i32 - 13] {
        oracle.same(&format!("batch length {length}"), SOME, |peer, _| {
            produce(peer, "p", 0, changed(8, length.to_be_bytes().to_vec()))
        });
    }
    oracle
        .same("the epoch field is the broker's", SOME, |peer, _| produce(peer, "p", 0, changed(12, vec![0, 0, 0, 9])));
}

fn odd_headers(oracle: &mut Oracle) {
    let mut with = |fact: &str, at: usize, bytes: &[u8]| {
        oracle.same(fact, SOME, |peer, _| {
            produce(peer, "p", 0, patched(batch(3), |batch| batch[at..at + bytes.len()].copy_from_slice(bytes)))
        });
    };
    with("base offset 5", 0, &5i64.to_be_bytes());
    with("base offset -1", 0, &(-1i64).to_be_bytes());
    for attributes in [5u16, 6, 7, 0x08, 0x10, 0x20, 0x30, 0x40, 0x80, 0x8000] {
        with(&format!("attributes {attributes:#06x}"), 21, &attributes.to_be_bytes());
    }
    for delta in [0i32, 1, 3, -1, i32::MAX] {
        with(&format!("last offset delta {delta} for three records"), 23, &delta.to_be_bytes());
    }
    for count in [0i32, 1, 4, -1, i32::MAX, i32::MIN] {
        with(&format!("count {count} for three records"), 57, &count.to_be_bytes());
    }
    with("a max timestamp that no record has", 35, &(now() + 999).to_be_bytes());
    with("a max timestamp of -1", 35, &(-1i64).to_be_bytes());
    with("a base timestamp of -1", 27, &(-1i64).to_be_bytes());
    with("a base timestamp of -2", 27, &(-2i64).to_be_bytes());
    with("a producer epoch without an id", 51, &3i16.to_be_bytes());
    with("a sequence without an id", 53, &3i32.to_be_bytes());
    // The first record begins at 61: length, attributes, timestamp delta, offset delta, key length ...
    for (index, what) in ["length", "attributes", "timestamp delta", "offset delta", "key length"].iter().enumerate() {
        for byte in [0x01, 0x02, 0x7f, 0xff] {
            with(&format!("{what} {byte:#04x} in the first record"), 61 + index, &[byte]);
        }
    }
}

fn compressed(oracle: &mut Oracle) {
    let garbage = |codec: u8| patched(batch(3), move |batch| batch[22] = codec);
    for codec in 1..=4 {
        oracle.same(&format!("codec {codec} without compressed data"), SOME, |peer, _| {
            produce(peer, "p", 0, garbage(codec))
        });
    }
    let replaced = |codec: u8, records: &[u8]| {
        patched(batch(3), |batch| {
            batch.truncate(61);
            batch.extend(records);
            let length = i32::try_from(batch.len() - 12).expect("a small batch");
            batch[8..12].copy_from_slice(&length.to_be_bytes());
            batch[22] = codec;
        })
    };
    let plain = batch(3).build().slice(61..);
    let snappy = snap::raw::Encoder::new().compress_vec(&plain).expect("snappy takes everything");
    oracle.same("snappy without xerial framing", SOME, |peer, _| produce(peer, "p", 0, replaced(2, &snappy)));
    oracle.same("lz4 with linked blocks", SOME, |peer, _| {
        let mut encoder =
            lz4::EncoderBuilder::new().block_mode(lz4::BlockMode::Linked).build(Vec::new()).expect("lz4 starts");
        std::io::Write::write_all(&mut encoder, &plain).expect("a vector takes everything");
        produce(peer, "p", 0, replaced(3, &encoder.finish().0))
    });
    for codec in 1..=4u8 {
        oracle
            .same(&format!("codec {codec} with no bytes"), SOME, |peer, _| produce(peer, "p", 0, replaced(codec, &[])));
        let whole = batch(3).codec(Compression::from_id(codec).expect("four codecs"), 1).build();
        let cut = replaced(codec, &whole[61..whole.len() - 5]);
        oracle.same(&format!("codec {codec} cut short"), SOME, |peer, _| produce(peer, "p", 0, cut.clone()));
        if codec <= 2 {
            // Java's streams don't see what comes behind the last record: see `better.rs`.
            continue;
        }
        let longer = replaced(codec, &[&whole[61..], &[0, 0, 0]].concat());
        oracle.same(&format!("codec {codec} with bytes behind"), SOME, |peer, _| produce(peer, "p", 0, longer.clone()));
    }
}

fn times(oracle: &mut Oracle) {
    let at = |timestamp: i64| BatchBuilder::new().append(timestamp, Some(b"k"), Some(b"v"), &[]).build();
    oracle.same("two hours ahead", ALL, |peer, _| produce(peer, "p", 0, at(now() + 7_200_000)));
    oracle.same("half an hour ahead", SOME, |peer, _| produce(peer, "p", 0, at(now() + 1_800_000)));
    oracle.same("1970", SOME, |peer, _| produce(peer, "p", 0, at(0)));
    oracle.same("the end of time", SOME, |peer, _| produce(peer, "p", 0, at(i64::MAX)));
    oracle.same("the end of time, with LogAppendTime", SOME, |peer, _| produce(peer, "append-time", 0, at(i64::MAX)));
    oracle.same_except("LogAppendTime said by the client", SOME, &["error_message"], |peer, _| {
        produce(peer, "p", 0, batch(1).log_append_time(now()).build())
    });
    // The message shows Java's text of a record.
    let text = ["error_message"];
    oracle.same_except("LogAppendTime said by the client where it holds", SOME, &text, |peer, _| {
        produce(peer, "append-time", 0, batch(1).log_append_time(now()).build())
    });
}

fn acks(oracle: &mut Oracle) {
    for acks in [0, 1, 2, -2, i16::MAX, i16::MIN] {
        oracle.same(&format!("acks {acks}"), ALL, |peer, _| ProduceRequest {
            acks,
            ..produce(peer, "p", 1, batch(1).build())
        });
        oracle.same(&format!("acks {acks} for an unknown partition"), SOME, |peer, _| ProduceRequest {
            acks,
            ..produce(peer, "p", 9, batch(1).build())
        });
        oracle.same(&format!("acks {acks} with a wrong batch"), SOME, |peer, _| ProduceRequest {
            acks,
            ..produce(peer, "p", 1, patched(batch(1), |batch| batch[7] = 9))
        });
    }
    oracle.same("a timeout of zero", SOME, |peer, _| ProduceRequest {
        timeout_ms: 0,
        ..produce(peer, "p", 1, batch(1).build())
    });
    for timeout_ms in [-1, i32::MIN, i32::MAX] {
        oracle.same(&format!("a timeout of {timeout_ms}"), SOME, |peer, _| ProduceRequest {
            timeout_ms,
            ..produce(peer, "p", 1, batch(1).build())
        });
    }
}
