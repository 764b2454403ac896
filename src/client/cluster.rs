//! The cluster as a client sees it: brokers, leaders, connections, and the retry that goes with stale knowledge.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::{ClientConfig, ClientError, Connection};
use crate::protocol::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use crate::protocol::{ErrorCode, Request};
use crate::wire::{KafkaString, Uuid};

/// One broker of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Its node id.
    pub id: i32,
    /// Host of the listener that serves us.
    pub host: String,
    /// Port of that listener.
    pub port: i32,
    /// Rack, if the broker has one.
    pub rack: Option<String>,
}

/// Leader of each partition of one topic: index is the partition, `None` where there is no leader now.
pub type Leaders = Vec<Option<i32>>;

/// A cluster, reached through its bootstrap servers.
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    connections: HashMap<i32, Connection>,
    bootstrap: Option<Connection>,
    brokers: BTreeMap<i32, Broker>,
    leaders: HashMap<String, Leaders>,
    topic_ids: HashMap<String, Uuid>,
}

impl Client {
    /// A client that connects when it is first used.
    pub fn new(config: ClientConfig) -> Self {
        Client {
            config,
            connections: HashMap::new(),
            bootstrap: None,
            brokers: BTreeMap::new(),
            leaders: HashMap::new(),
            topic_ids: HashMap::new(),
        }
    }

    /// The settings this client was made with.
    pub fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// Asks any broker, waiting up to `default.api.timeout.ms` for one to come up.
    pub fn call_any<R: Request>(&mut self, request: &R) -> Result<R::Response, ClientError> {
        let deadline = Instant::now() + self.config.api_timeout;
        loop {
            let connection = self.bootstrap_connection(deadline)?;
            match connection.call(request) {
                Err(error @ (ClientError::Disconnected { .. } | ClientError::Timeout { .. })) => {
                    self.bootstrap = None;
                    if Instant::now() >= deadline {
                        return Err(error);
                    }
                    thread::sleep(self.config.retry_backoff);
                }
                result => return result,
            }
        }
    }

    /// Asks one broker. Its address must be known or learnable from metadata.
    pub fn call_broker<R: Request>(&mut self, id: i32, request: &R) -> Result<R::Response, ClientError> {
        if self.config.to_controllers {
            return self.call_any(request);
        }
        let result = self.connection(id)?.call(request);
        if matches!(result, Err(ClientError::Disconnected { .. } | ClientError::Timeout { .. })) {
            self.forget(id);
        }
        result
    }

    /// The connection to broker `id`, opened if need be.
    pub fn connection(&mut self, id: i32) -> Result<&mut Connection, ClientError> {
        if !self.connections.contains_key(&id) {
            let connection = self.open(id)?;
            self.connections.insert(id, connection);
        }
        Ok(self.connections.get_mut(&id).expect("it was inserted above"))
    }

    /// Drops the connection to `id`, so that the next call opens a new one.
    pub fn forget(&mut self, id: i32) {
        self.connections.remove(&id);
    }

    /// The connection that `call_any` uses.
    pub fn any_connection(&mut self) -> Result<&mut Connection, ClientError> {
        self.bootstrap_connection(Instant::now() + self.config.api_timeout)
    }

    /// Brokers by id, asking the cluster the first time.
    pub fn brokers(&mut self) -> Result<&BTreeMap<i32, Broker>, ClientError> {
        if self.brokers.is_empty() {
            self.metadata(Some(&[]))?;
        }
        Ok(&self.brokers)
    }

    /// Metadata of the named topics (`None`: of all), taken over into what this client knows. Never creates topics.
    pub fn metadata(&mut self, topics: Option<&[&str]>) -> Result<MetadataResponse, ClientError> {
        self.fetch_metadata(topics, false)
    }

    /// Leaders of `topic`'s partitions, creating the topic if the cluster allows that, and waiting until it is there.
    pub fn leaders_or_create(&mut self, topic: &str, wait: Duration) -> Result<&Leaders, ClientError> {
        let deadline = Instant::now() + wait;
        while !self.leaders.contains_key(topic) {
            let response = self.fetch_metadata(Some(&[topic]), true)?;
            let code = response.topics.first().map_or(0, |topic| topic.error_code);
            let error = ClientError::from_code(code, None);
            match error {
                None => {}
                Some(error) if !error.is_retriable() => return Err(invalid_topic(topic, error)),
                Some(_) if Instant::now() >= deadline => {
                    let ms = wait.as_millis();
                    return Err(ClientError::Missing(format!("Topic {topic} not present in metadata after {ms} ms.")));
                }
                Some(_) => thread::sleep(self.config.retry_backoff),
            }
        }
        Ok(&self.leaders[topic])
    }

    /// Leaders of the partitions of an existing `topic`.
    pub fn leaders(&mut self, topic: &str) -> Result<&Leaders, ClientError> {
        if !self.leaders.contains_key(topic) {
            let response = self.retry(|client| {
                let response = client.metadata(Some(&[topic]))?;
                let code = response.topics.first().map_or(0, |topic| topic.error_code);
                if code == ErrorCode::UnknownTopicOrPartition.code() {
                    return Ok(response);
                }
                ClientError::check(code, None)?;
                Ok(response)
            })?;
            let code = response.topics.first().map_or(0, |topic| topic.error_code);
            ClientError::check(code, None)?;
        }
        Ok(&self.leaders[topic])
    }

    /// The leader of one partition, waiting for an election if need be.
    pub fn leader(&mut self, topic: &str, partition: i32) -> Result<i32, ClientError> {
        let index = usize::try_from(partition).unwrap_or(usize::MAX);
        self.retry(|client| {
            let leaders = client.leaders(topic)?;
            match leaders.get(index) {
                Some(Some(id)) => Ok(*id),
                Some(None) => {
                    client.leaders.remove(topic);
                    Err(server_error(ErrorCode::LeaderNotAvailable))
                }
                None => {
                    client.leaders.remove(topic);
                    Err(ClientError::Missing(format!("topic {topic} has no partition {partition}")))
                }
            }
        })
    }

    /// The id of `topic`, zero if it isn't known.
    pub fn topic_id(&self, topic: &str) -> Uuid {
        self.topic_ids.get(topic).copied().unwrap_or(Uuid::ZERO)
    }

    /// The topic that has this id.
    pub fn topic_of_id(&self, id: Uuid) -> Option<String> {
        self.topic_ids.iter().find(|(_, known)| **known == id).map(|(name, _)| name.clone())
    }

    /// Forgets the leaders of `topic`, so that they are asked for again.
    pub fn forget_leaders(&mut self, topic: &str) {
        self.leaders.remove(topic);
    }

    /// Forgets all that it knows of brokers and topics; the connections stay.
    pub fn forget_metadata(&mut self) {
        self.brokers.clear();
        self.leaders.clear();
        self.topic_ids.clear();
    }

    /// Runs `call` again after retriable errors, with growing pauses, until `default.api.timeout.ms` is over.
    pub fn retry<T>(&mut self, mut call: impl FnMut(&mut Client) -> Result<T, ClientError>) -> Result<T, ClientError> {
        let deadline = Instant::now() + self.config.api_timeout;
        let mut pause = self.config.retry_backoff.max(Duration::from_millis(1));
        loop {
            match call(self) {
                Err(error) if error.is_retriable() && Instant::now() + pause < deadline => {
                    thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
                result => return result,
            }
        }
    }

    fn fetch_metadata(&mut self, topics: Option<&[&str]>, create: bool) -> Result<MetadataResponse, ClientError> {
        let named = |name: &&str| MetadataRequestTopic {
            name: Some(KafkaString::from(name.to_string())),
            ..Default::default()
        };
        let request = MetadataRequest {
            topics: topics.map(|names| names.iter().map(named).collect()),
            allow_auto_topic_creation: create,
            ..Default::default()
        };
        let response = self.call_any(&request)?;
        self.take_over(&response);
        Ok(response)
    }

    fn take_over(&mut self, response: &MetadataResponse) {
        let broker = |b: &crate::protocol::metadata::MetadataResponseBroker| Broker {
            id: b.node_id,
            host: b.host.to_string(),
            port: b.port,
            rack: b.rack.as_ref().map(|rack| rack.to_string()),
        };
        self.brokers = response.brokers.iter().map(|b| (b.node_id, broker(b))).collect();
        for topic in &response.topics {
            let Some(name) = topic.name.as_ref().filter(|_| topic.error_code == 0) else { continue };
            let mut leaders: Leaders = vec![None; topic.partitions.len()];
            for partition in &topic.partitions {
                let slot = usize::try_from(partition.partition_index).ok().and_then(|index| leaders.get_mut(index));
                if let Some(slot) = slot {
                    *slot = Some(partition.leader_id).filter(|id| *id >= 0 && partition.error_code == 0);
                }
            }
            self.leaders.insert(name.to_string(), leaders);
            self.topic_ids.insert(name.to_string(), topic.topic_id);
        }
    }

    fn open(&mut self, id: i32) -> Result<Connection, ClientError> {
        if !self.brokers.contains_key(&id) {
            self.metadata(Some(&[]))?;
        }
        let Some(broker) = self.brokers.get(&id) else {
            return Err(ClientError::Missing(format!("broker {id} is not in the cluster")));
        };
        let address = host_port(&broker.host, broker.port);
        let config = &self.config;
        Connection::open(&address, config).map_err(|source| ClientError::Disconnected { address, source })
    }

    fn bootstrap_connection(&mut self, deadline: Instant) -> Result<&mut Connection, ClientError> {
        if self.bootstrap.is_none() {
            self.bootstrap = Some(self.open_bootstrap(deadline)?);
        }
        Ok(self.bootstrap.as_mut().expect("it was set above"))
    }

    /// Goes round the bootstrap servers until one answers. A cluster that is just starting is waited for, as Java does.
    fn open_bootstrap(&self, deadline: Instant) -> Result<Connection, ClientError> {
        let mut warned = false;
        loop {
            let mut last: Option<io::Error> = None;
            for address in &self.config.bootstrap_servers {
                match Connection::open(address, &self.config) {
                    Ok(connection) => return Ok(connection),
                    Err(error) => last = Some(error),
                }
            }
            let hopeless = last.as_ref().is_some_and(|error| error.kind() == io::ErrorKind::InvalidData);
            if hopeless || Instant::now() + self.config.retry_backoff >= deadline {
                return Err(ClientError::Unreachable {
                    addresses: self.config.bootstrap_list(),
                    timeout_ms: self.config.api_timeout.as_millis() as u64,
                    last,
                });
            }
            if let (false, Some(error)) = (warned, &last) {
                tracing::warn!(addresses = %self.config.bootstrap_list(), %error, "broker may not be available, trying again");
                warned = true;
            }
            thread::sleep(self.config.retry_backoff.max(Duration::from_millis(50)));
        }
    }
}

fn server_error(code: ErrorCode) -> ClientError {
    ClientError::Server { code, message: code.message().to_string() }
}

fn invalid_topic(topic: &str, error: ClientError) -> ClientError {
    match error.code() {
        Some(ErrorCode::InvalidTopicException) => ClientError::Missing(format!("Invalid topics: [{topic}]")),
        _ => error,
    }
}

/// `host:port`, with brackets round an IPv6 address.
pub(super) fn host_port(host: &str, port: i32) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
