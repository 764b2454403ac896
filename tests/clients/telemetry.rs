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

/// Waits until the page has a value of `name` from a client of that id.
fn wait_for_metric(http: u16, name: &str, client_id: &str) {
    let (name, label) = (format!("{name}{{"), format!("client_id=\"{client_id}\""));
    let mut seen = String::new();
    wait_for(&format!("{name} of {client_id}"), LIMIT, || {
        seen = http_get(http, "/metrics").expect("the broker answers");
        seen.lines().any(|line| line.starts_with(&name) && line.contains(&label)).then_some(())
    });
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
    producer.args(["--producer-property", "client.id=java-producer"]);
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
    java_producer.end();

    assert_eq!(tool("--delete --name everything"), "Deleted client metrics config for everything.\n");
    assert_eq!(tool("--list"), "\n");
}
