//! Style, scripts and the icon: files beside this one, inside the binary.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Name, type, content.
const ASSETS: &[(&str, &str, &str)] = &[
    ("ui.css", CSS, include_str!("assets/ui.css")),
    ("ui.js", SCRIPT, include_str!("assets/ui.js")),
    ("live.js", SCRIPT, include_str!("assets/live.js")),
    ("icon.svg", "image/svg+xml", include_str!("assets/icon.svg")),
    ("uplot.js", SCRIPT, include_str!("../bench/report/vendor/uPlot.iife.min.js")),
    ("uplot.css", CSS, include_str!("../bench/report/vendor/uPlot.min.css")),
];

/// One of them.
pub async fn asset(Path(name): Path<String>) -> Response {
    let Some((_, kind, content)) = ASSETS.iter().find(|(known, ..)| *known == name) else {
        return (StatusCode::NOT_FOUND, "there is no such file\n").into_response();
    };
    // A minute: a new version of the program is seen soon.
    ([(header::CONTENT_TYPE, *kind), (header::CACHE_CONTROL, "max-age=60")], *content).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_page_is_small() {
        let len: usize = ASSETS.iter().map(|(.., content)| content.len()).sum();
        assert!(len < 120_000, "{len} bytes of style and scripts");
    }
}
