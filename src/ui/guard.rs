//! What every request passes before a page is made: a place, the host, the login, and for changes the proof that it is one of our
//! own forms (or a program) that asks. And what every answer gets: the headers that let no foreign script run.
//!
//! Changes are POSTs. One counts as ours when it carries `Authorization: Bearer` (no browser adds that by itself), or when the
//! form's `csrf` field equals the cookie (SameSite=Strict) and the `Origin`, where there is one, is the `Host`. Programs without a
//! login send the header `X-Millrace: 1` instead, which no page of another site can.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng;

use super::Ui;
use super::ask::{Fields, json};
use super::cookies::cookie;
use super::login::same;
use super::settings::Changes;

/// Bytes of a form; a record of 1 MiB in percent-encoding is three times as long.
const FORM_BYTES_MAX: usize = 8 << 20;
/// How long a form may take to arrive.
const FORM_WAIT: Duration = Duration::from_secs(20);
/// How long a page may take; longer than all questions of one to a cluster that doesn't answer.
const PAGE_WAIT: Duration = Duration::from_secs(60);
/// Bytes of a random token.
const TOKEN_BYTES: usize = 24;

/// What every answer says to the browser.
const HEADERS: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
         frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Who asks, and what he may.
#[derive(Clone, Debug)]
pub struct Visit {
    /// His name, if there is a login.
    pub user: Option<String>,
    /// Whether he may change things.
    pub changes: Changes,
    /// The token of our forms.
    pub csrf: String,
    /// Whether JSON is wanted.
    pub is_api: bool,
    /// The path that was asked for, without `/api`, and the query.
    pub path: String,
}

/// Stands before every page.
pub async fn guard(State(ui): State<Arc<Ui>>, request: Request, next: Next) -> Response {
    let Ok(_place) = ui.places.try_acquire() else {
        let text = "the UI answers as many requests as it can; try again in a few seconds\n";
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "2")], text).into_response();
    };
    let known = cookie(request.headers(), &ui.cookies.csrf).filter(|token| is_token(token));
    let csrf = known.clone().unwrap_or_else(random_token);
    let admitted = admit(&ui, request, csrf.clone());
    let answered = tokio::time::timeout(PAGE_WAIT, async {
        match admitted.await {
            Ok(request) => next.run(request).await,
            Err(refusal) => refusal,
        }
    });
    let late = "the page took too long\n";
    let mut response = answered.await.unwrap_or_else(|_| (StatusCode::GATEWAY_TIMEOUT, late).into_response());
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    if known.is_none() {
        let cookie = format!("{}={csrf}; Path=/; HttpOnly; SameSite=Strict", ui.cookies.csrf);
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            headers.append(header::SET_COOKIE, cookie);
        }
    }
    response
}

/// The request with its [`Visit`] and [`Fields`], or the answer that refuses it.
async fn admit(ui: &Ui, request: Request, csrf: String) -> Result<Request, Response> {
    let (mut parts, body) = request.into_parts();
    let whole = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let is_api = whole == "/api" || whole.starts_with("/api/");
    let path = if is_api { &whole["/api".len()..] } else { whole }.to_owned();
    let plain = whole.split('?').next().unwrap_or_default();
    let refuse = |status: StatusCode, text: &str| match is_api {
        true => json(status, &serde_json::json!({ "error": text })),
        false => (status, format!("{text}\n")).into_response(),
    };
    let access = &ui.access;
    if access.only_this_machine() && !is_this_machine(&parts.headers) {
        let text = "this UI answers on localhost only: ask for it by localhost, 127.0.0.1 or [::1]";
        return Err(refuse(StatusCode::MISDIRECTED_REQUEST, text));
    }
    let visitor = access.visitor(&parts.headers);
    let is_open = plain == "/login" || plain.starts_with("/assets/");
    if visitor.is_none() && !is_open {
        if is_api || parts.method != Method::GET {
            let text = "log in first: the header 'Authorization: Bearer TOKEN', or the page /login";
            return Err(refuse(StatusCode::UNAUTHORIZED, text));
        }
        let next: String = form_urlencoded::byte_serialize(whole.as_bytes()).collect();
        return Err((StatusCode::SEE_OTHER, [(header::LOCATION, format!("/login?next={next}"))]).into_response());
    }
    let visitor = visitor.unwrap_or_default();
    let mut fields = Fields::default();
    if parts.method == Method::POST {
        if !is_same_origin(&parts.headers) {
            return Err(refuse(StatusCode::FORBIDDEN, "this form was sent by a page of another site"));
        }
        if !is_open && plain != "/logout" {
            access.changes().map_err(|why| refuse(StatusCode::FORBIDDEN, why))?;
        }
        let read = tokio::time::timeout(FORM_WAIT, axum::body::to_bytes(body, FORM_BYTES_MAX)).await;
        let Ok(Ok(bytes)) = read else {
            return Err(refuse(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the form is longer than 8 MiB, or took too long to arrive",
            ));
        };
        fields = Fields::parse(&bytes);
        let known = cookie(&parts.headers, &ui.cookies.csrf);
        let is_ours = known.is_some_and(|token| is_token(&token) && same(&token, fields.raw("csrf")));
        let is_program = visitor.by_header || parts.headers.contains_key("x-millrace");
        if !is_ours && !is_program {
            let text = "the form is too old, or not one of this UI: load its page again (programs send the header X-Millrace: 1)";
            return Err(refuse(StatusCode::FORBIDDEN, text));
        }
    }
    let visit = Visit { user: visitor.name, changes: access.changes(), csrf, is_api, path };
    parts.extensions.insert(visit);
    parts.extensions.insert(fields);
    Ok(Request::from_parts(parts, Body::empty()))
}

/// A fresh random token.
pub fn random_token() -> String {
    URL_SAFE_NO_PAD.encode(rand::rng().random::<[u8; TOKEN_BYTES]>())
}

fn is_token(text: &str) -> bool {
    URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == TOKEN_BYTES)
}

fn host_of(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST).and_then(|host| host.to_str().ok())
}

/// Whether the host is a name of this machine for itself: a page of another site that had its name point here is not let in.
pub fn is_this_machine(headers: &HeaderMap) -> bool {
    let host = host_of(headers).unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let is_local_name = name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost");
    is_local_name || name.parse::<IpAddr>().is_ok()
}

/// Whether the browser says that a page of ours asks; programs say nothing.
pub fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if text("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return false;
    }
    let Some(origin) = text("origin") else { return true };
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority.is_some() && authority == host_of(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_pages_of_ours_may_post() {
        let host = ("host", "localhost:8080");
        assert!(is_same_origin(&headers(&[host])));
        assert!(is_same_origin(&headers(&[host, ("origin", "http://localhost:8080")])));
        assert!(is_same_origin(&headers(&[
            host,
            ("origin", "https://localhost:8080"),
            ("sec-fetch-site", "same-origin")
        ])));
        for origin in ["http://localhost:8081", "http://evil.example", "null", "localhost:8080"] {
            assert!(!is_same_origin(&headers(&[host, ("origin", origin)])), "{origin}");
        }
        assert!(!is_same_origin(&headers(&[host, ("sec-fetch-site", "cross-site")])));
        assert!(!is_same_origin(&headers(&[host, ("sec-fetch-site", "same-site")])));
    }

    #[test]
    fn names_that_point_here_from_outside_are_not_this_machine() {
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080", "ui.localhost:1"] {
            assert!(is_this_machine(&headers(&[("host", host)])), "{host}");
        }
        for host in ["evil.example:8080", "localhost.evil.example", "", "127.0.0.1.evil.example"] {
            assert!(!is_this_machine(&headers(&[("host", host)])), "{host}");
        }
    }

    #[test]
    fn tokens_are_random_and_recognised() {
        let token = random_token();
        assert!(is_token(&token) && token != random_token());
        assert!(!is_token("") && !is_token("short") && !is_token(&format!("{token}x")));
    }
}
