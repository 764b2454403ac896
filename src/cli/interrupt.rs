//! Ctrl-C and SIGTERM for the tools that run until they are told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Becomes true when the user asks the tool to stop. Clones see the same request.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Starts to watch. The first signal asks politely; a second one ends the process.
    pub fn watch() -> Self {
        let interrupt = Interrupt::default();
        let seen = interrupt.clone();
        // Without this thread Ctrl-C simply ends the tool, so a failure to start it is no failure of the tool.
        let _ = thread::Builder::new().name("signals".to_string()).spawn(move || seen.wait_for_signals());
        interrupt
    }

    /// Whether somebody asked the tool to stop.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn wait_for_signals(&self) {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else { return };
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let (Ok(mut interrupts), Ok(mut terms)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                return;
            };
            loop {
                let code = tokio::select! {
                    _ = interrupts.recv() => 130,
                    _ = terms.recv() => 143,
                };
                if self.0.swap(true, Ordering::Relaxed) {
                    std::process::exit(code);
                }
            }
        });
    }
}
