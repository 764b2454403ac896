//! The reports that `millrace bench` has left, and a button that runs one.
//!
//! A run is a process of its own (this very program), one at a time; it is ended with the UI. A report is shown in a sandbox: its
//! scripts run, and see nothing of this origin.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use maud::html;
use serde::Serialize;
use tokio::process::{Child, Command};

use super::Ui;
use super::ask::Ask;
use super::cluster::lock;
use super::html::{duration, encode, now_ms, table, when};
use super::text::visible;
use super::trouble::Trouble;
use crate::bench::results::Results;
use crate::cli::java_time;

/// How the directories of runs begin.
const PREFIX: &str = "millrace-bench-";
/// Reports that are listed: the newest.
const LISTED_MAX: usize = 100;
/// The report's own policy allows scripts by nonce; this takes the origin from them.
const REPORT_POLICY: &str = "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'";

/// The directory of the reports, and the run under way.
#[derive(Debug)]
pub struct Bench {
    directory: PathBuf,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    name: String,
    since_ms: i64,
    what: String,
}

#[derive(Debug, Serialize)]
struct Page {
    directory: String,
    running: Option<Under>,
    reports: Vec<Report>,
    /// Of the last run, if it failed.
    failure: Option<String>,
}

#[derive(Debug, Serialize)]
struct Under {
    what: String,
    since_ms: i64,
    log: String,
}

#[derive(Debug, Serialize)]
struct Report {
    name: String,
    title: String,
    command: String,
    started_ms: i64,
    took_s: f64,
    runs: usize,
    partial: Option<String>,
}

/// The pages of the bench.
pub fn routes() -> Router<Arc<Ui>> {
    Router::new()
        .route("/bench", get(page))
        .route("/bench/report", get(report))
        .route("/bench/run", post(run))
        .route("/bench/stop", post(stop))
}

impl Bench {
    /// Reports in and below `directory`.
    pub fn new(directory: PathBuf) -> Bench {
        Bench { directory, running: Mutex::default() }
    }

    /// A report's directory; only names that `millrace bench` gives.
    fn of(&self, name: &str) -> Option<PathBuf> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        (name.starts_with(PREFIX) && name.chars().all(plain)).then(|| self.directory.join(name))
    }

    fn reports(&self) -> Vec<Report> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().filter_map(Result::ok);
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.retain(|name| self.of(name).is_some());
        names.sort_by(|a, b| b.cmp(a));
        let read = |name: String| {
            let results = Results::load(&self.directory.join(&name).join("results.json")).ok()?;
            Some(Report {
                name,
                title: results.title,
                command: results.command,
                started_ms: results.started_ms,
                took_s: results.took_s,
                runs: results.runs.len(),
                partial: results.partial,
            })
        };
        names.into_iter().take(LISTED_MAX).filter_map(read).collect()
    }

    /// The run under way; one that has ended is forgotten, and says why if it failed.
    fn look(&self) -> (Option<Under>, Option<String>) {
        let mut running = lock(&self.running);
        let Some(run) = running.as_mut() else { return (None, None) };
        let log = last_lines(&self.directory.join(format!("{}.log", run.name)));
        match run.child.try_wait() {
            Ok(None) => (Some(Under { what: run.what.clone(), since_ms: run.since_ms, log }), None),
            Ok(Some(status)) => {
                let failure = (!status.success()).then(|| format!("{} ended with {status}:\n{log}", run.what));
                if failure.is_none() {
                    *running = None;
                }
                (None, failure)
            }
            Err(error) => (None, Some(error.to_string())),
        }
    }
}

fn last_lines(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

async fn page(ask: Ask) -> Response {
    let ui = Arc::clone(&ask.ui);
    let found = tokio::task::spawn_blocking(move || {
        let (running, failure) = ui.bench.look();
        Page { directory: ui.bench.directory.display().to_string(), running, reports: ui.bench.reports(), failure }
    });
    let found = found.await.map_err(|_| Trouble::Busy("the reports can't be read".to_owned()));
    ask.show("Bench", found, |page| render(&ask, page))
}

fn render(ask: &Ask, page: &Page) -> maud::Markup {
    html! {
        h1 { "Bench" }
        @if let Some(failure) = &page.failure { div.notice.bad role="alert" { pre { (visible(failure)) } } }
        @if let Some(running) = &page.running {
            section.card data-again="3000" {
                h2 { (visible(&running.what)) " is running" }
                p.dim { "since " (duration(now_ms() - running.since_ms)) "; this page comes again by itself" }
                pre.bytes { (visible(&running.log)) }
                @if ask.may_change() { form.row method="post" action="/bench/stop" { (ask.token()) button.danger { "Stop it" } } }
            }
        } @else if ask.may_change() {
            section.card {
                h2 { "Run one" }
                p.dim { "Less than a minute: the highest rate and the latency at half of it, in topics of its own. The clients run on this machine and take from its cores." }
                form.row method="post" action="/bench/run" {
                    (ask.token())
                    label { "Measure" select name="cluster" {
                        @for cluster in ask.ui.clusters.iter().filter(|cluster| !cluster.is_read_only()) { option value=(cluster.slug()) { (visible(cluster.name())) } }
                        option value="" { "a fresh Millrace, started for this" }
                    } }
                    button.primary { "millrace bench --quick" }
                }
            }
        }
        section {
            h2 { "Reports" }
            @if page.reports.is_empty() { p.notice { "There are none in " code { (visible(&page.directory)) } ": run one here, or with millrace bench in that directory." } }
            @else {
                (table("Reports", &["When", "What", "Command", "#Runs", "#Took"], html! {
                    @for report in &page.reports {
                        tr {
                            td { a href=(format!("/bench/report?name={}", encode(&report.name))) { (when(report.started_ms)) } }
                            td.name { (visible(&report.title)) @if let Some(partial) = &report.partial { " " span.tag.mixed { (visible(partial)) } } }
                            td { code { (visible(&report.command)) } }
                            td.num { (report.runs) }
                            td.num { (duration((report.took_s * 1000.0) as i64)) }
                        }
                    }
                }))
            }
        }
    }
}

async fn report(ask: Ask) -> Response {
    let name = ask.query.text("name").to_owned();
    let missing = || Trouble::Missing(format!("there is no report {name}"));
    let Some(directory) = ask.ui.bench.of(&name) else { return ask.trouble(&missing()) };
    let read = tokio::task::spawn_blocking(move || {
        // Written anew from the numbers: whoever can put a file there can't put a script here.
        Results::load(&directory.join("results.json")).map(|results| crate::bench::report::render(&results))
    });
    match read.await {
        Ok(Ok(page)) => {
            let headers =
                [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, REPORT_POLICY)];
            (StatusCode::OK, headers, page).into_response()
        }
        _ => ask.trouble(&missing()),
    }
}

async fn run(ask: Ask) -> Response {
    let outcome = begin(&ask);
    ask.done(outcome, "/bench")
}

fn begin(ask: &Ask) -> Result<String, Trouble> {
    ask.changes()?;
    let bench = &ask.ui.bench;
    let slug = ask.form.text("cluster");
    let cluster = match slug {
        "" => None,
        slug => Some(ask.ui.cluster(slug).ok_or_else(|| Trouble::Missing(format!("there is no cluster {slug} here")))?),
    };
    if cluster.is_some_and(|cluster| cluster.is_read_only()) {
        return Err(Trouble::Forbidden("this cluster is read-only here".to_owned()));
    }
    let mut running = lock(&bench.running);
    if let Some(run) = running.as_mut()
        && matches!(run.child.try_wait(), Ok(None))
    {
        return Err(Trouble::Busy("a bench is running already: wait for its end, or stop it".to_owned()));
    }
    let failed = |what: &Path, error: std::io::Error| {
        Trouble::Busy(format!("the bench can't be started: {}: {error}", what.display()))
    };
    let name = format!("{PREFIX}{}", java_time::compact(now_ms()));
    let log_path = bench.directory.join(format!("{name}.log"));
    let log = fs::File::create(&log_path).map_err(|error| failed(&log_path, error))?;
    let errors = log.try_clone().map_err(|error| failed(&log_path, error))?;
    let program = std::env::current_exe().map_err(|error| failed(Path::new("millrace"), error))?;
    let mut command = Command::new(&program);
    command.args(["bench", "--quick", "--output"]).arg(bench.directory.join(&name));
    if let Some(cluster) = cluster {
        command.arg("--bootstrap-server").arg(cluster.bootstrap());
    }
    command.stdin(Stdio::null()).stdout(log).stderr(errors).kill_on_drop(true);
    let child = command.spawn().map_err(|error| failed(&program, error))?;
    let what = format!("millrace bench --quick of {}", cluster.map_or("a fresh Millrace", |cluster| cluster.name()));
    *running = Some(Running { child, name, since_ms: now_ms(), what: what.clone() });
    Ok(format!("{what} was started."))
}

async fn stop(ask: Ask) -> Response {
    let outcome = ask.changes().and_then(|()| {
        let run = lock(&ask.ui.bench.running).take();
        let run = run.ok_or_else(|| Trouble::Missing("no bench is running (any more)".to_owned()))?;
        // It is killed when it is dropped.
        Ok(format!("{} was stopped.", run.what))
    });
    ask.done(outcome, "/bench")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_of_the_bench_are_shown() {
        let bench = Bench::new(PathBuf::from("/data"));
        assert_eq!(
            bench.of("millrace-bench-20261122-120000"),
            Some(PathBuf::from("/data/millrace-bench-20261122-120000"))
        );
        for name in ["", "..", "millrace-bench-../../etc", "millrace-bench-\0", "/etc/passwd", "millrace-data"] {
            assert_eq!(bench.of(name), None, "{name:?}");
        }
    }
}
