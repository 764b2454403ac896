//! Installs the programs that the tests need into `target/clients/`, once per version, under a lock.
//!
//! A tool that can't be installed fails the test that needs it, with one sentence that says what is
//! missing: a skipped test would read like a passed one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// `target/clients`, where installed tools live.
pub fn tools_directory() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("target/tmp has a parent");
    target.join("clients")
}

/// The directory of the tool `name` in the form that `version` describes; runs `install` if it isn't there.
///
/// `version` is any text that changes when the tool must be installed again, such as its lock file.
pub fn installed(name: &str, version: &str, install: impl FnOnce(&Path) -> Result<(), String>) -> PathBuf {
    let tools = tools_directory();
    fs::create_dir_all(&tools).expect("target/ is writable");
    let lock = File::create(tools.join(format!("{name}.lock"))).expect("target/ is writable");
    lock.lock().expect("locks work in target/");
    let home = tools.join(name);
    let done = home.join(".installed");
    if fs::read_to_string(&done).is_ok_and(|text| text == version) {
        return home;
    }
    let _ = fs::remove_dir_all(&home);
    fs::create_dir_all(&home).expect("target/ is writable");
    if let Err(problem) = install(&home) {
        panic!("the tests need {name}, and it can't be installed: {problem}");
    }
    fs::write(&done, version).expect("target/ is writable");
    home
}

/// Runs `command` to its end and answers its standard output, or one line that says how it failed.
pub fn run(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let tail: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).rev().take(8).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    Err(format!("{program} ended with {}: {}", output.status, tail.join(" | ")))
}
