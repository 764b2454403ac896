//! Records of `__cluster_metadata` (KIP-500, KIP-631): the type of a record is its key.

mod cluster;
mod security;
mod topics;

pub use cluster::*;
pub use security::*;
pub use topics::*;
