//! The CPU price of a produced byte: CRC, the pass over the records, codecs. `cargo bench --bench record`.

#![allow(missing_docs, reason = "criterion_group makes an undocumented function")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use millrace::record::{
    BatchBuilder, BatchRules, Compression, Decompressor, Depth, RecordIter, compress, crc32c, validate,
};

const NOW: i64 = 1_700_000_000_000;

/// A batch of about `batch_len` bytes of records with values of `value_len` bytes.
fn batch(batch_len: usize, value_len: usize, codec: Compression) -> Bytes {
    let mut builder = BatchBuilder::new().codec(codec, codec.default_level());
    let value: Vec<u8> = (0..value_len).map(|at| b"a line of a log: user=7 "[at % 24]).collect();
    let mut key = 0u64;
    while builder.size_in_bytes() < batch_len {
        key += 1;
        let timestamp = NOW + (key / 10) as i64;
        builder.push(timestamp, Some(&key.to_be_bytes()), Some(&value), std::iter::empty());
    }
    builder.build()
}

fn checksums(c: &mut Criterion) {
    let mut group = c.benchmark_group("crc");
    for len in [100, 1024, 16 << 10, 64 << 10, 1 << 20] {
        let bytes = vec![0x5a; len];
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_with_input(BenchmarkId::new("crc-fast", len), &bytes, |b, bytes| {
            b.iter(|| crc32c(black_box(bytes)));
        });
        group.bench_with_input(BenchmarkId::new("crc32c", len), &bytes, |b, bytes| {
            b.iter(|| crc32c::crc32c(black_box(bytes)));
        });
    }
    group.finish();
}

fn validation(c: &mut Criterion) {
    let mut group = c.benchmark_group("validate");
    for value_len in [10, 100, 1024] {
        let records = batch(64 << 10, value_len, Compression::None);
        group.throughput(Throughput::Bytes(records.len() as u64));
        for depth in [Depth::Full, Depth::Header] {
            let rules = BatchRules { depth, ..BatchRules::default() };
            let mut decompressor = Decompressor::default();
            let id = BenchmarkId::new(format!("{depth:?}"), value_len);
            group.bench_with_input(id, &records, |b, records| {
                b.iter(|| validate(black_box(records), &rules, NOW, &mut decompressor));
            });
        }
        let id = BenchmarkId::new("records", value_len);
        group.bench_with_input(id, &records, |b, records| {
            let header = millrace::record::BatchHeader::parse(records).expect("a batch");
            let records = &records[millrace::record::HEADER_LEN..];
            b.iter(|| {
                RecordIter::new(&header, black_box(records))
                    .map(|record| record.expect("well formed").offset)
                    .sum::<i64>()
            });
        });
    }
    group.finish();
}

fn codecs(c: &mut Criterion) {
    let plain = batch(64 << 10, 100, Compression::None);
    let records = &plain[millrace::record::HEADER_LEN..];
    for (name, out) in [("compress", true), ("validate compressed", false)] {
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Bytes(plain.len() as u64));
        for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
            if out {
                let mut target = Vec::new();
                group.bench_function(codec.name(), |b| {
                    b.iter(|| {
                        target.clear();
                        compress(codec, codec.default_level(), black_box(records), &mut target);
                    });
                });
            } else {
                let packed = batch(64 << 10, 100, codec);
                let rules = BatchRules::default();
                let mut decompressor = Decompressor::default();
                group.bench_function(codec.name(), |b| {
                    b.iter(|| validate(black_box(&packed), &rules, NOW, &mut decompressor));
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, checksums, validation, codecs);
criterion_main!(benches);
