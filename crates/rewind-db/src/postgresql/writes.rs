//! The writes of PostgreSQL: every transaction that writes gets an id, and the cluster issues them in order.

use super::connection::PostgresqlConnection;
use crate::engine::{Connection, LoginOperations, WriteOperations};
use crate::error::StatementError;

impl WriteOperations for PostgresqlConnection {
    /// False: the ids are the cluster's, and go on after a restart and a failover.
    fn counts_per_server(&self) -> bool {
        false
    }

    async fn writes(&self) -> Result<Option<u64>, StatementError> {
        // One past the highest id whose transaction has ended. A prepared one has not, and outlives its session.
        let next = self
            .values(
                "SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::bigint + \
                 (SELECT count(*) FROM pg_catalog.pg_prepared_xacts)",
            )
            .await?;
        Ok(next.first().and_then(|id| id.parse().ok()))
    }

    /// One transaction for each statement of the fence, which holds many changes. Where the server refused one of them the
    /// statement was split, and the fence wrote more than this: then the count looks as if a client had written, never the
    /// other way round.
    fn writes_of_closing(&self, logins: u64) -> u64 {
        let at_once = u64::try_from(self.changes_at_once()).unwrap_or(u64::MAX);
        logins.div_ceil(at_once)
    }
}
