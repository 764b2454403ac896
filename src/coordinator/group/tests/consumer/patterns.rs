//! Subscriptions by pattern.

use super::*;

fn pattern(text: &str) -> impl FnOnce(&mut Request) {
    let text = KafkaString::from(text);
    move |request| {
        request.subscribed_topic_names = None;
        request.subscribed_topic_regex = Some(text);
    }
}

#[test]
fn topics_that_match_are_found_and_new_ones_too() {
    let mut bench = Bench::new();
    bench.world.put("t", 2);
    bench.world.put("u", 7);
    let mut one = bench.joins("one", pattern("t.*"));
    assert_eq!((one.epoch, &one.owned), (1, &set(&[])), "it is not known yet what matches");
    bench.pass(1);
    bench.reports(&mut one);
    assert_eq!((one.epoch, &one.owned), (2, &set(&[0, 1])));
    bench.check_replay();
    bench.world.put("t2", 5);
    bench.reports(&mut one);
    assert_eq!(one.epoch, 2, "it is looked for some seconds later");
    bench.pass(10_001);
    bench.reports(&mut one);
    bench.pass(1);
    bench.reports(&mut one);
    assert_eq!((one.epoch, &one.owned), (3, &set(&[0, 1, 2, 3, 4])));
    bench.check_replay();
    let writes = bench.log.len();
    bench.pass(10_001);
    bench.settle(&mut [&mut one]);
    bench.pass(1);
    assert_eq!(bench.log.len(), writes, "nothing was made since");
    for _ in 0..20 {
        bench.pass(REFRESH_MS / 15);
        bench.reports(&mut one);
    }
    assert!(bench.log.len() > writes, "it is looked for again from time to time");
}

#[test]
fn a_pattern_is_forgotten_with_its_last_member() {
    let mut bench = Bench::new();
    bench.world.put("t", 2);
    let mut one = bench.joins("one", pattern("t"));
    bench.pass(1);
    let mut two = bench.joins("two", pattern("t"));
    bench.settle(&mut [&mut one, &mut two]);
    assert_eq!((one.owned.len(), two.owned.len()), (1, 1));
    bench.leaves(&one, LEAVING_EPOCH);
    bench.settle(&mut [&mut two]);
    assert_eq!(two.owned.len(), 2);
    bench.leaves(&two, LEAVING_EPOCH);
    bench.check_replay();
    assert!(!bench.consumers().is_subscribed_to("t"));
}

#[test]
fn what_is_no_pattern_is_refused() {
    let mut bench = Bench::new();
    let response = bench.beat(|request| {
        request.member_id = "one".into();
        request.rebalance_timeout_ms = REVOCATION_MS;
        request.topic_partitions = Some(Vec::new());
        pattern("[")(request);
    });
    assert_eq!(ErrorCode::from_code(response.error_code), ErrorCode::InvalidRegularExpression);
    assert_eq!(
        response.error_message.as_deref(),
        Some("SubscribedTopicRegex `[` is not a valid regular expression: missing closing ].")
    );
    assert!(bench.groups.groups.is_empty());
}

#[test]
fn names_and_patterns_add_up() {
    let mut bench = Bench::new();
    bench.world.put("t", 1);
    bench.world.put("u", 2);
    let mut one = bench.joins("one", |request| request.subscribed_topic_regex = Some("u".into()));
    assert_eq!(one.owned, set(&[0]));
    bench.pass(1);
    bench.reports(&mut one);
    assert_eq!(bench.consumers().members["one"].current.assigned.len(), 2);
    let response = bench.beat(|request| {
        request.member_id = "one".into();
        request.member_epoch = one.epoch;
        request.subscribed_topic_regex = Some(KafkaString::EMPTY);
    });
    assert_eq!(response.error_code, 0);
    assert_eq!(bench.consumers().members["one"].current.state, MemberState::UnrevokedPartitions);
    bench.check_replay();
}
