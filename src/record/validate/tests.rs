//! Tests of the module above.

use super::*;
use crate::record::golden::{BATCHES, MARKER, bytes};
use crate::record::{Record, assign_offset, check_crc, decode_records, end_txn_marker, set_max_timestamp};

const NOW: i64 = 1_700_000_000_100;

fn check(batch: impl Into<Bytes>, rules: &BatchRules) -> Result<ValidBatch, BatchError> {
    validate(&batch.into(), rules, NOW, &mut Decompressor::default())
}

/// The bytes that will be stored; they agree with the header beside them.
fn stored(batch: &ValidBatch) -> Vec<u8> {
    assert_eq!(BatchHeader::parse(&batch.bytes), Ok(batch.header));
    batch.bytes.to_vec()
}

fn two_records() -> BatchBuilder {
    BatchBuilder::new().append(NOW - 5, Some(b"a"), Some(b"1"), &[]).append(
        NOW - 9,
        Some(b"b"),
        Some(b"2"),
        &[(b"h", None)],
    )
}

/// Changes a batch and gives it a matching CRC again.
fn tampered(batch: &[u8], change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut batch = batch.to_vec();
    change(&mut batch);
    let crc = crate::record::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

#[test]
fn batches_written_by_kafka_are_appended_as_they_are() {
    for depth in [Depth::Full, Depth::Header] {
        let rules = BatchRules { depth, ..BatchRules::default() };
        for (codec, hex) in BATCHES {
            let sent = bytes(hex);
            let sent = Bytes::from(sent);
            let valid = check(sent.clone(), &rules).expect("valid");
            // Not even a copy was made.
            assert_eq!(valid.bytes.as_ptr(), sent.as_ptr());
            assert_eq!(stored(&valid), sent, "{codec:?}");
            assert!(!valid.rebuilt);
            assert_eq!(valid.log_append_time_ms, NO_TIMESTAMP);
            assert_eq!(valid.header.max_timestamp, 1_700_000_000_005);
        }
    }
}

#[test]
fn a_cut_second_batch_is_ignored_and_a_whole_one_refused() {
    let rules = BatchRules::default();
    let one = two_records().build();
    let mut both = [&one[..], &one[..]].concat();
    assert_eq!(check(both.clone(), &rules).err(), Some(BatchError::MoreThanOne));
    both.pop();
    let valid = check(both.clone(), &rules).expect("the first one counts");
    assert_eq!(valid.bytes.len(), one.len());
    both.truncate(one.len() + 4);
    assert!(check(both, &rules).is_ok());
}

#[test]
fn bad_envelopes_are_refused_with_their_facts() {
    let rules = BatchRules::default();
    let one = two_records().build().to_vec();
    let refused = |batch: Vec<u8>| check(batch, &rules).expect_err("refused");
    assert_eq!(refused(vec![]), BatchError::NoBatch);
    assert_eq!(refused(one[..one.len() - 1].to_vec()), BatchError::NoBatch);
    for (magic, error) in [
        (0, BatchError::OldMagic(0)),
        (1, BatchError::OldMagic(1)),
        (3, BatchError::Header(HeaderError::Magic(3))),
        (-1, BatchError::Header(HeaderError::Magic(-1))),
    ] {
        let mut batch = one.clone();
        batch[16] = magic as u8;
        assert_eq!(refused(batch), error);
    }
    let mut batch = one.clone();
    assign_offset(&mut batch, 1, -1);
    assert_eq!(refused(batch), BatchError::BaseOffset(1));
    let mut batch = one.clone();
    batch[60] ^= 1;
    assert!(matches!(refused(batch), BatchError::Crc { .. }));
    let small = BatchRules { max_message_bytes: one.len() - 1, ..BatchRules::default() };
    assert!(matches!(check(one.clone(), &small), Err(BatchError::TooLarge { .. })));
    for codec in 5..=7 {
        let batch = tampered(&one, |b| b[22] |= codec);
        assert_eq!(refused(batch), BatchError::UnknownCodec(codec));
    }
}

#[test]
fn bad_client_fields_are_refused_and_coordinators_may_write_control_batches() {
    let rules = BatchRules::default();
    let one = two_records().build();
    let refused = |at: usize, value: i32| {
        let batch = tampered(&one, |b| b[at..at + 4].copy_from_slice(&value.to_be_bytes()));
        check(batch, &rules).expect_err("refused")
    };
    let (delta_at, count_at) = (23, 57);
    assert!(matches!(refused(delta_at, -1), BatchError::OffsetRange { .. }));
    assert!(matches!(refused(count_at, 0), BatchError::RecordsCount { .. }));
    assert!(matches!(refused(count_at, -5), BatchError::RecordsCount { .. }));
    assert!(matches!(refused(count_at, i32::MAX), BatchError::RecordsCountOffsetRange { .. }));
    let sequence = two_records().producer(9, 0, -1).build();
    assert!(matches!(check(sequence, &rules), Err(BatchError::BaseSequence { .. })));
    let mut marker = bytes(MARKER);
    assign_offset(&mut marker, 0, -1);
    assert_eq!(check(marker.clone(), &rules).err(), Some(BatchError::ControlFromClient));
    let coordinator = BatchRules {
        origin: Origin::Coordinator,
        target: TargetCompression::Codec { codec: Compression::Zstd, level: 3 },
        ..BatchRules::default()
    };
    assert!(!check(marker, &coordinator).expect("valid").rebuilt);
}

#[test]
fn malformed_records_are_refused() {
    let rules = BatchRules::default();
    let one = two_records().build();
    // The length of the first record, and then its key length.
    for at in [61, 65] {
        let batch = tampered(&one, |b| b[at] += 100);
        assert!(matches!(check(batch, &rules), Err(BatchError::Malformed(_))));
    }
    let mut longer = one.to_vec();
    longer.push(0);
    let longer = tampered(&longer, |b| b[11] += 1);
    assert_eq!(
        check(longer, &rules).err(),
        Some(BatchError::Malformed(crate::record::MalformedRecord::Trailing { bytes: 1 }))
    );
    let broken = tampered(&bytes(BATCHES[4].1), |b| b[70] ^= 0xff);
    assert!(matches!(check(broken, &rules), Err(BatchError::Codec(_))));
}

#[test]
fn offset_deltas_matter_only_when_compressed() {
    let rules = BatchRules::default();
    // Record 1 says it is record 0: position of its offset delta.
    let one = two_records().build();
    let first_len = 1 + usize::from(one[61]) / 2;
    let batch = tampered(&one, |b| b[61 + first_len + 3] = 0);
    assert!(check(batch.clone(), &rules).is_ok());

    let mut packed = Vec::new();
    compress(Compression::Gzip, -1, &batch[HEADER_LEN..], &mut packed);
    let mut header = BatchHeader::parse(&batch).expect("a header");
    header.set_codec(Compression::Gzip);
    header.set_length(HEADER_LEN + packed.len());
    header.crc = header.compute_crc(&packed);
    let gzip = [&header.to_bytes()[..], &packed].concat();
    assert_eq!(check(gzip.clone(), &rules).err(), Some(BatchError::InnerOffsets));

    // With another codec the batch is built anew, with good deltas.
    let to_lz4 =
        BatchRules { target: TargetCompression::Codec { codec: Compression::Lz4, level: 9 }, ..BatchRules::default() };
    for batch in [batch, gzip] {
        let valid = check(batch, &to_lz4).expect("valid");
        let stored = stored(&valid);
        assert_eq!(check_crc(&stored), Ok(()));
        let mut decompressor = Decompressor::default();
        let batch = Batches::new(&stored).next().expect("one").expect("valid");
        let records: Vec<Record<'_>> = decode_records(&batch, &mut decompressor, 1000)
            .expect("decompresses")
            .collect::<Result<_, _>>()
            .expect("well formed");
        assert_eq!((records[0].offset, records[1].offset), (0, 1));
        assert_eq!(records[1].timestamp, NOW - 9);
    }
}

#[test]
fn keys_are_required_on_compacted_topics() {
    let rules = BatchRules { compacted: true, ..BatchRules::default() };
    assert!(check(two_records().build(), &rules).is_ok());
    let batch = two_records().append(NOW, None, Some(b"3"), &[]).build();
    let error = check(batch, &rules).expect_err("no key");
    assert!(!error.is_invalid_timestamp());
    assert_eq!(
        error.rejection_message("t-0").as_deref(),
        Some(
            "One or more records have been rejected due to 1 record errors in total, and only showing the first \
             three errors at most: [RecordError(batchIndex=2, message='Compacted topic cannot accept message \
             without key in topic partition t-0')]"
        )
    );
}

#[test]
fn timestamps_are_held_against_the_clock() {
    let rules = BatchRules { timestamp_before_max_ms: 1000, timestamp_after_max_ms: 500, ..BatchRules::default() };
    for depth in [Depth::Full, Depth::Header] {
        for (timestamp, fine) in [
            (NOW - 1000, true),
            (NOW - 1001, false),
            (NOW + 500, true),
            (NOW + 501, false),
            (NO_TIMESTAMP, true),
            (i64::MIN, false),
            (i64::MAX, false),
        ] {
            let rules = BatchRules { depth, ..rules };
            let batch = BatchBuilder::new().append(timestamp, None, Some(b"v"), &[]).build();
            let result = check(batch, &rules);
            assert_eq!(result.is_ok(), fine, "{timestamp} {depth:?}");
            if let Err(e) = result {
                assert!(e.is_invalid_timestamp());
            }
        }
    }
}

#[test]
fn a_wrong_max_timestamp_is_put_right() {
    let sent = tampered(&two_records().build(), |b| b[35..43].fill(0));
    let valid = check(sent, &BatchRules::default()).expect("valid");
    assert_eq!(valid.header.max_timestamp, NOW - 5);
    assert_eq!(check_crc(&stored(&valid)), Ok(()));
}

#[test]
fn log_append_time_is_the_brokers_to_set() {
    let rules = BatchRules {
        timestamp_type: TimestampType::LogAppendTime,
        timestamp_before_max_ms: 0,
        timestamp_after_max_ms: 0,
        ..BatchRules::default()
    };
    for depth in [Depth::Full, Depth::Header] {
        let rules = BatchRules { depth, ..rules };
        let valid = check(two_records().build(), &rules).expect("valid");
        assert_eq!((valid.header.max_timestamp, valid.log_append_time_ms), (NOW, NOW));
        assert_eq!(valid.header.timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!(check_crc(&stored(&valid)), Ok(()));
        let mut claimed = two_records().build().to_vec();
        set_max_timestamp(&mut claimed, TimestampType::LogAppendTime, NOW);
        let error = check(claimed, &rules).expect_err("claims the broker's time");
        assert!(error.is_invalid_timestamp());
    }
}

#[test]
fn the_topics_codec_wins() {
    let targets = [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    for target in targets {
        let rules = BatchRules {
            target: TargetCompression::Codec { codec: target, level: target.default_level() },
            depth: Depth::Header,
            ..BatchRules::default()
        };
        for (source, hex) in BATCHES {
            let valid = check(bytes(hex), &rules).expect("valid");
            assert_eq!(valid.rebuilt, source != target);
            let header = &valid.header;
            assert_eq!(header.codec(), Ok(target));
            assert_eq!((header.producer_id, header.base_sequence), (7000, 41));
            assert!(header.is_transactional());
            let stored = stored(&valid);
            assert_eq!(check_crc(&stored), Ok(()));
            let mut decompressor = Decompressor::default();
            let batch = Batches::new(&stored).next().expect("one").expect("valid");
            let records = decode_records(&batch, &mut decompressor, 1000).expect("valid");
            assert_eq!(records.filter_map(Result::ok).count(), 3);
        }
    }
}

#[test]
fn markers_of_the_coordinator_pass() {
    let marker =
        crate::record::EndTxnMarker { control_type: crate::record::ControlRecordType::Abort, coordinator_epoch: 1 };
    let rules = BatchRules { origin: Origin::Coordinator, ..BatchRules::default() };
    assert!(check(end_txn_marker(marker, 5, 0, NOW), &rules).is_ok());
}

#[test]
fn a_bomb_is_refused() {
    let mut bomb = BatchBuilder::new().codec(Compression::Zstd, 3);
    bomb.push(NOW, None, Some(&vec![0; 8 << 20]), std::iter::empty());
    let rules = BatchRules { decompressed_bytes_max: 1 << 20, ..BatchRules::default() };
    let error = check(bomb.build(), &rules).expect_err("too large");
    assert!(matches!(error, BatchError::Codec(crate::record::CodecError::TooLarge { .. })));
}
