//! Looks at the connections of the Millrace in this process from time to time, so that a page can tell what happened in between.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::why::Around;
use crate::capture::advice::{self, Hint};
use crate::capture::{Capture, TIME_MAX};
use crate::metrics::{DurableWrites, Metrics, Reading, Seen};
use crate::ui::cluster::lock;
use crate::ui::trouble::Trouble;

/// What is seen is at least so long.
const STRETCH_MIN: Duration = Duration::from_millis(1500);
/// And at most so long; older looks are forgotten.
const STRETCH_MAX: Duration = Duration::from_secs(30);
/// Who looks first waits so long.
const FIRST_LOOK: Duration = Duration::from_secs(2);
/// Between two looks that are kept.
const APART: Duration = Duration::from_secs(1);
/// Looks that are kept.
const KEPT_MAX: usize = 4;
/// The longest closer look that a page takes.
const CLOSER_SECONDS_MAX: u64 = 30;

const _: () = assert!(CLOSER_SECONDS_MAX < TIME_MAX.as_secs());

/// The connections of this process.
#[derive(Debug)]
pub struct Watch {
    metrics: Arc<Metrics>,
    capture: Arc<Capture>,
    looks: Mutex<VecDeque<Arc<Look>>>,
}

#[derive(Debug)]
struct Look {
    at: Instant,
    connections: HashMap<u64, Reading>,
    unlisted: usize,
    /// Seconds at work, by shard.
    worked: Vec<f64>,
    durable: DurableWrites,
}

/// All connections over a stretch of time.
#[derive(Debug)]
pub struct Watched {
    /// How long it was.
    pub seconds: f64,
    /// By number.
    pub connections: Vec<Seen>,
    /// Connections beyond the bound of the list.
    pub unlisted: usize,
    /// Share of the time at work, by shard.
    pub shard_load: Vec<f64>,
    /// Half and 99 % of the durable writes took so long, ms.
    pub device_ms: Option<(f64, f64)>,
}

impl Watched {
    /// What is known beside this connection.
    pub fn around(&self, seen: &Seen) -> Around {
        let load = usize::try_from(seen.shard).ok().and_then(|shard| self.shard_load.get(shard));
        Around { shard_load: load.copied().unwrap_or(0.0), device_ms: self.device_ms, ..Around::default() }
    }
}

impl Watch {
    /// Watches what `metrics` counts.
    pub fn new(metrics: Arc<Metrics>, capture: Arc<Capture>) -> Watch {
        Watch { metrics, capture, looks: Mutex::default() }
    }

    /// The connections since an earlier look; who looks first waits two seconds.
    pub async fn watch(&self) -> Watched {
        let look = Arc::new(self.look());
        if let Some(earlier) = self.keep(&look) {
            return look.since(&earlier);
        }
        tokio::time::sleep(FIRST_LOOK).await;
        let later = Arc::new(self.look());
        self.keep(&later);
        later.since(&look)
    }

    /// What the client says of itself (KIP-714): name with labels, and value.
    pub fn pushed_by(&self, client_id: &str) -> Vec<(String, f64)> {
        self.metrics.clients.pushed_by(client_id)
    }

    /// Notes the shape of the traffic for some seconds: what it says of the clients' settings, of one topic or all.
    pub async fn look_closer(&self, seconds: u64, topic: &str) -> Result<Vec<Hint>, Trouble> {
        if !(1..=CLOSER_SECONDS_MAX).contains(&seconds) {
            return Err(Trouble::Wrong(format!("seconds={seconds}: give a number from 1 to {CLOSER_SECONDS_MAX}")));
        }
        let running = self.capture.begin(seconds).ok_or_else(|| {
            Trouble::Busy("somebody looks closer already (or captures traffic): try again in a while".to_owned())
        })?;
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let mut hints = advice::hints(&running.finish());
        hints.retain(|hint| topic.is_empty() || hint.topic == topic);
        Ok(hints)
    }

    fn look(&self) -> Look {
        let (connections, unlisted) = self.metrics.connections.read();
        let worked = |shard: &Arc<crate::metrics::ShardMetrics>| {
            shard.stage_seconds().0.into_iter().map(|(_, seconds)| seconds).sum::<f64>()
        };
        Look {
            at: Instant::now(),
            connections: connections.into_iter().map(|reading| (reading.id, reading)).collect(),
            unlisted,
            worked: self.metrics.shards().iter().map(worked).collect(),
            durable: self.metrics.durable_writes(),
        }
    }

    /// Keeps the look for later ones; the latest of those before it that is old enough.
    fn keep(&self, look: &Arc<Look>) -> Option<Arc<Look>> {
        let mut looks = lock(&self.looks);
        let age = |then: &Arc<Look>| look.at.saturating_duration_since(then.at);
        looks.retain(|then| age(then) <= STRETCH_MAX);
        let earlier = looks.iter().rev().find(|then| age(then) >= STRETCH_MIN).cloned();
        if looks.back().is_none_or(|last| age(last) >= APART) {
            looks.push_back(Arc::clone(look));
            if looks.len() > KEPT_MAX {
                looks.pop_front();
            }
        }
        earlier
    }
}

impl Look {
    fn since(&self, earlier: &Look) -> Watched {
        let seconds = self.at.saturating_duration_since(earlier.at).as_secs_f64().max(0.001);
        let seen = |reading: &Reading| reading.since(earlier.connections.get(&reading.id), seconds);
        let mut connections: Vec<Seen> = self.connections.values().map(seen).collect();
        connections.sort_by_key(|seen| seen.id);
        let load = |(now, then): (&f64, &f64)| ((now - then) / seconds).clamp(0.0, 1.0);
        Watched {
            seconds,
            connections,
            unlisted: self.unlisted,
            shard_load: self.worked.iter().zip(&earlier.worked).map(load).collect(),
            device_ms: self.durable.since(&earlier.durable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Names;

    fn watch() -> Watch {
        Watch::new(Metrics::new(2, Names { api: |_| None, error: |_| None }), Capture::new(1))
    }

    #[test]
    fn what_is_seen_lies_between_a_look_and_one_that_is_old_enough() {
        let watch = watch();
        let listed = watch.metrics.connections.list(([127, 0, 0, 1], 9).into(), &Arc::from("PLAINTEXT"), 0);
        listed.usage().produce().records.add(100);
        let first = Arc::new(watch.look());
        assert!(watch.keep(&first).is_none());
        let after = |ms: u64| {
            let look = watch.look();
            Arc::new(Look { at: first.at + Duration::from_millis(ms), worked: vec![0.0, 0.5], ..look })
        };
        assert!(watch.keep(&after(500)).is_none(), "too short to tell a rate");
        listed.usage().produce().records.add(30);
        let late = after(2000);
        let earlier = watch.keep(&late).expect("the first is old enough");
        let watched = late.since(&earlier);
        let produce = watched.connections[0].produce.as_ref().expect("it has produced");
        assert_eq!((watched.seconds, produce.records_s), (2.0, 15.0));
        assert_eq!(watched.shard_load, [0.0, 0.25]);
        // Of those that are kept the latest that is old enough counts; old ones are forgotten.
        assert_eq!(watch.keep(&after(3600)).map(|look| look.at), Some(late.at));
        assert!(watch.keep(&after(60_000)).is_none());
        (0..9).for_each(|nth| drop(watch.keep(&after(61_000 + 1000 * nth))));
        assert_eq!(lock(&watch.looks).len(), KEPT_MAX);
    }

    #[tokio::test]
    async fn one_looks_closer_at_a_time_and_not_for_long() {
        let watch = watch();
        for seconds in [0, CLOSER_SECONDS_MAX + 1] {
            let refused = watch.look_closer(seconds, "").await.expect_err("out of range");
            assert!(refused.to_string().contains("from 1 to 30"), "{refused}");
        }
        let _other = watch.capture.begin(1).expect("nobody looks");
        assert!(matches!(watch.look_closer(1, "").await, Err(Trouble::Busy(_))));
    }
}
