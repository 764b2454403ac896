//! How a NATS server is started, with JetStream in files. `sync_interval` is a setting since version 2.10.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Foreign, Level, Prepared, Server, write, write_file};
use crate::bench::BenchError;
use crate::bench::target::child::Launch;
use crate::bench::target::place::{Home, free_port};
use crate::bench::target::{DATA, StartOptions};

fn text(data: &Path, address: SocketAddr, level: Level) -> String {
    let sync = match level {
        Level::Later => "",
        Level::Before => "  sync_interval: always\n",
    };
    // Its own limit of 1 MiB for a message would be below Kafka's with key and headers.
    format!(
        "host: 127.0.0.1\nport: {}\nmax_payload: 8388608\njetstream {{\n  store_dir: \"{}\"\n{sync}}}\n",
        address.port(),
        data.display()
    )
}

/// Writes its configuration; how it is started.
pub(super) fn prepare(home: &Home, options: &StartOptions, program: PathBuf) -> Result<Prepared, BenchError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
    let data = home.dir().join(DATA);
    let config = write(home, "nats.conf", &text(&data, address, Level::Before))?;
    let is_durable = takes(&program, &config);
    let level = Level::Later;
    write_file(&config, &text(&data, address, level))?;
    let launch = Launch {
        program,
        arguments: vec!["--config".to_owned(), config.display().to_string()],
        directory: home.dir().to_owned(),
        log: home.dir().join("broker.log"),
        cores: options.cores.clone(),
        environment: Vec::new(),
    };
    let server = Server { system: Foreign::Nats, address, is_durable, memory_max: None, config, level };
    Ok(Prepared { launch, companion: None, address, server })
}

/// Whether the server understands a configuration.
fn takes(program: &Path, config: &Path) -> bool {
    let mut command = Command::new(program);
    command.arg("-t").arg("--config").arg(config);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Writes the configuration again for another level.
pub(super) fn rewrite(config: &Path, address: SocketAddr, level: Level) -> Result<(), BenchError> {
    let data = config.with_file_name(DATA);
    write_file(config, &text(&data, address, level))
}
