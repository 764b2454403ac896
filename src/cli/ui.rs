//! `millrace ui`: the web UI for any Kafka cluster, or several.

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use super::flags::{Flag, Options, switch, value};
use super::output::{Failure, Outcome, Output};
use crate::client::{ClientConfig, Properties};
use crate::http;
use crate::rest;
use crate::rt::control;
use crate::ui::{self, ClusterSettings, Ui, UiSettings, Variables};

/// Name of the command.
pub const NAME: &str = "ui";
/// What it is for.
pub const ABOUT: &str = "Web UI for any Kafka cluster: 'ui --bootstrap-server host:9092', or clusters by KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS, ...";
/// Its flags.
pub const FLAGS: &[Flag] = &[
    value(
        "bootstrap-server",
        "servers",
        "A cluster, host1:port1,host2:port2. May be given several times, as name=servers.",
    ),
    value("command-config", "file", "Property file with settings of the client, for these clusters."),
    value("listen", "host:port", "Where the pages are. [default: 127.0.0.1:8080]"),
    switch("read-only", "Nothing can be changed."),
    switch("allow-changes", "Things can be changed without a login, also over a network."),
    value("users-file", "file", "Who may log in: lines name:hash, see --hash-password."),
    value("token-file", "file", "A token that logs in whoever has it, for programs as 'Authorization: Bearer'."),
    value("bench-dir", "directory", "Where reports of millrace bench are. [default: .]"),
    switch("hash-password", "Read a password from standard input, print its hash for the users file, and end."),
];

/// Port of the pages.
const PORT: u16 = 8080;
/// The longest password.
const PASSWORD_BYTES_MAX: u64 = 4096;

/// Runs the command.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    let variables = ui::from_variables(env::vars()).map_err(Failure::message)?;
    // Without flags it runs on variables alone, as in a container; without any it shows its flags.
    let options = match args.is_empty() && !variables.clusters.is_empty() {
        true => Options::parse_any(NAME, ABOUT, FLAGS, args)?,
        false => Options::parse(NAME, ABOUT, FLAGS, args)?,
    };
    if options.has("hash-password") {
        return hash_password(out);
    }
    for name in &variables.ignored {
        out.note(format_args!("{name} has no effect here"))?;
    }
    let (host, port) = address(&options, &variables)?;
    let settings = settings(&options, variables, &host, port)?;
    control::run(serve(settings, host, port, out))
        .map_err(|error| Failure::message(format!("the UI does not start: {error}")))?
}

fn hash_password(out: &mut Output) -> Outcome {
    let mut text = String::new();
    let read = std::io::stdin().take(PASSWORD_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| Failure::message(format!("the password can't be read from standard input: {error}")))?;
    out.line(ui::hash_password(text.trim_end_matches(['\n', '\r'])).map_err(Failure::message)?)?;
    Ok(())
}

fn address(options: &Options, variables: &Variables) -> Result<(String, u16), Failure> {
    let Some(text) = options.value("listen")? else {
        let host = variables.address.clone().unwrap_or_else(|| Ipv4Addr::LOCALHOST.to_string());
        return Ok((host, variables.port.unwrap_or(PORT)));
    };
    let parts = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = parts.filter(|(host, _)| !host.is_empty()).ok_or_else(|| {
        Failure::usage(format!("--listen {text}: give host:port, such as 127.0.0.1:8080 or 0.0.0.0:8080"))
    })?;
    Ok((host.trim_matches(['[', ']']).to_owned(), port))
}

fn settings(options: &Options, variables: Variables, host: &str, port: u16) -> Result<UiSettings, Failure> {
    let mut clusters = variables.clusters;
    for given in options.values("bootstrap-server") {
        let (name, servers) = given.split_once('=').unwrap_or((given, given));
        let mut properties = match options.value("command-config")? {
            Some(path) => Properties::load(path)?,
            None => Properties::default(),
        };
        properties.set("bootstrap.servers", servers);
        let client = ClientConfig::new(properties, "millrace-ui")?;
        clusters.push(ClusterSettings { name: name.to_owned(), client, read_only: false });
    }
    if clusters.is_empty() {
        return Err(Failure::usage(
            "no cluster is given: use --bootstrap-server host:port, or KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS=host:port in the environment",
        ));
    }
    options.refuse_together("read-only", &["allow-changes"])?;
    let read_only = match (options.has("read-only"), options.has("allow-changes")) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    };
    let token = match options.value("token-file")? {
        Some(path) => {
            let text =
                fs::read_to_string(path).map_err(|error| Failure::message(format!("--token-file {path}: {error}")))?;
            Some(text.trim().to_owned())
        }
        None => None,
    };
    Ok(UiSettings {
        clusters,
        read_only,
        users_file: options.value("users-file")?.map(PathBuf::from),
        token,
        // A name is as good as a network address: who knows who can reach it.
        listener: SocketAddr::new(
            match host {
                "localhost" => Ipv4Addr::LOCALHOST.into(),
                host => host.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            },
            port,
        ),
        bench_dir: PathBuf::from(options.value("bench-dir")?.unwrap_or(".")),
    })
}

async fn serve(mut settings: UiSettings, host: String, port: u16, out: &mut Output) -> Outcome {
    let changes = settings.changes();
    let names: Vec<String> =
        settings.clusters.iter().map(|it| format!("{} ({})", it.name, it.client.bootstrap_list())).collect();
    let opened = control::listen(&host, port).await;
    let listener = opened.map_err(|error| {
        Failure::message(format!(
            "{host}:{port} cannot be opened: {error}; choose another place with --listen host:port"
        ))
    })?;
    let address = listener.local_addr()?;
    settings.listener.set_port(address.port());
    let ui = Ui::new(settings, None).map_err(Failure::message)?;
    let mut signals = control::Signals::catch()?;
    out.line(format_args!("The UI is ready: http://{address}/"))?;
    out.line(format_args!("  clusters  {}", names.join(", ")))?;
    if let Err(why) = changes {
        out.line(format_args!("  {why}"))?;
    }
    out.flush()?;
    tokio::select! {
        outcome = http::serve_pages(listener, ui::router(Arc::clone(&ui)).merge(rest::router(ui, None))) => Ok(outcome?),
        _ = signals.next() => Ok(()),
    }
}
