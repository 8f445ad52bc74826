//! A thread that writes the access log, many lines at a time.
//!
//! A line waits some milliseconds at most, in memory. Where nobody takes what is written (a full pipe, a terminal that is
//! held), a megabyte waits, and then lines are lost rather than requests: the log says how many as soon as it goes on. What
//! can't be written at all (a full disk, nobody at the other end) is lost, as it always was. At an orderly end all is
//! written, unless nobody takes it for some seconds; a process that is killed loses what waits.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// So much may wait, in bytes.
const WAITING_MAX: usize = 1 << 20;

/// So long lines are gathered before they are written.
const GATHERED: Duration = Duration::from_millis(5);

/// So long the end waits for somebody who takes what is written.
const PATIENCE: Duration = Duration::from_secs(5);

/// The lines that wait, and who waits for them.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// There is something to write, or it is the end.
    wake: Condvar,
    /// All is written.
    done: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// How many lines found no room.
    lost: u64,
    /// The thread waits to be woken.
    is_idle: bool,
    is_ending: bool,
    /// The thread has written the last line.
    is_over: bool,
}

/// Where the log's lines go.
#[derive(Clone)]
pub(super) struct Lines(Arc<Shared>);

/// Writes what waits when it is dropped. Later lines are lost.
pub(in super::super) struct Written(Arc<Shared>);

/// Starts the thread. Where the system has none, lines go to standard error by themselves.
pub(super) fn begin() -> (Written, Lines) {
    let shared = Arc::new(Shared::default());
    let its_own = Arc::clone(&shared);
    let started = thread::Builder::new().name("access-log".to_owned()).spawn(move || write_all(&its_own));
    if started.is_err() {
        shared.state().is_over = true;
    }
    (Written(Arc::clone(&shared)), Lines(shared))
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lines that wait, once there are some; `None` at the end.
    fn next(&self, mut written: Vec<u8>) -> Option<Vec<u8>> {
        let mut state = self.state();
        loop {
            if !state.waiting.is_empty() {
                written.clear();
                mem::swap(&mut state.waiting, &mut written);
                return Some(written);
            }
            if state.is_ending {
                return None;
            }
            state.is_idle = true;
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.is_idle = false;
            if !state.is_ending {
                // One line seldom comes alone.
                drop(state);
                thread::sleep(GATHERED);
                state = self.state();
            }
        }
    }
}

fn write_all(shared: &Shared) {
    let mut lines = Vec::new();
    while let Some(next) = shared.next(lines) {
        lines = next;
        // What can't be written is lost.
        let _ = io::stderr().write_all(&lines);
        let lost = mem::take(&mut shared.state().lost);
        if lost > 0 {
            tracing::warn!(lost, "nobody took the log, and lines of it are lost");
        }
    }
    shared.state().is_over = true;
    shared.done.notify_all();
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Lines;

    fn make_writer(&'a self) -> &'a Lines {
        self
    }
}

impl Write for &Lines {
    /// One line, whole.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.state();
        if state.is_over {
            drop(state);
            return io::stderr().write(line);
        }
        if state.waiting.len() + line.len() > WAITING_MAX {
            state.lost += 1;
            return Ok(line.len());
        }
        state.waiting.extend_from_slice(line);
        if mem::take(&mut state.is_idle) {
            self.0.wake.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_ending = true;
        self.0.wake.notify_one();
        drop(self.0.done.wait_timeout_while(state, PATIENCE, |state| !state.is_over));
    }
}
