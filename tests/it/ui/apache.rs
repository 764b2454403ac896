//! `millrace ui` on Apache Kafka: every page opens, with what the cluster has; groups of every type; and pages of a cluster that is gone.

use millrace::client::CoordinatorKind;
use millrace::protocol::Request;
use millrace::protocol::add_partitions_to_txn::{AddPartitionsToTxnRequest, AddPartitionsToTxnTopic};
use millrace::protocol::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;
use millrace::protocol::init_producer_id::InitProducerIdRequest;
use millrace::protocol::share_group_heartbeat::ShareGroupHeartbeatRequest;
use millrace::protocol::streams_group_heartbeat::{StreamsGroupHeartbeatRequest, Subtopology, Topology};
use millrace::wire::KafkaString;

use super::*;

/// A member's id, as clients make theirs.
const MEMBER: &str = "Qm9yZWRPZlVVSURzMTIzNA";

/// A UI for this cluster; `properties` are of its client.
fn ui_of(node: &Node, properties: &str) -> (Process, String) {
    let file = node.scratch().join("ui.properties");
    std::fs::write(&file, properties).expect("writable");
    let listen = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.args(["ui", "--listen", &listen, "--bootstrap-server", &format!("millrace={}", node.bootstrap())]);
    command.arg("--command-config").arg(&file);
    let ui = Process::start(&mut command);
    ui.line(PATIENCE).expect("it says that it is ready");
    (ui, listen)
}

fn produce(node: &Node, topic: &str, records: usize) {
    let mut producer = Producer::new(client_config(node)).expect("settings");
    for nth in 0..records {
        let value = Some(format!("{{\"nth\": {nth}}}").into_bytes());
        let partition = Some(0);
        producer.send(ProducerRecord { topic: topic.into(), partition, value, ..Default::default() }).expect("sent");
    }
    producer.flush();
    assert!(producer.take_undelivered().is_empty());
}

fn ask_coordinator<R: Request>(client: &mut Client, group: &str, request: &R) -> R::Response {
    let coordinator = client.coordinator(CoordinatorKind::Group, group).expect("there is one");
    client.call_broker(coordinator, request).expect("it answers")
}

/// One member in a group of each type that has heartbeats of its own.
fn join_groups(client: &mut Client, topic: &str) {
    let names = Some(vec![KafkaString::from(topic)]);
    let consumer = ConsumerGroupHeartbeatRequest {
        group_id: "consumers".into(),
        member_id: MEMBER.into(),
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: names.clone(),
        topic_partitions: Some(Vec::new()),
        ..Default::default()
    };
    let share = ShareGroupHeartbeatRequest {
        group_id: "sharers".into(),
        member_id: MEMBER.into(),
        subscribed_topic_names: names,
        ..Default::default()
    };
    let subtopology =
        Subtopology { subtopology_id: "0".into(), source_topics: vec![KafkaString::from(topic)], ..Default::default() };
    let streams = StreamsGroupHeartbeatRequest {
        group_id: "streamers".into(),
        member_id: MEMBER.into(),
        rebalance_timeout_ms: 60_000,
        topology: Some(Topology { epoch: 0, subtopologies: vec![subtopology] }),
        active_tasks: Some(Vec::new()),
        standby_tasks: Some(Vec::new()),
        warmup_tasks: Some(Vec::new()),
        process_id: Some("process".into()),
        ..Default::default()
    };
    let begun = Instant::now();
    // A coordinator may be loading at first.
    let until = |what: &str, join: &mut dyn FnMut() -> i16| {
        let mut code = join();
        while code != 0 {
            assert!(begun.elapsed() < PATIENCE, "{what}: {code}");
            thread::sleep(Duration::from_millis(100));
            code = join();
        }
    };
    until("consumer", &mut || ask_coordinator(client, "consumers", &consumer).error_code);
    until("share", &mut || ask_coordinator(client, "sharers", &share).error_code);
    until("streams", &mut || ask_coordinator(client, "streamers", &streams).error_code);
}

/// A transaction that is under way on the topic's first partition.
fn open_transaction(client: &mut Client, id: &str, topic: &str) -> i64 {
    let init = InitProducerIdRequest {
        transactional_id: Some(id.into()),
        transaction_timeout_ms: 60_000,
        producer_id: -1,
        producer_epoch: -1,
        ..Default::default()
    };
    let coordinated = client.at_coordinator(CoordinatorKind::Transaction, id, |client, coordinator| {
        let begun = client.call_broker(coordinator, &init)?;
        millrace::client::ClientError::check(begun.error_code, None)?;
        Ok((coordinator, begun))
    });
    let (coordinator, begun) = coordinated.expect("a producer id");
    let add = AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: id.into(),
        v3_and_below_producer_id: begun.producer_id,
        v3_and_below_producer_epoch: begun.producer_epoch,
        v3_and_below_topics: vec![AddPartitionsToTxnTopic { name: topic.into(), partitions: vec![0] }],
        ..Default::default()
    };
    let added = client.call_broker_up_to(coordinator, &add, 3).expect("it answers");
    let results = added.results_by_topic_v3_and_below.iter().flat_map(|topic| &topic.results_by_partition);
    assert!(results.map(|result| result.partition_error_code).all(|code| code == 0), "{added:?}");
    begun.producer_id
}

/// Sees the transaction in the pages, and aborts it there.
pub fn a_transaction_is_seen_and_aborted(node: &Node, ui: &str, topic: &str) {
    let mut client = Client::new(client_config(node));
    let id = "txn/<b>&1";
    let encoded = "txn%2F%3Cb%3E%261";
    let producer_id = open_transaction(&mut client, id, topic);
    let listed = api(ui, "/transactions?open=1");
    assert_eq!(listed["transactions"][0]["transactional_id"], id, "{listed}");
    let one = api(ui, &format!("/transaction?id={encoded}"));
    assert_eq!((&one["state"], &one["producer_id"]), (&"Ongoing".into(), &producer_id.into()), "{one}");
    assert_eq!(one["partitions"][0][0], topic);
    let page = get(ui, &format!("/c/millrace/transaction?id={encoded}"));
    assert!(page.status == 200 && page.body.contains("txn/&lt;b&gt;&amp;1") && page.body.contains("Fence and abort"));
    assert_eq!(post(ui, &format!("/transaction/abort?id={encoded}"), "confirm=other").status, 400);
    assert_eq!(api(ui, &format!("/transaction?id={encoded}"))["state"], "Ongoing");
    let done = post(ui, &format!("/transaction/abort?id={encoded}"), &format!("confirm={encoded}"));
    assert!(done.status == 200 && done.body.contains("was fenced"), "{}", done.body);
    let begun = Instant::now();
    while api(ui, &format!("/transaction?id={encoded}"))["state"] == "Ongoing" {
        assert!(begun.elapsed() < PATIENCE, "it stays open");
    }
    let after = api(ui, &format!("/transaction?id={encoded}"));
    assert!(
        after["producer_epoch"].as_i64() > one["producer_epoch"].as_i64() || after["producer_id"] != one["producer_id"],
        "{after}"
    );
    assert_eq!(get(ui, "/c/millrace/transaction?id=nobody").status, 404);
}

/// Sets and takes back configs of all brokers, a group and a subscription.
pub fn what_is_neither_topic_nor_broker_is_configured(ui: &str) {
    for (resource, key, value) in [
        ("type=brokers", "log.cleaner.threads", "2"),
        ("type=group&name=a%2Fb", "consumer.session.timeout.ms", "50000"),
        ("type=client-metrics&name=all", "interval.ms", "5000"),
    ] {
        let path = format!("/configs/of?{resource}");
        let of_key = || {
            let entries = api(ui, &path);
            entries.as_array().expect("a list").iter().find(|entry| entry["name"] == key).cloned()
        };
        let before = of_key().map(|entry| entry["value"].clone());
        let begun = Instant::now();
        // A machine that does much else may be late once.
        let mut set = post(ui, &path, &format!("key={key}&value={value}"));
        while set.status != 200 {
            assert!(set.status == 504 && begun.elapsed() < PATIENCE, "{resource}: {}", set.body);
            set = post(ui, &path, &format!("key={key}&value={value}"));
        }
        while of_key().is_none_or(|entry| entry["value"] != value) {
            assert!(begun.elapsed() < PATIENCE, "{resource}: {:?}", of_key());
        }
        let page = get(ui, &format!("/c/millrace{path}"));
        assert!(page.status == 200 && page.body.contains(key) && page.body.contains(value), "{}", page.body);
        assert!(get(ui, "/c/millrace/changes").body.contains(key));
        if resource.contains("name=") {
            let listed = api(ui, "/configs");
            let names = [&listed["groups"], &listed["client_metrics"]];
            assert!(
                names
                    .iter()
                    .any(|names| **names == serde_json::json!([if key == "interval.ms" { "all" } else { "a/b" }])),
                "{listed}"
            );
        }
        assert!(post(ui, &path, &format!("key={key}&value=nonsense")).status >= 400);
        assert_eq!(post(ui, &path, &format!("key={key}&reset=1")).status, 200);
        let begun = Instant::now();
        while of_key().map(|entry| entry["value"].clone()) != before {
            assert!(begun.elapsed() < PATIENCE, "{resource}: {:?}", of_key());
        }
    }
    for wrong in ["type=brokers&name=1", "type=group", "type=topic&name=t", ""] {
        assert!(matches!(get(ui, &format!("/c/millrace/configs/of?{wrong}")).status, 400 | 404), "{wrong}");
    }
}

#[test]
fn every_page_opens_on_apache_kafka_and_says_so_when_it_is_gone() {
    let protocols = ("group.coordinator.rebalance.protocols", "classic,consumer,share,streams");
    let shares =
        [("share.coordinator.state.topic.replication.factor", "1"), ("share.coordinator.state.topic.min.isr", "1")];
    let mut node = Node::start(Kind::Apache, &[protocols, shares[0], shares[1]]);
    let (_process, ui) = ui_of(&node, "");
    let created = post(&ui, "/topics/new", "name=orders&partitions=2&configs=retention.ms%3D3600000");
    assert_eq!(created.status, 200, "{}", created.body);
    produce(&node, "orders", 30);
    let mut client = Client::new(client_config(&node));
    let partition = |index| ("orders".to_owned(), index);
    client.alter_group_offsets("classics", &[(partition(0), 1), (partition(1), 0)]).expect("committed");
    join_groups(&mut client, "orders");
    client.alter_group_offsets("consumers", &[]).ok();

    let pages = [
        ("", "Partitions"),
        ("/topics", "orders"),
        ("/topics/new", "retention.ms"),
        ("/topic/orders", "End offset"),
        ("/topic/orders/configs", "3600000"),
        ("/topic/orders/producers", "Producers"),
        ("/topic/orders/change", "Purge"),
        ("/topic/orders/produce", "Headers"),
        ("/topic/orders/messages", "nth"),
        ("/topic/orders/message?partition=0&offset=0", "nth"),
        ("/topic/orders/batches?partition=0", "aria-label=\"Batches\""),
        ("/groups", "sharers"),
        ("/group?id=classics", "Lag, time"),
        ("/group?id=consumers", MEMBER),
        ("/group?id=sharers", MEMBER),
        ("/group?id=streamers", MEMBER),
        ("/group/reset?id=classics&to=earliest", "earliest"),
        ("/transactions", "Transactions"),
        ("/brokers", "controller"),
        ("/broker/1", "Log directories"),
        ("/broker/1/configs", "log.retention.hours"),
        ("/clients", "Members of groups"),
        ("/configs", "Client metrics"),
        ("/changes", "Changes"),
    ];
    // Together as many as the UI asks a cluster at a time.
    let each = |ui: &str, look: &(dyn Fn(&str, &str, Answer) + Sync)| {
        for some in pages.chunks(4) {
            thread::scope(|scope| {
                for (path, content) in some {
                    scope.spawn(move || look(path, content, get(ui, &format!("/c/millrace{path}"))));
                }
            });
        }
    };
    each(&ui, &|path, content, page| {
        assert!(page.status == 200 && page.body.contains(content), "{path}: {} {}", page.status, page.body);
    });
    assert_eq!(api(&ui, "/live")["records"], 30);
    let groups = api(&ui, "/groups");
    let kinds: Vec<(&str, &str)> = groups["groups"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|group| (group["id"].as_str().expect("text"), group["kind"].as_str().expect("text")))
        .collect();
    let expected = [("classics", "classic"), ("consumers", "consumer"), ("sharers", "share"), ("streamers", "streams")];
    assert_eq!(kinds, expected);
    assert_eq!(api(&ui, "/group?id=classics")["lag"], 29);
    for id in ["consumers", "sharers", "streamers"] {
        let group = api(&ui, &format!("/group?id={id}"));
        assert_eq!(
            (&group["members"][0]["id"], &group["members"][0]["client_id"]),
            (&MEMBER.into(), &"test".into()),
            "{group}"
        );
    }
    let alter = post(&ui, "/topic/orders/configs", "key=retention.ms&value=7200000");
    assert!(alter.status == 200 && get(&ui, "/c/millrace/changes").body.contains("7200000"), "{}", alter.body);
    a_transaction_is_seen_and_aborted(&node, &ui, "orders");
    what_is_neither_topic_nor_broker_is_configured(&ui);

    node.kill9();
    // Most of it is waiting: one that is given less time.
    let (_process, ui) = ui_of(&node, "request.timeout.ms=700\ndefault.api.timeout.ms=700\n");
    each(&ui, &|path, _, page| match page.status {
        // What was changed here, and forms for something new, need no cluster.
        200 => assert!(["/changes", "/topics/new", "/topic/orders/produce"].contains(&path), "{path} was shown"),
        status => {
            assert!(
                matches!(status, 502..=504) && page.body.contains("role=\"alert\""),
                "{path}: {status} {}",
                page.body
            );
        }
    });
    assert_eq!(get(&ui, "/healthz").status, 200);
}
