//! Compacted topics: the newest value of each key stays, tombstones go, and nothing of it is undone by a kill.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use millrace::record::{BatchBuilder, Batches, Compression, Decompressor, decode_records};

use crate::calls::{create_topic, fetch_request, init_producer, list_offset, produce};
use crate::support::node::{Kind, Node};
use crate::support::wait::wait_for;
use crate::support::wire::Wire;

const LIMIT: Duration = Duration::from_secs(60);
/// Segments roll by time and are compacted as soon as they are sealed.
const CONFIGS: &[(&str, &str)] = &[
    ("cleanup.policy", "compact"),
    ("segment.ms", "50"),
    ("min.cleanable.dirty.ratio", "0.01"),
    ("delete.retention.ms", "100"),
];

type Pairs = Vec<(Vec<u8>, Option<Vec<u8>>)>;

fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("the clock is after 1970");
    i64::try_from(now.as_millis()).expect("milliseconds fit")
}

fn batch(codec: Compression, records: &[(&str, Option<&str>)]) -> BatchBuilder {
    let builder = BatchBuilder::new().codec(codec, codec.default_level());
    records.iter().fold(builder, |batch, (key, value)| {
        batch.append(now_ms(), Some(key.as_bytes()), value.map(str::as_bytes), &[])
    })
}

/// Kafka's error code.
const OFFSET_OUT_OF_RANGE: i16 = 1;

/// All records of partition 0, in order; offsets may have gaps.
fn read(wire: &mut Wire, topic: &str) -> Pairs {
    let (mut offset, end) = (list_offset(wire, topic, 0, -2), list_offset(wire, topic, 0, -1));
    let mut pairs = Vec::new();
    while offset < end {
        let answer = wire.call(&fetch_request(topic, 0, offset, 0), 11);
        let answer = &answer.responses[0].partitions[0];
        if answer.error_code == OFFSET_OUT_OF_RANGE {
            // Retention was quicker.
            let start = list_offset(wire, topic, 0, -2);
            assert!(start > offset, "fetch at {offset}, and the log starts at {start}");
            offset = start;
            continue;
        }
        assert_eq!(answer.error_code, 0, "fetch at {offset}");
        let records = answer.records.clone().map(millrace::wire::Records::into_bytes).unwrap_or_default();
        assert!(!records.is_empty(), "nothing at {offset} of {end}");
        for found in Batches::new(&records) {
            let Ok(found) = found else { break };
            assert!(found.crc_matches());
            let mut decompressor = Decompressor::default();
            for record in decode_records(&found, &mut decompressor, 1 << 24).expect("it was written by us") {
                let record = record.expect("it was written by us");
                if record.offset >= offset {
                    pairs.push((record.key.expect("keyed").to_vec(), record.value.map(<[u8]>::to_vec)));
                }
            }
            offset = found.header.last_offset() + 1;
        }
    }
    pairs
}

/// What the topic means: the last value of each key, without those that were deleted.
fn meaning(pairs: &Pairs) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut state = BTreeMap::new();
    for (key, value) in pairs {
        match value {
            Some(value) => state.insert(key.clone(), value.clone()),
            None => state.remove(key),
        };
    }
    state
}

/// Writes a record that rolls the segments before it.
fn nudge(wire: &mut Wire, topic: &str) {
    std::thread::sleep(Duration::from_millis(60));
    let records = batch(Compression::None, &[("nudge", Some("n"))]).build();
    assert_eq!(produce(wire, topic, 0, 1, &records).error_code, 0);
}

#[test]
fn only_the_newest_values_stay_and_tombstones_go_in_time() {
    let mut node = Node::start(Kind::under_test(), &[("log.cleaner.backoff.ms", "50")]);
    let mut wire = Wire::connect(&node);
    create_topic(&mut wire, "compacted", 1, CONFIGS);
    let codecs = [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    for round in 0..20 {
        let value = format!("value {round}");
        let records: Vec<(String, Option<&str>)> =
            (0..10).map(|key| (format!("key {key}"), (key != 3 || round < 10).then_some(value.as_str()))).collect();
        let records: Vec<(&str, Option<&str>)> = records.iter().map(|(key, value)| (key.as_str(), *value)).collect();
        let records = batch(codecs[round % codecs.len()], &records).build();
        assert_eq!(produce(&mut wire, "compacted", 0, -1, &records).error_code, 0);
        std::thread::sleep(Duration::from_millis(15));
    }
    let mut expected: BTreeMap<Vec<u8>, Vec<u8>> =
        (0..10).map(|key| (format!("key {key}").into_bytes(), b"value 19".to_vec())).collect();
    expected.remove(b"key 3".as_slice());
    expected.insert(b"nudge".to_vec(), b"n".to_vec());
    let is_compacted = |wire: &mut Wire| {
        nudge(wire, "compacted");
        let pairs = read(wire, "compacted");
        assert_eq!(meaning(&pairs), expected, "compaction changes nothing of what a topic means");
        let has_old =
            pairs.iter().any(|(key, value)| key != b"nudge" && value.as_deref() != Some(b"value 19".as_slice()));
        (!has_old).then_some(())
    };
    wait_for("old values and the tombstone to go", LIMIT, || is_compacted(&mut wire));
    node.kill9();
    node.start_again();
    let mut wire = Wire::connect(&node);
    assert_eq!(meaning(&read(&mut wire, "compacted")), expected);
    wait_for("compaction to go on", LIMIT, || is_compacted(&mut wire));
    node.stop();
}

#[test]
fn a_producers_sequence_outlives_the_compaction_of_its_records() {
    let mut node = Node::start(Kind::under_test(), &[("log.cleaner.backoff.ms", "50")]);
    let mut wire = Wire::connect(&node);
    create_topic(&mut wire, "compacted", 1, CONFIGS);
    let producer = init_producer(&mut wire);
    let once = |sequence: i32| -> Bytes {
        batch(Compression::None, &[("key", Some("by the producer"))]).producer(producer, 0, sequence).build()
    };
    let first = produce(&mut wire, "compacted", 0, -1, &once(0));
    assert_eq!((first.error_code, first.base_offset), (0, 0));
    let newer = batch(Compression::None, &[("key", Some("newer"))]).build();
    assert_eq!(produce(&mut wire, "compacted", 0, -1, &newer).error_code, 0);
    wait_for("the producer's record to go", LIMIT, || {
        nudge(&mut wire, "compacted");
        let pairs = read(&mut wire, "compacted");
        (!pairs.iter().any(|(_, value)| value.as_deref() == Some(b"by the producer"))).then_some(())
    });
    node.kill9();
    node.start_again();
    let mut wire = Wire::connect(&node);
    let again = produce(&mut wire, "compacted", 0, -1, &once(0));
    assert_eq!((again.error_code, again.base_offset), (0, 0), "a duplicate isn't known any more");
    assert_eq!(produce(&mut wire, "compacted", 0, -1, &once(1)).error_code, 0);
}

#[test]
fn compact_and_delete_does_both() {
    let overrides = [("log.cleaner.backoff.ms", "50"), ("log.retention.check.interval.ms", "100")];
    let node = Node::start(Kind::under_test(), &overrides);
    let mut wire = Wire::connect(&node);
    let configs = [CONFIGS, &[("cleanup.policy", "compact,delete"), ("retention.ms", "1000")]].concat();
    let configs: BTreeMap<&str, &str> = configs.into_iter().collect();
    let configs: Vec<(&str, &str)> = configs.into_iter().collect();
    create_topic(&mut wire, "both", 1, &configs);
    for key in 0..5 {
        let key = format!("key {key}");
        let records = batch(Compression::None, &[(&key, Some("v"))]).build();
        assert_eq!(produce(&mut wire, "both", 0, 1, &records).error_code, 0);
    }
    // It seals the segment. Whoever went on with that would keep it young: compaction adds what is sealed next to it.
    nudge(&mut wire, "both");
    wait_for("the old keys to go with their segments", LIMIT, || {
        let pairs = read(&mut wire, "both");
        (!pairs.iter().any(|(key, _)| key.starts_with(b"key")) && list_offset(&mut wire, "both", 0, -2) > 0)
            .then_some(())
    });
}
