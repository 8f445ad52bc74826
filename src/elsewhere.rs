//! Work on a thread of its own that asks back on the caller's.
//!
//! A connection to a server is driven by a runtime of its own, and tokio starts none on a thread that is in one already. So
//! a caller in a runtime waits here, and does meanwhile what only its own thread may do: its predicates and callbacks.

use std::any::Any;
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::sync_channel;
use std::{io, thread};

use tracing::{Span, dispatcher};

use crate::contract::{ErrorModel, Run};

/// Asks the caller about a run.
pub(crate) type Ask<'a, Answer> = dyn FnMut(Cow<'_, Run>) -> Answer + 'a;

pub(crate) fn no_questions(_: Cow<'_, Run>) {}

/// Does `work` where it may wait for a server: not on a thread that is in a runtime, since what drives a connection is a
/// runtime of its own, and there can't be two.
pub(crate) fn blocking<Answer: Send, T: Send>(
    has_server: bool,
    work: impl FnOnce(&mut Ask<'_, Answer>) -> Result<T, ErrorModel> + Send,
    mut here: impl FnMut(Cow<'_, Run>) -> Answer,
) -> Result<T, ErrorModel> {
    if !(has_server && in_a_runtime()) {
        return work(&mut here);
    }
    elsewhere(|ask| work(&mut |run| ask(run.into_owned())), |run| here(Cow::Owned(run))).unwrap_or_else(|error| {
        Err(ErrorModel::new(
            503,
            format!("there is no thread to speak with the server on: {error}; nothing was changed"),
        ))
    })
}

/// Does `work` on another thread. What it asks through its argument, `here` answers on this one. A panic on either side
/// ends both, and goes on here. Logs go where this thread's go.
///
/// # Errors
///
/// The system has no more threads.
fn elsewhere<Question: Send, Answer: Send, T: Send>(
    work: impl FnOnce(&mut dyn FnMut(Question) -> Answer) -> T + Send,
    mut here: impl FnMut(Question) -> Answer,
) -> io::Result<T> {
    let (ask, questions) = sync_channel(0);
    let (reply, answers) = sync_channel(0);
    let (span, log) = (Span::current(), dispatcher::get_default(Clone::clone));
    let mut ask_here = move |question| {
        let answer = ask.send(question).ok().and_then(|()| answers.recv().ok());
        // Nobody is there any more who could use what comes of the work: `here` has panicked.
        answer.unwrap_or_else(|| resume_unwind(Box::new("nobody answers")))
    };
    thread::scope(|scope| {
        let working = thread::Builder::new()
            .name("bulk_rerun".to_owned())
            .spawn_scoped(scope, move || dispatcher::with_default(&log, || span.in_scope(|| work(&mut ask_here))))?;
        let answered = catch_unwind(AssertUnwindSafe(|| {
            while let Ok(question) = questions.recv() {
                // Only a panic on the other side keeps an answer from being taken.
                let _ = reply.send(here(question));
            }
        }));
        drop((questions, reply));
        let worked: Result<T, Box<dyn Any + Send>> = working.join();
        answered.and(worked).map_or_else(|panic| resume_unwind(panic), Ok)
    })
}

/// Whether this thread is in a runtime, which a connection's own can't be started in.
#[cfg(any(feature = "postgres", feature = "daemon"))]
fn in_a_runtime() -> bool {
    tokio::runtime::Handle::try_current().is_ok()
}

#[cfg(not(any(feature = "postgres", feature = "daemon")))]
fn in_a_runtime() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread::current;

    use super::*;

    fn words_of_the_panic<T>(work: impl FnOnce() -> T) -> String {
        let panic = catch_unwind(AssertUnwindSafe(work)).err().expect("a panic");
        panic.downcast_ref::<&str>().map(|words| (*words).to_owned()).expect("words")
    }

    #[test]
    fn questions_are_answered_on_the_callers_thread() {
        let here = current().id();
        let mut asked = 0;
        let work = |double: &mut dyn FnMut(u32) -> u32| ((1..=100).map(double).sum::<u32>(), current().id());
        let (sum, there) = elsewhere(work, |number| {
            assert_eq!(current().id(), here);
            asked += 1;
            number * 2
        })
        .expect("a thread");
        assert_eq!((sum, asked), (10_100, 100));
        assert_ne!(there, here);
    }

    #[test]
    fn a_panic_there_goes_on_here() {
        let panics = || elsewhere(|_: &mut dyn FnMut(())| panic!("there"), |()| ());
        assert_eq!(words_of_the_panic(panics), "there");
    }

    #[test]
    fn a_panic_here_ends_the_work_before_it_goes_on() {
        struct Ended<'a>(&'a AtomicBool);
        impl Drop for Ended<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let (ended, went_on) = (AtomicBool::new(false), AtomicBool::new(false));
        let work = |ask: &mut dyn FnMut(())| {
            let _ended = Ended(&ended);
            ask(());
            went_on.store(true, Ordering::Relaxed);
        };
        assert_eq!(words_of_the_panic(|| elsewhere(work, |()| panic!("here"))), "here");
        assert!(ended.into_inner() && !went_on.into_inner());
    }
}
