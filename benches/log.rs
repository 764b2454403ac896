//! The price of a log operation on real files: append with its writes, durable append, planning a read.
//! `cargo bench --bench log`; the files go to the temporary directory, so that must not be tmpfs.

#![allow(missing_docs, reason = "criterion_group makes an undocumented function")]

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use millrace::log::{
    AppendBatch, FirstBatch, Log, LogConfig, LogDirs, LogDirsSettings, MetaProperties, PartitionId, ReadRequest,
    Storage, StorageSettings,
};
use millrace::record::BatchBuilder;
use millrace::rt::executor::run_local;
use millrace::wal::WalSettings;
use millrace::wire::Uuid;

/// Tail memory.
const TAIL_BYTES: usize = 64 << 20;
/// Bytes of segments kept on disk.
const KEPT_BYTES: u64 = 512 << 20;

async fn open(path: &Path) -> (Storage, Log) {
    let directory_id = Some(Uuid::from_bytes([1; 16]));
    let meta = MetaProperties { cluster_id: "bench".to_owned(), node_id: 1, directory_id };
    meta.write(path).expect("write");
    let tail_dir = Some("/dev/shm".into());
    let paths = vec![path.to_owned()];
    let settings = LogDirsSettings { paths, cluster_id: None, node_id: 1, tail_dir: None, wal: WalSettings::default() };
    let dirs = LogDirs::open(&settings).expect("open");
    let settings = StorageSettings { tail_dir, tail_bytes: TAIL_BYTES, tail_flush_ms: 1000 };
    let storage = Storage::start(&dirs, 0, settings).expect("storage");
    let id = PartitionId { topic: "bench".into(), topic_id: Uuid::from_bytes([2; 16]), partition: 0 };
    let config = LogConfig { segment_bytes: 128 << 20, file_delete_delay_ms: 0, ..LogConfig::default() };
    let log = Log::create(&storage, &dirs.dirs()[0], id, config).await.expect("log");
    (storage, log)
}

fn batch(len: usize) -> Vec<u8> {
    BatchBuilder::new().append(1, None, Some(&vec![b'x'; len.saturating_sub(80)]), &[]).build().to_vec()
}

async fn append(storage: &Storage, log: &Log, bytes: &[u8]) {
    loop {
        let base_offset = log.log_end_offset();
        let batch = AppendBatch { bytes, base_offset, last_offset: base_offset, leader_epoch: 0, max_timestamp: 1 };
        match log.append(batch) {
            Ok(_) => return,
            Err(_) => storage.reserve(bytes.len()).await,
        }
    }
}

fn trim(log: &Log) {
    if log.size_bytes() > KEPT_BYTES {
        let segments = log.segments();
        log.advance_log_start(segments[segments.len() / 2].base_offset);
    }
}

/// Runs `count` operations on a fresh log and returns what they took.
fn timed(count: u64, operation: impl AsyncFn(&Storage, &Log) + 'static) -> Duration {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().to_owned();
    let elapsed = run_local(async move {
        let (storage, log) = open(&path).await;
        // The first round through tail memory pays for its pages.
        let warm = batch(64 << 10);
        for _ in 0..TAIL_BYTES / warm.len() {
            append(&storage, &log, &warm).await;
        }
        let start = Instant::now();
        for at in 0..count {
            operation(&storage, &log).await;
            if at % 1024 == 0 {
                trim(&log);
                millrace::rt::yield_now().await;
            }
        }
        log.flush().await.expect("flushed");
        let elapsed = start.elapsed();
        storage.stop().await;
        elapsed
    });
    elapsed.expect("executor")
}

fn appends(c: &mut Criterion) {
    let mut group = c.benchmark_group("append");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    for len in [1 << 10, 16 << 10, 64 << 10] {
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_with_input(BenchmarkId::from_parameter(len), &len, |b, len| {
            b.iter_custom(|count| {
                let bytes = batch(*len);
                timed(count, async move |storage, log| append(storage, log, &bytes).await)
            });
        });
    }
    group.finish();
}

fn durable_appends(c: &mut Criterion) {
    let mut group = c.benchmark_group("append+flush");
    group.sample_size(10).measurement_time(Duration::from_secs(2));
    for len in [1 << 10, 64 << 10] {
        group.bench_with_input(BenchmarkId::from_parameter(len), &len, |b, len| {
            b.iter_custom(|count| {
                let bytes = batch(*len);
                timed(count, async move |storage, log| {
                    append(storage, log, &bytes).await;
                    log.flush().await.expect("flushed");
                })
            });
        });
    }
    group.finish();
}

fn read_plans(c: &mut Criterion) {
    c.bench_function("plan a read of the tail", |b| {
        b.iter_custom(|count| {
            let dir = tempfile::tempdir().expect("tempdir");
            let path = dir.path().to_owned();
            let elapsed = run_local(async move {
                let (storage, log) = open(&path).await;
                let bytes = batch(1 << 10);
                for _ in 0..10_000 {
                    append(&storage, &log, &bytes).await;
                }
                let upper_bound = log.log_end_offset();
                let start = Instant::now();
                for at in 0..count {
                    let offset = (at as i64 * 7919) % 9_000;
                    let first_batch = FirstBatch::Whole;
                    let request = ReadRequest { offset, upper_bound, max_bytes: 64 << 10, first_batch };
                    let _ = black_box(log.read(request));
                }
                let elapsed = start.elapsed();
                storage.stop().await;
                elapsed
            });
            elapsed.expect("executor")
        });
    });
}

criterion_group!(benches, appends, durable_appends, read_plans);
criterion_main!(benches);
