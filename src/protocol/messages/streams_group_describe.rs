//! StreamsGroupDescribe (API key 89, versions 0): tells state, topology and members of streams groups.
//!
//! Source: KIP-1071.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`StreamsGroupDescribeResponse`].
    request StreamsGroupDescribeRequest -> StreamsGroupDescribeResponse
        (key StreamsGroupDescribe, versions 0, flexible 0+) {
        group_ids:                     Vec<KafkaString>, 0+;
        include_authorized_operations: bool,             0+;
    }

    /// Answer to [`StreamsGroupDescribeRequest`].
    response StreamsGroupDescribeResponse (key StreamsGroupDescribe, versions 0, flexible 0+) {
        throttle_time_ms: i32,                 0+;
        groups:           Vec<DescribedGroup>, 0+;
    }

    /// In `StreamsGroupDescribeResponse::groups`.
    struct DescribedGroup {
        error_code:            i16,                        0+;
        error_message:         Option<KafkaString> = None, 0+;
        group_id:              KafkaString,                0+;
        group_state:           KafkaString,                0+;
        group_epoch:           i32,                        0+;
        assignment_epoch:      i32,                        0+;
        topology:              Option<Topology> = None,    0+;
        members:               Vec<Member>,                0+;
        authorized_operations: i32 = i32::MIN,             0+;
    }

    /// In `DescribedGroup::topology`.
    struct Topology {
        epoch:         i32,                             0+;
        subtopologies: Option<Vec<Subtopology>> = None, 0+;
    }

    /// In `Topology::subtopologies`.
    struct Subtopology {
        subtopology_id:            KafkaString,      0+;
        source_topics:             Vec<KafkaString>, 0+;
        repartition_sink_topics:   Vec<KafkaString>, 0+;
        state_changelog_topics:    Vec<TopicInfo>,   0+;
        repartition_source_topics: Vec<TopicInfo>,   0+;
    }

    /// In `DescribedGroup::members`.
    struct Member {
        member_id:         KafkaString,                0+;
        member_epoch:      i32,                        0+;
        instance_id:       Option<KafkaString> = None, 0+;
        rack_id:           Option<KafkaString> = None, 0+;
        client_id:         KafkaString,                0+;
        client_host:       KafkaString,                0+;
        topology_epoch:    i32,                        0+;
        process_id:        KafkaString,                0+;
        user_endpoint:     Option<Endpoint> = None,    0+;
        client_tags:       Vec<KeyValue>,              0+;
        task_offsets:      Vec<TaskOffset>,            0+;
        task_end_offsets:  Vec<TaskOffset>,            0+;
        assignment:        Assignment,                 0+;
        target_assignment: Assignment,                 0+;
        is_classic:        bool,                       0+;
    }

    /// In `Member::user_endpoint`.
    struct Endpoint {
        host: KafkaString, 0+;
        port: u16,         0+;
    }

    /// In `Member::task_offsets`, `Member::task_end_offsets`.
    struct TaskOffset {
        subtopology_id: KafkaString, 0+;
        partition:      i32,         0+;
        offset:         i64,         0+;
    }

    /// In `Member::assignment`, `Member::target_assignment`.
    struct Assignment {
        active_tasks:  Vec<TaskIds>, 0+;
        standby_tasks: Vec<TaskIds>, 0+;
        warmup_tasks:  Vec<TaskIds>, 0+;
    }

    /// In `Assignment::active_tasks` and the fields like it.
    struct TaskIds {
        subtopology_id: KafkaString, 0+;
        partitions:     Vec<i32>,    0+;
    }

    /// In `Member::client_tags`.
    struct KeyValue {
        key:   KafkaString, 0+;
        value: KafkaString, 0+;
    }

    /// In `Subtopology::state_changelog_topics`, `Subtopology::repartition_source_topics`.
    struct TopicInfo {
        name:               KafkaString,   0+;
        partitions:         i32,           0+;
        replication_factor: i16,           0+;
        topic_configs:      Vec<KeyValue>, 0+;
    }
}
