//! Why the broker closed a connection, and the counter that it goes to.

use crate::metrics::{ConnectionRefusal, FrameRejection, ShardCounters};

/// Why the broker closed a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// A frame that can't be served.
    Frame(FrameRejection),
    /// A limit on connections.
    Connection(ConnectionRefusal),
    /// Idle for longer than `connections.max.idle.ms`, or the broker stops.
    Idle,
}

impl Rejection {
    /// Counts it.
    pub fn count(self, counters: &ShardCounters) {
        match self {
            Rejection::Frame(reason) => counters.frames_rejected.increment(reason),
            Rejection::Connection(reason) => counters.connections_refused.increment(reason),
            Rejection::Idle => counters.connections_idle_closed.increment(),
        }
    }
}
