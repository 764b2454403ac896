//! Rows: keys that only Millrace has. Columns: key, type, default, check, when it may change, what it does here, one line for a
//! person.

use super::super::key::Check::{Any, Between, Min, NonEmpty, OneOf};
use super::super::key::Support::Works;
use super::super::key::Type::{Bool, Int, Long, Password, Str};
use super::super::key::Update::{ClusterWide, Dynamic, ReadOnly};
use super::super::key::{Key, NULL, key};

#[rustfmt::skip]
pub(in crate::config) static BROKER_KEYS: &[Key] = &[
    key("acks.all.durability", Str, "device", OneOf(&["device", "memory"]), ClusterWide, Works, "what acks=all waits for: the records on the device, or as in Apache Kafka in the memory of every in-sync replica"),
    key("millrace.batch.validation", Str, "full", OneOf(&["full", "header"]), ReadOnly, Works, "full checks every record of a produced batch, header only the batch header and its CRC"),
    key("millrace.direct.io", Bool, "true", Any, ReadOnly, Works, "segments and write-ahead logs are written past the page cache where the file system takes that; false writes through it, with RWF_DONTCACHE where the kernel has that"),
    key("millrace.http.listener", Str, "", Any, ReadOnly, Works, "host:port of the HTTP port with the web UI, /metrics, /healthz, /readyz, /capture and /advice; empty is off"),
    key("millrace.io", Str, "auto", OneOf(&["auto", "uring", "epoll"]), ReadOnly, Works, "what tasks and disks are served with: uring (io_uring, or no start), epoll (readiness and threads: slower, and needs no more than containers allow), auto takes io_uring where it is allowed and says what it lacks elsewhere"),
    key("millrace.rest.enable", Bool, "true", Any, ReadOnly, Works, "the REST API at /v3 of the HTTP port; who may do what is told by the keys of the web UI"),
    key("millrace.shards", Int, "0", Min(0), ReadOnly, Works, "shards, each a thread pinned to a core; 0 means one per core that this process may use"),
    key("millrace.tail.bytes", Long, "0", Min(0), ReadOnly, Works, "shared memory for log tails over all shards; 0 means 1/32 of the memory, within 64 MiB and 2 GiB"),
    key("millrace.tail.dir", Str, "/dev/shm", Any, ReadOnly, Works, "directory in a tmpfs for the tail regions, which outlive a killed process"),
    key("millrace.tail.flush.ms", Long, "1000", Min(1), ClusterWide, Works, "a part-filled tail chunk reaches the disk at the latest after this time"),
    key("millrace.ui.bench.dir", Str, ".", NonEmpty, ReadOnly, Works, "directory in which the web UI looks for the reports of millrace bench, and leaves those of its own runs"),
    key("millrace.ui.enable", Bool, "true", Any, ReadOnly, Works, "the web UI on the HTTP port"),
    key("millrace.ui.read.only", Str, "auto", OneOf(&["auto", "true", "false"]), ReadOnly, Works, "true: the web UI changes nothing; false: whoever is let in may change things; auto: only with a login, or when the HTTP port listens on this machine alone"),
    key("millrace.ui.token", Password, NULL, Any, ReadOnly, Works, "a token of at least 16 characters that logs in to the web UI, for programs as Authorization: Bearer"),
    key("millrace.ui.users.file", Str, "", Any, ReadOnly, Works, "file with lines name:hash of those who may log in to the web UI; millrace ui --hash-password makes the hash"),
    key("millrace.wal.dirs", Str, "", Any, ReadOnly, Works, "directories of the write-ahead logs, shard by shard in turn; empty means the first log directory. A device of its own makes acks=all quicker"),
    key("millrace.wal.file.bytes", Long, "33554432", Between(4 << 20, 1 << 40), ReadOnly, Works, "length of a write-ahead log file; made and filled with zeroes when the first is needed"),
    key("millrace.wal.files", Int, "4", Between(2, 1024), ReadOnly, Works, "write-ahead log files of each shard at most; a full one is used again when the segments behind it are synced"),
    key("millrace.wal.linger.us", Long, "0", Between(0, 1_000_000), ReadOnly, Works, "how long a write to the write-ahead log waits for more; what arrives while another one is in flight shares a write anyway"),
    key("millrace.wal.max.entry.bytes", Int, "32768", Between(0, 512 << 10), ReadOnly, Works, "an acks=all append of more bytes is written through to its segment instead of the write-ahead log; 0 writes all of them through"),
];

#[rustfmt::skip]
pub(in crate::config) static TOPIC_KEYS: &[Key] = &[
    key("acks.all.durability", Str, "device", OneOf(&["device", "memory"]), Dynamic, Works, "what acks=all waits for: the records on the device, or as in Apache Kafka in the memory of every in-sync replica"),
];
