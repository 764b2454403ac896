//! Which of the kernel's two interfaces this process works with: io_uring, or epoll and threads where io_uring is refused.
//!
//! | | io_uring | epoll |
//! |---|---|---|
//! | tasks | glommio | `run_queue` |
//! | sockets, timers, wakes | `reactor` | `reactor` |
//! | writes, syncs | a ring per shard (`disk/ring.rs`) | a few threads per shard (`disk/threads.rs`) |
//! | cold reads | threads (`blocking`) | threads (`blocking`) |
//!
//! The promises are the same; the price is in perf/README.md. It is chosen once, at the start of the process.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

use super::ring_trial::{Refusal, try_ring};

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// glommio and rings of our own.
    Uring,
    /// Readiness and threads.
    Epoll,
}

/// What somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// io_uring where it is allowed.
    Auto,
    /// This one or none.
    Only(Backend),
}

/// What was chosen.
#[derive(Debug)]
pub struct Chosen {
    /// What the process runs on.
    pub backend: Backend,
    /// Why not on io_uring, if nobody asked for something else.
    pub refused: Option<Refusal>,
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.backend, &self.refused) {
            (Backend::Uring, _) => f.write_str("io_uring"),
            (Backend::Epoll, None) => f.write_str("epoll and threads"),
            (Backend::Epoll, Some(refusal)) => write!(f, "epoll and threads, slower than io_uring: {}", refusal.what),
        }
    }
}

impl Backend {
    /// Both.
    pub const ALL: [Backend; 2] = [Backend::Uring, Backend::Epoll];

    /// Its name in the configuration and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Backend::Uring => "uring",
            Backend::Epoll => "epoll",
        }
    }
}

const UNDECIDED: u8 = 0;
const URING: u8 = 1;
const EPOLL: u8 = 2;

static OF_PROCESS: AtomicU8 = AtomicU8::new(UNDECIDED);

/// Chooses for all executors that are started from here on. Fails when io_uring alone is wanted and refused.
pub fn choose(wanted: Wanted) -> Result<Chosen, Refusal> {
    let (backend, refused) = match wanted {
        Wanted::Only(Backend::Epoll) => (Backend::Epoll, None),
        Wanted::Only(Backend::Uring) => try_ring().map(|()| (Backend::Uring, None))?,
        Wanted::Auto => match try_ring() {
            Ok(()) => (Backend::Uring, None),
            Err(refusal) => (Backend::Epoll, Some(refusal)),
        },
    };
    set(backend);
    Ok(Chosen { backend, refused })
}

/// The process's backend; one that nobody has chosen is io_uring where that is allowed.
pub(super) fn of_process() -> Backend {
    match OF_PROCESS.load(Ordering::Relaxed) {
        URING => Backend::Uring,
        EPOLL => Backend::Epoll,
        _ => {
            let backend = of_test_run().unwrap_or_else(|| match try_ring() {
                Ok(()) => Backend::Uring,
                Err(_) => Backend::Epoll,
            });
            set(backend);
            backend
        }
    }
}

fn set(backend: Backend) {
    OF_PROCESS.store(if backend == Backend::Uring { URING } else { EPOLL }, Ordering::Relaxed);
}

/// `MILLRACE_IO`, with which the tests run on a backend of somebody's choice.
fn of_test_run() -> Option<Backend> {
    let asked = std::env::var("MILLRACE_IO").ok().filter(|_| cfg!(test))?;
    Backend::ALL.into_iter().find(|backend| backend.name() == asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoll_is_had_for_the_asking() {
        let before = of_process();
        let chosen = choose(Wanted::Only(Backend::Epoll)).expect("it needs nothing");
        assert_eq!((chosen.backend, chosen.refused.is_none()), (Backend::Epoll, true));
        set(before);
    }
}
