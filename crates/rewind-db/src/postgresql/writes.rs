//! The writes of PostgreSQL: every transaction that writes gets an id, and the cluster issues them in order.

use super::connection::PostgresqlConnection;
use crate::engine::writes::Visits;
use crate::engine::{Connection, LoginOperations, SessionOperations, WriteOperations};
use crate::error::StatementError;

/// One past the highest id whose transaction has ended. An open one with a higher id moves it when it ends. One with a lower id does
/// not, and so the count is none while there is one; a prepared one outlives its session, and a commit of it takes no id.
const COUNT: &str = "\
    SELECT CASE WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_snapshot_xip(seen)) AND NOT EXISTS (SELECT FROM \
    pg_catalog.pg_prepared_xacts) THEN pg_catalog.pg_snapshot_xmax(seen)::text END FROM pg_catalog.pg_current_snapshot() seen";

/// Sessions in all databases but RDS's own, where no client gets in, and this one, in which the functions of a recovery come and
/// go; for this one, and for what all databases share (with the id 0), rows. Then the beginning of the counts: a crash discards
/// all of them, and notes that for the background writer alone. Then what writes without a client's session.
///
/// Rows are not counted with `track_counts` off, which takes a superuser to set for a session: if it is off for anybody, there is
/// no beginning, and nothing is known.
const VISITS: &str = "\
    SELECT (SELECT sum(sessions) FROM pg_catalog.pg_stat_database \
            WHERE datid <> 0 AND datname NOT IN (pg_catalog.current_database(), 'rdsadmin'))::bigint, \
           (SELECT sum(tup_inserted + tup_updated + tup_deleted) FROM pg_catalog.pg_stat_database \
            WHERE datid = 0 OR datname = pg_catalog.current_database())::bigint, \
           CASE WHEN pg_catalog.current_setting('track_counts')::bool AND NOT EXISTS \
                (SELECT FROM pg_catalog.pg_db_role_setting, unnest(setconfig) setting WHERE setting LIKE 'track_counts=%') \
           THEN concat_ws(' ', pg_catalog.pg_postmaster_start_time(), \
                (SELECT stats_reset FROM pg_catalog.pg_stat_bgwriter), \
                (SELECT pg_catalog.hashtextextended(string_agg(concat(datid, ':', stats_reset), ',' ORDER BY datid), 0) \
                 FROM pg_catalog.pg_stat_database)) END, \
           (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datid IS NOT NULL AND coalesce(backend_type, '') NOT IN \
            ('client backend', 'walsender', 'autovacuum worker', 'parallel worker')), \
           pg_catalog.current_database()";

impl WriteOperations for PostgresqlConnection {
    /// False: the ids are the cluster's, and go on after a restart and a failover.
    fn counts_per_server(&self) -> bool {
        false
    }

    async fn writes(&self) -> Result<Option<u64>, StatementError> {
        let next = self.values(COUNT).await?;
        Ok(next.first().and_then(|id| id.parse().ok()))
    }

    /// Sessions are counted from PostgreSQL 15 on in shared memory: each writes its counts at its end at the latest, before it
    /// leaves `pg_stat_activity`. Earlier servers send them by UDP, and may lose some.
    async fn visits(&self) -> Result<Option<Visits>, StatementError> {
        let version = self.values("SELECT pg_catalog.current_setting('server_version_num')").await?;
        if version.first().and_then(|version| version.parse::<u64>().ok()).is_none_or(|version| version < 150_000) {
            return Ok(None);
        }
        // Of our own session as well, whose counts would otherwise be in one of two positions only by chance.
        self.values("SELECT pg_catalog.pg_stat_force_next_flush()").await?;
        let counted = self.rows(VISITS).await?;
        // After the counts: a session that comes in between is in the next ones, and one that was there at the first is here.
        let others = self.client_sessions(&[]).await?;
        let Some([Some(sessions), Some(rows), Some(since), Some(workers), Some(here)]) =
            counted.into_iter().next().and_then(|row| <[_; 5]>::try_from(row).ok())
        else {
            return Ok(None);
        };
        // Whoever is in another database may write with a session that is counted already. What writes without a session of its
        // own would be in neither count.
        if others.iter().any(|session| session.database != here) || workers != "0" {
            return Ok(None);
        }
        let (sessions, rows) = (sessions.parse().ok(), rows.parse().ok());
        Ok(sessions.zip(rows).map(|(sessions, rows)| Visits { sessions, rows, since }))
    }

    /// One transaction for each statement of the fence, which holds many changes. Where the server refused one of them the
    /// statement was split, and the fence wrote more than this: then the count looks as if a client had written, never the
    /// other way round.
    fn writes_of_closing(&self, logins: u64) -> u64 {
        let at_once = u64::try_from(self.changes_at_once()).unwrap_or(u64::MAX);
        logins.div_ceil(at_once)
    }
}
