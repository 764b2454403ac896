//! Consumer groups: members that heartbeat, and what survives a restart.

mod anything;
mod members;
mod migration;
mod offsets;
mod patterns;

use std::collections::BTreeSet;

use super::super::consumer::{AWAY_EPOCH, LEAVING_EPOCH, MemberState};
use super::world::{HEARTBEAT_MS, REFRESH_MS, SESSION_MS as CONSUMER_SESSION_MS};
use super::*;
use crate::protocol::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
};

const REVOCATION_MS: i32 = 30_000;

/// A member as its client sees it.
#[derive(Clone, Debug)]
struct Client {
    id: KafkaString,
    epoch: i32,
    instance_id: Option<KafkaString>,
    /// Partitions of the one topic of most tests.
    owned: BTreeSet<i32>,
}

type Request = ConsumerGroupHeartbeatRequest;

impl Bench {
    fn beat(&mut self, change: impl FnOnce(&mut Request)) -> ConsumerGroupHeartbeatResponse {
        let mut request = Request { group_id: GROUP.into(), ..Default::default() };
        change(&mut request);
        let beat = ConsumerHeartbeat {
            request,
            client_id: "client".into(),
            client_host: "/127.0.0.1".into(),
            random: "random".into(),
        };
        match self.ask(GroupRequest::ConsumerHeartbeat(Box::new(beat))) {
            GroupResponse::ConsumerHeartbeat(response) => response,
            other => panic!("{other:?}"),
        }
    }

    /// A first heartbeat.
    fn joins(&mut self, id: &str, change: impl FnOnce(&mut Request)) -> Client {
        let response = self.beat(|request| {
            request.member_id = id.into();
            request.rebalance_timeout_ms = REVOCATION_MS;
            request.subscribed_topic_names = Some(vec!["t".into()]);
            request.topic_partitions = Some(Vec::new());
            change(request);
        });
        assert_eq!((response.error_code, response.error_message.as_deref()), (0, None));
        let mut client = Client { id: id.into(), epoch: 0, instance_id: None, owned: BTreeSet::new() };
        client.hears(&response);
        client
    }

    /// A heartbeat that tells nothing new but what is owned.
    fn reports(&mut self, client: &mut Client) -> ConsumerGroupHeartbeatResponse {
        let topic_id = self.world.topic("t").map(|topic| topic.id).unwrap_or_default();
        let response = self.beat(|request| {
            request.member_id = client.id.clone();
            request.member_epoch = client.epoch;
            request.instance_id = client.instance_id.clone();
            let partitions: Vec<i32> = client.owned.iter().copied().collect();
            let topics = (!partitions.is_empty()).then_some(TopicPartitions { topic_id, partitions });
            request.topic_partitions = Some(topics.into_iter().collect());
        });
        if response.error_code == 0 {
            client.hears(&response);
        }
        response
    }

    /// Everybody reports until nothing changes.
    fn settle(&mut self, clients: &mut [&mut Client]) {
        for _ in 0..10 {
            let before = self.log.len();
            for client in clients.iter_mut() {
                let response = self.reports(client);
                assert_eq!(response.error_code, 0, "{response:?}");
            }
            if self.log.len() == before {
                return;
            }
        }
        panic!("the group does not come to rest");
    }

    fn leaves(&mut self, client: &Client, epoch: i32) -> ConsumerGroupHeartbeatResponse {
        self.beat(|request| {
            request.member_id = client.id.clone();
            request.instance_id = client.instance_id.clone();
            request.member_epoch = epoch;
        })
    }

    fn consumers(&self) -> &ConsumerGroup {
        match self.groups.groups.get(GROUP) {
            Some(Group::Consumer(group)) => group,
            other => panic!("{other:?}"),
        }
    }

    fn state_of(&self, client: &Client) -> MemberState {
        self.consumers().members[&client.id].current.state
    }

    /// All of the group that must survive, as text; a restarted machine must have the same.
    fn check_replay(&self) {
        let restarted = self.restarted();
        let persistent = |bench: &Bench| match bench.groups.groups.get(GROUP) {
            Some(Group::Consumer(group)) => group.persistent(),
            // Where a rebalance stands is not on record.
            Some(Group::Classic(group)) => format!("classic {}", group.generation),
            None => "none".to_owned(),
        };
        assert_eq!(persistent(&restarted), persistent(self));
    }
}

impl Client {
    fn hears(&mut self, response: &ConsumerGroupHeartbeatResponse) {
        self.epoch = response.member_epoch;
        if let Some(assignment) = &response.assignment {
            self.owned = assignment.topic_partitions.iter().flat_map(|topic| &topic.partitions).copied().collect();
        }
    }
}

fn set(partitions: &[i32]) -> BTreeSet<i32> {
    partitions.iter().copied().collect()
}
