//! What is known of a machine, and what the broker wants of it. What could not be found out is empty.

use std::path::PathBuf;

use crate::bench::probe::Mount;
use crate::rt::ring_trial::Refusal;

/// What the configuration asks for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// `log.dirs` and `millrace.wal.dirs`, each once.
    pub data_dirs: Vec<PathBuf>,
    /// `millrace.tail.dir`; `None`: the tails are in private memory.
    pub tail_dir: Option<PathBuf>,
    /// `millrace.tail.bytes`; 0: the default.
    pub tail_bytes: u64,
    /// `millrace.shards`; 0: one per core.
    pub shards: usize,
    /// Whether `millrace.io=uring` refuses anything else.
    pub only_uring: bool,
    /// `millrace.direct.io`.
    pub direct_io: bool,
    /// What the names of tail files begin with that belong to these directories.
    pub own_tails: Vec<String>,
}

/// The machine as it is.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// See there.
    pub wanted: Wanted,
    /// `uname -r`.
    pub kernel: String,
    /// Why io_uring is refused.
    pub ring: Option<Refusal>,
    /// Whether a seccomp filter is on this process.
    pub is_filtered: bool,
    /// RLIMIT_MEMLOCK in bytes; `None` is unlimited, as it is for a process with CAP_IPC_LOCK.
    pub lockable: Option<u64>,
    /// RLIMIT_NOFILE, the hard one.
    pub open_files: u64,
    /// Cores that this process may use.
    pub cores: usize,
    /// Cores' worth of time that the cgroup grants.
    pub quota: Option<usize>,
    /// How often the cgroup was stopped because its quota was used up.
    pub throttled: u64,
    /// Share of the time that the hypervisor gave to others, 0 to 1.
    pub stolen: f64,
    /// Cores kept busy by others, while it was looked.
    pub busy_cores: f64,
    /// `performance`, `powersave`, ...
    pub governor: String,
    /// `tsc`, `kvm-clock`, ...
    pub clock_source: String,
    /// When the kernel looks for huge pages by compacting memory: `always`, `madvise`, ...
    pub huge_pages_defrag: String,
    /// NUMA nodes with memory.
    pub numa_nodes: usize,
    /// Bytes of memory, of the machine or of the cgroup.
    pub memory_bytes: u64,
    /// `net.core.somaxconn`.
    pub backlog_max: u64,
    /// The largest send buffer that TCP grows to by itself, bytes.
    pub send_buffer_max: u64,
    /// `net.ipv4.tcp_congestion_control`.
    pub congestion: String,
    /// Where the tails are to be.
    pub tail_dir: Option<TailDir>,
    /// Tail files that belong to none of the data directories.
    pub foreign_tails: Vec<Tail>,
    /// Where the data is, or is to be.
    pub data_dirs: Vec<DataDir>,
}

/// A directory in a tmpfs.
#[derive(Clone, Debug, Default)]
pub struct TailDir {
    /// It.
    pub path: PathBuf,
    /// What it is on; `None`: it can't be read.
    pub mount: Option<Mount>,
    /// Bytes free and in all.
    pub space: (u64, u64),
}

/// A tail file of somebody.
#[derive(Clone, Debug, Default)]
pub struct Tail {
    /// It.
    pub path: PathBuf,
    /// Bytes that it takes.
    pub bytes: u64,
    /// Whether a process has it mapped.
    pub is_used: bool,
}

/// A directory for data.
#[derive(Clone, Debug, Default)]
pub struct DataDir {
    /// It.
    pub path: PathBuf,
    /// What it is on.
    pub mount: Option<Mount>,
    /// The device below, and what is known of it.
    pub device: String,
    /// Bytes free and in all.
    pub space: (u64, u64),
    /// Why nothing can be written there.
    pub refused: Option<String>,
    /// Whether files are written past the page cache there.
    pub is_direct: bool,
    /// What direct writes must be multiples of, where the file system says it.
    pub alignment: Option<u64>,
    /// Short measurements.
    pub figures: Option<DiskFigures>,
}

/// What a directory's device does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DiskFigures {
    /// Writes of 1 MiB: past the page cache, where that can be, MB/s.
    pub write_mb_s: f64,
    /// Reads of 1 MiB, likewise.
    pub read_mb_s: f64,
    /// A durable write of 4 KiB, microseconds.
    pub sync_us: f64,
    /// The slowest of a hundred of them.
    pub sync_p99_us: f64,
}
