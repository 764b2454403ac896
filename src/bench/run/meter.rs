//! What the broker and the machine did in the measured part of a run.

use std::time::{Duration, Instant};

use crate::bench::probe::{CostMeter, CostSample, Disturbance, MachineSample, cost_between, mount_of};
use crate::bench::results::BrokerCost;
use crate::bench::target::Target;

/// Looks at the broker's process and at the machine.
pub struct Meter {
    cost: CostMeter,
    device: Option<String>,
    begin: Option<(CostSample, MachineSample)>,
    last: (Instant, Duration),
}

/// What it saw.
pub struct Seen {
    from: CostSample,
    to: CostSample,
    /// What spoils a measurement.
    pub disturbance: Disturbance,
}

impl Meter {
    /// A meter for this broker.
    pub fn new(target: &Target) -> Meter {
        let mut cost = CostMeter::new(target.pid());
        let spent = cost.glance(target.pid()).cpu;
        let device = target.data_dir().and_then(|dir| mount_of(&dir).ok()).and_then(|mount| mount.block_device());
        Meter { cost, device, begin: None, last: (Instant::now(), spent) }
    }

    /// The measured part begins.
    pub fn begin(&mut self, target: &Target) {
        let cost = self.cost.sample(target.pid(), target.http());
        let machine = MachineSample::take(self.device.as_deref(), cost.process.cpu);
        self.begin = Some((cost, machine));
    }

    /// Cores that the broker kept busy since the last look.
    pub fn cores(&mut self, target: &Target) -> f64 {
        let now = Instant::now();
        let spent = self.cost.glance(target.pid()).cpu;
        let (at, before) = std::mem::replace(&mut self.last, (now, spent));
        spent.saturating_sub(before).as_secs_f64() / now.duration_since(at).as_secs_f64().max(1e-6)
    }

    /// The measured part is over.
    pub fn end(&mut self, target: &Target) -> Seen {
        let to = self.cost.sample(target.pid(), target.http());
        let machine = MachineSample::take(self.device.as_deref(), to.process.cpu);
        let (from, before) = self.begin.take().unwrap_or_else(|| (to.clone(), machine.clone()));
        Seen { disturbance: machine.since(&before), from, to }
    }
}

impl Seen {
    /// The costs, for so much work.
    pub fn cost(&self, records: u64, bytes: u64) -> BrokerCost {
        cost_between(&self.from, &self.to, records, bytes)
    }
}
