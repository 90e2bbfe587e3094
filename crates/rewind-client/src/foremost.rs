//! Finds the recovery that people mean who name none.

use crate::{ClientError, ClientResult, RecoveryClient};
use rewind_aws::executions::Executions;
use rewind_aws::recoveries::Recoveries;

/// The number of recoveries whose execution is asked, because the table says that they have not ended.
const ASKED: usize = 10;

impl<E: Executions, R: Recoveries, F> RecoveryClient<E, R, F> {
    /// Finds the id of the recovery that people mean who name none: one that waits for an approval, else one that runs,
    /// else the latest.
    ///
    /// # Errors
    ///
    /// `Refused` where there is none; errors of AWS.
    pub async fn foremost(&self) -> ClientResult<String> {
        let recoveries = self.list(None, usize::MAX).await?;
        for state in ["AwaitingApproval", "Running"] {
            for recovery in recoveries.iter().filter(|recovery| recovery.state == state).take(ASKED) {
                // One that was stopped from outside is in the table as it was, for ever.
                if self.recovery(&recovery.id).await?.state == state {
                    return Ok(recovery.id.clone());
                }
            }
        }
        let latest = recoveries.into_iter().next();
        latest.map(|recovery| recovery.id).ok_or_else(|| {
            ClientError::Refused(
                "there is no recovery yet; next step: start one, or mind Region and account".to_owned(),
            )
        })
    }
}
