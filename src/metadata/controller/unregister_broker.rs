//! UnregisterBroker: a broker that will not come back (KIP-500).

use super::{ApiError, Controller};
use crate::protocol::ErrorCode;
use crate::protocol::records::metadata::UnregisterBrokerRecord;
use crate::protocol::unregister_broker::{UnregisterBrokerRequest, UnregisterBrokerResponse};

impl Controller {
    /// Takes a broker out of all its partitions and forgets it.
    pub fn unregister_broker(&mut self, request: &UnregisterBrokerRequest) -> UnregisterBrokerResponse {
        let id = request.broker_id;
        let Some(broker) = self.image().cluster().broker(id).cloned() else {
            let text = format!("Broker ID {id} is not currently registered");
            let error = ApiError::new(ErrorCode::BrokerIdNotRegistered, text);
            return UnregisterBrokerResponse {
                error_code: error.code.code(),
                error_message: error.message,
                ..Default::default()
            };
        };
        let others = |other: i32| other != id && self.is_active(other);
        let mut records = self.partition_changes(
            &others,
            |partition| partition.isr.contains(&id) || partition.elr.contains(&id),
            |change| change.target_isr.retain(|replica| *replica != id),
        );
        records.push(UnregisterBrokerRecord { broker_id: id, broker_epoch: broker.epoch }.into());
        self.commit(records);
        UnregisterBrokerResponse { error_message: None, ..Default::default() }
    }
}
