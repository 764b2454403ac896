//! Accepting connections: one loop per listener and shard.

use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;

use super::client::ClientState;
use super::connection::{self, MovedConnection};
use super::limits::Admission;
use crate::metrics::ConnectionRefusal;
use crate::rt;
use crate::rt::net::Listener;
use crate::shard::Shard;

const RETRY_AFTER: Duration = Duration::from_millis(50);

/// Listens on a bound socket and starts accepting. The loop ends with the executor.
pub fn start(shard: &Rc<Shard>, name: Arc<str>, socket: OwnedFd) -> io::Result<()> {
    let listener = Listener::open(socket)?;
    let shard = Rc::clone(shard);
    rt::spawn_local(async move {
        while !shard.is_stopping() {
            accept_one(&shard, &name, &listener).await;
        }
    });
    Ok(())
}

async fn accept_one(shard: &Rc<Shard>, name: &Arc<str>, listener: &Listener) {
    let counts = &shard.broker.connections;
    if !counts.has_room() {
        shard.metrics().counters.connections_refused.increment(ConnectionRefusal::MaxConnections);
        while !counts.has_room() {
            rt::sleep(RETRY_AFTER).await;
        }
    }
    let delay = counts.creation_delay();
    if !delay.is_zero() {
        rt::sleep(delay).await;
    }
    match listener.accept().await {
        Ok((stream, peer)) => admit(shard, name, stream, peer),
        Err(error) => {
            // Out of descriptors, most likely: those of ended connections come back.
            tracing::warn!(listener = %name, %error, "a connection could not be accepted");
            rt::sleep(RETRY_AFTER).await;
        }
    }
}

fn admit(shard: &Rc<Shard>, name: &Arc<str>, stream: TcpStream, peer: std::net::SocketAddr) {
    let Admission::Admitted(slot) = shard.broker.connections.admit(peer.ip()) else {
        shard.metrics().counters.connections_refused.increment(ConnectionRefusal::MaxConnectionsPerIp);
        tracing::debug!(%peer, "connection closed: too many from this address (max.connections.per.ip)");
        return;
    };
    shard.metrics().counters.connections_accepted.increment();
    let client =
        ClientState { listener: Arc::clone(name), peer, slot: Some(slot), software: None, refusal_logged: false };
    let moved = MovedConnection { stream, unread: BytesMut::new(), client };
    rt::spawn_local(connection::serve(Rc::clone(shard), moved));
}
