//! Pages in a real browser. The report: Chromium opens pages made from computed results, at three widths, light and dark.
//!
//! `driver.js` looks at them with puppeteer-core, which is installed into `target/clients/` by the first run; Chromium itself comes
//! from the distribution. Screenshots and a PDF are left in `target/tmp/browser/shots` for people to look at.

#[path = "../support/mod.rs"]
mod support;
#[path = "../../src/bench/testing.rs"]
mod testing;
mod ui;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

// `testing` is also a module of the bench, and finds its siblings there.
use millrace::bench::results::Results;
use millrace::bench::{driver, report, results, workload};
use support::install::{installed, run};

/// What distributions call it.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

fn source(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser").join(file)
}

/// The program.
fn browser() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).flat_map(|place| BROWSERS.map(|name| place.join(name)));
    let found = places.into_iter().find(|program| program.is_file());
    found.expect("the tests of pages need Chromium: install the package chromium")
}

fn install_driver() -> PathBuf {
    let files = ["driver.js", "ui.js", "package.json", "package-lock.json"];
    let version: String = files.map(|file| fs::read_to_string(source(file)).expect("it is in the checkout")).concat();
    installed("puppeteer", &version, |home| {
        for file in files {
            fs::copy(source(file), home.join(file)).map_err(|error| error.to_string())?;
        }
        let mut npm = Command::new("npm");
        npm.current_dir(home).args(["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]);
        run(&mut npm).map(|_| ())
    })
}

#[test]
fn a_report_reads_well_and_runs_nothing_of_what_is_in_it() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("target/ is writable");
    let empty = Results { title: "nothing".to_owned(), partial: Some("interrupted".to_owned()), ..Results::default() };
    for (name, results) in [
        ("sample", testing::sample()),
        ("hostile", testing::hostile()),
        ("single", testing::single()),
        ("empty", empty),
    ] {
        let page = directory.join(format!("{name}.html"));
        fs::write(page, report::render(&results)).expect("target/ is writable");
    }
    let mut node = Command::new("node");
    node.arg(install_driver().join("driver.js")).arg(browser()).arg(&directory);
    let problems = run(&mut node).expect("the driver runs");
    assert!(problems.is_empty(), "the report has flaws; pictures are in {}:\n{problems}", directory.display());
}
