//! Users, tokens, sessions.
//!
//! The users file has lines `name:hash`, the hash as `millrace ui --hash-password` prints it (Argon2id, PHC string). It is read at
//! every login, so that a change counts at once. Sessions are in memory: a restart logs everybody out.

use std::collections::HashMap;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::html;
use rand::Rng;
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

use super::Ui;
use super::ask::Ask;
use super::cluster::lock;
use super::cookies::{Cookies, cookie};
use super::guard::random_token;
use super::settings::{Changes, UiSettings};

/// Sessions at a time; the oldest gives way.
const SESSIONS_MAX: usize = 1000;
/// How long a session lasts.
const SESSION_MAX: Duration = Duration::from_secs(12 * 3600);
/// Logins that are checked or wait for it; more are told to come again.
const LOGINS_MAX: usize = 4;
/// How long a refusal takes, so that guessing does, too.
const REFUSAL_WAIT: Duration = Duration::from_millis(700);
/// A hash of nothing that is checked for unknown names: they take as long as known ones.
const NOBODYS_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bWlsbHJhY2VtaWxscmFjZQ$4m4Yt7m0X1l7gH0TfJ8rJw3p2cS4mX3mH2lq0f1nJpM";

/// Who may come in.
#[derive(Debug)]
pub struct Access {
    users_file: Option<PathBuf>,
    token: Option<String>,
    changes: Changes,
    listener: IpAddr,
    session_cookie: String,
    sessions: Mutex<HashMap<String, Session>>,
    logins: Semaphore,
}

#[derive(Debug)]
struct Session {
    user: String,
    begun: Instant,
}

/// Somebody who was let in.
#[derive(Debug, Default)]
pub struct Visitor {
    /// His name; nobody's where there is no login.
    pub name: Option<String>,
    /// He showed the token in a header, as no browser does by itself.
    pub by_header: bool,
}

/// Whether two secrets are the same, in a time that tells nothing.
pub fn same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

/// What stands behind a name in the users file.
pub fn hash_password(password: &str) -> Result<String, String> {
    if password.is_empty() {
        return Err("an empty password lets everybody in: give another on standard input".to_owned());
    }
    let salt = SaltString::encode_b64(&rand::rng().random::<[u8; 16]>()).map_err(|error| error.to_string())?;
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string()).map_err(|error| error.to_string())
}

/// Names and hashes of a users file. The error names the line.
fn read_users(text: &str) -> Result<HashMap<String, String>, String> {
    let mut users = HashMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |what: &str| {
            format!("line {}: {what}; lines are name:hash, and 'millrace ui --hash-password' makes the hash", index + 1)
        };
        let (name, hash) = line.split_once(':').ok_or_else(|| wrong("there is no colon"))?;
        PasswordHash::new(hash).map_err(|error| wrong(&format!("the hash of {name} is none ({error})")))?;
        if name.is_empty() || users.insert(name.to_owned(), hash.to_owned()).is_some() {
            return Err(wrong("the name is empty, or there twice"));
        }
    }
    Ok(users)
}

impl Access {
    /// Checks what it is told; the error is a sentence with the mend.
    pub fn new(settings: &UiSettings) -> Result<Access, String> {
        if settings.token.as_ref().is_some_and(|token| token.len() < 16) {
            return Err(
                "the token of the UI has fewer than 16 characters: take a longer one, 'openssl rand -hex 16' makes one"
                    .to_owned(),
            );
        }
        let access = Access {
            users_file: settings.users_file.clone(),
            token: settings.token.clone(),
            changes: settings.changes(),
            listener: settings.listener.ip(),
            session_cookie: Cookies::of_port(settings.listener.port()).session,
            sessions: Mutex::default(),
            logins: Semaphore::new(LOGINS_MAX),
        };
        access.users()?;
        Ok(access)
    }

    fn users(&self) -> Result<HashMap<String, String>, String> {
        let Some(path) = &self.users_file else { return Ok(HashMap::new()) };
        let text = fs::read_to_string(path).map_err(|error| format!("users file {}: {error}", path.display()))?;
        read_users(&text).map_err(|error| format!("users file {}: {error}", path.display()))
    }

    /// Whether there is a login.
    pub fn has_login(&self) -> bool {
        self.users_file.is_some() || self.token.is_some()
    }

    /// Whether only programs of this machine can connect, and nobody has to log in.
    pub fn only_this_machine(&self) -> bool {
        self.listener.is_loopback() && !self.has_login()
    }

    /// Whether things may be changed.
    pub fn changes(&self) -> Changes {
        self.changes
    }

    /// Who sends these headers; `None` if he has to log in.
    pub fn visitor(&self, headers: &HeaderMap) -> Option<Visitor> {
        if !self.has_login() {
            return Some(Visitor::default());
        }
        if self.bears_token(headers) {
            return Some(Visitor { name: Some("token".to_owned()), by_header: true });
        }
        let session = cookie(headers, &self.session_cookie)?;
        let sessions = lock(&self.sessions);
        let session = sessions.get(&session).filter(|session| session.begun.elapsed() < SESSION_MAX)?;
        Some(Visitor { name: Some(session.user.clone()), by_header: false })
    }

    /// Whether the token is among these headers, as `Authorization: Bearer`.
    pub fn bears_token(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|text| text.strip_prefix("Bearer "));
        self.token.as_ref().zip(given).is_some_and(|(token, given)| same(token, given.trim()))
    }

    fn begin(&self, user: &str) -> String {
        let token = random_token();
        let mut sessions = lock(&self.sessions);
        sessions.retain(|_, session| session.begun.elapsed() < SESSION_MAX);
        if sessions.len() >= SESSIONS_MAX {
            let oldest = sessions.iter().min_by_key(|(_, session)| session.begun).map(|(token, _)| token.clone());
            oldest.and_then(|oldest| sessions.remove(&oldest));
        }
        sessions.insert(token.clone(), Session { user: user.to_owned(), begun: Instant::now() });
        token
    }

    /// Checks a name and a password, or the token as a password without a name. Takes a while, on purpose.
    fn check(&self, name: &str, password: &str) -> Result<Option<String>, String> {
        if let Some(token) = &self.token
            && name.is_empty()
            && same(token, password)
        {
            return Ok(Some("token".to_owned()));
        }
        let users = self.users()?;
        let hash = users.get(name).map_or(NOBODYS_HASH, String::as_str);
        let matches = PasswordHash::new(hash)
            .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
        Ok((matches && users.contains_key(name)).then(|| name.to_owned()))
    }
}

/// Where to go after the login: a path of ours, nothing else.
fn safe_next(next: &str) -> &str {
    let is_path = next.starts_with('/') && !next.starts_with("//") && !next.contains(['\\', '\r', '\n']);
    if is_path { next } else { "/" }
}

/// The form.
pub async fn page(ask: Ask) -> Response {
    form(&ask, ask.query.text("next"), None)
}

fn form(ask: &Ask, next: &str, complaint: Option<&str>) -> Response {
    let access = &ask.ui.access;
    let status = if complaint.is_some() { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    let content = html! {
        h1 { "Log in" }
        @if let Some(complaint) = complaint { p.notice.bad role="alert" { (complaint) } }
        @if !access.has_login() { p.notice { "This UI has no login: everybody is in." } }
        form.card.narrow method="post" action="/login" {
            (ask.token())
            input type="hidden" name="next" value=(safe_next(next));
            @if access.users_file.is_some() {
                label { "Name" input name="name" autocomplete="username" autofocus; }
            }
            label {
                @match (access.users_file.is_some(), access.token.is_some()) {
                    (true, true) => "Password (or the token, without a name)", (false, _) => "Token", _ => "Password",
                }
                input name="password" type="password" autocomplete="current-password";
            }
            button.primary { "Log in" }
        }
    };
    ask.page(status, "Log in", content)
}

/// The form that was sent.
pub async fn enter(State(ui): State<Arc<Ui>>, ask: Ask) -> Response {
    let (name, password) = (ask.form.text("name").to_owned(), ask.form.raw("password").to_owned());
    let refusal = match log_in(&ui, name, password).await {
        Ok(user) => {
            let cookie =
                format!("{}={}; Path=/; HttpOnly; SameSite=Strict", ui.cookies.session, ui.access.begin(&user));
            let next = safe_next(ask.form.text("next")).to_owned();
            return ([(header::SET_COOKIE, cookie), (header::LOCATION, next)], StatusCode::SEE_OTHER).into_response();
        }
        Err(Refused::Busy) => "Too many logins at once: try again in a few seconds.",
        Err(Refused::NoUsers) => "The users file cannot be read: the broker's log says why.",
        Err(Refused::Wrong) => "Name and password do not fit.",
    };
    form(&ask, ask.form.text("next"), Some(refusal))
}

/// Why somebody was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Name and password do not fit.
    Wrong,
    /// Too many logins are being checked.
    Busy,
    /// The users file cannot be read.
    NoUsers,
}

/// Checks a name and a password; the user's name. A refusal takes a while, so that guessing does, too.
pub async fn log_in(ui: &Arc<Ui>, name: String, password: String) -> Result<String, Refused> {
    let _turn = ui.access.logins.try_acquire().map_err(|_| Refused::Busy)?;
    let theirs = Arc::clone(ui);
    let checked = tokio::task::spawn_blocking(move || theirs.access.check(&name, &password)).await;
    let refused = match checked {
        Ok(Ok(Some(user))) => return Ok(user),
        Ok(Err(error)) => {
            tracing::error!(%error, "nobody can log in to the UI");
            Refused::NoUsers
        }
        _ => Refused::Wrong,
    };
    tokio::time::sleep(REFUSAL_WAIT).await;
    Err(refused)
}

/// Ends the session.
pub async fn leave(State(ui): State<Arc<Ui>>, headers: HeaderMap) -> Response {
    if let Some(token) = cookie(&headers, &ui.cookies.session) {
        lock(&ui.access.sessions).remove(&token);
    }
    let over = format!("{}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict", ui.cookies.session);
    ([(header::SET_COOKIE, over), (header::LOCATION, "/login".to_owned())], StatusCode::SEE_OTHER).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_read_and_checked() {
        let hash = hash_password("correct horse").expect("a password");
        let users = read_users(&format!("# people\n\nann:{hash}\n")).expect("valid");
        let hash = PasswordHash::new(&users["ann"]).expect("a hash");
        assert!(Argon2::default().verify_password(b"correct horse", &hash).is_ok());
        assert!(Argon2::default().verify_password(b"wrong horse", &hash).is_err());
        assert!(hash_password("").is_err());
        for (text, complaint) in [("ann", "no colon"), ("ann:secret", "hash of ann"), (":$x", "hash")] {
            let error = read_users(text).expect_err("wrong");
            assert!(error.starts_with("line 1:") && error.contains(complaint), "{error}");
        }
    }

    #[test]
    fn the_hash_of_nobody_is_one_and_fits_nothing() {
        let hash = PasswordHash::new(NOBODYS_HASH).expect("a hash");
        assert!(Argon2::default().verify_password(b"", &hash).is_err());
    }

    #[test]
    fn the_way_after_the_login_stays_here() {
        assert_eq!(safe_next("/c/local/topics?x=1"), "/c/local/topics?x=1");
        for next in ["", "//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"] {
            assert_eq!(safe_next(next), "/");
        }
    }
}
