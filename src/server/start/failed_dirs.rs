//! What happens when a log directory fails: the metrics and the controller hear of it, and the broker stops when it can't go on.
//!
//! As in Kafka it goes on with the other directories, until none is left or the one with the metadata log is gone. A stop is sudden:
//! what no disk takes any more stays in tail memory and in the write-ahead log for the next start.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Notify;

use super::StartError;
use crate::log::LogDirs;
use crate::metadata::ControllerHandle;
use crate::metrics::Metrics;
use crate::wire::Uuid;

/// Follows the log directories of a running broker.
pub(super) struct FailedDirs {
    log_dirs: Arc<LogDirs>,
    metadata_log_dir: PathBuf,
    controller: ControllerHandle,
    metrics: Arc<Metrics>,
    heard: Arc<Notify>,
    reported: Vec<Uuid>,
}

impl FailedDirs {
    /// Starts to listen.
    pub fn watch(
        log_dirs: &Arc<LogDirs>,
        metadata_log_dir: PathBuf,
        controller: &ControllerHandle,
        metrics: &Arc<Metrics>,
    ) -> FailedDirs {
        let heard = Arc::new(Notify::new());
        let hear = Arc::clone(&heard);
        log_dirs.on_failure(Box::new(move || hear.notify_one()));
        FailedDirs {
            log_dirs: Arc::clone(log_dirs),
            metadata_log_dir,
            controller: controller.clone(),
            metrics: Arc::clone(metrics),
            heard,
            reported: Vec::new(),
        }
    }

    /// Deals with failures; resolves when the broker can't go on.
    pub async fn fatal(&mut self) -> StartError {
        loop {
            if let Some(error) = self.why_not_go_on() {
                return error;
            }
            self.report().await;
            self.heard.notified().await;
        }
    }

    fn why_not_go_on(&self) -> Option<StartError> {
        let dirs = self.log_dirs.dirs();
        let failed = dirs.iter().filter_map(|dir| Some((dir, dir.failure()?)));
        let reasons: Vec<String> =
            failed.clone().map(|(dir, why)| format!("{}: {why}", dir.path().display())).collect();
        self.metrics.node.offline_log_directory_count.set(i64::try_from(reasons.len()).unwrap_or(i64::MAX));
        if reasons.len() == dirs.len() {
            return Some(StartError(format!(
                "the broker stops because every directory of log.dirs has failed ({}); mend the disk and start it again",
                reasons.join("; ")
            )));
        }
        let metadata = failed.clone().find(|(dir, _)| dir.path() == self.metadata_log_dir);
        metadata.map(|(dir, why)| {
            StartError(format!(
                "the broker stops because the directory of the metadata log has failed ({}: {why}); mend the disk and start it again",
                dir.path().display()
            ))
        })
    }

    /// Tells the controller, which then takes the leadership of the partitions there away.
    async fn report(&mut self) {
        let failed = self.log_dirs.dirs().iter().filter(|dir| dir.failure().is_some());
        let ids: Vec<Uuid> = failed.map(|dir| dir.directory_id()).filter(|id| *id != Uuid::ZERO).collect();
        if ids == self.reported {
            return;
        }
        match self.controller.report_offline_dirs(ids.clone()).await {
            Ok(()) => self.reported = ids,
            // It says so itself, and ends the process.
            Err(error) => tracing::debug!(%error, "the controller is gone"),
        }
    }
}
