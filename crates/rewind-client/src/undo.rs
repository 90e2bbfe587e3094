//! Undoes a recovery from whatever state it is in: traffic returns to the source, which was kept. A state machine does the work; this
//! starts it.

use crate::{ClientError, ClientResult, Deployment, RecoveryClient, StartedExecution};
use rewind_aws::executions::{Execution, Executions, Status};
use rewind_aws::recoveries::Recoveries;
use rewind_core::{RecoveryRecord, Seen, Undoing};
use rewind_ui::undo_id;
use serde_json::{Value, json};

/// The number of undos of one recovery, failed ones included.
// Each has a name of its own, numbered, because Step Functions keeps the name of a failed one taken for 90 days.
const ATTEMPTS: usize = 20;

impl<E: Executions, R: Recoveries, F> RecoveryClient<E, R, F> {
    /// Reads the record of a recovery that can be undone, or cancelled.
    ///
    /// # Errors
    ///
    /// `Refused` where it ended with clients where they were, or can no longer be undone; errors of AWS.
    pub async fn undoable(&self, id: &str, undoing: Undoing) -> ClientResult<RecoveryRecord> {
        let recovery = self.recovery(id).await?;
        match recovery.why_not_undoable(undoing) {
            None => Ok(recovery),
            Some(why) => {
                let verb = undoing.participle();
                let next = match why.contains("next step: ") {
                    true => String::new(),
                    false => format!("; next step: rewind status {id} shows how it stands, and what is safe to do"),
                };
                Err(ClientError::Refused(format!("{id} cannot be {verb}: {why}; nothing was changed{next}")))
            }
        }
    }

    /// Finds the undo of a recovery that runs; none where none does. Before the undo has the lease, its execution alone shows it.
    pub(crate) async fn running_undo(&self, recovery: &RecoveryRecord) -> Seen<Option<String>> {
        // What ended so is not undone.
        if ["Undone", "Planned", "NothingChanged", "RolledBack"].contains(&recovery.state.as_str()) {
            return Seen::Found(None);
        }
        let Some(state_machine) = &self.deployment.undo_state_machine else {
            return Seen::Unseen("it is not known which state machine undoes recoveries".to_owned());
        };
        for n in 0..ATTEMPTS {
            let name = undo_id(&recovery.id, n);
            match self.executions.execution(&Deployment::execution_arn(state_machine, &name)).await {
                Ok(Some(undo)) if undo.status == Status::Running && is_of(&undo, &recovery.id) => {
                    return Seen::Found(Some(name));
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => return Seen::Unseen(error.to_string()),
            }
        }
        Seen::Found(None)
    }

    /// Starts the undo of a recovery, or finds the execution that undoes it.
    ///
    /// # Errors
    ///
    /// `Refused` where it cannot be undone, or `confirm` is not the source's name; errors of AWS.
    pub async fn undo(
        &self,
        id: &str,
        undoing: Undoing,
        confirm: Option<&str>,
        by: &str,
    ) -> ClientResult<StartedExecution> {
        let recovery = self.undoable(id, undoing).await?;
        // Compared exactly: there is no hash to bind this decision to, so the name takes its place.
        if confirm != Some(recovery.cluster.as_str()) {
            return Err(ClientError::Refused(format!(
                "{1}; nothing was changed; next step: say the source's name with --confirm {0}",
                recovery.cluster,
                consequence(&recovery),
            )));
        }
        let Some(state_machine) = &self.deployment.undo_state_machine else {
            return Err(ClientError::Refused(
                "it is not known which state machine undoes recoveries; nothing was changed; next step: name the stack (--stack), or \
                 set UNDO_STATE_MACHINE_ARN, which the stack's outputs have"
                    .to_owned(),
            ));
        };
        let input = match undoing {
            Undoing::Undo => json!({ "recovery": id, "by": by }),
            Undoing::Cancel => json!({ "recovery": id, "by": by, "cancel": true }),
        };
        for n in 0..ATTEMPTS {
            let name = undo_id(id, n);
            let started = self.start_execution(state_machine, &name, &input).await?;
            if let Some(started) = started.filter(|started| !started.started_before) {
                return Ok(started);
            }
            let arn = Deployment::execution_arn(state_machine, &name);
            let Some(other) = self.executions.execution(&arn).await? else { break };
            // Somebody may have started the state machine by hand, under this name and for another recovery.
            if !is_of(&other, id) {
                continue;
            }
            match other.status {
                // Two people who ask for the same undo follow the same execution.
                Status::Running | Status::Succeeded => {
                    return Ok(StartedExecution { id: name, arn, started_before: true });
                }
                // A failed undo may be repeated, under the next name.
                Status::Failed | Status::Stopped => {}
            }
        }
        Err(ClientError::Refused(format!(
            "earlier undos of {id} cannot be seen, or failed {ATTEMPTS} times; nothing was changed; next step: look at the \
             executions of {state_machine}"
        )))
    }
}

/// True if an execution undoes this recovery, by its input.
fn is_of(undo: &Execution, recovery: &str) -> bool {
    undo.input.get("recovery").and_then(Value::as_str) == Some(recovery)
}

/// Tells what an undo would do now, for whoever has not confirmed it.
fn consequence(recovery: &RecoveryRecord) -> String {
    let (source, restored) = (&recovery.cluster, recovery.new_cluster.as_deref().unwrap_or("the restored cluster"));
    if recovery.plan.is_none() {
        return format!("{} would end now; it has no plan yet, and has changed nothing", recovery.id);
    }
    if recovery.let_in_since().is_some() {
        return format!(
            "clients would be let in to {source} now, if they are not, with its data as {} rewound it, and {restored} would be kept",
            recovery.id
        );
    }
    if recovery.is_in_place() && recovery.fence_begun_at.is_some() {
        return format!(
            "{source} would be taken forward now to where it was before {} rewound it, if it did, and compared with {restored}; then its \
             fence would be lifted",
            recovery.id
        );
    }
    if recovery.outcome.is_some() || recovery.moved.is_some() {
        return format!(
            "traffic would return to {source} now, and what was written to {restored} would stay there, fenced"
        );
    }
    format!("{} would end now, with all traffic on {source}, and {restored} would be kept", recovery.id)
}
