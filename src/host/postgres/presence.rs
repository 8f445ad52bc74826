//! Who else is connected to the database, and whether the runner is among them.

use tokio_postgres::Row;

use crate::host::Process;
use crate::host::profile::Profile;

/// Every client's connection but those of a name, `$1`, which is ours. Who may not see another role's sessions is told neither
/// of what kind they are nor what they do, but what they are called.
pub(super) const OTHERS: &str = "
    SELECT pid, coalesce(application_name, ''), coalesce(usename::text, ''),
        CASE WHEN backend_type IS NOT NULL THEN coalesce(query, '') END
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND coalesce(backend_type = 'client backend', usename IS NOT NULL)
        AND application_name IS DISTINCT FROM $1
    ORDER BY pid";

/// They, and what keeps us from seeing whether the runner is one of them, if anything does.
pub(super) fn of(others: &[Row], profile: &Profile) -> (Vec<Process>, Option<String>) {
    let (mut open_in, mut hidden) = (Vec::new(), None);
    for row in others {
        let (called, role, query): (String, String, Option<String>) = (row.get(1), row.get(2), row.get(3));
        let is_runner = profile.seen_as.is_connection(&called, query.as_deref().unwrap_or_default());
        let is_hidden = query.is_none();
        if is_hidden && profile.seen_as.may_be_connection(&called) {
            hidden = Some(format!("this role may not see what {role} does; with GRANT pg_read_all_stats it may"));
        }
        let name = match (called.is_empty(), is_hidden) {
            (false, _) => called,
            (true, true) => format!("{role}, whom this role may not see"),
            (true, false) => role,
        };
        open_in.push(Process { pid: row.get::<_, i32>(0).unsigned_abs(), name, is_runner });
    }
    (open_in, hidden)
}
