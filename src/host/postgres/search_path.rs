//! Where the server looks for tables, and who says so.

use tokio_postgres::types::Type;

use super::connection::{Connection, Server};
use super::fit::Fitting;
use crate::host::HostError;

const DOING: &str = "reading its search path";

/// A connection's search path.
pub(super) struct SearchPath {
    /// As the server has it.
    setting: String,
    /// The store's address names it, or `PGOPTIONS`; else it is the role's, the database's or the server's own.
    pub(super) was_given: bool,
}

impl SearchPath {
    /// The connection's own, which a transaction has not changed yet.
    pub(super) fn of(server: &Server, connection: &Connection) -> Result<SearchPath, HostError> {
        // "session": a pooler has handed it on.
        let sql = "SELECT current_setting('search_path'), source IN ('client', 'session') FROM pg_settings
                   WHERE name = 'search_path'";
        let row = connection.wait_for(connection.client().query_typed_one(sql, &[]));
        let read = |row: tokio_postgres::Row| {
            Ok(SearchPath { setting: row.try_get(0)?, was_given: row.try_get::<_, Option<bool>>(1)?.unwrap_or(false) })
        };
        let path = row.and_then(read).map_err(|error| server.error(DOING, error))?;
        if server.address.names_search_path() && !path.was_given {
            return Err(HostError::Unusable(format!(
                "the address of the store {} names a search path (`options`, or PGOPTIONS), and the server does not know \
                 of it, since a pooler in between leaves it out: take it out of the address, and have it set for the role \
                 instead, as in ALTER ROLE … SET search_path = …",
                server.address
            )));
        }
        Ok(path)
    }

    /// The statement that looks into a schema first, and along this path then, for the rest of a transaction. The path
    /// may be empty: that is how servers are hardened.
    pub(super) fn behind(&self, fitting: &Fitting<'_>, schema: &str) -> Result<String, HostError> {
        fitting.follow_the_search_path()?;
        fitting.one(
            "SELECT 'SET LOCAL search_path = ' || string_agg(quote_ident(name), ', ' ORDER BY place)
             FROM unnest(ARRAY[$1::text] || current_schemas(false)::text[]) WITH ORDINALITY AS schema(name, place)
             WHERE name !~ '^pg_temp_'",
            schema,
        )
    }
}

impl Fitting<'_> {
    /// Looks along the connection's own search path.
    pub(super) fn follow_the_search_path(&self) -> Result<(), HostError> {
        let path = &self.search_path.setting;
        let sql = "SELECT set_config('search_path', $1, true)";
        let client = self.connection.client();
        let set = self.connection.wait_for(client.query_typed(sql, &[(path, Type::TEXT)]));
        set.map(drop).map_err(|error| self.server.error(DOING, error))
    }
}
