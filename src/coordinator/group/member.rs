//! A member of a classic group.

use bytes::Bytes;

use super::classic::Parked;
use crate::protocol::describe_groups::DescribedGroupMember;
use crate::protocol::group::MemberMetadata;
use crate::wire::KafkaString;

/// A way of assigning partitions that a member knows, with what it tells the leader for it.
pub type Protocol = (KafkaString, Bytes);

/// A member of a classic group.
#[derive(Debug)]
pub struct Member {
    /// Given by the coordinator.
    pub id: KafkaString,
    /// Given by the user, to a static member (KIP-345).
    pub instance_id: Option<KafkaString>,
    /// The client's name for itself.
    pub client_id: KafkaString,
    /// Its address.
    pub client_host: KafkaString,
    /// How long it may take to join again.
    pub rebalance_timeout_ms: i32,
    /// How long it may be silent.
    pub session_timeout_ms: i32,
    /// `consumer`, `connect`, ...
    pub protocol_type: KafkaString,
    /// What it knows, what it likes best first.
    pub protocols: Vec<Protocol>,
    /// What the leader gave it.
    pub assignment: Bytes,
    /// It has not come through a join phase yet.
    pub is_new: bool,
    pub(super) joining: Option<Parked>,
    pub(super) syncing: Option<Parked>,
}

impl Member {
    /// What it told for a protocol; nothing when it does not know it.
    pub fn metadata(&self, protocol: &str) -> Bytes {
        let known = self.protocols.iter().find(|(name, _)| name == protocol);
        known.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    /// The first of its protocols that is among the candidates.
    pub fn vote(&self, is_candidate: impl Fn(&str) -> bool) -> Option<&KafkaString> {
        self.protocols.iter().map(|(name, _)| name).find(|name| is_candidate(name))
    }

    /// Whether silence is fine now: it waits for others. A new member that waits may be a client that went away.
    pub fn may_be_silent(&self) -> bool {
        !self.is_new && (self.joining.is_some() || self.syncing.is_some())
    }

    /// As DescribeGroups shows it.
    pub fn describe(&self, protocol: Option<&str>) -> DescribedGroupMember {
        DescribedGroupMember {
            member_id: self.id.clone(),
            group_instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            member_metadata: protocol.map(|protocol| self.metadata(protocol)).unwrap_or_default(),
            member_assignment: self.assignment.clone(),
        }
    }

    /// As it stands in the group's record.
    pub fn to_record(&self, protocol: &str) -> MemberMetadata {
        MemberMetadata {
            member_id: self.id.clone(),
            group_instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            rebalance_timeout: self.rebalance_timeout_ms,
            session_timeout: self.session_timeout_ms,
            subscription: self.metadata(protocol),
            assignment: self.assignment.clone(),
        }
    }
}
