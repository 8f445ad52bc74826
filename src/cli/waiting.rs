//! Waits until new runs have ended. Whatever ends the waiting, the runs go on.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::interrupt::{self, Interruptible};
use super::output::{BAD, GOOD, People, WARNING, count};
use super::progress::Gauge;
use super::{Failure, standings};
use crate::Plugin;
use crate::contract::{ErrorModel, NewRun, Standing, States, Triggered, count_states};

/// So many looks in a row may fail: a store is busy for a moment, or its server is started anew.
const FAILED_LOOKS: u32 = 5;

/// Where new runs stood when the waiting ended, and why it did.
pub(super) struct Waited {
    pub(super) runs: Vec<NewRun>,
    end: End,
}

enum End {
    /// All of them have ended.
    Over,
    TimeIsUp,
    /// Ctrl-C.
    Stopped,
}

/// Waits for new runs that were spawned just now.
pub(super) fn for_spawned(
    plugin: &Plugin,
    calls: &Interruptible,
    triggered: &[Triggered],
    operation_id: Option<&str>,
    timeout: Option<Duration>,
) -> Result<Waited, ErrorModel> {
    let pending = || Standing { phase: "pending".to_owned(), end_reason: None, exit_code: None };
    let runs = triggered.iter().map(|run| NewRun { run: run.clone(), standing: pending() }).collect();
    until_ended(plugin, calls, runs, operation_id, timeout).map_err(|error| {
        let again = operation_id.map(|id| format!(" with `bulk-rerun wait {id}`")).unwrap_or_default();
        let runs = count(triggered.len() as u64, "new run");
        let detail = format!(
            "{runs} spawned, and waiting failed: do not repeat the re-run, look for the new runs{again}. What failed is to \
             look where they stand: {}",
            error.detail
        );
        ErrorModel { detail, triggered: triggered.to_vec(), ..error }
    })
}

/// Waits until these runs have ended, the time is up, or Ctrl-C is pressed.
pub(super) fn until_ended(
    plugin: &Plugin,
    calls: &Interruptible,
    mut runs: Vec<NewRun>,
    operation_id: Option<&str>,
    timeout: Option<Duration>,
) -> Result<Waited, ErrorModel> {
    calls.only_note();
    let began = Instant::now();
    // A time that can't be counted never comes.
    let deadline = timeout.and_then(|timeout| began.checked_add(timeout));
    let mut gauge = Gauge::new(&runs);
    let mut failed_looks = 0;
    let end = loop {
        match look(plugin, operation_id, &mut runs) {
            Ok(()) => failed_looks = 0,
            Err(error) => {
                failed_looks += 1;
                if failed_looks == FAILED_LOOKS {
                    return Err(error);
                }
            }
        }
        gauge.show(&runs);
        if runs.iter().all(|run| run.standing.has_ended()) {
            break End::Over;
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            break End::TimeIsUp;
        }
        // Nobody learns of an end much later than after a tenth of the time that it has taken.
        let pause = (began.elapsed() / 10).clamp(Duration::from_millis(500), Duration::from_secs(5));
        if calls.comes_within(left.map_or(pause, |left| left.min(pause))) {
            break End::Stopped;
        }
    };
    Ok(Waited { runs, end })
}

/// Looks where those stand that have not ended.
fn look(plugin: &Plugin, operation_id: Option<&str>, runs: &mut [NewRun]) -> Result<(), ErrorModel> {
    let open: Vec<usize> = (0..runs.len()).filter(|&place| !runs[place].standing.has_ended()).collect();
    if open.is_empty() {
        return Ok(());
    }
    let asked: Vec<Triggered> = open.iter().map(|&place| runs[place].run.clone()).collect();
    let mut found = plugin.where_they_stand(&asked)?;
    let may_be_undone = |NewRun { standing, .. }: &NewRun| {
        standing.has_ended() && !(standing.has_succeeded() && standing.phase == "ended")
    };
    // Only the ledger knows which of those were taken back.
    if let Some(operation_id) = operation_id.filter(|_| found.iter().any(may_be_undone)) {
        match plugin.operation(operation_id) {
            Ok(operation) => {
                let whole = operation.runs.unwrap_or_default();
                let told = |(run, &place): (NewRun, &usize)| {
                    whole.get(place).filter(|told| told.run == run.run).cloned().unwrap_or(run)
                };
                found = found.into_iter().zip(&open).map(told).collect();
            }
            // It was pruned meanwhile.
            Err(error) if error.status == 404 => {}
            Err(error) => return Err(error),
        }
    }
    for (place, run) in open.into_iter().zip(found) {
        runs[place] = run;
    }
    Ok(())
}

impl Waited {
    pub(super) fn states(&self) -> States {
        count_states(self.runs.iter().map(|run| &run.standing))
    }

    fn not_succeeded(&self) -> impl Iterator<Item = &NewRun> {
        self.runs.iter().filter(|run| run.standing.has_ended() && !run.standing.has_succeeded())
    }

    /// The exit status, unless all is well.
    pub(super) fn status(&self) -> Option<ExitCode> {
        match self.end {
            End::Over if self.not_succeeded().next().is_none() => None,
            End::Over => Some(ExitCode::from(4)),
            End::TimeIsUp => Some(ExitCode::from(5)),
            End::Stopped => Some(ExitCode::from(interrupt::STATUS)),
        }
    }

    /// Says on standard error why the waiting is over before the runs are, and how to go on.
    pub(super) fn say_why(&self, operation_id: Option<&str>) {
        let why = match self.end {
            End::Over => return,
            End::TimeIsUp => "the time is up",
            // After the terminal's own ^C.
            End::Stopped => "\nno longer waiting",
        };
        let how = match operation_id {
            Some(id) => format!("to wait for them again: bulk-rerun wait {id}"),
            None => "with a ledger (bulk-rerun ledger create) they could be waited for again".to_owned(),
        };
        // Nothing is left to be done if even this can't be written.
        let _ = writeln!(anstream::stderr(), "{why}; the new runs go on ({how})");
    }

    /// How it came out, for people.
    pub(super) fn print(&self, out: &mut People) -> Result<(), Failure> {
        if self.runs.is_empty() {
            return Ok(());
        }
        let (all, states) = (count(self.runs.len() as u64, "new run"), standings::in_words(&self.states()));
        match (&self.end, self.not_succeeded().count()) {
            (End::Over, 0) => writeln!(out, "{GOOD}{all} succeeded{GOOD:#} ({states})")?,
            (End::Over, failed) => writeln!(out, "{BAD}{failed} of {all} did not succeed{BAD:#} ({states})")?,
            _ => writeln!(out, "{WARNING}{all} not waited for to the end{WARNING:#} ({states})")?,
        }
        let rest: Vec<&NewRun> = self.runs.iter().filter(|run| !run.standing.has_succeeded()).collect();
        if rest.is_empty() { Ok(()) } else { standings::print(out, rest) }
    }
}
