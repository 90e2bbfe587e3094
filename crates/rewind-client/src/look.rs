//! How recoveries stand, from the table, and from the execution where the table does not know.

use crate::{Answer, ClientError, Places, RecoveryClient};
use rewind_aws::executions::{Execution, Executions, Status, What};
use rewind_aws::recoveries::{Record, Recoveries};
use rewind_ui::{Awaited, Ending, Recovery};
use serde_json::Value;

impl<E: Executions, R: Recoveries, F> RecoveryClient<E, R, F> {
    /// How a recovery stands.
    ///
    /// # Errors
    ///
    /// Unknown, where there is none of that name; what AWS answers.
    pub async fn recovery(&self, id: &str) -> Answer<Recovery> {
        let record = self.recoveries.recovery(id).await?;
        let known = record.as_ref().is_some_and(|record| Ending::of(&record.state).is_some());
        let arn =
            record.as_ref().map_or_else(|| Places::execution(&self.places.machine, id), |r| r.execution_arn.clone());
        // Whoever stops an execution by hand leaves the table as it was: only the execution knows.
        let mut execution = if known { None } else { self.executions.execution(&arn).await? };
        if let (None, None, Some(machine)) = (&record, &execution, &self.places.undo_machine) {
            execution = self.executions.execution(&Places::execution(machine, id)).await?;
        }
        let execution = match execution {
            Some(execution) => Some((self.state(&execution).await?, execution)),
            None => None,
        };
        match (record, execution) {
            (Some(record), execution) => Ok(told(record, execution)),
            (None, Some((state, execution))) => {
                let cluster = self.cluster(&execution).await?;
                Ok(unrecorded(id, cluster, state, execution))
            }
            (None, None) => Err(ClientError::Unknown(id.to_owned())),
        }
    }

    /// The state of an execution; what a failed one means, the last state in its history says.
    async fn state(&self, execution: &Execution) -> Answer<&'static str> {
        let history = match execution.status {
            Status::Running => return Ok("Running"),
            Status::Failed => self.executions.events(&execution.arn, 0).await?,
            Status::Succeeded | Status::Stopped => Vec::new(),
        };
        let last = history.iter().rev().find_map(|event| match &event.what {
            What::Entered(state) => Some(state.as_str()),
            _ => None,
        });
        Ok(ended(execution, last).name())
    }

    /// The cluster that an execution is about: one that takes a recovery back says only which recovery.
    async fn cluster(&self, execution: &Execution) -> Answer<String> {
        let named = [&execution.input, &execution.output].iter().find_map(|told| told.get("cluster")?.as_str());
        let cluster = match (named, execution.input.get("recovery").and_then(Value::as_str)) {
            (Some(cluster), _) => Some(cluster.to_owned()),
            (None, Some(recovery)) => self.recoveries.recovery(recovery).await?.map(|record| record.cluster),
            (None, None) => None,
        };
        Ok(cluster.unwrap_or_else(|| "unknown".to_owned()))
    }

    /// The recoveries, the latest first. A state that is not an end is as the table has it.
    ///
    /// # Errors
    ///
    /// What AWS answers.
    pub async fn list(&self, cluster: Option<&str>, limit: usize) -> Answer<Vec<Recovery>> {
        let records = self.recoveries.recoveries().await?;
        let wanted = |record: &Record| cluster.is_none_or(|cluster| record.cluster.eq_ignore_ascii_case(cluster));
        Ok(records.into_iter().filter(wanted).take(limit).map(|record| told(record, None)).collect())
    }

    /// The name of the latest recovery.
    ///
    /// # Errors
    ///
    /// Refused, where there is none; what AWS answers.
    pub async fn latest(&self) -> Answer<String> {
        let latest = self.list(None, 1).await?.into_iter().next();
        latest.map(|recovery| recovery.id).ok_or_else(|| {
            ClientError::Refused(
                "there is no recovery yet; next step: start one, or mind Region and account".to_owned(),
            )
        })
    }
}

fn told(record: Record, execution: Option<(&'static str, Execution)>) -> Recovery {
    let mut recovery = Recovery {
        id: record.id,
        execution_arn: record.execution_arn,
        state: record.state,
        cluster: record.cluster,
        new_cluster: record.new_cluster,
        started_at: record.started_at,
        ended_at: record.ended_at,
        approval: record.approval.map(|approval| Awaited {
            hash: approval.hash,
            requested_at: approval.requested_at,
            expires_at: approval.expires_at,
        }),
        decision: present(record.decision),
        undo: present(record.undo),
        clean_up: present(record.clean_up),
        error: record.error,
        cause: record.cause,
        outcome: present(record.outcome),
        plan: present(record.plan),
    };
    if let Some((state, execution)) = execution.filter(|(_, execution)| execution.status != Status::Running) {
        recovery.state = state.to_owned();
        recovery.approval = None;
        recovery.ended_at = execution.ended_at;
        recovery.outcome = recovery.outcome.or_else(|| present(execution.output));
        recovery.error = recovery.error.or(execution.error);
        recovery.cause = recovery.cause.or(execution.cause);
    }
    recovery
}

/// A dry run, a recovery that has not written its plan yet, or an execution that takes one back.
fn unrecorded(id: &str, cluster: String, state: &str, execution: Execution) -> Recovery {
    Recovery {
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
        clean_up: None,
        error: execution.error,
        cause: execution.cause,
        plan: execution.output.get("plan").cloned(),
        outcome: present(execution.output).filter(|output| output.get("plan").is_none()),
    }
}

/// How an execution ended. A failed one ended in the state whose name says what that means; where that is not known, a
/// person should look.
pub(crate) fn ended(execution: &Execution, last_state: Option<&str>) -> Ending {
    match execution.status {
        Status::Succeeded => {
            let outcome = execution.output.get("outcome").and_then(Value::as_str);
            outcome.and_then(Ending::of).unwrap_or(Ending::Recovered)
        }
        Status::Failed => last_state.and_then(Ending::of).unwrap_or(Ending::NeedsOperator),
        Status::Stopped | Status::Running => Ending::Stopped,
    }
}

fn present(value: Value) -> Option<Value> {
    (!value.is_null()).then_some(value)
}
