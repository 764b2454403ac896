//! What every request passes: a place, the host, the login, and for changes what no page of another site can send.
//!
//! A login is a header: `Authorization: Bearer TOKEN`, or `Authorization: Basic` with a name and a password of the users file, or with
//! no name and the token. Cookies count for nothing here, and no answer asks a browser for a password, so a browser has nothing that
//! it would add by itself. Where there is no login, a change must say `Content-Type: application/json`, which a page of another site
//! can only send after asking, and nobody answers that question.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::OwnedSemaphorePermit;

use super::Rest;
use super::fault::{Fault, IsFault, code};
use crate::ui::{Refused, is_same_origin, is_this_machine, lock, log_in, same};

/// How long a name and a password are good for without being checked again: the check is slow on purpose, and a program shows them with
/// every request.
const KNOWN_FOR: Duration = Duration::from_secs(30);
/// Logins that are remembered.
const KNOWN_MAX: usize = 64;
/// How long it may take until an answer begins.
const ANSWER_WAIT: Duration = Duration::from_secs(90);

/// The route of what is not there.
const NO_PATH: &str = "/v3/{*rest}";

/// What every answer says to a browser that got here.
const HEADERS: [(HeaderName, &str); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

/// The place of a request; what answers on and on keeps it.
pub(super) type Place = Arc<OwnedSemaphorePermit>;

/// Headers with a name and a password that were checked a moment ago.
#[derive(Debug, Default)]
pub(super) struct KnownLogins(Mutex<Vec<(Instant, String)>>);

impl KnownLogins {
    fn has(&self, header: &str) -> bool {
        let mut known = lock(&self.0);
        known.retain(|(since, _)| since.elapsed() < KNOWN_FOR);
        // All are compared, so that the time tells nothing.
        known.iter().filter(|(_, known)| same(known, header)).count() > 0
    }

    fn add(&self, header: String) {
        let mut known = lock(&self.0);
        if known.len() >= KNOWN_MAX {
            known.remove(0);
        }
        known.push((Instant::now(), header));
    }
}

/// Stands before every handler.
pub(super) async fn guard(State(rest): State<Arc<Rest>>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().cloned().filter(|path| path.as_str() != NO_PATH);
    let mut response = match admit(&rest, request.method(), request.headers()).await {
        Ok(place) => {
            request.extensions_mut().insert(place);
            let answered = tokio::time::timeout(ANSWER_WAIT, next.run(request)).await;
            answered.unwrap_or_else(|_| Fault::new(504, "the answer took too long").into_response())
        }
        Err(fault) => fault.into_response(),
    };
    if response.extensions().get::<IsFault>().is_some() {
        rest.count(|metrics| metrics.rest_errors.increment());
    }
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    if let Some(metrics) = &rest.metrics {
        let (path, status) = (path.as_ref().map(MatchedPath::as_str), response.status().as_u16());
        metrics.rest.record(method.as_str(), path, status, begun.elapsed());
    }
    response
}

async fn admit(rest: &Arc<Rest>, method: &Method, headers: &HeaderMap) -> Result<Place, Fault> {
    let busy = "as many requests as there are places are being answered; try again in a few seconds";
    let place = Arc::clone(&rest.places).try_acquire_owned().map_err(|_| Fault::new(429, busy))?;
    let access = rest.ui.access();
    if access.only_this_machine() && !is_this_machine(headers) {
        let text = "this port answers on localhost only: ask for it by localhost, 127.0.0.1 or [::1]";
        return Err(Fault::new(421, text));
    }
    if access.has_login() && !access.bears_token(headers) {
        basic(rest, headers).await?;
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        if !is_same_origin(headers) {
            return Err(Fault::new(code::NOT_ALLOWED, "this was sent by a page of another site"));
        }
        access.changes().map_err(|why| Fault::new(code::NOT_ALLOWED, why))?;
        if *method != Method::DELETE {
            is_json(headers)?;
        }
    }
    Ok(Arc::new(place))
}

async fn basic(rest: &Arc<Rest>, headers: &HeaderMap) -> Result<(), Fault> {
    let needed =
        "log in: 'Authorization: Bearer TOKEN', or a name and a password (curl -u name:password, or -u :TOKEN)";
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let encoded = given.and_then(|text| text.strip_prefix("Basic "));
    let decoded = encoded.and_then(|text| String::from_utf8(STANDARD.decode(text.trim()).ok()?).ok());
    let Some((name, password)) = decoded.as_deref().and_then(|text| text.split_once(':')) else {
        return Err(Fault::new(code::NO_LOGIN, needed));
    };
    let known = given.unwrap_or_default();
    if rest.known.has(known) {
        return Ok(());
    }
    match log_in(&rest.ui, name.to_owned(), password.to_owned()).await {
        Ok(_) => {
            rest.known.add(known.to_owned());
            Ok(())
        }
        Err(Refused::Wrong) => Err(Fault::new(code::NO_LOGIN, "name and password do not fit")),
        Err(Refused::Busy) => Err(Fault::new(429, "too many logins at once: try again in a few seconds")),
        Err(Refused::NoUsers) => Err(Fault::new(500, "the users file cannot be read: the log says why")),
    }
}

fn is_json(headers: &HeaderMap) -> Result<(), Fault> {
    let kind = headers.get(header::CONTENT_TYPE).map_or("", |kind| kind.to_str().unwrap_or("?"));
    let media = kind.split(';').next().unwrap_or_default().trim();
    if media.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let found = if kind.is_empty() { "there is no Content-Type".to_owned() } else { format!("Content-Type is {kind}") };
    Err(Fault::new(
        415,
        format!("{found}: send 'Content-Type: application/json' (curl: -H 'Content-Type: application/json')"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_is_taken() {
        let kind = |text: &'static str| {
            is_json(&[(header::CONTENT_TYPE, HeaderValue::from_static(text))].into_iter().collect())
        };
        assert!(kind("application/json").is_ok() && kind("Application/JSON; charset=utf-8").is_ok());
        for wrong in
            ["text/plain", "application/x-www-form-urlencoded", "application/json-seq", "multipart/form-data", ""]
        {
            assert_eq!(kind(wrong).expect_err("no JSON").code, 415, "{wrong}");
        }
        assert!(is_json(&HeaderMap::new()).is_err());
    }

    #[test]
    fn the_oldest_login_is_forgotten_first() {
        let known = KnownLogins::default();
        (0..=KNOWN_MAX).for_each(|number| known.add(format!("Basic {number}")));
        assert!(!known.has("Basic 0") && known.has("Basic 1") && known.has(&format!("Basic {KNOWN_MAX}")));
    }
}
