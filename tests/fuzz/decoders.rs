//! The fuzzers.

use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use bytes::Bytes;
use millrace::protocol::RequestHeader;
use millrace::wire::Reader;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::allocations::peak_of;
use crate::catalog::{self, Entry};
use crate::mutate::mutate;
use crate::random::{RandomMessages, Shape};

/// The most memory a decoder may hold for a frame: what the reader allows its arrays, a mebibyte and 16 bytes for
/// each of the frame's, and a copy of strings that are not UTF-8. In a small frame it is an array's count that
/// limits it: one element for each byte left, of a struct of some hundred bytes.
fn limit(frame: usize) -> usize {
    (4096 + 512 * frame).min((1 << 20) + 20 * frame)
}

fn seconds() -> Duration {
    let seconds = std::env::var("MILLRACE_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(3))
}

fn first_seed() -> u64 {
    std::env::var("MILLRACE_FUZZ_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Decodes `frame`, and panics with everything needed to see it again if the decoder panics or takes too much.
fn attempt(entry: &Entry, version: i16, seed: u64, frame: &[u8]) -> usize {
    let bytes = Bytes::copy_from_slice(frame);
    let result = panic::catch_unwind(AssertUnwindSafe(|| {
        peak_of(|| (entry.decode)(&mut Reader::new(bytes.clone()), version).is_ok()).1
    }));
    let shown = &frame[..frame.len().min(300)];
    let what = format!("{} version {version}, seed {seed}, frame {shown:02x?}", entry.name());
    let peak = result.unwrap_or_else(|_| panic!("the decoder panics: {what}"));
    let limit = limit(frame.len());
    assert!(peak <= limit, "{peak} bytes taken, {limit} allowed: {what}");
    peak
}

#[test]
fn damaged_messages_neither_panic_nor_swell() {
    let entries = catalog::all();
    let start = Instant::now();
    let mut attempts = 0_u64;
    for seed in first_seed().. {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut random = RandomMessages::new(seed, Shape::Mixed);
        for entry in &entries {
            let version = rng.random_range(entry.versions());
            let mut frame = random.message(&entry.table, version);
            for _ in 0..20 {
                mutate(&mut rng, &mut frame);
                attempt(entry, version, seed, &frame);
                attempts += 1;
            }
        }
        if start.elapsed() > seconds() {
            break;
        }
    }
    assert!(attempts > 1000);
}

#[test]
fn garbage_neither_panics_nor_swells() {
    let entries = catalog::all();
    let start = Instant::now();
    for seed in first_seed().. {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut frame = vec![0; rng.random_range(0..300)];
        rng.fill(&mut frame[..]);
        // Long runs of small bytes look like many small elements; pure noise ends at the first length.
        let mask: u8 = [0xff, 0x0f, 0x03, 0x01][rng.random_range(0..4)];
        frame.iter_mut().for_each(|byte| *byte &= mask);
        for entry in &entries {
            attempt(entry, rng.random_range(entry.versions()), seed, &frame);
        }
        let header = Bytes::copy_from_slice(&frame);
        let (_, peak) = peak_of(|| RequestHeader::decode(&mut Reader::new(header)).is_ok());
        assert!(peak <= limit(frame.len()));
        if start.elapsed() > seconds() {
            break;
        }
    }
}

/// Frames made of nothing but the smallest elements of some array, whole and cut short.
#[test]
fn dense_messages_do_not_swell() {
    let mut worst = (0.0, String::new());
    for entry in catalog::all() {
        for version in entry.versions() {
            for seed in 0..6 {
                let count = if seed == 5 { 100_000 } else { 1000 };
                let mut frame = RandomMessages::new(seed, Shape::Dense(count)).message(&entry.table, version);
                frame.truncate(frame.len() - (seed as usize % 2).min(frame.len()));
                let peak = attempt(&entry, version, seed, &frame);
                let factor = peak as f64 / frame.len().max(1000) as f64;
                if factor > worst.0 && frame.len() > 1000 {
                    worst = (factor, format!("{} version {version}: {peak} of {}", entry.name(), frame.len()));
                }
            }
        }
    }
    println!("most memory per byte of frame: {:.0} ({})", worst.0, worst.1);
}

/// An array that announces a billion elements in a frame of 20 bytes.
#[test]
fn announced_lengths_allocate_nothing() {
    for entry in catalog::all() {
        for version in entry.versions() {
            for fill in [[0x7f, 0xff, 0xff, 0xff], [0xff, 0xff, 0xff, 0x7f], [0x00, 0x00, 0x00, 0x0f]] {
                let frame: Vec<u8> = fill.iter().copied().cycle().take(20).collect();
                attempt(&entry, version, 0, &frame);
            }
        }
    }
}
