//! The loop: one thread, one epoll, every connection.

use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::connection::Connection;
use crate::cpu;
use crate::die;
use crate::plan::{Mode, Plan, Report};

/// What is counted from the end of the warm-up on.
struct Measured {
    since: Instant,
    broker: Duration,
    client: Duration,
    requests: u64,
    bytes: u64,
}

struct Runner<'a> {
    plan: &'a Plan,
    epoll: RawFd,
    connections: Vec<Connection>,
    start: Instant,
    latency: Histogram<u64>,
    queued: u64,
    requests: u64,
    bytes: u64,
    measured: Option<Measured>,
}

/// Runs the plan to its end.
pub fn run(port: u16, plan: &Plan, ends: Option<Vec<i64>>) -> Report {
    // SAFETY: no pointers are involved.
    let epoll = unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, 1);
        libc::epoll_create1(0)
    };
    let connections: Vec<_> =
        (0..plan.connections).map(|index| Connection::new(port, index, plan, ends.as_deref())).collect();
    for (index, connection) in connections.iter().enumerate() {
        watch(epoll, libc::EPOLL_CTL_ADD, connection.fd(), index, libc::EPOLLIN);
    }
    let latency = Histogram::new_with_bounds(100, 600_000_000_000, 3);
    let mut runner = Runner {
        plan,
        epoll,
        connections,
        start: Instant::now(),
        latency: latency.unwrap_or_else(|_| die("histogram bounds")),
        queued: 0,
        requests: 0,
        bytes: 0,
        measured: None,
    };
    match plan.mode {
        Mode::Hold => runner.hold(),
        _ if plan.acks == 0 && plan.mode == Mode::Produce => runner.unanswered(),
        _ if plan.rate > 0.0 => runner.open_loop(),
        _ => runner.closed_loop(),
    }
    runner.report()
}

fn watch(epoll: RawFd, operation: i32, fd: RawFd, index: usize, events: i32) {
    let mut event = libc::epoll_event { events: events as u32, u64: index as u64 };
    // SAFETY: the event lives until the call returns.
    unsafe { libc::epoll_ctl(epoll, operation, fd, &mut event) };
}

impl Runner<'_> {
    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Starts to measure once the warm-up is over; true when the run is over.
    fn progress(&mut self) -> bool {
        let Some(measured) = &self.measured else {
            if self.bytes >= self.plan.warmup_bytes {
                self.latency.reset();
                self.measured = Some(self.snapshot());
            }
            return false;
        };
        self.bytes - measured.bytes >= self.plan.bytes
    }

    fn snapshot(&self) -> Measured {
        Measured {
            since: Instant::now(),
            broker: cpu_of(self.plan.pid),
            client: cpu_of(std::process::id() as i32),
            requests: self.requests,
            bytes: self.bytes,
        }
    }

    /// Keeps every window full.
    fn closed_loop(&mut self) {
        for index in 0..self.connections.len() {
            self.fill(index);
        }
        while !self.progress() {
            for (index, readable) in self.wait(None) {
                if readable {
                    self.receive(index);
                }
                self.fill(index);
            }
        }
    }

    fn fill(&mut self, index: usize) {
        let now = self.now();
        let connection = &mut self.connections[index];
        while connection.in_flight.len() < self.plan.in_flight {
            connection.queue(self.plan, now);
        }
        self.flush(index);
    }

    /// Sends requests when they are due, whatever the answers do; one that finds the window full
    /// waits, and its latency counts from when it was due.
    fn open_loop(&mut self) {
        let interval = 1e9 / self.plan.rate;
        let mut due_next = 0.0;
        while !self.progress() {
            let now = self.now();
            while due_next <= now as f64 {
                let index = self.queued as usize % self.connections.len();
                self.connections[index].backlog.push_back(due_next as u64);
                self.queued += 1;
                due_next += interval;
                self.fill_due(index);
            }
            let pause = Duration::from_nanos((due_next - self.now() as f64).max(0.0) as u64);
            for (index, readable) in self.wait(Some(pause)) {
                if readable {
                    self.receive(index);
                }
                self.fill_due(index);
            }
        }
    }

    fn fill_due(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        while connection.in_flight.len() < self.plan.in_flight {
            let Some(due) = connection.backlog.pop_front() else { break };
            connection.queue(self.plan, due);
        }
        self.flush(index);
    }

    /// acks=0: nothing is answered, so the sockets' own back pressure is the window.
    fn unanswered(&mut self) {
        let batch = self.plan.batch.bytes.len() as u64;
        while !self.progress() {
            for index in 0..self.connections.len() {
                if self.connections[index].blocked {
                    continue;
                }
                let now = self.now();
                self.connections[index].queue(self.plan, now);
                self.connections[index].in_flight.clear();
                self.requests += 1;
                self.bytes += batch;
                self.flush(index);
            }
            if self.connections.iter().all(|connection| connection.blocked) {
                for (index, _) in self.wait(None) {
                    self.flush(index);
                }
            }
        }
    }

    fn hold(&mut self) {
        self.measured = Some(self.snapshot());
        std::thread::sleep(Duration::from_secs(self.plan.seconds));
    }

    fn receive(&mut self, index: usize) {
        let now = self.now();
        let latency = &mut self.latency;
        let answered = self.connections[index].receive(self.plan, |since| {
            latency.saturating_record(now.saturating_sub(since));
        });
        self.requests += answered.requests;
        self.bytes += answered.bytes;
    }

    /// Sends, and watches for room only while there is none.
    fn flush(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        let was_blocked = connection.blocked;
        connection.flush(self.plan);
        if connection.blocked != was_blocked {
            let room = if connection.blocked { libc::EPOLLOUT } else { 0 };
            watch(self.epoll, libc::EPOLL_CTL_MOD, connection.fd(), index, libc::EPOLLIN | room);
        }
    }

    /// Connections that can be read or written, and whether they can be read.
    fn wait(&self, pause: Option<Duration>) -> Vec<(usize, bool)> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 128];
        let pause = pause
            .map(|pause| libc::timespec { tv_sec: pause.as_secs() as i64, tv_nsec: i64::from(pause.subsec_nanos()) });
        let timeout = pause.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the kernel writes at most as many events as the array has; the timeout lives
        // until the call returns.
        let count = unsafe {
            libc::epoll_pwait2(self.epoll, events.as_mut_ptr(), events.len() as i32, timeout, std::ptr::null())
        };
        let ready = &events[..count.max(0) as usize];
        let readable = libc::EPOLLIN | libc::EPOLLHUP | libc::EPOLLERR;
        ready.iter().map(|event| (event.u64 as usize, event.events as i32 & readable != 0)).collect()
    }

    fn report(self) -> Report {
        let end = self.snapshot();
        let measured = self.measured.unwrap_or_else(|| die("the run ended within its warm-up"));
        let bytes = end.bytes - measured.bytes;
        let batches = bytes / self.plan.batch.bytes.len() as u64;
        Report {
            requests: end.requests - measured.requests,
            bytes,
            bytes_in_all: end.bytes,
            records: batches * u64::from(self.plan.batch.records),
            elapsed: end.since - measured.since,
            broker: end.broker.saturating_sub(measured.broker),
            client: end.client.saturating_sub(measured.client),
            resident_bytes: cpu::resident_bytes(self.plan.pid).unwrap_or(0),
            latency: self.latency,
            backlog: self.connections.iter().map(|connection| connection.backlog.len() as u64).sum(),
        }
    }
}

fn cpu_of(pid: i32) -> Duration {
    if pid == 0 {
        return Duration::ZERO;
    }
    cpu::of_process(pid).unwrap_or_else(|| die(&format!("no processor time of process {pid}")))
}
