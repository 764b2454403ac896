//! The floor: a raw program that does the work no broker can avoid, on Kafka's own frames.
//!
//! Produce: receive, find the batch, check its CRC32C, copy it once into a chunk, write full chunks
//! (`--disk ring`: O_DIRECT through io_uring; `pwrite`: page cache; `none`), answer a minimal valid
//! response. Fetch: answer a valid response whose records come from memory (`--records send`) or from
//! a file in the page cache (`--records sendfile`).
//!
//! `--sync-writes N [--sync-bytes B] [--sync-how dsync|fdatasync|cached] [--sync-fresh true] [--threads T] [--rate R]` measures N durable writes instead.
//!
//! It knows no topics, offsets, leaders or limits: what it costs is what the kernel and the memory cost.
#![allow(clippy::print_stderr, reason = "a measuring program talks to its user")]

mod answer;
#[path = "../common/args.rs"]
mod args;
#[path = "../common/cpu.rs"]
#[allow(dead_code, reason = "the floor only pins")]
mod cpu;
mod disk;
#[path = "../common/frames.rs"]
#[allow(dead_code, reason = "the floor needs the batches, not the requests")]
mod frames;
mod net;
mod sync;
#[path = "../common/wire.rs"]
#[allow(dead_code, reason = "the floor reads and writes few types")]
mod wire;

use std::path::PathBuf;

/// Says what is wrong and ends the program.
pub fn die(message: &str) -> ! {
    eprintln!("floor: {message}");
    std::process::exit(1);
}

fn main() {
    let known = [
        "port",
        "dir",
        "disk",
        "records",
        "threads",
        "core",
        "batch-bytes",
        "record-bytes",
        "congestion",
        "sync-writes",
        "sync-bytes",
        "sync-how",
        "sync-fresh",
        "rate",
    ];
    let args = args::Args::parse(&known);
    let port: u16 = args.get("port", 9292);
    let threads: i32 = args.get("threads", 1);
    let core: i32 = args.get("core", -1);
    let dir = PathBuf::from(args.text("dir").unwrap_or("target/floor"));
    let batch_bytes = args.bytes("batch-bytes", 65_536) as usize;
    let record_bytes = args.bytes("record-bytes", 1024) as usize;
    let congestion = args.text("congestion").unwrap_or("reno").to_owned();
    let disk = disk::Kind::named(args.text("disk").unwrap_or("ring"));
    let source = answer::Source::named(args.text("records").unwrap_or("send"));
    if let Err(error) = std::fs::create_dir_all(&dir) {
        die(&format!("{}: {error}", dir.display()));
    }
    let sync_writes: usize = args.get("sync-writes", 0);
    if sync_writes > 0 {
        cpu::pin(core);
        let plan = sync::Plan {
            dir,
            writes: sync_writes,
            bytes: args.bytes("sync-bytes", 4096) as usize,
            how: sync::How::named(args.text("sync-how").unwrap_or("dsync")),
            fresh: args.get("sync-fresh", false),
            threads: threads as usize,
            rate: args.get("rate", 0.0),
        };
        return sync::measure(&plan);
    }
    let servers: Vec<_> = (0..threads)
        .map(|thread| {
            let (dir, congestion) = (dir.clone(), congestion.clone());
            std::thread::spawn(move || {
                cpu::pin(if core < 0 { core } else { core + thread });
                let stored = answer::Stored::new(source, &dir, thread, batch_bytes, record_bytes);
                let writer = disk::Writer::new(disk, &dir, thread);
                net::serve(port, writer, stored, &congestion);
            })
        })
        .collect();
    for server in servers {
        if server.join().is_err() {
            die("a thread ended");
        }
    }
}
