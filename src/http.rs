//! The HTTP port: `/metrics`, `/healthz`, `/readyz`, `/capture?seconds=60`, `/advice?seconds=10`, and beside them the pages of
//! [`ui`](crate::ui).
//!
//! Runs on the control thread's tokio runtime. Bounded: a fixed number of connections at a time (`http/bounded.rs` says who gives
//! way), each closed when nothing moves for a minute; no request bodies are read here; one scrape is rendered at a time.

mod bounded;

use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, DefaultBodyLimit, RawQuery, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::Listener;
use axum::{Extension, Router};

pub use self::bounded::Busy;
use self::bounded::{Bounded, Handle};
use crate::capture::shape::Shape;
use crate::capture::{self, Capture, advice};
use crate::metrics::{Metrics, OPENMETRICS_CONTENT_TYPE};

/// Connections at a time. More than the pages may keep at work, so that there is always one for a monitor.
const CONNECTIONS_MAX: usize = 96;

/// How often a client that waits hears something.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// How far the broker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Recovering logs, opening listeners.
    Starting = 0,
    /// Serving clients.
    Ready = 1,
    /// Draining.
    Stopping = 2,
}

/// What the pages show; shared with whoever starts and stops the broker.
#[derive(Debug)]
pub struct HttpState {
    metrics: Arc<Metrics>,
    capture: Arc<Capture>,
    phase: AtomicU8,
    /// One scrape at a time: a page of many partitions is megabytes.
    scrape: Mutex<()>,
}

impl HttpState {
    /// State of a broker that is starting.
    pub fn new(metrics: Arc<Metrics>, capture: Arc<Capture>) -> Arc<HttpState> {
        Arc::new(HttpState { metrics, capture, phase: AtomicU8::new(Phase::Starting as u8), scrape: Mutex::new(()) })
    }

    /// Tells how far the broker is.
    pub fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Stopping,
        }
    }
}

/// Serves what a monitor asks of a broker, and `pages` if there are any, until the future is dropped.
pub async fn serve<L>(listener: L, state: Arc<HttpState>, pages: Option<Router>) -> io::Result<()>
where
    L: Listener<Addr: std::fmt::Debug>,
{
    let monitored = Router::new()
        .route("/metrics", get(metrics))
        .route("/readyz", get(ready))
        .route("/capture", get(capture))
        .route("/advice", get(advise))
        .layer(DefaultBodyLimit::max(0))
        .with_state(state);
    serve_pages(listener, monitored.merge(pages.unwrap_or_else(nothing_else))).await
}

/// What stands in for the pages where there are none.
pub fn nothing_else() -> Router {
    let text = "not found; there is /metrics, /healthz, /readyz, /capture?seconds=60 and /advice?seconds=10\n";
    Router::new().fallback(async move || (StatusCode::NOT_FOUND, text))
}

/// Serves `pages` and `/healthz` until the future is dropped.
pub async fn serve_pages<L>(listener: L, pages: Router) -> io::Result<()>
where
    L: Listener<Addr: std::fmt::Debug>,
{
    let router = pages.route("/healthz", get(async || "ok\n")).layer(middleware::from_fn(keep_place));
    let service = router.into_make_service_with_connect_info::<Handle>();
    axum::serve(Bounded::new(listener, CONNECTIONS_MAX), service).await
}

/// The connection keeps its place while the request is answered; what answers on and on keeps the [`Busy`] of the request.
async fn keep_place(ConnectInfo(handle): ConnectInfo<Handle>, mut request: Request, next: Next) -> Response {
    let busy = Arc::new(handle.busy());
    request.extensions_mut().insert(Arc::clone(&busy));
    next.run(request).await
}

async fn metrics(State(state): State<Arc<HttpState>>) -> Response {
    let text = {
        let _one_at_a_time = state.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        state.metrics.render()
    };
    ([(header::CONTENT_TYPE, OPENMETRICS_CONTENT_TYPE)], text).into_response()
}

fn json<T: serde::Serialize>(page: &T) -> io::Result<String> {
    serde_json::to_string_pretty(page).map_err(io::Error::other)
}

async fn capture(
    State(state): State<Arc<HttpState>>,
    Extension(busy): Extension<Arc<Busy>>,
    RawQuery(query): RawQuery,
) -> Response {
    watch(&state, busy, query, 60, json)
}

async fn advise(
    State(state): State<Arc<HttpState>>,
    Extension(busy): Extension<Arc<Busy>>,
    RawQuery(query): RawQuery,
) -> Response {
    watch(&state, busy, query, 10, |shape| json(&advice::hints(shape)))
}

/// Notes the shape of the traffic for so many seconds and answers with a page made of it. Blanks are sent meanwhile, so that nobody
/// takes the connection for dead; it ends when the client goes away.
fn watch(
    state: &HttpState,
    busy: Arc<Busy>,
    query: Option<String>,
    seconds_default: u64,
    page: fn(&Shape) -> io::Result<String>,
) -> Response {
    let refuse = |status: StatusCode, text: &str| (status, format!("{text}\n")).into_response();
    let query = query.unwrap_or_default();
    let asked = query.split('&').find_map(|pair| pair.strip_prefix("seconds="));
    let seconds_max = capture::TIME_MAX.as_secs();
    let seconds = asked.map_or(Ok(seconds_default), str::parse);
    let Some(seconds) = seconds.ok().filter(|seconds| (1..=seconds_max).contains(seconds)) else {
        let asked = asked.unwrap_or_default();
        return refuse(StatusCode::BAD_REQUEST, &format!("seconds={asked}: give a number from 1 to {seconds_max}"));
    };
    let Some(running) = state.capture.begin(seconds) else {
        return refuse(StatusCode::CONFLICT, "there is a capture already: wait for its end");
    };
    let end = tokio::time::Instant::now() + Duration::from_secs(seconds);
    let pieces = futures_lite::stream::unfold(Some((running, busy)), move |running| async move {
        let (running, busy) = running?;
        let next = (tokio::time::Instant::now() + SIGN_OF_LIFE).min(end);
        tokio::time::sleep_until(next).await;
        if next < end {
            return Some((Ok("\n".to_owned()), Some((running, busy))));
        }
        Some((page(&running.finish()), None))
    });
    ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(pieces)).into_response()
}

async fn ready(State(state): State<Arc<HttpState>>) -> (StatusCode, &'static str) {
    match state.phase() {
        Phase::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        Phase::Ready => (StatusCode::OK, "ready\n"),
        Phase::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Names;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    async fn ask(address: std::net::SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        answer
    }

    async fn start() -> (std::net::SocketAddr, Arc<HttpState>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let state = HttpState::new(Metrics::new(1, Names { api: |_| None, error: |_| None }), Capture::new(1));
        tokio::spawn(serve(listener, state.clone(), None));
        (address, state)
    }

    #[tokio::test]
    async fn readiness_follows_the_phase() {
        let (address, state) = start().await;
        assert!(ask(address, "/readyz").await.starts_with("HTTP/1.1 503"));
        assert!(ask(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        state.set_phase(Phase::Ready);
        assert!(ask(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        state.set_phase(Phase::Stopping);
        assert!(ask(address, "/readyz").await.contains("stopping"));
        assert!(ask(address, "/nothing").await.starts_with("HTTP/1.1 404"));
        let page = ask(address, "/metrics").await;
        assert!(page.contains("application/openmetrics-text") && page.trim_end().ends_with("# EOF"), "{page}");
    }

    #[tokio::test]
    async fn a_capture_is_answered_when_its_time_is_over() {
        let (address, state) = start().await;
        for wrong in ["0", "many", "-1", "3601", ""] {
            let answer = ask(address, &format!("/capture?seconds={wrong}")).await;
            assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("give a number from 1 to 3600"), "{answer}");
        }
        let first = tokio::spawn(ask(address, "/capture?seconds=1"));
        while !state.capture.is_active() {
            tokio::task::yield_now().await;
        }
        assert!(ask(address, "/capture").await.starts_with("HTTP/1.1 409"));
        let answer = first.await.expect("no panic");
        assert!(answer.contains("\"topics\": []") && answer.contains("application/json"), "{answer}");
        assert!(!state.capture.is_active());
    }

    #[tokio::test]
    async fn the_connection_answered_longest_ago_gives_way() {
        let (address, _state) = start().await;
        let mut idle = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            idle.push(TcpStream::connect(address).await.expect("it listens"));
        }
        // One of them was answered: it is not the oldest any more.
        idle[0].write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("it reads");
        idle[0].readable().await.expect("it answers");
        assert!(ask(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        assert!(ask(address, "/metrics").await.starts_with("HTTP/1.1 200"));
        let mut rest = Vec::new();
        for stream in &mut idle {
            let mut byte = [0];
            let closed = tokio::time::timeout(Duration::from_millis(20), stream.read(&mut byte)).await;
            rest.push(matches!(closed, Ok(Ok(0) | Err(_))));
        }
        assert!(!rest[0] && rest.iter().any(|closed| *closed), "{rest:?}");
    }
}
