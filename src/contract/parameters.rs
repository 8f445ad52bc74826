//! What a profile's parameters are set to, where that is written as one text: `NAME=VALUE`.

use std::collections::BTreeMap;
use std::env;

/// The variable that sets them where nothing else does: `prefix=night_,queue=mail`.
const VARIABLE: &str = "BULK_RERUN_PARAMETERS";

/// A parameter and its value.
///
/// # Errors
///
/// There is no such sign, or no name in front of it; the text is not repeated, for it may have been meant for another place.
pub(crate) fn read_parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=').map(|(name, value)| (name.trim(), value)).filter(|(name, _)| !name.is_empty()) {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err("expected NAME=VALUE, as in prefix=night_".to_owned()),
    }
}

/// All of them; or which one is given twice.
pub(crate) fn each_once(
    parameters: impl IntoIterator<Item = (String, String)>,
) -> Result<BTreeMap<String, String>, String> {
    let mut each = BTreeMap::new();
    for (name, value) in parameters {
        if each.contains_key(&name) {
            return Err(format!("the parameter {name} is set twice; keep one of the two"));
        }
        each.insert(name, value);
    }
    Ok(each)
}

/// What the environment sets them to. A blank variable sets none.
pub(crate) fn of_the_environment() -> Result<BTreeMap<String, String>, String> {
    let Some(text) = env::var_os(VARIABLE) else { return Ok(BTreeMap::new()) };
    let wrong = |why: String| format!("{VARIABLE}: {why}");
    let text = text.to_str().ok_or_else(|| wrong("it is not UTF-8".to_owned()))?;
    let parts = text.split(',').filter(|part| !part.trim().is_empty());
    parts.map(read_parameter).collect::<Result<Vec<_>, _>>().and_then(each_once).map_err(wrong)
}
