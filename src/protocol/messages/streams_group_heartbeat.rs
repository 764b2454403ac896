//! StreamsGroupHeartbeat (API key 88, versions 0): a member of a streams group joins, reports, receives its
//! tasks, leaves.
//!
//! Source: KIP-1071.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`StreamsGroupHeartbeatResponse`].
    request StreamsGroupHeartbeatRequest -> StreamsGroupHeartbeatResponse
        (key StreamsGroupHeartbeat, versions 0, flexible 0+) {
        group_id:                   KafkaString,                    0+;
        member_id:                  KafkaString,                    0+;
        member_epoch:               i32,                            0+;
        endpoint_information_epoch: i32,                            0+;
        instance_id:                Option<KafkaString> = None,     0+;
        rack_id:                    Option<KafkaString> = None,     0+;
        rebalance_timeout_ms:       i32 = -1,                       0+;
        topology:                   Option<Topology> = None,        0+;
        active_tasks:               Option<Vec<TaskIds>> = None,    0+;
        standby_tasks:              Option<Vec<TaskIds>> = None,    0+;
        warmup_tasks:               Option<Vec<TaskIds>> = None,    0+;
        process_id:                 Option<KafkaString> = None,     0+;
        user_endpoint:              Option<Endpoint> = None,        0+;
        client_tags:                Option<Vec<KeyValue>> = None,   0+;
        task_offsets:               Option<Vec<TaskOffset>> = None, 0+;
        task_end_offsets:           Option<Vec<TaskOffset>> = None, 0+;
        shutdown_application:       bool,                           0+;
    }

    /// In `StreamsGroupHeartbeatRequest::topology`.
    struct Topology {
        epoch:         i32,              0+;
        subtopologies: Vec<Subtopology>, 0+;
    }

    /// In `Topology::subtopologies`.
    struct Subtopology {
        subtopology_id:            KafkaString,           0+;
        source_topics:             Vec<KafkaString>,      0+;
        source_topic_regex:        Vec<KafkaString>,      0+;
        state_changelog_topics:    Vec<TopicInfo>,        0+;
        repartition_sink_topics:   Vec<KafkaString>,      0+;
        repartition_source_topics: Vec<TopicInfo>,        0+;
        copartition_groups:        Vec<CopartitionGroup>, 0+;
    }

    /// In `Subtopology::copartition_groups`.
    struct CopartitionGroup {
        source_topics:             Vec<i16>, 0+;
        source_topic_regex:        Vec<i16>, 0+;
        repartition_source_topics: Vec<i16>, 0+;
    }

    /// In `StreamsGroupHeartbeatRequest::client_tags`.
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

    /// In `StreamsGroupHeartbeatRequest::user_endpoint`.
    struct Endpoint {
        host: KafkaString, 0+;
        port: u16,         0+;
    }

    /// In `StreamsGroupHeartbeatRequest::task_offsets`, `StreamsGroupHeartbeatRequest::task_end_offsets`.
    struct TaskOffset {
        subtopology_id: KafkaString, 0+;
        partition:      i32,         0+;
        offset:         i64,         0+;
    }

    /// In `StreamsGroupHeartbeatRequest::active_tasks` and the fields like it.
    struct TaskIds {
        subtopology_id: KafkaString, 0+;
        partitions:     Vec<i32>,    0+;
    }

    /// Answer to [`StreamsGroupHeartbeatRequest`].
    response StreamsGroupHeartbeatResponse (key StreamsGroupHeartbeat, versions 0, flexible 0+) {
        throttle_time_ms:            i32,                                                      0+;
        error_code:                  i16,                                                      0+;
        error_message:               Option<KafkaString> = None,                               0+;
        member_id:                   KafkaString,                                              0+;
        member_epoch:                i32,                                                      0+;
        heartbeat_interval_ms:       i32,                                                      0+;
        acceptable_recovery_lag:     i32,                                                      0+;
        task_offset_interval_ms:     i32,                                                      0+;
        status:                      Option<Vec<Status>>,                                      0+;
        active_tasks:                Option<Vec<StreamsGroupHeartbeatResponseTaskIds>> = None, 0+;
        standby_tasks:               Option<Vec<StreamsGroupHeartbeatResponseTaskIds>> = None, 0+;
        warmup_tasks:                Option<Vec<StreamsGroupHeartbeatResponseTaskIds>> = None, 0+;
        endpoint_information_epoch:  i32,                                                      0+;
        partitions_by_user_endpoint: Option<Vec<EndpointToPartitions>> = None,                 0+;
    }

    /// In `StreamsGroupHeartbeatResponse::partitions_by_user_endpoint`.
    struct EndpointToPartitions {
        user_endpoint:      StreamsGroupHeartbeatResponseEndpoint, 0+;
        active_partitions:  Vec<TopicPartition>,                   0+;
        standby_partitions: Vec<TopicPartition>,                   0+;
    }

    /// In `StreamsGroupHeartbeatResponse::status`.
    struct Status {
        status_code:   i8,          0+;
        status_detail: KafkaString, 0+;
    }

    /// In `EndpointToPartitions::active_partitions`, `EndpointToPartitions::standby_partitions`.
    struct TopicPartition {
        topic:      KafkaString, 0+;
        partitions: Vec<i32>,    0+;
    }

    /// In `StreamsGroupHeartbeatResponse::active_tasks` and the fields like it.
    struct StreamsGroupHeartbeatResponseTaskIds {
        subtopology_id: KafkaString, 0+;
        partitions:     Vec<i32>,    0+;
    }

    /// In `EndpointToPartitions::user_endpoint`.
    struct StreamsGroupHeartbeatResponseEndpoint {
        host: KafkaString, 0+;
        port: u16,         0+;
    }
}
