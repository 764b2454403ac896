//! Fetch sessions (KIP-227): the broker remembers a consumer's partitions, the request names only what changed, the
//! response only what is new.
//!
//! Each shard keeps the sessions of its connections; a session id that is not known here is asked of the other shards once
//! (a client that reconnected), and moves here. The slots of `max.incremental.fetch.session.cache.slots` are shared out.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use crate::protocol::ErrorCode;
use crate::protocol::fetch::{FetchPartition, FetchRequest};
use crate::rt;
use crate::wire::{KafkaString, RandomState, Uuid};

/// Sessions used within this time are only pushed out by larger ones (KIP-227, "Fetch Session Caching").
const EVICTABLE_AFTER: Duration = Duration::from_secs(120);
/// Epoch of a request without a session.
const FINAL_EPOCH: i32 = -1;
/// Epoch of a request that opens a session.
const INITIAL_EPOCH: i32 = 0;

/// A partition as the client names it: by topic name up to version 12, by topic id from 13.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FetchTarget {
    /// Topic name, empty when named by id.
    pub topic: KafkaString,
    /// Topic id, zero when named by name.
    pub topic_id: Uuid,
    /// Partition index.
    pub partition: i32,
}

/// What a session remembers of a partition.
#[derive(Debug, Clone)]
struct Remembered {
    target: FetchTarget,
    request: FetchPartition,
    /// High watermark, last stable offset and log start that the client was told last.
    told: Option<(i64, i64, i64)>,
}

/// One client's session.
#[derive(Debug)]
pub struct FetchSession {
    id: i32,
    epoch: i32,
    naming: Naming,
    /// By turn: partitions that gave data go to the end, so that none starves.
    turns: BTreeMap<u64, Remembered>,
    places: HashMap<FetchTarget, u64, RandomState>,
    next_turn: u64,
    created: Instant,
    used: Instant,
}

impl FetchSession {
    fn new(id: i32, naming: Naming) -> FetchSession {
        let now = rt::clock::monotonic();
        FetchSession {
            id,
            epoch: 1,
            naming,
            turns: BTreeMap::new(),
            places: HashMap::default(),
            next_turn: 0,
            created: now,
            used: now,
        }
    }

    /// The session's id.
    pub fn id(&self) -> i32 {
        self.id
    }

    fn put(&mut self, target: FetchTarget, request: FetchPartition) {
        if let Some(place) = self.places.get(&target)
            && let Some(known) = self.turns.get_mut(place)
        {
            known.request = request;
            return;
        }
        let turn = self.take_turn();
        self.places.insert(target.clone(), turn);
        self.turns.insert(turn, Remembered { target, request, told: None });
    }

    fn forget(&mut self, target: &FetchTarget) {
        if let Some(place) = self.places.remove(target) {
            self.turns.remove(&place);
        }
    }

    fn take_turn(&mut self) -> u64 {
        self.next_turn += 1;
        self.next_turn
    }

    /// Whether an incremental response must name the partition; remembers what it tells.
    fn note_told(&mut self, target: &FetchTarget, told: &Told) -> bool {
        let Some(place) = self.places.get(target).copied() else { return true };
        let Some(known) = self.turns.get_mut(&place) else { return true };
        let offsets = Some((told.high_watermark, told.last_stable_offset, told.log_start_offset));
        let news = told.has_data || told.failed || known.told != offsets;
        // After an error the next good answer is news even if the offsets are the old ones.
        known.told = if told.failed { None } else { offsets };
        if told.has_data
            && let Some(moved) = self.turns.remove(&place)
        {
            let turn = self.take_turn();
            self.places.insert(target.clone(), turn);
            self.turns.insert(turn, moved);
        }
        news
    }
}

/// What a response says of a partition, as far as sessions care.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    /// Records, or a diverging epoch.
    pub has_data: bool,
    /// An error.
    pub failed: bool,
    /// High watermark.
    pub high_watermark: i64,
    /// Last stable offset.
    pub last_stable_offset: i64,
    /// Log start.
    pub log_start_offset: i64,
}

/// What a request means once its session is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No session: every partition is named and answered.
    Sessionless,
    /// A session is opened by this request.
    Opening,
    /// An open session, by its id: only news are answered.
    Incremental(i32),
}

/// How a client names topics in a fetch; a session keeps to one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// By name, up to version 12.
    Names,
    /// By topic id, from version 13.
    Ids,
}

/// A request with its session: which partitions to read, and how to answer.
#[derive(Debug)]
pub struct Plan {
    /// The kind.
    pub kind: Kind,
    /// The partitions to read, in order.
    pub partitions: Vec<(FetchTarget, FetchPartition)>,
}

/// The sessions of a shard.
#[derive(Debug)]
pub struct FetchSessions {
    slots: usize,
    sessions: HashMap<i32, FetchSession, RandomState>,
    evicted: u64,
}

impl FetchSessions {
    /// Room for `slots` sessions.
    pub fn new(slots: usize) -> FetchSessions {
        FetchSessions { slots, sessions: HashMap::default(), evicted: 0 }
    }

    /// Sessions now.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Partitions that the sessions remember.
    pub fn partitions(&self) -> usize {
        self.sessions.values().map(|session| session.turns.len()).sum()
    }

    /// Sessions that had to make room for others so far.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// True without sessions.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// The session that a request goes on with or closes, and that is not here.
    pub fn missing(&self, request: &FetchRequest) -> Option<i32> {
        let needed = request.session_id != 0;
        (needed && !self.sessions.contains_key(&request.session_id)).then_some(request.session_id)
    }

    /// Takes a session out, for another shard.
    pub fn take(&mut self, id: i32) -> Option<FetchSession> {
        self.sessions.remove(&id)
    }

    /// Takes a session over from another shard.
    pub fn adopt(&mut self, session: FetchSession) {
        self.sessions.insert(session.id, session);
    }

    /// Finds out what a request asks for. An error is the answer's top-level code.
    pub fn plan(&mut self, request: &FetchRequest, naming: Naming) -> Result<Plan, ErrorCode> {
        if matches!(request.session_epoch, FINAL_EPOCH | INITIAL_EPOCH) {
            // Whatever session there was is closed.
            self.sessions.remove(&request.session_id);
            let opens = request.session_epoch == INITIAL_EPOCH;
            let kind = if opens { Kind::Opening } else { Kind::Sessionless };
            return Ok(Plan { kind, partitions: named(request) });
        }
        let id = request.session_id;
        let session = self.sessions.get_mut(&id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.epoch != request.session_epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if session.naming != naming {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        session.update(request);
        if session.turns.is_empty() {
            self.sessions.remove(&id);
            return Ok(Plan { kind: Kind::Sessionless, partitions: named(request) });
        }
        let partitions = session.turns.values().map(|known| (known.target.clone(), known.request.clone())).collect();
        Ok(Plan { kind: Kind::Incremental(id), partitions })
    }

    /// Opens a session with the partitions of an answered request; 0 when there is no slot for it.
    pub fn open(&mut self, naming: Naming, answered: Vec<(FetchTarget, FetchPartition, Told)>) -> i32 {
        if answered.is_empty() || !self.make_room(answered.len()) {
            return 0;
        }
        let mut session = FetchSession::new(self.new_id(), naming);
        for (target, request, told) in answered {
            session.put(target.clone(), request);
            session.note_told(&target, &told);
        }
        let id = session.id;
        self.sessions.insert(id, session);
        id
    }

    /// Whether an incremental answer must name a partition. A session that has gone meanwhile names all.
    pub fn is_news(&mut self, id: i32, target: &FetchTarget, told: &Told) -> bool {
        self.sessions.get_mut(&id).is_none_or(|session| session.note_told(target, told))
    }

    fn make_room(&mut self, partitions: usize) -> bool {
        if self.sessions.len() < self.slots {
            return true;
        }
        let now = rt::clock::monotonic();
        let old = |since: Instant| now.saturating_duration_since(since) > EVICTABLE_AFTER;
        let oldest = self.sessions.values().min_by_key(|session| session.used);
        let smallest =
            self.sessions.values().filter(|session| old(session.created)).min_by_key(|session| session.turns.len());
        let victim = oldest
            .filter(|session| old(session.used))
            .or(smallest.filter(|session| session.turns.len() < partitions))
            .map(FetchSession::id);
        match victim {
            Some(id) => {
                self.evicted += 1;
                self.sessions.remove(&id).is_some()
            }
            None => false,
        }
    }

    fn new_id(&self) -> i32 {
        loop {
            let id = (rt::random::below(i32::MAX as u64 - 1) + 1) as i32;
            if !self.sessions.contains_key(&id) {
                return id;
            }
        }
    }
}

impl FetchSession {
    fn update(&mut self, request: &FetchRequest) {
        for (target, partition) in named(request) {
            self.put(target, partition);
        }
        for topic in &request.forgotten_topics_data {
            for partition in &topic.partitions {
                let target =
                    FetchTarget { topic: topic.topic.clone(), topic_id: topic.topic_id, partition: *partition };
                self.forget(&target);
            }
        }
        self.epoch = if self.epoch == i32::MAX { 1 } else { self.epoch + 1 };
        self.used = rt::clock::monotonic();
    }
}

/// The partitions that a request names, each once: of two that are the same the last wins, as in Kafka.
fn named(request: &FetchRequest) -> Vec<(FetchTarget, FetchPartition)> {
    let count = request.topics.iter().map(|topic| topic.partitions.len()).sum();
    let mut partitions: Vec<(FetchTarget, FetchPartition)> = Vec::with_capacity(count);
    if let ([topic], 1) = (&request.topics[..], count) {
        let partition = &topic.partitions[0];
        let target =
            FetchTarget { topic: topic.topic.clone(), topic_id: topic.topic_id, partition: partition.partition };
        partitions.push((target, partition.clone()));
        return partitions;
    }
    let mut seen: HashMap<FetchTarget, usize, RandomState> = HashMap::default();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let target =
                FetchTarget { topic: topic.topic.clone(), topic_id: topic.topic_id, partition: partition.partition };
            match seen.get(&target) {
                Some(place) => partitions[*place].1 = partition.clone(),
                None => {
                    seen.insert(target.clone(), partitions.len());
                    partitions.push((target, partition.clone()));
                }
            }
        }
    }
    partitions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::fetch::{FetchTopic, ForgottenTopic};

    fn request(session_id: i32, session_epoch: i32, partitions: &[i32]) -> FetchRequest {
        let topic = FetchTopic {
            topic: "t".into(),
            partitions: partitions
                .iter()
                .map(|index| FetchPartition { partition: *index, ..Default::default() })
                .collect(),
            ..Default::default()
        };
        FetchRequest { session_id, session_epoch, topics: vec![topic], ..Default::default() }
    }

    fn told(has_data: bool, high_watermark: i64) -> Told {
        Told { has_data, failed: false, high_watermark, last_stable_offset: high_watermark, log_start_offset: 0 }
    }

    fn opened(sessions: &mut FetchSessions, partitions: &[i32]) -> i32 {
        let plan = sessions.plan(&request(0, 0, partitions), Naming::Names).expect("a full request needs no session");
        assert_eq!(plan.kind, Kind::Opening);
        let answered = plan.partitions.into_iter().map(|(target, request)| (target, request, told(false, 5)));
        sessions.open(Naming::Names, answered.collect())
    }

    fn indexes(plan: &Plan) -> Vec<i32> {
        plan.partitions.iter().map(|(target, _)| target.partition).collect()
    }

    #[test]
    fn a_session_remembers_its_partitions_and_tells_only_news() {
        let mut sessions = FetchSessions::new(4);
        let id = opened(&mut sessions, &[0, 1, 2]);
        assert_ne!(id, 0);
        let plan = sessions.plan(&request(id, 1, &[]), Naming::Names).expect("the session is open");
        assert_eq!(indexes(&plan), [0, 1, 2]);
        let (target, _) = &plan.partitions[0];
        assert!(!sessions.is_news(id, target, &told(false, 5)));
        assert!(sessions.is_news(id, target, &told(true, 6)));
        let plan = sessions.plan(&request(id, 2, &[]), Naming::Names).expect("the session is open");
        assert_eq!(indexes(&plan), [1, 2, 0], "what gave data goes to the end");
    }

    #[test]
    fn forgotten_partitions_leave_and_an_empty_session_ends() {
        let mut sessions = FetchSessions::new(4);
        let id = opened(&mut sessions, &[0, 1]);
        let mut forgetting = request(id, 1, &[]);
        forgetting.forgotten_topics_data =
            vec![ForgottenTopic { topic: "t".into(), partitions: vec![0], ..Default::default() }];
        let plan = sessions.plan(&forgetting, Naming::Names).expect("the session is open");
        assert_eq!(indexes(&plan), [1]);
        forgetting.session_epoch = 2;
        forgetting.forgotten_topics_data[0].partitions = vec![1];
        assert_eq!(sessions.plan(&forgetting, Naming::Names).expect("it ends well").kind, Kind::Sessionless);
        assert!(sessions.is_empty());
    }

    #[test]
    fn wrong_epochs_names_and_ids_are_told_apart() {
        let mut sessions = FetchSessions::new(4);
        let id = opened(&mut sessions, &[0]);
        let refused = |sessions: &mut FetchSessions, id, epoch, naming| {
            sessions.plan(&request(id, epoch, &[]), naming).expect_err("it does not fit")
        };
        assert_eq!(refused(&mut sessions, id, 7, Naming::Names), ErrorCode::InvalidFetchSessionEpoch);
        assert_eq!(refused(&mut sessions, id, 1, Naming::Ids), ErrorCode::FetchSessionTopicIdError);
        assert_eq!(refused(&mut sessions, id + 1, 1, Naming::Names), ErrorCode::FetchSessionIdNotFound);
        assert!(sessions.plan(&request(id, 1, &[]), Naming::Names).is_ok(), "the session survives the wrong ones");
    }

    #[test]
    fn a_full_cache_of_fresh_sessions_opens_no_more() {
        let mut sessions = FetchSessions::new(1);
        assert_ne!(opened(&mut sessions, &[0]), 0);
        assert_eq!(opened(&mut sessions, &[0, 1]), 0);
    }

    #[test]
    fn a_partition_named_twice_is_read_once_as_named_last() {
        let mut twice = request(0, -1, &[0, 0]);
        twice.topics[0].partitions[1].fetch_offset = 9;
        let plan = FetchSessions::new(1).plan(&twice, Naming::Names).expect("no session is needed");
        assert_eq!(plan.partitions.len(), 1);
        assert_eq!(plan.partitions[0].1.fetch_offset, 9);
    }
}
