//! Free TCP ports for brokers that are killed and come back on the same port.

use std::collections::HashSet;
use std::net::TcpListener;
use std::sync::{LazyLock, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

static TAKEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);

/// A port that nothing listens on, given out once per process.
///
/// The brokers that `millrace bench` starts in other processes get theirs from 21,000 on, so that none of them takes the port of a node that is down
/// for a moment.
///
/// It lies below the kernel's ephemeral range. A port that binding to 0 gives lies inside it: while the
/// broker is down, the client that reconnects there may get that very port as its own and then talks
/// to itself, and keeps the broker from coming back.
pub fn free_port() -> u16 {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970").subsec_nanos();
    let mut seed = u64::from(nanos) ^ (u64::from(std::process::id()) << 32);
    let mut taken = TAKEN.lock().expect("no test panics while it holds the port list");
    loop {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let port = 12_000 + ((seed >> 33) % 9_000) as u16;
        if !taken.contains(&port) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            taken.insert(port);
            return port;
        }
    }
}
