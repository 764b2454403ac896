//! What a user sees while runs are made: a progress bar with a live line on standard error, one line per run on standard output.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::bench::results::{Run, Severity};
use crate::bench::run::{Observer, Progress};
use crate::bench::session::Screen;
use crate::bench::units;
use crate::cli::interrupt::Interrupt;

/// Thousandths of a run in the bar.
const PARTS: u64 = 1000;

/// A terminal, or a file that lines are written to.
pub struct Terminal {
    interrupt: Interrupt,
    bar: ProgressBar,
    seconds_per_run: f64,
    runs_done: u64,
    name: String,
    printed_head: bool,
}

impl Terminal {
    /// A screen that ends when `interrupt` is set. The bar is drawn on terminals alone.
    pub fn new(interrupt: Interrupt) -> Terminal {
        let bar = if io::stderr().is_terminal() { ProgressBar::new(PARTS) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{elapsed_precise} [{bar:30}] {msg}");
        // The template is a constant; were it wrong, the default one would do.
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("=> "));
        }
        Terminal { interrupt, bar, seconds_per_run: 10.0, runs_done: 0, name: String::new(), printed_head: false }
    }

    /// Takes the bar away.
    pub fn finish(&mut self) {
        self.bar.finish_and_clear();
    }

    /// A line on standard output, above the bar.
    fn print(&self, line: &str) {
        self.bar.suspend(|| {
            // A reader that went away is no reason to lose the runs: the files are what counts.
            let _ = writeln!(io::stdout(), "{line}");
        });
    }
}

impl Observer for Terminal {
    fn window(&mut self, progress: &Progress) {
        let share = (progress.elapsed.as_secs_f64() / self.seconds_per_run).min(1.0);
        self.bar.set_position(self.runs_done * PARTS + (share * PARTS as f64) as u64);
        let phase = if progress.warming_up { "warming up" } else { "measuring" };
        let backlog = if progress.backlog > 0 { format!(", {} behind", progress.backlog) } else { String::new() };
        self.bar.set_message(format!(
            "{} | {phase} | {:.0} rec/s {:.1} MB/s | p50 {} p99 {} | broker {:.2} cores{backlog}",
            self.name,
            progress.records_s,
            progress.mb_s,
            units::time(progress.p50),
            units::time(progress.p99),
            progress.broker_cores,
        ));
    }

    fn is_interrupted(&self) -> bool {
        self.interrupt.is_set()
    }
}

impl Screen for Terminal {
    fn plan(&mut self, runs: usize, seconds: f64) {
        self.seconds_per_run = seconds.max(0.1);
        self.bar.set_length((self.runs_done + runs as u64) * PARTS);
        self.bar.enable_steady_tick(Duration::from_millis(200));
        let minutes = runs as f64 * seconds / 60.0;
        let time = if minutes < 2.0 { format!("{:.0} s", minutes * 60.0) } else { format!("{minutes:.0} min") };
        let noun = if runs == 1 { "run" } else { "runs" };
        self.print(&format!("{runs} {noun}, about {time}"));
    }

    fn begin(&mut self, system: &str, label: &str) {
        self.name = format!("{system} {label}");
        self.bar.set_message(self.name.clone());
    }

    fn end(&mut self, run: &Run) {
        self.runs_done += 1;
        self.bar.set_position(self.runs_done * PARTS);
        if !self.printed_head {
            self.printed_head = true;
            self.print(&format!(
                "{:<52} {:>10} {:>8} {:>9} {:>9} {:>9} {:>8}",
                "run", "records/s", "MB/s", "p50", "p99", "p99.9", "CPU s/GB"
            ));
        }
        let label: Vec<String> = run.varied.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let name = format!("{} {}", run.system, label.join(" "));
        let cpu = if run.broker.cpu_s > 0.0 { format!("{:.2}", run.broker.cpu_s_per_gb) } else { "-".to_owned() };
        let mark = if run.is_valid() { "" } else { "  INVALID" };
        self.print(&format!(
            "{name:<52} {:>10.0} {:>8.1} {:>9} {:>9} {:>9} {cpu:>8}{mark}",
            run.rates.records_s,
            run.rates.mb_s,
            units::time(run.latency.p50),
            units::time(run.latency.p99),
            units::time(run.latency.p999),
        ));
        for complaint in &run.complaints {
            if complaint.severity == Severity::Invalid {
                self.print(&format!("    {}: {}", complaint.kind, complaint.text));
            }
        }
        if let Some(verification) = run.verification.as_ref().filter(|it| !it.counts.is_clean()) {
            self.print(&format!("    {}", verification.text));
        }
    }

    fn note(&mut self, text: &str) {
        self.print(text);
    }
}
