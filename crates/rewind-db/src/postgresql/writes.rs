//! The writes of PostgreSQL: every transaction that writes gets an id, and the cluster issues them in order.

use super::connection::PostgresqlConnection;
use crate::engine::{Connection, WriteOperations};
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

    /// One transaction each: the fence runs every `ALTER` by itself.
    fn writes_of_closing(&self, logins: u64) -> u64 {
        logins
    }
}
