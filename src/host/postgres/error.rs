//! What an error of the server means to the store's owner.

use tokio_postgres::error::{DbError, SqlState};

use super::address::in_words;
use super::connection::Server;
use crate::host::HostError;

/// What the server said, or what became of the connection: for the log, which is told all of it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Cause(String);

impl Server {
    /// What went wrong on a connection. Statements and values are for the log, never for a client.
    pub(super) fn error(&self, doing: &'static str, error: tokio_postgres::Error) -> HostError {
        let Some(said) = error.as_db_error() else {
            if is_lost(&error) && self.is_replica {
                return self.stopped(doing, &in_words(&error));
            }
            if is_lost(&error) {
                return HostError::Unusable(format!(
                    "the connection to the store {} was lost while {doing} ({}); nothing was changed, so try again once \
                     the server is there",
                    self.address,
                    in_words(&error)
                ));
            }
            return HostError::Failed { doing, source: Box::new(Cause(in_words(&error))) };
        };
        if let Some(known) = self.meaning(doing, said) {
            return known;
        }
        if is_of_a_statement(said.code()) {
            log(doing, said);
            return HostError::Unusable(format!(
                "{doing} in the store {} failed: {}; nothing was changed. `bulk-rerun check` tells whether the profile \
                 fits the store still",
                self.address,
                for_people(said)
            ));
        }
        HostError::Failed { doing, source: Box::new(Cause(in_full(said))) }
    }

    /// A standby gives a search up for the sake of what it has to replay, or ends its connection for that.
    fn stopped(&self, doing: &'static str, words: &str) -> HostError {
        HostError::TryAgain(format!(
            "the replica {} stopped us while {doing} ({words}), as a standby does with what stands in the way of what it has \
             to replay; nothing was changed, so try again. Where that happens often, let it wait longer for searches \
             (max_standby_streaming_delay), or tell the primary what they still read (hot_standby_feedback = on), or \
             leave `replica` out (--replica)",
            self.address
        ))
    }

    /// What the server said, where its owner can do something about it.
    pub(super) fn meaning(&self, doing: &'static str, said: &DbError) -> Option<HostError> {
        let known = self.meaning_of(doing, said);
        if known.is_some() {
            log(doing, said);
        }
        known
    }

    fn meaning_of(&self, doing: &'static str, said: &DbError) -> Option<HostError> {
        let address = &self.address;
        let words = for_people(said);
        let code = said.code();
        Some(match code {
            &SqlState::T_R_SERIALIZATION_FAILURE if self.is_replica => self.stopped(doing, &words),
            &SqlState::LOCK_NOT_AVAILABLE => HostError::Busy { waited: self.busy_timeout },
            &SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED => HostError::Conflict,
            &SqlState::QUERY_CANCELED => HostError::TryAgain(format!(
                "the server stopped {doing}: {words}; nothing was changed. Where that is statement_timeout, narrow the \
                 selector, or raise it with ?options=-cstatement_timeout%3D60s (where a pooler such as PgBouncer \
                 refuses that, with ALTER ROLE … SET statement_timeout)"
            )),
            &SqlState::TOO_MANY_CONNECTIONS => HostError::TryAgain(format!(
                "the store {address} has no connection to spare: {words}; nothing was changed, so try again"
            )),
            &SqlState::ADMIN_SHUTDOWN => HostError::TryAgain(format!(
                "the server of the store {address} is stopping, or its administrator has ended this connection \
                 ({words}); nothing was changed, so try again"
            )),
            &SqlState::CANNOT_CONNECT_NOW | &SqlState::CRASH_SHUTDOWN => HostError::TryAgain(format!(
                "the server of the store {address} is stopping or starting ({words}); nothing was changed, so try again"
            )),
            &SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT => HostError::TryAgain(format!(
                "the server of the store {address} gave up waiting for us while {doing} ({words}); nothing was changed, \
                 so try again"
            )),
            &SqlState::READ_ONLY_SQL_TRANSACTION => HostError::Unusable(format!(
                "the store {address} can't be written: it is a standby, or read-only ({words}); a dry run still works, \
                 and the primary takes the re-run (where it is this role or database that only reads, \
                 default_transaction_read_only is what says so)"
            )),
            &SqlState::INSUFFICIENT_PRIVILEGE => HostError::Unusable(format!(
                "the store {address} does not let this role do it: {words}; nothing was changed. `bulk-rerun check` \
                 lists the rights that are missing, and the GRANT for each"
            )),
            &SqlState::DISK_FULL => HostError::Unusable(format!(
                "the disk of {address} is full: what was to be written did not fit, and nothing was changed; make room \
                 there, and try again"
            )),
            &SqlState::CHARACTER_NOT_IN_REPERTOIRE => HostError::Unusable(format!(
                "the store {address} has text that is not in UTF-8 ({words}), and its database does not know in which \
                 encoding it is (SHOW server_encoding): mend it there, or narrow the selector to other runs; nothing \
                 was changed"
            )),
            &SqlState::UNTRANSLATABLE_CHARACTER if words.contains("Unicode escape") => HostError::Unusable(format!(
                "the store {address} has a JSON text with an escape that is no text in PostgreSQL, such as \\u0000 ({words}), \
                 and the profile's statement takes that text apart: narrow the selector to other runs, or have the \
                 statement hand it over whole; nothing was changed"
            )),
            &SqlState::UNTRANSLATABLE_CHARACTER => HostError::Unusable(format!(
                "the store {address} has another encoding than UTF-8 (SHOW server_encoding), and a text has no \
                 equivalent there ({words}). If that is the selector's, no run has it; nothing was changed"
            )),
            &SqlState::PROTOCOL_VIOLATION if words.contains("statement pooling") => HostError::Unusable(format!(
                "the pooler in front of the store {address} is in statement mode, which has no transactions ({words}), \
                 and a re-run is one; it needs transaction or session mode (PgBouncer: pool_mode = transaction)"
            )),
            &SqlState::PROTOCOL_VIOLATION if words.contains("unsupported startup parameter") => {
                HostError::Unusable(format!(
                    "the pooler in front of the store {address} does not take what the address asks of the server \
                     ({words}): leave `options` out (PGOPTIONS, too), and have them set for the role instead, as in \
                     ALTER ROLE … SET search_path = …"
                ))
            }
            _ => return None,
        })
    }
}

/// All that the server said, for whoever reads the log.
fn log(doing: &str, said: &DbError) {
    tracing::info!(cause = %in_full(said), "the server declined while {doing}");
}

/// What the server said, as far as an answer may have it: never a row, and never a statement.
pub(super) fn for_people(said: &DbError) -> String {
    let hint = said.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("{}{hint}", said.message())
}

/// All that the server said, in one line: for the log.
pub(super) fn in_full(said: &DbError) -> String {
    let mut words = format!("{}: {} (SQLSTATE {}", said.severity(), said.message(), said.code().code());
    for (label, text) in [("detail", said.detail()), ("hint", said.hint()), ("context", said.where_())] {
        if let Some(text) = text {
            words += &format!("; {label}: {text}");
        }
    }
    words.push(')');
    words.replace(['\n', '\r'], " ")
}

/// The statement does not fit the tables: a table, a column or an operator that is not there. Such words name no value;
/// those of a syntax error would quote the statement.
fn is_of_a_statement(code: &SqlState) -> bool {
    code.code().starts_with("42") && *code != SqlState::SYNTAX_ERROR
}

/// Classes of errors that a row alone can be at fault for: cardinality, data, constraints, a trigger's own refusal,
/// functions in any language, `WITH CHECK OPTION`, and what PL/pgSQL raises.
const OF_A_ROW: [&str; 9] = ["09", "21", "22", "23", "27", "38", "39", "44", "P0"];

/// All other classes that PostgreSQL has of its own, and those of poolers. What is in none of them is the host's own.
const OF_THE_SERVER: [&str; 33] = [
    "00", "01", "02", "03", "08", "0A", "0B", "0F", "0L", "0P", "0Z", "20", "24", "25", "26", "28", "2B", "2D", "2F",
    "34", "3B", "3D", "3F", "40", "42", "53", "54", "55", "57", "58", "72", "F0", "HV",
];

/// Classes that say that the server, the connection, our rights or our statements are in trouble, whoever raises them.
const TROUBLE: [&str; 11] = ["08", "25", "26", "28", "3D", "3F", "40", "42", "53", "57", "58"];

/// The host's schema said no to one run: a constraint, a trigger that raises, a value that does not do.
pub(super) fn declines(error: &tokio_postgres::Error) -> Option<String> {
    let said = error.as_db_error()?;
    // PL/pgSQL's RAISE, under whatever code; and a policy's check of one row, under that of a missing right.
    let is_the_hosts = matches!(said.routine(), Some("exec_stmt_raise" | "ExecWithCheckOptions"));
    let of_a_policy =
        *said.code() == SqlState::INSUFFICIENT_PRIVILEGE && said.routine() == Some("ExecWithCheckOptions");
    (of_a_policy || declines_one_run(said.code(), is_the_hosts)).then(|| said.message().to_owned())
}

fn declines_one_run(code: &SqlState, raised: bool) -> bool {
    let class = &code.code()[..code.code().len().min(2)];
    if TROUBLE.contains(&class) || class == "XX" || *code == SqlState::LOCK_NOT_AVAILABLE {
        return false;
    }
    raised || OF_A_ROW.contains(&class) || *code == SqlState::PROGRAM_LIMIT_EXCEEDED || !OF_THE_SERVER.contains(&class)
}

/// The tables are no longer those that the profile was fitted to.
pub(super) fn is_of_another_schema(error: &tokio_postgres::Error) -> bool {
    let schema = [
        SqlState::UNDEFINED_TABLE,
        SqlState::UNDEFINED_COLUMN,
        SqlState::UNDEFINED_FUNCTION,
        SqlState::UNDEFINED_OBJECT,
        SqlState::DATATYPE_MISMATCH,
    ];
    error.code().is_some_and(|code| schema.contains(code))
}

/// The server is no longer there, or no longer knows us.
pub(super) fn is_lost(error: &tokio_postgres::Error) -> bool {
    let is_io = |error: &tokio_postgres::Error| {
        std::error::Error::source(error).is_some_and(|cause| cause.is::<std::io::Error>())
    };
    let shut_down = [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN];
    error.is_closed() || is_io(error) || error.code().is_some_and(|code| shut_down.contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_hosts_own_no_is_told_from_trouble() {
        let declines = |code: &str, raised| declines_one_run(&SqlState::from_code(code), raised);
        // Constraints, PL/pgSQL, other languages, data, a view's own check, a row too long for an index.
        for code in ["23505", "23503", "P0001", "P0004", "38000", "22P02", "22012", "21000", "44000", "09000", "54000"]
        {
            assert!(declines(code, false), "{code}");
        }
        // The host's own codes, in classes that PostgreSQL does not have.
        for code in ["UE001", "JOB01", "99999", "ABC12"] {
            assert!(declines(code, false), "{code}");
        }
        // PostgreSQL's, where a trigger raises them.
        for code in ["55000", "0A000", "2F004", "54001"] {
            assert!(!declines(code, false) && declines(code, true), "{code}");
        }
        let trouble = "55P03 42P01 42501 42804 40001 40P01 57014 57P01 53100 53200 53300 08006 08P01 58030 XX000 25006 \
                       28000 26000 3D000";
        for code in trouble.split_whitespace() {
            assert!(!declines(code, false) && !declines(code, true), "{code}");
        }
    }
}
