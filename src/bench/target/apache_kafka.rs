//! How an Apache Kafka is fetched, formatted and started. It needs a JVM, and Maven the first time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::child::Launch;
use super::place::{Home, free_port};
use super::{DATA, StartOptions, write_config};
use crate::bench::BenchError;
use crate::bench::workload::Settings;

/// The release that is fetched.
pub(super) const VERSION: &str = "4.3.1";
/// What `kafka-server-start.sh` gives the broker.
pub(super) const HEAP: &str = "1G";
const LOG4J_VERSION: &str = "2.25.4";
/// Of `kafka-run-class.sh`.
const JVM_FLAGS: &[&str] = &[
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
];
const LOGGING: &str = "Configuration:
  status: ERROR
  Appenders:
    Console: {name: OUT, target: SYSTEM_ERR, PatternLayout: {pattern: \"[%d] %p %m (%c)%n\"}}
  Loggers:
    Root: {level: WARN, AppenderRef: {ref: OUT}}
";

/// Fetches it if need be, writes its configuration and formats its directory; how it is started, and its port.
pub(super) fn prepare(home: &Home, options: &StartOptions, heap: &str) -> Result<(Launch, u16), BenchError> {
    let jars = jars(options.program.as_deref())?;
    let port = free_port()?;
    let mut settings = Settings::new();
    settings.insert("log.dirs".to_owned(), home.dir().join(DATA).display().to_string());
    let (config, logging) = (home.dir().join("server.properties"), home.dir().join("log4j2.yaml"));
    fs::write(&logging, LOGGING).map_err(|error| BenchError::io(&logging, error))?;
    write_config(&config, port, settings, &options.overrides)?;
    let base = vec![
        format!("-Dlog4j2.configurationFile={}", logging.display()),
        "-cp".to_owned(),
        format!("{}/*", jars.display()),
    ];
    let config = config.display().to_string();
    let mut format = Command::new("java");
    // Sixteen bytes in Kafka's base 64; each home is a cluster of its own, so they may all have the same name.
    format.args(&base).args(["kafka.tools.StorageTool", "format", "-t", "MillraceBenchPeer0000A", "-c", &config]);
    run(&mut format, "java is missing: install a JDK or JRE of version 17 or later for --peer apache-kafka")?;
    let heap = [format!("-Xmx{heap}"), format!("-Xms{heap}")];
    let flags = JVM_FLAGS.iter().map(|flag| (*flag).to_owned());
    let arguments = heap.into_iter().chain(flags).chain(base).chain(["kafka.Kafka".to_owned(), config]).collect();
    let launch = Launch {
        program: "java".into(),
        arguments,
        directory: home.dir().to_owned(),
        log: home.dir().join("broker.log"),
        cores: options.cores.clone(),
        environment: Vec::new(),
    };
    Ok((launch, port))
}

/// The directory of its jars: the user's (or its `libs`), or ours, which is filled with Maven the first time.
pub fn jars(chosen: Option<&Path>) -> Result<PathBuf, BenchError> {
    if let Some(dir) = chosen {
        let candidates = [dir.to_owned(), dir.join("libs")];
        let found = candidates.into_iter().find(|dir| holds_kafka(dir));
        return found.ok_or_else(|| BenchError::config(format!("{}: no kafka_2.13-*.jar in there", dir.display())));
    }
    let cache = cache_dir().join(format!("apache-kafka-{VERSION}"));
    let jars = cache.join("libs");
    if jars.join(".complete").exists() {
        return Ok(jars);
    }
    fetch(&cache, &jars)?;
    Ok(jars)
}

fn holds_kafka(dir: &Path) -> bool {
    let names = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names
        .filter_map(|name| name.into_string().ok())
        .any(|name| name.starts_with("kafka_2.13-") && name.ends_with(".jar"))
}

/// `$XDG_CACHE_HOME/millrace`, or what the specification says in its stead.
pub fn cache_dir() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let base = base.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    base.unwrap_or_else(std::env::temp_dir).join("millrace")
}

fn fetch(cache: &Path, jars: &Path) -> Result<(), BenchError> {
    let pom = cache.join("pom.xml");
    fs::create_dir_all(cache)
        .and_then(|()| fs::write(&pom, pom_text()))
        .map_err(|error| BenchError::io(&pom, error))?;
    tracing::warn!(version = VERSION, to = %jars.display(), "fetching Apache Kafka from Maven Central, once");
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", "-f"]).arg(&pom).arg("dependency:copy-dependencies");
    maven.arg(format!("-DoutputDirectory={}", jars.display()));
    run(
        &mut maven,
        "mvn is missing, and --peer apache-kafka is fetched with it: install Maven (apt install maven), or name a directory with Kafka's jars",
    )?;
    let done = jars.join(".complete");
    fs::write(&done, VERSION).map_err(|error| BenchError::io(&done, error))
}

fn pom_text() -> String {
    let dependency = |group: &str, artifact: &str, version: &str| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>"
        )
    };
    let dependencies = [
        dependency("org.apache.kafka", "kafka_2.13", VERSION),
        dependency("org.apache.kafka", "kafka-tools", VERSION),
        dependency("org.apache.logging.log4j", "log4j-slf4j-impl", LOG4J_VERSION),
    ]
    .concat();
    format!(
        "<project><modelVersion>4.0.0</modelVersion><groupId>millrace</groupId><artifactId>peer</artifactId>\
         <version>1</version><dependencies>{dependencies}</dependencies></project>\n"
    )
}

/// Runs a program to its end; `if_missing` is said when there is no such program.
pub fn run(command: &mut Command, if_missing: &str) -> Result<String, BenchError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => BenchError::config(if_missing),
        _ => BenchError::broker(format!("{program}: {error}")),
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines[lines.len().saturating_sub(4)..].join(" | ");
    Err(BenchError::broker(format!("{program} ended with {}: {last}", output.status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_one_sentence() {
        let error = run(&mut Command::new("no-such-program"), "install it").expect_err("it is missing");
        assert_eq!(error.to_string(), "install it");
        let error = run(Command::new("sh").args(["-c", "echo why >&2; exit 2"]), "").expect_err("it fails");
        assert_eq!(error.to_string(), "sh ended with exit status: 2: why");
    }

    #[test]
    fn jars_of_the_user_are_found() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let error = jars(Some(dir.path())).expect_err("it is empty").to_string();
        assert!(error.ends_with("no kafka_2.13-*.jar in there"), "{error}");
        let libs = dir.path().join("libs");
        fs::create_dir(&libs).and_then(|()| fs::write(libs.join("kafka_2.13-4.1.0.jar"), "")).expect("it is writable");
        assert_eq!(jars(Some(dir.path())).expect("it is there"), libs);
    }
}
