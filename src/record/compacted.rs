//! A batch after compaction: the same header, fewer records (KIP-98 keeps sequences and offsets, KIP-534 the delete horizon).

use super::builder::put_record;
use super::codec::compress;
use super::header::{BatchHeader, HEADER_LEN, TimestampType};
use super::records::Record;

/// The batch of `header` with only these of its records, in the same codec. Base offset, last offset, epochs, producer and
/// sequence stay; the largest timestamp is that of what is left. A `delete_horizon_ms` is noted in the batch: its base timestamp.
pub fn with_records<'a>(
    header: &BatchHeader,
    records: impl Iterator<Item = Record<'a>> + Clone,
    delete_horizon_ms: Option<i64>,
) -> Vec<u8> {
    let mut header = *header;
    if let Some(horizon) = delete_horizon_ms {
        header.set_delete_horizon(horizon);
    }
    let stamps = records.clone().map(|record| record.timestamp);
    if header.timestamp_type() == TimestampType::CreateTime {
        header.max_timestamp = stamps.max().unwrap_or(header.max_timestamp);
    }
    let mut bytes = Vec::new();
    let mut count = 0;
    for record in records {
        let offset_delta = i32::try_from(record.offset - header.base_offset).expect("it is a record of this batch");
        let timestamp_delta = record.timestamp.wrapping_sub(header.base_timestamp);
        put_record(&mut bytes, timestamp_delta, offset_delta, record.key, record.value, record.headers);
        count += 1;
    }
    header.records_count = count;
    let codec = header.codec().unwrap_or_default();
    let mut batch = vec![0; HEADER_LEN];
    compress(codec, codec.default_level(), &bytes, &mut batch);
    finish(header, batch)
}

/// The batch of `header` without any record: it keeps a producer's last sequence, or the end of what was compacted.
pub fn without_records(header: &BatchHeader) -> Vec<u8> {
    let mut header = *header;
    header.records_count = 0;
    header.clear_codec();
    finish(header, vec![0; HEADER_LEN])
}

fn finish(mut header: BatchHeader, mut batch: Vec<u8>) -> Vec<u8> {
    header.set_length(batch.len());
    header.crc = header.compute_crc(&batch[HEADER_LEN..]);
    batch[..HEADER_LEN].copy_from_slice(&header.to_bytes());
    batch
}

#[cfg(test)]
mod tests {
    use super::super::{BatchBuilder, Batches, Compression, Decompressor, check_crc, decode_records};
    use super::*;

    #[test]
    fn what_is_left_keeps_its_offsets_times_and_headers() {
        for codec in [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
            let batch = BatchBuilder::new()
                .codec(codec, codec.default_level())
                .position(100, 3)
                .producer(7, 1, 40)
                .append(1000, Some(b"a"), Some(b"1"), &[])
                .append(1500, Some(b"b"), None, &[(b"h", Some(b"x"))])
                .append(1200, Some(b"c"), Some(b"3"), &[])
                .build();
            let original = Batches::new(&batch).next().expect("one").expect("valid");
            let mut decompressor = Decompressor::default();
            let all = decode_records(&original, &mut decompressor, 1000).expect("valid");
            let left: Vec<Record<'_>> = all.map(|record| record.expect("valid")).skip(1).collect();
            let smaller = with_records(&original.header, left.iter().copied(), Some(9_000));
            assert_eq!(check_crc(&smaller), Ok(()));
            let smaller = Batches::new(&smaller).next().expect("one").expect("valid");
            let header = smaller.header;
            assert_eq!((header.base_offset, header.last_offset(), header.records_count), (100, 102, 2));
            assert_eq!((header.producer_id, header.base_sequence, header.last_sequence()), (7, 40, 42));
            assert_eq!((header.delete_horizon_ms(), header.max_timestamp), (Some(9_000), 1500));
            assert_eq!(header.codec(), Ok(codec));
            let mut again = Decompressor::default();
            let found = decode_records(&smaller, &mut again, 1000).expect("valid");
            let found: Vec<Record<'_>> = found.map(|record| record.expect("valid")).collect();
            assert_eq!(found, left);
            let empty = without_records(&header);
            assert_eq!(check_crc(&empty), Ok(()));
            let empty = BatchHeader::parse(&empty).expect("a header");
            assert_eq!((empty.last_offset(), empty.records_count, empty.last_sequence()), (102, 0, 42));
        }
    }
}
