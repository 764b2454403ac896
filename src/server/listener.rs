//! Accepting connections: one loop per listener and shard.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;

use super::client::ClientState;
use super::connection::{self, MovedConnection};
use super::limits::{Admission, Slot};
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
    let delay = counts.creation_delay();
    if !delay.is_zero() {
        rt::sleep(delay).await;
    }
    let (stream, peer) = match listener.accept().await {
        Ok(accepted) => accepted,
        Err(error) => {
            // Out of descriptors, most likely: those of ended connections come back.
            tracing::warn!(listener = %name, %error, "a connection could not be accepted");
            shard.metrics().counters.connections_refused.increment(ConnectionRefusal::Resources);
            rt::sleep(RETRY_AFTER).await;
            return;
        }
    };
    // A full broker keeps the one that came waiting, and those behind it in the backlog, as Kafka does.
    let mut admission = counts.admit(peer.ip());
    if matches!(admission, Admission::NoRoom) {
        shard.metrics().counters.connections_refused.increment(ConnectionRefusal::MaxConnections);
    }
    while matches!(admission, Admission::NoRoom) && !shard.is_stopping() {
        rt::sleep(RETRY_AFTER).await;
        admission = counts.admit(peer.ip());
    }
    let Admission::Admitted(slot) = admission else {
        shard.metrics().counters.connections_refused.increment(ConnectionRefusal::MaxConnectionsPerIp);
        tracing::debug!(%peer, "connection closed: too many from this address (max.connections.per.ip)");
        return;
    };
    serve(shard, name, stream, peer, slot);
}

fn serve(shard: &Rc<Shard>, name: &Arc<str>, stream: TcpStream, peer: SocketAddr, slot: Slot) {
    shard.metrics().counters.connections_accepted.increment();
    let listed = Some(shard.broker.metrics.connections.list(peer, name, rt::clock::now_ms()));
    let client = ClientState { listener: Arc::clone(name), peer, slot: Some(slot), software: None, listed };
    let moved = MovedConnection { stream, unread: BytesMut::new(), client };
    rt::spawn_local(connection::serve(Rc::clone(shard), moved));
}
