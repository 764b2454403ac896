//! What is said of peers that send what can't be served: once per address and minute, so that nobody can fill the log.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::rt;

const SILENCE: Duration = Duration::from_secs(60);
/// Addresses remembered; beyond that nothing is logged until some are forgotten.
const ADDRESSES_MAX: usize = 1024;

/// The addresses that were complained of lately.
#[derive(Debug, Default)]
pub struct Complaints(HashMap<IpAddr, Instant>);

impl Complaints {
    /// Says why a peer's connection is closed, unless its address was named lately.
    pub fn note(&mut self, peer: SocketAddr, listener: &str, why: &str) {
        if self.is_due(peer.ip(), rt::clock::monotonic()) {
            tracing::warn!(%peer, listener, "connection closed: {why}");
        }
    }

    fn is_due(&mut self, address: IpAddr, now: Instant) -> bool {
        let is_old = |said: &Instant| now.saturating_duration_since(*said) >= SILENCE;
        if self.0.get(&address).is_some_and(|said| !is_old(said)) {
            return false;
        }
        if self.0.len() >= ADDRESSES_MAX {
            self.0.retain(|_, said| !is_old(said));
        }
        if self.0.len() >= ADDRESSES_MAX {
            return false;
        }
        self.0.insert(address, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_named_once_a_minute() {
        let mut complaints = Complaints::default();
        let now = rt::clock::monotonic();
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        assert!(complaints.is_due(one, now));
        assert!(!complaints.is_due(one, now + SILENCE / 2));
        assert!(complaints.is_due(other, now));
        assert!(complaints.is_due(one, now + SILENCE));
    }
}
