//! How recoveries stand, from the table, and from the execution where the table does not know.

use crate::{Answer, Desk, DeskError, Places};
use rewind_aws::executions::{Execution, Executions, Status};
use rewind_aws::recoveries::{Record, Recoveries};
use rewind_words::{Awaited, Ending, Recovery};
use serde_json::Value;

impl<E: Executions, R: Recoveries, F> Desk<E, R, F> {
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
        match (record, execution) {
            (Some(record), execution) => Ok(told(record, execution.as_ref())),
            (None, Some(execution)) => Ok(unrecorded(id, execution)),
            (None, None) => Err(DeskError::Unknown(id.to_owned())),
        }
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
            DeskError::Refused("there is no recovery yet; to go on: start one, or mind Region and account".to_owned())
        })
    }
}

fn told(record: Record, execution: Option<&Execution>) -> Recovery {
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
    if let Some(execution) = execution.filter(|execution| execution.status != Status::Running) {
        recovery.state = ended(execution).name().to_owned();
        recovery.approval = None;
        recovery.ended_at = execution.ended_at;
        recovery.outcome = recovery.outcome.or_else(|| present(execution.output.clone()));
        recovery.error = recovery.error.or_else(|| execution.error.clone());
        recovery.cause = recovery.cause.or_else(|| execution.cause.clone());
    }
    recovery
}

/// A dry run, a recovery that has not written its plan yet, or an execution that takes one back.
fn unrecorded(id: &str, execution: Execution) -> Recovery {
    let cluster = [&execution.input, &execution.output].iter().find_map(|told| told.get("cluster")?.as_str());
    let cluster = cluster.unwrap_or("unknown").to_owned();
    let state = match execution.status {
        Status::Running => "Running",
        _ => ended(&execution).name(),
    };
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

/// How an execution ended, as far as its description says. A failed one says in its history whether a person must look:
/// where only this is known, one should.
pub(crate) fn ended(execution: &Execution) -> Ending {
    match execution.status {
        Status::Succeeded => {
            let outcome = execution.output.get("outcome").and_then(Value::as_str);
            outcome.and_then(Ending::of).unwrap_or(Ending::Recovered)
        }
        Status::Failed => Ending::NeedsOperator,
        Status::Stopped | Status::Running => Ending::Stopped,
    }
}

fn present(value: Value) -> Option<Value> {
    (!value.is_null()).then_some(value)
}
