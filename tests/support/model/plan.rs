//! What a dry run says: the groups, which of them would be started, and why the others would not.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::answer::{Detail, Group, Skipped, Told};
use super::request::{Request, Unique};
use super::store::{Run, RunKey, Value, newest, visible};

/// A group: the run that it is started from, and how many were selected.
#[derive(Debug, Clone)]
pub struct Source {
    pub run: Run,
    pub matched: usize,
    /// The newest of the group that nothing of its own keeps from being started.
    fit: Option<String>,
    /// Of all that were selected.
    pub told: Told,
    /// One of them is among those whose groups nobody wants.
    pub is_left_out: bool,
}

/// What comes of a request.
#[derive(Debug, Clone)]
pub struct Plan {
    pub matched: usize,
    /// The groups that would be started, in the order of the answer.
    pub starts: Vec<Source>,
    pub skipped: Vec<Skipped>,
    /// More is told of each group's runs.
    pub with_runs: bool,
    /// How many of the selected runs were created when.
    pub times: Option<Json>,
}

/// The runs when the call searched, those at the moment of the spawn, and those by which `skip_superseded` goes.
#[derive(Clone, Copy)]
pub struct Moments<'r> {
    pub search: &'r [Run],
    pub spawn: &'r [Run],
    pub superseded: &'r [Run],
    /// The search saw everything as of one moment, who is active and what has succeeded among it; else somebody may have
    /// come between two of its looks.
    pub in_one_moment: bool,
}

impl<'r> Moments<'r> {
    /// Nobody changes anything meanwhile.
    pub fn still(runs: &'r [Run]) -> Moments<'r> {
        Moments { search: runs, spawn: runs, superseded: runs, in_one_moment: true }
    }
}

impl Plan {
    pub fn planned(&self) -> Vec<Group> {
        let group = |source: &Source| Group {
            task: source.run.task.spelled().unwrap(),
            source: source.run.id.spelled().unwrap(),
            matched: source.matched,
            told: Some(source.told.clone()).filter(|_| self.with_runs),
        };
        self.starts.iter().map(group).collect()
    }

    /// What makes two plans the same: which runs are started again, and with which parameters.
    pub fn essence(&self) -> Vec<(RunKey, Option<Vec<u8>>)> {
        let of = |source: &Source| (source.run.key(), source.run.params.bytes());
        self.starts.iter().map(of).collect()
    }
}

impl Request {
    /// What a dry run shows.
    pub fn plan(&self, runs: &[Run]) -> Plan {
        self.judged_at(Moments::still(runs))
    }

    pub fn plan_at(&self, moments: Moments<'_>) -> Plan {
        let first = self.judged_at(Moments { spawn: moments.search, ..moments });
        // Where nothing is to be started, nobody takes the lock, and the search was the last look.
        if moments.in_one_moment && first.starts.is_empty() { first } else { self.judged_at(moments) }
    }

    fn judged_at(&self, moments: Moments<'_>) -> Plan {
        let sources = self.sources(moments.search);
        let mut plan = Plan {
            matched: sources.iter().map(|source| source.matched).sum(),
            starts: Vec::new(),
            skipped: Vec::new(),
            with_runs: self.with_runs,
            times: self.times(moments.search),
        };
        let mut taken = 0;
        for source in sources {
            match self.reason(&source, moments, &mut taken) {
                Some((reason, detail)) => {
                    let told = Some(source.told).filter(|_| self.with_runs);
                    plan.skipped.push(Skipped { told, ..Skipped::of(&source.run, reason, detail) });
                }
                None => {
                    // It is started as it is by then.
                    let as_it_is = visible(moments.spawn).into_iter().find(|run| run.is_same_as(&source.run)).cloned();
                    plan.starts.push(Source { run: as_it_is.unwrap(), ..source });
                }
            }
        }
        let mut named: Vec<&String> = Vec::new();
        for id in self.ids.iter().flatten() {
            if !named.contains(&id) && !visible(moments.search).iter().any(|run| run.id.is(id)) {
                plan.skipped.push(Skipped::not_found(id));
            }
            named.push(id);
        }
        plan
    }

    /// One source run a group, in the order of the answer.
    fn sources(&self, runs: &[Run]) -> Vec<Source> {
        let mut groups: Vec<Vec<&Run>> = Vec::new();
        for run in self.selected(runs).into_iter().filter(|run| self.keeps(run)) {
            match groups.iter_mut().find(|group| self.is_one_group(group[0], run)) {
                Some(group) => group.push(run),
                None => groups.push(vec![run]),
            }
        }
        let source = |group: &Vec<&Run>| {
            let run = newest(group).clone();
            let mut sets: Vec<_> = group.iter().map(|run| run.params.bytes()).collect();
            sets.sort();
            sets.dedup();
            let first = group.iter().filter_map(|run| run.instant).min();
            let told =
                Told { run: run.key(), created: run.instant, first, parameter_sets: sets.len(), matched: group.len() };
            let is_left_out = group.iter().any(|run| self.leaves_out(run));
            let fit: Vec<&Run> = group.iter().copied().filter(|run| why_refused(run).is_none()).collect();
            let fit = (!fit.is_empty()).then(|| newest(&fit).id.spelled().unwrap());
            Source { run, matched: group.len(), fit, told, is_left_out }
        };
        let mut sources: Vec<Source> = groups.iter().map(source).collect();
        sources.sort_by_key(|source| source.run.key());
        sources
    }

    fn is_one_group(&self, one: &Run, other: &Run) -> bool {
        match self.unique_by {
            Unique::Task => one.task.bytes() == other.task.bytes(),
            Unique::Params => one.task.bytes() == other.task.bytes() && one.params.bytes() == other.params.bytes(),
            Unique::Run => one.is_same_as(other),
        }
    }

    /// Spans of equal length, in whole seconds and no longer than need be, from the earliest run's second on.
    fn times(&self, runs: &[Run]) -> Option<Json> {
        let spans = self.spans?;
        let timed: Vec<(i64, String)> = self
            .selected(runs)
            .into_iter()
            .filter(|run| self.keeps(run))
            .filter_map(|run| Some((run.instant?.div_euclid(1_000_000), run)))
            .map(|(second, run)| (second, run.end_reason.clone().unwrap_or_else(|| run.phase.clone())))
            .collect();
        let from = timed.iter().map(|(second, _)| *second).min()?;
        let last = timed.iter().map(|(second, _)| *second).max()?;
        let length = (last - from + spans as i64) / spans as i64;
        let within = |span: i64, second: i64| (from + span * length..from + (span + 1) * length).contains(&second);
        let bucket = |span: i64| {
            let mut words: BTreeMap<&str, u64> = BTreeMap::new();
            timed
                .iter()
                .filter(|(second, _)| within(span, *second))
                .for_each(|(_, word)| *words.entry(word).or_default() += 1);
            words
        };
        let buckets: Vec<_> = (0..spans as i64).map(bucket).collect();
        let from =
            chrono::DateTime::from_timestamp(from, 0).unwrap().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        Some(json!({"from": from, "step_seconds": length, "buckets": buckets}))
    }

    fn leaves_out(&self, run: &Run) -> bool {
        let is_named = |(task, id): &(String, String)| run.task.is(task) && run.id.is(id);
        self.except_groups.iter().any(is_named)
    }

    /// The runs, selected or not, that are of a run's kind.
    fn kin<'r>(&self, of: &Run, runs: &'r [Run]) -> Vec<&'r Run> {
        let is_kin = |run: &Run| {
            run.task.bytes() == of.task.bytes()
                && (self.unique_by == Unique::Task || run.params.bytes() == of.params.bytes())
        };
        visible(runs).into_iter().filter(|run| is_kin(run)).collect()
    }

    /// Why a group is not started: the first reason that applies.
    fn reason(&self, of: &Source, moments: Moments<'_>, taken: &mut usize) -> Option<(&'static str, Detail)> {
        let source = &of.run;
        let known = ["service", "unknown_task", "trigger_disabled"];
        let word = source.unfit.as_deref();
        if let Some(reason) = known.into_iter().find(|reason| word == Some(*reason)) {
            return Some((reason, Detail::Unsaid));
        }
        if self.skip_active && self.kin(source, moments.spawn).iter().any(|run| !run.has_ended()) {
            return Some(("active", Detail::Unsaid));
        }
        let kin = self.kin(source, moments.superseded);
        if self.skip_superseded && !kin.is_empty() {
            let newest = newest(&kin);
            if newest.has_succeeded() && newest.is_newer_than(source) {
                return Some(("superseded", Detail::Unsaid));
            }
        }
        if of.is_left_out {
            return Some(("left_out", Detail::Unsaid));
        }
        if self.take.is_some_and(|take| *taken >= take) {
            return Some(("not_taken", Detail::Unsaid));
        }
        // What is never started is not looked for again, so that nobody sees it go. It takes nobody's place.
        if let Some(detail) = why_refused(source) {
            return Some(("refused", detail.and_names(of.fit.as_deref())));
        }
        *taken += 1;
        let is_there = visible(moments.spawn).iter().any(|run| run.is_same_as(source));
        (!is_there).then_some(("gone", Detail::Unsaid))
    }
}

/// What the run itself says against being started.
fn why_refused(source: &Run) -> Option<Detail> {
    let mut why: Vec<String> = Vec::new();
    why.extend(source.task.fault().map(|fault| format!("its task name is {fault}")));
    why.extend(source.id.fault().map(|fault| format!("its id is {fault}")));
    match (&source.unfit, why.is_empty()) {
        (None, true) => None,
        (Some(word), true) => Some(Detail::Is(word.clone())),
        (word, false) => {
            why.extend(word.clone());
            Some(Detail::HasOneOf(why))
        }
    }
}
