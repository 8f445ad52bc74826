//! The selected runs over time: how many were created when, and how they ended.

use std::collections::{BTreeMap, HashMap};

use chrono::DateTime;

use crate::contract::Times;
use crate::host::RunRow;

/// Runs on their way into spans of time. Which spans those are is known when all have come by; until then runs of one second
/// and kind are one number.
pub(super) struct Spans {
    /// So many there are to be.
    wanted: u64,
    words: Vec<String>,
    /// How many were created in a second, in the place of their word.
    seconds: HashMap<(i64, usize), u64>,
}

impl Spans {
    pub(super) fn new(wanted: u64) -> Spans {
        Spans { wanted, words: Vec::new(), seconds: HashMap::new() }
    }

    /// A run whose time can't be read is in no span.
    pub(super) fn add(&mut self, run: &RunRow<'_>) {
        let Some(at) = run.created_at else { return };
        let word = run.end_reason.or(run.phase).unwrap_or("pending");
        // There are few.
        let place = self.words.iter().position(|known| known == word).unwrap_or_else(|| {
            self.words.push(word.to_owned());
            self.words.len() - 1
        });
        *self.seconds.entry((at.timestamp(), place)).or_default() += 1;
    }

    /// The spans, as short as whole seconds let them be for all runs to be in one.
    pub(super) fn into_times(self) -> Option<Times> {
        let seconds = || self.seconds.keys().map(|(second, _)| *second);
        let (first, last) = (seconds().min()?, seconds().max()?);
        let step = last.abs_diff(first) / self.wanted + 1;
        let mut buckets = vec![BTreeMap::new(); usize::try_from(self.wanted).ok()?];
        for ((second, place), runs) in self.seconds {
            let span = usize::try_from(second.abs_diff(first) / step).ok()?;
            *buckets.get_mut(span)?.entry(self.words[place].clone()).or_default() += runs;
        }
        Some(Times { from: DateTime::from_timestamp(first, 0)?, step_seconds: step, buckets })
    }
}
