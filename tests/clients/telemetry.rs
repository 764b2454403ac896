//! Clients push their own metrics (KIP-714) as they do by default, and the broker shows them.

use std::process::Command;
use std::time::Duration;

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::librdkafka;
use crate::support::http::http_get;
use crate::support::install::run;
use crate::support::kafka_jars::java;
use crate::support::node::{Kind, Node};
use crate::support::ports::free_port;
use crate::support::process::Process;
use crate::support::wait::wait_for;

const LIMIT: Duration = Duration::from_secs(60);
/// What the UI makes of one of the metrics.
const LATENCY: &str = "ms from sending a request to its answer, as the producer sees it";

/// Waits until the page has a value of `name` from a client of that id.
fn wait_for_metric(http: u16, name: &str, client_id: &str) {
    let (name, label) = (format!("{name}{{"), format!("client_id=\"{client_id}\""));
    let mut seen = String::new();
    wait_for(&format!("{name} of {client_id}"), LIMIT, || {
        seen = http_get(http, "/metrics").expect("the broker answers");
        seen.lines().any(|line| line.starts_with(&name) && line.contains(&label)).then_some(())
    });
}

/// What the page of the UI's Clients of this id says: that of the first connection in the list with its name.
fn client_page(http: u16, client_id: &str) -> Option<String> {
    let list = http_get(http, "/c/millrace/clients").expect("the UI answers");
    let (before, _) = list.split_once(&format!(">{client_id}</a>"))?;
    let (_, link) = before.rsplit_once("href=\"")?;
    http_get(http, link.trim_end_matches('"'))
}

/// The value beside the name of a metric in a client's page.
fn shown(page: &str, name: &str) -> Option<String> {
    let (_, rest) = page.split_once(&format!("<code>{name}"))?;
    let (row, _) = rest.split_once("</tr>")?;
    let (_, value) = row.split_once("<td class=\"num\">")?;
    Some(value.split_once('<')?.0.to_owned())
}

#[test]
fn java_and_librdkafka_push_their_metrics() {
    let http = free_port();
    let node = Node::start(Kind::Millrace, &[("millrace.http.listener", &format!("127.0.0.1:{http}"))]);
    let server = node.bootstrap();
    let tool = |arguments: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
        run(command.args(["kafka-client-metrics", "--bootstrap-server", &server]).args(arguments.split(' ')))
            .unwrap_or_else(|error| panic!("{arguments}: {error}"))
    };
    let altered = tool("--alter --name everything --metrics * --interval 200");
    assert_eq!(altered, "Altered client metrics config for everything.\n");
    assert_eq!(tool("--list"), "everything\n");

    let mut producer = java("tools", &[]);
    producer.arg("org.apache.kafka.tools.ConsoleProducer").args(["--bootstrap-server", &server, "--topic", "pushed"]);
    producer.args([
        "--producer-property",
        "client.id=java-producer",
        "--producer-property",
        "enable.metrics.push=true",
    ]);
    let mut java_producer = Process::start(&mut producer);
    java_producer.tell("one").expect("it reads");

    let config = librdkafka::config(&server).set("client.id", "c-producer").clone();
    let c_producer: BaseProducer = config.create().expect("its settings are good");
    let sent = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            wait_for_metric(http, "kafka_client_producer_connection_creation_total", "java-producer");
            wait_for_metric(http, "kafka_client_producer_connection_creation_total", "c-producer");
        });
        let mut sent = 0;
        while !waiting.is_finished() {
            c_producer.send(BaseRecord::<(), _>::to("pushed").payload("two")).expect("its queue has room");
            c_producer.poll(Duration::from_millis(50));
            sent += 1;
        }
        waiting.join().expect("both have pushed");
        sent
    });
    assert!(sent > 0);
    c_producer.flush(LIMIT).expect("the broker takes them");
    let page = http_get(http, "/metrics").expect("it answers");
    for software in ["apache-kafka-java", "librdkafka"] {
        assert!(page.contains(&format!("millrace_clients_pushing{{software=\"{software}\"}} 1\n")), "{page}");
    }

    // The same is told on the UI's page of the client, beside what its connection does, and in words.
    let page = wait_for("what the Java producer says of itself, in the UI", LIMIT, || {
        java_producer.tell("again").expect("it reads");
        let page = client_page(http, "java-producer")?;
        (page.contains("Why it produces as it does") && page.contains("producer_request_latency_avg")).then_some(page)
    });
    assert!(page.contains("apache-kafka-java") && page.contains(LATENCY), "{page}");
    let connections = shown(&page, "kafka_client_producer_connection_creation").expect("it is pushed");
    assert!(connections.parse::<u32>().is_ok_and(|count| count >= 1), "{connections}");
    let latency = shown(&page, "kafka_client_producer_request_latency_avg").expect("it is pushed");
    assert!(latency == "not known" || latency.parse::<f64>().is_ok_and(|ms| ms >= 0.0), "{latency}");
    let other = client_page(http, "c-producer").expect("it is connected still");
    assert!(!other.contains("java-producer") && shown(&other, "kafka_client_producer_connection_creation").is_some());
    java_producer.end();

    assert_eq!(tool("--delete --name everything"), "Deleted client metrics config for everything.\n");
    assert_eq!(tool("--list"), "\n");
}
