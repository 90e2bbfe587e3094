//! Reads the status of recoveries: from the table, and from the execution where the table does not know.

use crate::{ClientError, ClientResult, Deployment, RecoveryClient};
use rewind_aws::executions::{Execution, Executions, Status, What};
use rewind_aws::recoveries::Recoveries;
use rewind_core::{Ending, Outcome, RecoveryRecord};
use serde_json::Value;

impl<E: Executions, R: Recoveries, F> RecoveryClient<E, R, F> {
    /// Reads the status of a recovery.
    ///
    /// # Errors
    ///
    /// `Unknown` where there is no recovery of that id; errors of AWS.
    pub async fn recovery(&self, id: &str) -> ClientResult<RecoveryRecord> {
        let record = self.recoveries.recovery(id).await?;
        // What has ended in the table is final, and its execution may be older than the 90 days for which it is kept.
        let has_ended = record.as_ref().is_some_and(|record| Ending::from_name(&record.state).is_some());
        let arn = record.as_ref().map_or_else(|| self.deployment.recovery_arn(id), |r| r.execution_arn.clone());
        // StopExecution runs no state, so it leaves the table as it was: only the execution knows.
        let mut execution = if has_ended { None } else { self.executions.execution(&arn).await? };
        if let (None, None, Some(state_machine)) = (&record, &execution, &self.deployment.undo_state_machine) {
            execution = self.executions.execution(&Deployment::execution_arn(state_machine, id)).await?;
        }
        let execution = match execution {
            Some(execution) => Some((self.state_of(&execution).await?, execution)),
            None => None,
        };
        match (record, execution) {
            (Some(record), execution) => Ok(with_execution(record, execution)),
            (None, Some((state, execution))) => {
                let cluster = self.cluster_of(&execution).await?;
                Ok(from_execution(id, cluster, state, execution))
            }
            (None, None) => Err(ClientError::Unknown(id.to_owned())),
        }
    }

    /// Names the state of an execution. A failed one is named after the last state in its history.
    async fn state_of(&self, execution: &Execution) -> ClientResult<&'static str> {
        let history = match execution.status {
            Status::Running => return Ok("Running"),
            Status::Failed => self.executions.events(&execution.arn, 0).await?,
            Status::Succeeded | Status::Stopped => Vec::new(),
        };
        let last_state = history.iter().rev().find_map(|event| match &event.what {
            What::Entered(state) => Some(state.as_str()),
            _ => None,
        });
        Ok(ending_of(execution, last_state).name())
    }

    /// Finds the cluster that an execution is about. An undo's input names only the recovery.
    async fn cluster_of(&self, execution: &Execution) -> ClientResult<String> {
        if let Some(cluster) = execution.input.get("cluster").and_then(Value::as_str) {
            return Ok(cluster.to_owned());
        }
        if let Ok(outcome) = Outcome::read(&execution.output) {
            return Ok(outcome.cluster().to_owned());
        }
        let cluster = match execution.input.get("recovery").and_then(Value::as_str) {
            Some(recovery) => self.recoveries.recovery(recovery).await?.map(|record| record.cluster),
            None => None,
        };
        // A person may have started it with any input: its state is worth showing all the same.
        Ok(cluster.unwrap_or_else(|| "unknown".to_owned()))
    }

    /// Lists at most `limit` recoveries, the latest first. Their state is the table's: executions are not described.
    ///
    /// # Errors
    ///
    /// Errors of AWS.
    pub async fn list(&self, cluster: Option<&str>, limit: usize) -> ClientResult<Vec<RecoveryRecord>> {
        let records = self.recoveries.recoveries().await?;
        // RDS compares identifiers without case.
        let matches = |record: &RecoveryRecord| cluster.is_none_or(|name| record.cluster.eq_ignore_ascii_case(name));
        Ok(records.into_iter().filter(matches).take(limit).collect())
    }
}

/// Corrects a record by its execution, where that has ended and the table does not know.
fn with_execution(mut record: RecoveryRecord, execution: Option<(&'static str, Execution)>) -> RecoveryRecord {
    if let Some((state, execution)) = execution.filter(|(_, execution)| execution.status != Status::Running) {
        state.clone_into(&mut record.state);
        // The wait is over with its execution: nobody should be asked for a decision that nothing takes.
        record.approval = None;
        record.ended_at = execution.ended_at;
        if record.outcome.is_none() && execution.status == Status::Succeeded {
            match Outcome::read(&execution.output) {
                Ok(outcome) => record.outcome = Some(outcome),
                Err(why) => record.unreadable.push(why),
            }
        }
        // The record first: the state machine wrote it, with the name that the error page has.
        record.error = record.error.or(execution.error);
        record.cause = record.cause.or(execution.cause);
    }
    record
}

/// Makes the record of an execution that the table does not have: a dry run, an undo, or a recovery that has not recorded its
/// plan yet.
fn from_execution(id: &str, cluster: String, state: &str, execution: Execution) -> RecoveryRecord {
    let (plan, outcome, unreadable) = match Outcome::read(&execution.output) {
        Ok(Outcome::Planned(planned)) => (Some(planned.plan), None, Vec::new()),
        Ok(outcome) => (None, Some(outcome), Vec::new()),
        // A failed execution has no output to read.
        Err(why) if execution.status == Status::Succeeded => (None, None, vec![why]),
        Err(_) => (None, None, Vec::new()),
    };
    RecoveryRecord {
        id: id.to_owned(),
        execution_arn: execution.arn,
        state: state.to_owned(),
        cluster,
        new_cluster: None,
        started_at: execution.started_at,
        ended_at: execution.ended_at,
        approval: None,
        decision: None,
        undo: None,
        // Only the input of an undo names a recovery in this field.
        undoes: execution.input.get("recovery").and_then(Value::as_str).map(ToOwned::to_owned),
        fence_begun_at: None,
        lift: None,
        cancel: None,
        clean_up: None,
        opening: None,
        last_opening: None,
        resumed_by: None,
        error: execution.error,
        cause: execution.cause,
        outcome,
        moved: None,
        plan,
        request: None,
        unreadable,
    }
}

/// Names the ending of an execution that has ended. A failed one ended in the terminal state that it entered last; where
/// another state was the last, no terminal state cleaned up, and a person must look.
pub(crate) fn ending_of(execution: &Execution, last_state: Option<&str>) -> Ending {
    match execution.status {
        // An output of another version cannot be read, and a success is still a success.
        Status::Succeeded => {
            let by_name = || execution.output.get("outcome").and_then(Value::as_str).and_then(Ending::from_name);
            Outcome::read(&execution.output).map_or_else(|_| by_name().unwrap_or(Ending::Recovered), |o| o.ending())
        }
        Status::Failed => last_state.and_then(Ending::from_name).unwrap_or(Ending::NeedsOperator),
        Status::Stopped | Status::Running => Ending::Stopped,
    }
}
