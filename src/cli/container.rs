//! `millrace container`: the entry point of the image, which stands in for `apache/kafka`: its variables, its folders, its checks.
//!
//! As there: arguments `VARIABLE=value` are variables, too; a mounted `server.properties` comes first and `KAFKA_*` variables over it;
//! without that file they are the whole configuration; without any of them the defaults are. `CLUSTER_ID` has a default. The data
//! directories are formatted if they are empty. Logs go to standard output.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::flags::{Flag, Options, switch, value};
use super::output::{Failure, Outcome, Output};
use super::server::{self, Launch, LogTo, Said};
use crate::bench::probe::http_get;
use crate::config::{Properties, source};

/// Name of the command.
pub const NAME: &str = "container";
/// What it is for.
pub const ABOUT: &str = "Start a broker as the apache/kafka image does: by KAFKA_* variables, CLUSTER_ID and /mnt/shared/config/server.properties.";
/// Its flags.
pub const FLAGS: &[Flag] = &[
    switch("health", "Ask the broker that this container runs whether it is ready: exit code 0 or 1."),
    value("mounted-configs-dir", "dir", "Where server.properties may be mounted. [default: /mnt/shared/config]"),
];

const MOUNTED: &str = "/mnt/shared/config";
/// The image's default file; also in it as `/opt/kafka/config/server.properties`.
const DEFAULTS: &str = include_str!("../../deploy/server.properties");
/// The cluster of the image if nobody names one.
const CLUSTER_ID_DEFAULT: &str = "5L6g3nShT-eMCtK--X86sw";
/// A container is reached through the ports that its user publishes.
const HTTP_DEFAULT: &str = "0.0.0.0:8080";
const HTTP_KEY: &str = "millrace.http.listener";
const PATIENCE: Duration = Duration::from_secs(5);

type Variables = BTreeMap<String, String>;

/// Runs the command.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    let (flags, given): (Vec<String>, Vec<String>) = args.iter().cloned().partition(|arg| arg.starts_with('-'));
    let options = Options::parse_any(NAME, ABOUT, FLAGS, &flags)?;
    let variables = variables(&given)?;
    let mounted = PathBuf::from(options.value("mounted-configs-dir")?.unwrap_or(MOUNTED));
    let (texts, said) = configuration(&variables, &mounted)?;
    if options.has("health") {
        return health(&texts);
    }
    let cluster_id = variables.get(server::CLUSTER_ID_VARIABLE).filter(|id| !id.is_empty()).cloned();
    let launch = Launch {
        cluster_id: Some(cluster_id.unwrap_or_else(|| CLUSTER_ID_DEFAULT.to_owned())),
        log_to: LogTo::Stdout,
        log_level: variables.get("KAFKA_LOG4J_ROOT_LOGLEVEL").cloned(),
        reread: Some(server::rereading(move || configuration(&variables, &mounted))),
        ..Launch::new(texts, said)
    };
    server::launch(launch, out)
}

/// The environment with what the arguments set.
fn variables(given: &[String]) -> Result<Variables, Failure> {
    let mut variables: Variables = env::vars().collect();
    for text in given {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("{text}: give variables, such as KAFKA_NUM_PARTITIONS=3")))?;
        variables.insert(name.to_owned(), value.to_owned());
    }
    Ok(variables)
}

/// What the broker is to run with.
fn configuration(variables: &Variables, mounted: &Path) -> Result<(Properties, Said), Failure> {
    let variables = settled(variables)?;
    let file = mounted.join("server.properties");
    let base = match fs::read(&file) {
        Ok(bytes) => read(&bytes, &file.display().to_string())?,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Properties::new(),
        Err(error) => return Err(Failure::message(format!("cannot read {}: {error}", file.display()))),
    };
    let mut texts = source::merge([base, source::from_environment(variables)]);
    // Our own keys alone leave the rest to the defaults: no file of theirs has them.
    let said = if texts.keys().any(|key| !key.starts_with("millrace.")) {
        Said::ByTheUser
    } else {
        texts = source::merge([read(DEFAULTS.as_bytes(), "the built-in server.properties")?, texts]);
        Said::BuiltIn
    };
    texts.entry(HTTP_KEY.to_owned()).or_insert_with(|| HTTP_DEFAULT.to_owned());
    Ok((texts, said))
}

fn read(bytes: &[u8], whence: &str) -> Result<Properties, Failure> {
    source::read_properties(bytes).map_err(|error| Failure::message(format!("{whence}: {error}")))
}

/// The variables as the image's scripts leave them.
fn settled(variables: &Variables) -> Result<Variables, Failure> {
    let mut settled = variables.clone();
    let is_set = |name: &str| variables.get(name).is_some_and(|value| !value.is_empty());
    let is_controller = variables.get("KAFKA_PROCESS_ROLES").is_some_and(|roles| roles == "controller");
    if is_controller {
        if is_set("KAFKA_ADVERTISED_LISTENERS") {
            return Err(Failure::message(
                "KAFKA_ADVERTISED_LISTENERS is not supported on a KRaft controller: leave it away",
            ));
        }
        settled.remove("KAFKA_ADVERTISED_LISTENERS");
    }
    if !is_set("KAFKA_LISTENERS")
        && !is_controller
        && let Some(advertised) = variables.get("KAFKA_ADVERTISED_LISTENERS").filter(|text| !text.is_empty())
    {
        settled.insert("KAFKA_LISTENERS".to_owned(), on_all_addresses(advertised));
    }
    Ok(settled)
}

/// `HOST://kafka:9092` as `HOST://0.0.0.0:9092`.
fn on_all_addresses(advertised: &str) -> String {
    let one = |listener: &str| match (listener.split_once("://"), listener.rsplit_once(':')) {
        (Some((name, _)), Some((_, port))) => format!("{name}://0.0.0.0:{port}"),
        _ => listener.to_owned(),
    };
    advertised.split(',').map(one).collect::<Vec<_>>().join(",")
}

/// Whether the broker of this container is ready.
fn health(texts: &Properties) -> Outcome {
    let listener = texts.get(HTTP_KEY).map_or("", String::as_str);
    let mut address: SocketAddr = listener.parse().map_err(|_| {
        Failure::message(format!("{HTTP_KEY}={listener}: without an address there nobody can be asked"))
    })?;
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    http_get(address, "/readyz", PATIENCE).map(drop).map_err(Failure::message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BrokerConfig;

    fn of(pairs: &[(&str, &str)], mounted: &Path) -> (Properties, Said) {
        let variables = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        configuration(&variables, mounted).unwrap_or_else(|_| panic!("{pairs:?}"))
    }

    #[test]
    fn without_variables_the_defaults_are_a_whole_node() {
        let (texts, said) = of(&[("PATH", "/bin"), ("KAFKA_HEAP_OPTS", "-Xmx1g")], Path::new("/nowhere"));
        assert!(said == Said::BuiltIn && texts[HTTP_KEY] == HTTP_DEFAULT);
        assert_eq!(texts["advertised.listeners"], "PLAINTEXT://localhost:9092");
        BrokerConfig::new(texts).expect("valid");
        let (texts, said) = of(&[("KAFKA_MILLRACE_HTTP_LISTENER", "127.0.0.1:9")], Path::new("/nowhere"));
        assert!(said == Said::BuiltIn && texts[HTTP_KEY] == "127.0.0.1:9" && texts["node.id"] == "1");
    }

    #[test]
    fn variables_alone_are_everything_and_a_file_is_their_base() {
        let (texts, said) = of(&[("KAFKA_NODE_ID", "7"), ("KAFKA_NUM_PARTITIONS", "3")], Path::new("/nowhere"));
        assert_eq!(texts.keys().collect::<Vec<_>>(), [HTTP_KEY, "node.id", "num.partitions"]);
        assert!(said == Said::ByTheUser);
        let mounted = tempfile::tempdir().expect("a directory");
        fs::write(mounted.path().join("server.properties"), "node.id=1\nnum.partitions=2\n").expect("it is ours");
        let (texts, _) = of(&[("KAFKA_NUM_PARTITIONS", "3")], mounted.path());
        assert_eq!((texts["node.id"].as_str(), texts["num.partitions"].as_str()), ("1", "3"));
    }

    #[test]
    fn listeners_follow_the_advertised_ones() {
        let (texts, _) = of(&[("KAFKA_ADVERTISED_LISTENERS", "HOST://localhost:9092,D://[::1]:9093")], Path::new("/"));
        assert_eq!(texts["listeners"], "HOST://0.0.0.0:9092,D://0.0.0.0:9093");
        let (texts, _) =
            of(&[("KAFKA_ADVERTISED_LISTENERS", "A://b:1"), ("KAFKA_LISTENERS", "A://:2")], Path::new("/nowhere"));
        assert_eq!(texts["listeners"], "A://:2");
    }

    #[test]
    fn a_controller_advertises_nothing() {
        let variables = |advertised: &str| -> Variables {
            [("KAFKA_PROCESS_ROLES", "controller"), ("KAFKA_ADVERTISED_LISTENERS", advertised)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into()
        };
        assert!(settled(&variables("A://b:1")).is_err());
        let settled = settled(&variables("")).unwrap_or_else(|_| panic!("empty is as if it were not there"));
        assert!(!settled.contains_key("KAFKA_ADVERTISED_LISTENERS") && !settled.contains_key("KAFKA_LISTENERS"));
    }
}
