//! `report.html`: all results on one page that needs no network: what people mail, attach and quote.
//!
//! The page is put together from files beside this one: `page.html` is the frame, `style.css` its looks, `script/*.js` draw the charts
//! and tables from the results, which are embedded as JSON. Lines are drawn by uPlot (`vendor/`, MIT).
//!
//! Results may come from anybody's file, so nothing in them may become code: the JSON has no `<`, scripts build elements by
//! `textContent` alone, and the page's content security policy runs only scripts that carry the page's nonce and loads nothing.

use std::fmt::Write;

use rand::Rng;
use serde::Serialize;
use serde_json::Value;

use super::cell::cells;
use super::results::Results;
use super::share::{Share, shares};
use super::verdict::{Verdict, verdict};

/// Scripts in the order in which they are joined. They share one scope.
const SCRIPTS: &[&str] = &[
    include_str!("script/element.js"),
    include_str!("script/model.js"),
    include_str!("script/plot.js"),
    include_str!("script/lines.js"),
    include_str!("script/heat.js"),
    include_str!("script/bars.js"),
    include_str!("script/tables.js"),
    include_str!("script/page.js"),
];

/// All that the page draws.
#[derive(Serialize)]
struct Data<'a> {
    results: &'a Results,
    verdict: Verdict,
    cells: Vec<CellData>,
    /// By run.
    shares: Vec<Vec<Share>>,
}

#[derive(Serialize)]
struct CellData {
    label: String,
    /// Indices of its runs.
    runs: Vec<usize>,
}

/// The page.
pub fn render(results: &Results) -> String {
    let verdict = verdict(results);
    let title = escape_html(&format!("{} - Millrace bench", results.title));
    let fallback = format!(
        "<p>{}</p><pre>{}</pre>",
        escape_html(&verdict.headline),
        escape_html(&super::table::text(results, 400))
    );
    let nonce = nonce();
    let script = SCRIPTS.concat();
    let data = data(results, verdict);
    let mut page = String::new();
    // One pass over the frame, so that nothing that is put in is searched for marks again.
    for (index, part) in include_str!("page.html").split("{{").enumerate() {
        let Some((name, rest)) = part.split_once("}}").filter(|_| index > 0) else {
            page.push_str(part);
            continue;
        };
        page.push_str(match name {
            "nonce" => &nonce,
            "title" => &title,
            "style" => concat!(include_str!("vendor/uPlot.min.css"), include_str!("style.css")),
            "plot" => include_str!("vendor/uPlot.iife.min.js"),
            "script" => &script,
            "data" => &data,
            "fallback" => &fallback,
            name => unreachable!("page.html has no part named {name}"),
        });
        page.push_str(rest);
    }
    page
}

/// The results as JSON that can stand inside a `script` element.
fn data(results: &Results, verdict: Verdict) -> String {
    let index = |id: &str| results.runs.iter().position(|run| run.id == id);
    let cells = cells(results).into_iter().map(|cell| CellData {
        label: cell.label(results),
        runs: cell.runs.iter().filter_map(|run| index(&run.id)).collect(),
    });
    let cells = cells.collect();
    let shares = results.runs.iter().map(|run| shares(results, run)).collect();
    let mut value = serde_json::to_value(Data { results, verdict, cells, shares }).expect("plain data");
    // The clock's own curve is nobody's question.
    for run in value["results"]["runs"].as_array_mut().into_iter().flatten() {
        run["clock_error"]["curve"] = Value::Array(Vec::new());
    }
    round(&mut value);
    embed(&value.to_string())
}

/// JSON without the characters that could end a script element or a line of script.
fn embed(json: &str) -> String {
    let mut embedded = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(embedded, "\\u{:04x}", u32::from(c));
            }
            c => embedded.push(c),
        }
    }
    embedded
}

/// Six digits are more than anybody reads; the file is half as long. Of what is close to 1 (quantiles), the rest to 1 counts.
fn round(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(round),
        Value::Object(fields) => fields.values_mut().for_each(round),
        Value::Number(number) if number.is_f64() => {
            let exact = number.as_f64().unwrap_or_default();
            let rounded = if exact > 0.5 && exact < 1.0 { 1.0 - significant(1.0 - exact) } else { significant(exact) };
            if let Some(rounded) = serde_json::Number::from_f64(rounded) {
                *number = rounded;
            }
        }
        _ => {}
    }
}

fn significant(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

/// Text that is only text in HTML.
fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

fn nonce() -> String {
    format!("{:032x}", rand::rng().random::<u128>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::testing;

    /// What is the same in every report, bytes at most.
    const STATIC_BYTES_MAX: usize = 150 * 1024;

    fn embedded(page: &str) -> &str {
        let (_, rest) = page.split_once("<script type=\"application/json\" id=\"data\">").expect("there is data");
        rest.split_once("</script>").expect("it ends").0
    }

    #[test]
    fn a_page_is_small_and_loads_nothing() {
        let page = render(&testing::single());
        let size = page.len() - embedded(&page).len();
        assert!(size < STATIC_BYTES_MAX, "{size}");
        for loader in ["<link", "<iframe", "src=", "@import", "url(", "fetch(", "XMLHttpRequest", "innerHTML"] {
            let own: String = page.replace(include_str!("vendor/uPlot.iife.min.js"), "");
            assert!(!own.contains(loader), "{loader}");
        }
        assert!(!page.contains("{{"));
    }

    #[test]
    fn nothing_in_results_can_end_the_script_or_become_markup() {
        let page = render(&testing::hostile());
        assert!(!embedded(&page).contains('<'));
        assert!(!page.contains("<img"));
        let scripts = page.matches("<script").count();
        assert_eq!(scripts, render(&testing::sample()).matches("<script").count());
    }

    #[test]
    fn the_results_read_back_from_the_page() {
        let results = testing::hostile();
        let value: Value = serde_json::from_str(embedded(&render(&results))).expect("JSON");
        let read: Results = serde_json::from_value(value["results"].clone()).expect("results");
        assert_eq!(read.command, results.command);
        assert_eq!(read.runs.len(), results.runs.len());
        let (quantile, _) = results.runs[0].latency.curve[40];
        let (read_quantile, _) = read.runs[0].latency.curve[40];
        assert!(((1.0 - quantile) / (1.0 - read_quantile) - 1.0).abs() < 1e-4);
    }

    #[test]
    fn every_page_has_a_nonce_of_its_own() {
        let results = testing::single();
        assert_ne!(render(&results), render(&results));
    }

    #[test]
    fn a_report_without_runs_is_a_page_too() {
        let page = render(&Results { title: "nothing".to_owned(), ..Results::default() });
        assert!(page.contains("nothing was measured"));
    }
}
