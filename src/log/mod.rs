//! One partition's log: tail chunks, segments, indexes, recovery.
