//! A run's parameters, as RunWisp's daemon is given them: what a run has, no more and no less.

use std::collections::BTreeMap;

use serde_json::json;

use super::api::Task;
use crate::contract::Params;

/// What the daemon resolves by itself, even where it is told to leave it out.
const FLAG: &str = "flag";

/// The first version that takes parameters.
const TAKES_PARAMETERS: (u64, u64) = (0, 10);

/// Parameters as RunWisp stores them: a JSON object of texts, or NULL where there are none.
pub(super) type Parameters = BTreeMap<String, String>;

/// A run's parameters; `None` where they are something else.
pub(super) fn read(params: &Params<'_>) -> Option<Parameters> {
    match params.bytes() {
        None => Some(Parameters::new()),
        Some(bytes) => serde_json::from_slice(&bytes).ok(),
    }
}

/// The body that gives a new run exactly these. What the task declares and the source run has not is left out expressly:
/// else the daemon would put in its default.
///
/// # Errors
///
/// The daemon would not start the run with exactly these; in words.
pub(super) fn body(source: &Parameters, task: &Task, version: &str) -> Result<Option<String>, String> {
    let declared = task.parameters.as_deref().unwrap_or_default();
    if let Some(unknown) = source.keys().find(|key| declared.iter().all(|parameter| parameter.key != **key)) {
        return Err(if is_before(version, TAKES_PARAMETERS) {
            format!(
                "it has parameters, and RunWisp {version} would start it without: upgrade it to 0.10 or later, or leave \
                 `via` out (--via)"
            )
        } else {
            format!("it has the parameter {unknown:?}, which the task does not declare: the daemon would not take it")
        });
    }
    if let Some(flag) = declared.iter().find(|parameter| parameter.kind == FLAG && !source.contains_key(&parameter.key))
    {
        let key = &flag.key;
        return Err(format!(
            "the task declares the flag {key:?}, which the run does not have, and the daemon would add"
        ));
    }
    if declared.is_empty() {
        return Ok(None);
    }
    let params: BTreeMap<&str, Option<&String>> =
        declared.iter().map(|parameter| (&*parameter.key, source.get(&parameter.key))).collect();
    Ok(Some(json!({ "params": params }).to_string()))
}

/// Whether a version is known to be before another one. A build of somebody's own may be called anything.
fn is_before(version: &str, other: (u64, u64)) -> bool {
    let mut numbers = version.trim_start_matches('v').split('.').map(str::parse);
    matches!((numbers.next(), numbers.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) < other)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn task(json: Value) -> Task {
        serde_json::from_value(json).unwrap()
    }

    fn text(json: &str) -> Params<'_> {
        Params::Text(json.as_bytes().into())
    }

    #[test]
    fn what_the_run_has_not_is_left_out_expressly() {
        let task = task(json!({"name": "t", "parameters": [
            {"kind": "env", "key": "DAY", "default": "today"},
            {"kind": "option", "key": "--size"},
            {"kind": "flag", "key": "--force"},
        ]}));
        let source = read(&text(r#"{"--force":"false","--size":""}"#)).unwrap();
        let body: Value = serde_json::from_str(&body(&source, &task, "0.12.0").unwrap().unwrap()).unwrap();
        assert_eq!(body, json!({"params": {"DAY": null, "--size": "", "--force": "false"}}));
    }

    #[test]
    fn what_would_not_be_the_same_is_refused() {
        let plain = task(json!({"name": "t"}));
        let flagged = task(json!({"name": "t", "parameters": [{"kind": "flag", "key": "--force"}]}));
        let source = read(&text(r#"{"DAY":"1"}"#)).unwrap();
        for (source, task, version, words) in [
            (&source, &plain, "0.9.2", "RunWisp 0.9.2 would start it without"),
            (&source, &plain, "v0.10.0", "which the task does not declare"),
            (&source, &plain, "dev", "which the task does not declare"),
            (&Parameters::new(), &flagged, "0.10.0", "the daemon would add"),
        ] {
            let refusal = body(source, task, version).unwrap_err();
            assert!(refusal.contains(words), "{refusal}");
        }
        assert_eq!(body(&Parameters::new(), &plain, "0.9.2"), Ok(None));
    }

    #[test]
    fn parameters_are_an_object_of_texts_or_nothing() {
        assert_eq!(read(&Params::None), read(&text("{}")));
        assert!(read(&Params::None).is_some());
        for other in [text("[1]"), text(r#"{"n": 1}"#), text("null"), text("{"), Params::Integer(7)] {
            assert!(read(&other).is_none(), "{other:?}");
        }
    }
}
