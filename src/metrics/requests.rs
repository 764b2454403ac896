//! Requests by API: counts, bytes, errors, total time. Kept per shard, rendered as `kafka_network_requestmetrics_*`.

use std::sync::OnceLock;

use super::instrument::{Counter, Histogram, HistogramSum};

/// API keys have room up to here.
pub(super) const APIS: usize = 128;
/// Error codes from -1 up have room up to here.
pub(super) const ERRORS: usize = 192;

/// The place of fetches by followers; those of clients stand at the key of Fetch.
pub const FETCH_FROM_FOLLOWER: usize = APIS - 1;

/// The time of a request, from its last byte in to its answer handed to the socket.
#[derive(Clone, Copy, Debug)]
pub struct RequestTime {
    /// All of it.
    pub total_ns: u64,
    /// Until it had to wait for something: the device, another shard, records to come. All of it, if it never had to.
    pub local_ns: u64,
}

/// Requests of one API on one shard.
#[derive(Debug, Default)]
pub(super) struct ApiMetrics {
    pub(super) requests: Counter,
    pub(super) request_bytes: Counter,
    pub(super) response_bytes: Counter,
    pub(super) total_time: Histogram,
    pub(super) local_time: Histogram,
    pub(super) remote_time: Histogram,
    pub(super) errors: OnceLock<Box<[Counter]>>,
}

/// Requests of one shard by API key. An API costs memory from its first request on.
#[derive(Debug)]
pub struct RequestMetrics {
    apis: Box<[OnceLock<Box<ApiMetrics>>]>,
}

impl Default for RequestMetrics {
    fn default() -> Self {
        RequestMetrics { apis: (0..APIS).map(|_| OnceLock::new()).collect() }
    }
}

impl RequestMetrics {
    /// Counts an answered request.
    #[inline]
    pub fn record(&self, api_key: usize, request_bytes: u64, response_bytes: u64, time: RequestTime) {
        let api = self.api(api_key);
        api.requests.increment();
        api.request_bytes.add(request_bytes);
        api.response_bytes.add(response_bytes);
        api.total_time.record_ns(time.total_ns);
        api.local_time.record_ns(time.local_ns);
        api.remote_time.record_ns(time.total_ns.saturating_sub(time.local_ns));
    }

    /// Counts an error code in an answer; Kafka counts one per code and answer.
    pub fn record_error(&self, api_key: usize, error_code: i16) {
        let errors = self.api(api_key).errors.get_or_init(|| (0..ERRORS).map(|_| Counter::default()).collect());
        let index = usize::try_from(i32::from(error_code) + 1).unwrap_or(0).min(ERRORS - 1);
        errors[index].increment();
    }

    #[inline]
    fn api(&self, api_key: usize) -> &ApiMetrics {
        self.apis[api_key.min(APIS - 1)].get_or_init(Box::default)
    }

    /// The APIs that had requests.
    pub(super) fn seen(&self) -> impl Iterator<Item = (usize, &ApiMetrics)> {
        self.apis.iter().enumerate().filter_map(|(key, api)| Some((key, &**api.get()?)))
    }
}

/// One API added up over the shards.
#[derive(Clone, Debug, Default)]
pub(super) struct ApiSum {
    pub(super) requests: u64,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    pub(super) total_time: HistogramSum,
    pub(super) local_time: HistogramSum,
    pub(super) remote_time: HistogramSum,
    /// By error code + 1.
    pub(super) errors: Vec<u64>,
}

impl ApiSum {
    pub(super) fn add(&mut self, api: &ApiMetrics) {
        self.requests += api.requests.get();
        self.request_bytes += api.request_bytes.get();
        self.response_bytes += api.response_bytes.get();
        api.total_time.add_to(&mut self.total_time);
        api.local_time.add_to(&mut self.local_time);
        api.remote_time.add_to(&mut self.remote_time);
        let Some(errors) = api.errors.get() else { return };
        self.errors.resize(ERRORS, 0);
        for (sum, error) in self.errors.iter_mut().zip(errors) {
            *sum += error.get();
        }
    }
}
