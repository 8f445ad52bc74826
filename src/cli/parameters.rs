//! The parameters of a plan's runs where there is little room for them: those in which a task's runs differ come first.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::report::parameters;
use crate::contract::Run;

/// Each run's parameters, in the runs' own order; none of a run that is not known.
pub(super) fn told_apart<'r>(runs: impl Iterator<Item = Option<&'r Run>>) -> Vec<String> {
    let runs: Vec<_> = runs.map(|run| (run, run.and_then(members))).collect();
    // What all of a task's runs that have this member have there; `None` where they differ.
    let mut common: HashMap<(&str, &str), Option<&Value>> = HashMap::new();
    for (run, members) in &runs {
        let Some(run) = run else { continue };
        for (name, value) in members.iter().flatten() {
            let known = common.entry((&run.task_name, name)).or_insert(Some(value));
            *known = known.filter(|known| *known == value);
        }
    }
    let line = |(run, members): &(Option<&Run>, Option<Map<String, Value>>)| match (run, members) {
        (Some(run), Some(members)) => {
            let differs = |name: &str| common.get(&(&*run.task_name, name)) == Some(&None);
            let (first, then): (Map<_, _>, Map<_, _>) =
                members.clone().into_iter().partition(|(name, _)| differs(name));
            Value::Object(first.into_iter().chain(then).collect()).to_string()
        }
        (run, _) => run.map(parameters).unwrap_or_default(),
    };
    runs.iter().map(line).collect()
}

/// The members of an object that can be written down anew without a loss: a number may have more digits than we keep.
fn members(run: &Run) -> Option<Map<String, Value>> {
    let text = run.params.to_text()?;
    let value: Value = serde_json::from_str(&text).ok()?;
    let without_blanks = |text: &str| text.split_whitespace().collect::<String>();
    match value {
        _ if without_blanks(&value.to_string()) != without_blanks(&text) => None,
        Value::Object(members) => Some(members),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Params;

    fn lines(runs: &[(&str, &str)]) -> Vec<String> {
        let run = |(task, params): &(&str, &str)| Run {
            task_name: (*task).to_owned(),
            params: Params::Text(params.as_bytes().to_vec().into()),
            ..Run::default()
        };
        let runs: Vec<Run> = runs.iter().map(run).collect();
        told_apart(runs.iter().map(Some))
    }

    #[test]
    fn what_differs_between_the_runs_of_a_task_comes_first() {
        let of = |tenant: u8| format!("{{\"day\": \"monday\", \"tenant\": {tenant}}}");
        let shown = lines(&[("a", &of(1)), ("a", &of(2)), ("b", &of(3)), ("b", "{\"day\":\"sunday\"}")]);
        let expected = [
            "{\"tenant\":1,\"day\":\"monday\"}",
            "{\"tenant\":2,\"day\":\"monday\"}",
            "{\"day\":\"monday\",\"tenant\":3}",
            "{\"day\":\"sunday\"}",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_can_not_be_written_anew_stays_as_it_is() {
        for text in ["{\"a\": 12345678901234567890123}", "{\"a\":1,\"a\":2}", "[1, 2]", "a=1", "{\"a\":1.50}", ""] {
            assert_eq!(lines(&[("t", text), ("t", "{\"a\":0}")])[0], text);
        }
    }
}
