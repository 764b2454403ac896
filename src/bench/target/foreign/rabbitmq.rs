//! How a RabbitMQ is started: a node of its own with the stream plugin and nothing else, and a name server for it (`epmd`), which would
//! else be started as a daemon and stay.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::{Foreign, Level, Prepared, Server, find_program, write, write_file};
use crate::bench::BenchError;
use crate::bench::target::child::Launch;
use crate::bench::target::place::{Home, free_port};
use crate::bench::target::{DATA, StartOptions};

/// Writes its configuration; how it is started.
pub(super) fn prepare(home: &Home, options: &StartOptions, program: PathBuf) -> Result<Prepared, BenchError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
    let (names, nodes) = (free_port()?, free_port()?);
    let text = format!("listeners.tcp = none\nstream.listeners.tcp.1 = 127.0.0.1:{}\n", address.port());
    let config = write(home, "rabbitmq.conf", &text)?;
    let (plugins, nothing) = (home.dir().join("enabled_plugins"), home.dir().join("rabbitmq-env.conf"));
    write_file(&plugins, "[rabbitmq_stream].\n")?;
    write_file(&nothing, "")?;
    let path = |path: &std::path::Path| path.display().to_string();
    let environment = [
        ("HOME", path(home.dir())),
        ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
        ("ERL_EPMD_PORT", names.to_string()),
        ("RABBITMQ_NODENAME", format!("millrace-bench-{}@localhost", address.port())),
        ("RABBITMQ_DIST_PORT", nodes.to_string()),
        ("RABBITMQ_MNESIA_BASE", path(&home.dir().join(DATA))),
        ("RABBITMQ_LOG_BASE", path(home.dir())),
        ("RABBITMQ_LOGS", "-".to_owned()),
        ("RABBITMQ_CONFIG_FILE", path(&config)),
        ("RABBITMQ_ADVANCED_CONFIG_FILE", path(&home.dir().join("advanced.config"))),
        ("RABBITMQ_CONF_ENV_FILE", path(&nothing)),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", path(&plugins)),
        // Its script becomes the server, instead of waiting for a child that no signal of ours would reach.
        ("RUNNING_UNDER_SYSTEMD", "true".to_owned()),
        ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}".to_owned()),
    ];
    let environment: Vec<(String, String)> = environment.map(|(key, value)| (key.to_owned(), value)).into();
    let epmd = find_program("epmd").ok_or_else(|| {
        BenchError::config("--peer rabbitmq needs epmd, which is not here: install it (apt install erlang-base)")
    })?;
    let launch = Launch {
        program,
        arguments: Vec::new(),
        directory: home.dir().to_owned(),
        log: home.dir().join("broker.log"),
        cores: options.cores.clone(),
        environment: environment.clone(),
    };
    let companion = Launch {
        program: epmd,
        arguments: vec!["-address".to_owned(), "127.0.0.1".to_owned(), "-port".to_owned(), names.to_string()],
        log: home.dir().join("epmd.log"),
        ..launch.clone()
    };
    let (system, level) = (Foreign::RabbitMq, Level::Later);
    let server = Server { system, address, is_durable: false, memory_max: None, config, level };
    Ok(Prepared { launch, companion: Some(companion), address, server })
}
