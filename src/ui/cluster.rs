//! A cluster, and the clients that ask it: blocking ones, on a few threads, each call bounded in time.
//!
//! A cluster that does not answer holds its own few places for a few seconds and nobody else's. Clients keep their connections for
//! the next call and forget what they knew of topics, so that what vanished is seen to have vanished.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::settings::ClusterSettings;
use super::trouble::Trouble;
use crate::client::{Client, ClientConfig, ClientError, TopicInfo};

/// Calls to one cluster at a time.
const CALLS_MAX: usize = 4;
/// How long a request waits for its turn.
const TURN_WAIT: Duration = Duration::from_secs(6);
/// How long one answer of a broker, and one call with all its retries, may take.
const ANSWER_WAIT_MS: &str = "5000";
/// How long a connection may take to come up.
const CONNECT_WAIT_MS: &str = "2500";
/// A client that was not used for so long is given up: its broker may have closed its connections.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// How long a list of topics is good for.
const TOPICS_FRESH: Duration = Duration::from_secs(2);

/// A cluster of the UI.
#[derive(Debug)]
pub struct Cluster {
    slug: String,
    name: String,
    config: ClientConfig,
    read_only: bool,
    turns: Arc<Semaphore>,
    idle: Mutex<Vec<(Instant, Client)>>,
    topics: Mutex<Option<(Instant, Arc<Vec<TopicInfo>>)>>,
    /// Timestamps of records, for lags in seconds.
    pub ages: super::groups::Ages,
}

/// The clusters of the settings, each with a name fit for a path.
pub fn clusters(settings: &[ClusterSettings]) -> Vec<Arc<Cluster>> {
    let mut clusters: Vec<Arc<Cluster>> = Vec::new();
    for (index, cluster) in settings.iter().enumerate() {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
        let mut slug: String = cluster.name.chars().map(plain).collect();
        if slug.trim_matches(['.', '-']).is_empty() || clusters.iter().any(|other| other.slug == slug) {
            slug = format!("cluster-{index}");
        }
        clusters.push(Arc::new(Cluster::new(slug, cluster)));
    }
    clusters
}

impl Cluster {
    fn new(slug: String, settings: &ClusterSettings) -> Cluster {
        let mut properties = settings.client.properties.clone();
        properties.set_default("request.timeout.ms", ANSWER_WAIT_MS);
        properties.set_default("default.api.timeout.ms", ANSWER_WAIT_MS);
        properties.set_default("socket.connection.setup.timeout.ms", CONNECT_WAIT_MS);
        properties.set("auto.offset.reset", "none");
        // It was read once with the same keys; what is set here are numbers.
        let config = ClientConfig::new(properties, "millrace-ui").unwrap_or_else(|_| settings.client.clone());
        Cluster {
            slug,
            name: settings.name.clone(),
            config,
            read_only: settings.read_only,
            turns: Arc::new(Semaphore::new(CALLS_MAX)),
            idle: Mutex::default(),
            topics: Mutex::default(),
            ages: super::groups::Ages::default(),
        }
    }

    /// Its name in paths.
    pub fn slug(&self) -> &str {
        &self.slug
    }

    /// Its name for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its bootstrap servers.
    pub fn bootstrap(&self) -> String {
        self.config.bootstrap_list()
    }

    /// Settings for clients of another kind.
    pub fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// Whether it may not be changed.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Asks the cluster on a thread for such calls. A connection that turns out to be gone is opened again, once.
    pub async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        mut call: impl FnMut(&mut Client) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Trouble> {
        self.on_a_thread(move |cluster| {
            if let Some(mut client) = cluster.take_idle() {
                match call(&mut client) {
                    Err(Trouble::Cluster(ClientError::Disconnected { .. })) => {}
                    result => return cluster.keep(client, result),
                }
            }
            let mut client = Client::new(cluster.config.clone());
            let result = call(&mut client);
            cluster.keep(client, result)
        })
        .await
    }

    /// Gives an order, once, over new connections.
    pub async fn order<T: Send + 'static>(
        self: &Arc<Self>,
        call: impl FnOnce(&mut Client) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Trouble> {
        let result = self.on_a_thread(move |cluster| call(&mut Client::new(cluster.config.clone()))).await;
        *lock(&self.topics) = None;
        result
    }

    /// All topics without their partitions, as they were a moment ago at most.
    pub async fn topics(self: &Arc<Self>) -> Result<Arc<Vec<TopicInfo>>, Trouble> {
        let known = lock(&self.topics).clone();
        if let Some((_, topics)) = known.filter(|(then, _)| then.elapsed() < TOPICS_FRESH) {
            return Ok(topics);
        }
        let mut topics = self.ask(|client| Ok(client.list_topics()?)).await?;
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        let topics = Arc::new(topics);
        *lock(&self.topics) = Some((Instant::now(), Arc::clone(&topics)));
        Ok(topics)
    }

    async fn on_a_thread<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Cluster) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Trouble> {
        let cluster = Arc::clone(self);
        let turn = Arc::clone(&self.turns).acquire_owned();
        let Ok(Ok(turn)) = tokio::time::timeout(TURN_WAIT, turn).await else {
            return Err(Trouble::Busy(format!(
                "cluster {} has {CALLS_MAX} questions of this UI that it has not answered yet; try again in a few seconds",
                self.name
            )));
        };
        // The thread keeps the turn, also when nobody waits for it any more.
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work(&cluster)
        });
        let done = done.await;
        done.unwrap_or_else(|_| Err(Trouble::Busy("the UI could not make this page; its log says why".to_owned())))
    }

    fn take_idle(&self) -> Option<Client> {
        let mut idle = lock(&self.idle);
        idle.retain(|(since, _)| since.elapsed() < IDLE_MAX);
        let (_, mut client) = idle.pop()?;
        client.forget_metadata();
        Some(client)
    }

    fn keep<T>(&self, client: Client, result: Result<T, Trouble>) -> Result<T, Trouble> {
        let is_sound = match &result {
            Err(Trouble::Cluster(error)) => error.code().is_some(),
            _ => true,
        };
        let mut idle = lock(&self.idle);
        if is_sound && idle.len() < CALLS_MAX {
            idle.push((Instant::now(), client));
        }
        result
    }
}

/// Nothing that may panic runs under these locks.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Properties;

    #[test]
    fn every_cluster_has_a_path_of_its_own() {
        let cluster = |name: &str| ClusterSettings {
            name: name.to_owned(),
            client: ClientConfig::new(Properties::from_pairs(["bootstrap.servers=a:1"]), "x").expect("valid"),
            read_only: false,
        };
        let names = ["local", "my cluster", "my/cluster", "..", "<script>"];
        let clusters = clusters(&names.map(cluster));
        let slugs: Vec<&str> = clusters.iter().map(|cluster| cluster.slug()).collect();
        assert_eq!(slugs, ["local", "my-cluster", "cluster-2", "cluster-3", "-script-"]);
    }
}
