//! How a Millrace is started: this program once more, with `server`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::child::Launch;
use super::place::{Home, free_port};
use super::{DATA, StartOptions, write_config};
use crate::bench::BenchError;
use crate::bench::workload::Settings;

/// Writes its configuration; how it is started, its port, where its metrics are.
pub(super) fn prepare(home: &Home, options: &StartOptions) -> Result<(Launch, u16, SocketAddr), BenchError> {
    let (port, http) = (free_port()?, SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)));
    let mut settings = Settings::new();
    settings.insert("log.dirs".to_owned(), home.dir().join(DATA).display().to_string());
    settings.insert("millrace.http.listener".to_owned(), http.to_string());
    if let Some(memory) = home.memory() {
        settings.insert("millrace.tail.dir".to_owned(), memory.display().to_string());
    }
    let config = home.dir().join("server.properties");
    write_config(&config, port, settings, &options.overrides)?;
    let launch = Launch {
        program: options.program.clone().map_or_else(this_program, Ok)?,
        arguments: vec!["server".to_owned(), "--config".to_owned(), config.display().to_string()],
        directory: home.dir().to_owned(),
        log: home.dir().join("broker.log"),
        cores: options.cores.clone(),
        environment: Vec::new(),
    };
    Ok((launch, port, http))
}

/// The file that we run from; if it was replaced meanwhile (a new build), the one that we really run.
fn this_program() -> Result<PathBuf, BenchError> {
    let running = Path::new("/proc/self/exe");
    let named = std::env::current_exe().map_err(|error| BenchError::io(running, error))?;
    Ok(if named.exists() { named } else { running.to_owned() })
}
