//! Listeners: where the broker binds and what it tells clients, from `listeners`, `advertised.listeners`,
//! `listener.security.protocol.map`, `controller.listener.names` and `inter.broker.listener.name`, with Apache Kafka's rules.

use std::collections::BTreeMap;
use std::fmt;

use super::broker::Roles;
use super::quorum::split_host_port;
use super::value::ConfigError;

/// How bytes travel on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecurityProtocol {
    /// Neither encrypted nor authenticated.
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL without TLS.
    SaslPlaintext,
    /// SASL over TLS.
    SaslSsl,
}

impl SecurityProtocol {
    /// The number used in the protocol and in registration records.
    pub fn id(self) -> i16 {
        match self {
            SecurityProtocol::Plaintext => 0,
            SecurityProtocol::Ssl => 1,
            SecurityProtocol::SaslPlaintext => 2,
            SecurityProtocol::SaslSsl => 3,
        }
    }

    /// Kafka's name.
    pub fn name(self) -> &'static str {
        match self {
            SecurityProtocol::Plaintext => "PLAINTEXT",
            SecurityProtocol::Ssl => "SSL",
            SecurityProtocol::SaslPlaintext => "SASL_PLAINTEXT",
            SecurityProtocol::SaslSsl => "SASL_SSL",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Plaintext, Self::Ssl, Self::SaslPlaintext, Self::SaslSsl];
        all.into_iter().find(|protocol| protocol.name() == name)
    }
}

/// A named address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Listener name in upper case.
    pub name: String,
    /// Host name or address without brackets. Empty: every address when binding, this machine's host name when advertised.
    pub host: String,
    /// Port; 0 lets the system choose when binding.
    pub port: u16,
    /// How bytes travel.
    pub protocol: SecurityProtocol,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Endpoint { name, host, port, .. } = self;
        if host.contains(':') { write!(f, "{name}://[{host}]:{port}") } else { write!(f, "{name}://{host}:{port}") }
    }
}

/// Every listener of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listeners {
    /// Bound for clients and other brokers.
    pub broker: Vec<Endpoint>,
    /// Bound for the controller role.
    pub controller: Vec<Endpoint>,
    /// What clients are told, of the broker listeners.
    pub advertised: Vec<Endpoint>,
    /// What other controllers are told.
    pub advertised_controller: Vec<Endpoint>,
    /// Name of the listener that brokers use among themselves.
    pub inter_broker: String,
    /// `controller.listener.names`, in their order.
    pub controller_names: Vec<String>,
}

/// The texts of the keys that govern listeners.
pub(super) struct ListenerKeys<'a> {
    pub roles: Roles,
    pub listeners: &'a [String],
    pub advertised: Option<&'a [String]>,
    /// `None` when the key is not set and its default stands.
    pub protocol_map: Option<&'a str>,
    pub default_protocol_map: &'a str,
    pub controller_names: &'a [String],
    pub inter_broker_name: Option<&'a str>,
    /// `None` when the key is not set.
    pub inter_broker_protocol: Option<&'a str>,
    pub early_start: Option<&'a [String]>,
}

impl Listeners {
    pub(super) fn from_keys(keys: &ListenerKeys<'_>) -> Result<Listeners, ConfigError> {
        let map = effective_protocol_map(keys)?;
        let bound = read_endpoints(keys.listeners, &map, Ports::Distinct)?;
        let advertised = match keys.advertised {
            Some(texts) => read_endpoints(texts, &map, Ports::Any)?,
            None => bound.clone(),
        };
        let is_controller = |endpoint: &Endpoint| keys.controller_names.contains(&endpoint.name);
        let (controller, broker): (Vec<_>, Vec<_>) = bound.into_iter().partition(is_controller);
        let (advertised_controller, advertised): (Vec<_>, Vec<_>) = advertised.into_iter().partition(is_controller);
        let find = |list: &[Endpoint], name: &str| list.iter().find(|one| one.name.eq_ignore_ascii_case(name)).cloned();
        let names = keys.controller_names.iter();
        let advertised_controller =
            names.filter_map(|name| find(&advertised_controller, name).or_else(|| find(&controller, name))).collect();
        let listeners = Listeners {
            broker,
            controller,
            advertised,
            advertised_controller,
            inter_broker: inter_broker_name(keys, &map)?,
            controller_names: keys.controller_names.to_vec(),
        };
        listeners.check_roles(keys, &map)?;
        listeners.check_early_start(keys)?;
        listeners.check_offered()?;
        Ok(listeners)
    }

    /// Every bound listener, brokers' first.
    pub fn bound(&self) -> impl Iterator<Item = &Endpoint> {
        self.broker.iter().chain(&self.controller)
    }

    fn check_roles(&self, keys: &ListenerKeys<'_>, map: &ProtocolMap) -> Result<(), ConfigError> {
        match (keys.roles.broker, keys.roles.controller) {
            (true, false) => self.check_broker_only(map)?,
            (false, _) if !self.broker.is_empty() => {
                return Err(ConfigError::rule(
                    "The listeners config must only contain KRaft controller listeners from controller.listener.names when \
                     process.roles=controller",
                ));
            }
            _ => self.check_controller()?,
        }
        if keys.roles.broker {
            self.check_advertised()?;
        }
        if self.advertised.iter().chain(&self.advertised_controller).any(|endpoint| endpoint.host == "0.0.0.0") {
            return Err(ConfigError::rule(
                "advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. Use a routable IP address.",
            ));
        }
        Ok(())
    }

    fn check_broker_only(&self, map: &ProtocolMap) -> Result<(), ConfigError> {
        if !self.controller.is_empty() {
            return Err(ConfigError::rule(
                "controller.listener.names must not contain a value appearing in the 'listeners' configuration when running \
                 KRaft with just the broker role",
            ));
        }
        match self.controller_names.iter().find(|name| !map.contains_key(&name.to_uppercase())) {
            Some(name) => Err(ConfigError::rule(format!(
                "Controller listener with name {} defined in controller.listener.names not found in \
                 listener.security.protocol.map  (an explicit security mapping for each controller listener is required if \
                 listener.security.protocol.map is non-empty, or if there are security protocols other than PLAINTEXT in use)",
                name.to_uppercase()
            ))),
            None => Ok(()),
        }
    }

    fn check_controller(&self) -> Result<(), ConfigError> {
        if self.advertised_controller.is_empty() {
            return Err(ConfigError::rule(
                "controller.listener.names must contain at least one value appearing in the 'listeners' configuration when \
                 running the KRaft controller role",
            ));
        }
        let is_bound = |name: &String| self.bound().any(|endpoint| endpoint.name == *name);
        if !self.controller_names.iter().all(is_bound) {
            return Err(ConfigError::rule(
                "controller.listener.names must only contain values appearing in the 'listeners' configuration when running \
                 the KRaft controller role",
            ));
        }
        Ok(())
    }

    fn check_advertised(&self) -> Result<(), ConfigError> {
        let names =
            |list: &mut dyn Iterator<Item = &Endpoint>| list.map(|one| one.name.as_str()).collect::<Vec<_>>().join(",");
        let advertised = names(&mut self.advertised.iter());
        if self.advertised.is_empty() {
            return Err(ConfigError::rule(
                "There must be at least one broker advertised listener. Perhaps all listeners appear in \
                 controller.listener.names?",
            ));
        }
        if !self.advertised.iter().any(|endpoint| endpoint.name == self.inter_broker) {
            return Err(ConfigError::rule(format!(
                "inter.broker.listener.name must be a listener name defined in advertised.listeners. The valid options based on \
                 currently configured listeners are {advertised}"
            )));
        }
        if !self.advertised.iter().all(|one| self.bound().any(|bound| bound.name == one.name)) {
            return Err(ConfigError::rule(format!(
                "advertised.listeners listener names must be equal to or a subset of the ones defined in listeners. Found \
                 {advertised}. The valid options based on the current configuration are {}",
                names(&mut self.bound())
            )));
        }
        Ok(())
    }

    fn check_early_start(&self, keys: &ListenerKeys<'_>) -> Result<(), ConfigError> {
        let is_known = |name: &str| {
            self.bound().any(|endpoint| endpoint.name == name) || self.controller_names.iter().any(|one| one == name)
        };
        match keys.early_start.unwrap_or_default().iter().find(|name| !is_known(name)) {
            Some(name) => Err(ConfigError::rule(format!(
                "early.start.listeners contains listener {name}, but this is not contained in listeners or \
                 controller.listener.names"
            ))),
            None => Ok(()),
        }
    }

    /// What is valid in Apache Kafka and not yet built here.
    fn check_offered(&self) -> Result<(), ConfigError> {
        match self.bound().find(|endpoint| endpoint.protocol != SecurityProtocol::Plaintext) {
            Some(endpoint) => Err(ConfigError::rule(format!(
                "listener {endpoint} uses the security protocol {}, which Millrace does not offer yet: map it to PLAINTEXT in \
                 listener.security.protocol.map",
                endpoint.protocol.name()
            ))),
            None => Ok(()),
        }
    }
}

type ProtocolMap = BTreeMap<String, SecurityProtocol>;

fn protocol_from(name: &str, key: &str) -> Result<SecurityProtocol, ConfigError> {
    SecurityProtocol::from_name(name)
        .ok_or_else(|| ConfigError::rule(format!("Invalid security protocol `{name}` defined in {key}")))
}

/// The map as given; or its default plus PLAINTEXT for the controller listeners, unless a TLS or SASL name is in use.
fn effective_protocol_map(keys: &ListenerKeys<'_>) -> Result<ProtocolMap, ConfigError> {
    const KEY: &str = "listener.security.protocol.map";
    let mut map = ProtocolMap::new();
    let text = keys.protocol_map.unwrap_or(keys.default_protocol_map);
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let (name, protocol) = entry.rsplit_once(':').ok_or_else(|| {
            ConfigError::rule(format!(
                "Error parsing configuration property '{KEY}': '{entry}' should be name:protocol"
            ))
        })?;
        map.insert(name.trim().to_uppercase(), protocol_from(protocol.trim(), KEY)?);
    }
    if keys.protocol_map.is_some() {
        return Ok(map);
    }
    let is_secured = |name: &str| matches!(name, "SSL" | "SASL_SSL" | "SASL_PLAINTEXT");
    let listener_name = |text: &String| text.split("://").next().unwrap_or_default().to_uppercase();
    let secured = keys.controller_names.iter().any(|name| is_secured(name))
        || keys.listeners.iter().any(|text| is_secured(&listener_name(text)));
    if !secured {
        map.extend(keys.controller_names.iter().map(|name| (name.clone(), SecurityProtocol::Plaintext)));
    }
    Ok(map)
}

fn inter_broker_name(keys: &ListenerKeys<'_>, map: &ProtocolMap) -> Result<String, ConfigError> {
    match (keys.inter_broker_name, keys.inter_broker_protocol) {
        (Some(_), Some(_)) => Err(ConfigError::rule(
            "Only one of inter.broker.listener.name and security.inter.broker.protocol should be set.",
        )),
        (Some(name), None) => {
            let name = name.to_uppercase();
            if !map.contains_key(&name) {
                return Err(ConfigError::rule(format!(
                    "Listener with name {name} defined in inter.broker.listener.name not found in \
                     listener.security.protocol.map."
                )));
            }
            Ok(name)
        }
        (None, protocol) => {
            let protocol = protocol.unwrap_or(SecurityProtocol::Plaintext.name());
            Ok(protocol_from(protocol, "security.inter.broker.protocol")?.name().to_owned())
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Ports {
    Distinct,
    Any,
}

fn read_endpoints(texts: &[String], map: &ProtocolMap, ports: Ports) -> Result<Vec<Endpoint>, ConfigError> {
    let all = format!("[{}]", texts.join(", "));
    let refuse = |reason: String| ConfigError::rule(format!("Error creating broker listeners from '{all}': {reason}"));
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for text in texts {
        let endpoint = read_endpoint(text, map).map_err(refuse)?;
        if endpoints.iter().any(|other| other.name == endpoint.name) {
            return Err(refuse(format!("Each listener must have a different name, listeners: {all}")));
        }
        endpoints.push(endpoint);
    }
    if ports == Ports::Distinct {
        check_ports(&endpoints, &all).map_err(refuse)?;
    }
    Ok(endpoints)
}

/// Reads `NAME://host:port`.
fn read_endpoint(text: &str, map: &ProtocolMap) -> Result<Endpoint, String> {
    let unreadable = || format!("Unable to parse {text} to a broker endpoint");
    let (name, address) = text.split_once("://").ok_or_else(unreadable)?;
    let (host, port) = split_host_port(address).ok_or_else(unreadable)?;
    let name = name.to_uppercase();
    let protocol = *map.get(&name).ok_or_else(|| format!("No security protocol defined for listener {name}"))?;
    Ok(Endpoint { name, host: host.to_owned(), port, protocol })
}

/// Two listeners may share a port only if one is on an IPv4 and the other on an IPv6 address.
fn check_ports(endpoints: &[Endpoint], all: &str) -> Result<(), String> {
    for endpoint in endpoints.iter().filter(|endpoint| endpoint.port != 0) {
        let port = endpoint.port;
        let same_port: Vec<&Endpoint> = endpoints.iter().filter(|other| other.port == port).collect();
        let is_v4 = |endpoint: &&&Endpoint| endpoint.host.parse::<std::net::Ipv4Addr>().is_ok();
        let is_v6 = |endpoint: &&&Endpoint| endpoint.host.parse::<std::net::Ipv6Addr>().is_ok();
        let v4 = same_port.iter().filter(is_v4).count();
        let v6 = same_port.iter().filter(is_v6).count();
        match (same_port.len(), v4 + v6) {
            (1, _) => {}
            (2, 2) if v4 == 1 => {}
            (count, addresses) if count - addresses > 1 => {
                return Err(format!("Each listener must have a different port, listeners: {all}"));
            }
            (_, 0..=2) => {
                return Err(format!(
                    "If you have two listeners on the same port then one needs to be IPv4 and the other IPv6, listeners: {all}, \
                     port: {port}"
                ));
            }
            _ => {
                return Err(format!(
                    "Each listener must have a different port unless exactly one listener has an IPv4 address and the other IPv6 \
                     address, listeners: {all}, port: {port}"
                ));
            }
        }
    }
    Ok(())
}
