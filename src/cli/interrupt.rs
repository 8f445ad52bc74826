//! Ctrl-C. The first one stops a search, and nothing is changed; a spawn is finished first, and it says so; of a waiting it
//! is the end, and the new runs go on. A second one ends the tool at once.

use std::io::{self, Write};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use signal_hook::consts::SIGINT;
use signal_hook::flag;
use signal_hook::iterator::Signals;

use crate::contract::{BulkRerunBody, ErrorModel, Request};
use crate::{Cancel, Plugin};

/// The exit status of what was interrupted, as a shell has it.
pub(super) const STATUS: u8 = 130;

const INTERRUPTED: &str = "interrupted; nothing was changed";

/// From now on a second Ctrl-C ends the process at once, as a first one does elsewhere.
pub(super) fn let_a_second_one_end() -> io::Result<()> {
    let was_pressed = Arc::new(AtomicBool::new(false));
    // In this order: the first one finds the flag not set yet.
    flag::register_conditional_default(SIGINT, Arc::clone(&was_pressed))?;
    flag::register(SIGINT, was_pressed)?;
    Ok(())
}

/// What a first Ctrl-C does.
enum Doing {
    /// It ends the tool, since nothing was changed so far.
    Nothing,
    /// It stops a call, as long as that only searches; this one may do more.
    Call { cancel: Cancel, spawns: bool },
    /// It is only noted: what was to be done is done, or under way, and is told in a moment.
    Telling,
}

/// Calls that Ctrl-C may stop.
pub(super) struct Interruptible {
    doing: Arc<Mutex<Doing>>,
    stopped: Arc<AtomicBool>,
    /// Those that came too late to stop anything.
    late: Receiver<()>,
}

/// Why there is no answer.
pub(super) enum NoAnswer {
    Failed(ErrorModel),
    Interrupted(ErrorModel),
}

impl Interruptible {
    /// Takes Ctrl-C over.
    pub(super) fn begin() -> Result<Interruptible, ErrorModel> {
        Interruptible::begin_or_fail()
            .map_err(|error| ErrorModel::new(500, format!("Ctrl-C can't be taken over: {error}; nothing was changed")))
    }

    fn begin_or_fail() -> io::Result<Interruptible> {
        let_a_second_one_end()?;
        let (too_late, late) = mpsc::channel();
        let this = Interruptible { doing: Arc::new(Mutex::new(Doing::Nothing)), stopped: Arc::default(), late };
        let (doing, stopped) = (Arc::clone(&this.doing), Arc::clone(&this.stopped));
        let mut signals = Signals::new([SIGINT])?;
        thread::spawn(move || signals.forever().for_each(|_| pressed(&doing, &stopped, &too_late)));
        Ok(this)
    }

    /// From now on a first Ctrl-C ends nothing by itself.
    pub(super) fn only_note(&self) {
        *lock(&self.doing) = Doing::Telling;
    }

    /// Waits so long for a Ctrl-C, and tells whether one came, now or when it was too late to stop a spawn.
    pub(super) fn comes_within(&self, pause: Duration) -> bool {
        self.late.recv_timeout(pause).is_ok()
    }

    /// Does a call, which Ctrl-C stops as long as it searches.
    pub(super) fn call(&self, plugin: &Plugin, request: &Request) -> Result<BulkRerunBody, NoAnswer> {
        let cancel = Cancel::new();
        *lock(&self.doing) = Doing::Call { cancel: cancel.clone(), spawns: !request.options.dry_run };
        let answer = plugin.rerun_unless(&cancel, request);
        let has_spawned = answer.as_ref().is_ok_and(|body| !body.triggered.is_empty());
        *lock(&self.doing) = if has_spawned { Doing::Telling } else { Doing::Nothing };
        answer.map_err(|error| match self.stopped.load(Ordering::SeqCst) {
            true => NoAnswer::Interrupted(ErrorModel::new(503, INTERRUPTED)),
            false => NoAnswer::Failed(error),
        })
    }
}

fn pressed(doing: &Mutex<Doing>, stopped: &AtomicBool, too_late: &Sender<()>) {
    // At the tool's very end nobody hears it any more.
    let note = || {
        let _ = too_late.send(());
    };
    let (cancel, spawns) = match &*lock(doing) {
        Doing::Nothing => end(),
        Doing::Call { cancel, spawns } => (cancel.clone(), *spawns),
        Doing::Telling => return note(),
    };
    stopped.store(true, Ordering::SeqCst);
    // It may wait for the store's server, and the lock is not held meanwhile.
    if !cancel.cancel() {
        if !spawns {
            end();
        }
        stopped.store(false, Ordering::SeqCst);
        note();
        say("the new runs are being started, and that is finished first; Ctrl-C once more ends it at once");
    }
}

fn end() -> ! {
    say(INTERRUPTED);
    process::exit(STATUS.into())
}

fn say(words: &str) {
    // After the terminal's own ^C. Nothing is left to be done if even this can't be written.
    let _ = writeln!(io::stderr(), "\n{words}");
}

fn lock(doing: &Mutex<Doing>) -> MutexGuard<'_, Doing> {
    doing.lock().unwrap_or_else(PoisonError::into_inner)
}
