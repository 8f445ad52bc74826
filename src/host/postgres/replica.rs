//! A standby that searches read in the primary's place. Whatever is started or guarded is the primary's affair.

use tokio_postgres::types::Type;

use super::PostgresHost;
use super::connection::{Connection, Server};
use crate::contract::Replica as Lag;
use crate::host::{HostError, ReplicaInfo};

/// Which cluster it is, and how far it has written: what a standby that has replayed as much can't lack.
const OF_THE_PRIMARY: &str = "SELECT system_identifier::text,
    (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END)::text
    FROM pg_control_system()";

/// Whether it is a standby, of which cluster, how much it has yet to replay, and how long ago the last transaction was
/// committed that it has replayed.
const OF_THE_STANDBY: &str = "SELECT pg_is_in_recovery(), system_identifier::text,
    pg_wal_lsn_diff($1::text::pg_lsn, pg_last_wal_replay_lsn())::bigint,
    (extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000)::bigint
    FROM pg_control_system()";

const DOING: &str = "asking how far the replica is behind";

impl PostgresHost {
    /// A connection to the replica, where there is one.
    pub(super) fn connect_replica(&self) -> Result<Option<(&Server, Connection)>, HostError> {
        let Some(server) = &self.replica else { return Ok(None) };
        server.connect().map(|connection| Some((server, connection))).map_err(of_the_replica)
    }

    /// How far a replica is behind at least one moment ago; it is asked before anything is read of it.
    ///
    /// # Errors
    ///
    /// It is no standby, or another primary's; and as usual.
    pub(super) fn lag(&self, primary: &Connection, server: &Server, replica: &Connection) -> Result<Lag, HostError> {
        let asked = primary.wait_for(primary.client().query_typed_one(OF_THE_PRIMARY, &[]));
        let asked = asked.and_then(|row| Ok((row.try_get::<_, String>(0)?, row.try_get::<_, String>(1)?)));
        let (system, written) = asked.map_err(|error| self.server.error(DOING, error))?;
        let values: &[(&(dyn tokio_postgres::types::ToSql + Sync), Type)] = &[(&written, Type::TEXT)];
        let asked = replica.wait_for(replica.client().query_typed_one(OF_THE_STANDBY, values));
        let failed = |error| of_the_replica(server.error(DOING, error));
        let row = asked.map_err(failed)?;
        let is_standby: bool = row.try_get(0).map_err(failed)?;
        let system_there: String = row.try_get(1).map_err(failed)?;
        let [lag_bytes, lag_ms] = [row.try_get::<_, Option<i64>>(2), row.try_get::<_, Option<i64>>(3)];
        let (lag_bytes, lag_ms) = (lag_bytes.map_err(failed)?, lag_ms.map_err(failed)?);
        let (address, of) = (&server.address, &self.server.address);
        if system_there != system {
            return Err(HostError::Unusable(format!(
                "the replica {address} is another cluster's than the store {of} (their system identifiers are \
                 {system_there} and {system}): its runs are others; nothing was changed. Name a standby of that store, or \
                 leave `replica` out (--replica)"
            )));
        }
        if !is_standby {
            return Err(HostError::Unusable(format!(
                "the replica {address} is no standby: it is the store's own server, or was promoted since, and has runs \
                 by now that the store {of} has not; nothing was changed. Name a standby (pg_is_in_recovery()), or leave \
                 `replica` out (--replica)"
            )));
        }
        // It may be further by now than the primary was; and two clocks may differ.
        let [lag_bytes, lag_ms] = [lag_bytes, lag_ms].map(|lag| lag.map(|lag| u64::try_from(lag).unwrap_or(0)));
        // What it has replayed last may be old where nothing was written since.
        let lag_ms = if lag_bytes == Some(0) { Some(0) } else { lag_ms };
        Ok(Lag { lag_ms, lag_bytes })
    }

    /// What is to be known of the replica.
    pub(super) fn replica_info(&self, primary: &Connection) -> Option<ReplicaInfo> {
        let server = self.replica.as_ref()?;
        let lag = self.connect_replica().and_then(|connected| {
            let Some((server, connection)) = connected else { return Ok(Lag::default()) };
            let lag = self.lag(primary, server, &connection)?;
            server.give_back(connection);
            Ok(lag)
        });
        let address = server.address.to_string();
        Some(match lag {
            Ok(lag) => ReplicaInfo { address, lag: Some(lag), error: None },
            Err(error) => ReplicaInfo { address, lag: None, error: Some(error.to_string()) },
        })
    }
}

/// There is no silent way back to the primary: who names a replica keeps searches from it.
pub(super) fn of_the_replica(error: HostError) -> HostError {
    match error {
        HostError::Unusable(words) => HostError::Unusable(format!(
            "the replica can't be searched: {words}. The primary is not searched in its place: mend that, or leave \
             `replica` out (--replica)"
        )),
        other => other,
    }
}
