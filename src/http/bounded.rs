//! A listener with so many places: when all are taken, the connection that was answered longest ago gives way to the new one.
//!
//! So neither idle browsers nor clients that send their request byte by byte keep a monitor out: its connection is young, theirs
//! are old. A connection whose request is being answered keeps its place.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use atomic_waker::AtomicWaker;
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// A connection that neither reads nor writes for this long is closed.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// A connection that has got no answer for this long is closed, however busily it sends its request.
const UNANSWERED_MAX: Duration = Duration::from_secs(120);

/// A listener that closes the oldest idle connection when a new one finds no place.
pub(super) struct Bounded<L> {
    listener: L,
    places: Arc<Places>,
}

impl<L> Bounded<L> {
    pub(super) fn new(listener: L, places: usize) -> Bounded<L> {
        let begun = Instant::now();
        Bounded { listener, places: Arc::new(Places { max: places, begun, taken: Mutex::default() }) }
    }
}

#[derive(Debug)]
struct Places {
    max: usize,
    begun: Instant,
    taken: Mutex<Vec<Arc<Place>>>,
}

/// The place of one connection; also what a request knows of its connection.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// When it was accepted or last answered, ms after the listener began.
    answered_ms: AtomicU64,
    /// Requests that are being answered.
    busy: AtomicUsize,
    given_up: AtomicBool,
    waker: AtomicWaker,
}

/// While one of these lives, its connection keeps its place.
#[derive(Debug)]
pub struct Busy {
    handle: Handle,
}

/// A connection, as its requests see it.
#[derive(Clone, Debug)]
pub(super) struct Handle {
    place: Arc<Place>,
    places: Arc<Places>,
}

impl Handle {
    /// Keeps the connection from giving way.
    pub(super) fn busy(&self) -> Busy {
        self.place.busy.fetch_add(1, Relaxed);
        Busy { handle: self.clone() }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let Handle { place, places } = &self.handle;
        place.answered_ms.store(places.now_ms(), Relaxed);
        place.busy.fetch_sub(1, Relaxed);
    }
}

impl Places {
    fn now_ms(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64
    }

    /// A place, perhaps that of the connection that was answered longest ago; `None` when all are at work.
    fn take(&self) -> Option<Arc<Place>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.len() >= self.max {
            let idle = taken.iter().enumerate().filter(|(_, place)| place.busy.load(Relaxed) == 0);
            let (oldest, _) = idle.min_by_key(|(_, place)| place.answered_ms.load(Relaxed))?;
            let place = taken.swap_remove(oldest);
            place.given_up.store(true, Relaxed);
            place.waker.wake();
        }
        let place = Arc::new(Place { answered_ms: AtomicU64::new(self.now_ms()), ..Place::default() });
        taken.push(Arc::clone(&place));
        Some(place)
    }

    fn leave(&self, place: &Arc<Place>) {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).retain(|taken| !Arc::ptr_eq(taken, place));
    }
}

impl<L: Listener> Listener for Bounded<L> {
    type Io = Held<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (io, address) = self.listener.accept().await;
            let Some(place) = self.places.take() else { continue };
            let handle = Handle { place, places: Arc::clone(&self.places) };
            return (Held { io, handle, idle: Box::pin(tokio::time::sleep(IDLE_MAX)) }, address);
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

impl<L: Listener> Connected<IncomingStream<'_, Bounded<L>>> for Handle {
    fn connect_info(stream: IncomingStream<'_, Bounded<L>>) -> Self {
        stream.io().handle.clone()
    }
}

/// A connection that holds its place, and fails when nothing moves for too long or its place is given to another.
pub(super) struct Held<I> {
    io: I,
    handle: Handle,
    idle: Pin<Box<tokio::time::Sleep>>,
}

impl<I> Drop for Held<I> {
    fn drop(&mut self) {
        self.handle.places.leave(&self.handle.place);
    }
}

impl<I> Held<I> {
    /// Progress restarts the clock, waiting runs against it.
    fn watch<T>(&mut self, cx: &mut Context<'_>, moved: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let Handle { place, places } = &self.handle;
        place.waker.register(cx.waker());
        let unanswered = Duration::from_millis(places.now_ms().saturating_sub(place.answered_ms.load(Relaxed)));
        let too_long = unanswered > UNANSWERED_MAX && place.busy.load(Relaxed) == 0;
        if too_long || place.given_up.load(Relaxed) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if moved.is_ready() {
            self.idle.as_mut().reset(Instant::now() + IDLE_MAX);
            return moved;
        }
        match self.idle.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Held<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let moved = Pin::new(&mut self.io).poll_read(cx, buf);
        self.watch(cx, moved)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Held<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let moved = Pin::new(&mut self.io).poll_write(cx, buf);
        self.watch(cx, moved)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
