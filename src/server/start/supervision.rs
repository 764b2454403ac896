//! What the broker and those who look after it tell each other while it runs: SIGHUP, and systemd's readiness and watchdog
//! (`Type=notify`, sd_notify(3)). Without systemd its part is silent.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use super::audience::Audience;
use crate::config::{BrokerConfig, Properties};
use crate::metadata::ControllerHandle;
use crate::rt::mesh;
use crate::shard::{ShardRequest, ask_all};

/// Reads the configuration anew, from where it came from.
pub type Reread = Box<dyn Fn() -> Result<Properties, String>>;

/// Tells the service manager that clients are served.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Tells it that the end has begun.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Tells it why there is no broker, or no longer one.
pub fn failed(sentence: &str) {
    // A line each is what the protocol takes.
    tell(&[NotifyState::Status(&sentence.replace('\n', " "))]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd does not hear of it");
    }
}

/// The watchdog of systemd: it hears from the broker as long as every shard answers.
pub(super) struct Watchdog {
    /// `None`: nobody watches.
    beat: Option<Interval>,
}

impl Watchdog {
    pub fn new() -> Watchdog {
        let period = sd_notify::watchdog_enabled().map(|limit| limit / 2).filter(|period| !period.is_zero());
        let beat = period.map(|period| {
            let mut beat = interval(period);
            beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
            beat
        });
        Watchdog { beat }
    }

    /// Ends when it is time to look after the shards again; never if nobody watches.
    pub async fn beat(&mut self) -> Duration {
        match &mut self.beat {
            Some(beat) => {
                beat.tick().await;
                beat.period()
            }
            None => std::future::pending().await,
        }
    }
}

/// Tells the watchdog that all is well if every shard answers in time.
pub(super) async fn look_after(shards: &[mesh::Sender<ShardRequest>], patience: Duration) {
    for (shard, answer) in ask_all(shards, ShardRequest::Ping).into_iter().enumerate() {
        if timeout(patience, answer).await.is_err() {
            tracing::error!(shard, "a shard does not answer: the watchdog is not told that all is well");
            return;
        }
    }
    tell(&[NotifyState::Watchdog]);
}

/// Brings the keys that may change to what the configuration says now.
pub(super) async fn reload(reread: &Reread, audience: &Audience, controller: &ControllerHandle) {
    let Some(config) = audience.config() else { return };
    let reload = match reread().and_then(|texts| config.reload(texts).map_err(|error| error.to_string())) {
        Ok(reload) => reload,
        Err(error) => {
            tracing::error!(error, "SIGHUP: the configuration is wrong, everything stays as it is");
            return;
        }
    };
    if !reload.need_restart.is_empty() {
        let keys = reload.need_restart.join(", ");
        tracing::warn!(keys, "SIGHUP: these keys have other values now, which the next start brings into force");
    }
    if reload.changed.is_empty() {
        tracing::info!("SIGHUP: no key has changed that may change while the broker runs");
        return;
    }
    audience.reconfigure(&reload.config).await;
    let of_controller: BrokerConfig = reload.config;
    // A controller that has stopped ends the process.
    let _ = controller.call(move |controller| controller.set_config(of_controller)).await;
    tracing::info!(keys = reload.changed.join(", "), "SIGHUP: these keys have their new values");
}
