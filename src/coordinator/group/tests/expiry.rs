//! Offsets and groups that time takes away.

use super::*;

const MINUTE_MS: i64 = 60_000;

fn retention(bench: &Bench) -> i64 {
    bench.groups.settings.retention_ms
}

#[test]
fn a_simple_consumers_offsets_age_from_their_commit() {
    let mut bench = Bench::new();
    bench.commit(|_| ()).expect("the group takes it");
    bench.pass(retention(&bench) - 10 * MINUTE_MS);
    bench.commit(|commit| commit.offsets = vec![offset("t", 1, 1)]).expect("the group takes it");
    bench.pass(20 * MINUTE_MS);
    assert_eq!((bench.committed("t", 0), bench.committed("t", 1)), (None, Some(1)));
    assert_eq!(bench.restarted().groups.offset_count(), 1);
    bench.pass(retention(&bench) + 10 * MINUTE_MS);
    assert!(bench.groups.groups.is_empty());
    assert!(bench.restarted().groups.groups.is_empty());
}

#[test]
fn an_offset_may_have_an_expiry_of_its_own() {
    let mut bench = Bench::new();
    bench.commit(|commit| commit.retention_time_ms = 5).expect("the group takes it");
    assert_eq!(bench.groups.offsets.get(GROUP, "t", 0).map(|found| found.expire_timestamp_ms), Some(1_005));
    let mut bench = bench.restarted();
    assert_eq!(bench.groups.offsets.get(GROUP, "t", 0).map(|found| found.expire_timestamp_ms), Some(1_005));
    bench.pass(11 * MINUTE_MS);
    assert_eq!(bench.committed("t", 0), None);
}

#[test]
fn a_groups_offsets_age_from_when_it_became_empty() {
    let mut bench = Bench::new();
    let members = bench.stable(1);
    let generation = bench.generation();
    bench
        .commit(|commit| {
            commit.generation = generation;
            commit.member_id = members[0].clone();
        })
        .expect("a member commits");
    for _ in 0..2 * retention(&bench) / i64::from(SESSION_MS / 2) {
        bench.pass(i64::from(SESSION_MS / 2));
        assert_eq!(bench.heartbeat(&members[0], generation), ErrorCode::None);
    }
    assert_eq!(bench.committed("t", 0), Some(42), "a member reads the topic");
    assert_eq!(bench.leave(&[(&members[0], None)]), [ErrorCode::None]);
    bench.pass(retention(&bench) - 10 * MINUTE_MS);
    assert_eq!(bench.committed("t", 0), Some(42));
    bench.pass(20 * MINUTE_MS);
    assert!(bench.groups.groups.is_empty());
}

#[test]
fn many_groups_expire_in_slices() {
    let mut bench = Bench::new();
    for index in 0..2_500 {
        bench.commit(|commit| commit.group_id = KafkaString::from(format!("g{index}"))).expect("the group takes it");
    }
    let first_ms = bench.groups.next_deadline_ms().expect("the search is set");
    bench.now_ms = first_ms + retention(&bench);
    bench.run(|groups, now, effects| groups.fire(now, effects));
    let left = bench.groups.group_count();
    assert!((1_000..2_500).contains(&left), "{left} groups are left after the first slice");
    bench.pass(10);
    assert_eq!((bench.groups.group_count(), bench.groups.offset_count()), (0, 0));
    assert_eq!(bench.groups.next_deadline_ms().map(|at_ms| at_ms > bench.now_ms + MINUTE_MS), Some(true));
}

#[test]
fn an_empty_group_without_offsets_goes_at_once() {
    let mut bench = Bench::new();
    let members = bench.stable(1);
    bench.leave(&[(&members[0], None)]);
    assert_eq!(bench.state(), ClassicState::Empty);
    bench.pass(11 * MINUTE_MS);
    assert!(bench.groups.groups.is_empty());
    assert!(bench.restarted().groups.groups.is_empty());
}
