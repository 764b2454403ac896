//! Every decoder against damaged bytes: it must not panic, and must not allocate much beyond its frame.
//!
//! Runs a few seconds; `MILLRACE_FUZZ_SECONDS` makes it longer. A failure prints the seed and the frame;
//! `MILLRACE_FUZZ_SEED` starts there.

mod allocations;
#[path = "../protocol/catalog.rs"]
#[allow(dead_code, reason = "the byte comparisons use the rest")]
mod catalog;
mod decoders;
mod mutate;
#[path = "../protocol/random.rs"]
mod random;
