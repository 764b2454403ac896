//! How a Redis is started: with an append-only file, as only that makes its streams last.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::{Foreign, Level, Prepared, Server, write};
use crate::bench::BenchError;
use crate::bench::probe::memory_bytes;
use crate::bench::target::child::Launch;
use crate::bench::target::place::{Home, free_port};
use crate::bench::target::{DATA, StartOptions};

/// The setting that makes an acknowledgement wait for the device, or not.
pub(super) fn appendfsync(level: Level) -> &'static str {
    match level {
        Level::Later => "everysec",
        Level::Before => "always",
    }
}

/// Writes its configuration; how it is started.
pub(super) fn prepare(home: &Home, options: &StartOptions, program: PathBuf) -> Result<Prepared, BenchError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
    // It keeps all in memory: a run that is too long for that is refused by it, not ended by the kernel.
    let memory_max = memory_bytes() / 2;
    let (level, port) = (Level::Later, address.port());
    let data = home.dir().join(DATA);
    // The append-only file is written anew when a run's streams are removed, and not in the middle of one.
    let text = format!(
        "bind 127.0.0.1\nport {port}\ndaemonize no\ndir {}\nsave \"\"\nappendonly yes\nappendfsync {}\n\
         auto-aof-rewrite-percentage 0\nmaxmemory {memory_max}\nmaxmemory-policy noeviction\n",
        data.display(),
        appendfsync(level)
    );
    let config = write(home, "redis.conf", &text)?;
    let launch = Launch {
        program,
        arguments: vec![config.display().to_string()],
        directory: home.dir().to_owned(),
        log: home.dir().join("broker.log"),
        cores: options.cores.clone(),
        environment: Vec::new(),
    };
    let (system, memory_max) = (Foreign::Redis, Some(memory_max));
    let server = Server { system, address, is_durable: true, memory_max, config, level };
    Ok(Prepared { launch, companion: None, address, server })
}
