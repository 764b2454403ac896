//! Streams groups (KIP-1071).

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Key of a streams group's epoch.
    record StreamsGroupMetadataKey (key 17, versions 0, flexible never) {
        group_id: KafkaString, 0-0;
    }

    /// Epoch of a streams group and what it was computed from.
    record StreamsGroupMetadataValue (key 17, versions 0, flexible 0+) {
        epoch:                    i32,                               0+;
        metadata_hash:            i64,                               0+;
        validated_topology_epoch: i32 = -1,                          0+ tag 0;
        last_assignment_configs:  Option<Vec<LastAssignmentConfig>>, 0+ tag 1;
    }

    /// In `StreamsGroupMetadataValue::last_assignment_configs`.
    struct LastAssignmentConfig {
        key:   KafkaString, 0+;
        value: KafkaString, 0+;
    }

    /// Key of a streams group's member.
    record StreamsGroupMemberMetadataKey (key 19, versions 0, flexible never) {
        group_id:  KafkaString, 0-0;
        member_id: KafkaString, 0-0;
    }

    /// What a member told about itself.
    record StreamsGroupMemberMetadataValue (key 19, versions 0, flexible 0+) {
        instance_id:          Option<KafkaString>,     0+;
        rack_id:              Option<KafkaString>,     0+;
        client_id:            KafkaString,             0+;
        client_host:          KafkaString,             0+;
        rebalance_timeout_ms: i32 = -1,                0+;
        topology_epoch:       i32,                     0+;
        process_id:           KafkaString,             0+;
        user_endpoint:        Option<Endpoint> = None, 0+;
        client_tags:          Vec<KeyValue>,           0+;
    }

    /// In `StreamsGroupMemberMetadataValue::user_endpoint`.
    struct Endpoint {
        host: KafkaString, 0+;
        port: u16,         0+;
    }

    /// In `StreamsGroupMemberMetadataValue::client_tags`.
    struct KeyValue {
        key:   KafkaString, 0+;
        value: KafkaString, 0+;
    }

    /// Key of a streams group's target assignment epoch.
    record StreamsGroupTargetAssignmentMetadataKey (key 20, versions 0, flexible never) {
        group_id: KafkaString, 0-0;
    }

    /// Epoch of the target assignment.
    record StreamsGroupTargetAssignmentMetadataValue (key 20, versions 0, flexible 0+) {
        assignment_epoch:     i32, 0+;
        assignment_timestamp: i64, 0+ tag 0, ignorable;
    }

    /// Key of a member's target tasks.
    record StreamsGroupTargetAssignmentMemberKey (key 21, versions 0, flexible never) {
        group_id:  KafkaString, 0-0;
        member_id: KafkaString, 0-0;
    }

    /// Tasks a member shall get.
    record StreamsGroupTargetAssignmentMemberValue (key 21, versions 0, flexible 0+) {
        active_tasks:  Vec<StreamsGroupTargetAssignmentMemberValueTaskIds>, 0+;
        standby_tasks: Vec<StreamsGroupTargetAssignmentMemberValueTaskIds>, 0+;
        warmup_tasks:  Vec<StreamsGroupTargetAssignmentMemberValueTaskIds>, 0+;
    }

    /// In `StreamsGroupTargetAssignmentMemberValue::active_tasks` and the fields like it.
    struct StreamsGroupTargetAssignmentMemberValueTaskIds {
        subtopology_id: KafkaString, 0+;
        partitions:     Vec<i32>,    0+;
    }

    /// Key of a member's current tasks.
    record StreamsGroupCurrentMemberAssignmentKey (key 22, versions 0, flexible never) {
        group_id:  KafkaString, 0-0;
        member_id: KafkaString, 0-0;
    }

    /// Tasks a member has, and those it must give up.
    record StreamsGroupCurrentMemberAssignmentValue (key 22, versions 0, flexible 0+) {
        member_epoch:                     i32,                                                  0+;
        previous_member_epoch:            i32,                                                  0+;
        state:                            i8,                                                   0+;
        active_tasks:                     Vec<StreamsGroupCurrentMemberAssignmentValueTaskIds>, 0+;
        standby_tasks:                    Vec<StreamsGroupCurrentMemberAssignmentValueTaskIds>, 0+;
        warmup_tasks:                     Vec<StreamsGroupCurrentMemberAssignmentValueTaskIds>, 0+;
        active_tasks_pending_revocation:  Vec<StreamsGroupCurrentMemberAssignmentValueTaskIds>, 0+;
        standby_tasks_pending_revocation: Vec<StreamsGroupCurrentMemberAssignmentValueTaskIds>, 0+;
        warmup_tasks_pending_revocation:  Vec<StreamsGroupCurrentMemberAssignmentValueTaskIds>, 0+;
    }

    /// In `StreamsGroupCurrentMemberAssignmentValue::active_tasks` and the fields like it.
    struct StreamsGroupCurrentMemberAssignmentValueTaskIds {
        subtopology_id:    KafkaString,      0+;
        partitions:        Vec<i32>,         0+;
        assignment_epochs: Option<Vec<i32>>, 0+ tag 0;
    }

    /// Key of a streams group's topology.
    record StreamsGroupTopologyKey (key 23, versions 0, flexible never) {
        group_id: KafkaString, 0-0;
    }

    /// Topology of a streams group.
    record StreamsGroupTopologyValue (key 23, versions 0, flexible 0+) {
        epoch:         i32,              0+;
        subtopologies: Vec<Subtopology>, 0+;
    }

    /// In `StreamsGroupTopologyValue::subtopologies`.
    struct Subtopology {
        subtopology_id:            KafkaString,                             0+;
        source_topics:             Vec<KafkaString>,                        0+;
        source_topic_regex:        Vec<KafkaString>,                        0+;
        state_changelog_topics:    Vec<StreamsGroupTopologyValueTopicInfo>, 0+;
        repartition_sink_topics:   Vec<KafkaString>,                        0+;
        repartition_source_topics: Vec<StreamsGroupTopologyValueTopicInfo>, 0+;
        copartition_groups:        Vec<CopartitionGroup>,                   0+;
    }

    /// In `Subtopology::copartition_groups`.
    struct CopartitionGroup {
        source_topics:             Vec<i16>, 0+;
        source_topic_regex:        Vec<i16>, 0+;
        repartition_source_topics: Vec<i16>, 0+;
    }

    /// In .
    struct TopicConfig {
        key:   KafkaString, 0+;
        value: KafkaString, 0+;
    }

    /// In `Subtopology::state_changelog_topics`, `Subtopology::repartition_source_topics`.
    struct StreamsGroupTopologyValueTopicInfo {
        name:               KafkaString,      0+;
        partitions:         i32,              0+;
        replication_factor: i16,              0+;
        topic_configs:      Vec<TopicConfig>, 0+;
    }
}
