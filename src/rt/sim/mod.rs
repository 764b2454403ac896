//! The facade on a simulated machine, for tests: one seed decides the order of tasks, how long everything takes, what fails, when the
//! process dies and what the disk keeps. Nothing of it is in a production build.
//!
//! | file | what it simulates |
//! |---|---|
//! | `world` | the machine: clock, chance, system calls and their faults, the death of a process, the loss of power |
//! | `tasks` | the executor, timers, the blocking pool |
//! | `fs` | `std::fs`, as the facade uses it |
//! | `tree`, `content` | directories and files: what processes see, and what is on the device |
//! | `direct` | the disk ring |
//! | `chance` | random numbers |
//!
//! The code of the facade itself runs as it is (`directory::write_atomic` creates, writes, syncs, renames), so a crash comes between
//! any two of its system calls, too. Shared memory is real memory without a name.

mod chance;
mod content;
pub mod direct;
pub mod fs;
mod tasks;
mod tree;
mod world;

pub use chance::Chance;
pub use content::Unsynced;
pub use fs::{forget_cached, read_cached};
pub use tasks::{Stop, blocking, sleep, spawn, yield_now};
pub use tree::Entries;
pub use world::{Calls, Fault, FaultKind, Latency, ROOT, Sabotage, World, active, is_active, is_sabotaged, world_of};
