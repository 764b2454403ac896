//! The jars of Apache Kafka, from Maven Central: the peer broker, its tools, its message specifications.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use super::install::{installed, run};

/// The release that Millrace follows.
pub const KAFKA_VERSION: &str = "4.3.1";

const LOG4J_SLF4J_VERSION: &str = "2.25.4";

static HOME: LazyLock<PathBuf> = LazyLock::new(|| {
    let pom = pom();
    installed(&format!("apache-kafka-{KAFKA_VERSION}"), &pom, |home| {
        fs::write(home.join("pom.xml"), &pom).map_err(|error| error.to_string())?;
        for (name, level) in [("server", "INFO"), ("tools", "ERROR")] {
            fs::write(home.join(format!("{name}-log4j2.yaml")), logging(level)).map_err(|error| error.to_string())?;
        }
        let mut maven = Command::new("mvn");
        maven.args(["-q", "-B", "-f"]).arg(home.join("pom.xml"));
        maven.arg("dependency:copy-dependencies");
        maven.arg(format!("-DoutputDirectory={}", home.join("libs").display()));
        run(&mut maven).map(|_| ())
    })
});

/// The directory with all jars; installs them on first use.
pub fn kafka_jars() -> PathBuf {
    HOME.join("libs")
}

/// A `java` command with the jars and further `class_path` entries on its class path.
///
/// `logging` is "server" (INFO to standard output) or "tools" (errors only).
pub fn java(logging: &str, class_path: &[PathBuf]) -> Command {
    let mut path: Vec<String> = class_path.iter().map(|entry| entry.display().to_string()).collect();
    path.push(format!("{}/*", kafka_jars().display()));
    let mut command = Command::new("java");
    // Short-lived machines beside a broker on few cores: start fast, stay small.
    command.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx512M"]);
    command.arg(format!("-Dlog4j2.configurationFile={}", HOME.join(format!("{logging}-log4j2.yaml")).display()));
    command.arg("-cp").arg(path.join(":"));
    command
}

/// A `java` command that runs the program in `source`, a file below the package that is compiled with the jars on first use.
pub fn java_program(source: &str) -> Command {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    let text =
        fs::read_to_string(&source).unwrap_or_else(|error| panic!("{} can't be read: {error}", source.display()));
    let class = source.file_stem().and_then(|stem| stem.to_str()).expect("a program's file is named after its class");
    let home = installed(&format!("java-{}", class.to_lowercase()), &format!("{KAFKA_VERSION}\n{text}"), |home| {
        let mut javac = Command::new("javac");
        javac.arg("-d").arg(home).arg("-cp").arg(format!("{}/*", kafka_jars().display()));
        run(javac.arg(&source)).map(|_| ())
    });
    let mut command = java("tools", &[home]);
    command.arg(class);
    command
}

fn pom() -> String {
    let dependency = |group: &str, artifact: &str, version: &str| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>"
        )
    };
    let dependencies = [
        dependency("org.apache.kafka", "kafka_2.13", KAFKA_VERSION),
        dependency("org.apache.kafka", "kafka-tools", KAFKA_VERSION),
        dependency("org.apache.kafka", "kafka-streams", KAFKA_VERSION),
        dependency("org.apache.logging.log4j", "log4j-slf4j-impl", LOG4J_SLF4J_VERSION),
    ]
    .concat();
    format!(
        "<project><modelVersion>4.0.0</modelVersion><groupId>millrace</groupId><artifactId>peer</artifactId>\
         <version>1</version><dependencies>{dependencies}</dependencies></project>\n"
    )
}

fn logging(level: &str) -> String {
    format!(
        "Configuration:\n  status: ERROR\n  Appenders:\n    Console:\n      name: OUT\n      target: SYSTEM_ERR\n      \
         PatternLayout: {{pattern: \"[%d] %p %m (%c)%n\"}}\n  Loggers:\n    Root:\n      level: {level}\n      \
         AppenderRef: {{ref: OUT}}\n"
    )
}
