//! What the device asks for one durable write: O_DIRECT and O_DSYNC over blocks that were written before, one after the other.

use std::alloc::{Layout, alloc_zeroed};
use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::Instant;

const FILE_BYTES: usize = 64 << 20;
const BLOCK_BYTES: usize = 4096;

/// Does `count` durable writes of `bytes` each and prints how long they took.
#[allow(clippy::print_stdout, reason = "a measuring program talks to its user")]
pub fn measure(dir: &Path, count: usize, bytes: usize) {
    let die = |error: std::io::Error| -> ! { crate::die(&format!("{}: {error}", dir.display())) };
    let path = dir.join("sync.bin");
    std::fs::write(&path, vec![0; FILE_BYTES]).unwrap_or_else(|error| die(error));
    let flags = libc::O_DIRECT | libc::O_DSYNC;
    let file = OpenOptions::new().write(true).custom_flags(flags).open(&path).unwrap_or_else(|error| die(error));
    file.sync_all().unwrap_or_else(|error| die(error));
    let len = bytes.next_multiple_of(BLOCK_BYTES);
    let layout = Layout::from_size_align(len, BLOCK_BYTES).unwrap_or_else(|error| crate::die(&error.to_string()));
    // SAFETY: the layout has a size above zero; the memory is initialised and never freed, the program ends soon.
    let block = unsafe { std::slice::from_raw_parts(alloc_zeroed(layout), len) };
    let mut took: Vec<u64> = Vec::with_capacity(count);
    let begun = Instant::now();
    for nth in 0..count {
        let position = (nth * len) % (FILE_BYTES - len);
        let position = position - position % BLOCK_BYTES;
        let at = Instant::now();
        file.write_all_at(block, position as u64).unwrap_or_else(|error| die(error));
        took.push(u64::try_from(at.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    let seconds = begun.elapsed().as_secs_f64();
    took.sort_unstable();
    let micros = |share: f64| took[((count - 1) as f64 * share) as usize] as f64 / 1e3;
    println!(
        "{}",
        serde_json::json!({
            "writes": count,
            "bytes": len,
            "writes_per_s": count as f64 / seconds,
            "p50_us": micros(0.5),
            "p99_us": micros(0.99),
        })
    );
    let _ = std::fs::remove_file(&path);
}
