//! Databases in another encoding than UTF-8: which texts they can have at all.

use std::collections::HashSet;

use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use super::dialect::{Bound, bound, texts};
use super::session::PostgresSession;
use crate::host::HostError;
use crate::host::view::Value;

impl PostgresSession<'_> {
    /// Values as they are sent; a text that the database can't have is none.
    pub(super) fn bound<'v>(&self, values: &'v [Value]) -> Result<Vec<Bound<'v>>, HostError> {
        let foreign = self.foreign(texts(values))?;
        Ok(values.iter().map(|value| bound(value, &foreign)).collect())
    }

    /// Those of the texts that the database's encoding has no signs for: nothing in it equals or contains them.
    pub(super) fn foreign<'t>(&self, texts: impl Iterator<Item = &'t str>) -> Result<HashSet<String>, HostError> {
        let mut texts: Vec<&str> = texts.filter(|text| !self.fitted.has_every_sign && !text.is_ascii()).collect();
        texts.sort_unstable();
        texts.dedup();
        let mut foreign = HashSet::new();
        // Most likely, none of them is.
        if texts.is_empty() || self.has_signs_for(&texts.concat())? {
            return Ok(foreign);
        }
        for text in texts {
            if !self.has_signs_for(text)? {
                foreign.insert(text.to_owned());
            }
        }
        Ok(foreign)
    }

    fn has_signs_for(&self, text: &str) -> Result<bool, HostError> {
        const DOING: &str = "reading the selector in the database's encoding";
        // As bytes, which the server takes whatever they say.
        let sql = "SELECT convert($1, 'UTF8', getdatabaseencoding())";
        self.execute(DOING, "SAVEPOINT encoding")?;
        let (connection, bytes) = (self.connection(), text.as_bytes());
        let converted = connection.wait_for(connection.client().query_typed(sql, &[(&bytes, Type::BYTEA)]));
        let has_signs = match converted {
            Ok(_) => true,
            Err(error) if error.code() == Some(&SqlState::UNTRANSLATABLE_CHARACTER) => false,
            Err(error) => return Err(self.error(DOING, error)),
        };
        self.execute(DOING, "ROLLBACK TO encoding; RELEASE encoding")?;
        Ok(has_signs)
    }
}
