//! Resumes a recovery that ended without moving traffic, or that was stopped: a new one goes on from its restored cluster.

use crate::{ClientError, ClientResult, RecoveryClient, RecoveryName, StartedExecution};
use rewind_aws::caller::SignCaller;
use rewind_aws::executions::Executions;
use rewind_aws::recoveries::Recoveries;
use rewind_core::RecoveryRecord;
use serde_json::{Map, Value};

impl<E: Executions, R: Recoveries, F> RecoveryClient<E, R, F> {
    /// Reads a recovery, and refuses one that left nothing to go on from.
    ///
    /// # Errors
    ///
    /// `Refused` with the reason; `Unknown` where there is no recovery of that id; errors of AWS.
    pub async fn resumable(&self, id: &str) -> ClientResult<RecoveryRecord> {
        let recovery = self.recovery(id).await?;
        // The state machine checks more. Here a wrong id is answered at once, without an execution.
        match recovery.why_not_resumable() {
            None => Ok(recovery),
            Some(why) => Err(ClientError::Refused(format!("{id} cannot be resumed: {why}; nothing was changed"))),
        }
    }

    /// Starts a recovery that adopts the restored cluster of the recovery `id`; `request` holds the fields that shall differ.
    ///
    /// # Errors
    ///
    /// Those of [`RecoveryClient::resumable`] and [`RecoveryClient::start`].
    pub async fn resume(
        &self,
        name: RecoveryName,
        id: &str,
        mut request: Map<String, Value>,
        signer: &impl SignCaller,
    ) -> ClientResult<StartedExecution> {
        let recovery = self.resumable(id).await?;
        // The state machine finds it by the id as well. Here it names the execution, and shows in its input.
        request.entry("cluster").or_insert(Value::from(recovery.cluster));
        self.start(name, &Value::Object(request), signer).await
    }
}
