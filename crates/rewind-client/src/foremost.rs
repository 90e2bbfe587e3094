//! Finds the recovery that people mean who name none.

use crate::{ClientError, ClientResult, RecoveryClient};
use rewind_aws::executions::Executions;
use rewind_aws::recoveries::Recoveries;
use rewind_core::{Ending, ErrorName, RecoveryRecord};

/// The number of recoveries whose execution is asked, because the table says that they have not ended.
const ASKED: usize = 10;

impl<E: Executions, R: Recoveries, F> RecoveryClient<E, R, F> {
    /// Finds the id of the recovery that people mean who name none: one that waits for an approval, else one that runs,
    /// else the latest; and where that was refused at its start, the one before, if that one needs a person.
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
        // A start that is refused because of a recovery that needs a person must not hide that one.
        if let Some(begun) = recoveries.iter().find(|recovery| !was_refused(recovery)) {
            let state = match Ending::from_name(&begun.state) {
                Some(_) => begun.state.clone(),
                None => self.recovery(&begun.id).await?.state,
            };
            if [Ending::NeedsOperator.name(), Ending::Stopped.name()].contains(&state.as_str()) {
                return Ok(begun.id.clone());
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

/// True for one that was refused before it changed anything.
fn was_refused(recovery: &RecoveryRecord) -> bool {
    let error = recovery.error.as_deref();
    let at_start = [ErrorName::InvalidRequest, ErrorName::OutsideWindow, ErrorName::LeaseHeld];
    recovery.state == Ending::NothingChanged.name()
        && (recovery.new_cluster.is_none() || at_start.iter().any(|name| error == Some(name.as_str())))
}
