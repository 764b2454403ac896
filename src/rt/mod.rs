//! The runtime facade: the only folder that names glommio, io_uring, files, sockets, clocks, threads and random numbers.
//!
//! | file | what it hides |
//! |---|---|
//! | `backend`, `ring_trial` | io_uring, or epoll and threads: which, and why not the other |
//! | `executor`, `run_queue` | one pinned executor per shard, its tasks |
//! | `reactor`, `slots` | what wakes a shard: readiness, timers, wakes from other threads |
//! | `blocking` | threads for work that would block a core |
//! | `mesh` | bounded inboxes that carry messages between executors |
//! | `net` | listeners and sockets: non-blocking calls, waiting only where they would block |
//! | `poller` | the event loops of clients that make load: readiness, exact waits, threads |
//! | `clock`, `random` | wall time, monotonic time, random bytes |
//! | `file`, `directory` | what files need beyond `std::fs`: O_DIRECT, preallocation, page cache probes, locks, atomic replacement |
//! | `aligned` | page-aligned buffers for direct writes |
//! | `append_file` | a file that grows by blocking appends: the metadata log |
//! | `disk` | writes from tail memory and aligned buffers: the shard's own ring, or its threads |
//! | `region`, `region_table` | tail memory: shared, cut into chunks, found again after kill -9 |
//! | `together` | waiting for several things of one task |
//! | `stream_copy`, `registered` | what makes a write from there cheap: a copy past the caches, pages that the ring knows |
//! | `process` | other processes: children that end with us, signals, their processor time |
//! | `stages` | where the time of a shard goes, stage by stage |
//! | `limits` | what the process limits must allow, and how to say it when they don't |
//! | `sim` | a simulated machine in the place of all that, in tests only |
//!
//! Code outside this folder holds no file descriptor and starts no thread, so that what is in here (io_uring, epoll, a simulation)
//! changes without touching its callers.

pub mod aligned;
pub mod append_file;
pub mod backend;
pub mod blocking;
pub mod clock;
pub mod control;
pub mod directory;
pub mod disk;
pub mod executor;
pub mod file;
pub mod limits;
pub mod mesh;
pub mod net;
pub mod poller;
pub mod process;
pub mod random;
mod reactor;
pub mod region;
pub mod region_table;
mod registered;
pub mod ring_trial;
mod run_queue;
#[cfg(test)]
pub mod sim;
mod slots;
pub mod stages;
mod stream_copy;
mod sync_ways;
pub mod together;

pub use blocking::blocking;
pub use executor::{sleep, spawn_local, timeout, yield_now};
