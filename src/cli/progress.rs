//! Shows that something goes on.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::contract::NewRun;

/// Does `work`; on a terminal a spinner with the time that has passed appears if it takes longer than a second.
pub(super) fn watch<T>(message: &'static str, work: impl FnOnce() -> T) -> T {
    if !io::stderr().is_terminal() {
        return work();
    }
    thread::scope(|scope| {
        let (done, wait) = mpsc::channel::<()>();
        scope.spawn(move || {
            if wait.recv_timeout(Duration::from_secs(1)) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let spinner = ProgressBar::new_spinner().with_message(message);
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
                spinner.set_style(style);
            }
            spinner.enable_steady_tick(Duration::from_millis(100));
            // Ends when `done` is dropped.
            let _ = wait.recv();
            spinner.finish_and_clear();
        });
        let result = work();
        drop(done);
        result
    })
}

/// How many new runs have ended, on standard error: a bar on a terminal, elsewhere a line for each change.
pub(super) struct Gauge {
    bar: Option<ProgressBar>,
    shown: String,
}

impl Gauge {
    pub(super) fn new(runs: &[NewRun]) -> Gauge {
        let bar = (io::stderr().is_terminal() && !runs.is_empty()).then(|| {
            let bar = ProgressBar::new(runs.len() as u64);
            if let Ok(style) = ProgressStyle::with_template("{bar:30} {msg}, {elapsed}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        Gauge { bar, shown: String::new() }
    }

    pub(super) fn show(&mut self, runs: &[NewRun]) {
        let number = |is: fn(&NewRun) -> bool| runs.iter().filter(|run| is(run)).count();
        let ended = number(|run| run.standing.has_ended());
        let failed = number(|run| run.standing.has_ended() && !run.standing.has_succeeded());
        let running = number(|run| run.standing.phase == "running");
        let pending = runs.len() - ended - running;
        let message =
            format!("{ended} of {} ended ({failed} failed), {running} running, {pending} pending", runs.len());
        if message == self.shown || runs.is_empty() {
            return;
        }
        match &self.bar {
            Some(bar) => {
                bar.set_position(ended as u64);
                bar.set_message(message.clone());
            }
            // Nothing is left to be done if even this can't be written.
            None => drop(writeln!(io::stderr(), "{message}")),
        }
        self.shown = message;
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
