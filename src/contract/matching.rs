//! Whether a run matches a filter: for hosts that can't be asked in SQL.

use super::{FAILURE_END_REASONS, Run, RunFilter, is_success};

impl RunFilter {
    /// Whether a run matches: every condition that is set holds.
    ///
    /// ```
    /// use bulk_rerun::{Run, RunFilter};
    ///
    /// let filter = RunFilter { status: vec!["success".to_owned()], ..RunFilter::default() };
    /// assert!(filter.matches(&Run { end_reason: Some("succeeded".to_owned()), ..Run::default() }));
    /// ```
    pub fn matches(&self, run: &Run) -> bool {
        let is = |wanted: &Option<String>, value: Option<&str>| wanted.is_none() || wanted.as_deref() == value;
        self.matches_status(run)
            && is(&self.task_name, Some(&run.task_name))
            && is(&self.triggered_by, run.triggered_by.as_deref())
            && self.search.as_ref().is_none_or(|text| contains(&run.task_name, text) || contains(&run.id, text))
            && self.created_after.is_none_or(|after| run.created_at.is_some_and(|at| at >= after))
            && self.created_before.is_none_or(|before| run.created_at.is_some_and(|at| at <= before))
            && self.exit_code_min.is_none_or(|min| run.exit_code.is_some_and(|code| code >= min))
            && self.exit_code_max.is_none_or(|max| run.exit_code.is_some_and(|code| code <= max))
            && (!self.retries_only || run.retry_attempt.is_some_and(|attempt| attempt > 0))
    }

    /// The phase or the end reason is one of the words, or the run counts as a failure.
    fn matches_status(&self, run: &Run) -> bool {
        let failures = self.is_failure || self.status.iter().any(|word| word == "failure");
        if self.status.is_empty() && !failures {
            return true;
        }
        let end_reason = run.end_reason.as_deref();
        let listed = self.status.iter().any(|word| {
            run.phase.as_deref() == Some(word)
                || end_reason == Some(word)
                || is_success(word) && end_reason.is_some_and(is_success)
        });
        let by_reason = || end_reason.is_some_and(|reason| FAILURE_END_REASONS.contains(&reason));
        listed || failures && run.is_failure.unwrap_or_else(by_reason)
    }
}

/// Whether a text contains another, ASCII case ignored.
fn contains(text: &str, wanted: &str) -> bool {
    text.to_ascii_lowercase().contains(&wanted.to_ascii_lowercase())
}
