//! A run as a cursor keeps it: its length, its numbers, and its texts with a length each.

use std::borrow::Cow;

use crate::contract::RunText;

/// How many bytes a length takes.
pub(super) const LENGTH: usize = size_of::<u64>();

/// The length of a text that is not there.
const NONE: u64 = u64::MAX;

/// The bits that say which of the numbers are there.
const EXIT_CODE: u8 = 1;
const RETRY_ATTEMPT: u8 = 2;
const IS_KNOWN: u8 = 4;
const IS_FAILURE: u8 = 8;

/// No run is longer: a store's texts have a gigabyte at most.
const LENGTH_MAX: u64 = 16 << 30;

/// How many bytes come after a run's length; `None` if that is no run's.
pub(super) fn length(bytes: [u8; LENGTH]) -> Option<usize> {
    Some(u64::from_le_bytes(bytes)).filter(|&length| length <= LENGTH_MAX)?.try_into().ok()
}

/// A run in place of what `into` holds.
pub(super) fn pack(run: &RunText<'_>, into: &mut Vec<u8>) {
    into.clear();
    into.extend_from_slice(&[0; LENGTH]);
    let mut bits = 0;
    if run.exit_code.is_some() {
        bits |= EXIT_CODE;
    }
    if run.retry_attempt.is_some() {
        bits |= RETRY_ATTEMPT;
    }
    if let Some(is_failure) = run.is_failure {
        bits |= IS_KNOWN | if is_failure { IS_FAILURE } else { 0 };
    }
    into.push(bits);
    into.extend_from_slice(&run.exit_code.unwrap_or_default().to_le_bytes());
    into.extend_from_slice(&run.retry_attempt.unwrap_or_default().to_le_bytes());
    let texts = [
        Some(&*run.id),
        Some(&*run.task_name),
        run.phase,
        run.end_reason,
        run.triggered_by,
        run.created_at.as_deref(),
        run.params.as_deref(),
        run.unfit,
    ];
    for text in texts {
        into.extend_from_slice(&text.map_or(NONE, |text| text.len() as u64).to_le_bytes());
        into.extend_from_slice(text.unwrap_or_default().as_bytes());
    }
    let length = (into.len() - LENGTH) as u64;
    into[..LENGTH].copy_from_slice(&length.to_le_bytes());
}

/// What comes after a run's length, as the run; `None` if it is none.
pub(super) fn unpack(bytes: &[u8]) -> Option<RunText<'_>> {
    let mut rest = Rest(bytes);
    let bits = *rest.take(1)?.first()?;
    let [exit_code, retry_attempt] = [rest.number()?, rest.number()?];
    Some(RunText {
        id: Cow::Borrowed(rest.text()??),
        task_name: Cow::Borrowed(rest.text()??),
        phase: rest.text()?,
        end_reason: rest.text()?,
        triggered_by: rest.text()?,
        created_at: rest.text()?.map(Cow::Borrowed),
        params: rest.text()?.map(Cow::Borrowed),
        unfit: rest.text()?,
        exit_code: (bits & EXIT_CODE != 0).then_some(exit_code),
        retry_attempt: (bits & RETRY_ATTEMPT != 0).then_some(retry_attempt),
        is_failure: (bits & IS_KNOWN != 0).then_some(bits & IS_FAILURE != 0),
    })
}

/// What is still to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<i64> {
        Some(i64::from_le_bytes(self.take(size_of::<i64>())?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<Option<&'a str>> {
        let length = u64::from_le_bytes(self.take(LENGTH)?.try_into().ok()?);
        if length == NONE {
            return Some(None);
        }
        Some(Some(str::from_utf8(self.take(usize::try_from(length).ok()?)?).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Params, Run};

    #[test]
    fn a_run_comes_back_as_it_was() {
        let run = Run {
            id: "a1".to_owned(),
            end_reason: Some(String::new()),
            exit_code: Some(i64::MIN),
            retry_attempt: Some(0),
            params: Params::Text(Cow::Borrowed("{\"ä\":\n1}".as_bytes())),
            is_failure: Some(false),
            ..Run::default()
        };
        let mut packed = Vec::new();
        for run in [run, Run::default()] {
            let text = RunText::of(&run);
            pack(&text, &mut packed);
            let (head, rest) = packed.split_at(LENGTH);
            assert_eq!(length(head.try_into().expect("so many bytes")), Some(rest.len()));
            assert_eq!(unpack(rest), Some(text));
            assert_eq!(unpack(&rest[..rest.len() - 1]), None, "a part of one is none");
        }
    }
}
