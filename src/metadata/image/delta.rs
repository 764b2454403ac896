//! From image to image, record by record.

use std::sync::Arc;

use super::{ConfigResource, MetadataImage, ReplayError, ResourceType};
use crate::metadata::records::MetadataRecord;

/// An image under change. Records inside a metadata transaction (KIP-868) are applied at once, for those
/// that follow build on them, but they are not published before its end, and an abort takes them back.
#[derive(Clone, Debug, Default)]
pub struct MetadataDelta {
    image: MetadataImage,
    /// The image as it was before the open transaction.
    before_transaction: Option<Box<MetadataImage>>,
}

impl MetadataDelta {
    /// Starts from `image`.
    pub fn new(image: MetadataImage) -> MetadataDelta {
        MetadataDelta { image, before_transaction: None }
    }

    /// The image with everything applied, also of an open transaction: what the controller decides on.
    pub fn image(&self) -> &MetadataImage {
        &self.image
    }

    /// Whether a transaction is open, so that nothing may be published.
    pub fn in_transaction(&self) -> bool {
        self.before_transaction.is_some()
    }

    /// The image to publish: without the open transaction.
    pub fn publishable(&self) -> Arc<MetadataImage> {
        match &self.before_transaction {
            Some(before) => Arc::new((**before).clone()),
            None => Arc::new(self.image.clone()),
        }
    }

    /// Marks everything up to `offset` as applied; also for control records, which change nothing else.
    pub fn advance(&mut self, offset: i64, epoch: i32, append_time_ms: i64) {
        self.image.offset = offset;
        self.image.epoch = epoch;
        self.image.append_time_ms = append_time_ms;
    }

    /// Sets the level of `kraft.version` that the quorum is at.
    pub fn set_kraft_version(&mut self, level: i16) {
        self.image.kraft_version = level;
    }

    /// Applies the next record of the log. After an error the delta is of no use.
    pub fn apply(&mut self, record: &MetadataRecord) -> Result<(), ReplayError> {
        let image = &mut self.image;
        match record {
            MetadataRecord::RegisterBroker(record) => Arc::make_mut(&mut image.cluster).register_broker(record),
            MetadataRecord::UnregisterBroker(record) => Arc::make_mut(&mut image.cluster).unregister_broker(record)?,
            MetadataRecord::FenceBroker(record) => {
                Arc::make_mut(&mut image.cluster).set_fenced(record.id, record.epoch, true)?
            }
            MetadataRecord::UnfenceBroker(record) => {
                Arc::make_mut(&mut image.cluster).set_fenced(record.id, record.epoch, false)?
            }
            MetadataRecord::BrokerRegistrationChange(record) => {
                Arc::make_mut(&mut image.cluster).change_broker(record)?
            }
            MetadataRecord::RegisterController(record) => Arc::make_mut(&mut image.cluster).register_controller(record),
            MetadataRecord::Topic(record) => Arc::make_mut(&mut image.topics).add_topic(record)?,
            MetadataRecord::Partition(record) => Arc::make_mut(&mut image.topics).put_partition(record)?,
            MetadataRecord::PartitionChange(record) => Arc::make_mut(&mut image.topics).change_partition(record)?,
            MetadataRecord::ClearElr(record) => Arc::make_mut(&mut image.topics).clear_elr(record)?,
            MetadataRecord::RemoveTopic(record) => {
                let name = Arc::make_mut(&mut image.topics).remove_topic(record)?;
                let resource = ConfigResource { resource_type: ResourceType::Topic, name };
                Arc::make_mut(&mut image.configs).remove(&resource);
            }
            MetadataRecord::Config(record) => Arc::make_mut(&mut image.configs).apply(record)?,
            MetadataRecord::FeatureLevel(record) => Arc::make_mut(&mut image.features).apply(record)?,
            MetadataRecord::ClientQuota(record) => Arc::make_mut(&mut image.quotas).apply(record),
            MetadataRecord::ProducerIds(record) => {
                let found = record.next_producer_id;
                if found <= image.next_producer_id {
                    return Err(ReplayError::ProducerId { next: image.next_producer_id, found });
                }
                image.next_producer_id = found;
            }
            MetadataRecord::AccessControlEntry(record) => Arc::make_mut(&mut image.acls).add(record),
            MetadataRecord::RemoveAccessControlEntry(record) => Arc::make_mut(&mut image.acls).remove(record)?,
            MetadataRecord::UserScramCredential(record) => Arc::make_mut(&mut image.scram).add(record),
            MetadataRecord::RemoveUserScramCredential(record) => Arc::make_mut(&mut image.scram).remove(record),
            MetadataRecord::DelegationToken(record) => Arc::make_mut(&mut image.tokens).add(record),
            MetadataRecord::RemoveDelegationToken(record) => Arc::make_mut(&mut image.tokens).remove(record),
            MetadataRecord::ZkMigrationState(record) => image.zk_migration_state = record.zk_migration_state,
            MetadataRecord::NoOp(_) => {}
            MetadataRecord::BeginTransaction(_) => self.begin_transaction()?,
            MetadataRecord::EndTransaction(_) => {
                self.before_transaction.take().ok_or(ReplayError::NoTransaction)?;
            }
            MetadataRecord::AbortTransaction(_) => {
                let before = self.before_transaction.take().ok_or(ReplayError::NoTransaction)?;
                self.image = *before;
            }
        }
        Ok(())
    }

    fn begin_transaction(&mut self) -> Result<(), ReplayError> {
        if self.in_transaction() {
            return Err(ReplayError::NestedTransaction);
        }
        self.before_transaction = Some(Box::new(self.image.clone()));
        Ok(())
    }
}
