//! What a run costs: of the broker's process and of the machine, read from `/proc` between two points in time.
//!
//! | file | what it reads |
//! |---|---|
//! | `process` | processor time, context switches, bytes to and from the device of one process |
//! | `machine` | what spoils a measurement: stolen time, jumps of the clock, a slow device, other processes; and what the machine is |
//! | `mounts` | which file system and device a directory is on |
//! | `scrape` | the metrics of a Millrace: processor time by stage, system calls |

mod machine;
mod mounts;
mod process;
mod scrape;

pub use machine::{Disturbance, MachineSample, describe, memory_bytes};
pub use mounts::{Mount, mount_of};
pub use process::ProcessSample;
pub use scrape::{Scraped, http_get, io_backend, scrape};

use std::net::SocketAddr;
use std::time::Instant;

use super::results::BrokerCost;

/// What a broker has spent since its start, and a Millrace's own account of it.
#[derive(Clone, Debug)]
pub struct CostSample {
    /// When.
    pub at: Instant,
    /// From `/proc`.
    pub process: ProcessSample,
    /// From `/metrics`; empty where there is none.
    pub scraped: Scraped,
}

/// Follows the cost of one broker through its restarts: what it says only grows.
#[derive(Debug, Default)]
pub struct CostMeter {
    pid: Option<u32>,
    /// What processes that are gone had spent when they were looked at last.
    before: ProcessSample,
    scraped_before: Scraped,
    latest: ProcessSample,
    latest_scraped: Scraped,
}

impl CostMeter {
    /// A meter of a process on this machine; of none, all costs are zero.
    pub fn new(pid: Option<u32>) -> CostMeter {
        CostMeter { pid, ..CostMeter::default() }
    }

    /// Looks at the process alone: cheap, for every second of a run. `pid` is the broker's now, which a restart changes.
    pub fn glance(&mut self, pid: Option<u32>) -> ProcessSample {
        if pid != self.pid {
            self.before = self.before.plus(&self.latest);
            self.scraped_before.add(&self.latest_scraped);
            self.latest = ProcessSample::default();
            self.latest_scraped = Scraped::default();
            self.pid = pid;
        }
        // A process that is dead or being started says nothing: the last word counts.
        if let Some(sample) = self.pid.and_then(ProcessSample::of) {
            self.latest = sample;
        }
        self.before.plus(&self.latest)
    }

    /// Looks at the process and, if it is a Millrace, at its metrics: for the ends of a measured stretch.
    pub fn sample(&mut self, pid: Option<u32>, http: Option<SocketAddr>) -> CostSample {
        let process = self.glance(pid);
        if let Some(scraped) = http.and_then(|address| scrape(address).ok()) {
            self.latest_scraped = scraped;
        }
        let mut scraped = self.scraped_before.clone();
        scraped.add(&self.latest_scraped);
        CostSample { at: Instant::now(), process, scraped }
    }
}

/// What a broker spent between two looks, in which clients produced `records` and moved `bytes` of keys and values (both ways).
pub fn cost_between(from: &CostSample, to: &CostSample, records: u64, bytes: u64) -> BrokerCost {
    let process = to.process.minus(&from.process);
    let scraped = to.scraped.since(&from.scraped);
    let cpu_s = process.cpu.as_secs_f64();
    let per = |amount: f64| if amount > 0.0 { cpu_s / amount } else { 0.0 };
    BrokerCost {
        cpu_s,
        cpu_s_per_gb: per(bytes as f64 / 1e9),
        cpu_s_per_million: per(records as f64 / 1e6),
        cores: per(to.at.duration_since(from.at).as_secs_f64()),
        stages: scraped.stages_of(cpu_s),
        disk_write_bytes: process.write_bytes,
        disk_read_bytes: process.read_bytes,
        voluntary_switches: process.voluntary_switches,
        involuntary_switches: process.involuntary_switches,
        system_calls: process.system_calls + scraped.system_calls,
        resident_bytes: to.process.resident_bytes,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn costs_are_per_what_was_moved() {
        let at = Instant::now();
        let from = CostSample { at, process: ProcessSample::default(), scraped: Scraped::default() };
        let process = ProcessSample {
            cpu: Duration::from_secs(3),
            write_bytes: 500,
            system_calls: 7,
            resident_bytes: 1 << 20,
            ..ProcessSample::default()
        };
        let scraped = Scraped { system_calls: 5, ..Scraped::default() };
        let to = CostSample { at: at + Duration::from_secs(2), process, scraped };
        let cost = cost_between(&from, &to, 6_000_000, 1_500_000_000);
        assert_eq!((cost.cpu_s, cost.cpu_s_per_gb, cost.cpu_s_per_million, cost.cores), (3.0, 2.0, 0.5, 1.5));
        assert_eq!((cost.disk_write_bytes, cost.system_calls, cost.resident_bytes), (500, 12, 1 << 20));
        let idle = cost_between(&from, &to, 0, 0);
        assert_eq!((idle.cpu_s_per_gb, idle.cpu_s_per_million), (0.0, 0.0));
    }

    #[test]
    fn a_meter_goes_on_through_a_restart() {
        let mut meter = CostMeter::new(Some(std::process::id()));
        let first = meter.glance(Some(std::process::id()));
        assert!(first.resident_bytes > 0);
        // Nobody there: what was spent stays spent.
        let gone = meter.glance(None);
        assert_eq!(gone.cpu, first.cpu);
        let back = meter.glance(Some(std::process::id()));
        assert!(back.cpu >= first.cpu * 2, "the same process counts as a new one");
    }

    #[test]
    fn a_broker_elsewhere_costs_nothing() {
        let mut meter = CostMeter::new(None);
        let (from, to) = (meter.sample(None, None), meter.sample(None, None));
        assert_eq!(cost_between(&from, &to, 1, 1), BrokerCost::default());
    }
}
