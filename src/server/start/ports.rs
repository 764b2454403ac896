//! The broker's ports: bound early, so that a busy one is known before anything is touched; opened last.

use std::net::{IpAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::StartError;
use crate::config::{BrokerConfig, Endpoint as ListenerEndpoint};
use crate::metadata::Endpoint;
use crate::rt::control;
use crate::rt::net::BoundListener;
use crate::shard::{Broker, Network, ShardRequest};

/// A listener of the configuration, bound.
pub(super) struct Bound {
    pub endpoint: ListenerEndpoint,
    pub listener: BoundListener,
}

pub(super) fn bind_all(config: &BrokerConfig, shards: usize) -> Result<Vec<Bound>, StartError> {
    config.listeners.bound().map(|endpoint| bind(endpoint, shards)).collect()
}

fn bind(endpoint: &ListenerEndpoint, shards: usize) -> Result<Bound, StartError> {
    let host = if endpoint.host.is_empty() { "0.0.0.0" } else { &endpoint.host };
    let address = (host, endpoint.port).to_socket_addrs().ok().and_then(|mut found| found.next());
    let address = address.ok_or_else(|| {
        StartError(format!(
            "the listener {endpoint} names no address of this machine; give an IP address or a name that resolves"
        ))
    })?;
    let listener = BoundListener::bind(address, shards).map_err(|error| {
        let mend = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "another process listens there; stop it, or choose another port in `listeners`"
            }
            std::io::ErrorKind::AddrNotAvailable => {
                "it is not an address of this machine; `listeners` takes 0.0.0.0 for all"
            }
            std::io::ErrorKind::PermissionDenied => {
                "ports below 1024 need privileges; choose a higher one in `listeners`"
            }
            _ => "see `listeners`",
        };
        StartError(format!("the listener {endpoint} cannot be bound: {error}; {mend}"))
    })?;
    Ok(Bound { endpoint: endpoint.clone(), listener })
}

/// What clients are told: the advertised host, or this machine's name; port 0 becomes the port that was bound.
pub(super) fn endpoints(advertised: &[ListenerEndpoint], bound: &[Bound]) -> Vec<Endpoint> {
    let endpoint = |advertised: &ListenerEndpoint| {
        let own = bound.iter().find(|bound| bound.endpoint.name == advertised.name);
        let port = match (advertised.port, own) {
            (0, Some(own)) => own.listener.address().port(),
            (port, _) => port,
        };
        Endpoint {
            name: advertised.name.clone().into(),
            host: if advertised.host.is_empty() { host_name() } else { advertised.host.clone() }.into(),
            port,
            security_protocol: advertised.protocol.id(),
        }
    };
    advertised.iter().map(endpoint).collect()
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    if name.is_empty() { IpAddr::from([127, 0, 0, 1]).to_string() } else { name }
}

pub(super) fn listen(broker: &Arc<Broker>, bound: Vec<Bound>) -> Result<(), StartError> {
    let mut per_shard: Vec<Vec<(Arc<str>, OwnedFd)>> = broker.shards.iter().map(|_| Vec::new()).collect();
    for bound in bound {
        let name: Arc<str> = bound.endpoint.name.as_str().into();
        for (nth, socket) in bound.listener.into_sockets().into_iter().enumerate() {
            per_shard[nth].push((Arc::clone(&name), socket));
        }
    }
    for (shard, sockets) in broker.shards.iter().zip(per_shard) {
        let (reply, answer) = oneshot::channel();
        shard.send_blocking(ShardRequest::Listen(sockets, reply));
        match control::block_on(answer) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(StartError::from(("a listener cannot be opened", error))),
            Err(_) => return Err(StartError("a shard ended early".to_owned())),
        }
    }
    Ok(())
}

/// Kafka's default of `socket.send.buffer.bytes` and `socket.receive.buffer.bytes`.
const SOCKET_BUFFER_BYTES: i32 = 102_400;

pub(super) fn network(config: &BrokerConfig) -> Network {
    // A fixed size switches the kernel's own tuning off and cuts every answer of 64 KiB and more into pieces that wait for each
    // other (1 MiB fetches: 0.17 s of processor time for each GB, 0.10 without). So the default means the system's choice.
    let buffer = |bytes: i32| usize::try_from(bytes).ok().filter(|_| bytes != SOCKET_BUFFER_BYTES);
    Network {
        request_bytes_max: usize::try_from(config.socket_request_max_bytes).unwrap_or(0),
        send_buffer_bytes: buffer(config.socket_send_buffer_bytes),
        receive_buffer_bytes: buffer(config.socket_receive_buffer_bytes),
    }
}
