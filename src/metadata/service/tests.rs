//! The service on real files: what it writes is there after a restart, in our hands and in Kafka's.

use std::sync::Mutex;

use super::*;
use crate::config::source;
use crate::log::MetaProperties;
use crate::metadata::format;
use crate::protocol::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use crate::protocol::delete_topics::DeleteTopicsRequest;

struct Node {
    root: tempfile::TempDir,
    config: BrokerConfig,
    published: Arc<Mutex<Vec<Arc<MetadataImage>>>>,
}

impl Node {
    fn new(changes: &[(&str, &str)]) -> Node {
        let root = tempfile::tempdir().expect("tempdir");
        let mut properties = source::embedded(29_592, root.path().to_str().expect("UTF-8"));
        properties.extend(changes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        properties.retain(|_, value| value != "-");
        let config = BrokerConfig::new(properties).expect("a valid configuration");
        Node { root, config, published: Arc::default() }
    }

    fn dynamic() -> Node {
        Node::new(&[("controller.quorum.voters", "-"), ("controller.quorum.bootstrap.servers", "127.0.0.1:29593")])
    }

    fn log_directory(&self) -> PathBuf {
        self.root.path().join(LOG_DIRECTORY)
    }

    fn start(&self) -> Result<(MetadataService, ControllerHandle), QuorumError> {
        format::ensure_formatted(&self.config, None).expect("formats");
        let properties = MetaProperties::read(self.root.path()).expect("readable").expect("formatted");
        let directory_id = properties.directory_id.expect("formatted with an id");
        let identity = NodeIdentity {
            cluster_id: properties.cluster_id,
            quorum_directory_id: directory_id,
            log_dirs: vec![directory_id],
            previous_broker_epoch: -1,
        };
        let listeners = &self.config.listeners;
        let advertised: Vec<_> = listeners.advertised.iter().chain(&listeners.advertised_controller).cloned().collect();
        let settings = ServiceSettings::new(&self.config, identity, &advertised);
        let published = self.published.clone();
        MetadataService::start(settings, Box::new(move |image| published.lock().expect("not poisoned").push(image)))
    }

    /// Runs the service as long as `use_it` does.
    fn run<T>(&self, use_it: impl AsyncFnOnce(ControllerHandle) -> T) -> T {
        let (service, handle) = self.start().expect("starts");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let (served, result) = tokio::join!(service.run(), use_it(handle));
            served.expect("the log can be written");
            result
        })
    }

    fn image(&self) -> Arc<MetadataImage> {
        self.published.lock().expect("not poisoned").last().expect("published").clone()
    }
}

async fn create_topic(handle: &ControllerHandle, name: &str, partitions: i32) -> i16 {
    let config = CreatableTopicConfig { name: "retention.ms".into(), value: Some("1000".into()) };
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: 1,
        configs: vec![config],
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
    handle.create_topics(request).await.expect("runs").topics[0].error_code
}

#[test]
fn what_was_answered_is_there_after_a_restart() {
    let node = Node::dynamic();
    node.run(async |handle| {
        assert!(handle.unfence_own_broker().await.expect("runs"));
        assert_eq!(create_topic(&handle, "orders", 3).await, 0);
        assert_eq!(create_topic(&handle, "orders", 3).await, 36);
        assert!(node.image().topics().by_name("orders").is_some(), "published before it was answered");
    });
    let before = node.image();
    let after = node.run(async |handle| {
        handle.unfence_own_broker().await.expect("runs");
        node.image()
    });
    assert_eq!(after.epoch(), before.epoch() + 1);
    assert!(after.offset() > before.offset());
    let orders = after.topics().by_name("orders").expect("still there");
    assert_eq!((orders.partition_count(), orders.partitions[&0].leader), (3, 1));
    assert_eq!(orders.id, before.topics().by_name("orders").expect("was there").id);
    assert_eq!(after.configs().topic("orders").expect("still there")["retention.ms"], "1000");
}

#[test]
fn operations_that_wait_together_share_a_batch() {
    let node = Node::dynamic();
    let segment = node.log_directory().join("00000000000000000000.log");
    let count = || crate::record::Batches::new(&std::fs::read(&segment).expect("exists")).count();
    let (before, after) = node.run(async |handle| {
        handle.unfence_own_broker().await.expect("runs");
        let before = count();
        let (a, b, c) =
            tokio::join!(create_topic(&handle, "a", 1), create_topic(&handle, "b", 1), create_topic(&handle, "c", 1));
        assert_eq!((a, b, c), (0, 0, 0));
        (before, count())
    });
    assert_eq!(after, before + 1);
}

#[test]
fn snapshots_replace_old_segments() {
    let node = Node::new(&[
        ("metadata.log.max.record.bytes.between.snapshots", "2000"),
        ("metadata.max.retention.bytes", "1"),
    ]);
    let run = |round: i32| {
        let (mut service, handle) = node.start().expect("starts");
        service.log.limit_segments(1500);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let used = async {
                handle.unfence_own_broker().await.expect("runs");
                for topic in 0..20 {
                    assert_eq!(create_topic(&handle, &format!("topic-{round}-{topic}"), 2).await, 0);
                }
                drop(handle);
            };
            let (served, ()) = tokio::join!(service.run(), used);
            served.expect("the log can be written");
        });
    };
    run(0);
    run(1);
    let names: Vec<String> = crate::rt::directory::list(&node.log_directory())
        .expect("listed")
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    let with = |suffix: &str| names.iter().filter(|name| name.ends_with(suffix)).count();
    assert_eq!(with(".checkpoint"), 1, "older snapshots are over the retention: {names:?}");
    assert!(!names.contains(&"00000000000000000000.log".to_owned()), "{names:?}");
    let image = node.run(async |_| node.image());
    assert_eq!(image.topics().len(), 40);
    assert_eq!(image.topics().by_name("topic-0-0").expect("in the snapshot").partition_count(), 2);
}

#[test]
fn a_torn_end_is_cut_and_damage_in_the_middle_is_told() {
    let node = Node::dynamic();
    node.run(async |handle| {
        handle.unfence_own_broker().await.expect("runs");
        create_topic(&handle, "kept", 1).await;
    });
    let segment = node.log_directory().join("00000000000000000000.log");
    let whole = std::fs::read(&segment).expect("exists");
    for torn in [&b"\0\0\0"[..], &[0; 4096], &whole[..100]] {
        std::fs::write(&segment, [&whole[..], torn].concat()).expect("write");
        let image = node.run(async |_| node.image());
        assert!(image.topics().by_name("kept").is_some());
        std::fs::write(&segment, &whole).expect("write");
    }
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    std::fs::write(&segment, &damaged).expect("write");
    let Err(error) = node.start() else { panic!("a damaged log is not used") };
    let text = error.to_string();
    assert!(text.contains("is damaged at byte") && text.contains("whole batches follow it"), "{text}");
}

#[test]
fn a_quorum_of_others_is_not_joined() {
    let node = Node::dynamic();
    node.run(async |_| ());
    let static_node = Node { config: Node::new(&[]).config, ..node };
    let mut properties = MetaProperties::read(static_node.root.path()).expect("readable").expect("formatted");
    properties.directory_id = Some(Uuid::from_u128(1 << 99));
    properties.write(static_node.root.path()).expect("write");
    let root = static_node.root.path().to_str().expect("UTF-8").to_owned();
    let node = Node { config: BrokerConfig::new(source::embedded(29_592, &root)).expect("valid"), ..static_node };
    let Err(error) = node.start() else { panic!("the voter is in another directory") };
    assert!(error.to_string().contains("was meta.properties replaced?"), "{error}");
}

#[test]
fn a_clean_stop_hands_the_partitions_back() {
    let node = Node::new(&[]);
    node.run(async |handle| {
        handle.unfence_own_broker().await.expect("runs");
        create_topic(&handle, "t", 1).await;
        handle.shut_down_own_broker().await.expect("runs");
    });
    let image = node.image();
    assert!(image.cluster().broker(1).expect("registered").fenced);
    assert!(!image.topics().by_name("t").expect("exists").partitions[&0].has_leader());
    let state = std::fs::read_to_string(node.log_directory().join("quorum-state")).expect("written");
    assert!(state.ends_with("\"data_version\":0}"), "a static quorum keeps kraft.version 0: {state}");
}

#[test]
fn deleted_topics_stay_deleted() {
    let node = Node::dynamic();
    node.run(async |handle| {
        handle.unfence_own_broker().await.expect("runs");
        create_topic(&handle, "t", 1).await;
        let request = DeleteTopicsRequest { topic_names: vec!["t".into()], timeout_ms: 1000, ..Default::default() };
        assert_eq!(handle.delete_topics(request, 5).await.expect("runs").responses[0].error_code, 0);
    });
    let image = node.run(async |_| node.image());
    assert!(image.topics().is_empty());
    assert!(image.configs().topic("t").is_none());
}
