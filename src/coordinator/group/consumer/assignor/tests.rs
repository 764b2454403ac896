//! Tables of assignments, and what must hold for any group.

use super::*;

/// A group in words: members with their topics and what they had.
struct Case {
    members: Vec<(String, Option<String>, BTreeSet<Uuid>, Partitions)>,
    counts: BTreeMap<Uuid, i32>,
}

fn topic(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn partitions(of: &[(u128, &[i32])]) -> Partitions {
    of.iter().map(|(number, indexes)| (topic(*number), indexes.iter().copied().collect())).collect()
}

impl Case {
    fn new(counts: &[(u128, i32)]) -> Case {
        Case { members: Vec::new(), counts: counts.iter().map(|(number, count)| (topic(*number), *count)).collect() }
    }

    fn member(mut self, id: &str, topics: &[u128], had: &[(u128, &[i32])]) -> Case {
        let topics = topics.iter().map(|number| topic(*number)).collect();
        self.members.push((id.to_owned(), None, topics, partitions(had)));
        self
    }

    fn with<T>(&self, look: impl FnOnce(&GroupSpec<'_>) -> T) -> T {
        let members: Vec<Subscriber<'_>> = self
            .members
            .iter()
            .map(|(id, instance_id, topics, assigned)| Subscriber {
                id,
                instance_id: instance_id.as_deref(),
                topics,
                assigned,
            })
            .collect();
        let alike = members.windows(2).all(|pair| pair[0].topics == pair[1].topics);
        look(&GroupSpec { members: &members, partition_counts: &self.counts, alike })
    }

    fn assign(&self, assignor: Assignor) -> Vec<Partitions> {
        let targets = self.with(|spec| assignor.assign(spec));
        self.check(&targets);
        targets
    }

    /// Each partition that anybody subscribed to has one member, who did.
    fn check(&self, targets: &[Partitions]) {
        let mut seen: BTreeMap<(Uuid, i32), usize> = BTreeMap::new();
        for (nth, target) in targets.iter().enumerate() {
            for (topic, indexes) in target {
                assert!(self.members[nth].2.contains(topic), "{nth} did not subscribe to {topic}");
                assert!(!indexes.is_empty());
                for index in indexes {
                    assert_eq!(seen.insert((*topic, *index), nth), None, "{topic}-{index} is assigned twice");
                }
            }
        }
        let subscribed: BTreeSet<Uuid> = self.members.iter().flat_map(|member| &member.2).copied().collect();
        let wanted: i32 = subscribed.iter().map(|topic| self.counts[topic]).sum();
        assert_eq!(seen.len(), usize::try_from(wanted).expect("counts are positive"));
    }

    /// The same members with these assignments.
    fn next(&self, targets: &[Partitions]) -> Case {
        let mut next = Case { members: self.members.clone(), counts: self.counts.clone() };
        next.members.iter_mut().zip(targets).for_each(|(member, target)| member.3 = target.clone());
        next
    }
}

fn sizes(targets: &[Partitions]) -> Vec<usize> {
    targets.iter().map(|target| target.values().map(BTreeSet::len).sum()).collect()
}

#[test]
fn uniform_gives_everybody_the_same_number() {
    let case = Case::new(&[(1, 3), (2, 3)]).member("a", &[1, 2], &[]).member("b", &[1, 2], &[]);
    assert_eq!(
        case.assign(Assignor::Uniform),
        [partitions(&[(1, &[0, 1, 2])]), partitions(&[(2, &[0, 1, 2])])],
        "in order, as nobody has anything"
    );
    let case = Case::new(&[(1, 5)]).member("a", &[1], &[]).member("b", &[1], &[]).member("c", &[1], &[]);
    assert_eq!(sizes(&case.assign(Assignor::Uniform)), [1, 2, 2]);
    let case = Case::new(&[(1, 1)]).member("a", &[1], &[]).member("b", &[1], &[]);
    assert_eq!(sizes(&case.assign(Assignor::Uniform)), [0, 1]);
}

#[test]
fn uniform_moves_no_more_than_it_must() {
    // A third member takes two partitions, one of each.
    let case = Case::new(&[(1, 6)]).member("a", &[1], &[(1, &[0, 1, 2])]).member("b", &[1], &[(1, &[3, 4, 5])]).member(
        "c",
        &[1],
        &[],
    );
    assert_eq!(
        case.assign(Assignor::Uniform),
        [partitions(&[(1, &[0, 1])]), partitions(&[(1, &[3, 4])]), partitions(&[(1, &[2, 5])])]
    );
    // The extra partition stays with the member that has it.
    let case = Case::new(&[(1, 3)]).member("a", &[1], &[(1, &[0])]).member("b", &[1], &[(1, &[1, 2])]);
    assert_eq!(case.assign(Assignor::Uniform), [partitions(&[(1, &[0])]), partitions(&[(1, &[1, 2])])]);
    // What is no longer subscribed to is given up, and partitions that came are shared.
    let case = Case::new(&[(2, 4)]).member("a", &[2], &[(1, &[0, 1])]).member("b", &[2], &[(2, &[0, 1])]);
    assert_eq!(case.assign(Assignor::Uniform), [partitions(&[(2, &[2, 3])]), partitions(&[(2, &[0, 1])])]);
}

#[test]
fn range_gives_neighbours_of_each_topic() {
    let case = Case::new(&[(1, 3), (2, 3)]).member("a", &[1, 2], &[]).member("b", &[1, 2], &[]);
    assert_eq!(
        case.assign(Assignor::Range),
        [partitions(&[(1, &[0, 1]), (2, &[0, 1])]), partitions(&[(1, &[2]), (2, &[2])])]
    );
    let case = Case::new(&[(1, 4), (2, 3)]).member("a", &[1], &[]).member("b", &[1, 2], &[]);
    assert_eq!(
        case.assign(Assignor::Range),
        [partitions(&[(1, &[0, 1])]), partitions(&[(1, &[2, 3]), (2, &[0, 1, 2])])]
    );
    let mut case = Case::new(&[(1, 2)]).member("a", &[1], &[]).member("b", &[1], &[]);
    case.members[1].1 = Some("static".into());
    assert_eq!(
        case.assign(Assignor::Range),
        [partitions(&[(1, &[1])]), partitions(&[(1, &[0])])],
        "static members come first"
    );
}

#[test]
fn members_that_subscribe_differently_are_balanced() {
    let case = Case::new(&[(1, 6), (2, 6)]).member("a", &[1], &[]).member("b", &[1, 2], &[]).member("c", &[2], &[]);
    assert_eq!(sizes(&case.assign(Assignor::Uniform)), [3, 4, 5], "no topic alone can make that more even");
    // Who alone subscribed to a topic has all of it, and little of others.
    let case = Case::new(&[(1, 4), (2, 8)]).member("a", &[1], &[]).member("b", &[1, 2], &[]);
    assert_eq!(sizes(&case.assign(Assignor::Uniform)), [4, 8]);
    // Too much with one member moves to the other, and no more than that.
    let case = Case::new(&[(1, 6), (2, 1)]).member("a", &[1], &[(1, &[0, 1, 2, 3, 4, 5])]).member("b", &[1, 2], &[]);
    let targets = case.assign(Assignor::Uniform);
    assert_eq!(sizes(&targets), [4, 3]);
    assert_eq!(targets[1], partitions(&[(1, &[4, 5]), (2, &[0])]));
}

#[test]
fn any_group_is_balanced_and_stays_as_it_is() {
    let mut state = 7_u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for round in 0..300 {
        let counts: Vec<(u128, i32)> = (0..1 + random(4)).map(|nth| (u128::from(nth), random(9) as i32)).collect();
        let alike = round % 2 == 0;
        let mut case = Case::new(&counts);
        for nth in 0..1 + random(6) {
            let topics: Vec<u128> =
                counts.iter().map(|(number, _)| *number).filter(|_| alike || random(2) == 0).collect();
            case = case.member(&format!("m{nth}"), &topics, &[]);
        }
        for assignor in Assignor::ALL {
            let targets = case.assign(assignor);
            if assignor == Assignor::Uniform && alike {
                let sizes = sizes(&targets);
                let (least, most) = (sizes.iter().min(), sizes.iter().max());
                assert!(most <= least.map(|least| least + 1).as_ref(), "{sizes:?}");
            }
            let again = case.next(&targets);
            assert_eq!(again.assign(assignor), targets, "an assignment that is good stays, round {round}");
            // One leaves: whoever stays keeps what it has, with the sticky one.
            let mut fewer = case.next(&targets);
            if fewer.members.len() > 1 && assignor == Assignor::Uniform && alike {
                fewer.members.pop();
                let next = fewer.assign(assignor);
                for (target, before) in next.iter().zip(&targets) {
                    for (topic, indexes) in before {
                        assert!(indexes.is_subset(&target[topic]));
                    }
                }
            }
        }
    }
}
