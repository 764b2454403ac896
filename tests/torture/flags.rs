//! The command line, which is also that of a test binary run by a plain `cargo test`.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::faults::KINDS;

/// Rounds of a plain `cargo test`.
const SMOKE_ROUNDS: usize = 3;

/// What was asked for.
pub struct Flags {
    /// Rounds over all kinds.
    pub rounds: usize,
    /// Draws what happens; the moments are up to the machine.
    pub seed: u64,
    /// Kinds that take turns.
    pub kinds: Vec<String>,
    /// Whether the kinds were named.
    pub names_kinds: bool,
    /// Little load.
    pub smoke: bool,
    /// Copies what a broken promise leaves.
    pub keep: bool,
    /// `millrace.io` of the brokers, if it was said.
    pub io: Option<String>,
    /// Seeds of the simulator to run instead of rounds, from `seed` on.
    pub simulated: Option<u64>,
}

impl Flags {
    /// Reads the arguments; `None` when this test is filtered out.
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Option<Flags>, String> {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| u64::from(since.subsec_nanos()));
        let names = || KINDS.iter().map(|kind| kind.name.to_owned()).collect::<Vec<_>>();
        let mut flags = Flags {
            rounds: SMOKE_ROUNDS,
            seed: nanos,
            kinds: names(),
            names_kinds: false,
            smoke: true,
            keep: false,
            io: None,
            simulated: None,
        };
        let mut arguments = arguments;
        let mut seed = None;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--rounds" => {
                    flags.rounds = value()?.parse().map_err(|error| format!("--rounds: {error}"))?;
                    flags.smoke = false;
                }
                "--seed" => seed = Some(value()?.parse().map_err(|error| format!("--seed: {error}"))?),
                "--seeds" => {
                    flags.simulated = Some(value()?.parse().map_err(|error| format!("--seeds: {error}"))?);
                }
                "--only" => {
                    flags.kinds = value()?.split(',').map(str::to_owned).collect();
                    flags.names_kinds = true;
                    if let Some(unknown) = flags.kinds.iter().find(|kind| !names().contains(kind)) {
                        return Err(format!("--only: {unknown:?} is none of {}", names().join(",")));
                    }
                }
                "--keep" => flags.keep = true,
                "--io" => flags.io = Some(value()?),
                "--list" => {
                    println!("torture: test");
                    return Ok(None);
                }
                "--ignored" | "--bench" => return Ok(None),
                // Flags of the usual test harness, whose values follow.
                "--test-threads" | "--skip" | "--color" | "--format" | "--logfile" | "-Z" => drop(value()?),
                other if other.starts_with('-') => {}
                filter if !"torture".contains(filter) => return Ok(None),
                _ => {}
            }
        }
        flags.seed = seed.unwrap_or(if flags.simulated.is_some() { 1 } else { nanos });
        if flags.smoke && !flags.names_kinds {
            flags.kinds = ["kill", "power", "stop"].map(str::to_owned).to_vec();
        }
        Ok(Some(flags))
    }
}
