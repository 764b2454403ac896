//! The public shape of `log/`, landed first so that others can write against it.
#![expect(unused_variables, reason = "bodies follow")]
#![expect(clippy::unimplemented, reason = "bodies follow")]

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

/// Stands in for `wire::Uuid` until that lands.
pub type Uuid = [u8; 16];

/// Names a partition on disk and in memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionId {
    /// The topic's name: part of the directory's name.
    pub topic: Arc<str>,
    /// The topic's id: in `partition.metadata`, and what the tail region is keyed by.
    pub topic_id: Uuid,
    /// Partition index within the topic.
    pub partition: i32,
}

/// What a log needs of the topic's configuration; the defaults are Kafka's.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// `segment.bytes`.
    pub segment_bytes: u32,
    /// `segment.ms`.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: each segment rolls earlier by a random part of this.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`: a segment rolls when its offset index would outgrow this.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`: one index entry for about that many bytes of log.
    pub index_interval_bytes: u32,
    /// `file.delete.delay.ms`.
    pub file_delete_delay_ms: u64,
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3_600_000,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            file_delete_delay_ms: 60_000,
        }
    }
}

/// What a shard's storage is started with.
#[derive(Clone, Debug)]
pub struct StorageSettings {
    /// `millrace.tail.dir`: a tmpfs directory; `None` keeps the tail in private memory (then kill -9 loses what is unwritten).
    pub tail_dir: Option<PathBuf>,
    /// This shard's part of `millrace.tail.bytes`; see [`tail_bytes_default`].
    pub tail_bytes: usize,
    /// `millrace.tail.flush.ms`: a part-filled chunk is written after that long.
    pub tail_flush_ms: u64,
}

/// `millrace.tail.bytes` when it is not set, over all shards: 1/32 of the memory this process may use, within 64 MiB - 2 GiB.
pub fn tail_bytes_default() -> usize {
    unimplemented!()
}

/// A shard's storage: its disk ring, its tail region, its housekeeping. Cheap to clone; lives on one shard.
#[derive(Clone)]
pub struct Storage(Rc<()>);

impl Storage {
    /// Starts the storage of shard `shard` on the current executor. Falls back (one log line each) when tmpfs is unusable.
    pub fn start(dirs: &LogDirs, shard: u16, settings: StorageSettings) -> io::Result<Storage> {
        unimplemented!()
    }

    /// Resolves when an append of `len` bytes will find memory. Call it before [`Log::append`] when [`Storage::has_room`] is
    /// false, and after [`AppendError::MemoryFull`]: the tail is full of bytes that the disk has not taken yet.
    pub async fn reserve(&self, len: usize) {
        unimplemented!()
    }

    /// Whether an append of `len` bytes would find memory now. Cheap.
    pub fn has_room(&self, len: usize) -> bool {
        unimplemented!()
    }

    /// Ends housekeeping and removes this shard's tail file. Call after every log was closed.
    pub async fn stop(&self) {
        unimplemented!()
    }
}

/// What [`LogDirs::open`] needs.
#[derive(Clone, Debug)]
pub struct LogDirsSettings {
    /// `log.dirs`.
    pub paths: Vec<PathBuf>,
    /// The cluster id every `meta.properties` must carry; `None` accepts what the first one says.
    pub cluster_id: Option<String>,
    /// `node.id`.
    pub node_id: i32,
    /// `millrace.tail.dir`: searched for what a killed process left.
    pub tail_dir: Option<PathBuf>,
}

/// All log directories of the process. `Send + Sync`, shared by the shards.
pub struct LogDirs(());

impl LogDirs {
    /// Locks and checks all directories (each must be formatted: have a `meta.properties`), reads the checkpoints and the
    /// clean-shutdown markers (and removes these), lists the partitions. A directory that can't be read starts fenced;
    /// no usable directory, or directories that contradict each other, are errors whose text names the mend.
    pub fn open(settings: &LogDirsSettings) -> Result<Arc<LogDirs>, LogDirsError> {
        unimplemented!()
    }

    /// All directories, in the order of `log.dirs`, fenced ones included.
    pub fn dirs(&self) -> &[Arc<LogDir>] {
        unimplemented!()
    }

    /// The cluster id in the `meta.properties`.
    pub fn cluster_id(&self) -> &str {
        unimplemented!()
    }

    /// The partitions found on disk at start.
    pub fn found(&self) -> Vec<FoundPartition> {
        unimplemented!()
    }

    /// Where a new partition goes: the usable directory with the fewest partitions.
    pub fn choose_for_new(&self) -> Option<Arc<LogDir>> {
        unimplemented!()
    }

    /// To be called once when every log is open: what the previous process left in the tail is in the segments now.
    pub fn loaded(&self) {
        unimplemented!()
    }

    /// Writes the checkpoint files that changed (blocking: run it through `rt::blocking`, every 5 s or so). Log directories
    /// that fail are fenced.
    pub fn write_checkpoints(&self) {
        unimplemented!()
    }

    /// The last step of a clean stop (blocking): checkpoints, then `.kafka_cleanshutdown`.
    pub fn close_clean(&self, broker_epoch: i64) -> io::Result<()> {
        unimplemented!()
    }
}

/// Why the log directories can't be used; the text says what to do.
#[derive(Debug)]
pub struct LogDirsError(pub String);

/// A partition directory found at start.
#[derive(Clone)]
pub struct FoundPartition {
    /// The directory it is in.
    pub dir: Arc<LogDir>,
    /// Its name and id.
    pub id: PartitionId,
}

/// One log directory. `Send + Sync`.
pub struct LogDir(());

impl LogDir {
    /// Its path, as configured.
    pub fn path(&self) -> &Path {
        unimplemented!()
    }

    /// `directory.id` of its `meta.properties`.
    pub fn directory_id(&self) -> Uuid {
        unimplemented!()
    }

    /// Why it is fenced (disk full, EIO, failed fsync), if it is: all its logs answer with a storage error from then on.
    pub fn failure(&self) -> Option<&str> {
        unimplemented!()
    }

    /// Fences it: the first call logs and keeps the reason.
    pub fn fail(&self, reason: &str) {
        unimplemented!()
    }

    /// The high watermark that the last checkpoint knew.
    pub fn checkpointed_high_watermark(&self, id: &PartitionId) -> Option<i64> {
        unimplemented!()
    }

    /// Notes a high watermark for the next `replication-offset-checkpoint`.
    pub fn note_high_watermark(&self, id: &PartitionId, offset: i64) {
        unimplemented!()
    }
}

/// Why a log could not be opened, created or changed.
#[derive(Debug)]
pub enum LogError {
    /// The disk refused; the log directory is fenced.
    Storage(io::Error),
    /// Bytes below the recovery point (acknowledged, once on disk) don't check out; this partition stays fenced.
    Corrupt(String),
    /// The log was fenced or closed earlier.
    Fenced(String),
}

/// What opening a log found and did; [`Log::open`] logs it too.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recovery {
    /// True after an unclean stop: bytes were checked.
    pub recovered: bool,
    /// Where the check began.
    pub recovery_point: i64,
    /// Bytes of segments that were read and checked.
    pub checked_bytes: u64,
    /// Torn bytes cut off the end.
    pub cut_bytes: u64,
    /// Bytes that only the tail region still held, added.
    pub tail_bytes: u64,
}

/// A batch to append: validated by the caller, bytes as they came from the wire.
#[derive(Clone, Copy, Debug)]
pub struct AppendBatch<'a> {
    /// One whole record batch (magic 2). Base offset and partition leader epoch are patched in the copy.
    pub bytes: &'a [u8],
    /// The offset it gets: the log end offset, or later (compacted gaps of a leader that we follow).
    pub base_offset: i64,
    /// `base_offset + last offset delta`.
    pub last_offset: i64,
    /// The leader's epoch.
    pub leader_epoch: i32,
    /// The batch's max timestamp, or -1.
    pub max_timestamp: i64,
}

/// What an append did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Base offset of the segment it went to.
    pub segment_base_offset: i64,
    /// Byte position of the batch in that segment's file.
    pub position: u64,
    /// Set when a segment was rolled just before: its base offset, which is this batch's. The caller writes its producer
    /// snapshot for that offset *before* it applies the batch to its state: [`Log::write_producer_snapshot`].
    pub rolled_at: Option<i64>,
}

/// Why an append was refused; nothing was appended.
#[derive(Debug, PartialEq, Eq)]
pub enum AppendError {
    /// The tail is full of unwritten bytes: await [`Storage::reserve`] and call again.
    MemoryFull,
    /// The log (or its directory) is fenced or closed.
    Fenced,
}

/// Whether the first batch is given whole even if it is larger than `max_bytes` (KIP-74).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstBatch {
    /// Yes: a consumer always makes progress.
    Whole,
    /// No: an answer that has other data already leaves it out.
    WithinMax,
}

/// Which bytes to read.
#[derive(Clone, Copy, Debug)]
pub struct ReadRequest {
    /// The first batch is the one that contains this offset.
    pub offset: i64,
    /// Only batches below this offset (high watermark, last stable offset, or the log end) are given.
    pub upper_bound: i64,
    /// At most that many bytes; as in Kafka the last batch may be cut in the middle, clients ignore the rest.
    pub max_bytes: usize,
    /// See [`FirstBatch`].
    pub first_batch: FirstBatch,
}

/// A range of a file, to be sent with `sendfile` (probe with `cachestat` first).
#[derive(Clone, Debug)]
pub struct FileSlice {
    /// Open for buffered reading; stays readable when the segment is deleted.
    pub file: Arc<std::fs::File>,
    /// Byte position of the first byte.
    pub position: u64,
    /// Bytes.
    pub len: usize,
}

/// A piece of an answer. `Send`.
#[derive(Clone, Debug)]
pub enum ReadSlice {
    /// Bytes in tail memory (reference counted: the chunk is not recycled while this lives).
    Memory(Bytes),
    /// Bytes in a segment file.
    File(FileSlice),
}

/// Where a read's bytes are, in order. It never crosses a segment.
#[derive(Clone, Debug, Default)]
pub struct ReadResult {
    /// The pieces; empty when there is nothing below the upper bound (or it doesn't fit).
    pub slices: Vec<ReadSlice>,
    /// Their bytes together.
    pub len: usize,
    /// Size of the first batch, 0 if there is none. For KIP-74: it may exceed what was given when `slices` is empty.
    pub first_batch_len: usize,
}

/// Why a read was refused.
#[derive(Debug)]
pub enum ReadError {
    /// Below the log start or beyond the log end.
    OffsetOutOfRange {
        /// The log's start.
        log_start_offset: i64,
        /// The log's end.
        log_end_offset: i64,
    },
    /// The log is fenced, or the file can't be read.
    Storage(io::Error),
}

/// The outcome of a read's plan.
pub enum Read {
    /// Known at once: everything needed was in memory or in the page cache.
    Ready(ReadResult),
    /// An index or batch headers must come from the disk first: await [`ColdRead::perform`]. It owns what it needs.
    Cold(ColdRead),
}

/// A read that needs the disk to find its position.
pub struct ColdRead(());

impl ColdRead {
    /// Looks up the position in the blocking pool.
    pub async fn perform(self) -> Result<ReadResult, ReadError> {
        unimplemented!()
    }
}

/// Resolves when everything appended before [`Log::flush`] is on the device, or with an error when the log got fenced.
/// May be dropped: the flush goes on.
pub struct FlushTicket(());

impl Future for FlushTicket {
    type Output = Result<(), LogError>;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        unimplemented!()
    }
}

/// A segment, as retention and tools see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// First offset it may hold.
    pub base_offset: i64,
    /// Offset after its last batch.
    pub end_offset: i64,
    /// Bytes of batches.
    pub size_bytes: u64,
    /// Largest timestamp, -1 when empty.
    pub max_timestamp: i64,
}

/// The log of one partition. Cheap to clone (another handle to the same log); lives on one shard.
#[derive(Clone)]
pub struct Log(Rc<()>);

impl Log {
    /// Creates the partition directory, `partition.metadata` included, and an empty log that starts at offset 0.
    pub async fn create(
        storage: &Storage,
        dir: &Arc<LogDir>,
        id: PartitionId,
        config: LogConfig,
    ) -> Result<Log, LogError> {
        unimplemented!()
    }

    /// Opens a partition found on disk; after an unclean stop recovers it first.
    pub async fn open(
        storage: &Storage,
        dirs: &LogDirs,
        found: &FoundPartition,
        config: LogConfig,
    ) -> Result<(Log, Recovery), LogError> {
        unimplemented!()
    }

    /// Appends a batch: sync, one copy, no system call. The caller must be told before other appends if `rolled_at` is set.
    pub fn append(&self, batch: AppendBatch<'_>) -> Result<Appended, AppendError> {
        unimplemented!()
    }

    /// Plans a read.
    pub fn read(&self, request: ReadRequest) -> Result<Read, ReadError> {
        unimplemented!()
    }

    /// [`Log::read`] and, if it is cold, [`ColdRead::perform`].
    pub async fn read_slices(&self, request: ReadRequest) -> Result<ReadResult, ReadError> {
        unimplemented!()
    }

    /// Reads whole batches into memory: for replay (producer state, coordinators) and small lookups. Cuts at a batch boundary;
    /// empty at the upper bound.
    pub async fn read_bytes(&self, request: ReadRequest) -> Result<Bytes, ReadError> {
        unimplemented!()
    }

    /// The first batch (at or after the log start) whose max timestamp is `timestamp` or later: the caller searches the
    /// record in it. `None`: no such batch.
    pub async fn batch_at_timestamp(&self, timestamp: i64) -> Result<Option<Bytes>, ReadError> {
        unimplemented!()
    }

    /// The batch that holds the largest timestamp of the log. `None`: the log is empty.
    pub async fn batch_with_max_timestamp(&self) -> Result<Option<Bytes>, ReadError> {
        unimplemented!()
    }

    /// Asks for everything appended so far to reach the device (O_DSYNC or fdatasync); appends that arrive while the write is
    /// in flight are gathered by the next one.
    pub fn flush(&self) -> FlushTicket {
        unimplemented!()
    }

    /// Everything below this offset is known to be on the device.
    pub fn durable_offset(&self) -> i64 {
        unimplemented!()
    }

    /// First offset readers may ask for.
    pub fn log_start_offset(&self) -> i64 {
        unimplemented!()
    }

    /// Offset the next batch gets.
    pub fn log_end_offset(&self) -> i64 {
        unimplemented!()
    }

    /// Bytes of batches in all segments.
    pub fn size_bytes(&self) -> u64 {
        unimplemented!()
    }

    /// The segments, oldest first; the last one is active.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        unimplemented!()
    }

    /// Its directory.
    pub fn dir(&self) -> Arc<LogDir> {
        unimplemented!()
    }

    /// Its name.
    pub fn id(&self) -> PartitionId {
        unimplemented!()
    }

    /// Why it is fenced, if it is.
    pub fn failure(&self) -> Option<String> {
        unimplemented!()
    }

    /// Takes a changed topic configuration.
    pub fn set_config(&self, config: LogConfig) {
        unimplemented!()
    }

    /// Rolls now, if the active segment has data. Returns the new segment's base offset.
    pub fn roll(&self) -> Option<i64> {
        unimplemented!()
    }

    /// Moves the log start (DeleteRecords, retention): whole segments below it are renamed to `.deleted` and removed later.
    pub fn advance_log_start(&self, offset: i64) {
        unimplemented!()
    }

    /// Cuts the log back so that it ends at `offset` or, if that is inside a batch, before that batch.
    pub async fn truncate_to(&self, offset: i64) -> Result<(), LogError> {
        unimplemented!()
    }

    /// The latest leader epoch that has an entry in `leader-epoch-checkpoint`.
    pub fn latest_epoch(&self) -> Option<i32> {
        unimplemented!()
    }

    /// Notes that `epoch` starts at `start_offset` (becoming leader; appends do it by themselves). Persisted in background.
    pub fn assign_epoch(&self, epoch: i32, start_offset: i64) {
        unimplemented!()
    }

    /// OffsetForLeaderEpoch: the largest known epoch at or below `epoch` and where it ends; `None` when unknown.
    pub fn epoch_end_offset(&self, epoch: i32) -> Option<(i32, i64)> {
        unimplemented!()
    }

    /// The epoch that `offset` belongs to.
    pub fn epoch_of(&self, offset: i64) -> Option<i32> {
        unimplemented!()
    }

    /// Offsets of the `.snapshot` files, ascending.
    pub fn producer_snapshots(&self) -> Vec<i64> {
        unimplemented!()
    }

    /// Reads the `.snapshot` file at `offset`.
    pub async fn read_producer_snapshot(&self, offset: i64) -> io::Result<Bytes> {
        unimplemented!()
    }

    /// Writes `<offset>.snapshot` in background (the bytes are the whole file).
    pub fn write_producer_snapshot(&self, offset: i64, bytes: Bytes) {
        unimplemented!()
    }

    /// Removes the `.snapshot` file at `offset`.
    pub fn delete_producer_snapshot(&self, offset: i64) {
        unimplemented!()
    }

    /// Writes and syncs everything, trims the files to their exact size. Later appends are refused.
    pub async fn close(&self) -> Result<(), LogError> {
        unimplemented!()
    }

    /// Deletes the partition: its directory is renamed to `..-delete` at once and removed after `file.delete.delay.ms`.
    pub async fn delete(&self) -> Result<(), LogError> {
        unimplemented!()
    }
}
