//! Members of both protocols do anything in any order, answers get lost, brokers restart: no partition is ever with two of them,
//! the log gives the state, and who goes on in peace gets everything.

use std::collections::BTreeMap;

use super::super::world;
use super::*;
use crate::protocol::Message;
use crate::protocol::group::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, ConsumerProtocolSubscriptionTopicPartition,
};
use crate::wire::{Reader, Writer};

/// A member that plays by the rules of its protocol.
#[derive(Clone, Debug)]
struct Player {
    id: KafkaString,
    is_classic: bool,
    /// Epoch or generation; 0: it must join.
    epoch: i32,
    /// What it reads.
    holds: BTreeSet<i32>,
    /// What it was told to read; it may still hold more.
    told: BTreeSet<i32>,
    /// An answer did not come: it tells everything anew.
    tells_all: bool,
}

struct Random(u64);

impl Random {
    fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

impl Player {
    fn new(nth: usize, is_classic: bool) -> Player {
        let id = if is_classic { KafkaString::EMPTY } else { KafkaString::from(format!("p{nth}")) };
        Player { id, is_classic, epoch: 0, holds: BTreeSet::new(), told: BTreeSet::new(), tells_all: true }
    }

    /// It is out and knows it.
    fn starts_over(&mut self) {
        self.epoch = 0;
        self.holds.clear();
        self.told.clear();
        if self.is_classic {
            self.id = KafkaString::EMPTY;
        }
    }

    fn gives_up(&mut self) {
        self.holds = self.holds.intersection(&self.told).copied().collect();
    }

    /// It reads what it was told and nobody else has.
    fn takes(&mut self) {
        self.gives_up();
        self.holds.clone_from(&self.told);
    }
}

fn subscription(holds: &BTreeSet<i32>) -> JoinGroupRequestProtocol {
    let owned =
        ConsumerProtocolSubscriptionTopicPartition { topic: "t".into(), partitions: holds.iter().copied().collect() };
    let subscription =
        ConsumerProtocolSubscription { topics: vec!["t".into()], owned_partitions: vec![owned], ..Default::default() };
    let mut writer = Writer::new();
    writer.write_i16(1);
    subscription.encode(&mut writer, 1);
    JoinGroupRequestProtocol { name: "cooperative-sticky".into(), metadata: writer.freeze() }
}

impl Bench {
    fn has_consumers(&self) -> bool {
        matches!(self.groups.groups.get(GROUP), Some(Group::Consumer(_)))
    }

    /// A player does what its protocol has it do next; whether it hears the answer is up to the network.
    fn plays(&mut self, player: &mut Player, hears: bool) {
        if player.is_classic {
            return self.plays_classic(player, hears);
        }
        let topic_id = self.world.topic("t").map(|topic| topic.id).unwrap_or_default();
        let response = self.beat(|request| {
            request.member_id = player.id.clone();
            request.member_epoch = player.epoch;
            let partitions: Vec<i32> = player.holds.iter().copied().collect();
            let topics = (!partitions.is_empty()).then_some(TopicPartitions { topic_id, partitions });
            request.topic_partitions = Some(topics.into_iter().collect());
            if player.epoch == 0 || player.tells_all {
                request.rebalance_timeout_ms = REVOCATION_MS;
                request.subscribed_topic_names = Some(vec!["t".into()]);
            }
        });
        player.tells_all = !hears;
        if !hears {
            return;
        }
        match ErrorCode::from_code(response.error_code) {
            ErrorCode::None => player.epoch = response.member_epoch,
            ErrorCode::UnknownMemberId | ErrorCode::FencedMemberEpoch | ErrorCode::GroupIdNotFound => {
                return player.starts_over();
            }
            other => panic!("{other:?}: {:?}", response.error_message),
        }
        if let Some(assignment) = &response.assignment {
            player.told = assignment.topic_partitions.iter().flat_map(|topic| &topic.partitions).copied().collect();
            // What is new is free by now: only what must go may take its time.
            player.holds.extend(&player.told);
        }
    }

    fn plays_classic(&mut self, player: &mut Player, hears: bool) {
        if !self.has_consumers() {
            return player.starts_over();
        }
        if player.epoch > 0 {
            match self.heartbeat(&player.id, player.epoch) {
                ErrorCode::None => return,
                ErrorCode::RebalanceInProgress => {}
                ErrorCode::UnknownMemberId => return player.starts_over(),
                ErrorCode::IllegalGeneration => {
                    let id = player.id.clone();
                    player.starts_over();
                    player.id = id;
                    return;
                }
                other => panic!("{other:?}"),
            }
        }
        let holds = player.holds.clone();
        let ticket = self.start(join(&player.id, |request| request.protocols = vec![subscription(&holds)]));
        let joined = self.joined(ticket).expect("a consumer group lets nobody wait");
        match ErrorCode::from_code(joined.error_code) {
            _ if !hears => return,
            ErrorCode::None => player.epoch = joined.generation_id,
            ErrorCode::MemberIdRequired => {
                player.id = joined.member_id;
                return;
            }
            ErrorCode::UnknownMemberId => return player.starts_over(),
            other => panic!("{other:?}"),
        }
        let ticket = self.start(GroupRequest::Sync(Box::new(SyncGroupRequest {
            group_id: GROUP.into(),
            generation_id: player.epoch,
            member_id: player.id.clone(),
            ..Default::default()
        })));
        let synced = self.synced(ticket).expect("a consumer group lets nobody wait");
        if synced.error_code != 0 {
            return;
        }
        let mut reader = Reader::new(synced.assignment);
        let version = reader.read_i16().expect("a version");
        let assignment = ConsumerProtocolAssignment::decode(&mut reader, version).expect("an assignment");
        let partitions = assignment.assigned_partitions.iter().flat_map(|topic| &topic.partitions);
        player.told = partitions.copied().collect();
        player.takes();
    }

    /// No partition is with two members that the coordinator counts on.
    fn check_exclusive(&self, players: &[Player], seed: u64) {
        let mut owners: BTreeMap<i32, &KafkaString> = BTreeMap::new();
        let Some(Group::Consumer(group)) = self.groups.groups.get(GROUP) else { return };
        for player in players.iter().filter(|player| group.members.contains_key(&player.id)) {
            for partition in &player.holds {
                let other = owners.insert(*partition, &player.id);
                assert_eq!(other, None, "{partition} is with {} as well, seed {seed}", player.id);
            }
        }
    }
}

/// Everybody goes on in peace: all partitions are read, and nothing is written any more.
fn goes_on_in_peace(bench: &mut Bench, players: &mut [Player], partition_count: i32, seed: u64) {
    for round in 0.. {
        assert!(round < 60, "no rest, seed {seed}: {players:?}");
        let before = bench.log.len();
        for player in players.iter_mut() {
            player.gives_up();
            bench.plays(player, true);
            if !bench.has_consumers() {
                return;
            }
        }
        bench.check_exclusive(players, seed);
        let is_settled = players.iter().all(|player| player.epoch > 0 && player.holds == player.told);
        let read: BTreeSet<i32> = players.iter().flat_map(|player| &player.holds).copied().collect();
        if bench.log.len() == before && is_settled && read == (0..partition_count).collect() {
            return;
        }
        // Whoever is gone without a word is out some time.
        bench.pass(2_000);
    }
}

fn play(seed: u64) {
    let mut random = Random(seed);
    let limits = ConsumerLimits { size_max: 100, ..world::consumer_limits() };
    let mut bench = Bench::with(GroupSettings { consumer: limits, size_max: 100, ..settings() });
    let mut partition_count = 1 + random.below(7) as i32;
    bench.world.put("t", partition_count);
    bench.world.assign_every(if random.below(2) == 0 { 0 } else { 1_000 });
    let classic_count = random.below(3) as usize;
    let mut players: Vec<Player> = (0..4).map(|nth| Player::new(nth, nth < classic_count)).collect();
    let last = players.len() - 1;
    bench.plays(&mut players[last], true);
    for step in 0..120 {
        let nth = random.below(4) as usize;
        match random.below(20) {
            0 => {
                partition_count += 1;
                bench.world.put("t", partition_count);
            }
            1 => bench.pass(1 + random.below(20_000) as i64),
            2 => bench = bench.restarted(),
            // It goes, and the last of the new protocol stays.
            3 if nth != last && players[nth].epoch > 0 && !players[nth].is_classic => {
                let epoch = LEAVING_EPOCH;
                bench.beat(|request| {
                    request.member_id = players[nth].id.clone();
                    request.member_epoch = epoch;
                });
                players[nth].starts_over();
            }
            4 if players[nth].is_classic && players[nth].epoch > 0 => {
                let id = players[nth].id.clone();
                if bench.has_consumers() {
                    bench.leave(&[(&id, None)]);
                }
                players[nth].starts_over();
            }
            5 | 6 => bench.plays(&mut players[nth], false),
            7..=10 => players[nth].gives_up(),
            _ => bench.plays(&mut players[nth], true),
        }
        if !bench.has_consumers() {
            // Only classic members were left: that group is another story.
            return bench.check_replay();
        }
        bench.check_exclusive(&players, seed);
        if step % 10 == 0 {
            bench.check_replay();
        }
    }
    bench.pass(1_000);
    goes_on_in_peace(&mut bench, &mut players, partition_count, seed);
}

#[test]
fn no_partition_is_ever_with_two_members() {
    (0..150).for_each(play);
}
