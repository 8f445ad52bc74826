//! The texts that a client gives for the ledger.

use super::fields::{Fields, Findings};

/// The longest texts that the ledger takes, in characters: a key or an actor, a reason, a door.
pub(crate) const KEY_MAX: usize = 255;
pub(crate) const REASON_MAX: usize = 1_000;
pub(super) const DOOR_MAX: usize = 32;

/// A text for the ledger. A blank one is a variable that was not set, and no key that two callers may share.
pub(super) fn read_text(fields: &Fields, name: &str, longest: usize, findings: &mut Findings) -> Option<String> {
    let text = fields.string(name, findings)?;
    match wrong_with_text(text, longest) {
        None => Some(text.to_owned()),
        Some(wrong) => {
            findings.report(&fields.place(name), wrong, fields.value(name));
            None
        }
    }
}

/// Why a text can't stand in the ledger, if so.
pub(crate) fn wrong_with_text(text: &str, longest: usize) -> Option<String> {
    let length = text.chars().count();
    if text.trim().is_empty() {
        Some("the text is blank; give one, or drop the field".to_owned())
    } else if length > longest {
        Some(format!("the text has {length} characters; at most {longest} are taken"))
    } else {
        text.contains('\0').then(|| "the text has a NUL in it, which no database keeps".to_owned())
    }
}
