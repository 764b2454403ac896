//! The cookies of the pages. Their names carry the port: a browser sends the cookies of a host to all of its ports, and two UIs on one
//! host shall not log each other out, or take each other's forms for foreign.

use axum::http::{HeaderMap, header};

/// Names of the cookies of this UI.
#[derive(Debug)]
pub struct Cookies {
    /// The token of our forms.
    pub csrf: String,
    /// Who is logged in.
    pub session: String,
    /// Carries the sentence of a done action to the next page.
    pub done: String,
}

/// The reader's choice of `light` or `dark`: that one is for all UIs of a host.
pub const THEME: &str = "millrace_theme";

impl Cookies {
    /// Those of the UI at this port.
    pub fn of_port(port: u16) -> Cookies {
        Cookies {
            csrf: format!("millrace_csrf_{port}"),
            session: format!("millrace_session_{port}"),
            done: format!("millrace_done_{port}"),
        }
    }
}

/// The value of a cookie.
pub fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_of_another_port_is_not_ours() {
        let mut headers = HeaderMap::new();
        let value = "millrace_csrf_8080=one; millrace_csrf_8081=two; millrace_theme=dark";
        headers.insert(header::COOKIE, value.parse().expect("plain"));
        assert_eq!(cookie(&headers, &Cookies::of_port(8081).csrf).as_deref(), Some("two"));
        assert_eq!(cookie(&headers, &Cookies::of_port(80).csrf), None);
        assert_eq!(cookie(&headers, THEME).as_deref(), Some("dark"));
    }
}
