//! A stand-in for a runner's worker: it carries out what is pending in a store of RunWisp's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Store;

/// Works until it is dropped.
pub struct Worker {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// The runs of these tasks fail with exit code 3; all others succeed.
    pub fn on(store: &Store, failing: &'static [&'static str]) -> Worker {
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, connection) = (Arc::clone(&is_over), store.open());
        let thread = thread::spawn(move || {
            let failing = failing.iter().map(|task| format!("'{task}'")).collect::<Vec<_>>().join(", ");
            let begin = "UPDATE runs SET status = 'running' WHERE status = 'pending'";
            let end = format!(
                "UPDATE runs SET status = 'ended',
                        end_reason = iif(task_name IN ({failing}), 'failed', 'success'),
                        exit_code = iif(task_name IN ({failing}), 3, 0)
                 WHERE status = 'running'"
            );
            while !over.load(Ordering::SeqCst) {
                connection.execute(begin, []).unwrap();
                thread::sleep(Duration::from_millis(20));
                connection.execute(&end, []).unwrap();
            }
        });
        Worker { is_over, thread: Some(thread) }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let worked = self.thread.take().map(JoinHandle::join);
        // A failure of its own is the test's; two panics at once would hide both.
        assert!(thread::panicking() || worked.is_none_or(|worked| worked.is_ok()), "the worker failed");
    }
}
