//! What happened: every task at its time, the ordinary troubles, the bad night, and since.

use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;
use ulid::Ulid;

use super::eras::{DOWNTIME, Eras};
use super::tasks::{Ending, OUT_OF_MEMORY, SERVICES, Schedule, Service, TASKS, Task};
use super::zone::Zone;

/// The same history for everybody.
const SEED: u64 = 0x0B1A_C0FF_EE00;

/// After a failure the daemon waits this long, then twice as long, and so on.
pub(super) const RETRY_DELAY: TimeDelta = TimeDelta::minutes(10);
pub(super) const RESTART_DELAY: TimeDelta = TimeDelta::minutes(5);
const RESTART_DELAY_MAX: TimeDelta = TimeDelta::minutes(15);

/// Somebody found this task's failure in the morning and started it again.
const RERUN_BY_HAND: &str = "expire-vouchers";
/// Somebody is at it right now.
const RUNNING_AGAIN: &str = "update-search-index";
/// Somebody has just asked for it.
const JUST_ASKED_FOR: &str = "export-customer-data";

/// What happens rarely, to any task, in ten thousand runs; the rest goes as it should.
const RARE: [(u32, Ending); 5] = [
    (10, Ending::Skipped),
    (6, Ending::Stopped),
    (5, Ending::Crashed),
    (4, Ending::StartFailed),
    (2, Ending::LogOverflow),
];
/// A task's usual trouble, in ten thousand runs.
const TROUBLE: u32 = 110;
/// The same, when it has just failed.
const TROUBLE_AGAIN: u32 = 1_500;

/// A run, before anybody has written it down.
pub(super) struct Run {
    pub(super) id: Ulid,
    pub(super) task_name: &'static str,
    pub(super) triggered_by: &'static str,
    pub(super) created_at: DateTime<Utc>,
    /// `None` if it never was.
    pub(super) started_at: Option<DateTime<Utc>>,
    pub(super) phase: Phase,
    pub(super) retry_attempt: u32,
    pub(super) retry_of: Option<Ulid>,
    pub(super) parameters: Option<String>,
}

#[derive(Clone, Copy)]
pub(super) enum Phase {
    Pending,
    Running,
    Ended(Ending, DateTime<Utc>),
}

impl Run {
    pub(super) fn ended_at(&self) -> Option<DateTime<Utc>> {
        match self.phase {
            Phase::Ended(_, at) => Some(at),
            Phase::Pending | Phase::Running => None,
        }
    }
}

/// All runs until `now`, in the order in which they were created.
pub(super) fn simulate(now: DateTime<Utc>, zone: &Zone, eras: &Eras, outage: &Range<DateTime<Utc>>) -> Vec<Run> {
    let mut simulation = Simulation { now, zone, eras, outage, random: Rng::with_seed(SEED), runs: Vec::new() };
    for task in TASKS {
        simulation.task(task);
    }
    for service in &SERVICES {
        simulation.service(service);
    }
    let mut runs = simulation.runs;
    runs.sort_unstable_by_key(|run| (run.created_at, run.id));
    runs
}

struct Simulation<'a> {
    now: DateTime<Utc>,
    zone: &'a Zone,
    eras: &'a Eras,
    outage: &'a Range<DateTime<Utc>>,
    random: Rng,
    runs: Vec<Run>,
}

impl Simulation<'_> {
    fn task(&mut self, task: &Task) {
        for at in self.due(task) {
            let trigger = self.trigger(task);
            // Nobody hears what is asked for while the daemon is down; cron's times it knows and calls missed.
            if trigger == "cron" || !self.eras.down(at) {
                self.asked_for(task, at, trigger);
            }
        }
        match task.name {
            RERUN_BY_HAND => self.asked_for(task, self.outage.end + TimeDelta::minutes(7), "ui"),
            RUNNING_AGAIN => self.asked_for(task, self.now - TimeDelta::seconds(190), "ui"),
            JUST_ASKED_FOR => {
                let parameters = task.parameters.values(self.zone.date(self.now), &mut self.random).pop().flatten();
                let created_at = self.now - TimeDelta::milliseconds(1_700);
                let run = Run { parameters, ..self.new_run(task.name, "api", created_at, Phase::Pending) };
                self.runs.push(run);
            }
            _ => {}
        }
    }

    /// When the task was due or asked for, from the history's beginning until now.
    fn due(&mut self, task: &Task) -> Vec<DateTime<Utc>> {
        if let Schedule::Startup = task.schedule {
            return self.eras.starts().collect();
        }
        let Some(start) = self.eras.starts().next() else { return Vec::new() };
        let (first, today) = (self.zone.date(start), self.zone.date(self.now));
        let mut due = Vec::new();
        for date in first.iter_days().take_while(|date| *date <= today) {
            let minutes = task.schedule.minutes(date, &mut self.random);
            due.extend(minutes.into_iter().map(|minute| self.zone.instant(date, minute.into())));
        }
        due.retain(|at| (start..self.now).contains(at));
        due
    }

    fn trigger(&mut self, task: &Task) -> &'static str {
        match task.schedule {
            Schedule::Startup => "startup",
            Schedule::OnDemand(_) => ["api", "api", "api", "api", "ui", "cli"][self.random.usize(..6)],
            _ if task.parameters.names().is_empty() => "cron",
            _ => "api",
        }
    }

    /// The task's runs at one moment: one for each set of parameters.
    fn asked_for(&mut self, task: &Task, at: DateTime<Utc>, trigger: &'static str) {
        let all_parameters = task.parameters.values(self.zone.date(at), &mut self.random);
        let mut created_at = at;
        for parameters in all_parameters {
            created_at += TimeDelta::nanoseconds(self.random.i64(4_000_000..350_000_000));
            self.run_with_retries(task, created_at, trigger, &parameters);
        }
    }

    fn run_with_retries(
        &mut self,
        task: &Task,
        mut created_at: DateTime<Utc>,
        trigger: &'static str,
        parameters: &Option<String>,
    ) {
        let mut first = None;
        for retry_attempt in 0..=task.retries {
            if created_at >= self.now {
                return;
            }
            let ending = self.ending(task, created_at, retry_attempt);
            let started_at = self.started(ending, created_at);
            let ended_at = started_at.map_or(created_at, |at| at + self.duration(task, ending, at));
            let phase = if ended_at > self.now { Phase::Running } else { Phase::Ended(ending, ended_at) };
            let run = Run {
                started_at,
                retry_attempt,
                retry_of: first,
                parameters: parameters.clone(),
                ..self.new_run(task.name, trigger, created_at, phase)
            };
            first = first.or(Some(run.id));
            self.runs.push(run);
            if !matches!(ending, Ending::Exit(_) | Ending::Timeout | Ending::Crashed) {
                return;
            }
            created_at = ended_at + RETRY_DELAY * (1 << retry_attempt);
        }
    }

    fn ending(&mut self, task: &Task, at: DateTime<Utc>, retry_attempt: u32) -> Ending {
        if at >= self.outage.start {
            // Nothing else went wrong that night, and nothing since: the story is about the database.
            let down = self.outage.contains(&at);
            return task.without_database.filter(|_| down).unwrap_or(Ending::Success);
        }
        if self.eras.down(at) {
            return Ending::Missed;
        }
        let mut chance = self.random.u32(..10_000);
        let trouble = if retry_attempt == 0 { TROUBLE } else { TROUBLE_AGAIN };
        for (share, ending) in RARE.into_iter().chain([(trouble, task.trouble)]) {
            if chance < share {
                return ending;
            }
            chance -= share;
        }
        Ending::Success
    }

    fn started(&mut self, ending: Ending, created_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let never = matches!(ending, Ending::Missed | Ending::Skipped | Ending::StartFailed);
        let delay = TimeDelta::microseconds(self.random.i64(900..30_000));
        (!never).then(|| created_at + delay)
    }

    fn duration(&mut self, task: &Task, ending: Ending, at: DateTime<Utc>) -> TimeDelta {
        let ordinary = TimeDelta::seconds(task.seconds).num_microseconds().unwrap_or(0);
        let microseconds = match ending {
            Ending::Timeout => return task.timeout(),
            Ending::Success => self.random.i64(ordinary * 7 / 10..ordinary * 13 / 10),
            // It gives up once it has waited for the database's answer.
            Ending::Exit(_) if self.outage.contains(&at) && ending != OUT_OF_MEMORY => {
                self.random.i64(10_000_000..32_000_000)
            }
            _ => self.random.i64(ordinary / 10..ordinary),
        };
        TimeDelta::microseconds(microseconds)
    }

    /// It runs until it crashes or the daemon stops, and is started again.
    fn service(&mut self, service: &Service) {
        let Some(mut at) = self.eras.starts().next() else { return };
        let mut crashes = 0;
        loop {
            at += TimeDelta::nanoseconds(self.random.i64(1_000_000..900_000_000));
            let end = self.service_end(service, at);
            let phase = end.map_or(Phase::Running, |(ending, ended_at)| Phase::Ended(ending, ended_at));
            let started_at = self.started(Ending::Success, at);
            let run = Run { started_at, ..self.new_run(service.name, "service", at, phase) };
            self.runs.push(run);
            let Some((ending, ended_at)) = end else { return };
            crashes = if ended_at - at > RESTART_DELAY { 0 } else { crashes + 1 };
            at = match ending {
                Ending::DaemonStopped => ended_at + DOWNTIME,
                _ => ended_at + RESTART_DELAY_MAX.min(RESTART_DELAY * (1 << crashes)),
            };
        }
    }

    /// How and when the run that began at `at` ended, if it does not run still.
    fn service_end(&mut self, service: &Service, at: DateTime<Utc>) -> Option<(Ending, DateTime<Utc>)> {
        let by_itself = at + TimeDelta::minutes(self.random.i64(600..20_000));
        let without_database = at.max(self.outage.start) + TimeDelta::milliseconds(self.random.i64(20_000..70_000));
        let suffers = service.needs_database && at < self.outage.end;
        let ends = [
            self.eras.next_stop(at).map(|stop| (Ending::DaemonStopped, stop)),
            (by_itself < self.outage.start).then_some((Ending::Crashed, by_itself)),
            suffers.then_some((Ending::Crashed, without_database)),
        ];
        ends.into_iter().flatten().min_by_key(|(_, ended_at)| *ended_at)
    }

    fn new_run(
        &mut self,
        task_name: &'static str,
        triggered_by: &'static str,
        created_at: DateTime<Utc>,
        phase: Phase,
    ) -> Run {
        let milliseconds = u64::try_from(created_at.timestamp_millis()).unwrap_or(0);
        Run {
            id: Ulid::from_parts(milliseconds, self.random.u128(..)),
            task_name,
            triggered_by,
            created_at,
            started_at: None,
            phase,
            retry_attempt: 0,
            retry_of: None,
            parameters: None,
        }
    }
}
