//! What this machine can do at most, measured in the same call as the runs: every result is also a share of its floor.
//!
//! Each figure takes a bounded time and writes a bounded number of bytes, so that it disturbs no run that follows.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::BenchError;
use super::doctor::DiskFigures;
use super::results::Floor;
use crate::record::{Compression, Decompressor, compress, crc32c};
use crate::rt::aligned::AlignedBuffer;
use crate::rt::file::{WriteMode, open_direct, open_direct_read, read_blocks_at, write_at};

/// Names of the figures of the disk.
pub const BUFFERED_WRITES: &str = "pwrite 1 MiB";
/// Past the page cache.
pub const DIRECT_WRITES: &str = "O_DIRECT 1 MiB";
/// Past the page cache, where the file system takes that.
pub const READS: &str = "read 1 MiB";
/// One durable write after the other.
pub const SYNCS: &str = "fdatasync 4 KiB";
/// The slowest of a hundred.
pub const SYNCS_P99: &str = "fdatasync 4 KiB p99";

/// Bytes that one figure of the disk writes at most.
const DISK_BYTES_MAX: u64 = 256 << 20;
/// Length of large writes: what brokers hand to the device under load.
const LARGE: usize = 1 << 20;
/// Length of small durable writes, and of what is sent over loopback.
const SMALL: usize = 4 << 10;
const MESSAGE: usize = 64 << 10;
/// What codecs get at once: a good batch.
const BATCH: usize = 64 << 10;

/// Measures all floors, each for about `each`; files are made in `dir`, the disk of the brokers' data. `sample` is what the records of
/// the runs are made of, for the codecs.
pub fn measure(dir: &Path, sample: &[u8], each: Duration) -> Result<Vec<Floor>, BenchError> {
    let mut floors = Vec::new();
    let mut add = |name: &str, value: f64, unit: &str| {
        floors.push(Floor { name: name.to_owned(), value, unit: unit.to_owned() });
    };
    let (throughput, round_trip) = loopback(each).map_err(|error| BenchError::Io(format!("loopback: {error}")))?;
    add("loopback 64 KiB", throughput, "MB/s");
    add("loopback round trip", round_trip, "us");
    let scratch = Scratch(dir.join(format!(".floor-{}", std::process::id())));
    add(BUFFERED_WRITES, buffered_writes(&scratch.0, each)?, "MB/s");
    if let Some(speed) = direct_writes(&scratch.0, each)? {
        add(DIRECT_WRITES, speed, "MB/s");
    }
    add(READS, reads(&scratch.0, each)?, "MB/s");
    let sync = syncs(&scratch.0, each)?;
    add(SYNCS, sync.median_us, "us");
    add(SYNCS_P99, sync.p99_us, "us");
    drop(scratch);
    add("crc32c", checksums(each), "MB/s");
    for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let speed = codec_speed(codec, sample, each);
        add(&format!("{} compress", codec.name()), speed.compress, "MB/s");
        add(&format!("{} decompress", codec.name()), speed.decompress, "MB/s");
        add(&format!("{} ratio", codec.name()), speed.ratio, "x");
    }
    Ok(floors)
}

/// The figures of a directory's device alone, each for about `each`.
pub fn disk(dir: &Path, each: Duration) -> Result<DiskFigures, BenchError> {
    let scratch = Scratch(dir.join(format!(".floor-{}", std::process::id())));
    let write_mb_s = match direct_writes(&scratch.0, each)? {
        Some(speed) => speed,
        None => buffered_writes(&scratch.0, each)?,
    };
    let read_mb_s = reads(&scratch.0, each)?;
    let sync = syncs(&scratch.0, each)?;
    Ok(DiskFigures { write_mb_s, read_mb_s, sync_us: sync.median_us, sync_p99_us: sync.p99_us })
}

/// A file that is gone when it is no longer needed.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// MB/s one way in messages of 64 KiB, and the median round trip of one byte in microseconds.
fn loopback(each: Duration) -> std::io::Result<(f64, f64)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let sink = thread::spawn(move || -> std::io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        let mut buffer = vec![0; 4 * MESSAGE];
        while stream.read(&mut buffer)? > 0 {}
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        while stream.read(&mut buffer[..1])? > 0 {
            stream.write_all(&[1])?;
        }
        Ok(())
    });
    let mut stream = TcpStream::connect(address)?;
    let message = vec![7; MESSAGE];
    let speed = megabytes_per_second(each, || stream.write_all(&message).map(|()| MESSAGE))?;
    drop(stream);
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let times = times(each, || stream.write_all(&[1]).and_then(|()| stream.read_exact(&mut [0])))?;
    drop(stream);
    sink.join().map_err(|_| std::io::Error::other("the other end panicked"))??;
    Ok((speed, times.median_us))
}

/// Into the page cache, until the bytes or the time are used up; at the end the pages are written back, which is not counted.
fn buffered_writes(path: &Path, each: Duration) -> Result<f64, BenchError> {
    let failed = |error| BenchError::io(path, error);
    let file = File::create(path).map_err(failed)?;
    let block = vec![0x5a; LARGE];
    let mut written = 0;
    let write = || {
        // Over the same range again: a bounded number of dirty pages.
        file.write_all_at(&block, written % DISK_BYTES_MAX)?;
        written += LARGE as u64;
        Ok(LARGE)
    };
    let speed = megabytes_per_second(each, write).map_err(failed)?;
    file.sync_data().map_err(failed)?;
    Ok(speed)
}

/// Past the page cache; `None` where the file system has no O_DIRECT.
fn direct_writes(path: &Path, each: Duration) -> Result<Option<f64>, BenchError> {
    let failed = |error| BenchError::io(path, error);
    let (file, mode) = open_direct(path).map_err(failed)?;
    if mode == WriteMode::Buffered {
        return Ok(None);
    }
    let mut block = AlignedBuffer::new(LARGE);
    block.fill(0x5a);
    let mut written = 0;
    let write = || {
        write_at(&file, &block, written % DISK_BYTES_MAX)?;
        written += LARGE as u64;
        Ok(LARGE)
    };
    megabytes_per_second(each, write).map(Some).map_err(failed)
}

/// Whole MiB of a file that was just written, from the device where the file system takes O_DIRECT.
fn reads(path: &Path, each: Duration) -> Result<f64, BenchError> {
    let failed = |error| BenchError::io(path, error);
    let file = open_direct_read(path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len() / LARGE as u64 * LARGE as u64;
    let mut block = AlignedBuffer::new(LARGE);
    let mut read = 0;
    let one = || {
        let count = read_blocks_at(&file, &mut block, read % len.max(1))?;
        read += count as u64;
        Ok(count)
    };
    megabytes_per_second(each, one).map_err(failed)
}

/// The time of making 4 KiB durable, over blocks that exist.
fn syncs(path: &Path, each: Duration) -> Result<Times, BenchError> {
    let failed = |error| BenchError::io(path, error);
    let file = File::options().write(true).open(path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len().max(SMALL as u64);
    let block = vec![0xa5; SMALL];
    let mut at = 0;
    let write = || {
        file.write_all_at(&block, at % len)?;
        at += SMALL as u64;
        file.sync_data()
    };
    times(each, write).map_err(failed)
}

fn checksums(each: Duration) -> f64 {
    let block: Vec<u8> = (0..LARGE).map(|at| at as u8).collect();
    let check = || {
        std::hint::black_box(crc32c(std::hint::black_box(&block)));
        Ok(LARGE)
    };
    megabytes_per_second(each.min(Duration::from_millis(50)), check).unwrap_or(0.0)
}

struct CodecSpeed {
    compress: f64,
    decompress: f64,
    ratio: f64,
}

fn codec_speed(codec: Compression, sample: &[u8], each: Duration) -> CodecSpeed {
    let batches: Vec<&[u8]> = sample.chunks(BATCH).collect();
    if batches.is_empty() {
        return CodecSpeed { compress: 0.0, decompress: 0.0, ratio: 1.0 };
    }
    let compressed = |batch: &[u8]| {
        let mut out = Vec::with_capacity(batch.len());
        compress(codec, codec.default_level(), batch, &mut out);
        out
    };
    let packed: Vec<Vec<u8>> = batches.iter().map(|batch| compressed(batch)).collect();
    let packed_len: usize = packed.iter().map(Vec::len).sum();
    let mut nth = 0;
    let mut next = || {
        nth = (nth + 1) % batches.len();
        nth
    };
    let each = each / 2;
    let compressing = megabytes_per_second(each, || {
        let batch = batches[next()];
        std::hint::black_box(compressed(batch));
        Ok(batch.len())
    });
    let mut decompressor = Decompressor::default();
    let decompressing = megabytes_per_second(each, || {
        let len = decompressor.decompress(codec, &packed[next()], 2 * BATCH).map_or(0, <[u8]>::len);
        Ok(len.max(1))
    });
    CodecSpeed {
        compress: compressing.unwrap_or(0.0),
        decompress: decompressing.unwrap_or(0.0),
        ratio: sample.len() as f64 / packed_len.max(1) as f64,
    }
}

/// Repeats `work`, which answers how many bytes it moved, for `each`.
fn megabytes_per_second(each: Duration, mut work: impl FnMut() -> std::io::Result<usize>) -> std::io::Result<f64> {
    let begun = Instant::now();
    let mut bytes = 0;
    while begun.elapsed() < each {
        bytes += work()?;
    }
    Ok(bytes as f64 / 1e6 / begun.elapsed().as_secs_f64())
}

struct Times {
    median_us: f64,
    p99_us: f64,
}

/// Repeats `work` for `each`, at least once.
fn times(each: Duration, mut work: impl FnMut() -> std::io::Result<()>) -> std::io::Result<Times> {
    let begun = Instant::now();
    let mut taken = Vec::new();
    while taken.is_empty() || begun.elapsed() < each {
        let before = Instant::now();
        work()?;
        taken.push(before.elapsed().as_secs_f64() * 1e6);
    }
    taken.sort_by(f64::total_cmp);
    let at = |share: f64| taken[((taken.len() - 1) as f64 * share).round() as usize];
    Ok(Times { median_us: at(0.5), p99_us: at(0.99) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_floor_has_a_number_and_nothing_is_left() {
        let dir = tempfile::tempdir_in(".").expect("the package is writable");
        let sample: Vec<u8> = b"GET /index.html 200 ".iter().copied().cycle().take(200_000).collect();
        let floors = measure(dir.path(), &sample, Duration::from_millis(2)).expect("there is room");
        assert!(floors.iter().all(|floor| floor.value.is_finite() && floor.value > 0.0), "{floors:?}");
        let names: Vec<&str> = floors.iter().map(|floor| floor.name.as_str()).collect();
        for name in
            ["loopback 64 KiB", "loopback round trip", "pwrite 1 MiB", "read 1 MiB", "fdatasync 4 KiB", "crc32c"]
        {
            assert!(names.contains(&name), "{name} is not in {names:?}");
        }
        let ratio = floors.iter().find(|floor| floor.name == "lz4 ratio").expect("it is there").value;
        assert!(ratio > 10.0, "{ratio}");
        assert_eq!(fs::read_dir(dir.path()).expect("it is there").count(), 0);
    }

    #[test]
    fn codecs_without_a_sample_have_no_speed() {
        assert_eq!(codec_speed(Compression::Lz4, &[], Duration::from_millis(1)).ratio, 1.0);
    }
}
