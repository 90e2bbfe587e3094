//! Reads where the writes stand: of the restored cluster before the source is fenced, which stops nothing, for what cannot be read
//! counts as written later; and of a source that is fenced in place.

use crate::{FenceSource, Input};
use rewind_aws::rds::ReadClusters;
use rewind_aws::secrets::Logins;
use rewind_clock::{OutOfTime, within};
use rewind_core::{Clock, ErrorName, Polling, StepError, Strategy, timeouts};
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
            let position = self.settled(&session).await;
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

    /// Reads where the writes of a cluster stand that is fenced in place. What was written after that shows by it alone, so a server
    /// that does not count, or on which something is open that can be committed later, is not rewound.
    pub(crate) async fn counted(&self, cluster: &str, session: &Session) -> Result<WritePosition, StepError> {
        let position = self.settled(session).await?;
        if position.count.is_some() {
            return Ok(position);
        }
        Err(StepError::new(
            ErrorName::RewindFailed,
            format!(
                "{cluster} cannot be fenced in place: transactions without a session are open there (XA RECOVER lists those that \
                 are prepared), or it does not count its writes"
            ),
        )
        .changed("nothing was backtracked")
        .advice("commit them or roll them back, or ask for the strategy restore, and start again"))
    }

    /// Reads where the writes stand, and waits a moment for what is open just then.
    pub(crate) async fn settled(&self, session: &Session) -> Result<WritePosition, StepError> {
        let is_settled = |position: &WritePosition| position.count.is_some();
        Polling::default().until(&self.clock, timeouts::WRITES_SETTLE, || write_position(session), is_settled).await
    }
}
