//! The two spellings of the wire format: snake_case, and the camelCase of RunWisp's later versions.

use heck::ToLowerCamelCase;
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
            // `$schema` is no identifier, and heck would drop its dollar sign.
            Spelling::Camel if snake.starts_with('$') => snake.to_owned(),
            Spelling::Camel => snake.to_lower_camel_case(),
        }
    }

    /// Renames every field of `value`, which is spelled in snake_case, into this spelling.
    pub(super) fn apply(self, value: Value) -> Value {
        match (self, value) {
            (Spelling::Camel, Value::Object(fields)) => {
                Value::Object(fields.into_iter().map(|(name, inner)| (self.of(&name), self.apply(inner))).collect())
            }
            (Spelling::Camel, Value::Array(items)) => {
                Value::Array(items.into_iter().map(|item| self.apply(item)).collect())
            }
            (_, value) => value,
        }
    }
}
