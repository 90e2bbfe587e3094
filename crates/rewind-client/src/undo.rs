//! Undoes a recovery from whatever state it is in: traffic returns to the source, which was kept. A state machine does the work; this
//! starts it.

use crate::{ClientError, ClientResult, Deployment, RecoveryClient, StartedExecution};
use rewind_aws::executions::{Executions, Status};
use rewind_aws::recoveries::Recoveries;
use rewind_core::{Recovered, RecoveryRecord, Strategy};
use rewind_ui::undo_id;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The number of undos of one recovery, failed ones included.
// Each has a name of its own, numbered, because Step Functions keeps the name of a failed one taken for 90 days.
const ATTEMPTS: usize = 20;

/// The recoveries that an undo is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Undoing {
    /// One in any state.
    #[default]
    Undo,
    /// One that has not ended well: whoever cancels does not mean to take back what was approved and done.
    Cancel,
}

impl Undoing {
    /// The command that asks for it.
    #[must_use]
    pub const fn command(self) -> &'static str {
        match self {
            Self::Undo => "undo",
            Self::Cancel => "cancel",
        }
    }

    /// The participle, for a sentence.
    fn participle(self) -> &'static str {
        match self {
            Self::Undo => "undone",
            Self::Cancel => "cancelled",
        }
    }
}

impl<E: Executions, R: Recoveries, F> RecoveryClient<E, R, F> {
    /// Reads the record of a recovery that can be undone, or cancelled.
    ///
    /// # Errors
    ///
    /// `Refused` where it ended with clients where they were, or can no longer be undone; errors of AWS.
    pub async fn undoable(&self, id: &str, undoing: Undoing) -> ClientResult<RecoveryRecord> {
        let recovery = self.recovery(id).await?;
        match why_not_undoable(&recovery, undoing) {
            None => Ok(recovery),
            Some(why) => {
                let verb = undoing.participle();
                Err(ClientError::Refused(format!("{id} cannot be {verb}: {why}; nothing was changed")))
            }
        }
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
                "it is not known which state machine undoes recoveries; nothing was changed; next step: set \
                 UNDO_STATE_MACHINE_ARN, which the stack's outputs have"
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
            if other.input.get("recovery").and_then(Value::as_str) != Some(id) {
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

/// Explains why a recovery cannot be undone; none where it can.
fn why_not_undoable(recovery: &RecoveryRecord, undoing: Undoing) -> Option<String> {
    // An undo or a clean-up that cannot be read may be under way: moving traffic back blindly could lead it to a cluster
    // that is being deleted.
    if !recovery.unreadable.is_empty() {
        return Some(recovery.unreadable.join("; "));
    }
    match (recovery.state.as_str(), undoing) {
        ("Undone", _) => return Some("it is undone already".to_owned()),
        ("RolledBack", _) => return Some("its traffic is back on the source already".to_owned()),
        ("NothingChanged", _) => {
            return Some(format!("it ended in NothingChanged: {} has its traffic all the time", recovery.cluster));
        }
        ("Recovered", Undoing::Cancel) => {
            return Some(format!(
                "it has ended well; next step: rewind undo {} moves traffic back to {}",
                recovery.id, recovery.cluster
            ));
        }
        _ => {}
    }
    // Its restored cluster is that one's by now, and may have clients.
    if let Some(resumed_by) = &recovery.resumed_by {
        return Some(format!(
            "it was resumed by {resumed_by}, which has its restored cluster since; next step: rewind status {resumed_by} shows how that \
             one stands, and what undoes it"
        ));
    }
    if let Some(clean_up) = &recovery.clean_up {
        return Some(format!(
            "the time until which {0} was kept is over, and since {1} it is being deleted, into the snapshot {2}; next \
             step: restore that beside what is there (aws rds restore-db-cluster-from-snapshot --snapshot-identifier {2} \
             …), and copy over what is missed",
            clean_up.cluster, clean_up.begun_at, clean_up.snapshot
        ));
    }
    // What a recovery that has no end did, the state machine finds out: the record, the zone and the fence tell it.
    match recovery.outcome.as_ref().and_then(|outcome| outcome.recovered()) {
        Some(recovered) => why_not_moved_back(recovered),
        None if recovery.moved.is_some() => None,
        None if recovery.plan.is_none() => Some(
            "it has no plan yet, so it has changed nothing; next step: ask for its status, and undo it when it has one"
                .to_owned(),
        ),
        None if recovery.state == "Recovered" => Some("its outcome is not in the table".to_owned()),
        None => None,
    }
}

/// Tells what an undo would do now, for whoever has not confirmed it.
fn consequence(recovery: &RecoveryRecord) -> String {
    let (source, restored) = (&recovery.cluster, recovery.new_cluster.as_deref().unwrap_or("the restored cluster"));
    if recovery.outcome.is_some() || recovery.moved.is_some() {
        return format!(
            "traffic would return to {source} now, and what was written to {restored} would stay there, fenced"
        );
    }
    format!("{} would end now, with all traffic on {source}, and {restored} would be kept", recovery.id)
}

fn why_not_moved_back(recovered: &Recovered) -> Option<String> {
    if recovered.strategy == Strategy::Backtrack {
        let safety_clone = recovered.safety_clone.as_ref().map(|clone| clone.cluster.as_str());
        return Some(format!(
            "it rewound {} in place, and going forward again would throw away what was written to it since; what it was \
             before is kept on {}: copy from there what is missed",
            recovered.cluster,
            safety_clone.unwrap_or("its safety clone")
        ));
    }
    let moved_nothing = recovered.dns.is_empty();
    moved_nothing.then(|| "it moved no traffic: the source has it all the time".to_owned())
}
