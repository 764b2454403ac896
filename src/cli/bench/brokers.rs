//! Brokers and clients that the flags ask for.

use std::path::PathBuf;
use std::rc::Rc;

use super::load::pairs;
use crate::bench::driver::{Driver, own::Own};
use crate::bench::target::{Cores, Foreign, StartOptions, Target};
use crate::bench::workload::Settings;
use crate::cli::flags::Options;
use crate::cli::output::Failure;
use crate::rt::executor;

/// Where the user wants to measure, if not on a broker that the bench starts.
pub fn address_of(options: &Options, named: &[String]) -> Result<Option<String>, Failure> {
    let given = options.value("bootstrap-server")?.map(str::to_owned);
    Ok(given.or_else(|| (!named.is_empty()).then(|| named.join(","))))
}

/// The clients.
pub fn driver(options: &Options) -> Result<Rc<dyn Driver>, Failure> {
    match options.value("driver")?.unwrap_or("own") {
        "own" => Ok(Rc::new(Own)),
        "librdkafka" => librdkafka(),
        "java" => Ok(Rc::new(crate::bench::driver::java::Java::default())),
        other => Err(Failure::usage(format!("--driver {other}: give own, librdkafka or java"))),
    }
}

#[cfg(feature = "librdkafka")]
fn librdkafka() -> Result<Rc<dyn Driver>, Failure> {
    Ok(Rc::new(crate::bench::driver::librdkafka::Librdkafka))
}

#[cfg(not(feature = "librdkafka"))]
fn librdkafka() -> Result<Rc<dyn Driver>, Failure> {
    let mend = "build it with cargo build --release --features librdkafka (it needs a C compiler and make)";
    Err(Failure::message(format!("--driver librdkafka: this Millrace was built without it; {mend}")))
}

/// The brokers, up and ready, and the cores that are left for the clients.
pub fn targets(
    options: &Options,
    address_given: Option<&str>,
    cores: &(Vec<usize>, Vec<usize>),
    common: &Settings,
) -> Result<Vec<Target>, Failure> {
    let own_io = own_io(options, address_given.is_some())?;
    let start = StartOptions {
        data_dir: options.value("data-dir")?.map(PathBuf::from),
        cores: cores.0.clone(),
        overrides: pairs(options, "broker-property")?,
        ..StartOptions::default()
    };
    let own = StartOptions { overrides: start.overrides.clone().into_iter().chain(own_io).collect(), ..start.clone() };
    let mut targets = Vec::new();
    match address_given {
        Some(servers) => targets.push(address(servers, servers, common)?),
        None => targets.push(Target::millrace("millrace", &own)?),
    }
    for peer in options.values("peer") {
        let target = match (peer, peer.split_once('=')) {
            ("apache-kafka", _) => Target::apache_kafka("apache-kafka", &start)?,
            ("millrace", _) if address_given.is_some() => Target::millrace("millrace", &own)?,
            (_, Some((name, servers))) => address(name, servers, common)?,
            _ => foreign(peer, &start)?,
        };
        if targets.iter().any(|other: &Target| other.name() == target.name()) {
            return Err(Failure::usage(format!("--peer {peer}: there is already a broker of that name")));
        }
        targets.push(target);
    }
    Ok(targets)
}

/// `millrace.io` of the Millrace that is started, as the user wants it; of other brokers it can't be wanted.
fn own_io(options: &Options, address_given: bool) -> Result<Option<(String, String)>, Failure> {
    let Some(io) = options.value("io")? else { return Ok(None) };
    if !["auto", "uring", "epoll"].contains(&io) {
        return Err(Failure::usage(format!("--io {io}: give auto, uring or epoll")));
    }
    if address_given && !options.values("peer").contains(&"millrace") {
        let mend = "leave one of them out, or add --peer millrace";
        return Err(Failure::usage(format!(
            "--io {io} is for a Millrace that the bench starts, and the one at an address runs already: {mend}"
        )));
    }
    Ok(Some(("millrace.io".to_owned(), io.to_owned())))
}

/// A system that speaks another protocol.
fn foreign(peer: &str, start: &StartOptions) -> Result<Target, Failure> {
    let words = "apache-kafka, redis, nats, rabbitmq, or NAME=HOST:PORT";
    let system = Foreign::parse(peer).ok_or_else(|| Failure::usage(format!("--peer {peer}: give {words}")))?;
    Ok(Target::foreign(system.name(), system, start)?)
}

fn address(name: &str, servers: &str, common: &Settings) -> Result<Target, Failure> {
    let list = servers.split(',').map(|server| server.trim().to_owned()).collect();
    Ok(Target::address(name, list, common.clone())?)
}

/// Cores for brokers and clients.
pub fn cores(options: &Options, address_given: bool) -> Result<(Vec<usize>, Vec<usize>), Failure> {
    let available = executor::available_cores();
    if address_given {
        return Ok((Vec::new(), available));
    }
    let cores = options.value("cores")?.map(Cores::parse).transpose()?.unwrap_or_default();
    Ok(cores.deal(&available)?)
}
