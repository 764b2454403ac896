//! The web UI in a real browser, on a broker with 10,000 topics, messages of 1 MB, and hostile names, keys, values and headers.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use millrace::client::{Client, ClientConfig, Producer, ProducerRecord, Properties};
use millrace::protocol::create_topics::{CreatableTopic, CreateTopicsRequest};

use crate::support::install::run;
use crate::support::node::{Kind, Node};
use crate::support::ports::free_port;
use crate::{browser, install_driver};

const TOPICS: usize = 10_000;
/// Between the records of a producer in use: it shall be seen, and leave the machine to the browser.
const PAUSE: Duration = Duration::from_millis(10);
/// Topics of one request.
const TOPICS_AT_ONCE: usize = 1000;

fn config(node: &Node) -> ClientConfig {
    let pairs = [format!("bootstrap.servers={}", node.bootstrap()), "max.request.size=2097152".to_owned()];
    ClientConfig::new(Properties::from_pairs(pairs.iter().map(String::as_str)), "test").expect("an address")
}

fn create(client: &mut Client, names: &[String], partitions: i32) {
    let topic = |name: &String| CreatableTopic {
        name: name.as_str().into(),
        num_partitions: partitions,
        replication_factor: 1,
        ..Default::default()
    };
    for names in names.chunks(TOPICS_AT_ONCE) {
        let request =
            CreateTopicsRequest { topics: names.iter().map(topic).collect(), timeout_ms: 60_000, ..Default::default() };
        let response = client.call_any(&request).expect("it answers");
        assert!(response.topics.iter().all(|topic| topic.error_code == 0), "{:?}", response.topics.first());
    }
}

fn fill(node: &Node) {
    let mut client = Client::new(config(node));
    let many: Vec<String> = (0..TOPICS).map(|index| format!("topic-{index:05}")).collect();
    create(&mut client, &["orders".to_owned()], 3);
    create(&mut client, &["hostile".to_owned(), "large".to_owned(), "used".to_owned()], 1);
    create(&mut client, &many, 1);
    let mut producer = Producer::new(config(node)).expect("settings");
    let mut send = |topic: &str,
                    partition: i32,
                    key: Option<&[u8]>,
                    value: Option<Vec<u8>>,
                    headers: Vec<(String, Option<Vec<u8>>)>| {
        let key = key.map(<[u8]>::to_vec);
        let record = ProducerRecord {
            topic: topic.to_owned(),
            partition: Some(partition),
            timestamp: None,
            key,
            value,
            headers,
            ..Default::default()
        };
        producer.send(record).expect("sent");
    };
    for index in 0..60 {
        let value = format!(
            r#"{{"order": {index}, "customer": "c{}", "lines": [{{"sku": "A-{index}", "count": {}}}], "paid": {}}}"#,
            index % 7,
            index % 4 + 1,
            index % 2 == 0
        );
        let value = (index % 20 != 19).then(|| value.into_bytes());
        let headers = vec![("trace-id".to_owned(), Some(format!("{:032x}", index * 7919).into_bytes()))];
        send("orders", index % 3, Some(format!("order-{index}").as_bytes()), value, headers);
    }
    let script = "<script>window.hacked=1</script>";
    let texts = [
        script.to_owned(),
        "\"><img src=x onerror=window.hacked=1>".to_owned(),
        "javascript:window.hacked=1".to_owned(),
        "' onfocus=window.hacked=1 autofocus='".to_owned(),
        "</td></table></main><h1>taken over</h1>".to_owned(),
        "\u{202e}\u{2066}turned round\u{2069} \0 \u{1b}[31m \u{feff}".to_owned(),
        "x".repeat(5000),
        format!("{{\"html\": \"{script}\", \"\\u0000\": [[[]]]}}"),
    ];
    // Offset 1 is text that is none.
    let bytes: [&[u8]; 2] = [script.as_bytes(), b"\xff\xfe<script>\xc0\x80\0window.hacked=1</script>\xed\xa0\x80"];
    for value in bytes.into_iter().chain(texts.iter().map(String::as_bytes)) {
        let headers = texts.iter().map(|text| (text.clone(), Some(text.clone().into_bytes())));
        let headers = headers.chain([("\u{202e}none".to_owned(), None), (String::new(), Some(vec![0xff, 0]))]);
        send("hostile", 0, Some(value), Some(value.to_vec()), headers.collect());
    }
    let mut json = String::from("[");
    while json.len() < 1_000_000 {
        json += "{\"name\": \"<script>window.hacked=1</script>\", \"number\": 12345},";
    }
    json += "null]";
    send("large", 0, Some(b"json"), Some(json.into_bytes()), Vec::new());
    send("large", 0, Some(b"line"), Some(vec![b'y'; 1_000_000]), Vec::new());
    send("large", 0, Some(b"bytes"), Some(vec![0; 1_000_000]), Vec::new());
    producer.flush();
    assert!(producer.take_undelivered().is_empty());
    let hostile = "<script>window.hacked=1</script>/../\u{202e}group";
    for group in ["readers", hostile] {
        client
            .alter_group_offsets(group, &[(("orders".to_owned(), 0), 5), (("hostile".to_owned(), 0), 2)])
            .expect("committed");
    }
    client.fence_producer(&format!("txn-{hostile}")).expect("a transactional id");
}

/// A producer that waits for each answer, by a hostile name, and one that lets records gather.
fn use_the_broker(node: &Node, stop: &Arc<AtomicBool>) -> Vec<JoinHandle<()>> {
    let servers = format!("bootstrap.servers={}", node.bootstrap());
    let clients =
        [("<script>window.hacked=1</script>\u{202e}producer", "linger.ms=0", 1), ("steady", "linger.ms=20", 50)];
    clients
        .map(|(name, linger, at_once)| {
            let config = ClientConfig::new(Properties::from_pairs([servers.as_str(), "acks=all", linger]), name);
            let mut producer = Producer::new(config.expect("an address")).expect("settings");
            let stop = Arc::clone(stop);
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    for _ in 0..at_once {
                        let value = Some(vec![b'x'; 200]);
                        producer
                            .send(ProducerRecord { topic: "used".to_owned(), value, ..Default::default() })
                            .expect("sent");
                    }
                    producer.flush();
                    thread::sleep(PAUSE);
                }
            })
        })
        .into()
}

#[test]
fn the_ui_can_be_used_and_runs_nothing_of_what_it_shows() {
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser-ui");
    let _ = fs::remove_dir_all(&shots);
    fs::create_dir_all(&shots).expect("target/ is writable");
    let http = format!("127.0.0.1:{}", free_port());
    let node = Node::start(Kind::Millrace, &[("millrace.http.listener", &http)]);
    fill(&node);
    let stop = Arc::new(AtomicBool::new(false));
    let clients = use_the_broker(&node, &stop);
    let mut driver = Command::new("node");
    driver.arg(install_driver().join("ui.js")).arg(browser()).arg(&shots).arg(format!("http://{http}"));
    let problems = run(&mut driver);
    stop.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().expect("it goes on to the end"));
    let problems = problems.expect("the driver runs");
    assert!(problems.is_empty(), "the UI has flaws; pictures are in {}:\n{problems}", shots.display());
}
