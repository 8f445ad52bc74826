//! Who asks for a re-run, as the ledger writes it down.

use std::borrow::Cow;

/// Through which door a re-run is asked for, and by whom where the request does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// `rust`, `cli`, `http`, `c`, `sqlite`, `lua`, or as another language's binding calls itself.
    pub door: Cow<'static, str>,
    /// Who it is, where the request's `actor` does not say.
    pub actor: Option<String>,
}

impl Caller {
    /// Somebody unknown, through this door.
    pub const fn through(door: &'static str) -> Caller {
        Caller { door: Cow::Borrowed(door), actor: None }
    }
}

impl Default for Caller {
    /// A program in Rust.
    fn default() -> Self {
        Caller::through("rust")
    }
}
