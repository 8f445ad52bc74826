//! What the contract says of a request's fields, said of the flags that were typed.

use crate::contract::{ErrorModel, Violation};

/// The fields whose flags have names of their own.
const FLAGS: [(&str, &str); 9] = [
    ("ids", "--ids"),
    ("except_ids", "--except"),
    ("except_tasks", "--except-task"),
    ("except_groups", "--except-group"),
    ("task_name", "--task"),
    ("created_after", "--since"),
    ("created_before", "--until"),
    ("exit_code_min", "--exit-code"),
    ("exit_code_max", "--exit-code"),
];

/// The fields whose flags are called as they are.
const ALIKE: [&str; 16] = [
    "status",
    "search",
    "triggered_by",
    "retries_only",
    "is_failure",
    "limit",
    "take",
    "unique_by",
    "skip_active",
    "skip_superseded",
    "start_at",
    "spread",
    "expect_plan",
    "idempotency_key",
    "reason",
    "actor",
];

/// Every field by the name of its flag.
pub(super) fn in_flags(text: &str) -> String {
    let alike = ALIKE.iter().map(|field| (*field, format!("--{}", field.replace('_', "-"))));
    let own = FLAGS.iter().map(|(field, flag)| (*field, (*flag).to_owned()));
    let said = own.chain(alike).fold(text.to_owned(), |text, (field, flag)| {
        let text = text.replace(&format!("`{field}`"), &flag);
        ["body.filter.", "body.options.", "body."]
            .iter()
            .fold(text, |text, place| text.replace(&format!("{place}{field}:"), &format!("{flag}:")))
    });
    said.trim_start_matches("validation failed: ").to_owned()
}

/// The same error for somebody who has typed flags.
pub(super) fn error_in_flags(error: ErrorModel) -> ErrorModel {
    let errors = error.errors.into_iter().map(|violation| Violation {
        location: in_flags(&format!("{}:", violation.location)).trim_end_matches(':').to_owned(),
        message: in_flags(&violation.message),
        ..violation
    });
    ErrorModel { detail: in_flags(&error.detail), errors: errors.collect(), ..error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_named_as_they_were_typed() {
        for (said, expected) in [
            (
                "name it in `ids`, or leave out those after it with `except_ids`",
                "name it in --ids, or leave out those after it with --except",
            ),
            (
                "validation failed: body.filter.created_after: it is later than `created_before`, so no run can match",
                "--since: it is later than --until, so no run can match",
            ),
            ("validation failed: body.options.start_at: no due time", "--start-at: no due time"),
            ("what `mine` says, body.ids", "what `mine` says, body.ids"),
        ] {
            assert_eq!(in_flags(said), expected);
        }
    }
}
