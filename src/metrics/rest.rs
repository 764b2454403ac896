//! Requests of the REST API by method, path and status. The path is that of the route, with the names of its parts instead of them:
//! as many series as there are routes, whatever is asked for.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::instrument::{Histogram, HistogramSum, Kind};
use super::table::Row;

/// Rows of the metrics by route.
pub(super) const REST_ROWS: [Row; 2] = [
    Row {
        name: "millrace_rest_requests",
        kind: Kind::Counter,
        help: "requests at /v3 of the HTTP port; the path is that of the route, and other where there is none",
    },
    Row {
        name: "millrace_rest_request_time_ms",
        kind: Kind::Histogram,
        help: "time from the head of a request at /v3 to the head of its answer: a stream of records answers with its first report",
    },
];

/// Methods with a label of their own; anybody may send any word.
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
/// The label of methods and paths that are not known here.
const OTHER: &str = "other";

/// Requests of the REST API.
#[derive(Debug, Default)]
pub struct RestMetrics(Mutex<BTreeMap<(&'static str, String), Route>>);

/// Requests of one method and path.
#[derive(Debug, Default)]
struct Route {
    by_status: BTreeMap<u16, u64>,
    time: Histogram,
}

/// One method and path, for a scrape.
pub(super) struct RouteSum {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) by_status: BTreeMap<u16, u64>,
    pub(super) time: HistogramSum,
}

impl RestMetrics {
    /// Counts an answered request; `path` is that of its route, if it has one.
    pub fn record(&self, method: &str, path: Option<&str>, status: u16, time: Duration) {
        let method = METHODS.into_iter().find(|known| *known == method).unwrap_or(OTHER);
        let mut routes = self.routes();
        let route = routes.entry((method, path.unwrap_or(OTHER).to_owned())).or_default();
        *route.by_status.entry(status).or_default() += 1;
        route.time.record_ns(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// All routes that were asked for.
    pub(super) fn sums(&self) -> Vec<RouteSum> {
        let sum = |((method, path), route): (&(&'static str, String), &Route)| {
            let mut time = HistogramSum::default();
            route.time.add_to(&mut time);
            RouteSum { method, path: path.clone(), by_status: route.by_status.clone(), time }
        };
        self.routes().iter().map(sum).collect()
    }

    fn routes(&self) -> MutexGuard<'_, BTreeMap<(&'static str, String), Route>> {
        // Nothing in here can be left half done by a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_strangers_make_no_series() {
        let metrics = RestMetrics::default();
        for number in 0..1000 {
            metrics.record(&format!("M{number}"), None, 405, Duration::from_millis(1));
        }
        metrics.record("GET", Some("/v3/clusters"), 200, Duration::from_millis(1));
        metrics.record("GET", Some("/v3/clusters"), 401, Duration::from_millis(1));
        let sums = metrics.sums();
        let seen: Vec<_> = sums.iter().map(|it| (it.method, it.path.as_str(), it.time.count())).collect();
        assert_eq!(seen, [("GET", "/v3/clusters", 2), (OTHER, OTHER, 1000)]);
        assert_eq!(sums[0].by_status, [(200, 1), (401, 1)].into());
    }
}
