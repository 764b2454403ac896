//! One request as a handler sees it, and the three forms of an answer: a page, JSON under `/api`, a redirect after an action.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Serialize;

use super::Ui;
use super::cluster::Cluster;
use super::cookies::{self, cookie};
use super::guard::Visit;
use super::html as frame;
use super::trouble::Trouble;

/// Fields of a query or a form, in their order.
#[derive(Clone, Debug, Default)]
pub struct Fields(pub Vec<(String, String)>);

impl Fields {
    /// Reads `a=1&b=2`.
    pub fn parse(bytes: &[u8]) -> Fields {
        Fields(form_urlencoded::parse(bytes).into_owned().collect())
    }

    /// The field, trimmed; empty if it isn't there.
    pub fn text(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// The field as it came; empty if it isn't there.
    pub fn raw(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Whether a box was ticked.
    pub fn is_on(&self, name: &str) -> bool {
        !matches!(self.text(name), "" | "0" | "false" | "off")
    }

    /// The field as a number, `default` if it is empty.
    pub fn number<T: std::str::FromStr>(&self, name: &str, default: T) -> Result<T, Trouble> {
        match self.text(name) {
            "" => Ok(default),
            text => text.parse().map_err(|_| Trouble::Wrong(format!("{name}={text}: a whole number is needed here"))),
        }
    }
}

/// A request that has passed the guard.
#[derive(Debug)]
pub struct Ask {
    /// What all pages share.
    pub ui: Arc<Ui>,
    /// Who asks, and what he may.
    pub visit: Visit,
    /// The query.
    pub query: Fields,
    /// The form, for POST.
    pub form: Fields,
    path: Vec<(String, String)>,
    cluster: Option<Arc<Cluster>>,
    done: Option<String>,
    theme: Option<String>,
}

impl FromRequestParts<Arc<Ui>> for Ask {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, ui: &Arc<Ui>) -> Result<Ask, Response> {
        let visit = parts.extensions.get::<Visit>().cloned().expect("the guard stands before every page");
        let form = parts.extensions.remove::<Fields>().unwrap_or_default();
        let path = match RawPathParams::from_request_parts(parts, &()).await {
            Ok(params) => params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            Err(error) => return Err((StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()),
        };
        let mut ask = Ask {
            ui: Arc::clone(ui),
            visit,
            query: Fields::parse(parts.uri.query().unwrap_or_default().as_bytes()),
            form,
            path,
            cluster: None,
            done: cookie(&parts.headers, &ui.cookies.done).map(|text| decode(&text)),
            theme: cookie(&parts.headers, cookies::THEME),
        };
        let Some(slug) = ask.path.iter().find(|(name, _)| name == "cluster").map(|(_, value)| value.as_str()) else {
            return Ok(ask);
        };
        match ui.cluster(slug).cloned() {
            Some(cluster) => ask.cluster = Some(cluster),
            None => {
                let text = format!("there is no cluster {slug} here");
                return Err(ask.trouble(&Trouble::Missing(text)));
            }
        }
        Ok(ask)
    }
}

/// Text from a cookie of ours.
fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

impl Ask {
    /// The cluster of the path.
    pub fn cluster(&self) -> &Arc<Cluster> {
        self.cluster.as_ref().expect("only paths with a cluster lead to handlers that ask for it")
    }

    /// The cluster, if the path has one.
    pub fn maybe_cluster(&self) -> Option<&Arc<Cluster>> {
        self.cluster.as_ref()
    }

    /// What the reader has chosen; nothing: what his system says.
    pub fn theme(&self) -> Option<&'static str> {
        ["light", "dark"].into_iter().find(|theme| self.theme.as_deref() == Some(theme))
    }

    /// A part of the path, decoded.
    pub fn path(&self, name: &str) -> &str {
        self.path.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Whether things of this cluster may be changed by this visitor.
    pub fn may_change(&self) -> bool {
        self.changes().is_ok()
    }

    /// The same, or why not.
    pub fn changes(&self) -> Result<(), Trouble> {
        if self.cluster.as_ref().is_some_and(|cluster| cluster.is_read_only()) {
            return Err(Trouble::Forbidden("this cluster is read-only here: nothing of it can be changed".to_owned()));
        }
        self.visit.changes.map_err(|why| Trouble::Forbidden(why.to_owned()))
    }

    /// `/c/{cluster}` and what follows, for links; `rest` is encoded already.
    pub fn link(&self, rest: &str) -> String {
        format!("/c/{}{rest}", self.cluster().slug())
    }

    /// The answer with data: rendered as a page, or as JSON under `/api`.
    pub fn show<T: Serialize>(
        &self,
        title: &str,
        found: Result<T, Trouble>,
        render: impl FnOnce(&T) -> Markup,
    ) -> Response {
        match found {
            Ok(data) if self.visit.is_api => json(StatusCode::OK, &data),
            Ok(data) => self.page(StatusCode::OK, title, render(&data)),
            Err(trouble) => self.trouble(&trouble),
        }
    }

    /// The answer to an action: back to a page that says what was done.
    pub fn done(&self, outcome: Result<String, Trouble>, to: &str) -> Response {
        let text = match outcome {
            Ok(text) => text,
            Err(trouble) => return self.trouble(&trouble),
        };
        if self.visit.is_api {
            return json(StatusCode::OK, &serde_json::json!({ "done": text }));
        }
        let text = percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC);
        let cookie = format!("{}={text}; Path=/; Max-Age=15; HttpOnly; SameSite=Strict", self.ui.cookies.done);
        ([(header::LOCATION, to.to_owned()), (header::SET_COOKIE, cookie)], StatusCode::SEE_OTHER).into_response()
    }

    /// What went wrong, as a page or as JSON.
    pub fn trouble(&self, trouble: &Trouble) -> Response {
        let text = trouble.to_string();
        if self.visit.is_api {
            return json(trouble.status(), &serde_json::json!({ "error": text }));
        }
        let content = html! {
            h1 { (trouble.title()) }
            p.notice.bad role="alert" { (super::text::visible(&text)) }
            p { a href="" { "Try again" } " · " a href="/" { "All clusters" } }
        };
        self.page(trouble.status(), trouble.title(), content)
    }

    /// A page in its frame.
    pub fn page(&self, status: StatusCode, title: &str, content: Markup) -> Response {
        let page = frame::page(self, title, self.done.as_deref(), content);
        let mut response = (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], page.0).into_response();
        if self.done.is_some() {
            let over = format!("{}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict", self.ui.cookies.done);
            if let Ok(over) = HeaderValue::from_str(&over) {
                response.headers_mut().append(header::SET_COOKIE, over);
            }
        }
        response
    }

    /// The hidden field that every form of ours has.
    pub fn token(&self) -> Markup {
        html! { input type="hidden" name="csrf" value=(self.visit.csrf); }
    }
}

/// Data as JSON.
pub fn json<T: Serialize>(status: StatusCode, data: &T) -> Response {
    let bytes = serde_json::to_vec(data).expect("plain data");
    (status, [(header::CONTENT_TYPE, "application/json")], bytes).into_response()
}

/// Bytes to be saved as a file.
pub fn download(name: &str, kind: &'static str, bytes: impl Into<Body>) -> Response {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = name.chars().map(plain).take(120).collect();
    let disposition = format!("attachment; filename=\"{name}\"");
    ([(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, disposition)], bytes.into())
        .into_response()
}

/// No page has this path.
pub async fn not_found(State(_ui): State<Arc<Ui>>, ask: Ask) -> Result<Response, Infallible> {
    Ok(ask.trouble(&Trouble::Missing("there is no page with this address".to_owned())))
}
