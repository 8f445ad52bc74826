//! The calls that are at work on a plugin, so that closing it can wait for them.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{process, ptr};

/// The calls at work. It outlives the plugin by as long as the last call needs to say that it is over.
pub(super) struct Calls {
    at_work: Mutex<AtWork>,
    one_is_over: Condvar,
}

struct AtWork {
    /// The process whose threads they are: a forked child has none of its parent's.
    pid: u32,
    threads: Vec<ThreadMark>,
}

/// Tells this thread from every other one that is alive: where a variable of its own lies. (Asking
/// for `std::thread::current` would leave an allocation behind in each of the host's threads.)
type ThreadMark = usize;

fn this_thread() -> ThreadMark {
    thread_local!(static MARK: u8 = const { 0 });
    MARK.with(|mark| ptr::from_ref(mark).addr())
}

/// A call at work, until it is dropped.
pub(super) struct InFlight(Arc<Calls>);

impl Default for Calls {
    fn default() -> Self {
        let at_work = AtWork { pid: process::id(), threads: Vec::new() };
        Calls { at_work: Mutex::new(at_work), one_is_over: Condvar::new() }
    }
}

impl Calls {
    pub(super) fn enter(self: &Arc<Self>) -> InFlight {
        self.at_work().threads.push(this_thread());
        InFlight(self.clone())
    }

    /// Waits until no call is at work. False, at once, if one of this very thread is: it would wait for itself.
    pub(super) fn wait(&self) -> bool {
        let mut at_work = self.at_work();
        while !at_work.threads.is_empty() {
            if at_work.threads.contains(&this_thread()) {
                return false;
            }
            at_work = self.one_is_over.wait(at_work).unwrap_or_else(PoisonError::into_inner);
        }
        true
    }

    fn at_work(&self) -> MutexGuard<'_, AtWork> {
        let mut at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        let pid = process::id();
        if at_work.pid != pid {
            *at_work = AtWork { pid, threads: Vec::new() };
        }
        at_work
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut at_work = self.0.at_work();
        if let Some(index) = at_work.threads.iter().position(|&thread| thread == this_thread()) {
            at_work.threads.swap_remove(index);
        }
        drop(at_work);
        self.0.one_is_over.notify_all();
    }
}
