//! How many connections there may be: `max.connections`, `max.connections.per.ip` with its overrides, and
//! `max.connection.creation.rate`. Shared by all shards; touched when a connection comes or goes, never by a request.

use std::collections::HashMap;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::config::BrokerConfig;
use crate::rt;

/// The limits; the numbers are the config keys' values.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// `max.connections`.
    pub connections_max: usize,
    /// `max.connections.per.ip`.
    pub per_ip_max: usize,
    /// `max.connections.per.ip.overrides`.
    pub per_ip_overrides: HashMap<IpAddr, usize>,
    /// `max.connection.creation.rate`, connections per second.
    pub creation_rate: u64,
}

impl Limits {
    /// The connection limits of a configuration; host names among the overrides are looked up. The error is a sentence.
    pub fn of(config: &BrokerConfig) -> Result<Limits, String> {
        let count = |value: i32| usize::try_from(value).unwrap_or(0);
        let mut per_ip_overrides = HashMap::new();
        for (host, max) in &config.max_connections_per_ip_overrides {
            let addresses = (host.as_str(), 0).to_socket_addrs().map_err(|error| {
                format!("max.connections.per.ip.overrides names {host}, which is no address: {error}")
            })?;
            per_ip_overrides.extend(addresses.map(|address| (address.ip(), count(*max))));
        }
        Ok(Limits {
            connections_max: count(config.max_connections),
            per_ip_max: count(config.max_connections_per_ip),
            per_ip_overrides,
            creation_rate: u64::try_from(config.max_connection_creation_rate).unwrap_or(u64::MAX),
        })
    }
}

/// Counts the connections of the whole broker.
pub struct ConnectionCounts {
    limits: Mutex<Limits>,
    total: AtomicUsize,
    per_ip: Mutex<HashMap<IpAddr, usize>>,
    next_creation: Mutex<Option<Instant>>,
}

/// What an accepted connection has to do.
pub enum Admission {
    /// Go on; the slot counts it until it is dropped.
    Admitted(Slot),
    /// Wait until another one ends: the broker has `max.connections`.
    NoRoom,
    /// Be closed: its address has too many connections.
    TooManyOfAddress,
}

/// One connection's place in the counts. It moves with the connection.
pub struct Slot {
    counts: Arc<ConnectionCounts>,
    address: IpAddr,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut per_ip = lock(&self.counts.per_ip);
        self.counts.total.fetch_sub(1, Ordering::Relaxed);
        if let Some(count) = per_ip.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                per_ip.remove(&self.address);
            }
        }
    }
}

impl ConnectionCounts {
    /// No connections yet.
    pub fn new(limits: Limits) -> Arc<ConnectionCounts> {
        Arc::new(ConnectionCounts {
            limits: Mutex::new(limits),
            total: AtomicUsize::new(0),
            per_ip: Mutex::new(HashMap::new()),
            next_creation: Mutex::new(None),
        })
    }

    /// Connections now.
    pub fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// Takes changed limits; connections that exceed them stay.
    pub fn set_limits(&self, limits: Limits) {
        *lock(&self.limits) = limits;
    }

    /// How long an acceptor waits before its next connection, by `max.connection.creation.rate`.
    pub fn creation_delay(&self) -> Duration {
        let rate = lock(&self.limits).creation_rate;
        if rate == 0 || rate >= i32::MAX as u64 {
            return Duration::ZERO;
        }
        let now = rt::clock::monotonic();
        let interval = Duration::from_secs(1) / u32::try_from(rate).unwrap_or(u32::MAX);
        let mut next = lock(&self.next_creation);
        // Up to one second's worth may come in a burst.
        let earliest = now.checked_sub(Duration::from_secs(1)).unwrap_or(now);
        let turn = next.unwrap_or(earliest).max(earliest);
        *next = Some(turn + interval);
        turn.saturating_duration_since(now)
    }

    /// Counts a connection from `address`, or refuses it.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Admission {
        let limits = lock(&self.limits);
        let max = limits.per_ip_overrides.get(&address).copied().unwrap_or(limits.per_ip_max);
        let connections_max = limits.connections_max;
        drop(limits);
        let mut per_ip = lock(&self.per_ip);
        // Every change of the total happens under this lock, so two shards can't both take the last place.
        if self.total() >= connections_max {
            return Admission::NoRoom;
        }
        let count = per_ip.entry(address).or_insert(0);
        if *count >= max {
            if *count == 0 {
                per_ip.remove(&address);
            }
            return Admission::TooManyOfAddress;
        }
        *count += 1;
        self.total.fetch_add(1, Ordering::Relaxed);
        Admission::Admitted(Slot { counts: Arc::clone(self), address })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits { connections_max: 2, per_ip_max: 1, per_ip_overrides: HashMap::new(), creation_rate: 10 }
    }

    #[test]
    fn a_slot_counts_until_it_is_dropped() {
        let counts = ConnectionCounts::new(limits());
        let address: IpAddr = [127, 0, 0, 1].into();
        let Admission::Admitted(slot) = counts.admit(address) else { panic!("there is room") };
        assert!(matches!(counts.admit(address), Admission::TooManyOfAddress));
        assert_eq!(counts.total(), 1);
        drop(slot);
        assert_eq!(counts.total(), 0);
        assert!(matches!(counts.admit(address), Admission::Admitted(_)));
    }

    #[test]
    fn an_override_wins_over_the_general_limit() {
        let address: IpAddr = [10, 0, 0, 1].into();
        let counts = ConnectionCounts::new(Limits { per_ip_overrides: HashMap::from([(address, 0)]), ..limits() });
        assert!(matches!(counts.admit(address), Admission::TooManyOfAddress));
    }

    #[test]
    fn a_full_broker_lets_nobody_in_until_one_leaves() {
        let counts = ConnectionCounts::new(Limits { connections_max: 1, ..limits() });
        let Admission::Admitted(slot) = counts.admit([10, 0, 0, 1].into()) else { panic!("there is room") };
        assert!(matches!(counts.admit([10, 0, 0, 2].into()), Admission::NoRoom));
        drop(slot);
        assert!(matches!(counts.admit([10, 0, 0, 2].into()), Admission::Admitted(_)));
    }

    #[test]
    fn creations_beyond_a_burst_are_spaced() {
        let counts = ConnectionCounts::new(limits());
        let delays: Vec<_> = (0..20).map(|_| counts.creation_delay()).collect();
        assert!(delays[..10].iter().all(Duration::is_zero));
        assert!(delays[19] > Duration::from_millis(500));
    }
}
