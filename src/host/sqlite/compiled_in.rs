//! The copy of SQLite in use, where one is compiled in: that one (see `binding.rs` for where none is).

use crate::host::HostError;

/// There is nothing to bind to.
pub(super) fn bind() -> Result<(), HostError> {
    Ok(())
}

/// The program that this is compiled into uses no other copy: cargo links one, whoever asks for it.
pub(super) const IS_THE_ONLY_COPY: bool = true;

/// Where the copy is, for a person.
pub(super) fn library() -> String {
    "the one that is compiled in".to_owned()
}
