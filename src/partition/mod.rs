//! A log plus what Kafka says about it: offsets, epochs, producer state, waiting fetches.
//!
//! What it owns: the high watermark and its kin (`offsets`), producers (`producers`), leader epochs, the tasks that wait for
//! data or durability. What it must not know: frames, API versions, error codes, cores.
//!
//! A [`Partition`] lives on one shard (`!Send`); the operations it takes and the outcomes it gives are `Send`, because a
//! request may come from another core.

mod api_skeleton;

pub use api_skeleton::*;
