//! ConsumerGroupDescribe (API key 69, versions 0-1): tells state, members and assignments of consumer groups.
//!
//! Source: KIP-848; by version: 1 KIP-1099.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Answered by [`ConsumerGroupDescribeResponse`].
    request ConsumerGroupDescribeRequest -> ConsumerGroupDescribeResponse
        (key ConsumerGroupDescribe, versions 0-1, flexible 0+) {
        group_ids:                     Vec<KafkaString>, 0+;
        include_authorized_operations: bool,             0+;
    }

    /// Answer to [`ConsumerGroupDescribeRequest`].
    response ConsumerGroupDescribeResponse (key ConsumerGroupDescribe, versions 0-1, flexible 0+) {
        throttle_time_ms: i32,                 0+;
        groups:           Vec<DescribedGroup>, 0+;
    }

    /// In `ConsumerGroupDescribeResponse::groups`.
    struct DescribedGroup {
        error_code:            i16,                        0+;
        error_message:         Option<KafkaString> = None, 0+;
        group_id:              KafkaString,                0+;
        group_state:           KafkaString,                0+;
        group_epoch:           i32,                        0+;
        assignment_epoch:      i32,                        0+;
        assignor_name:         KafkaString,                0+;
        members:               Vec<Member>,                0+;
        authorized_operations: i32 = i32::MIN,             0+;
    }

    /// In `DescribedGroup::members`.
    struct Member {
        member_id:              KafkaString,                0+;
        instance_id:            Option<KafkaString> = None, 0+;
        rack_id:                Option<KafkaString> = None, 0+;
        member_epoch:           i32,                        0+;
        client_id:              KafkaString,                0+;
        client_host:            KafkaString,                0+;
        subscribed_topic_names: Vec<KafkaString>,           0+;
        subscribed_topic_regex: Option<KafkaString> = None, 0+;
        assignment:             Assignment,                 0+;
        target_assignment:      Assignment,                 0+;
        member_type:            i8 = -1,                    1+, ignorable;
    }

    /// In .
    struct TopicPartitions {
        topic_id:   Uuid,        0+;
        topic_name: KafkaString, 0+;
        partitions: Vec<i32>,    0+;
    }

    /// In `Member::assignment`, `Member::target_assignment`.
    struct Assignment {
        topic_partitions: Vec<TopicPartitions>, 0+;
    }
}
