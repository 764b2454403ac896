//! The HTTP port of a broker: what monitors ask for, and the web UI, which asks this broker as any other client does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;

use super::{Running, StartError};
use crate::client::{ClientConfig, Properties};
use crate::config::BrokerConfig;
use crate::http::{self, HttpState};
use crate::rest;
use crate::rt::control;
use crate::ui::{self, ClusterSettings, Ui, UiSettings};

/// Opens the HTTP port, if there is one. That comes before the broker starts, so that whoever finds the broker finds its pages as well.
pub(super) async fn bind_http(config: &BrokerConfig) -> Result<Option<TcpListener>, StartError> {
    let wanted = config.http_listener().map_err(|error| StartError(error.to_string()))?;
    let Some((host, port)) = wanted else { return Ok(None) };
    let failed = |error: std::io::Error| {
        StartError(format!(
            "millrace.http.listener={host}:{port} cannot be opened: {error}; choose another port, or leave it empty for none"
        ))
    };
    control::listen(&host, port).await.map(Some).map_err(failed)
}

/// Serves there from now on; the address.
pub(super) fn serve_http(
    listener: TcpListener,
    config: &BrokerConfig,
    state: &Arc<HttpState>,
    running: &Running,
) -> Result<SocketAddr, StartError> {
    let address = listener.local_addr().map_err(|error| StartError::from(("the HTTP port", error)))?;
    let pages = match config.millrace_ui_enable || config.millrace_rest_enable {
        true => Some(pages(config, running, start_ui(config, running, address)?)),
        false => None,
    };
    control::spawn(http::serve(listener, Arc::clone(state), pages));
    Ok(address)
}

/// What there is beside the monitors' paths.
fn pages(config: &BrokerConfig, running: &Running, ui: Arc<Ui>) -> Router {
    let pages = match config.millrace_ui_enable {
        true => ui::router(Arc::clone(&ui)),
        false => http::nothing_else(),
    };
    match config.millrace_rest_enable {
        true => pages.merge(rest::router(ui, Some(Arc::clone(&running.broker.metrics)))),
        false => pages,
    }
}

fn start_ui(config: &BrokerConfig, running: &Running, listener: SocketAddr) -> Result<Arc<Ui>, StartError> {
    let (_, broker) = running.started.listeners.first().expect("a broker has a listener");
    let mut properties = Properties::default();
    properties.set("bootstrap.servers", reachable(*broker).to_string());
    let client = ClientConfig::new(properties, "millrace-ui").map_err(|error| StartError(error.to_string()))?;
    let settings = UiSettings {
        clusters: vec![ClusterSettings { name: "millrace".to_owned(), client, read_only: false }],
        read_only: match config.millrace_ui_read_only.as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        },
        users_file: Some(&config.millrace_ui_users_file).filter(|path| !path.is_empty()).map(PathBuf::from),
        token: config.millrace_ui_token.clone().filter(|token| !token.is_empty()),
        listener,
        bench_dir: PathBuf::from(&config.millrace_ui_bench_dir),
    };
    let broker = (Arc::clone(&running.broker.metrics), Arc::clone(&running.broker.capture));
    Ui::new(settings, Some(broker)).map_err(|error| {
        StartError(format!("the web UI does not start: {error} (millrace.ui.enable=false and millrace.rest.enable=false start without it)"))
    })
}

/// Where a listener on all addresses is reached from this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
