//! Files that an Apache Kafka 4.3.1 node wrote: topics, configurations of every kind, a SCRAM credential, a restart,
//! a clean stop.

use bytes::Bytes;

use super::*;
use crate::metadata::image::MetadataDelta;
use crate::metadata::records::MetadataRecord;
use crate::record::{Batches, RecordIter};

const LOG: &[u8] = include_bytes!("../testdata/apache-kafka-4.3.1.log");
const SNAPSHOT: &[u8] = include_bytes!("../testdata/apache-kafka-4.3.1.checkpoint");
const SNAPSHOT_NAME: &str = "00000000000000000138-0000000002.checkpoint";

fn load(files: &[(&str, &[u8])]) -> (MetadataLog, MetadataDelta) {
    let dir = tempfile::tempdir().expect("tempdir");
    for (name, bytes) in files {
        std::fs::write(dir.path().join(name), bytes).expect("write");
    }
    let mut delta = MetadataDelta::default();
    let mut visit = |batch: LoadedBatch| {
        if let Payload::Metadata(records) = &batch.payload {
            for (offset, record) in records {
                delta.apply(record).map_err(|error| QuorumError::Replay { offset: *offset, error })?;
            }
        }
        delta.advance(batch.last_offset, batch.epoch, batch.timestamp_ms);
        Ok(())
    };
    let log = MetadataLog::open(dir.path(), LogSettings::default(), 0, &mut visit).expect("a good log");
    (log, delta)
}

#[test]
fn every_record_of_apache_kafka_is_written_back_byte_by_byte() {
    let mut count = 0;
    for bytes in [LOG, SNAPSHOT] {
        for batch in Batches::new(bytes).map(|batch| batch.expect("a batch")).filter(|batch| !batch.header.is_control())
        {
            for record in RecordIter::new(&batch.header, batch.records()) {
                let value = Bytes::copy_from_slice(record.expect("well formed").value.expect("has a value"));
                let record = MetadataRecord::decode(&value).expect("known");
                assert_eq!(record.encode(30), value, "{record:?}");
                count += 1;
            }
        }
    }
    assert!(count > 150, "{count} records");
}

#[test]
fn the_log_of_apache_kafka_makes_the_image_that_it_had() {
    let (log, delta) = load(&[("00000000000000000000.log", LOG)]);
    assert_eq!((log.epoch(), log.kraft_version(), log.end_offset()), (2, 0, delta.image().offset() + 1));
    let image = delta.image();
    assert_eq!(image.features().metadata_version(), 30);
    assert!(image.cluster().broker(1).expect("registered").fenced, "it was stopped");
    let foo = image.topics().by_name("foo").expect("exists");
    assert_eq!((foo.partition_count(), foo.id.to_string().as_str()), (5, "NXATb379TkOIWqpeGuOrTg"));
    assert_eq!((foo.partitions[&4].leader, &foo.partitions[&4].elr[..]), (-1, &[1][..]));
    assert!(image.topics().by_name("bar").is_none(), "deleted");
    assert_eq!(image.configs().topic("foo").expect("set")["cleanup.policy"], "compact");
    assert_eq!(image.configs().group("g1").expect("set")["consumer.session.timeout.ms"], "50000");
    assert_eq!(image.scram().get(1, "alice").expect("set").iterations, 4096);
}

#[test]
fn a_snapshot_and_the_log_behind_it_make_the_same_image() {
    let (_, whole) = load(&[("00000000000000000000.log", LOG)]);
    let (log, from_snapshot) = load(&[("00000000000000000000.log", LOG), (SNAPSHOT_NAME, SNAPSHOT)]);
    assert_eq!(log.start_offset(), 138);
    assert_eq!(from_snapshot.image().to_records(), whole.image().to_records());
    assert_eq!(from_snapshot.image().offset(), whole.image().offset());
    let (log, alone) = load(&[(SNAPSHOT_NAME, SNAPSHOT)]);
    assert_eq!((log.end_offset(), alone.image().offset()), (138, 137));
}
