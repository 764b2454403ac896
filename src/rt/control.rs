//! The control thread: what must not wait behind data or delay it. An ordinary tokio runtime of one thread.

use std::future::Future;
use std::io;

use tokio::signal::unix::{SignalKind, signal};

use super::blocking;

/// Threads for blocking calls of the pages and the REST API: no more than these may ask at a time, over all clusters.
const BLOCKING_THREADS_MAX: usize = 44;

/// Runs a future on the calling thread, which becomes the control thread.
pub fn run<T>(future: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .on_thread_start(blocking::stand_back)
        .build()?;
    Ok(runtime.block_on(future))
}

/// Runs a future to its end on a plain thread; it may wait for channels only.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    futures_lite::future::block_on(future)
}

/// Starts a plain thread.
pub fn spawn_thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

/// Starts a task on the control thread; its end is of no interest.
pub fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) {
    drop(tokio::spawn(future));
}

/// Listens for the HTTP port, on the control thread.
pub async fn listen(host: &str, port: u16) -> io::Result<tokio::net::TcpListener> {
    tokio::net::TcpListener::bind((host, port)).await
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// An end; the signal's name.
    Stop(&'static str),
    /// To read the configuration again, or of a terminal that is closed, to end: SIGHUP.
    Hangup,
}

/// SIGTERM, SIGINT and SIGHUP.
pub struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    /// Catches them from now on. Only on the control thread.
    pub fn catch() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// What the next one asks for.
    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Asked::Stop("SIGINT"),
            _ = self.hangup.recv() => Asked::Hangup,
        }
    }
}
