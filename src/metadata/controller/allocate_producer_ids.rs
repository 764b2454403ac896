//! AllocateProducerIds: a block of producer ids for one broker (KIP-730).

use super::Controller;
use crate::protocol::ErrorCode;
use crate::protocol::allocate_producer_ids::{AllocateProducerIdsRequest, AllocateProducerIdsResponse};
use crate::protocol::records::metadata::ProducerIdsRecord;

/// Ids in a block.
const BLOCK_LEN: i32 = 1000;

impl Controller {
    /// Gives out the next block. It is never given again, used or not.
    pub fn allocate_producer_ids(&mut self, request: &AllocateProducerIdsRequest) -> AllocateProducerIdsResponse {
        let refuse = |code: ErrorCode| AllocateProducerIdsResponse { error_code: code.code(), ..Default::default() };
        if let Err(error) = self.check_broker_epoch(request.broker_id, request.broker_epoch) {
            return refuse(error.code);
        }
        let producer_id_start = self.image().next_producer_id();
        let Some(next_producer_id) = producer_id_start.checked_add(i64::from(BLOCK_LEN)) else {
            return refuse(ErrorCode::UnknownServerError);
        };
        let record =
            ProducerIdsRecord { broker_id: request.broker_id, broker_epoch: request.broker_epoch, next_producer_id };
        self.commit(vec![record.into()]);
        AllocateProducerIdsResponse { producer_id_start, producer_id_len: BLOCK_LEN, ..Default::default() }
    }
}
