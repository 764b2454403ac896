//! One shard per core: what it owns, and the only types that cross cores.
