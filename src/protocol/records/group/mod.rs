//! Records of `__consumer_offsets` (KIP-98, KIP-848): the key of a record starts with its type.

mod assignor;
mod classic;
mod consumer;
mod share;
mod streams;

pub use assignor::*;
pub use classic::*;
pub use consumer::*;
pub use share::*;
pub use streams::*;
