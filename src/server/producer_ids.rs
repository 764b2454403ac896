//! Producer ids, given out from blocks that the controller allots.

use std::sync::Mutex;

use crate::metadata::ControllerHandle;
use crate::protocol::allocate_producer_ids::AllocateProducerIdsRequest;

/// The block that is being given out; shared by all shards, touched once per new producer.
pub struct ProducerIds {
    broker_id: i32,
    block: Mutex<std::ops::Range<i64>>,
}

impl ProducerIds {
    /// No block yet.
    pub fn new(broker_id: i32) -> ProducerIds {
        ProducerIds { broker_id, block: Mutex::new(0..0) }
    }

    /// With a block that needs no controller.
    #[cfg(test)]
    pub(crate) fn of_block(broker_id: i32, block: std::ops::Range<i64>) -> ProducerIds {
        ProducerIds { broker_id, block: Mutex::new(block) }
    }

    /// The next id; `None` when the controller gives no block.
    pub async fn next(&self, controller: &ControllerHandle) -> Option<i64> {
        loop {
            if let Some(id) = self.block().next() {
                return Some(id);
            }
            let block = self.allocate(controller).await?;
            // Another shard may have filled it meanwhile; the ids of one block are then never used, as after a restart.
            *self.block() = block;
        }
    }

    fn block(&self) -> std::sync::MutexGuard<'_, std::ops::Range<i64>> {
        self.block.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    async fn allocate(&self, controller: &ControllerHandle) -> Option<std::ops::Range<i64>> {
        let broker_id = self.broker_id;
        let epoch = move |controller: &mut crate::metadata::Controller| {
            controller.image().cluster().broker(broker_id).map(|broker| broker.epoch)
        };
        let broker_epoch = controller.call(epoch).await.ok().flatten()?;
        let request = AllocateProducerIdsRequest { broker_id, broker_epoch };
        let block = controller.allocate_producer_ids(request).await.ok().filter(|answer| answer.error_code == 0)?;
        Some(block.producer_id_start..block.producer_id_start + i64::from(block.producer_id_len))
    }
}
