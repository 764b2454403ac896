//! Following the metadata image: partitions of this shard are created, changed and deleted as it says.

use std::rc::Rc;
use std::sync::Arc;

use super::{Hosted, PartitionUsage, ReplyTo, Shard, TopicPartition};
use crate::config::{BrokerConfig, Properties, TopicConfig};
use crate::log::{FoundPartition, Log, Occasion, PartitionId};
use crate::metadata::{MetadataImage, TopicImage};
use crate::partition::{Partition, PartitionConfig};
use crate::rt::together::{Step, all};
use crate::rt::{self, mesh};

/// Images that may wait to be applied; the control thread waits for each, so there is hardly ever more than one.
const QUEUE: usize = 64;

/// Partitions that a shard opens at a time: enough to keep a device busy with their reads, few enough to bound the memory.
const OPENED_AT_A_TIME: usize = 16;

/// Partitions that are closed for their deletion before others get a turn.
const DELETED_AT_A_TIME: usize = 32;

/// The queue of images to apply, in order.
pub struct Applying(mesh::Sender<(Arc<MetadataImage>, ReplyTo<()>)>);

impl Applying {
    /// Queues an image; `reply` hears when it is in force.
    pub fn queue(&self, image: Arc<MetadataImage>, reply: ReplyTo<()>) {
        if let Err((_, reply)) = self.0.try_send((image, reply)) {
            // The control thread publishes one image after the other, so a full queue is a bug of ours.
            drop(reply);
            tracing::error!("the queue of metadata images is full");
        }
    }
}

/// Starts the task that applies images.
pub fn start(shard: &Rc<Shard>) -> Applying {
    let (sender, inbox) = mesh::inbox(QUEUE);
    let shard = Rc::clone(shard);
    rt::spawn_local(async move {
        loop {
            let (image, reply): (Arc<MetadataImage>, ReplyTo<()>) = inbox.receive().await;
            shard.apply(image, Occasion::Change).await;
            let _ = reply.send(());
        }
    });
    Applying(sender)
}

impl Shard {
    /// Opens the partitions of this shard that are on disk and in the image; what is on disk alone is left untouched.
    pub(super) async fn open_found(self: &Rc<Self>, image: &Arc<MetadataImage>) {
        let log_dirs = &self.broker.log_dirs;
        let mine = log_dirs.found().iter().enumerate().filter_map(|(nth, found)| {
            let partition = TopicPartition { topic_id: found.id.topic_id, index: found.id.partition };
            let is_mine = self.owner_of(&partition) == self.id && is_known(found, image);
            is_mine.then_some((nth, partition))
        });
        let mine: Vec<_> = mine.collect();
        for some in mine.chunks(OPENED_AT_A_TIME) {
            let steps = some.iter().map(|&(nth, partition)| -> Step<()> {
                let (shard, image) = (Rc::clone(self), Arc::clone(image));
                Box::pin(async move { shard.open_one(&shard.broker.log_dirs.found()[nth], partition, &image).await })
            });
            all(steps.collect()).await;
        }
    }

    async fn open_one(&self, found: &FoundPartition, partition: TopicPartition, image: &MetadataImage) {
        let config = self.config_of(&found.id.topic, image);
        match Partition::open(&self.storage, &self.broker.log_dirs, found, config).await {
            Ok(opened) => {
                let registered = image.topics().partition(&partition.topic_id, partition.index);
                let assigned = registered.and_then(|registered| registered.directory(self.broker.node_id));
                self.note_directory(partition, assigned, found.dir.directory_id());
                self.host(partition, opened);
            }
            Err(error) => self.keep_offline(&found.id, Some(found), &error.to_string()),
        }
    }

    /// Brings the shard to `image`. One that stops has let go of its partitions: it must not take those for missing, and make
    /// them anew in the place of what is there. The next start has the image.
    pub(super) async fn apply(self: &Rc<Self>, image: Arc<MetadataImage>, occasion: Occasion) {
        if self.stopping.get() {
            return;
        }
        let before = self.image();
        if !image.same_configs(&before) {
            self.apply_broker_config(&image);
        }
        if !image.same_topics(&before) {
            let changes = image.topics().changes_since(before.topics());
            self.deleting.set(true);
            self.delete_topics(&changes.removed).await;
            self.deleting.set(false);
            if self.stopping.get() {
                return;
            }
            let removed: Vec<_> = changes.removed.iter().map(|topic| (topic.name.clone(), topic.id)).collect();
            self.coordinators.topics_deleted(&removed);
            for topic in &changes.changed {
                self.follow_topic(topic, &image, occasion).await;
            }
        }
        self.send_assignments();
        if !image.same_configs(&before) {
            self.apply_topic_configs(&image);
        }
        *self.image.borrow_mut() = image;
    }

    fn host(&self, partition: TopicPartition, opened: Partition) {
        let hosted = Rc::new(Hosted::new(opened, &self.metrics));
        self.partitions.borrow_mut().insert(partition, hosted);
    }

    /// Answers with a storage error from now on. One line says why.
    fn keep_offline(&self, id: &PartitionId, found: Option<&FoundPartition>, reason: &str) {
        let partition = TopicPartition { topic_id: id.topic_id, index: id.partition };
        let before = self.offline.borrow_mut().insert(partition, found.cloned());
        if before.is_none() {
            let topic = &id.topic;
            tracing::error!(
                %topic, partition = id.partition, reason,
                "a partition is offline until that is mended and the broker restarted; the others go on"
            );
        }
    }

    async fn follow_topic(self: &Rc<Self>, topic: &TopicImage, image: &MetadataImage, occasion: Occasion) {
        let min_isr = topic_config(&self.config(), &topic.name, image).min_insync_replicas;
        for (index, registration) in &topic.partitions {
            let partition = TopicPartition { topic_id: topic.id, index: *index };
            if self.owner_of(&partition) != self.id || !registration.replicas.contains(&self.broker.node_id) {
                continue;
            }
            if self.stopping.get() {
                return;
            }
            if self.partition(&partition).is_none() && !self.offline.borrow().contains_key(&partition) {
                self.create(topic, partition, image, occasion).await;
            }
            let Some(here) = self.partition(&partition) else { continue };
            here.note_registration(registration, min_isr);
            if registration.leader == self.broker.node_id {
                here.lead(registration.leader_epoch);
                self.coordinate(&topic.name, partition, &here);
            } else {
                self.stop_coordinating(&partition);
            }
        }
    }

    async fn create(&self, topic: &TopicImage, partition: TopicPartition, image: &MetadataImage, occasion: Occasion) {
        let registration = topic.partitions.get(&partition.index);
        let assigned = registration.and_then(|registration| registration.directory(self.broker.node_id));
        let id = PartitionId { topic: topic.name.as_str().into(), topic_id: topic.id, partition: partition.index };
        let dir = match self.broker.log_dirs.place_for(&id, assigned, occasion) {
            Ok(dir) => dir,
            Err(reason) => return self.keep_offline(&id, None, &reason),
        };
        match Partition::create(&self.storage, &dir, id.clone(), self.config_of(&topic.name, image)).await {
            Ok(created) => {
                self.note_directory(partition, assigned, dir.directory_id());
                self.host(partition, created);
            }
            Err(error) => self.keep_offline(&id, None, &format!("it cannot be created: {error}")),
        }
    }

    /// Their partitions go together: what each would cost alone, thousands would cost whoever produces meanwhile.
    async fn delete_topics(&self, topics: &[Arc<TopicImage>]) {
        let (mut deleted, mut leaving) = (Vec::new(), Vec::new());
        let partitions = topics.iter().flat_map(|topic| topic.partitions.keys().map(move |index| (topic, *index)));
        for (topic, index) in partitions {
            let partition = TopicPartition { topic_id: topic.id, index };
            if self.owner_of(&partition) != self.id {
                continue;
            }
            self.stop_coordinating(&partition);
            let removed = self.partitions.borrow_mut().remove(&partition);
            let offline = self.offline.borrow_mut().remove(&partition).flatten();
            self.metrics.forget_partition(&topic.name, index);
            match (removed, offline) {
                (Some(removed), _) => leaving.push(removed.leave().await),
                (None, Some(found)) => leaving.push(Log::leave_unopened(&found)),
                (None, None) => {}
            }
            deleted.push(PartitionId { topic: topic.name.as_str().into(), topic_id: topic.id, partition: index });
            if deleted.len() % DELETED_AT_A_TIME == 0 {
                rt::yield_now().await;
            }
        }
        if deleted.is_empty() {
            return;
        }
        if let Err(error) = self.storage.take_away(leaving).await {
            tracing::error!(%error, "partitions of a deleted topic cannot be deleted: remove their directories");
        }
        let log_dirs = Arc::clone(&self.broker.log_dirs);
        rt::blocking(move || log_dirs.forget_offsets(&deleted)).await;
    }

    fn apply_broker_config(&self, image: &MetadataImage) {
        let config = self.config();
        self.run_with(&config, image);
    }

    /// Takes over another static configuration.
    pub(super) fn reconfigure(&self, config: &BrokerConfig) {
        let image = self.image();
        self.run_with(config, &image);
        self.apply_topic_configs(&image);
    }

    fn run_with(&self, config: &BrokerConfig, image: &MetadataImage) {
        *self.config.borrow_mut() = Arc::new(dynamic_config(config, image, self.broker.node_id));
    }

    fn apply_topic_configs(&self, image: &MetadataImage) {
        for (id, partition) in self.partitions.borrow().iter() {
            partition.set_config(self.config_of(&partition.id().topic, image));
            if let Some(registration) = image.topics().partition(&id.topic_id, id.index) {
                let min_isr = topic_config(&self.config(), &partition.id().topic, image).min_insync_replicas;
                partition.note_registration(registration, min_isr);
            }
        }
    }

    fn config_of(&self, topic: &str, image: &MetadataImage) -> PartitionConfig {
        let config = self.config();
        PartitionConfig::new(&topic_config(&config, topic, image), &config)
    }

    /// Sizes of the shard's partitions.
    pub(super) fn usage(&self) -> Vec<PartitionUsage> {
        let dirs = self.broker.log_dirs.dirs();
        let partitions = self.partitions.borrow();
        let usage = partitions.iter().map(|(partition, here)| PartitionUsage {
            partition: *partition,
            topic: here.id().topic,
            dir: dirs.iter().position(|dir| Arc::ptr_eq(dir, &here.dir())).unwrap_or(0),
            size_bytes: here.size_bytes(),
            segments: here.segments_count(),
            log_start_offset: here.log_start_offset(),
            log_end_offset: here.log_end_offset(),
            high_watermark: here.high_watermark(),
        });
        usage.collect()
    }
}

fn is_known(found: &FoundPartition, image: &MetadataImage) -> bool {
    let known = image.topics().partition(&found.id.topic_id, found.id.partition).is_some();
    if !known {
        tracing::warn!(
            topic = %found.id.topic, partition = found.id.partition, dir = %found.dir.path().display(),
            "a partition on disk is not in the cluster's metadata; it is left as it is"
        );
    }
    known
}

/// A topic's configuration: its own values over the broker's.
pub fn topic_config(config: &BrokerConfig, topic: &str, image: &MetadataImage) -> TopicConfig {
    match image.configs().topic(topic) {
        Some(overrides) => {
            config.topic_defaults.resolve(overrides.iter().map(|(key, value)| (key.as_str(), value.as_str())))
        }
        None => config.topic_defaults.clone(),
    }
}

/// The broker's configuration with the dynamic values that the image holds.
pub fn dynamic_config(config: &BrokerConfig, image: &MetadataImage, node_id: i32) -> BrokerConfig {
    let texts = |map: Option<&Arc<crate::metadata::ConfigMap>>| -> Properties {
        map.into_iter().flat_map(|map| map.iter()).map(|(key, value)| (key.to_string(), value.to_string())).collect()
    };
    config.with_dynamic(&texts(image.configs().broker_default()), &texts(image.configs().broker(node_id)))
}
