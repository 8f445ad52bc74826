//! A run as C looks at it without JSON in between.

use std::ffi::c_char;
use std::ptr;

use crate::contract::RunText;

/// A text that is lent: UTF-8, which does not end with a NUL. `bytes` is NULL where there is none.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct LentText {
    /// Its first byte.
    pub bytes: *const c_char,
    /// How many there are.
    pub length: usize,
}

/// A run in canonical columns, as its JSON has them, with texts that are lent to you. Its fields stay what they are: a later
/// version that has more to say has another function for it.
#[derive(Debug)]
#[repr(C)]
pub struct LentRun {
    /// The run's id.
    pub id: LentText,
    /// The task that it is a run of.
    pub task_name: LentText,
    /// `pending`, `running` or `ended`.
    pub phase: LentText,
    /// How it ended, in the host's own word.
    pub end_reason: LentText,
    /// What triggered it (cron, api, service, …).
    pub triggered_by: LentText,
    /// RFC 3339, in UTC.
    pub created_at: LentText,
    /// The host's own text, which may have a NUL in it.
    pub params: LentText,
    /// Why a run of its kind is never started again.
    pub unfit: LentText,
    /// Which of the numbers below are there: BULK_RERUN_HAS_EXIT_CODE, …
    pub has: u32,
    /// 1 where it counts as a failure, else 0.
    pub is_failure: i32,
    /// Its exit code; see `has`.
    pub exit_code: i64,
    /// 0 for a first attempt; see `has`.
    pub retry_attempt: i64,
}

/// In `bulk_rerun_run.has`: the run has an exit code.
pub const BULK_RERUN_HAS_EXIT_CODE: u32 = 1;
/// In `bulk_rerun_run.has`: it is known which attempt it is.
pub const BULK_RERUN_HAS_RETRY_ATTEMPT: u32 = 2;
/// In `bulk_rerun_run.has`: the host has a mark of its own for failures.
pub const BULK_RERUN_HAS_IS_FAILURE: u32 = 4;

impl LentText {
    fn of(text: Option<&str>) -> LentText {
        let bytes = text.map_or(ptr::null(), |text| text.as_ptr().cast());
        LentText { bytes, length: text.map_or(0, str::len) }
    }
}

impl LentRun {
    /// Good for as long as the run's texts are.
    pub(super) fn of(run: &RunText<'_>) -> LentRun {
        let bit = |is_there: bool, bit| if is_there { bit } else { 0 };
        LentRun {
            id: LentText::of(Some(&run.id)),
            task_name: LentText::of(Some(&run.task_name)),
            phase: LentText::of(run.phase),
            end_reason: LentText::of(run.end_reason),
            triggered_by: LentText::of(run.triggered_by),
            created_at: LentText::of(run.created_at.as_deref()),
            params: LentText::of(run.params.as_deref()),
            unfit: LentText::of(run.unfit),
            has: bit(run.exit_code.is_some(), BULK_RERUN_HAS_EXIT_CODE)
                | bit(run.retry_attempt.is_some(), BULK_RERUN_HAS_RETRY_ATTEMPT)
                | bit(run.is_failure.is_some(), BULK_RERUN_HAS_IS_FAILURE),
            is_failure: run.is_failure.unwrap_or_default().into(),
            exit_code: run.exit_code.unwrap_or_default(),
            retry_attempt: run.retry_attempt.unwrap_or_default(),
        }
    }
}
