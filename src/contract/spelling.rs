//! The two spellings of the wire format: snake_case, and the camelCase of RunWisp's later versions.

use serde_json::Value;

/// How the names of the fields are spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Spelling {
    /// `task_name`, `run_id`, `match_all`.
    #[default]
    Snake,
    /// `taskName`, `runId`, `matchAll`.
    Camel,
}

impl Spelling {
    /// A field's name in this spelling, from its snake_case name.
    pub(crate) fn of(self, snake: &str) -> String {
        match self {
            Spelling::Snake => snake.to_owned(),
            // A word's first letter says by itself where it begins.
            Spelling::Camel => {
                let mut begins = false;
                let letter = |sign: char| match sign {
                    '_' => {
                        begins = true;
                        None
                    }
                    _ if std::mem::take(&mut begins) => Some(sign.to_ascii_uppercase()),
                    _ => Some(sign),
                };
                snake.chars().filter_map(letter).collect()
            }
        }
    }

    /// Renames every field of `value`, which is spelled in snake_case, into this spelling. What is counted by end reason has
    /// the host's own words for names, which are no fields.
    pub(super) fn apply(self, value: Value) -> Value {
        match (self, value) {
            (Spelling::Camel, Value::Object(fields)) => {
                let respelled = fields.into_iter().map(|(name, inner)| match &*name {
                    "states" | "buckets" => (name, inner),
                    _ => (self.of(&name), self.apply(inner)),
                });
                Value::Object(respelled.collect())
            }
            (Spelling::Camel, Value::Array(items)) => {
                Value::Array(items.into_iter().map(|item| self.apply(item)).collect())
            }
            (_, value) => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_word_but_the_first_begins_with_a_capital() {
        for (snake, camel) in [("limit", "limit"), ("exit_code_min", "exitCodeMin"), ("$schema", "$schema"), ("", "")] {
            assert_eq!((Spelling::Camel.of(snake), Spelling::Snake.of(snake)), (camel.to_owned(), snake.to_owned()));
        }
    }

    #[test]
    fn what_is_counted_keeps_its_words() {
        let counted = json!({"operation_id": "01", "states": {"log_overflow": 1}, "times": {"step_seconds": 1, "buckets": [{"start_failed": 2}]}});
        let spelled = json!({"operationId": "01", "states": {"log_overflow": 1}, "times": {"stepSeconds": 1, "buckets": [{"start_failed": 2}]}});
        assert_eq!(Spelling::Camel.apply(counted), spelled);
    }
}
