//! `--seeds N`: the simulator's seeds (src/simulation), which is part of the library's tests. In pieces, so that one sees it go on;
//! a seed that breaks a promise ends it and is printed with its history.

use std::process::Command;
use std::time::Instant;

/// Seeds of one process.
const PIECE: u64 = 2000;
const TEST: &str = "simulation::simulation_keeps_every_promise";

/// Runs seeds from `first` on; false when one broke a promise.
pub fn run(first: u64, count: u64) -> Result<bool, String> {
    println!("torture: {count} seeds of the simulator, the first is {first}");
    let (begun, end) = (Instant::now(), first.saturating_add(count));
    let mut next = first;
    while next < end {
        let piece = PIECE.min(end - next);
        if !run_piece(next, piece)? {
            return Ok(false);
        }
        next += piece;
        println!("{:>9} seeds kept every promise, {} s", next - first, begun.elapsed().as_secs());
    }
    Ok(true)
}

fn run_piece(first: u64, count: u64) -> Result<bool, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["test", "--quiet", "--lib"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    command.args([TEST, "--", "--exact"]).env_remove("MILLRACE_SIM_SEED").env_remove("MILLRACE_SIM_GO_ON");
    command.env("MILLRACE_SIM_FIRST", first.to_string()).env("MILLRACE_SIM_SEEDS", count.to_string());
    command.env("RUST_BACKTRACE", "0");
    let output = command.output().map_err(|error| format!("cargo can't be run: {error}"))?;
    if output.status.success() {
        return Ok(true);
    }
    println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Ok(false)
}
