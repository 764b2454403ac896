//! What Kafka keeps in its own topics and files.

pub mod group;
pub mod metadata;
pub mod producer_snapshot;
pub mod raft;
pub mod share;
pub mod transaction;

/// Calls the macro `$rows` with one row per record: `module, Name;`. It is the one list of them all.
#[macro_export]
macro_rules! for_each_record {
    ($rows:ident) => {
        $rows! {
            metadata, RegisterBrokerRecord;
            metadata, UnregisterBrokerRecord;
            metadata, FenceBrokerRecord;
            metadata, UnfenceBrokerRecord;
            metadata, FeatureLevelRecord;
            metadata, ProducerIdsRecord;
            metadata, BrokerRegistrationChangeRecord;
            metadata, NoOpRecord;
            metadata, ZkMigrationStateRecord;
            metadata, BeginTransactionRecord;
            metadata, EndTransactionRecord;
            metadata, AbortTransactionRecord;
            metadata, RegisterControllerRecord;
            metadata, DelegationTokenRecord;
            metadata, UserScramCredentialRecord;
            metadata, ClientQuotaRecord;
            metadata, AccessControlEntryRecord;
            metadata, RemoveAccessControlEntryRecord;
            metadata, RemoveUserScramCredentialRecord;
            metadata, RemoveDelegationTokenRecord;
            metadata, TopicRecord;
            metadata, PartitionRecord;
            metadata, ConfigRecord;
            metadata, PartitionChangeRecord;
            metadata, RemoveTopicRecord;
            metadata, ClearElrRecord;
            group, ConsumerProtocolSubscription;
            group, ConsumerProtocolAssignment;
            group, LegacyOffsetCommitKey;
            group, LegacyOffsetCommitValue;
            group, OffsetCommitKey;
            group, OffsetCommitValue;
            group, GroupMetadataKey;
            group, GroupMetadataValue;
            group, ConsumerGroupMetadataKey;
            group, ConsumerGroupMetadataValue;
            group, ConsumerGroupPartitionMetadataKey;
            group, ConsumerGroupPartitionMetadataValue;
            group, ConsumerGroupMemberMetadataKey;
            group, ConsumerGroupMemberMetadataValue;
            group, ConsumerGroupTargetAssignmentMetadataKey;
            group, ConsumerGroupTargetAssignmentMetadataValue;
            group, ConsumerGroupTargetAssignmentMemberKey;
            group, ConsumerGroupTargetAssignmentMemberValue;
            group, ConsumerGroupCurrentMemberAssignmentKey;
            group, ConsumerGroupCurrentMemberAssignmentValue;
            group, ConsumerGroupRegularExpressionKey;
            group, ConsumerGroupRegularExpressionValue;
            group, ShareGroupMemberMetadataKey;
            group, ShareGroupMemberMetadataValue;
            group, ShareGroupMetadataKey;
            group, ShareGroupMetadataValue;
            group, ShareGroupTargetAssignmentMetadataKey;
            group, ShareGroupTargetAssignmentMetadataValue;
            group, ShareGroupTargetAssignmentMemberKey;
            group, ShareGroupTargetAssignmentMemberValue;
            group, ShareGroupCurrentMemberAssignmentKey;
            group, ShareGroupCurrentMemberAssignmentValue;
            group, ShareGroupStatePartitionMetadataKey;
            group, ShareGroupStatePartitionMetadataValue;
            group, StreamsGroupMetadataKey;
            group, StreamsGroupMetadataValue;
            group, StreamsGroupMemberMetadataKey;
            group, StreamsGroupMemberMetadataValue;
            group, StreamsGroupTargetAssignmentMetadataKey;
            group, StreamsGroupTargetAssignmentMetadataValue;
            group, StreamsGroupTargetAssignmentMemberKey;
            group, StreamsGroupTargetAssignmentMemberValue;
            group, StreamsGroupCurrentMemberAssignmentKey;
            group, StreamsGroupCurrentMemberAssignmentValue;
            group, StreamsGroupTopologyKey;
            group, StreamsGroupTopologyValue;
            transaction, TransactionLogKey;
            transaction, TransactionLogValue;
            share, ShareSnapshotKey;
            share, ShareSnapshotValue;
            share, ShareUpdateKey;
            share, ShareUpdateValue;
            raft, ControlRecordTypeSchema;
            raft, EndTxnMarker;
            raft, LeaderChangeMessage;
            raft, SnapshotHeaderRecord;
            raft, SnapshotFooterRecord;
            raft, KRaftVersionRecord;
            raft, VotersRecord;
            raft, DefaultPrincipalData;
            producer_snapshot, ProducerSnapshot;
        }
    };
}
