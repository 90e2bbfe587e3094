//! Reads the writes of the restored cluster before the source is fenced. It stops nothing: what cannot be read counts as written later.

use crate::{FenceSource, Input};
use rewind_aws::rds::ReadClusters;
use rewind_aws::secrets::Logins;
use rewind_clock::{OutOfTime, within};
use rewind_core::{Clock, Polling, StepError, Strategy, timeouts};
use rewind_db::{Session, WritePosition, defaults, write_position};

impl<C: ReadClusters, S: Logins, R: Sync, K: Clock> FenceSource<C, S, R, K> {
    /// Reads where the writes of the restored cluster stand; none if that cannot be read, which stops nothing.
    pub(crate) async fn position_before(&self, input: &Input) -> Option<WritePosition> {
        // In place nothing moves to another cluster.
        let restored = input.restored.as_ref().filter(|_| input.plan.strategy == Strategy::Restore)?;
        let read = async {
            let cluster = self.access.cluster(&restored.cluster).await?;
            let (id, plan) = (&input.recovery.id, &input.plan);
            let database = defaults(cluster.engine).maintenance_database;
            let (_, session) = self.access.log_in(id, &cluster, plan, restored.rewound_to, database).await?;
            let position = settled(&session, &self.clock).await;
            session.close().await;
            let mut position = position?;
            // What a reader forwards may have no session on the writer that is counted.
            if cluster.write_forwarding.is_some() {
                position.visits = None;
            }
            Ok::<_, StepError>(position)
        };
        let position = within(timeouts::WRITE_POSITION, Box::pin(read)).await;
        match position {
            Ok(Ok(position)) => Some(position),
            Ok(Err(error)) => {
                tracing::warn!(%error, "where the writes of the restored cluster stand was not read");
                None
            }
            Err(OutOfTime) => {
                tracing::warn!("where the writes of the restored cluster stand was not read in time");
                None
            }
        }
    }
}

/// Reads where the writes stand, and waits a moment for what is open just then.
pub(crate) async fn settled(session: &Session, clock: &impl Clock) -> Result<WritePosition, StepError> {
    let is_settled = |position: &WritePosition| position.count.is_some();
    Polling::default().until(clock, timeouts::WRITES_SETTLE, || write_position(session), is_settled).await
}
