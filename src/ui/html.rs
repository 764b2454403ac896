//! The frame of every page, and the pieces that pages are made of. All text passes `maud`, which escapes it.

use maud::{DOCTYPE, Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::ask::Ask;
use super::text::visible;
use crate::cli::java_time;

/// What may stand as it is in a part of a path or a query.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A name as part of a path or a query.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// The sections of a cluster: title, path behind `/c/{cluster}`.
const SECTIONS: [(&str, &str); 7] = [
    ("Overview", ""),
    ("Topics", "/topics"),
    ("Groups", "/groups"),
    ("Clients", "/clients"),
    ("Transactions", "/transactions"),
    ("Brokers", "/brokers"),
    ("Changes", "/changes"),
];

/// The whole page.
pub fn page(ask: &Ask, title: &str, done: Option<&str>, content: Markup) -> Markup {
    let cluster = ask.maybe_cluster();
    let place = cluster.map_or("Millrace", |cluster| cluster.name());
    html! {
        (DOCTYPE)
        html lang="en" data-theme=[ask.theme()] {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (visible(title)) " · " (visible(place)) }
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/assets/ui.css";
                script src="/assets/ui.js" defer {}
            }
            body {
                a.skip href="#main" { "To the content" }
                header.bar { div.wrap { (bar(ask)) } }
                main #main .wrap tabindex="-1" {
                    @if let Some(done) = done.filter(|done| !done.is_empty()) {
                        p.notice.good role="status" { (visible(done)) }
                    }
                    (content)
                }
                footer.wrap {
                    span { "Millrace " (env!("CARGO_PKG_VERSION")) }
                    span.keys { kbd { "?" } " shows the keys" }
                }
            }
        }
    }
}

fn bar(ask: &Ask) -> Markup {
    let visit = &ask.visit;
    let path = visit.path.split('?').next().unwrap_or_default();
    let several = ask.ui.clusters.len() > 1;
    html! {
        a.brand href="/" { img src="/assets/icon.svg" alt="" width="20" height="20"; "Millrace" }
        @if let Some(cluster) = ask.maybe_cluster() {
            @if several { a.cluster href="/" title="All clusters" { (visible(cluster.name())) } }
            nav aria-label="Sections" {
                @for (title, rest) in SECTIONS {
                    @let href = ask.link(rest);
                    @let current = is_section(path, &href, rest);
                    a href=(href) aria-current=[current.then_some("page")] { (title) }
                }
                a href="/bench" { "Bench" }
            }
        } @else {
            nav aria-label="Sections" {
                a href="/" aria-current=[(path == "/").then_some("page")] { "Clusters" }
                a href="/bench" aria-current=[(path == "/bench").then_some("page")] { "Bench" }
            }
        }
        span.right {
            @if visit.changes.is_err() { span.tag title=[visit.changes.err()] { "read-only" } }
            button #theme type="button" title="Light or dark" aria-label="Light or dark" { "◐" }
            @if let Some(user) = &visit.user {
                form method="post" action="/logout" { (ask.token()) button title=(format!("Log out {user}")) { "Log out" } }
            }
        }
    }
}

fn is_section(path: &str, href: &str, rest: &str) -> bool {
    // A topic's pages begin with /topic, those of a group with /group.
    let singular = href.trim_end_matches('s');
    path == href || (!rest.is_empty() && path.starts_with(singular))
}

/// `1,234,567`
pub fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        text.push('-');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1.5 MiB`; nothing for what is not known.
pub fn bytes(len: i64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    if len < 0 {
        return "unknown".to_owned();
    }
    let (mut size, mut unit) = (len as f64, 0);
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    if unit == 0 || size >= 100.0 { format!("{size:.0} {}", UNITS[unit]) } else { format!("{size:.1} {}", UNITS[unit]) }
}

/// `3 d 4 h`, `5 m 7 s`, `0.8 s`: the two largest units.
pub fn duration(ms: i64) -> String {
    let seconds = ms / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if ms < 10_000 => format!("{:.1} s", ms as f64 / 1000.0),
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} m {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} m"),
        _ => format!("{days} d {hours} h"),
    }
}

/// A time in UTC; the script shows the reader's own on hovering. Nothing for -1.
pub fn when(ms: i64) -> Markup {
    // Beyond the year 9999 it is no time but a number.
    if !(0..253_402_300_800_000).contains(&ms) {
        return html! { @if ms == -1 { span.dim { "none" } } @else { (ms) } };
    }
    let iso = java_time::iso(ms);
    html! { time datetime=(iso) { (iso[..10]) " " (iso[11..23]) } }
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_millis() as i64)
}

/// A table that scrolls by itself when the screen is narrow. A heading that begins with `#` stands over numbers.
pub fn table(label: &str, head: &[&str], body: Markup) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(label) {
            table {
                thead { tr { @for title in head {
                    @match title.strip_prefix('#') { Some(title) => th.num scope="col" { (title) }, None => th scope="col" { (title) } }
                } } }
                tbody { (body) }
            }
        }
    }
}

/// Facts in a row: large numbers with names.
pub fn facts(pairs: &[(&str, Markup)]) -> Markup {
    html! { dl.facts { @for (name, value) in pairs { div { dt { (name) } dd { (value) } } } } }
}

/// Links from page to page of a list; `link` makes the address of one.
pub fn pager(page: usize, pages: usize, link: impl Fn(usize) -> String) -> Markup {
    html! {
        @if pages > 1 {
            nav.pager aria-label="Pages" {
                @if page > 1 { a rel="prev" href=(link(page - 1)) { "← Previous" } }
                span { "page " (page) " of " (pages) }
                @if page < pages { a rel="next" href=(link(page + 1)) { "Next →" } }
            }
        }
    }
}

/// The tabs of a thing: title, address, whether it is the one that is shown.
pub fn tabs(tabs: &[(&str, String, bool)]) -> Markup {
    html! {
        nav.tabs aria-label="Views" {
            @for (title, href, current) in tabs { a href=(href) aria-current=[current.then_some("page")] { (title) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([count(0), count(999), count(1000), count(-1_234_567)], ["0", "999", "1,000", "-1,234,567"]);
        assert_eq!(
            [bytes(0), bytes(1023), bytes(1536), bytes(200 << 20), bytes(-1)],
            ["0 B", "1023 B", "1.5 KiB", "200 MiB", "unknown"]
        );
        assert_eq!(
            [duration(800), duration(59_000), duration(61_000), duration(90_000_000)],
            ["0.8 s", "59 s", "1 m 1 s", "1 d 1 h"]
        );
    }

    #[test]
    fn times_that_are_none_are_numbers() {
        assert_eq!(when(0).0, "<time datetime=\"1970-01-01T00:00:00.000Z\">1970-01-01 00:00:00.000</time>");
        assert_eq!(when(i64::MAX).0, i64::MAX.to_string());
        assert!(when(i64::MIN).0.starts_with('-') && when(-1).0.contains("none"));
    }

    #[test]
    fn names_cannot_leave_their_part_of_an_address() {
        assert_eq!(encode("a/b?c#d\"<'&=%\u{202e}\0"), "a%2Fb%3Fc%23d%22%3C%27%26%3D%25%E2%80%AE%00");
        assert_eq!(encode("orders-v1.2_x~"), "orders-v1.2_x~");
    }
}
